// SPDX-License-Identifier: MIT
/*
 * Sockets and clients. A client is a stream of lines in both directions. What is kept for one is bounded
 * both ways: a line longer than IN_MAX, or replies and events that it does not take and that grow beyond
 * OUT_MAX, end it. Easy to break: a client may end while all are being told of an event: it is only marked,
 * server_reap frees it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/config/json.h"
#include "kernel/machine/services.h"
#include "kernel/monitor/monitor.h"
#include "kernel/monitor/place.h"

#define IN_MAX (64u << 10)
#define OUT_MAX (1u << 20)
#define CLIENTS_MAX 64u
#define DRAIN_MS 200

struct listener {
	struct source source;
	struct monitor *mon;
	enum monitor_role role;
	char *path;
	dev_t dev;                 /* of the socket that was made, so that no later one is removed for it */
	ino_t ino;
};

struct client {
	struct source source;
	struct monitor *mon;
	enum monitor_role role;
	GString *in, *out;
	bool gone;
};

/* Clients */

static void client_end(struct client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	monitor_unwatch(c->mon, &c->source);
}

static void client_free(void *data)
{
	struct client *c = data;

	client_end(c);
	g_string_free(c->in, TRUE);
	g_string_free(c->out, TRUE);
	g_free(c);
}

static void client_flush(struct client *c)
{
	while (!c->gone && c->out->len) {
		ssize_t n = send(c->source.fd, c->out->str, c->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			client_end(c);
		if (n < 0)
			break;
		g_string_erase(c->out, 0, n);
	}
	if (!c->gone)
		monitor_rewatch(c->mon, &c->source, c->out->len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void client_send(struct client *c, const char *text)
{
	size_t len = strlen(text);

	if (c->gone)
		return;
	if (c->out->len + len > OUT_MAX) {
		log_message(c->mon->m, NULL, MT_LOG_WARN,
			    "monitor: a client that takes no answers is let go");
		client_end(c);
		return;
	}
	g_string_append_len(c->out, text, (gssize)len);
	client_flush(c);
}

static void client_line(struct client *c, const char *line, size_t len)
{
	char *reply;

	while (len && (line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	if (!len)
		return;
	reply = command_line(c->mon, c->role, line, len);
	client_send(c, reply);
	free(reply);
}

static void client_lines(struct client *c)
{
	const char *end;
	size_t at = 0;

	while (!c->gone && (end = memchr(c->in->str + at, '\n', c->in->len - at))) {
		client_line(c, c->in->str + at, (size_t)(end - c->in->str) - at);
		at = (size_t)(end - c->in->str) + 1;
	}
	g_string_erase(c->in, 0, (gssize)at);
	if (c->in->len <= IN_MAX)
		return;
	client_send(c, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"the line is too long\"}}\n");
	client_end(c);
}

static void client_ready(struct source *s, uint32_t events)
{
	struct client *c = (struct client *)s;
	char buf[4096];
	ssize_t n;

	if (events & EPOLLOUT)
		client_flush(c);
	if (c->gone || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(c->source.fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_end(c);
		return;
	}
	g_string_append_len(c->in, buf, n);
	client_lines(c);
}

static void client_greet(struct client *c)
{
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	fputs("{\"mortise\": {\"version\": ", out);
	query_print_version(out);
	fputs(", \"name\": ", out);
	json_print_string(out, c->mon->name);
	fprintf(out, ", \"pid\": %ld, \"role\": \"%s\", \"capabilities\": []}}\n", (long)getpid(),
		c->role == MONITOR_ADMIN ? "admin" : "viewer");
	fclose(out);
	client_send(c, text);
	free(text);
}

void server_add(struct monitor *mon, int fd, enum monitor_role role)
{
	struct client *c = g_new0(struct client, 1);

	c->source = (struct source){ fd, client_ready };
	c->mon = mon;
	c->role = role;
	c->in = g_string_new(NULL);
	c->out = g_string_new(NULL);
	g_ptr_array_add(mon->clients, c);
	if (monitor_watch(mon, &c->source, EPOLLIN))
		client_greet(c);
	else
		client_end(c);
}

static void listener_ready(struct source *s, uint32_t events)
{
	struct listener *l = (struct listener *)s;
	int fd = accept4(l->source.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (l->mon->clients->len >= CLIENTS_MAX) {
		log_message(l->mon->m, NULL, MT_LOG_WARN, "monitor: more than %u clients; one is turned away",
			    CLIENTS_MAX);
		close(fd);
		return;
	}
	server_add(l->mon, fd, l->role);
}

void server_reap(struct monitor *mon)
{
	for (unsigned i = mon->clients->len; i-- > 0;) {
		struct client *c = g_ptr_array_index(mon->clients, i);

		if (c->gone)
			g_ptr_array_remove_index_fast(mon->clients, i);
	}
}

void server_event(struct monitor *mon, const char *event, const char *data)
{
	int64_t now_us = g_get_real_time();
	char *line = g_strdup_printf("{\"event\": \"%s\", \"data\": %s, \"timestamp\": {\"seconds\": %lld, "
				     "\"microseconds\": %lld}}\n", event, data ? data : "{}",
				     (long long)(now_us / 1000000), (long long)(now_us % 1000000));

	for (unsigned i = 0; i < mon->clients->len; i++)
		client_send(g_ptr_array_index(mon->clients, i), line);
	g_free(line);
}

void server_drain(struct monitor *mon)
{
	int64_t until_us = g_get_monotonic_time() + DRAIN_MS * 1000;

	for (unsigned i = 0; i < mon->clients->len; i++) {
		struct client *c = g_ptr_array_index(mon->clients, i);
		struct pollfd p = { c->source.fd, POLLOUT, 0 };

		client_flush(c);
		while (!c->gone && c->out->len && g_get_monotonic_time() < until_us && poll(&p, 1, 10) >= 0)
			client_flush(c);
	}
}

/* Listeners */

static void listener_free(void *data)
{
	struct listener *l = data;
	struct stat st;

	if (stat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	monitor_unwatch(l->mon, &l->source);
	g_free(l->path);
	g_free(l);
}

int server_listen(struct monitor *mon, const char *path, enum monitor_role role, struct mt_error *err)
{
	int fd = place_listen(path, err);
	struct listener *l;
	struct stat st;

	if (fd < 0)
		return fd;
	l = g_new0(struct listener, 1);
	l->source = (struct source){ fd, listener_ready };
	l->mon = mon;
	l->role = role;
	l->path = g_strdup(path);
	if (stat(path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	g_ptr_array_add(mon->listeners, l);
	monitor_watch(mon, &l->source, EPOLLIN);
	return 0;
}

void server_init(struct monitor *mon)
{
	mon->listeners = g_ptr_array_new_with_free_func(listener_free);
	mon->clients = g_ptr_array_new_with_free_func(client_free);
}

void server_fini(struct monitor *mon)
{
	g_ptr_array_unref(mon->listeners);
	g_ptr_array_unref(mon->clients);
}
