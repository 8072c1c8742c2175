/* SPDX-License-Identifier: MIT */
/*
 * dev-char-socket: a serial line on a socket: a unix socket, or TCP of the loopback interface only. As a server it
 * serves one peer at a time; the next one waits until it went. As a client it connects, and again `reconnect`
 * after the peer went. Without a peer the guest's bytes are dropped. All under the instance lock.
 */
#define MT_NOTE_NAME     "dev-char-socket"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "character port on a unix or loopback socket"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.loop/1 mortise.clock/1 mortise.char-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     (MT_CAP_NETWORK | MT_CAP_FILES)
#define SOCKET_PROPS(P, c) \
	P(c, path, "path", MT_PROP_PATH, "", "", "", MT_PROPF_WRITE, "unix socket") \
	P(c, port, "port", MT_PROP_INT, "", "1..65535", "", 0, "TCP port on 127.0.0.1, instead of path") \
	P(c, server, "server", MT_PROP_BOOL, "on", "", "", 0, "wait for a peer; off: connect to one") \
	P(c, reconnect, "reconnect", MT_PROP_DURATION, "1s", "", "", 0, "client: time until the next try; 0s: none")
#define MT_NOTE_CLASSES(C) \
	C(sock, "dev-char-socket", MT_KIND_DEVICE, MT_CLASS_NONDET, MT_NOTE_SUMMARY, \
	  "mortise.char/1", SOCKET_PROPS)

#include <mortise/note-emit.h>

#include <arpa/inet.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <util/char-link.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

struct sock {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_loop_host *loop;
	const struct mt_clock_host *clock;
	const struct mt_log_host *log;
	struct mt_link link;
	struct mt_watch *listen_watch, *peer_watch;
	struct mt_deferred *flush;
	struct mt_timer *retry;
	int listen_fd;
	uint32_t server, connecting;
	uint64_t reconnect_ns;
	const char *bound_path;              /* to be removed at the end */
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
	} address;
	socklen_t address_bytes;
};

static void peer_gone(struct sock *s);

static void update(struct sock *s)
{
	if (s->peer_watch)
		s->loop->watch_set(s->peer_watch, s->connecting ? MT_FD_WRITE : mt_link_wants(&s->link));
}

static void peer_ready(struct sock *s)
{
	int error = 0, one = 1;
	socklen_t len = sizeof(error);

	s->connecting = 0;
	getsockopt(s->link.fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		peer_gone(s);
		return;
	}
	if (s->address.any.sa_family == AF_INET)
		setsockopt(s->link.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (s->link.chr)
		s->link.chars->event(s->link.chr, MT_CHAR_OPENED);
	update(s);
}

static void peer_event(void *arg, uint32_t events)
{
	struct sock *s = arg;

	if (s->link.fd < 0)
		return;
	if (s->connecting)
		peer_ready(s);
	else if (mt_link_io(&s->link, events) < 0)
		peer_gone(s);
	else
		update(s);
}

static void peer_take(struct sock *s, int fd, uint32_t connecting)
{
	s->link.fd = fd;
	s->connecting = connecting;
	s->peer_watch = s->loop->watch_add(s->inst, fd, MT_FD_READ, peer_event, s);
	if (!s->peer_watch)
		peer_gone(s);
	else if (!connecting)
		peer_ready(s);
	else
		update(s);
}

static void peer_try(void *arg)
{
	struct sock *s = arg;
	int fd;

	if (s->link.fd >= 0)
		return;
	fd = socket(s->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (connect(fd, &s->address.any, s->address_bytes) == 0 || errno == EINPROGRESS)) {
		peer_take(s, fd, 1);
		return;
	}
	if (fd >= 0)
		close(fd);
	peer_gone(s);
}

/* Of a peer, or of a try to get one. */
static void peer_gone(struct sock *s)
{
	uint32_t was_there = s->link.fd >= 0 && !s->connecting;

	if (s->peer_watch)
		s->loop->watch_remove(s->peer_watch);
	s->peer_watch = NULL;
	s->connecting = 0;
	mt_link_deliver(&s->link);
	mt_link_close(&s->link);
	if (was_there && s->link.chr)
		s->link.chars->event(s->link.chr, MT_CHAR_CLOSED);
	if (s->server)
		s->loop->watch_set(s->listen_watch, MT_FD_READ);
	else if (s->reconnect_ns)
		s->clock->timer_arm(s->retry, s->clock->now_ns(s->inst, MT_CLOCK_HOST) + s->reconnect_ns);
}

static void listen_event(void *arg, uint32_t events)
{
	struct sock *s = arg;
	int fd;

	(void)events;
	if (s->link.fd >= 0)
		return;
	fd = accept4(s->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	s->loop->watch_set(s->listen_watch, 0);
	peer_take(s, fd, 0);
}

static void sock_flush(void *arg)
{
	struct sock *s = arg;

	if (s->link.fd >= 0 && !s->connecting && mt_link_write(&s->link) < 0)
		peer_gone(s);
	else
		update(s);
}

static int64_t sock_write(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct sock *s = self;
	int64_t n = s->connecting ? (int64_t)len_bytes : mt_link_take(&s->link, data, len_bytes);

	s->loop->deferred_post(s->flush);
	return n;
}

static void sock_receive_ready(void *self)
{
	struct sock *s = self;

	mt_link_deliver(&s->link);
	update(s);
}

static int sock_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct sock *s = calloc(1, sizeof(*s));

	if (!s)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	s->inst = inst;
	s->props = host->get_interface(host, MT_IFACE_PROPS);
	s->loop = host->get_interface(host, MT_IFACE_LOOP);
	s->clock = host->get_interface(host, MT_IFACE_CLOCK);
	s->link.chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	s->log = host->get_interface(host, MT_IFACE_LOG);
	s->link.flags = MT_LINK_SOCKET;
	s->link.fd = s->listen_fd = -1;
	s->server = (uint32_t)s->props->get_u64(inst, "server");
	s->reconnect_ns = s->props->get_u64(inst, "reconnect");
	*self = s;
	return 0;
}

static int address_set(struct sock *s, struct mt_error *err)
{
	const char *path = s->props->get_str(s->inst, "path");

	if (!path == !s->props->present(s->inst, "port"))
		return mt_error_set(err, MT_EINVAL, "path", "give one of path and port");
	if (!path) {
		s->address.in.sin_family = AF_INET;
		s->address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		s->address.in.sin_port = htons((uint16_t)s->props->get_u64(s->inst, "port"));
		s->address_bytes = sizeof(s->address.in);
		return 0;
	}
	if (strlen(path) >= sizeof(s->address.un.sun_path))
		return mt_error_set(err, MT_ERANGE, "path", "a path of a socket has up to %zu bytes",
				    sizeof(s->address.un.sun_path) - 1);
	s->address.un.sun_family = AF_UNIX;
	strcpy(s->address.un.sun_path, path);
	s->address_bytes = sizeof(s->address.un);
	return 0;
}

/* A socket that nobody listens on was left by a process that died. */
static void stale_remove(struct sock *s)
{
	struct stat meta;
	int fd;

	if (s->address.any.sa_family != AF_UNIX || stat(s->address.un.sun_path, &meta) < 0 || !S_ISSOCK(meta.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, &s->address.any, s->address_bytes) < 0 && errno == ECONNREFUSED)
		unlink(s->address.un.sun_path);
	if (fd >= 0)
		close(fd);
}

static int server_start(struct sock *s, struct mt_error *err)
{
	int one = 1;

	stale_remove(s);
	s->listen_fd = socket(s->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->listen_fd < 0)
		return mt_error_set(err, MT_EHOST, "path", "no socket: %s", strerror(errno));
	if (s->address.any.sa_family == AF_INET)
		setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s->listen_fd, &s->address.any, s->address_bytes) < 0)
		return mt_error_set(err, MT_EBUSY, "path", "the socket cannot be bound: %s", strerror(errno));
	if (s->address.any.sa_family == AF_UNIX)
		s->bound_path = s->address.un.sun_path;
	if (listen(s->listen_fd, 1) < 0)
		return mt_error_set(err, MT_EHOST, "path", "the socket cannot listen: %s", strerror(errno));
	s->listen_watch = s->loop->watch_add(s->inst, s->listen_fd, MT_FD_READ, listen_event, s);
	return s->listen_watch ? 0 : mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
}

static int sock_realize(void *self, struct mt_error *err)
{
	struct sock *s = self;
	int rc = address_set(s, err);

	if (rc < 0)
		return rc;
	s->link.chr = s->link.chars->back(s->inst);
	s->flush = s->loop->deferred_create(s->inst, sock_flush, s);
	s->retry = s->clock->timer_create(s->inst, MT_CLOCK_HOST, peer_try, s);
	if (!s->flush || !s->retry)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (s->server)
		return server_start(s, err);
	s->clock->timer_arm(s->retry, 0);
	return 0;
}

static void sock_unrealize(void *self)
{
	struct sock *s = self;

	if (s->peer_watch)
		s->loop->watch_remove(s->peer_watch);
	if (s->listen_watch)
		s->loop->watch_remove(s->listen_watch);
	s->peer_watch = s->listen_watch = NULL;
	if (!s->connecting)
		mt_link_write(&s->link);
	mt_link_close(&s->link);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	s->listen_fd = -1;
	if (s->bound_path)
		unlink(s->bound_path);
	s->bound_path = NULL;
}

static void sock_destroy(void *self)
{
	sock_unrealize(self);
	free(self);
}

static const struct mt_device_class sock_device = {
	.create = sock_create,
	.realize = sock_realize,
	.unrealize = sock_unrealize,
	.destroy = sock_destroy,
};

static const struct mt_char_class sock_char = {
	.write = sock_write,
	.receive_ready = sock_receive_ready,
};

/* What is on its way to or from the host stays with the host. The schema is that of every char back end. */
static const struct mt_state_class state_class = {
	.schema = "char-back-end", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &sock_device },
		       { MT_IFACE_CHAR, &sock_char },
		       { MT_IFACE_STATE, &state_class })
