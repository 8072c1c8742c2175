/* SPDX-License-Identifier: MIT */
/* A fresh image: header, refcount table, its blocks, L1 table; with preallocation L2 tables and data behind them. */
#include "create.h"

#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "qcow2.h"

#define REFTABLE_FIRST 65536u            /* as much of the refcount table as is made in advance */

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

static uint64_t l2_entries(const struct create_options *o)
{
	return 1ull << (o->cluster_bits - (o->extended ? 4 : 3));
}

int create_legal(const struct create_options *o, struct mt_error *err)
{
	if (o->version < 3 && (o->lazy || o->extended || o->compression || o->refcount_order != 4))
		return mt_error_set(err, MT_EINVAL, "compat", "version 2 of the format has none of lazy_refcounts, extended_l2, "
				    "zstd and refcount_bits other than 16");
	if (o->extended && o->cluster_bits < CLUSTER_BITS_MIN_EXTENDED)
		return mt_error_set(err, MT_EINVAL, "cluster_size", "extended_l2 needs clusters of 16 KiB or more");
	if (o->prealloc && o->backing && !o->extended)
		return mt_error_set(err, MT_EINVAL, "preallocation", "what has a backing file is not allocated in advance, "
				    "unless with extended_l2");
	if (o->backing && strlen(o->backing) > BACKING_NAME_MAX)
		return mt_error_set(err, MT_ERANGE, "backing", "the name of the backing file is too long");
	return 0;
}

int create_layout(const struct create_options *o, struct create_layout *l)
{
	uint64_t cluster = 1ull << o->cluster_bits, per_block = cluster * 8 >> o->refcount_order;
	uint64_t clusters = divide_up(o->disk_bytes, cluster), before, full;

	memset(l, 0, sizeof(*l));
	l->l1_entries = divide_up(clusters, l2_entries(o));
	if (o->disk_bytes > INT64_MAX - cluster || l->l1_entries > L1_BYTES_MAX / 8)
		return MT_ERANGE;
	l->l1_clusters = divide_up(8 * l->l1_entries, cluster);
	l->l2_clusters = o->prealloc ? l->l1_entries : 0;
	before = 1 + l->l1_clusters + l->l2_clusters + (o->prealloc ? clusters : 0);
	/* what the whole disk would need, so that the table seldom has to move */
	full = divide_up(before + (o->prealloc ? 0 : clusters + l->l1_entries), per_block) * 9 / 8;
	l->reftable_clusters = mt_max_u64(divide_up(mt_min_u64(8 * full, REFTABLE_FIRST), cluster), 1);
	for (l->block_clusters = 1;;) {
		uint64_t all = before + l->reftable_clusters + l->block_clusters, blocks = divide_up(all, per_block);
		uint64_t table = divide_up(8 * blocks, cluster);

		if (blocks <= l->block_clusters && table <= l->reftable_clusters)
			break;
		l->block_clusters = mt_max_u64(blocks, l->block_clusters);
		l->reftable_clusters = mt_max_u64(table, l->reftable_clusters);
	}
	if (l->reftable_clusters * cluster > REFTABLE_BYTES_MAX)
		return MT_ERANGE;
	l->reftable = 1;
	l->blocks = l->reftable + l->reftable_clusters;
	l->l1 = l->blocks + l->block_clusters;
	l->l2 = l->l1 + l->l1_clusters;
	l->data = l->l2 + l->l2_clusters;
	l->end = l->data + (o->prealloc ? clusters : 0);
	return 0;
}

uint64_t create_bytes(const struct create_options *o, uint64_t data_bytes)
{
	struct create_options all = *o;
	struct create_layout l;

	all.disk_bytes = data_bytes;
	all.prealloc = 1;
	return create_layout(&all, &l) < 0 ? 0 : l.end << o->cluster_bits;
}

struct maker {
	const struct create_options *o;
	const struct create_layout *l;
	const struct mt_sink *sink;
	uint8_t *bytes;                      /* of a cluster */
	uint64_t cluster;
};

static int put_cluster(const struct maker *m, uint64_t number)
{
	return m->sink->write(m->sink->arg, number * m->cluster, m->bytes, m->cluster);
}

static int put_header(const struct maker *m)
{
	const struct create_options *o = m->o;
	struct qcow2_header h = {
		.version = o->version, .cluster_bits = o->cluster_bits, .refcount_order = o->refcount_order,
		.header_bytes = o->version < 3 ? HDR_V2_BYTES : HDR_OUR_BYTES, .compression = o->compression,
		.disk_bytes = o->disk_bytes, .l1_size = (uint32_t)m->l->l1_entries,
		.l1_offset = m->l->l1_entries ? m->l->l1 * m->cluster : 0,
		.reftable_offset = m->l->reftable * m->cluster, .reftable_clusters = (uint32_t)m->l->reftable_clusters,
		.incompatible = (o->extended ? INCOMPAT_EXTENDED_L2 : 0) | (o->compression ? INCOMPAT_COMPRESSION : 0),
		.compatible = o->lazy ? COMPAT_LAZY : 0,
		.backing = (char *)(uintptr_t)o->backing,
	};
	int rc = 0;

	if (o->backing && o->backing_format)
		rc = header_ext_set(&h, EXT_BACKING_FORMAT, o->backing_format, (uint32_t)strlen(o->backing_format));
	if (rc == 0 && o->version >= 3)
		rc = header_add_features(&h);
	if (rc == 0)
		rc = header_build(&h, m->bytes, m->cluster);
	if (rc == MT_ERANGE) {                   /* small clusters have no room for the names of features */
		header_ext_set(&h, EXT_FEATURES, NULL, 0);
		rc = header_build(&h, m->bytes, m->cluster);
	}
	h.backing = NULL;
	header_fini(&h);
	return rc < 0 ? rc : put_cluster(m, 0);
}

static int put_refcounts(const struct maker *m)
{
	uint64_t per_block = m->cluster * 8 >> m->o->refcount_order, per_table = m->cluster / 8;
	int rc = 0;

	for (uint64_t t = 0; rc == 0 && t < m->l->reftable_clusters && t * per_table < m->l->block_clusters; t++) {
		memset(m->bytes, 0, m->cluster);
		for (uint64_t i = 0; i < per_table && t * per_table + i < m->l->block_clusters; i++)
			mt_put_be64(m->bytes + 8 * i, (m->l->blocks + t * per_table + i) * m->cluster);
		rc = put_cluster(m, m->l->reftable + t);
	}
	for (uint64_t b = 0; rc == 0 && b < m->l->block_clusters; b++) {
		memset(m->bytes, 0, m->cluster);
		for (uint64_t i = 0; i < per_block && b * per_block + i < m->l->end; i++)
			refcount_write(m->bytes, m->o->refcount_order, (uint32_t)i, 1);
		rc = put_cluster(m, m->l->blocks + b);
	}
	return rc;
}

/* All of the disk mapped to clusters that lie in its order. */
static int put_tables(const struct maker *m)
{
	uint64_t per_l2 = l2_entries(m->o), entry = m->cluster / per_l2, per_l1 = m->cluster / 8;
	int rc = 0;

	for (uint64_t c = 0; rc == 0 && c < m->l->l1_clusters && m->l->l2_clusters; c++) {
		memset(m->bytes, 0, m->cluster);
		for (uint64_t i = 0; i < per_l1 && c * per_l1 + i < m->l->l1_entries; i++)
			mt_put_be64(m->bytes + 8 * i, (m->l->l2 + c * per_l1 + i) * m->cluster | ENTRY_COPIED);
		rc = put_cluster(m, m->l->l1 + c);
	}
	for (uint64_t t = 0; rc == 0 && t < m->l->l2_clusters; t++) {
		memset(m->bytes, 0, m->cluster);
		for (uint64_t i = 0; i < per_l2 && m->l->data + t * per_l2 + i < m->l->end; i++) {
			mt_put_be64(m->bytes + entry * i, (m->l->data + t * per_l2 + i) * m->cluster | ENTRY_COPIED);
			/* over a backing file the space is there, and the data are its */
			if (m->o->extended)
				mt_put_be64(m->bytes + entry * i + 8, m->o->backing ? 0 : 0xffffffff);
		}
		rc = put_cluster(m, m->l->l2 + t);
	}
	return rc;
}

int create_image(const struct create_options *o, const struct create_layout *l, const struct mt_sink *sink)
{
	struct maker m = { o, l, sink, malloc(1ull << o->cluster_bits), 1ull << o->cluster_bits };
	int rc = m.bytes ? sink->resize(sink->arg, l->end << o->cluster_bits) : MT_ENOMEM;

	if (rc == 0)
		rc = put_refcounts(&m);
	if (rc == 0)
		rc = put_tables(&m);
	if (rc == 0)
		rc = put_header(&m);
	free(m.bytes);
	return rc;
}
