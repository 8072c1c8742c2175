/* SPDX-License-Identifier: MIT */
/*
 * libslirp's descriptors and time, on the loop: an epoll descriptor of our own holds the sockets, and the loop watches
 * that one. Called under the instance lock. Easy to break: numbers of closed descriptors come back as other sockets,
 * so what epoll knows is forgotten whenever libslirp says that one is new or gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <util/error.h>

#include "user.h"

#define EVENTS 64
#define FDS_MAX 65536u
#define NS_PER_MS 1000000u

static uint32_t to_epoll(uint32_t wanted)
{
	return (wanted & SLIRP_POLL_IN ? (uint32_t)EPOLLIN : 0) | (wanted & SLIRP_POLL_OUT ? (uint32_t)EPOLLOUT : 0) |
	       (wanted & SLIRP_POLL_PRI ? (uint32_t)EPOLLPRI : 0);
}

static uint32_t from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? (uint32_t)SLIRP_POLL_IN : 0) | (events & EPOLLOUT ? (uint32_t)SLIRP_POLL_OUT : 0) |
	       (events & EPOLLPRI ? (uint32_t)SLIRP_POLL_PRI : 0) |
	       (events & EPOLLERR ? (uint32_t)SLIRP_POLL_ERR : 0) |
	       (events & EPOLLHUP ? (uint32_t)SLIRP_POLL_HUP : 0);
}

static struct user_fd *fd_find(struct user *u, int fd)
{
	uint32_t count = u->fd_count ? u->fd_count : 64;
	struct user_fd *fds;

	if (fd < 0 || (uint32_t)fd >= FDS_MAX)
		return NULL;
	if ((uint32_t)fd < u->fd_count)
		return &u->fds[fd];
	while (count <= (uint32_t)fd)
		count *= 2;
	fds = realloc(u->fds, count * sizeof(*fds));
	if (!fds)
		return NULL;
	memset(fds + u->fd_count, 0, (count - u->fd_count) * sizeof(*fds));
	u->fds = fds;
	u->fd_count = count;
	return &u->fds[fd];
}

void user_fd_forget(struct user *u, int fd)
{
	struct user_fd *known = fd_find(u, fd);

	if (known && known->wanted)
		epoll_ctl(u->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
	if (known)
		known->wanted = 0;
}

/* libslirp's: the index by which it asks later. */
static int poll_add(int fd, int wanted, void *opaque)
{
	struct user *u = opaque;

	if (u->poll_count == u->poll_capacity) {
		uint32_t capacity = u->poll_capacity ? u->poll_capacity * 2 : 32;
		struct user_poll *polls = realloc(u->polls, capacity * sizeof(*polls));

		if (!polls)
			return -1;
		u->polls = polls;
		u->poll_capacity = capacity;
	}
	u->polls[u->poll_count] = (struct user_poll){ fd, (uint32_t)wanted, 0 };
	return (int)u->poll_count++;
}

static int poll_seen(int index, void *opaque)
{
	struct user *u = opaque;

	return index >= 0 && (uint32_t)index < u->poll_count ? (int)u->polls[index].seen : 0;
}

static void epoll_tell(struct user *u, const struct user_poll *poll, struct user_fd *known)
{
	struct epoll_event event = { to_epoll(poll->wanted), { .fd = poll->fd } };
	int op = known->wanted ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (known->wanted == poll->wanted)
		return;
	if (epoll_ctl(u->epoll_fd, op, poll->fd, &event) < 0) {
		op = errno == ENOENT ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
		if (epoll_ctl(u->epoll_fd, op, poll->fd, &event) < 0)
			return;
	}
	known->wanted = poll->wanted;
}

/* What libslirp wants of its descriptors, against what epoll knows. */
static void epoll_update(struct user *u)
{
	u->round++;
	for (uint32_t i = 0; i < u->poll_count; i++) {
		struct user_fd *known = fd_find(u, u->polls[i].fd);

		if (!known)
			continue;
		known->index = i;
		known->round = u->round;
		epoll_tell(u, &u->polls[i], known);
	}
	for (uint32_t fd = 0; fd < u->fd_count; fd++) {
		if (u->fds[fd].wanted && u->fds[fd].round != u->round)
			user_fd_forget(u, (int)fd);
	}
}

void user_settle(struct user *u)
{
	uint32_t timeout_ms = UINT32_MAX;
	uint64_t deadline_ns = UINT64_MAX;

	if (!u->running)
		return;
	u->poll_count = 0;
	slirp_pollfds_fill(u->slirp, &timeout_ms, poll_add, u);
	epoll_update(u);
	if (timeout_ms != UINT32_MAX)
		deadline_ns = u->clock->now_ns(u->inst, MT_CLOCK_GUEST) + (uint64_t)timeout_ms * NS_PER_MS;
	u->clock->timer_arm(u->timer, deadline_ns);
	u->loop->watch_set(u->watch, u->stalled ? 0 : MT_FD_READ);
}

static void poll_run(struct user *u)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(u->epoll_fd, events, EVENTS, 0);

	for (int i = 0; i < count; i++) {
		struct user_fd *known = fd_find(u, events[i].data.fd);

		if (known && known->round == u->round)
			u->polls[known->index].seen = from_epoll(events[i].events);
	}
	slirp_pollfds_poll(u->slirp, 0, poll_seen, u);
	user_settle(u);
	user_announce(u);
}

static void watch_fired(void *arg, uint32_t events)
{
	struct user *u = arg;

	(void)events;
	if (u->running && !u->stalled)
		poll_run(u);
}

/* libslirp's TCP timers; a guest that does not fetch leaves them alone, which is as a slow wire. */
static void timer_fired(void *arg)
{
	struct user *u = arg;

	if (u->running)
		poll_run(u);
}

int user_poll_open(struct user *u, struct mt_error *err)
{
	u->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (u->epoll_fd < 0)
		return mt_error_set(err, MT_EHOST, NULL, "no epoll descriptor: %s", strerror(errno));
	u->timer = u->clock->timer_create(u->inst, MT_CLOCK_GUEST, timer_fired, u);
	u->watch = u->loop->watch_add(u->inst, u->epoll_fd, 0, watch_fired, u);
	if (!u->timer || !u->watch)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	return 0;
}

void user_poll_close(struct user *u)
{
	if (u->watch)
		u->loop->watch_remove(u->watch);
	u->watch = NULL;
	if (u->epoll_fd >= 0)
		close(u->epoll_fd);
	u->epoll_fd = -1;
	free(u->polls);
	free(u->fds);
	u->polls = NULL;
	u->fds = NULL;
	u->poll_count = u->poll_capacity = u->fd_count = 0;
}
