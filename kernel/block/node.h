/* SPDX-License-Identifier: MIT */
/*
 * A node of the block graph: a format, its children, its caches of metadata, and what keeps writers apart.
 * Its shape changes on [main] only. The format is called between node_enter and node_leave. `mutex` covers what
 * several handles share (unit locks, waiting requests, invalidated ranges, retired space); it is a leaf: nothing is
 * called with it held. Easy to break: the order node_enter, then mutex; never the other way round.
 */
#ifndef KERNEL_BLOCK_NODE_H
#define KERNEL_BLOCK_NODE_H

#include <glib.h>
#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/block-image.h>
#include <pthread.h>

#include "kernel/block/file.h"
#include "kernel/block/names.h"
#include "kernel/block/refusal.h"

#define BNODE_CHILDREN_MAX 2048u
#define BNODE_DEPTH_MAX    64u
#define BNODE_RECENT       64u           /* invalidated ranges that are remembered */

struct mt_inst;
struct workers;
struct bpost;
struct bdecoded;
struct bdelays;
struct mt_block_filter;

/* Exactly one is set. */
struct bchild {
	struct file *file;
	struct bnode *node;
};

/* Units of a node that a part of a request has for itself. */
struct bunits {
	uint64_t offset, len_bytes;
	struct bunits *next;
};

struct brange {
	uint64_t offset, len_bytes;
};

struct bturn {
	uint64_t number;                 /* from 1; 0: none, or it is over */
	struct bpost *post;
	struct bturn *next;              /* among those that wait */
};

struct bwaiters {
	struct bpost *first, **last;
};

/* Space given up: fresh -> written (what pointed to it is gone from the file) -> drained -> the format's again. */
struct bretire {
	GArray *fresh, *written;         /* of struct mt_block_space */
	uint32_t epoch;                  /* atomic; its low bit says which counter new I/O takes */
	int32_t in_flight[2];            /* atomic */
	bool draining;                   /* atomic: a batch is in `written` of this node or of ones below */
	bool turned;                     /* under mutex: it waits for in_flight[!epoch] only */
};

/* One pass of write-back at a time. */
struct bflush {
	pthread_mutex_t lock;
	uint64_t asked, done;            /* under node.mutex: numbers of calls; a pass covers those before it */
	uint64_t begun;
	int32_t result;
};

/* Where a node comes from. */
struct borigin {
	struct bnode *above;             /* the image that names it; NULL: the user does */
	char *name;                      /* for messages */
	struct name_rule rule;           /* of the names in it */
	char *below_name, *below_format; /* what the image calls the disk below; NULL: a section is that */
	bool below_write;                /* that one is opened for writing too */
	bool below_any;                  /* that one may be another than the image was made of: its facts are not told */
	bool deeper_any;                 /* the same of those below that one */
	bool opened;                     /* by open.c: path and options count, not properties */
	bool backing_off, backing_write; /* leave the backing disk closed; open it for writing too */
	bool below_failed;               /* the words of an error are about the image below */
	char *path;
	struct file_options options;
};

struct bnode {
	const struct mt_block_format *format;
	void *self;
	struct mt_inst *inst;            /* NULL in tests: then `own_lock` is the instance lock */
	GRecMutex own_lock;
	struct workers *workers;         /* NULL: work is done where it comes up */
	struct borigin *origin;          /* NULL in tests */
	struct bchild *children;
	uint32_t child_count;
	const struct mt_block_filter *filter;    /* NULL: it maps */
	void *filter_self;
	struct bdelays *delays;          /* of a filter; filter.c */
	struct bnode *through;           /* filter that its files are under; NULL: none */
	struct bnode *backing;
	struct refusal refusal;          /* of the exclusive operation */
	bool backing_closed;             /* there is one, and the user wanted it left alone */
	struct mt_block_info info;
	uint64_t generation;             /* atomic: counts invalidations */
	enum file_engine engine;

	pthread_mutex_t mutex;
	pthread_cond_t changed;          /* jobs, or ready_count */
	struct brange recent[BNODE_RECENT];
	struct bunits *units;
	struct bwaiters unit_waiters;    /* for units of others */
	struct bwaiters ready_waiters;   /* for metadata */
	uint64_t turns, turn;            /* taken so far, and ended */
	struct bturn *turn_waiters;
	uint64_t ready_count;            /* atomic; changes under mutex */
	uint32_t jobs;                   /* on workers */
	struct bretire retire;
	struct bflush flush;
	GPtrArray *caches;               /* struct mt_block_cache, cache.c; changes on [main] */
	uint64_t dirty_bytes;            /* under node_enter */
	bool busy;                       /* [main] a job works on it */
	bool exclusive;                  /* atomic; [main] has the format for itself: no pass begins by itself */
	bool alone;                      /* and none is under way, nor comes from above */
	bool pass_wanted;                /* atomic: a background pass is on its way */
	bool asleep;                     /* atomic: the format's `wake` comes before the next write; rest.c */
	bool waking;                     /* atomic: it is on its way */
	int32_t wake_failed;             /* atomic: MT_E*, for one of those that waited */
	struct bdecoded *decoded;        /* codec.c */

	/* graph.c, [main] */
	uint32_t writers, readers;       /* instances with handles on it, and nodes above it */
	struct mt_block *fronts;         /* handles, linked by next_front */
	struct bnode *above;             /* the node that has it as a child or backing disk; NULL: none */
	struct mt_inst *disk;            /* whose image it is, where that is not `inst`: disk.c */
};

/* [main] */
void node_init(struct bnode *node);
/* [main] waits for jobs */
void node_fini(struct bnode *node);

/* [any] the instance lock */
void node_enter(struct bnode *node);
void node_leave(struct bnode *node);

/* [any] Runs `fn(arg)` on a worker (or at once); node_fini waits for it. */
void node_job(struct bnode *node, void (*fn)(void *arg), void *arg);
/* [main] waits until none is left; not under the instance lock */
void node_jobs_wait(struct bnode *node);

/* [any] The node at the top, whose handles all I/O below comes from. */
struct bnode *node_root(struct bnode *node);

/* [any] Leases on the range end, in all handles; len_bytes 0: all. */
void node_invalidate(struct bnode *node, uint64_t offset, uint64_t len_bytes);
/* [any] Metadata have come: whoever waits for them tries again. */
void node_ready(struct bnode *node);
/* [any] */
uint64_t node_ready_count(struct bnode *node);
/*
 * [any] `post` waits for metadata, and is posted to its handle when they come. False: something came since
 * `ready_count` was read; try again.
 */
bool node_wait_ready(struct bnode *node, struct bpost *post, uint64_t ready_count);
/* [any] waits, in a thread that may, until something came since `ready_count` was read */
void node_sleep_ready(struct bnode *node, uint64_t ready_count);

/*
 * Turns: what is to reserve space of a stream does so in the order in which it took them, in whichever order its data
 * are ready. take: [any]. wait: true when it is its turn, else `post` is posted then. end: the next one's turn.
 */
void node_turn_take(struct bnode *node, struct bturn *turn, struct bpost *post);
bool node_turn_wait(struct bnode *node, struct bturn *turn);
void node_turn_end(struct bnode *node, struct bturn *turn);

/* [any] Has the units for itself, or `post` waits and is posted when some are free. */
bool node_lock_units(struct bnode *node, struct bunits *units, struct bpost *post);
void node_unlock_units(struct bnode *node, struct bunits *units);

/* [any] I/O under leases: the number to be given to epoch_leave. */
uint32_t node_epoch_enter(struct bnode *root);
void node_epoch_leave(struct bnode *root, uint32_t epoch);

/* flush.c */
/* [any] */
int32_t node_retire(struct bnode *node, const struct mt_block_space *space);
/* [any] there is metadata to write before data are durable */
bool node_needs_pass(struct bnode *node);
/*
 * [any], waits: data, then metadata in order; durable. 0 or MT_E*. Not under the instance lock, but for [main] in an
 * exclusive operation.
 */
int32_t node_flush(struct bnode *node);
/* [any] the same soon, in the background */
void node_flush_soon(struct bnode *node);
/* [any], waits: flushes until no retired space is left */
int32_t node_settle(struct bnode *node);
/* [any] I/O of an old epoch is over: gives `written` to the format. */
void node_retire_drained(struct bnode *node);

/* rest.c */
/* [any] not under the instance lock, before a write: MT_EAGAIN while the format is being woken, or its error */
int32_t node_wake_soon(struct bnode *node);
/* [main] at once, in an exclusive operation */
int32_t node_wake(struct bnode *node);

/* cache.c */
extern const struct mt_block_cache_host block_cache_host;
struct bcopies;
/* Under node_enter: copies of all dirty bytes, which count as clean from now on. NULL: nothing is dirty. */
struct bcopies *cache_snapshot(struct bnode *node, int32_t *rc);
/* Not under node_enter: writes the copies in the order of their ranks, then frees them. 0 or MT_E*. */
int32_t cache_write(struct bnode *node, struct bcopies *copies);
void cache_destroy_all(struct bnode *node);
struct mt_block_cache *cache_create(struct bnode *node, uint32_t child, uint32_t page_bytes, uint64_t limit_bytes,
				    uint32_t rank, struct mt_error *err);
/* [any], waits: all files that the node writes are durable */
int32_t node_sync_files(struct bnode *node);

/* graph.c */
/* [main] in realize: `file` is the next child, or closed with `err`. Its number or MT_ERANGE. */
int32_t node_child_add(struct bnode *node, struct file *file, struct mt_error *err);
struct bnode *node_of_inst(struct mt_inst *inst);
/* [main] the same, where it was made; else NULL */
struct bnode *node_own(struct mt_inst *inst);
/* [main] Closes the node of an instance whose plugin's part is unrealized. */
void node_end(struct bnode *node);
/* [main] how its files are opened */
struct file_options node_options(struct bnode *node);
/* [main] what the format says of itself, checked; from then on the node can be used. 0 or a code with `err` */
int node_info(struct bnode *node, struct mt_error *err);
const char *node_name(const struct bnode *node);
/* [main] asks for info again, and tells the fronts */
void node_refresh(struct bnode *node);

/*
 * exclusive.c, [main]: between them the format has the image for itself: nothing is in flight, no lease is held, the
 * caches are written, and requests that come are kept until the end. 0 or MT_E*; after an error of begin there is no
 * end. The end writes the caches; its result is the operation's where that was 0.
 */
int32_t exclusive_begin(struct bnode *node);
int32_t exclusive_end(struct bnode *node, int32_t result);

/*
 * exclusive.c, [main] Nobody writes any more: what workers have yet comes to its end, and unrealize, which has the
 * instance lock, has the format for itself.
 */
void node_alone(struct bnode *node);
/* exclusive.c, [main] `fn` for the handles of the node and those above that reach it, under their fronts' locks. */
void node_each_front(struct bnode *node, void (*fn)(struct mt_block *block, void *arg), void *arg);

/*
 * graph.c, [main] in an exclusive operation, but before its end: the disk below goes, or one that the image names comes
 * in its place, to be written or not. After an error of the second it is as before, if that could be opened.
 */
void node_backing_close(struct bnode *node);
int node_backing_change(struct bnode *node, const char *name, const char *format, bool write, struct mt_error *err);
/* fact.c, [main]: backing_fact of mt_block_node */
int32_t node_backing_fact(const struct bnode *node, const char *name, char *out, uint32_t out_bytes);

/*
 * disk.c, [main]. A disk is an instance as its users know it: its fronts refer to it, jobs, statistics and saved state
 * are by its id. Its image is first the instance's own, and may be another one later.
 */
/* The disk whose image the node is; the node's own instance where it lies below one. */
struct mt_inst *disk_of(const struct bnode *node);
/*
 * In exclusive operations on `from`, which ends here, and `to`, which may lie below it and is as long: all users of
 * the image `from` go on with `to`, and `from` is closed with what lies between. The caller ends the one on `to`.
 */
void disk_move(struct bnode *from, struct bnode *to);
/* The image at the end of an origin; NULL: it does not lie in one file, whole. */
const char *disk_path(const struct bnode *node);
/* The name for the image at `below`, a real path, in the one at `image`; g_free. */
char *disk_name_from(const char *image, const char *below);
/* `path` means the file of the image. */
bool disk_path_is(const struct bnode *node, const char *path);

/*
 * newest.c, [main]. An image that an overlay was made over while a machine ran bears a mark with the overlay's name:
 * the machine file may name it yet, and writing to it would ruin the overlay. The file system may not keep marks.
 */
void newest_mark(const struct bnode *node, const char *overlay);
void newest_unmark(const struct bnode *node);
/* MT_EBUSY with `err`: the file, to be written as the disk of a section, is the one below an overlay. */
int newest_check(struct bnode *node, struct file *file, struct mt_error *err);

#endif
