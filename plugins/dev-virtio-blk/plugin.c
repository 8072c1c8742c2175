/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-blk: a disk, Virtio 1.2 section 5.2. All under the instance lock.
 * A kick ([vcpu]) pops a batch, submits it with one call, and takes back at once what the host had in its page
 * cache; the rest comes by `ready` ([io]). Either way answers are pushed in batches, with one signal a queue.
 * Requests live in a pool that grows to what was in flight at most, which the rings bound. What failed and is kept
 * stands in the saved state of the rings: a restored device pops it once more.
 */
#define MT_NOTE_NAME     "dev-virtio-blk"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "virtio disk"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.virtqueue/1 mortise.block/1 mortise.loop/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define BLK_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.virtio-bus/1", "", MT_PROPF_REQUIRED, \
	  "virtio slot of the device") \
	P(c, block, "block", MT_PROP_REF, "", "mortise.block-format/1", "", MT_PROPF_REQUIRED, \
	  "the disk's contents") \
	MT_BLOCK_FRONT_PROPS(P, c) \
	P(c, serial, "serial", MT_PROP_STRING, "", "", "", 0, "serial number that the guest reads, up to 20 bytes") \
	P(c, queues, "queues", MT_PROP_INT, "1", "1..16", "", 0, "number of request queues") \
	P(c, queue_size, "queue-size", MT_PROP_INT, "256", "2..1024", "", 0, "entries of a queue, a power of two")
#define MT_NOTE_CLASSES(C) \
	C(blk, "dev-virtio-blk", MT_KIND_DEVICE, 0, \
	  MT_NOTE_SUMMARY, "mortise.virtio-device/1", BLK_PROPS)

#include <mortise/draft/block.h>
#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "request.h"

#define DEVICE_ID 2u
#define QUEUES_MAX 16u
#define BATCH 64u
#define KICK_REQUESTS 1024u     /* of one kick; the loop goes on, so that no vCPU is held for ever */
#define SEGMENTS_MAX 254u

#define F_SEG_MAX      (1ull << 2)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/* Section 5.2.4; little-endian, as the host. */
struct config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint16_t cylinders;
	uint8_t heads, sectors;
	uint32_t blk_size;
	uint8_t physical_block_exp, alignment_offset;
	uint16_t min_io_size;
	uint32_t opt_io_size;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t max_discard_sectors, max_discard_seg, discard_sector_alignment;
	uint32_t max_write_zeroes_sectors, max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap, unused1[3];
};
_Static_assert(sizeof(struct config) == 64, "as in the specification, with padding at the end");
#define CONFIG_BYTES 60u
#define CONFIG_WRITEBACK 32u

struct request {
	struct mt_block_req io;
	struct mt_vq_elem *elem;
	uint32_t queue;
	struct request *next;
};

/* Answers of one queue that are not pushed yet. */
struct answers {
	uint32_t queue, count;
	uint32_t touched;                    /* queues to signal */
	struct mt_vq_elem *elems[BATCH];
	uint32_t written[BATCH];
};

struct blk {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_virtqueue_host *virtio;
	const struct mt_block_host *blocks;
	const struct mt_loop_host *loop;
	const struct mt_log_host *log;
	struct mt_block *block;
	struct mt_deferred *more;
	struct mt_vq *vqs[QUEUES_MAX];       /* NULL: not enabled, or not running */
	uint32_t queue_count, queue_size, running;
	uint32_t more_queues;
	uint64_t offered, features;
	struct blk_disk disk;
	struct config config;
	struct request *free;
	struct request *kept, **kept_last;   /* failed, until the machine goes on; in the rings they are in flight */
};

/* Answers */

static void answers_push(struct blk *b, struct answers *a)
{
	if (a->count)
		b->virtio->push(b->vqs[a->queue], a->elems, a->written, a->count);
	a->count = 0;
}

static void answer(struct blk *b, struct answers *a, uint32_t queue, struct mt_vq_elem *elem, uint8_t status)
{
	if (a->count == BATCH || a->queue != queue)
		answers_push(b, a);
	b->virtio->copy_in(elem, elem->in_bytes - 1, &status, 1);
	a->queue = queue;
	a->touched |= 1u << queue;
	a->elems[a->count] = elem;
	a->written[a->count++] = (uint32_t)elem->in_bytes;
}

static void answers_end(struct blk *b, struct answers *a)
{
	answers_push(b, a);
	for (uint32_t i = 0; i < b->queue_count; i++) {
		if (a->touched & 1u << i)
			b->virtio->signal(b->vqs[i]);
	}
}

static uint8_t status_of(int32_t result)
{
	return result == 0 ? BLK_S_OK : result == MT_ENOTSUP ? BLK_S_UNSUPP : BLK_S_IOERR;
}

static void request_free(struct blk *b, struct request *r)
{
	r->next = b->free;
	b->free = r;
}

static void complain(struct blk *b, const struct mt_block_req *io)
{
	char text[128];

	snprintf(text, sizeof(text), "request %u of %llu bytes at %llu failed (%d)", io->op,
		 (unsigned long long)io->len_bytes, (unsigned long long)io->offset, io->result);
	b->log->message(b->inst, MT_LOG_WARN, text);
}

/* What failed, as the user wants it. 0: it is kept. */
static uint32_t settled(struct blk *b, struct request *r)
{
	uint32_t what = b->blocks->failed(b->block, &r->io);

	complain(b, &r->io);
	if (what == MT_BLOCK_FAILED_IGNORE)
		r->io.result = 0;
	if (what != MT_BLOCK_FAILED_KEEP)
		return 1;
	r->next = NULL;
	*b->kept_last = r;
	b->kept_last = &r->next;
	return 0;
}

static uint32_t answer_done(struct blk *b, struct answers *a)
{
	struct mt_block_req *done[BATCH];
	uint32_t n = b->blocks->reap(b->block, done, BATCH);

	for (uint32_t i = 0; i < n; i++) {
		struct request *r = done[i]->user;

		if (done[i]->result && b->running && !settled(b, r))
			continue;
		if (b->running)
			answer(b, a, r->queue, r->elem, status_of(done[i]->result));
		request_free(b, r);
	}
	return n;
}

static void blk_ready(void *self)
{
	struct answers a = { 0 };
	struct blk *b = self;

	while (answer_done(b, &a) == BATCH)
		;
	answers_end(b, &a);
}

/* [io] Section 5.2.5: the driver hears of the new capacity by a change of the configuration. */
static void blk_changed(void *self)
{
	struct mt_block_info info = { .size = sizeof(info) };
	struct blk *b = self;

	b->blocks->info(b->block, &info);
	if (info.disk_bytes == b->disk.bytes)
		return;
	b->disk.bytes = info.disk_bytes;
	b->config.capacity = info.disk_bytes / BLK_SECTOR_BYTES;
	b->virtio->config_changed(b->inst);
}

/* Requests */

static struct request *request_take(struct blk *b)
{
	struct request *r = b->free;

	if (r)
		b->free = r->next;
	else
		r = malloc(sizeof(*r));
	return r;
}

/* 1 when `*io` is to be submitted. */
static uint32_t begin(struct blk *b, struct answers *a, uint32_t queue, struct mt_vq_elem *elem,
		      struct mt_block_req **io)
{
	struct request *r = request_take(b);
	uint8_t status = BLK_S_IOERR;
	enum blk_verdict verdict;

	if (!r) {
		b->virtio->broken(b->inst, "the host is out of memory");
		return 0;
	}
	verdict = blk_request_parse(&b->disk, b->virtio, elem, &r->io, &status);
	if (verdict == BLK_SUBMIT) {
		r->elem = elem;
		r->queue = queue;
		r->io.user = r;
		*io = &r->io;
		return 1;
	}
	request_free(b, r);
	if (verdict == BLK_ANSWER)
		answer(b, a, queue, elem, status);
	else
		b->virtio->broken(b->inst, "a request has no room for its header or status");
	return 0;
}

/* The number of requests taken. */
static uint32_t serve_batch(struct blk *b, struct answers *a, uint32_t queue)
{
	struct mt_vq_elem *elems[BATCH];
	struct mt_block_req *ios[BATCH];
	uint32_t n = b->virtio->pop(b->vqs[queue], elems, BATCH), count = 0;

	for (uint32_t i = 0; i < n; i++)
		count += begin(b, a, queue, elems[i], &ios[count]);
	if (count && b->blocks->submit(b->block, ios, count)) {
		while (answer_done(b, a) == BATCH)
			;
	}
	return n;
}

static void serve(struct blk *b, uint32_t queue)
{
	struct answers a = { 0 };
	uint32_t taken = 0, n;

	if (!b->running || !b->vqs[queue])
		return;
	do {
		n = serve_batch(b, &a, queue);
		taken += n;
	} while (n == BATCH && taken < KICK_REQUESTS);
	answers_end(b, &a);
	if (n == BATCH) {
		b->more_queues |= 1u << queue;
		b->loop->deferred_post(b->more);
	}
}

static void serve_more(void *arg)
{
	struct blk *b = arg;
	uint32_t queues = b->more_queues;

	b->more_queues = 0;
	for (uint32_t i = 0; i < b->queue_count; i++) {
		if (queues & 1u << i)
			serve(b, i);
	}
}

/* Virtio */

static void blk_describe(void *self, struct mt_virtio_desc *out)
{
	struct blk *b = self;

	out->device_id = DEVICE_ID;
	out->features = b->offered;
	out->config_bytes = CONFIG_BYTES;
	out->queue_count = b->queue_count;
	for (uint32_t i = 0; i < b->queue_count; i++)
		out->queue_max[i] = (uint16_t)b->queue_size;
}

static void blk_config_read(void *self, uint32_t offset, void *buf, uint32_t len_bytes)
{
	struct blk *b = self;

	memcpy(buf, (const uint8_t *)&b->config + offset, len_bytes);
}

/* Section 5.2.5: without FLUSH, or with the cache switched off, a write is durable when it is answered. */
static void cache_mode(struct blk *b)
{
	b->disk.writethrough = !(b->features & F_FLUSH) ||
			       (b->features & F_CONFIG_WCE && !b->config.writeback);
}

static void blk_config_write(void *self, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	struct blk *b = self;

	if (offset != CONFIG_WRITEBACK || len_bytes != 1 || !(b->features & F_CONFIG_WCE))
		return;
	b->config.writeback = *(const uint8_t *)buf & 1;
	cache_mode(b);
}

static void blk_start(void *self, uint64_t features)
{
	struct blk *b = self;

	b->features = features;
	cache_mode(b);
	for (uint32_t i = 0; i < b->queue_count; i++)
		b->vqs[i] = b->virtio->queue(b->inst, i);
	b->running = 1;
}

/* All that was kept, again or never. */
static void kept_end(struct blk *b, uint32_t again)
{
	struct request *r = b->kept;

	b->kept = NULL;
	b->kept_last = &b->kept;
	for (struct request *next; r; r = next) {
		struct mt_block_req *io = &r->io;

		next = r->next;
		if (again)
			b->blocks->submit(b->block, &io, 1);
		else
			request_free(b, r);
	}
}

static void blk_stop(void *self)
{
	struct blk *b = self;
	struct answers none = { 0 };

	b->running = 0;
	if (!b->block)
		return;                      /* realize failed before the disk was open */
	b->blocks->drain(b->block);
	while (answer_done(b, &none))
		;
	kept_end(b, 0);
	memset(b->vqs, 0, sizeof(b->vqs));
	b->more_queues = 0;
	b->features = 0;
	b->config.writeback = 1;
}

static void blk_notify(void *self, uint32_t queue)
{
	serve(self, queue);
}

/* Life */

static const struct mt_block_front blk_front = { .ready = blk_ready, .changed = blk_changed };

static int blk_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct blk *b = calloc(1, sizeof(*b));

	if (!b)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	b->inst = inst;
	b->kept_last = &b->kept;
	b->props = host->get_interface(host, MT_IFACE_PROPS);
	b->virtio = host->get_interface(host, MT_IFACE_VIRTQUEUE);
	b->blocks = host->get_interface(host, MT_IFACE_BLOCK);
	b->loop = host->get_interface(host, MT_IFACE_LOOP);
	b->log = host->get_interface(host, MT_IFACE_LOG);
	b->queue_count = (uint32_t)b->props->get_u64(inst, "queues");
	b->queue_size = (uint32_t)b->props->get_u64(inst, "queue-size");
	*self = b;
	return 0;
}

static uint8_t log2_of(uint32_t n)
{
	uint8_t bits = 0;

	while (n >>= 1)
		bits++;
	return bits;
}

static void describe_disk(struct blk *b, const struct mt_block_info *info)
{
	struct config *c = &b->config;

	b->disk.bytes = info->disk_bytes;
	b->disk.readonly = info->flags & MT_BLOCK_INFO_READONLY;
	b->disk.discard = info->discard_bytes != 0;
	b->offered = F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY | F_FLUSH | F_CONFIG_WCE;
	c->capacity = info->disk_bytes / BLK_SECTOR_BYTES;
	c->seg_max = b->queue_size - 2 < SEGMENTS_MAX ? b->queue_size - 2 : SEGMENTS_MAX;
	c->seg_max = c->seg_max ? c->seg_max : 1;
	c->blk_size = info->block_bytes;
	c->physical_block_exp = log2_of(info->physical_bytes / info->block_bytes);
	c->opt_io_size = info->optimal_bytes / info->block_bytes;
	c->writeback = 1;
	c->num_queues = (uint16_t)b->queue_count;
	if (b->queue_count > 1)
		b->offered |= F_MQ;
	if (b->disk.readonly) {
		b->offered |= F_RO;
		return;
	}
	b->offered |= F_WRITE_ZEROES | (b->disk.discard ? F_DISCARD : 0);
	c->max_discard_sectors = c->max_write_zeroes_sectors = BLK_ZERO_SECTORS_MAX;
	c->max_discard_seg = c->max_write_zeroes_seg = 1;
	c->discard_sector_alignment = info->discard_bytes / BLK_SECTOR_BYTES;
	c->write_zeroes_may_unmap = b->disk.discard;
}

static int serial_set(struct blk *b, struct mt_error *err)
{
	const char *serial = b->props->get_str(b->inst, "serial");
	size_t len = serial ? strlen(serial) : 0;

	if (len > BLK_ID_BYTES)
		return mt_error_set(err, MT_ERANGE, "serial", "a serial number has up to %u bytes", BLK_ID_BYTES);
	memcpy(b->disk.serial, serial ? serial : "", len);
	return 0;
}

static int blk_realize(void *self, struct mt_error *err)
{
	struct mt_block_info info = { .size = sizeof(info) };
	struct blk *b = self;

	if (b->queue_size & (b->queue_size - 1))
		return mt_error_set(err, MT_EINVAL, "queue-size", "the size of a queue is a power of two");
	if (serial_set(b, err) < 0)
		return MT_ERANGE;
	b->more = b->loop->deferred_create(b->inst, serve_more, b);
	if (!b->more)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	b->block = b->blocks->open(b->inst, "block", 1, &blk_front, b, err);
	if (!b->block)
		return err && err->code ? err->code : MT_EIO;
	b->blocks->info(b->block, &info);
	describe_disk(b, &info);
	return 0;
}

static int blk_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                            /* the transport resets: see blk_stop */
}

/* Everything in flight ends and is answered; the rings are as the guest will find them. */
static void blk_quiesce(void *self)
{
	struct blk *b = self;

	b->blocks->drain(b->block);
	blk_ready(b);
}

/* What was kept is tried again; what a restored ring has in flight comes by pop. */
static void blk_resume(void *self)
{
	struct blk *b = self;

	kept_end(b, 1);
	blk_ready(b);
	for (uint32_t i = 0; i < b->queue_count; i++)
		serve(b, i);
}

static void blk_unrealize(void *self)
{
	blk_stop(self);
}

static void blk_destroy(void *self)
{
	struct blk *b = self;

	for (struct request *r = b->free, *next; r; r = next) {
		next = r->next;
		free(r);
	}
	free(b);
}

static const struct mt_virtio_device blk_virtio = {
	.describe = blk_describe,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.start = blk_start,
	.stop = blk_stop,
	.notify = blk_notify,
};

static const struct mt_device_class blk_device = {
	.create = blk_create,
	.realize = blk_realize,
	.reset = blk_reset,
	.quiesce = blk_quiesce,
	.resume = blk_resume,
	.unrealize = blk_unrealize,
	.destroy = blk_destroy,
};

/* Nothing is in flight; features and queues come by start. */
static int blk_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	const struct blk *b = self;

	(void)err;
	w->put(out, "capacity", MT_STATE_U64, 0, &b->config.capacity, 1);
	w->put(out, "writeback", MT_STATE_U8, 0, &b->config.writeback, 1);
	return 0;
}

static int blk_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		    struct mt_error *err)
{
	struct blk *b = self;
	uint8_t writeback = 0;
	int code = mt_state_expect(in, r, "capacity", b->config.capacity);

	(void)version, (void)err;
	if (!code)
		code = r->get(in, "writeback", MT_STATE_U8, &writeback, 1);
	if (!code && writeback > 1)
		code = r->refuse(in, "writeback", "is neither 0 nor 1");
	if (!code)
		b->config.writeback = writeback;
	return code;
}

static const struct mt_state_class state_class = {
	.schema = "virtio-blk", .version = 1, .version_min = 1, .save = blk_save, .load = blk_load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &blk_device },
		       { MT_IFACE_VIRTIO_DEVICE, &blk_virtio },
		       { MT_IFACE_STATE, &state_class })
