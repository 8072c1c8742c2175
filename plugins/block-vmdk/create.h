/* SPDX-License-Identifier: MIT */
/* Fresh VMDK disks: descriptor and extents, byte for byte. Pure but for what the caller's sink does. */
#ifndef BLOCK_VMDK_CREATE_H
#define BLOCK_VMDK_CREATE_H

#include <mortise/error.h>
#include <util/source.h>

#include "descriptor.h"

enum vmdk_form { VMDK_MONOLITHIC_SPARSE, VMDK_MONOLITHIC_FLAT, VMDK_SPLIT_SPARSE, VMDK_SPLIT_FLAT, VMDK_STREAM,
		 VMDK_FORMS };
extern const char *const vmdk_form_names[VMDK_FORMS];

#define VMDK_SPLIT_BYTES   (2047ull << 20)   /* of an extent of the forms that are split */
#define VMDK_GRAIN_DEFAULT 65536u
#define VMDK_SPARSE_MAX    (128ull << 40)    /* tables of 512 such grains, as many of them as are read */
#define VMDK_TEXT_ROOM     (20u * 512)       /* for the descriptor in a monolithic sparse file */

struct vmdk_options {
	uint64_t disk_bytes;
	enum vmdk_form form;
	uint32_t cid, parent_cid;
	const char *parent_name;             /* NULL: none */
	const char *name;                    /* of the file, without folder */
	const char *adapter;                 /* ide, lsilogic, buslogic, legacyESX */
	const char *hardware;                /* version of the virtual hardware, a number */
	int zero_grains;
	int device;                          /* to be made on one, whose end does not move */
};

int create_is_one_file(const struct vmdk_options *o);
/* How many extents the disk has; each has the length and the file name that follow. */
uint32_t create_extents(const struct vmdk_options *o);
uint64_t create_extent_bytes(const struct vmdk_options *o, uint32_t index);
int create_extent_name(const struct vmdk_options *o, uint32_t index, char *out, uint32_t room);
/* The text; its length, or MT_ERANGE. */
int64_t create_text(const struct vmdk_options *o, char *out, uint32_t room);
/* An empty sparse extent of `bytes`; `text` (`text_len` not over VMDK_TEXT_ROOM) goes into it. */
int create_sparse(uint64_t bytes, int zero_grains, const char *text, uint32_t text_len, const struct mt_sink *sink);
/* Length of that extent with nothing in it. */
uint64_t create_overhead(uint64_t bytes, int with_text);
/* An empty stream of `bytes`, with its end. */
int create_stream(uint64_t bytes, const char *text, uint32_t text_len, const struct mt_sink *sink);
/* How long a stream with so many grains can become, all of its tables there. */
uint64_t create_stream_bytes(uint64_t bytes, uint64_t grains);

#endif
