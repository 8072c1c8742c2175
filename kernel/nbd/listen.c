// SPDX-License-Identifier: MIT
/* Sockets to listen at: TCP, Unix, or those that the parent opened. [main] */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/nbd/server.h"

#define ACTIVATED_FIRST 3                /* SD_LISTEN_FDS_START */
#define ACTIVATED_MAX   16u
#define BACKLOG 16

bool listen_is_activated(void)
{
	const char *pid = g_getenv("LISTEN_PID"), *count = g_getenv("LISTEN_FDS");

	return pid && count && g_ascii_strtoull(pid, NULL, 10) == (guint64)getpid() &&
	       g_ascii_strtoull(count, NULL, 10) > 0;
}

static bool add_activated(struct listener *l, struct mt_error *err)
{
	guint64 count = g_ascii_strtoull(g_getenv("LISTEN_FDS"), NULL, 10);

	for (int fd = ACTIVATED_FIRST; fd < ACTIVATED_FIRST + (int)MIN(count, ACTIVATED_MAX); fd++) {
		int listens = 0;
		socklen_t len = sizeof(listens);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens) {
			fault_set(err, MT_EINVAL, "LISTEN_FDS", NULL, "descriptor %d is no socket that listens", fd);
			return false;
		}
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		g_array_append_val(l->fds, fd);
	}
	g_unsetenv("LISTEN_PID");
	g_unsetenv("LISTEN_FDS");
	g_unsetenv("LISTEN_FDNAMES");
	return true;
}

/* A socket that nobody listens at any more is in the way; anything else of that name is not ours. */
static bool is_stale(const struct sockaddr_un *address)
{
	struct stat meta;
	int fd, rc;

	if (lstat(address->sun_path, &meta) < 0 || !S_ISSOCK(meta.st_mode))
		return false;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = fd < 0 ? 0 : connect(fd, (const struct sockaddr *)address, sizeof(*address));
	if (rc < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	return rc == -ECONNREFUSED;
}

static bool add_unix(struct listener *l, const char *path, struct mt_error *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
		fault_set(err, MT_ERANGE, "socket", NULL, "%s: the path is longer than %zu bytes", path,
			  sizeof(address.sun_path) - 1);
		close(fd);
		return false;
	}
	rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (rc < 0 && errno == EADDRINUSE && is_stale(&address) && unlink(path) == 0)
		rc = bind(fd, (struct sockaddr *)&address, sizeof(address));
	if (rc == 0)
		l->path = g_canonicalize_filename(path, NULL);
	if (rc == 0 && listen(fd, BACKLOG) == 0) {
		g_array_append_val(l->fds, fd);
		return true;
	}
	fault_set(err, errno == EADDRINUSE ? MT_EBUSY : MT_EIO, "socket", NULL, "%s: %s", path, g_strerror(errno));
	close(fd);
	return false;
}

static void tell_place(struct listener *l, int fd)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (l->uri_place || getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
	    getnameinfo((struct sockaddr *)&address, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		return;
	l->uri_place = g_strdup_printf(strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int tcp_one(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, host_errno;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	host_errno = errno;
	close(fd);
	errno = host_errno;
	return -1;
}

static bool add_tcp(struct listener *l, const char *host, const char *port, struct mt_error *err)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found = NULL;
	int rc = getaddrinfo(host, port, &hints, &found);

	if (rc)
		fault_set(err, MT_ENOENT, "bind", NULL, "%s, port %s: %s", host, port, gai_strerror(rc));
	for (const struct addrinfo *ai = found; ai && !rc; ai = ai->ai_next) {
		int fd = tcp_one(ai);

		if (fd < 0) {
			rc = fault_set(err, errno == EADDRINUSE ? MT_EBUSY : MT_EIO, "bind", NULL, "%s, port %s: %s", host,
				       port, g_strerror(errno));
			break;
		}
		tell_place(l, fd);
		g_array_append_val(l->fds, fd);
	}
	if (found)
		freeaddrinfo(found);
	return !rc;
}

/* A client may be gone again between poll and accept. */
static void make_nonblocking(const struct listener *l)
{
	for (unsigned i = 0; i < l->fds->len; i++) {
		int fd = g_array_index(l->fds, int, i);

		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	}
}

bool listen_open(struct listener *l, const struct listen_options *options, struct mt_error *err)
{
	bool ok;

	*l = (struct listener){ .fds = g_array_new(FALSE, FALSE, sizeof(int)) };
	if (options->activated)
		ok = add_activated(l, err);
	else if (options->socket_path)
		ok = add_unix(l, options->socket_path, err);
	else
		ok = add_tcp(l, options->host, options->port, err);
	if (ok)
		make_nonblocking(l);
	else
		listen_close(l);
	return ok;
}

void listen_close(struct listener *l)
{
	for (unsigned i = 0; i < l->fds->len; i++)
		close(g_array_index(l->fds, int, i));
	g_array_unref(l->fds);
	if (l->path)
		unlink(l->path);
	g_free(l->path);
	g_free(l->uri_place);
}

char *listen_uri(const struct listener *l, const char *export_name, bool tls)
{
	char *name = g_uri_escape_string(export_name, "/", TRUE), *uri, *path;

	if (l->path) {
		path = g_uri_escape_string(l->path, "/", TRUE);
		uri = g_strdup_printf("nbd%s+unix:///%s?socket=%s", tls ? "s" : "", name, path);
		g_free(path);
	} else {
		uri = g_strdup_printf("nbd%s://%s/%s", tls ? "s" : "", l->uri_place ? l->uri_place : "", name);
	}
	g_free(name);
	return uri;
}
