/* SPDX-License-Identifier: MIT */
/*
 * The VirtualBox disk image, version 1.1: a header of one sector, a map with four bytes a block, and the blocks.
 * The core knows no bus, thread or kernel: it reads through a source, keeps the whole map in memory and tells which
 * bytes of header and map have to be written. Every function is called under one lock.
 * The rule that is easy to break: VirtualBox and QEMU give the block number `allocated` to the next block, so the
 * numbers in use are 0 to allocated - 1 without a gap, and the count reaches the disk before the map entry.
 */
#ifndef BLOCK_VDI_H
#define BLOCK_VDI_H

#include <mortise/draft/block-format.h>
#include <mortise/error.h>
#include <util/source.h>

#define VDI_HEADER_BYTES  512u
#define VDI_BLOCKS_MAX    (32u << 20)    /* 128 MiB of map: a disk of 32 TiB with the usual blocks */
#define VDI_BLOCK_DEFAULT (1u << 20)
#define VDI_BLOCK_MAX     (256u << 20)

#define VDI_DYNAMIC 1u
#define VDI_STATIC  2u
#define VDI_UNDO    3u                   /* as VDI_DIFF */
#define VDI_DIFF    4u

#define VDI_FREE 0xffffffffu             /* never written: zero, or what the parent has */
#define VDI_ZERO 0xfffffffeu             /* reads as zero */

struct vdi {
	uint8_t header[VDI_HEADER_BYTES];    /* as read; fields that we do not know stay */
	uint32_t type;
	uint32_t block_bytes, extra_bytes;   /* extra_bytes stand before the data of each block */
	uint32_t blocks, allocated;
	uint32_t numbers;                    /* numbers below this may be in the map */
	uint32_t handed;                     /* numbers from here on were never given to a block while we look on */
	uint64_t disk_bytes, map_offset, data_offset, file_bytes;
	uint32_t *map;                       /* `blocks` entries */
	uint32_t *spare;                     /* numbers below `allocated` that nobody uses */
	uint32_t spare_count, spare_room;
};

struct vdi_report {
	uint64_t allocated;                  /* entries with data */
	uint64_t out_of_range, doubled;      /* entries that cannot be right */
	uint64_t truncated;                  /* blocks that end beyond the file */
	uint64_t leaked;                     /* numbers that the header counts and no entry has */
	uint64_t missing;                    /* numbers in use that the header does not count */
};

struct vdi_options {
	uint64_t disk_bytes;
	uint32_t block_bytes;                /* 0: VDI_BLOCK_DEFAULT */
	uint32_t type;                       /* VDI_DYNAMIC, VDI_STATIC or VDI_DIFF */
	uint8_t uuid[16], modify_uuid[16];
	uint8_t parent_uuid[16], parent_modify_uuid[16];   /* VDI_DIFF */
};

/* Header and map; `v` is to be given to vdi_fini also when it fails. Nothing is said of the map's soundness. */
int vdi_load(struct vdi *v, const struct mt_source *source, struct mt_error *err);
void vdi_fini(struct vdi *v);

/* Looks over the map. 0 or MT_ENOMEM. */
int vdi_check(const struct vdi *v, struct vdi_report *out);
/* After vdi_load: what may be used. Corrects the count, so that the next allocation is safe. 0, or an error. */
int vdi_accept(struct vdi *v, struct mt_error *err);

/* 100: VDI by its looks; 0: not. */
uint32_t vdi_probe(const uint8_t *head, uint32_t head_bytes);
/* In a header sector that vdi_probe knows. */
const uint8_t *vdi_uuid_in(const uint8_t *header);
const uint8_t *vdi_modify_uuid_in(const uint8_t *header);
void vdi_set_modify_uuid(struct vdi *v, const uint8_t uuid[16]);
void vdi_set_parent_modify_uuid(struct vdi *v, const uint8_t uuid[16]);
const uint8_t *vdi_uuid(const struct vdi *v);
const uint8_t *vdi_modify_uuid(const struct vdi *v);
const uint8_t *vdi_parent_uuid(const struct vdi *v);
const uint8_t *vdi_parent_modify_uuid(const struct vdi *v);
static inline int vdi_has_parent(const struct vdi *v)
{
	return v->type == VDI_DIFF || v->type == VDI_UNDO;
}

/* Extents from `offset` on; how many. MT_ERANGE beyond the end, MT_EIO where the map is corrupt. */
int32_t vdi_map(const struct vdi *v, uint64_t offset, uint64_t len_bytes, struct mt_block_extent *extents,
		uint32_t max);
/* Gives numbers to the blocks of the range, which have none; how many targets. MT_ENOSPC, MT_ENOMEM, MT_ERANGE. */
int32_t vdi_reserve(struct vdi *v, uint64_t offset, uint64_t len_bytes, struct mt_block_target *targets, uint32_t max);
/* Enters a reserved block into the map; the entry's index. `cookie` is checked. MT_EINVAL: none of ours. */
int64_t vdi_commit(struct vdi *v, uint64_t cookie);
void vdi_abort(struct vdi *v, uint64_t cookie);
/*
 * One block, whole or up to the disk's end, reads as zero from now on. Its number, if it had one and `free_data`, is
 * in *number: nobody has it until vdi_release; else VDI_FREE. 1: the entry has changed; 0: nothing to write;
 * MT_ENOTSUP: it has data that are to stay in place, so zeros have to be written.
 */
int32_t vdi_unmap(struct vdi *v, uint32_t index, int free_data, uint32_t *number);
/* A number that nothing points to any more can be used again. */
void vdi_release(struct vdi *v, uint32_t number);
/* Where the bytes of a number lie, the extra ones included. */
struct mt_block_space vdi_space(const struct vdi *v, uint32_t number);

/* The header sector, and `count` entries of the map from `first` on, as they are to be on the disk. */
void vdi_encode_header(const struct vdi *v, uint8_t out[VDI_HEADER_BYTES]);
void vdi_encode_map(const struct vdi *v, uint32_t first, uint32_t count, uint8_t *out);

/* Writes a fresh image. */
int vdi_create(const struct vdi_options *options, const struct mt_sink *sink, struct mt_error *err);
/* What the file will have: bytes of everything but data, and of data if all is written. */
int vdi_measure(const struct vdi_options *options, uint64_t *required, uint64_t *full);
/* Where the data of that file will begin; 0: it cannot be made. */
uint64_t vdi_data_begin(const struct vdi_options *options);

/*
 * What changes the image as a whole, see resize.c and compact.c. They write around every cache, in an order in which
 * a crash leaves a sound image; `flush` makes what was written durable. Afterwards the header has to be written.
 */
struct vdi_io {
	struct mt_source source;
	struct mt_sink sink;
	int32_t (*flush)(void *arg);         /* of the sink */
};
int vdi_grow(struct vdi *v, uint64_t disk_bytes, const struct vdi_io *io, struct mt_error *err);
int vdi_shrink(struct vdi *v, uint64_t disk_bytes, const struct vdi_io *io, struct mt_error *err);
/* Moves the last blocks into the gaps, so that the numbers in use are those below `allocated`, and cuts the file. */
int vdi_compact(struct vdi *v, const struct vdi_io *io);
/* No block has data any more. */
int vdi_empty(struct vdi *v, const struct vdi_io *io);

uint64_t vdi_total_bytes(const struct vdi *v);   /* of a block, with what stands before it */
uint64_t vdi_end(const struct vdi *v);           /* of the last block that has a number */
int vdi_block_copy(struct vdi *v, const struct vdi_io *io, uint32_t from, uint32_t to);
int vdi_write_header(struct vdi *v, const struct vdi_io *io);

#endif
