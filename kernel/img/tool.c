/* SPDX-License-Identifier: MIT */
/* Images without a machine; see tool.h. A machine of no sections lends its loop, workers and source of classes. */
#include "kernel/img/img.h"

#include <string.h>
#include <sys/resource.h>
#include <util/error.h>

#include "kernel/block/open.h"
#include "kernel/block/request.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/services.h"

struct tool {
	struct machine m;
};

/* An image in many files needs as many descriptors. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = MIN(limit.rlim_max, 65536);
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct tool *tool_create(struct registry *registry, struct mt_error *err)
{
	struct tool *tool = g_new0(struct tool, 1);
	struct machine *m = &tool->m;

	inst_thread_set(MT_THREAD_MAIN);
	descriptors_raise();
	m->insts = g_ptr_array_new();
	m->log.level = MT_LOG_INFO;
	pthread_mutex_init(&m->log.lock, NULL);
	m->source = machine_source_create(registry);
	m->loop = loop_create_lazy("tool");
	if (m->loop)
		return tool;
	fault_set(err, MT_EHOST, NULL, NULL, "no descriptor is left for the work");
	tool_destroy(tool);
	return NULL;
}

void tool_destroy(struct tool *tool)
{
	if (tool->m.loop)
		loop_destroy(tool->m.loop);
	tool->m.source->destroy(tool->m.source);
	g_ptr_array_unref(tool->m.insts);
	pthread_mutex_destroy(&tool->m.log.lock);
	g_free(tool);
}

/* Images */

static void filters_close(struct tool *tool, GPtrArray *filters)
{
	for (unsigned i = filters->len; i-- > 0;) {
		struct mt_inst *inst = g_ptr_array_index(filters, i);

		g_ptr_array_remove(tool->m.insts, inst);
		open_close(inst);
	}
	g_ptr_array_unref(filters);
}

/* NULL with `err`. */
static GPtrArray *filters_open(struct tool *tool, const char *const *texts, struct mt_error *err)
{
	GPtrArray *filters = g_ptr_array_new();
	const struct mt_inst *below = NULL;

	for (guint i = texts ? g_strv_length((char **)texts) : 0; i-- > 0;) {
		GPtrArray *words = img_split(texts[i]);
		struct mt_inst *inst;

		g_ptr_array_add(words, NULL);
		inst = open_filter(&tool->m, words->pdata[0] ? words->pdata[0] : "", (char *const *)words->pdata + 1,
				   below ? below->id : NULL, err);
		g_ptr_array_unref(words);
		if (!inst) {
			filters_close(tool, filters);
			return NULL;
		}
		g_ptr_array_add(filters, inst);
		below = inst;
	}
	return filters;
}

static struct image *image_new(struct tool *tool, struct mt_inst *inst, const char *path,
			       const struct image_options *options, GPtrArray *filters, struct mt_error *err)
{
	bool write = options->write, readonly;
	struct image *image = g_new0(struct image, 1);

	image->tool = tool;
	image->inst = inst;
	image->filters = filters;
	image->node = graph_node(inst);
	image->path = g_strdup(path);
	image->format = open_format_name(inst->cls);
	image->write = write;
	readonly = image->node->info.flags & MT_BLOCK_INFO_READONLY;
	if (write && readonly && !options->repair)
		fault_set(err, MT_EPERM, "file", "one that is marked as damaged can be repaired: mortise img check -r all",
			  "%s: this image can only be read", path);
	else if (!options->facts)
		image->block = image_handle(image->node, write && !readonly, err);
	if (image->block || (options->facts && !write))
		return image;
	image_close(image);
	return NULL;
}

struct image *image_open(struct tool *tool, const char *path, const struct image_options *options,
			 struct mt_error *err)
{
	struct name_rule rule;
	struct open_spec spec = {
		.path = path, .format = options->format, .rule = &rule, .backing_off = options->backing_off,
		.backing_write = options->backing_write, .below_any = options->below_any, .deeper_any = options->deeper_any,
		.parts_folder = options->parts_folder, .names_folder = options->names_folder,
		.options = { .readonly = !options->write, .locking = !options->share, .discard = !options->no_discard,
			     .cache = options->cache, .engine = options->engine, .fd = options->fd },
	};
	GPtrArray *filters = filters_open(tool, options->through, err);
	struct mt_inst *inst;

	if (!filters)
		return NULL;
	if (filters->len)
		spec.through = ((const struct mt_inst *)g_ptr_array_index(filters, filters->len - 1))->id;
	names_rule_init(&rule, path, options->allow, options->allow_own);
	inst = open_inst(&tool->m, &spec, err);
	names_rule_fini(&rule);
	if (inst)
		return image_new(tool, inst, path, options, filters, err);
	filters_close(tool, filters);
	return NULL;
}

int32_t image_close(struct image *image)
{
	int32_t rc = 0;

	if (!image)
		return 0;
	if (image->block)
		image_handle_close(image->block);
	if (image->write && image->block)
		rc = node_settle(graph_node(image->inst));
	open_close(image->inst);
	filters_close(image->tool, image->filters);
	g_free(image->path);
	g_free(image->format);
	g_free(image);
	return rc;
}

uint64_t image_bytes(const struct image *image)
{
	return image->node->info.disk_bytes;
}

const struct mt_block_info *image_info(const struct image *image)
{
	return &image->node->info;
}

const void *image_role(const struct image *image, const char *iface_id)
{
	return inst_role(image->inst, iface_id);
}

struct mt_block *image_handle(struct bnode *node, bool write, struct mt_error *err)
{
	struct mt_block *block = request_open(node, write, err);

	if (block) {
		block->next_front = node->fronts;
		node->fronts = block;
	}
	return block;
}

void image_handle_close(struct mt_block *block)
{
	struct mt_block **link = &block->node->fronts;

	while (*link != block)
		link = &(*link)->next_front;
	*link = block->next_front;
	request_close(block);
}

/* Exclusive operations */

static int unsupported(const struct image *image, const char *what, struct mt_error *err)
{
	return fault_set(err, MT_ENOTSUP, "format", NULL, "%s: %s images cannot %s", image->path, image->format, what);
}

/* The words of a failure: the format's own, or some. */
static int ended(struct image *image, int rc, const char *what, struct mt_error *err)
{
	int code = exclusive_end(image->node, rc);

	refusal_tell(&image->node->refusal, rc, err);
	if (code < 0 && !err->code)
		fault_set(err, code, "file", NULL, "%s: cannot %s (%d)", image->path, what, code);
	return code;
}

static int begun(struct image *image, const char *what, struct mt_error *err)
{
	int rc = exclusive_begin(image->node);

	err->code = 0;
	refusal_clear(&image->node->refusal);
	if (rc < 0)
		fault_set(err, rc, "file", NULL, "%s: cannot %s: what was written before cannot be stored", image->path,
			  what);
	return rc;
}

/* One exclusive operation: CALL is between begin and end, under the instance lock. */
#define EXCLUSIVE(image, what, err, CALL) do { \
	int rc_ = begun(image, what, err); \
	if (rc_ < 0) \
		return rc_; \
	node_enter((image)->node); \
	rc_ = CALL; \
	node_leave((image)->node); \
	return ended(image, rc_, what, err); \
} while (0)

int image_check(struct image *image, uint32_t repair, struct mt_block_check *out,
		void (*finding)(void *arg, const char *line), void *arg, struct mt_error *err)
{
	const struct mt_block_image *role = image_role(image, MT_IFACE_BLOCK_IMAGE);

	if (!role || !role->check)
		return unsupported(image, "be checked", err);
	*out = (struct mt_block_check){ .size = sizeof(*out) };
	EXCLUSIVE(image, "be checked", err, role->check(image->inst->self, repair, out, finding, arg, err));
}

/*
 * Where a disk ends inside of a unit that it has from the disk below, and that one is longer, more of the unit would
 * show in a larger disk. So the unit becomes the image's own first: its last bytes are written as they are.
 */
static int own_last_unit(struct image *image, uint64_t disk_bytes, struct mt_error *err)
{
	const struct mt_block_info *info = &image->node->info;
	uint64_t now = info->disk_bytes, in_unit = info->unit_bytes ? now % info->unit_bytes : 0;
	uint64_t n = MIN(in_unit, 512);
	uint8_t last[512];
	int rc = 0;

	if (!in_unit || disk_bytes <= now || !image->node->backing || image->node->backing->info.disk_bytes <= now)
		return 0;
	rc = request_do(image->block, MT_BLOCK_READ, 0, now - n, last, n);
	if (rc == 0)
		rc = request_do(image->block, MT_BLOCK_WRITE, 0, now - n, last, n);
	return rc < 0 ? fault_set(err, rc, "file", NULL, "%s: the end of the disk cannot be copied from the disk below it",
				  image->path) : 0;
}

int image_resize(struct image *image, uint64_t disk_bytes, uint32_t flags, uint32_t prealloc, struct mt_error *err)
{
	const struct mt_block_image *role = image_role(image, MT_IFACE_BLOCK_IMAGE);
	int rc;

	if (!role || !role->resize)
		return unsupported(image, "be resized", err);
	rc = own_last_unit(image, disk_bytes, err);
	if (rc < 0)
		return rc;
	EXCLUSIVE(image, "be resized", err, role->resize(image->inst->self, disk_bytes, flags, prealloc, err));
}

int image_amend(struct image *image, const struct mt_block_value *values, uint32_t count, struct mt_error *err)
{
	const struct mt_block_image *role = image_role(image, MT_IFACE_BLOCK_IMAGE);

	if (!role || !role->amend)
		return unsupported(image, "be amended", err);
	EXCLUSIVE(image, "be amended", err, role->amend(image->inst->self, values, count, err));
}

int image_backing_set(struct image *image, const char *name, const char *format, struct mt_error *err)
{
	const struct mt_block_image *role = image_role(image, MT_IFACE_BLOCK_IMAGE);

	if (!role || !role->backing_set)
		return unsupported(image, "change their backing file", err);
	EXCLUSIVE(image, "change the backing file", err, role->backing_set(image->inst->self, name, format, err));
}

int image_make_empty(struct image *image, struct mt_error *err)
{
	const struct mt_block_image *role = image_role(image, MT_IFACE_BLOCK_IMAGE);

	if (!role || !role->make_empty)
		return unsupported(image, "be emptied", err);
	EXCLUSIVE(image, "be emptied", err, role->make_empty(image->inst->self, err));
}

/* Snapshots */

static const struct mt_block_snapshots *snapshots_of(const struct image *image)
{
	return image_role(image, MT_IFACE_BLOCK_SNAPSHOTS);
}

uint32_t image_snapshot_count(const struct image *image)
{
	const struct mt_block_snapshots *role = snapshots_of(image);

	return role && role->count ? role->count(image->inst->self) : 0;
}

int image_snapshot_get(const struct image *image, uint32_t index, struct mt_block_snapshot *out)
{
	*out = (struct mt_block_snapshot){ .size = sizeof(*out) };
	return snapshots_of(image)->get(image->inst->self, index, out);
}

/* An id comes before a name that looks like it. */
static int snapshot_find(const struct image *image, const char *which, struct mt_error *err)
{
	struct mt_block_snapshot s;
	int named = -1;

	for (uint32_t i = 0; i < image_snapshot_count(image); i++) {
		if (image_snapshot_get(image, i, &s) < 0)
			continue;
		if (!strcmp(s.id, which))
			return (int)i;
		if (named < 0 && !strcmp(s.name, which))
			named = (int)i;
	}
	if (named < 0)
		fault_set(err, MT_ENOENT, "snapshot", "mortise img snapshot -l lists those that there are",
			  "%s has no snapshot '%.100s'", image->path, which);
	return named;
}

static int snapshot_make(struct image *image, const char *name, struct mt_error *err)
{
	struct mt_block_snapshot s = { .size = sizeof(s), .icount = UINT64_MAX };
	int64_t now_us = g_get_real_time();

	if (g_strlcpy(s.name, name, sizeof(s.name)) >= sizeof(s.name))
		return fault_set(err, MT_ERANGE, "snapshot", NULL, "the name of the snapshot is too long");
	s.date_sec = (uint64_t)now_us / 1000000;
	s.date_nsec = (uint64_t)now_us % 1000000 * 1000;
	EXCLUSIVE(image, "take a snapshot", err, snapshots_of(image)->create(image->inst->self, &s, err));
}

int image_snapshot(struct image *image, enum image_snapshot_op op, const char *which, struct mt_error *err)
{
	static const char *const words[] = { "take a snapshot", "go back to a snapshot", "remove a snapshot",
					     "show a snapshot" };
	const struct mt_block_snapshots *role = snapshots_of(image);
	int (*fn)(void *self, uint32_t index, struct mt_error *err);
	int index;

	if (!role || !role->count)
		return unsupported(image, "hold snapshots", err);
	if (op == IMAGE_SNAPSHOT_CREATE)
		return role->create ? snapshot_make(image, which, err) : unsupported(image, words[op], err);
	fn = op == IMAGE_SNAPSHOT_APPLY ? role->apply : op == IMAGE_SNAPSHOT_REMOVE ? role->remove : role->show;
	if (!fn)
		return unsupported(image, words[op], err);
	index = snapshot_find(image, which, err);
	if (index < 0)
		return MT_ENOENT;
	EXCLUSIVE(image, words[op], err, fn(image->inst->self, (uint32_t)index, err));
}

/* Bitmaps */

static const struct mt_block_bitmaps *bitmaps_of(const struct bnode *node)
{
	return inst_role(node->inst, MT_IFACE_BLOCK_BITMAPS);
}

uint32_t image_bitmap_count(const struct bnode *node)
{
	const struct mt_block_bitmaps *role = bitmaps_of(node);

	return role && role->count ? role->count(node->inst->self) : 0;
}

bool image_has_bitmaps(const struct image *image)
{
	return bitmaps_of(image->node) != NULL;
}

bool image_bitmap_get(const struct bnode *node, uint32_t index, struct mt_block_bitmap *out)
{
	*out = (struct mt_block_bitmap){ .size = sizeof(*out) };
	return bitmaps_of(node)->get(node->inst->self, index, out) == 0;
}

int image_bitmap_find(const struct image *image, const char *name, struct mt_error *err)
{
	struct mt_block_bitmap b;

	for (uint32_t i = 0; i < image_bitmap_count(image->node); i++) {
		if (image_bitmap_get(image->node, i, &b) && !strcmp(b.name, name))
			return (int)i;
	}
	return fault_set(err, MT_ENOENT, "bitmap", "mortise img info lists those that there are",
			 "%s has no bitmap '%.200s'", image->path, name);
}

int image_bitmap_add(struct image *image, const struct mt_block_bitmap *what, struct mt_error *err)
{
	const struct mt_block_bitmaps *role = bitmaps_of(image->node);

	if (!role || !role->add)
		return unsupported(image, "keep bitmaps", err);
	EXCLUSIVE(image, "add a bitmap", err, role->add(image->inst->self, what, err));
}

int image_bitmap_remove(struct image *image, uint32_t index, struct mt_error *err)
{
	const struct mt_block_bitmaps *role = bitmaps_of(image->node);

	if (!role->remove)
		return unsupported(image, "lose a bitmap", err);
	EXCLUSIVE(image, "remove the bitmap", err, role->remove(image->inst->self, index, err));
}

int image_bitmap_flags(struct image *image, uint32_t index, uint32_t flags, struct mt_error *err)
{
	const struct mt_block_bitmaps *role = bitmaps_of(image->node);

	if (!role->set_flags)
		return unsupported(image, "change a bitmap", err);
	EXCLUSIVE(image, "change the bitmap", err, role->set_flags(image->inst->self, index, flags, err));
}

int image_bitmap_read(struct image *image, uint32_t index, uint8_t *bits, uint64_t len_bytes, struct mt_error *err)
{
	const struct mt_block_bitmaps *role = bitmaps_of(image->node);

	if (!role->read)
		return unsupported(image, "tell what a bitmap has", err);
	EXCLUSIVE(image, "read the bitmap", err, role->read(image->inst->self, index, bits, len_bytes, err));
}

int image_bitmap_write(struct image *image, uint32_t index, const uint8_t *bits, uint64_t len_bytes,
		       struct mt_error *err)
{
	const struct mt_block_bitmaps *role = bitmaps_of(image->node);

	if (!role->write)
		return unsupported(image, "change a bitmap", err);
	EXCLUSIVE(image, "write the bitmap", err, role->write(image->inst->self, index, bits, len_bytes, err));
}

/* Formats */

const void *tool_role(struct tool *tool, const char *format, const char *iface_id, struct mt_error *err)
{
	return open_role(&tool->m, format, iface_id, err);
}

struct machine *tool_machine(struct tool *tool)
{
	return &tool->m;
}

char *tool_probe(struct tool *tool, const char *path, struct mt_error *err)
{
	struct open_spec spec = { .path = path, .options = { .readonly = true } };
	char *format;

	err->code = 0;
	format = open_probe(&tool->m, &spec, err);
	open_rest(&tool->m);
	if (!format && !err->code)
		fault_set(err, MT_EINVAL, "format", "say what it is: -f raw, if it is that",
			  "%s: no known format is to be seen in it", path);
	return format;
}
