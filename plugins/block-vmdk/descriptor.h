/* SPDX-License-Identifier: MIT */
/*
 * The text that describes a VMDK disk: identifiers, the parent, the list of extents. It comes from an image: bounded
 * in length and in the number of extents, names are only kept, never opened here. Pure functions, any thread.
 */
#ifndef BLOCK_VMDK_DESCRIPTOR_H
#define BLOCK_VMDK_DESCRIPTOR_H

#include <mortise/error.h>
#include <stdint.h>

#define VMDK_TEXT_MAX    (1u << 20)
#define VMDK_EXTENTS_MAX 1024u
#define VMDK_NAME_MAX    1024u
#define VMDK_NO_PARENT   0xffffffffu

enum vmdk_kind { VMDK_FLAT, VMDK_ZERO, VMDK_SPARSE, VMDK_COWD };

struct vmdk_line {
	enum vmdk_kind kind;
	const char *word;                    /* for its kind, constant: "FLAT", "VMFS" */
	int readonly;
	uint64_t sectors;
	uint64_t offset_sectors;             /* FLAT: where it begins in the file */
	char *name;                          /* NULL: ZERO */
};

struct vmdk_descriptor {
	char create_type[32];
	char *parent_name;                   /* NULL: none in the text */
	uint32_t cid, parent_cid;
	uint32_t cid_at, cid_digits;         /* where the digits of the CID stand in the text; 0 of them: nowhere */
	uint32_t parent_cid_at, parent_cid_digits;
	struct vmdk_line *lines;
	uint32_t line_count;
};

/*
 * `text` has `len` bytes, and what is behind a NUL does not count. `d` is to be given to descriptor_fini also when
 * it fails.
 */
int descriptor_parse(struct vmdk_descriptor *d, const char *text, uint32_t len, struct mt_error *err);
void descriptor_fini(struct vmdk_descriptor *d);
/* A CID as the text has it; 0: it is none. */
int descriptor_cid(const char *text, uint32_t *out);
/* Whether a file that begins so is a descriptor. */
int descriptor_looks_so(const uint8_t *head, uint32_t head_bytes);

#endif
