// SPDX-License-Identifier: MIT
/* mortise img convert: images into one of another format. The result stands in its place only when it is whole. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kernel/block/node.h"
#include "kernel/block/request.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

#define PIECE_BYTES  (1u << 20)
#define THREADS_MAX  16u

struct job {
	struct img *img;
	GPtrArray *sources;              /* of struct image */
	GArray *parts;                   /* of struct copy_part */
	uint64_t total_bytes;
	const char *out_path, *out_format;
	char *backing;                   /* the disk below the new image; NULL: none */
	struct image *target;
	struct image_options target_options;
	struct mt_block_maker *maker;    /* NULL: the target is there already */
	struct copy copy;
};

static int source_open(struct job *job, const char *path)
{
	struct img *img = job->img;
	const char *snapshot = cli_value(img->args, "snapshot"), *cache = cli_value(img->args, "source-cache");
	struct image_options options = img_open_options(img);
	struct copy_part part = { .at = job->total_bytes };

	if (cache && !img_cache(cache, &options.cache))
		return MT_EINVAL;
	part.image = img_open_read(img, path, cli_value(img->args, "format"), &options);
	if (!part.image)
		return img_fault(img), MT_EINVAL;
	g_ptr_array_add(job->sources, part.image);
	if (snapshot && img_snapshot_show(part.image, snapshot, &img->err) < 0)
		return img_fault(img), MT_EINVAL;
	if (img_chain_has(part.image, job->out_path))
		return img_fail("%s would be written while it is read: name another output", job->out_path), MT_EINVAL;
	g_array_append_val(job->parts, part);
	job->total_bytes += image_bytes(part.image);
	return 0;
}

static int sources_open(struct job *job)
{
	int rc = 0;

	for (int i = 0; rc == 0 && cli_operand(job->img->args, i + 1); i++)
		rc = source_open(job, cli_operand(job->img->args, i));
	return rc;
}

/* Raw bytes in order, for a pipe. */
static int to_stdout(struct job *job)
{
	uint8_t *buf = g_malloc(PIECE_BYTES);
	int rc = 0;

	for (unsigned i = 0; i < job->sources->len && rc == 0; i++) {
		struct image *image = g_ptr_array_index(job->sources, i);
		uint64_t bytes = image_bytes(image), n;

		for (uint64_t at = 0; at < bytes && rc == 0; at += n) {
			n = MIN(PIECE_BYTES, bytes - at);
			rc = request_do(image->block, MT_BLOCK_READ, 0, at, buf, n);
			if (rc < 0)
				img_fail("%s: cannot be read", image->path);
			else if (img_cancelled())
				rc = (img_fail("stopped as you wished"), MT_EGONE);
			else if (fwrite(buf, 1, n, stdout) != n)
				rc = (img_fail("standard output: %s", g_strerror(errno)), MT_EIO);
		}
	}
	if (rc == 0 && fflush(stdout))
		rc = (img_fail("standard output: %s", g_strerror(errno)), MT_EIO);
	g_free(buf);
	return rc < 0 ? 1 : 0;
}

static int target_make(struct job *job)
{
	struct img *img = job->img;
	struct img_make make = { .path = job->out_path, .format = job->out_format, .disk_bytes = job->total_bytes };
	char *backing_format;

	make.values = img_values(img, job->out_format, cli_values(img->args, "options"), MT_BLOCK_OPTION_CREATE);
	if (!make.values)
		return MT_EINVAL;
	job->backing = img_general_take(make.values, "backing_file", cli_value(img->args, "backing"));
	backing_format = img_general_take(make.values, "backing_fmt", cli_value(img->args, "backing-format"));
	make.backing = job->backing;
	make.backing_format = backing_format;
	img_value_take(make.values, "size");             /* that of the source, as qemu-img has it */
	job->maker = img_make_begin(img, &make);
	g_free(backing_format);
	img_values_free(make.values);
	return job->maker ? 0 : MT_EINVAL;
}

static int target_attach(struct job *job, const struct image_options *options)
{
	job->target = img_open_write(job->img, job->maker ? maker_path(job->maker) : job->out_path, job->out_format, options);
	return job->target ? 0 : (img_fault(job->img), MT_EINVAL);
}

static int target_open(struct job *job)
{
	struct img *img = job->img;
	struct image_options options = img_open_options(img);
	const char *cache = cli_value(img->args, "cache");
	bool old = cli_flag(img->args, "no-create");

	options.cache = FILE_UNSAFE;
	if (cache && !img_cache(cache, &options.cache))
		return MT_EINVAL;
	if (!old && target_make(job) < 0)
		return img_fault(img), MT_EINVAL;
	if (job->maker)
		maker_folders(job->maker, &options.parts_folder, &options.names_folder);
	job->target_options = options;
	if (target_attach(job, &options) < 0)
		return MT_EINVAL;
	if (image_bytes(job->target) < job->total_bytes)
		return img_fail("%s is too small for what is to be written", job->out_path), MT_ENOSPC;
	return 0;
}

static bool wants_bitmaps(const struct job *job)
{
	return cli_flag(job->img->args, "bitmaps");
}

static int copy_settle(struct job *job)
{
	const struct cli_args *args = job->img->args;
	struct copy *copy = &job->copy;
	uint64_t threads;
	bool backing = job->backing || cli_value(args, "backing");

	*copy = (struct copy){ .parts = (const struct copy_part *)job->parts->data, .part_count = job->parts->len,
			       .target = job->target->node, .target_name = job->out_path,
			       .total_bytes = job->total_bytes, .top_only = backing,
			       .compress = cli_flag(args, "compress"), .salvage = cli_flag(args, "salvage") };
	copy->in_order = copy->target->info.flags & MT_BLOCK_INFO_STREAM;
	copy->compress |= copy->in_order;
	copy->target_zero = job->maker ? !backing && !maker_in_place(job->maker) : cli_flag(args, "target-is-zero");
	if (copy->compress && !job->target->node->format->encode)
		return img_fail("%s images cannot be compressed", job->out_format), MT_ENOTSUP;
	if (!img_number(job->img, "sparse-size", 4096, 1 << 30, &copy->sparse_bytes) ||
	    !img_number(job->img, "coroutines", MIN(2 * g_get_num_processors(), 8), THREADS_MAX, &threads) ||
	    !img_number(job->img, "rate-limit", 0, INT64_MAX, &copy->rate_bytes))
		return MT_EINVAL;
	if (copy->sparse_bytes % 512)
		return img_fail("--sparse-size: wanted is a multiple of 512"), MT_EINVAL;
	if (!threads)
		return img_fail("--coroutines: there has to be one"), MT_EINVAL;
	copy->threads = (uint32_t)threads;
	return 0;
}

/* Before anything is written. */
static int bitmaps_check(struct job *job)
{
	const struct image *source = g_ptr_array_index(job->sources, 0);

	if (!wants_bitmaps(job))
		return 0;
	if (job->sources->len > 1)
		return img_fail("--bitmaps: the bitmaps of several images cannot be those of one"), MT_EINVAL;
	if (!image_has_bitmaps(source))
		return img_fail("--bitmaps: %s is of a format that has none", source->path), MT_ENOTSUP;
	if (img_bitmaps_check(source, cli_flag(job->img->args, "skip-broken-bitmaps"), &job->img->err) < 0)
		return img_fault(job->img), MT_EINVAL;
	return 0;
}

/* What would fail at the end fails now. */
static int bitmaps_try(struct job *job)
{
	if (!wants_bitmaps(job))
		return 0;
	if (!image_has_bitmaps(job->target))
		return img_fail("--bitmaps: %s images have none", job->out_format), MT_ENOTSUP;
	if (img_bitmaps_try(g_ptr_array_index(job->sources, 0), job->target, &job->img->err) < 0)
		return img_fault(job->img), MT_EINVAL;
	return 0;
}

static int target_close(struct job *job)
{
	int rc = image_close(job->target);

	job->target = NULL;
	return rc < 0 ? (img_fail("%s: the last changes could not be written", job->out_path), rc) : 0;
}

/* The target is opened anew: a format takes the bitmaps of a disk that it has written for out of date. */
static int bitmaps_copy(struct job *job)
{
	int rc = 0;

	if (!wants_bitmaps(job))
		return 0;
	if (target_close(job) < 0 || target_attach(job, &job->target_options) < 0)
		return MT_EIO;
	rc = img_bitmaps_copy(g_ptr_array_index(job->sources, 0), job->target, &job->img->err);
	return rc < 0 ? (img_fault(job->img), rc) : 0;
}

static int copy_all(struct job *job)
{
	struct img *img = job->img;
	int rc;

	job->copy.progress = progress_start(cli_flag(img->args, "progress"), job->total_bytes);
	rc = copy_run(&job->copy, &img->err);
	progress_end(job->copy.progress, rc == 0);
	if (rc < 0)
		img_fault(img);
	return rc;
}

static int convert(struct job *job)
{
	int rc = sources_open(job);

	if (rc == 0)
		rc = bitmaps_check(job);
	if (rc == 0 && !strcmp(job->out_path, "-"))
		return to_stdout(job);
	if (rc == 0)
		rc = target_open(job);
	if (rc == 0)
		rc = copy_settle(job);
	if (rc == 0)
		rc = bitmaps_try(job);
	if (rc == 0)
		rc = copy_all(job);
	if (rc == 0)
		rc = bitmaps_copy(job);
	if (job->target && target_close(job) < 0)
		rc = MT_EIO;
	if (job->maker && rc < 0)
		maker_abort(job->maker);
	else if (job->maker && maker_finish(job->maker, &job->img->err) < 0)
		rc = (img_fault(job->img), MT_EIO);
	return rc < 0 ? 1 : 0;
}

static bool is_sensible(const struct img *img, const char *out_path, const char *out_format)
{
	bool old = cli_flag(img->args, "no-create");

	if (!strcmp(out_path, "-") && (g_strcmp0(out_format, "raw") || old))
		return img_fail("standard output takes raw: -O raw"), false;
	if (old && !cli_value(img->args, "output-format"))
		return img_fail("an image that is there already needs its format: -O FORMAT"), false;
	if (old && *cli_values(img->args, "options"))
		return img_fail("-o is for new images, and -n says that this is an old one"), false;
	if (cli_flag(img->args, "bitmaps") && (cli_value(img->args, "snapshot") || !strcmp(out_path, "-")))
		return img_fail("--bitmaps: neither a snapshot nor standard output has any"), false;
	if (cli_flag(img->args, "skip-broken-bitmaps") && !cli_flag(img->args, "bitmaps"))
		return img_fail("--skip-broken-bitmaps is for --bitmaps"), false;
	if (cli_flag(img->args, "target-is-zero") && !old)
		return img_fail("--target-is-zero is for -n; a new image is known to be"), false;
	return true;
}

static int run(struct img *img)
{
	const char *out_format = cli_value(img->args, "output-format");
	struct job job = { .img = img, .out_format = out_format ? out_format : "raw" };
	int code, last = 0;

	if (img_help_wanted(cli_values(img->args, "options")))
		return img_help_print(img, job.out_format, MT_BLOCK_OPTION_CREATE);
	while (cli_operand(img->args, last + 1))
		last++;
	if (last < 1)
		return img_fail("wanted: mortise img convert [OPTIONS] FILE... OUTPUT");
	job.out_path = cli_operand(img->args, last);
	if (!is_sensible(img, job.out_path, job.out_format))
		return 1;
	img_signals_catch();
	job.sources = g_ptr_array_new();
	job.parts = g_array_new(FALSE, FALSE, sizeof(struct copy_part));
	code = convert(&job);
	for (unsigned i = 0; i < job.sources->len; i++)
		image_close(g_ptr_array_index(job.sources, i));
	g_ptr_array_unref(job.sources);
	g_array_unref(job.parts);
	g_free(job.backing);
	return code;
}

static const struct cli_option options[] = {
	{ 'f', "format", "FORMAT", "format of the images that are read" },
	{ 'O', "output-format", "FORMAT", "format of the new image; raw without" },
	{ 'o', "options", "NAME=VALUE,...", "options of the format; help lists them" },
	{ 'c', "compress", NULL, "compress, where the format can" },
	{ 'l', "snapshot", "NAME", "read what the disk was at that snapshot" },
	{ 'n', "no-create", NULL, "the output is there already: write into it" },
	{ 'B', "backing", "FILE", "the disk below the new image; only what the top layer has is copied" },
	{ 'F', "backing-format", "FORMAT", "its format" },
	{ 'S', "sparse-size", "SIZE", "zeros of this length become holes (default 4k); 0: none do" },
	{ 't', "cache", "MODE", "cache mode of the output: unsafe (default), writeback, none" },
	{ 'T', "source-cache", "MODE", "cache mode of the sources" },
	{ 'm', "coroutines", "N", "threads that copy, 1 to 16" },
	{ 'W', "out-of-order", NULL, "accepted: pieces are always written as they come" },
	{ 'r', "rate-limit", "BYTES", "copy no more than that in a second" },
	{ 'C', "copy-range", NULL, "accepted: data go through memory all the same" },
	{ 0, "target-is-zero", NULL, "with -n: the output reads as zeros" },
	{ 0, "bitmaps", NULL, "copy the image's dirty bitmaps too" },
	{ 0, "skip-broken-bitmaps", NULL, "with --bitmaps: but those that are not up to date" },
	{ 0, "salvage", NULL, "put zeros where the source cannot be read, and go on" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	options, img_options_progress, img_options_quiet, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_convert = {
	.verb = { .name = "img convert", .operands = "FILE... OUTPUT", .summary = "copy images into one of another format",
		  .operands_min = 0, .operands_max = -1, .options = tables },
	.run = run,
};
