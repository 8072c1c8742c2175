/* SPDX-License-Identifier: MIT */
/* Commands of the I/O queues, NVMe 1.4 section 6: from a command to a request of the disk, and back. */
#include "nvme.h"

#include <stdlib.h>
#include <string.h>

enum { OP_FLUSH = 0x00, OP_WRITE = 0x01, OP_READ = 0x02, OP_WRITE_ZEROES = 0x08, OP_DATASET = 0x09 };
#define FORCE_UNIT_ACCESS (1u << 30)
#define MAY_DEALLOCATE    (1u << 25)
#define DEALLOCATE        (1u << 2)
#define ALL_NAMESPACES    0xffffffffu

static struct nvme_request *request_take(struct nvme *n, uint32_t sqid, const struct nvme_command *c)
{
	struct nvme_request *r = n->free;

	if (r)
		n->free = r->next;
	else
		r = malloc(sizeof(*r));
	if (!r)
		return NULL;
	memset(&r->io, 0, sizeof(r->io));
	r->io.user = r;
	r->sqid = sqid;
	r->cid = c->cid;
	r->command = *c;
	r->map_count = r->range_count = r->range_next = 0;
	n->in_flight++;
	return r;
}

static void request_give(struct nvme *n, struct nvme_request *r)
{
	n->in_flight--;
	r->next = n->free;
	n->free = r;
}

void nvme_requests_free(struct nvme *n)
{
	for (struct nvme_request *r = n->free, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	n->free = NULL;
	free(n->restored);
}

/* Ranges: `*r` gets offset and length of the disk. */
static uint32_t range_set(const struct nvme *n, struct mt_block_req *io, uint64_t block, uint64_t blocks)
{
	uint64_t all = n->info.disk_bytes / n->info.block_bytes;

	if (block > all || blocks > all - block)
		return NVME_LBA_RANGE | NVME_DNR;
	io->offset = block * n->info.block_bytes;
	io->len_bytes = blocks * n->info.block_bytes;
	return NVME_LATER;
}

static uint32_t begin_range(const struct nvme *n, struct mt_block_req *io, const struct nvme_command *c)
{
	return range_set(n, io, c->cdw10 | (uint64_t)c->cdw11 << 32, (c->cdw12 & 0xffff) + 1);
}

/* With the write cache off every write is as one with the bit. */
static uint32_t durable(const struct nvme *n, const struct nvme_command *c)
{
	return c->cdw12 & FORCE_UNIT_ACCESS || !n->features[NVME_FEATURE_WRITE_CACHE] ? MT_BLOCK_FUA : 0;
}

static uint32_t is_readonly(const struct nvme *n)
{
	return n->info.flags & MT_BLOCK_INFO_READONLY;
}

static uint32_t begin_transfer(struct nvme *n, struct nvme_request *r, const struct nvme_command *c)
{
	uint32_t write = c->opcode == OP_WRITE, status = begin_range(n, &r->io, c);

	if (status != NVME_LATER)
		return status;
	if (r->io.len_bytes > (uint64_t)NVME_PAGE_BYTES << NVME_MDTS)
		return NVME_INVALID_FIELD | NVME_DNR;
	if (write && is_readonly(n))
		return NVME_PROTECTED | NVME_DNR;
	r->io.op = write ? MT_BLOCK_WRITE : MT_BLOCK_READ;
	r->io.flags = write ? durable(n, c) : 0;
	r->direction = write ? MT_DMA_TO_DEVICE : MT_DMA_FROM_DEVICE;
	status = nvme_data_map(n, r, c->prp1, c->prp2, (uint32_t)r->io.len_bytes);
	return status == NVME_OK ? NVME_LATER : status | NVME_DNR;
}

static uint32_t begin_zeroes(struct nvme *n, struct nvme_request *r, const struct nvme_command *c)
{
	if (is_readonly(n))
		return NVME_PROTECTED | NVME_DNR;
	r->io.op = MT_BLOCK_ZERO;
	r->io.flags = durable(n, c) | (c->cdw12 & MAY_DEALLOCATE ? MT_BLOCK_MAY_UNMAP : 0);
	return begin_range(n, &r->io, c);
}

/* The next range of a deallocation. 0: that was the last. */
static uint32_t range_next(struct nvme_request *r)
{
	while (r->range_next < r->range_count) {
		const struct nvme_range *range = &r->ranges[r->range_next++];

		if (!range->len_bytes)
			continue;
		r->io.op = MT_BLOCK_DISCARD;
		r->io.offset = range->offset;
		r->io.len_bytes = range->len_bytes;
		return 1;
	}
	return 0;
}

static uint32_t begin_dataset(struct nvme *n, struct nvme_request *r, const struct nvme_command *c)
{
	struct { uint32_t attributes, blocks; uint64_t block; } list[NVME_RANGES_MAX];
	uint32_t count = (c->cdw10 & 0xff) + 1, status;

	if (is_readonly(n) && c->cdw11 & DEALLOCATE)
		return NVME_PROTECTED | NVME_DNR;
	status = nvme_data_read(n, c->prp1, c->prp2, list, count * (uint32_t)sizeof(list[0]));
	if (status != NVME_OK)
		return status | NVME_DNR;
	for (uint32_t i = 0; i < count; i++) {
		status = range_set(n, &r->io, list[i].block, list[i].blocks);
		if (status != NVME_LATER)
			return status;
		r->ranges[i] = (struct nvme_range){ r->io.offset, r->io.len_bytes };
	}
	/* hints that nothing is done about, and a disk that keeps what it has, are fine too */
	r->range_count = c->cdw11 & DEALLOCATE && n->info.discard_bytes ? count : 0;
	return range_next(r) ? NVME_LATER : NVME_OK;
}

static uint32_t begin(struct nvme *n, struct nvme_request *r, const struct nvme_command *c)
{
	switch (c->opcode) {
	case OP_FLUSH:
		r->io.op = MT_BLOCK_FLUSH;
		return NVME_LATER;
	case OP_READ: case OP_WRITE:
		return begin_transfer(n, r, c);
	case OP_WRITE_ZEROES:
		return begin_zeroes(n, r, c);
	default:
		return begin_dataset(n, r, c);
	}
}

static uint32_t check(const struct nvme_command *c)
{
	if (c->opcode > OP_READ && c->opcode != OP_WRITE_ZEROES && c->opcode != OP_DATASET)
		return NVME_INVALID_OPCODE | NVME_DNR;
	if (c->flags)                          /* fused commands and scatter-gather lists */
		return NVME_INVALID_FIELD | NVME_DNR;
	if (c->nsid != NVME_NSID && !(c->opcode == OP_FLUSH && c->nsid == ALL_NAMESPACES))
		return NVME_INVALID_NSID | NVME_DNR;
	return NVME_OK;
}

uint32_t nvme_io(struct nvme *n, uint32_t sqid, const struct nvme_command *c, struct mt_block_req **io)
{
	uint32_t status = check(c);
	struct nvme_request *r;

	if (status != NVME_OK)
		return status;
	r = request_take(n, sqid, c);
	if (!r)
		return NVME_INTERNAL;
	status = begin(n, r, c);
	if (status == NVME_LATER)
		*io = &r->io;
	else
		request_give(n, r);
	return status;
}

/* Completions */

static uint32_t status_of(const struct mt_block_req *io)
{
	if (io->result == 0)
		return NVME_OK;
	if (io->op == MT_BLOCK_READ)
		return NVME_READ_FAULT;
	return io->op == MT_BLOCK_FLUSH ? NVME_INTERNAL : NVME_WRITE_FAULT;
}

/* What failed, as the user wants it. 0: it is kept, with its memory. */
static uint32_t settled(struct nvme *n, struct nvme_request *r)
{
	uint32_t what = n->blocks->failed(n->block, &r->io);

	if (what == MT_BLOCK_FAILED_IGNORE)
		r->io.result = 0;
	if (what != MT_BLOCK_FAILED_KEEP)
		return 1;
	r->next = NULL;
	*(n->kept ? n->kept_last : &n->kept) = r;
	n->kept_last = &r->next;
	n->kept_count++;
	return 0;
}

static void finish(struct nvme *n, struct nvme_request *r)
{
	struct mt_block_req *io = &r->io;

	nvme_data_unmap(n, r, io->len_bytes);
	if (io->result == 0 && range_next(r)) {
		n->blocks->submit(n->block, &io, 1);
		return;
	}
	nvme_complete(n, r->sqid, r->cid, status_of(io), 0);
	request_give(n, r);
}

void nvme_reap(struct nvme *n)
{
	struct mt_block_req *done[NVME_BATCH];
	uint32_t count;

	do {
		count = n->blocks->reap(n->block, done, NVME_BATCH);
		for (uint32_t i = 0; i < count; i++) {
			struct nvme_request *r = done[i]->user;

			if (r && (!done[i]->result || !(n->csts & NVME_CSTS_RDY) || settled(n, r)))
				finish(n, r);
		}
	} while (count);
}

void nvme_drain(struct nvme *n)
{
	do {
		n->blocks->drain(n->block);
		nvme_reap(n);
	} while (n->in_flight > n->kept_count);
}

static struct nvme_request *kept_take(struct nvme *n)
{
	struct nvme_request *r = n->kept;

	n->kept = NULL;
	n->kept_count = 0;
	return r;
}

void nvme_finish(struct nvme *n)
{
	nvme_drain(n);
	for (struct nvme_request *r = kept_take(n), *next; r; r = next) {
		next = r->next;
		finish(n, r);
	}
	n->restored_count = 0;
}

static void restored_begin(struct nvme *n)
{
	for (uint32_t i = 0; i < n->restored_count; i++) {
		const struct nvme_saved *saved = &n->restored[i];
		struct mt_block_req *io;
		uint32_t status;

		n->cqs[n->sqs[saved->sqid].cqid].owed++;
		status = nvme_io(n, saved->sqid, &saved->command, &io);
		if (status == NVME_LATER)
			n->blocks->submit(n->block, &io, 1);
		else
			nvme_complete(n, saved->sqid, saved->command.cid, status, 0);
	}
	n->restored_count = 0;
}

void nvme_kept_retry(struct nvme *n)
{
	for (struct nvme_request *r = kept_take(n), *next; r; r = next) {
		struct mt_block_req *io = &r->io;

		next = r->next;
		n->blocks->submit(n->block, &io, 1);
	}
	restored_begin(n);
	nvme_reap(n);
}

void nvme_flush(struct nvme *n)
{
	struct mt_block_req flush = { .op = MT_BLOCK_FLUSH }, *io = &flush;

	nvme_drain(n);
	n->blocks->submit(n->block, &io, 1);
	nvme_drain(n);
}
