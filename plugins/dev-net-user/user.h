/* SPDX-License-Identifier: MIT */
/*
 * A network of one card behind the host's sockets, by libslirp. All under the instance lock: libslirp knows no threads.
 * After whatever it was made to do, user_settle asks it which descriptors it wants to know about, and until when.
 */
#ifndef DEV_NET_USER_USER_H
#define DEV_NET_USER_USER_H

#include <libslirp.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/net.h>
#include <mortise/draft/props.h>
#include <util/net-frame.h>

/* A descriptor that libslirp waits for. */
struct user_poll {
	int fd;
	uint32_t wanted, seen;               /* SLIRP_POLL_* */
};

/* What epoll knows of a descriptor, by its number. */
struct user_fd {
	uint32_t wanted;                     /* 0: not there */
	uint32_t index;                      /* in polls, of this round */
	uint32_t round;
};

struct user;

struct user_timer {
	struct user *user;
	struct mt_timer *timer;
	SlirpTimerId id;
	void *arg;
};

struct user {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_loop_host *loop;
	const struct mt_clock_host *clock;
	const struct mt_log_host *log;
	const struct mt_net_host *nets;
	struct mt_net *net;
	Slirp *slirp;
	SlirpConfig config;
	struct user_timer timers[SLIRP_TIMER_NUM];
	const char *dns_search[17];

	/* poll.c */
	int epoll_fd;
	struct mt_watch *watch;
	struct mt_timer *timer;
	struct user_poll *polls;
	uint32_t poll_count, poll_capacity;
	struct user_fd *fds;
	uint32_t fd_count, round;
	uint32_t running, stalled;           /* stalled: the guest does not fetch; sockets wait */

	/* frames to the guest */
	struct mt_net_queue queue;
	uint32_t attached, parts, header, offloads;  /* by the front's setup */
	uint32_t told;                       /* the front knows of frames */
	uint32_t dropped;
	uint8_t frame[sizeof(struct mt_net_header) + MT_NET_FRAME_MAX + 64];
};

/* plugin.c: tells the front of frames, after whatever may have made some */
void user_announce(struct user *u);

/* offload.c: does on a frame behind its header what the guest left to do; 0: it is malformed */
int user_frame_finish(uint8_t *frame, uint32_t len);

/* poll.c: 0 or a negative code */
int user_poll_open(struct user *u, struct mt_error *err);
void user_poll_close(struct user *u);
void user_settle(struct user *u);
/* Whether libslirp gave a descriptor new, or back: the number may be another socket's soon. */
void user_fd_forget(struct user *u, int fd);

/* address.c: reads the properties into `config`; 0 or a negative code */
int user_configure(struct user *u, struct mt_error *err);

/* forward.c */
struct user_forward {
	uint32_t udp;
	struct sockaddr_storage host, guest; /* guest: no address (all zero) is the first one that DHCP gives */
	socklen_t host_bytes, guest_bytes;
};
/* "tcp:127.0.0.1:2222-:22"; NULL, or what is wrong with it */
const char *user_forward_parse(const char *text, struct user_forward *f);
int user_forwards_add(struct user *u, struct mt_error *err);

#endif
