/* SPDX-License-Identifier: MIT */
/* Roles of the class: making images, and knowing them by their looks. [main]; probe: any thread. */
#include "node.h"

#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "create.h"

#define BOTH (MT_BLOCK_OPTION_CREATE | MT_BLOCK_OPTION_AMEND)

static const struct mt_block_option options[] = {
	{ "compat", MT_BLOCK_VALUE_STRING, BOTH, "1.1", "0.10|1.1|v2|v3", "version of the format: 0.10 is 2, 1.1 is 3" },
	{ "cluster_size", MT_BLOCK_VALUE_SIZE, MT_BLOCK_OPTION_CREATE, "65536", "512..2097152",
	  "unit of allocation, a power of two" },
	{ "refcount_bits", MT_BLOCK_VALUE_INT, BOTH, "16", "1..64", "width of reference counts, a power of two" },
	{ "lazy_refcounts", MT_BLOCK_VALUE_BOOL, BOTH, "off", NULL,
	  "reference counts may be behind, and are repaired after a crash" },
	{ "extended_l2", MT_BLOCK_VALUE_BOOL, MT_BLOCK_OPTION_CREATE, "off", NULL,
	  "clusters have 32 subclusters that are allocated one by one" },
	{ "compression_type", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, "zlib", "zlib|zstd",
	  "how compressed clusters are compressed" },
	{ "preallocation", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, "off", "off|metadata|falloc|full",
	  "what is allocated in advance" },
	{ "backing_file", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, NULL, NULL, "name of the disk below" },
	{ "backing_fmt", MT_BLOCK_VALUE_STRING, MT_BLOCK_OPTION_CREATE, NULL, NULL, "format of the disk below" },
	{ NULL, 0, 0, NULL, NULL, NULL },
};

static const struct mt_block_option *create_options(void)
{
	return options;
}

struct wanted {
	struct create_options o;
	uint32_t prealloc;                   /* MT_BLOCK_PREALLOC_* */
};

/* -1: no power of two. */
static int log2_of(const char *value)
{
	uint64_t n = strtoull(value, NULL, 10);

	return n && !(n & (n - 1)) ? 63 - __builtin_clzll(n) : -1;
}

static uint32_t prealloc_of(const char *value)
{
	static const char *const names[] = { "off", "metadata", "falloc", "full" };
	uint32_t i = 0;

	while (i < 3 && strcmp(names[i], value) != 0)
		i++;
	return strcmp(names[i], value) == 0 ? i : 0;
}

static int option_take(struct wanted *w, const struct mt_block_value *v, struct mt_error *err)
{
	int on = strcmp(v->value, "true") == 0, log = 0;

	if (strcmp(v->name, "compat") == 0) {
		w->o.version = strcmp(v->value, "0.10") == 0 || strcmp(v->value, "v2") == 0 ? 2 : 3;
	} else if (strcmp(v->name, "cluster_size") == 0) {
		log = log2_of(v->value);
		w->o.cluster_bits = (uint32_t)log;
		log = log < (int)CLUSTER_BITS_MIN || log > (int)CLUSTER_BITS_MAX ? -1 : log;
	} else if (strcmp(v->name, "refcount_bits") == 0) {
		log = log2_of(v->value);
		w->o.refcount_order = (uint32_t)log;
		log = log > 6 ? -1 : log;
	} else if (strcmp(v->name, "lazy_refcounts") == 0) {
		w->o.lazy = on;
	} else if (strcmp(v->name, "extended_l2") == 0) {
		w->o.extended = on;
	} else if (strcmp(v->name, "compression_type") == 0) {
		w->o.compression = strcmp(v->value, "zstd") == 0;
	} else if (strcmp(v->name, "preallocation") == 0) {
		w->prealloc = prealloc_of(v->value);
	} else if (strcmp(v->name, "backing_file") == 0 && !w->o.backing) {
		w->o.backing = v->value;
	} else if (strcmp(v->name, "backing_fmt") == 0 && !w->o.backing_format) {
		w->o.backing_format = v->value;
	}
	return log < 0 ? mt_error_set(err, MT_EINVAL, v->name, "%s = %s is no power of two in its range", v->name,
				      v->value) : 0;
}

static int wanted_of(const struct mt_block_create_want *want, struct wanted *w, struct mt_error *err)
{
	int rc = 0;

	*w = (struct wanted){ .o = {
		.disk_bytes = (want->disk_bytes + 511) & ~511ull, .version = 3, .cluster_bits = 16, .refcount_order = 4,
		.backing = want->backing, .backing_format = want->backing_format,
	} };
	for (uint32_t i = 0; rc == 0 && i < want->value_count; i++)
		rc = option_take(w, &want->values[i], err);
	w->o.prealloc = w->prealloc != MT_BLOCK_PREALLOC_OFF;
	return rc < 0 ? rc : create_legal(&w->o, err);
}

struct making {
	const struct mt_block_maker_host *host;
	struct mt_block_maker *maker;
};

static int32_t making_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct making *m = arg;

	return m->host->write(m->maker, 0, offset, buf, len_bytes);
}

static int32_t making_resize(void *arg, uint64_t len_bytes)
{
	struct making *m = arg;

	return m->host->resize(m->maker, 0, len_bytes);
}

static int32_t create_create(const struct mt_block_maker_host *host, struct mt_block_maker *maker,
			     const struct mt_block_create_want *want, struct mt_error *err)
{
	struct making m = { host, maker };
	struct mt_sink sink = { making_write, making_resize, &m };
	struct create_layout l;
	struct wanted w;
	uint64_t zeros;
	int rc = wanted_of(want, &w, err);

	if (rc < 0)
		return rc;
	rc = create_layout(&w.o, &l);
	if (rc < 0)
		return mt_error_set(err, rc, "size", "the disk is larger than an image with these clusters can map");
	/* a block device has anything there: in the parts of tables that are not written, and in data that are mapped */
	zeros = (w.prealloc == MT_BLOCK_PREALLOC_METADATA ? l.end : l.data) - l.reftable;
	rc = host->allocate(maker, 0, l.reftable << w.o.cluster_bits, zeros << w.o.cluster_bits, MT_BLOCK_PREALLOC_METADATA);
	if (rc == 0)
		rc = create_image(&w.o, &l, &sink);
	if (rc == 0 && w.prealloc >= MT_BLOCK_PREALLOC_FALLOC && l.end > l.data)
		rc = host->allocate(maker, 0, l.data << w.o.cluster_bits, (l.end - l.data) << w.o.cluster_bits, w.prealloc);
	return rc < 0 ? mt_error_set(err, rc, "file", rc == MT_ERANGE ? "the name of the backing file is too long for the "
				     "header" : "cannot write the fresh image") : 0;
}

static int32_t create_measure(const struct mt_block_create_want *want, uint64_t data_bytes, uint64_t *required,
			      uint64_t *full, struct mt_error *err)
{
	struct create_layout l;
	struct wanted w;
	uint64_t data_clusters;
	int rc = wanted_of(want, &w, err);

	if (rc < 0)
		return rc;
	w.o.backing = NULL;
	w.o.prealloc = 1;
	rc = create_layout(&w.o, &l);
	if (rc < 0)
		return mt_error_set(err, rc, "size", "the disk is larger than an image with these clusters can map");
	*full = l.end << w.o.cluster_bits;
	/* the last one is whole in the file, also where the disk ends inside of it */
	data_clusters = mt_min_u64((data_bytes + (1ull << w.o.cluster_bits) - 1) >> w.o.cluster_bits, l.end - l.data);
	*required = w.prealloc >= MT_BLOCK_PREALLOC_FALLOC ? *full :
		    *full - ((l.end - l.data - data_clusters) << w.o.cluster_bits);
	return 0;
}

/* "Bitmaps extension" of the specification: the data, a table of its clusters for each, and one directory. */
static int64_t create_measure_bitmaps(const struct mt_block_create_want *want, const struct mt_block_bitmap *bitmaps,
				      uint32_t count)
{
	struct mt_error err = { .size = sizeof(err) };
	uint64_t clusters = 0, directory = 0, cluster;
	struct wanted w;
	int rc = wanted_of(want, &w, &err);

	if (rc < 0 || w.o.version < 3)
		return rc < 0 ? rc : MT_ENOTSUP;
	cluster = 1ull << w.o.cluster_bits;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t piece = bitmaps[i].granularity_bytes;
		uint64_t bits = w.o.disk_bytes / piece + (w.o.disk_bytes % piece != 0);
		uint64_t data = (bits / 8 + (bits % 8 != 0) + cluster - 1) >> w.o.cluster_bits;

		clusters += data + ((8 * data + cluster - 1) >> w.o.cluster_bits);
		directory += (BITMAP_NAME + strlen(bitmaps[i].name) + 7) & ~7ull;
	}
	return (int64_t)((clusters + ((directory + cluster - 1) >> w.o.cluster_bits)) << w.o.cluster_bits);
}

const struct mt_block_create create_role = {
	.options = create_options,
	.create = create_create,
	.measure = create_measure,
	.measure_bitmaps = create_measure_bitmaps,
};

static uint32_t probe_probe(const void *head, uint32_t head_bytes, const void *tail, uint32_t tail_bytes,
			    uint64_t file_bytes)
{
	uint32_t version;

	(void)tail, (void)tail_bytes, (void)file_bytes;
	if (head_bytes < HDR_V2_BYTES || mt_get_be32(head) != QCOW2_MAGIC)
		return 0;
	version = mt_get_be32((const uint8_t *)head + HDR_VERSION);
	return version == 2 || version == 3 ? 100 : 0;
}

const struct mt_block_probe probe_role = { .probe = probe_probe };
