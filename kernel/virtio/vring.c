/* SPDX-License-Identifier: MIT */
/* Elements of a virtqueue: pool, pieces, quotas, pop and push in batches; see vring.h. Rings: split.c, packed.c. */
#include "kernel/virtio/vring.h"

#include <glib.h>
#include <string.h>

#define PIECES_FIRST 16u

void vring_init(struct vring *ring, const struct vmem *mem)
{
	*ring = (struct vring){ .mem = mem, .layout = &vring_split };
	ring->redo_end = &ring->redo;
}

void vring_fini(struct vring *ring)
{
	vring_stop(ring);
	for (uint32_t i = 0; i < ring->pool_count; i++) {
		g_free(ring->pool[i]->pieces);
		g_free(ring->pool[i]);
	}
	g_free(ring->pool);
	ring->pool = NULL;
	ring->pool_count = ring->pool_capacity = 0;
	ring->free = NULL;
}

bool vring_start(struct vring *ring, const struct vring_config *config)
{
	vring_stop(ring);
	ring->layout = config->packed ? &vring_packed : &vring_split;
	if (!config->size || config->size > VRING_SIZE_MAX || !ring->layout->legal(config))
		return false;
	ring->config = *config;
	ring->packed.avail_wrap = ring->packed.used_wrap = true;
	ring->started = true;
	return true;
}

static void elem_release(struct vring *ring, struct vring_elem *elem)
{
	ring->in_flight--;
	ring->pieces_in_flight -= elem->pub.out_count + elem->pub.in_count;
	vmem_hold_put(ring->mem, elem->hold);
	elem->hold = NULL;
	elem->live = false;
	elem->next_free = ring->free;
	ring->free = elem;
}

void vring_stop(struct vring *ring)
{
	for (uint32_t i = 0; i < ring->pool_count; i++) {
		if (ring->pool[i]->live)
			elem_release(ring, ring->pool[i]);
	}
	vmem_hold_put(ring->mem, ring->current);
	ring->current = NULL;
	ring->redo = NULL;
	ring->redo_end = &ring->redo;
	ring->started = ring->mapped = ring->starved = ring->quiet = false;
	ring->broken = NULL;
	memset(&ring->split, 0, sizeof(ring->split));
	memset(&ring->packed, 0, sizeof(ring->packed));
}

enum vring_fetch vring_break(struct vring *ring, const char *why)
{
	if (!ring->broken)
		ring->broken = why;
	return VRING_BROKEN;
}

/* The view */

/*
 * Takes the newest view; the mapping of the ring is good as long as the view is the same. What is in flight keeps the
 * view that it was popped with, and ends there even if its device may begin nothing more.
 */
static bool view_enter(struct vring *ring, bool refresh)
{
	const struct mt_flat_view *view;

	if (!ring->started || ring->broken)
		return false;
	if (!ring->current || refresh) {
		view = ring->mem->get(ring->mem->arg);
		if (!view)
			return false;
		if (ring->current && ring->current->view == view) {
			ring->mem->put(ring->mem->arg, view);
		} else {
			vmem_hold_put(ring->mem, ring->current);
			ring->current = vmem_hold_create(ring->mem, view);
		}
	}
	if (!ring->current)
		return false;
	if (ring->mapped && ring->mapped_generation == ring->current->view->generation)
		return true;
	ring->mapped_generation = ring->current->view->generation;
	ring->mapped = ring->layout->map(ring);
	return ring->mapped;
}

/* An idle queue holds no view: it would keep the old map from being retired. */
static void view_leave(struct vring *ring)
{
	if (ring->in_flight == 0) {
		vmem_hold_put(ring->mem, ring->current);
		ring->current = NULL;
	}
}

/* Parts and tables */

bool vring_part_map(struct vring *ring, uint64_t gpa, uint64_t len_bytes, bool write, struct mt_iov *part)
{
	if (vmem_piece(ring->current, gpa, len_bytes, write, part) == len_bytes)
		return true;
	vring_break(ring, "the ring is not in memory, or in two blocks of it");
	return false;
}

bool vring_table_open(struct vring *ring, uint64_t gpa, uint32_t len_bytes, struct vring_table *table)
{
	struct mt_iov part;

	if (!ring->config.indirect)
		return vring_break(ring, "an indirect descriptor was not agreed on"), false;
	if (len_bytes == 0 || len_bytes % VRING_DESC_BYTES)
		return vring_break(ring, "an indirect table has an odd length"), false;
	table->count = len_bytes / VRING_DESC_BYTES;
	table->gpa = gpa;
	table->at = vmem_piece(ring->current, gpa, len_bytes, false, &part) == len_bytes ? part.hva : NULL;
	return true;
}

/* A table that lies across two blocks of memory is rare: it is read piece by piece. */
static bool copy_across(struct vring *ring, uint64_t gpa, uint8_t *buf, uint64_t len_bytes)
{
	struct mt_iov piece;
	uint64_t n;

	for (; len_bytes; gpa += n, buf += n, len_bytes -= n) {
		n = vmem_piece(ring->current, gpa, len_bytes, false, &piece);
		if (!n)
			return false;
		memcpy(buf, piece.hva, n);
	}
	return true;
}

bool vring_table_read(struct vring *ring, const struct vring_table *table, uint32_t index, void *desc)
{
	uint64_t offset = (uint64_t)index * VRING_DESC_BYTES;

	if (table->at)
		memcpy(desc, table->at + offset, VRING_DESC_BYTES);
	else if (!copy_across(ring, table->gpa + offset, desc, VRING_DESC_BYTES))
		return false;
	__asm__ volatile("" ::: "memory");     /* the copy is what counts from here on */
	return true;
}

/* Elements */

static struct vring_elem *elem_create(struct vring *ring)
{
	struct vring_elem *elem;

	if (ring->pool_count == ring->pool_capacity) {
		uint32_t capacity = ring->pool_capacity ? ring->pool_capacity * 2 : 16;
		struct vring_elem **pool = g_try_renew(struct vring_elem *, ring->pool, capacity);

		if (!pool)
			return NULL;
		ring->pool = pool;
		ring->pool_capacity = capacity;
	}
	elem = g_try_new0(struct vring_elem, 1);
	if (!elem)
		return NULL;
	elem->pub.id = ring->pool_count;
	ring->pool[ring->pool_count++] = elem;
	return elem;
}

static struct vring_elem *elem_take(struct vring *ring)
{
	struct vring_elem *elem = ring->free;

	if (elem)
		ring->free = elem->next_free;
	else
		elem = elem_create(ring);
	if (!elem)
		return NULL;
	elem->pub = (struct mt_vq_elem){ .id = elem->pub.id };
	elem->next_free = NULL;
	return elem;
}

static bool pieces_grow(struct vring_elem *elem)
{
	uint32_t capacity = elem->capacity ? elem->capacity * 2 : PIECES_FIRST;
	struct mt_iov *pieces = g_try_renew(struct mt_iov, elem->pieces, capacity);

	if (!pieces)
		return false;
	elem->pieces = pieces;
	elem->capacity = capacity;
	return true;
}

static bool quota_left(const struct vring *ring, const struct vring_elem *elem)
{
	uint32_t quota = VRING_QUOTA_PIECES + 64 * ring->config.size;

	return ring->in_flight == 0 || ring->pieces_in_flight + elem->pub.out_count + elem->pub.in_count < quota;
}

static bool piece_add(struct vring *ring, struct vring_elem *elem, const struct mt_iov *piece, bool write,
		      bool *later)
{
	uint32_t count = elem->pub.out_count + elem->pub.in_count;

	if (count == VRING_PIECES_MAX)
		return vring_break(ring, "a request has too many pieces"), false;
	if (!quota_left(ring, elem) || (count == elem->capacity && !pieces_grow(elem))) {
		*later = true;
		return false;
	}
	elem->pieces[count] = *piece;
	*(write ? &elem->pub.in_count : &elem->pub.out_count) += 1;
	*(write ? &elem->pub.in_bytes : &elem->pub.out_bytes) += piece->len_bytes;
	return true;
}

bool vring_elem_add(struct vring *ring, struct vring_elem *elem, uint64_t gpa, uint64_t len_bytes, bool write,
		    bool *later)
{
	struct mt_iov piece;
	uint64_t covered;

	if (!write && elem->pub.in_count)
		return vring_break(ring, "a readable buffer follows a writable one"), false;
	if (len_bytes + (write ? elem->pub.in_bytes : elem->pub.out_bytes) > VRING_BYTES_MAX)
		return vring_break(ring, "a request is too long"), false;
	for (; len_bytes; gpa += covered, len_bytes -= covered) {
		covered = vmem_piece(ring->current, gpa, len_bytes, write, &piece);
		if (!covered)
			return vring_break(ring, "a buffer is not in memory"), false;
		if (!piece_add(ring, elem, &piece, write, later))
			return false;
	}
	return true;
}

static void elem_commit(struct vring *ring, struct vring_elem *elem)
{
	elem->pub.out = elem->pieces;
	/* a request of empty buffers has no pieces */
	elem->pub.in = elem->pieces ? elem->pieces + elem->pub.out_count : NULL;
	elem->hold = ring->current;
	elem->hold->refs++;
	elem->live = true;
	elem->order = ring->next_order++;
	ring->in_flight++;
	ring->pieces_in_flight += elem->pub.out_count + elem->pub.in_count;
}

static enum vring_fetch pop_again(struct vring *ring, struct mt_vq_elem **out)
{
	struct vring_elem *elem = ring->redo;

	ring->redo = elem->next_free;
	if (!ring->redo)
		ring->redo_end = &ring->redo;
	elem->next_free = NULL;
	*out = &elem->pub;
	return VRING_GOT;
}

static enum vring_fetch pop_one(struct vring *ring, struct mt_vq_elem **out)
{
	struct vring_elem *elem;
	enum vring_fetch got;

	if (ring->redo)
		return pop_again(ring, out);
	elem = elem_take(ring);
	if (!elem)
		return VRING_LATER;
	got = ring->layout->fetch(ring, elem);
	if (got == VRING_GOT) {
		elem_commit(ring, elem);
		*out = &elem->pub;
		return got;
	}
	elem->next_free = ring->free;
	ring->free = elem;
	return got;
}

static bool redo_fill(struct vring *ring, struct vring_elem *elem, const struct vring_saved *saved)
{
	bool later = false;

	for (uint32_t i = 0; i < saved->count; i++)
		if (!vring_elem_add(ring, elem, saved->gpa[i], saved->len_bytes[i], i >= saved->out_count, &later))
			return false;
	return true;
}

/* Packed rings count what they have given out in slots. */
static bool redo_fits(const struct vring *ring, const struct vring_saved *saved)
{
	uint32_t size = ring->config.size;

	if (!ring->config.packed)
		return ring->in_flight < size;
	return saved->slots && ring->packed.slots_in_flight <= size && saved->slots <= size - ring->packed.slots_in_flight;
}

bool vring_redo(struct vring *ring, const struct vring_saved *saved)
{
	struct vring_elem *elem = NULL;
	bool fine = false;

	if (view_enter(ring, true) && redo_fits(ring, saved))
		elem = elem_take(ring);
	if (elem) {
		elem->head = saved->head;
		elem->slots = saved->slots;
		fine = redo_fill(ring, elem, saved);
	}
	if (fine) {
		elem_commit(ring, elem);
		ring->packed.slots_in_flight += ring->config.packed ? elem->slots : 0;
		*ring->redo_end = elem;
		ring->redo_end = &elem->next_free;
	} else if (elem) {
		elem->next_free = ring->free;
		ring->free = elem;
	}
	view_leave(ring);
	return fine;
}

uint32_t vring_pop(struct vring *ring, struct mt_vq_elem **elems, uint32_t max)
{
	enum vring_fetch got = VRING_EMPTY;
	uint32_t n = 0;

	if (!view_enter(ring, true)) {
		view_leave(ring);
		return 0;
	}
	while (n < max && (got = pop_one(ring, &elems[n])) == VRING_GOT)
		n++;
	if (got == VRING_LATER && ring->in_flight == 0)
		vring_break(ring, "the host is out of memory");
	ring->starved = got == VRING_LATER;
	view_leave(ring);
	return n;
}

static void mark_written(struct vring *ring, const struct vring_elem *elem, uint64_t written)
{
	for (uint32_t i = 0; i < elem->pub.in_count && written; i++) {
		const struct mt_iov *piece = &elem->pub.in[i];
		uint64_t len = MIN(piece->len_bytes, written);

		ring->mem->dirty(piece->ram, piece->ram_offset, len);
		written -= len;
	}
}

void vring_push(struct vring *ring, struct mt_vq_elem *const *elems, const uint32_t *written, uint32_t count)
{
	bool sound = view_enter(ring, false);

	for (uint32_t i = 0; i < count; i++) {
		struct vring_elem *elem = (struct vring_elem *)elems[i];

		if (!elem->live)
			continue;              /* forgotten by a reset */
		mark_written(ring, elem, written[i]);
		if (sound)
			ring->layout->put(ring, elem, written[i]);
		elem_release(ring, elem);
	}
	if (sound)
		ring->layout->publish(ring);
	view_leave(ring);
}

void vring_unpop(struct vring *ring, struct mt_vq_elem *const *elems, uint32_t count)
{
	for (uint32_t i = count; i-- > 0;) {
		struct vring_elem *elem = (struct vring_elem *)elems[i];

		if (!elem->live)
			continue;              /* forgotten by a reset */
		ring->layout->back(ring, elem);
		elem_release(ring, elem);
	}
	view_leave(ring);
}

bool vring_wants_signal(struct vring *ring)
{
	bool wants = view_enter(ring, false) && ring->layout->wants_signal(ring);

	view_leave(ring);
	return wants;
}

bool vring_kicks(struct vring *ring, bool wanted)
{
	bool more;

	ring->quiet = !wanted;
	more = view_enter(ring, false) && ring->layout->kicks(ring, wanted);
	view_leave(ring);
	return more;
}

/* Copies: `write` goes to the pieces. */
static uint64_t copy(const struct mt_iov *pieces, uint32_t count, uint64_t offset, void *buf, uint64_t len_bytes,
		     bool write)
{
	uint64_t done = 0;

	for (uint32_t i = 0; i < count && done < len_bytes; i++) {
		uint64_t n = pieces[i].len_bytes;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n = MIN(n - offset, len_bytes - done);
		if (write)
			memcpy(pieces[i].hva + offset, (const uint8_t *)buf + done, n);
		else
			memcpy((uint8_t *)buf + done, pieces[i].hva + offset, n);
		done += n;
		offset = 0;
	}
	__asm__ volatile("" ::: "memory");     /* what was read once is not read again */
	return done;
}

uint64_t vring_copy_out(const struct mt_vq_elem *elem, uint64_t offset, void *buf, uint64_t len_bytes)
{
	return copy(elem->out, elem->out_count, offset, buf, len_bytes, false);
}

uint64_t vring_copy_in(const struct mt_vq_elem *elem, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	return copy(elem->in, elem->in_count, offset, (void *)(uintptr_t)buf, len_bytes, true);
}
