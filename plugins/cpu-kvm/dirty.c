/* SPDX-License-Identifier: MIT */
/*
 * Which pages vCPUs write, by KVM's log of each slot of RAM. [main], under the lock of the slots: vCPUs run
 * meanwhile and move them. KVM clears its log as it is read, and protects the pages anew; it has no use here
 * for clearing by parts (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2), for the log is read once, when the vCPUs stand.
 */
#include <errno.h>
#include <stdlib.h>

#include "kvm.h"

/* All slots, also behind one that fails: the first error. */
static int logs_set(struct kvm *k, bool on)
{
	int first = 0;

	for (uint32_t i = 0; i < k->slot_count; i++) {
		struct slot *s = &k->slots[i];
		int code;

		if (!s->len_bytes || !s->ram || s->flags & KVM_MEM_READONLY)
			continue;
		s->flags = on ? KVM_MEM_LOG_DIRTY_PAGES : 0;
		code = slot_tell(k, i, s->len_bytes);
		first = first < 0 ? first : code;
	}
	return first;
}

static int dirty_log(void *self, uint32_t on)
{
	struct kvm *k = self;
	int code;

	pthread_mutex_lock(&k->lock);
	k->logging = on != 0;
	code = logs_set(k, k->logging);
	if (code < 0 && on) {
		k->logging = false;
		logs_set(k, false);
	}
	pthread_mutex_unlock(&k->lock);
	if (code < 0)
		kvm_log(k, MT_LOG_DEBUG, "KVM does not log what the guest writes: error %d", -code);
	return code < 0 ? MT_EHOST : 0;
}

/* 64 pages from `page` on, which need not begin a word. */
static void bits_add(struct mt_ram *ram, uint32_t client, uint64_t page, uint64_t bits)
{
	uint64_t *bitmap = __atomic_load_n(&ram->dirty[client], __ATOMIC_ACQUIRE);
	uint32_t shift = page % 64;

	if (!bitmap || !bits)
		return;
	__atomic_fetch_or(&bitmap[page / 64], bits << shift, __ATOMIC_RELAXED);
	/* a slot ends with its RAM: what goes over into the next word is there */
	if (shift && bits >> (64 - shift))
		__atomic_fetch_or(&bitmap[page / 64 + 1], bits >> (64 - shift), __ATOMIC_RELAXED);
	__atomic_fetch_add(&ram->dirty_epoch[client], 1, __ATOMIC_RELEASE);
}

static void clients_add(const struct slot *s, uint64_t page, uint64_t bits)
{
	for (uint32_t client = 0; client < MT_DIRTY_CLIENTS; client++)
		if (client != MT_DIRTY_CODE)
			bits_add(s->ram, client, s->ram_offset / 4096 + page, bits);
}

void slot_written(const struct slot *s)
{
	uint64_t pages = s->len_bytes / 4096;

	for (uint64_t page = 0; page < pages; page += 64)
		clients_add(s, page, pages - page < 64 ? (1ull << (pages - page)) - 1 : UINT64_MAX);
}

/* What was written in a logged slot, into its RAM's bitmaps. 0 or -errno. */
static int slot_collect(struct kvm *k, uint32_t index)
{
	const struct slot *s = &k->slots[index];
	uint64_t words = (s->len_bytes / 4096 + 63) / 64;
	uint64_t *bits = calloc(words, 8);
	struct kvm_dirty_log log = { .slot = index, .dirty_bitmap = bits };
	int code = bits ? vm_ioctl(k, KVM_GET_DIRTY_LOG, &log) : -ENOMEM;

	for (uint64_t i = 0; code >= 0 && i < words; i++)
		clients_add(s, i * 64, bits[i]);
	free(bits);
	return code;
}

static int dirty_collect(void *self)
{
	struct kvm *k = self;
	int code = 0;

	pthread_mutex_lock(&k->lock);
	for (uint32_t i = 0; i < k->slot_count && code >= 0; i++)
		if (k->slots[i].len_bytes && k->slots[i].flags & KVM_MEM_LOG_DIRTY_PAGES)
			code = slot_collect(k, i);
	pthread_mutex_unlock(&k->lock);
	return code < 0 ? MT_EHOST : 0;
}

const struct mt_cpu_dirty kvm_dirty = { .log = dirty_log, .collect = dirty_collect };
