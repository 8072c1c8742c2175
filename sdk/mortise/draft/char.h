/* SPDX-License-Identifier: MIT */
/*
 * The char port: a stream of bytes between a front (a UART) and a back end (terminal, file, socket, pty).
 * The front names the back end's section in a REF property with role "mortise.char/1".
 */
#ifndef MORTISE_CHAR_H
#define MORTISE_CHAR_H

#include "../plugin.h"

#define MT_IFACE_CHAR_HOST "mortise.char-host/1"
#define MT_IFACE_CHAR      "mortise.char/1"

/* Events to the front. */
#define MT_CHAR_OPENED 1u
#define MT_CHAR_CLOSED 2u
#define MT_CHAR_BREAK  3u

struct mt_char;        /* the kernel's handle of one connection, seen from either end */

/* What a front gives. Called on the front's loop, under its lock. */
struct mt_char_front {
	/* [io] how many bytes can be taken now */
	uint32_t (*can_receive)(void *self);
	/* [io] at most can_receive bytes */
	void (*receive)(void *self, const uint8_t *data, uint32_t len_bytes);
	/* [io] after write returned less than asked: there is room again */
	void (*writable)(void *self);
	/* [io] MT_CHAR_* */
	void (*event)(void *self, uint32_t event);
};

struct mt_char_host {
	/* front, [main] in realize: connects to the back end that `prop` names; NULL when absent */
	struct mt_char *(*connect)(struct mt_inst *inst, const char *prop, const struct mt_char_front *front,
				   void *self, struct mt_error *err);
	/* front, [any]: returns the bytes taken (0 .. len_bytes), or MT_EGONE. Never blocks. */
	int64_t (*write)(struct mt_char *chr, const uint8_t *data, uint32_t len_bytes);
	/* front, [any]: can_receive has grown; the back end may deliver again */
	void (*receive_ready)(struct mt_char *chr);

	/* back end, [main] in realize: its own end; NULL when no front is connected to this instance */
	struct mt_char *(*back)(struct mt_inst *inst);
	/* back end, [io] or [any]: hands bytes to the front; returns what the kernel took (it queues at most 4 KiB) */
	uint32_t (*deliver)(struct mt_char *chr, const uint8_t *data, uint32_t len_bytes);
	/* back end, [any]: there is room for `write` again */
	void (*writable)(struct mt_char *chr);
	/* back end, [any]: MT_CHAR_* */
	void (*event)(struct mt_char *chr, uint32_t event);
};

/* Role of a back end. */
struct mt_char_class {
	/* [any] under the back end's lock. Takes bytes, never blocks; the bytes taken, or MT_EGONE. */
	int64_t (*write)(void *self, const uint8_t *data, uint32_t len_bytes);
	/* [io] the front can receive again after `deliver` took less than offered */
	void (*receive_ready)(void *self);
};

#endif
