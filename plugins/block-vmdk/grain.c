/* SPDX-License-Identifier: MIT */
/*
 * Compressed grains: a marker (the grain's first sector, the length) where the header says so, then a zlib stream of
 * RFC 1950. Any thread, in parallel.
 */
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/spares.h>
#include <zlib.h>
#ifdef HAVE_LIBDEFLATE
#include <libdeflate.h>
#endif

#include "vmdk.h"

/* The quick way, for grains as they should be: *len is how much they hold. What it refuses zlib is asked about. */
static int inflate_quickly(const uint8_t *in, uint32_t in_bytes, uint8_t *out, uint32_t out_bytes, size_t *len)
{
#ifdef HAVE_LIBDEFLATE
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	int done = d && libdeflate_zlib_decompress(d, in, in_bytes, out, out_bytes, len) == LIBDEFLATE_SUCCESS;

	if (d)
		libdeflate_free_decompressor(d);
	return done;
#else
	(void)in, (void)in_bytes, (void)out, (void)out_bytes, (void)len;
	return 0;
#endif
}

/* A stream may end early in the last grain only, but writers differ: what it leaves out reads as zero. */
static int inflate_all(const uint8_t *in, uint32_t in_bytes, uint8_t *out, uint32_t out_bytes)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)in, .avail_in = in_bytes, .next_out = out,
		       .avail_out = out_bytes };
	size_t len;
	int rc;

	if (inflate_quickly(in, in_bytes, out, out_bytes, &len)) {
		memset(out + len, 0, out_bytes - len);
		return 0;
	}
	if (inflateInit(&z) != Z_OK)
		return MT_ENOMEM;
	rc = inflate(&z, Z_FINISH);
	inflateEnd(&z);
	/* full, but the stream's end not seen: longer than a grain, or its check is missing */
	if (rc != Z_STREAM_END)
		return MT_EIO;
	memset(out + z.total_out, 0, out_bytes - z.total_out);
	return 0;
}

int32_t grain_decode(const struct mt_block_extent *extent, const void *in, void *out)
{
	const uint8_t *bytes = in;
	uint32_t len = extent->encoded_bytes;

	if (extent->cookie & 1) {
		uint32_t said;

		if (len < VMDK_MARKER || mt_get_le64(bytes) != extent->cookie >> 1)
			return MT_EIO;
		said = mt_get_le32(bytes + 8);
		if (said > len - VMDK_MARKER)
			return MT_EIO;
		bytes += VMDK_MARKER;
		len = said;
	}
	return inflate_all(bytes, len, out, extent->unit_bytes);
}

/* Compressing */

#define LEVEL 6                          /* no longer than zlib's by default, with disks of texts and programs */

struct grain_codec {
	struct mt_spares compressors;
};

#ifdef HAVE_LIBDEFLATE

static void *compressor_make(void)
{
	return libdeflate_alloc_compressor(LEVEL);
}

static void compressor_drop(void *compressor)
{
	libdeflate_free_compressor(compressor);
}

static int64_t deflate_all(struct grain_codec *c, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	void *compressor = mt_spares_get(&c->compressors);
	size_t n;

	if (!compressor)
		return MT_ENOMEM;
	n = libdeflate_zlib_compress(compressor, in, in_bytes, out, out_bytes);
	mt_spares_put(&c->compressors, compressor);
	return n ? (int64_t)n : MT_ENOSPC;
}

#else

/* zlib makes its own with each call. */
#define compressor_make NULL
#define compressor_drop NULL

static int64_t deflate_all(struct grain_codec *c, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes)
{
	uLongf n = (uLongf)out_bytes;
	int rc = compress2(out, &n, in, (uLong)in_bytes, LEVEL);

	(void)c;
	return rc == Z_OK ? (int64_t)n : rc == Z_MEM_ERROR ? MT_ENOMEM : MT_ENOSPC;
}

#endif

struct grain_codec *grain_codec_new(void)
{
	struct grain_codec *c = calloc(1, sizeof(*c));

	if (c)
		mt_spares_init(&c->compressors, compressor_make, compressor_drop);
	return c;
}

void grain_codec_free(struct grain_codec *c)
{
	if (!c)
		return;
	mt_spares_fini(&c->compressors);
	free(c);
}

int64_t grain_encode(struct grain_codec *c, uint64_t offset, const void *in, uint64_t in_bytes, void *out,
		     uint64_t out_bytes)
{
	uint8_t *bytes = out;
	uint64_t end;
	int64_t n = out_bytes < VMDK_SECTOR ? MT_ENOSPC :
		    deflate_all(c, in, in_bytes, bytes + VMDK_MARKER, out_bytes - VMDK_MARKER);

	if (n < 0)
		return n;
	mt_put_le64(bytes, offset / VMDK_SECTOR);
	mt_put_le32(bytes + 8, (uint32_t)n);
	end = ((uint64_t)n + VMDK_MARKER + VMDK_SECTOR - 1) / VMDK_SECTOR * VMDK_SECTOR;
	if (end > out_bytes)
		return MT_ENOSPC;
	memset(bytes + VMDK_MARKER + n, 0, end - VMDK_MARKER - (uint64_t)n);
	return (int64_t)end;
}
