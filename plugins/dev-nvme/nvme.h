/* SPDX-License-Identifier: MIT */
/*
 * An NVMe controller with one namespace, as its files see it. Section numbers are of the NVM Express Base
 * Specification 1.4. Everything is called under the instance lock.
 *
 * What bounds memory and time: a command is taken from a submission queue only when its completion has a place in the
 * completion queue, and only while fewer than NVME_REQUESTS_MAX are under way. What could not be taken is looked at
 * again when a doorbell or a completion makes room.
 */
#ifndef DEV_NVME_NVME_H
#define DEV_NVME_NVME_H

#include <mortise/draft/block.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/pci.h>
#include <mortise/draft/state.h>
#include <stddef.h>

#define NVME_PAGE_BYTES   4096u
#define NVME_QUEUES_MAX   64u          /* of I/O, beside the admin queue */
#define NVME_REQUESTS_MAX 512u
#define NVME_BATCH        64u
#define NVME_KICK_COMMANDS 1024u       /* of one doorbell; the loop goes on, so that no vCPU is held for ever */
#define NVME_MDTS         7u           /* 512 KiB */
#define NVME_PAGES_MAX    ((1u << NVME_MDTS) + 1)
#define NVME_EVENTS_MAX   4u           /* asynchronous event requests */
#define NVME_NSID         1u
#define NVME_SERIAL_BYTES 20u
#define NVME_BAR_BYTES    0x2000u

/* Status: type in bits 8 to 10, code below, 4.6.1. Bit 14: do not retry. */
enum {
	NVME_OK = 0x000, NVME_INVALID_OPCODE = 0x001, NVME_INVALID_FIELD = 0x002, NVME_DATA_ERROR = 0x004,
	NVME_INTERNAL = 0x006, NVME_INVALID_NSID = 0x00b, NVME_SEQUENCE = 0x00c, NVME_PRP_OFFSET = 0x013,
	NVME_PROTECTED = 0x020, NVME_LBA_RANGE = 0x080, NVME_CQ_INVALID = 0x100, NVME_QID = 0x101,
	NVME_QUEUE_SIZE = 0x102, NVME_EVENT_LIMIT = 0x105, NVME_VECTOR = 0x108, NVME_LOG_PAGE = 0x109,
	NVME_QUEUE_DELETION = 0x10c, NVME_NOT_SAVEABLE = 0x10d, NVME_WRITE_FAULT = 0x280, NVME_READ_FAULT = 0x281,
	NVME_DNR = 0x4000,
	NVME_LATER = 0xffff,           /* none: the answer comes by itself */
};

/* A submission queue entry, 4.2. Little-endian, as the host. */
struct nvme_command {
	uint8_t opcode, flags;
	uint16_t cid;
	uint32_t nsid;
	uint64_t reserved, metadata, prp1, prp2;
	uint32_t cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};
_Static_assert(sizeof(struct nvme_command) == 64, "as in the specification");

/* A completion queue entry, 4.6 */
struct nvme_completion {
	uint32_t result, reserved;
	uint16_t sq_head, sqid, cid, status;
};
_Static_assert(sizeof(struct nvme_completion) == 16, "as in the specification");

struct nvme_cq {
	uint64_t base;
	uint32_t size;                 /* entries; 0: not there */
	uint32_t head, tail, phase;
	uint32_t owed;                 /* completions that have a place and are not posted yet */
	uint32_t vector, interrupts;   /* its number; 1: it interrupts */
	uint32_t due;                  /* posted and not interrupted yet */
};

struct nvme_sq {
	uint64_t base;
	uint32_t size;
	uint32_t head, tail;
	uint32_t cqid;
};

/* Pieces that one call mapped. */
struct nvme_map {
	uint32_t first, count;
};

#define NVME_RANGES_MAX 256u

struct nvme_range {
	uint64_t offset, len_bytes;
};

struct nvme_request {
	struct mt_block_req io;
	uint32_t sqid, cid;
	struct nvme_command command;   /* as it was taken, for the state of what is kept */
	uint32_t direction;
	uint32_t map_count;
	uint32_t range_count, range_next;      /* of a deallocation, which goes one after the other */
	struct nvme_request *next;
	struct nvme_map maps[NVME_PAGES_MAX];
	union {
		struct mt_iov iov[2 * NVME_PAGES_MAX];
		struct nvme_range ranges[NVME_RANGES_MAX];
	};
};

/* A command that was kept when the state was saved. */
struct nvme_saved {
	uint32_t sqid;
	struct nvme_command command;
};

struct nvme {
	struct mt_inst *inst;
	const struct mt_pci_host *pci_host;
	const struct mt_dma_host *dma_host;
	const struct mt_block_host *blocks;
	const struct mt_loop_host *loop;
	const struct mt_log_host *log;
	struct mt_pci *pci;
	struct mt_dma *dma;
	struct mt_block *block;
	struct mt_deferred *more;
	struct mt_block_info info;

	/* properties */
	uint32_t queue_max, size_max;  /* I/O queues, entries */
	uint16_t vendor_id, device_id;
	char serial[NVME_SERIAL_BYTES];

	/* registers, 3.1 */
	uint32_t cc, csts, aqa, int_mask;
	uint64_t asq, acq;

	struct nvme_sq sqs[NVME_QUEUES_MAX + 1];
	struct nvme_cq cqs[NVME_QUEUES_MAX + 1];
	uint32_t in_flight;
	struct nvme_request *free;

	/* failed, until the machine goes on: in order, of those in flight; and what a restored state brought */
	struct nvme_request *kept, **kept_last;
	uint32_t kept_count;
	struct nvme_saved *restored;
	uint32_t restored_count;

	/* features, 5.21.1 */
	uint32_t features[16];
	uint32_t io_queues;            /* what the driver was granted; 0: it has not asked */

	/* asynchronous events, 5.2 */
	uint16_t event_cids[NVME_EVENTS_MAX];
	uint32_t event_count;
	uint32_t event_pending;        /* bits by type that wait for a request */
	uint32_t event_masked;         /* bits by type: reported, log page not read yet */
	uint32_t event_info[8];
	uint32_t namespace_changed;
};

#define NVME_CSTS_RDY 1u
#define NVME_CSTS_CFS 2u
#define NVME_CC_EN    1u

#define NVME_FEATURE_WRITE_CACHE 6u
#define NVME_FEATURE_QUEUES      7u
#define NVME_FEATURE_EVENTS      11u

#define NVME_EVENT_ERROR  0u
#define NVME_EVENT_NOTICE 2u

/* registers.c */
uint64_t nvme_read(struct nvme *n, uint32_t offset, uint32_t width);
void nvme_write(struct nvme *n, uint32_t offset, uint32_t width, uint64_t value);
/* As after power-on; nothing is in flight when it returns. */
void nvme_reset(struct nvme *n);
/* The guest broke the rules of its own memory: CSTS.CFS, until it resets the controller. */
void nvme_fatal(struct nvme *n, const char *why);

/* queue.c */
/* Takes commands of all queues while there is room, and interrupts for what was answered. */
void nvme_serve(struct nvme *n);
void nvme_complete(struct nvme *n, uint32_t sqid, uint32_t cid, uint32_t status, uint32_t result);
uint32_t nvme_cq_room(const struct nvme_cq *cq);
void nvme_cq_post(struct nvme *n, uint32_t cqid, const struct nvme_completion *completion);
/* Messages for what was posted; the level of the pin. */
void nvme_interrupt(struct nvme *n);

/* admin.c: the status, or NVME_LATER. */
uint32_t nvme_admin(struct nvme *n, const struct nvme_command *c, uint32_t *result);
/* Tells the driver, now or when it asks. */
void nvme_event(struct nvme *n, uint32_t type, uint32_t info);
void nvme_events_deliver(struct nvme *n);

/* identify.c: pages of 4096 bytes, zero before. Text is padded with blanks, 1.5. */
void nvme_put_text(uint8_t *at, const char *text, size_t bytes);
void nvme_identify_controller(const struct nvme *n, uint8_t *page);
void nvme_identify_namespace(const struct nvme *n, uint8_t *page);

/* state.c, as mt_state_class */
void nvme_save(struct nvme *n, struct mt_state_out *out, const struct mt_state_writer *w);
int nvme_load(struct nvme *n, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
	      struct mt_error *err);

/* data.c: guest memory behind PRP entries, 4.3. The status. */
uint32_t nvme_data_map(struct nvme *n, struct nvme_request *r, uint64_t prp1, uint64_t prp2, uint32_t len_bytes);
void nvme_data_unmap(struct nvme *n, struct nvme_request *r, uint64_t written_bytes);
uint32_t nvme_data_write(struct nvme *n, uint64_t prp1, uint64_t prp2, const void *buf, uint32_t len_bytes);
uint32_t nvme_data_read(struct nvme *n, uint64_t prp1, uint64_t prp2, void *buf, uint32_t len_bytes);

/* io.c */
/* NVME_LATER: *io is to be submitted. */
uint32_t nvme_io(struct nvme *n, uint32_t sqid, const struct nvme_command *c, struct mt_block_req **io);
/* Answers what the disk has completed. */
void nvme_reap(struct nvme *n);
/* Nothing but what is kept is in flight when it returns; answers are posted. */
void nvme_drain(struct nvme *n);
/* And what is kept is answered with its error. */
void nvme_finish(struct nvme *n);
/* [main] the machine goes on: what was kept is tried again */
void nvme_kept_retry(struct nvme *n);
/* And everything that was answered is durable. */
void nvme_flush(struct nvme *n);
void nvme_requests_free(struct nvme *n);

#endif
