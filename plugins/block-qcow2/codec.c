/* SPDX-License-Identifier: MIT */
/*
 * Compressed clusters: a raw stream of deflate, or one of zstd. Any thread, in parallel: the contexts that the
 * libraries need, which are dear to make, are kept for whoever comes next.
 */
#include "qcow2.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "deflate.h"

#define SPARE      16u
#define ZSTD_LEVEL 3

struct codec {
	uint32_t compression;
	pthread_mutex_t mutex;
	void *decoders[SPARE], *encoders[SPARE];
	uint32_t decoder_count, encoder_count;
};

struct codec *codec_new(uint32_t compression)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->compression = compression;
	pthread_mutex_init(&c->mutex, NULL);
	return c;
}

/* Contexts */

static void *context_new(const struct codec *c, int decoder)
{
	if (c->compression)
		return decoder ? (void *)ZSTD_createDCtx() : (void *)ZSTD_createCCtx();
	return decoder ? (void *)inflater_new() : (void *)deflater_new();
}

static void context_free(const struct codec *c, int decoder, void *context)
{
	if (!c->compression && decoder)
		inflater_free(context);
	else if (!c->compression)
		deflater_free(context);
	else if (decoder)
		ZSTD_freeDCtx(context);
	else
		ZSTD_freeCCtx(context);
}

static void *context_get(struct codec *c, int decoder)
{
	uint32_t *count = decoder ? &c->decoder_count : &c->encoder_count;
	void *context = NULL;

	pthread_mutex_lock(&c->mutex);
	if (*count)
		context = (decoder ? c->decoders : c->encoders)[--*count];
	pthread_mutex_unlock(&c->mutex);
	return context ? context : context_new(c, decoder);
}

static void context_put(struct codec *c, int decoder, void *context)
{
	uint32_t *count = decoder ? &c->decoder_count : &c->encoder_count;
	int kept;

	pthread_mutex_lock(&c->mutex);
	kept = *count < SPARE;
	if (kept)
		(decoder ? c->decoders : c->encoders)[(*count)++] = context;
	pthread_mutex_unlock(&c->mutex);
	if (!kept)
		context_free(c, decoder, context);
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	while (c->decoder_count)
		context_free(c, 1, c->decoders[--c->decoder_count]);
	while (c->encoder_count)
		context_free(c, 0, c->encoders[--c->encoder_count]);
	pthread_mutex_destroy(&c->mutex);
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
	void *context = context_get(c, 1);
	int32_t rc;

	if (!context)
		return MT_ENOMEM;
	rc = c->compression ? unzstd_unit(context, in, in_bytes, out, out_bytes) :
	     inflater_run(context, in, in_bytes, out, out_bytes);
	context_put(c, 1, context);
	return rc;
}

int64_t codec_encode(struct codec *c, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	void *context = context_get(c, 0);
	int64_t n;

	if (!context)
		return MT_ENOMEM;
	n = c->compression ? zstd_unit(context, in, in_bytes, out, out_bytes) :
	    deflater_run(context, in, in_bytes, out, out_bytes);
	context_put(c, 0, context);
	return n >= 0 && (uint64_t)n >= out_bytes ? MT_ENOSPC : n;
}
