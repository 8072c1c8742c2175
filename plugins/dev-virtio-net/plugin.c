/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-net: a network card, Virtio 1.2 section 5.1. This file attaches it: properties, features, configuration
 * space, life, and what the net port tells. All under the instance lock; see nic.h for who runs where.
 */
#define MT_NOTE_NAME     "dev-virtio-net"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "virtio network card"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.virtqueue/1 mortise.net-host/1 mortise.loop/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define NET_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.virtio-bus/1", "", MT_PROPF_REQUIRED, \
	  "virtio slot of the device") \
	P(c, net, "net", MT_PROP_REF, "", "mortise.net/1", "", 0, "where the cable goes; none: the link is down") \
	P(c, mac, "mac", MT_PROP_MAC, "", "", "", 0, \
	  "hardware address; default: the back end's wish, or one made of the section's id") \
	P(c, queues, "queues", MT_PROP_INT, "1", "1..16", "", 0, "pairs of queues at most") \
	P(c, queue_size, "queue-size", MT_PROP_INT, "256", "16..1024", "", 0, "entries of a queue, a power of two") \
	P(c, mtu, "mtu", MT_PROP_INT, "", "68..65535", "bytes", 0, "MTU that the driver is told; default: the back end's") \
	P(c, offloads, "offloads", MT_PROP_BOOL, "on", "", "", 0, \
	  "offer checksums and segmentation that the back end can do")
#define MT_NOTE_CLASSES(C) \
	C(net, "dev-virtio-net", MT_KIND_DEVICE, 0, \
	  MT_NOTE_SUMMARY, "mortise.virtio-device/1", NET_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>

#include "nic.h"

#define DEVICE_ID 1u
#define SPEED_UNKNOWN 0xffffffffu
#define DUPLEX_FULL 1u

/* Feature bits, and what the back end calls them. */
static const struct {
	uint64_t feature;
	uint32_t offload;
} offload_table[] = {
	{ F_CSUM, MT_NET_SEND_CSUM }, { F_HOST_TSO4, MT_NET_SEND_TSO4 }, { F_HOST_TSO6, MT_NET_SEND_TSO6 },
	{ F_HOST_ECN, MT_NET_SEND_ECN }, { F_HOST_UFO, MT_NET_SEND_UFO },
	{ F_GUEST_CSUM, MT_NET_RECEIVE_CSUM }, { F_GUEST_TSO4, MT_NET_RECEIVE_TSO4 },
	{ F_GUEST_TSO6, MT_NET_RECEIVE_TSO6 }, { F_GUEST_ECN, MT_NET_RECEIVE_ECN },
	{ F_GUEST_UFO, MT_NET_RECEIVE_UFO },
};
#define OFFLOADS (sizeof(offload_table) / sizeof(offload_table[0]))

static uint64_t features_of(uint32_t offloads)
{
	uint64_t features = 0;

	for (uint32_t i = 0; i < OFFLOADS; i++)
		features |= offloads & offload_table[i].offload ? offload_table[i].feature : 0;
	return features;
}

static uint32_t offloads_of(uint64_t features)
{
	uint32_t offloads = 0;

	for (uint32_t i = 0; i < OFFLOADS; i++)
		offloads |= features & offload_table[i].feature ? offload_table[i].offload : 0;
	return offloads;
}

int nic_setup(struct nic *n, uint32_t pairs)
{
	uint64_t agreed = (n->features & ~F_GUEST_OFFLOADS) | n->guest_offloads;
	struct mt_net_setup setup = { .size = sizeof(setup), .queues = pairs, .offloads = offloads_of(agreed) };
	uint32_t header = offloads_of(n->features) != 0;
	int rc;

	setup.flags = (header ? MT_NET_HEADER : 0) | (n->features & F_MRG_RXBUF ? MT_NET_PARTS : 0);
	rc = n->nets->setup(n->net, &setup);
	if (rc < 0 && rc != MT_EGONE)
		return rc;
	n->header = header;
	n->pairs = pairs;
	return 0;
}

/* Work on the loop */

void nic_schedule(struct nic *n)
{
	n->loop->deferred_post(n->work);
}

static void nic_work(void *arg)
{
	struct nic *n = arg;
	uint32_t rx = n->rx_work, tx = n->tx_work;

	if (n->paused)
		return;                      /* resume schedules all */
	n->rx_work = n->tx_work = 0;
	for (uint32_t i = 0; i < n->pairs_max; i++) {
		if (tx & 1u << i)
			nic_transmit(n, i);
		if (rx & 1u << i)
			nic_receive(n, i);
	}
}

static void nic_receivable(void *self, uint32_t queue)
{
	struct nic *n = self;

	if (queue < n->pairs_max && !n->paused)
		nic_receive(n, queue);
}

static void nic_sendable(void *self, uint32_t queue)
{
	struct nic *n = self;

	if (queue < n->pairs_max && !n->paused)
		nic_transmit(n, queue);
}

static void link_look(struct nic *n)
{
	struct mt_net_info info = { .size = sizeof(info) };

	n->nets->info(n->net, &info);
	n->config.status = info.flags & MT_NET_LINK ? NIC_LINK_UP : 0;
	n->config.speed = info.speed_mbps ? info.speed_mbps : SPEED_UNKNOWN;
}

static void nic_changed(void *self)
{
	struct nic *n = self;

	link_look(n);
	n->virtio->config_changed(n->inst);
}

/* Virtio */

static void nic_describe(void *self, struct mt_virtio_desc *out)
{
	struct nic *n = self;

	out->device_id = DEVICE_ID;
	out->features = n->offered;
	out->config_bytes = NIC_CONFIG_BYTES;
	out->queue_count = 2 * n->pairs_max + 1;
	for (uint32_t i = 0; i < 2 * n->pairs_max; i++)
		out->queue_max[i] = (uint16_t)n->queue_size;
	out->queue_max[2 * n->pairs_max] = 64;
}

static void nic_config_read(void *self, uint32_t offset, void *buf, uint32_t len_bytes)
{
	struct nic *n = self;

	memcpy(buf, (const uint8_t *)&n->config + offset, len_bytes);
}

/* Nothing of it is the driver's to write since version 1 (section 5.1.4.2). */
static void nic_config_write(void *self, uint32_t offset, const void *buf, uint32_t len_bytes)
{
	(void)self, (void)offset, (void)buf, (void)len_bytes;
}

static void queue_start(struct nic *n, uint32_t pair)
{
	struct nic_queue *q = &n->queues[pair];

	q->rx = n->virtio->queue(n->inst, 2 * pair);
	q->tx = n->virtio->queue(n->inst, 2 * pair + 1);
	/* a load leaves rings as they were saved: resume tells them */
	if (q->rx && !n->loaded)
		n->virtio->kicks(q->rx, 0);
}

/* Section 5.1.2: the control queue follows the last pair, of which there is one without MQ. */
static void nic_start(void *self, uint64_t features)
{
	struct nic *n = self;
	uint32_t pairs = features & F_MQ ? n->pairs_max : 1;

	n->features = features;
	n->ctrl_index = features & F_CTRL_VQ ? 2 * pairs : UINT32_MAX;
	for (uint32_t i = 0; i < pairs; i++)
		queue_start(n, i);
	if (!n->loaded) {
		n->guest_offloads = features;
		n->pairs = 1;
		nic_filter_reset(n);
	}
	n->guest_offloads &= features & F_GUEST_OFFLOADS;
	n->running = 1;
	if (nic_setup(n, n->pairs && n->pairs <= pairs ? n->pairs : 1) < 0)
		n->virtio->broken(n->inst, "the network back end refuses what it had offered");
}

static void nic_stop(void *self)
{
	const struct mt_net_setup none = { .size = sizeof(none) };
	struct nic *n = self;

	n->running = n->header = n->pairs = 0;
	n->rx_work = n->tx_work = 0;
	n->features = n->guest_offloads = 0;
	memset(n->queues, 0, sizeof(n->queues));
	memcpy(n->config.mac, n->own_mac, sizeof(n->own_mac));
	n->nets->setup(n->net, &none);
}

static void nic_notify(void *self, uint32_t queue)
{
	struct nic *n = self;
	uint32_t pair = queue / 2;

	if (queue == n->ctrl_index) {
		nic_control(n);
	} else if (pair >= n->pairs_max) {
		return;
	} else if (queue & 1) {
		n->tx_work |= 1u << pair;
		nic_schedule(n);
	} else if (n->queues[pair].rx_starved) {
		n->queues[pair].rx_starved = 0;
		n->virtio->kicks(n->queues[pair].rx, 0);
		n->rx_work |= 1u << pair;
		nic_schedule(n);
	}
}

/* Life */

static int nic_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct nic *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->props = host->get_interface(host, MT_IFACE_PROPS);
	n->virtio = host->get_interface(host, MT_IFACE_VIRTQUEUE);
	n->nets = host->get_interface(host, MT_IFACE_NET_HOST);
	n->loop = host->get_interface(host, MT_IFACE_LOOP);
	n->log = host->get_interface(host, MT_IFACE_LOG);
	n->pairs_max = (uint32_t)n->props->get_u64(inst, "queues");
	n->queue_size = (uint32_t)n->props->get_u64(inst, "queue-size");
	n->offload = (uint32_t)n->props->get_u64(inst, "offloads");
	n->ctrl_index = UINT32_MAX;
	*self = n;
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) - 'a' + 10;
}

/* The kernel has checked the form: six pairs of digits with one character between. */
static void mac_parse(const char *text, uint8_t mac[6])
{
	for (uint32_t i = 0; i < 6; i++, text += 3)
		mac[i] = (uint8_t)(hex_digit(text[0]) << 4 | hex_digit(text[1]));
}

/* The same for a section at every start, and locally administered. FNV-1a. */
static void mac_derive(const char *id, uint8_t mac[6])
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *id; id++)
		hash = (hash ^ (uint8_t)*id) * 0x100000001b3ull;
	mac[0] = 0x02;
	for (uint32_t i = 1; i < 6; i++)
		mac[i] = (uint8_t)(hash >> 8 * i);
}

static int mac_set(struct nic *n, const struct mt_net_info *info, struct mt_error *err)
{
	const char *text = n->props->get_str(n->inst, "mac");

	if (text)
		mac_parse(text, n->config.mac);
	else if (info->flags & MT_NET_MAC)
		memcpy(n->config.mac, info->mac, sizeof(info->mac));
	else
		mac_derive(n->props->id(n->inst), n->config.mac);
	memcpy(n->own_mac, n->config.mac, sizeof(n->own_mac));
	if (n->config.mac[0] & 1)
		return mt_error_set(err, MT_EINVAL, "mac", "the hardware address is a group address: "
				    "the lowest bit of its first byte is set");
	return 0;
}

static void features_offer(struct nic *n, const struct mt_net_info *info)
{
	n->offered = F_MAC | F_STATUS | F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_RX | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR |
		     F_SPEED_DUPLEX;
	if (n->offload && info->offloads)
		n->offered |= features_of(info->offloads) | F_CTRL_GUEST_OFFLOADS;
	if (n->pairs_max > 1)
		n->offered |= F_MQ;
	n->config.pairs = (uint16_t)n->pairs_max;
	n->config.duplex = DUPLEX_FULL;
	if (n->props->present(n->inst, "mtu"))
		n->config.mtu = (uint16_t)n->props->get_u64(n->inst, "mtu");
	else if (info->mtu_bytes >= 68 && info->mtu_bytes < 65536)
		n->config.mtu = (uint16_t)info->mtu_bytes;
	if (n->config.mtu)
		n->offered |= F_MTU;
}

static const struct mt_net_front nic_front = {
	.receivable = nic_receivable,
	.sendable = nic_sendable,
	.changed = nic_changed,
};

static int nic_realize(void *self, struct mt_error *err)
{
	struct mt_net_info info = { .size = sizeof(info) };
	struct nic *n = self;

	if (n->queue_size & (n->queue_size - 1))
		return mt_error_set(err, MT_EINVAL, "queue-size", "the size of a queue is a power of two");
	n->work = n->loop->deferred_create(n->inst, nic_work, n);
	if (!n->work)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (n->props->present(n->inst, "net")) {
		n->net = n->nets->connect(n->inst, "net", &nic_front, n, err);
		if (!n->net)
			return err && err->code ? err->code : MT_EINVAL;
	}
	n->nets->info(n->net, &info);
	if (n->net && n->pairs_max > info.queues)
		return mt_error_set(err, MT_ENOTSUP, "queues", "the back end has %u pair%s of queues", info.queues,
				    info.queues == 1 ? "" : "s");
	link_look(n);
	features_offer(n, &info);
	return mac_set(n, &info, err);
}

static int nic_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                            /* the transport resets: see nic_stop */
}

/* What was popped and not sent goes back: the rings are as the driver will find them. */
static void nic_quiesce(void *self)
{
	struct nic *n = self;

	n->paused = 1;
	for (uint32_t i = 0; i < n->pairs_max; i++) {
		struct nic_queue *q = &n->queues[i];

		if (q->held_count)
			n->virtio->unpop(q->tx, q->held, q->held_count);
		q->held_count = 0;
	}
}

/* The back end may be another one than before a load, and kicks may have been missed. */
static void nic_resume(void *self)
{
	struct nic *n = self;

	n->paused = n->loaded = 0;
	link_look(n);
	if (!n->running)
		return;
	if (nic_setup(n, n->pairs) < 0)
		n->virtio->broken(n->inst, "the network back end refuses what was agreed on");
	for (uint32_t i = 0; i < n->pairs_max; i++) {
		n->queues[i].rx_starved = 0;
		if (n->queues[i].rx)
			n->virtio->kicks(n->queues[i].rx, 0);
	}
	n->rx_work = n->tx_work = (1u << n->pairs_max) - 1;
	nic_schedule(n);
}

static void nic_unrealize(void *self)
{
	nic_stop(self);
}

static void nic_destroy(void *self)
{
	free(self);
}

static const struct mt_virtio_device nic_virtio = {
	.describe = nic_describe,
	.config_read = nic_config_read,
	.config_write = nic_config_write,
	.start = nic_start,
	.stop = nic_stop,
	.notify = nic_notify,
};

static const struct mt_device_class nic_device = {
	.create = nic_create,
	.realize = nic_realize,
	.reset = nic_reset,
	.quiesce = nic_quiesce,
	.resume = nic_resume,
	.unrealize = nic_unrealize,
	.destroy = nic_destroy,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &nic_device },
		       { MT_IFACE_VIRTIO_DEVICE, &nic_virtio },
		       { MT_IFACE_STATE, &nic_state })
