/* SPDX-License-Identifier: MIT */
/*
 * Which files the disks are, and whether they changed; see disk.h. A file is known by device and inode, a change by
 * its length and time. A copy that keeps the time (cp -p) is taken for what it was copied from.
 */
#include "kernel/state/disk.h"

#include <string.h>
#include <sys/stat.h>

#include "kernel/block/block.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"

#define NS_PER_S 1000000000u
#define BELOW    "below"               /* in place of a key: a file that an image names */

/* Block devices have no time that tells of writes, and no length here. */
static bool look_at(const char *path, struct manifest_disk *now)
{
	struct stat st;

	if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	now->bytes = (uint64_t)st.st_size;
	now->device = st.st_dev & INT64_MAX;
	now->inode = st.st_ino & INT64_MAX;
	now->mtime_ns = ((uint64_t)st.st_mtim.tv_sec * NS_PER_S + (uint64_t)st.st_mtim.tv_nsec) & INT64_MAX;
	return true;
}

/* Takes `path`. */
static void path_note(const struct mt_inst *inst, const char *key, char *path, struct manifest *man)
{
	struct manifest_disk now = { 0 }, *disk;

	if (!look_at(path, &now)) {
		g_free(path);
		return;
	}
	disk = manifest_add_disk(man, inst->id, key);
	now.id = disk->id;
	now.key = disk->key;
	now.path = path;
	*disk = now;
}

static void key_note(const struct mt_inst *inst, const struct config_key *key, struct manifest *man)
{
	const struct note_prop *prop = note_prop_find(inst->cls, key->name);

	if (prop && prop->type == MT_PROP_PATH)
		path_note(inst, key->name, key_path(key), man);
}

static void disk_note(struct mt_inst *inst, struct manifest *man)
{
	GPtrArray *below = block_files_below(inst);

	for (unsigned k = 0; block_image(inst) == inst && k < inst->section->keys->len; k++)
		key_note(inst, g_ptr_array_index(inst->section->keys, k), man);
	if (block_image(inst) != inst)
		path_note(inst, "file", g_strdup(block_file(inst)), man);
	for (unsigned i = 0; i < below->len; i++)
		path_note(inst, BELOW, g_strdup(g_ptr_array_index(below, i)), man);
	g_ptr_array_unref(below);
}

void disks_note(const struct machine *m, struct manifest *man)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (inst->cls->kind == MT_KIND_BLOCK)
			disk_note(inst, man);
	}
}

int disk_unchanged(const struct manifest_disk *disk, const char *path, bool *other, struct mt_error *err)
{
	struct manifest_disk now;
	bool there = look_at(path, &now);
	bool written = there && (now.bytes != disk->bytes || now.mtime_ns != disk->mtime_ns);

	*other = !there || now.device != disk->device || now.inode != disk->inode;
	if (*other || !written) {
		*other = *other && (written || !there);
		return 0;
	}
	return fault_set(err, MT_EINVAL, disk->id,
			 "set another file, a copy from when the snapshot was taken; see SNAPSHOTS in mortise(1)",
			 "%s was written after the snapshot was taken: the disk '%s' is no longer what the guest knows",
			 path, disk->id);
}

/* What lies below the file of the snapshot; another file may lie over others. */
static char *below_path(const struct mt_inst *inst, const struct manifest *man, const struct manifest_disk *below)
{
	const struct config_key *key = section_get(inst->section, "file");
	char *path = key ? key_path(key) : NULL, *found = NULL;

	for (unsigned i = 0; path && i < man->disks->len; i++) {
		const struct manifest_disk *disk = g_ptr_array_index(man->disks, i);

		if (!strcmp(disk->id, below->id) && !strcmp(disk->key, "file") && !strcmp(disk->path, path))
			found = g_strdup(below->path);
	}
	g_free(path);
	return found;
}

static char *path_now(const struct mt_inst *inst, const struct manifest *man, const struct manifest_disk *disk)
{
	const struct config_key *key = inst ? section_get(inst->section, disk->key) : NULL;

	if (inst && !strcmp(disk->key, BELOW))
		return below_path(inst, man, disk);
	return key ? key_path(key) : NULL;
}

int disks_check(struct machine *m, const struct manifest *man, struct mt_error *err)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < man->disks->len; i++) {
		const struct manifest_disk *disk = g_ptr_array_index(man->disks, i);
		const struct mt_inst *inst = machine_find(m, disk->id);
		char *path = path_now(inst, man, disk);
		bool other = false;

		if (path)
			code = disk_unchanged(disk, path, &other, err);
		if (other)
			log_message(m, inst, MT_LOG_WARN, "%s is not the file that the snapshot was taken with, nor a "
				    "copy of the same time: it must have the same contents", path);
		g_free(path);
	}
	return code;
}
