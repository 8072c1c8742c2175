/* SPDX-License-Identifier: MIT */
/*
 * A server of the tests: one export in memory behind a Unix socket, one connection at a time, on a thread of its
 * own. It can be all that a server may be and much that it must not be. Numbers and layouts: the protocol's
 * specification, doc/proto.md of the NBD project, by its sections' names.
 */
#ifndef BLOCK_NBD_TOY_H
#define BLOCK_NBD_TOY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "Transmission flags" */
#define TOY_FLAGS      1u
#define TOY_READ_ONLY  2u
#define TOY_FLUSH      4u
#define TOY_FUA        8u
#define TOY_TRIM       32u
#define TOY_ZEROES     64u
#define TOY_FAST_ZERO  2048u

/* "Request types" */
enum { TOY_CMD_READ, TOY_CMD_WRITE, TOY_CMD_DISC, TOY_CMD_FLUSH, TOY_CMD_TRIM, TOY_CMD_CACHE, TOY_CMD_ZERO,
       TOY_CMD_STATUS, TOY_CMDS };

/* What it says and does; changed only while it has no connection, but for what is marked. */
struct toy_ways {
	uint64_t bytes;                    /* of the export */
	uint32_t flags;                    /* TOY_* */
	uint32_t min, preferred, max;      /* block sizes; max 0: it says nothing of them */
	bool structured;                   /* and then it has block status: pieces of 64 KiB, each second one zeros */
	bool mute;                         /* takes connections and says nothing */
	bool wrong_cookie;                 /* answers to what nobody asked */
	/* in place of all answers: these bytes, then the end */
	const uint8_t *script;
	size_t script_bytes;
	/* any time, by toy_lock */
	uint32_t error;                    /* of each answer, the protocol's number */
	uint32_t drop_in;                  /* the connection ends before the answer to so many commands from now; 0: no */
	uint32_t drops;                    /* so many connections more are ended as they come */
	uint32_t seen[TOY_CMDS];           /* commands that came */
	uint32_t seen_max;                 /* longest */
	uint32_t seen_flags;               /* of all */
};

struct toy;

/* Listens at `path`; the struct is copied. NULL: the host lacks something. */
struct toy *toy_start(const char *path, const struct toy_ways *ways);
void toy_stop(struct toy *toy);
uint8_t *toy_bytes(struct toy *toy);
/* The ways, until toy_unlock. */
struct toy_ways *toy_lock(struct toy *toy);
void toy_unlock(struct toy *toy);

#endif
