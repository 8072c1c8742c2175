/* SPDX-License-Identifier: MIT */
/* Fresh images, byte for byte. Pure but for what the caller's sink does. */
#ifndef BLOCK_QCOW2_CREATE_H
#define BLOCK_QCOW2_CREATE_H

#include <mortise/error.h>
#include <stdint.h>
#include <util/source.h>

struct create_options {
	uint64_t disk_bytes;
	uint32_t version, cluster_bits, refcount_order, compression;
	int lazy, extended, prealloc;        /* prealloc: all clusters are mapped */
	const char *backing, *backing_format;        /* NULL: none */
};

/* Where things are, in clusters. */
struct create_layout {
	uint64_t reftable, reftable_clusters, blocks, block_clusters, l1, l1_clusters, l2, l2_clusters, data, end;
	uint64_t l1_entries;
};

/* What options cannot be together. */
int create_legal(const struct create_options *o, struct mt_error *err);
/* MT_ERANGE: the disk is larger than such an image can map. */
int create_layout(const struct create_options *o, struct create_layout *l);
int create_image(const struct create_options *o, const struct create_layout *l, const struct mt_sink *sink);
/* Length of an image with nothing in it but what is needed to map `data_bytes`. */
uint64_t create_bytes(const struct create_options *o, uint64_t data_bytes);

#endif
