/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters: a raw stream of deflate, or one of zstd. Any thread, in parallel: the contexts that the
 * libraries need, which are dear to make, are kept for whoever comes next.
 */
#include "qcow2.h"

#include <stdlib.h>
#include <util/spares.h>
#include <zstd.h>

#include "deflate.h"

#define ZSTD_LEVEL 3

struct codec {
	uint32_t compression;
	struct mt_spares decoders, encoders;
};

static void *unzstd_make(void)
{
	return ZSTD_createDCtx();
}

static void unzstd_drop(void *context)
{
	ZSTD_freeDCtx(context);
}

static void *zstd_make(void)
{
	return ZSTD_createCCtx();
}

static void zstd_drop(void *context)
{
	ZSTD_freeCCtx(context);
}

static void *inflate_make(void)
{
	return inflater_new();
}

static void inflate_drop(void *context)
{
	inflater_free(context);
}

static void *deflate_make(void)
{
	return deflater_new();
}

static void deflate_drop(void *context)
{
	deflater_free(context);
}

struct codec *codec_new(uint32_t compression)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->compression = compression;
	mt_spares_init(&c->decoders, compression ? unzstd_make : inflate_make, compression ? unzstd_drop : inflate_drop);
	mt_spares_init(&c->encoders, compression ? zstd_make : deflate_make, compression ? zstd_drop : deflate_drop);
	return c;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	mt_spares_fini(&c->decoders);
	mt_spares_fini(&c->encoders);
	free(c);
}

/* Streams. What follows the stream in its last sector is somebody else's. */

static int32_t unzstd_unit(ZSTD_DCtx *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	ZSTD_inBuffer from = { in, in_bytes, 0 };
	ZSTD_outBuffer to = { out, out_bytes, 0 };

	ZSTD_DCtx_reset(d, ZSTD_reset_session_only);
	while (to.pos < to.size) {
		size_t in_pos = from.pos, out_pos = to.pos;

		if (ZSTD_isError(ZSTD_decompressStream(d, &to, &from)) || (from.pos == in_pos && to.pos == out_pos))
			return MT_EIO;
	}
	return 0;
}

static int64_t zstd_unit(ZSTD_CCtx *c, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	size_t n = ZSTD_compressCCtx(c, out, out_bytes, in, in_bytes, ZSTD_LEVEL);

	return ZSTD_isError(n) ? MT_ENOSPC : (int64_t)n;
}

int32_t codec_decode(struct codec *c, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	void *context = mt_spares_get(&c->decoders);
	int32_t rc;

	if (!context)
		return MT_ENOMEM;
	rc = c->compression ? unzstd_unit(context, in, in_bytes, out, out_bytes) :
	     inflater_run(context, in, in_bytes, out, out_bytes);
	mt_spares_put(&c->decoders, context);
	return rc;
}

int64_t codec_encode(struct codec *c, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	void *context = mt_spares_get(&c->encoders);
	int64_t n;

	if (!context)
		return MT_ENOMEM;
	n = c->compression ? zstd_unit(context, in, in_bytes, out, out_bytes) :
	    deflater_run(context, in, in_bytes, out, out_bytes);
	mt_spares_put(&c->encoders, context);
	return n >= 0 && (uint64_t)n >= out_bytes ? MT_ENOSPC : n;
}
