// SPDX-License-Identifier: MIT
/* mortise img map: where the bytes of a disk are, in the image and those below it. */
#include <inttypes.h>
#include <stdio.h>

#include "kernel/block/request.h"
#include "kernel/config/json.h"
#include "kernel/img/img.h"
#include "kernel/img/table.h"

/* What follows each other and is alike is one entry. */
struct entry {
	uint64_t start;
	struct block_status status;
};

static bool continues(const struct entry *entry, const struct block_status *next)
{
	const struct block_status *s = &entry->status;

	return s->flags == next->flags && s->depth == next->depth && s->node == next->node &&
	       (!(s->flags & BLOCK_STATUS_OFFSET) || s->file_offset + s->len_bytes == next->file_offset);
}

static const char *word(bool value)
{
	return value ? "true" : "false";
}

static void print_json(const struct entry *entry, bool first)
{
	const struct block_status *s = &entry->status;

	printf("%s{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %u, \"present\": %s, \"zero\": %s, "
	       "\"data\": %s, \"compressed\": %s", first ? "[" : ",\n", entry->start, s->len_bytes, s->depth,
	       word(s->flags & BLOCK_STATUS_PRESENT), word(s->flags & BLOCK_STATUS_ZERO),
	       word(s->flags & BLOCK_STATUS_DATA), word(s->flags & BLOCK_STATUS_ENCODED));
	if (s->flags & BLOCK_STATUS_OFFSET)
		printf(", \"offset\": %" PRIu64, s->file_offset);
	putchar('}');
}

static int print_text(const struct entry *entry)
{
	const struct block_status *s = &entry->status;

	if (!(s->flags & BLOCK_STATUS_DATA))
		return 0;
	if (!(s->flags & BLOCK_STATUS_OFFSET))
		return img_fail("this image has compressed data, which lie nowhere as they are; see --output=json");
	printf("%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64, entry->start, s->len_bytes, s->file_offset);
	table_print_text(s->node ? node_name(s->node) : "");
	putchar('\n');
	return 0;
}

static int print(const struct entry *entry, bool json, bool *first)
{
	if (!json)
		return print_text(entry);
	print_json(entry, *first);
	*first = false;
	return 0;
}

static int walk(struct image *image, uint64_t at, uint64_t end, bool json)
{
	struct entry entry = { 0 };
	struct block_status status;
	bool first = true;
	int code = 0;

	if (!json)
		puts("Offset          Length          Mapped to       File");
	for (; at < end && !code; at += status.len_bytes) {
		if (status_get(image->node, at, end - at, &status) < 0)
			return img_fail("%s: the image is damaged at byte %" PRIu64, image->path, at);
		if (entry.status.len_bytes && continues(&entry, &status)) {
			entry.status.len_bytes += status.len_bytes;
			continue;
		}
		if (entry.status.len_bytes)
			code = print(&entry, json, &first);
		entry = (struct entry){ at, status };
	}
	if (!code && entry.status.len_bytes)
		code = print(&entry, json, &first);
	if (json)
		puts(first ? "[]" : "]");
	return code;
}

static int run(struct img *img)
{
	struct image_options options = img_open_options(img);
	uint64_t start, length, end;
	struct image *image;
	bool json;
	int code;

	if (!img_output(img, &json) || !img_number(img, "start-offset", 0, INT64_MAX, &start) ||
	    !img_number(img, "max-length", INT64_MAX, INT64_MAX, &length))
		return 1;
	image = img_open_read(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
	if (!image)
		return img_fault(img);
	end = image_bytes(image);
	start = MIN(start, end);
	code = walk(image, start, start + MIN(length, end - start), json);
	image_close(image);
	return code;
}

static const struct cli_option options[] = {
	{ 's', "start-offset", "OFFSET", "begin there" },
	{ 'l', "max-length", "LEN", "tell of so many bytes" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_output, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_map = {
	.verb = { .name = "img map", .operands = "FILE", .summary = "tell where the bytes of a disk are",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};
