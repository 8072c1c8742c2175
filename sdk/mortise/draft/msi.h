/* SPDX-License-Identifier: MIT */
/*
 * Where message-signalled interrupts go. A class that takes messages (an IMSIC, an ITS) has the role
 * "mortise.msi-target/1"; a bus whose devices send them has a REF property `msi` with that role, and writes
 * the target into its device-tree node (`msi-parent`) by mt_fdt_writer.ref. The messages themselves are
 * writes (mt_irq_host.message_send) to addresses that the guest chooses; nobody has to ask here first.
 * Level-triggered messages (Intel SDM volume 3, "Message Data Register Format") are ended by word of the target.
 */
#ifndef MORTISE_MSI_H
#define MORTISE_MSI_H

#include "../plugin.h"

#define MT_IFACE_MSI_TARGET "mortise.msi-target/1"
#define MT_IFACE_MSI_HOST   "mortise.msi-host/1"

struct mt_msi_window {
	uint32_t size;
	uint32_t flags;            /* none yet: 0 */
	uint64_t gpa, len_bytes;   /* 4-byte writes into this range are messages */
	uint32_t stride_bytes;     /* from one vCPU's place to the next vCPU's; 0: one place for all */
	uint32_t identities;       /* data 1 .. identities are interrupts, for each place */
	uint32_t fdt_cells;        /* #msi-cells of its node; 0: a reference names the target alone */
};

struct mt_msi_target {
	/* [main] after create. The caller has set `size`. 0, or a negative code. */
	int (*window)(void *self, struct mt_msi_window *out);
};

/* Host service, for who sends messages to addresses that are not the guest's choice. */
struct mt_msi_host {
	/*
	 * [main] after create: the window of the target that the REF property `prop` names. The caller has
	 * set `out->size`. 0, or a negative code with `err` filled; MT_ENOENT: the property is absent.
	 */
	int (*window)(struct mt_inst *inst, const char *prop, struct mt_msi_window *out, struct mt_error *err);
	/*
	 * [main] in realize, for who sends level-triggered messages (an I/O APIC): `ended` is called, [any], when a
	 * vCPU ends an interrupt of `vector` that such a message to the target that the REF property `prop` names
	 * has begun; of all its senders' messages, not only of the instance's. It may send messages, and is a
	 * handler of a sink else. Goes with the instance. 0; MT_ENOENT: the property is absent; MT_EINVAL: it names
	 * no target; `err` is filled.
	 */
	int (*eoi_listen)(struct mt_inst *inst, const char *prop, void (*ended)(void *arg, uint32_t vector), void *arg,
			  struct mt_error *err);
	/* [any] for a target: a vCPU has ended an interrupt of a level-triggered message. No lock that a message takes. */
	void (*eoi)(struct mt_inst *target, uint32_t vector);
};

#endif
