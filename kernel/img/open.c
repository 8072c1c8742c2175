// SPDX-License-Identifier: MIT
/* Opening images for commands: formats, standard input, and whether two names mean one file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/block/open.h"
#include "kernel/img/img.h"
#include "kernel/machine/fault.h"

struct image_options img_open_options(const struct img *img)
{
	const char *const *allow = cli_values(img->args, "allow-backing");
	struct image_options options = { .share = cli_flag(img->args, "force-share"), .allow = allow, .allow_own = true,
					 .through = cli_values(img->args, "through") };

	for (int i = 0; allow[i]; i++) {
		if (!strcmp(allow[i], "none"))
			options.allow_own = false;
	}
	return options;
}

/* Formats seek, pipes do not: what comes from one is kept in a file without name. */
static int spool(struct img *img)
{
	size_t size = 1 << 20;
	char *buf = g_malloc(size);
	int fd = open(g_get_tmp_dir(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		n = read(STDIN_FILENO, buf, size);
		for (ssize_t done = 0, w; n > 0 && done < n; done += w) {
			w = write(fd, buf + done, (size_t)(n - done));
			if (w < 0) {
				n = -1;
				break;
			}
		}
	}
	if (n < 0) {
		fault_set(&img->err, MT_EIO, "file", "TMPDIR says where it is kept", "standard input cannot be kept: %s",
			  g_strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	g_free(buf);
	return fd;
}

static struct image *open_stdin(struct img *img, const char *format, struct image_options options)
{
	int fd = lseek(STDIN_FILENO, 0, SEEK_CUR) >= 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : spool(img);
	struct image *image;

	if (fd < 0)
		return NULL;
	if (!format) {
		close(fd);
		fault_set(&img->err, MT_EINVAL, "format", NULL, "standard input needs a format: -f FORMAT");
		return NULL;
	}
	options.fd = fd;
	options.allow_own = false;
	image = image_open(img->tool, "-", &options, &img->err);
	close(fd);
	return image;
}

struct image *img_open_read(struct img *img, const char *path, const char *format, const struct image_options *options)
{
	struct image_options chosen = *options;
	struct image *image;
	char *seen = NULL;

	chosen.format = format;
	if (!strcmp(path, "-"))
		return open_stdin(img, format, chosen);
	if (!format && !open_is_uri(path)) {
		seen = tool_probe(img->tool, path, &img->err);
		if (!seen)
			return NULL;
		img_warn("%s looks like %s, and is read as that; say -f %s to be sure", path, seen, seen);
		chosen.format = seen;
	}
	image = image_open(img->tool, path, &chosen, &img->err);
	g_free(seen);
	return image;
}

int img_snapshot_show(struct image *image, const char *text, struct mt_error *err)
{
	char **fields = g_strsplit(text, ",", -1);
	const char *wanted_id = NULL, *name = NULL;
	struct mt_block_snapshot s;
	bool known = *text != 0, found = false;

	for (char **field = fields; *field; field++) {
		if (g_str_has_prefix(*field, "snapshot.id="))
			wanted_id = *field + strlen("snapshot.id=");
		else if (g_str_has_prefix(*field, "snapshot.name="))
			name = *field + strlen("snapshot.name=");
		else
			known = false;
	}
	for (uint32_t i = 0; known && !found && i < image_snapshot_count(image); i++) {
		found = image_snapshot_get(image, i, &s) == 0 && (!wanted_id || !strcmp(s.id, wanted_id)) &&
			(!name || !strcmp(s.name, name));
	}
	g_strfreev(fields);
	return image_snapshot(image, IMAGE_SNAPSHOT_SHOW, found ? s.id : text, err);
}

struct image *img_open_write(struct img *img, const char *path, const char *format, const struct image_options *options)
{
	struct image_options chosen = *options;

	if (!format) {
		fault_set(&img->err, MT_EINVAL, "format", "a guest can make a raw disk look like anything",
			  "%s is to be written, and that needs its format: -f FORMAT", path);
		return NULL;
	}
	chosen.format = format;
	chosen.write = true;
	return image_open(img->tool, path, &chosen, &img->err);
}

bool img_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (stat(a, &sa) < 0 || stat(b, &sb) < 0)
		return false;
	if (S_ISBLK(sa.st_mode) && S_ISBLK(sb.st_mode))
		return sa.st_rdev == sb.st_rdev;
	return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool node_has(const struct bnode *node, const struct stat *meta)
{
	for (uint32_t i = 0; i < node->child_count; i++) {
		const struct file *file = node->children[i].file;

		if (file && file->host_device == meta->st_dev && file->host_inode == meta->st_ino)
			return true;
		if (node->children[i].node && node_has(node->children[i].node, meta))
			return true;
	}
	return node->backing && node_has(node->backing, meta);
}

bool img_chain_has(const struct image *image, const char *path)
{
	struct stat meta;

	return stat(path, &meta) == 0 && node_has(image->node, &meta);
}
