// SPDX-License-Identifier: MIT
/* The query commands: what the kernel knows of its machine. On [main]; the machine may be running. */
#include <config.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/config/json.h"
#include "kernel/machine/vcpu.h"
#include "kernel/monitor/monitor.h"

void query_member(FILE *out, const char *name, const char *text)
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
	query_member(out, "file", config_file(mon->m->config));
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
		query_member(out, "plugin", m->cpu->cls->name);
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
		query_member(out, "kind", kind_name(inst));
		query_member(out, "plugin", inst->cls->name);
		query_member(out, "summary", inst->cls->summary);
		putc('}', out);
	}
	putc(']', out);
	return 0;
}
