/* SPDX-License-Identifier: MIT */
/* Boot files by what is in them; see file.h. [main]. */
#include "file.h"

#include <stdlib.h>
#include <util/error.h>
#include <util/minmax.h>

int file_parse(struct mt_boot_file *file, struct image *image, struct mt_error *err)
{
	uint64_t head_bytes;
	uint8_t *head;
	int rc = mt_boot_file_measure(file, err);

	if (rc)
		return rc;
	head_bytes = mt_min_u64(file->len_bytes, IMAGE_HEAD_BYTES);
	head = malloc(IMAGE_HEAD_BYTES);
	if (!head)
		return mt_error_set(err, MT_ENOMEM, file->key, "out of memory");
	rc = mt_boot_file_read(file, head, head_bytes, 0, err);
	if (!rc)
		rc = image_parse(image, head, file->len_bytes, file->key, file->path, err);
	free(head);
	return rc;
}

static int load_segment(const struct mt_boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
			const struct image_segment *s, struct mt_error *err)
{
	int rc = mt_boot_file_load(file, host, dma, s->file_offset, s->gpa, s->file_bytes, err);

	if (rc || s->memory_bytes == s->file_bytes)
		return rc;
	if (host->fill(dma, s->gpa + s->file_bytes, 0, s->memory_bytes - s->file_bytes) == MT_BUS_OK)
		return 0;
	return mt_error_set(err, MT_EINVAL, file->key, "%s: there is no RAM for all of the segment at 0x%llx",
			    file->path, (unsigned long long)s->gpa);
}

int file_load_image(const struct mt_boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
		    const struct image *image, uint64_t gpa, struct mt_error *err)
{
	int rc = 0;

	if (image->kind != IMAGE_ELF)
		return mt_boot_file_load(file, host, dma, 0, gpa, image->file_bytes, err);
	for (uint32_t i = 0; i < image->segment_count && !rc; i++)
		rc = load_segment(file, host, dma, &image->segments[i], err);
	return rc;
}
