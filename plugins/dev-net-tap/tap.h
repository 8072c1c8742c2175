/* SPDX-License-Identifier: MIT */
/*
 * A tap interface of the host: what the files share. All under the instance lock. The kernel's side always has the
 * virtio header of 12 bytes; a front that did not agree on it gets none, and an empty one is added for it.
 */
#ifndef DEV_NET_TAP_TAP_H
#define DEV_NET_TAP_TAP_H

#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/net.h>
#include <mortise/draft/props.h>

#define TAP_HEADER_BYTES 12u

struct tap;

struct tap_queue {
	struct tap *tap;
	uint32_t index;
	int fd;                              /* -1: closed */
	struct mt_watch *watch;
	uint32_t wants;                      /* MT_FD_*: what is to be told */
	uint32_t held_bytes;                 /* a frame that was too long for the buffers it was read into */
	uint8_t *held;
};

struct tap {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_loop_host *loop;
	const struct mt_log_host *log;
	const struct mt_net_host *nets;
	struct mt_net *net;
	const char *ifname;
	uint32_t queue_count, offloads, mtu_bytes;
	uint32_t active, header, parts;      /* by the front's setup */
	uint32_t running;
	struct tap_queue queues[MT_NET_QUEUES_MAX];
};

/* device.c: opens the interface with all its queues; 0 or a negative code */
int tap_open(struct tap *t, struct mt_error *err);
void tap_close(struct tap *t);
/* Queues below `count` are used by the host, the others not. */
void tap_attach(struct tap *t, uint32_t count);
/* MT_NET_RECEIVE_*: what the host may leave to the guest. 0 or a negative code */
int tap_offload(struct tap *t, uint32_t offloads);

#endif
