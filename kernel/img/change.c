// SPDX-License-Identifier: MIT
/* mortise img snapshot, resize and amend: changes of an image as a whole, in place. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/block/node.h"
#include "kernel/block/request.h"
#include "kernel/img/img.h"
#include "kernel/img/table.h"
#include "kernel/machine/fault.h"

/* Closes the image; what the command said stays its result. */
static int finish(struct image *image, int code)
{
	if (image_close(image) < 0)
		return img_fail("the changes could not be written");
	return code;
}

static struct image *change_open(struct img *img, bool backing_off)
{
	struct image_options options = img_open_options(img);
	const char *cache = cli_value(img->args, "cache");

	options.backing_off = backing_off;
	if (cache && !img_cache(cache, &options.cache))
		return NULL;
	return img_open_write(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
}

/* snapshot */

static int snapshot_list(struct img *img)
{
	struct image_options options = img_open_options(img);
	struct image *image;

	options.backing_off = true;
	image = img_open_read(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
	if (!image)
		return img_fault(img);
	if (table_snapshot_count(image->node)) {
		puts("Snapshot list:");
		table_snapshots(image->node);
	}
	image_close(image);
	return 0;
}

static int snapshot_run(struct img *img)
{
	static const char *const names[] = { "create", "apply", "delete" };
	const char *which = NULL;
	struct image *image;
	int count = cli_flag(img->args, "list"), op = -1, code;

	for (int i = 0; i < 3; i++) {
		if (!cli_flag(img->args, names[i]))
			continue;
		which = cli_value(img->args, names[i]);
		op = i;
		count++;
	}
	if (count > 1)
		return img_fail("one thing at a time: -l, -c, -a or -d");
	if (!cli_operand(img->args, 0))
		return img_fail("wanted: mortise img snapshot [OPTIONS] FILE");
	if (op < 0)
		return snapshot_list(img);
	image = change_open(img, true);
	if (!image)
		return img_fault(img);
	code = image_snapshot(image, (enum image_snapshot_op)op, which, &img->err) < 0 ? img_fault(img) : 0;
	return finish(image, code);
}

static const struct cli_option snapshot_options[] = {
	{ 'l', "list", NULL, "list the snapshots (default)" },
	{ 'c', "create", "NAME", "take one" },
	{ 'a', "apply", "NAME", "go back to one: the disk becomes what it was" },
	{ 'd', "delete", "NAME", "remove one" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const snapshot_tables[] = {
	img_options_format, snapshot_options, img_options_quiet, img_options_open, cli_options_plugins,
	cli_options_common, NULL,
};

const struct img_command img_snapshot = {
	.verb = { .name = "img snapshot", .operands = "FILE", .summary = "internal snapshots of an image",
		  .operands_min = 1, .operands_max = 1, .options = snapshot_tables },
	.run = snapshot_run,
};

/* resize */

/* "10G", "+1G", "-1G" */
static bool size_wanted(const char *text, uint64_t now, uint64_t *bytes)
{
	bool plus = *text == '+', minus = *text == '-';
	uint64_t number;

	if (!img_size(text + (plus || minus), &number))
		return img_fail("'%s' is no size; wanted: a number of bytes, or one with K, M, G, T, P or E", text) == 0;
	if ((minus && number > now) || (plus && number > INT64_MAX - now))
		return img_fail("the disk has %" PRIu64 " bytes: that cannot be", now) == 0;
	*bytes = (minus ? now - number : plus ? now + number : number);
	*bytes = (*bytes + 511) & ~511ull;
	return true;
}

int32_t img_hide_backing(struct image *image, uint64_t from, uint64_t to)
{
	const struct bnode *below = image->node->backing;

	to = below ? MIN(to, below->info.disk_bytes) : 0;
	return to > from ? request_do(image->block, MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP, from, NULL, to - from) : 0;
}

static int resize(struct img *img, struct image *image, const char *text, uint32_t prealloc)
{
	uint64_t now = image_bytes(image), bytes = 0;
	bool shrink = cli_flag(img->args, "shrink");

	if (!size_wanted(text, now, &bytes))
		return 1;
	if (bytes < now && !shrink)
		return img_fail("this would cut %" PRIu64 " bytes off the disk; say --shrink if you want that", now - bytes);
	if (image_resize(image, bytes, shrink ? MT_BLOCK_RESIZE_SHRINK : 0, prealloc, &img->err) < 0)
		return img_fault(img);
	if (bytes > now && img_hide_backing(image, now, bytes) < 0)
		return img_fail("what is added could not be made zero");
	img_say(img, "Image resized.");
	return 0;
}

static int resize_run(struct img *img)
{
	const char *size = img->size ? img->size : cli_operand(img->args, 1);
	const char *word = cli_value(img->args, "preallocation");
	struct image *image;
	uint32_t prealloc;

	if (!size || (img->size && cli_operand(img->args, 1)))
		return img_fail("wanted: mortise img resize [OPTIONS] FILE [+|-]SIZE");
	if (!img_prealloc(word ? word : "off", &prealloc))
		return 1;
	image = change_open(img, false);
	return image ? finish(image, resize(img, image, size, prealloc)) : img_fault(img);
}

static const struct cli_option resize_options[] = {
	{ 0, "shrink", NULL, "the disk may become shorter" },
	{ 0, "preallocation", "off|metadata|falloc|full", "take space for what is added" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const resize_tables[] = {
	img_options_format, resize_options, img_options_quiet, img_options_open, cli_options_plugins,
	cli_options_common, NULL,
};

const struct img_command img_resize = {
	.verb = { .name = "img resize", .operands = "FILE [+|-]SIZE", .summary = "change the size of a disk",
		  .operands_min = 1, .operands_max = 2, .options = resize_tables },
	.run = resize_run,
	.last_is_size = true,
};

/* amend */

static int amend_run(struct img *img)
{
	const char *format = cli_value(img->args, "format");
	const char *const *texts = cli_values(img->args, "options");
	struct image *image;
	GArray *values;
	int code;

	if (!format)
		return img_fail("amend needs the format of the image: -f FORMAT");
	if (img_help_wanted(texts))
		return img_help_print(img, format, MT_BLOCK_OPTION_AMEND);
	if (!texts[0] || !cli_operand(img->args, 0))
		return img_fail("wanted: mortise img amend -f FORMAT -o NAME=VALUE,... FILE");
	values = img_values(img, format, texts, MT_BLOCK_OPTION_AMEND);
	image = values ? change_open(img, true) : NULL;
	if (!image)
		code = img_fault(img);
	else if (image_amend(image, (const struct mt_block_value *)values->data, values->len, &img->err) < 0)
		code = finish(image, img_fault(img));
	else
		code = finish(image, 0);
	img_values_free(values);
	return code;
}

static const struct cli_option amend_options[] = {
	{ 'o', "options", "NAME=VALUE,...", "what to change; help lists what can be" },
	{ 't', "cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const amend_tables[] = {
	img_options_format, amend_options, img_options_progress, img_options_quiet, img_options_open, cli_options_plugins,
	cli_options_common, NULL,
};

const struct img_command img_amend = {
	.verb = { .name = "img amend", .operands = "FILE", .summary = "change options of an image in place",
		  .operands_min = 0, .operands_max = 1, .options = amend_tables },
	.run = amend_run,
};
