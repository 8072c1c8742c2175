// SPDX-License-Identifier: MIT
/* mortise img bench: many requests of one size, so many at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/block/request.h"
#include "kernel/img/img.h"

struct slot {
	struct mt_block_req req;
	struct mt_iov iov;
};

struct bench {
	struct image *image;
	uint64_t count, depth, offset, size, step, flush_every, pattern;
	uint64_t begun, ended, at, since_flush;
	bool write;
	uint8_t *memory;
	struct slot *slots, **idle;
	uint32_t idle_count;
};

static bool options_read(const struct img *img, struct bench *b)
{
	b->write = cli_flag(img->args, "write");
	return img_number(img, "count", 75000, UINT32_MAX, &b->count) && img_number(img, "depth", 64, 1024, &b->depth) &&
	       img_number(img, "offset", 0, INT64_MAX, &b->offset) &&
	       img_number(img, "buffer-size", 4096, 64 << 20, &b->size) &&
	       img_number(img, "step-size", b->size, 1 << 30, &b->step) &&
	       img_number(img, "flush-interval", 0, UINT32_MAX, &b->flush_every) &&
	       img_number(img, "pattern", 0, 255, &b->pattern);
}

static bool slots_make(struct bench *b)
{
	uint64_t disk = image_bytes(b->image);

	b->depth = MAX(b->depth, 1);
	b->step = b->step ? b->step : b->size;
	if (!b->size || b->size > disk || b->offset > disk - b->size)
		return img_fail("the disk is too small for such requests") == 0;
	if (posix_memalign((void **)&b->memory, 4096, b->size * b->depth))
		return img_fail("out of memory") == 0;
	memset(b->memory, (int)b->pattern, b->size * b->depth);
	b->slots = g_new0(struct slot, b->depth);
	b->idle = g_new0(struct slot *, b->depth);
	for (uint64_t i = 0; i < b->depth; i++) {
		b->slots[i].iov = (struct mt_iov){ .hva = b->memory + i * b->size, .len_bytes = b->size };
		b->idle[b->idle_count++] = &b->slots[i];
	}
	b->at = b->offset;
	return true;
}

static struct mt_block_req *next(struct bench *b)
{
	struct slot *slot = b->idle[--b->idle_count];
	bool flush = b->write && b->flush_every && b->since_flush >= b->flush_every;

	slot->req = (struct mt_block_req){ .op = flush ? MT_BLOCK_FLUSH : b->write ? MT_BLOCK_WRITE : MT_BLOCK_READ,
					   .user = slot };
	if (!flush) {
		slot->req.offset = b->at;
		slot->req.len_bytes = b->size;
		slot->req.iov = &slot->iov;
		slot->req.iov_count = 1;
		b->begun++;
		b->at += b->step;
		if (b->at > image_bytes(b->image) - b->size)
			b->at = b->offset;
	}
	b->since_flush = flush ? 0 : b->since_flush + 1;
	return &slot->req;
}

/* All that are idle, as a guest that fills its ring and kicks once. */
static void begin(struct bench *b)
{
	struct mt_block_req *reqs[64];
	uint32_t n = 0;

	while (n < G_N_ELEMENTS(reqs) && b->idle_count && b->begun < b->count)
		reqs[n++] = next(b);
	if (n)
		request_submit(b->image->block, reqs, n);
}

static int work(struct bench *b)
{
	struct mt_block_req *done[64];
	int code = 0;

	while (b->begun < b->count || b->idle_count < b->depth) {
		uint32_t n;

		while (!code && b->idle_count && b->begun < b->count)
			begin(b);
		n = request_reap(b->image->block, done, 64);
		for (uint32_t i = 0; i < n; i++) {
			b->idle[b->idle_count++] = done[i]->user;
			if (done[i]->result < 0)
				code = img_fail("a request at byte %" PRIu64 " failed (%d)", done[i]->offset, done[i]->result);
		}
		if (code && b->idle_count == b->depth)
			break;
		if (!n && b->idle_count < b->depth)
			request_wait(b->image->block);
	}
	return code;
}

static int bench(struct img *img, struct bench *b)
{
	int64_t start;
	int code;

	if (!slots_make(b))
		return 1;
	img_say(img, "Sending %" PRIu64 " %s requests, %" PRIu64 " bytes each, %" PRIu64
		" in parallel (starting at offset %" PRIu64 ", step size %" PRIu64 ")", b->count,
		b->write ? "write" : "read", b->size, b->depth, b->offset, b->step);
	start = g_get_monotonic_time();
	code = work(b);
	if (!code)
		img_say(img, "Run completed in %.3f seconds.", (double)(g_get_monotonic_time() - start) / 1e6);
	return code;
}

static int run(struct img *img)
{
	struct image_options options = img_open_options(img);
	const char *format = cli_value(img->args, "format"), *cache = cli_value(img->args, "cache");
	struct bench b = { 0 };
	int code;

	if (!options_read(img, &b) || !img_engine(cli_value(img->args, "aio"), &options.engine) ||
	    (cache && !img_cache(cache, &options.cache)))
		return 1;
	b.image = b.write ? img_open_write(img, cli_operand(img->args, 0), format, &options) :
			    img_open_read(img, cli_operand(img->args, 0), format, &options);
	if (!b.image)
		return img_fault(img);
	code = bench(img, &b);
	if (image_close(b.image) < 0)
		code = img_fail("the last changes could not be written");
	g_free(b.slots);
	g_free(b.idle);
	free(b.memory);
	return code;
}

static const struct cli_option options[] = {
	{ 'c', "count", "N", "how many requests (75000)" },
	{ 'd', "depth", "N", "how many at a time (64)" },
	{ 'o', "offset", "BYTES", "begin there" },
	{ 's', "buffer-size", "BYTES", "size of a request (4096)" },
	{ 'S', "step-size", "BYTES", "from one request to the next; without: the size of one" },
	{ 'w', "write", NULL, "write, in place of reading" },
	{ 0, "flush-interval", "N", "flush after so many writes" },
	{ 0, "no-drain", NULL, "accepted: a flush never waits for the queue to be empty" },
	{ 'i', "aio", "io_uring|threads", "how input and output are done; io_uring where the host has it" },
	{ 0, "pattern", "BYTE", "what is written (0)" },
	{ 't', "cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_quiet, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_bench = {
	.verb = { .name = "img bench", .operands = "FILE", .summary = "tell how fast an image is",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};
