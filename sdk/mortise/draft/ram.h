/* SPDX-License-Identifier: MIT */
/*
 * RAM objects, dirty bitmaps and flat views.
 *
 * A RAM object's host address never changes while the object lives. Its dirty bitmaps have one bit per
 * 4 KiB; whoever writes RAM behind the vCPUs (DMA) sets them by atomic or, before the interrupt or register
 * that reveals the write. All words that several threads touch are accessed with atomic operations.
 */
#ifndef MORTISE_RAM_H
#define MORTISE_RAM_H

#include "../plugin.h"

#define MT_DIRTY_PAGE_BITS 12u

/* Dirty clients. */
#define MT_DIRTY_MIGRATION 0u
#define MT_DIRTY_DISPLAY   1u
#define MT_DIRTY_CODE      2u
#define MT_DIRTY_CLIENTS   3u

struct mt_ram {
	uint32_t size;
	uint32_t id;               /* unique in the machine */
	int32_t fd;                /* memfd, mapped shared; -1: private to this process ([memory] share = off) */
	uint32_t flags;            /* MT_RAM_* */
	uint8_t *hva;
	uint64_t len_bytes;        /* a multiple of 4096 */
	/* MT_DIRTY_CLIENTS bitmaps of 64-bit words; a NULL one has no client */
	uint64_t *dirty[MT_DIRTY_CLIENTS];
	/* counts up after bits of dirty[client] were newly set: a client that saw no change need not scan */
	uint64_t dirty_epoch[MT_DIRTY_CLIENTS];
	/*
	 * Set by the accelerator: one bit per page that holds translated code; NULL without such an accelerator.
	 * A writer need only set dirty[MT_DIRTY_CODE] for pages that have their bit here.
	 */
	uint64_t *code_pages;
};
#define MT_RAM_READONLY 1u

/* Kinds of a flat range. */
#define MT_FLAT_RAM 1u             /* read, write, execute by host pointer */
#define MT_FLAT_ROM 2u             /* read and execute by host pointer, writes go to `region` (or are dropped) */
#define MT_FLAT_IO  3u             /* region operations */
/* Flags of an IO range. */
#define MT_FLAT_LATE 1u            /* MT_REGION_LATE */

struct mt_flat_range {
	uint64_t gpa, len_bytes;
	uint32_t kind;
	uint32_t flags;
	struct mt_ram *ram;        /* RAM, ROM; else NULL */
	uint64_t ram_offset;
	uint8_t *hva;              /* RAM, ROM: host address of gpa */
	void *region;              /* IO: the kernel's handle, for mt_vcpu_host.access */
	uint64_t region_offset;    /* offset of gpa in the region */
};

/* Sorted by gpa, no overlaps. Immutable; see mt_run_params.view for its lifetime. */
struct mt_flat_view {
	uint64_t generation;       /* another view has another number */
	uint32_t count;
	uint32_t stride;           /* bytes from one range to the next */
	const struct mt_flat_range *ranges;
};

#endif
