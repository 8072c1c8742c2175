/* SPDX-License-Identifier: MIT */
/*
 * Saved state of the controller: registers, queues, features, events, and commands whose request failed and is kept.
 * Nothing else is in flight when it is saved, and what was not taken stands in the queues, in guest memory. A state is
 * untrusted: indices lie inside their queues, and queues inside of what the instance has, or it is refused.
 */
#include "nvme.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>
#include <util/state.h>

#define ENTRIES_MAX 4096u

static const struct mt_state_field sq_fields[] = {
	MT_STATE_VAR(struct nvme_sq, base, UINT64_MAX),
	MT_STATE_VAR(struct nvme_sq, size, ENTRIES_MAX),
	MT_STATE_VAR(struct nvme_sq, head, ENTRIES_MAX - 1),
	MT_STATE_VAR(struct nvme_sq, tail, ENTRIES_MAX - 1),
	MT_STATE_VAR(struct nvme_sq, cqid, NVME_QUEUES_MAX),
};
static const struct mt_state_table sq_table = MT_STATE_TABLE(struct nvme_sq, sq_fields);

static const struct mt_state_field cq_fields[] = {
	MT_STATE_VAR(struct nvme_cq, base, UINT64_MAX),
	MT_STATE_VAR(struct nvme_cq, size, ENTRIES_MAX),
	MT_STATE_VAR(struct nvme_cq, head, ENTRIES_MAX - 1),
	MT_STATE_VAR(struct nvme_cq, tail, ENTRIES_MAX - 1),
	MT_STATE_VAR(struct nvme_cq, phase, 1),
	MT_STATE_VAR(struct nvme_cq, vector, NVME_QUEUES_MAX),
	MT_STATE_VAR(struct nvme_cq, interrupts, 1),
};
static const struct mt_state_table cq_table = MT_STATE_TABLE(struct nvme_cq, cq_fields);

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct nvme, cc, 0x00fffff1),
	MT_STATE_VAR(struct nvme, csts, 0xf),
	MT_STATE_VAR(struct nvme, aqa, 0x0fff0fff),
	MT_STATE_VAR(struct nvme, int_mask, UINT32_MAX),
	MT_STATE_VAR(struct nvme, asq, UINT64_MAX),
	MT_STATE_VAR(struct nvme, acq, UINT64_MAX),
	MT_STATE_ARRAY(struct nvme, features, UINT32_MAX),
	MT_STATE_VAR(struct nvme, io_queues, NVME_QUEUES_MAX),
	MT_STATE_ARRAY(struct nvme, event_cids, UINT16_MAX),
	MT_STATE_VAR(struct nvme, event_count, NVME_EVENTS_MAX),
	MT_STATE_VAR(struct nvme, event_pending, 0xff),
	MT_STATE_VAR(struct nvme, event_masked, 0xff),
	MT_STATE_ARRAY(struct nvme, event_info, 0xff),
	MT_STATE_VAR(struct nvme, namespace_changed, 1),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct nvme, fields);

static void kept_save(struct mt_state_out *out, const struct mt_state_writer *w, uint32_t sqid,
		      const struct nvme_command *command)
{
	w->begin(out, "kept", 0);
	w->put(out, "sqid", MT_STATE_U32, 0, &sqid, 1);
	w->put(out, "command", MT_STATE_BYTES, 0, command, sizeof(*command));
	w->end(out);
}

void nvme_save(struct nvme *n, struct mt_state_out *out, const struct mt_state_writer *w)
{
	uint64_t queues = n->queue_max, entries = n->size_max;

	w->put(out, "queue_max", MT_STATE_U64, 0, &queues, 1);
	w->put(out, "size_max", MT_STATE_U64, 0, &entries, 1);
	mt_state_save(out, w, &table, n);
	for (uint32_t i = 0; i <= n->queue_max; i++) {
		w->begin(out, "sq", 0);
		mt_state_save(out, w, &sq_table, &n->sqs[i]);
		w->end(out);
		w->begin(out, "cq", 0);
		mt_state_save(out, w, &cq_table, &n->cqs[i]);
		w->end(out);
	}
	for (const struct nvme_request *r = n->kept; r; r = r->next)
		kept_save(out, w, r->sqid, &r->command);
	for (uint32_t i = 0; i < n->restored_count; i++)
		kept_save(out, w, n->restored[i].sqid, &n->restored[i].command);
}

static int group_read(struct mt_state_in *in, const struct mt_state_reader *r, const char *name, uint32_t index,
		      const struct mt_state_table *group, uint32_t version, void *to)
{
	int code = r->begin(in, name, index);

	if (code)
		return code;
	code = mt_state_read(in, r, group, version, to);
	r->end(in);
	return code;
}

static int all_read(struct nvme *n, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		    struct nvme *to)
{
	int code = mt_state_expect(in, r, "queue_max", n->queue_max);

	if (!code)
		code = mt_state_expect(in, r, "size_max", n->size_max);
	if (!code)
		code = mt_state_read(in, r, &table, version, (uint8_t *)to);
	for (uint32_t i = 0; !code && i <= n->queue_max; i++) {
		code = group_read(in, r, "sq", i, &sq_table, version, &to->sqs[i]);
		if (!code)
			code = group_read(in, r, "cq", i, &cq_table, version, &to->cqs[i]);
	}
	return code;
}

static int kept_read(struct mt_state_in *in, const struct mt_state_reader *r, uint32_t index,
		     struct nvme_saved *saved)
{
	int code = r->begin(in, "kept", index);

	if (code)
		return code;
	code = r->get(in, "sqid", MT_STATE_U32, &saved->sqid, 1);
	if (!code)
		code = r->get(in, "command", MT_STATE_BYTES, &saved->command, sizeof(saved->command));
	r->end(in);
	return code;
}

/* Each has a queue, and room for its answer there. */
static uint32_t kept_legal(struct nvme *from, uint32_t queue_max)
{
	uint32_t legal = 1;

	for (uint32_t i = 0; i < from->restored_count && legal; i++) {
		uint32_t sqid = from->restored[i].sqid;
		struct nvme_cq *cq;

		if (!sqid || sqid > queue_max || !from->sqs[sqid].size)
			return 0;
		cq = &from->cqs[from->sqs[sqid].cqid];
		legal = nvme_cq_room(cq) > 0;
		cq->owed += legal;
	}
	for (uint32_t i = 0; i <= queue_max; i++)
		from->cqs[i].owed = 0;                 /* taken when they begin */
	return legal;
}

static int all_kept_read(struct mt_state_in *in, const struct mt_state_reader *r, struct nvme *to)
{
	uint32_t type = 0, count = 0;
	int code = 0;

	if (r->find(in, "kept", &type, &count) < 0)
		return 0;
	if (type != MT_STATE_GROUP || count > NVME_REQUESTS_MAX)
		return r->refuse(in, "kept", "are more than the controller could have");
	to->restored = calloc(count, sizeof(*to->restored));
	if (!to->restored)
		return MT_ENOMEM;
	to->restored_count = count;
	for (uint32_t i = 0; !code && i < count; i++)
		code = kept_read(in, r, i, &to->restored[i]);
	return code;
}

static uint32_t is_ring(uint32_t size, uint32_t most, uint32_t head, uint32_t tail)
{
	return size >= 2 && size <= most && head < size && tail < size;
}

static uint32_t queues_legal(const struct nvme *n, const struct nvme *from)
{
	for (uint32_t i = 0; i <= n->queue_max; i++) {
		const struct nvme_sq *sq = &from->sqs[i];
		const struct nvme_cq *cq = &from->cqs[i];
		uint32_t most = i ? n->size_max : ENTRIES_MAX;

		if (sq->size && (!is_ring(sq->size, most, sq->head, sq->tail) || sq->cqid > n->queue_max ||
				 !from->cqs[sq->cqid].size || !sq->cqid != !i))
			return 0;
		if (cq->size && (!is_ring(cq->size, most, cq->head, cq->tail) || cq->vector > n->queue_max))
			return 0;
	}
	return from->io_queues <= n->queue_max && (!(from->csts & NVME_CSTS_RDY) || from->sqs[0].size);
}

int nvme_load(struct nvme *n, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
	      struct mt_error *err)
{
	struct nvme *from = calloc(1, sizeof(*from));
	int code;

	if (!from)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = all_read(n, in, r, version, from);
	if (!code && !queues_legal(n, from))
		code = r->refuse(in, "sq", "or a completion queue is none that the controller could have");
	if (!code)
		code = all_kept_read(in, r, from);
	if (!code && !kept_legal(from, n->queue_max))
		code = r->refuse(in, "kept", "is a command that the controller could not have");
	if (!code) {
		mt_state_take(&table, (uint8_t *)n, (const uint8_t *)from);
		memcpy(n->sqs, from->sqs, sizeof(n->sqs));
		memcpy(n->cqs, from->cqs, sizeof(n->cqs));     /* nothing owed, nothing due */
		free(n->restored);
		n->restored = from->restored;
		n->restored_count = from->restored_count;
		from->restored = NULL;
	}
	free(from->restored);
	free(from);
	return code;
}
