// SPDX-License-Identifier: MIT
/*
 * mortise img bitmap: dirty bitmaps of an image, added, removed, cleared, switched and merged. What the command line
 * asks for is done in its order; what fails ends it, with what came before done.
 */
#include <inttypes.h>
#include <string.h>

#include "kernel/block/node.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

#define BITS_BYTES_MAX (64u << 20)       /* of a bitmap in memory */

/* A bitmap in memory. */
struct bits {
	uint8_t *bytes;
	uint64_t len_bytes, count, granularity;
};

static void bits_fini(struct bits *bits)
{
	g_free(bits->bytes);
	bits->bytes = NULL;
}

static bool bits_load(struct image *image, const char *name, struct bits *bits, int *index, struct mt_error *err)
{
	struct mt_block_bitmap b;

	*bits = (struct bits){ 0 };
	*index = image_bitmap_find(image, name, err);
	if (*index < 0 || !image_bitmap_get(image->node, (uint32_t)*index, &b))
		return false;
	bits->granularity = b.granularity_bytes;
	bits->count = image_bytes(image) / b.granularity_bytes + (image_bytes(image) % b.granularity_bytes != 0);
	bits->len_bytes = bits->count / 8 + (bits->count % 8 != 0);
	bits->bytes = bits->len_bytes <= BITS_BYTES_MAX ? g_try_malloc0(bits->len_bytes + 1) : NULL;
	if (bits->bytes) {
		if (image_bitmap_read(image, (uint32_t)*index, bits->bytes, bits->len_bytes, err) < 0)
			return false;
		if (bits->count % 8)             /* what lies behind the last one was anything */
			bits->bytes[bits->len_bytes - 1] &= (uint8_t)((1u << (bits->count % 8)) - 1);
		return true;
	}
	fault_set(err, MT_ENOMEM, "bitmap", NULL, "%s: the bitmap '%.100s' is too large to be read", image->path, name);
	return false;
}

static bool bit_get(const struct bits *bits, uint64_t i)
{
	return bits->bytes[i / 8] >> (i % 8) & 1;
}

/* The bits of pieces that [from, to) touches. */
static void bits_set(struct bits *bits, uint64_t from, uint64_t to)
{
	uint64_t last = MIN((to - 1) / bits->granularity + 1, bits->count);

	for (uint64_t i = from / bits->granularity; i < last; i++)
		bits->bytes[i / 8] |= (uint8_t)(1u << (i % 8));
}

static void bits_merge(struct bits *to, const struct bits *from)
{
	if (to->granularity == from->granularity) {
		for (uint64_t i = 0; i < MIN(to->len_bytes, from->len_bytes); i++)
			to->bytes[i] |= from->bytes[i];
	} else {
		for (uint64_t i = 0; i < from->count; i++) {
			if (bit_get(from, i))
				bits_set(to, i * from->granularity, (i + 1) * from->granularity);
		}
	}
}

/* What `from` has marked is marked in the other bitmap too. */
static bool bits_add(struct image *from, const char *from_name, struct image *image, const char *name,
		     struct mt_error *err)
{
	struct bits more, bits = { 0 };
	int index;
	bool ok = bits_load(from, from_name, &more, &index, err) && bits_load(image, name, &bits, &index, err);

	if (ok) {
		bits_merge(&bits, &more);
		ok = image_bitmap_write(image, (uint32_t)index, bits.bytes, bits.len_bytes, err) == 0;
	}
	bits_fini(&more);
	bits_fini(&bits);
	return ok;
}

/* Copies of an image's bitmaps, for convert */

int img_bitmaps_check(const struct image *from, bool skip_broken, struct mt_error *err)
{
	struct mt_block_bitmap b;

	for (uint32_t i = 0; i < image_bitmap_count(from->node); i++) {
		if (!image_bitmap_get(from->node, i, &b) || !(b.flags & MT_BLOCK_BITMAP_IN_USE))
			continue;
		if (!skip_broken)
			return fault_set(err, MT_EINVAL, "bitmaps", "--skip-broken-bitmaps leaves such out",
					 "%s: the bitmap '%.200s' is not up to date", from->path, b.name);
		img_warn("%s: the bitmap '%s' is not up to date, and left out", from->path, b.name);
	}
	return 0;
}

/* Two bitmaps of one name cannot be; whether the image can have any, one that is added and taken away again shows. */
int img_bitmaps_try(const struct image *from, struct image *to, struct mt_error *err)
{
	struct mt_block_bitmap b, have;
	bool tried = false;

	for (uint32_t i = 0; i < image_bitmap_count(from->node); i++) {
		if (!image_bitmap_get(from->node, i, &b) || b.flags & MT_BLOCK_BITMAP_IN_USE)
			continue;
		for (uint32_t k = 0; k < image_bitmap_count(to->node); k++) {
			if (image_bitmap_get(to->node, k, &have) && !strcmp(have.name, b.name))
				return fault_set(err, MT_EINVAL, "bitmaps", NULL, "%s has a bitmap '%.200s' already",
						 to->path, b.name);
		}
		b.flags = 0;
		if (!tried && (image_bitmap_add(to, &b, err) < 0 ||
			       image_bitmap_remove(to, image_bitmap_count(to->node) - 1, err) < 0))
			return err->code;
		tried = true;
	}
	return 0;
}

/* Enabled at the end only: what is written until then is no change of the disk. */
int img_bitmaps_copy(struct image *from, struct image *to, struct mt_error *err)
{
	struct mt_block_bitmap b;
	int rc = 0, index;

	for (uint32_t i = 0; rc == 0 && i < image_bitmap_count(from->node); i++) {
		uint32_t flags;

		if (!image_bitmap_get(from->node, i, &b) || b.flags & MT_BLOCK_BITMAP_IN_USE)
			continue;
		flags = b.flags & MT_BLOCK_BITMAP_ENABLED;
		b.flags = 0;
		rc = image_bitmap_add(to, &b, err);
		if (rc == 0 && !bits_add(from, b.name, to, b.name, err))
			rc = MT_EIO;
		if (rc == 0 && flags) {
			index = image_bitmap_find(to, b.name, err);
			rc = index < 0 ? index : image_bitmap_flags(to, (uint32_t)index, flags, err);
		}
	}
	return rc;
}

/* The operations */

struct job {
	struct img *img;
	struct image *image, *source;            /* source: of --merge */
	const char *name;
	uint64_t granularity;
};

static bool add(struct job *job)
{
	struct mt_block_bitmap b = { .size = sizeof(b), .flags = MT_BLOCK_BITMAP_ENABLED,
				     .granularity_bytes = job->granularity };

	if (g_strlcpy(b.name, job->name, sizeof(b.name)) < sizeof(b.name))
		return image_bitmap_add(job->image, &b, &job->img->err) == 0;
	fault_set(&job->img->err, MT_ERANGE, "bitmap", NULL, "the name of the bitmap is too long");
	return false;
}

static bool merge(struct job *job, const char *source)
{
	if (image_bytes(job->image) == image_bytes(job->source))
		return bits_add(job->source, source, job->image, job->name, &job->img->err);
	fault_set(&job->img->err, MT_EINVAL, "bitmap", NULL, "%s and %s are disks of different sizes", job->image->path,
		  job->source->path);
	return false;
}

static bool clear(struct job *job, int index)
{
	uint64_t disk = image_bytes(job->image), count;
	struct mt_block_bitmap b;

	if (!image_bitmap_get(job->image->node, (uint32_t)index, &b))
		return false;
	count = disk / b.granularity_bytes + (disk % b.granularity_bytes != 0);
	return image_bitmap_write(job->image, (uint32_t)index, NULL, count / 8 + (count % 8 != 0), &job->img->err) == 0;
}

static bool one(struct job *job, const struct cli_given *given)
{
	int index;

	if (!strcmp(given->option, "add"))
		return add(job);
	if (!strcmp(given->option, "merge"))
		return merge(job, given->value);
	index = image_bitmap_find(job->image, job->name, &job->img->err);
	if (index < 0)
		return false;
	if (!strcmp(given->option, "remove"))
		return image_bitmap_remove(job->image, (uint32_t)index, &job->img->err) == 0;
	if (!strcmp(given->option, "clear"))
		return clear(job, index);
	return image_bitmap_flags(job->image, (uint32_t)index,
				  !strcmp(given->option, "enable") ? MT_BLOCK_BITMAP_ENABLED : 0, &job->img->err) == 0;
}

/* The command */

static bool is_action(const char *option)
{
	static const char *const actions[] = { "add", "remove", "clear", "enable", "disable", "merge" };

	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
		if (!strcmp(option, actions[i]))
			return true;
	}
	return false;
}

static bool all(struct job *job)
{
	const struct cli_given *given;
	unsigned count;

	given = cli_given(job->img->args, &count);
	for (unsigned i = 0; i < count; i++) {
		if (is_action(given[i].option) && !one(job, &given[i]))
			return false;
	}
	return true;
}

static int arguments_check(const struct img *img)
{
	const struct cli_given *given;
	unsigned count, actions = 0;

	given = cli_given(img->args, &count);
	for (unsigned i = 0; i < count; i++)
		actions += is_action(given[i].option);
	if (!cli_operand(img->args, 1) || !actions)
		return img_fail("wanted: mortise img bitmap -f FORMAT --add|--remove|--clear|--enable|--disable|--merge SOURCE ... "
				"FILE BITMAP");
	if (cli_flag(img->args, "granularity") && !cli_flag(img->args, "add"))
		return img_fail("-g is for --add only");
	if (cli_flag(img->args, "source-file") && !cli_flag(img->args, "merge"))
		return img_fail("-b is for --merge only");
	if (cli_flag(img->args, "source-format") && !cli_flag(img->args, "source-file"))
		return img_fail("-F says what -b is, and there is none");
	return 0;
}

/* A piece is a cluster, within what makes sense. */
static bool granularity(const struct img *img, const struct image *image, uint64_t *out)
{
	uint64_t unit = image_info(image)->unit_bytes ? image_info(image)->unit_bytes : 65536;

	return img_number(img, "granularity", CLAMP(unit, 4096, 65536), UINT64_C(1) << 31, out);
}

static int work(struct img *img, struct image *image)
{
	const char *path = cli_value(img->args, "source-file");
	struct image_options options = img_open_options(img);
	struct job job = { .img = img, .image = image, .source = image, .name = cli_operand(img->args, 1) };
	int code;

	if (!granularity(img, image, &job.granularity))
		return 1;
	options.backing_off = true;
	if (path)
		job.source = img_open_read(img, path, cli_value(img->args, "source-format"), &options);
	code = job.source && all(&job) ? 0 : img_fault(img);
	if (path)
		image_close(job.source);
	return code;
}

static int run(struct img *img)
{
	struct image_options options = img_open_options(img);
	struct image *image;
	int code = arguments_check(img);

	if (code)
		return code;
	options.backing_off = true;
	image = img_open_write(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
	if (!image)
		return img_fault(img);
	code = work(img, image);
	if (image_close(image) < 0)
		return img_fail("the changes could not be written");
	return code;
}

static const struct cli_option options[] = {
	{ 0, "add", NULL, "make a new one, enabled" },
	{ 0, "remove", NULL, "remove it" },
	{ 0, "clear", NULL, "nothing is marked in it from now on" },
	{ 0, "enable", NULL, "writes are marked in it from now on" },
	{ 0, "disable", NULL, "writes leave it alone from now on" },
	{ 0, "merge", "SOURCE", "mark what is marked in the bitmap SOURCE too (repeatable)" },
	{ 'b', "source-file", "FILE", "the image that has SOURCE" },
	{ 'F', "source-format", "FORMAT", "its format" },
	{ 'g', "granularity", "BYTES", "what one bit of a new one stands for (default: a cluster, 4k to 64k)" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_bitmap = {
	.verb = { .name = "img bitmap", .operands = "FILE BITMAP", .summary = "dirty bitmaps of an image",
		  .operands_min = 2, .operands_max = 2, .options = tables },
	.run = run,
};
