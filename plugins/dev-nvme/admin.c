/* SPDX-License-Identifier: MIT */
/* Commands of the admin queue, NVMe 1.4 section 5: queues, identification, features, log pages, events. */
#include "nvme.h"

enum {
	OP_DELETE_SQ = 0x00, OP_CREATE_SQ = 0x01, OP_LOG_PAGE = 0x02, OP_DELETE_CQ = 0x04, OP_CREATE_CQ = 0x05,
	OP_IDENTIFY = 0x06, OP_ABORT = 0x08, OP_SET_FEATURES = 0x09, OP_GET_FEATURES = 0x0a, OP_EVENT = 0x0c,
};

/* Queues */

/* 5.3 and 5.4 have these in common. */
static uint32_t queue_check(const struct nvme *n, const struct nvme_command *c, uint32_t taken)
{
	uint32_t qid = c->cdw10 & 0xffff, size = (c->cdw10 >> 16) + 1;

	if (qid == 0 || qid > n->queue_max || (n->io_queues && qid > n->io_queues) || taken)
		return NVME_QID;
	if (size < 2 || size > n->size_max)
		return NVME_QUEUE_SIZE;
	if (!(c->cdw11 & 1))                   /* CAP.CQR: in one piece */
		return NVME_INVALID_FIELD;
	return c->prp1 % NVME_PAGE_BYTES ? NVME_PRP_OFFSET : NVME_OK;
}

static uint32_t create_cq(struct nvme *n, const struct nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff, vector = c->cdw11 >> 16;
	uint32_t status = queue_check(n, c, qid <= n->queue_max && n->cqs[qid].size);

	if (status != NVME_OK)
		return status;
	if (vector > n->queue_max)
		return NVME_VECTOR;
	n->cqs[qid] = (struct nvme_cq){ .base = c->prp1, .size = (c->cdw10 >> 16) + 1, .phase = 1, .vector = vector,
					.interrupts = c->cdw11 >> 1 & 1 };
	return NVME_OK;
}

static uint32_t create_sq(struct nvme *n, const struct nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff, cqid = c->cdw11 >> 16;
	uint32_t status = queue_check(n, c, qid <= n->queue_max && n->sqs[qid].size);

	if (status != NVME_OK)
		return status;
	if (cqid == 0 || cqid > n->queue_max || !n->cqs[cqid].size)
		return NVME_CQ_INVALID;
	n->sqs[qid] = (struct nvme_sq){ .base = c->prp1, .size = (c->cdw10 >> 16) + 1, .cqid = cqid };
	return NVME_OK;
}

/* 5.6: what was begun is answered before; what was not taken is forgotten. */
static uint32_t delete_sq(struct nvme *n, const struct nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff;

	if (qid == 0 || qid > n->queue_max || !n->sqs[qid].size)
		return NVME_QID;
	nvme_finish(n);
	n->sqs[qid] = (struct nvme_sq){ 0 };
	return NVME_OK;
}

static uint32_t delete_cq(struct nvme *n, const struct nvme_command *c)
{
	uint32_t qid = c->cdw10 & 0xffff;

	if (qid == 0 || qid > n->queue_max || !n->cqs[qid].size)
		return NVME_QID;
	for (uint32_t i = 1; i <= n->queue_max; i++) {
		if (n->sqs[i].size && n->sqs[i].cqid == qid)
			return NVME_QUEUE_DELETION;
	}
	n->cqs[qid] = (struct nvme_cq){ 0 };
	return NVME_OK;
}

/* Identify, 5.15 */

static uint32_t identify(struct nvme *n, const struct nvme_command *c)
{
	uint8_t page[NVME_PAGE_BYTES] = { 0 };

	switch (c->cdw10 & 0xff) {
	case 0x00:
		if (c->nsid != NVME_NSID)
			return NVME_INVALID_NSID;
		nvme_identify_namespace(n, page);
		break;
	case 0x01:
		nvme_identify_controller(n, page);
		break;
	case 0x02:                             /* namespaces from nsid + 1 on */
		if (c->nsid >= 0xfffffffe)
			return NVME_INVALID_NSID;
		page[0] = c->nsid < NVME_NSID ? NVME_NSID : 0;
		break;
	case 0x03:                             /* descriptors of the namespace: it has none */
		if (c->nsid != NVME_NSID)
			return NVME_INVALID_NSID;
		break;
	default:
		return NVME_INVALID_FIELD;
	}
	return nvme_data_write(n, c->prp1, c->prp2, page, sizeof(page));
}

/* Log pages, 5.14 */

/* The bytes of the page; 0: no such page. */
static uint32_t log_fill(struct nvme *n, uint32_t id, uint8_t *page)
{
	switch (id) {
	case 0x01:                             /* errors: none is kept */
		return 64;
	case 0x02:                             /* health: 300 kelvin, spare 100 %, threshold 10 % */
		page[1] = 300 & 0xff;
		page[2] = 300 >> 8;
		page[3] = 100;
		page[4] = 10;
		return 512;
	case 0x03:                             /* firmware: slot 1 is active */
		page[0] = 1;
		nvme_put_text(page + 8, MORTISE_VERSION, 8);
		return 512;
	case 0x04:                             /* changed namespaces */
		page[0] = n->namespace_changed ? NVME_NSID : 0;
		return 4096;
	}
	return 0;
}

static uint32_t log_page(struct nvme *n, const struct nvme_command *c)
{
	uint8_t page[NVME_PAGE_BYTES] = { 0 };
	uint32_t id = c->cdw10 & 0xff, all = log_fill(n, id, page), status;
	uint64_t len = ((c->cdw10 >> 16 | (uint64_t)(c->cdw11 & 0xffff) << 16) + 1) * 4;
	uint64_t offset = c->cdw12 | (uint64_t)c->cdw13 << 32;

	if (!all)
		return NVME_LOG_PAGE;
	if (offset >= all || offset % 4)
		return NVME_INVALID_FIELD;
	len = len < all - offset ? len : all - offset;
	status = nvme_data_write(n, c->prp1, c->prp2, page + offset, (uint32_t)len);
	if (status == NVME_OK && !(c->cdw10 & 1u << 15)) {
		/* 5.2: reading the page lets events of its type come again */
		n->event_masked &= ~(id == 0x01 ? 1u << NVME_EVENT_ERROR : id == 0x04 ? 1u << NVME_EVENT_NOTICE : 0);
		n->namespace_changed = id == 0x04 ? 0 : n->namespace_changed;
	}
	return status;
}

/* Features, 5.21 */

static uint32_t queues_granted(const struct nvme *n)
{
	uint32_t count = n->io_queues ? n->io_queues : n->queue_max;

	return (count - 1) << 16 | (count - 1);
}

static uint32_t queues_ask(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
	uint32_t sq = c->cdw11 & 0xffff, cq = c->cdw11 >> 16, wanted = (sq > cq ? sq : cq) + 1;

	if (sq == 0xffff || cq == 0xffff)
		return NVME_INVALID_FIELD;
	for (uint32_t i = 1; i <= n->queue_max; i++) {
		if (n->cqs[i].size || n->sqs[i].size)
			return NVME_SEQUENCE;
	}
	n->io_queues = wanted < n->queue_max ? wanted : n->queue_max;
	*result = queues_granted(n);
	return NVME_OK;
}

static uint32_t feature_known(uint32_t id)
{
	return id >= 0x01 && id <= 0x0b && id != 0x03;
}

static uint32_t set_feature(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
	uint32_t id = c->cdw10 & 0xff;

	if (!feature_known(id))
		return NVME_INVALID_FIELD;
	if (c->cdw10 >> 31)
		return NVME_NOT_SAVEABLE;
	if (id == NVME_FEATURE_QUEUES)
		return queues_ask(n, c, result);
	n->features[id] = id == NVME_FEATURE_WRITE_CACHE ? c->cdw11 & 1 : c->cdw11;
	return NVME_OK;
}

static uint32_t get_feature(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
	uint32_t id = c->cdw10 & 0xff, which = c->cdw10 >> 8 & 7;

	if (!feature_known(id) || which > 3)
		return NVME_INVALID_FIELD;
	if (which == 3)                        /* can be changed, cannot be saved */
		*result = 4;
	else if (id == NVME_FEATURE_QUEUES)
		*result = queues_granted(n);
	else if (which)                        /* as after a reset */
		*result = id == NVME_FEATURE_WRITE_CACHE;
	else
		*result = n->features[id];
	return NVME_OK;
}

/* Asynchronous events, 5.2 */

static const uint32_t event_pages[8] = { [NVME_EVENT_ERROR] = 0x01, [NVME_EVENT_NOTICE] = 0x04 };

static uint32_t event_ask(struct nvme *n, const struct nvme_command *c)
{
	if (n->event_count == NVME_EVENTS_MAX)
		return NVME_EVENT_LIMIT;
	n->event_cids[n->event_count++] = c->cid;
	/* it may wait for ever, and must not keep a place meanwhile */
	n->cqs[0].owed--;
	return NVME_LATER;
}

void nvme_events_deliver(struct nvme *n)
{
	for (uint32_t type = 0; type < 8; type++) {
		uint32_t bit = 1u << type;

		if (!(n->event_pending & bit) || n->event_masked & bit || !n->event_count ||
		    !nvme_cq_room(&n->cqs[0]))
			continue;
		n->event_pending &= ~bit;
		n->event_masked |= bit;
		n->cqs[0].owed++;
		nvme_complete(n, 0, n->event_cids[--n->event_count], NVME_OK,
			      type | n->event_info[type] << 8 | event_pages[type] << 16);
	}
}

void nvme_event(struct nvme *n, uint32_t type, uint32_t info)
{
	if (!(n->csts & NVME_CSTS_RDY))
		return;
	n->event_pending |= 1u << type;
	n->event_info[type] = info;
	nvme_events_deliver(n);
	nvme_interrupt(n);
}

/* All */

static uint32_t execute(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
	switch (c->opcode) {
	case OP_DELETE_SQ:
		return delete_sq(n, c);
	case OP_CREATE_SQ:
		return create_sq(n, c);
	case OP_LOG_PAGE:
		return log_page(n, c);
	case OP_DELETE_CQ:
		return delete_cq(n, c);
	case OP_CREATE_CQ:
		return create_cq(n, c);
	case OP_IDENTIFY:
		return identify(n, c);
	case OP_ABORT:
		*result = 1;                   /* not aborted: what is with the host cannot be taken back */
		return NVME_OK;
	case OP_SET_FEATURES:
		return set_feature(n, c, result);
	case OP_GET_FEATURES:
		return get_feature(n, c, result);
	case OP_EVENT:
		return event_ask(n, c);
	}
	return NVME_INVALID_OPCODE;
}

uint32_t nvme_admin(struct nvme *n, const struct nvme_command *c, uint32_t *result)
{
	uint32_t status = c->flags ? NVME_INVALID_FIELD : execute(n, c, result);

	return status == NVME_OK || status == NVME_LATER ? status : status | NVME_DNR;
}
