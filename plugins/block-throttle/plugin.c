/* SPDX-License-Identifier: MIT */
/*
 * block-throttle: a filter that lets no more pass than its limits say, in bytes and operations a second, for reads,
 * writes and both together, with bursts. Several disks that go through one filter share its limits. All under the
 * instance lock, [any]; the kernel holds what has to wait.
 */
#define MT_NOTE_NAME     "block-throttle"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "limits of bytes and operations a second for disks"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define BPS_PROPS(P, c, sym, name, what) \
	P(c, bps_##sym, "bps-" name, MT_PROP_SIZE, "0", "", "bytes", 0, what " in a second; 0: no limit") \
	P(c, bps_##sym##_max, "bps-" name "-max", MT_PROP_SIZE, "0", "", "bytes", 0, "the same in a burst") \
	P(c, bps_##sym##_len, "bps-" name "-max-length", MT_PROP_INT, "1", "1..86400", "s", 0, "length of a burst")
#define IOPS_PROPS(P, c, sym, name, what) \
	P(c, iops_##sym, "iops-" name, MT_PROP_INT, "0", "", "", 0, what " in a second; 0: no limit") \
	P(c, iops_##sym##_max, "iops-" name "-max", MT_PROP_INT, "0", "", "", 0, "the same in a burst") \
	P(c, iops_##sym##_len, "iops-" name "-max-length", MT_PROP_INT, "1", "1..86400", "s", 0, "length of a burst")
#define THROTTLE_PROPS(P, c) \
	MT_BLOCK_FILTER_PROPS(P, c) \
	BPS_PROPS(P, c, total, "total", "bytes read and written") \
	BPS_PROPS(P, c, read, "read", "bytes read") \
	BPS_PROPS(P, c, write, "write", "bytes written, zeroed and discarded") \
	IOPS_PROPS(P, c, total, "total", "operations") \
	IOPS_PROPS(P, c, read, "read", "reads") \
	IOPS_PROPS(P, c, write, "write", "writes, zeroes and discards") \
	P(c, iops_size, "iops-size", MT_PROP_SIZE, "0", "", "bytes", 0, \
	  "an operation counts once for each so many bytes; 0: once")
#define MT_NOTE_CLASSES(C) \
	C(throttle, "block-throttle", MT_KIND_BLOCK, 0, \
	  MT_NOTE_SUMMARY, "mortise.block-format/1 mortise.block-filter/1", THROTTLE_PROPS)

#include <mortise/draft/block-filter.h>
#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdio.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "throttle.h"

struct node {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_node *node;
	struct throttle throttle;
};

static int throttle_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->props = host->get_interface(host, MT_IFACE_PROPS);
	n->node = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	*self = n;
	return 0;
}

/* 1: there is a limit. */
static int limit_read(struct node *n, struct limit *limit, const char *unit, const char *kind, struct mt_error *err)
{
	char name[32], max_name[32], len_name[32];
	uint64_t rate, max;

	snprintf(name, sizeof(name), "%s-%s", unit, kind);
	snprintf(max_name, sizeof(max_name), "%s-%s-max", unit, kind);
	snprintf(len_name, sizeof(len_name), "%s-%s-max-length", unit, kind);
	rate = n->props->get_u64(n->inst, name);
	max = n->props->get_u64(n->inst, max_name);
	if (max && max < rate)
		return mt_error_set(err, MT_ERANGE, max_name, "a burst is no slower than %s", name);
	if (max && !rate)
		return mt_error_set(err, MT_EINVAL, max_name, "a burst is above a limit, and %s gives none", name);
	throttle_set(limit, rate, max, n->props->get_u64(n->inst, len_name));
	return rate != 0;
}

static int limits_read(struct node *n, struct mt_error *err)
{
	static const char *const kinds[] = { "total", "read", "write" };
	int rc = 0, limits = 0;

	for (int kind = 0; kind < THROTTLE_KINDS && rc >= 0; kind++) {
		rc = limit_read(n, &n->throttle.bps[kind], "bps", kinds[kind], err);
		limits += rc > 0;
		if (rc >= 0)
			rc = limit_read(n, &n->throttle.iops[kind], "iops", kinds[kind], err);
		limits += rc > 0;
	}
	n->throttle.op_bytes = n->props->get_u64(n->inst, "iops-size");
	if (rc >= 0 && !limits)
		return mt_error_set(err, MT_EINVAL, "bps-total", "no limit is given");
	return rc < 0 ? rc : 0;
}

static int throttle_realize(void *self, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct node *n = self;
	int rc = n->node->child_open(n->inst, "child", &info, err);

	return rc < 0 && rc != MT_ENOENT ? rc : limits_read(n, err);
}

static void throttle_destroy(void *self)
{
	free(self);
}

static const struct mt_device_class throttle_device = {
	.create = throttle_create,
	.realize = throttle_realize,
	.destroy = throttle_destroy,
};

static int32_t throttle_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	struct node *n = self;

	if (op->op != MT_BLOCK_FLUSH)
		*delay_ns = throttle_take(&n->throttle, op->op == MT_BLOCK_READ ? THROTTLE_READ : THROTTLE_WRITE,
					  op->len_bytes, op->now_ns);
	return 0;
}

static const struct mt_block_filter throttle_filter = { .ops = MT_BLOCK_FILTER_ALL, .begin = throttle_begin };

/* State: what has been taken in advance. Time begins anew with the next operation. */

static const struct mt_state_field bucket_fields[] = { MT_STATE_VAR(struct bucket, owed_ns, UINT64_MAX / 8) };
static const struct mt_state_table bucket_table = MT_STATE_TABLE(struct bucket, bucket_fields);
static const struct mt_state_field limit_fields[] = {
	MT_STATE_STRUCT(struct limit, mean, &bucket_table), MT_STATE_STRUCT(struct limit, peak, &bucket_table),
};
static const struct mt_state_table limit_table = MT_STATE_TABLE(struct limit, limit_fields);
static const struct mt_state_field throttle_fields[] = {
	MT_STATE_STRUCTS(struct throttle, bps, &limit_table),
	MT_STATE_STRUCTS(struct throttle, iops, &limit_table),
};
static const struct mt_state_table throttle_table = MT_STATE_TABLE(struct throttle, throttle_fields);

static int throttle_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	const struct node *n = self;

	(void)err;
	mt_state_save(out, w, &throttle_table, &n->throttle);
	return 0;
}

static int throttle_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
			 struct mt_error *err)
{
	struct node *n = self;

	(void)err;
	n->throttle.since_ns = 0;
	return mt_state_load(in, r, &throttle_table, version, &n->throttle);
}

static const struct mt_state_class state_class = {
	.schema = "throttle", .version = 1, .version_min = 1, .save = throttle_save, .load = throttle_load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &throttle_device },
		       { MT_IFACE_BLOCK_FILTER, &throttle_filter },
		       { MT_IFACE_STATE, &state_class })
