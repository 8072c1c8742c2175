/* SPDX-License-Identifier: MIT */
/*
 * Where the fields of the header sector are: the preheader (text, signature, version) and the header of version 1.1
 * of VirtualBox's VDICore.h, all little-endian. Shared by the files of the core.
 */
#ifndef BLOCK_VDI_LAYOUT_H
#define BLOCK_VDI_LAYOUT_H

#define VDI_SIGNATURE 0xbeda107fu
#define VDI_VERSION_1_1 0x00010001u

#define AT_SIGNATURE    0x040
#define AT_VERSION      0x044
#define AT_HEADER_BYTES 0x048
#define AT_TYPE         0x04c
#define AT_FLAGS        0x050
#define AT_MAP_OFFSET   0x154
#define AT_DATA_OFFSET  0x158
#define AT_CYLINDERS    0x15c
#define AT_HEADS        0x160
#define AT_SECTORS      0x164
#define AT_SECTOR_BYTES 0x168
#define AT_DISK_BYTES   0x170
#define AT_BLOCK_BYTES  0x178
#define AT_EXTRA_BYTES  0x17c
#define AT_BLOCKS       0x180
#define AT_ALLOCATED    0x184
#define AT_UUID         0x188
#define AT_MODIFY_UUID  0x198
#define AT_PARENT_UUID  0x1a8
#define AT_PARENT_MODIFY_UUID 0x1b8
#define AT_LCHS         0x1c8

#define HEADER_BYTES     0x190u          /* of the newer header, which has LCHS */
#define HEADER_BYTES_MIN 0x180u

#endif
