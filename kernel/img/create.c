// SPDX-License-Identifier: MIT
/* mortise img create, and the making of images for convert and dd. */
#include <inttypes.h>
#include <string.h>

#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

char *img_backing_path(const char *image_path, const char *backing)
{
	const char *slash = strrchr(image_path, '/');
	int folder = slash && !g_path_is_absolute(backing) ? (int)(slash - image_path) + 1 : 0;

	return g_strdup_printf("%.*s%s", folder, image_path, backing);
}

struct image *img_make_backing(struct img *img, const struct img_make *make)
{
	struct image_options options = img_open_options(img);
	struct image *image;
	char *path;

	if (make->backing_cache && !img_cache(make->backing_cache, &options.cache)) {
		fault_set(&img->err, MT_EINVAL, "cache", NULL, "choose another cache mode");
		return NULL;
	}
	path = img_backing_path(make->path, make->backing);
	options.format = make->backing_format;
	image = image_open(img->tool, path, &options, &img->err);
	g_free(path);
	return image;
}

/* The backing file is there and of the format that is said; a size that was not given is its. */
static int backing_look(struct img *img, struct img_make *make)
{
	struct image *backing;
	bool below_itself;

	if (!make->backing)
		return 0;
	if (!make->backing_format)
		return fault_set(&img->err, MT_EINVAL, "backing", NULL,
				 "a backing file needs its format: -F FORMAT");
	if (make->backing_unsafe)
		return 0;
	backing = img_make_backing(img, make);
	if (!backing)
		return MT_EINVAL;
	if (make->disk_bytes == UINT64_MAX)
		make->disk_bytes = image_bytes(backing);
	below_itself = img_chain_has(backing, make->path);
	image_close(backing);
	return below_itself ? fault_set(&img->err, MT_EINVAL, "backing", NULL, "%s would be below itself", make->path) : 0;
}

struct mt_block_maker *img_make_begin(struct img *img, const struct img_make *given)
{
	struct img_make make = *given;
	struct image_want want = { .path = make.path, .format = make.format, .cancelled = img_cancelled };
	struct mt_block_maker *maker;
	char *backing_path = NULL;

	if (backing_look(img, &make) < 0)
		return NULL;
	if (make.disk_bytes == UINT64_MAX) {
		fault_set(&img->err, MT_EINVAL, "size", NULL, "the size of the image is missing");
		return NULL;
	}
	if (make.backing && !make.backing_unsafe)
		backing_path = img_backing_path(make.path, make.backing);
	want.backing_path = backing_path;
	want.create = (struct mt_block_create_want){
		.size = sizeof(want.create), .disk_bytes = (make.disk_bytes + 511) & ~511ull,
		.backing = make.backing, .backing_format = make.backing ? make.backing_format : NULL,
		.value_count = make.values->len, .values = (const struct mt_block_value *)make.values->data,
	};
	maker = maker_begin(tool_machine(img->tool), &want, &img->err);
	g_free(backing_path);
	return maker;
}

static int create(struct img *img, GArray *values, const char *format)
{
	bool twice = cli_operand(img->args, 1) && img_value_find(values, "size");
	char *size = img_general_take(values, "size", cli_operand(img->args, 1));
	char *backing = img_general_take(values, "backing_file", cli_value(img->args, "backing"));
	char *backing_format = img_general_take(values, "backing_fmt", cli_value(img->args, "backing-format"));
	struct img_make make = { .path = cli_operand(img->args, 0), .format = format, .disk_bytes = UINT64_MAX,
				 .backing = backing, .backing_format = backing_format, .values = values,
				 .backing_unsafe = cli_flag(img->args, "unsafe") };
	struct mt_block_maker *maker = NULL;
	int code;

	if (twice)
		code = img_fail("the size stands there twice");
	else if (size && !img_size(size, &make.disk_bytes))
		code = img_fail("'%s' is no size; wanted: a number of bytes, or one with K, M, G, T, P or E", size);
	else if (!(maker = img_make_begin(img, &make)) || maker_finish(maker, &img->err) < 0)
		code = img_fault(img);
	else
		code = 0;
	if (code == 0)
		img_say(img, "Formatting '%s', fmt=%s%s%s%s%s", make.path, format, size ? " size=" : "",
			size ? size : "", backing ? " backing_file=" : "", backing ? backing : "");
	g_free(size);
	g_free(backing);
	g_free(backing_format);
	return code;
}

static int run(struct img *img)
{
	const char *format = cli_value(img->args, "format");
	const char *const *texts = cli_values(img->args, "options");
	GArray *values;
	int code;

	format = format ? format : "raw";
	if (img_help_wanted(texts))
		return img_help_print(img, format, MT_BLOCK_OPTION_CREATE);
	if (!cli_operand(img->args, 0))
		return img_fail("wanted: mortise img create [OPTIONS] FILE [SIZE]");
	img_signals_catch();
	values = img_values(img, format, texts, MT_BLOCK_OPTION_CREATE);
	if (!values)
		return img_fault(img);
	code = create(img, values, format);
	img_values_free(values);
	return code;
}

static const struct cli_option options[] = {
	{ 'f', "format", "FORMAT", "format of the new image; raw without" },
	{ 'o', "options", "NAME=VALUE,...", "options of the format; help lists them" },
	{ 'b', "backing", "FILE", "the disk below, as it is to stand in the image" },
	{ 'F', "backing-format", "FORMAT", "its format" },
	{ 'u', "unsafe", NULL, "do not look at the backing file" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	options, img_options_quiet, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_create = {
	.verb = { .name = "img create", .operands = "FILE [SIZE]", .summary = "make an image",
		  .operands_min = 0, .operands_max = 2, .options = tables },
	.run = run,
};
