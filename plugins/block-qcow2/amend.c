/* SPDX-License-Identifier: MIT */
/* Options of an image that can be changed in place: its version, lazy counts, the width of counts, backing. */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>

/* Version 3 */

static int upgrade(struct qcow2 *q, struct mt_error *err)
{
	uint32_t was = q->h.header_bytes;
	int rc = header_add_features(&q->h);

	q->h.version = 3;
	q->h.header_bytes = HDR_OUR_BYTES;
	/* its snapshots have to say how large they are */
	if (rc == 0 && q->h.snapshot_count)
		rc = snapshots_store(q);
	if (rc == 0 || rc == MT_ERANGE)
		rc = header_store_tight(q, err);
	q->h.header_bytes = rc < 0 ? was : q->h.header_bytes;
	return rc;
}

/* Version 2 has no entry for zeros: they become nothing, or data. */
static int write_zeros(struct qcow2 *q)
{
	uint64_t clusters = qcow2_clusters(q, q->h.disk_bytes);
	uint8_t *zeros = calloc(1, q->cluster_bytes);
	int rc = zeros ? 0 : MT_ENOMEM;

	for (uint64_t c = 0, n; rc == 0 && c < clusters; c += n) {
		struct mt_block_extent e;

		rc = map_range(q, c << q->h.cluster_bits, q->cluster_bytes, clusters << q->h.cluster_bits,
			       MT_BLOCK_MAP_READ, &e, 1);
		if (rc < 0)
			break;
		n = e.len_bytes >> q->h.cluster_bits ? e.len_bytes >> q->h.cluster_bits : 1;
		rc = 0;
		if (e.kind != MT_BLOCK_EXT_ZERO)
			continue;
		if (!q->has_backing)
			rc = unmap_drop(q, c, n);
		for (uint64_t i = 0; q->has_backing && rc == 0 && i < n; i++)
			rc = sync_write(q, (c + i) << q->h.cluster_bits, zeros, q->cluster_bytes);
	}
	free(zeros);
	return rc < 0 ? rc : space_release(q);
}

/* Bitmaps go with the extension that names them: first the header, then what they took. */
static int store_version_2(struct qcow2 *q, struct mt_error *err)
{
	struct qcow2_header *h = &q->h;
	struct bitmaps bitmaps;
	int rc = bitmaps_load(q, &bitmaps);

	if (rc < 0 && rc != MT_EINVAL)
		return mt_error_set(err, rc, "file", "the bitmaps of the image cannot be read");
	h->version = 2;
	h->header_bytes = HDR_V2_BYTES;
	h->incompatible = h->compatible = h->autoclear = 0;
	q->lazy_marked = 0;
	(void)header_ext_set(h, EXT_FEATURES, NULL, 0);
	(void)header_ext_set(h, EXT_BITMAPS, NULL, 0);
	rc = header_store(q, err);
	if (rc == 0)
		rc = bitmaps_free(q, &bitmaps);
	bitmaps_fini(&bitmaps);
	return rc;
}

static int downgrade(struct qcow2 *q, struct mt_error *err)
{
	struct qcow2_header *h = &q->h;
	int rc;

	if (h->incompatible & ~INCOMPAT_DIRTY || h->refcount_order != 4)
		return mt_error_set(err, MT_ENOTSUP, "compat", "the image has features that version 2 lacks: extended L2 entries, "
				    "zstd, or counts of other than 16 bits");
	if (h->snapshot_count)
		return mt_error_set(err, MT_ENOTSUP, "compat", "an image with snapshots keeps its version");
	if (h->more)
		return mt_error_set(err, MT_ENOTSUP, "compat", "the header has fields that are not known here");
	rc = write_zeros(q);
	if (rc == 0)
		rc = q->cache->flush(q->inst);
	if (rc < 0)
		return mt_error_set(err, rc, "file", "the zeros of the image cannot be written");
	return store_version_2(q, err);
}

/* The options */

static int set_version(struct qcow2 *q, const char *value, struct mt_error *err)
{
	uint32_t version = strcmp(value, "0.10") == 0 || strcmp(value, "v2") == 0 ? 2 : 3;

	if (version == q->h.version)
		return 0;
	return version == 3 ? upgrade(q, err) : downgrade(q, err);
}

static int set_lazy(struct qcow2 *q, int on, struct mt_error *err)
{
	if (on && q->h.version < 3)
		return mt_error_set(err, MT_ENOTSUP, "lazy_refcounts", "version 2 of the format has no lazy reference counts");
	q->h.compatible = on ? q->h.compatible | COMPAT_LAZY : q->h.compatible & ~COMPAT_LAZY;
	if (!on) {                               /* the caches are flushed with the header: what it says is true */
		q->h.incompatible &= ~INCOMPAT_DIRTY;
		q->lazy_marked = 0;
	}
	return header_store(q, err);
}

static int set_width(struct qcow2 *q, uint32_t bits, struct mt_error *err)
{
	uint64_t clusters;
	uint16_t *counts;
	uint32_t order = 0;
	int rc;

	while (order < 6 && 1u << order != bits)
		order++;
	if (1u << order != bits)
		return mt_error_set(err, MT_EINVAL, "refcount_bits", "%u bits are no power of two up to 64", bits);
	if (q->h.version < 3 && bits != 16)
		return mt_error_set(err, MT_ENOTSUP, "refcount_bits", "version 2 of the format has counts of 16 bits");
	if (order == q->h.refcount_order)
		return 0;
	counts = check_count(q, &clusters, &rc);
	if (rc == 0)
		rc = repair_rebuild(q, counts, clusters, order);
	free(counts);
	return rc == MT_ERANGE ? mt_error_set(err, rc, "refcount_bits", "the image has clusters with more references than %u "
					      "bits can count", bits) : rc;
}

static int set_one(struct qcow2 *q, const struct mt_block_value *v, struct mt_error *err)
{
	if (strcmp(v->name, "compat") == 0)
		return set_version(q, v->value, err);
	if (strcmp(v->name, "lazy_refcounts") == 0)
		return set_lazy(q, strcmp(v->value, "true") == 0, err);
	if (strcmp(v->name, "refcount_bits") == 0)
		return set_width(q, (uint32_t)strtoul(v->value, NULL, 10), err);
	return mt_error_set(err, MT_ENOTSUP, v->name, "%s cannot be changed in place", v->name);
}

int qcow2_amend(struct qcow2 *q, const struct mt_block_value *values, uint32_t count, struct mt_error *err)
{
	int rc = 0, again;

	if (q->readonly || q->corrupt)
		return mt_error_set(err, MT_EPERM, "file", "the image can only be read");
	for (uint32_t i = 0; rc == 0 && i < count; i++)
		rc = set_one(q, &values[i], err);
	if (rc < 0 && (!err || !err->code))
		mt_error_set(err, rc, "file", "the image cannot be changed");
	again = qcow2_reload(q, rc == 0 ? err : NULL);
	return rc < 0 ? rc : again;
}

int qcow2_backing_set(struct qcow2 *q, const char *name, const char *format, struct mt_error *err)
{
	char *backing = name ? strdup(name) : NULL, *copy = name && format ? strdup(format) : NULL;
	int rc, again;

	if (name && (!backing || strlen(name) > BACKING_NAME_MAX)) {
		free(backing);
		free(copy);
		return mt_error_set(err, MT_ERANGE, "backing", "the name of the backing file is too long");
	}
	free(q->h.backing);
	free(q->h.backing_format);
	q->h.backing = backing;
	q->h.backing_format = copy;
	rc = header_ext_set(&q->h, EXT_BACKING_FORMAT, copy, copy ? (uint32_t)strlen(copy) : 0);
	if (rc == 0)
		rc = header_store(q, err);
	if (rc == 0 && !name)
		q->has_backing = 0;
	again = qcow2_reload(q, rc == 0 ? err : NULL);
	return rc < 0 ? rc : again;
}
