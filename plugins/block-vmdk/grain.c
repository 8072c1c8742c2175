/* SPDX-License-Identifier: MIT */
/*
 * Compressed grains: a marker (the grain's first sector, the length) where the header says so, then a zlib stream of
 * RFC 1950. Any thread: no state.
 */
#include <string.h>
#include <util/endian.h>
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
