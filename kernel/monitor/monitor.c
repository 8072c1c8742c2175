// SPDX-License-Identifier: MIT
/*
 * Putting the monitor together and taking it down; the machine's events; stopping and going on. A machine
 * that names no socket has one in the user's folder of running machines; where there can be none, it runs
 * without, for it was not asked for.
 */
#include "kernel/monitor/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "kernel/block/block.h"
#include "kernel/block/block.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/monitor/gdb.h"
#include "kernel/monitor/place.h"

/* Watching descriptors */

bool monitor_watch(struct monitor *mon, struct source *s, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	return epoll_ctl(mon->epoll_fd, EPOLL_CTL_ADD, s->fd, &e) == 0;
}

void monitor_rewatch(struct monitor *mon, struct source *s, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = s };

	epoll_ctl(mon->epoll_fd, EPOLL_CTL_MOD, s->fd, &e);
}

void monitor_unwatch(struct monitor *mon, struct source *s)
{
	if (s->fd < 0)
		return;
	epoll_ctl(mon->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	close(s->fd);
	s->fd = -1;
}

/* One event a time: what serves it may free the source of another. */
static void monitor_serve(void *arg)
{
	struct monitor *mon = arg;
	struct epoll_event e;

	if (epoll_wait(mon->epoll_fd, &e, 1, 0) == 1) {
		struct source *s = e.data.ptr;

		s->ready(s, e.events);
	}
	server_reap(mon);
}

/* The run state */

const char *monitor_status(const struct monitor *mon)
{
	if (mon->m->state == INST_RUNNING)
		return "running";
	if (mon->gdb && gdb_holds(mon->gdb))
		return "debug";
	return mon->m->state == INST_REALIZED ? "prelaunch" : "paused";
}

static void stopped(struct monitor *mon)
{
	server_event(mon, "STOP", NULL);
	if (mon->gdb)
		gdb_paused(mon->gdb);
}

bool monitor_stop(struct monitor *mon)
{
	if (mon->m->state != INST_RUNNING)
		return false;
	machine_pause(mon->m);
	stopped(mon);
	return true;
}

bool monitor_go(struct monitor *mon)
{
	if (mon->m->state == INST_RUNNING)
		return false;
	server_event(mon, "RESUME", NULL);
	machine_start(mon->m);
	return true;
}

/* What machine_run tells */

/* In the words of QMP, for those who listen to several emulators. */
static void disk_error(void *arg, const struct block_error *error)
{
	static const char *const actions[] = { "report", "ignore", "stop" };
	bool full = error->result == MT_ENOSPC;
	char *data = g_strdup_printf("{\"device\": \"%s\", \"node-name\": \"%s\", \"operation\": \"%s\", "
				     "\"action\": \"%s\", \"nospace\": %s, \"reason\": \"%s\"}", error->front, error->node,
				     error->op == MT_BLOCK_READ ? "read" : "write", actions[error->action],
				     full ? "true" : "false", full ? "no space left" :
				     error->result == MT_EGONE ? "the disk is gone" : "input/output error");

	server_event(arg, "BLOCK_IO_ERROR", data);
	g_free(data);
}

static void monitor_event(void *arg, uint32_t event)
{
	struct monitor *mon = arg;

	if (event == MACHINE_EVENT_RESET)
		server_event(mon, "RESET", NULL);
	if (event == MACHINE_EVENT_DEBUG && mon->gdb)
		gdb_debugged(mon->gdb);
	if (event == MACHINE_EVENT_DISK)
		block_errors_tell(mon->m, disk_error, mon);
	if (event == MACHINE_EVENT_STOP)
		stopped(mon);
	server_reap(mon);
}

static void monitor_end(void *arg, uint32_t request, int code)
{
	struct monitor *mon = arg;
	const char *reason = request == MT_REQUEST_POWEROFF ? "guest-shutdown" :
			     request == MACHINE_REQUEST_FAIL ? "failure" : "host-quit";
	char data[96];

	if (mon->gdb)
		gdb_exited(mon->gdb, code);
	g_snprintf(data, sizeof(data), "{\"guest\": %s, \"reason\": \"%s\", \"code\": %d}",
		   request == MT_REQUEST_POWEROFF || request == MT_REQUEST_PANIC ? "true" : "false",
		   request == MT_REQUEST_PANIC ? "guest-panic" : reason, code);
	if (request == MT_REQUEST_PANIC)
		server_event(mon, "GUEST_PANICKED", "{\"action\": \"quit\"}");
	server_event(mon, "SHUTDOWN", data);
	server_drain(mon);
}

/* Making and ending */

char *monitor_name(const struct config *config)
{
	const struct config_section *machine = config_section_next(config, CONFIG_MACHINE, NULL);
	const char *name = section_get_text(machine, "name", "");
	char *base;

	if (*name)
		return g_strdup(name);
	base = g_path_get_basename(config_file(config));
	if (g_str_has_suffix(base, ".ini"))
		base[strlen(base) - 4] = 0;
	/* the name becomes that of a file and is typed by people */
	for (char *p = base; *p; p++)
		if (!g_ascii_isalnum(*p) && !strchr("._-", *p))
			*p = '_';
	return base;
}

/* The way to a socket that lies elsewhere, for `mortise ctl NAME`. */
static void link_make(struct monitor *mon, const char *socket)
{
	char *dir = place_dir(true, NULL), *path = dir ? place_path(dir, mon->name) : NULL;

	g_free(dir);
	if (path && (unlink(path) == 0 || errno == ENOENT) && symlink(socket, path) == 0)
		mon->link = path;
	else
		g_free(path);
}

static int listen_default(struct monitor *mon)
{
	struct mt_error err = { .size = sizeof(err) };
	char *dir = place_dir(true, &err), *path = dir ? place_path(dir, mon->name) : NULL;

	if (!path || server_listen(mon, path, MONITOR_ADMIN, &err) < 0)
		log_message(mon->m, NULL, MT_LOG_DEBUG, "mortise ctl will not find this machine: %s",
			    err.message);
	g_free(dir);
	g_free(path);
	return 0;
}

static int listen_at(struct monitor *mon, const struct config_section *section, const char *name,
		     enum monitor_role role, struct mt_error *err)
{
	const struct config_key *key = section_get(section, name);
	struct mt_inst place = { .section = section };
	char *path;
	int code;

	if (!key || (role == MONITOR_ADMIN && !strcmp(key->value, "off")))
		return 0;
	path = key_path(key);
	code = server_listen(mon, path, role, err);
	if (code == 0 && role == MONITOR_ADMIN)
		link_make(mon, path);
	g_free(path);
	if (code == 0)
		return 0;
	g_strlcpy(err->culprit, name, sizeof(err->culprit));
	return fault_locate(err, code, &place);
}

static int listen_gdb(struct monitor *mon, const struct config_section *section,
		      const struct run_options *options, bool *start, struct mt_error *err)
{
	const struct config_key *key = section_get(section, "gdb");
	struct mt_inst place = { .section = section };
	bool wait = false;
	int code;

	section_get_bool(section, "wait", &wait, NULL);
	*start = !(wait || options->wait);
	if (!options->gdb && !key)
		return *start ? 0 : fault_set(err, MT_EINVAL, "wait", NULL,
					      "nothing to wait for: no gdb address is given");
	code = gdb_create(mon, options->gdb ? options->gdb : key->value, options->gdb ? NULL : key->dir, err);
	g_strlcpy(err->culprit, "gdb", sizeof(err->culprit));
	return code < 0 && !options->gdb ? fault_locate(err, code, &place) : code;
}

static void monitor_destroy(void *arg)
{
	struct monitor *mon = arg;

	jobs_destroy(mon);
	gdb_destroy(mon->gdb);
	server_fini(mon);
	if (mon->link)
		unlink(mon->link);
	if (mon->epoll_fd >= 0)
		close(mon->epoll_fd);
	g_free(mon->link);
	g_free(mon->name);
	g_free(mon);
}

static struct monitor *monitor_new(struct machine *m)
{
	struct monitor *mon = g_new0(struct monitor, 1);

	mon->m = m;
	mon->name = monitor_name(m->config);
	mon->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	server_init(mon);
	m->watcher = (struct machine_watcher){
		.fd = mon->epoll_fd, .arg = mon, .serve = monitor_serve, .event = monitor_event,
		.end = monitor_end, .destroy = monitor_destroy,
	};
	return mon;
}

int monitor_attach(struct machine *m, const struct run_options *options, bool *start, struct mt_error *err)
{
	const struct config_section *section = config_section_next(m->config, CONFIG_MONITOR, NULL);
	struct monitor *mon = monitor_new(m);
	int code;

	code = section_get(section, "socket") ? listen_at(mon, section, "socket", MONITOR_ADMIN, err)
					       : listen_default(mon);
	if (code == 0)
		code = listen_at(mon, section, "viewer", MONITOR_VIEWER, err);
	return code == 0 ? listen_gdb(mon, section, options, start, err) : code;
}
