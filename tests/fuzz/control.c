/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of the control sockets, at a machine with the real translator: lines of the monitor (first byte even), or
 * bytes that a debugger sends (odd). The machine is tests/fuzz/control.ini; every input has a fresh one.
 */
#include "tests/fuzz/fuzz.h"

#include <fake/replay.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kernel/monitor/monitor.h"

#define SERVES_MAX 64

static char socket_path[100];

/* What machine_run does beside: requests of the guest are dropped. */
static void serve(struct machine *m)
{
	struct pollfd p[2] = { { m->watcher.fd, POLLIN, 0 }, { m->ask.event_fd, POLLIN, 0 } };
	uint64_t count;

	for (int i = 0; i < SERVES_MAX && poll(p, 2, i ? 0 : 10) > 0; i++) {
		uint32_t notices;

		if (p[0].revents)
			m->watcher.serve(m->watcher.arg);
		if (p[1].revents && read(m->ask.event_fd, &count, sizeof(count)) < 0)
			return;
		pthread_mutex_lock(&m->ask.lock);
		notices = m->ask.notices;
		m->ask.notices = m->ask.request = 0;
		pthread_mutex_unlock(&m->ask.lock);
		if (notices & MACHINE_EVENT_DEBUG) {
			machine_pause(m);
			m->watcher.event(m->watcher.arg, MACHINE_EVENT_DEBUG);
		}
	}
}

static int debugger_come(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memcpy(addr.sun_path, socket_path, sizeof(socket_path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		abort();
	return fd;
}

static void debug(struct machine *m, const uint8_t *data, size_t size)
{
	int fd = debugger_come();
	uint8_t reply[4096];

	serve(m);
	while (size > 0) {
		size_t now = size < 1024 ? size : 1024;

		if (send(fd, data, now, MSG_NOSIGNAL) < 0)
			break;
		serve(m);
		while (recv(fd, reply, sizeof(reply), 0) > 0)
			;
		data += now;
		size -= now;
	}
	close(fd);
	serve(m);
}

/* A snapshot would be written wherever the line says: that is what it is for. */
static void command(struct machine *m, const uint8_t *data, size_t size)
{
	char *lines = g_strndup((const char *)data, size), *rest = lines, *line;

	while ((line = strsep(&rest, "\n"))) {
		enum monitor_role role = strstr(line, "snap") || strchr(line, '\\') ? MONITOR_VIEWER : MONITOR_ADMIN;

		free(command_line(m->watcher.arg, role, line, strlen(line)));
		serve(m);
	}
	g_free(lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mt_error err = { .size = sizeof(err) };
	struct run_options options = { .quiet = true };
	char address[120];
	struct machine *m;
	bool start;

	if (!socket_path[0]) {
		snprintf(socket_path, sizeof(socket_path), "%s/mortise-fuzz-%ld", g_get_tmp_dir(), (long)getpid());
		if (!target_open(TEST_SRCDIR "/tests/fuzz/control.ini", "/nonexistent"))
			abort();
	}
	if (!size)
		return 0;
	snprintf(address, sizeof(address), "unix:%s", socket_path);
	options.gdb = address;
	m = target_run();
	m->log.guest = false;
	if (monitor_attach(m, &options, &start, &err) < 0) {
		fprintf(stderr, "fuzz: %s\n", err.message);
		abort();
	}
	if (data[0] & 1)
		debug(m, data + 1, size - 1);
	else
		command(m, data + 1, size - 1);
	machine_destroy(m);
	return 0;
}

FUZZ_REPLAY("tests/fuzz/control", 20)
