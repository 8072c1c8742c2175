/* SPDX-License-Identifier: MIT */
/*
 * What CPUID shows the guest. [main]. It begins with what this host's KVM can give (KVM_GET_SUPPORTED_CPUID); a model
 * takes away what it does not have, and is refused when the host lacks what it has. Some KVMs show the guest more
 * than they were told: what was set is read back, and what differs is reported.
 */
#include <asm/kvm_para.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "x86.h"

#define LEVEL_HOST 5u

static struct kvm_cpuid_entry2 *entry_find(struct cpuid *c, uint32_t leaf, uint32_t subleaf)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entry[i];

		if (e->function == leaf && (e->index == subleaf || !(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return e;
	}
	return NULL;
}

static uint32_t *word_of(struct kvm_cpuid_entry2 *e, uint32_t reg)
{
	uint32_t *const words[] = { &e->eax, &e->ebx, &e->ecx, &e->edx };

	return words[reg];
}

static bool has(struct cpuid *c, const struct feature *f)
{
	struct kvm_cpuid_entry2 *e = entry_find(c, f->leaf, f->subleaf);

	return e && *word_of(e, f->reg) >> f->bit & 1;
}

static void give(struct cpuid *c, const struct feature *f, bool on)
{
	struct kvm_cpuid_entry2 *e = entry_find(c, f->leaf, f->subleaf);

	if (e && on)
		*word_of(e, f->reg) |= 1u << f->bit;
	else if (e)
		*word_of(e, f->reg) &= ~(1u << f->bit);
}

/* Models */

static uint32_t level_of(const char *model)
{
	static const char *const names[] = { "base", "x86-64-v2", "x86-64-v3", "x86-64-v4", "host" };

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(model, names[i]))
			return i + 1;
	return 0;
}

static int lacks(struct mt_error *err, const char *culprit, const struct feature *f, const char *who)
{
	mt_error_set(err, MT_EHOST, culprit, "KVM of this host has no '%s', which %s", f->name, who);
	return MT_EHOST;
}

/* Is the feature's name among those of the LIST property? */
static bool is_listed(struct kvm *k, const char *prop, const char *name)
{
	uint32_t count = k->props->count(k->inst, prop);

	for (uint32_t i = 0; i < count; i++)
		if (feature_find(k->props->get_element(k->inst, prop, i)) == feature_find(name))
			return true;
	return false;
}

/* Leaves whose bits are all features: what is not in the table is not in a named model. */
static void words_mask(struct cpuid *c, uint32_t level)
{
	static const struct { uint32_t leaf, subleaf; uint8_t reg; } words[] = {
		{ 1, 0, 2 }, { 1, 0, 3 }, { 7, 0, 1 }, { 7, 0, 2 }, { 7, 0, 3 }, { 7, 1, 0 }, { 7, 1, 1 }, { 7, 1, 3 },
		{ 0xd, 1, 0 }, { 0x80000001, 0, 2 }, { 0x80000001, 0, 3 },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct kvm_cpuid_entry2 *e = entry_find(c, words[i].leaf, words[i].subleaf);
		uint32_t keep = 0;

		for (uint32_t n = 0; n < feature_count; n++) {
			const struct feature *f = &features[n];
			bool same = f->leaf == words[i].leaf && f->subleaf == words[i].subleaf && f->reg == words[i].reg;

			if (same && f->level && (f->level <= level || f->level == FEATURE_PLATFORM))
				keep |= 1u << f->bit;
		}
		if (e)
			*word_of(e, words[i].reg) &= keep;
	}
}

static int model_apply(struct kvm *k, struct cpuid *c, struct mt_error *err)
{
	const char *model = k->props->get_str(k->inst, "model");
	uint32_t level = level_of(model);
	char whose[48];

	if (level == LEVEL_HOST)
		return 0;
	snprintf(whose, sizeof(whose), "model %s has", model);
	for (uint32_t i = 0; i < feature_count; i++) {
		const struct feature *f = &features[i];
		bool wanted = f->level && f->level <= level && !is_listed(k, "features-off", f->name);

		if (wanted && !has(c, f)) {
			lacks(err, "model", f, whose);
			mt_error_hint(err, "use a lower model, or turn it off by features-off = %s", f->name);
			return MT_EHOST;
		}
	}
	words_mask(c, level);
	return 0;
}

static int list_apply(struct kvm *k, struct cpuid *c, struct cpuid *host, const char *prop, bool on,
		      struct mt_error *err)
{
	uint32_t count = k->props->count(k->inst, prop);

	for (uint32_t i = 0; i < count; i++) {
		const char *name = k->props->get_element(k->inst, prop, i);
		const struct feature *f = feature_find(name);

		if (!f) {
			mt_error_set(err, MT_EINVAL, prop, "there is no feature '%s' of x86 CPUs", name);
			mt_error_hint(err, "use names as in /proc/cpuinfo; the manual lists them");
			return MT_EINVAL;
		}
		if (on && !has(host, f))
			return lacks(err, prop, f, "the file asks for");
		give(c, f, on);
	}
	return 0;
}

/* XCR0's bits of features that are off (Intel SDM volume 1, "XSAVE-Supported Features"). */
static uint32_t xcr0_off(struct cpuid *c)
{
	static const struct { const char *name; uint32_t bits; } of[] = {
		{ "xsave", UINT32_MAX }, { "avx", 4 }, { "mpx", 0x18 }, { "avx512f", 0xe0 }, { "pku", 0x200 },
		{ "amx_tile", 0x60000 },
	};
	uint32_t off = 0;

	for (uint32_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		off |= has(c, feature_find(of[i].name)) ? 0 : of[i].bits;
	return off;
}

/*
 * Leaf 0xd follows the features: no state of those that are off, and the area as large as what is left. And no AMX
 * where KVM has no room for its state, which this program would have to ask Linux for.
 */
static void xsave_follow(struct cpuid *c)
{
	static const char *const amx[] = { "amx_tile", "amx_bf16", "amx_int8", "amx_fp16" };
	struct kvm_cpuid_entry2 *area = entry_find(c, 0xd, 0);
	uint32_t bytes = 576;

	if (!area)
		return;
	for (uint32_t i = 0; i < sizeof(amx) / sizeof(amx[0]) && (area->eax & 0x60000) != 0x60000; i++)
		give(c, feature_find(amx[i]), false);
	area->eax &= ~xcr0_off(c);
	area->edx = 0;
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entry[i];

		/* states of supervisors have bit 0 of ecx set, and are not XCR0's */
		if (e->function != 0xd || e->index < 2 || (e->ecx & 1 && area->eax))
			continue;
		if (e->index > 31 || !(area->eax >> e->index & 1))
			e->eax = e->ebx = e->ecx = e->edx = 0;
		else if (e->ebx + e->eax > bytes)
			bytes = e->ebx + e->eax;
	}
	area->ecx = area->eax ? bytes : 0;
	if (area->eax)
		return;
	area->ebx = 0;
	area = entry_find(c, 0xd, 1);
	if (area)
		area->eax = area->ebx = area->ecx = area->edx = 0;
}

/*
 * What KVM offers to guests that know it and does by its own local APIC (Linux, Documentation/virt/kvm/x86/cpuid.rst,
 * hypercalls.rst): without one, kicks and interrupts between CPUs that go this way would be lost.
 */
static void paravirtual_without_lapic(struct cpuid *c)
{
	struct kvm_cpuid_entry2 *e = entry_find(c, KVM_CPUID_FEATURES, 0);

	if (e)
		e->eax &= ~(1u << KVM_FEATURE_ASYNC_PF | 1u << KVM_FEATURE_ASYNC_PF_VMEXIT |
			    1u << KVM_FEATURE_ASYNC_PF_INT | 1u << KVM_FEATURE_PV_EOI | 1u << KVM_FEATURE_PV_UNHALT |
			    1u << KVM_FEATURE_PV_SEND_IPI | 1u << KVM_FEATURE_PV_SCHED_YIELD |
			    1u << KVM_FEATURE_MSI_EXT_DEST_ID);
}

/* Bits that KVM_GET_SUPPORTED_CPUID leaves to its caller (Documentation/virt/kvm/api.rst, 4.46). */
static void platform_bits(struct kvm *k, struct cpuid *c)
{
	const struct feature *deadline = feature_find("tsc_deadline_timer"), *x2apic = feature_find("x2apic");

	give(c, feature_find("hypervisor"), true);
	give(c, deadline, k->lapics && vm_capability(k, KVM_CAP_TSC_DEADLINE_TIMER));
	if (k->lapics)
		return;
	give(c, x2apic, false);
	paravirtual_without_lapic(c);
	/* KVM takes it away while IA32_APIC_BASE does not enable a local APIC */
	if (!k->devices)
		give(c, feature_find("apic"), false);
}

/*
 * Leaf 0x80000008: of addresses, and of those that nested paging can map when that is less (AMD APM volume 3, appendix
 * E.4.7, "GuestPhysAddrSize", which KVM uses for Intel's CPUs too).
 */
static uint32_t address_bits(struct cpuid *c)
{
	const struct kvm_cpuid_entry2 *e = entry_find(c, 0x80000008, 0);
	uint32_t bits = e ? e->eax & 0xff : 36, mapped = e ? e->eax >> 16 & 0xff : 0;

	bits = mapped && mapped < bits ? mapped : bits;
	return bits >= 32 && bits <= 52 ? bits : 0;
}

int cpuid_choose(struct kvm *k, struct mt_error *err)
{
	struct cpuid *c = &k->arch->cpuid, *host;
	int code;

	c->nent = CPUID_MAX;
	code = kvm_ops.ioctl(k->sys_fd, KVM_GET_SUPPORTED_CPUID, (uintptr_t)c);
	if (code < 0 || c->nent > CPUID_MAX)
		return vm_refuse(err, "model", "learn what CPUs it can show", code < 0 ? code : -EIO);
	k->address_bits = address_bits(c);
	platform_bits(k, c);
	host = malloc(sizeof(*host));
	if (!host)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	*host = *c;
	code = model_apply(k, c, err);
	if (code == 0)
		code = list_apply(k, c, host, "features", true, err);
	if (code == 0)
		code = list_apply(k, c, host, "features-off", false, err);
	if (code == 0)
		xsave_follow(c);
	free(host);
	return code;
}

/* The vCPU's own */

static uint32_t bits_of(uint32_t count)
{
	uint32_t bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

/* One package, a core for each vCPU, one thread a core. */
static void topology(struct kvm_cpuid_entry2 *e, uint32_t index, uint32_t count)
{
	uint32_t cores = count > 64 ? 63 : count - 1;

	switch (e->function) {
	case 1:
		e->ebx = (e->ebx & 0xff00) | (index & 0xff) << 24 | (count > 255 ? 255 : count) << 16;
		e->edx = count > 1 ? e->edx | 1u << 28 : e->edx & ~(1u << 28);
		break;
	case 4:
		if (e->eax & 31)
			e->eax = (e->eax & 0x3fff) | cores << 26;
		break;
	case 0xb: case 0x1f:
		e->eax = e->index == 1 ? bits_of(count) : 0;
		e->ebx = e->index == 0 ? 1 : e->index == 1 ? count : 0;
		e->ecx = e->index | (e->index < 2 ? (e->index + 1) << 8 : 0);
		e->edx = index;
		break;
	case 0x80000008:
		e->ecx = (count > 256 ? 255 : count - 1) | bits_of(count) << 12;
		break;
	case 0x8000001e:
		e->eax = index;
		e->ebx = index & 0xff;
		e->ecx = 0;
		break;
	}
}

/* All that differs, a few to the line. */
static void list_forced(const struct kvm *k, struct cpuid *set, struct cpuid *shown)
{
	char names[128] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < feature_count; i++) {
		if (has(shown, &features[i]) == has(set, &features[i]))
			continue;
		at += (size_t)snprintf(names + at, sizeof(names) - at, " %s%s", has(set, &features[i]) ? "-" : "+",
				       features[i].name);
		if (at < sizeof(names) - 32)
			continue;
		kvm_log(k, MT_LOG_DEBUG, "KVM shows the guest another CPU than it was told:%s", names);
		at = 0;
	}
	if (at)
		kvm_log(k, MT_LOG_DEBUG, "KVM shows the guest another CPU than it was told:%s", names);
}

/*
 * A warning only of what the file says: features that it takes away are named, those of a model are counted. Whoever
 * leaves the CPU to the host gets the host's.
 */
static void report_forced(struct kvm *k, struct cpuid *set, struct cpuid *shown)
{
	const char *model = k->props->get_str(k->inst, "model");
	uint32_t differs = 0;
	char off[128] = "";
	size_t at = 0;

	for (uint32_t i = 0; i < feature_count; i++) {
		if (has(shown, &features[i]) == has(set, &features[i]))
			continue;
		differs++;
		if (at < sizeof(off) - 32 && is_listed(k, "features-off", features[i].name))
			at += (size_t)snprintf(off + at, sizeof(off) - at, " %s", features[i].name);
	}
	list_forced(k, set, shown);
	if (at)
		kvm_log(k, MT_LOG_WARN, "KVM shows the guest features that features-off takes away:%s", off);
	else if (differs && level_of(model) != LEVEL_HOST)
		kvm_log(k, MT_LOG_WARN, "KVM of this host does not let the guest see model %s: %u features differ (mortise "
			"run --verbose lists them)", model, differs);
}

/* x87 and SSE state bits come and go with CR4.OSXSAVE and the like: only features of the table are compared. */
static void read_back(struct kvm_vcpu *v, struct cpuid *set)
{
	struct cpuid *shown = malloc(sizeof(*shown));

	if (shown) {
		shown->nent = CPUID_MAX;
		if (vcpu_ioctl(v, KVM_GET_CPUID2, shown) >= 0 && shown->nent <= CPUID_MAX)
			report_forced(v->kvm, set, shown);
	}
	free(shown);
}

int cpuid_set(struct kvm_vcpu *v, struct mt_error *err)
{
	struct kvm *k = v->kvm;
	struct cpuid *own = malloc(sizeof(*own));
	int code;

	if (!own)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	*own = k->arch->cpuid;
	for (uint32_t i = 0; i < own->nent; i++)
		topology(&own->entry[i], v->index, k->vcpu_count);
	code = vcpu_ioctl(v, KVM_SET_CPUID2, own);
	if (code >= 0 && v->index == 0)
		read_back(v, own);
	free(own);
	return code < 0 ? vm_refuse(err, "model", "give a vCPU its CPUID", code) : 0;
}
