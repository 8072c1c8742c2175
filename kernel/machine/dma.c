/* SPDX-License-Identifier: MIT */
/*
 * Access of devices to guest memory. Called on every thread, several at a time for one handle. RAM only, so
 * that no device can be made to call another by an address that the guest chose.
 *
 * The rule that is easy to break: guest memory is written first, the dirty bits are set after, and only then
 * may the caller reveal the write to the guest (interrupt, register, ring index).
 */
#include "kernel/machine/dma.h"

#include <pthread.h>
#include <string.h>

#include "kernel/machine/machine.h"
#include "kernel/machine/space.h"

#define DMA_BUCKETS 64u

/* A mapping holds a view, so that the memory stays. Found again by its first host address. */
struct mapping {
	struct mapping *next;
	const uint8_t *hva;
	const struct mt_flat_view *view;
};

struct mt_dma {
	struct space *space;
	const struct dma_gate *gate;   /* NULL: on no bus that could shut it */
	uint32_t requester;
	bool fills_rom;                /* a boot loader's: who else should? */
	pthread_mutex_t lock;          /* of the two below; nothing is called while it is held */
	struct mapping *mappings[DMA_BUCKETS];
	struct mapping *spare;
};

/* Copies */

void ram_load(const uint8_t *hva, void *buf, uint64_t len_bytes)
{
	uint64_t value;

	if (len_bytes > 8 || (len_bytes & (len_bytes - 1)) || ((uintptr_t)hva & (len_bytes - 1))) {
		memcpy(buf, hva, len_bytes);
		return;
	}
	if (len_bytes == 8)
		value = __atomic_load_n((const uint64_t *)(const void *)hva, __ATOMIC_ACQUIRE);
	else if (len_bytes == 4)
		value = __atomic_load_n((const uint32_t *)(const void *)hva, __ATOMIC_ACQUIRE);
	else if (len_bytes == 2)
		value = __atomic_load_n((const uint16_t *)(const void *)hva, __ATOMIC_ACQUIRE);
	else if (len_bytes == 1)
		value = __atomic_load_n(hva, __ATOMIC_ACQUIRE);
	else
		return;
	memcpy(buf, &value, len_bytes);
}

void ram_store(uint8_t *hva, const void *buf, uint64_t len_bytes)
{
	uint64_t value = 0;

	if (len_bytes > 8 || (len_bytes & (len_bytes - 1)) || ((uintptr_t)hva & (len_bytes - 1))) {
		memcpy(hva, buf, len_bytes);
		return;
	}
	memcpy(&value, buf, len_bytes);
	if (len_bytes == 8)
		__atomic_store_n((uint64_t *)(void *)hva, value, __ATOMIC_RELEASE);
	else if (len_bytes == 4)
		__atomic_store_n((uint32_t *)(void *)hva, (uint32_t)value, __ATOMIC_RELEASE);
	else if (len_bytes == 2)
		__atomic_store_n((uint16_t *)(void *)hva, (uint16_t)value, __ATOMIC_RELEASE);
	else if (len_bytes == 1)
		__atomic_store_n(hva, (uint8_t)value, __ATOMIC_RELEASE);
}

/* Dirty bitmaps */

#if defined(__SANITIZE_THREAD__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"    /* the fence below orders no data of ours, only the guest's */
#endif

/* Bits first..last of one word. */
static uint64_t word_mask(uint64_t word, uint64_t first, uint64_t last)
{
	uint64_t mask = UINT64_MAX;

	if (word == first / 64)
		mask &= UINT64_MAX << (first % 64);
	if (word == last / 64)
		mask &= UINT64_MAX >> (63 - last % 64);
	return mask;
}

/* True when a bit was set: then the epoch must count. */
static bool mark_client(uint64_t *bitmap, const uint64_t *filter, uint64_t first, uint64_t last)
{
	bool any = false;

	for (uint64_t word = first / 64; word <= last / 64; word++) {
		uint64_t mask = word_mask(word, first, last);

		if (filter)
			mask &= __atomic_load_n(&filter[word], __ATOMIC_RELAXED);
		if (!mask)
			continue;
		__atomic_fetch_or(&bitmap[word], mask, __ATOMIC_ACQ_REL);
		any = true;
	}
	return any;
}

/*
 * Two races, both of this thread D (DMA) with a vCPU thread V that translates code.
 * 1. V translates a page for the first time while D writes it. V sets the page's bit in code_pages, fences,
 *    then reads the code; D writes the code, fences, then reads code_pages. So D sees V's bit, or V sees D's
 *    code; without the two fences both may miss the other.
 * 2. V consumes bits while D sets them. V reads the epoch, takes the bits by exchange, then looks at the
 *    code; D writes the code, sets the bit, counts the epoch. It counts even when the bit was set already:
 *    another writer may have set it and not counted yet, and D's own interrupt may overtake that count.
 */
void ram_mark_dirty(struct mt_ram *ram, uint64_t ram_offset, uint64_t len_bytes)
{
	uint64_t first, last;

	if (len_bytes == 0 || ram_offset >= ram->len_bytes)
		return;
	first = ram_offset >> MT_DIRTY_PAGE_BITS;
	last = (ram_offset + MIN(len_bytes, ram->len_bytes - ram_offset) - 1) >> MT_DIRTY_PAGE_BITS;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < MT_DIRTY_CLIENTS; i++) {
		uint64_t *bitmap = __atomic_load_n(&ram->dirty[i], __ATOMIC_ACQUIRE);
		const uint64_t *filter = NULL;

		if (!bitmap)
			continue;
		if (i == MT_DIRTY_CODE)
			filter = __atomic_load_n(&ram->code_pages, __ATOMIC_ACQUIRE);
		if (mark_client(bitmap, filter, first, last))
			__atomic_fetch_add(&ram->dirty_epoch[i], 1, __ATOMIC_RELEASE);
	}
}

/* Transfers */

/* What is at `addr`: memory of at most *len_bytes, or NULL. */
static const struct mt_flat_range *memory_at(const struct mt_dma *dma, const struct mt_flat_view *view, uint64_t addr,
					     bool write, uint64_t *len_bytes)
{
	const struct mt_flat_range *range = view_find(view, addr);

	if (!range || !range->hva || (write && range->kind != MT_FLAT_RAM && !dma->fills_rom))
		return NULL;
	*len_bytes = MIN(*len_bytes, range->len_bytes - (addr - range->gpa));
	return range;
}

enum transfer { TRANSFER_READ, TRANSFER_WRITE, TRANSFER_FILL };

static void piece_move(const struct mt_flat_range *range, uint64_t at, enum transfer kind, uint8_t *buf,
		       int byte, uint64_t len_bytes)
{
	uint8_t *hva = range->hva + at;

	if (kind == TRANSFER_READ) {
		ram_load(hva, buf, len_bytes);
		return;
	}
	if (kind == TRANSFER_WRITE)
		ram_store(hva, buf, len_bytes);
	else
		memset(hva, byte, len_bytes);
	ram_mark_dirty(range->ram, range->ram_offset + at, len_bytes);
}

static uint32_t dma_move(struct mt_dma *dma, uint64_t addr, enum transfer kind, uint8_t *buf, int byte,
			 uint64_t len_bytes)
{
	const struct mt_flat_view *view;
	uint32_t result = MT_BUS_OK;

	if (!dma_gate_open(dma->gate))
		return MT_BUS_DECODE;
	view = space_view_get(dma->space);
	while (len_bytes > 0) {
		uint64_t now = len_bytes;
		const struct mt_flat_range *range = memory_at(dma, view, addr, kind != TRANSFER_READ, &now);

		if (!range) {
			result = MT_BUS_DECODE;
			break;
		}
		piece_move(range, addr - range->gpa, kind, buf, byte, now);
		len_bytes -= now;
		addr += now;                   /* wraps to 0 at the end of the space */
		if (kind != TRANSFER_FILL)
			buf += now;
	}
	space_view_put(dma->space, view);
	return result;
}

static uint32_t dma_read(struct mt_dma *dma, uint64_t addr, void *buf, uint64_t len_bytes)
{
	return dma_move(dma, addr, TRANSFER_READ, buf, 0, len_bytes);
}

/* TRANSFER_WRITE only reads the buffer. */
static uint32_t dma_write(struct mt_dma *dma, uint64_t addr, const void *buf, uint64_t len_bytes)
{
	return dma_move(dma, addr, TRANSFER_WRITE, (uint8_t *)buf, 0, len_bytes);
}

static uint32_t dma_fill(struct mt_dma *dma, uint64_t addr, uint8_t byte, uint64_t len_bytes)
{
	return dma_move(dma, addr, TRANSFER_FILL, NULL, byte, len_bytes);
}

/* Mappings */

static struct mapping **bucket_of(struct mt_dma *dma, const uint8_t *hva)
{
	uintptr_t at = (uintptr_t)hva;

	return &dma->mappings[(at ^ at >> 6 ^ at >> 12) % DMA_BUCKETS];
}

static bool mapping_add(struct mt_dma *dma, const uint8_t *hva, const struct mt_flat_view *view)
{
	struct mapping **bucket = bucket_of(dma, hva), *mapping;

	pthread_mutex_lock(&dma->lock);
	mapping = dma->spare;
	if (mapping)
		dma->spare = mapping->next;
	else
		mapping = g_try_new(struct mapping, 1);
	if (mapping) {
		*mapping = (struct mapping){ *bucket, hva, view };
		*bucket = mapping;
	}
	pthread_mutex_unlock(&dma->lock);
	return mapping != NULL;
}

/*
 * Two mappings with one address may hold two views; which of them goes first does not matter, since both
 * views have the memory at that address.
 */
static const struct mt_flat_view *mapping_take(struct mt_dma *dma, const uint8_t *hva)
{
	const struct mt_flat_view *view = NULL;
	struct mapping **link, *mapping;

	pthread_mutex_lock(&dma->lock);
	for (link = bucket_of(dma, hva); *link && (*link)->hva != hva; link = &(*link)->next)
		;
	mapping = *link;
	if (mapping) {
		view = mapping->view;
		*link = mapping->next;
		mapping->next = dma->spare;
		dma->spare = mapping;
	}
	pthread_mutex_unlock(&dma->lock);
	return view;
}

static uint32_t dma_map(struct mt_dma *dma, uint64_t addr, uint64_t len_bytes, uint32_t direction,
			struct mt_iov *iov, uint32_t max, uint64_t *mapped_bytes)
{
	const struct mt_flat_view *view;
	bool write = direction == MT_DMA_FROM_DEVICE;
	uint32_t count = 0;

	*mapped_bytes = 0;
	if (!dma_gate_open(dma->gate))
		return 0;
	view = space_view_get(dma->space);
	while (count < max && *mapped_bytes < len_bytes) {
		uint64_t now = len_bytes - *mapped_bytes;
		const struct mt_flat_range *range = memory_at(dma, view, addr, write, &now);
		uint64_t at;

		if (!range)
			break;
		at = addr - range->gpa;
		iov[count++] = (struct mt_iov){ range->hva + at, now, range->ram, range->ram_offset + at };
		*mapped_bytes += now;
		addr += now;
	}
	if (count && mapping_add(dma, iov[0].hva, view))
		return count;
	*mapped_bytes = 0;
	space_view_put(dma->space, view);
	return 0;
}

static void dma_unmap(struct mt_dma *dma, const struct mt_iov *iov, uint32_t count, uint32_t direction,
		      uint64_t written_bytes)
{
	const struct mt_flat_view *view;

	if (count == 0)
		return;
	for (uint32_t i = 0; i < count && direction == MT_DMA_FROM_DEVICE && written_bytes > 0; i++) {
		uint64_t now = MIN(written_bytes, iov[i].len_bytes);

		ram_mark_dirty(iov[i].ram, iov[i].ram_offset, now);
		written_bytes -= now;
	}
	view = mapping_take(dma, iov[0].hva);
	if (view)
		space_view_put(dma->space, view);
}

/* Life */

static void mappings_free(struct mt_dma *dma, struct mapping *mapping)
{
	while (mapping) {
		struct mapping *next = mapping->next;

		if (mapping->view)
			space_view_put(dma->space, mapping->view);
		g_free(mapping);
		mapping = next;
	}
}

/* A device that forgot to unmap must not keep the machine's memory. */
static void dma_release(void *arg)
{
	struct mt_dma *dma = arg;

	for (struct mapping *m = dma->spare; m; m = m->next)
		m->view = NULL;
	mappings_free(dma, dma->spare);
	for (unsigned i = 0; i < DMA_BUCKETS; i++)
		mappings_free(dma, dma->mappings[i]);
	pthread_mutex_destroy(&dma->lock);
	g_free(dma);
}

static const char gate_key;

void dma_gate_set(struct mt_inst *inst, const struct dma_gate *gate)
{
	inst_data_set(inst, &gate_key, (void *)gate);
}

const struct dma_gate *dma_gate_of(const struct mt_inst *inst)
{
	return inst_data_get(inst, &gate_key);
}

static struct mt_dma *dma_get(struct mt_inst *inst)
{
	struct mt_dma *dma = g_new0(struct mt_dma, 1);

	dma->space = inst->machine->system;
	dma->gate = dma_gate_of(inst);
	dma->requester = bus_requester(inst);
	dma->fills_rom = inst->cls && inst->cls->kind == MT_KIND_BOOT;
	pthread_mutex_init(&dma->lock, NULL);
	inst_own(inst, dma_release, dma);
	return dma;
}

const struct mt_dma_host dma_host = {
	.get = dma_get,
	.read = dma_read,
	.write = dma_write,
	.fill = dma_fill,
	.map = dma_map,
	.unmap = dma_unmap,
};
