// SPDX-License-Identifier: MIT
/* mortise img measure: how long an image of another format would become. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/block/request.h"
#include "kernel/img/img.h"
#include "kernel/img/out.h"
#include "kernel/machine/fault.h"

#define UNIT_DEFAULT 65536u

/* The unit that the format would allocate by: an option of it, or what that option is without being set. */
static uint64_t unit_of(const struct mt_block_option *table, const GArray *values)
{
	static const char *const names[] = { "cluster_size", "block_size" };
	uint64_t unit;

	for (; table && table->name; table++) {
		const char *text = img_value_find(values, table->name);

		for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
			if (!strcmp(table->name, names[i]) && (text || table->deflt) &&
			    img_size(text ? text : table->deflt, &unit) && unit)
				return unit;
		}
	}
	return UNIT_DEFAULT;
}

/* Bytes of all units that have data in them. */
static int data_of(const struct image *image, uint64_t unit, uint64_t *data_bytes)
{
	uint64_t end = image_bytes(image), next = 0;
	struct block_status status;

	*data_bytes = 0;
	for (uint64_t at = 0; at < end; at += status.len_bytes) {
		uint64_t first, last;

		if (status_get(image->node, at, end - at, &status) < 0)
			return MT_EIO;
		if (status.flags & BLOCK_STATUS_ZERO)
			continue;
		first = MAX(at / unit * unit, next);
		last = MIN((at + status.len_bytes + unit - 1) / unit * unit, end);
		if (last > first)
			*data_bytes += last - first;
		next = MAX(next, last);
	}
	return 0;
}

struct sizes {
	uint64_t required, full, bitmaps;
	bool has_bitmaps;
};

/* Of the source's bitmaps, as convert --bitmaps would copy them. */
static void bitmaps_measure(const struct mt_block_create *role, const struct mt_block_create_want *want,
			    const struct image *image, struct sizes *sizes)
{
	GArray *list = g_array_new(FALSE, FALSE, sizeof(struct mt_block_bitmap));
	int64_t bytes = 0;

	for (uint32_t i = 0; i < image_bitmap_count(image->node); i++) {
		struct mt_block_bitmap b;

		if (image_bitmap_get(image->node, i, &b) && !(b.flags & MT_BLOCK_BITMAP_IN_USE))
			g_array_append_val(list, b);
	}
	bytes = role->measure_bitmaps(want, (const struct mt_block_bitmap *)(void *)list->data, list->len);
	sizes->has_bitmaps = bytes >= 0;
	sizes->bitmaps = bytes < 0 ? 0 : (uint64_t)bytes;
	g_array_unref(list);
}

static int measure(struct img *img, const char *format, const GArray *values, struct image *image, uint64_t bytes,
		   struct sizes *sizes)
{
	const struct mt_block_create *role = tool_role(img->tool, format, MT_IFACE_BLOCK_CREATE, &img->err);
	struct mt_block_create_want want = { .size = sizeof(want), .disk_bytes = bytes, .value_count = values->len,
					     .values = (const struct mt_block_value *)values->data };
	uint64_t data_bytes = 0;

	if (!role->measure)
		return fault_set(&img->err, MT_ENOTSUP, "format", NULL, "%s images cannot be measured", format);
	if (image && data_of(image, unit_of(role->options ? role->options() : NULL, values), &data_bytes) < 0)
		return fault_set(&img->err, MT_EIO, "file", NULL, "%s is damaged", image->path);
	if (image && image_has_bitmaps(image) && role->measure_bitmaps)
		bitmaps_measure(role, &want, image, sizes);
	return role->measure(&want, data_bytes, &sizes->required, &sizes->full, &img->err);
}

static void print(bool json, const struct sizes *sizes)
{
	struct out out = { 0 };

	if (!json) {
		printf("required size: %" PRIu64 "\nfully allocated size: %" PRIu64 "\n", sizes->required, sizes->full);
		if (sizes->has_bitmaps)
			printf("bitmaps size: %" PRIu64 "\n", sizes->bitmaps);
		return;
	}
	out_open(&out, NULL, '{');
	if (sizes->has_bitmaps)
		out_number(&out, "bitmaps", sizes->bitmaps);
	out_number(&out, "required", sizes->required);
	out_number(&out, "fully-allocated", sizes->full);
	out_close(&out, '}');
}

static struct image *source_open(struct img *img)
{
	const char *snapshot = cli_value(img->args, "snapshot");
	struct image_options options = img_open_options(img);
	struct image *image;

	image = img_open_read(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
	if (image && snapshot && img_snapshot_show(image, snapshot, &img->err) < 0) {
		image_close(image);
		return NULL;
	}
	return image;
}

static int run(struct img *img)
{
	const char *format = cli_value(img->args, "output-format"), *size = cli_value(img->args, "size");
	struct sizes sizes = { 0 };
	uint64_t bytes = 0;
	struct image *image = NULL;
	GArray *values;
	bool json;
	int code = 0;

	format = format ? format : "raw";
	if (img_help_wanted(cli_values(img->args, "options")))
		return img_help_print(img, format, MT_BLOCK_OPTION_CREATE);
	if (!img_output(img, &json))
		return 1;
	if (!size == !cli_operand(img->args, 0) || (size && !img_size(size, &bytes)))
		return img_fail("wanted is either --size SIZE or a FILE");
	values = img_values(img, format, cli_values(img->args, "options"), MT_BLOCK_OPTION_CREATE);
	if (values && !size)
		image = source_open(img);
	bytes = image ? image_bytes(image) : (bytes + 511) & ~511ull;
	if (!values || (!size && !image) || measure(img, format, values, image, bytes, &sizes) < 0)
		code = img_fault(img);
	else
		print(json, &sizes);
	image_close(image);
	img_values_free(values);
	return code;
}

static const struct cli_option options[] = {
	{ 'O', "output-format", "FORMAT", "format to measure for; raw without" },
	{ 'o', "options", "NAME=VALUE,...", "options of the format; help lists them" },
	{ 'l', "snapshot", "NAME", "of what the disk was at that snapshot" },
	{ 0, "size", "SIZE", "of an empty disk of that size, in place of a file" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_output, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_measure = {
	.verb = { .name = "img measure", .operands = "[FILE]", .summary = "tell how long an image would become",
		  .operands_min = 0, .operands_max = 1, .options = tables },
	.run = run,
};
