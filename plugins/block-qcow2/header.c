/* SPDX-License-Identifier: MIT */
/*
 * The header and its extensions: parsed from bytes and built again. What we do not know is kept byte for byte:
 * fields behind ours, extensions of other programs. Pure, but for header_store.
 */
#include "qcow2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>

static char *text_copy(const uint8_t *bytes, uint32_t len)
{
	char *text = malloc(len + 1ull);

	if (!text)
		return NULL;
	memcpy(text, bytes, len);
	text[len] = 0;
	return text;
}

const struct qcow2_ext *header_ext(const struct qcow2_header *h, uint32_t type)
{
	for (uint32_t i = 0; i < h->ext_count; i++) {
		if (h->exts[i].type == type)
			return &h->exts[i];
	}
	return NULL;
}

static int ext_append(struct qcow2_header *h, uint32_t type, const void *data, uint32_t len)
{
	struct qcow2_ext *exts = realloc(h->exts, (h->ext_count + 1) * sizeof(*exts));
	uint8_t *copy = malloc(len + 1ull);

	if (exts)
		h->exts = exts;
	if (!exts || !copy) {
		free(copy);
		return MT_ENOMEM;
	}
	if (len)
		memcpy(copy, data, len);
	h->exts[h->ext_count++] = (struct qcow2_ext){ type, len, copy };
	return 0;
}

int header_ext_set(struct qcow2_header *h, uint32_t type, const void *data, uint32_t len)
{
	for (uint32_t i = 0; i < h->ext_count; i++) {
		if (h->exts[i].type != type)
			continue;
		free(h->exts[i].data);
		memmove(&h->exts[i], &h->exts[i + 1], (h->ext_count - i - 1) * sizeof(*h->exts));
		h->ext_count--;
		break;
	}
	return data ? ext_append(h, type, data, len) : 0;
}

int header_add_features(struct qcow2_header *h)
{
	static const struct { uint8_t type, bit; const char *name; } names[] = {
		{ 0, 0, "dirty bit" }, { 0, 1, "corrupt bit" }, { 0, 2, "external data file" },
		{ 0, 3, "compression type" }, { 0, 4, "extended L2 entries" }, { 1, 0, "lazy refcounts" },
		{ 2, 0, "bitmaps" }, { 2, 1, "raw external data" },
	};
	uint8_t table[sizeof(names) / sizeof(names[0])][EXT_FEATURE_BYTES];

	if (header_ext(h, EXT_FEATURES))
		return 0;
	memset(table, 0, sizeof(table));
	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		table[i][0] = names[i].type;
		table[i][1] = names[i].bit;
		memcpy(&table[i][2], names[i].name, strlen(names[i].name));
	}
	return ext_append(h, EXT_FEATURES, table, sizeof(table));
}

/* Parsing */

static int parse_exts(struct qcow2_header *h, const uint8_t *bytes, uint64_t len, struct mt_error *err)
{
	uint64_t at = h->header_bytes;

	while (len - at >= 8) {
		uint32_t type = mt_get_be32(bytes + at), n = mt_get_be32(bytes + at + 4);

		if (type == EXT_END)
			return 0;
		at += 8;
		if (!mt_range_inside(at, n, len))
			return mt_error_set(err, MT_EINVAL, "file", "a header extension reaches out of the header");
		if (ext_append(h, type, bytes + at, n) < 0)
			return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
		at += (n + 7ull) / 8 * 8;
		if (at > len)
			break;
	}
	return 0;
}

static int parse_backing(struct qcow2_header *h, const uint8_t *bytes, uint64_t len, struct mt_error *err)
{
	uint64_t offset = mt_get_be64(bytes + HDR_BACKING_OFFSET);
	uint32_t n = mt_get_be32(bytes + HDR_BACKING_SIZE);
	const struct qcow2_ext *format = header_ext(h, EXT_BACKING_FORMAT);

	if (!offset)
		return 0;
	if (n > BACKING_NAME_MAX || !mt_range_inside(offset, n, len))
		return mt_error_set(err, MT_EINVAL, "file", "the name of the backing file is too long, or not in the header");
	h->backing = text_copy(bytes + offset, n);
	if (h->backing && format)
		h->backing_format = text_copy(format->data, format->len);
	return !h->backing || (format && !h->backing_format) ? mt_error_set(err, MT_ENOMEM, NULL, "out of memory") : 0;
}

/* What the image calls an incompatible feature; "": nothing. */
static void feature_name(const struct qcow2_header *h, uint32_t bit, char out[EXT_FEATURE_BYTES])
{
	const struct qcow2_ext *table = header_ext(h, EXT_FEATURES);

	memset(out, 0, EXT_FEATURE_BYTES);
	for (uint32_t i = 0; table && (i + 1) * EXT_FEATURE_BYTES <= table->len; i++) {
		const uint8_t *entry = table->data + i * EXT_FEATURE_BYTES;

		if (entry[0] == 0 && entry[1] == bit)
			memcpy(out, entry + 2, EXT_FEATURE_BYTES - 2);
	}
}

static int refuse_features(const struct qcow2_header *h, uint64_t unknown, struct mt_error *err)
{
	char list[300] = "", name[EXT_FEATURE_BYTES];

	for (uint32_t bit = 0; bit < 64; bit++) {
		size_t used = strlen(list);

		if (!(unknown >> bit & 1))
			continue;
		feature_name(h, bit, name);
		if (*name)
			snprintf(list + used, sizeof(list) - used, "%s'%s'", used ? ", " : "", name);
		else
			snprintf(list + used, sizeof(list) - used, "%sbit %u", used ? ", " : "", bit);
	}
	return mt_error_set(err, MT_ENOTSUP, "file", "the image needs features that are not known here: %s", list);
}

static int check_features(const struct qcow2_header *h, struct mt_error *err)
{
	const struct qcow2_ext *name = header_ext(h, EXT_DATA_FILE);

	if (h->incompatible & ~INCOMPAT_KNOWN)
		return refuse_features(h, h->incompatible & ~INCOMPAT_KNOWN, err);
	if (h->incompatible & INCOMPAT_DATA_FILE)
		return mt_error_set(err, MT_ENOTSUP, "file", "the image keeps its data in an external data file ('%.*s'), "
				    "which is not opened", name ? (int)(name->len > 200 ? 200 : name->len) : 0,
				    name ? (const char *)name->data : "");
	if (h->compression > 1 || !(h->incompatible & INCOMPAT_COMPRESSION) != !h->compression)
		return mt_error_set(err, MT_ENOTSUP, "file", "compression type %u is not known", h->compression);
	if (h->incompatible & INCOMPAT_EXTENDED_L2 && h->cluster_bits < CLUSTER_BITS_MIN_EXTENDED)
		return mt_error_set(err, MT_EINVAL, "file", "extended L2 entries need clusters of 16 KiB or more");
	return 0;
}

static int parse_v3(struct qcow2_header *h, const uint8_t *b, uint64_t len, struct mt_error *err)
{
	if (len < HDR_V3_BYTES)
		return mt_error_set(err, MT_EINVAL, "file", "the qcow2 header is cut off");
	h->incompatible = mt_get_be64(b + HDR_INCOMPATIBLE);
	h->compatible = mt_get_be64(b + HDR_COMPATIBLE);
	h->autoclear = mt_get_be64(b + HDR_AUTOCLEAR);
	h->refcount_order = mt_get_be32(b + HDR_REFCOUNT_ORDER);
	h->header_bytes = mt_get_be32(b + HDR_LENGTH);
	if (h->header_bytes < HDR_V3_BYTES || h->header_bytes > len || h->header_bytes > 1ull << h->cluster_bits ||
	    h->header_bytes % 8)
		return mt_error_set(err, MT_EINVAL, "file", "the qcow2 header says that it has %u bytes", h->header_bytes);
	if (h->refcount_order > 6)
		return mt_error_set(err, MT_EINVAL, "file", "reference counts of 2^%u bits", h->refcount_order);
	if (h->header_bytes > HDR_COMPRESSION)
		h->compression = b[HDR_COMPRESSION];
	if (h->header_bytes > HDR_OUR_BYTES) {
		h->more = malloc(h->header_bytes - HDR_OUR_BYTES);
		if (!h->more)
			return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
		memcpy(h->more, b + HDR_OUR_BYTES, h->header_bytes - HDR_OUR_BYTES);
	}
	return 0;
}

static int parse_fields(struct qcow2_header *h, const uint8_t *b, struct mt_error *err)
{
	uint32_t crypt = mt_get_be32(b + HDR_CRYPT);

	h->disk_bytes = mt_get_be64(b + HDR_SIZE);
	h->l1_size = mt_get_be32(b + HDR_L1_SIZE);
	h->l1_offset = mt_get_be64(b + HDR_L1_OFFSET);
	h->reftable_offset = mt_get_be64(b + HDR_REFTABLE_OFFSET);
	h->reftable_clusters = mt_get_be32(b + HDR_REFTABLE_CLUSTERS);
	h->snapshot_count = mt_get_be32(b + HDR_SNAPSHOT_COUNT);
	h->snapshot_offset = mt_get_be64(b + HDR_SNAPSHOT_OFFSET);
	if (crypt)
		return mt_error_set(err, MT_ENOTSUP, "file", "the image is encrypted (%s), which is not supported",
				    crypt == 1 ? "AES" : crypt == 2 ? "LUKS" : "an unknown method");
	return 0;
}

int header_parse(struct qcow2_header *h, const uint8_t *bytes, uint64_t len, struct mt_error *err)
{
	int rc;

	*h = (struct qcow2_header){ .header_bytes = HDR_V2_BYTES, .refcount_order = 4 };
	if (len < HDR_V2_BYTES || mt_get_be32(bytes) != QCOW2_MAGIC)
		return mt_error_set(err, MT_EINVAL, "file", "this is no qcow2 file");
	h->version = mt_get_be32(bytes + HDR_VERSION);
	h->cluster_bits = mt_get_be32(bytes + HDR_CLUSTER_BITS);
	if (h->version < 2 || h->version > 3)
		return mt_error_set(err, MT_ENOTSUP, "file", "version %u of the qcow format is not supported", h->version);
	if (h->cluster_bits < CLUSTER_BITS_MIN || h->cluster_bits > CLUSTER_BITS_MAX)
		return mt_error_set(err, MT_ENOTSUP, "file", "clusters of 2^%u bytes are not supported", h->cluster_bits);
	if (len > 1ull << h->cluster_bits)
		len = 1ull << h->cluster_bits;
	rc = h->version == 3 ? parse_v3(h, bytes, len, err) : 0;
	if (rc == 0)
		rc = parse_exts(h, bytes, len, err);
	if (rc == 0)
		rc = parse_fields(h, bytes, err);
	if (rc == 0)
		rc = check_features(h, err);
	return rc < 0 ? rc : parse_backing(h, bytes, len, err);
}

void header_fini(struct qcow2_header *h)
{
	for (uint32_t i = 0; i < h->ext_count; i++)
		free(h->exts[i].data);
	free(h->exts);
	free(h->more);
	free(h->backing);
	free(h->backing_format);
	*h = (struct qcow2_header){ 0 };
}

/* Building */

void header_put(const struct qcow2_header *h, uint8_t *b)
{
	mt_put_be64(b + HDR_SIZE, h->disk_bytes);
	mt_put_be32(b + HDR_L1_SIZE, h->l1_size);
	mt_put_be64(b + HDR_L1_OFFSET, h->l1_offset);
	mt_put_be64(b + HDR_REFTABLE_OFFSET, h->reftable_offset);
	mt_put_be32(b + HDR_REFTABLE_CLUSTERS, h->reftable_clusters);
	mt_put_be32(b + HDR_SNAPSHOT_COUNT, h->snapshot_count);
	mt_put_be64(b + HDR_SNAPSHOT_OFFSET, h->snapshot_offset);
	if (h->version < 3)
		return;
	mt_put_be64(b + HDR_INCOMPATIBLE, h->incompatible);
	mt_put_be64(b + HDR_COMPATIBLE, h->compatible);
	mt_put_be64(b + HDR_AUTOCLEAR, h->autoclear);
	mt_put_be32(b + HDR_REFCOUNT_ORDER, h->refcount_order);
}

static int build_exts(const struct qcow2_header *h, uint8_t *out, uint64_t len, uint64_t *at)
{
	for (uint32_t i = 0; i < h->ext_count; i++) {
		const struct qcow2_ext *e = &h->exts[i];
		uint64_t whole = 8 + (e->len + 7ull) / 8 * 8;

		if (!mt_range_inside(*at, whole, len))
			return MT_ERANGE;
		mt_put_be32(out + *at, e->type);
		mt_put_be32(out + *at + 4, e->len);
		memcpy(out + *at + 8, e->data, e->len);
		*at += whole;
	}
	if (!mt_range_inside(*at, 8, len))       /* the end: zeros */
		return h->ext_count || h->backing ? MT_ERANGE : 0;
	*at += 8;
	return 0;
}

int header_build(const struct qcow2_header *h, uint8_t *out, uint64_t len)
{
	uint64_t at = h->version < 3 ? HDR_V2_BYTES : h->header_bytes;
	size_t name = h->backing ? strlen(h->backing) : 0;

	memset(out, 0, len);
	mt_put_be32(out, QCOW2_MAGIC);
	mt_put_be32(out + HDR_VERSION, h->version);
	mt_put_be32(out + HDR_CLUSTER_BITS, h->cluster_bits);
	header_put(h, out);
	if (h->version >= 3) {
		mt_put_be32(out + HDR_LENGTH, h->header_bytes);
		if (h->header_bytes > HDR_COMPRESSION)
			out[HDR_COMPRESSION] = (uint8_t)h->compression;
		if (h->more)
			memcpy(out + HDR_OUR_BYTES, h->more, h->header_bytes - HDR_OUR_BYTES);
	}
	if (build_exts(h, out, len, &at) < 0 || !mt_range_inside(at, name, len) || name > BACKING_NAME_MAX)
		return MT_ERANGE;
	if (!h->backing)
		return 0;
	mt_put_be64(out + HDR_BACKING_OFFSET, at);
	mt_put_be32(out + HDR_BACKING_SIZE, (uint32_t)name);
	memcpy(out + at, h->backing, name);
	return 0;
}

int header_store(struct qcow2 *q, struct mt_error *err)
{
	uint8_t *bytes = malloc(q->cluster_bytes);
	int rc = bytes ? header_build(&q->h, bytes, q->cluster_bytes) : MT_ENOMEM;

	if (rc == MT_ERANGE)
		mt_error_set(err, rc, "file", "header, extensions and backing file name are longer than a cluster");
	if (rc == 0)
		rc = q->cache->flush(q->inst);
	if (rc == 0)
		rc = q->host->child_write(q->inst, 0, 0, bytes, q->cluster_bytes);
	if (rc == 0)
		rc = q->host->child_flush(q->inst, 0);
	if (rc == 0 && q->header_page)
		memcpy(q->header_page->data, bytes, 512);
	if (rc < 0 && err && !err->code)
		mt_error_set(err, rc, "file", "the header cannot be written");
	free(bytes);
	return rc;
}

int header_store_tight(struct qcow2 *q, struct mt_error *err)
{
	int rc = header_store(q, NULL);

	if (rc != MT_ERANGE)
		return rc < 0 ? mt_error_set(err, rc, "file", "the header cannot be written") : 0;
	(void)header_ext_set(&q->h, EXT_FEATURES, NULL, 0);
	return header_store(q, err);
}
