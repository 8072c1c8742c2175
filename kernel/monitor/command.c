// SPDX-License-Identifier: MIT
/*
 * What clients may say: {"execute": NAME, "arguments": {...}, "id": ANY}. A new command is a function and a
 * line of the table at the end. A command that ends or resets the machine only asks for it: machine_run
 * does it when this one has been answered.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/config/json.h"
#include "kernel/machine/fault.h"
#include "kernel/monitor/monitor.h"
#include "kernel/state/state.h"

#include <mortise/draft/power.h>

static const struct command *command_find(const char *name);
static int query_commands(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);

static int run_stop(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)out, (void)err;
	monitor_stop(mon);
	return 0;
}

static int run_cont(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)out;
	if (!strcmp(monitor_status(mon), "debug"))
		return fault_set(err, MT_EBUSY, NULL, NULL,
				 "the debugger has stopped the machine; it goes on from there");
	monitor_go(mon);
	return 0;
}

static int run_reset(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)out, (void)err;
	machine_request(mon->m, MT_REQUEST_RESET, 0);
	return 0;
}

static int run_quit(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)out, (void)err;
	machine_request(mon->m, MT_REQUEST_QUIT, 0);
	return 0;
}

static int run_powerdown(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct machine *m = mon->m;

	(void)arguments, (void)out;
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);
		const struct mt_power_button *button;
		int code;

		button = inst->dev ? inst_role(inst, MT_IFACE_POWER_BUTTON) : NULL;
		if (!button)
			continue;
		if (m->state != INST_RUNNING)
			return fault_set(err, MT_EBUSY, NULL, NULL,
					 "the machine is paused: its guest would not hear it");
		inst_enter(inst);
		code = button->press(inst->self, err);
		inst_leave(inst);
		if (code == 0)
			server_event(mon, "POWERDOWN", NULL);
		return code;
	}
	return fault_set(err, MT_ENOTSUP, NULL, "add a power button, or quit, which ends the machine at once",
			 "no device of this machine can ask the guest to shut down");
}

/* Lines and replies */

static void reply_end(FILE *out, const struct json *id)
{
	if (id) {
		fputs(", \"id\": ", out);
		json_print(out, id);
	}
	fputs("}\n", out);
}

static void reply_error(FILE *out, const char *class, const char *text, const struct json *id)
{
	fprintf(out, "{\"error\": {\"class\": \"%s\", \"desc\": ", class);
	json_print_string(out, text);
	putc('}', out);
	reply_end(out, id);
}

static void reply_fault(FILE *out, const struct mt_error *err, const struct json *id)
{
	bool hint = err->hint[0] != 0;
	char *text = g_strconcat(err->message, hint ? " (" : "", err->hint, hint ? ")" : "", NULL);

	reply_error(out, err->code == MT_ENOENT ? "DeviceNotFound" : "GenericError",
		    *text ? text : "the command failed", id);
	g_free(text);
}

static bool argument_known(const char *list, const char *name)
{
	char **names = g_strsplit(list, " ", -1);
	bool known = *name && g_strv_contains((const char *const *)names, name);

	g_strfreev(names);
	return known;
}

char *command_arguments_fault(const char *name, const char *known, const struct json *arguments)
{
	if (!arguments)
		return NULL;
	if (arguments->type != JSON_OBJECT)
		return g_strdup("\"arguments\" must be an object");
	for (unsigned i = 0; i < arguments->names->len; i++) {
		const char *argument = g_ptr_array_index(arguments->names, i);

		if (!argument_known(known, argument))
			return g_strdup_printf("%s has no argument '%s'", name, argument);
	}
	return NULL;
}

static void command_run(struct monitor *mon, const struct command *c, const struct json *request, FILE *out)
{
	struct mt_error err = { .size = sizeof(err) };
	const struct json *arguments = json_get(request, "arguments"), *id = json_get(request, "id");
	char *fault = command_arguments_fault(c->name, c->arguments, arguments), *text = NULL;
	size_t len;
	FILE *result;
	int code;

	if (fault) {
		reply_error(out, "GenericError", fault, id);
		g_free(fault);
		return;
	}
	result = open_memstream(&text, &len);
	if (!result) {
		reply_error(out, "GenericError", strerror(errno), id);
		return;
	}
	code = c->run(mon, arguments, result, &err);
	fclose(result);
	if (code < 0) {
		err.code = code;
		reply_fault(out, &err, id);
	} else {
		fprintf(out, "{\"return\": %s", text && *text ? text : "{}");
		reply_end(out, id);
	}
	free(text);
}

static const char *unknown_member(const struct json *request)
{
	for (unsigned i = 0; i < request->names->len; i++) {
		const char *name = g_ptr_array_index(request->names, i);

		if (strcmp(name, "execute") && strcmp(name, "arguments") && strcmp(name, "id"))
			return name;
	}
	return NULL;
}

static void request_run(struct monitor *mon, enum monitor_role role, const struct json *request, FILE *out)
{
	const struct json *id = json_get(request, "id");
	const char *name = json_text(json_get(request, "execute")), *unknown;
	const struct command *c = name ? command_find(name) : NULL;
	char *text = NULL;

	if (request->type != JSON_OBJECT)
		text = g_strdup("a request is an object: {\"execute\": \"query-status\"}");
	else if ((unknown = unknown_member(request)))
		text = g_strdup_printf("a request has no member '%s'; there are execute, arguments and id",
				       unknown);
	else if (!name)
		text = g_strdup("the request has no \"execute\" with the name of a command");
	if (text)
		reply_error(out, "GenericError", text, id);
	else if (!c)
		reply_error(out, "CommandNotFound",
			    text = g_strdup_printf("there is no command '%s'", name), id);
	else if (c->role > role)
		reply_error(out, "NotPermitted", text = g_strdup_printf("%s is not for viewers", name), id);
	else
		command_run(mon, c, request, out);
	g_free(text);
}

char *command_line(struct monitor *mon, enum monitor_role role, const char *line, size_t len_bytes)
{
	char fault[JSON_ERROR_BYTES], *text = NULL;
	struct json *request = json_parse(line, len_bytes, fault);
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		g_error("no memory for a reply");
	if (request) {
		request_run(mon, role, request, out);
	} else {
		char *told = g_strdup_printf("no JSON: %s", fault);

		reply_error(out, "GenericError", told, NULL);
		g_free(told);
	}
	fclose(out);
	json_free(request);
	return text;
}

/* The machine stands still meanwhile, and clients wait. */
static int run_snapshot(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	const char *dir = json_text(json_get(arguments, "dir"));

	(void)out;
	if (!dir || !g_path_is_absolute(dir))
		return fault_set(err, MT_EINVAL, "dir", NULL, "'dir' must be an absolute path");
	if (jobs_idle(mon, err) < 0)
		return MT_EBUSY;
	return machine_snapshot(mon->m, dir, err);
}

static const struct command commands[] = {
	{ "query-status", MONITOR_VIEWER, "", query_status },
	{ "query-version", MONITOR_VIEWER, "", query_version },
	{ "query-name", MONITOR_VIEWER, "", query_name },
	{ "query-commands", MONITOR_VIEWER, "", query_commands },
	{ "query-cpus", MONITOR_VIEWER, "", query_cpus },
	{ "query-devices", MONITOR_VIEWER, "", query_devices },
	{ "query-block", MONITOR_VIEWER, "", query_block },
	{ "query-blockstats", MONITOR_VIEWER, "", query_blockstats },
	{ "query-block-jobs", MONITOR_VIEWER, "", query_block_jobs },
	{ "stop", MONITOR_ADMIN, "", run_stop },
	{ "cont", MONITOR_ADMIN, "", run_cont },
	{ "system_reset", MONITOR_ADMIN, "", run_reset },
	{ "system_powerdown", MONITOR_ADMIN, "", run_powerdown },
	{ "snapshot", MONITOR_ADMIN, "dir", run_snapshot },
	{ "block_resize", MONITOR_ADMIN, "device node-name size shrink", run_block_resize },
	{ "blockdev-snapshot-sync", MONITOR_ADMIN, OVERLAY_ARGUMENTS, run_snapshot_sync },
	{ "blockdev-snapshot-internal-sync", MONITOR_ADMIN, "device name", run_snapshot_internal },
	{ "blockdev-snapshot-delete-internal-sync", MONITOR_ADMIN, "device id name", run_snapshot_delete },
	{ "transaction", MONITOR_ADMIN, "actions", run_transaction },
	{ "block-stream", MONITOR_ADMIN, "job-id device base backing-file speed", run_block_stream },
	{ "block-commit", MONITOR_ADMIN, "job-id device base top backing-file depth speed", run_block_commit },
	{ "block-job-cancel", MONITOR_ADMIN, "device", run_job_cancel },
	{ "block-job-complete", MONITOR_ADMIN, "device", run_job_complete },
	{ "block-job-set-speed", MONITOR_ADMIN, "device speed", run_job_speed },
	{ "quit", MONITOR_ADMIN, "", run_quit },
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static int query_commands(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)mon, (void)arguments, (void)err;
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		fprintf(out, "%s{\"name\": \"%s\", \"role\": \"%s\"}", i ? ", " : "[", commands[i].name,
			commands[i].role == MONITOR_ADMIN ? "admin" : "viewer");
	putc(']', out);
	return 0;
}
