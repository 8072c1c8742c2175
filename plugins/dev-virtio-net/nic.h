/* SPDX-License-Identifier: MIT */
/*
 * A network card, Virtio 1.2 section 5.1, over the net port: what its files share. All under the instance lock.
 * Frames move on the loop: a kick of the driver ([vcpu]) only says which queue has work, so that no vCPU waits for
 * the back end. The control queue is answered at the kick, because drivers spin for it.
 */
#ifndef DEV_VIRTIO_NET_NIC_H
#define DEV_VIRTIO_NET_NIC_H

#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/net.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/draft/virtio.h>

#define NIC_PAIRS_MAX  16u
#define NIC_BATCH      64u           /* elements of one pop */
#define NIC_RUN_FRAMES 256u          /* of one turn of a queue; then others have theirs */
#define NIC_HEADER_BYTES 12u         /* with VERSION_1 the header always has num_buffers */
#define NIC_TABLE_MACS 64u

/* Feature bits, section 5.1.3. */
#define F_CSUM                (1ull << 0)
#define F_GUEST_CSUM          (1ull << 1)
#define F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define F_MTU                 (1ull << 3)
#define F_MAC                 (1ull << 5)
#define F_GUEST_TSO4          (1ull << 7)
#define F_GUEST_TSO6          (1ull << 8)
#define F_GUEST_ECN           (1ull << 9)
#define F_GUEST_UFO           (1ull << 10)
#define F_HOST_TSO4           (1ull << 11)
#define F_HOST_TSO6           (1ull << 12)
#define F_HOST_ECN            (1ull << 13)
#define F_HOST_UFO            (1ull << 14)
#define F_MRG_RXBUF           (1ull << 15)
#define F_STATUS              (1ull << 16)
#define F_CTRL_VQ             (1ull << 17)
#define F_CTRL_RX             (1ull << 18)
#define F_CTRL_RX_EXTRA       (1ull << 20)
#define F_MQ                  (1ull << 22)
#define F_CTRL_MAC_ADDR       (1ull << 23)
#define F_SPEED_DUPLEX        (1ull << 63)
#define F_GUEST_OFFLOADS (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN | F_GUEST_UFO)

/* Section 5.1.4; little-endian, as the host. */
struct nic_config {
	uint8_t mac[6];
	uint16_t status, pairs, mtu;
	uint32_t speed;
	uint8_t duplex, unused[3];
};
#define NIC_CONFIG_BYTES 17u
#define NIC_LINK_UP 1u

struct nic_queue {
	struct mt_vq *rx, *tx;               /* NULL: not enabled */
	uint32_t rx_starved;                 /* frames wait for buffers; the driver's next kick brings them */
	uint32_t rx_guess;                   /* buffers to begin with */
	struct mt_vq_elem *held[NIC_BATCH];  /* not taken by the back end yet, in order */
	uint32_t held_count;
};

/* Which frames the driver wants, sections 5.1.6.5.1 and 5.1.6.5.2. */
struct nic_filter {
	uint8_t promisc, all_multi, all_uni, no_multi, no_uni, no_broadcast;
	uint8_t uni_overflow, multi_overflow;        /* more than fit: all of them */
	uint32_t uni_count, multi_count;
	uint8_t uni[NIC_TABLE_MACS][6], multi[NIC_TABLE_MACS][6];
};

struct nic {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_virtqueue_host *virtio;
	const struct mt_net_host *nets;
	const struct mt_loop_host *loop;
	const struct mt_log_host *log;
	struct mt_net *net;
	struct mt_deferred *work;
	uint32_t rx_work, tx_work;           /* bit a queue pair */
	uint32_t pairs_max, pairs;           /* pairs: that the driver uses */
	uint32_t queue_size, offload, running, ctrl_index;
	uint32_t paused;                     /* nothing moves */
	uint32_t loaded;                     /* start goes on from a saved state */
	uint64_t offered, features, guest_offloads;
	uint32_t header;                     /* the back end takes and gives headers */
	struct nic_config config;
	uint8_t own_mac[6];                  /* config.mac is as the driver set it */
	struct nic_filter filter;
	struct nic_queue queues[NIC_PAIRS_MAX];
};

/* transmit.c, receive.c: one turn of a queue; on the loop. */
void nic_transmit(struct nic *n, uint32_t pair);
void nic_receive(struct nic *n, uint32_t pair);
/* Calls the turns that are due, later. */
void nic_schedule(struct nic *n);
/* control.c */
void nic_control(struct nic *n);
void nic_filter_reset(struct nic *n);
int nic_filter_wants(const struct nic *n, const uint8_t dest[6]);
/* state.c */
extern const struct mt_state_class nic_state;
/* plugin.c: agrees with the back end; 0 or a negative code */
int nic_setup(struct nic *n, uint32_t pairs);

#endif
