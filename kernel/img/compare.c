// SPDX-License-Identifier: MIT
/* mortise img compare: the contents of two images. Exit codes: 0 alike, 1 not, 2 and above: it could not be done. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel/block/request.h"
#include "kernel/img/img.h"

#define PIECE_BYTES (2u << 20)
#define FAILED 2

struct pair {
	struct img *img;
	struct image *image[2];
	uint8_t *buf[2];
	struct progress *progress;
	bool strict;
};

/* Both at once, so that one is read while the other is. */
static int read_both(const struct pair *pair, uint64_t at, uint64_t len)
{
	struct mt_iov iov[2];
	struct mt_block_req req[2], *pointer, *done;

	for (int i = 0; i < 2; i++) {
		iov[i] = (struct mt_iov){ .hva = pair->buf[i], .len_bytes = len };
		req[i] = (struct mt_block_req){ .op = MT_BLOCK_READ, .offset = at, .len_bytes = len, .iov = &iov[i],
						.iov_count = 1 };
		pointer = &req[i];
		request_submit(pair->image[i]->block, &pointer, 1);
	}
	for (int i = 0; i < 2; i++) {
		request_join(pair->image[i]->block);
		request_reap(pair->image[i]->block, &done, 1);
	}
	for (int i = 0; i < 2; i++) {
		if (req[i].result < 0)
			return img_fail("%s: byte %" PRIu64 " cannot be read", pair->image[i]->path, at), FAILED;
	}
	return 0;
}

static uint64_t first_difference(const uint8_t *a, const uint8_t *b, uint64_t len)
{
	uint64_t at = 0;

	while (at + 512 < len && !memcmp(a + at, b + at, 512))
		at += 512;
	while (at < len && a[at] == b[at])
		at++;
	return at;
}

static int differ(const struct pair *pair, uint64_t at)
{
	img_say(pair->img, "Content mismatch at offset %" PRIu64 "!", at);
	return 1;
}

static int status_of(const struct pair *pair, int which, uint64_t at, uint64_t len, struct block_status *out)
{
	if (status_get(pair->image[which]->node, at, len, out) == 0)
		return 0;
	return img_fail("%s: the image is damaged at byte %" PRIu64, pair->image[which]->path, at), FAILED;
}

/* Where both have data, or one has; *n: how far it got. */
static int compare_data(const struct pair *pair, uint64_t at, uint64_t *n)
{
	uint64_t diff;
	int code;

	*n = MIN(*n, PIECE_BYTES - at % PIECE_BYTES);
	code = read_both(pair, at, *n);
	if (code)
		return code;
	if (!memcmp(pair->buf[0], pair->buf[1], *n))
		return 0;
	diff = first_difference(pair->buf[0], pair->buf[1], *n);
	return differ(pair, at + diff);
}

static int compare_common(const struct pair *pair, uint64_t end)
{
	struct block_status a, b;
	int code = 0;

	for (uint64_t at = 0, n; at < end && !code; at += n) {
		if ((code = status_of(pair, 0, at, end - at, &a)) || (code = status_of(pair, 1, at, end - at, &b)))
			return code;
		n = MIN(a.len_bytes, b.len_bytes);
		if (pair->strict && (a.flags ^ b.flags) & BLOCK_STATUS_PRESENT) {
			img_say(pair->img, "Strict mode: Offset %" PRIu64 " block status mismatch!", at);
			return 1;
		}
		/* one read for many small extents, where nothing asks for the borders */
		if (!(a.flags & b.flags & BLOCK_STATUS_ZERO)) {
			n = pair->strict ? n : MIN(end - at, PIECE_BYTES);
			code = compare_data(pair, at, &n);
		}
		progress_add(pair->progress, n);
		if (img_cancelled())
			return img_fail("stopped as you wished"), FAILED;
	}
	return code;
}

/* What one disk has more must be zeros. */
static int compare_rest(const struct pair *pair, int longer, uint64_t at, uint64_t end)
{
	struct block_status status;
	int code = 0;

	for (uint64_t n; at < end && !code; at += n) {
		if ((code = status_of(pair, longer, at, end - at, &status)))
			return code;
		n = status.len_bytes;
		if (status.flags & BLOCK_STATUS_ZERO)
			continue;
		n = MIN(n, PIECE_BYTES);
		if (request_do(pair->image[longer]->block, MT_BLOCK_READ, 0, at, pair->buf[0], n) < 0)
			return img_fail("%s: byte %" PRIu64 " cannot be read", pair->image[longer]->path, at), FAILED;
		if (!copy_is_zero(pair->buf[0], n))
			code = differ(pair, at);
		progress_add(pair->progress, n);
	}
	return code;
}

static int compare(struct pair *pair)
{
	uint64_t a = image_bytes(pair->image[0]), b = image_bytes(pair->image[1]);
	int code;

	if (a != b && pair->strict) {
		img_say(pair->img, "Strict mode: Image size mismatch!");
		return 1;
	}
	pair->progress = progress_start(cli_flag(pair->img->args, "progress"), MAX(a, b));
	code = compare_common(pair, MIN(a, b));
	if (!code && a != b) {
		img_say(pair->img, "Warning: Image size mismatch!");
		code = compare_rest(pair, a < b, MIN(a, b), MAX(a, b));
	}
	progress_end(pair->progress, code == 0);
	if (!code)
		img_say(pair->img, "Images are identical.");
	return code;
}

static int pair_open(struct pair *pair)
{
	struct img *img = pair->img;
	static const char *const formats[] = { "format", "second-format" };
	struct image_options options = img_open_options(img);
	const char *cache = cli_value(img->args, "source-cache");

	if (cache && !img_cache(cache, &options.cache))
		return FAILED;
	for (int i = 0; i < 2; i++) {
		pair->image[i] = img_open_read(img, cli_operand(img->args, i), cli_value(img->args, formats[i]), &options);
		if (!pair->image[i])
			return img_fault(img), FAILED;
		if (posix_memalign((void **)&pair->buf[i], 4096, PIECE_BYTES))
			return img_fail("out of memory"), FAILED;
	}
	return 0;
}

static int run(struct img *img)
{
	struct pair pair = { .img = img, .strict = cli_flag(img->args, "strict") };
	int code = pair_open(&pair);

	img_signals_catch();
	if (!code)
		code = compare(&pair);
	for (int i = 0; i < 2; i++) {
		image_close(pair.image[i]);
		free(pair.buf[i]);
	}
	return code;
}

static const struct cli_option options[] = {
	{ 'f', "format", "FORMAT", "format of the first image" },
	{ 'F', "second-format", "FORMAT", "format of the second image" },
	{ 's', "strict", NULL, "sizes and what is allocated must be alike too" },
	{ 'T', "source-cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	options, img_options_progress, img_options_quiet, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_compare = {
	.verb = { .name = "img compare", .operands = "FILE FILE", .summary = "tell whether two images hold the same",
		  .operands_min = 2, .operands_max = 2, .options = tables },
	.run = run,
	.usage_code = FAILED,
};
