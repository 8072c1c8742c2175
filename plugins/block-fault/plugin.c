/* SPDX-License-Identifier: MIT */
/*
 * block-fault: a filter for tests, after whose rules operations fail, are late, or find the disk gone. All under the
 * instance lock, [any].
 */
#define MT_NOTE_NAME     "block-fault"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "errors and delays at chosen operations of a disk, for tests"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define FAULT_PROPS(P, c) \
	MT_BLOCK_FILTER_PROPS(P, c) \
	P(c, rule, "rule", MT_PROP_LIST, "", "", "", MT_PROPF_REQUIRED, \
	  "what goes wrong when: write from=1M length=64K after=3 every=2 times=5 chance=0.1 error=EIO delay=20ms") \
	P(c, seed, "seed", MT_PROP_INT, "1", "", "", 0, "of the random numbers behind chance=")
#define MT_NOTE_CLASSES(C) \
	C(fault, "block-fault", MT_KIND_BLOCK, 0, \
	  MT_NOTE_SUMMARY, "mortise.block-format/1 mortise.block-filter/1", FAULT_PROPS)

#include <mortise/draft/block-filter.h>
#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "fault.h"

struct node {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_node *node;
	struct fault fault;
};

static int fault_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->props = host->get_interface(host, MT_IFACE_PROPS);
	n->node = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	fault_seed(&n->fault, n->props->get_u64(inst, "seed"));
	*self = n;
	return 0;
}

static int fault_realize(void *self, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct node *n = self;
	int rc = n->node->child_open(n->inst, "child", &info, err);

	rc = rc == MT_ENOENT ? 0 : rc;
	for (uint32_t i = 0; rc >= 0 && i < n->props->count(n->inst, "rule"); i++)
		rc = fault_rule_add(&n->fault, n->props->get_element(n->inst, "rule", i), err);
	return rc < 0 ? rc : 0;
}

static void fault_destroy(void *self)
{
	free(self);
}

static const struct mt_device_class fault_device = {
	.create = fault_create,
	.realize = fault_realize,
	.destroy = fault_destroy,
};

static int32_t fault_begin(void *self, const struct mt_block_filter_op *op, uint64_t *delay_ns)
{
	struct node *n = self;

	return fault_operation(&n->fault, op, delay_ns);
}

static const struct mt_block_filter fault_filter = { .ops = MT_BLOCK_FILTER_ALL, .begin = fault_begin };

/* State: how far the rules have come. */

static const struct mt_state_field rule_fields[] = {
	MT_STATE_VAR(struct rule, matched, UINT64_MAX), MT_STATE_VAR(struct rule, fired, UINT64_MAX),
};
static const struct mt_state_table rule_table = MT_STATE_TABLE(struct rule, rule_fields);
static const struct mt_state_field fault_fields[] = {
	MT_STATE_STRUCTS(struct fault, rules, &rule_table), MT_STATE_VAR(struct fault, gone, 1),
	MT_STATE_RANGE(struct fault, random, 1, UINT64_MAX),
};
static const struct mt_state_table fault_table = MT_STATE_TABLE(struct fault, fault_fields);

static int fault_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	const struct node *n = self;

	(void)err;
	mt_state_save(out, w, &fault_table, &n->fault);
	return 0;
}

static int fault_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		      struct mt_error *err)
{
	struct node *n = self;

	(void)err;
	return mt_state_load(in, r, &fault_table, version, &n->fault);
}

static const struct mt_state_class state_class = {
	.schema = "fault", .version = 1, .version_min = 1, .save = fault_save, .load = fault_load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &fault_device },
		       { MT_IFACE_BLOCK_FILTER, &fault_filter },
		       { MT_IFACE_STATE, &state_class })
