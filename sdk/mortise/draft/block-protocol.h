/* SPDX-License-Identifier: MIT */
/*
 * The protocol kind of block node: a format whose bytes are not in a file of the host, because it reaches them by
 * itself (a network client). In realize it opens one child that it serves itself, and maps its disk into it like any
 * format; the kernel then hands it what it would do on a file. So everything above (backing chains, copy-on-write,
 * filters, drains) is the same for it. Its threads are its own (MT_CAP_THREADS in the note): an operation may be waited
 * for while loops stand still.
 */
#ifndef MORTISE_BLOCK_PROTOCOL_H
#define MORTISE_BLOCK_PROTOCOL_H

#include "block-node.h"

#define MT_IFACE_BLOCK_PROTOCOL "mortise.block-protocol/1"   /* role, beside mortise.block-format/1 */
#define MT_IFACE_BLOCK_SERVED   "mortise.block-served/1"     /* host */
/*
 * A class names each scheme of URI that it opens as a role "protocol/SCHEME" ("protocol/nbd"), and takes the URI in its
 * property "uri": for commands whose user names a disk by it. A name in an image is never taken for one.
 */

/*
 * An operation: MT_BLOCK_READ to MT_BLOCK_ZERO. The kernel's memory, with what it points to, until `done`. Flags:
 * MT_BLOCK_FUA with WRITE, MT_BLOCK_MAY_UNMAP and MT_BLOCK_FAST with ZERO. Hot: no size.
 */
struct mt_block_io {
	uint32_t op, flags;
	uint64_t offset, len_bytes;
	const struct mt_iov *iov;            /* READ and WRITE: len_bytes in all */
	uint32_t iov_count;
	int32_t result;                      /* the plugin's: 0, or MT_E* */
};

#define MT_BLOCK_SERVED_ZERO 1u              /* status: reads as zeros */

struct mt_block_protocol {
	/*
	 * [any], in parallel, without the instance lock: begins it and does not wait; it may be done before this
	 * returns. MT_ENOTSUP of ZERO: the kernel writes zeros. FLUSH: all writes done before are durable.
	 */
	void (*submit)(void *self, struct mt_block_io *io);
	/*
	 * [any], in parallel, without the instance lock; may wait. What [offset, ...) holds: *len_bytes (in: how far it
	 * is of interest) is at least 1 then, *flags MT_BLOCK_SERVED_*. 0 or MT_E*. NULL: not known.
	 */
	int32_t (*status)(void *self, uint64_t offset, uint64_t *len_bytes, uint32_t *flags);
};

struct mt_block_served_host {
	/*
	 * [main] in realize, once: the next child is what the instance serves. Its number, or a code with `err`. Goes
	 * with the instance; nothing is under way any more when unrealize is called.
	 */
	int32_t (*child_serve)(struct mt_inst *inst, const struct mt_block_child_info *info, struct mt_error *err);
	/* [any] io->result is set; `io` is the kernel's again */
	void (*done)(struct mt_block_io *io);
};

#endif
