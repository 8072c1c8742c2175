/* SPDX-License-Identifier: MIT */
/*
 * Guest memory behind PRP entries (NVMe 1.4, 4.3): the first entry may begin inside a page, the second is the second
 * page or points to a list, whose last entry points to the next list if there is more.
 *
 * The rule that is easy to break: a list may not lead in circles. A pointer inside of a list names a whole page, so
 * that each list but the first has 511 entries that take data, and the data are bounded.
 */
#include "nvme.h"

#include <string.h>

#define LIST_ENTRIES (NVME_PAGE_BYTES / 8)

/* What a walk hands on: a run of memory, in order. 0 stops the walk with NVME_DATA_ERROR. */
typedef uint32_t run_fn(void *arg, uint64_t addr, uint32_t len_bytes);

struct walk {
	struct nvme *n;
	run_fn *fn;
	void *arg;
	uint64_t run_addr;             /* of a run that may grow still */
	uint32_t run_bytes;
	uint32_t left;
};

static uint32_t run_end(struct walk *w)
{
	uint32_t len = w->run_bytes;

	w->run_bytes = 0;
	return len == 0 || w->fn(w->arg, w->run_addr, len) ? NVME_OK : NVME_DATA_ERROR;
}

static uint32_t page_add(struct walk *w, uint64_t addr)
{
	uint32_t len = NVME_PAGE_BYTES - addr % NVME_PAGE_BYTES, status = NVME_OK;

	len = len < w->left ? len : w->left;
	if (w->run_bytes && addr != w->run_addr + w->run_bytes)
		status = run_end(w);
	if (w->run_bytes == 0)
		w->run_addr = addr;
	w->run_bytes += len;
	w->left -= len;
	return status;
}

static uint32_t list_walk(struct walk *w, uint64_t list)
{
	uint64_t entries[LIST_ENTRIES];
	uint32_t status = NVME_OK;

	while (w->left && status == NVME_OK) {
		uint32_t here = LIST_ENTRIES - list % NVME_PAGE_BYTES / 8;
		uint32_t pages = (w->left + NVME_PAGE_BYTES - 1) / NVME_PAGE_BYTES;
		uint32_t take = pages > here ? here - 1 : pages;       /* the last entry leads on */

		if (w->n->dma_host->read(w->n->dma, list, entries, (take + (pages > here)) * 8) != MT_BUS_OK)
			return NVME_DATA_ERROR;
		for (uint32_t i = 0; i < take && status == NVME_OK; i++)
			status = entries[i] % NVME_PAGE_BYTES ? NVME_PRP_OFFSET : page_add(w, entries[i]);
		if (status || !w->left)
			return status;
		list = entries[take];
		if (list % NVME_PAGE_BYTES)
			return NVME_PRP_OFFSET;
	}
	return status;
}

static uint32_t walk(struct walk *w, uint64_t prp1, uint64_t prp2)
{
	uint32_t status;

	if (prp1 % 4)
		return NVME_PRP_OFFSET;
	status = page_add(w, prp1);
	if (status == NVME_OK && w->left > NVME_PAGE_BYTES)
		status = prp2 % 8 ? NVME_PRP_OFFSET : list_walk(w, prp2);
	else if (status == NVME_OK && w->left)
		status = prp2 % NVME_PAGE_BYTES ? NVME_PRP_OFFSET : page_add(w, prp2);
	return status == NVME_OK ? run_end(w) : status;
}

/* Mapping, for the disk */

struct mapping {
	struct nvme *n;
	struct nvme_request *r;
};

static uint32_t run_map(void *arg, uint64_t addr, uint32_t len_bytes)
{
	struct mapping *m = arg;
	struct nvme_request *r = m->r;
	uint32_t max = 2 * NVME_PAGES_MAX - r->io.iov_count, count;
	struct mt_iov *iov = &r->iov[r->io.iov_count];
	uint64_t mapped;

	if (r->map_count == NVME_PAGES_MAX)
		return 0;
	count = m->n->dma_host->map(m->n->dma, addr, len_bytes, r->direction, iov, max, &mapped);
	if (count == 0)
		return 0;
	r->maps[r->map_count++] = (struct nvme_map){ r->io.iov_count, count };
	r->io.iov_count += count;
	return mapped == len_bytes;
}

uint32_t nvme_data_map(struct nvme *n, struct nvme_request *r, uint64_t prp1, uint64_t prp2, uint32_t len_bytes)
{
	struct mapping m = { n, r };
	struct walk w = { .n = n, .fn = run_map, .arg = &m, .left = len_bytes };
	uint32_t status;

	r->map_count = r->io.iov_count = 0;
	r->io.iov = r->iov;
	status = walk(&w, prp1, prp2);
	if (status != NVME_OK)
		nvme_data_unmap(n, r, 0);
	return status;
}

void nvme_data_unmap(struct nvme *n, struct nvme_request *r, uint64_t written_bytes)
{
	for (uint32_t i = 0; i < r->map_count; i++) {
		const struct nvme_map *map = &r->maps[i];
		uint64_t here = 0;

		for (uint32_t k = 0; k < map->count; k++)
			here += r->iov[map->first + k].len_bytes;
		here = here < written_bytes ? here : written_bytes;
		n->dma_host->unmap(n->dma, &r->iov[map->first], map->count, r->direction, here);
		written_bytes -= here;
	}
	r->map_count = 0;
}

/* Copies, for what the controller says itself */

struct copy {
	struct nvme *n;
	uint8_t *to;
	const uint8_t *from;
};

static uint32_t run_write(void *arg, uint64_t addr, uint32_t len_bytes)
{
	struct copy *c = arg;
	uint32_t result = c->n->dma_host->write(c->n->dma, addr, c->from, len_bytes);

	c->from += len_bytes;
	return result == MT_BUS_OK;
}

static uint32_t run_read(void *arg, uint64_t addr, uint32_t len_bytes)
{
	struct copy *c = arg;
	uint32_t result = c->n->dma_host->read(c->n->dma, addr, c->to, len_bytes);

	c->to += len_bytes;
	return result == MT_BUS_OK;
}

uint32_t nvme_data_write(struct nvme *n, uint64_t prp1, uint64_t prp2, const void *buf, uint32_t len_bytes)
{
	struct copy c = { .n = n, .from = buf };
	struct walk w = { .n = n, .fn = run_write, .arg = &c, .left = len_bytes };

	return walk(&w, prp1, prp2);
}

uint32_t nvme_data_read(struct nvme *n, uint64_t prp1, uint64_t prp2, void *buf, uint32_t len_bytes)
{
	struct copy c = { .n = n, .to = buf };
	struct walk w = { .n = n, .fn = run_read, .arg = &c, .left = len_bytes };

	return walk(&w, prp1, prp2);
}
