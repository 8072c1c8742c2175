/* SPDX-License-Identifier: MIT */
/* The file protocol: opening, geometry, waiting transfers; see file.h. The request path is in request.c. */
#include "kernel/block/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <util/error.h>

#include "kernel/block/filter.h"
#include "kernel/block/lock.h"
#include "kernel/block/served.h"

#define DIRECT_ALIGN_LIMIT 65536u
#define SECTOR_BYTES 512u

int32_t file_code(int host_errno)
{
	switch (host_errno) {
	case 0: return 0;
	case ENOSPC: case EDQUOT: case EFBIG: return MT_ENOSPC;
	case ENOMEM: return MT_ENOMEM;
	case EPERM: case EACCES: case EROFS: return MT_EPERM;
	case EOPNOTSUPP: case ENOSYS: return MT_ENOTSUP;
	case EINVAL: return MT_EINVAL;
	}
	return MT_EIO;
}

int32_t file_refused(struct file *file, int host_errno)
{
	int32_t rc = file_code(host_errno);

	if (rc == MT_ENOSPC)
		__atomic_store_n(&file->full_errno, host_errno, __ATOMIC_RELAXED);
	return rc;
}

static int open_error(const char *path, int host_errno, struct mt_error *err)
{
	int code = host_errno == ENOENT ? MT_ENOENT : host_errno == EACCES || host_errno == EPERM ? MT_EPERM : MT_EIO;

	mt_error_set(err, code, "file", "%s: %s", path, g_strerror(host_errno));
	if (host_errno == EINVAL)
		mt_error_hint(err, "the file system may not know direct I/O: try cache = writeback");
	if (host_errno == EROFS || host_errno == EACCES)
		mt_error_hint(err, "is it meant to be read-only? then say readonly = on");
	return code;
}

/* A write over the limit of file sizes is an error of the request, not a signal to the process. */
static void ignore_size_signal(void)
{
	struct sigaction act;

	if (sigaction(SIGXFSZ, NULL, &act) == 0 && act.sa_handler == SIG_DFL) {
		act.sa_handler = SIG_IGN;
		sigaction(SIGXFSZ, &act, NULL);
	}
}

/* What the file system asks of direct I/O: found by trying, from small to large. */
static uint32_t direct_align(int fd)
{
	void *buf = NULL;
	uint32_t align = 512;

	if (posix_memalign(&buf, DIRECT_ALIGN_LIMIT, DIRECT_ALIGN_LIMIT))
		return 4096;
	while (align < DIRECT_ALIGN_LIMIT && pread(fd, (uint8_t *)buf + align, align, align) < 0 && errno == EINVAL)
		align *= 2;
	free(buf);
	return align;
}

static void geometry_of_device(struct file *file)
{
	uint64_t bytes = 0;
	unsigned physical = 0;
	int logical = 0;

	if (ioctl(file->fd, BLKGETSIZE64, &bytes) == 0)
		file->len_bytes = bytes;
	if (ioctl(file->fd, BLKSSZGET, &logical) == 0 && logical > 0)
		file->block_bytes = (uint32_t)logical;
	if (ioctl(file->fd, BLKPBSZGET, &physical) == 0 && physical > 0)
		file->physical_bytes = physical;
}

static bool geometry(struct file *file, struct mt_error *err)
{
	struct stat meta;

	if (fstat(file->fd, &meta) < 0)
		return open_error(file->path, errno, err), false;
	if (!S_ISREG(meta.st_mode) && !S_ISBLK(meta.st_mode)) {
		mt_error_set(err, MT_EINVAL, "file", "%s is neither a file nor a block device", file->path);
		return false;
	}
	file->device = S_ISBLK(meta.st_mode);
	file->host_device = meta.st_dev;
	file->host_inode = meta.st_ino;
	file->len_bytes = (uint64_t)meta.st_size;
	file->block_bytes = 512;
	file->physical_bytes = meta.st_blksize >= 512 && meta.st_blksize <= 65536 ? (uint32_t)meta.st_blksize : 4096;
	if (file->device)
		geometry_of_device(file);
	file->align_bytes = file->options.cache == FILE_DIRECT ? direct_align(file->fd) : 1;
	if (file->align_bytes > file->block_bytes)
		file->block_bytes = file->align_bytes;
	if (file->physical_bytes < file->block_bytes)
		file->physical_bytes = file->block_bytes;
	if (file->options.discard && !file->options.readonly)
		file->discard_bytes = file->physical_bytes;
	return true;
}

static bool lock_all(struct file *file, struct mt_error *err)
{
	uint32_t writes = 1u << PERM_WRITE | 1u << PERM_RESIZE;
	uint32_t needed = 1u << PERM_CONSISTENT_READ | (file->options.readonly ? 0 : writes);

	/* the descriptor without O_DIRECT lives as long as the other, so it may bear the locks */
	return !file->options.locking || lock_take(file->plain_fd, file->path, needed, writes, err) == 0;
}

/* A name from an image: the host itself sees to it that nothing on the way leads out of the folder. */
static int open_beneath(const char *folder, const char *path, int flags)
{
	struct open_how how = { .flags = (uint64_t)(uint32_t)flags,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, host_errno;

	if (dir < 0)
		return -1;
	fd = (int)syscall(SYS_openat2, dir, path + strlen(folder) + (folder[1] != 0), &how, sizeof(how));
	host_errno = errno;
	close(dir);
	errno = host_errno;
	return fd;
}

/* With direct I/O once more by the descriptor, so that it is the same file. */
static int open_again(int fd, int flags)
{
	char path[64];

	g_snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags);
}

static int open_one(const char *path, const struct file_options *options)
{
	int flags = (options->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	if (options->fd)
		return fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
	return options->folder ? open_beneath(options->folder, path, flags) : open(path, flags);
}

struct file *file_open(const char *path, const struct file_options *options, struct mt_error *err)
{
	struct file *file = g_new0(struct file, 1);

	ignore_size_signal();
	file->path = g_strdup(path);
	file->options = *options;
	/* not O_NONBLOCK on a FIFO that somebody left there: it would wait; geometry refuses it afterwards */
	file->plain_fd = file->fd = open_one(path, options);
	if (file->fd >= 0 && options->cache == FILE_DIRECT)
		file->fd = open_again(file->fd, (options->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_DIRECT);
	if (file->fd < 0)
		open_error(path, errno, err);
	else if (geometry(file, err) && lock_all(file, err))
		return file;
	file_close(file);
	return NULL;
}

void file_close(struct file *file)
{
	if (!file)
		return;
	if (file->fd >= 0 && file->fd != file->plain_fd)
		close(file->fd);
	if (file->plain_fd >= 0)
		close(file->plain_fd);
	g_free(file->path);
	g_free(file);
}

/* Transfers, and what a filter in front of the file may hold or refuse */

struct call {
	struct file *file;
	void *buf;
	int32_t (*fn)(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes);
};

static int32_t call_run(void *arg, const struct mt_block_filter_op *op)
{
	struct call *call = arg;

	return call->fn(call->file, op->offset, call->buf, op->len_bytes);
}

static int32_t filtered(struct file *file, uint32_t op, uint64_t offset, void *buf, uint64_t len_bytes,
			int32_t (*fn)(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes))
{
	struct mt_block_filter_op what = { .op = op, .offset = offset, .len_bytes = len_bytes };
	struct call call = { file, buf, fn };

	if (!file->through)
		return fn(file, offset, buf, len_bytes);
	if (filter_wants_data(file->through, op))
		what.data = buf;
	return filter_around(file->through, &what, call_run, &call);
}

static int32_t do_read(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	uint8_t *at = buf;

	if (file->served)
		return served_do(file, MT_BLOCK_READ, offset, buf, len_bytes);
	while (len_bytes) {
		ssize_t n = pread(file->plain_fd, at, len_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return file_code(errno);
		if (n == 0) {
			memset(at, 0, len_bytes);
			return 0;
		}
		at += n, offset += (uint64_t)n, len_bytes -= (uint64_t)n;
	}
	return 0;
}

int32_t file_read(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	return filtered(file, MT_BLOCK_READ, offset, buf, len_bytes, do_read);
}

bool file_read_now(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct iovec iov = { buf, len_bytes };

	return !file->through && !file->served &&
	       preadv2(file->plain_fd, &iov, 1, (off_t)offset, RWF_NOWAIT) == (ssize_t)len_bytes;
}

static int32_t do_write(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	const uint8_t *at = buf;

	if (file->served)
		return served_do(file, MT_BLOCK_WRITE, offset, buf, len_bytes);
	while (len_bytes) {
		ssize_t n = pwrite(file->plain_fd, at, len_bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? MT_ENOSPC : file_refused(file, errno);
		at += n, offset += (uint64_t)n, len_bytes -= (uint64_t)n;
	}
	return 0;
}

/* A filter that looks at data gets whole sectors, with what is around the bytes. */
static int32_t write_sectors(struct file *file, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	uint64_t from = offset / SECTOR_BYTES * SECTOR_BYTES;
	uint64_t len = (offset + len_bytes - from + SECTOR_BYTES - 1) / SECTOR_BYTES * SECTOR_BYTES;
	uint8_t *sectors = g_try_malloc(len);
	int32_t rc = sectors ? do_read(file, from, sectors, len) : MT_ENOMEM;

	if (rc == 0) {
		memcpy(sectors + (offset - from), buf, len_bytes);
		rc = filtered(file, MT_BLOCK_WRITE, from, sectors, len, do_write);
	}
	g_free(sectors);
	return rc;
}

int32_t file_write(struct file *file, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	if (file->options.readonly)
		return MT_EPERM;
	if (file->through && (offset | len_bytes) % SECTOR_BYTES && filter_wants_data(file->through, MT_BLOCK_WRITE))
		return write_sectors(file, offset, buf, len_bytes);
	return filtered(file, MT_BLOCK_WRITE, offset, (void *)(uintptr_t)buf, len_bytes, do_write);
}

static int32_t do_flush(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)offset, (void)buf, (void)len_bytes;
	if (file->served)
		return served_do(file, MT_BLOCK_FLUSH, 0, NULL, 0);
	return fdatasync(file->plain_fd) == 0 ? 0 : file_code(errno);
}

/* A failed flush has lost data that a second one would not report: it fails for good. */
int32_t file_flush(struct file *file)
{
	int32_t rc;

	if (file->options.readonly || file->options.cache == FILE_UNSAFE)
		return 0;
	if (__atomic_load_n(&file->flush_failed, __ATOMIC_RELAXED))
		return MT_EIO;
	rc = filtered(file, MT_BLOCK_FLUSH, 0, NULL, 0, do_flush);
	if (rc < 0)
		__atomic_store_n(&file->flush_failed, 1, __ATOMIC_RELAXED);
	return rc;
}

uint64_t file_bytes(struct file *file)
{
	off_t end = lseek(file->plain_fd, 0, SEEK_END);

	return end < 0 ? file->len_bytes : (uint64_t)end;
}

static int32_t do_resize(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	const uint64_t *end = buf;

	(void)offset, (void)len_bytes;
	return ftruncate(file->plain_fd, (off_t)*end) == 0 ? 0 : file_refused(file, errno);
}

/* A block device cannot change, but may be long enough. To a filter growing is zeroing, and shrinking discarding. */
int32_t file_resize(struct file *file, uint64_t len_bytes)
{
	uint64_t now = file_bytes(file);

	if (file->options.readonly)
		return MT_EPERM;
	if (len_bytes > INT64_MAX)
		return MT_ERANGE;
	if (file->device)
		return len_bytes <= file->len_bytes ? 0 : MT_ENOSPC;
	return len_bytes < now ? filtered(file, MT_BLOCK_DISCARD, len_bytes, &len_bytes, now - len_bytes, do_resize) :
	       filtered(file, MT_BLOCK_ZERO, now, &len_bytes, len_bytes - now, do_resize);
}

static int32_t do_zero_device(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)buf;
	return fallocate(file->plain_fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len_bytes) == 0 ?
	       0 : file_code(errno);
}

/* A device has its space, and what was there before: zeros are written in any case. */
int32_t file_allocate(struct file *file, uint64_t offset, uint64_t len_bytes, bool zeros)
{
	static const uint8_t nothing[65536];
	int32_t rc = 0;

	if (file->device && filtered(file, MT_BLOCK_ZERO, offset, NULL, len_bytes, do_zero_device) == 0)
		return 0;
	if (!zeros && !file->device)
		return fallocate(file->plain_fd, 0, (off_t)offset, (off_t)len_bytes) == 0 ? 0 : file_code(errno);
	for (uint64_t n; len_bytes && rc == 0; offset += n, len_bytes -= n) {
		n = MIN(len_bytes, sizeof(nothing));
		rc = file_write(file, offset, nothing, n);
	}
	return rc;
}

static int32_t do_punch(struct file *file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	(void)buf;
	if (file->served)
		return served_do(file, MT_BLOCK_DISCARD, offset, NULL, len_bytes);
	return fallocate(file->plain_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len_bytes);
}

void file_punch(struct file *file, uint64_t offset, uint64_t len_bytes)
{
	(void)filtered(file, MT_BLOCK_DISCARD, offset, NULL, len_bytes, do_punch);
}
