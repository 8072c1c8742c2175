/* SPDX-License-Identifier: MIT */
/*
 * The request path: a front's handle, its requests, and the parts of a request that need more than one operation.
 * A handle is used under its front's lock only; other threads reach it by request_post. A request is split where its
 * mapping changes: what is mapped becomes a host operation at once (request.c), what needs space a bpart (part.c),
 * what is encoded another kind of it (codec.c), zeroes and discards go by zero.c.
 */
#ifndef KERNEL_BLOCK_REQUEST_H
#define KERNEL_BLOCK_REQUEST_H

#include "kernel/block/engine.h"
#include "kernel/block/stats.h"
#include "kernel/block/node.h"

#define BLOCK_PLACES_LONG 8u             /* mappings that a handle remembers */
#define BLOCK_PLACES      1024u

struct mt_deferred;

enum place_kind { PLACE_ZERO, PLACE_FILE, PLACE_ENCODED, PLACE_RESERVE };

/* Where a range of the disk is. */
struct bplace {
	uint64_t offset, len_bytes;
	enum place_kind kind;
	uint64_t file_offset;
	struct file *file;               /* FILE, and ENCODED: of its first byte */
	bool writable;                   /* FILE */
	bool allocated;                  /* `node` has it; else nobody does */
	bool present;                    /* a layer says something of it, be it that it is zero */
	struct bnode *node;              /* whose format answered last; of MT_EAGAIN too */
	uint64_t node_offset;            /* of `offset` on that node's disk */
	struct mt_block_extent extent;   /* ENCODED */
	uint64_t ready_count;            /* MT_EAGAIN: for node_wait_ready */
};

/* A call into a handle from elsewhere; it lies in what it is about. */
struct bpost {
	struct mt_block *block;
	void (*fn)(void *arg);           /* under the front's lock */
	void *arg;
	struct bpost *next;
};

struct breq {
	struct mt_block_req *pub;
	struct mt_block *block;
	struct bnode *node;              /* whose disk the request is about */
	uint32_t outstanding;            /* operations and parts under way, and one while it is being split */
	uint32_t epoch;
	int32_t error;
	bool in_epoch;
	bool flush_after;                /* FUA of what has changed metadata */
	bool invalid;                    /* it cannot be begun */
	uint64_t begun_ns;
	uint64_t done_bytes;             /* mapped and issued so far */
	uint32_t iov_index;
	uint64_t iov_at;
	struct breq *next;
	struct bpost wake;               /* goes on with splitting */
	struct bunits units;             /* zero.c */
	struct bnode *units_node;
	bool has_units, no_unmap;
	void (*then)(struct breq *req);  /* the kernel's own request: in place of `done` */
	void *then_arg;
	struct mt_block_req own;         /* and of a front's whose data were copied for a filter */
	struct mt_iov own_iov;
	struct mt_block_req *front;      /* what the front gave; NULL: the kernel's own */
	struct bgate *gate;              /* NULL: no filter lies over the disk */
};

struct breq_list {
	struct breq *first, **last;
	uint32_t count;
};

/* A write that needs space, or a read of encoded data. */
struct bpart {
	struct breq *req;
	struct mt_block *block;
	struct bnode *node;
	uint64_t offset, len_bytes;      /* of the node's disk */
	struct iovec *iov, few[4];       /* its data */
	uint32_t iov_count, iov_index;
	uint64_t iov_at;
	struct bpost post;
	struct bunits units;
	struct bturn turn;               /* of a stream's unit */
	bool locked, mapped, synced;
	bool fetch, fetched;             /* data come from below, with the units locked; they have */
	uint64_t at_bytes;               /* mapped and issued so far */
	uint32_t outstanding;
	int32_t error;
	GArray *cookies;                 /* uint64_t: reserved and not yet committed */
	bool want_sync;
	/* codec.c */
	uint8_t *plain, *encoded;
	uint32_t encoded_bytes;
	struct mt_block_extent extent;
	struct bdecoded *unit;
};

enum policy_word { POLICY_REPORT, POLICY_IGNORE, POLICY_STOP, POLICY_ENOSPC };

/* What was written through some handles since the bit was cleared: track.c. Bits change atomically. */
struct btrack {
	uint64_t *words, bits;
	uint32_t shift;                  /* a bit is 1 << that many bytes */
};

struct mt_block {
	struct bnode *node;
	bool write;
	bool fetch;                      /* a write is of what the node has from below only: it becomes its own */
	struct btrack *track;            /* NULL: nobody wants to know of writes */
	bool constant;                   /* nobody changes the data of a write that is under way */
	struct bengine *engine;
	uint32_t ops_in_flight, requests;
	struct breq_list done, held;     /* held: until an exclusive operation is over */
	struct breq *free_requests;
	struct bop *free_ops;
	struct bplace places_long[BLOCK_PLACES_LONG], *places;
	const struct bplace *last_place; /* remembered last; NULL: none was */
	uint32_t next_place, place_shift;
	uint64_t seen_generation, seen_below;
	bool frozen;                     /* an exclusive operation is under way */
	struct block_stats stats;
	uint64_t now_ns;                 /* of this submit, or look; 0: not asked for yet */

	pthread_mutex_t post_lock;
	struct bpost *posted, **posted_last;
	/* policy.c */
	enum policy_word on_read_error, on_write_error;
	GArray *errors;                  /* of struct block_error, under post_lock: not told yet */
	/* graph.c */
	struct mt_inst *front_inst;
	const struct mt_block_front *front;
	void *front_self;
	struct mt_deferred *changed;
	struct mt_block *next_front;
};

/* policy.c: [main] when front_inst is known; and as in mt_block_host */
void policy_init(struct mt_block *block);
uint32_t policy_failed(struct mt_block *block, const struct mt_block_req *req);

/* graph.c: the node of an instance, or NULL */
struct bnode *graph_node(struct mt_inst *inst);

/* [main] NULL with `err`. */
struct mt_block *request_open(struct bnode *node, bool write, struct mt_error *err);
/* [main] waits for what is in flight */
void request_close(struct mt_block *block);

/* As in mt_block_host. */
uint32_t request_submit(struct mt_block *block, struct mt_block_req *const *reqs, uint32_t count);
uint32_t request_reap(struct mt_block *block, struct mt_block_req **done, uint32_t max);
void request_drain(struct mt_block *block);
uint32_t request_in_flight(const struct mt_block *block);

/* Waits until nothing is in flight, as long as filters hold it. */
void request_join(struct mt_block *block);
/* One operation, MT_BLOCK_* with its flags, on a handle with nothing in flight; waits. 0 or MT_E*. */
int32_t request_do(struct mt_block *block, uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len_bytes);
/* An operation is over. */
void request_op_done(struct mt_block *block, struct bop *op, int32_t error);
/* After an announcement of the engine: takes what has finished to `done`. */
void request_look(struct mt_block *block);
/* Waits until something was announced, then looks. */
void request_wait(struct mt_block *block);
/* Requests from now on are kept until thaw; drain first. */
void request_freeze(struct mt_block *block);
void request_thaw(struct mt_block *block);
/* Frozen: it goes on with another node of the same size. */
void request_move(struct mt_block *block, struct bnode *node);

/* A try of an operation has ended. */
void request_finish(struct mt_block *block, struct bop *op);

/* [any] `post->fn` runs on the handle. */
void request_post(struct bpost *post);

/* Where the rest of a request begins: 0, MT_EAGAIN: the request waits for metadata, or another error. */
int32_t request_find(struct mt_block *block, struct breq *req, uint32_t purpose, struct bplace *place);

/* For parts, under the front's lock. */
void request_part_done(struct breq *req, int32_t error);
struct breq *request_own(struct mt_block *block, struct bnode *node, uint64_t offset, void *buf, uint64_t len_bytes,
			 void (*then)(struct breq *req), void *arg);

/* place.c: 0, MT_EAGAIN or another error. Remembered in the handle where the request is about its node. */
int32_t place_find(struct mt_block *block, struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		   struct bplace *place);
/* Nothing is remembered any more: the handle has another node, or nodes below it are others. */
void place_forget(struct mt_block *block);
/* The same without memory of earlier ones, and with the flags of the layer that has it; `*depth` counts layers. */
int32_t place_resolve(struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		      struct bplace *place, uint32_t *depth);

/* The node's own word for the range: whether it has something itself there (then it hides what lies below). */
int32_t place_own(struct bnode *node, uint64_t offset, uint64_t len_bytes, struct bplace *place, bool *own);

/* track.c: [any], but init and fini. */
bool track_init(struct btrack *track, uint64_t disk_bytes, uint64_t unit_bytes);
void track_fini(struct btrack *track);
void track_mark(struct btrack *track, uint64_t offset, uint64_t len_bytes);
/* Bits that lie whole in the range; to be done before what they stand for is read. */
void track_clear(struct btrack *track, uint64_t offset, uint64_t len_bytes);
/* The first marked piece at or behind `offset`; false: there is none. */
bool track_next(const struct btrack *track, uint64_t offset, uint64_t *start);
uint64_t track_bytes(const struct btrack *track);

/* part.c */
/* A write of a `fetch` handle: how many bytes it has taken on, or an error. */
int64_t part_fetch(struct mt_block *block, struct breq *req);
struct bpart *part_new(struct mt_block *block, struct breq *req, const struct bplace *place, uint64_t len_bytes);
void part_take_zeros(struct bpart *part);
bool part_take_data(struct bpart *part);
void part_start_write(struct bpart *part);
/* an operation of it has ended */
void part_op_done(struct bpart *part, int32_t error);
void part_free(struct bpart *part);

/* zero.c: one step of a zero or discard: bytes done, 0: look again, MT_EAGAIN: the request waits, or an error. */
int64_t zero_step(struct mt_block *block, struct breq *req);

/* codec.c */
bool codec_wants(const struct breq *req);
int64_t codec_write(struct mt_block *block, struct breq *req);
int32_t codec_read(struct mt_block *block, struct breq *req, const struct bplace *place);
void codec_forget_all(struct bnode *node);

/* status.c */
#define BLOCK_STATUS_DATA      1u
#define BLOCK_STATUS_ZERO      2u
#define BLOCK_STATUS_OFFSET    4u        /* file_offset is valid */
#define BLOCK_STATUS_ALLOCATED 8u        /* in the top layer */
#define BLOCK_STATUS_ENCODED   16u
#define BLOCK_STATUS_PRESENT   32u       /* a layer says something of it, be it that it is zero */

struct block_status {
	uint64_t len_bytes, file_offset;
	uint32_t flags, depth;
	struct bnode *node;              /* the layer that has it; NULL: none */
};

/*
 * [any] What is known of [offset, ...): at least one byte of it. 0, or MT_E*. It waits for metadata.
 */
int32_t status_get(struct bnode *node, uint64_t offset, uint64_t len_bytes, struct block_status *out);

/* op.c: operations of a request */
struct bop *op_take(struct mt_block *block, struct breq *req, struct file *file);
void op_free(struct mt_block *block, struct bop *op);
/* Data of [done_bytes, +len) of the request become the operation's iov; false: the pieces are too few. */
bool op_set_data(struct bop *op, struct breq *req, uint64_t len_bytes);
bool op_add(struct bop *op, void *at, uint64_t len_bytes);
bool op_add_zeros(struct bop *op, uint64_t len_bytes);
/* The next piece of a request's memory, at most len_bytes long; false: there is none. */
bool op_data_next(struct breq *req, uint64_t len_bytes, uint8_t **at, uint64_t *n);
/* Writes zeros to that part of the request's memory. */
bool op_zero_data(struct breq *req, uint64_t len_bytes);
const uint8_t *op_zeros(uint64_t *len_bytes);
void op_issue(struct mt_block *block, struct bop *op);
/* The operation has ended; false: a filter has the word, and request_op_done follows. */
bool op_let_out(struct mt_block *block, struct bop *op, int32_t *error);
/* A try has ended. True: the operation is over, *error is set; false: it goes on. */
bool op_ended(struct mt_block *block, struct bop *op, int32_t *error);
/* How zeroing or discarding begins. False: there is nothing to do. */
bool op_set_fallocate(struct bop *op, uint32_t req_op, uint32_t flags);

#endif
