// SPDX-License-Identifier: MIT
/*
 * mortise img check. Exit codes: 0 clean, 1 it could not be checked, 2 damaged, 3 leaks only, 63 not for this
 * format.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/img/img.h"
#include "kernel/img/out.h"
#include "kernel/img/table.h"

#define NOT_SUPPORTED 63

static void finding(void *arg, const char *line)
{
	const struct img *img = arg;

	if (!cli_flag(img->args, "quiet"))
		fprintf(stderr, "%s\n", line);
}

static bool repair_read(const struct img *img, uint32_t *repair)
{
	const char *word = cli_value(img->args, "repair");

	*repair = 0;
	if (!word)
		return true;
	if (!strcmp(word, "leaks"))
		*repair = MT_BLOCK_CHECK_LEAKS;
	else if (!strcmp(word, "all"))
		*repair = MT_BLOCK_CHECK_LEAKS | MT_BLOCK_CHECK_ALL;
	else
		img_fail("'%s' is nothing to repair; there are leaks and all", word);
	return *repair != 0;
}

static struct image *check_open(struct img *img, bool write)
{
	struct image_options options = img_open_options(img);
	const char *path = cli_operand(img->args, 0), *format = cli_value(img->args, "format");
	const char *cache = cli_value(img->args, "source-cache");

	options.backing_off = true;
	options.repair = write;
	if (cache && !img_cache(cache, &options.cache))
		return NULL;
	return write ? img_open_write(img, path, format, &options) : img_open_read(img, path, format, &options);
}

static void print_json(const struct image *image, const struct mt_block_check *c)
{
	struct out out = { 0 };

	out_open(&out, NULL, '{');
	out_number(&out, "image-end-offset", c->image_end_bytes);
	out_number(&out, "total-clusters", c->units_total);
	out_number(&out, "check-errors", c->errors);
	if (c->corruptions)
		out_number(&out, "corruptions", c->corruptions);
	if (c->leaks)
		out_number(&out, "leaks", c->leaks);
	if (c->corruptions_fixed)
		out_number(&out, "corruptions-fixed", c->corruptions_fixed);
	if (c->leaks_fixed)
		out_number(&out, "leaks-fixed", c->leaks_fixed);
	out_number(&out, "allocated-clusters", c->units_allocated);
	out_number(&out, "fragmented-clusters", c->units_fragmented);
	out_number(&out, "compressed-clusters", c->units_encoded);
	out_string(&out, "filename", image->path);
	out_string(&out, "format", image->format);
	out_close(&out, '}');
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? (double)part * 100 / (double)whole : 0;
}

static void print_text(const struct mt_block_check *c)
{
	if (c->corruptions_fixed || c->leaks_fixed)
		printf("The following inconsistencies were found and repaired:\n\n    %" PRIu64 " leaked clusters\n    %"
		       PRIu64 " corruptions\n\n", c->leaks_fixed, c->corruptions_fixed);
	if (!c->corruptions && !c->leaks && !c->errors)
		puts("No errors were found on the image.");
	if (c->corruptions)
		printf("\n%" PRIu64 " errors were found on the image.\nData may be corrupted, or further writes to the image "
		       "may corrupt it.\n", c->corruptions);
	if (c->leaks)
		printf("\n%" PRIu64 " leaked clusters were found on the image.\nThis means waste of disk space, but no harm "
		       "to data.\n", c->leaks);
	if (c->errors)
		printf("\n%" PRIu64 " internal errors have occurred during the check.\n", c->errors);
	if (c->units_total)
		printf("%" PRIu64 "/%" PRIu64 " = %.2f%% allocated, %.2f%% fragmented, %.2f%% compressed clusters\n",
		       c->units_allocated, c->units_total, percent(c->units_allocated, c->units_total),
		       percent(c->units_fragmented, c->units_allocated), percent(c->units_encoded, c->units_allocated));
	if (c->image_end_bytes)
		printf("Image end offset: %" PRIu64 "\n", c->image_end_bytes);
}

/* After a repair a second look says what is left. */
static int check(struct img *img, struct image *image, uint32_t repair, struct mt_block_check *result)
{
	struct mt_block_check first;
	int rc = image_check(image, repair, result, finding, img, &img->err);

	if (rc < 0 || (!result->corruptions_fixed && !result->leaks_fixed))
		return rc;
	first = *result;
	rc = image_check(image, 0, result, finding, img, &img->err);
	result->corruptions_fixed = first.corruptions_fixed;
	result->leaks_fixed = first.leaks_fixed;
	return rc;
}

static int run(struct img *img)
{
	struct mt_block_check result = { .size = sizeof(result) };
	struct image *image;
	uint32_t repair;
	bool json;
	int rc;

	if (!img_output(img, &json) || !repair_read(img, &repair))
		return 1;
	image = check_open(img, repair != 0);
	if (!image)
		return img_fault(img);
	rc = check(img, image, repair, &result);
	if (rc < 0)
		img_fault(img);
	else if (json)
		print_json(image, &result);
	else if (!cli_flag(img->args, "quiet"))
		print_text(&result);
	if (image_close(image) < 0 && rc == 0)
		rc = (img_fail("the repaired image could not be written"), MT_EIO);
	if (rc < 0)
		return rc == MT_ENOTSUP ? NOT_SUPPORTED : 1;
	return result.errors ? 1 : result.corruptions ? 2 : result.leaks ? 3 : 0;
}

static const struct cli_option options[] = {
	{ 'r', "repair", "leaks|all", "repair: give leaked space back, or errors too" },
	{ 'T', "source-cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_output, img_options_quiet, img_options_open, cli_options_plugins,
	cli_options_common, NULL,
};

const struct img_command img_check = {
	.verb = { .name = "img check", .operands = "FILE", .summary = "find and repair what is wrong in an image",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};
