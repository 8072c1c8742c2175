/* SPDX-License-Identifier: MIT */
/*
 * The graph of block nodes of a machine and the two services on it: children for formats, handles for fronts.
 * The graph changes on [main] only, in realize and release. A node has one writer or any number of readers; what
 * another process does to the file is the business of lock.c.
 */
#include <errno.h>
#include <glib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <util/error.h>

#include "kernel/block/block.h"
#include "kernel/block/filter.h"
#include "kernel/block/open.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/loop.h"
#include "kernel/load/note.h"
#include "kernel/machine/services.h"

static const char node_key;          /* its address is the key of inst_data */

/* Nodes */

static void node_put_below(struct bnode *below, bool write)
{
	*(write ? &below->writers : &below->readers) -= 1;
	below->above = NULL;
	if (write)
		node_alone(below);
}

/* Properties that a class may lack keep their defaults. */

static const char *text_of(struct mt_inst *inst, const char *prop, const char *deflt)
{
	const char *text = note_prop_find(inst->cls, prop) ? props_host.get_str(inst, prop) : NULL;

	return text ? text : deflt;
}

static bool bool_of(struct mt_inst *inst, const char *prop, bool deflt)
{
	return note_prop_find(inst->cls, prop) && props_host.present(inst, prop) ?
	       props_host.get_u64(inst, prop) != 0 : deflt;
}

static struct file_options options_of(struct mt_inst *inst)
{
	const char *cache = text_of(inst, "cache", "writeback"), *engine = text_of(inst, "engine", "auto");

	return (struct file_options){
		.readonly = bool_of(inst, "readonly", false),
		.discard = bool_of(inst, "discard", true),
		.locking = bool_of(inst, "locking", true),
		.cache = !strcmp(cache, "none") ? FILE_DIRECT :
			 !strcmp(cache, "unsafe") ? FILE_UNSAFE : FILE_WRITEBACK,
		.engine = !strcmp(engine, "io_uring") ? FILE_ENGINE_URING :
			  !strcmp(engine, "threads") ? FILE_ENGINE_THREADS : FILE_ENGINE_AUTO,
	};
}

/* The folders that the machine file allows the names in an image to reach; none by default. */
static struct borigin *origin_of(struct mt_inst *inst)
{
	struct borigin *origin = open_origin(inst);
	GPtrArray *items, *allow;
	const char *path;

	if (origin)
		return origin;
	origin = g_new0(struct borigin, 1);
	items = section_get_list(inst->section, "allow");
	allow = g_ptr_array_new_with_free_func(g_free);
	for (unsigned i = 0; i < items->len; i++) {
		const struct config_item *item = g_ptr_array_index(items, i);

		g_ptr_array_add(allow, g_canonicalize_filename(item->text, item->key->dir));
	}
	g_ptr_array_add(allow, NULL);
	path = text_of(inst, "file", "disk");
	names_rule_init(&origin->rule, path, (const char *const *)allow->pdata, false);
	origin->name = g_strdup(inst->id);
	g_ptr_array_unref(allow);
	g_ptr_array_unref(items);
	return origin;
}

static void origin_free(struct borigin *origin)
{
	names_rule_fini(&origin->rule);
	g_free(origin->name);
	g_free(origin->below_name);
	g_free(origin->below_format);
	g_free(origin->path);
	g_free(origin);
}

void node_backing_close(struct bnode *node)
{
	struct bnode *below = node->backing;

	node->backing = NULL;
	if (below && below->origin->above)
		open_close(below->inst);
	else if (below)
		node_put_below(below, false);
}

static void node_release(void *resource)
{
	struct bnode *node = resource;

	inst_data_set(node->inst, &node_key, NULL);
	filter_delays_destroy(node->delays);
	node_fini(node);
	for (uint32_t i = 0; i < node->child_count; i++) {
		file_close(node->children[i].file);
		if (node->children[i].node)
			node_put_below(node->children[i].node, !(node->info.flags & MT_BLOCK_INFO_READONLY));
	}
	node_backing_close(node);
	g_free(node->children);
	origin_free(node->origin);
	g_free(node);
}

const char *node_name(const struct bnode *node)
{
	return node->origin->name;
}

struct bnode *node_of_inst(struct mt_inst *inst)
{
	struct bnode *node = inst_data_get(inst, &node_key);
	struct mt_inst *filter;

	if (node)
		return node;
	node = g_new0(struct bnode, 1);
	node_init(node);
	node->inst = inst;
	node->workers = loop_workers(inst->loop);
	node->self = inst->self;
	node->format = inst_role(inst, MT_IFACE_BLOCK_FORMAT);
	node->filter = inst_role(inst, MT_IFACE_BLOCK_FILTER);
	if (node->filter) {
		node->format = &filter_format;
		node->self = node;
		node->filter_self = inst->self;
		node->delays = filter_delays_create(node, inst->loop);
	}
	node->exclusive = node->alone = true;    /* realize is one */
	node->asleep = node->format && node->format->wake;
	node->origin = origin_of(inst);
	filter = note_prop_find(inst->cls, "through") ? inst_ref(inst, "through") : NULL;
	node->through = filter ? node_of_inst(filter) : NULL;
	inst_data_set(inst, &node_key, node);
	inst_own(inst, node_release, node);
	return node;
}

struct bnode *node_own(struct mt_inst *inst)
{
	return inst_data_get(inst, &node_key);
}

void node_end(struct bnode *node)
{
	inst_disown(node->inst, node);
	node_release(node);
}

struct file_options node_options(struct bnode *node)
{
	return node->origin->opened ? node->origin->options : options_of(node->inst);
}

int node_info(struct bnode *node, struct mt_error *err)
{
	node->info = (struct mt_block_info){ .size = sizeof(node->info), .block_bytes = 512, .physical_bytes = 512 };
	if (filter_is_loose(node))
		return mt_error_set(err, MT_ENOENT, "child", "%s lies over no disk", node_name(node));
	if (!node->format || !node->format->map || !node->format->info)
		return mt_error_set(err, MT_ENOTSUP, NULL, "%s is no disk", node_name(node));
	node->format->info(node->self, &node->info);
	if (node->info.block_bytes < 512 || node->info.block_bytes & (node->info.block_bytes - 1))
		return mt_error_set(err, MT_EINVAL, NULL, "%s gives an illegal block size", node_name(node));
	if (node->format->reserve && (!node->format->commit || !node->format->abort))
		return mt_error_set(err, MT_EINVAL, NULL, "%s reserves space and does not take it", node_name(node));
	node->exclusive = node->alone = false;
	return 0;
}

static int node_claim(struct bnode *node, bool write, struct mt_error *err)
{
	if (node->writers || (write && node->readers)) {
		mt_error_set(err, MT_EBUSY, NULL, "%s is in use by another section", node->inst->id);
		mt_error_hint(err, "a disk has one writer, or readers only");
		return MT_EBUSY;
	}
	*(write ? &node->writers : &node->readers) += 1;
	return 0;
}

/* Children */

static void child_info_fill(struct mt_block_child_info *out, const struct file *file, const struct bnode *below)
{
	struct mt_block_child_info info = { .size = sizeof(info) };

	if (file) {
		info.child_bytes = file->len_bytes;
		info.block_bytes = file->block_bytes;
		info.physical_bytes = file->physical_bytes;
		info.flags = file->options.readonly ? MT_BLOCK_INFO_READONLY : 0;
		info.flags |= file->device ? 0 : MT_BLOCK_CHILD_GROWS;
		/* what a filter sees stays what the format means to write */
		if (file->options.cache == FILE_DIRECT && !file->device && !file->through)
			info.flags |= MT_BLOCK_CHILD_SLOW_END;
		if (file->options.cache != FILE_UNSAFE)
			info.flags |= MT_BLOCK_INFO_VOLATILE;
	} else {
		info.child_bytes = below->info.disk_bytes;
		info.block_bytes = below->info.block_bytes;
		info.physical_bytes = below->info.physical_bytes;
		info.flags = below->info.flags;
	}
	info.size = MIN(out->size, info.size);
	memcpy(out, &info, info.size);
}

static int below_open(struct bnode *node, const char *prop, bool write, struct bnode **out, struct mt_error *err)
{
	struct mt_inst *inst = inst_ref(node->inst, prop);
	struct bnode *below;
	int rc;

	if (!inst)
		return MT_ENOENT;
	below = node_of_inst(inst);
	rc = node->filter && filter_is_loose(below) ? 0 : node_info(below, err);
	if (rc == 0)
		rc = node_claim(below, write && !(below->info.flags & MT_BLOCK_INFO_READONLY), err);
	if (rc < 0)
		return rc;
	below->above = node;
	*out = below;
	return 0;
}

static struct bchild *child_next(struct bnode *node, const char *culprit, struct mt_error *err)
{
	if (node->child_count == BNODE_CHILDREN_MAX) {
		mt_error_set(err, MT_ERANGE, culprit, "the image has more files than %u", BNODE_CHILDREN_MAX);
		return NULL;
	}
	node->children = g_renew(struct bchild, node->children, node->child_count + 1);
	node->children[node->child_count] = (struct bchild){ 0 };
	return &node->children[node->child_count];
}

int32_t node_child_add(struct bnode *node, struct file *file, struct mt_error *err)
{
	struct bchild *child = child_next(node, "file", err);

	if (!child) {
		file_close(file);
		return MT_ERANGE;
	}
	file->through = node->through;
	child->file = file;
	return (int32_t)node->child_count++;
}

static int32_t child_open(struct mt_inst *inst, const char *prop, struct mt_block_child_info *out,
			  struct mt_error *err)
{
	const struct note_prop *note = note_prop_find(inst->cls, prop);
	struct bnode *node = node_of_inst(inst);
	struct file_options options = node_options(node);
	struct bchild *child = child_next(node, prop, err);
	int rc;

	if (!child)
		return MT_ERANGE;
	node->engine = options.engine;
	if (note && note->type == MT_PROP_REF) {
		rc = below_open(node, prop, !options.readonly, &child->node, err);
		if (rc < 0)
			return rc;
	} else {
		const char *path = node->origin->opened ? node->origin->path : text_of(inst, prop, NULL);

		if (!path)
			return MT_ENOENT;
		child->file = file_open(path, &options, err);
		if (!child->file)
			return err && err->code ? err->code : MT_EIO;
		child->file->through = node->through;
		rc = node->origin->opened || options.readonly ? 0 : newest_check(node, child->file, err);
		if (rc < 0) {
			file_close(child->file);
			return rc;
		}
	}
	child_info_fill(out, child->file, child->node);
	return (int32_t)node->child_count++;
}

static int32_t child_open_name(struct mt_inst *inst, const char *name, struct mt_block_child_info *out,
			       struct mt_error *err)
{
	struct bnode *node = node_of_inst(inst);
	struct file_options options = node_options(node);
	struct bchild *child = child_next(node, "file", err);
	struct name_found found;
	int rc = child ? names_find(node, name, NAME_PART, &found, err) : MT_ERANGE;

	if (rc < 0)
		return rc;
	options.folder = found.folder;
	options.fd = 0;
	child->file = file_open(found.path, &options, err);
	names_found_fini(&found);
	if (!child->file)
		return err && err->code ? err->code : MT_EIO;
	child->file->through = node->through;
	child_info_fill(out, child->file, NULL);
	return (int32_t)node->child_count++;
}

/* The image that an image names as the one below: as readable as the rule of names has it, and read only. */
static int below_named(struct bnode *node, const char *name, const char *format, struct mt_error *err)
{
	struct open_spec spec = { .format = format, .above = node, .rule = &node->origin->rule };
	struct mt_inst *inst;
	struct name_found found;
	int rc = names_find(node, name, NAME_BACKING, &found, err);

	if (rc < 0)
		return rc;
	spec.path = found.path;
	spec.options = node_options(node);
	spec.options.readonly = !node->origin->backing_write && !node->origin->below_write;
	spec.options.folder = found.folder;
	spec.options.fd = 0;
	spec.backing_write = node->origin->backing_write;
	spec.below_any = spec.deeper_any = node->origin->below_any || node->origin->deeper_any;
	inst = open_inst(node->inst->machine, &spec, err);
	names_found_fini(&found);
	node->origin->below_failed = !inst;
	if (!inst)
		return err && err->code ? err->code : MT_EIO;
	node->backing = node_own(inst);
	node->backing->above = node;
	if (!node->origin->below_name) {
		node->origin->below_name = g_strdup(name);
		node->origin->below_format = g_strdup(format);
	}
	return 0;
}

/* One descriptor's locks are in the way of another's, so the old one goes first. */
int node_backing_change(struct bnode *node, const char *name, const char *format, bool write, struct mt_error *err)
{
	struct borigin *origin = node->origin;
	struct mt_error again = { .size = sizeof(again) };
	char *old_name = origin->below_name, *old_format = origin->below_format;
	bool before = origin->below_write;
	int rc;

	node_backing_close(node);
	origin->below_name = origin->below_format = NULL;
	origin->below_write = write;
	rc = below_named(node, name, format, err);
	if (rc < 0) {
		origin->below_write = before;
		if (below_named(node, old_name, old_format, &again) < 0)
			node->backing_closed = true;       /* reads of it fail from now on: zeros would be wrong */
	}
	g_free(old_name);
	g_free(old_format);
	return rc;
}

static int32_t backing_open(struct mt_inst *inst, const char *name, const char *format,
			    struct mt_block_child_info *out, struct mt_error *err)
{
	struct bnode *node = node_of_inst(inst);
	int rc = below_open(node, "backing", false, &node->backing, err);

	if (rc == MT_ENOENT && name && node->origin->backing_off) {
		struct mt_block_child_info info = { .size = MIN(out->size, sizeof(info)), .flags = MT_BLOCK_CHILD_CLOSED };

		node->backing_closed = true;
		memcpy(out, &info, info.size);
		return 0;
	}
	if (rc == MT_ENOENT && name && *name) {
		rc = below_named(node, name, format, err);
		/* a file that is not there; the format would take the code for "there is none", and say other words */
		if (rc == MT_ENOENT) {
			rc = MT_EINVAL;
			err->code = rc;
		}
	}
	if (rc == 0)
		child_info_fill(out, NULL, node->backing);
	return rc;
}

static struct file *child_file(struct mt_inst *inst, uint32_t child)
{
	struct bnode *node = inst_data_get(inst, &node_key);

	return node && child < node->child_count ? node->children[child].file : NULL;
}

static int32_t child_read(struct mt_inst *inst, uint32_t child, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct file *file = child_file(inst, child);

	return file ? file_read(file, offset, buf, len_bytes) : MT_ENOTSUP;
}

/*
 * `rc` of a call on a child that began with errno 0. For exclusive operations, whose caller has words for the user:
 * they are alone with the node.
 */
static int32_t noted(struct mt_inst *inst, const struct file *file, int32_t rc, enum refused what, uint64_t bytes)
{
	struct bnode *node = inst_data_get(inst, &node_key);

	if (rc < 0 && __atomic_load_n(&node->exclusive, __ATOMIC_RELAXED))
		refusal_note(&node->refusal, file->path, rc, errno, what, bytes);
	return rc;
}

static int32_t child_write(struct mt_inst *inst, uint32_t child, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct file *file = child_file(inst, child);

	errno = 0;
	return file ? noted(inst, file, file_write(file, offset, buf, len_bytes), REFUSED_WRITE, len_bytes) :
	       MT_ENOTSUP;
}

static int32_t child_flush(struct mt_inst *inst, uint32_t child)
{
	struct file *file = child_file(inst, child);

	return file ? file_flush(file) : MT_ENOTSUP;
}

static int32_t child_resize(struct mt_inst *inst, uint32_t child, uint64_t len_bytes)
{
	struct file *file = child_file(inst, child);

	errno = 0;
	return file ? noted(inst, file, file_resize(file, len_bytes), REFUSED_LENGTH, len_bytes) : MT_ENOTSUP;
}

static int32_t child_allocate(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes, uint32_t mode)
{
	struct file *file = child_file(inst, child);

	if (!file)
		return MT_ENOTSUP;
	if (mode == MT_BLOCK_PREALLOC_METADATA && !file->device)
		return 0;
	errno = 0;
	return noted(inst, file, file_allocate(file, offset, len_bytes, mode == MT_BLOCK_PREALLOC_FULL), REFUSED_SPACE,
		     offset + len_bytes);
}

static uint64_t child_bytes(struct mt_inst *inst, uint32_t child)
{
	struct file *file = child_file(inst, child);

	return file ? file_bytes(file) : 0;
}

static void child_discard(struct mt_inst *inst, uint32_t child, uint64_t offset, uint64_t len_bytes)
{
	struct file *file = child_file(inst, child);

	if (file && file->options.discard)
		file_punch(file, offset, len_bytes);
}

static void invalidate(struct mt_inst *inst, uint64_t offset, uint64_t len_bytes)
{
	struct bnode *node = inst_data_get(inst, &node_key);

	if (node)
		node_invalidate(node, offset, len_bytes);
}

static int32_t retire(struct mt_inst *inst, const struct mt_block_space *space)
{
	struct bnode *node = inst_data_get(inst, &node_key);

	return node ? node_retire(node, space) : MT_EGONE;
}

static void map_ready(struct mt_inst *inst)
{
	struct bnode *node = inst_data_get(inst, &node_key);

	if (node)
		node_ready(node);
}

static void node_changed(struct mt_inst *inst)
{
	struct bnode *node = inst_data_get(inst, &node_key);

	if (node)
		node_refresh(node);
}

/* Fronts look at the size with each request, and hear of it on their own loops; a filter is as long as its disk. */
void node_refresh(struct bnode *node)
{
	node->format->info(node->self, &node->info);
	for (struct mt_block *block = node->fronts; block; block = block->next_front) {
		if (block->changed)
			loop_host.deferred_post(block->changed);
	}
	if (node->above && filter_disk(node->above) == node)
		node_refresh(node->above);
}

static int32_t backing_fact(struct mt_inst *inst, const char *name, char *out, uint32_t out_bytes)
{
	const struct bnode *node = inst_data_get(inst, &node_key);

	return node ? node_backing_fact(node, name, out, out_bytes) : MT_ENOENT;
}

const struct mt_block_node block_node_host = {
	.child_open = child_open,
	.child_open_name = child_open_name,
	.backing_open = backing_open,
	.child_read = child_read,
	.child_write = child_write,
	.child_flush = child_flush,
	.child_resize = child_resize,
	.child_allocate = child_allocate,
	.child_bytes = child_bytes,
	.child_discard = child_discard,
	.retire = retire,
	.node_changed = node_changed,
	.backing_fact = backing_fact,
	.invalidate = invalidate,
	.map_ready = map_ready,
};

/* Fronts */

static void tell_front(struct mt_block *block)
{
	if (block->done.count)
		block->front->ready(block->front_self);
}

/* [io] under the front's lock */
static void engine_event(void *arg, uint32_t events)
{
	struct mt_block *block = arg;
	eventfd_t count;

	(void)events;
	(void)!eventfd_read(block->engine->event_fd, &count);
	block->engine->ops->disarm(block->engine);
	request_look(block);
	tell_front(block);
}

static void changed_event(void *arg)
{
	struct mt_block *block = arg;

	if (block->front->changed)
		block->front->changed(block->front_self);
}

/* The last writer leaves the image in order. */
static void front_release(void *resource)
{
	struct mt_block *block = resource, **link = &block->node->fronts;
	struct bnode *node = block->node;
	bool write = block->write, last = true;

	while (*link && *link != block)
		link = &(*link)->next_front;
	if (*link)
		*link = block->next_front;
	for (const struct mt_block *other = node->fronts; other; other = other->next_front)
		last = last && other->front_inst != block->front_inst;
	if (last)
		*(write ? &node->writers : &node->readers) -= 1;
	request_close(block);
	if (!write || !last)
		return;
	if (node_settle(node) < 0)
		log_message(node->inst->machine, node->inst, MT_LOG_ERROR,
			    "the last changes could not be written: the image may be damaged");
	node_alone(node);
}

static bool front_watch(struct mt_block *block)
{
	struct mt_inst *inst = block->front_inst;

	block->changed = loop_host.deferred_create(inst, changed_event, block);
	return block->changed && loop_host.watch_add(inst, block->engine->event_fd, MT_FD_READ, engine_event, block);
}

/* An instance with several handles on a node counts once. */
static bool front_known(const struct bnode *node, const struct mt_inst *inst)
{
	for (const struct mt_block *block = node->fronts; block; block = block->next_front) {
		if (block->front_inst == inst)
			return true;
	}
	return false;
}

static struct mt_block *front_open(struct mt_inst *inst, const char *prop, uint32_t write,
				   const struct mt_block_front *front, void *self, struct mt_error *err)
{
	struct mt_inst *below = inst_ref(inst, prop);
	struct mt_block *block;
	struct bnode *node;
	bool known;

	if (!below) {
		mt_error_set(err, MT_ENOENT, prop, "no disk is named");
		return NULL;
	}
	node = node_of_inst(below);
	if (node_info(node, err) < 0)
		return NULL;
	write = write && !(node->info.flags & MT_BLOCK_INFO_READONLY);
	known = front_known(node, inst);
	if (!known && node_claim(node, write, err) < 0)
		return NULL;
	block = request_open(node, write, err);
	if (!block) {
		if (!known)
			*(write ? &node->writers : &node->readers) -= 1;
		return NULL;
	}
	block->front_inst = inst;
	policy_init(block);
	block->front = front;
	block->front_self = self;
	block->next_front = node->fronts;
	node->fronts = block;
	inst_own(inst, front_release, block);      /* before the watch: it is released after it */
	if (!front_watch(block)) {
		mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
		return NULL;
	}
	return block;
}

static void front_info(struct mt_block *block, struct mt_block_info *out)
{
	struct mt_block_info info = block->node->info;

	info.size = MIN(out->size, sizeof(info));
	if (!block->write)
		info.flags |= MT_BLOCK_INFO_READONLY;
	memcpy(out, &info, info.size);
}

static uint32_t front_in_flight(struct mt_block *block)
{
	return request_in_flight(block);
}

const struct mt_block_host block_host = {
	.open = front_open,
	.info = front_info,
	.submit = request_submit,
	.reap = request_reap,
	.drain = request_drain,
	.in_flight = front_in_flight,
	.failed = policy_failed,
};
