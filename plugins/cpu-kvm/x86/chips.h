/* SPDX-License-Identifier: MIT */
/*
 * Classes of this plugin that stand in for the devices of a PC's interrupt controllers (decision record 11): the
 * machine file names dev-lapic, dev-ioapic, dev-i8259 and dev-i8254, and KVM serves them. Properties, roles and
 * state schemas are the devices'. Each instance tells the accelerator in `create` that it is there, so that KVM is
 * asked for what the file has and for nothing else.
 *
 * Calls are [main] where nothing else is said, and take no lock: KVM has its own.
 */
#ifndef KVM_X86_CHIPS_H
#define KVM_X86_CHIPS_H

#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <util/entry.h>

#include "x86.h"

#define PIC_INPUTS    16u
#define CASCADE_INPUT 2u           /* of the 8259A pair: the second one's output */
#define IOAPIC_INPUTS 24u
#define ISA_TIMER_INPUT 2u         /* of the I/O APIC: where a PC's timer is, which the 8259A has at 0 */

/* An instance; `which` is CHIP_*. */
struct chip {
	uint32_t which;
	struct kvm *k;
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_props_host *props;
	const struct mt_msi_host *msi;
	const struct mt_clock_host *clock;
	const struct mt_vector_host *vectors;
	/* local APICs, with split: the 8259A pair behind LINT0; NULL: none */
	const struct mt_vector_source *source;
	void *source_self;
	struct mt_timer *look;         /* extint.c */
	/* I/O APIC: inputs of the 8259A that follow its own, levels of its inputs, and what was loaded and not settled */
	struct mt_line *isa[IOAPIC_INPUTS];
	_Atomic uint32_t lines;
	bool loaded;
	struct kvm_irqchip state;
	/* 8254: the inputs of the I/O APIC and of the 8259A pair that its output goes to; -1: none */
	int32_t to_ioapic, to_pic;
};

/* chips.c */
int chip_create(const struct mt_host *host, struct mt_inst *inst, uint32_t which, void **self, struct mt_error *err);
void chip_destroy(void *self);
/* Properties that KVM has fixed: NULL-terminated pairs of a name and a value. */
struct chip_fixed { const char *prop; uint64_t value; };
int chip_check_fixed(const struct chip *c, const struct chip_fixed *fixed, struct mt_error *err);
/* The number behind "ID:" of an IRQ property's element when ID is the chip's, else -1. */
int32_t chip_input_named(const struct chip *c, const char *element);
uint64_t chip_guest_ns(const struct chip *c);
/* extint.c. [main] in realize */
bool extint_init(struct chip *c);
/* chip-pit.c. [main] when all instances are made: where its output goes. */
void chip_pit_place(struct chip *c);
/* KVM_GET_IRQCHIP and KVM_SET_IRQCHIP of KVM_IRQCHIP_*. 0 or -errno. */
int irqchip_get(struct kvm *k, uint32_t id, struct kvm_irqchip *state);
int irqchip_set(struct kvm *k, uint32_t id, struct kvm_irqchip *state);

extern const struct mt_role chip_lapic_roles[], chip_ioapic_roles[], chip_pic_roles[], chip_pit_roles[];
extern const size_t chip_lapic_role_count, chip_ioapic_role_count, chip_pic_role_count, chip_pit_role_count;

#endif
