// SPDX-License-Identifier: MIT
/*
 * The debugger's connection: one at a time. When it comes the machine is paused, and held until it says
 * otherwise; when it goes, with or without a farewell, its points go with it and the machine runs on. A
 * debugger that takes no answers is let go like any client.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/monitor/gdb-parts.h"
#include "kernel/monitor/place.h"

#define OUT_MAX (1u << 20)

/* Sending */

static void peer_close(struct gdb *g)
{
	if (g->peer.source.fd < 0)
		return;
	monitor_unwatch(g->mon, &g->peer.source);
	if (!g->detached)
		gdb_let_go(g);
	g->holds = false;
}

static void peer_flush(struct gdb *g)
{
	while (g->out->len) {
		ssize_t n = send(g->peer.source.fd, g->out->str, g->out->len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;   /* a peer that has gone shows when it is read from */
		g_string_erase(g->out, 0, n);
	}
	monitor_rewatch(g->mon, &g->peer.source, g->out->len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void gdb_send(struct gdb *g, const char *data, size_t len)
{
	if (g->peer.source.fd < 0)
		return;
	g_string_truncate(g->last, 0);
	packet_put(g->last, data, len);
	g_string_append_len(g->out, g->last->str, (gssize)g->last->len);
	if (g->out->len > OUT_MAX) {
		log_message(g->m, NULL, MT_LOG_WARN, "gdb: a debugger that takes no answers is let go");
		shutdown(g->peer.source.fd, SHUT_RDWR);
		g_string_truncate(g->out, 0);
	}
	peer_flush(g);
}

void gdb_error(struct gdb *g, unsigned number)
{
	g_string_printf(g->reply, "E%02x", number);
}

void gdb_ok(struct gdb *g)
{
	g_string_assign(g->reply, "OK");
}

/* Receiving */

static void packet_serve(struct gdb *g)
{
	g_string_truncate(g->reply, 0);
	g->answer = true;
	gdb_command(g, g->reader.data);
	if (g->answer)
		gdb_send(g, g->reply->str, g->reply->len);
}

static void acknowledge(struct gdb *g, char c)
{
	if (!g->silent)
		g_string_append_c(g->out, c);
}

static void byte_serve(struct gdb *g, uint8_t byte)
{
	switch (packet_feed(&g->reader, byte)) {
	case PACKET_DATA:
		acknowledge(g, '+');
		packet_serve(g);
		break;
	case PACKET_BAD:
		acknowledge(g, '-');
		break;
	case PACKET_NAK:
		if (!g->silent)
			g_string_append_len(g->out, g->last->str, (gssize)g->last->len);
		break;
	case PACKET_INTERRUPT:
		gdb_interrupt(g);
		break;
	default:
		break;
	}
}

static void peer_ready(struct source *s, uint32_t events)
{
	struct gdb *g = ((struct gdb_source *)s)->gdb;
	uint8_t buf[4096];
	ssize_t n;

	if (events & EPOLLOUT)
		peer_flush(g);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	n = recv(g->peer.source.fd, buf, sizeof(buf), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n && g->peer.source.fd >= 0; i++)
		byte_serve(g, buf[i]);
	if (n <= 0)
		peer_close(g);
	else
		peer_flush(g);
}

/* Coming */

static void peer_start(struct gdb *g)
{
	int one = 1;

	setsockopt(g->peer.source.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	memset(&g->reader, 0, sizeof(g->reader));
	memset(g->cpus, 0, vcpus_count(g->vcpus) * sizeof(*g->cpus));
	g_string_truncate(g->out, 0);
	g_string_truncate(g->last, 0);
	g->silent = g->detached = g->free_irqs = g->told_swbreak = g->told_hwbreak = false;
	g->paused_before = g->m->state == INST_QUIESCED;
	gdb_hold(g, 0, GDB_SIGTRAP);
	monitor_stop(g->mon);
}

static void listener_ready(struct source *s, uint32_t events)
{
	struct gdb *g = ((struct gdb_source *)s)->gdb;
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	if (g->peer.source.fd >= 0) {
		log_message(g->m, NULL, MT_LOG_WARN, "gdb: a second debugger is turned away");
		close(fd);
		return;
	}
	g->peer.source.fd = fd;
	if (!monitor_watch(g->mon, &g->peer.source, EPOLLIN)) {
		close(fd);
		g->peer.source.fd = -1;
		return;
	}
	peer_start(g);
}

/* Listening */

static int listen_tcp(const char *where, struct mt_error *err)
{
	const char *colon = strrchr(where, ':');
	char *host = colon ? g_strndup(where, (size_t)(colon - where)) : NULL;
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *list = NULL;
	int fd = -1, one = 1, code;

	if (!colon || !colon[1]) {
		g_free(host);
		return fault_set(err, MT_EINVAL, "gdb", NULL, "'%s' is no HOST:PORT", where);
	}
	code = getaddrinfo(*host ? host : "localhost", colon + 1, &hints, &list);
	for (struct addrinfo *a = code ? NULL : list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			continue;
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1) == 0)
			break;
		close(fd);
		fd = -1;
	}
	if (fd < 0)
		fault_set(err, code ? MT_EINVAL : MT_EHOST, "gdb", NULL, "cannot listen at tcp:%s: %s", where,
			  code ? gai_strerror(code) : strerror(errno));
	if (!code)
		freeaddrinfo(list);
	g_free(host);
	return fd < 0 ? err->code : fd;
}

static int listen_at(struct gdb *g, const char *address, const char *dir, struct mt_error *err)
{
	if (g_str_has_prefix(address, "unix:")) {
		g->path = g_canonicalize_filename(address + strlen("unix:"), dir);
		return place_listen(g->path, err);
	}
	if (g_str_has_prefix(address, "tcp:"))
		return listen_tcp(address + strlen("tcp:"), err);
	return fault_set(err, MT_EINVAL, "gdb", NULL, "'%s' is neither unix:PATH nor tcp:HOST:PORT", address);
}

static struct gdb *gdb_new(struct monitor *mon)
{
	struct gdb *g = g_new0(struct gdb, 1);

	g->mon = mon;
	g->m = mon->m;
	g->vcpus = mon->m->vcpus;
	g->debug = vcpus_debug(g->vcpus);
	g->regs = vcpus_regs(g->vcpus);
	g->listener = (struct gdb_source){ { -1, listener_ready }, g };
	g->peer = (struct gdb_source){ { -1, peer_ready }, g };
	g->out = g_string_new(NULL);
	g->last = g_string_new(NULL);
	g->reply = g_string_new(NULL);
	g->points = g_array_new(FALSE, FALSE, sizeof(struct gdb_point));
	g->cpus = g_new0(struct gdb_cpu, vcpus_count(g->vcpus));
	return g;
}

int gdb_create(struct monitor *mon, const char *address, const char *dir, struct mt_error *err)
{
	int fd;

	if (!vcpus_debug(mon->m->vcpus) || !vcpus_regs(mon->m->vcpus))
		return fault_set(err, MT_ENOTSUP, "gdb", NULL, "%s cannot be debugged",
				 mon->m->cpu->cls->name);
	mon->gdb = gdb_new(mon);
	fd = listen_at(mon->gdb, address, dir, err);
	if (fd < 0) {
		/* nothing of ours is at that path */
		g_clear_pointer(&mon->gdb->path, g_free);
		return fd;
	}
	mon->gdb->listener.source.fd = fd;
	monitor_watch(mon, &mon->gdb->listener.source, EPOLLIN);
	return 0;
}

void gdb_destroy(struct gdb *g)
{
	if (!g)
		return;
	monitor_unwatch(g->mon, &g->peer.source);
	monitor_unwatch(g->mon, &g->listener.source);
	if (g->path)
		unlink(g->path);
	g_string_free(g->out, TRUE);
	g_string_free(g->last, TRUE);
	g_string_free(g->reply, TRUE);
	g_array_unref(g->points);
	g_free(g->path);
	g_free(g->cpus);
	g_free(g->xml);
	g_free(g);
}

bool gdb_holds(const struct gdb *g)
{
	return g->holds;
}

void gdb_exited(struct gdb *g, int code)
{
	char text[8];

	if (g->peer.source.fd < 0)
		return;
	g_snprintf(text, sizeof(text), "W%02x", (unsigned)code & 0xff);
	gdb_send(g, text, strlen(text));
	g->holds = true;
}
