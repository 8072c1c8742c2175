/* SPDX-License-Identifier: MIT */
/*
 * The control queue, section 5.1.6.5: receive modes, MAC filter, number of queue pairs, offloads. Called [vcpu] at the
 * kick. Lengths come from the guest: what a command does not bring is not read.
 */
#include <string.h>

#include "nic.h"

#define CLASS_RX       0u
#define CLASS_MAC      1u
#define CLASS_MQ       4u
#define CLASS_OFFLOADS 5u
#define ACK_OK  0u
#define ACK_ERR 1u
#define COMMANDS_MAX 256u            /* of one kick */

struct table {
	uint32_t count, overflow;
	uint8_t (*macs)[6];
};

void nic_filter_reset(struct nic *n)
{
	memset(&n->filter, 0, sizeof(n->filter));
	n->filter.promisc = 1;
}

static int in_list(const uint8_t (*list)[6], uint32_t count, const uint8_t mac[6])
{
	for (uint32_t i = 0; i < count; i++) {
		if (memcmp(list[i], mac, 6) == 0)
			return 1;
	}
	return 0;
}

int nic_filter_wants(const struct nic *n, const uint8_t dest[6])
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct nic_filter *f = &n->filter;

	if (f->promisc)
		return 1;
	if (memcmp(dest, broadcast, 6) == 0)
		return !f->no_broadcast;
	if (dest[0] & 1)
		return !f->no_multi &&
		       (f->all_multi || f->multi_overflow || in_list(f->multi, f->multi_count, dest));
	return !f->no_uni && (f->all_uni || f->uni_overflow || memcmp(dest, n->config.mac, 6) == 0 ||
			      in_list(f->uni, f->uni_count, dest));
}

static uint8_t set_mode(struct nic *n, uint8_t command, const struct mt_vq_elem *elem)
{
	uint8_t *const modes[] = { &n->filter.promisc, &n->filter.all_multi, &n->filter.all_uni, &n->filter.no_multi,
				   &n->filter.no_uni, &n->filter.no_broadcast };
	uint8_t on;

	if (!(n->features & (command < 2 ? F_CTRL_RX : F_CTRL_RX_EXTRA)) || command >= 6 ||
	    n->virtio->copy_out(elem, 2, &on, 1) != 1)
		return ACK_ERR;
	*modes[command] = on != 0;
	return ACK_OK;
}

/* A table of MACs at *offset, behind its count. A longer one than we keep stands for all of its sort. */
static int table_read(struct nic *n, const struct mt_vq_elem *elem, uint64_t *offset, struct table *table)
{
	uint32_t count;

	if (n->virtio->copy_out(elem, *offset, &count, 4) != 4 || (uint64_t)count * 6 > elem->out_bytes - *offset - 4)
		return 0;
	table->overflow = count > NIC_TABLE_MACS;
	table->count = table->overflow ? 0 : count;
	n->virtio->copy_out(elem, *offset + 4, table->macs, (uint64_t)table->count * 6);
	*offset += 4 + (uint64_t)count * 6;
	return 1;
}

static uint8_t set_table(struct nic *n, const struct mt_vq_elem *elem)
{
	struct nic_filter fresh = n->filter;
	struct table uni = { .macs = fresh.uni }, multi = { .macs = fresh.multi };
	uint64_t offset = 2;

	if (!(n->features & F_CTRL_RX) || !table_read(n, elem, &offset, &uni) ||
	    !table_read(n, elem, &offset, &multi))
		return ACK_ERR;
	fresh.uni_count = uni.count;
	fresh.multi_count = multi.count;
	fresh.uni_overflow = (uint8_t)uni.overflow;
	fresh.multi_overflow = (uint8_t)multi.overflow;
	n->filter = fresh;
	return ACK_OK;
}

static uint8_t set_mac(struct nic *n, const struct mt_vq_elem *elem)
{
	uint8_t mac[6];

	if (!(n->features & F_CTRL_MAC_ADDR) || n->virtio->copy_out(elem, 2, mac, 6) != 6)
		return ACK_ERR;
	memcpy(n->config.mac, mac, 6);
	return ACK_OK;
}

static uint8_t set_pairs(struct nic *n, const struct mt_vq_elem *elem)
{
	uint16_t pairs;

	if (!(n->features & F_MQ) || n->virtio->copy_out(elem, 2, &pairs, 2) != 2 || pairs == 0 ||
	    pairs > n->pairs_max)
		return ACK_ERR;
	return nic_setup(n, pairs) == 0 ? ACK_OK : ACK_ERR;
}

static uint8_t set_offloads(struct nic *n, const struct mt_vq_elem *elem)
{
	uint64_t offloads, before = n->guest_offloads;

	if (!(n->features & F_CTRL_GUEST_OFFLOADS) || n->virtio->copy_out(elem, 2, &offloads, 8) != 8 ||
	    offloads & ~(n->features & F_GUEST_OFFLOADS))
		return ACK_ERR;
	n->guest_offloads = offloads;
	if (nic_setup(n, n->pairs) == 0)
		return ACK_OK;
	n->guest_offloads = before;
	return ACK_ERR;
}

static uint8_t command(struct nic *n, const struct mt_vq_elem *elem)
{
	uint8_t head[2];

	if (n->virtio->copy_out(elem, 0, head, 2) != 2)
		return ACK_ERR;
	switch (head[0]) {
	case CLASS_RX:
		return set_mode(n, head[1], elem);
	case CLASS_MAC:
		return head[1] == 0 ? set_table(n, elem) : head[1] == 1 ? set_mac(n, elem) : ACK_ERR;
	case CLASS_MQ:
		return head[1] == 0 ? set_pairs(n, elem) : ACK_ERR;
	case CLASS_OFFLOADS:
		return head[1] == 0 ? set_offloads(n, elem) : ACK_ERR;
	}
	return ACK_ERR;
}

void nic_control(struct nic *n)
{
	struct mt_vq *vq = n->virtio->queue(n->inst, n->ctrl_index);
	struct mt_vq_elem *elem;
	const uint32_t written = 1;
	uint8_t ack;

	for (uint32_t i = 0; vq && i < COMMANDS_MAX && n->virtio->pop(vq, &elem, 1); i++) {
		ack = command(n, elem);
		if (n->virtio->copy_in(elem, 0, &ack, 1) != 1) {
			n->virtio->broken(n->inst, "a command has no room for its answer");
			return;
		}
		n->virtio->push(vq, &elem, &written, 1);
	}
	if (vq)
		n->virtio->signal(vq);
}
