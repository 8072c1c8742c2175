/* SPDX-License-Identifier: MIT */
/*
 * The saved state of a disk whose data are its image's own: how long it is. A disk of another length is another disk
 * and is refused. All formats have this schema, so that a snapshot may go on with the disk in another format.
 *
 *   MT_DISK_STATE(state_class, node_info)
 *
 * defines state_class, for MT_IFACE_STATE; node_info is the format's mt_block_format.info.
 */
#ifndef MORTISE_UTIL_DISK_STATE_H
#define MORTISE_UTIL_DISK_STATE_H

#include <mortise/draft/block-format.h>

#include "state.h"

static inline uint64_t mt_disk_state_bytes(void (*info)(void *self, struct mt_block_info *out), void *self)
{
	struct mt_block_info facts;

	memset(&facts, 0, sizeof(facts));
	facts.size = sizeof(facts);
	info(self, &facts);
	return facts.disk_bytes;
}

#define MT_DISK_STATE(table, info) \
	static int table##_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, \
				struct mt_error *err) \
	{ \
		uint64_t disk_bytes = mt_disk_state_bytes(info, self); \
		\
		(void)err; \
		w->put(out, "disk-bytes", MT_STATE_U64, 0, &disk_bytes, 1); \
		return 0; \
	} \
	static int table##_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version, \
				struct mt_error *err) \
	{ \
		(void)version, (void)err; \
		return mt_state_expect(in, r, "disk-bytes", mt_disk_state_bytes(info, self)); \
	} \
	static const struct mt_state_class table = { \
		.schema = "disk", .version = 1, .version_min = 1, .save = table##_save, .load = table##_load, \
	};

#endif
