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

static GArray *facts_of(const struct bnode *node)
{
	const struct mt_block_image *role = inst_role(node->inst, MT_IFACE_BLOCK_IMAGE);
	GArray *facts = g_array_new(FALSE, FALSE, sizeof(struct fact));

	g_array_set_clear_func(facts, fact_clear);
	if (role && role->describe)
		role->describe(node->inst->self, fact_add, facts);
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

static void json_fact(struct out *out, const struct fact *fact)
{
	if (fact->type == MT_BLOCK_VALUE_BOOL)
		out_bool(out, fact->name, !strcmp(fact->value, "true"));
	else if (fact->type == MT_BLOCK_VALUE_STRING)
		out_string(out, fact->name, fact->value);
	else
		out_number(out, fact->name, g_ascii_strtoull(fact->value, NULL, 10));
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
		json_fact(out, fact);
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

static void json_image(struct out *out, const struct bnode *node, const char *format, const GArray *facts)
{
	const char *backing = fact_find(facts, MT_BLOCK_FACT_BACKING), *dirty = fact_find(facts, MT_BLOCK_FACT_DIRTY);

	out_open(out, NULL, '{');
	json_snapshots(out, node);
	out_number(out, "virtual-size", node->info.disk_bytes);
	out_string(out, "filename", node_name(node));
	out_string(out, "format", format);
	out_number(out, "actual-size", actual_bytes(node));
	for (unsigned i = 0; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);

		if (is_general(fact->name) && strcmp(fact->name, MT_BLOCK_FACT_DIRTY))
			json_fact(out, fact);
	}
	out_bool(out, "dirty-flag", dirty && !strcmp(dirty, "true"));
	if (backing) {
		char *full = img_backing_path(node_name(node), backing);

		out_string(out, "full-backing-filename", full);
		g_free(full);
	}
	json_special(out, node, facts, format);
	out_close(out, '}');
}

/* For people */

static void text_special(const GArray *facts)
{
	bool some = false;

	for (unsigned i = 0; i < facts->len; i++) {
		const struct fact *fact = &g_array_index(facts, struct fact, i);
		char *name;

		if (is_general(fact->name))
			continue;
		if (!some)
			puts("Format specific information:");
		some = true;
		name = g_strdelimit(g_strdup(fact->name), "-", ' ');
		printf("    %s: ", name);
		table_print_text(fact->value);
		putchar('\n');
		g_free(name);
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

static void text_backing(const struct bnode *node, const GArray *facts)
{
	const char *backing = fact_find(facts, MT_BLOCK_FACT_BACKING);
	const char *format = fact_find(facts, MT_BLOCK_FACT_BACKING_FMT);
	char *full;

	if (!backing)
		return;
	full = img_backing_path(node_name(node), backing);
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

static void text_image(const struct bnode *node, const char *format, const GArray *facts)
{
	const char *cluster = fact_find(facts, MT_BLOCK_FACT_CLUSTER), *dirty = fact_find(facts, MT_BLOCK_FACT_DIRTY);
	const char *encrypted = fact_find(facts, MT_BLOCK_FACT_ENCRYPTED);
	char size[32];

	fputs("image: ", stdout);
	table_print_text(node_name(node));
	printf("\nfile format: %s\nvirtual size: %s (%" PRIu64 " bytes)\n", format,
	       out_size(size, node->info.disk_bytes), node->info.disk_bytes);
	printf("disk size: %s\n", out_size(size, actual_bytes(node)));
	if (encrypted && !strcmp(encrypted, "true"))
		puts("encrypted: yes");
	if (cluster)
		printf("cluster_size: %s\n", cluster);
	if (dirty && !strcmp(dirty, "true"))
		puts("cleanly shut down: no");
	text_backing(node, facts);
	if (table_snapshot_count(node)) {
		puts("Snapshot list:");
		table_snapshots(node);
	}
	text_special(facts);
	text_bitmaps(node);
}

static void print(struct out *out, const struct bnode *node, bool json)
{
	char *format = open_format_name(node->inst->cls);
	GArray *facts = facts_of(node);

	if (json)
		json_image(out, node, format, facts);
	else
		text_image(node, format, facts);
	g_array_unref(facts);
	g_free(format);
}

static void print_chain(const struct bnode *node, bool json)
{
	struct out out = { 0 };

	if (json)
		out_open(&out, NULL, '[');
	for (bool first = true; node; node = node->backing, first = false) {
		if (!json && !first)
			putchar('\n');
		print(&out, node, json);
	}
	if (json)
		out_close(&out, ']');
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
	image = image_open(img->tool, cli_operand(img->args, 0), &options, &img->err);
	if (!image)
		return img_fault(img);
	if (chain)
		print_chain(image->node, json);
	else
		print(&out, image->node, json);
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
