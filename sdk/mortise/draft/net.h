/* SPDX-License-Identifier: MIT */
/*
 * The net port: Ethernet frames between a front (a network card) and a back end (user network, tap).
 * The front names the back end's section in a REF property with role "mortise.net/1".
 *
 * Both directions are calls of the front, downward and under its lock: it hands frames out with `send`, and fetches
 * what has come with `receive`, straight into the guest's buffers. The back end only tells that there is something to
 * fetch (`receivable`), or that it can take frames again (`sendable`): so it never has to store what the guest has no
 * buffers for. When a call returns, the memory that it was given is the front's again.
 */
#ifndef MORTISE_NET_H
#define MORTISE_NET_H

#include "dma.h"

#define MT_IFACE_NET_HOST "mortise.net-host/1"
#define MT_IFACE_NET      "mortise.net/1"

#define MT_NET_QUEUES_MAX  16u
#define MT_NET_FRAME_MAX   65550u   /* longest frame with offloads: 64 KiB of IP behind an Ethernet header */

/*
 * A frame, or a part of one. Hot: no size. The frame is the bytes from `skip_bytes` on of the pieces, so that a
 * virtqueue element needs no copy of its list. Where a header was agreed on (MT_NET_HEADER), a frame begins with it.
 */
struct mt_net_buf {
	const struct mt_iov *iov;
	uint32_t iov_count;
	uint32_t skip_bytes;
	uint32_t len_bytes;          /* send: of the frame. receive: room behind the skip; then the bytes that came */
	uint32_t parts;              /* receive: buffers that the frame took, on its first one; 0 on the others */
};

/*
 * Before a frame, when agreed on: what is left to do on it. struct virtio_net_hdr of Virtio 1.2 section 5.1.6, with
 * the bits MT_NET_HDR_*; its numbers come from a guest or from a wire, and are to be checked.
 */
struct mt_net_header {
	uint8_t flags, gso_type;
	uint16_t header_bytes, gso_bytes;    /* a hint; payload bytes of each segment */
	uint16_t csum_start, csum_offset;    /* from the start of the frame; from csum_start */
	uint16_t buffers;                    /* the front's */
};
#define MT_NET_HDR_NEEDS_CSUM 1u     /* checksum from csum_start on goes to csum_offset */
#define MT_NET_HDR_CSUM_VALID 2u     /* received: checksum was verified */
#define MT_NET_GSO_NONE  0u
#define MT_NET_GSO_TCPV4 1u
#define MT_NET_GSO_UDP   3u
#define MT_NET_GSO_TCPV6 4u
#define MT_NET_GSO_UDP_L4 5u
#define MT_NET_GSO_ECN   0x80u       /* with TCPV4, TCPV6 */

/* What is left to the other side: SEND_* by the front to the back end, RECEIVE_* the other way. Need the header. */
#define MT_NET_SEND_CSUM    (1u << 0)
#define MT_NET_SEND_TSO4    (1u << 1)
#define MT_NET_SEND_TSO6    (1u << 2)
#define MT_NET_SEND_ECN     (1u << 3)
#define MT_NET_SEND_UFO     (1u << 4)
#define MT_NET_SEND_USO     (1u << 5)
#define MT_NET_RECEIVE_CSUM (1u << 16)
#define MT_NET_RECEIVE_TSO4 (1u << 17)
#define MT_NET_RECEIVE_TSO6 (1u << 18)
#define MT_NET_RECEIVE_ECN  (1u << 19)
#define MT_NET_RECEIVE_UFO  (1u << 20)
#define MT_NET_RECEIVE_USO  (1u << 21)

/* What a back end is now. `size` is the caller's; outputs beyond it are left out. */
struct mt_net_info {
	uint32_t size;
	uint32_t flags;              /* MT_NET_LINK, ... */
	uint32_t offloads;           /* that it can; 0: no header either */
	uint32_t queues;             /* at most; 0 reads as 1 */
	uint32_t mtu_bytes;          /* of IP; 0: of no interest */
	uint32_t speed_mbps;         /* 0: unknown */
	uint8_t mac[6];              /* for the front, with MT_NET_MAC */
	uint8_t reserved[2];
};
#define MT_NET_LINK 1u               /* the cable is in */
#define MT_NET_MAC  2u

/* What front and back end agree on. Unknown bits are refused with MT_ENOTSUP. */
struct mt_net_setup {
	uint32_t size;
	uint32_t flags;              /* MT_NET_HEADER, ... */
	uint32_t offloads;           /* of those in mt_net_info, that are on */
	uint32_t queues;             /* in use, from 0 on; 0: the front takes nothing, drop what waits */
};
#define MT_NET_HEADER 1u             /* struct mt_net_header before each frame, both directions */
#define MT_NET_PARTS  2u             /* a received frame may lie in several buffers, skip only in the first */

/* The kernel's handle of one connection, seen from either end. Functions do nothing with NULL. */
struct mt_net;

/* What a front gives. Called on the front's loop, under its lock. */
struct mt_net_front {
	/* [io] there are frames: `receive`. Said once after a `setup`, and after a `receive` that left none waiting. */
	void (*receivable)(void *self, uint32_t queue);
	/* [io] after `send` took less than it was given: there is room */
	void (*sendable)(void *self, uint32_t queue);
	/* [io] info has changed (link, MTU), or the back end has gone */
	void (*changed)(void *self);
};

struct mt_net_host {
	/* front, [main] in realize: connects to the back end that `prop` names; NULL when absent, or with `err` */
	struct mt_net *(*connect)(struct mt_inst *inst, const char *prop, const struct mt_net_front *front,
				  void *self, struct mt_error *err);
	/* front, [any]. A back end that has gone has no link. */
	void (*info)(struct mt_net *net, struct mt_net_info *out);
	/* front, [any]: 0, MT_EGONE, or MT_ENOTSUP and nothing has changed. Before it nothing is agreed on: no
	 * header, no offloads, queues = 0. */
	int (*setup)(struct mt_net *net, const struct mt_net_setup *setup);
	/*
	 * front, [vcpu] or [io]: hands frames out, in order. Returns how many were taken (0 .. count), which
	 * includes those that were malformed and dropped; MT_EGONE; MT_EINVAL: the queue is not in use. Less than
	 * count: `sendable` will tell.
	 */
	int64_t (*send)(struct mt_net *net, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count);
	/*
	 * front, [vcpu] or [io]: fetches frames into buffers, from the first on. Returns how many buffers were used,
	 * or as `send` an error. *waiting is 1 when there is a frame that had no room: call again with more buffers. It is 0
	 * when nothing is left; `receivable` will tell. Unused buffers may have been written to.
	 */
	int64_t (*receive)(struct mt_net *net, uint32_t queue, struct mt_net_buf *bufs, uint32_t count,
			   uint32_t *waiting);

	/* back end, [main] in realize: its own end; NULL when no front is connected to this instance */
	struct mt_net *(*back)(struct mt_inst *inst);
	/* back end, [any]: as the functions of the front, which they post; several posts before it ran are one */
	void (*receivable)(struct mt_net *net, uint32_t queue);
	void (*sendable)(struct mt_net *net, uint32_t queue);
	void (*changed)(struct mt_net *net);
};

/* Role of a back end. All [any] under the back end's lock; none blocks. */
struct mt_net_class {
	void (*info)(void *self, struct mt_net_info *out);
	int (*setup)(void *self, const struct mt_net_setup *setup);
	/* As in mt_net_host. `queue` is below the number of queues agreed on. */
	int64_t (*send)(void *self, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count);
	int64_t (*receive)(void *self, uint32_t queue, struct mt_net_buf *bufs, uint32_t count, uint32_t *waiting);
};

#endif
