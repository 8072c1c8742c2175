/* SPDX-License-Identifier: MIT */
/* Empty images by the formats' own hand, of one file each, for machines of test-state.c. [main]. */
#include "tests/fuzz/empty-image.h"

#include <fcntl.h>
#include <mortise/draft/block-create.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_BYTES (4u << 20)

struct mt_block_maker {
	int fd;
};

static const char *maker_name(struct mt_block_maker *maker, uint32_t file)
{
	(void)maker, (void)file;
	return "disk";
}

static int32_t maker_file_add(struct mt_block_maker *maker, const char *name, struct mt_error *err)
{
	(void)maker, (void)name, (void)err;
	return MT_ENOTSUP;
}

static int32_t maker_read(struct mt_block_maker *maker, uint32_t file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)file;
	memset(buf, 0, len_bytes);
	return pread(maker->fd, buf, len_bytes, (off_t)offset) < 0 ? MT_EIO : 0;
}

static int32_t maker_write(struct mt_block_maker *maker, uint32_t file, uint64_t offset, const void *buf,
			   uint64_t len_bytes)
{
	(void)file;
	return pwrite(maker->fd, buf, len_bytes, (off_t)offset) == (ssize_t)len_bytes ? 0 : MT_EIO;
}

static int32_t maker_resize(struct mt_block_maker *maker, uint32_t file, uint64_t len_bytes)
{
	(void)file;
	return ftruncate(maker->fd, (off_t)len_bytes) < 0 ? MT_EIO : 0;
}

static int32_t maker_allocate(struct mt_block_maker *maker, uint32_t file, uint64_t offset, uint64_t len_bytes,
			      uint32_t mode)
{
	struct stat st;

	(void)mode;
	if (fstat(maker->fd, &st) < 0)
		return MT_EIO;
	return (uint64_t)st.st_size < offset + len_bytes ? maker_resize(maker, file, offset + len_bytes) : 0;
}

static void maker_random(struct mt_block_maker *maker, void *buf, uint32_t len_bytes)
{
	(void)maker;
	memset(buf, 0x5a, len_bytes);
}

static int64_t maker_backing_read(struct mt_block_maker *maker, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)maker, (void)offset, (void)buf, (void)len_bytes;
	return MT_ENOENT;
}

static const struct mt_block_maker_host maker_host = {
	sizeof(maker_host), 0, maker_name, maker_file_add, maker_read, maker_write, maker_resize, maker_allocate,
	maker_random, maker_backing_read,
};

int empty_image_make(const struct mt_plugin *plugin, const char *class_name, const char *path, struct mt_error *err)
{
	const struct mt_block_create *create = plugin->get_class(class_name, MT_IFACE_BLOCK_CREATE);
	struct mt_block_create_want want = { .size = sizeof(want), .disk_bytes = DISK_BYTES };
	struct mt_block_maker maker;
	int code;

	maker.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (maker.fd < 0)
		return MT_EIO;
	code = create ? create->create(&maker_host, &maker, &want, err) : maker_resize(&maker, 0, DISK_BYTES);
	close(maker.fd);
	return code;
}
