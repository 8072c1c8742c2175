/* SPDX-License-Identifier: MIT */
/*
 * From the back end into the driver's buffers. A turn takes a guess of buffers from the ring, lets the back end fill
 * them, and puts back those it did not use, so that an idle card holds no guest memory. The driver's kicks are off but
 * while frames wait for buffers. Easy to break: kicks go on *before* the pop that finds too few, because it is the pop
 * that asks for a kick behind the ring's last buffer.
 */
#include <stddef.h>
#include <string.h>

#include "nic.h"

#define GUESS_MIN 8u

enum outcome { DONE, MORE, STARVED };

struct batch {
	struct mt_vq_elem *elems[NIC_BATCH];
	struct mt_net_buf bufs[NIC_BATCH];
	uint32_t written[NIC_BATCH];
	uint32_t count, used;
};

/* Reads what is in a buffer now; the guest may change it meanwhile. */
static void in_read(const struct mt_vq_elem *elem, uint64_t offset, uint8_t *buf, uint64_t len_bytes)
{
	for (uint32_t i = 0; i < elem->in_count && len_bytes; i++) {
		uint64_t n = elem->in[i].len_bytes;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n = n - offset < len_bytes ? n - offset : len_bytes;
		memcpy(buf, elem->in[i].hva + offset, n);
		buf += n;
		len_bytes -= n;
		offset = 0;
	}
}

/* False: the device is broken. */
static int buffers_describe(struct nic *n, struct batch *b)
{
	uint32_t skip = n->header ? 0 : NIC_HEADER_BYTES;

	for (uint32_t i = 0; i < b->count; i++) {
		const struct mt_vq_elem *elem = b->elems[i];

		if (elem->in_bytes <= NIC_HEADER_BYTES) {
			n->virtio->broken(n->inst, "a receive buffer has no room for a frame");
			return 0;
		}
		b->bufs[i] = (struct mt_net_buf){ .iov = elem->in, .iov_count = elem->in_count, .skip_bytes = skip,
						  .len_bytes = (uint32_t)elem->in_bytes - skip };
	}
	return 1;
}

/* Filter */

/* Where the frame's bytes begin in its buffer `part`. */
static uint32_t data_at(const struct nic *n, uint32_t part)
{
	return part || n->header ? 0 : NIC_HEADER_BYTES;
}

static void part_move(struct nic *n, struct batch *b, uint32_t from, uint32_t to, uint32_t part)
{
	uint8_t chunk[2048];
	uint32_t len = b->bufs[from].len_bytes, at = data_at(n, part);

	b->bufs[to].len_bytes = len;
	b->bufs[to].parts = b->bufs[from].parts;
	for (uint32_t done = 0, now; done < len; done += now) {
		now = len - done < sizeof(chunk) ? len - done : (uint32_t)sizeof(chunk);
		in_read(b->elems[from], at + done, chunk, now);
		n->virtio->copy_in(b->elems[to], at + done, chunk, now);
	}
}

static int all_alike(const struct batch *b)
{
	for (uint32_t i = 1; i < b->used; i++) {
		if (b->elems[i]->in_bytes != b->elems[0]->in_bytes)
			return 0;
	}
	return 1;
}

/*
 * Drops what the driver does not want; later frames move up, so that the buffers that are left over are the last ones.
 * Nothing is dropped from buffers of different sizes: filtering is a help, not a promise (section 5.1.6.5.2).
 */
static void filter(struct nic *n, struct batch *b)
{
	uint32_t kept = 0, parts;
	uint8_t dest[6];

	if (n->filter.promisc || !all_alike(b))
		return;
	for (uint32_t i = 0; i < b->used; i += parts) {
		parts = b->bufs[i].parts;
		in_read(b->elems[i], NIC_HEADER_BYTES, dest, sizeof(dest));
		if (!nic_filter_wants(n, dest))
			continue;
		for (uint32_t k = 0; k < parts && kept != i; k++)
			part_move(n, b, i + k, kept + k, k);
		kept += parts;
	}
	b->used = kept;
}

/* Buffers back to the driver */

/* Of the header the back end's part is in place, when it gives any. */
static void headers_finish(struct nic *n, struct batch *b)
{
	struct mt_net_header header = { 0 };
	const uint32_t at = offsetof(struct mt_net_header, buffers);

	for (uint32_t i = 0; i < b->used; i++) {
		uint32_t parts = b->bufs[i].parts;

		b->written[i] = b->bufs[i].len_bytes + (parts && !n->header ? NIC_HEADER_BYTES : 0);
		if (!parts)
			continue;
		header.buffers = (uint16_t)parts;
		if (n->header)
			n->virtio->copy_in(b->elems[i], at, &header.buffers, sizeof(header.buffers));
		else
			n->virtio->copy_in(b->elems[i], 0, &header, sizeof(header));
	}
}

/* A back end that answers nonsense must not become the guest's problem. */
static void parts_check(struct batch *b)
{
	for (uint32_t i = 0; i < b->used; i++) {
		uint32_t parts = b->bufs[i].parts;

		if (parts == 0 || parts > b->used - i) {
			b->used = i;
			return;
		}
		i += parts - 1;
	}
}

static void batch_end(struct nic *n, struct nic_queue *q, struct batch *b)
{
	uint32_t left;

	parts_check(b);
	filter(n, b);
	headers_finish(n, b);
	left = b->count - b->used;
	if (left)
		n->virtio->unpop(q->rx, b->elems + b->used, left);
	if (b->used)
		n->virtio->push(q->rx, b->elems, b->written, b->used);
}

static void guess_again(struct nic_queue *q, const struct batch *b, uint32_t used)
{
	if (used == b->count || used == 0)
		q->rx_guess = q->rx_guess * 2 < NIC_BATCH ? q->rx_guess * 2 : NIC_BATCH;
	else if (used < q->rx_guess / 4 && q->rx_guess > GUESS_MIN)
		q->rx_guess /= 2;
}

static enum outcome fetch(struct nic *n, uint32_t pair)
{
	struct nic_queue *q = &n->queues[pair];
	uint32_t waiting = 1, max = q->rx_guess < GUESS_MIN ? GUESS_MIN : q->rx_guess;
	struct batch b = { .used = 0 };
	int64_t used = 0;

	q->rx_guess = max;
	b.count = n->virtio->pop(q->rx, b.elems, max);
	if (b.count) {
		if (!buffers_describe(n, &b))
			return STARVED;
		used = n->nets->receive(n->net, pair, b.bufs, b.count, &waiting);
		b.used = used > 0 ? (uint32_t)used : 0;
		batch_end(n, q, &b);
	}
	if (!waiting || used < 0) {
		guess_again(q, &b, used > 0 ? (uint32_t)used : 1);
		return DONE;
	}
	if (used || (b.count == max && max < NIC_BATCH)) {
		guess_again(q, &b, (uint32_t)used);
		return MORE;
	}
	if (q->rx_starved)
		return STARVED;
	q->rx_starved = 1;
	n->virtio->kicks(q->rx, 1);
	return MORE;
}

void nic_receive(struct nic *n, uint32_t pair)
{
	struct nic_queue *q = &n->queues[pair];
	enum outcome outcome = DONE;

	if (!n->running || !q->rx)
		return;
	for (uint32_t i = 0; i < NIC_RUN_FRAMES / NIC_BATCH * 4; i++) {
		outcome = fetch(n, pair);
		if (outcome != MORE)
			break;
	}
	if (outcome == MORE) {
		n->rx_work |= 1u << pair;
		nic_schedule(n);
	}
	n->virtio->signal(q->rx);
}
