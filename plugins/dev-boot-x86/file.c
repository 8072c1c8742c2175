/* SPDX-License-Identifier: MIT */
/* Reading of boot files; see file.h. [main]. */
#include "file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/error.h>
#include <util/minmax.h>

#define PIECES 8u
#define READ_MAX (1ull << 30)

int file_refuse(const struct boot_file *file, struct mt_error *err, const char *why, const char *hint)
{
	mt_error_set(err, MT_EINVAL, file->key, "%s: %s", file->path, why);
	if (hint)
		mt_error_hint(err, "%s", hint);
	return MT_EINVAL;
}

int file_measure(struct boot_file *file, struct mt_error *err)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return mt_error_set(err, MT_EIO, file->key, "%s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return file_refuse(file, err, "not a regular file", NULL);
	if (!st.st_size)
		return file_refuse(file, err, "the file is empty", NULL);
	file->len_bytes = (uint64_t)st.st_size;
	return 0;
}

int file_read(const struct boot_file *file, void *buf, uint64_t len_bytes, uint64_t offset, struct mt_error *err)
{
	uint8_t *at = buf;

	while (len_bytes) {
		ssize_t got = pread(file->fd, at, mt_min_u64(len_bytes, READ_MAX), (off_t)offset);

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

int file_load(const struct boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma, uint64_t offset,
	      uint64_t gpa, uint64_t len_bytes, struct mt_error *err)
{
	struct mt_iov iov[PIECES];
	int rc = 0;

	while (len_bytes && !rc) {
		uint64_t mapped = 0, done = 0;
		uint32_t count = host->map(dma, gpa, len_bytes, MT_DMA_FROM_DEVICE, iov, PIECES, &mapped);

		if (!count || !mapped) {
			mt_error_set(err, MT_EINVAL, file->key, "%s: there is no RAM at 0x%llx", file->path,
				     (unsigned long long)gpa);
			mt_error_hint(err, "give the first [memory] section more RAM");
			return MT_EINVAL;
		}
		for (uint32_t i = 0; i < count && !rc; i++) {
			rc = file_read(file, iov[i].hva, iov[i].len_bytes, offset + done, err);
			done += iov[i].len_bytes;
		}
		host->unmap(dma, iov, count, MT_DMA_FROM_DEVICE, done);
		gpa += mapped;
		offset += mapped;
		len_bytes -= mapped;
	}
	return rc;
}
