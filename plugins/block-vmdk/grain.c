/* SPDX-License-Identifier: MIT */
/*
 * Compressed grains: a marker (the grain's first sector, the length) where the header says so, then a zlib stream of
 * RFC 1950. Any thread: no state.
 */
#include <string.h>
#include <util/endian.h>
#include <zlib.h>

#include "vmdk.h"

/* A stream may end early in the last grain only, but writers differ: what it leaves out reads as zero. */
static int inflate_all(const uint8_t *in, uint32_t in_bytes, uint8_t *out, uint32_t out_bytes)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)in, .avail_in = in_bytes, .next_out = out,
		       .avail_out = out_bytes };
	int rc;

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
