// SPDX-License-Identifier: MIT
/* The monitor and disks: the nodes, what fronts did with them in the words of QMP, and their size. On [main]. */
#include <string.h>

#include "kernel/block/block.h"
#include "kernel/block/stats.h"
#include "kernel/config/json.h"
#include "kernel/machine/fault.h"
#include "kernel/monitor/monitor.h"

#include <mortise/draft/block-image.h>

/* Nodes: what they know, and whose they are */

static void print_users(FILE *out, const struct mt_inst *inst)
{
	fputs(", \"users\": [", out);
	for (unsigned i = 0; i < inst->refs_in->len; i++) {
		const struct mt_inst *user = g_ptr_array_index(inst->refs_in, i);

		fputs(i ? ", " : "", out);
		json_print_string(out, user->id);
	}
	putc(']', out);
}

static void print_below(FILE *out, struct mt_inst *inst)
{
	GPtrArray *files = block_files_below(inst);

	fputs(", \"below\": [", out);
	for (unsigned i = 0; i < files->len; i++) {
		fputs(i ? ", " : "", out);
		json_print_string(out, g_ptr_array_index(files, i));
	}
	putc(']', out);
	g_ptr_array_unref(files);
}

static void print_block(FILE *out, struct mt_inst *inst, const struct mt_block_info *info)
{
	fputs("{\"id\": ", out);
	json_print_string(out, inst->id);
	query_member(out, "plugin", block_image(inst)->cls->name);
	query_member(out, "file", block_file(inst));
	print_below(out, inst);
	fprintf(out, ", \"size\": %" G_GUINT64_FORMAT ", \"read-only\": %s", info->disk_bytes,
		info->flags & MT_BLOCK_INFO_READONLY ? "true" : "false");
	print_users(out, inst);
	putc('}', out);
}

int query_block(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	bool some = false;

	(void)arguments, (void)err;
	putc('[', out);
	for (unsigned i = 0; i < mon->m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(mon->m->insts, i);
		struct mt_block_info info;

		if (!block_info(inst, &info))
			continue;
		fputs(some ? ", " : "", out);
		print_block(out, inst, &info);
		some = true;
	}
	putc(']', out);
	return 0;
}

/* Statistics */

static void print_numbers(FILE *out, const char *kind, const struct stats_of *of)
{
	fprintf(out, "\"%s_operations\": %" G_GUINT64_FORMAT ", \"%s_bytes\": %" G_GUINT64_FORMAT
		", \"%s_merged\": 0, \"%s_total_time_ns\": %" G_GUINT64_FORMAT ", \"failed_%s_operations\": %"
		G_GUINT64_FORMAT ", \"invalid_%s_operations\": %" G_GUINT64_FORMAT ", ", kind, of->operations, kind,
		of->bytes, kind, kind, of->total_ns, kind, of->failed, kind, of->invalid);
}

/* Bin n holds what took less than its boundary and not less than the one before; the last one has no end. */
static void print_latency(FILE *out, const char *kind, const struct stats_of *of)
{
	fprintf(out, ", \"%s_latency_histogram\": {\"boundaries\": [", kind);
	for (uint32_t i = 0; i + 1 < STATS_BINS; i++)
		fprintf(out, "%s%" G_GUINT64_FORMAT, i ? ", " : "", (guint64)1000 << i);
	fputs("], \"bins\": [", out);
	for (uint32_t i = 0; i < STATS_BINS; i++)
		fprintf(out, "%s%" G_GUINT64_FORMAT, i ? ", " : "", of->bins[i]);
	fputs("]}", out);
}

static void print_stats(FILE *out, const struct mt_inst *front, const struct mt_inst *node, const struct block_stats *s)
{
	static const char *const kinds[] = { "rd", "wr", "flush", "unmap" };

	fputs("{\"device\": ", out);
	json_print_string(out, front->id);
	query_member(out, "node-name", node->id);
	fputs(", \"stats\": {", out);
	for (uint32_t i = 0; i < STATS_KINDS; i++)
		print_numbers(out, kinds[i], &s->of[i]);
	fprintf(out, "\"in_flight\": %" G_GUINT64_FORMAT, s->begun - MIN(s->ended, s->begun));
	for (uint32_t i = 0; i < STATS_KINDS; i++)
		print_latency(out, kinds[i], &s->of[i]);
	fputs("}}", out);
}

int query_blockstats(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	bool some = false;

	(void)arguments, (void)err;
	putc('[', out);
	for (unsigned i = 0; i < mon->m->insts->len; i++) {
		struct mt_inst *node = g_ptr_array_index(mon->m->insts, i);

		for (unsigned k = 0; k < node->refs_in->len; k++) {
			const struct mt_inst *front = g_ptr_array_index(node->refs_in, k);
			struct block_stats stats = { 0 };

			if (!block_stats(node, front, &stats))
				continue;
			fputs(some ? ", " : "", out);
			print_stats(out, front, node, &stats);
			some = true;
		}
	}
	putc(']', out);
	return 0;
}

/* Size */

/* The node that the device `id` has opened; NULL: none. */
static struct mt_inst *node_under(struct machine *m, const char *id)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *node = g_ptr_array_index(m->insts, i);

		for (unsigned k = 0; k < node->refs_in->len; k++) {
			const struct mt_inst *front = g_ptr_array_index(node->refs_in, k);
			struct block_stats stats = { 0 };

			if (!strcmp(front->id, id) && block_stats(node, front, &stats))
				return node;
		}
	}
	return NULL;
}

static struct mt_inst *node_called(struct machine *m, const char *id)
{
	struct mt_block_info info;

	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (!strcmp(inst->id, id) && block_info(inst, &info))
			return inst;
	}
	return NULL;
}

struct mt_inst *query_disk(struct monitor *mon, const char *name)
{
	struct mt_inst *node = node_under(mon->m, name);

	return node ? node : node_called(mon->m, name);
}

int run_block_resize(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	const char *device = json_text(json_get(arguments, "device")), *name = json_text(json_get(arguments, "node-name"));
	const struct json *shrink = json_get(arguments, "shrink");
	struct mt_inst *node;
	uint64_t bytes;

	(void)out;
	if (!device == !name)
		return fault_set(err, MT_EINVAL, NULL, NULL, "one of 'device' and 'node-name' must be given, a string");
	if (!json_uint(json_get(arguments, "size"), &bytes) || bytes == 0)
		return fault_set(err, MT_EINVAL, "size", NULL, "'size' must be a number of bytes");
	if (shrink && shrink->type != JSON_BOOL)
		return fault_set(err, MT_EINVAL, "shrink", NULL, "'shrink' must be true or false");
	node = device ? node_under(mon->m, device) : node_called(mon->m, name);
	if (!node)
		return fault_set(err, MT_ENOENT, NULL, "query-block lists them", "there is no disk '%s'", device ? device : name);
	return block_resize(node, bytes, shrink && shrink->truth ? MT_BLOCK_RESIZE_SHRINK : 0, err);
}
