/* SPDX-License-Identifier: MIT */
/* Reading of boot files; see file.h. [main]. A file may shrink while it is read: that is an error, no loop. */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#define PIECES 8
#define TREE_MAGIC 0xd00dfeedu

int file_size(const struct boot_file *file, uint64_t *len_bytes, struct mt_error *err)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return mt_error_set(err, MT_EIO, file->key, "%s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mt_error_set(err, MT_EINVAL, file->key, "%s is not a regular file", file->path);
	*len_bytes = (uint64_t)st.st_size;
	return 0;
}

static int read_all(const struct boot_file *file, void *buf, uint64_t len_bytes, uint64_t offset,
		    struct mt_error *err)
{
	uint8_t *at = buf;

	while (len_bytes) {
		ssize_t got = pread(file->fd, at, mt_min_u64(len_bytes, 1u << 30), (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mt_error_set(err, MT_EIO, file->key, "%s: %s", file->path, strerror(errno));
		if (!got)
			return mt_error_set(err, MT_EIO, file->key, "%s became shorter while it was read", file->path);
		at += got;
		offset += (uint64_t)got;
		len_bytes -= (uint64_t)got;
	}
	return 0;
}

int file_parse(const struct boot_file *file, struct image *image, struct mt_error *err)
{
	uint64_t len_bytes, head_bytes;
	uint8_t *head;
	int rc = file_size(file, &len_bytes, err);

	if (rc)
		return rc;
	head_bytes = mt_min_u64(len_bytes, IMAGE_HEAD_BYTES);
	head = malloc(IMAGE_HEAD_BYTES);
	if (!head)
		return mt_error_set(err, MT_ENOMEM, file->key, "out of memory");
	rc = read_all(file, head, head_bytes, 0, err);
	if (!rc)
		rc = image_parse(image, head, len_bytes, file->key, file->path, err);
	free(head);
	return rc;
}

/* Reads into the mapped pieces in turn. `*done` counts what arrived, for the dirty bitmaps. */
static int read_pieces(const struct boot_file *file, const struct mt_iov *iov, uint32_t count, uint64_t offset,
		       uint64_t *done, struct mt_error *err)
{
	int rc = 0;

	*done = 0;
	for (uint32_t i = 0; i < count && !rc; i++) {
		rc = read_all(file, iov[i].hva, iov[i].len_bytes, offset + *done, err);
		*done += iov[i].len_bytes;
	}
	return rc;
}

int file_load(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma, uint64_t offset,
	      uint64_t gpa, uint64_t len_bytes, struct mt_error *err)
{
	struct mt_iov iov[PIECES];
	int rc = 0;

	while (len_bytes && !rc) {
		uint64_t mapped = 0, done;
		uint32_t count = host->map(dma, gpa, len_bytes, MT_DMA_FROM_DEVICE, iov, PIECES, &mapped);

		if (!count || !mapped)
			return mt_error_set(err, MT_EINVAL, file->key, "%s: there is no RAM at 0x%llx", file->path,
					    (unsigned long long)gpa);
		rc = read_pieces(file, iov, count, offset, &done, err);
		host->unmap(dma, iov, count, MT_DMA_FROM_DEVICE, done);
		gpa += mapped;
		offset += mapped;
		len_bytes -= mapped;
	}
	return rc;
}

static int load_segment(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
			const struct image_segment *s, struct mt_error *err)
{
	int rc = file_load(file, host, dma, s->file_offset, s->gpa, s->file_bytes, err);

	if (rc || s->memory_bytes == s->file_bytes)
		return rc;
	if (host->fill(dma, s->gpa + s->file_bytes, 0, s->memory_bytes - s->file_bytes) == MT_BUS_OK)
		return 0;
	return mt_error_set(err, MT_EINVAL, file->key, "%s: there is no RAM for all of the segment at 0x%llx",
			    file->path, (unsigned long long)s->gpa);
}

int file_load_image(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
		    const struct image *image, uint64_t gpa, struct mt_error *err)
{
	int rc = 0;

	if (image->kind != IMAGE_ELF)
		return file_load(file, host, dma, 0, gpa, image->file_bytes, err);
	for (uint32_t i = 0; i < image->segment_count && !rc; i++)
		rc = load_segment(file, host, dma, &image->segments[i], err);
	return rc;
}

int file_check_tree(const struct boot_file *file, uint64_t len_bytes, struct mt_error *err)
{
	uint8_t head[8];
	int rc;

	if (len_bytes < 40)
		return mt_error_set(err, MT_EINVAL, file->key, "%s is too short for a device tree", file->path);
	rc = read_all(file, head, sizeof(head), 0, err);
	if (rc)
		return rc;
	if (mt_get_be32(head) != TREE_MAGIC || mt_get_be32(head + 4) > len_bytes)
		return mt_error_set(err, MT_EINVAL, file->key, "%s is no flattened device tree", file->path);
	return 0;
}
