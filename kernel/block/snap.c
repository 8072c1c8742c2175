/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of disks; see snap.h. An overlay's file is whole and durable before the guest is held. While it is held the
 * image is settled, and opened a second time, to be read, as the one below the overlay; only then the first open of it
 * ends. So up to the last step, which cannot fail, everything can be taken back, and a crash at any time leaves the
 * old image whole.
 */
#include "kernel/block/snap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/block/block.h"
#include "kernel/block/filter.h"
#include "kernel/block/lock.h"
#include "kernel/block/maker.h"
#include "kernel/block/open.h"
#include "kernel/machine/clock.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"

static const struct mt_block_snapshots *role_of(const struct bnode *node)
{
	return inst_role(node->inst, MT_IFACE_BLOCK_SNAPSHOTS);
}

static int usable(const struct bnode *node, const char *device, struct mt_error *err)
{
	if (node->busy)
		return fault_set(err, MT_EBUSY, NULL, "cancel it, or wait for it", "%s: a job works on it", device);
	if (node->info.flags & MT_BLOCK_INFO_READONLY || !node->writers)
		return fault_set(err, MT_EPERM, NULL, NULL, "%s is only read", device);
	return 0;
}

/* The snapshot that is meant, or MT_ENOENT. */
static int find(const struct bnode *node, const char *id, const char *name, struct mt_block_snapshot *out)
{
	const struct mt_block_snapshots *role = role_of(node);
	uint32_t count = role && role->count ? role->count(node->self) : 0;

	for (uint32_t i = 0; i < count; i++) {
		*out = (struct mt_block_snapshot){ .size = sizeof(*out) };
		if (role->get(node->self, i, out) == 0 && (!id || !strcmp(out->id, id)) && (!name || !strcmp(out->name, name)))
			return (int)i;
	}
	return MT_ENOENT;
}

/* Looking, before anything is done */

static int internal_check(const struct snap *s, struct mt_error *err)
{
	const struct mt_block_snapshots *role = role_of(s->node);
	struct mt_block_snapshot other;

	if (!role || !role->create || !role->remove)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: an image of this format holds no snapshots", s->device);
	if (!*s->name || strlen(s->name) >= sizeof(other.name))
		return fault_set(err, MT_EINVAL, "name", NULL, "%s: that is no name for a snapshot", s->device);
	if (find(s->node, NULL, s->name, &other) >= 0)
		return fault_set(err, MT_EINVAL, "name", NULL, "%s has a snapshot '%s' already", s->device, s->name);
	return 0;
}

/* What an overlay can name: a file, and images below it that are found by their names again. */
static int overlay_check(const struct snap *s, struct mt_error *err)
{
	const struct file *file = disk_path(s->node) ? s->node->children[0].file : NULL;
	struct stat meta;

	if (!file || file->device)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the disk is no image file, and no image can name it", s->device);
	for (const struct bnode *n = s->node; n->backing; n = n->backing) {
		if (!n->backing->origin->opened)
			return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the disk below is the section %s, which no image can name",
					 s->device, n->backing->inst->id);
	}
	if (s->existing || stat(s->path, &meta) < 0 || (S_ISREG(meta.st_mode) && meta.st_size == 0))
		return 0;
	return fault_set(err, MT_EINVAL, "snapshot-file", "an image that is made for it is taken with mode existing",
			 "%s is there already", s->path);
}

static int check(struct snap *snaps, unsigned count, struct mt_error *err)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && i < count; i++) {
		struct snap *s = &snaps[i];

		s->node = filter_image(graph_node(s->inst));
		rc = usable(s->node, s->device, err);
		if (rc == 0)
			rc = s->name ? internal_check(s, err) : overlay_check(s, err);
		for (unsigned k = 0; rc == 0 && k < i; k++) {
			if (snaps[k].node == s->node)
				rc = fault_set(err, MT_EINVAL, NULL, NULL, "%s is named twice", s->device);
		}
	}
	return rc;
}

/* Files */

static int sync_at(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC), rc = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return rc;
}

static int make_durable(const char *path, struct mt_error *err)
{
	char *folder = g_path_get_dirname(path);
	int rc = sync_at(path, O_RDONLY);

	if (rc == 0)
		rc = sync_at(folder, O_RDONLY | O_DIRECTORY);
	g_free(folder);
	return rc == 0 ? 0 : fault_set(err, MT_EIO, "snapshot-file", NULL, "%s cannot be stored: %s", path, g_strerror(-rc));
}

static int file_make(struct snap *s, struct mt_error *err)
{
	struct mt_inst *inst = s->node->inst;
	char *real = realpath(disk_path(s->node), NULL), *name = real ? disk_name_from(s->path, real) : NULL;
	char *format = open_format_name(inst->cls);
	struct image_want want = {
		.path = s->path, .format = s->format, .backing_path = real,
		.create = { .size = sizeof(want.create), .disk_bytes = s->node->info.disk_bytes, .backing = name,
			    .backing_format = format },
	};
	struct mt_block_maker *maker = real ? maker_begin(inst->machine, &want, err) : NULL;
	int rc = maker ? maker_finish(maker, err) : real ? err->code :
		 fault_set(err, MT_ENOENT, NULL, NULL, "%s: its file %s is no longer there", s->device, disk_path(s->node));

	s->made = rc == 0;
	if (rc == 0)
		rc = make_durable(s->path, err);
	g_free(format);
	g_free(name);
	free(real);
	return rc < 0 || s->made ? rc : MT_EIO;
}

/* With the guest held */

static void share(const struct bnode *node, void (*fn)(int fd))
{
	for (uint32_t i = 0; i < node->child_count; i++) {
		if (node->children[i].file->options.locking)
			fn(node->children[i].file->plain_fd);
	}
}

static int over_check(const struct snap *s, struct mt_error *err)
{
	const struct bnode *over = s->over, *below = over->backing, *node = s->node;

	if (!below || !disk_path_is(below, disk_path(node)) || below->inst->cls != node->inst->cls)
		return fault_set(err, MT_EINVAL, "snapshot-file", NULL, "%s does not have %s below it", s->path, disk_path(node));
	if (below->info.disk_bytes != node->info.disk_bytes)
		return fault_set(err, MT_ENOTSUP, NULL, NULL, "%s: the disk is a part of its file only, and no image can name it",
				 s->device);
	if (over->info.disk_bytes != node->info.disk_bytes || over->info.block_bytes > node->info.block_bytes)
		return fault_set(err, MT_EINVAL, "snapshot-file", NULL, "%s has another size than the disk, or larger sectors",
				 s->path);
	return 0;
}

/* Real paths of the images that the disk has: the overlay's chain. */
static GPtrArray *chain_of(const struct bnode *node)
{
	GPtrArray *files = g_ptr_array_new_with_free_func(free);

	for (; node && disk_path(node); node = node->backing) {
		char *real = realpath(disk_path(node), NULL);

		if (real)
			g_ptr_array_add(files, real);
	}
	g_ptr_array_add(files, NULL);
	return files;
}

static int over_open(struct snap *s, struct mt_error *err)
{
	GPtrArray *known = chain_of(s->node);
	struct open_spec spec = {
		.path = s->path, .format = s->format, .options = node_options(s->node), .rule = &s->node->origin->rule,
		.known = (char **)known->pdata, .rank = disk_of(s->node)->rank,
	};
	struct mt_inst *inst;

	spec.options.folder = NULL;
	share(s->node, lock_share);
	inst = open_inst(s->node->inst->machine, &spec, err);
	s->over = inst ? node_own(inst) : NULL;
	g_ptr_array_unref(known);
	return inst ? over_check(s, err) : err->code ? err->code : MT_EIO;
}

static int internal_make(struct snap *s, struct mt_error *err)
{
	struct mt_block_snapshot what = { .size = sizeof(what), .icount = UINT64_MAX };
	const struct machine *m = s->node->inst->machine;
	int64_t now_us = g_get_real_time();
	int rc;

	g_strlcpy(what.name, s->name, sizeof(what.name));
	what.date_sec = (uint64_t)now_us / 1000000;
	what.date_nsec = (uint64_t)now_us % 1000000 * 1000;
	what.vm_clock_ns = m->clock ? clock_guest_ns(m->clock) : 0;
	s->kept = true;                          /* an error may come when it is in the image already */
	node_enter(s->node);
	rc = role_of(s->node)->create(s->node->self, &what, err);
	node_leave(s->node);
	return rc;
}

static int begin(struct snap *s, struct mt_error *err)
{
	int rc = exclusive_begin(s->node);

	s->begun = rc == 0;
	return rc == 0 ? 0 : fault_set(err, rc, NULL, NULL, "%s: what was written before cannot be stored", s->device);
}

static int act(struct snap *s, struct mt_error *err)
{
	int rc;

	err->message[0] = 0;
	rc = s->name ? internal_make(s, err) : over_open(s, err);
	if (rc < 0 && !*err->message)
		fault_set(err, rc, NULL, NULL, "%s: the snapshot cannot be taken (%d)", s->device, rc);
	return rc;
}

static int32_t index_remove(struct bnode *node, int index, struct mt_error *err)
{
	int32_t rc;

	node_enter(node);
	rc = role_of(node)->remove(node->self, (uint32_t)index, err);
	node_leave(node);
	return rc;
}

static void undo(struct snap *s)
{
	struct mt_error ignored = { .size = sizeof(ignored) };
	struct mt_block_snapshot made;
	int index = s->kept ? find(s->node, NULL, s->name, &made) : -1;

	if (s->over)
		open_close(s->over->inst);
	if (s->begun && !s->name)
		share(s->node, lock_own);
	if (index >= 0)
		(void)index_remove(s->node, index, &ignored);
	if (s->begun)
		(void)exclusive_end(s->node, 0);
	if (s->made)
		unlink(s->path);
}

static void keep(struct snap *s)
{
	if (s->over) {
		newest_mark(s->node, s->path);
		disk_move(s->node, s->over);
	}
	(void)exclusive_end(s->over ? s->over : s->node, 0);
}

/* All are held before the first is taken: what one disk has of that moment, the others have too. */
int snap_take(struct snap *snaps, unsigned count, struct mt_error *err)
{
	int rc = check(snaps, count, err);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = snaps[i].name || snaps[i].existing ? 0 : file_make(&snaps[i], err);
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = begin(&snaps[i], err);
	for (unsigned i = 0; rc == 0 && i < count; i++)
		rc = act(&snaps[i], err);
	for (unsigned i = count; i-- > 0;)
		rc == 0 ? keep(&snaps[i]) : undo(&snaps[i]);
	return rc;
}

int snap_remove(struct mt_inst *inst, const char *device, const char *id, const char *name,
		struct mt_block_snapshot *out, struct mt_error *err)
{
	struct bnode *node = filter_image(graph_node(inst));
	int rc = usable(node, device, err), index = rc < 0 ? -1 : find(node, id, name, out);

	if (rc < 0)
		return rc;
	if (index < 0)
		return fault_set(err, MT_EINVAL, NULL, NULL, "%s has no snapshot '%s'", device, name ? name : id);
	rc = exclusive_begin(node);
	if (rc < 0)
		return fault_set(err, rc, NULL, NULL, "%s: what was written before cannot be stored", device);
	err->message[0] = 0;
	rc = exclusive_end(node, index_remove(node, index, err));
	if (rc < 0 && !*err->message)
		fault_set(err, rc, NULL, NULL, "%s: the snapshot cannot be removed (%d)", device, rc);
	return rc;
}
