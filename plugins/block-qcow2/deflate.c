/* SPDX-License-Identifier: MIT */
/*
 * Deflate: by libdeflate where it was there to build with, which is several times as fast with whole buffers, and by
 * zlib. Any thread, each with a context of its own.
 * zlib stays the judge of what a stream is: images hold streams that fill a cluster and were never ended, which
 * libdeflate refuses. Easy to break: libdeflate reaches back 32 KiB, other writers 4 KiB. Readers take a cluster at a
 * time, and so have all of it before them; one that decoded in pieces with a small window would fail.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <mortise/error.h>
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#include <zstd.h>
#endif

#include "deflate.h"

static int32_t zlib_inflate(z_stream *z, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	int rc;

	z->next_in = (Bytef *)(uintptr_t)in;
	z->avail_in = (uInt)in_bytes;
	z->next_out = out;
	z->avail_out = (uInt)out_bytes;
	rc = inflate(z, Z_FINISH);
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR || rc == Z_OK) && z->avail_out == 0 ? 0 : MT_EIO;
}

#ifdef HAVE_LIBDEFLATE

/* The least level whose streams are no longer than zlib's by default, with disks of texts and programs. */
#define LEVEL  2

#define SAMPLES       8u
#define SAMPLE_BYTES  512u
#define SCATTER       2963u           /* not all at the same place of a page */

struct deflater {
	struct libdeflate_compressor *compressor;
	ZSTD_CCtx *probe;
};

struct deflater *deflater_new(void)
{
	struct deflater *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->compressor = libdeflate_alloc_compressor(LEVEL);
	d->probe = ZSTD_createCCtx();
	if (d->compressor && d->probe)
		return d;
	deflater_free(d);
	return NULL;
}

void deflater_free(struct deflater *d)
{
	if (!d)
		return;
	libdeflate_free_compressor(d->compressor);
	ZSTD_freeCCtx(d->probe);
	free(d);
}

/* Whether bytes from all over it are about equally frequent, as they are in what is packed or encrypted. */
static int looks_dense(const uint8_t *in, uint64_t in_bytes)
{
	uint32_t counts[256] = { 0 };
	uint64_t stride = in_bytes / SAMPLES, squares = 0, all = SAMPLES * SAMPLE_BYTES;

	for (uint64_t i = 0; i < SAMPLES; i++) {
		const uint8_t *at = in + i * stride + i * SCATTER % (stride - SAMPLE_BYTES);

		for (uint32_t j = 0; j < SAMPLE_BYTES; j++)
			counts[at[j]]++;
	}
	for (uint32_t i = 0; i < 256; i++)
		squares += counts[i] * counts[i];
	return squares < all + all * all / 256 * 5 / 4;
}

/*
 * Dense data cost deflate most, for nothing. zstd at its quickest passes over them at some GB/s; it has the last word,
 * because repeats do not show in how frequent bytes are. Hopeless is what gets shorter by less than one byte in 256.
 */
static int is_hopeless(struct deflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	return in_bytes >= 2 * SAMPLES * SAMPLE_BYTES && out_bytes >= in_bytes && looks_dense(in, in_bytes) &&
	       ZSTD_isError(ZSTD_compressCCtx(d->probe, out, in_bytes - in_bytes / 256, in, in_bytes, 1));
}

int64_t deflater_run(struct deflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	size_t n;

	if (is_hopeless(d, in, in_bytes, out, out_bytes))
		return MT_ENOSPC;
	n = libdeflate_deflate_compress(d->compressor, in, in_bytes, out, out_bytes);
	return n ? (int64_t)n : MT_ENOSPC;
}

struct inflater {
	struct libdeflate_decompressor *decompressor;
};

struct inflater *inflater_new(void)
{
	struct inflater *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->decompressor = libdeflate_alloc_decompressor();
	if (d->decompressor)
		return d;
	free(d);
	return NULL;
}

void inflater_free(struct inflater *d)
{
	if (!d)
		return;
	libdeflate_free_decompressor(d->decompressor);
	free(d);
}

int32_t inflater_run(struct inflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	z_stream z = { 0 };
	int32_t rc;

	if (libdeflate_deflate_decompress(d->decompressor, in, in_bytes, out, out_bytes, NULL) == LIBDEFLATE_SUCCESS)
		return 0;
	if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
		return MT_ENOMEM;
	rc = zlib_inflate(&z, in, in_bytes, out, out_bytes);
	inflateEnd(&z);
	return rc;
}

#else

#define WINDOW_BITS  12

struct deflater {
	z_stream z;
};

struct deflater *deflater_new(void)
{
	struct deflater *d = calloc(1, sizeof(*d));

	if (d && deflateInit2(&d->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -WINDOW_BITS, MAX_MEM_LEVEL,
			      Z_DEFAULT_STRATEGY) == Z_OK)
		return d;
	free(d);
	return NULL;
}

void deflater_free(struct deflater *d)
{
	if (!d)
		return;
	deflateEnd(&d->z);
	free(d);
}

int64_t deflater_run(struct deflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	deflateReset(&d->z);
	d->z.next_in = (Bytef *)(uintptr_t)in;
	d->z.avail_in = (uInt)in_bytes;
	d->z.next_out = out;
	d->z.avail_out = (uInt)out_bytes;
	return deflate(&d->z, Z_FINISH) == Z_STREAM_END ? (int64_t)(out_bytes - d->z.avail_out) : MT_ENOSPC;
}

struct inflater {
	z_stream z;
};

struct inflater *inflater_new(void)
{
	struct inflater *d = calloc(1, sizeof(*d));

	if (d && inflateInit2(&d->z, -MAX_WBITS) == Z_OK)
		return d;
	free(d);
	return NULL;
}

void inflater_free(struct inflater *d)
{
	if (!d)
		return;
	inflateEnd(&d->z);
	free(d);
}

int32_t inflater_run(struct inflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	inflateReset(&d->z);
	return zlib_inflate(&d->z, in, in_bytes, out, out_bytes);
}

#endif
