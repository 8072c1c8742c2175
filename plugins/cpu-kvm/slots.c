/* SPDX-License-Identifier: MIT */
/*
 * Memory slots: what KVM maps into the guest, made to follow the kernel's flat views. [vcpu], under k->lock.
 *
 * Only what differs between two views is taken away and given anew, so that vCPUs go on running from memory that
 * stays while another one changes the map. A vCPU that still has the older view and touches what is gone comes out
 * with an MMIO exit, and the view that it has tells where that access goes: so no vCPU has to be held out.
 * Easy to break: a vCPU may come with a view that is older than what the slots show; it must change nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm.h"

#define SLOTS_STEP 16u
/* KVM takes 2^31 - 1 pages in a slot (KVM_MEM_MAX_NR_PAGES): what is longer goes into several */
#define PIECE_BYTES (UINT64_C(1) << 42)

static const struct mt_flat_range *range_at(const struct mt_flat_view *view, uint32_t i)
{
	return (const void *)((const char *)view->ranges + (size_t)i * view->stride);
}

static bool is_memory(const struct mt_flat_range *r)
{
	return r->kind == MT_FLAT_RAM || r->kind == MT_FLAT_ROM;
}

/* Piece `n` of a range of memory; false: it has no more. */
static bool piece_of(const struct mt_flat_range *r, uint64_t n, struct mt_flat_range *piece)
{
	uint64_t at = n * PIECE_BYTES;

	if (!is_memory(r) || !r->len_bytes || n > (r->len_bytes - 1) / PIECE_BYTES)
		return false;
	*piece = *r;
	piece->gpa += at;
	piece->hva += at;
	piece->ram_offset += at;
	piece->len_bytes = r->len_bytes - at < PIECE_BYTES ? r->len_bytes - at : PIECE_BYTES;
	return true;
}

static uint32_t flags_of(const struct kvm *k, const struct mt_flat_range *r)
{
	if (r->kind == MT_FLAT_ROM)
		return KVM_MEM_READONLY;
	return k->logging && r->ram ? KVM_MEM_LOG_DIRTY_PAGES : 0;
}

int slot_tell(struct kvm *k, uint32_t index, uint64_t len_bytes)
{
	const struct slot *s = &k->slots[index];
	struct kvm_userspace_memory_region region = {
		.slot = index, .flags = s->flags, .guest_phys_addr = s->gpa, .memory_size = len_bytes,
		.userspace_addr = (uintptr_t)s->hva,
	};

	return vm_ioctl(k, KVM_SET_USER_MEMORY_REGION, &region);
}

static struct slot *slot_same(struct kvm *k, const struct mt_flat_range *r)
{
	for (uint32_t i = 0; i < k->slot_count; i++) {
		struct slot *s = &k->slots[i];

		if (s->len_bytes && s->gpa == r->gpa && s->len_bytes == r->len_bytes && s->hva == r->hva &&
		    s->flags == flags_of(k, r))
			return s;
	}
	return NULL;
}

/* Index of a free slot, or -errno. */
static int slot_free(struct kvm *k)
{
	struct slot *more;
	uint32_t i = 0;

	while (i < k->slot_count && k->slots[i].len_bytes)
		i++;
	if (i < k->slot_count)
		return (int)i;
	if (i >= k->slot_max)
		return -ENOSPC;
	more = realloc(k->slots, (k->slot_count + SLOTS_STEP) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + k->slot_count, 0, SLOTS_STEP * sizeof(*more));
	k->slots = more;
	k->slot_count += SLOTS_STEP;
	return (int)i;
}

static int slot_add(struct kvm *k, const struct mt_flat_range *r)
{
	int index, code;
	struct slot *s;

	/* KVM would take some of it, but the guest could not reach it */
	if (k->address_bits && (r->gpa + (r->len_bytes - 1)) >> k->address_bits)
		return -ERANGE;
	index = slot_free(k);
	if (index < 0)
		return index;
	s = &k->slots[index];
	*s = (struct slot){ .gpa = r->gpa, .len_bytes = r->len_bytes, .hva = r->hva, .flags = flags_of(k, r),
			    .ram = r->ram, .ram_offset = r->ram_offset };
	code = slot_tell(k, (uint32_t)index, s->len_bytes);
	if (code < 0)
		s->len_bytes = 0;
	return code;
}

/* What the view has no more goes first: KVM refuses slots that overlap. */
static int slots_drop(struct kvm *k, const struct mt_flat_view *view, struct slot *failed)
{
	for (uint32_t i = 0; i < k->slot_count; i++)
		k->slots[i].wanted = false;
	for (uint32_t i = 0; i < view->count; i++) {
		struct mt_flat_range piece;

		for (uint64_t n = 0; piece_of(range_at(view, i), n, &piece); n++) {
			struct slot *s = slot_same(k, &piece);

			if (s)
				s->wanted = true;
		}
	}
	for (uint32_t i = 0; i < k->slot_count; i++) {
		struct slot *s = &k->slots[i];
		bool goes = s->len_bytes && !s->wanted;
		int code;

		/*
		 * KVM forgets its log with the slot, and other vCPUs may write between any reading of it and the end.
		 * This is rare: the pages are copied once too often.
		 */
		if (goes && s->flags & KVM_MEM_LOG_DIRTY_PAGES)
			slot_written(s);
		code = goes ? slot_tell(k, i, 0) : 0;
		if (code < 0) {
			*failed = *s;
			return code;
		}
		if (!s->wanted)
			s->len_bytes = 0;
	}
	return 0;
}

static int slots_add(struct kvm *k, const struct mt_flat_view *view, struct slot *failed)
{
	for (uint32_t i = 0; i < view->count; i++) {
		struct mt_flat_range piece;

		for (uint64_t n = 0; piece_of(range_at(view, i), n, &piece); n++) {
			int code = slot_same(k, &piece) ? 0 : slot_add(k, &piece);

			if (code < 0) {
				*failed = (struct slot){ .gpa = piece.gpa, .len_bytes = piece.len_bytes };
				return code;
			}
		}
	}
	return 0;
}

int slots_follow(struct kvm *k, const struct mt_flat_view *view, struct slot *failed)
{
	int code = 0;

	/* the usual way: nothing has changed */
	if (atomic_load_explicit(&k->generation, memory_order_acquire) >= view->generation)
		return 0;
	pthread_mutex_lock(&k->lock);
	if (atomic_load_explicit(&k->generation, memory_order_relaxed) < view->generation) {
		code = slots_drop(k, view, failed);
		if (code >= 0)
			code = slots_add(k, view, failed);
		if (code >= 0)
			atomic_store_explicit(&k->generation, view->generation, memory_order_release);
	}
	pthread_mutex_unlock(&k->lock);
	return code < 0 ? code : 0;
}
