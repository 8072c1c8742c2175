// SPDX-License-Identifier: MIT
/*
 * mortise img rebase: another disk below an image. What the image does not have itself, and where the old and the new
 * disk below differ, is copied into it first, so that what it shows stays the same; -u only changes the name.
 */
#include <inttypes.h>
#include <string.h>

#include "kernel/block/request.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

#define PIECE_BYTES (1u << 20)

struct rebase {
	struct img *img;
	struct image *image, *below;     /* below: the new one; NULL: none */
	uint8_t *old, *new;
	uint64_t unit_bytes;
	uint32_t write_flags;            /* of what is copied */
	struct progress *progress;
};

/* Depth 0 with something said of it: the image's own. */
static bool is_own(const struct block_status *status)
{
	return status->depth == 0 && status->flags & BLOCK_STATUS_PRESENT;
}

static int read_new(const struct rebase *r, uint64_t at, uint64_t len)
{
	uint64_t disk = r->below ? image_bytes(r->below) : 0, n = at < disk ? MIN(len, disk - at) : 0;

	memset(r->new + n, 0, len - n);
	return n ? request_do(r->below->block, MT_BLOCK_READ, 0, at, r->new, n) : 0;
}

/*
 * Zeros that are the image's own, whatever will be below. A zero that changes nothing now may be let be by a format,
 * and an old one has no entry for it: what is not the image's own then is written out.
 */
static int keep_zeros(const struct rebase *r, uint64_t at, uint64_t len)
{
	struct block_status status;
	int rc = request_do(r->image->block, MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP, at, NULL, len);

	for (uint64_t end = at + len; rc == 0 && at < end; at += status.len_bytes) {
		rc = status_get(r->image->node, at, end - at, &status);
		if (rc == 0 && !is_own(&status))
			rc = request_do(r->image->block, MT_BLOCK_ZERO, MT_BLOCK_ALLOCATE, at, NULL,
					MIN(status.len_bytes, end - at));
	}
	return rc;
}

/* Units of a piece that would change, in runs. */
static int keep_piece(const struct rebase *r, uint64_t at, uint64_t len)
{
	uint64_t unit = MIN(r->unit_bytes, PIECE_BYTES), from = 0, to;
	int rc = request_do(r->image->block, MT_BLOCK_READ, 0, at, r->old, len);

	if (rc == 0)
		rc = read_new(r, at, len);
	while (rc == 0 && from < len) {
		uint64_t n = MIN(unit - (at + from) % unit, len - from);

		if (!memcmp(r->old + from, r->new + from, n)) {
			from += n;
			continue;
		}
		for (to = from + n; to < len; to += n) {
			n = MIN(unit, len - to);
			if (!memcmp(r->old + to, r->new + to, n))
				break;
		}
		rc = copy_is_zero(r->old + from, to - from) ? keep_zeros(r, at + from, to - from) :
		     request_do(r->image->block, MT_BLOCK_WRITE, r->write_flags, at + from, r->old + from, to - from);
		from = to;
	}
	return rc;
}

static bool zero_in_both(const struct rebase *r, const struct block_status *status, uint64_t at, uint64_t *len)
{
	struct block_status below;

	if (!(status->flags & BLOCK_STATUS_ZERO))
		return false;
	if (!r->below || at >= image_bytes(r->below))
		return true;
	if (status_get(r->below->node, at, *len, &below) < 0 || !(below.flags & BLOCK_STATUS_ZERO))
		return false;
	*len = below.len_bytes;
	return true;
}

/* To the end of a unit: only whole ones can be compressed. The rest of one is no other image's either. */
static uint64_t piece_bytes(const struct rebase *r, uint64_t at, uint64_t len)
{
	uint64_t unit = r->unit_bytes;

	return MIN((at + MIN(len, PIECE_BYTES) + unit - 1) / unit * unit - at, PIECE_BYTES);
}

static int keep_all(const struct rebase *r)
{
	uint64_t end = image_bytes(r->image), len;
	struct block_status status;
	int rc = 0;

	for (uint64_t at = 0; rc == 0 && at < end; at += len) {
		if (img_cancelled())
			return MT_EGONE;
		rc = status_get(r->image->node, at, end - at, &status);
		len = rc == 0 ? status.len_bytes : 0;
		if (rc < 0)
			break;
		if (!is_own(&status) && !zero_in_both(r, &status, at, &len)) {
			len = MIN(piece_bytes(r, at, len), end - at);
			rc = keep_piece(r, at, len);
		}
		progress_add(r->progress, len);
	}
	return rc;
}

static int keep(struct rebase *r)
{
	int rc = MT_ENOMEM;

	r->unit_bytes = MAX(image_info(r->image)->unit_bytes, 4096);
	if (!posix_memalign((void **)&r->old, 4096, PIECE_BYTES) && !posix_memalign((void **)&r->new, 4096, PIECE_BYTES)) {
		r->progress = progress_start(cli_flag(r->img->args, "progress"), image_bytes(r->image));
		rc = keep_all(r);
		progress_end(r->progress, rc == 0);
	}
	free(r->old);
	free(r->new);
	if (rc == MT_EGONE)
		return fault_set(&r->img->err, rc, NULL, NULL, "stopped as you wished; the image is as it was");
	return rc < 0 ? fault_set(&r->img->err, rc, NULL, NULL, "%s: what it would lose cannot be copied (%d)",
				  r->image->path, rc) : 0;
}

/* The new disk below, as the name in the image will find it. */
static int below_open(struct rebase *r, const char *name, const char *format)
{
	struct img_make make = { .path = cli_operand(r->img->args, 0), .backing = name, .backing_format = format,
				 .backing_cache = cli_value(r->img->args, "source-cache") };

	r->below = img_make_backing(r->img, &make);
	if (!r->below)
		return MT_EINVAL;
	if (img_chain_has(r->below, make.path))
		return fault_set(&r->img->err, MT_EINVAL, "backing", NULL, "%s would be below itself", make.path);
	return 0;
}

static int rebase(struct rebase *r, const char *name, const char *format, bool blindly)
{
	struct img *img = r->img;
	struct image_options options = img_open_options(img);
	const char *cache = cli_value(img->args, "cache");
	const struct mt_block_image *role;
	int rc = 0;

	options.backing_off = blindly;
	if (cache && !img_cache(cache, &options.cache))
		return fault_set(&img->err, MT_EINVAL, "cache", NULL, "choose another cache mode");
	if (name && !format)
		return fault_set(&img->err, MT_EINVAL, "backing", NULL, "a backing file needs its format: -F FORMAT");
	r->image = img_open_write(img, cli_operand(img->args, 0), cli_value(img->args, "format"), &options);
	if (!r->image)
		return MT_EINVAL;
	if (cli_flag(img->args, "compress")) {
		if (!r->image->node->format->encode)
			return fault_set(&img->err, MT_ENOTSUP, "compress", NULL, "%s images cannot be compressed",
					 r->image->format);
		r->write_flags = MT_BLOCK_ENCODE;
	}
	role = image_role(r->image, MT_IFACE_BLOCK_IMAGE);
	if (!role || !role->backing_set)
		return fault_set(&img->err, MT_ENOTSUP, "format", NULL, "%s: %s images keep the disk below them",
				 r->image->path, r->image->format);
	if (name && !blindly)
		rc = below_open(r, name, format);
	if (rc == 0 && !blindly)
		rc = keep(r);
	return rc == 0 ? image_backing_set(r->image, name, format, &img->err) : rc;
}

static int run(struct img *img)
{
	const char *name = cli_value(img->args, "backing"), *format = cli_value(img->args, "backing-format");
	struct rebase r = { .img = img };
	int code;

	if (!name)
		return img_fail("wanted is the new disk below: -b FILE, or -b '' for none");
	img_signals_catch();
	code = rebase(&r, *name ? name : NULL, format, cli_flag(img->args, "unsafe")) < 0 ? img_fault(img) : 0;
	image_close(r.below);
	if (r.image && image_close(r.image) < 0)
		code = img_fail("the changes could not be written");
	return code;
}

static const struct cli_option options[] = {
	{ 'b', "backing", "FILE", "the new disk below, as it is to stand in the image; '': none" },
	{ 'F', "backing-format", "FORMAT", "its format" },
	{ 'u', "unsafe", NULL, "change the name only: the new file holds what the old one did" },
	{ 't', "cache", "MODE", "cache mode: writeback (default), none, unsafe" },
	{ 'T', "source-cache", "MODE", "cache mode of the new disk below" },
	{ 'c', "compress", NULL, "compress what is copied, where the format can" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_progress, img_options_quiet, img_options_open, cli_options_plugins,
	cli_options_common, NULL,
};

const struct img_command img_rebase = {
	.verb = { .name = "img rebase", .operands = "FILE", .summary = "put an image above another disk",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};
