/* SPDX-License-Identifier: MIT */
/*
 * block-logwrites: a filter that keeps a log of what is written, in the format of Linux' dm-log-writes, so that its
 * tools can rebuild the disk as it was at any point. A sector for the super block; then for each entry a sector with
 * its header, and behind it its data.
 * begin comes from any front's thread and does not wait; end comes from threads that may, and writes the log under
 * `lock`. A write is logged when it is over, so behind every flush that did not cover it. A flush is counted when it
 * begins and logged before what ends later: easy to break, for a write that was told to be over before the flush
 * began stands before it, and one that begins after the flush is over stands behind it.
 */
#define MT_NOTE_NAME     "block-logwrites"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "log of a disk's writes, as dm-log-writes keeps it"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define LOGWRITES_PROPS(P, c) \
	MT_BLOCK_FILTER_PROPS(P, c) \
	P(c, log, "log", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, \
	  "file or block device for the log; it must be there") \
	P(c, log_append, "log-append", MT_PROP_BOOL, "off", "", "", 0, "go on with the log that is there")
#define MT_NOTE_CLASSES(C) \
	C(logwrites, "block-logwrites", MT_KIND_BLOCK, MT_CLASS_PARALLEL, \
	  MT_NOTE_SUMMARY, "mortise.block-format/1 mortise.block-filter/1", LOGWRITES_PROPS)

#include <mortise/draft/block-filter.h>
#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/state.h>

#define MAGIC 0x6a736677736872ull
#define VERSION 1u
#define SECTOR_BYTES 512u
#define ZERO_BYTES 65536u

#define ENTRY_FLUSH   1u
#define ENTRY_FUA     2u
#define ENTRY_DISCARD 4u

struct super {
	uint64_t magic, version, entries;
	uint32_t sector_bytes, pad;
};

/* In sectors; little-endian, as the host. */
struct entry {
	uint64_t sector, sectors, flags, mark_bytes;
};

struct logwrites {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_node *node;
	const struct mt_log_host *log;
	uint32_t child;                      /* the log */
	uint32_t flushes;                    /* atomic: begun and not logged */
	uint32_t broken;                     /* atomic: the log could not be written */
	pthread_mutex_t lock;
	uint64_t entries, end;               /* in the log; `end` in bytes */
};

/* The log; with the lock */

static int32_t log_put(struct logwrites *l, const void *buf, uint64_t len_bytes)
{
	int32_t rc = l->node->child_write(l->inst, l->child, l->end, buf, len_bytes);

	l->end += len_bytes;
	return rc;
}

static int32_t log_zeros(struct logwrites *l, uint64_t len_bytes)
{
	static const uint8_t zeros[ZERO_BYTES];
	int32_t rc = 0;

	for (uint64_t n; len_bytes && rc == 0; len_bytes -= n) {
		n = mt_min_u64(len_bytes, ZERO_BYTES);
		rc = log_put(l, zeros, n);
	}
	return rc;
}

static int32_t log_header(struct logwrites *l, uint64_t offset, uint64_t len_bytes, uint64_t flags)
{
	const struct entry entry = { .sector = offset / SECTOR_BYTES, .sectors = len_bytes / SECTOR_BYTES,
				     .flags = flags };
	uint8_t sector[SECTOR_BYTES] = { 0 };

	memcpy(sector, &entry, sizeof(entry));
	return log_put(l, sector, sizeof(sector));
}

static int32_t log_super(struct logwrites *l)
{
	const struct super super = { MAGIC, VERSION, l->entries, SECTOR_BYTES, 0 };
	uint8_t sector[SECTOR_BYTES] = { 0 };

	memcpy(sector, &super, sizeof(super));
	return l->node->child_write(l->inst, l->child, 0, sector, sizeof(sector));
}

static int32_t log_flushes(struct logwrites *l)
{
	uint32_t count = __atomic_exchange_n(&l->flushes, 0, __ATOMIC_SEQ_CST);
	int32_t rc = count ? log_header(l, 0, 0, ENTRY_FLUSH) : 0;

	l->entries += count && rc == 0;
	return rc;
}

static int32_t log_operation(struct logwrites *l, const struct mt_block_filter_op *op)
{
	uint64_t flags = op->flags & MT_BLOCK_FUA ? ENTRY_FUA : 0;
	int32_t rc;

	if (op->op == MT_BLOCK_DISCARD)
		flags = ENTRY_DISCARD;
	rc = log_header(l, op->offset, op->len_bytes, flags);
	if (rc == 0 && op->op == MT_BLOCK_WRITE)
		rc = log_put(l, op->data, op->len_bytes);
	else if (rc == 0 && op->op == MT_BLOCK_ZERO)
		rc = log_zeros(l, op->len_bytes);
	l->entries += rc == 0;
	return rc;
}

/* The number of entries is made true whenever there is something durable to count up to. */
static int32_t log_any(struct logwrites *l, const struct mt_block_filter_op *op, int32_t result)
{
	int32_t rc = log_flushes(l);

	if (rc == 0 && result == 0 && op->op != MT_BLOCK_FLUSH && op->len_bytes)
		rc = log_operation(l, op);
	if (rc == 0 && (op->op == MT_BLOCK_FLUSH || op->flags & MT_BLOCK_FUA))
		rc = log_super(l);
	if (rc == 0 && op->op == MT_BLOCK_FLUSH)
		rc = l->node->child_flush(l->inst, l->child);
	return rc;
}

/* The filter */

static int32_t logwrites_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	struct logwrites *l = self;

	(void)delay_ns;
	if (op->op == MT_BLOCK_READ)
		return 0;
	if (__atomic_load_n(&l->broken, __ATOMIC_RELAXED))
		return MT_EIO;
	if ((op->offset | op->len_bytes) % SECTOR_BYTES)
		return MT_EINVAL;
	if (op->op == MT_BLOCK_FLUSH)
		__atomic_add_fetch(&l->flushes, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int32_t logwrites_end(void *self, const struct mt_block_filter_op *op, int32_t result)
{
	struct logwrites *l = self;
	int32_t rc = MT_EIO;

	pthread_mutex_lock(&l->lock);
	if (!__atomic_load_n(&l->broken, __ATOMIC_RELAXED)) {
		rc = log_any(l, op, result);
		if (rc < 0) {
			__atomic_store_n(&l->broken, 1, __ATOMIC_RELAXED);
			l->log->message(l->inst, MT_LOG_ERROR, "the log cannot be written: all writes fail from now on");
		}
	}
	pthread_mutex_unlock(&l->lock);
	return result ? result : rc;
}

static const struct mt_block_filter logwrites_filter = {
	.ops = MT_BLOCK_FILTER_ALL,
	.ends = MT_BLOCK_FILTER_ALL & ~MT_BLOCK_FILTER_BIT(MT_BLOCK_READ),
	.begin = logwrites_begin,
	.end = logwrites_end,
};

/* Life */

static int logwrites_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct logwrites *l = calloc(1, sizeof(*l));

	if (!l)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	l->inst = inst;
	l->props = host->get_interface(host, MT_IFACE_PROPS);
	l->node = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	l->log = host->get_interface(host, MT_IFACE_LOG);
	pthread_mutex_init(&l->lock, NULL);
	*self = l;
	return 0;
}

static int not_a_log(struct mt_error *err, const char *why)
{
	mt_error_set(err, MT_EINVAL, "log", "the log cannot be gone on with: %s", why);
	mt_error_hint(err, "log-append = off begins a new one in its place");
	return MT_EINVAL;
}

/* To the end of the entries that there are, by the one before. */
static int log_walk(struct logwrites *l, uint64_t file_bytes, uint64_t count, struct mt_error *err)
{
	for (uint64_t i = 0; i < count; i++) {
		uint64_t left = file_bytes - l->end;
		struct entry entry = { 0 };

		if (left < SECTOR_BYTES || l->node->child_read(l->inst, l->child, l->end, &entry, sizeof(entry)) < 0)
			return not_a_log(err, "it is shorter than it says");
		left -= SECTOR_BYTES;
		if (entry.flags & ENTRY_DISCARD)
			entry.sectors = 0;
		if (entry.sectors > left / SECTOR_BYTES)
			return not_a_log(err, "an entry reaches beyond its end");
		l->end += SECTOR_BYTES + entry.sectors * SECTOR_BYTES;
	}
	l->entries = count;
	return 0;
}

static int log_go_on(struct logwrites *l, uint64_t file_bytes, struct mt_error *err)
{
	struct super super = { 0 };
	int32_t rc = l->node->child_read(l->inst, l->child, 0, &super, sizeof(super));

	if (rc < 0 || file_bytes < SECTOR_BYTES || super.magic != MAGIC || super.version != VERSION)
		return not_a_log(err, "it is none");
	if (super.sector_bytes != SECTOR_BYTES)
		return not_a_log(err, "its sectors are not of 512 bytes");
	return log_walk(l, file_bytes, super.entries, err);
}

static int log_begin(struct logwrites *l, const struct mt_block_child_info *info, struct mt_error *err)
{
	int32_t rc = 0;

	l->end = SECTOR_BYTES;
	if (info->flags & MT_BLOCK_INFO_READONLY)
		return mt_error_set(err, MT_EPERM, "log", "the log can only be read");
	if (l->props->get_u64(l->inst, "log-append"))
		return log_go_on(l, info->child_bytes, err);
	if (info->flags & MT_BLOCK_CHILD_GROWS)
		rc = l->node->child_resize(l->inst, l->child, 0);
	if (rc == 0)
		rc = log_super(l);
	return rc == 0 ? 0 : mt_error_set(err, rc, "log", "the log cannot be written");
}

static int logwrites_realize(void *self, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct logwrites *l = self;
	int32_t rc = l->node->child_open(l->inst, "child", &info, err);

	if (rc < 0 && rc != MT_ENOENT)
		return rc;
	rc = l->node->child_open(l->inst, "log", &info, err);
	if (rc < 0)
		return rc;
	l->child = (uint32_t)rc;
	return log_begin(l, &info, err);
}

/* What came since the last flush counts too. */
static void logwrites_unrealize(void *self)
{
	struct logwrites *l = self;

	pthread_mutex_lock(&l->lock);
	if (l->end && !l->broken && (log_flushes(l) < 0 || log_super(l) < 0))
		l->log->message(l->inst, MT_LOG_ERROR, "the end of the log cannot be written");
	pthread_mutex_unlock(&l->lock);
}

static void logwrites_destroy(void *self)
{
	struct logwrites *l = self;

	pthread_mutex_destroy(&l->lock);
	free(l);
}

static const struct mt_device_class logwrites_device = {
	.create = logwrites_create,
	.realize = logwrites_realize,
	.unrealize = logwrites_unrealize,
	.destroy = logwrites_destroy,
};

/* The log is its own state. */
static const struct mt_state_class state_class = {
	.schema = "logwrites", .version = 1, .version_min = 1, .save = mt_state_save_nothing,
	.load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &logwrites_device },
		       { MT_IFACE_BLOCK_FILTER, &logwrites_filter },
		       { MT_IFACE_STATE, &state_class })
