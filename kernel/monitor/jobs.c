// SPDX-License-Identifier: MIT
/*
 * The monitor and jobs, in the words of QMP. A timer of the monitor's is ready when a job may do its next piece, so
 * clients are served in between; the jobs take turns. On [main].
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "kernel/config/json.h"
#include "kernel/job/job.h"
#include "kernel/machine/fault.h"
#include "kernel/monitor/monitor.h"

struct jobs {
	struct source timer;       /* first */
	struct monitor *mon;
	GPtrArray *list;           /* struct job, the one whose turn it is first */
};

static void timer_arm(struct jobs *jobs)
{
	uint64_t wait_ns = UINT64_MAX;
	struct itimerspec at = { 0 };

	for (unsigned i = 0; i < jobs->list->len; i++)
		wait_ns = MIN(wait_ns, job_wait_ns(g_ptr_array_index(jobs->list, i)));
	if (jobs->list->len) {
		wait_ns = MAX(wait_ns, 1);
		at.it_value = (struct timespec){ (time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000) };
	}
	timerfd_settime(jobs->timer.fd, 0, &at, NULL);
}

static void job_tell(struct monitor *mon, const struct job *job, const char *event, const char *error)
{
	struct job_status s;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	job_status(job, &s);
	fprintf(out, "{\"type\": \"%s\"", s.type);
	query_member(out, "device", s.id);
	fprintf(out, ", \"len\": %" G_GUINT64_FORMAT ", \"offset\": %" G_GUINT64_FORMAT ", \"speed\": %" G_GUINT64_FORMAT,
		s.len_bytes, s.offset, s.speed);
	if (error)
		query_member(out, "error", error);
	putc('}', out);
	fclose(out);
	server_event(mon, event, text);
	free(text);
}

static void job_fail(struct monitor *mon, const struct job *job, const char *error)
{
	struct job_status s;
	GString *data = g_string_new("{\"device\": ");
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	job_status(job, &s);
	if (out) {
		json_print_string(out, s.id);
		fclose(out);
	}
	g_string_append_printf(data, "%s, \"operation\": \"write\", \"action\": \"report\"}", text ? text : "null");
	server_event(mon, "BLOCK_JOB_ERROR", data->str);
	job_tell(mon, job, "BLOCK_JOB_COMPLETED", error);
	g_string_free(data, TRUE);
	free(text);
}

/* Its turn comes again when the others have had theirs. */
static void job_turn(struct jobs *jobs, unsigned index)
{
	struct job *job = g_ptr_array_index(jobs->list, index);
	struct mt_error err = { .size = sizeof(err) };
	enum job_result result;
	struct job_status before, after;

	job_status(job, &before);
	result = job_step(job, &err);
	job_status(job, &after);

	g_ptr_array_remove_index(jobs->list, index);
	if (result == JOB_GOES_ON) {
		if (after.ready && !before.ready)
			job_tell(jobs->mon, job, "BLOCK_JOB_READY", NULL);
		g_ptr_array_add(jobs->list, job);
		return;
	}
	if (result == JOB_DONE)
		job_tell(jobs->mon, job, "BLOCK_JOB_COMPLETED", NULL);
	else
		job_fail(jobs->mon, job, err.message);
	job_free(job);
}

static void timer_ready(struct source *s, uint32_t events)
{
	struct jobs *jobs = (struct jobs *)s;
	uint64_t count;

	(void)events;
	(void)!read(s->fd, &count, sizeof(count));
	for (unsigned i = 0; i < jobs->list->len; i++) {
		if (job_wait_ns(g_ptr_array_index(jobs->list, i)) == 0) {
			job_turn(jobs, i);
			break;
		}
	}
	timer_arm(jobs);
}

/* NULL: there is no descriptor left. */
static struct jobs *jobs_of(struct monitor *mon)
{
	struct jobs *jobs = mon->jobs;

	if (jobs)
		return jobs;
	jobs = g_new0(struct jobs, 1);
	jobs->timer = (struct source){ timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), timer_ready };
	jobs->mon = mon;
	jobs->list = g_ptr_array_new();
	mon->jobs = jobs;
	if (jobs->timer.fd >= 0 && monitor_watch(mon, &jobs->timer, EPOLLIN))
		return jobs;
	jobs_destroy(mon);
	return NULL;
}

void jobs_destroy(struct monitor *mon)
{
	struct jobs *jobs = mon->jobs;

	if (!jobs)
		return;
	for (unsigned i = 0; i < jobs->list->len; i++)
		job_free(g_ptr_array_index(jobs->list, i));
	g_ptr_array_unref(jobs->list);
	monitor_unwatch(mon, &jobs->timer);
	g_free(jobs);
	mon->jobs = NULL;
}

static struct job *job_called(const struct monitor *mon, const char *id)
{
	struct job_status s;

	for (unsigned i = 0; mon->jobs && i < mon->jobs->list->len; i++) {
		job_status(g_ptr_array_index(mon->jobs->list, i), &s);
		if (!strcmp(s.id, id))
			return g_ptr_array_index(mon->jobs->list, i);
	}
	return NULL;
}

int jobs_idle(const struct monitor *mon, struct mt_error *err)
{
	struct job_status s;

	if (!mon->jobs || !mon->jobs->list->len)
		return 0;
	job_status(g_ptr_array_index(mon->jobs->list, 0), &s);
	return fault_set(err, MT_EBUSY, NULL, "wait for it, or end it with mortise ctl NAME cancel",
			 "the machine cannot be saved while the job '%s' works on a disk of it", s.id);
}

/* Commands */

/* Which images: by their files. */
static int chain_read(const struct json *arguments, struct job_want *want, struct mt_error *err)
{
	static const char *const names[] = { "base", "top", "backing-file" };
	const char **const texts[] = { &want->base, &want->top, &want->backing_name };
	const struct json *depth = json_get(arguments, "depth");
	uint64_t number = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		const struct json *value = json_get(arguments, names[i]);

		*texts[i] = json_text(value);
		if (value && !*texts[i])
			return fault_set(err, MT_EINVAL, names[i], NULL, "'%s' must be a string", names[i]);
	}
	if (depth && (!json_uint(depth, &number) || number == 0 || number > UINT32_MAX))
		return fault_set(err, MT_EINVAL, "depth", NULL, "'depth' must be a number of images");
	want->depth = (uint32_t)number;
	return 0;
}

static int job_begin(struct monitor *mon, enum job_kind kind, const struct json *arguments, struct mt_error *err)
{
	const char *device = json_text(json_get(arguments, "device")), *id = json_text(json_get(arguments, "job-id"));
	const struct json *limit = json_get(arguments, "speed");
	struct mt_inst *disk = device ? query_disk(mon, device) : NULL;
	struct jobs *jobs = jobs_of(mon);
	struct job_want want = { .kind = kind, .device = device, .inst = disk };
	struct job *job;

	if (!device)
		return fault_set(err, MT_EINVAL, "device", NULL, "'device' must be given, a string");
	if (limit && !json_uint(limit, &want.speed))
		return fault_set(err, MT_EINVAL, "speed", NULL, "'speed' must be a number of bytes a second");
	if (!disk)
		return fault_set(err, MT_ENOENT, NULL, "query-block lists them", "there is no disk '%s'", device);
	id = id ? id : device;
	if (job_called(mon, id))
		return fault_set(err, MT_EBUSY, NULL, "query-block-jobs lists them", "there is a job '%s' already", id);
	if (!jobs)
		return fault_set(err, MT_EHOST, NULL, NULL, "no descriptor is left for the job");
	want.id = id;
	if (chain_read(arguments, &want, err) < 0)
		return MT_EINVAL;
	job = job_create(&want, err);
	if (!job)
		return err->code < 0 ? err->code : MT_EIO;
	g_ptr_array_add(jobs->list, job);
	timer_arm(jobs);
	return 0;
}

int run_block_stream(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)out;
	return job_begin(mon, JOB_STREAM, arguments, err);
}

int run_block_commit(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)out;
	return job_begin(mon, JOB_COMMIT, arguments, err);
}

/* NULL with `err`. */
static struct job *job_of(const struct monitor *mon, const struct json *arguments, struct mt_error *err)
{
	const char *id = json_text(json_get(arguments, "device"));
	struct job *job = id ? job_called(mon, id) : NULL;

	if (!id)
		fault_set(err, MT_EINVAL, "device", NULL, "'device' must be given, the name of a job");
	else if (!job)
		fault_set(err, MT_ENOENT, NULL, "query-block-jobs lists them", "there is no job '%s'", id);
	return job;
}

int run_job_cancel(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct job *job = job_of(mon, arguments, err);

	(void)out;
	if (!job)
		return err->code;
	job_tell(mon, job, "BLOCK_JOB_CANCELLED", NULL);
	g_ptr_array_remove(mon->jobs->list, job);
	job_free(job);
	timer_arm(mon->jobs);
	return 0;
}

int run_job_complete(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct job *job = job_of(mon, arguments, err);
	struct job_status s;

	(void)out;
	if (!job)
		return err->code;
	job_status(job, &s);
	if (!s.ready)
		return fault_set(err, MT_EINVAL, NULL, "the event BLOCK_JOB_READY tells when",
				 "the job '%s' cannot be completed yet", s.id);
	job_complete(job);
	timer_arm(mon->jobs);
	return 0;
}

int run_job_speed(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	struct job *job = job_of(mon, arguments, err);
	uint64_t speed;

	(void)out;
	if (!job)
		return err->code;
	if (!json_uint(json_get(arguments, "speed"), &speed))
		return fault_set(err, MT_EINVAL, "speed", NULL, "'speed' must be a number of bytes a second");
	job_speed_set(job, speed);
	timer_arm(mon->jobs);
	return 0;
}

int query_block_jobs(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err)
{
	(void)arguments, (void)err;
	putc('[', out);
	for (unsigned i = 0; mon->jobs && i < mon->jobs->list->len; i++) {
		struct job_status s;

		job_status(g_ptr_array_index(mon->jobs->list, i), &s);
		fprintf(out, "%s{\"type\": \"%s\"", i ? ", " : "", s.type);
		query_member(out, "device", s.id);
		query_member(out, "disk", s.device);
		fprintf(out, ", \"len\": %" G_GUINT64_FORMAT ", \"offset\": %" G_GUINT64_FORMAT ", \"speed\": %" G_GUINT64_FORMAT
			", \"busy\": true, \"paused\": false, \"ready\": %s, \"io-status\": \"ok\", \"status\": \"%s\"}",
			s.len_bytes, s.offset, s.speed, s.ready ? "true" : "false", s.ready ? "ready" : "running");
	}
	putc(']', out);
	return 0;
}
