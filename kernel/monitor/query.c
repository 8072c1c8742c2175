// SPDX-License-Identifier: MIT
/* The query commands: what the kernel knows of its machine. On [main]; the machine may be running. */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/config/json.h"
#include "kernel/machine/vcpu.h"
#include "kernel/monitor/monitor.h"

#include <mortise/draft/block-format.h>

static void member(FILE *out, const char *name, const char *text)
{
	fprintf(out, ", \"%s\": ", name);
	json_print_string(out, text);
}

int query_status(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	const char *status = monitor_status(mon);

	(void)arguments, (void)err;
	fprintf(out, "{\"status\": \"%s\", \"running\": %s}", status,
		strcmp(status, "running") ? "false" : "true");
	return 0;
}

void query_print_version(FILE *out)
{
	int major = 0, minor = 0, micro = 0;

	sscanf(PACKAGE_VERSION, "%d.%d.%d", &major, &minor, &micro);
	fprintf(out, "{\"major\": %d, \"minor\": %d, \"micro\": %d, \"text\": \"%s\"}", major, minor, micro,
		PACKAGE_VERSION);
}

int query_version(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)mon, (void)arguments, (void)err;
	query_print_version(out);
	return 0;
}

int query_name(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)err;
	fputs("{\"name\": ", out);
	json_print_string(out, mon->name);
	member(out, "file", config_file(mon->m->config));
	putc('}', out);
	return 0;
}

int query_cpus(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct machine *m = mon->m;

	(void)arguments, (void)err;
	putc('[', out);
	for (uint32_t i = 0; i < m->vcpu_count; i++) {
		uint64_t pc;

		fprintf(out, "%s{\"index\": %u, \"thread\": \"vcpu%u\"", i ? ", " : "", i, i);
		member(out, "plugin", m->cpu->cls->name);
		/* a register is nothing of a vCPU that runs */
		if (m->state != INST_RUNNING && vcpus_reg_get(m->vcpus, i, "pc", &pc) == 0)
			fprintf(out, ", \"pc\": %" G_GUINT64_FORMAT, pc);
		putc('}', out);
	}
	putc(']', out);
	return 0;
}

static const char *kind_name(const struct mt_inst *inst)
{
	return config_kind_name(inst->section->kind);
}

int query_devices(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)err;
	putc('[', out);
	for (unsigned i = 0; i < mon->m->insts->len; i++) {
		const struct mt_inst *inst = g_ptr_array_index(mon->m->insts, i);

		fputs(i ? ", {\"id\": " : "{\"id\": ", out);
		json_print_string(out, inst->id);
		member(out, "kind", kind_name(inst));
		member(out, "plugin", inst->cls->name);
		member(out, "summary", inst->cls->summary);
		putc('}', out);
	}
	putc(']', out);
	return 0;
}

/* Block nodes: what the format knows, and whose disk it is. */

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

static void print_block(FILE *out, struct mt_inst *inst, const struct mt_block_format *format)
{
	struct mt_block_info info = { .size = sizeof(info) };
	const struct config_key *file = section_get(inst->section, "file");
	char *path = file ? key_path(file) : NULL;

	inst_enter(inst);
	format->info(inst->self, &info);
	inst_leave(inst);
	fputs("{\"id\": ", out);
	json_print_string(out, inst->id);
	member(out, "plugin", inst->cls->name);
	member(out, "file", path);
	fprintf(out, ", \"size\": %" G_GUINT64_FORMAT ", \"read-only\": %s", info.disk_bytes,
		info.flags & MT_BLOCK_INFO_READONLY ? "true" : "false");
	print_users(out, inst);
	putc('}', out);
	g_free(path);
}

int query_block(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	bool some = false;

	(void)arguments, (void)err;
	putc('[', out);
	for (unsigned i = 0; i < mon->m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(mon->m->insts, i);
		const struct mt_block_format *format = inst_role(inst, MT_IFACE_BLOCK_FORMAT);

		if (!format || !format->info)
			continue;
		fputs(some ? ", " : "", out);
		print_block(out, inst, format);
		some = true;
	}
	putc(']', out);
	return 0;
}
