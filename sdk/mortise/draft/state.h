/* SPDX-License-Identifier: MIT */
/*
 * Saved state of classes of the kinds device, block and boot, and of vCPUs: named, typed fields, in groups.
 *
 * The schema belongs to the chip and not to the plugin ("ns16550a" version 1): another plugin of the same chip
 * loads it. A later version loads the earlier ones down to version_min. A class without state sets
 * MT_CLASS_NO_STATE in its note; a snapshot of a machine that has one is refused before the pause.
 *
 * Order: all vCPUs stand still, quiesce (nothing in flight), save. To load: create, realize, load in place of
 * the first reset, resume. The kernel saves RAM, guest time, the levels of lines, rings and what virtio drivers
 * have negotiated, and puts it back before the first load; vCPUs come last. So load takes own state and arms own
 * timers, and touches no line, port or memory; resume makes everything else from that state again. Load sets
 * all of the state, whatever was there.
 *
 * Loaded state is untrusted input: an index, level or size that the chip cannot have is refused, and nothing is
 * taken before everything has been looked at. After a failed load only destroy follows (unrealize before it).
 * util/state.h does it from a table.
 */
#ifndef MORTISE_STATE_H
#define MORTISE_STATE_H

#include "../plugin.h"

#define MT_IFACE_STATE     "mortise.state/1"     /* role of a class: struct mt_state_class */
#define MT_IFACE_CPU_STATE "mortise.cpu.state/1" /* the same of an accelerator, called once for each vCPU */

/* Types. Of numbers it is the width in bytes; they lie in memory as the host has them. */
#define MT_STATE_U8     1u
#define MT_STATE_U16    2u
#define MT_STATE_U32    4u
#define MT_STATE_U64    8u
#define MT_STATE_BYTES  16u        /* no numbers: contents of buffers and memories */
#define MT_STATE_STRING 17u        /* UTF-8 without NUL */
#define MT_STATE_GROUP  32u        /* as `find` tells it */

/* A reader that does not know the field passes over it; without the flag it refuses the whole. */
#define MT_STATE_IGNORABLE 1u

#define MT_STATE_NAME_MAX  63u     /* bytes of a name: a-z 0-9 . _ - */
#define MT_STATE_DEPTH_MAX 8u      /* groups in groups */

struct mt_state_out;
struct mt_state_in;

/* [main] all of it, inside save. A call that cannot be served makes the save fail; no result to look at. */
struct mt_state_writer {
	/* `count` elements (bytes of BYTES and STRING), copied; a name once in its group */
	void (*put)(struct mt_state_out *out, const char *name, uint32_t type, uint32_t flags, const void *data,
		    uint32_t count);
	/* What follows is inside of the group, until end. Groups of one name are an array, in this order. */
	void (*begin)(struct mt_state_out *out, const char *name, uint32_t flags);
	void (*end)(struct mt_state_out *out);
};

/*
 * [main] all of it, inside load. Fields may be read in any order, and again. A result below 0 is noted with the
 * field's path, so that load may return it with no words of its own. A field or group that nobody has asked for
 * and is not ignorable makes the load fail.
 */
struct mt_state_reader {
	/* Type and count (of GROUP: how many of that name; of STRING: without NUL). MT_ENOENT, not noted: absent. */
	int (*find)(struct mt_state_in *in, const char *name, uint32_t *type, uint32_t *count);
	/*
	 * Copies out. MT_ENOENT: absent; MT_EINVAL: of another type; MT_ERANGE: of another count. `count` of a STRING
	 * is the room with NUL. Nothing is written unless it returns 0.
	 */
	int (*get)(struct mt_state_in *in, const char *name, uint32_t type, void *data, uint32_t count);
	/* Enters the group `index` of that name, until end. MT_ENOENT: no such. */
	int (*begin)(struct mt_state_in *in, const char *name, uint32_t index);
	void (*end)(struct mt_state_in *in);
	/* Notes why a value is refused: "is 17, more than 15"; one line. Returns MT_EINVAL. */
	int (*refuse)(struct mt_state_in *in, const char *name, const char *why);
};

/* `self` is the instance's own pointer; with MT_IFACE_CPU_STATE the accelerator's pointer of the vCPU. */
struct mt_state_class {
	const char *schema;        /* of the chip: "ns16550a"; others use a reverse domain. Characters as in names. */
	uint32_t version;          /* that save writes; not 0 */
	uint32_t version_min;      /* the oldest that load takes */
	/* [main] while the machine runs: this instance cannot be saved now, with the reason in `err`. NULL: it can. */
	int (*may_save)(void *self, struct mt_error *err);
	/* [main] quiesced. Changes nothing. */
	int (*save)(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err);
	/* [main] quiesced, or realized and never reset. `version` between version_min and version. */
	int (*load)(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		    struct mt_error *err);
};

#endif
