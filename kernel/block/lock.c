/* SPDX-License-Identifier: MIT */
/* Locks on image files; see lock.h. [main] */
#include "kernel/block/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <unistd.h>
#include <util/error.h>

#define NEEDED_BASE 100
#define UNSHARED_BASE 200
#define AGAIN         40                 /* looks at a file that is in use, and the time between them */
#define AGAIN_US      10000

static const char *const bit_names[PERM_BITS] = { "reading", "writing", "rewriting", "resizing" };

static int byte_set(int fd, off_t at, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* 1 when another open holds a lock on the byte. */
static int byte_held(int fd, off_t at)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1 };

	return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

static int refused(const char *path, uint32_t bit, int by_need, struct mt_error *err)
{
	mt_error_set(err, MT_EBUSY, "file", by_need ? "%s is in use: another program does not share %s it" :
		     "%s is in use: another program is %s it", path, bit_names[bit]);
	mt_error_hint(err, "end the other program, or open the image read-only in both");
	return MT_EBUSY;
}

static int row_take(int fd, off_t base, uint32_t mask)
{
	int rc = 0;

	for (uint32_t bit = 0; bit < PERM_BITS && rc == 0; bit++) {
		if (mask & 1u << bit)
			rc = byte_set(fd, base + (off_t)bit, F_RDLCK);
	}
	return rc;
}

static int look(int fd, const char *path, uint32_t needed, uint32_t unshared, struct mt_error *err)
{
	for (uint32_t bit = 0; bit < PERM_BITS; bit++) {
		if (needed & 1u << bit && byte_held(fd, UNSHARED_BASE + (off_t)bit))
			return refused(path, bit, 1, err);
		if (unshared & 1u << bit && byte_held(fd, NEEDED_BASE + (off_t)bit))
			return refused(path, bit, 0, err);
	}
	return 0;
}

/* What was taken before the look is seen by a second program that does the same: one of both gives way. */
static int take_once(int fd, const char *path, uint32_t needed, uint32_t unshared, struct mt_error *err)
{
	int rc = row_take(fd, NEEDED_BASE, needed);

	if (rc == 0)
		rc = row_take(fd, UNSHARED_BASE, unshared);
	if (rc == -EINVAL || rc == -ENOLCK || rc == -EOPNOTSUPP || rc == -ENOSYS)
		return 0;
	return rc < 0 ? refused(path, 0, 1, err) : look(fd, path, needed, unshared, err);
}

static void release(int fd)
{
	struct flock all = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = NEEDED_BASE,
			     .l_len = UNSHARED_BASE - NEEDED_BASE + (off_t)PERM_BITS };

	(void)fcntl(fd, F_OFD_SETLK, &all);
}

/*
 * An open that has ended can have its locks for a moment yet: the kernel lets go of a file when the last request of an
 * io_uring is put away, and takes down the ring of a killed process behind it. Meanwhile it is only looked at: what is
 * taken for a moment refuses others.
 */
int lock_take(int fd, const char *path, uint32_t needed, uint32_t unshared, struct mt_error *err)
{
	if (take_once(fd, path, needed, unshared, NULL) == 0)
		return 0;
	release(fd);
	for (uint32_t i = 0; i < AGAIN && look(fd, path, needed, unshared, NULL); i++)
		g_usleep(AGAIN_US);
	return take_once(fd, path, needed, unshared, err);
}

void lock_share(int fd)
{
	(void)byte_set(fd, NEEDED_BASE + PERM_WRITE, F_UNLCK);
	(void)byte_set(fd, NEEDED_BASE + PERM_RESIZE, F_UNLCK);
}

void lock_own(int fd)
{
	(void)byte_set(fd, NEEDED_BASE + PERM_WRITE, F_RDLCK);
	(void)byte_set(fd, NEEDED_BASE + PERM_RESIZE, F_RDLCK);
}
