/* SPDX-License-Identifier: MIT */
/*
 * For tests: a driver of a packed ring that follows the rules (Virtio 1.2 section 2.8), over the memory of model.h.
 * Single-threaded.
 */
#ifndef KERNEL_VIRTIO_MODEL_PACKED_H
#define KERNEL_VIRTIO_MODEL_PACKED_H

#include "kernel/virtio/model.h"

struct packed_model {
	struct model *m;                     /* desc, avail (the driver's events) and used (the device's) are its own */
	uint32_t size;
	bool event_idx;
	uint32_t next_avail, next_used;
	bool avail_wrap, used_wrap;
	uint32_t free_slots, added;          /* added: slots since the last look whether to kick */
	uint32_t slots[MODEL_RING_MAX];      /* by id; 0: the id is free */
};

void packed_init(struct packed_model *p, struct model *m, uint32_t size, bool event_idx);
struct vring_config packed_config(const struct packed_model *p);
/* Makes a chain available, through an indirect table at `table` unless that is 0; false: no room, or no id. */
bool packed_offer(struct packed_model *p, uint16_t id, const struct model_buf *bufs, uint32_t count, uint64_t table);
/* True when the device wants a kick for what was offered since the last call. */
bool packed_kick(struct packed_model *p);
/* True with the next used chain. */
bool packed_take(struct packed_model *p, uint32_t *id, uint32_t *written);
/* What the driver wants: no interrupts; or at the next used chain. True: there is one already. */
void packed_silence(struct packed_model *p);
bool packed_listen(struct packed_model *p);
/* An event word of the driver, raw. */
void packed_event(struct packed_model *p, uint32_t place, bool wrap, uint32_t flags);
/* Descriptor `index`, raw. */
void packed_desc(struct packed_model *p, uint32_t index, uint64_t gpa, uint32_t len, uint16_t id, uint16_t flags);
/* Flag bits of a descriptor that is available in the driver's round. */
uint16_t packed_avail_bits(const struct packed_model *p);

#endif
