/* SPDX-License-Identifier: MIT */
/* The bytes of a qcow2 file, big-endian all of them. Names follow the specification (QEMU's docs/interop/qcow2). */
#ifndef BLOCK_QCOW2_LAYOUT_H
#define BLOCK_QCOW2_LAYOUT_H

#define QCOW2_MAGIC 0x514649fbu          /* QFI\xfb */

/* Offsets in the header */
#define HDR_MAGIC             0
#define HDR_VERSION           4
#define HDR_BACKING_OFFSET    8
#define HDR_BACKING_SIZE      16
#define HDR_CLUSTER_BITS      20
#define HDR_SIZE              24
#define HDR_CRYPT             32
#define HDR_L1_SIZE           36
#define HDR_L1_OFFSET         40
#define HDR_REFTABLE_OFFSET   48
#define HDR_REFTABLE_CLUSTERS 56
#define HDR_SNAPSHOT_COUNT    60
#define HDR_SNAPSHOT_OFFSET   64
#define HDR_V2_BYTES          72
#define HDR_INCOMPATIBLE      72
#define HDR_COMPATIBLE        80
#define HDR_AUTOCLEAR         88
#define HDR_REFCOUNT_ORDER    96
#define HDR_LENGTH            100
#define HDR_V3_BYTES          104
#define HDR_COMPRESSION       104
#define HDR_OUR_BYTES         112         /* what a new header has */

#define INCOMPAT_DIRTY       1ull
#define INCOMPAT_CORRUPT     2ull
#define INCOMPAT_DATA_FILE   4ull
#define INCOMPAT_COMPRESSION 8ull
#define INCOMPAT_EXTENDED_L2 16ull
#define INCOMPAT_KNOWN       31ull
#define COMPAT_LAZY          1ull
#define AUTOCLEAR_BITMAPS    1ull

/* Header extensions */
#define EXT_END            0x00000000u
#define EXT_BACKING_FORMAT 0xe2792acau
#define EXT_FEATURES       0x6803f857u
#define EXT_BITMAPS        0x23852875u
#define EXT_LUKS           0x0537be77u
#define EXT_DATA_FILE      0x44415441u
#define EXT_FEATURE_BYTES  48u
#define EXT_BITMAPS_BYTES  24u

/* An entry of the directory of bitmaps: the table's offset, and then */
#define BITMAP_TABLE_SIZE 8          /* entries */
#define BITMAP_FLAGS      12
#define BITMAP_TYPE       16
#define BITMAP_BITS       17         /* the granularity is 1 << that */
#define BITMAP_NAME_SIZE  18
#define BITMAP_EXTRA      20         /* size of the extra data */
#define BITMAP_NAME       24u        /* extra data, then the name */
#define BITMAP_IN_USE           1u
#define BITMAP_AUTO             2u
#define BITMAP_EXTRA_COMPATIBLE 4u
#define BITMAP_FLAGS_KNOWN      7u
#define BITMAP_TYPE_DIRTY       1
#define BITMAP_BITS_MIN         9
#define BITMAP_BITS_MAX         31
#define BITMAP_NAME_MAX         1023u
#define BITMAP_ALL_ONES         1ull /* of a table's entry without an offset */
#define BITMAP_RESERVED         0xff000000000001feull

/* Entries of L1 and L2 tables */
#define ENTRY_COPIED     (1ull << 63)
#define ENTRY_COMPRESSED (1ull << 62)
#define ENTRY_ZERO       1ull
#define ENTRY_OFFSET     0x00fffffffffffe00ull
#define L1_RESERVED      0x7f000000000001ffull
#define L2_RESERVED      0x3f000000000001feull
#define REFTABLE_OFFSET  0xfffffffffffffe00ull

/* Limits, those of QEMU where the specification has none */
#define CLUSTER_BITS_MIN 9u
#define CLUSTER_BITS_MAX 21u
#define CLUSTER_BITS_MIN_EXTENDED 14u
#define SUBCLUSTERS      32u
#define L1_BYTES_MAX     (32u << 20)
#define REFTABLE_BYTES_MAX (8u << 20)
#define SNAPSHOTS_MAX    65536u
#define SNAPSHOT_TABLE_MAX (64u << 20)
#define SNAPSHOT_EXTRA_MAX 1024u
#define SNAPSHOT_HEAD    40u
#define BACKING_NAME_MAX 1023u
#define BITMAPS_MAX      65535u
#define HOST_OFFSET_MAX  (1ull << 56)

#endif
