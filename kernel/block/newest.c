/* SPDX-License-Identifier: MIT */
/* Marks on images that lie below a newer one: an extended attribute with that one's path. See node.h. [main] */
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "kernel/block/open.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/services.h"

#include <mortise/draft/block-image.h>

#define MARK "user.mortise.overlay"

static int file_of(const struct bnode *node)
{
	return disk_path(node) ? node->children[0].file->plain_fd : -1;
}

void newest_mark(const struct bnode *node, const char *overlay)
{
	int fd = file_of(node);

	if (fd >= 0 && fsetxattr(fd, MARK, overlay, strlen(overlay), 0) < 0)
		log_message(node->inst->machine, node->inst, MT_LOG_DEBUG, "the file system keeps no mark that %s lies over it",
			    overlay);
}

void newest_unmark(const struct bnode *node)
{
	int fd = file_of(node);

	if (fd >= 0)
		(void)!fremovexattr(fd, MARK);
}

/* The file that an image names as the one below. */

struct below {
	char *name;
};

static void fact(void *arg, const char *name, uint32_t type, const char *value)
{
	struct below *below = arg;

	(void)type;
	if (!strcmp(name, MT_BLOCK_FACT_BACKING) && !below->name)
		below->name = g_strdup(value);
}

static bool lies_over(const char *overlay, struct mt_inst *inst, const struct file *file)
{
	const struct mt_block_image *role = inst_role(inst, MT_IFACE_BLOCK_IMAGE);
	char *folder = g_path_get_dirname(overlay), *path;
	struct below below = { 0 };
	struct stat meta;
	bool does = false;

	inst_enter(inst);
	if (role && role->describe)
		role->describe(inst->self, fact, &below);
	inst_leave(inst);
	if (below.name) {
		path = g_canonicalize_filename(below.name, folder);
		does = stat(path, &meta) == 0 && meta.st_dev == file->host_device && meta.st_ino == file->host_inode;
		g_free(path);
	}
	g_free(below.name);
	g_free(folder);
	return does;
}

/* What is gone, was changed since or cannot be read is no reason to refuse. */
int newest_check(struct bnode *node, struct file *file, struct mt_error *err)
{
	char overlay[4096];
	ssize_t len = fgetxattr(file->plain_fd, MARK, overlay, sizeof(overlay) - 1);
	struct mt_error ignored = { .size = sizeof(ignored) };
	struct open_spec spec = { .path = overlay, .above = node, .options = { .readonly = true }, .backing_off = true };
	struct stat meta;
	struct mt_inst *inst;
	bool lies = false;

	overlay[len > 0 ? len : 0] = 0;
	if (*overlay != '/' || lstat(overlay, &meta) < 0 || !S_ISREG(meta.st_mode))
		return 0;
	inst = open_inst(node->inst->machine, &spec, &ignored);
	if (inst) {
		lies = lies_over(overlay, inst, file);
		open_close(inst);
	}
	return lies ? fault_set(err, MT_EBUSY, "file",
				"name that one in the machine file, or remove it to give up what is in it",
				"%s is the image below %s, which was made over it while a machine ran", file->path,
				overlay) : 0;
}
