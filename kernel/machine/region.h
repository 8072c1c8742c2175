/* SPDX-License-Identifier: MIT */
/* What bus.c and space.c share: the kernel's side of a region, and placing. */
#ifndef MORTISE_KERNEL_REGION_H
#define MORTISE_KERNEL_REGION_H

#include "kernel/bind/bind.h"
#include "kernel/machine/space.h"

struct mt_region {
	struct space *space;
	struct mt_inst *inst;
	void *self;                    /* of the instance */
	const struct mt_region_ops *ops;
	char *name;                    /* "uart0.regs" */
	uint64_t len_bytes;
	uint32_t flags, width_min, width_max;
	bool placed;
	bool takes_messages;           /* of devices, and not only accesses of vCPUs */
	struct bindings bindings;      /* to eventfds */
};

/* Between space_begin and space_commit. Refuses an overlap, naming both. */
int space_place_region(struct space *space, struct mt_region *region, uint64_t gpa, struct mt_error *err);
void space_unplace_region(struct space *space, const struct mt_region *region);

/*
 * [main] A region with operations on `self` that belongs to no instance's resources: the caller releases it. Calls
 * hold the lock of `inst`, whose end they also see. `at_prop` is not looked at.
 */
struct mt_region *bus_region_create(struct mt_inst *inst, void *self, const struct mt_region_desc *desc,
				    struct mt_error *err);
/* [main] Takes it away; the struct goes when no view shows it any more. */
void bus_region_release(void *region);

#endif
