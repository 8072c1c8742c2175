/* SPDX-License-Identifier: MIT */
/* The controller's registers, NVMe 1.4 section 3.1: enabling, shutting down, doorbells. */
#include "nvme.h"

#include <string.h>

enum {
	R_CAP = 0x00, R_VERSION = 0x08, R_INTMS = 0x0c, R_INTMC = 0x10, R_CC = 0x14, R_CSTS = 0x1c, R_AQA = 0x24,
	R_ASQ = 0x28, R_ACQ = 0x30, R_DOORBELLS = 0x1000,
};
#define VERSION     0x00010400u
#define CC_WRITABLE 0x00fffff1u
#define CC_FORMS    0x00003ff0u        /* command set, page size, arbitration: what is not 0 is not supported */
#define CAP_CQR     (1ull << 16)
#define CAP_TIMEOUT (20ull << 24)      /* 10 s: a drain waits for the host's disk */
#define CAP_NVM     (1ull << 37)
#define SHUTDOWN_DONE (2u << 2)
#define SHUTDOWN    (3u << 2)

static uint64_t capabilities(const struct nvme *n)
{
	return (n->size_max - 1) | CAP_CQR | CAP_TIMEOUT | CAP_NVM;
}

static uint32_t read_word(const struct nvme *n, uint32_t offset)
{
	switch (offset) {
	case R_CAP:
		return (uint32_t)capabilities(n);
	case R_CAP + 4:
		return (uint32_t)(capabilities(n) >> 32);
	case R_VERSION:
		return VERSION;
	case R_INTMS: case R_INTMC:
		return n->int_mask;
	case R_CC:
		return n->cc;
	case R_CSTS:
		return n->csts;
	case R_AQA:
		return n->aqa;
	case R_ASQ: case R_ASQ + 4:
		return (uint32_t)(n->asq >> (offset - R_ASQ) * 8);
	case R_ACQ: case R_ACQ + 4:
		return (uint32_t)(n->acq >> (offset - R_ACQ) * 8);
	}
	return 0;
}

uint64_t nvme_read(struct nvme *n, uint32_t offset, uint32_t width)
{
	uint64_t value = read_word(n, offset);

	return width == 8 ? value | (uint64_t)read_word(n, offset + 4) << 32 : value;
}

void nvme_fatal(struct nvme *n, const char *why)
{
	if (n->csts & NVME_CSTS_CFS)
		return;
	n->log->message(n->inst, MT_LOG_GUEST, why);
	n->csts |= NVME_CSTS_CFS;
}

/* Section 7.3.2: queues go, the admin queue's attributes stay. */
static void controller_reset(struct nvme *n)
{
	n->csts = 0;                           /* first: nothing is posted any more */
	nvme_finish(n);
	memset(n->sqs, 0, sizeof(n->sqs));
	memset(n->cqs, 0, sizeof(n->cqs));
	n->int_mask = n->io_queues = 0;
	n->event_count = n->event_pending = n->event_masked = 0;
	memset(n->features, 0, sizeof(n->features));
	n->features[NVME_FEATURE_WRITE_CACHE] = 1;
	nvme_interrupt(n);
}

void nvme_reset(struct nvme *n)
{
	controller_reset(n);
	n->cc = n->aqa = 0;
	n->asq = n->acq = 0;
	n->namespace_changed = 0;
}

static void controller_enable(struct nvme *n)
{
	uint32_t sq = (n->aqa & 0xfff) + 1, cq = (n->aqa >> 16 & 0xfff) + 1;

	n->csts = 0;                           /* of a shutdown while it was disabled */
	if (n->cc & CC_FORMS || n->asq % NVME_PAGE_BYTES || n->acq % NVME_PAGE_BYTES || sq < 2 || cq < 2) {
		nvme_fatal(n, "the controller was enabled with a form or an admin queue that it does not have");
		return;
	}
	n->sqs[0] = (struct nvme_sq){ .base = n->asq, .size = sq };
	n->cqs[0] = (struct nvme_cq){ .base = n->acq, .size = cq, .phase = 1, .interrupts = 1 };
	n->csts |= NVME_CSTS_RDY;
}

static void write_cc(struct nvme *n, uint32_t value)
{
	uint32_t old = n->cc;

	n->cc = value & CC_WRITABLE;
	if (old & ~n->cc & NVME_CC_EN)
		controller_reset(n);
	else if (~old & n->cc & NVME_CC_EN)
		controller_enable(n);
	if (n->cc >> 14 & 3 && !(n->csts & SHUTDOWN)) {
		nvme_flush(n);
		n->csts |= SHUTDOWN_DONE;
		nvme_interrupt(n);
	}
}

/* Doorbells, 3.1.16 and 3.1.17; what is wrong about them is an event, 5.2.1 */

static void write_sq_tail(struct nvme *n, uint32_t qid, uint32_t tail)
{
	struct nvme_sq *sq = &n->sqs[qid];

	if (tail >= sq->size) {
		nvme_event(n, NVME_EVENT_ERROR, 1);
		return;
	}
	sq->tail = tail;
	nvme_serve(n);
}

static void write_cq_head(struct nvme *n, uint32_t qid, uint32_t head)
{
	struct nvme_cq *cq = &n->cqs[qid];

	/* it may go up to the tail, and not beyond */
	if (head >= cq->size ||
	    (head + cq->size - cq->head) % cq->size > (cq->tail + cq->size - cq->head) % cq->size) {
		nvme_event(n, NVME_EVENT_ERROR, 1);
		return;
	}
	cq->head = head;
	nvme_events_deliver(n);
	nvme_serve(n);
}

static void write_doorbell(struct nvme *n, uint32_t offset, uint32_t value)
{
	uint32_t qid = (offset - R_DOORBELLS) / 8, is_cq = offset & 4;

	if (!(n->csts & NVME_CSTS_RDY))
		return;
	if (qid > n->queue_max || !(is_cq ? n->cqs[qid].size : n->sqs[qid].size))
		nvme_event(n, NVME_EVENT_ERROR, 0);
	else if (is_cq)
		write_cq_head(n, qid, value & 0xffff);
	else
		write_sq_tail(n, qid, value & 0xffff);
}

static void set_half(uint64_t *address, uint32_t offset, uint32_t value)
{
	uint32_t shift = offset & 4 ? 32 : 0;

	*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

static void write_word(struct nvme *n, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case R_INTMS:
		n->int_mask |= value;
		nvme_interrupt(n);
		break;
	case R_INTMC:
		n->int_mask &= ~value;
		nvme_interrupt(n);
		break;
	case R_CC:
		write_cc(n, value);
		break;
	case R_AQA:
		n->aqa = value & 0x0fff0fff;
		break;
	case R_ASQ:
		set_half(&n->asq, 0, value & ~(NVME_PAGE_BYTES - 1));
		break;
	case R_ASQ + 4:
		set_half(&n->asq, 4, value);
		break;
	case R_ACQ:
		set_half(&n->acq, 0, value & ~(NVME_PAGE_BYTES - 1));
		break;
	case R_ACQ + 4:
		set_half(&n->acq, 4, value);
		break;
	}
}

void nvme_write(struct nvme *n, uint32_t offset, uint32_t width, uint64_t value)
{
	if (offset >= R_DOORBELLS) {
		write_doorbell(n, offset, (uint32_t)value);
		return;
	}
	write_word(n, offset, (uint32_t)value);
	if (width == 8)
		write_word(n, offset + 4, (uint32_t)(value >> 32));
}
