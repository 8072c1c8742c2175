/* SPDX-License-Identifier: MIT */
/*
 * KVM's own interrupt controllers: two 8259A, an I/O APIC, a local APIC for each vCPU, and the 8254 timer. The [cpu]
 * section is then the controller that devices name: `irq = cpu:4` is input 4 of the 8259A and of the I/O APIC, and
 * messages go to the local APICs by a region at their address, which vCPUs do not see: KVM serves them before. With
 * irqchip = split there are the local APICs alone, and so messages alone (split.c).
 *
 * input_set and messages come from any thread and take no lock here: the calls are KVM's, which has its own.
 */
#include <string.h>
#include <util/error.h>

#include "x86.h"

#define INPUTS      24u
#define LAPIC_BASE  0xfee00000u
#define LAPIC_BYTES 0x100000u
#define MSI_VECTORS 223u           /* 0x20 .. 0xfe */
/* Intel CPUs want four pages of their own there; no [memory] lies so high (api.rst, 4.35 and 4.39) */
#define IDENTITY_MAP 0xfffbc000u
#define TSS_PAGES    0xfffbd000u

int irqchip_create(struct kvm *k, struct mt_error *err)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = IDENTITY_MAP;
	int code = 0;

	if (vm_capability(k, KVM_CAP_SET_IDENTITY_MAP_ADDR))
		code = vm_ioctl(k, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	if (code >= 0 && vm_capability(k, KVM_CAP_SET_TSS_ADDR))
		code = kvm_ops.ioctl(k->vm_fd, KVM_SET_TSS_ADDR, TSS_PAGES);
	if (code < 0)
		return vm_refuse(err, "plugin", "place its own pages", code);
	if (!k->irqchip)
		return is_split(k) ? split_create(k, err) : 0;
	code = vm_ioctl(k, KVM_CREATE_IRQCHIP, NULL);
	if (code < 0)
		return vm_refuse(err, "irqchip", "make the interrupt controllers", code);
	k->arch->pit = true;
	code = vm_ioctl(k, KVM_CREATE_PIT2, &pit);
	return code < 0 ? vm_refuse(err, "irqchip", "make the timer", code) : 0;
}

/* Wires */

static uint32_t input_count(void *self)
{
	const struct kvm *k = self;

	return k->irqchip ? INPUTS : 0;
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	const struct kvm *k = self;
	struct kvm_irq_level line = { .irq = input, .level = level };

	if (k->vm_fd >= 0)
		vm_ioctl(k, KVM_IRQ_LINE, &line);
}

/* "intel,ce4100-ioapic": the input, and 1 edge or 4 level high. */
static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = input < 16 ? 1 : 4;
	return 2;
}

const struct mt_irq_sink arch_irq_sink = {
	.input_count = input_count, .input_set = input_set, .fdt_cells = fdt_cells,
};

/* Messages (Intel SDM volume 3, "Message Signalled Interrupts") */

static uint32_t lapic_read(void *self, const struct mt_access *a, uint64_t *value)
{
	(void)self, (void)a;
	*value = 0;
	return MT_BUS_OK;
}

static uint32_t lapic_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct kvm *k = self;
	struct kvm_msi msi = { .address_lo = LAPIC_BASE + (uint32_t)a->offset, .data = (uint32_t)value };

	return split_send(k, &msi) < 0 ? MT_BUS_DEVICE : MT_BUS_OK;
}

static int window(void *self, struct mt_msi_window *out)
{
	const struct kvm *k = self;

	if (!k->lapics)
		return MT_ENOTSUP;
	out->gpa = LAPIC_BASE;
	out->len_bytes = LAPIC_BYTES;
	out->identities = MSI_VECTORS;
	return 0;
}

const struct mt_msi_target arch_msi_target = { .window = window };

int irqchip_region(struct kvm *k, struct mt_error *err)
{
	static const struct mt_region_ops ops = { .read = lapic_read, .write = lapic_write };
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "lapic", .at_prop = "lapic-at", .len_bytes = LAPIC_BYTES,
		.width_min = 4, .width_max = 4, .ops = &ops,
	};

	if (!k->lapics)
		return 0;
	return k->mmio->region_add(k->inst, &desc, err) ? 0 : MT_EINVAL;
}

/* State */

static int chip_call(struct kvm *k, unsigned long request, struct kvm_irqchip *chip, uint32_t id)
{
	chip->chip_id = id;
	return vm_ioctl(k, request, chip);
}

static int chips_move(struct kvm *k, struct chips *c, unsigned long chip, unsigned long pit)
{
	int code = chip_call(k, chip, &c->pic[0], KVM_IRQCHIP_PIC_MASTER);

	if (code >= 0)
		code = chip_call(k, chip, &c->pic[1], KVM_IRQCHIP_PIC_SLAVE);
	if (code >= 0)
		code = chip_call(k, chip, &c->ioapic, KVM_IRQCHIP_IOAPIC);
	if (code >= 0 && k->arch->pit)
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
