/* SPDX-License-Identifier: MIT */
/*
 * Filters (block-filter.h): what holds an operation until it may begin, and what waits for their last word. A gate is
 * one operation on its way through a row of filters: a request of a front through those that lie over the disk
 * (request.c), an operation on a file through those between the format and the file (op.c, file.c).
 * [any]. What is delayed lies in the list of the row's first filter, under its mutex. Easy to break: a gate comes
 * back by its post once for each call that said so, and in between nobody else touches it.
 */
#ifndef KERNEL_BLOCK_FILTER_H
#define KERNEL_BLOCK_FILTER_H

#include <mortise/draft/block-filter.h>

#include "kernel/block/request.h"

struct loop;

struct bgate {
	struct bpost post;               /* where it comes back to; the owner's `fn` and `arg` */
	struct bnode *filter;            /* the first of the row */
	struct mt_block_filter_op op;
	uint8_t *copy;                   /* behind op.data */
	uint64_t due_ns;
	int32_t error;                   /* 0: the operation may begin; then its result */
	uint32_t asked;                  /* filters whose begin let it pass */
	struct bgate *next;
};

/* A copy of a write's data is wanted; else op.data stays NULL. */
bool filter_wants_data(const struct bnode *filter, uint32_t op);
struct bgate *filter_gate(struct bnode *filter, const struct mt_block_filter_op *op);
/* Room for op.len_bytes of data; false: there is none. */
bool filter_gate_data(struct bgate *gate);
void filter_gate_free(struct bgate *gate);

/* Asks the row. True: gate->error is the answer; false: it comes by gate->post. */
bool filter_begin(struct bgate *gate);
/* After an operation that was let pass, the same way, on a worker. True: no filter wants to know. */
bool filter_end(struct bgate *gate, int32_t result);
/* Both around a call that waits. */
int32_t filter_around(struct bnode *filter, const struct mt_block_filter_op *op,
		      int32_t (*fn)(void *arg, const struct mt_block_filter_op *op), void *arg);

/* While it is on, the filters of a disk and of what lies below it delay nothing. Calls are counted. */
void filter_hurry(struct bnode *node, bool on);

/* graph.c */
/* What lies below a filter. NULL: nothing, or it is none. */
struct bnode *filter_disk(const struct bnode *node);
/* The image at the end of a row of filters: the node itself where it is none. */
struct bnode *filter_image(struct bnode *node);
/* There is no disk at the end of the row: it is for files. */
bool filter_is_loose(const struct bnode *node);
struct bdelays *filter_delays_create(struct bnode *filter, struct loop *loop);
void filter_delays_destroy(struct bdelays *delays);
extern const struct mt_block_format filter_format;      /* of a node that is a filter; `self` is the node */

#endif
