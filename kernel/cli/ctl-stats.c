// SPDX-License-Identifier: MIT
/* mortise ctl NAME stats: what the guest did with its disks, from query-blockstats, as a table or as rates. */
#include <stdlib.h>
#include <string.h>

#include "kernel/cli/cli.h"
#include "kernel/cli/ctl.h"
#include "kernel/config/json.h"
#include "kernel/monitor/json.h"

enum kind { READ, WRITE, FLUSH, UNMAP, KINDS };
static const char *const kinds[KINDS] = { "rd", "wr", "flush", "unmap" };

/* Of one disk of one device, since the machine's start or between two looks. */
struct numbers {
	uint64_t operations[KINDS], bytes[KINDS], total_ns[KINDS], failed, in_flight;
};

struct look {
	struct json *answer;                 /* query-blockstats */
	gint64 at_us;
};

/* Reading */

static uint64_t number(const struct json *stats, const char *before, const char *kind, const char *behind)
{
	char *name = g_strconcat(before, kind, behind, NULL);
	uint64_t n = 0;

	json_uint(json_get(stats, name), &n);
	g_free(name);
	return n;
}

static struct numbers numbers_of(const struct json *disk)
{
	const struct json *stats = json_get(disk, "stats");
	struct numbers n = { .in_flight = number(stats, "in_flight", "", "") };

	for (int k = 0; k < KINDS; k++) {
		n.operations[k] = number(stats, "", kinds[k], "_operations");
		n.bytes[k] = number(stats, "", kinds[k], "_bytes");
		n.total_ns[k] = number(stats, "", kinds[k], "_total_time_ns");
		n.failed += number(stats, "failed_", kinds[k], "_operations") + number(stats, "invalid_", kinds[k], "_operations");
	}
	return n;
}

static void subtract(struct numbers *n, const struct numbers *before)
{
	for (int k = 0; k < KINDS; k++) {
		n->operations[k] -= before->operations[k];
		n->bytes[k] -= before->bytes[k];
		n->total_ns[k] -= before->total_ns[k];
	}
	n->failed -= before->failed;
}

static bool is_called(const struct json *disk, const char *name)
{
	return !name || !g_strcmp0(json_text(json_get(disk, "device")), name) ||
	       !g_strcmp0(json_text(json_get(disk, "node-name")), name);
}

/* The same disk of the same device. */
static const struct json *same_in(const struct look *look, const struct json *disk)
{
	const struct json *list = json_get(look->answer, "return");

	for (unsigned i = 0; i < list->items->len; i++) {
		const struct json *other = g_ptr_array_index(list->items, i);

		if (!g_strcmp0(json_text(json_get(other, "device")), json_text(json_get(disk, "device"))) &&
		    !g_strcmp0(json_text(json_get(other, "node-name")), json_text(json_get(disk, "node-name"))))
			return other;
	}
	return NULL;
}

/* Printing */

/* At most seven characters: 999, 12.3K, 4.0G. */
static void print_amount(double n, bool exact)
{
	static const char units[] = " KMGTPE";
	unsigned unit = 0;

	for (; n >= 1000 && units[unit + 1]; unit++)
		n /= 1024;
	printf(unit ? " %7.1f%c" : exact ? " %8.0f" : " %8.1f", n, units[unit]);
}

/* How long one took, in microseconds. */
static void print_latency(const struct numbers *n, enum kind kind)
{
	if (n->operations[kind])
		printf(" %8.0f", (double)n->total_ns[kind] / 1000 / (double)n->operations[kind]);
	else
		printf(" %8s", "-");
}

static void print_head(bool rates)
{
	static const char *const totals[] = { "READS", "READ", "WRITES", "WRITTEN", "FLUSHES", "DISCARDS", "FAILED" };
	static const char *const per_second[] = { "READS/s", "READ/s", "WRITES/s", "WRITE/s", "FLUSH/s", "DISC/s", "FAILED" };
	const char *const *names = rates ? per_second : totals;

	printf("%-16s", "DEVICE");
	for (int i = 0; i < 7; i++)
		printf(" %8s", names[i]);
	printf(" %8s %8s %8s\n", "NOW", "RD-US", "WR-US");
}

/* `seconds` 0: totals. */
static void print_row(const struct json *disk, const struct numbers *n, double seconds)
{
	double by = seconds > 0 ? seconds : 1;

	printf("%-16s", json_text(json_get(disk, "device")));
	for (int k = READ; k <= WRITE; k++) {
		print_amount((double)n->operations[k] / by, seconds <= 0);
		print_amount((double)n->bytes[k] / by, seconds <= 0);
	}
	print_amount((double)n->operations[FLUSH] / by, seconds <= 0);
	print_amount((double)n->operations[UNMAP] / by, seconds <= 0);
	print_amount((double)n->failed, true);
	print_amount((double)n->in_flight, true);
	print_latency(n, READ);
	print_latency(n, WRITE);
	putchar('\n');
}

/* `before` NULL: totals. False: there is no such disk. */
static bool print_table(const struct look *now, const struct look *before, const struct ctl_stats *stats)
{
	const struct json *list = json_get(now->answer, "return");
	double seconds = before ? (double)(now->at_us - before->at_us) / 1e6 : 0;
	bool some = false;

	for (unsigned i = 0; i < list->items->len; i++) {
		const struct json *disk = g_ptr_array_index(list->items, i), *old = before ? same_in(before, disk) : NULL;
		struct numbers n = numbers_of(disk), then;

		if (!is_called(disk, stats->device) || !json_text(json_get(disk, "device")))
			continue;
		if (old) {
			then = numbers_of(old);
			subtract(&n, &then);
		}
		if (!some)
			print_head(before != NULL);
		print_row(disk, &n, seconds);
		some = true;
	}
	return some;
}

/* What a program wants is the answer: all numbers since the start. */
static bool print_json(const struct look *now, const char *device)
{
	const struct json *list = json_get(now->answer, "return");
	bool some = false;

	putchar('[');
	for (unsigned i = 0; i < list->items->len; i++) {
		const struct json *disk = g_ptr_array_index(list->items, i);

		if (!is_called(disk, device))
			continue;
		fputs(some ? ", " : "", stdout);
		json_print(stdout, disk);
		some = true;
	}
	puts("]");
	return some;
}

/* Running */

static bool look_take(struct ctl_line *l, struct look *look)
{
	const struct json *list;

	look->answer = ctl_ask(l, "{\"execute\": \"query-blockstats\"}");
	look->at_us = g_get_monotonic_time();
	list = json_get(look->answer, "return");
	return list && list->type == JSON_ARRAY;
}

static int no_answer(const struct look *look)
{
	const char *error = json_text(json_get(json_get(look->answer, "error"), "desc"));

	cli_fail("%s", error ? error : "the machine ended without an answer");
	return CLI_RUNTIME;
}

static int no_disk(const char *device)
{
	if (device)
		cli_fail("there is no disk '%s'; `devices` and `block` list what there is", device);
	else
		cli_fail("no device of the machine has a disk");
	return CLI_RUNTIME;
}

/* Tables until as many are printed, or the machine ends, or nobody reads any more. */
static int follow(struct ctl_line *l, const struct ctl_stats *stats, struct look *before)
{
	struct look now = { 0 };
	bool fine = true;

	for (uint64_t n = 0; fine && (!stats->count || n < stats->count) && !ferror(stdout); n++) {
		g_usleep(stats->interval_us);
		if (!look_take(l, &now))
			break;
		fine = stats->json ? print_json(&now, stats->device) : print_table(&now, before, stats);
		fflush(stdout);
		json_free(before->answer);
		*before = now;
		now.answer = NULL;
	}
	json_free(now.answer);
	return fine ? CLI_OK : no_disk(stats->device);
}

int ctl_stats_run(struct ctl_line *l, const struct ctl_stats *stats)
{
	struct look look;
	int code = CLI_OK;

	if (!look_take(l, &look))
		code = no_answer(&look);
	else if (stats->interval_us)
		code = follow(l, stats, &look);
	else if (!(stats->json ? print_json(&look, stats->device) : print_table(&look, NULL, stats)))
		code = no_disk(stats->device);
	json_free(look.answer);
	return code;
}

bool ctl_stats_options(const struct cli_args *args, struct ctl_stats *stats)
{
	const char *interval = cli_value(args, "interval"), *count = cli_value(args, "count");
	double seconds;
	char *end;

	if (count && !interval)
		return cli_fail("--count is a number of intervals: it needs --interval"), false;
	if (interval) {
		seconds = g_ascii_strtod(interval, &end);
		if (end == interval || *end || !(seconds >= 0.01 && seconds <= 86400))
			return cli_fail("'%s' is no interval; wanted: seconds, from 0.01 to 86400", interval), false;
		stats->interval_us = (uint64_t)(seconds * 1e6);
	}
	if (count && (!g_ascii_string_to_unsigned(count, 10, 1, G_MAXUINT32, &stats->count, NULL)))
		return cli_fail("'%s' is no count; wanted: a number from 1 on", count), false;
	return true;
}
