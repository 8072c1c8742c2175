// SPDX-License-Identifier: MIT
/* The commands of mortise io, in the spirit of qemu-io; the table is at the end. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/request.h"
#include "kernel/img/io.h"
#include "kernel/img/out.h"

#define BUFFER_MAX    (1ull << 30)
#define PATTERN_WRITE 0xcd

/* A request that may be pending, with its memory. */
struct transfer {
	struct io *io;
	struct mt_block_req req;
	struct mt_iov iov;
	uint8_t *buf;
	bool quiet, check, dump;
	uint8_t pattern;
	uint64_t check_from, check_len;
	int64_t start_us;
};

static bool size_arg(struct io *io, const char *text, uint64_t *out)
{
	if (img_size(text, out))
		return true;
	io_fail(io, "'%s' is no number of bytes", text);
	return false;
}

static bool size_flag(struct io *io, const struct io_args *args, char flag, uint64_t deflt, uint64_t *out)
{
	*out = deflt;
	return !args->value[(int)flag] || size_arg(io, args->value[(int)flag], out);
}

/* Results */

static void tell_rate(uint64_t bytes, int64_t start_us)
{
	double seconds = (double)(g_get_monotonic_time() - start_us) / 1e6;
	char size[32], rate[32];

	seconds = seconds > 0 ? seconds : 1e-6;
	printf("%s, 1 ops; %05.2f sec (%s/sec and %.4f ops/sec)\n", out_size(size, bytes), seconds,
	       out_size(rate, (uint64_t)((double)bytes / seconds)), 1 / seconds);
}

static const char *word_of(const struct mt_block_req *req)
{
	return req->op == MT_BLOCK_READ ? "read" : req->op == MT_BLOCK_DISCARD ? "discard" : "wrote";
}

static const char *reason_of(int32_t code)
{
	switch (code) {
	case MT_ENOSPC: return "No space left on device";
	case MT_EPERM: return "Operation not permitted";
	case MT_ENOTSUP: return "Operation not supported";
	case MT_ERANGE: return "beyond the end of the disk";
	case MT_EINVAL: return "Invalid argument";
	case MT_ENOMEM: return "Cannot allocate memory";
	}
	return "Input/output error";
}

static void dump(const struct transfer *t)
{
	for (uint64_t at = 0; at < t->req.len_bytes; at += 16) {
		uint64_t n = MIN(16, t->req.len_bytes - at);

		printf("%08" PRIx64 ":  ", t->req.offset + at);
		for (uint64_t i = 0; i < 16; i++)
			printf(i < n ? "%02x " : "   ", i < n ? t->buf[at + i] : 0);
		putchar(' ');
		for (uint64_t i = 0; i < n; i++)
			putchar(g_ascii_isprint(t->buf[at + i]) ? t->buf[at + i] : '.');
		putchar('\n');
	}
}

static bool pattern_is(const uint8_t *buf, uint64_t len, uint8_t pattern)
{
	return !len || (buf[0] == pattern && !memcmp(buf, buf + 1, len - 1));
}

static void verify(struct transfer *t)
{
	if (t->check && !pattern_is(t->buf + t->check_from, t->check_len, t->pattern))
		io_fail(t->io, "Pattern verification failed at offset %" PRIu64 ", %" PRIu64 " bytes",
			t->req.offset + t->check_from, t->check_len);
}

static int transfer_end(struct transfer *t)
{
	const struct mt_block_req *req = &t->req;
	int32_t rc = req->result;

	if (rc < 0) {
		io_fail(t->io, "%s failed at offset %" PRIu64 ": %s", req->op == MT_BLOCK_READ ? "read" :
			req->op == MT_BLOCK_DISCARD ? "discard" : "write", req->offset, reason_of(rc));
	} else {
		verify(t);
		if (t->dump)
			dump(t);
		if (!t->quiet) {
			printf("%s %" PRIu64 "/%" PRIu64 " bytes at offset %" PRIu64 "\n", word_of(req), req->len_bytes,
			       req->len_bytes, req->offset);
			tell_rate(req->len_bytes, t->start_us);
		}
	}
	free(t->buf);
	g_free(t);
	return rc < 0;
}

/* Requests */

static struct transfer *transfer_new(struct io *io, const struct io_args *args, uint32_t op, uint64_t offset,
				     uint64_t len)
{
	struct transfer *t = g_new0(struct transfer, 1);
	bool data = op == MT_BLOCK_READ || op == MT_BLOCK_WRITE;

	t->io = io;
	t->quiet = io->quiet || args->flag['q'];
	t->dump = args->flag['v'];
	t->req = (struct mt_block_req){ .op = op, .offset = offset, .len_bytes = len, .user = t };
	if (data && (len > BUFFER_MAX || posix_memalign((void **)&t->buf, 4096, len ? len : 1))) {
		io_fail(io, "%" PRIu64 " bytes are too many for one request", len);
		g_free(t);
		return NULL;
	}
	if (data) {
		t->iov = (struct mt_iov){ .hva = t->buf, .len_bytes = len };
		t->req.iov = &t->iov;
		t->req.iov_count = 1;
	}
	return t;
}

static int transfer_run(struct transfer *t, bool wait)
{
	struct mt_block_req *req = &t->req, *done;
	struct io *io = t->io;

	t->start_us = g_get_monotonic_time();
	request_submit(io->image->block, &req, 1);
	io->pending++;
	if (!wait)
		return 0;
	/* pending ones may end before it: each is told as it comes */
	for (bool mine = false; !mine;) {
		if (!request_reap(io->image->block, &done, 1)) {
			request_wait(io->image->block);
			continue;
		}
		io->pending--;
		mine = done == req;
		if (!mine)
			transfer_end(done->user);
	}
	return transfer_end(t);
}

void io_wait(struct io *io)
{
	struct mt_block_req *done;

	while (io->pending) {
		if (!request_reap(io->image->block, &done, 1)) {
			request_wait(io->image->block);
			continue;
		}
		io->pending--;
		transfer_end(done->user);
	}
}

/* "OFFSET LEN [LEN...]": the lengths are added up. */
static bool range_read(struct io *io, const struct io_args *args, uint64_t *offset, uint64_t *len)
{
	uint64_t one;

	if (!size_arg(io, args->words[0], offset))
		return false;
	*len = 0;
	for (int i = 1; i < args->count; i++) {
		if (!size_arg(io, args->words[i], &one))
			return false;
		*len += one;
	}
	return true;
}

static int read_any(struct io *io, const struct io_args *args, bool wait)
{
	uint64_t offset, len, pattern, from, check;
	struct transfer *t;

	if (!range_read(io, args, &offset, &len) || !size_flag(io, args, 'P', 0, &pattern) ||
	    !size_flag(io, args, 's', 0, &from) || !size_flag(io, args, 'l', from < len ? len - from : 0, &check))
		return 1;
	if (from > len || check > len - from) {
		io_fail(io, "what is to be checked lies beyond what is read");
		return 1;
	}
	t = transfer_new(io, args, MT_BLOCK_READ, offset, len);
	if (!t)
		return 1;
	t->check = args->flag['P'];
	t->pattern = (uint8_t)pattern;
	t->check_from = from;
	t->check_len = check;
	return transfer_run(t, wait);
}

static int run_read(struct io *io, const struct io_args *args)
{
	return read_any(io, args, true);
}

static int run_aio_read(struct io *io, const struct io_args *args)
{
	return read_any(io, args, false);
}

/* The file's contents, over and over. */
static bool fill_from(struct io *io, const char *path, uint8_t *buf, uint64_t len)
{
	GError *error = NULL;
	gsize size = 0;
	char *text;

	if (!g_file_get_contents(path, &text, &size, &error) || !size) {
		io_fail(io, "%s", error ? error->message : "the file is empty");
		g_clear_error(&error);
		return false;
	}
	for (uint64_t at = 0; at < len; at++)
		buf[at] = (uint8_t)text[at % size];
	g_free(text);
	return true;
}

static uint32_t write_flags(const struct io_args *args, bool zeros)
{
	uint32_t flags = args->flag['f'] ? MT_BLOCK_FUA : 0;

	if (zeros && args->flag['u'])
		flags |= MT_BLOCK_MAY_UNMAP;
	if (!zeros && args->flag['c'])
		flags |= MT_BLOCK_ENCODE;
	return flags;
}

static int write_any(struct io *io, const struct io_args *args, bool wait)
{
	bool zeros = args->flag['z'];
	uint64_t offset, len, pattern;
	struct transfer *t;

	if (!range_read(io, args, &offset, &len) || !size_flag(io, args, 'P', PATTERN_WRITE, &pattern))
		return 1;
	t = transfer_new(io, args, zeros ? MT_BLOCK_ZERO : MT_BLOCK_WRITE, offset, len);
	if (!t)
		return 1;
	t->req.flags = write_flags(args, zeros);
	if (t->buf)
		memset(t->buf, (int)pattern, len);
	if (t->buf && args->value['s'] && !fill_from(io, args->value['s'], t->buf, len)) {
		free(t->buf);
		g_free(t);
		return 1;
	}
	return transfer_run(t, wait);
}

static int run_write(struct io *io, const struct io_args *args)
{
	return write_any(io, args, true);
}

static int run_aio_write(struct io *io, const struct io_args *args)
{
	return write_any(io, args, false);
}

static int run_aio_flush(struct io *io, const struct io_args *args)
{
	(void)args;
	io_wait(io);
	return 0;
}

static int run_discard(struct io *io, const struct io_args *args)
{
	uint64_t offset, len;
	struct transfer *t;

	if (!range_read(io, args, &offset, &len))
		return 1;
	t = transfer_new(io, args, MT_BLOCK_DISCARD, offset, len);
	return t ? transfer_run(t, true) : 1;
}

static int run_flush(struct io *io, const struct io_args *args)
{
	int32_t rc;

	(void)args;
	io_wait(io);
	rc = request_do(io->image->block, MT_BLOCK_FLUSH, 0, 0, NULL, 0);
	if (rc < 0)
		io_fail(io, "flush failed: %s", reason_of(rc));
	return rc < 0;
}

/* What the image is */

static int run_length(struct io *io, const struct io_args *args)
{
	char size[32];

	(void)args;
	puts(out_size(size, image_bytes(io->image)));
	return 0;
}

static int run_info(struct io *io, const struct io_args *args)
{
	const struct mt_block_info *info = image_info(io->image);

	(void)args;
	printf("format name: %s\nvirtual size: %" PRIu64 "\nblock: %u\nunit: %u\n", io->image->format,
	       info->disk_bytes, info->block_bytes, info->unit_bytes);
	return 0;
}

/* Bytes from `offset` on that the top layer has (or has not), as far as they are alike. */
static bool same_layer(struct io *io, uint64_t offset, uint64_t end, uint64_t *len, bool *here)
{
	struct block_status status;
	uint64_t at = offset;

	while (at < end) {
		bool now;

		if (status_get(io->image->node, at, end - at, &status) < 0) {
			io_fail(io, "the image is damaged at offset %" PRIu64, at);
			return false;
		}
		now = status.depth == 0 && status.flags & BLOCK_STATUS_ALLOCATED;
		if (at == offset)
			*here = now;
		else if (now != *here)
			break;
		at += status.len_bytes;
	}
	*len = at - offset;
	return true;
}

static int run_alloc(struct io *io, const struct io_args *args)
{
	uint64_t offset, count = 512, sum = 0, len = 0;
	bool here = false;
	char size[32];

	if (!size_arg(io, args->words[0], &offset) || (args->count > 1 && !size_arg(io, args->words[1], &count)))
		return 1;
	if (offset > image_bytes(io->image) || count > image_bytes(io->image) - offset) {
		io_fail(io, "that is beyond the end of the disk");
		return 1;
	}
	for (uint64_t at = offset; at < offset + count; at += len) {
		if (!same_layer(io, at, offset + count, &len, &here))
			return 1;
		sum += here ? len : 0;
	}
	printf("%" PRIu64 "/%" PRIu64 " bytes allocated at offset %s\n", sum, count, out_size(size, offset));
	return 0;
}

static int run_map(struct io *io, const struct io_args *args)
{
	uint64_t end = image_bytes(io->image), len = 0;
	char size[32], from[32];
	bool here = false;

	(void)args;
	for (uint64_t at = 0; at < end; at += len) {
		if (!same_layer(io, at, end, &len, &here))
			return 1;
		printf("%s (0x%" PRIx64 ") bytes %s allocated at offset %s (0x%" PRIx64 ")\n", out_size(size, len), len,
		       here ? "   " : "not", out_size(from, at), at);
	}
	return 0;
}

/* Changes of it as a whole */

static int fault(struct io *io)
{
	io_fail(io, "%s", io->img->err.message);
	return 1;
}

static int run_truncate(struct io *io, const struct io_args *args)
{
	uint32_t prealloc;
	uint64_t bytes;

	if (!size_arg(io, args->words[0], &bytes) || !img_prealloc(args->value['m'] ? args->value['m'] : "off", &prealloc))
		return 1;
	io_wait(io);
	return image_resize(io->image, bytes, MT_BLOCK_RESIZE_SHRINK, prealloc, &io->img->err) < 0 ? fault(io) : 0;
}

static int run_snapshot(struct io *io, const struct io_args *args)
{
	static const char *const words[] = { "create", "apply", "delete" };

	io_wait(io);
	for (int i = 0; i < 3; i++) {
		if (!strcmp(args->words[0], words[i]))
			return image_snapshot(io->image, (enum image_snapshot_op)i, args->words[1], &io->img->err) < 0 ?
			       fault(io) : 0;
	}
	io_fail(io, "'%s' is nothing to do with a snapshot; there are create, apply and delete", args->words[0]);
	return 1;
}

static int run_reopen(struct io *io, const struct io_args *args)
{
	bool readonly = args->flag['r'] || (!args->flag['w'] && !io->image->write);

	io_wait(io);
	if (image_close(io->image) < 0)
		io_fail(io, "the last changes could not be written");
	io->image = NULL;
	if (io_open(io, readonly) == 0)
		return 0;
	io->quit = true;
	io->failures++;
	return 1;
}

/* The process */

static int run_sleep(struct io *io, const struct io_args *args)
{
	uint64_t ms;

	if (!size_arg(io, args->words[0], &ms))
		return 1;
	fflush(stdout);
	g_usleep((gulong)MIN(ms, 3600000) * 1000);
	return 0;
}

static int run_sigraise(struct io *io, const struct io_args *args)
{
	uint64_t number;

	if (!size_arg(io, args->words[0], &number))
		return 1;
	fflush(stdout);
	return raise((int)MIN(number, 64)) != 0;
}

static int run_abort(struct io *io, const struct io_args *args)
{
	(void)io, (void)args;
	fflush(stdout);
	abort();
}

static int run_quit(struct io *io, const struct io_args *args)
{
	(void)args;
	io->quit = true;
	return 0;
}

static int run_help(struct io *io, const struct io_args *args)
{
	(void)io, (void)args;
	for (const struct io_command *c = io_commands; c->name; c++)
		printf("%-10s %-44s %s\n", c->name, c->operands, c->help);
	return 0;
}

const struct io_command io_commands[] = {
	{ "read", "readv", "P:s:l:vq", 2, -1, "[-qv] [-P PATTERN [-s FROM] [-l LEN]] OFFSET LEN...",
	  "read; with -P, check", run_read },
	{ "write", "writev", "P:s:zucfq", 2, -1, "[-cfquz] [-P PATTERN | -s FILE] OFFSET LEN...",
	  "write; -z zeros, -u may unmap, -c compress, -f durable", run_write },
	{ "aio_read", NULL, "P:s:l:vq", 2, -1, "as read", "begin a read, and go on", run_aio_read },
	{ "aio_write", NULL, "P:s:zucfq", 2, -1, "as write", "begin a write, and go on", run_aio_write },
	{ "aio_flush", NULL, "", 0, 0, "", "wait for all that was begun", run_aio_flush },
	{ "discard", NULL, "q", 2, 2, "[-q] OFFSET LEN", "give space back", run_discard },
	{ "flush", NULL, "", 0, 0, "", "make what was written durable", run_flush },
	{ "alloc", NULL, "", 1, 2, "OFFSET [LEN]", "tell how much of it the image has itself", run_alloc },
	{ "map", NULL, "", 0, 0, "", "tell what the image has itself", run_map },
	{ "length", NULL, "", 0, 0, "", "tell the size of the disk", run_length },
	{ "info", NULL, "", 0, 0, "", "tell what the image is", run_info },
	{ "truncate", NULL, "m:", 1, 1, "[-m PREALLOCATION] SIZE", "change the size of the disk", run_truncate },
	{ "snapshot", NULL, "", 2, 2, "create|apply|delete NAME", "internal snapshots", run_snapshot },
	{ "reopen", NULL, "rw", 0, 0, "[-r|-w]", "close the image and open it again", run_reopen },
	{ "sleep", NULL, "", 1, 1, "MILLISECONDS", "do nothing", run_sleep },
	{ "sigraise", NULL, "", 1, 1, "SIGNAL", "send a signal to oneself", run_sigraise },
	{ "abort", NULL, "", 0, 0, "", "crash", run_abort },
	{ "quit", NULL, "", 0, 0, "", "end", run_quit },
	{ "help", NULL, "", 0, 0, "", "this list", run_help },
	{ NULL, NULL, NULL, 0, 0, NULL, NULL, NULL },
};
