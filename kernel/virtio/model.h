/* SPDX-License-Identifier: MIT */
/*
 * For tests: guest memory of two blocks with a hole between, and a driver of a split ring that follows the rules
 * (Virtio 1.2 section 2.7) and keeps account of what is outstanding. Single-threaded.
 */
#ifndef KERNEL_VIRTIO_MODEL_H
#define KERNEL_VIRTIO_MODEL_H

#include "kernel/virtio/vring.h"

#define MODEL_BASE   0x80000000ull
#define MODEL_BYTES  0x100000ull             /* first block; the second begins behind it, at other host memory */
#define MODEL_SECOND (MODEL_BASE + MODEL_BYTES)
#define MODEL_HOLE   (MODEL_SECOND + MODEL_BYTES)
#define MODEL_ROM    (MODEL_HOLE + MODEL_BYTES)
#define MODEL_RING_MAX 256u

struct model {
	uint8_t *block[2], *rom;
	struct mt_ram ram[3];
	struct mt_flat_range ranges[4];
	struct mt_flat_view view;
	struct vmem mem;
	int held;                            /* views not put back */
	bool out_of_reach;
	uint64_t dirty_bytes;
	/* driver */
	uint32_t size;
	bool event_idx;
	uint64_t desc, avail, used;          /* guest-physical */
	uint16_t next_avail, seen_used;
};

struct model_buf {
	uint64_t gpa;
	uint32_t len;
	bool write;
};

void model_init(struct model *m, uint32_t size, bool event_idx);
void model_fini(struct model *m);
void *model_at(struct model *m, uint64_t gpa);             /* aborts outside */
void model_remap(struct model *m);                         /* another view of the same memory */
struct vring_config model_config(const struct model *m);
/* Descriptor `index`, raw. */
void model_desc(struct model *m, uint16_t index, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next);
/* Chain of `count` buffers from descriptor `head` on, in a row. */
void model_chain(struct model *m, uint16_t head, const struct model_buf *bufs, uint32_t count);
/* The same through an indirect table at `table`. */
void model_indirect(struct model *m, uint16_t head, uint64_t table, const struct model_buf *bufs, uint32_t count);
void model_offer(struct model *m, uint16_t head);
/* True with the next used entry. */
bool model_take(struct model *m, uint32_t *head, uint32_t *written);
uint16_t model_avail_event(struct model *m);
void model_set_used_event(struct model *m, uint16_t event);
void model_set_no_interrupt(struct model *m, bool no);

uint64_t model_random(uint64_t *state);

#endif
