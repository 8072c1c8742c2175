/* SPDX-License-Identifier: MIT */
/*
 * A snapshot's folder; see dir.h. [main], with the machine paused: nothing here waits for the disk before
 * state_dir_commit. Files are opened beneath the folder's descriptor and never through a link.
 */
#include "kernel/state/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <mortise/draft/ram.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/space.h"
#include "kernel/state/crc32c.h"

#define PAGE_BYTES 4096u
#define CHUNK_BYTES (1u << 20)         /* of one write of RAM, at most */
#define WINDOW_PAGES 512u              /* whose state is asked for at a time */

struct state_dir {
	char *path, *parent, *temporary;
	int fd, parent_fd;
	GPtrArray *names;              /* of the files, for the way back */
	bool committed;
};

static int dir_fault(const struct state_dir *dir, const char *name, const char *what, struct mt_error *err)
{
	int error = errno;

	return fault_set(err, error == ENOSPC || error == EDQUOT ? MT_ENOSPC : MT_EIO, name, NULL, "cannot %s %s/%s: %s",
			 what, dir->path, name, strerror(error));
}

/* Writing. */

static bool place_free(const char *path, struct mt_error *err)
{
	struct stat st;

	if (!*path || lstat(path, &st) == 0) {
		fault_set(err, MT_EBUSY, path, "give a name that is free, or remove it",
			  "a snapshot cannot be made at '%s': it exists", path);
		return false;
	}
	return true;
}

struct state_dir *state_dir_create(const char *path, struct mt_error *err)
{
	struct state_dir *dir;

	if (!place_free(path, err))
		return NULL;
	dir = g_new0(struct state_dir, 1);
	dir->path = g_strdup(path);
	while (strlen(dir->path) > 1 && g_str_has_suffix(dir->path, "/"))
		dir->path[strlen(dir->path) - 1] = 0;
	dir->parent = g_path_get_dirname(dir->path);
	dir->temporary = g_strdup_printf("%s.XXXXXX", dir->path);
	dir->names = g_ptr_array_new_with_free_func(g_free);
	dir->fd = -1;
	dir->parent_fd = open(dir->parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* only its owner may look at a guest's memory */
	if (dir->parent_fd >= 0 && mkdtemp(dir->temporary))
		dir->fd = open(dir->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir->fd >= 0)
		return dir;
	fault_set(err, MT_EIO, path, NULL, "a snapshot cannot be made at '%s': %s", path, strerror(errno));
	state_dir_destroy(dir);
	return NULL;
}

static int file_create(struct state_dir *dir, const char *name, struct mt_error *err)
{
	int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return dir_fault(dir, name, "make", err);
	g_ptr_array_add(dir->names, g_strdup(name));
	return fd;
}

static bool write_all(int fd, const void *bytes, size_t len_bytes, uint64_t offset)
{
	for (size_t done = 0; done < len_bytes;) {
		ssize_t n = pwrite(fd, (const uint8_t *)bytes + done, len_bytes - done, (off_t)(offset + done));

		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static int file_end(struct state_dir *dir, const char *name, int fd, bool fine, struct mt_error *err)
{
	int code = fine ? 0 : dir_fault(dir, name, "write", err);

	if (close(fd) < 0 && code == 0)
		code = dir_fault(dir, name, "write", err);
	return code;
}

int state_dir_write(struct state_dir *dir, const char *name, const void *bytes, size_t len_bytes,
		    struct manifest_file *file, struct mt_error *err)
{
	int fd = file_create(dir, name, err);

	if (fd < 0)
		return fd;
	file->bytes = len_bytes;
	file->crc = crc32c(0, bytes, len_bytes);
	return file_end(dir, name, fd, write_all(fd, bytes, len_bytes, 0), err);
}

/*
 * Pages of RAM that nobody has touched are not read: reading one makes it, and hosts make it huge, so that a snapshot
 * would cost the whole of the guest's RAM.
 */
struct scan {
	const struct mt_ram *ram;
	int pagemap_fd;                /* of anonymous RAM; -1: every page is read */
	uint64_t window_at;            /* bytes; UINT64_MAX: nothing is in `entries` */
	uint64_t entries[WINDOW_PAGES];
	uint64_t data_at, data_end;    /* of shared RAM: what its file has from there on */
};

static void scan_init(struct scan *scan, const struct mt_ram *ram)
{
	scan->ram = ram;
	scan->pagemap_fd = -1;
	scan->window_at = UINT64_MAX;
	scan->data_at = scan->data_end = 0;
	if (ram_is_anonymous(ram) && sysconf(_SC_PAGESIZE) == PAGE_BYTES)
		scan->pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
}

static void scan_fini(struct scan *scan)
{
	if (scan->pagemap_fd >= 0)
		close(scan->pagemap_fd);
}

/* Neither in memory nor swapped out (proc_pid_pagemap(5), bits 63 and 62). */
static bool is_absent(struct scan *scan, uint64_t at)
{
	uint64_t window = at / (WINDOW_PAGES * PAGE_BYTES) * (WINDOW_PAGES * PAGE_BYTES);
	uint64_t first = ((uintptr_t)scan->ram->hva + window) / PAGE_BYTES;

	if (scan->window_at != window) {
		memset(scan->entries, 0xff, sizeof(scan->entries));
		if (pread(scan->pagemap_fd, scan->entries, sizeof(scan->entries), (off_t)(first * 8)) < 0)
			memset(scan->entries, 0xff, sizeof(scan->entries));
		scan->window_at = window;
	}
	return scan->entries[(at - window) / PAGE_BYTES] >> 62 == 0;
}

static bool is_hole(struct scan *scan, uint64_t at)
{
	off_t data, end;

	if (at >= scan->data_end) {
		data = lseek(scan->ram->fd, (off_t)at, SEEK_DATA);
		end = data < 0 ? -1 : lseek(scan->ram->fd, data, SEEK_HOLE);
		/* no data behind `at`; or a file that cannot tell */
		scan->data_at = data >= 0 ? (uint64_t)data : errno == ENXIO ? scan->ram->len_bytes : at;
		scan->data_end = end >= 0 ? (uint64_t)end : scan->ram->len_bytes;
	}
	return at < scan->data_at;
}

static bool page_is_zero(struct scan *scan, uint64_t at)
{
	/* the first bytes decide for most pages that are not */
	static const uint8_t zeros[PAGE_BYTES];
	const uint8_t *page = scan->ram->hva + at;

	if (scan->ram->fd >= 0 ? is_hole(scan, at) : scan->pagemap_fd >= 0 && is_absent(scan, at))
		return true;
	return !memcmp(page, zeros, 64) && !memcmp(page + 64, zeros, PAGE_BYTES - 64);
}

/* From `at` on: the end of the run of pages that are all zero, or all not, up to `max` bytes. */
static uint64_t run_end(struct scan *scan, uint64_t at, bool zero, uint64_t max)
{
	uint64_t end = at;

	while (end < scan->ram->len_bytes && end - at < max && page_is_zero(scan, end) == zero)
		end += PAGE_BYTES;
	return end;
}

static bool ram_write(int fd, struct scan *scan)
{
	uint64_t at = 0, end, len_bytes = scan->ram->len_bytes;

	if (ftruncate(fd, (off_t)len_bytes) < 0)
		return false;
	while (at < len_bytes) {
		at = run_end(scan, at, true, UINT64_MAX);
		end = run_end(scan, at, false, CHUNK_BYTES);
		if (!write_all(fd, scan->ram->hva + at, end - at, at))
			return false;
		at = end;
	}
	return true;
}

int state_dir_write_ram(struct state_dir *dir, const char *name, const struct mt_ram *ram, struct mt_error *err)
{
	int fd = file_create(dir, name, err), code;
	struct scan scan;

	if (fd < 0)
		return fd;
	scan_init(&scan, ram);
	code = file_end(dir, name, fd, ram_write(fd, &scan), err);
	scan_fini(&scan);
	return code;
}

static bool is_dirty(const uint64_t *bitmap, uint64_t page)
{
	return __atomic_load_n(&bitmap[page / 64], __ATOMIC_RELAXED) >> (page % 64) & 1;
}

static bool ram_rewrite(int fd, const struct mt_ram *ram, const uint64_t *bitmap, uint64_t *pages)
{
	uint64_t count = ram->len_bytes / PAGE_BYTES, first = 0, end;

	while (first < count) {
		for (end = first; end < count && end - first < CHUNK_BYTES / PAGE_BYTES && is_dirty(bitmap, end);)
			end++;
		if (!write_all(fd, ram->hva + first * PAGE_BYTES, (end - first) * PAGE_BYTES, first * PAGE_BYTES))
			return false;
		*pages += end - first;
		first = end > first ? end : first + 1;
	}
	return true;
}

int state_dir_update_ram(struct state_dir *dir, const char *name, const struct mt_ram *ram, uint32_t client,
			 uint64_t *pages, struct mt_error *err)
{
	const uint64_t *bitmap = __atomic_load_n(&ram->dirty[client], __ATOMIC_ACQUIRE);
	int fd = openat(dir->fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return dir_fault(dir, name, "open", err);
	return file_end(dir, name, fd, ram_rewrite(fd, ram, bitmap, pages), err);
}

int state_dir_fd(const struct state_dir *dir)
{
	return dir->fd;
}

static int sync_file(struct state_dir *dir, const char *name, struct mt_error *err)
{
	int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), code = 0;

	if (fd < 0 || fsync(fd) < 0)
		code = dir_fault(dir, name, "make durable", err);
	if (fd >= 0)
		close(fd);
	return code;
}

/* Not every file system can refuse to replace; a folder never replaces one with something in it. */
static int dir_rename(const struct state_dir *dir)
{
	if (renameat2(AT_FDCWD, dir->temporary, AT_FDCWD, dir->path, RENAME_NOREPLACE) == 0)
		return 0;
	return errno == EINVAL || errno == ENOSYS ? rename(dir->temporary, dir->path) : -1;
}

int state_dir_commit(struct state_dir *dir, struct mt_error *err)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < dir->names->len; i++)
		code = sync_file(dir, g_ptr_array_index(dir->names, i), err);
	if (code == 0 && fsync(dir->fd) < 0)
		code = dir_fault(dir, "", "make durable", err);
	/* a name that somebody else took meanwhile stays theirs */
	if (code == 0 && dir_rename(dir) < 0)
		code = dir_fault(dir, "", "name", err);
	dir->committed = code == 0;
	if (code == 0 && fsync(dir->parent_fd) < 0)
		code = dir_fault(dir, "", "make durable", err);
	return code;
}

void state_dir_destroy(struct state_dir *dir)
{
	for (unsigned i = 0; !dir->committed && i < dir->names->len; i++)
		unlinkat(dir->fd, g_ptr_array_index(dir->names, i), 0);
	if (dir->fd >= 0) {
		if (!dir->committed)
			rmdir(dir->temporary);
		close(dir->fd);
	}
	if (dir->parent_fd >= 0)
		close(dir->parent_fd);
	g_ptr_array_unref(dir->names);
	g_free(dir->temporary);
	g_free(dir->parent);
	g_free(dir->path);
	g_free(dir);
}

/* Reading. */

int state_dir_open(const char *path, struct mt_error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fault_set(err, MT_ENOENT, path, "a snapshot is a folder with " MANIFEST_FILE,
				 "the snapshot '%s' cannot be opened: %s", path, strerror(errno));
	return fd;
}

/* A regular file of the folder and its length, or a negative code. */
static int file_open(int dir_fd, const char *name, uint64_t *len_bytes, struct mt_error *err)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return fault_set(err, MT_ENOENT, name, "copy the whole folder of the snapshot",
				 "the snapshot's %s cannot be opened: %s", name, strerror(errno));
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		*len_bytes = (uint64_t)st.st_size;
		return fd;
	}
	close(fd);
	return fault_set(err, MT_EINVAL, name, NULL, "the snapshot's %s is no file", name);
}

static bool read_all(int fd, uint8_t *bytes, uint64_t len_bytes)
{
	for (uint64_t done = 0; done < len_bytes;) {
		ssize_t n = pread(fd, bytes + done, len_bytes - done, (off_t)done);

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		done += n > 0 ? (uint64_t)n : 0;
	}
	return true;
}

static GByteArray *read_open(int fd, const char *name, uint64_t len_bytes, uint64_t max, struct mt_error *err)
{
	uint8_t *bytes = len_bytes <= max ? g_try_malloc(len_bytes + 1) : NULL;

	if (bytes && read_all(fd, bytes, len_bytes))
		return g_byte_array_new_take(bytes, len_bytes);
	fault_set(err, MT_EIO, name, NULL, len_bytes > max ? "the snapshot's %s is too long" :
		  "the snapshot's %s cannot be read", name);
	g_free(bytes);
	return NULL;
}

GByteArray *state_dir_read(int dir_fd, const char *name, uint64_t max, struct mt_error *err)
{
	uint64_t len_bytes;
	int fd = file_open(dir_fd, name, &len_bytes, err);
	GByteArray *bytes;

	if (fd < 0)
		return NULL;
	bytes = read_open(fd, name, len_bytes, max, err);
	close(fd);
	return bytes;
}

GByteArray *state_dir_read_checked(int dir_fd, const char *name, const struct manifest_file *file,
				   struct mt_error *err)
{
	GByteArray *bytes = state_dir_read(dir_fd, name, file->bytes, err);

	if (!bytes || (bytes->len == file->bytes && crc32c(0, bytes->data, bytes->len) == file->crc))
		return bytes;
	fault_set(err, MT_EINVAL, name, "the snapshot is damaged: take it again, or copy it again",
		  "the snapshot's %s is not what " MANIFEST_FILE " says: its length or checksum differs", name);
	g_byte_array_unref(bytes);
	return NULL;
}

int state_dir_open_ram(int dir_fd, const char *name, uint64_t len_bytes, struct mt_error *err)
{
	uint64_t have;
	int fd = file_open(dir_fd, name, &have, err);

	if (fd < 0 || have == len_bytes)
		return fd;
	close(fd);
	return fault_set(err, MT_EINVAL, name, "copy the whole folder of the snapshot",
			 "the snapshot's %s has %" G_GUINT64_FORMAT " bytes, not %" G_GUINT64_FORMAT, name, have,
			 len_bytes);
}
