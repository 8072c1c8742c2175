/* SPDX-License-Identifier: MIT */
/*
 * Submission and completion queues, NVMe 1.4 section 4.1. See nvme.h for what bounds them.
 * The rule that is easy to break: a completion has its place from the moment its command is taken (`owed`), so that
 * posting never has to wait.
 */
#include "nvme.h"

uint32_t nvme_cq_room(const struct nvme_cq *cq)
{
	uint32_t used;

	if (!cq->size)
		return 0;
	used = (cq->tail + cq->size - cq->head) % cq->size + cq->owed;
	return used < cq->size - 1 ? cq->size - 1 - used : 0;
}

/* The half with the phase comes last, and whole: the driver looks at it while this is written. */
void nvme_cq_post(struct nvme *n, uint32_t cqid, const struct nvme_completion *completion)
{
	struct nvme_cq *cq = &n->cqs[cqid];
	uint64_t at = cq->base + (uint64_t)cq->tail * sizeof(*completion);
	struct nvme_completion c = *completion;

	c.status = (uint16_t)(c.status << 1 | cq->phase);
	if (n->dma_host->write(n->dma, at, &c.result, 8) != MT_BUS_OK ||
	    n->dma_host->write(n->dma, at + 8, &c.sq_head, 8) != MT_BUS_OK) {
		nvme_fatal(n, "a completion queue is not in memory");
		return;
	}
	if (++cq->tail == cq->size) {
		cq->tail = 0;
		cq->phase ^= 1;
	}
	cq->due = 1;
}

void nvme_complete(struct nvme *n, uint32_t sqid, uint32_t cid, uint32_t status, uint32_t result)
{
	const struct nvme_sq *sq = &n->sqs[sqid];
	struct nvme_completion c = { .result = result, .sq_head = (uint16_t)sq->head, .sqid = (uint16_t)sqid,
				     .cid = (uint16_t)cid, .status = (uint16_t)status };

	if (!(n->csts & NVME_CSTS_RDY) || !sq->size)
		return;
	n->cqs[sq->cqid].owed--;
	nvme_cq_post(n, sq->cqid, &c);
}

/* Section 7.5: a message a queue; by the pin as long as there is something to take. */
void nvme_interrupt(struct nvme *n)
{
	uint32_t messages = n->pci_host->msix_enabled(n->pci), level = 0;

	for (uint32_t i = 0; i <= n->queue_max; i++) {
		struct nvme_cq *cq = &n->cqs[i];

		if (!cq->interrupts)
			continue;
		if (messages && cq->due)
			n->pci_host->message(n->pci, cq->vector);
		cq->due = 0;
		if (cq->head != cq->tail && !(cq->vector < 32 && n->int_mask >> cq->vector & 1))
			level = 1;
	}
	n->pci_host->intx(n->pci, level);
}

/* Taking commands */

/* How many at once: without a break in the ring, with room for the answers, and within what may be under way. */
static uint32_t may_take(const struct nvme *n, const struct nvme_sq *sq, uint32_t max)
{
	uint32_t count = sq->tail >= sq->head ? sq->tail - sq->head : sq->size - sq->head;
	uint32_t room = nvme_cq_room(&n->cqs[sq->cqid]), left = NVME_REQUESTS_MAX - n->in_flight;

	count = count < max ? count : max;
	count = count < room ? count : room;
	return count < left ? count : left;
}

static uint32_t fetch(struct nvme *n, struct nvme_sq *sq, struct nvme_command *commands, uint32_t max)
{
	uint32_t count = sq->size && sq->head != sq->tail ? may_take(n, sq, max) : 0;
	uint64_t at = sq->base + (uint64_t)sq->head * sizeof(*commands);

	if (!count || n->csts & NVME_CSTS_CFS)
		return 0;
	if (n->dma_host->read(n->dma, at, commands, (uint64_t)count * sizeof(*commands)) != MT_BUS_OK) {
		nvme_fatal(n, "a submission queue is not in memory");
		return 0;
	}
	sq->head = (sq->head + count) % sq->size;
	n->cqs[sq->cqid].owed += count;
	return count;
}

/* One at a time: an admin command may change the queues. */
static uint32_t serve_admin(struct nvme *n)
{
	struct nvme_command c;
	uint32_t result = 0, status;

	if (!fetch(n, &n->sqs[0], &c, 1))
		return 0;
	status = nvme_admin(n, &c, &result);
	if (status != NVME_LATER)
		nvme_complete(n, 0, c.cid, status, result);
	nvme_events_deliver(n);
	return 1;
}

static uint32_t serve_io(struct nvme *n, uint32_t sqid)
{
	struct nvme_command commands[NVME_BATCH];
	struct mt_block_req *ios[NVME_BATCH];
	uint32_t taken = fetch(n, &n->sqs[sqid], commands, NVME_BATCH), count = 0;

	for (uint32_t i = 0; i < taken; i++) {
		uint32_t status = nvme_io(n, sqid, &commands[i], &ios[count]);

		if (status == NVME_LATER)
			count++;
		else
			nvme_complete(n, sqid, commands[i].cid, status, 0);
	}
	if (count && n->blocks->submit(n->block, ios, count))
		nvme_reap(n);
	return taken;
}

void nvme_serve(struct nvme *n)
{
	uint32_t taken = 0, now;

	do {
		now = serve_admin(n);
		for (uint32_t i = 1; i <= n->queue_max; i++)
			now += serve_io(n, i);
		taken += now;
	} while (now && taken < NVME_KICK_COMMANDS);
	if (now)
		n->loop->deferred_post(n->more);
	nvme_interrupt(n);
}
