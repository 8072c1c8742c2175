/* SPDX-License-Identifier: MIT */
/*
 * Making the reference counts right: where they are, or anew behind everything, with one write of the header that
 * switches over; then the old ones are nobody's. Exclusive, with nothing mapped.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/minmax.h>

/* One slice. Counts that rise are those of errors, ones that fall those of leaks. */
static int mend_slice(struct qcow2 *q, uint32_t repair, const uint16_t *counts, uint64_t clusters, uint64_t first)
{
	struct mt_block_page *page;
	int rc = refcount_page(q, first, &page);

	if (rc < 0)
		return rc == MT_ENOENT ? 0 : rc;
	for (uint64_t c = first; c < first + refcount_slice(q) && rc == 0; c++) {
		uint64_t found = refcount_in(q, page, c), wanted = c < clusters ? counts[c] : 0;

		if (found == wanted || !(found > wanted ? repair : repair & MT_BLOCK_CHECK_ALL))
			continue;
		if (wanted > refcount_max(q->h.refcount_order) || wanted == UINT16_MAX)
			rc = MT_ERANGE;
		else
			refcount_put(q, page, c, wanted);
	}
	q->cache->put(q->block_cache, page);
	return rc;
}

int repair_counts(struct qcow2 *q, uint32_t repair, const uint16_t *counts, uint64_t clusters, int flags)
{
	uint64_t end = q->reftable_entries << q->block_bits, per_slice = refcount_slice(q);
	int rc = 0;

	for (uint64_t c = 0; rc == 0 && c < end; c += per_slice) {
		if (q->reftable[c >> q->block_bits])
			rc = mend_slice(q, repair, counts, clusters, c);
		else
			c = (((c >> q->block_bits) + 1) << q->block_bits) - per_slice;
	}
	q->epoch++;                              /* what was given up before is accounted for */
	q->held_count = 0;
	if (rc == 0 && flags)
		rc = walk_copied(q);
	if (rc == 0)
		rc = qcow2_reload(q, NULL);
	return rc;
}

/* Anew */

struct plan {
	struct qcow2 *q;
	const uint16_t *counts;
	uint64_t clusters;                   /* counted; the new blocks come behind them, then the new table */
	uint64_t blocks, table_clusters;
	uint32_t order, block_bits;
};

static int plan_make(struct plan *p)
{
	uint64_t per_table = p->q->cluster_bytes / 8, end;

	p->block_bits = p->q->h.cluster_bits + 3 - p->order;
	p->blocks = p->table_clusters = 1;
	for (;;) {
		uint64_t blocks, clusters;

		end = p->clusters + p->blocks + p->table_clusters;
		blocks = (end + (1ull << p->block_bits) - 1) >> p->block_bits;
		clusters = (blocks + per_table - 1) / per_table;
		if (blocks <= p->blocks && clusters <= p->table_clusters)
			break;
		p->blocks = mt_max_u64(blocks, p->blocks);
		p->table_clusters = mt_max_u64(clusters, p->table_clusters);
	}
	return p->table_clusters * p->q->cluster_bytes > REFTABLE_BYTES_MAX ? MT_ERANGE : 0;
}

static int block_write(const struct plan *p, uint64_t block, uint8_t *bytes)
{
	uint64_t first = block << p->block_bits, end = p->clusters + p->blocks + p->table_clusters;

	memset(bytes, 0, p->q->cluster_bytes);
	for (uint64_t i = 0; i < 1ull << p->block_bits && first + i < end; i++) {
		uint64_t value = first + i < p->clusters ? p->counts[first + i] : 1;

		if (value == UINT16_MAX || value > refcount_max(p->order))
			return MT_ERANGE;
		refcount_write(bytes, p->order, (uint32_t)i, value);
	}
	return p->q->host->child_write(p->q->inst, 0, (p->clusters + block) * p->q->cluster_bytes, bytes,
				       p->q->cluster_bytes);
}

static int table_write(const struct plan *p)
{
	uint64_t len = p->table_clusters * p->q->cluster_bytes;
	uint8_t *bytes = calloc(1, len);
	int rc = MT_ENOMEM;

	if (bytes) {
		for (uint64_t i = 0; i < p->blocks; i++)
			mt_put_be64(bytes + 8 * i, (p->clusters + i) * p->q->cluster_bytes);
		rc = p->q->host->child_write(p->q->inst, 0, (p->clusters + p->blocks) * p->q->cluster_bytes, bytes, len);
	}
	free(bytes);
	return rc;
}

/* What the caches have of the old blocks must not come later. */
static int switch_over(struct qcow2 *q, const struct plan *p)
{
	int rc = q->host->child_flush(q->inst, 0);

	q->h.reftable_offset = (p->clusters + p->blocks) * q->cluster_bytes;
	q->h.reftable_clusters = (uint32_t)p->table_clusters;
	q->h.refcount_order = p->order;
	if (rc == 0)
		rc = header_store(q, NULL);
	q->epoch++;
	q->held_count = 0;
	return rc < 0 ? rc : qcow2_reload(q, NULL);
}

int repair_rebuild(struct qcow2 *q, const uint16_t *counts, uint64_t clusters, uint32_t order)
{
	struct plan p = { .q = q, .counts = counts, .clusters = clusters, .order = order };
	uint8_t *bytes = malloc(q->cluster_bytes);
	int rc = bytes ? plan_make(&p) : MT_ENOMEM;

	if (rc == 0)
		rc = q->cache->flush(q->inst);
	for (uint64_t i = 0; rc == 0 && i < p.blocks; i++)
		rc = block_write(&p, i, bytes);
	if (rc == 0)
		rc = table_write(&p);
	if (rc == 0)
		rc = switch_over(q, &p);
	if (rc == 0)
		rc = walk_copied(q);
	if (rc == 0)
		rc = q->cache->flush(q->inst);
	free(bytes);
	return rc;
}

int repair_after(struct qcow2 *q, int rc)
{
	struct mt_block_check out = { .size = sizeof(out) };

	q->held_count = 0;
	if (qcow2_reload(q, NULL) < 0 ||
	    qcow2_check(q, MT_BLOCK_CHECK_ALL | MT_BLOCK_CHECK_LEAKS, &out, NULL, NULL, NULL) < 0 ||
	    out.corruptions > out.corruptions_fixed)
		q->corrupt = 1;
	return rc;
}
