/* SPDX-License-Identifier: MIT */
/*
 * From the driver to the back end. A turn takes frames until the ring is empty, with kicks switched off meanwhile.
 * What the back end does not take stays in `held`, in order, until it says that there is room.
 */
#include <string.h>

#include "nic.h"

/* False: the device is broken. */
static int frame_describe(struct nic *n, const struct mt_vq_elem *elem, struct mt_net_buf *buf)
{
	uint32_t skip = n->header ? 0 : NIC_HEADER_BYTES;

	if (elem->out_bytes < NIC_HEADER_BYTES) {
		n->virtio->broken(n->inst, "a frame to be sent has no header");
		return 0;
	}
	/* longer than any frame: the back end drops it by its length */
	*buf = (struct mt_net_buf){ .iov = elem->out, .iov_count = elem->out_count, .skip_bytes = skip,
				    .len_bytes = (uint32_t)elem->out_bytes - skip };
	return 1;
}

/* Sends `elems`, and gives back those that were sent; the number of them. */
static uint32_t frames_send(struct nic *n, uint32_t pair, struct mt_vq_elem *const *elems, uint32_t count)
{
	static const uint32_t written[NIC_BATCH];
	struct mt_net_buf bufs[NIC_BATCH];
	int64_t taken;

	for (uint32_t i = 0; i < count; i++) {
		if (!frame_describe(n, elems[i], &bufs[i]))
			return 0;
	}
	taken = n->nets->send(n->net, pair, bufs, count);
	if (taken < 0)
		taken = count;               /* no back end, no cable: frames are lost */
	n->virtio->push(n->queues[pair].tx, elems, written, (uint32_t)taken);
	return (uint32_t)taken;
}

/* True when nothing is held any more. */
static int send_held(struct nic *n, uint32_t pair)
{
	struct nic_queue *q = &n->queues[pair];
	uint32_t taken = q->held_count ? frames_send(n, pair, q->held, q->held_count) : 0;

	q->held_count -= taken;
	memmove(q->held, q->held + taken, q->held_count * sizeof(q->held[0]));
	return q->held_count == 0;
}

/* True: it is the driver's turn, or the back end's; false: there is more to do. */
static int turn(struct nic *n, uint32_t pair)
{
	struct nic_queue *q = &n->queues[pair];

	for (uint32_t frames = 0; frames < NIC_RUN_FRAMES; frames += NIC_BATCH) {
		q->held_count = n->virtio->pop(q->tx, q->held, NIC_BATCH);
		if (!q->held_count)
			return !n->virtio->kicks(q->tx, 1);
		if (!send_held(n, pair))
			return 1;            /* `sendable` goes on */
	}
	return 0;
}

void nic_transmit(struct nic *n, uint32_t pair)
{
	struct nic_queue *q = &n->queues[pair];

	if (!n->running || !q->tx)
		return;
	n->virtio->kicks(q->tx, 0);
	if (send_held(n, pair) && !turn(n, pair)) {
		n->tx_work |= 1u << pair;
		nic_schedule(n);
	}
	n->virtio->signal(q->tx);
}
