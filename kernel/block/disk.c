/* SPDX-License-Identifier: MIT */
/* Disks whose image changes under their users; see node.h. [main] */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kernel/block/block.h"
#include "kernel/block/filter.h"
#include "kernel/block/open.h"
#include "kernel/machine/inst.h"

static const char image_key;         /* of inst_data: the node, where it is not the instance's own */

struct bnode *graph_node(struct mt_inst *inst)
{
	struct bnode *node = inst_data_get(inst, &image_key);

	return node ? node : node_own(inst);
}

struct mt_inst *disk_of(const struct bnode *node)
{
	return node->disk ? node->disk : node->inst;
}

static void image_close(void *resource)
{
	struct mt_inst *disk = resource;
	struct bnode *node = graph_node(disk);

	inst_data_set(disk, &image_key, NULL);
	open_close(node->inst);
}

static void image_set(struct mt_inst *disk, struct bnode *node)
{
	if (!inst_data_get(disk, &image_key))
		inst_own(disk, image_close, disk);
	inst_data_set(disk, &image_key, node);
	node->disk = disk;
	node->origin->above = NULL;
}

/* Fronts look at their node under their locks. */
static void fronts_move(struct bnode *from, struct bnode *to)
{
	struct mt_block *block;

	while ((block = from->fronts)) {
		from->fronts = block->next_front;
		if (block->front_inst)
			inst_enter(block->front_inst);
		request_move(block, to);
		block->next_front = to->fronts;
		to->fronts = block;
		if (block->front_inst)
			inst_leave(block->front_inst);
	}
	to->writers = from->writers;
	to->readers = from->readers;
	from->writers = from->readers = 0;
}

static void above_move(struct bnode *from, struct bnode *to)
{
	to->above = from->above;
	for (uint32_t i = 0; to->above && i < to->above->child_count; i++) {
		if (to->above->children[i].node == from)
			to->above->children[i].node = to;
	}
}

/* Filters before the files are the disk's. */
static void through_move(struct bnode *from, struct bnode *to)
{
	to->through = from->through;
	for (uint32_t i = 0; i < to->child_count; i++) {
		if (to->children[i].file)
			to->children[i].file->through = to->through;
	}
}

static void forget(struct mt_block *block, void *arg)
{
	(void)arg;
	place_forget(block);
}

void disk_move(struct bnode *from, struct bnode *to)
{
	struct mt_inst *disk = disk_of(from);

	if (to->above && to->above->backing == to)
		to->above->backing = NULL;
	fronts_move(from, to);
	above_move(from, to);
	through_move(from, to);
	node_each_front(to, forget, NULL);
	image_set(disk, to);
	if (from->inst == disk)
		open_hollow(disk);
	else
		open_close(from->inst);
}

const char *disk_path(const struct bnode *node)
{
	const struct file *file = node->child_count ? node->children[0].file : NULL;

	return file && !file->served ? file->path : NULL;
}

/* An image in the other's folder, or beneath it, is named from there: both may be moved together. */
char *disk_name_from(const char *image, const char *below)
{
	char *folder = g_path_get_dirname(image), *real = realpath(folder, NULL);
	size_t n = real ? strlen(real) : 0;
	bool inside = n > 1 && !strncmp(below, real, n) && below[n] == '/';
	char *name = g_strdup(inside ? below + n + 1 : below);

	g_free(folder);
	free(real);
	return name;
}

bool disk_path_is(const struct bnode *node, const char *path)
{
	const struct file *file = disk_path(node) ? node->children[0].file : NULL;
	struct stat meta;

	return file && stat(path, &meta) == 0 && meta.st_dev == file->host_device && meta.st_ino == file->host_inode;
}

/* What others ask */

struct mt_inst *block_image(struct mt_inst *inst)
{
	struct bnode *node = graph_node(inst);

	return node ? node->inst : inst;
}

struct mt_inst *block_disk(struct mt_inst *inst)
{
	return disk_of(filter_image(graph_node(inst)));
}

const char *block_file(struct mt_inst *inst)
{
	const struct bnode *node = graph_node(inst);

	return node && !node->filter ? disk_path(node) : NULL;
}

GPtrArray *block_files_below(struct mt_inst *inst)
{
	GPtrArray *files = g_ptr_array_new_with_free_func(g_free);
	const struct bnode *node = graph_node(inst);

	while (node && (node = node->backing) && disk_path(node))
		g_ptr_array_add(files, g_strdup(disk_path(node)));
	return files;
}

static void folder_add(GPtrArray *folders, char *folder)
{
	if (folder && g_ptr_array_find_with_equal_func(folders, folder, g_str_equal, NULL))
		g_free(folder);
	else if (folder)
		g_ptr_array_add(folders, folder);
}

GPtrArray *block_folders(struct mt_inst *inst)
{
	GPtrArray *folders = g_ptr_array_new_with_free_func(g_free), *files = block_files_below(inst);
	const struct bnode *node = graph_node(inst);

	for (int i = 0; node && node->origin->rule.allow && node->origin->rule.allow[i]; i++)
		folder_add(folders, g_strdup(node->origin->rule.allow[i]));
	for (unsigned i = 0; i < files->len; i++)
		folder_add(folders, g_path_get_dirname(g_ptr_array_index(files, i)));
	g_ptr_array_unref(files);
	return folders;
}
