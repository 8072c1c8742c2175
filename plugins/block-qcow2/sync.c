/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing of guest data by the core itself, one piece after the other: the state of a machine, and what an
 * exclusive operation has to move. Guest offsets beyond the disk's end are legal. Exclusive.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <string.h>
#include <util/minmax.h>

static int read_encoded(struct qcow2 *q, const struct mt_block_extent *e, uint8_t *out, uint64_t len)
{
	uint8_t *in = malloc(e->encoded_bytes), *unit = malloc(e->unit_bytes);
	int rc = in && unit ? q->host->child_read(q->inst, 0, e->child_offset, in, e->encoded_bytes) : MT_ENOMEM;

	if (rc == 0)
		rc = codec_decode(q->codec, in, e->encoded_bytes, unit, e->unit_bytes);
	if (rc == 0)
		memcpy(out, unit + e->skip_bytes, len);
	free(in);
	free(unit);
	return rc;
}

/* What is the backing disk's reads as zero here: callers look at that themselves. */
int sync_read(struct qcow2 *q, uint64_t offset, void *buf, uint64_t len)
{
	uint8_t *out = buf;

	for (uint64_t n; len; offset += n, out += n, len -= n) {
		struct mt_block_extent e;
		int rc = map_range(q, offset, len, INT64_MAX, MT_BLOCK_MAP_READ, &e, 1);

		if (rc < 0)
			return rc;
		n = mt_min_u64(len, e.len_bytes);
		memset(out, 0, n);
		rc = e.kind == MT_BLOCK_EXT_DATA ? q->host->child_read(q->inst, 0, e.child_offset, out, n) :
		     e.kind == MT_BLOCK_EXT_ENCODED ? read_encoded(q, &e, out, n) : 0;
		if (rc < 0)
			return rc;
	}
	return 0;
}

/* Data with what is around it in its unit. */
static int write_target(struct qcow2 *q, const struct mt_block_target *t, const uint8_t *data)
{
	uint64_t head = t->fill_head_bytes, len = head + t->len_bytes + t->fill_tail_bytes;
	uint8_t *all = malloc(len);
	int rc = all ? 0 : MT_ENOMEM;

	if (rc == 0)
		rc = sync_read(q, t->offset - head, all, head);
	if (rc == 0)
		rc = sync_read(q, t->offset + t->len_bytes, all + head + t->len_bytes, t->fill_tail_bytes);
	if (rc == 0) {
		memcpy(all + head, data, t->len_bytes);
		rc = q->host->child_write(q->inst, 0, t->child_offset - head, all, len);
	}
	free(all);
	return rc;
}

static int64_t write_piece(struct qcow2 *q, uint64_t offset, const uint8_t *data, uint64_t len)
{
	struct mt_block_extent e;
	struct mt_block_want want = { .offset = offset };
	struct mt_block_target t;
	int rc = map_range(q, offset, len, INT64_MAX, MT_BLOCK_MAP_WRITE, &e, 1);

	if (rc < 0)
		return rc;
	len = mt_min_u64(mt_min_u64(len, e.len_bytes), 1u << 20);
	if (e.kind == MT_BLOCK_EXT_DATA && e.flags & MT_BLOCK_EXT_WRITABLE) {
		rc = q->host->child_write(q->inst, 0, e.child_offset, data, len);
		return rc < 0 ? rc : (int64_t)len;
	}
	want.len_bytes = len;
	rc = qcow2_reserve(q, &want, &t, 1);
	if (rc < 0)
		return rc;
	rc = write_target(q, &t, data);
	if (rc < 0)
		qcow2_abort(q, t.cookie);
	else
		rc = qcow2_commit(q, t.cookie);
	return rc < 0 ? rc : (int64_t)t.len_bytes;
}

int sync_write(struct qcow2 *q, uint64_t offset, const void *buf, uint64_t len)
{
	const uint8_t *data = buf;

	while (len) {
		int64_t n = write_piece(q, offset, data, len);

		if (n < 0)
			return (int)n;
		offset += (uint64_t)n;
		data += n;
		len -= (uint64_t)n;
	}
	return 0;
}
