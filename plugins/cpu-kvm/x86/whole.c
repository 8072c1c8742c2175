/* SPDX-License-Identifier: MIT */
/*
 * A vCPU as one value: read and written whole, for reset and snapshots. While it does not run.
 *
 * Easy to break: the order of writing. Special registers come before the local APIC, since they hold its base and
 * mode; XCRs before the XSAVE area; the model-specific ones after the local APIC, for TSC_DEADLINE arms its timer; and
 * events last, for the others may drop them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "x86.h"

size_t whole_bytes(const struct kvm *k)
{
	return sizeof(struct whole) + k->arch->xsave_bytes;
}

struct part {
	const char *what;
	unsigned long get, set;
	size_t offset;
};

static const struct part head[] = {
	{ "special registers", KVM_GET_SREGS, KVM_SET_SREGS, offsetof(struct whole, sregs) },
	{ "registers", KVM_GET_REGS, KVM_SET_REGS, offsetof(struct whole, regs) },
};
static const struct part xcrs = { "XCRs", KVM_GET_XCRS, KVM_SET_XCRS, offsetof(struct whole, xcrs) };
static const struct part xsave = { "FPU state", KVM_GET_XSAVE, KVM_SET_XSAVE, offsetof(struct whole, xsave) };
static const struct part mp = { "run state", KVM_GET_MP_STATE, KVM_SET_MP_STATE, offsetof(struct whole, mp) };
static const struct part lapic = { "local APIC", KVM_GET_LAPIC, KVM_SET_LAPIC, offsetof(struct whole, lapic) };
static const struct part debug = { "debug registers", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
				   offsetof(struct whole, debug) };
static const struct part events = { "events", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
				    offsetof(struct whole, events) };

/* In the order of writing, up to the model-specific registers, and behind them. */
static size_t parts_of(const struct kvm *k, const struct part *before[8], const struct part *after[8], size_t *count)
{
	size_t n = 0, m = 0;

	before[n++] = &head[0];
	before[n++] = &head[1];
	if (k->arch->xcrs)
		before[n++] = &xcrs;
	before[n++] = &xsave;
	if (k->lapics) {
		before[n++] = &mp;
		before[n++] = &lapic;
	}
	if (k->arch->debugregs)
		after[m++] = &debug;
	after[m++] = &events;
	*count = n;
	return m;
}

static int part_get(struct kvm_vcpu *v, struct whole *w, const struct part *p, const char **what)
{
	unsigned long request = p->get;

	*what = p->what;
	/* a host with more state than the old call has room for */
	if (p == &xsave && v->kvm->arch->xsave_bytes > sizeof(struct kvm_xsave))
		request = KVM_GET_XSAVE2;
	return vcpu_ioctl(v, request, (const char *)w + p->offset);
}

int whole_get(struct kvm_vcpu *v, struct whole *w, const char **what)
{
	const struct part *before[8], *after[8];
	size_t n, m = parts_of(v->kvm, before, after, &n);
	int code = 0;

	memset(w, 0, whole_bytes(v->kvm));
	for (size_t i = 0; code >= 0 && i < n; i++)
		code = part_get(v, w, before[i], what);
	if (code >= 0) {
		*what = "model-specific registers";
		code = msrs_get(v, w);
	}
	for (size_t i = 0; code >= 0 && i < m; i++)
		code = part_get(v, w, after[i], what);
	return code < 0 ? code : 0;
}

static int part_set(struct kvm_vcpu *v, const struct whole *w, const struct part *p, const char **what)
{
	*what = p->what;
	return vcpu_ioctl(v, p->set, (const char *)w + p->offset);
}

int whole_set(struct kvm_vcpu *v, const struct whole *w, const char **what)
{
	const struct part *before[8], *after[8];
	size_t n, m = parts_of(v->kvm, before, after, &n);
	int code = 0;

	for (size_t i = 0; code >= 0 && i < n; i++)
		code = part_set(v, w, before[i], what);
	if (code >= 0) {
		*what = "model-specific registers";
		code = msrs_set(v, w);
	}
	for (size_t i = 0; code >= 0 && i < m; i++)
		code = part_set(v, w, after[i], what);
	return code < 0 ? code : 0;
}

/*
 * FPU, vector state, XCR0, time-stamp counter and model-specific registers stay, and of CR0 the cache's bits (Intel
 * SDM volume 3, "Processor State After Reset", table of power-up, reset and INIT).
 */
int whole_init(struct kvm_vcpu *v, const char **what)
{
	const uint64_t cache = UINT64_C(3) << 29;
	struct whole *w = malloc(whole_bytes(v->kvm));
	int code = w ? vcpu_ioctl(v, KVM_GET_SREGS, &w->sregs) : -ENOMEM;
	uint64_t cr0, apic_base;

	*what = head[0].what;
	if (code >= 0) {
		cr0 = w->sregs.cr0;
		apic_base = w->sregs.apic_base;
		memcpy(w, v->arch->first, whole_bytes(v->kvm));
		w->sregs.cr0 = (w->sregs.cr0 & ~cache) | (cr0 & cache);
		w->sregs.apic_base = apic_base;
		code = part_set(v, w, &head[0], what);
	}
	if (code >= 0)
		code = part_set(v, w, &head[1], what);
	if (code >= 0 && v->kvm->arch->debugregs)
		code = part_set(v, w, &debug, what);
	if (code >= 0)
		code = part_set(v, w, &events, what);
	free(w);
	return code < 0 ? code : 0;
}
