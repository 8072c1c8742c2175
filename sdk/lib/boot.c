/* SPDX-License-Identifier: MIT */
/* See boot.h. [main]. */
#include <lib/boot.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <util/error.h>
#include <util/minmax.h>

#define PIECES   8u
#define READ_MAX (1ull << 30)

int mt_boot_file_open(struct mt_boot_file *file, const struct mt_props_host *props, struct mt_inst *inst,
		      const char *key, struct mt_error *err)
{
	file->key = key;
	file->path = props->get_str(inst, key);
	file->fd = -1;
	if (!props->present(inst, key))
		return 0;
	file->fd = props->open_path(inst, key, MT_OPEN_READ, err);
	return file->fd < 0 ? file->fd : 0;
}

void mt_boot_file_close(struct mt_boot_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

int mt_boot_file_measure(struct mt_boot_file *file, struct mt_error *err)
{
	struct stat st;

	if (fstat(file->fd, &st))
		return mt_error_set(err, MT_EIO, file->key, "%s: %s", file->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mt_error_set(err, MT_EINVAL, file->key, "%s is not a regular file", file->path);
	file->len_bytes = (uint64_t)st.st_size;
	return 0;
}

int mt_boot_file_read(const struct mt_boot_file *file, void *buf, uint64_t len_bytes, uint64_t offset,
		      struct mt_error *err)
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

/* Reads into the mapped pieces in turn. `*done` counts what arrived, for the dirty bitmaps. */
static int read_pieces(const struct mt_boot_file *file, const struct mt_iov *iov, uint32_t count, uint64_t offset,
		       uint64_t *done, struct mt_error *err)
{
	int rc = 0;

	*done = 0;
	for (uint32_t i = 0; i < count && !rc; i++) {
		rc = mt_boot_file_read(file, iov[i].hva, iov[i].len_bytes, offset + *done, err);
		*done += iov[i].len_bytes;
	}
	return rc;
}

int mt_boot_file_load(const struct mt_boot_file *file, const struct mt_dma_host *host, struct mt_dma *dma,
		      uint64_t offset, uint64_t gpa, uint64_t len_bytes, struct mt_error *err)
{
	struct mt_iov iov[PIECES];
	int rc = 0;

	while (len_bytes && !rc) {
		uint64_t mapped = 0, done;
		uint32_t count = host->map(dma, gpa, len_bytes, MT_DMA_FROM_DEVICE, iov, PIECES, &mapped);

		if (!count || !mapped) {
			mt_error_set(err, MT_EINVAL, file->key, "%s: there is no RAM at 0x%llx", file->path,
				     (unsigned long long)gpa);
			mt_error_hint(err, "give the first [memory] section more RAM");
			return MT_EINVAL;
		}
		rc = read_pieces(file, iov, count, offset, &done, err);
		host->unmap(dma, iov, count, MT_DMA_FROM_DEVICE, done);
		gpa += mapped;
		offset += mapped;
		len_bytes -= mapped;
	}
	return rc;
}

int mt_boot_regs_set(const struct mt_boot_host *host, struct mt_inst *inst, uint32_t vcpu,
		     const struct mt_boot_reg *regs, uint32_t count, const char *arch, struct mt_error *err)
{
	for (uint32_t i = 0; i < count; i++) {
		int rc = host->vcpu_set(inst, vcpu, regs[i].name, regs[i].value);

		if (rc)
			return mt_error_set(err, rc, NULL, "the accelerator has no register '%s' of %s", regs[i].name, arch);
	}
	return 0;
}
