/* SPDX-License-Identifier: MIT */
/*
 * Regions of registers. A device adds regions in realize; the kernel places a region where the ADDR property
 * named by `at_prop` says. Accesses wider than `width_max` or narrower than `width_min` or misaligned are
 * split or refused by the kernel as declared here, so that the operations only see declared widths: wide and
 * misaligned ones are split into aligned parts, lowest address first, under one hold of the lock; a narrow read
 * takes the whole register; a narrow write has no wider form and gets MT_BUS_DEVICE.
 */
#ifndef MORTISE_MMIO_H
#define MORTISE_MMIO_H

#include "../plugin.h"

#define MT_IFACE_MMIO "mortise.mmio/1"

/* Results of an access. */
#define MT_BUS_OK     0u
#define MT_BUS_DECODE 1u   /* nothing there */
#define MT_BUS_DEVICE 2u   /* the device says no */
#define MT_BUS_GONE   3u   /* the device is broken or gone */
#define MT_BUS_RESULT 0xffu
#define MT_BUS_LEAVE  0x100u   /* or-ed: the vCPU must leave `run` after this instruction */

#define MT_REQUESTER_VCPU 0u
#define MT_REQUESTER_PCI  0x10000u   /* or-ed with bus, slot and function as in a PCI requester id */
#define MT_VCPU_NONE 0xffffffffu

/* One access. Hot: no size, frozen with the interface. */
struct mt_access {
	uint64_t offset;       /* in the region */
	uint32_t width;        /* bytes: 1, 2, 4, 8 */
	uint32_t vcpu;         /* index, or MT_VCPU_NONE */
	uint32_t requester;    /* MT_REQUESTER_VCPU or a DMA requester id */
	uint32_t privilege;    /* ISA's own number */
};

struct mt_region_ops {
	/* [vcpu] under the instance lock unless MT_CLASS_PARALLEL. Little-endian value in the low bits. */
	uint32_t (*read)(void *self, const struct mt_access *access, uint64_t *value);
	uint32_t (*write)(void *self, const struct mt_access *access, uint64_t value);
};

#define MT_REGION_UNALIGNED 1u   /* operations take misaligned offsets themselves */
#define MT_REGION_STRICT    2u   /* undeclared widths get MT_BUS_DEVICE instead of a split */
/*
 * Nobody waits for what a write does: an accelerator may keep writes back, in their order, until the vCPU comes out
 * for something else, a tenth of a second at most. Before a read of the region and before a pause all have been done.
 */
#define MT_REGION_LATE      4u

struct mt_region_desc {
	uint32_t size;
	uint32_t flags;                    /* MT_REGION_* */
	const char *name;                  /* copied */
	const char *at_prop;               /* ADDR property that places it, in the space of its unit; NULL: a bus places it */
	uint64_t len_bytes;
	uint32_t width_min, width_max;     /* what `ops` takes; powers of two up to 8 */
	const struct mt_region_ops *ops;   /* stays valid until unrealize */
};

/* The kernel's handle. Goes with the instance. */
struct mt_region;

struct mt_mmio_host {
	/* [main] in realize. NULL with `err` filled on overlap or bad values. */
	struct mt_region *(*region_add)(struct mt_inst *inst, const struct mt_region_desc *desc, struct mt_error *err);
	/*
	 * [any] Signals `fd` on a write of `width` bytes at `offset` (with `value`, if match_value is not 0)
	 * instead of calling `write`. The kernel serves it until an accelerator takes it over. fd < 0: unbind.
	 */
	int (*bind_eventfd)(struct mt_region *region, uint64_t offset, uint32_t width, uint32_t match_value,
			    uint64_t value, int fd, struct mt_error *err);
};

#endif
