/* SPDX-License-Identifier: MIT */
/*
 * What the guest's CPU is: that which KVM gives it, all of the host's but what cannot be had here. [main].
 *
 * Extensions have numbers of KVM's (enum KVM_RISCV_ISA_EXT_ID); one that has no name here is not told of, and the guest
 * does not use it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <util/error.h>

#include "riscv.h"

#define ISA_H     4u
#define ISA_SSAIA 14u

static const char *const names[] = {
	"a", "c", "d", "f", "h", "i", "m", "svpbmt", "sstc", "svinval", "zihintpause", "zicbom", "zicboz", "zbb", "ssaia", "v",
	"svnapot", "zba", "zbs", "zicntr", "zicsr", "zifencei", "zihpm", "smstateen", "zicond", "zbc", "zbkb", "zbkc",
	"zbkx", "zknd", "zkne", "zknh", "zkr", "zksed", "zksh", "zkt", "zvbb", "zvbc", "zvkb", "zvkg", "zvkned", "zvknha",
	"zvknhb", "zvksed", "zvksh", "zvkt", "zfh", "zfhmin", "zihintntl", "zvfh", "zvfhmin", "zfa", "ztso", "zacas",
	"sscofpmf", "zimop", "zca", "zcb", "zcd", "zcf", "zcmop", "zawrs",
};

_Static_assert(sizeof(names) / sizeof(names[0]) <= ISA_MAX, "ISA_MAX");

const char *isa_name(uint32_t number)
{
	return number < sizeof(names) / sizeof(names[0]) && number != ISA_H ? names[number] : NULL;
}

/* What KVM cannot tell has no value. */
static uint64_t told(const struct kvm_vcpu *v, uint64_t id)
{
	uint64_t value;

	return one_reg_get(v, id, &value) < 0 ? 0 : value;
}

/* The devices' counter and the CPU's must go at one rate: the device tree has one number for both. */
static int check_timebase(struct kvm_vcpu *v, struct mt_error *err)
{
	uint64_t host, machine = v->kvm->clock->timebase_hz(v->kvm->inst);
	int code = one_reg_get(v, RV_FREQUENCY, &host);

	if (code < 0)
		return vm_refuse(err, "plugin", "learn the rate of the counter", code);
	if (host == machine)
		return 0;
	mt_error_set(err, MT_EHOST, "plugin", "the counter of this host goes at %llu Hz, the machine's at %llu",
		     (unsigned long long)host, (unsigned long long)machine);
	mt_error_hint(err, "set timebase = %llu in [machine]", (unsigned long long)host);
	return MT_EHOST;
}

int isa_learn(struct kvm_vcpu *v, struct mt_error *err)
{
	struct isa *isa = &v->kvm->arch->isa;

	/* its registers for messages would be KVM's own controller's, which is not there */
	if (told(v, RV_ISA(ISA_SSAIA)))
		one_reg_set(v, RV_ISA(ISA_SSAIA), 0);
	for (uint32_t i = 0; i < ISA_MAX; i++)
		isa->has[i] = isa_name(i) && i != ISA_SSAIA && told(v, RV_ISA(i)) == 1;
	isa->cbom_bytes = told(v, RV_CBOM_BYTES);
	isa->cboz_bytes = told(v, RV_CBOZ_BYTES);
	isa->satp_mode = told(v, RV_SATP_MODE);
	v->kvm->arch->known = true;
	return v->index ? 0 : check_timebase(v, err);
}

/* Single letters in the order of the unprivileged specification, "ISA Extension Naming Conventions". */
uint32_t isa_text(const struct isa *isa, char *text, uint32_t bytes)
{
	static const char order[] = "imafdcv";
	uint32_t at = (uint32_t)snprintf(text, bytes, "rv64");

	for (const char *letter = order; *letter; letter++)
		for (uint32_t i = 0; i < ISA_MAX; i++)
			if (isa->has[i] && names[i][0] == *letter && !names[i][1])
				at += (uint32_t)snprintf(text + (at < bytes ? at : bytes), at < bytes ? bytes - at : 0, "%c", *letter);
	for (uint32_t i = 0; i < ISA_MAX; i++)
		if (isa->has[i] && names[i][1])
			at += (uint32_t)snprintf(text + (at < bytes ? at : bytes), at < bytes ? bytes - at : 0, "_%s", names[i]);
	return at;
}
