/* SPDX-License-Identifier: MIT */
/*
 * Folders for files that are being made. Who makes one holds a lock on it, which goes when its process goes, however
 * that ends: so a folder that can be locked is nobody's, and whoever next makes the same image removes it. Any thread.
 * Easy to break: a folder is nobody's between being made and being locked too, so its maker looks whether it is still
 * there, and makes another one.
 */
#include "kernel/block/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define RANDOM "XXXXXX"
#define TRIES  100

/* Files only: nobody makes folders in there. */
static void empty(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			(void)unlinkat(folder, entry->d_name, 0);
	}
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
}

static void remove_one(int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat meta;

	if (fd < 0)
		return;
	if (fstat(fd, &meta) == 0 && meta.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		empty(fd);
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	}
	close(fd);
}

static void remove_stale(const char *parent, const char *prefix)
{
	DIR *dir = opendir(parent);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (g_str_has_prefix(entry->d_name, prefix) && strlen(entry->d_name) == strlen(prefix) + strlen(RANDOM))
			remove_one(dirfd(dir), entry->d_name);
	}
	if (dir)
		closedir(dir);
}

/* The descriptor, locked; -EAGAIN: somebody took it for a stale one. */
static int lock(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = fd < 0 ? -errno : 0;
	struct stat meta;

	if (fd < 0)
		return rc == -ENOENT ? -EAGAIN : rc;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		rc = errno == EWOULDBLOCK ? -EAGAIN : 0;       /* without locks in the file system nobody removes it */
	else if (fstat(fd, &meta) < 0 || meta.st_nlink == 0)
		rc = -EAGAIN;
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int scratch_make(const char *parent, const char *name, char **path)
{
	char *prefix = g_strdup_printf(".%.180s.mortise-", name);
	int fd = -EAGAIN;

	remove_stale(parent, prefix);
	for (int i = 0; fd == -EAGAIN && i < TRIES; i++) {
		*path = g_strdup_printf("%s/%s" RANDOM, parent, prefix);
		fd = mkdtemp(*path) ? lock(*path) : -errno;
		if (fd < 0)
			g_clear_pointer(path, g_free);
	}
	g_free(prefix);
	return fd;
}
