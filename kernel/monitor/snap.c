// SPDX-License-Identifier: MIT
/* The monitor and snapshots of disks, in the words of QMP: overlays, internal snapshots, several as one. On [main]. */
#include "kernel/block/snap.h"

#include <inttypes.h>
#include <string.h>

#include "kernel/block/block.h"
#include "kernel/config/json.h"
#include "kernel/machine/fault.h"
#include "kernel/monitor/monitor.h"
#include "kernel/state/shape.h"

#define DISKS_MOST 256u

/* NULL with `err`. */
static struct mt_inst *disk_of(struct monitor *mon, const struct json *arguments, const char **device,
			       struct mt_error *err)
{
	const char *name = json_text(json_get(arguments, "node-name"));
	struct mt_inst *inst;

	*device = json_text(json_get(arguments, "device"));
	if (!*device == !name) {
		fault_set(err, MT_EINVAL, NULL, NULL, "one of 'device' and 'node-name' must be given, a string");
		return NULL;
	}
	*device = *device ? *device : name;
	inst = query_disk(mon, *device);
	if (!inst)
		fault_set(err, MT_ENOENT, NULL, "query-block lists them", "there is no disk '%s'", *device);
	return inst;
}

static int overlay_read(struct monitor *mon, const struct json *arguments, struct snap *out, struct mt_error *err)
{
	const char *path = json_text(json_get(arguments, "snapshot-file")), *mode = json_text(json_get(arguments, "mode"));
	const char *format = json_text(json_get(arguments, "format"));

	out->inst = disk_of(mon, arguments, &out->device, err);
	if (!out->inst)
		return err->code;
	if (!path || !g_path_is_absolute(path))
		return fault_set(err, MT_EINVAL, "snapshot-file", NULL, "'snapshot-file' must be an absolute path");
	if ((mode && strcmp(mode, "absolute-paths") && strcmp(mode, "existing")) || (!mode && json_get(arguments, "mode")))
		return fault_set(err, MT_EINVAL, "mode", NULL, "'mode' must be absolute-paths or existing");
	if (!format && json_get(arguments, "format"))
		return fault_set(err, MT_EINVAL, "format", NULL, "'format' must be a string");
	out->path = path;
	out->format = format ? format : "qcow2";
	out->existing = mode && !strcmp(mode, "existing");
	return 0;
}

static int internal_read(struct monitor *mon, const struct json *arguments, struct snap *out, struct mt_error *err)
{
	out->inst = disk_of(mon, arguments, &out->device, err);
	out->name = json_text(json_get(arguments, "name"));
	if (!out->inst)
		return err->code;
	return out->name ? 0 : fault_set(err, MT_EINVAL, "name", NULL, "'name' must be given, a string");
}

/* What the machine file has to say from the next start on. */
static void overlay_print(FILE *out, const struct snap *s)
{
	struct mt_inst *inst = s->inst;
	char *text = NULL;
	size_t len;
	FILE *lines = open_memstream(&text, &len);

	if (!lines)
		return;
	inst = block_disk(inst);
	fprintf(lines, "[%s]\n", inst->section->label);
	shape_print_disk(inst, lines);
	fclose(lines);
	g_strchomp(text);
	fputs("{\"device\": ", out);
	json_print_string(out, s->device);
	query_member(out, "file", s->path);
	query_member(out, "machine-file", text);
	putc('}', out);
	free(text);
}

int run_snapshot_sync(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct snap s = { 0 };
	int rc = overlay_read(mon, arguments, &s, err);

	if (rc == 0)
		rc = snap_take(&s, 1, err);
	if (rc == 0)
		overlay_print(out, &s);
	return rc;
}

int run_snapshot_internal(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct snap s = { 0 };
	int rc = internal_read(mon, arguments, &s, err);

	(void)out;
	return rc == 0 ? snap_take(&s, 1, err) : rc;
}

/* As QMP's SnapshotInfo. */
static void info_print(FILE *out, const struct mt_block_snapshot *s)
{
	fputs("{\"id\": ", out);
	json_print_string(out, s->id);
	query_member(out, "name", s->name);
	fprintf(out, ", \"vm-state-size\": %" PRIu64 ", \"date-sec\": %" PRIu64 ", \"date-nsec\": %" PRIu64
		", \"vm-clock-sec\": %" PRIu64 ", \"vm-clock-nsec\": %" PRIu64, s->vm_state_bytes, s->date_sec, s->date_nsec,
		s->vm_clock_ns / 1000000000, s->vm_clock_ns % 1000000000);
	if (s->icount != UINT64_MAX)
		fprintf(out, ", \"icount\": %" PRIu64, s->icount);
	putc('}', out);
}

int run_snapshot_delete(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	const char *id = json_text(json_get(arguments, "id")), *name = json_text(json_get(arguments, "name")), *device;
	struct mt_inst *inst = disk_of(mon, arguments, &device, err);
	struct mt_block_snapshot gone;
	int rc;

	if (!inst)
		return err->code;
	if (!id && !name)
		return fault_set(err, MT_EINVAL, "name", NULL, "one of 'id' and 'name' must be given, a string");
	rc = snap_remove(inst, device, id, name, &gone, err);
	if (rc == 0)
		info_print(out, &gone);
	return rc;
}

/* Transactions */

static const struct {
	const char *type, *arguments;
	int (*read)(struct monitor *mon, const struct json *arguments, struct snap *out, struct mt_error *err);
} actions[] = {
	{ "blockdev-snapshot-sync", OVERLAY_ARGUMENTS, overlay_read },
	{ "blockdev-snapshot-internal-sync", "device name", internal_read },
};

static int action_read(struct monitor *mon, const struct json *action, struct snap *out, struct mt_error *err)
{
	const char *type = json_text(json_get(action, "type"));
	const struct json *data = json_get(action, "data");

	for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
		char *fault = !g_strcmp0(type, actions[i].type) ? command_arguments_fault(type, actions[i].arguments, data) : NULL;
		int rc;

		if (g_strcmp0(type, actions[i].type))
			continue;
		rc = fault ? fault_set(err, MT_EINVAL, NULL, NULL, "%s", fault) : actions[i].read(mon, data, out, err);
		g_free(fault);
		return rc;
	}
	return fault_set(err, MT_EINVAL, "type", "there are blockdev-snapshot-sync and blockdev-snapshot-internal-sync",
			 "'%s' is nothing that a transaction can do", type ? type : "");
}

int run_transaction(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	const struct json *list = json_get(arguments, "actions");
	struct snap *snaps;
	int rc = 0;

	(void)out;
	if (!list || list->type != JSON_ARRAY || list->items->len > DISKS_MOST)
		return fault_set(err, MT_EINVAL, "actions", NULL, "'actions' must be a list");
	snaps = g_new0(struct snap, list->items->len + 1);
	for (unsigned i = 0; rc == 0 && i < list->items->len; i++)
		rc = action_read(mon, g_ptr_array_index(list->items, i), &snaps[i], err);
	if (rc == 0)
		rc = snap_take(snaps, list->items->len, err);
	g_free(snaps);
	return rc;
}
