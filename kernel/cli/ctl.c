// SPDX-License-Identifier: MIT
/*
 * mortise ctl: talks to the control sockets of running machines. A word of the command line is a request;
 * the table at the end says which, and which members of the answer are shown. What the monitor can do and
 * no word stands for goes as JSON.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/cli/cli.h"
#include "kernel/cli/ctl.h"
#include "kernel/config/json.h"
#include "kernel/config/suggest.h"
#include "kernel/config/value.h"
#include "kernel/monitor/json.h"
#include "kernel/monitor/place.h"

enum word_kind {
	WORD_ASKS,
	WORD_BEGINS,               /* a job, which is waited for */
	WORD_EVENTS, WORD_STATS,   /* it has a function of its own */
};

struct word {
	const char *name, *alias;
	const char *execute;       /* NULL: others do that */
	const char *arguments;     /* what the words behind it are called, blank separated, [so] if one may be left out */
	const char *columns;       /* of the answer, blank separated; "" prints nothing */
	enum word_kind kind;
};

static const struct word words[] = {
	{ "status", NULL, "query-status", NULL, "status", WORD_ASKS },
	{ "pause", "stop", "stop", NULL, "", WORD_ASKS },
	{ "resume", "cont", "cont", NULL, "", WORD_ASKS },
	{ "reset", NULL, "system_reset", NULL, "", WORD_ASKS },
	{ "powerdown", NULL, "system_powerdown", NULL, "", WORD_ASKS },
	{ "snapshot", NULL, "snapshot", "dir", "", WORD_ASKS },
	{ "quit", NULL, "quit", NULL, "", WORD_ASKS },
	{ "cpus", NULL, "query-cpus", NULL, "index thread plugin pc", WORD_ASKS },
	{ "devices", NULL, "query-devices", NULL, "id kind plugin summary", WORD_ASKS },
	{ "resize", NULL, "block_resize", "device size", "", WORD_ASKS },
	{ "overlay", NULL, "blockdev-snapshot-sync", "device snapshot-file", "machine-file", WORD_ASKS },
	{ "disk-snapshot", NULL, "blockdev-snapshot-internal-sync", "device name", "", WORD_ASKS },
	{ "disk-snapshot-delete", NULL, "blockdev-snapshot-delete-internal-sync", "device name", "", WORD_ASKS },
	{ "stream", NULL, "block-stream", "device [base]", "", WORD_BEGINS },
	{ "commit", NULL, "block-commit", "device [base]", "", WORD_BEGINS },
	{ "cancel", NULL, "block-job-cancel", "device", "", WORD_ASKS },
	{ "speed", NULL, "block-job-set-speed", "device speed", "", WORD_ASKS },
	{ "jobs", NULL, "query-block-jobs", NULL, "device type offset len speed", WORD_ASKS },
	{ "block", NULL, "query-block", NULL, "id plugin size read-only users file below", WORD_ASKS },
	{ "commands", NULL, "query-commands", NULL, "name role", WORD_ASKS },
	{ "stats", NULL, NULL, "[device]", "", WORD_STATS },
	{ "events", NULL, NULL, NULL, "", WORD_EVENTS },
};

/* The line to the machine */

/* The next object that the machine sends, or NULL: it has gone. Free with json_free. */
static struct json *line_read(struct ctl_line *l)
{
	char fault[JSON_ERROR_BYTES];
	ssize_t len = getline(&l->text, &l->room, l->in);

	return len > 0 ? json_parse(l->text, (size_t)len, fault) : NULL;
}

static bool line_write(struct ctl_line *l, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t n = send(l->fd, text, len, MSG_NOSIGNAL);      /* it may have gone */

		if (n < 0 && errno != EINTR)
			return false;
		text += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return true;
}

static void line_close(struct ctl_line *l)
{
	if (l->in)
		fclose(l->in);
	free(l->text);
}

static bool line_open(struct ctl_line *l, const char *path)
{
	struct json *greeting;

	*l = (struct ctl_line){ .fd = place_connect(path) };
	if (l->fd < 0)
		return false;
	l->in = fdopen(l->fd, "r");
	greeting = l->in ? line_read(l) : NULL;
	if (!greeting)
		line_close(l);
	json_free(greeting);
	return greeting != NULL;
}

struct json *ctl_ask(struct ctl_line *l, const char *request)
{
	struct json *answer;

	if (!line_write(l, request) || !line_write(l, "\n"))
		return NULL;
	while ((answer = line_read(l)) && json_get(answer, "event"))
		json_free(answer);
	return answer;
}

/* Printing answers */

static void print_cell(const struct json *value, int width)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	if (value && value->type == JSON_STRING)
		fputs(value->text, out);
	else if (value && value->type == JSON_ARRAY)
		for (unsigned i = 0; i < value->items->len; i++)
			fprintf(out, "%s%s", i ? "," : "", json_text(g_ptr_array_index(value->items, i)));
	else if (value && value->type == JSON_BOOL)
		fputs(value->truth ? "yes" : "no", out);
	else if (value && value->type == JSON_NUMBER)
		fputs(value->text, out);
	else
		putc('-', out);
	fclose(out);
	printf("%-*s", width, text);
	free(text);
}

static void print_row(const struct json *row, char **columns)
{
	for (int i = 0; columns[i]; i++) {
		if (i)
			putchar(' ');
		print_cell(json_get(row, columns[i]), columns[i + 1] ? 16 : 0);
	}
	putchar('\n');
}

static void print_head(char **columns)
{
	for (int i = 0; columns[i]; i++) {
		char *name = g_ascii_strup(columns[i], -1);

		printf(columns[i + 1] ? "%-16s " : "%s\n", name);
		g_free(name);
	}
}

static void print_result(const struct word *word, const struct json *result, bool json)
{
	char **columns = g_strsplit(word->columns, " ", -1);

	if (json) {
		json_print(stdout, result);
		putchar('\n');
	} else if (result->type == JSON_ARRAY && *columns) {
		print_head(columns);
		for (unsigned i = 0; i < result->items->len; i++)
			print_row(g_ptr_array_index(result->items, i), columns);
	} else if (*columns) {
		print_row(result, columns);
	}
	g_strfreev(columns);
}

/* Words */

static const struct word *word_find(const char *name)
{
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		if (!strcmp(words[i].name, name) || !g_strcmp0(words[i].alias, name))
			return &words[i];
	return NULL;
}

static int word_unknown(const char *name)
{
	struct suggest s;

	suggest_init(&s, name);
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		suggest_add(&s, words[i].name);
	if (s.best)
		return cli_fail("ctl has no command '%s'; did you mean '%s'?", name, s.best);
	return cli_fail("ctl has no command '%s'; see mortise(1), or give a request as JSON", name);
}

static int fail(const char *format, const char *text)
{
	cli_fail(format, text);
	return CLI_RUNTIME;
}

/* Paths are made whole, for the machine has another current folder; sizes become numbers of bytes. */
static bool argument_print(FILE *out, const char *name, const char *operand)
{
	struct value_fault fault;
	uint64_t bytes;

	if (!strcmp(name, "size") || !strcmp(name, "speed")) {
		if (!value_parse_size(operand, &bytes, &fault))
			return cli_fail("%s", fault.message), false;
		fprintf(out, "%" G_GUINT64_FORMAT, bytes);
	} else if (!strcmp(name, "dir") || !strcmp(name, "snapshot-file") || !strcmp(name, "base")) {
		char *path = g_canonicalize_filename(operand, NULL);

		json_print_string(out, path);
		g_free(path);
	} else {
		json_print_string(out, operand);
	}
	return true;
}

/* NULL: an operand is wrong, which was said. */
static char *request_of(const struct word *word, char **operands)
{
	char **names = g_strsplit(word->arguments ? word->arguments : "", " ", -1), *text = NULL;
	bool fine = true;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		g_error("no memory for a request");
	fprintf(out, "{\"execute\": \"%s\"", word->execute);
	for (unsigned i = 0; fine && names[i] && operands[i]; i++) {
		char *name = g_strndup(names[i] + (*names[i] == '['), strcspn(names[i] + (*names[i] == '['), "]"));

		fprintf(out, "%s\"%s\": ", i ? ", " : ", \"arguments\": {", name);
		fine = argument_print(out, name, operands[i]);
		g_free(name);
	}
	if (!strcmp(word->name, "commit") && !operands[1])
		fputs(", \"depth\": 1", out);          /* into the image below; the request means the lowest one */
	fputs(*names ? "}}" : "}", out);
	fclose(out);
	g_strfreev(names);
	if (fine)
		return text;
	free(text);
	return NULL;
}

/* Jobs: told of by events, of which the one that ends them is waited for */

#define LOOK_US 200000             /* how often the progress is shown */

/* True: `event` ends the job `id`; *code says how. */
static bool job_ended(const struct json *event, const char *id, int *code)
{
	const char *name = json_text(json_get(event, "event"));
	const struct json *data = json_get(event, "data");
	const char *error = json_text(json_get(data, "error"));

	if (!name || g_strcmp0(json_text(json_get(data, "device")), id))
		return false;
	if (!strcmp(name, "BLOCK_JOB_CANCELLED"))
		*code = fail("the job '%s' was cancelled", id);
	else if (!strcmp(name, "BLOCK_JOB_COMPLETED"))
		*code = error ? fail("%s", error) : CLI_OK;
	else
		return false;
	return true;
}

static bool job_ready(const struct json *event, const char *id)
{
	return !g_strcmp0(json_text(json_get(event, "event")), "BLOCK_JOB_READY") &&
	       !g_strcmp0(json_text(json_get(json_get(event, "data"), "device")), id);
}

/* The guest goes over. */
static bool complete(struct ctl_line *l, const char *id)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	bool written;

	if (!out)
		return false;
	fputs("{\"execute\": \"block-job-complete\", \"arguments\": {\"device\": ", out);
	json_print_string(out, id);
	fputs("}}\n", out);
	fclose(out);
	written = line_write(l, text);
	free(text);
	return written;
}

static void job_show(const struct json *jobs, const char *id)
{
	for (unsigned i = 0; i < jobs->items->len; i++) {
		const struct json *job = g_ptr_array_index(jobs->items, i);
		uint64_t offset, len;

		if (!g_strcmp0(json_text(json_get(job, "device")), id) && json_uint(json_get(job, "offset"), &offset) &&
		    json_uint(json_get(job, "len"), &len) && len)
			fprintf(stderr, "\r    (%.2f/100%%)", (double)offset * 100 / (double)len);
	}
}

static int job_follow(struct ctl_line *l, const char *id)
{
	bool shown = isatty(STDERR_FILENO), ask = shown, ended = false;
	int code = CLI_RUNTIME;
	struct json *said;

	while (!ended) {
		if (ask && !line_write(l, "{\"execute\": \"query-block-jobs\"}\n"))
			break;
		said = line_read(l);
		if (!said)
			break;
		if (job_ready(said, id) && !complete(l, id))
			break;
		ended = job_ended(said, id, &code);
		ask = shown && json_get(said, "return") && json_get(said, "return")->type == JSON_ARRAY;
		if (ask) {
			job_show(json_get(said, "return"), id);
			g_usleep(LOOK_US);
		}
		json_free(said);
	}
	if (shown)
		fputc('\n', stderr);
	return ended ? code : fail("the machine ended before the job '%s'", id);
}

static int word_run(struct ctl_line *l, const struct word *word, const char *request, char **operands, bool json)
{
	struct json *answer = ctl_ask(l, request);
	const struct json *result = json_get(answer, "return"), *error = json_get(answer, "error");
	int code = CLI_OK;

	if (result)
		print_result(word, result, json);
	else if (json_text(json_get(error, "desc")))
		code = fail("%s", json_text(json_get(error, "desc")));
	else
		code = fail("the machine ended without an answer%s", "");
	json_free(answer);
	return code == CLI_OK && word->kind == WORD_BEGINS ? job_follow(l, operands[0]) : code;
}

/* A request as it is; the answer as it comes. */
static int raw_run(struct ctl_line *l, const char *request)
{
	char *one_line = g_strdelimit(g_strdup(request), "\r\n", ' ');
	struct json *answer = ctl_ask(l, one_line);
	int code = json_get(answer, "return") ? CLI_OK : CLI_RUNTIME;

	g_free(one_line);
	if (!answer)
		return fail("the machine ended without an answer%s", "");
	fputs(l->text, stdout);
	json_free(answer);
	return code;
}

static void print_event(const struct ctl_line *l, const struct json *event, bool json)
{
	const struct json *data = json_get(event, "data");
	uint64_t seconds = 0, micro = 0;
	GDateTime *at;
	char *clock;

	if (json) {
		fputs(l->text, stdout);
		return;
	}
	json_uint(json_get(json_get(event, "timestamp"), "seconds"), &seconds);
	json_uint(json_get(json_get(event, "timestamp"), "microseconds"), &micro);
	at = g_date_time_new_from_unix_local((gint64)seconds);
	clock = at ? g_date_time_format(at, "%H:%M:%S") : NULL;
	printf("%s.%06u %s", clock ? clock : "?", (unsigned)micro, json_text(json_get(event, "event")));
	if (data && data->items && data->items->len) {
		putchar(' ');
		json_print(stdout, data);
	}
	putchar('\n');
	g_free(clock);
	if (at)
		g_date_time_unref(at);
}

/* Until the machine ends, or nobody reads any more. */
static int events_follow(struct ctl_line *l, bool json)
{
	struct json *event;

	while (!ferror(stdout) && (event = line_read(l))) {
		if (json_text(json_get(event, "event")))
			print_event(l, event, json);
		fflush(stdout);
		json_free(event);
	}
	return CLI_OK;
}

/* Machines */

static bool machine_is(const struct place_machine *m, const char *name)
{
	char *pid = g_strdup_printf("%ld", (long)m->pid), *full = g_strdup_printf("%s.%s", m->name, pid);
	bool is = !strcmp(m->name, name) || !strcmp(pid, name) || !strcmp(full, name);

	g_free(pid);
	g_free(full);
	return is;
}

static char *names_of(const GPtrArray *list, const char *among)
{
	GString *text = g_string_new(NULL);

	for (unsigned i = 0; i < list->len; i++) {
		const struct place_machine *m = g_ptr_array_index(list, i);

		if (!among || machine_is(m, among))
			g_string_append_printf(text, "%s%s.%ld", text->len ? ", " : "", m->name,
					       (long)m->pid);
	}
	return g_string_free(text, FALSE);
}

/* The socket of the one machine that is called so; NULL: there is none, or more than one, which was said. */
static char *machine_path(const char *name)
{
	GPtrArray *list;
	const struct place_machine *found = NULL;
	unsigned count = 0;
	char *path, *names;

	if (strchr(name, '/'))
		return g_strdup(name);
	list = place_list();
	for (unsigned i = 0; i < list->len; i++)
		if (machine_is(g_ptr_array_index(list, i), name)) {
			found = g_ptr_array_index(list, i);
			count++;
		}
	path = count == 1 ? g_strdup(found->path) : NULL;
	names = names_of(list, count ? name : NULL);
	if (count > 1)
		cli_fail("%u machines are called '%s'; say which: %s", count, name, names);
	else if (!count && list->len)
		cli_fail("no machine called '%s' runs; there are: %s", name, names);
	else if (!count)
		cli_fail("no machine called '%s' runs, nor any other", name);
	g_free(names);
	g_ptr_array_unref(list);
	return path;
}

static char *status_of(const struct place_machine *m)
{
	struct ctl_line l;
	struct json *answer;
	char *status;

	if (!line_open(&l, m->path))
		return NULL;
	answer = ctl_ask(&l, "{\"execute\": \"query-status\"}");
	status = g_strdup(json_text(json_get(json_get(answer, "return"), "status")));
	json_free(answer);
	line_close(&l);
	return status;
}

static int machines_list(bool json)
{
	GPtrArray *list = place_list();

	if (json)
		putchar('[');
	else
		printf("%-24s %-8s %s\n", "NAME", "PID", "STATUS");
	for (unsigned i = 0; i < list->len; i++) {
		const struct place_machine *m = g_ptr_array_index(list, i);
		char *status = status_of(m);

		if (json) {
			fputs(i ? ", {\"name\": " : "{\"name\": ", stdout);
			json_print_string(stdout, m->name);
			printf(", \"pid\": %ld, \"socket\": ", (long)m->pid);
			json_print_string(stdout, m->path);
			fputs(", \"status\": ", stdout);
			json_print_string(stdout, status);
			putchar('}');
		} else {
			printf("%-24s %-8ld %s\n", m->name, (long)m->pid, status ? status : "?");
		}
		g_free(status);
	}
	if (json)
		puts("]");
	g_ptr_array_unref(list);
	return CLI_OK;
}

/* Whether there are as many operands as the word takes; if not, it was said. */
static bool operands_fit(const struct word *word, const char *what, char **operands)
{
	char **names = g_strsplit(word && word->arguments ? word->arguments : "", " ", -1);
	unsigned wanted = g_strv_length(names), count = g_strv_length(operands);
	bool enough = count >= wanted || *names[count] == '[';

	if (count > wanted)
		cli_fail("'%s' is one word too many: %s takes %s", operands[wanted], what, wanted ? word->arguments : "none");
	else if (!enough)
		cli_fail("%s needs a word more: %s", what, names[count]);
	g_strfreev(names);
	return enough && count <= wanted;
}

static int line_run(struct ctl_line *l, const struct word *word, const char *request, char **operands,
		    const struct ctl_stats *how)
{
	if (!word)
		return raw_run(l, request);
	switch (word->kind) {
	case WORD_EVENTS: return events_follow(l, how->json);
	case WORD_STATS:  return ctl_stats_run(l, how);
	default:          return word_run(l, word, request, operands, how->json);
	}
}

static int machine_ask(const char *name, const struct word *word, const char *request, char **operands,
		       const struct ctl_stats *how)
{
	char *path = machine_path(name);
	struct ctl_line l;
	int code;

	if (!path)
		return CLI_RUNTIME;
	if (!line_open(&l, path)) {
		code = fail("nothing answers at %s", path);
	} else {
		code = line_run(&l, word, request, operands, how);
		line_close(&l);
	}
	g_free(path);
	return code;
}

static int ctl_machine(const char *name, const char *what, char **operands, const struct ctl_stats *how)
{
	const struct word *word = *what == '{' ? NULL : word_find(what);
	char *request;
	int code;

	if (!word && *what != '{')
		return word_unknown(what);
	if (!operands_fit(word, what, operands))
		return CLI_CONFIG;
	if (how->interval_us && (!word || word->kind != WORD_STATS))
		return cli_fail("--interval is for stats");
	request = word && word->execute ? request_of(word, operands) : strdup(what);
	if (!request)
		return CLI_CONFIG;
	code = machine_ask(name, word, request, operands, how);
	free(request);
	return code;
}

static int ctl_verb(const struct cli_args *args)
{
	const char *name = cli_operand(args, 0), *what = cli_operand(args, 1);
	char *operands[3] = { (char *)cli_operand(args, 2) };
	struct ctl_stats how = { .device = operands[0] };
	int code;

	if (!cli_format(args, &how.json, &code))
		return code;
	if (!ctl_stats_options(args, &how))
		return CLI_CONFIG;
	if (!name)
		return machines_list(how.json);
	if (operands[0])
		operands[1] = (char *)cli_operand(args, 3);
	return ctl_machine(name, what ? what : "status", operands, &how);
}

static const struct cli_option ctl_options[] = {
	{ 'i', "interval", "SECONDS", "(stats) show what was done since the last time, again and again" },
	{ 'n', "count", "N", "(stats) so often, not until the machine ends" },
	{ 0, NULL, NULL, NULL },
};

static const struct cli_option *const ctl_tables[] = { ctl_options, cli_options_format, cli_options_common, NULL };

const struct cli_verb cli_verb_ctl = {
	.name = "ctl",
	.operands = "[NAME [COMMAND]]",
	.summary = "list running machines, look at one, or tell it what to do",
	.operands_min = 0,
	.operands_max = 4,
	.options = ctl_tables,
	.run = ctl_verb,
};
