/* SPDX-License-Identifier: MIT */
/* Which pieces of a disk were written since somebody looked: bits, set by the fronts' threads, cleared by a job. */
#include "kernel/block/request.h"

#define BITS_MAX (1ull << 25)

bool track_init(struct btrack *track, uint64_t disk_bytes, uint64_t unit_bytes)
{
	*track = (struct btrack){ .shift = 16 };
	while (1ull << track->shift < unit_bytes || disk_bytes >> track->shift >= BITS_MAX)
		track->shift++;
	track->bits = (disk_bytes >> track->shift) + 1;
	track->words = g_try_new0(uint64_t, track->bits / 64 + 1);
	return track->words != NULL;
}

void track_fini(struct btrack *track)
{
	g_free(track->words);
	track->words = NULL;
}

void track_mark(struct btrack *track, uint64_t offset, uint64_t len_bytes)
{
	uint64_t last = len_bytes ? (offset + len_bytes - 1) >> track->shift : 0;

	for (uint64_t i = offset >> track->shift; len_bytes && i <= last && i < track->bits; i++)
		__atomic_fetch_or(&track->words[i / 64], 1ull << i % 64, __ATOMIC_SEQ_CST);
}

void track_clear(struct btrack *track, uint64_t offset, uint64_t len_bytes)
{
	uint64_t first = (offset + (1ull << track->shift) - 1) >> track->shift, end = (offset + len_bytes) >> track->shift;

	for (uint64_t i = first; i < end && i < track->bits; i++)
		__atomic_fetch_and(&track->words[i / 64], ~(1ull << i % 64), __ATOMIC_SEQ_CST);
}

bool track_next(const struct btrack *track, uint64_t offset, uint64_t *start)
{
	for (uint64_t i = offset >> track->shift; i < track->bits; i++) {
		uint64_t word = __atomic_load_n(&track->words[i / 64], __ATOMIC_SEQ_CST) >> i % 64;

		if (word & 1) {
			*start = i << track->shift;
			return true;
		}
		i += word ? (uint64_t)__builtin_ctzll(word) - 1 : 63 - i % 64;
	}
	return false;
}

uint64_t track_bytes(const struct btrack *track)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < track->bits / 64 + 1; i++)
		count += (uint64_t)__builtin_popcountll(__atomic_load_n(&track->words[i], __ATOMIC_SEQ_CST));
	return count << track->shift;
}
