// SPDX-License-Identifier: MIT
/* mortise img info: what an image is, without looking at the disk below unless that is asked for. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kernel/block/open.h"
#include "kernel/img/tool.h"
#include "kernel/img/img.h"
#include "kernel/img/out.h"
#include "kernel/img/table.h"

struct fact {
	char *name, *value;
	uint32_t type;
};

static void fact_add(void *arg, const char *name, uint32_t type, const char *value)
{
	struct fact fact = { g_strdup(name), g_strdup(value), type };

	g_array_append_val((GArray *)arg, fact);
}

static void fact_clear(void *data)
{
	struct fact *fact = data;

	g_free(fact->name);
	g_free(fact->value);
}

/* What a fact of a list is: "extents/0/filename" is the field "filename" of element 0 of "extents". */
struct item {
	char list[32];
	unsigned index;
	const char *field;
};

static bool item_of(const struct fact *fact, struct item *item)
{
	int end = 0;

	if (sscanf(fact->name, "%31[^/]/%u/%n", item->list, &item->index, &end) != 2 || !end)
		return false;
	item->field = fact->name + end;
	return true;
}

/* Names of files in a list are as in the image; here they are as others find them. */
static void item_file(struct fact *fact, const char *image)
{
	struct item item;
	char *whole;

	if (!item_of(fact, &item) || strcmp(item.field, "filename"))
		return;
	whole = *fact->value ? img_backing_path(image, fact->value) : g_strdup(image);
	g_free(fact->value);
	fact->value = whole;
}

static GArray *facts_of(const struct bnode *node, const char *image)
{
	const struct mt_block_image *role = inst_role(node->inst, MT_IFACE_BLOCK_IMAGE);
	GArray *facts = g_array_new(FALSE, FALSE, sizeof(struct fact));

	g_array_set_clear_func(facts, fact_clear);
	if (role && role->describe)
		role->describe(node->inst->self, fact_add, facts);
	for (unsigned i = 0; i < facts->len; i++)
		item_file(&g_array_index(facts, struct fact, i), image);
	return facts;
}

static const char *fact_find(const GArray *facts, const char *name)
{
	for (unsigned i = 0; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);

		if (!strcmp(fact->name, name))
			return fact->value;
	}
	return NULL;
}

/* Those that qemu-img has outside of what is special to a format. */
static bool is_general(const char *name)
{
	static const char *const names[] = { MT_BLOCK_FACT_CLUSTER, MT_BLOCK_FACT_COMPRESSED, MT_BLOCK_FACT_ENCRYPTED,
					     MT_BLOCK_FACT_DIRTY, MT_BLOCK_FACT_BACKING, MT_BLOCK_FACT_BACKING_FMT };

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!strcmp(name, names[i]))
			return true;
	}
	return false;
}

static uint64_t actual_bytes(const struct bnode *node)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < node->child_count; i++) {
		struct stat meta;

		if (node->children[i].file && fstat(node->children[i].file->plain_fd, &meta) == 0)
			sum += (uint64_t)meta.st_blocks * 512;
	}
	return sum;
}

/* JSON */

static void json_fact(struct out *out, const char *name, const struct fact *fact)
{
	if (fact->type == MT_BLOCK_VALUE_BOOL)
		out_bool(out, name, !strcmp(fact->value, "true"));
	else if (fact->type == MT_BLOCK_VALUE_STRING)
		out_string(out, name, fact->value);
	else
		out_number(out, name, g_ascii_strtoull(fact->value, NULL, 10));
}

/* All of a list, whose first fact is number `from`; the number of the first one behind it. */
static unsigned json_list(struct out *out, const GArray *facts, unsigned from)
{
	struct item first, item;
	unsigned i = from, index = 0;

	item_of(&g_array_index(facts, struct fact, from), &first);
	out_open(out, first.list, '[');
	for (; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);

		if (!item_of(fact, &item) || strcmp(item.list, first.list))
			break;
		if (i == from || item.index != index) {
			if (i != from)
				out_close(out, '}');
			out_open(out, NULL, '{');
		}
		index = item.index;
		json_fact(out, item.field, fact);
	}
	out_close(out, '}');
	out_close(out, ']');
	return i;
}

static void json_bitmaps(struct out *out, const struct bnode *node)
{
	struct mt_block_bitmap b;
	uint32_t count = image_bitmap_count(node);

	if (!count)
		return;
	out_open(out, "bitmaps", '[');
	for (uint32_t i = 0; i < count; i++) {
		if (!image_bitmap_get(node, i, &b))
			continue;
		out_open(out, NULL, '{');
		out_open(out, "flags", '[');
		if (b.flags & MT_BLOCK_BITMAP_IN_USE)
			out_string(out, NULL, "in-use");
		if (b.flags & MT_BLOCK_BITMAP_ENABLED)
			out_string(out, NULL, "auto");
		out_close(out, ']');
		out_string(out, "name", b.name);
		out_number(out, "granularity", b.granularity_bytes);
		out_close(out, '}');
	}
	out_close(out, ']');
}

static void json_special(struct out *out, const struct bnode *node, const GArray *facts, const char *format)
{
	struct item item;
	bool open = false;

	for (unsigned i = 0; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);

		if (is_general(fact->name))
			continue;
		if (!open) {
			out_open(out, "format-specific", '{');
			out_string(out, "type", format);
			out_open(out, "data", '{');
			open = true;
		}
		if (item_of(fact, &item))
			i = json_list(out, facts, i) - 1;
		else
			json_fact(out, fact->name, fact);
	}
	if (open) {
		json_bitmaps(out, node);
		out_close(out, '}');
		out_close(out, '}');
	}
}

static void json_snapshots(struct out *out, const struct bnode *node)
{
	struct mt_block_snapshot s;
	uint32_t count = table_snapshot_count(node);

	if (!count)
		return;
	out_open(out, "snapshots", '[');
	for (uint32_t i = 0; i < count; i++) {
		if (!table_snapshot_get(node, i, &s))
			continue;
		out_open(out, NULL, '{');
		out_string(out, "id", s.id);
		out_string(out, "name", s.name);
		out_number(out, "vm-state-size", s.vm_state_bytes);
		out_number(out, "date-sec", s.date_sec);
		out_number(out, "date-nsec", s.date_nsec);
		out_number(out, "vm-clock-sec", s.vm_clock_ns / 1000000000);
		out_number(out, "vm-clock-nsec", s.vm_clock_ns % 1000000000);
		if (s.icount != UINT64_MAX)
			out_number(out, "icount", s.icount);
		out_close(out, '}');
	}
	out_close(out, ']');
}

static void json_image(struct out *out, const struct bnode *node, const char *image, const char *format,
		       const GArray *facts)
{
	const char *backing = fact_find(facts, MT_BLOCK_FACT_BACKING), *dirty = fact_find(facts, MT_BLOCK_FACT_DIRTY);

	out_open(out, NULL, '{');
	json_snapshots(out, node);
	out_number(out, "virtual-size", node->info.disk_bytes);
	out_string(out, "filename", image);
	out_string(out, "format", format);
	out_number(out, "actual-size", actual_bytes(node));
	for (unsigned i = 0; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);

		if (is_general(fact->name) && strcmp(fact->name, MT_BLOCK_FACT_DIRTY))
			json_fact(out, fact->name, fact);
	}
	out_bool(out, "dirty-flag", dirty && !strcmp(dirty, "true"));
	if (backing) {
		char *full = img_backing_path(image, backing);

		out_string(out, "full-backing-filename", full);
		g_free(full);
	}
	json_special(out, node, facts, format);
	out_close(out, '}');
}

/* For people */

static void text_fact(int indent, const char *name, const char *value)
{
	char *words = g_strdelimit(g_strdup(name), "-", ' ');

	printf("%*s%s: ", indent, "", words);
	table_print_text(value);
	putchar('\n');
	g_free(words);
}

/* One of a list; `last` is the one before it, with an empty name at first. */
static void text_item(const struct item *item, const char *value, struct item *last)
{
	bool same = !strcmp(item->list, last->list);

	if (!same)
		printf("    %s:\n", item->list);
	if (!same || item->index != last->index)
		printf("        [%u]:\n", item->index);
	text_fact(12, item->field, value);
	*last = *item;
}

static void text_special(const GArray *facts)
{
	struct item item, last = { "", 0, NULL };
	bool some = false;

	for (unsigned i = 0; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);

		if (is_general(fact->name))
			continue;
		if (!some)
			puts("Format specific information:");
		some = true;
		if (item_of(fact, &item))
			text_item(&item, fact->value, &last);
		else
			text_fact(4, fact->name, fact->value);
	}
}

static void text_bitmaps(const struct bnode *node)
{
	struct mt_block_bitmap b;
	uint32_t count = image_bitmap_count(node);

	if (count)
		puts("    bitmaps:");
	for (uint32_t i = 0; i < count; i++) {
		if (!image_bitmap_get(node, i, &b))
			continue;
		fputs("        ", stdout);
		table_print_text(b.name);
		printf(" (granularity %" PRIu64 "%s%s)\n", b.granularity_bytes,
		       b.flags & MT_BLOCK_BITMAP_ENABLED ? ", auto" : "", b.flags & MT_BLOCK_BITMAP_IN_USE ? ", in-use" : "");
	}
}

static void text_backing(const char *image, const GArray *facts)
{
	const char *backing = fact_find(facts, MT_BLOCK_FACT_BACKING);
	const char *format = fact_find(facts, MT_BLOCK_FACT_BACKING_FMT);
	char *full;

	if (!backing)
		return;
	full = img_backing_path(image, backing);
	fputs("backing file: ", stdout);
	table_print_text(backing);
	if (strcmp(full, backing)) {
		fputs(" (actual path: ", stdout);
		table_print_text(full);
		putchar(')');
	}
	putchar('\n');
	g_free(full);
	if (format) {
		fputs("backing file format: ", stdout);
		table_print_text(format);
		putchar('\n');
	}
}

static void text_image(const struct bnode *node, const char *image, const char *format, const GArray *facts)
{
	const char *cluster = fact_find(facts, MT_BLOCK_FACT_CLUSTER), *dirty = fact_find(facts, MT_BLOCK_FACT_DIRTY);
	const char *encrypted = fact_find(facts, MT_BLOCK_FACT_ENCRYPTED);
	char size[32];

	fputs("image: ", stdout);
	table_print_text(image);
	printf("\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\n", format,
	       out_size(size, node->info.disk_bytes), node->info.disk_bytes);
	printf("disk size: %s\n", out_size(size, actual_bytes(node)));
	if (encrypted && !strcmp(encrypted, "true"))
		puts("encrypted: yes");
	if (cluster)
		printf("cluster_size: %s\n", cluster);
	if (dirty && !strcmp(dirty, "true"))
		puts("cleanly shut down: no");
	text_backing(image, facts);
	if (table_snapshot_count(node)) {
		puts("Snapshot list:");
		table_snapshots(node);
	}
	text_special(facts);
	text_bitmaps(node);
}

/* The disk below, as it is found from here; NULL: the image does not name one. */
static char *below_of(const GArray *facts, const char *image)
{
	const char *backing = fact_find(facts, MT_BLOCK_FACT_BACKING);

	return backing ? img_backing_path(image, backing) : NULL;
}

/* `image` is the name by which it was found; that of the disk below is returned, or NULL. */
static char *print(struct out *out, const struct bnode *node, const char *image, bool json)
{
	char *format = open_format_name(node->inst->cls);
	GArray *facts = facts_of(node, image);
	char *below = below_of(facts, image);

	if (json)
		json_image(out, node, image, format, facts);
	else
		text_image(node, image, format, facts);
	g_array_unref(facts);
	g_free(format);
	return below;
}

static void print_chain(const struct bnode *node, bool json)
{
	struct out out = { 0 };
	char *name = NULL, *below;

	if (json)
		out_open(&out, NULL, '[');
	for (bool first = true; node; node = node->backing, first = false) {
		if (!json && !first)
			putchar('\n');
		below = print(&out, node, name ? name : node_name(node), json);
		g_free(name);
		name = below;
	}
	g_free(name);
	if (json)
		out_close(&out, ']');
}

/*
 * Says of each link of a chain why it does not fit: each image is opened by itself, over whatever is below its parent.
 * False: nothing was said.
 */
static bool warn_links(struct img *img, const struct bnode *node, struct image_options options)
{
	char *name = g_strdup(node_name(node));
	bool some = false;

	options.below_any = false;
	for (; name && node->backing; node = node->backing) {
		char *format = open_format_name(node->inst->cls), *below;
		struct mt_error err = { .size = sizeof(err) };
		struct image *image;
		GArray *facts;

		options.format = format;
		image = image_open(img->tool, name, &options, &err);
		if (!image)
			img_warn("%s", err.message);
		some |= !image;
		image_close(image);
		facts = facts_of(node, name);
		below = below_of(facts, name);
		g_array_unref(facts);
		g_free(format);
		g_free(name);
		name = below;
	}
	g_free(name);
	return some;
}

/* A chain whose links do not fit, which is refused to all who want its data, is told of as it is. */
static struct image *open_facts(struct img *img, struct image_options *options)
{
	const char *path = cli_operand(img->args, 0);
	struct mt_error again = { .size = sizeof(again) };
	struct image *image = image_open(img->tool, path, options, &img->err);

	if (image || options->backing_off || img->err.code != MT_EINVAL || strcmp(img->err.culprit, "backing"))
		return image;
	options->below_any = true;
	options->deeper_any = true;
	image = image_open(img->tool, path, options, &again);
	if (image && !warn_links(img, image->node, *options))
		img_warn("%s", img->err.message);
	return image;
}

static int run(struct img *img)
{
	struct image_options options = img_open_options(img);
	bool json, chain = cli_flag(img->args, "backing-chain");
	struct out out = { 0 };
	struct image *image;

	if (!img_output(img, &json))
		return 1;
	options.format = cli_value(img->args, "format");
	options.backing_off = !chain;
	options.facts = true;
	image = open_facts(img, &options);
	if (!image)
		return img_fault(img);
	if (chain)
		print_chain(image->node, json);
	else
		g_free(print(&out, image->node, node_name(image->node), json));
	image_close(image);
	return 0;
}

static const struct cli_option options[] = {
	{ 0, "backing-chain", NULL, "tell of the disks below too" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const tables[] = {
	img_options_format, options, img_options_output, img_options_open, cli_options_plugins, cli_options_common, NULL,
};

const struct img_command img_info = {
	.verb = { .name = "img info", .operands = "FILE", .summary = "tell what an image is",
		  .operands_min = 1, .operands_max = 1, .options = tables },
	.run = run,
};
