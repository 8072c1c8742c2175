/* SPDX-License-Identifier: MIT */
/*
 * The monitor of one running machine: its sockets, their clients and the debugger, all served on [main] by
 * machine_run's loop through one epoll descriptor. Nothing here waits for a client, and no vCPU waits for
 * anything here.
 */
#ifndef KERNEL_MONITOR_MONITOR_H
#define KERNEL_MONITOR_MONITOR_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/machine/machine.h"
#include "kernel/monitor/json.h"

struct gdb;
struct jobs;
struct mt_inst;

/* What epoll watches; the first member of what owns it. `ready` may free it. */
struct source {
	int fd;
	void (*ready)(struct source *s, uint32_t events);
};

enum monitor_role { MONITOR_VIEWER, MONITOR_ADMIN };

struct monitor {
	struct machine *m;
	char *name;
	int epoll_fd;
	GPtrArray *listeners;      /* struct listener */
	GPtrArray *clients;        /* struct client */
	char *link;                /* in the folder of running machines, to a socket that lies elsewhere; or NULL */
	struct gdb *gdb;           /* NULL: no debugger may come */
	struct jobs *jobs;         /* NULL: there was none yet */
};

/* [main] for run_options.attach */
int monitor_attach(struct machine *m, const struct run_options *options, bool *start, struct mt_error *err);

/* The machine's name: of the file, or [machine] name. Free with g_free. */
char *monitor_name(const struct config *config);

bool monitor_watch(struct monitor *mon, struct source *s, uint32_t events);
void monitor_rewatch(struct monitor *mon, struct source *s, uint32_t events);
/* Takes it out and closes its descriptor. */
void monitor_unwatch(struct monitor *mon, struct source *s);

/* The run state. Both tell the clients. False: it was so already. */
bool monitor_stop(struct monitor *mon);
bool monitor_go(struct monitor *mon);
/* running, paused, prelaunch (never started) or debug (stopped by the debugger) */
const char *monitor_status(const struct monitor *mon);

/* server.c */
void server_init(struct monitor *mon);
void server_fini(struct monitor *mon);
int server_listen(struct monitor *mon, const char *path, enum monitor_role role, struct mt_error *err);
/* A connected socket, which becomes a client's. */
void server_add(struct monitor *mon, int fd, enum monitor_role role);
/* Frees the clients that have gone. */
void server_reap(struct monitor *mon);
/* To all clients; `data` is JSON, or NULL for an empty object. */
void server_event(struct monitor *mon, const char *event, const char *data);
/* Gives the clients a moment to take what is left. */
void server_drain(struct monitor *mon);

/* command.c: the reply to one line of a client, as a line. Free with free(). */
char *command_line(struct monitor *mon, enum monitor_role role, const char *line, size_t len_bytes);

struct command {
	const char *name;
	enum monitor_role role;    /* who may */
	const char *arguments;     /* names, blank separated */
	/* Prints the value of "return"; nothing printed stands for {}. 0, or a negative code with `err` filled. */
	int (*run)(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
};

/* What is wrong with the arguments of `name`, which has the `known` ones, or NULL; free with g_free. */
char *command_arguments_fault(const char *name, const char *known, const struct json *arguments);

/* query.c */
int query_status(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int query_version(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int query_name(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int query_cpus(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int query_devices(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
/* `, "name": "text"` */
void query_member(FILE *out, const char *name, const char *text);
void query_print_version(FILE *out);

/* query-block.c */
int query_block(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_block_resize(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int query_blockstats(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);

/* The node that the device or the block section `name` has; NULL: none. */
struct mt_inst *query_disk(struct monitor *mon, const char *name);

/* snap.c */
#define OVERLAY_ARGUMENTS "device node-name snapshot-file format mode"
int run_snapshot_sync(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_snapshot_internal(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_snapshot_delete(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_transaction(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);

/* jobs.c */
int run_block_stream(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_block_commit(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_job_cancel(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_job_complete(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int run_job_speed(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
int query_block_jobs(struct monitor *mon, const struct json *arguments, FILE *out, struct mt_error *err);
/* 0, or MT_EBUSY with words: a job is under way. */
int jobs_idle(const struct monitor *mon, struct mt_error *err);
void jobs_destroy(struct monitor *mon);

#endif
