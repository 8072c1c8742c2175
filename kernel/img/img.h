/* SPDX-License-Identifier: MIT */
/*
 * mortise img and mortise io: what their commands share. A command is a file with a table at its end and one line in
 * img.c; tables serve the parser and --help as those of kernel/cli do. One process runs one command: all [main] but
 * for the threads of copy.c. Exit codes are those of qemu-img: 0, 1, and what check and compare have beyond.
 */
#ifndef KERNEL_IMG_IMG_H
#define KERNEL_IMG_IMG_H

#include "kernel/img/tool.h"
#include "kernel/cli/cli.h"

/* A running command. */
struct img {
	const struct cli_args *args;
	struct registry *registry;
	char **plugin_dirs;
	struct tool *tool;
	struct mt_error err;
	const char *size;                      /* last_is_size: the last word, where it looks like an option */
};

struct img_command {
	struct cli_verb verb;                  /* `run` is not used */
	int (*run)(struct img *img);
	int usage_code;                        /* for a wrong command line; 0: 1 */
	bool last_is_size;                     /* "-10G" at the end is no option */
};

extern const struct img_command img_create, img_convert, img_info, img_check, img_compare, img_map, img_snapshot,
	img_resize, img_rebase, img_commit, img_measure, img_dd, img_amend, img_bitmap, img_bench;

/* Runs `command` with everything that it needs around it. */
int img_run(const struct img_command *command, int argc, char **argv);

/* Options that several commands have. */
extern const struct cli_option img_options_format[];   /* -f */
extern const struct cli_option img_options_open[];     /* -U, --allow-backing */
extern const struct cli_option img_options_output[];   /* --output */
extern const struct cli_option img_options_quiet[];    /* -q */
extern const struct cli_option img_options_progress[]; /* -p */

/* Prints the words of img->err, and returns 1. */
int img_fault(struct img *img);
/* The same with words of one's own. */
int img_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void img_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Unless -q. */
void img_say(const struct img *img, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* --output=json; false with a message when it is neither json nor human. */
bool img_output(const struct img *img, bool *json);

/* args.c */

/* "512", "10k", "1.5G"; whole bytes. */
bool img_size(const char *text, uint64_t *bytes);
/* The number in an option, within limits; `deflt` without it. */
bool img_number(const struct img *img, const char *option, uint64_t deflt, uint64_t max, uint64_t *out);
/* none, writeback, writethrough, directsync, unsafe. */
bool img_cache(const char *word, enum file_cache *cache);
/* io_uring, threads; NULL: what the host has. */
bool img_engine(const char *word, enum file_engine *engine);
/* "a=b,c=d" of all -o: struct mt_block_value, held against the format's table. NULL with err. */
GArray *img_values(struct img *img, const char *format, const char *const *texts, uint32_t flag);
void img_values_free(GArray *values);
/* Parts at single commas; two commas are one. */
GPtrArray *img_split(const char *text);
const char *img_value_find(const GArray *values, const char *name);
/* One more, over one of the same name. */
void img_value_set(GArray *values, const char *name, const char *value);
void img_value_take(GArray *values, const char *name);
/*
 * -o size, backing_file and backing_fmt mean what words of the command line do: out of `values`, so that no format sees
 * them. `word`, from the command line, goes before; NULL: neither. g_free.
 */
char *img_general_take(GArray *values, const char *name, const char *word);
/* -o help */
bool img_help_wanted(const char *const *texts);
int img_help_print(struct img *img, const char *format, uint32_t flag);
/* A disk that has become longer: what lies below must not show through where nothing was before. 0 or MT_E*. */
int32_t img_hide_backing(struct image *image, uint64_t from, uint64_t to);
/* --preallocation */
bool img_prealloc(const char *word, uint32_t *prealloc);

/* open.c */

/* From now on the disk is that snapshot: a name, an id, or "snapshot.id=ID,snapshot.name=NAME", or one of both. */
int img_snapshot_show(struct image *image, const char *text, struct mt_error *err);

/* How a command opens an image: by -U and --allow-backing of the command line, and what it sets beyond. */
struct image_options img_open_options(const struct img *img);
/*
 * An image for reading. `format` NULL: by its looks, with a warning. "-": standard input, which is kept in a
 * temporary file when it is a pipe. NULL with err.
 */
struct image *img_open_read(struct img *img, const char *path, const char *format, const struct image_options *options);
/* For writing: a format is a must. */
struct image *img_open_write(struct img *img, const char *path, const char *format,
			     const struct image_options *options);
/* Both are one file (or block device). */
bool img_same_file(const char *a, const char *b);
/* The image or what lies below it is at `path`. */
bool img_chain_has(const struct image *image, const char *path);

/* progress.c: a line on standard output that is printed over and over. [any] */
struct progress;
struct progress *progress_start(bool shown, uint64_t total_bytes);
void progress_add(struct progress *progress, uint64_t bytes);
void progress_end(struct progress *progress, bool whole);

/* True once the user has asked to stop: SIGINT, SIGTERM, SIGHUP. [any] */
bool img_cancelled(void);
void img_signals_catch(void);

/* create.c: what create and convert have in common. */
struct img_make {
	const char *path, *format;
	uint64_t disk_bytes;
	const char *backing, *backing_format;
	const char *backing_cache;               /* the cache mode for it; NULL: writeback */
	bool backing_unsafe;                     /* is not looked at */
	GArray *values;
};
/* NULL with err. The image is at maker_path. */
struct mt_block_maker *img_make_begin(struct img *img, const struct img_make *make);
/* The backing image of `make`, opened for reading; NULL with err. */
struct image *img_make_backing(struct img *img, const struct img_make *make);
/* A path of an image's backing file from where one stands: relative ones start at the image's folder. */
char *img_backing_path(const char *image_path, const char *backing);

/* bitmap.c */
/* No bitmap is out of date; or, with skip_broken, those that are get a warning: copy leaves them out. 0 or MT_E*. */
int img_bitmaps_check(const struct image *from, bool skip_broken, struct mt_error *err);
/* `to` can take them: before anything is copied. 0 or MT_E* with err. */
int img_bitmaps_try(const struct image *from, struct image *to, struct mt_error *err);
/* The bitmaps of `from` are bitmaps of `to` too, marked and enabled as they are. 0 or MT_E* with err. */
int img_bitmaps_copy(struct image *from, struct image *to, struct mt_error *err);

/* copy.c */
struct copy_part {
	struct image *image;
	uint64_t at;                             /* of the whole */
};

struct copy {
	const struct copy_part *parts;
	uint32_t part_count;
	struct bnode *target;
	const char *target_name;                 /* in messages: while it is made its file has another */
	uint64_t total_bytes;
	uint64_t source_skip;                    /* begins there in the source */
	bool compress;
	bool in_order;                           /* each unit after those before it */
	bool target_zero;                        /* reads as zeros */
	bool top_only;                           /* what the source's top layer does not have is left out */
	bool salvage;
	uint32_t depth_max;                      /* with top_only: layers up to this one count as the top */
	uint64_t sparse_bytes;                   /* zeros of this length become holes; 0: none does */
	uint32_t threads;
	uint64_t rate_bytes;                     /* a second; 0: no limit */
	struct progress *progress;
};
/* 0, or a negative code with err; MT_EGONE: cancelled. */
int copy_run(struct copy *copy, struct mt_error *err);
bool copy_is_zero(const void *buf, size_t len_bytes);

#endif
