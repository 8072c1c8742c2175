/* SPDX-License-Identifier: MIT */
/*
 * The host's interface: /dev/net/tun, its queues and what they can. [main] but for tap_attach and tap_offload, which
 * follow the driver's setup.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util/error.h>

#include "tap.h"

#define TUN_PATH "/dev/net/tun"

static int refused(struct tap *t, int error, struct mt_error *err)
{
	if (error == EPERM || error == EACCES) {
		mt_error_set(err, MT_EPERM, "ifname", "no permission for the interface '%s'", t->ifname);
		return mt_error_hint(err, "make it for your user: ip tuntap add dev %s mode tap user NAME%s", t->ifname,
				     t->queue_count > 1 ? " multi_queue" : "");
	}
	if (error == EBUSY) {
		mt_error_set(err, MT_EBUSY, "ifname", "the interface '%s' is in use", t->ifname);
		return mt_error_hint(err, "another process has opened it");
	}
	if (error == EINVAL) {
		mt_error_set(err, MT_EINVAL, "ifname", "'%s' is no tap interface of %s", t->ifname,
			     t->queue_count > 1 ? "several queues" : "one queue");
		return mt_error_hint(err, "queues = 1 is for interfaces without multi_queue, more are for those with it");
	}
	return mt_error_set(err, MT_EHOST, "ifname", "the interface '%s' cannot be opened: %s", t->ifname,
			    strerror(error));
}

static int queue_open(struct tap *t, struct tap_queue *q, struct mt_error *err)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = TAP_HEADER_BYTES;

	q->fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (q->fd < 0) {
		mt_error_set(err, errno == EACCES || errno == EPERM ? MT_EPERM : MT_EHOST, "ifname",
			     TUN_PATH " cannot be opened: %s", strerror(errno));
		return mt_error_hint(err, "the kernel's module tun is needed, and the right to use its device");
	}
	if (t->queue_count > 1)
		ifr.ifr_flags |= IFF_MULTI_QUEUE;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->ifname);
	if (ioctl(q->fd, TUNSETIFF, &ifr) < 0)
		return refused(t, errno, err);
	if (ioctl(q->fd, TUNSETVNETHDRSZ, &header) < 0)
		return mt_error_set(err, MT_EHOST, "ifname", "the host's kernel has no virtio header of 12 bytes");
	return 0;
}

static unsigned long tun_flags(uint32_t offloads)
{
	return (offloads & MT_NET_RECEIVE_CSUM ? TUN_F_CSUM : 0u) | (offloads & MT_NET_RECEIVE_TSO4 ? TUN_F_TSO4 : 0u) |
	       (offloads & MT_NET_RECEIVE_TSO6 ? TUN_F_TSO6 : 0u) |
	       (offloads & MT_NET_RECEIVE_ECN ? TUN_F_TSO_ECN : 0u) |
	       (offloads & MT_NET_RECEIVE_UFO ? TUN_F_UFO : 0u);
}

/* The host's kernel takes all of them without being asked; what it gives it is asked for. */
int tap_offload(struct tap *t, uint32_t offloads)
{
	return ioctl(t->queues[0].fd, TUNSETOFFLOAD, tun_flags(offloads)) < 0 ? MT_ENOTSUP : 0;
}

static void offloads_probe(struct tap *t)
{
	const uint32_t most = MT_NET_RECEIVE_CSUM | MT_NET_RECEIVE_TSO4 | MT_NET_RECEIVE_TSO6 | MT_NET_RECEIVE_ECN;

	if (!t->props->get_u64(t->inst, "offloads"))
		return;
	t->offloads = MT_NET_SEND_CSUM | MT_NET_SEND_TSO4 | MT_NET_SEND_TSO6 | MT_NET_SEND_ECN;
	if (tap_offload(t, most | MT_NET_RECEIVE_UFO) == 0)
		t->offloads |= most | MT_NET_RECEIVE_UFO | MT_NET_SEND_UFO;
	else if (tap_offload(t, most) == 0)
		t->offloads |= most;
	tap_offload(t, 0);
}

static void mtu_look(struct tap *t)
{
	struct ifreq ifr = { .ifr_mtu = 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", t->ifname);
	if (fd >= 0 && ioctl(fd, SIOCGIFMTU, &ifr) == 0)
		t->mtu_bytes = (uint32_t)ifr.ifr_mtu;
	if (fd >= 0)
		close(fd);
}

int tap_open(struct tap *t, struct mt_error *err)
{
	int rc;

	if (strlen(t->ifname) >= IFNAMSIZ || !*t->ifname || strchr(t->ifname, '%'))
		return mt_error_set(err, MT_EINVAL, "ifname", "'%s' is no name of an interface (1 to %d characters)",
				    t->ifname, IFNAMSIZ - 1);
	for (uint32_t i = 0; i < t->queue_count; i++) {
		rc = queue_open(t, &t->queues[i], err);
		if (rc < 0)
			return rc;
		t->queues[i].held = malloc(MT_NET_FRAME_MAX + TAP_HEADER_BYTES);
		if (!t->queues[i].held)
			return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	offloads_probe(t);
	mtu_look(t);
	tap_attach(t, 1);
	return 0;
}

void tap_attach(struct tap *t, uint32_t count)
{
	if (t->queue_count == 1)
		return;
	for (uint32_t i = 0; i < t->queue_count; i++) {
		struct ifreq ifr = { .ifr_flags = i < count ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

		ioctl(t->queues[i].fd, TUNSETQUEUE, &ifr);     /* fails when it is so already */
	}
}

void tap_close(struct tap *t)
{
	for (uint32_t i = 0; i < t->queue_count; i++) {
		struct tap_queue *q = &t->queues[i];

		if (q->watch)
			t->loop->watch_remove(q->watch);
		if (q->fd >= 0)
			close(q->fd);
		free(q->held);
		q->watch = NULL;
		q->held = NULL;
		q->fd = -1;
	}
}
