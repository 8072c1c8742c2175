/* SPDX-License-Identifier: MIT */
/* Guest RAM and DMA of the fake host: one RAM object with its dirty bitmaps, reached through one handle. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "../util/bits.h"

#define PAGE_BYTES (1u << MT_DIRTY_PAGE_BITS)

void fake_ram(struct fake *f, uint64_t gpa, uint64_t len_bytes)
{
	if (f->state != FAKE_NEW || len_bytes % PAGE_BYTES || gpa % PAGE_BYTES)
		fake_die("RAM: before create, and in whole pages");
	f->ram_gpa = gpa;
	f->ram.len_bytes = len_bytes;
}

void fake_ram_make(struct fake *f)
{
	struct mt_ram *r = &f->ram;

	r->size = sizeof(*r);
	r->fd = -1;
	r->hva = aligned_alloc(PAGE_BYTES, r->len_bytes);
	if (!r->hva)
		fake_die("no memory");
	memset(r->hva, 0, r->len_bytes);
	for (int i = 0; i < (int)MT_DIRTY_CLIENTS; i++)
		r->dirty[i] = calloc(r->len_bytes / PAGE_BYTES / 64 + 1, 8);
}

void fake_ram_free(struct fake *f)
{
	free(f->ram.hva);
	for (int i = 0; i < (int)MT_DIRTY_CLIENTS; i++)
		free(f->ram.dirty[i]);
}

/* The bytes from `addr` on that are RAM. */
static uint64_t ram_bytes(const struct fake *f, uint64_t addr)
{
	return addr >= f->ram_gpa && addr - f->ram_gpa < f->ram.len_bytes ? f->ram.len_bytes - (addr - f->ram_gpa) : 0;
}

/* What a device reaches; a PCI function that is no bus master reaches nothing. */
static uint64_t available(struct fake *f, uint64_t addr)
{
	return f->pci.fake && !f->pci.master ? 0 : ram_bytes(f, addr);
}

static void mark(struct fake *f, uint64_t offset, uint64_t len)
{
	if (!len)
		return;
	for (uint64_t page = offset / PAGE_BYTES; page <= (offset + len - 1) / PAGE_BYTES; page++)
		for (int i = 0; i < (int)MT_DIRTY_CLIENTS; i++)
			f->ram.dirty[i][page / 64] |= mt_bit(page % 64);
}

static struct mt_dma *get(struct mt_inst *inst)
{
	return &inst->fake->dma;
}

static uint32_t read_(struct mt_dma *dma, uint64_t addr, void *buf, uint64_t len)
{
	uint64_t n = available(dma->fake, addr) < len ? available(dma->fake, addr) : len;

	if (n)
		memcpy(buf, dma->fake->ram.hva + (addr - dma->fake->ram_gpa), n);
	return n == len ? MT_BUS_OK : MT_BUS_DECODE;
}

static uint32_t write_(struct mt_dma *dma, uint64_t addr, const void *buf, uint64_t len)
{
	struct fake *f = dma->fake;
	uint64_t n = available(f, addr) < len ? available(f, addr) : len;

	if (n)
		memcpy(f->ram.hva + (addr - f->ram_gpa), buf, n);
	mark(f, addr - f->ram_gpa, n);
	return n == len ? MT_BUS_OK : MT_BUS_DECODE;
}

static uint32_t fill(struct mt_dma *dma, uint64_t addr, uint8_t byte, uint64_t len)
{
	struct fake *f = dma->fake;
	uint64_t n = available(f, addr) < len ? available(f, addr) : len;

	if (n)
		memset(f->ram.hva + (addr - f->ram_gpa), byte, n);
	mark(f, addr - f->ram_gpa, n);
	return n == len ? MT_BUS_OK : MT_BUS_DECODE;
}

/* Pieces end at 64 KiB, so that a plugin meets more than one. */
static uint32_t map(struct mt_dma *dma, uint64_t addr, uint64_t len, uint32_t direction, struct mt_iov *iov,
		    uint32_t max, uint64_t *mapped_bytes)
{
	struct fake *f = dma->fake;
	uint32_t count = 0;

	(void)direction;
	*mapped_bytes = 0;
	while (count < max && *mapped_bytes < len && available(f, addr + *mapped_bytes)) {
		uint64_t at = addr + *mapped_bytes - f->ram_gpa;
		uint64_t n = 0x10000 - at % 0x10000, left = len - *mapped_bytes;

		n = n < left ? n : left;
		n = n < f->ram.len_bytes - at ? n : f->ram.len_bytes - at;
		iov[count++] = (struct mt_iov){ f->ram.hva + at, n, &f->ram, at };
		*mapped_bytes += n;
	}
	dma->mapped += count != 0;
	return count;
}

static void unmap(struct mt_dma *dma, const struct mt_iov *iov, uint32_t count, uint32_t direction,
		  uint64_t written_bytes)
{
	if (!dma->mapped)
		fake_die("unmap without map");
	dma->mapped--;
	for (uint32_t i = 0; i < count && direction == MT_DMA_FROM_DEVICE; i++) {
		uint64_t n = iov[i].len_bytes < written_bytes ? iov[i].len_bytes : written_bytes;

		mark(dma->fake, iov[i].ram_offset, n);
		written_bytes -= n;
	}
}

const struct mt_dma_host fake_dma_host = {
	.get = get,
	.read = read_,
	.write = write_,
	.fill = fill,
	.map = map,
	.unmap = unmap,
};

uint8_t *fake_ram_at(struct fake *f, uint64_t gpa)
{
	return ram_bytes(f, gpa) ? f->ram.hva + (gpa - f->ram_gpa) : NULL;
}

uint32_t fake_ram_dirty(struct fake *f, uint64_t gpa)
{
	uint64_t page = (gpa - f->ram_gpa) / PAGE_BYTES;

	return ram_bytes(f, gpa) && (f->ram.dirty[MT_DIRTY_MIGRATION][page / 64] & mt_bit(page % 64));
}

uint32_t fake_ram_mapped(struct fake *f)
{
	return f->dma.mapped;
}
