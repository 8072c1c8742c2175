/* SPDX-License-Identifier: MIT */
/*
 * The request path: a front's handle, its requests, and the nodes that they are mapped through.
 * A handle is used under its front's lock only. Nodes are shared by handles: their shape is fixed after realize,
 * their formats are called under the node's lock (bnode.enter), and `generation` tells handles that mappings
 * they remember are void.
 */
#ifndef KERNEL_BLOCK_REQUEST_H
#define KERNEL_BLOCK_REQUEST_H

#include <mortise/draft/block-format.h>

#include "kernel/block/engine.h"

#define BNODE_CHILDREN_MAX 64u
#define BNODE_DEPTH_MAX    64u
#define BLOCK_PLACES       8u            /* mappings that a handle remembers */

struct mt_inst;
struct mt_deferred;

/* Exactly one is set. */
struct bchild {
	struct file *file;
	struct bnode *node;
};

struct bnode {
	const struct mt_block_format *format;
	void *self;
	struct mt_inst *inst;            /* NULL in tests: then nothing is locked */
	void (*enter)(struct mt_inst *inst);
	void (*leave)(struct mt_inst *inst);
	struct bchild children[BNODE_CHILDREN_MAX];
	uint32_t child_count;
	struct bnode *backing;
	struct mt_block_info info;
	uint64_t generation;             /* atomic */
	enum file_engine engine;
	/* graph.c, [main] */
	uint32_t writers, readers;       /* handles on it, and nodes above it */
	struct mt_block *fronts;         /* handles, linked by next_front */
	struct bnode *above;             /* the node that has it as a child or backing disk; NULL: none */
};

/* Where a range of the disk is. */
struct bplace {
	uint64_t offset, len_bytes;
	uint64_t file_offset;
	struct file *file;               /* NULL: reads as zero */
	bool writable;
};

struct breq {
	struct mt_block_req *pub;
	uint32_t outstanding;            /* operations under way, and one while it is being split */
	int32_t error;
	uint64_t done_bytes;             /* mapped and issued so far */
	uint32_t iov_index;
	uint64_t iov_at;
	struct breq *next;
};

struct breq_list {
	struct breq *first, **last;
	uint32_t count;
};

struct mt_block {
	struct bnode *node;
	bool write;
	struct bengine *engine;
	uint32_t ops_in_flight, requests;
	struct breq_list done, waiting;  /* waiting: for a mapping */
	struct breq *free_requests;
	struct bop *free_ops;
	struct bplace places[BLOCK_PLACES];
	uint32_t next_place;
	uint64_t places_generation;
	/* graph.c */
	struct mt_inst *front_inst;
	const struct mt_block_front *front;
	void *front_self;
	struct mt_deferred *retry;
	struct mt_block *next_front;
};

/* graph.c: the node of an instance, or NULL */
struct bnode *graph_node(struct mt_inst *inst);

/* [main] NULL with `err`. */
struct mt_block *request_open(struct bnode *node, bool write, struct mt_error *err);
/* [main] nothing may be in flight */
void request_close(struct mt_block *block);

/* As in mt_block_host. */
uint32_t request_submit(struct mt_block *block, struct mt_block_req *const *reqs, uint32_t count);
uint32_t request_reap(struct mt_block *block, struct mt_block_req **done, uint32_t max);
void request_drain(struct mt_block *block);

/* After an announcement of the engine: takes what has finished to `done`. */
void request_look(struct mt_block *block);
/* After map_ready: requests that wait are tried again; then as submit. */
uint32_t request_retry(struct mt_block *block);

/* place.c: 0, MT_EAGAIN or another error. */
int32_t place_find(struct mt_block *block, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		   struct bplace *place);
/* The same without memory of earlier ones, and with the flags of the layer that has it; `*depth` counts layers. */
int32_t place_resolve(struct bnode *node, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
		      struct bplace *place, uint32_t *depth);

/* status.c */
#define BLOCK_STATUS_DATA      1u
#define BLOCK_STATUS_ZERO      2u
#define BLOCK_STATUS_OFFSET    4u        /* file_offset is valid */
#define BLOCK_STATUS_ALLOCATED 8u        /* in the top layer */

struct block_status {
	uint64_t len_bytes, file_offset;
	uint32_t flags, depth;
};

/* [any] What is known of [offset, ...): at least one byte of it. 0 or MT_E*. */
int32_t status_get(struct bnode *node, uint64_t offset, uint64_t len_bytes, struct block_status *out);

/* op.c: operations of a request */
struct bop *op_take(struct mt_block *block, struct breq *req, struct file *file);
void op_free(struct mt_block *block, struct bop *op);
/* Data of [done_bytes, +len) of the request become the operation's iov; false: the pieces are too few. */
bool op_set_data(struct bop *op, struct breq *req, uint64_t len_bytes);
/* Writes zeros to that part of the request's memory. */
bool op_zero_data(struct breq *req, uint64_t len_bytes);
void op_issue(struct mt_block *block, struct bop *op);
/* A try has ended. True: the operation is over, *error is set; false: it goes on. */
bool op_ended(struct mt_block *block, struct bop *op, int32_t *error);
/* How zeroing or discarding begins. False: there is nothing to do. */
bool op_set_fallocate(struct bop *op, uint32_t req_op, uint32_t flags);

#endif
