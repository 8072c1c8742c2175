/* SPDX-License-Identifier: MIT */
/* A controller on the fake host with a disk in memory, and a driver's queues: what the tests of it share. */
#ifndef PLUGINS_DEV_NVME_TEST_NVME_H
#define PLUGINS_DEV_NVME_TEST_NVME_H

#include <check.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <util/error.h>
#include <stdlib.h>
#include <string.h>

#include "nvme.h"

#define RAM      0x80000000ull
#define ASQ      (RAM + 0x1000)
#define ACQ      (RAM + 0x2000)
#define SQ(q)    (RAM + 0x3000 + 0x2000 * (q))
#define CQ(q)    (RAM + 0x4000 + 0x2000 * (q))
#define DATA     (RAM + 0x20000)
#define ENTRIES  8u
#define BLOCK    512u
#define BLOCKS   4096u
#define PENDING_MAX 1024u

static struct fake *f;
static const void *(*real_get)(const struct mt_host *host, const char *id);

/* The disk */

static struct {
	uint8_t bytes[BLOCKS * BLOCK];
	struct mt_block_req *pending[PENDING_MAX], *done[PENDING_MAX];
	uint32_t pending_count, done_count;
	uint32_t later, fail, failed, policy, flushes, fuas, discards, flags, discard_bytes;
	const struct mt_block_front *front;
	void *self;
} disk;

static inline struct mt_block *d_open(struct mt_inst *inst, const char *prop, uint32_t write,
			       const struct mt_block_front *front, void *self, struct mt_error *err)
{
	(void)inst, (void)prop, (void)write, (void)err;
	disk.front = front;
	disk.self = self;
	return (struct mt_block *)(void *)&disk;
}

static inline void d_info(struct mt_block *b, struct mt_block_info *out)
{
	(void)b;
	*out = (struct mt_block_info){ .size = out->size, .flags = disk.flags, .disk_bytes = sizeof(disk.bytes),
				       .block_bytes = BLOCK, .physical_bytes = 4096,
				       .discard_bytes = disk.discard_bytes };
}

static inline void execute(struct mt_block_req *r)
{
	uint64_t at = r->offset, left = r->len_bytes;

	r->result = disk.fail ? MT_EIO : 0;
	ck_assert_uint_le(r->offset + (r->op == MT_BLOCK_FLUSH ? 0 : r->len_bytes), sizeof(disk.bytes));
	disk.flushes += r->op == MT_BLOCK_FLUSH;
	disk.discards += r->op == MT_BLOCK_DISCARD;
	disk.fuas += (r->flags & MT_BLOCK_FUA) != 0;
	if (r->result)
		return;
	if (r->op == MT_BLOCK_ZERO || r->op == MT_BLOCK_DISCARD)
		memset(disk.bytes + at, 0, left);
	for (uint32_t i = 0; i < r->iov_count && (r->op == MT_BLOCK_READ || r->op == MT_BLOCK_WRITE); i++) {
		uint64_t n = r->iov[i].len_bytes < left ? r->iov[i].len_bytes : left;

		if (r->op == MT_BLOCK_READ)
			memcpy(r->iov[i].hva, disk.bytes + at, n);
		else
			memcpy(disk.bytes + at, r->iov[i].hva, n);
		at += n;
		left -= n;
	}
	if (r->op == MT_BLOCK_READ || r->op == MT_BLOCK_WRITE)
		ck_assert_uint_eq(left, 0);
}

static inline void finish_all(void)
{
	for (uint32_t i = 0; i < disk.pending_count; i++) {
		execute(disk.pending[i]);
		ck_assert_uint_lt(disk.done_count, PENDING_MAX);
		disk.done[disk.done_count++] = disk.pending[i];
	}
	disk.pending_count = 0;
}

static inline uint32_t d_submit(struct mt_block *b, struct mt_block_req *const *reqs, uint32_t count)
{
	(void)b;
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_uint_lt(disk.pending_count, PENDING_MAX);
		disk.pending[disk.pending_count++] = reqs[i];
	}
	if (!disk.later)
		finish_all();
	return disk.done_count;
}

static inline uint32_t d_reap(struct mt_block *b, struct mt_block_req **done, uint32_t max)
{
	uint32_t n = disk.done_count < max ? disk.done_count : max;

	(void)b;
	memcpy(done, disk.done, n * sizeof(*done));
	memmove(disk.done, disk.done + n, (disk.done_count - n) * sizeof(*done));
	disk.done_count -= n;
	return n;
}

static inline void d_drain(struct mt_block *b)
{
	(void)b;
	finish_all();
}

static inline uint32_t d_in_flight(struct mt_block *b)
{
	(void)b;
	return disk.pending_count;
}

static inline uint32_t d_failed(struct mt_block *b, const struct mt_block_req *req)
{
	(void)b;
	ck_assert_int_ne(req->result, 0);
	disk.failed++;
	return disk.policy;
}

static const struct mt_block_host blocks = {
	.open = d_open, .info = d_info, .submit = d_submit, .reap = d_reap, .drain = d_drain, .in_flight = d_in_flight,
	.failed = d_failed,
};

/* What was late is done now. */
static inline void disk_ready(void)
{
	finish_all();
	disk.front->ready(disk.self);
}

static inline const void *get(const struct mt_host *h, const char *id)
{
	return strcmp(id, MT_IFACE_BLOCK) == 0 ? &blocks : real_get(h, id);
}

/* The driver */

static struct { uint32_t tail, head, phase; } queue[8];

static inline struct fake *make(void)
{
	struct fake *made = fake_new("dev-nvme");
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(made);

	real_get = host->get_interface;
	host->get_interface = get;
	fake_prop(made, "bus", "pci");
	fake_prop(made, "block", "disk");
	fake_prop(made, "serial", "S123");
	fake_prop(made, "queues", "4");
	fake_prop(made, "queue-size", "64");
	return made;
}

static inline void setup(void)
{
	memset(&disk, 0, sizeof(disk));
	memset(queue, 0, sizeof(queue));
	f = make();
	disk.discard_bytes = 4096;
	disk.flags = MT_BLOCK_INFO_VOLATILE;
	fake_start(f);
	fake_pci_master(f, 1);
}

static inline void teardown(void)
{
	fake_free(f);
}

static inline void enable(void)
{
	fake_put(f, 0x24, 4, (ENTRIES - 1) << 16 | (ENTRIES - 1));
	fake_put(f, 0x28, 8, ASQ);
	fake_put(f, 0x30, 8, ACQ);
	fake_put(f, 0x14, 4, 0x460001);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 1);
	queue[0].phase = 1;
	queue[0].tail = queue[0].head = 0;
	memset(fake_ram_at(f, ASQ), 0, 0x2000);
}

static inline uint64_t sq_at(uint32_t q) { return q ? SQ(q) : ASQ; }
static inline uint64_t cq_at(uint32_t q) { return q ? CQ(q) : ACQ; }

static inline void post(uint32_t q, struct nvme_command c)
{
	memcpy(fake_ram_at(f, sq_at(q) + 64 * queue[q].tail), &c, 64);
	queue[q].tail = (queue[q].tail + 1) % ENTRIES;
}

static inline void ring(uint32_t q)
{
	fake_put(f, 0x1000 + 8 * q, 4, queue[q].tail);
}

/* 1: there was a completion; it stays in its place until `take_done`. */
static inline uint32_t take(uint32_t q, struct nvme_completion *c)
{
	memcpy(c, fake_ram_at(f, cq_at(q) + 16 * queue[q].head), 16);
	if ((c->status & 1) != queue[q].phase)
		return 0;
	c->status >>= 1;
	if (++queue[q].head == ENTRIES) {
		queue[q].head = 0;
		queue[q].phase ^= 1;
	}
	return 1;
}

static inline void take_done(uint32_t q)
{
	fake_put(f, 0x1004 + 8 * q, 4, queue[q].head);
}

static inline uint32_t command(uint32_t q, struct nvme_command c, uint32_t *result)
{
	static uint16_t cid;
	struct nvme_completion done;

	c.cid = ++cid;
	post(q, c);
	ring(q);
	ck_assert_uint_eq(take(q, &done), 1);
	take_done(q);
	ck_assert_uint_eq(done.cid, cid);
	ck_assert_uint_eq(done.sqid, q);
	ck_assert_uint_eq(done.sq_head, queue[q].tail);
	if (result)
		*result = done.result;
	return done.status & 0x7ff;
}

#define COMMAND(q, ...) command(q, (struct nvme_command){ __VA_ARGS__ }, NULL)

static inline void make_queues(uint32_t q)
{
	queue[q].tail = queue[q].head = 0;
	queue[q].phase = 1;
	memset(fake_ram_at(f, SQ(q)), 0, 0x2000);
	ck_assert_uint_eq(COMMAND(0, .opcode = 5, .prp1 = CQ(q), .cdw10 = (ENTRIES - 1) << 16 | q,
				  .cdw11 = q << 16 | 3), 0);
	ck_assert_uint_eq(COMMAND(0, .opcode = 1, .prp1 = SQ(q), .cdw10 = (ENTRIES - 1) << 16 | q,
				  .cdw11 = q << 16 | 1), 0);
}

#endif
