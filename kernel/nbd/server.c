// SPDX-License-Identifier: MIT
/*
 * Clients: main accepts them and makes their handles of the disk, each has a thread of its own, and main puts away what
 * is left of it. A thread says that it is through by `done` and the eventfd; it touches nothing shared before that.
 * Easy to break: a client's socket is closed by main after the thread has ended, so that the shutdown of a stop never
 * meets another file.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/img/tool.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/inst.h"
#include "kernel/nbd/server.h"

#define LISTENERS_MAX 17

struct client {
	const struct nbd_export *export;
	struct mt_block *block;
	pthread_t thread;
	int fd, wake_fd;
	bool served;                     /* there was a session */
	uint32_t done;                   /* atomic: the thread is through */
};

struct state {
	struct nbd_server *server;
	GPtrArray *clients;
	int wake_fd;
	bool served;
};

static void *client_run(void *arg)
{
	struct client *client = arg;

	inst_thread_set(MT_THREAD_IO);
	client->served = nbd_serve(client->fd, client->export, client->block);
	shutdown(client->fd, SHUT_RDWR);
	__atomic_store_n(&client->done, 1, __ATOMIC_RELEASE);
	eventfd_write(client->wake_fd, 1);
	return NULL;
}

static void client_free(void *data)
{
	struct client *client = data;

	if (client->block)
		image_handle_close(client->block);
	close(client->fd);
	g_free(client);
}

/* A peer that is gone without a word is noticed; answers go out at once. */
static void socket_options(int fd)
{
	static const int on = 1, idle_s = 60;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
}

static bool thread_start(struct client *client)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&client->thread, NULL, client_run, client);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc == 0;
}

static bool has_room(const struct state *s)
{
	return s->clients->len < (s->server->shared ? s->server->shared : SERVER_CLIENTS_MAX);
}

/* A client that there are no means for is let go; others are served on. */
static void client_accept(struct state *s, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct mt_error err = { .size = sizeof(err) };
	struct client *client;

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			usleep(10000);         /* it is still there: not in a tight loop */
		return;
	}
	socket_options(fd);
	client = g_new0(struct client, 1);
	*client = (struct client){ .export = s->server->export, .fd = fd, .wake_fd = s->wake_fd };
	client->block = image_handle(client->export->node, !client->export->readonly, &err);
	if (client->block && thread_start(client))
		g_ptr_array_add(s->clients, client);
	else
		client_free(client);
}

static void clients_reap(struct state *s)
{
	eventfd_t count;

	(void)!eventfd_read(s->wake_fd, &count);
	for (unsigned i = s->clients->len; i-- > 0;) {
		struct client *client = g_ptr_array_index(s->clients, i);

		if (!__atomic_load_n(&client->done, __ATOMIC_ACQUIRE))
			continue;
		pthread_join(client->thread, NULL);
		s->served |= client->served;
		g_ptr_array_remove_index_fast(s->clients, i);
	}
}

static void clients_stop(struct state *s)
{
	for (unsigned i = 0; i < s->clients->len; i++) {
		struct client *client = g_ptr_array_index(s->clients, i);

		shutdown(client->fd, SHUT_RDWR);
		pthread_join(client->thread, NULL);
	}
	g_ptr_array_set_size(s->clients, 0);
}

/* Listeners are of interest while there is room for another client. */
static nfds_t watch(const struct state *s, struct pollfd *fds)
{
	const GArray *listeners = s->server->listener->fds;
	nfds_t count = 0;

	fds[count++] = (struct pollfd){ .fd = s->wake_fd, .events = POLLIN };
	for (unsigned i = 0; i < listeners->len && count < LISTENERS_MAX && has_room(s); i++)
		fds[count++] = (struct pollfd){ .fd = g_array_index(listeners, int, i), .events = POLLIN };
	return count;
}

static bool over(const struct state *s)
{
	return s->server->cancelled() || (s->served && !s->server->persistent && !s->clients->len);
}

static void loop(struct state *s, const sigset_t *unblocked)
{
	struct pollfd fds[LISTENERS_MAX];

	while (!over(s)) {
		nfds_t count = watch(s, fds);

		if (ppoll(fds, count, NULL, unblocked) < 0)
			continue;
		if (fds[0].revents)
			clients_reap(s);
		for (nfds_t i = 1; i < count; i++) {
			if (fds[i].revents & POLLIN && has_room(s))
				client_accept(s, fds[i].fd);
		}
	}
}

int server_run(struct nbd_server *server, struct mt_error *err)
{
	struct state s = { .server = server, .clients = g_ptr_array_new_with_free_func(client_free) };
	sigset_t all, old;

	s.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s.wake_fd < 0) {
		g_ptr_array_unref(s.clients);
		return fault_set(err, MT_EHOST, NULL, NULL, "no descriptor is left: %s", g_strerror(errno));
	}
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	loop(&s, &old);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	clients_stop(&s);
	g_ptr_array_unref(s.clients);
	close(s.wake_fd);
	return 0;
}
