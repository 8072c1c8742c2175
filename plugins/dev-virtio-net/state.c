/* SPDX-License-Identifier: MIT */
/*
 * Saved state of the card: what the driver set by the control queue. Rings and features are the kernel's, frames on
 * their way stay with the back end. [main], quiesced. The kernel starts the device after load, if it was running.
 */
#include <util/state.h>

#include "nic.h"

static const struct mt_state_field fields[] = {
	MT_STATE_DATA(struct nic, config.mac),
	MT_STATE_VAR(struct nic, pairs, NIC_PAIRS_MAX),
	MT_STATE_VAR(struct nic, guest_offloads, UINT64_MAX),
	MT_STATE_VAR(struct nic, filter.promisc, 1),
	MT_STATE_VAR(struct nic, filter.all_multi, 1),
	MT_STATE_VAR(struct nic, filter.all_uni, 1),
	MT_STATE_VAR(struct nic, filter.no_multi, 1),
	MT_STATE_VAR(struct nic, filter.no_uni, 1),
	MT_STATE_VAR(struct nic, filter.no_broadcast, 1),
	MT_STATE_VAR(struct nic, filter.uni_overflow, 1),
	MT_STATE_VAR(struct nic, filter.multi_overflow, 1),
	MT_STATE_VAR(struct nic, filter.uni_count, NIC_TABLE_MACS),
	MT_STATE_VAR(struct nic, filter.multi_count, NIC_TABLE_MACS),
	MT_STATE_DATA(struct nic, filter.uni),
	MT_STATE_DATA(struct nic, filter.multi),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct nic, fields);

static int nic_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	(void)err;
	mt_state_save(out, w, &table, self);
	return 0;
}

static int nic_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		    struct mt_error *err)
{
	struct nic *n = self, loaded = *n;
	int rc = mt_state_load(in, r, &table, version, &loaded);

	(void)err;
	if (rc < 0)
		return rc;
	if (loaded.pairs > n->pairs_max)
		return r->refuse(in, "pairs", "is more than the card has");
	if (loaded.guest_offloads & ~F_GUEST_OFFLOADS)
		return r->refuse(in, "guest_offloads", "has features that are no offloads");
	n->config = loaded.config;
	n->pairs = loaded.pairs;
	n->guest_offloads = loaded.guest_offloads;
	n->filter = loaded.filter;
	n->loaded = 1;
	return 0;
}

const struct mt_state_class nic_state = {
	.schema = "virtio-net", .version = 1, .version_min = 1, .save = nic_save, .load = nic_load,
};
