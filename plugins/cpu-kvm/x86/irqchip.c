/* SPDX-License-Identifier: MIT */
/*
 * Making KVM's own interrupt controllers, before the first vCPU and before any device, and giving them back what
 * they were at power on. What the machine sees of them is in chip-*.c.
 */
#include "chips.h"

#include <string.h>
#include <util/error.h>

/* Intel CPUs want four pages of their own there; no [memory] lies so high (api.rst, 4.35 and 4.39) */
#define IDENTITY_MAP 0xfffbc000u
#define TSS_PAGES    0xfffbd000u

static int chips_create(struct kvm *k, struct mt_error *err)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	int code = vm_ioctl(k, KVM_CREATE_IRQCHIP, NULL);

	if (code < 0)
		return vm_refuse(err, "irqchip", "make the interrupt controllers", code);
	code = k->chips[CHIP_PIT] ? vm_ioctl(k, KVM_CREATE_PIT2, &pit) : 0;
	if (code < 0)
		return vm_refuse(err, "irqchip", "make the timer", code);
	if (k->chips[CHIP_PIT])
		chip_pit_place(k->chips[CHIP_PIT]);
	code = routes_give(k);
	return code < 0 ? vm_refuse(err, "irqchip", "route interrupts", code) : 0;
}

int irqchip_create(struct kvm *k, struct mt_error *err)
{
	uint64_t identity = IDENTITY_MAP;
	int code = 0;

	if (vm_capability(k, KVM_CAP_SET_IDENTITY_MAP_ADDR))
		code = vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (code >= 0 && vm_capability(k, KVM_CAP_SET_TSS_ADDR))
		code = kvm_ops.ioctl(k->vm_fd, KVM_SET_TSS_ADDR, TSS_PAGES);
	if (code < 0)
		return vm_refuse(err, "plugin", "place its own pages", code);
	if (k->irqchip)
		return chips_create(k, err);
	if (k->devices && !k->lapics)
		vector_watch(k);
	return is_split(k) ? split_create(k, err) : 0;
}

static int chip_call(struct kvm *k, unsigned long request, uint32_t id, struct kvm_irqchip *state)
{
	int code;

	state->chip_id = id;
	code = vm_ioctl(k, request, state);
	return code < 0 ? code : 0;
}

int irqchip_get(struct kvm *k, uint32_t id, struct kvm_irqchip *state)
{
	memset(state, 0, sizeof(*state));
	return chip_call(k, KVM_GET_IRQCHIP, id, state);
}

int irqchip_set(struct kvm *k, uint32_t id, struct kvm_irqchip *state)
{
	return chip_call(k, KVM_SET_IRQCHIP, id, state);
}

static int chips_move(struct kvm *k, struct chips *c, unsigned long chip, unsigned long pit)
{
	int code = chip_call(k, chip, KVM_IRQCHIP_PIC_MASTER, &c->pic[0]);

	if (code >= 0)
		code = chip_call(k, chip, KVM_IRQCHIP_PIC_SLAVE, &c->pic[1]);
	if (code >= 0)
		code = chip_call(k, chip, KVM_IRQCHIP_IOAPIC, &c->ioapic);
	if (code >= 0 && k->chips[CHIP_PIT])
		code = vm_ioctl(k, pit, &c->pit);
	return code < 0 ? code : 0;
}

int chips_get(struct kvm *k, struct chips *chips)
{
	memset(chips, 0, sizeof(*chips));
	return chips_move(k, chips, KVM_GET_IRQCHIP, KVM_GET_PIT2);
}

int chips_set(struct kvm *k, const struct chips *chips)
{
	struct chips copy = *chips;    /* the call wants to write the number into it */

	return chips_move(k, &copy, KVM_SET_IRQCHIP, KVM_SET_PIT2);
}
