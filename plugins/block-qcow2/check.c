/* SPDX-License-Identifier: MIT */
/*
 * Looking over the image: what every table refers to is counted, and compared with the reference counts and the
 * flags. A table that was looked at as often as there are trees is not looked at again: a hostile image would make
 * this go on for ever. Exclusive.
 */
#include "qcow2.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#define COUNTS_MAX   (256ull << 20)      /* clusters that are counted */
#define FINDINGS_MAX 200u                /* told one by one */

struct look {
	struct qcow2 *q;
	uint16_t *counts;
	uint64_t clusters;
	struct mt_block_check *out;
	finding_fn *finding;
	void *arg;
	uint32_t told;
	uint64_t next_host;                  /* where the last entry's data ended */
	int active;                          /* the tree of the disk itself */
};

__attribute__((format(printf, 2, 3)))
static void tell(struct look *l, const char *fmt, ...)
{
	char line[200];
	va_list ap;

	if (!l->finding || l->told++ >= FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	l->finding(l->arg, line);
}

static void wrong(struct look *l, const char *what, uint64_t at)
{
	l->out->corruptions++;
	tell(l, "%s 0x%llx", what, (unsigned long long)at);
}

/* One reference to what lies in so many bytes. 0: it cannot be. */
static int count(struct look *l, uint64_t offset, uint64_t len, const char *what)
{
	uint64_t last = (offset + len - 1) / l->q->cluster_bytes;

	if (!len)
		return 1;
	if (last >= l->clusters) {
		wrong(l, what, offset);
		return 0;
	}
	for (uint64_t c = offset / l->q->cluster_bytes; c <= last; c++)
		l->counts[c] += l->counts[c] < UINT16_MAX;
	l->out->image_end_bytes = mt_max_u64(l->out->image_end_bytes, (last + 1) * l->q->cluster_bytes);
	return 1;
}

/* Trees of tables */

static void statistics(struct look *l, uint64_t entry)
{
	uint64_t host = entry & ENTRY_OFFSET;

	if (!l->active)
		return;
	if (entry & ENTRY_COMPRESSED) {
		l->out->units_allocated++;
		l->out->units_encoded++;
		l->out->units_fragmented++;
		return;
	}
	if (!host)
		return;
	l->out->units_allocated++;
	l->out->units_fragmented += l->next_host && host != l->next_host;
	l->next_host = host + l->q->cluster_bytes;
}

static void look_at_entry(struct look *l, uint64_t entry, uint64_t bitmap)
{
	const struct qcow2 *q = l->q;
	uint64_t offset = entry & ENTRY_OFFSET, len;

	statistics(l, entry);
	if (entry & ENTRY_COMPRESSED) {
		table_encoded(q, entry, &offset, &len);
		if (entry & ENTRY_COPIED)
			wrong(l, "a compressed cluster is marked as copied:", offset);
		(void)count(l, offset, len, "a compressed cluster lies beyond the end of the file:");
		return;
	}
	if (entry & L2_RESERVED || (entry & ENTRY_ZERO && (q->entry_bytes == 16 || q->h.version < 3)))
		wrong(l, "an L2 entry has reserved bits:", entry);
	if (bitmap & bitmap >> 32 & 0xffffffff || (!offset && bitmap & 0xffffffff))
		wrong(l, "an L2 entry has an impossible bitmap:", bitmap);
	if (!offset)
		return;
	if (offset % q->cluster_bytes)
		wrong(l, "a cluster is not aligned:", offset);
	else
		(void)count(l, offset, q->cluster_bytes, "a cluster lies beyond the end of the file:");
}

static int look_at_table(struct look *l, uint64_t table)
{
	struct qcow2 *q = l->q;

	for (uint64_t at = 0; at < q->cluster_bytes; at += q->slice_bytes) {
		struct mt_block_page *page;
		int rc = qcow2_page(q, q->l2_cache, table + at, 0, &page);

		if (rc == MT_ENOMEM)
			return rc;
		if (rc < 0) {
			l->out->errors++;
			tell(l, "an L2 table cannot be read: 0x%llx", (unsigned long long)table);
			return 0;
		}
		for (uint32_t i = 0; i < q->slice_entries; i++) {
			uint64_t entry = table_entry(q, page->data, i);

			if (entry || q->entry_bytes == 16)
				look_at_entry(l, entry, entry & ENTRY_COMPRESSED ? 0 : table_bitmap(q, page->data, i));
		}
		q->cache->put(q->l2_cache, page);
	}
	return 0;
}

static int look_at_tree(struct look *l, const uint64_t *l1, uint32_t size)
{
	struct qcow2 *q = l->q;
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < size; i++) {
		uint64_t table = l1[i] & ENTRY_OFFSET;

		if (l1[i] & L1_RESERVED)
			wrong(l, "an L1 entry has reserved bits:", l1[i]);
		if (!table)
			continue;
		if (table % q->cluster_bytes) {
			wrong(l, "an L2 table is not aligned:", table);
			continue;
		}
		if (!count(l, table, q->cluster_bytes, "an L2 table lies beyond the end of the file:"))
			continue;
		if (l->counts[table / q->cluster_bytes] > q->h.snapshot_count + 1)
			wrong(l, "an L2 table is used too often:", table);
		else
			rc = look_at_table(l, table);
	}
	return rc;
}

static int look_at_snapshots(struct look *l)
{
	struct qcow2 *q = l->q;
	int rc = 0;

	if (q->h.snapshot_count)
		(void)count(l, q->h.snapshot_offset, q->snapshot_table_bytes, "the table of snapshots is cut off:");
	for (uint32_t i = 0; rc == 0 && i < q->h.snapshot_count; i++) {
		const struct qcow2_snapshot *s = &q->snapshots[i];
		uint64_t *l1;

		if (!s->l1_size || !count(l, s->l1_offset, 8ull * s->l1_size, "an L1 table is cut off:"))
			continue;
		if (l->counts[s->l1_offset / q->cluster_bytes] > 1) {
			wrong(l, "an L1 table lies where something else is:", s->l1_offset);
			continue;
		}
		l1 = table_load(q, s->l1_offset, s->l1_size, &rc);
		if (rc == 0)
			rc = look_at_tree(l, l1, s->l1_size);
		free(l1);
	}
	return rc;
}

/* Bitmaps */

/* What is used twice the comparison will tell; it is not looked into. */
static int count_bitmap(void *arg, uint64_t offset, uint64_t len)
{
	struct look *l = arg;

	return len && count(l, offset, len, "a bitmap is cut off:") && l->counts[offset / l->q->cluster_bytes] <= 1;
}

/* Without the bit in the header they are nobody's, and their clusters leak. */
static int look_at_bitmaps(struct look *l)
{
	struct bitmaps b;
	int rc = bitmaps_load(l->q, &b);

	if (rc == MT_EINVAL) {
		wrong(l, "the directory of bitmaps cannot be:", b.offset);
		return 0;
	}
	if (rc == 0)
		rc = bitmaps_each(l->q, &b, count_bitmap, l);
	bitmaps_fini(&b);
	return rc == MT_ENOMEM ? rc : 0;
}

static int look_at_all(struct look *l)
{
	struct qcow2 *q = l->q;
	int rc;

	(void)count(l, 0, q->cluster_bytes, "the header is cut off:");
	if (q->h.l1_size)
		(void)count(l, q->h.l1_offset, 8ull * q->h.l1_size, "the L1 table is cut off:");
	l->active = 1;
	rc = look_at_tree(l, q->l1, q->h.l1_size);
	l->active = 0;
	if (rc == 0)
		rc = look_at_snapshots(l);
	return rc < 0 ? rc : look_at_bitmaps(l);
}

static int look_start(struct look *l, struct qcow2 *q)
{
	l->q = q;
	l->clusters = qcow2_clusters(q, q->host->child_bytes(q->inst, 0));
	if (l->clusters > COUNTS_MAX)
		return MT_ENOMEM;
	l->counts = calloc(l->clusters + 1, sizeof(*l->counts));
	return l->counts ? 0 : MT_ENOMEM;
}

uint16_t *check_count(struct qcow2 *q, uint64_t *clusters, int *rc)
{
	struct mt_block_check out = { 0 };
	struct look l = { .out = &out };

	*rc = look_start(&l, q);
	if (*rc == 0)
		*rc = look_at_all(&l);
	*clusters = l.clusters;
	if (*rc == 0)
		return l.counts;
	free(l.counts);
	return NULL;
}

/* Comparing */

/* The refcounts' own clusters. 1: they cannot be mended where they are. */
static int look_at_refcounts(struct look *l)
{
	struct qcow2 *q = l->q;
	int bad = 0;

	(void)count(l, q->h.reftable_offset, q->h.reftable_clusters * q->cluster_bytes, "the refcount table is cut off:");
	for (uint64_t i = 0; i < q->reftable_entries; i++) {
		uint64_t block = q->reftable[i];

		if (!block)
			continue;
		if (block % q->cluster_bytes) {
			wrong(l, "a refcount block is not aligned:", block);
			bad = 1;
		} else if (!count(l, block, q->cluster_bytes, "a refcount block lies beyond the end of the file:")) {
			bad = 1;
		} else if (l->counts[block / q->cluster_bytes] != 1) {
			wrong(l, "a refcount block lies where something else is:", block);
			bad = 1;
		}
	}
	return bad;
}

static void compare(struct look *l, uint64_t cluster, uint64_t found)
{
	uint64_t wanted = cluster < l->clusters ? l->counts[cluster] : 0;

	if (found == wanted)
		return;
	if (found > wanted)
		l->out->leaks++;
	else
		l->out->corruptions++;
	tell(l, "%s cluster %llu is counted %llu times and used %llu times", found > wanted ? "leaked:" : "wrong:",
	     (unsigned long long)cluster, (unsigned long long)found, (unsigned long long)wanted);
}

/* 1: counts are missing that have no block. */
static int compare_counts(struct look *l)
{
	struct qcow2 *q = l->q;
	uint64_t per_slice = refcount_slice(q), end = q->reftable_entries << q->block_bits;
	int missing = 0;

	for (uint64_t c = 0; c < mt_max_u64(end, l->clusters); c += per_slice) {
		struct mt_block_page *page = NULL;
		int rc;

		if (c < end && !q->reftable[c >> q->block_bits] && c >= l->clusters) {
			c = (((c >> q->block_bits) + 1) << q->block_bits) - per_slice;
			continue;
		}
		rc = refcount_page(q, c, &page);
		if (rc < 0 && rc != MT_ENOENT)
			l->out->errors++;
		for (uint64_t i = c; i < c + per_slice && (page || i < l->clusters); i++) {
			missing |= !page && l->counts[i];
			compare(l, i, page ? refcount_in(q, page, i) : 0);
		}
		if (page)
			q->cache->put(q->block_cache, page);
	}
	return missing;
}

static void compare_flag(struct look *l, uint64_t entry, const char *what)
{
	uint64_t host = entry & ENTRY_OFFSET, found;

	if (host % l->q->cluster_bytes || refcount_get(l->q, host / l->q->cluster_bytes, &found) < 0)
		return;                        /* told already */
	if ((found == 1) != ((entry & ENTRY_COPIED) != 0))
		wrong(l, what, host);
}

static int compare_flags(struct look *l)
{
	struct qcow2 *q = l->q;

	for (uint32_t i = 0; i < q->h.l1_size; i++) {
		uint64_t table = q->l1[i] & ENTRY_OFFSET;

		if (!table || table % q->cluster_bytes || table / q->cluster_bytes >= l->clusters ||
		    l->counts[table / q->cluster_bytes] > q->h.snapshot_count + 1)
			continue;
		compare_flag(l, q->l1[i], "the copied flag of an L2 table is wrong:");
		for (uint64_t at = 0; at < q->cluster_bytes; at += q->slice_bytes) {
			struct mt_block_page *page;

			if (qcow2_page(q, q->l2_cache, table + at, 0, &page) < 0)
				break;
			for (uint32_t k = 0; k < q->slice_entries; k++) {
				uint64_t entry = table_entry(q, page->data, k);

				if (!(entry & ENTRY_COMPRESSED) && entry & ENTRY_OFFSET)
					compare_flag(l, entry, "the copied flag of a cluster is wrong:");
			}
			q->cache->put(q->l2_cache, page);
		}
	}
	return 0;
}

/* What was found, found again after the repair, is what is left. */
static int repair(struct look *l, uint32_t wanted, int rebuild)
{
	struct qcow2 *q = l->q;
	uint64_t clusters;
	uint16_t *counts;
	int rc = 0;

	/* where nothing but leaks was found all counts are right now, and the flags have to tell the new ones */
	if (!rebuild || !(wanted & MT_BLOCK_CHECK_ALL))
		return repair_counts(q, wanted, l->counts, l->clusters, wanted & MT_BLOCK_CHECK_ALL ||
				     (!l->out->corruptions && !l->out->errors));
	counts = check_count(q, &clusters, &rc);
	if (rc == 0)
		rc = repair_rebuild(q, counts, clusters, q->h.refcount_order);
	free(counts);
	return rc;
}

static int look_once(struct look *l, int *rebuild)
{
	int rc = look_start(l, l->q);

	if (rc < 0)
		return rc;
	l->out->units_total = qcow2_clusters(l->q, l->q->h.disk_bytes);
	rc = look_at_all(l);
	if (rc < 0)
		return rc;
	*rebuild = look_at_refcounts(l);
	*rebuild |= compare_counts(l);
	return compare_flags(l);
}

static int mend(struct look *l, uint32_t repair_mask, int rebuild)
{
	struct mt_block_check again = { .size = sizeof(again) };
	struct look second = { .q = l->q, .out = &again };
	int rc = repair(l, repair_mask, rebuild);

	if (rc == 0)
		rc = look_once(&second, &rebuild);
	free(second.counts);
	if (rc < 0)
		return rc;
	l->out->corruptions_fixed = l->out->corruptions - mt_min_u64(again.corruptions, l->out->corruptions);
	l->out->leaks_fixed = l->out->leaks - mt_min_u64(again.leaks, l->out->leaks);
	if (again.corruptions || again.errors || !(repair_mask & MT_BLOCK_CHECK_ALL))
		return 0;
	l->q->corrupt = 0;
	return qcow2_mark(l->q, 0, INCOMPAT_DIRTY | INCOMPAT_CORRUPT);
}

int qcow2_check(struct qcow2 *q, uint32_t repair_mask, struct mt_block_check *out, finding_fn *finding, void *arg,
		struct mt_error *err)
{
	struct look l = { .q = q, .out = out, .finding = finding, .arg = arg };
	int rebuild = 0, rc;

	if (repair_mask && q->readonly)
		return mt_error_set(err, MT_EPERM, "file", "the image can only be read, so it cannot be repaired");
	rc = look_once(&l, &rebuild);
	if (rc == 0 && repair_mask && (out->corruptions || out->leaks || q->h.incompatible & INCOMPAT_DIRTY))
		rc = mend(&l, repair_mask, rebuild);
	free(l.counts);
	return rc < 0 ? mt_error_set(err, rc, "file", "the tables of the image cannot be looked over") : 0;
}
