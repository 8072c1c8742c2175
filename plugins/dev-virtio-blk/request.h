/* SPDX-License-Identifier: MIT */
/*
 * What a request of a virtio disk means, Virtio 1.2 section 5.2.6: header and payload of an element become a
 * request to the block port, or an answer at once. Pure: no queue, no I/O; all numbers come from the guest.
 */
#ifndef VIRTIO_BLK_REQUEST_H
#define VIRTIO_BLK_REQUEST_H

#include <mortise/draft/block.h>
#include <mortise/draft/virtio.h>

#define BLK_S_OK     0u
#define BLK_S_IOERR  1u
#define BLK_S_UNSUPP 2u

#define BLK_SECTOR_BYTES 512u
#define BLK_ID_BYTES     20u
/* Of one discard or write-zeroes segment; one segment a request. */
#define BLK_ZERO_SECTORS_MAX 0x400000u

struct blk_disk {
	uint64_t bytes;
	uint32_t readonly, discard;
	uint32_t writethrough;               /* the driver asked for no volatile cache */
	char serial[BLK_ID_BYTES];           /* not ended by NUL when it is full */
};

enum blk_verdict { BLK_SUBMIT, BLK_ANSWER, BLK_MALFORMED };

/*
 * BLK_SUBMIT: `io` is filled; BLK_ANSWER: *status is the answer, everything else is done; BLK_MALFORMED: there is
 * no room for an answer, the driver is broken.
 */
enum blk_verdict blk_request_parse(const struct blk_disk *disk, const struct mt_virtqueue_host *vq,
				   const struct mt_vq_elem *elem, struct mt_block_req *io, uint8_t *status);

#endif
