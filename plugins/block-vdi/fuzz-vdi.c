/* SPDX-License-Identifier: MIT */
/* Fuzz target: a hostile VDI image is opened, checked, mapped, written to and grown. */
#include <fake/replay.h>
#include <stdlib.h>

#include "vdi.h"

static int32_t drop_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	volatile uint8_t sum = 0;

	(void)arg, (void)offset;
	for (uint64_t i = 0; i < len_bytes; i += 512)
		sum = (uint8_t)(sum + ((const uint8_t *)buf)[i]);      /* the bytes have to be there */
	return 0;
}

static int32_t drop_resize(void *arg, uint64_t len_bytes)
{
	(void)arg, (void)len_bytes;
	return 0;
}

static int32_t drop_flush(void *arg)
{
	(void)arg;
	return 0;
}

static void use_extents(const struct vdi *v)
{
	struct mt_block_extent extents[4];
	uint64_t at = 0;

	for (uint32_t i = 0; i < 2000 && at < v->disk_bytes; i++) {
		int32_t n = vdi_map(v, at, 1 << 20, extents, 4);

		if (n == MT_EIO)
			return;
		if (n < 1)
			abort();
		for (int32_t k = 0; k < n; k++) {
			if (!extents[k].len_bytes || extents[k].len_bytes > v->disk_bytes - at)
				abort();
			at += extents[k].len_bytes;
		}
	}
}

static void use_writes(struct vdi *v)
{
	struct mt_block_target targets[4];
	uint32_t number;

	for (uint64_t at = 0; at < v->disk_bytes && at < 64ull * v->block_bytes; at += v->block_bytes) {
		int32_t n = vdi_reserve(v, at, 512, targets, 4);

		for (int32_t i = 0; i < n; i++) {
			if (i & 1)
				vdi_abort(v, targets[i].cookie);
			else if (vdi_commit(v, targets[i].cookie) < 0)
				abort();
		}
		if (at % 3 == 0 && vdi_unmap(v, (uint32_t)(at / v->block_bytes), 1, &number) == 1 && number != VDI_FREE)
			vdi_release(v, number);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vdi_io io = { mt_source_memory(data, size), { drop_write, drop_resize, NULL }, drop_flush };
	struct vdi_report report;
	uint8_t sector[VDI_HEADER_BYTES];
	struct vdi v;

	if (vdi_load(&v, &io.source, NULL) == 0) {
		vdi_check(&v, &report);
		use_extents(&v);
		if (vdi_accept(&v, NULL) == 0) {
			use_writes(&v);
			use_extents(&v);
			vdi_encode_header(&v, sector);
			if (v.block_bytes <= 1 << 20 && v.allocated < 64 && vdi_compact(&v, &io) == 0)
				vdi_grow(&v, v.disk_bytes + (1 << 20), &io, NULL);
		}
	}
	vdi_fini(&v);
	return 0;
}

FUZZ_REPLAY("plugins/block-vdi/corpus", 3000)
