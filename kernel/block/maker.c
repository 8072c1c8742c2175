/* SPDX-License-Identifier: MIT */
/*
 * Making images: the kernel's side of block-create.h. All files are made in a new folder beside the image's place, so
 * that formats can name their files as they will be called, and a half image never stands where a whole one is
 * expected. The last rename puts file 0 into place, after those that it names. [main]
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/block/maker.h"
#include "kernel/block/open.h"
#include "kernel/block/refusal.h"
#include "kernel/block/scratch.h"
#include "kernel/machine/fault.h"

#define ALLOCATE_BYTES (64u << 20)       /* between two questions whether to go on */

struct mt_block_maker {
	char *folder, *final_folder;     /* `folder` NULL: the image is a block device, written in place */
	int folder_fd;                   /* keeps it ours: see scratch.c */
	char *path;                      /* of file 0, now */
	GPtrArray *names;                /* of the files, without folder */
	GPtrArray *files;                /* of struct file, while they are open */
	struct file *old, *backing;      /* what is at the place yet, kept locked */
	bool (*cancelled)(void);         /* or NULL */
	mode_t mode;                     /* of the old file; 0: there is none */
	const char *wanted;              /* file 0 as the user called it, while the format is at work */
	struct refusal refusal;
};

static struct file *file_of(struct mt_block_maker *maker, uint32_t file)
{
	return file < maker->files->len ? g_ptr_array_index(maker->files, file) : NULL;
}

/* The host's functions */

static const char *host_name(struct mt_block_maker *maker, uint32_t file)
{
	return file < maker->names->len ? g_ptr_array_index(maker->names, file) : NULL;
}

static struct file *make_file(const struct mt_block_maker *maker, const char *path, struct mt_error *err)
{
	struct file_options options = { .discard = true };
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
	struct file *file;

	if (fd < 0) {
		fault_set(err, file_code(errno), "file", NULL, "%s cannot be made: %s", path, g_strerror(errno));
		return NULL;
	}
	if (maker->mode)
		(void)!fchmod(fd, maker->mode);
	options.fd = fd;
	file = file_open(path, &options, err);
	close(fd);
	return file;
}

static int32_t host_file_add(struct mt_block_maker *maker, const char *name, struct mt_error *err)
{
	struct file *file;
	char *path;

	if (!maker->folder)
		return fault_set(err, MT_ENOTSUP, "file", NULL, "an image of several files does not fit on a block device");
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return fault_set(err, MT_EINVAL, "file", NULL, "'%.100s' is no name for a file", name);
	if (maker->files->len >= BNODE_CHILDREN_MAX)
		return fault_set(err, MT_ERANGE, "file", NULL, "the image would have more files than %u",
				 BNODE_CHILDREN_MAX);
	path = g_build_filename(maker->folder, name, NULL);
	file = make_file(maker, path, err);
	g_free(path);
	if (!file)
		return err && err->code ? err->code : MT_EIO;
	g_ptr_array_add(maker->files, file);
	g_ptr_array_add(maker->names, g_strdup(name));
	return (int32_t)maker->files->len - 1;
}

/* `rc` of a call on `file` that began with errno 0. The file is called what it will be. */
static int32_t noted(struct mt_block_maker *maker, uint32_t file, int32_t rc, enum refused what, uint64_t bytes)
{
	int host_errno = errno;
	char *folder, *path;

	if (rc >= 0 || file >= maker->names->len)
		return rc;
	folder = g_path_get_dirname(maker->wanted);
	path = strchr(maker->wanted, '/') ? g_build_filename(folder, host_name(maker, file), NULL) :
	       g_strdup(host_name(maker, file));
	refusal_note(&maker->refusal, path, rc, host_errno, what, bytes);
	g_free(folder);
	g_free(path);
	return rc;
}

static int32_t host_read(struct mt_block_maker *maker, uint32_t file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct file *f = file_of(maker, file);

	return f ? file_read(f, offset, buf, len_bytes) : MT_EINVAL;
}

static int32_t host_write(struct mt_block_maker *maker, uint32_t file, uint64_t offset, const void *buf,
			  uint64_t len_bytes)
{
	struct file *f = file_of(maker, file);

	if (!f)
		return MT_EINVAL;
	errno = 0;
	return noted(maker, file, file_write(f, offset, buf, len_bytes), REFUSED_WRITE, len_bytes);
}

static int32_t host_resize(struct mt_block_maker *maker, uint32_t file, uint64_t len_bytes)
{
	struct file *f = file_of(maker, file);

	if (!f)
		return MT_EINVAL;
	errno = 0;
	return noted(maker, file, file_resize(f, len_bytes), REFUSED_LENGTH, len_bytes);
}

static int32_t host_allocate(struct mt_block_maker *maker, uint32_t file, uint64_t offset, uint64_t len_bytes,
			     uint32_t mode)
{
	struct file *f = file_of(maker, file);
	uint64_t end = offset + len_bytes;
	int32_t rc = f ? 0 : MT_EINVAL;

	if (mode == MT_BLOCK_PREALLOC_METADATA && maker->folder)
		return rc;
	for (uint64_t n; len_bytes && rc == 0; offset += n, len_bytes -= n) {
		n = MIN(len_bytes, ALLOCATE_BYTES);
		errno = 0;
		rc = maker->cancelled && maker->cancelled() ? MT_EGONE :
		     file_allocate(f, offset, n, mode == MT_BLOCK_PREALLOC_FULL);
	}
	return noted(maker, file, rc, REFUSED_SPACE, end);
}

static void host_random(struct mt_block_maker *maker, void *buf, uint32_t len_bytes)
{
	uint8_t *at = buf;

	(void)maker;
	while (len_bytes) {
		ssize_t n = getrandom(at, len_bytes, 0);

		if (n > 0) {
			at += n;
			len_bytes -= (uint32_t)n;
		}
	}
}

static int64_t host_backing_read(struct mt_block_maker *maker, uint64_t offset, void *buf, uint64_t len_bytes)
{
	uint64_t left;
	int32_t rc;

	if (!maker->backing)
		return MT_ENOENT;
	left = offset < maker->backing->len_bytes ? maker->backing->len_bytes - offset : 0;
	len_bytes = MIN(len_bytes, left);
	rc = file_read(maker->backing, offset, buf, len_bytes);
	return rc < 0 ? rc : (int64_t)len_bytes;
}

static const struct mt_block_maker_host maker_host = {
	.size = sizeof(maker_host),
	.name = host_name,
	.file_add = host_file_add,
	.read = host_read,
	.write = host_write,
	.resize = host_resize,
	.allocate = host_allocate,
	.random = host_random,
	.backing_read = host_backing_read,
};

/* Its life */

static void files_close(struct mt_block_maker *maker)
{
	for (unsigned i = 0; i < maker->files->len; i++)
		file_close(g_ptr_array_index(maker->files, i));
	g_ptr_array_set_size(maker->files, 0);
}

static void maker_free(struct mt_block_maker *maker)
{
	files_close(maker);
	file_close(maker->old);
	file_close(maker->backing);
	g_ptr_array_unref(maker->files);
	g_ptr_array_unref(maker->names);
	if (maker->folder_fd >= 0)
		close(maker->folder_fd);
	g_free(maker->folder);
	g_free(maker->final_folder);
	g_free(maker->path);
	refusal_clear(&maker->refusal);
	g_free(maker);
}

void maker_abort(struct mt_block_maker *maker)
{
	for (unsigned i = 0; maker->folder && i < maker->names->len; i++) {
		char *path = g_build_filename(maker->folder, g_ptr_array_index(maker->names, i), NULL);

		unlink(path);
		g_free(path);
	}
	if (maker->folder)
		rmdir(maker->folder);
	maker_free(maker);
}

/* What stands at the place now must not be in use, and must be ours to write. */
static int old_take(struct mt_block_maker *maker, const char *path, struct mt_error *err)
{
	struct file_options options = { .locking = true };
	struct stat meta;

	if (stat(path, &meta) < 0)
		return 0;
	maker->old = file_open(path, &options, err);
	if (!maker->old)
		return err && err->code ? err->code : MT_EIO;
	maker->mode = meta.st_mode & 0777;
	return 0;
}

static int folder_make(struct mt_block_maker *maker, const char *path, struct mt_error *err)
{
	char *name = g_path_get_basename(path);
	int rc = 0;

	maker->final_folder = g_path_get_dirname(path);
	maker->folder_fd = scratch_make(maker->final_folder, name, &maker->folder);
	if (maker->folder_fd < 0)
		rc = fault_set(err, file_code(-maker->folder_fd), "file", NULL, "nothing can be made in %s: %s",
			       maker->final_folder, g_strerror(-maker->folder_fd));
	if (rc == 0)
		rc = host_file_add(maker, name, err) < 0 ? MT_EIO : 0;
	maker->path = rc == 0 ? g_build_filename(maker->folder, name, NULL) : NULL;
	g_free(name);
	return rc;
}

static int place_take(struct mt_block_maker *maker, const char *path, struct mt_error *err)
{
	char *real = realpath(path, NULL), *full = real ? g_strdup(real) : g_canonicalize_filename(path, NULL);
	int rc = old_take(maker, full, err);

	free(real);
	if (rc == 0 && maker->old && maker->old->device) {
		maker->final_folder = g_path_get_dirname(full);
		maker->path = g_strdup(full);
		g_ptr_array_add(maker->names, g_path_get_basename(full));
		g_ptr_array_add(maker->files, maker->old);
		maker->old = NULL;
	} else if (rc == 0) {
		rc = folder_make(maker, full, err);
	}
	g_free(full);
	return rc;
}

static int backing_take(struct mt_block_maker *maker, const char *path, struct mt_error *err)
{
	struct file_options options = { .readonly = true };

	if (!path)
		return 0;
	maker->backing = file_open(path, &options, err);
	return maker->backing ? 0 : MT_EIO;
}

static int role_create(struct mt_block_maker *maker, const struct mt_block_create *role, const char *path,
		       const struct mt_block_create_want *create, struct mt_error *err)
{
	int rc;

	maker->wanted = path;
	rc = role->create(&maker_host, maker, create, err);
	maker->wanted = NULL;
	refusal_tell(&maker->refusal, rc, err);
	return rc;
}

struct mt_block_maker *maker_begin(struct machine *m, const struct image_want *want, struct mt_error *err)
{
	const struct mt_block_create *role = open_role(m, want->format, MT_IFACE_BLOCK_CREATE, err);
	struct mt_block_create_want create;
	struct mt_block_maker *maker;
	int rc;

	if (!role || !role->create) {
		if (!err->code)
			fault_set(err, MT_ENOTSUP, "format", NULL, "images of the format %s cannot be made",
				  want->format);
		return NULL;
	}
	create = want->create;
	maker = g_new0(struct mt_block_maker, 1);
	maker->folder_fd = -1;
	maker->cancelled = want->cancelled;
	maker->names = g_ptr_array_new_with_free_func(g_free);
	maker->files = g_ptr_array_new();
	rc = place_take(maker, want->path, err);
	if (rc == 0)
		rc = backing_take(maker, want->backing_path, err);
	create.flags = maker->folder ? 0 : MT_BLOCK_CREATE_DEVICE;
	if (rc == 0)
		rc = role_create(maker, role, want->path, &create, err);
	if (rc == 0 && want->cancelled && want->cancelled())
		rc = MT_EGONE;
	if (rc == MT_EGONE)
		fault_set(err, rc, NULL, NULL, "stopped as you wished");
	files_close(maker);
	if (rc == 0)
		return maker;
	open_blame(err, rc, want->path);
	maker_abort(maker);
	return NULL;
}

const char *maker_path(const struct mt_block_maker *maker)
{
	return maker->path;
}

bool maker_in_place(const struct mt_block_maker *maker)
{
	return !maker->folder;
}

void maker_folders(const struct mt_block_maker *maker, const char **parts, const char **names)
{
	*parts = maker->folder;
	*names = maker->final_folder;
}

int maker_finish(struct mt_block_maker *maker, struct mt_error *err)
{
	int rc = 0;

	for (unsigned i = maker->folder ? maker->names->len : 0; rc == 0 && i-- > 0;) {
		const char *name = g_ptr_array_index(maker->names, i);
		char *from = g_build_filename(maker->folder, name, NULL);
		char *to = g_build_filename(maker->final_folder, name, NULL);

		if (rename(from, to) < 0)
			rc = fault_set(err, file_code(errno), "file", NULL, "%s cannot be put into place: %s", to,
				       g_strerror(errno));
		g_free(from);
		g_free(to);
	}
	if (rc < 0) {
		maker_abort(maker);
		return rc;
	}
	if (maker->folder)
		rmdir(maker->folder);
	maker_free(maker);
	return 0;
}
