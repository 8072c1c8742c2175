/* SPDX-License-Identifier: MIT */
/*
 * What the guest's card left to do on a frame: checksums. A segment of up to 64 KiB, which a card would cut, needs no
 * cutting here: libslirp takes it as it is. The header's numbers come from the guest. Under the instance lock.
 */
#include <string.h>

#include "user.h"

/* The sum of 16-bit words in the order of memory, four bytes at a time; RFC 1071 has why that does. */
static uint16_t sum16(const uint8_t *at, uint32_t len)
{
	uint64_t sum = 0, word;
	uint32_t low;

	for (; len >= 4; at += 4, len -= 4) {
		memcpy(&low, at, 4);
		sum += low;
	}
	word = 0;
	memcpy(&word, at, len);
	sum += word;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Section 5.1.6.2: the field holds the sum of the pseudo header. A UDP checksum of 0 would mean that there is none. */
static int checksum_finish(uint8_t *frame, uint32_t len, const struct mt_net_header *h)
{
	uint32_t field = (uint32_t)h->csum_start + h->csum_offset;
	uint16_t sum;

	if (h->csum_start >= len || field + 2 > len)
		return 0;
	sum = (uint16_t)~sum16(frame + h->csum_start, len - h->csum_start);
	sum = sum ? sum : 0xffff;
	memcpy(frame + field, &sum, 2);
	return 1;
}

int user_frame_finish(uint8_t *frame, uint32_t len)
{
	struct mt_net_header h;

	if (len < sizeof(h))
		return 0;
	memcpy(&h, frame, sizeof(h));
	if (h.gso_type != MT_NET_GSO_NONE && h.gso_type != MT_NET_GSO_TCPV4 && h.gso_type != MT_NET_GSO_TCPV6)
		return 0;
	return !(h.flags & MT_NET_HDR_NEEDS_CSUM) || checksum_finish(frame + sizeof(h), len - (uint32_t)sizeof(h), &h);
}
