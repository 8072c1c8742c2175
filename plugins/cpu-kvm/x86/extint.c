/* SPDX-License-Identifier: MIT */
/*
 * ExtINT messages with irqchip = split: those of an I/O APIC's entry of that delivery mode (Intel 82093AA data sheet,
 * "Delivery mode"). The CPU that takes one fetches its vector from the 8259A. KVM's local APICs drop them, and KVM
 * tells when the guest can take a vector only while LINT0 is open; so such a vCPU is looked at when a message comes,
 * and then each millisecond until it can.
 *
 * Whom a message is for is in the local APICs, which only a vCPU's own thread may read while the vCPU runs: the sender
 * leaves the destination with all of them.
 */
#include "chips.h"

#include <string.h>

#define PERIOD_NS 1000000u
#define BROADCAST 0xffu
/* the local APIC's page; Intel SDM volume 3, "Local APIC Register Address Map" */
#define AT_LDR    0xd0u
#define AT_DFR    0xe0u
#define AT_SVR    0xf0u
#define ENABLED   0x100u           /* in SVR */
#define X2APIC    (1u << 10)       /* in IA32_APIC_BASE: EXTD */

static uint32_t word_get(const struct kvm_lapic_state *page, uint32_t at)
{
	uint32_t value;

	memcpy(&value, page->regs + at, sizeof(value));
	return value;
}

void extint_send(struct kvm *k, uint32_t address)
{
	uint32_t dest = address >> 12 & 0xff, logical = address >> 2 & 1;

	for (uint32_t i = 0; i < k->vcpu_count; i++) {
		struct extint *e = &k->vcpus[i]->arch->extint;

		if (!logical && dest != BROADCAST && dest != i)
			continue;
		if (logical)
			atomic_fetch_or(&e->logical[dest / 64], UINT64_C(1) << dest % 64);
		atomic_fetch_or(&e->asked, logical ? EXTINT_LOGICAL : EXTINT_PHYSICAL);
		vcpu_nudge(k->vcpus[i]);
	}
}

/* "Logical Destination Mode": flat, or clusters of four; in x2APIC mode of 16, of which a byte names the first one. */
static bool matches(const struct kvm_vcpu *v, const struct kvm_lapic_state *page, uint32_t dest)
{
	uint32_t own = word_get(page, AT_LDR);

	if (dest == BROADCAST)
		return true;
	if (v->run->apic_base & X2APIC)
		return !(own >> 16) && own & dest;
	own >>= 24;
	if (word_get(page, AT_DFR) >> 28 == 15)
		return own & dest;
	return (dest >> 4 == 15 || dest >> 4 == own >> 4) && own & dest & 15;
}

void extint_look(struct kvm_vcpu *v, const struct kvm_lapic_state *page)
{
	struct extint *e = &v->arch->extint;
	uint32_t asked = atomic_exchange(&e->asked, 0);
	bool mine = asked & EXTINT_PHYSICAL;

	for (uint32_t i = 0; asked & EXTINT_LOGICAL && i < 4; i++) {
		uint64_t dests = atomic_exchange(&e->logical[i], 0);

		for (uint32_t n = 0; n < 64; n++)
			mine |= dests >> n & 1 && matches(v, page, 64 * i + n);
	}
	/* one that is disabled takes none, and an INIT leaves none */
	atomic_store(&e->waits, (mine || atomic_load(&e->waits)) && word_get(page, AT_SVR) & ENABLED);
}

void extint_drop(struct kvm_vcpu *v)
{
	atomic_store(&v->arch->extint.asked, 0);
	atomic_store(&v->arch->extint.waits, false);
	for (uint32_t i = 0; i < 4; i++)
		atomic_store(&v->arch->extint.logical[i], 0);
}

bool extint_wanted(const struct kvm_vcpu *v)
{
	return atomic_load(&v->arch->extint.asked) || atomic_load(&v->arch->extint.waits);
}

int extint_serve(struct kvm_vcpu *v, const char **what)
{
	struct chip *c = v->kvm->chips[CHIP_LAPIC];
	struct kvm_lapic_state page;
	int code;

	*what = "an interrupt of the 8259A";
	code = vcpu_ioctl(v, KVM_GET_LAPIC, &page);
	if (code < 0)
		return code;
	extint_look(v, &page);
	if (!atomic_load(&v->arch->extint.waits))
		return 0;
	code = vector_offer(v, c->source, c->source_self);
	if (code > 0)
		atomic_store(&v->arch->extint.waits, false);
	else if (code == 0)
		c->clock->timer_arm(c->look, c->clock->now_ns(c->inst, MT_CLOCK_HOST) + PERIOD_NS);
	return code < 0 ? code : 0;
}

/* [io] */
static void look(void *arg)
{
	const struct chip *c = arg;

	for (uint32_t i = 0; i < c->k->vcpu_count; i++)
		if (atomic_load(&c->k->vcpus[i]->arch->extint.waits))
			vcpu_nudge(c->k->vcpus[i]);
}

bool extint_init(struct chip *c)
{
	c->look = c->clock->timer_create(c->inst, MT_CLOCK_HOST, look, c);
	return c->look != NULL;
}
