/* SPDX-License-Identifier: MIT */
/*
 * Model-specific registers of a vCPU, while it does not run.
 *
 * Easy to break: those by which a guest shares memory with KVM (Linux, Documentation/virt/kvm/x86/msr.rst) are refused,
 * or without effect, where KVM has no memory at their address; it gets its memory before the first run. So they are
 * held until then, and what is held is what the vCPU has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "x86.h"

#define MSR_TSC               0x10u
#define MSR_KVM_WALL_CLOCK    0x11u
#define MSR_KVM_SYSTEM_TIME   0x12u
#define MSR_KVM_FIRST         0x4b564d00u
#define MSR_KVM_LAST          0x4b564dffu

static bool is_shared(uint32_t index)
{
	return index == MSR_KVM_WALL_CLOCK || index == MSR_KVM_SYSTEM_TIME ||
	       (index >= MSR_KVM_FIRST && index <= MSR_KVM_LAST);
}

static const struct kvm_msr_entry *held_find(const struct arch_vcpu *a, uint32_t index)
{
	for (uint32_t i = 0; i < a->held_count; i++)
		if (a->held[i].index == index)
			return &a->held[i];
	return NULL;
}

/* KVM stops at the first that it cannot read; that one is left out. */
int msrs_get(struct kvm_vcpu *v, struct whole *w)
{
	const struct msr_list *list = &v->kvm->arch->msrs;
	struct msr_values *values = malloc(sizeof(*values));
	uint32_t at = 0;
	int code = values ? 0 : -ENOMEM;

	w->msr_count = 0;
	while (code >= 0 && at < list->nmsrs) {
		uint32_t left = list->nmsrs - at;

		memset(values, 0, sizeof(*values));
		values->nmsrs = left;
		for (uint32_t i = 0; i < left; i++)
			values->entry[i].index = list->index[at + i];
		code = vcpu_ioctl(v, KVM_GET_MSRS, values);
		if (code < 0)
			break;
		if ((uint32_t)code > left)
			code = (int)left;
		memcpy(w->msr + w->msr_count, values->entry, (size_t)code * sizeof(values->entry[0]));
		w->msr_count += (uint32_t)code;
		at += (uint32_t)code + 1;
	}
	free(values);
	for (uint32_t i = 0; i < w->msr_count; i++) {
		const struct kvm_msr_entry *held = held_find(v->arch, w->msr[i].index);

		if (held)
			w->msr[i].data = held->data;
	}
	return code < 0 ? code : 0;
}

struct kvm_msr_entry *whole_tsc(struct whole *w)
{
	for (uint32_t i = 0; i < w->msr_count; i++)
		if (w->msr[i].index == MSR_TSC)
			return &w->msr[i];
	return NULL;
}

int msr_write(struct kvm_vcpu *v, uint32_t index, uint64_t value)
{
	struct msr_value one = { .nmsrs = 1, .entry = { .index = index, .data = value } };
	int code = vcpu_ioctl(v, KVM_SET_MSRS, &one);

	return code < 0 ? code : code == 1 ? 0 : -EINVAL;
}

int tsc_write(struct kvm_vcpu *v, uint64_t value)
{
	return msr_write(v, MSR_TSC, value);
}

static uint64_t msr_now(struct kvm_vcpu *v, uint32_t index)
{
	struct msr_value one = { .nmsrs = 1 };

	one.entry.index = index;
	return vcpu_ioctl(v, KVM_GET_MSRS, &one) == 1 ? one.entry.data : ~(uint64_t)0;
}

/* What cannot be written is fine when it has that value already: some can only be read. */
static int write_all(struct kvm_vcpu *v, const struct kvm_msr_entry *msr, uint32_t count)
{
	struct msr_values *values = malloc(sizeof(*values));
	uint32_t at = 0;
	int code = values ? 0 : -ENOMEM;

	while (code >= 0 && at < count) {
		values->pad = 0;
		values->nmsrs = count - at;
		memcpy(values->entry, msr + at, (count - at) * sizeof(values->entry[0]));
		code = vcpu_ioctl(v, KVM_SET_MSRS, values);
		if (code < 0)
			break;
		at += (uint32_t)code;
		if (at >= count)
			break;
		if (msr_now(v, msr[at].index) != msr[at].data) {
			kvm_log(v->kvm, MT_LOG_ERROR, "KVM does not take 0x%llx for the model-specific register 0x%x",
				(unsigned long long)msr[at].data, msr[at].index);
			code = -EINVAL;
		}
		at++;
	}
	free(values);
	return code < 0 ? code : 0;
}

int msrs_set(struct kvm_vcpu *v, const struct whole *w)
{
	struct arch_vcpu *a = v->arch;
	struct kvm_msr_entry *now = malloc(sizeof(w->msr));
	uint32_t count = 0;
	int code;

	if (!now)
		return -ENOMEM;
	a->held_count = 0;
	for (uint32_t i = 0; i < w->msr_count; i++) {
		if (is_shared(w->msr[i].index) && a->held_count < MSRS_HELD)
			a->held[a->held_count++] = w->msr[i];
		else
			now[count++] = w->msr[i];
	}
	code = write_all(v, now, count);
	free(now);
	return code;
}

int msrs_go_on(struct kvm_vcpu *v, const char **what)
{
	int code;

	if (!v->arch->held_count)
		return 0;
	*what = "the registers by which the guest shares memory with it,";
	code = write_all(v, v->arch->held, v->arch->held_count);
	if (code == 0)
		v->arch->held_count = 0;
	return code;
}
