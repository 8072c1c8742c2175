// SPDX-License-Identifier: MIT
/* mortise img dd: a part of one image as another. Words are those of dd(1): if=, of=, bs=, count=, skip=. */
#include <inttypes.h>
#include <string.h>

#include "kernel/img/img.h"

struct words {
	const char *in, *out;
	uint64_t block_bytes, count, skip;
};

static bool word_read(struct words *words, const char *word)
{
	const char *value = strchr(word, '=');
	size_t n = value ? (size_t)(value - word) : 0;
	uint64_t *number = NULL;

	if (n == 2 && !strncmp(word, "if", n))
		return words->in = value + 1, true;
	if (n == 2 && !strncmp(word, "of", n))
		return words->out = value + 1, true;
	if (n == 2 && !strncmp(word, "bs", n))
		number = &words->block_bytes;
	else if (n == 5 && !strncmp(word, "count", n))
		number = &words->count;
	else if (n == 4 && !strncmp(word, "skip", n))
		number = &words->skip;
	if (number && img_size(value + 1, number))
		return true;
	return img_fail("'%s' is none of if=FILE, of=FILE, bs=SIZE, count=N and skip=N", word) == 0;
}

static bool words_read(const struct img *img, struct words *words)
{
	*words = (struct words){ .block_bytes = 512, .count = UINT64_MAX };
	for (int i = 0; cli_operand(img->args, i); i++) {
		if (!word_read(words, cli_operand(img->args, i)))
			return false;
	}
	if (!words->in || !words->out)
		return img_fail("wanted: mortise img dd [OPTIONS] if=FILE of=FILE [bs=SIZE] [count=N] [skip=N]") == 0;
	if (!words->block_bytes || words->block_bytes > INT32_MAX)
		return img_fail("the block size must be between 1 and 2 GiB") == 0;
	return true;
}

/* What is copied: from `skip` on, at most `count` blocks of it. */
static void range_of(const struct words *words, uint64_t disk, uint64_t *from, uint64_t *len)
{
	uint64_t bs = words->block_bytes;

	*from = words->skip > disk / bs ? disk : words->skip * bs;
	*len = disk - *from;
	if (words->count <= *len / bs)
		*len = words->count * bs;
}

static int copy_range(struct img *img, struct image *in, const char *format, const char *path, uint64_t from,
		      uint64_t len)
{
	GArray *values = g_array_new(FALSE, FALSE, sizeof(struct mt_block_value));
	struct img_make make = { .path = path, .format = format, .disk_bytes = len, .values = values };
	struct image_options options = img_open_options(img);
	struct mt_block_maker *maker = img_make_begin(img, &make);
	struct copy_part part = { .image = in };
	struct copy copy = { .parts = &part, .part_count = 1, .total_bytes = len, .source_skip = from,
			     .sparse_bytes = 4096, .threads = 4 };
	struct image *out;
	int rc;

	g_array_unref(values);
	if (!maker)
		return -1;
	maker_folders(maker, &options.parts_folder, &options.names_folder);
	options.cache = FILE_UNSAFE;
	out = img_open_write(img, maker_path(maker), format, &options);
	rc = out ? 0 : -1;
	if (out) {
		copy.target = out->node;
		copy.target_name = path;
		copy.target_zero = !maker_in_place(maker);
		rc = copy_run(&copy, &img->err);
		if (image_close(out) < 0 && rc == 0)
			rc = -1;
	}
	if (rc == 0)
		return maker_finish(maker, &img->err);
	maker_abort(maker);
	return rc;
}

static int run(struct img *img)
{
	const char *format = cli_value(img->args, "output-format");
	struct image_options options = img_open_options(img);
	struct words words;
	struct image *in;
	uint64_t from, len;
	int code;

	if (!words_read(img, &words))
		return 1;
	in = img_open_read(img, words.in, cli_value(img->args, "format"), &options);
	if (!in)
		return img_fault(img);
	img_signals_catch();
	range_of(&words, image_bytes(in), &from, &len);
	if (img_chain_has(in, words.out))
		code = img_fail("%s would be written while it is read: name another output", words.out);
	else
		code = copy_range(img, in, format ? format : "raw", words.out, from, len) < 0 ? img_fault(img) : 0;
	image_close(in);
	return code;
}

static const struct cli_option options[] = {
	{ 'O', "output-format", "FORMAT", "format of the new image; raw without" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_dd = {
	.verb = { .name = "img dd", .operands = "if=FILE of=FILE [bs=SIZE] [count=N] [skip=N]",
		  .summary = "copy a part of an image", .operands_min = 2, .operands_max = -1, .options = tables },
	.run = run,
};
