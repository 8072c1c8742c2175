/* SPDX-License-Identifier: MIT */
/*
 * dev-net-user: the network of one card behind the host's sockets (libslirp): DHCP, DNS, TCP and UDP out, forwards of
 * host ports in. All under the instance lock. Frames of libslirp for the guest wait in a bounded queue until the front
 * fetches them; while that is more than half full, sockets are not read, so that TCP holds its senders back.
 */
#define MT_NOTE_NAME     "dev-net-user"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "user network: the guest behind the host's sockets"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.loop/1 mortise.clock/1 mortise.net-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     (MT_CAP_NETWORK | MT_CAP_FILES)
#define USER_PROPS(P, c) \
	P(c, hostfwd, "hostfwd", MT_PROP_LIST, "", "", "", 0, \
	  "host ports that lead to the guest: tcp:127.0.0.1:2222-:22") \
	P(c, restrict_, "restrict", MT_PROP_BOOL, "off", "", "", 0, "the guest reaches nothing but forwards") \
	P(c, host_loopback, "host-loopback", MT_PROP_BOOL, "on", "", "", 0, \
	  "the address `host` leads to 127.0.0.1 of the host") \
	P(c, ipv4, "ipv4", MT_PROP_BOOL, "on", "", "", 0, "IPv4 in the guest's network") \
	P(c, network, "network", MT_PROP_STRING, "10.0.2.0/24", "", "", 0, "IPv4 network") \
	P(c, host, "host", MT_PROP_STRING, "", "", "", 0, "the host in it; default: the network's address 2") \
	P(c, dns, "dns", MT_PROP_STRING, "", "", "", 0, "the name server in it; default: address 3") \
	P(c, dhcp_start, "dhcp-start", MT_PROP_STRING, "", "", "", 0, "first address of guests; default: address 15") \
	P(c, ipv6, "ipv6", MT_PROP_BOOL, "on", "", "", 0, "IPv6 in the guest's network") \
	P(c, network6, "network6", MT_PROP_STRING, "fec0::/64", "", "", 0, "IPv6 network") \
	P(c, host6, "host6", MT_PROP_STRING, "", "", "", 0, "the host in it; default: address 2") \
	P(c, dns6, "dns6", MT_PROP_STRING, "", "", "", 0, "the name server in it; default: address 3") \
	P(c, hostname, "hostname", MT_PROP_STRING, "", "", "", 0, "host name that DHCP gives") \
	P(c, domain, "domain", MT_PROP_STRING, "", "", "", 0, "domain that DHCP gives") \
	P(c, dns_search, "dns-search", MT_PROP_LIST, "", "", "", 0, "domains that DHCP tells to search") \
	P(c, tftp, "tftp", MT_PROP_PATH, "", "", "", 0, "folder that is served by TFTP, reading only") \
	P(c, bootfile, "bootfile", MT_PROP_STRING, "", "", "", 0, "file that BOOTP names") \
	P(c, mtu, "mtu", MT_PROP_INT, "1500", "576..65521", "bytes", 0, "MTU of the guest's network")
#define MT_NOTE_CLASSES(C) \
	C(user, "dev-net-user", MT_KIND_DEVICE, MT_CLASS_NONDET, MT_NOTE_SUMMARY, \
	  "mortise.net/1", USER_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "user.h"

#define QUEUE_BYTES (1u << 20)
#define QUEUE_HIGH  (QUEUE_BYTES / 2)
#define QUEUE_LOW   (QUEUE_BYTES / 4)
#define SPEED_MBPS  10000u
#define OFFLOADS    (MT_NET_SEND_CSUM | MT_NET_SEND_TSO4 | MT_NET_SEND_TSO6 | MT_NET_RECEIVE_CSUM)
#define NS_PER_MS   1000000u
#define ETHERNET_BYTES 14u

/* What libslirp calls */

/* Drops when the guest does not fetch: libslirp's TCP sends it again. Its checksums are right. */
static ssize_t slirp_frame(const void *frame, size_t len, void *opaque)
{
	struct mt_net_header header = { 0 };
	struct user *u = opaque;
	uint32_t header_bytes = u->header ? (uint32_t)sizeof(header) : 0;
	uint8_t *to;

	if (len > MT_NET_FRAME_MAX || !u->attached)
		return (ssize_t)len;
	to = mt_net_queue_room(&u->queue, header_bytes + (uint32_t)len);
	if (!to) {
		u->dropped++;
		return (ssize_t)len;
	}
	header.flags = u->offloads & MT_NET_RECEIVE_CSUM ? MT_NET_HDR_CSUM_VALID : 0;
	memcpy(to, &header, header_bytes);
	memcpy(to + header_bytes, frame, len);
	mt_net_queue_put(&u->queue, header_bytes + (uint32_t)len);
	return (ssize_t)len;
}

static void slirp_guest_error(const char *message, void *opaque)
{
	struct user *u = opaque;

	u->log->message(u->inst, MT_LOG_GUEST, message);
}

static int64_t slirp_now(void *opaque)
{
	struct user *u = opaque;

	return (int64_t)u->clock->now_ns(u->inst, MT_CLOCK_GUEST);
}

/* The one timer that libslirp makes, by its id: router advertisements. */
static void slirp_timer_fired(void *arg)
{
	struct user_timer *t = arg;

	if (!t->user->running)
		return;
	slirp_handle_timer(t->user->slirp, t->id, t->arg);
	user_settle(t->user);
	user_announce(t->user);
}

static void *slirp_timer_new(SlirpTimerId id, void *arg, void *opaque)
{
	struct user *u = opaque;
	struct user_timer *t = &u->timers[id < SLIRP_TIMER_NUM ? id : 0];

	t->user = u;
	t->id = id;
	t->arg = arg;
	t->timer = u->clock->timer_create(u->inst, MT_CLOCK_GUEST, slirp_timer_fired, t);
	return t;
}

static void slirp_timer_free(void *timer, void *opaque)
{
	struct user *u = opaque;
	struct user_timer *t = timer;

	u->clock->timer_arm(t->timer, UINT64_MAX);
}

static void slirp_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct user *u = opaque;
	struct user_timer *t = timer;

	u->clock->timer_arm(t->timer, expire_ms > 0 ? (uint64_t)expire_ms * NS_PER_MS : 0);
}

static void slirp_fd_changed(int fd, void *opaque)
{
	user_fd_forget(opaque, fd);
}

/* Whatever it was, user_settle follows. */
static void slirp_notify(void *opaque)
{
	(void)opaque;
}

/* The port */

void user_announce(struct user *u)
{
	if (!u->stalled && u->queue.used_bytes > QUEUE_HIGH) {
		u->stalled = 1;
		u->loop->watch_set(u->watch, 0);
	}
	if (u->queue.count && !u->told) {
		u->told = 1;
		u->nets->receivable(u->net, 0);
	}
}

static void user_info(void *self, struct mt_net_info *out)
{
	struct user *u = self;

	out->flags = MT_NET_LINK;
	out->queues = 1;
	out->offloads = OFFLOADS;
	out->mtu_bytes = (uint32_t)u->config.if_mtu;
	out->speed_mbps = SPEED_MBPS;
}

static int user_setup(void *self, const struct mt_net_setup *setup)
{
	struct user *u = self;

	if (setup->offloads & ~OFFLOADS || setup->queues > 1)
		return MT_ENOTSUP;
	u->attached = setup->queues;
	u->header = setup->flags & MT_NET_HEADER;
	u->offloads = setup->offloads;
	u->parts = setup->flags & MT_NET_PARTS;
	u->told = u->stalled = 0;
	mt_net_queue_clear(&u->queue);
	if (u->slirp)
		user_settle(u);
	return 0;
}

static void frame_input(struct user *u, const struct mt_net_buf *buf)
{
	uint32_t len = mt_net_gather(buf, 0, u->frame, sizeof(u->frame)), skip = 0;

	if (len == sizeof(u->frame) || (u->header && !user_frame_finish(u->frame, len)))
		return;
	if (u->header)
		skip = sizeof(struct mt_net_header);
	if (len >= skip + ETHERNET_BYTES)
		slirp_input(u->slirp, u->frame + skip, (int)(len - skip));
}

static int64_t user_send(void *self, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count)
{
	struct user *u = self;

	(void)queue;
	if (!u->running)
		return count;
	for (uint32_t i = 0; i < count; i++)
		frame_input(u, &bufs[i]);
	user_settle(u);
	user_announce(u);
	return count;
}

static int64_t user_receive(void *self, uint32_t queue, struct mt_net_buf *bufs, uint32_t count, uint32_t *waiting)
{
	struct user *u = self;
	uint32_t used = 0, len, parts;
	const uint8_t *frame;

	(void)queue;
	while ((frame = mt_net_queue_peek(&u->queue, &len))) {
		parts = mt_net_parts(bufs + used, count - used, u->parts, len);
		if (!parts)
			break;
		mt_net_fill(bufs + used, parts, frame, len);
		mt_net_queue_drop(&u->queue);
		used += parts;
	}
	*waiting = u->told = frame != NULL;
	if (u->stalled && u->queue.used_bytes < QUEUE_LOW) {
		u->stalled = 0;
		user_settle(u);
	}
	return used;
}

/* Life */

static int user_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct user *u = calloc(1, sizeof(*u));

	if (!u)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	u->inst = inst;
	u->props = host->get_interface(host, MT_IFACE_PROPS);
	u->loop = host->get_interface(host, MT_IFACE_LOOP);
	u->clock = host->get_interface(host, MT_IFACE_CLOCK);
	u->log = host->get_interface(host, MT_IFACE_LOG);
	u->nets = host->get_interface(host, MT_IFACE_NET_HOST);
	u->epoll_fd = -1;
	*self = u;
	return 0;
}

static const SlirpCb slirp_callbacks = {
	.send_packet = slirp_frame,
	.guest_error = slirp_guest_error,
	.clock_get_ns = slirp_now,
	.timer_new_opaque = slirp_timer_new,
	.timer_free = slirp_timer_free,
	.timer_mod = slirp_timer_mod,
	.register_poll_fd = slirp_fd_changed,
	.unregister_poll_fd = slirp_fd_changed,
	.notify = slirp_notify,
};

static int user_realize(void *self, struct mt_error *err)
{
	struct user *u = self;
	int rc = user_configure(u, err);

	u->net = u->nets->back(u->inst);
	if (rc == 0)
		rc = user_poll_open(u, err);
	if (rc == 0 && mt_net_queue_init(&u->queue, QUEUE_BYTES) < 0)
		rc = mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (rc < 0)
		return rc;
	u->slirp = slirp_new(&u->config, &slirp_callbacks, u);
	if (!u->slirp)
		return mt_error_set(err, MT_EHOST, NULL, "libslirp %s refuses the network", slirp_version_string());
	return user_forwards_add(u, err);
}

static int user_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                            /* a network outlives the reset of what hangs on it */
}

static void user_quiesce(void *self)
{
	struct user *u = self;

	u->running = 0;
	u->loop->watch_set(u->watch, 0);
	u->clock->timer_arm(u->timer, UINT64_MAX);
}

static void user_resume(void *self)
{
	struct user *u = self;

	u->running = 1;
	user_settle(u);
}

static void user_unrealize(void *self)
{
	struct user *u = self;

	u->running = 0;
	if (u->slirp)
		slirp_cleanup(u->slirp);
	u->slirp = NULL;
	user_poll_close(u);
	free(u->queue.data);
	u->queue = (struct mt_net_queue){ 0 };
}

static void user_destroy(void *self)
{
	user_unrealize(self);
	free(self);
}

static const struct mt_net_class user_net = {
	.info = user_info,
	.setup = user_setup,
	.send = user_send,
	.receive = user_receive,
};

static const struct mt_device_class user_device = {
	.create = user_create,
	.realize = user_realize,
	.reset = user_reset,
	.quiesce = user_quiesce,
	.resume = user_resume,
	.unrealize = user_unrealize,
	.destroy = user_destroy,
};

/* Connections and frames stay with the host. The schema is that of every network back end. */
static const struct mt_state_class state_class = {
	.schema = "net-back-end", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &user_device },
		       { MT_IFACE_NET, &user_net },
		       { MT_IFACE_STATE, &state_class })
