/* SPDX-License-Identifier: MIT */
/*
 * Writes pages all the time, and looks whether each still holds what was written last: what a snapshot of a
 * guest that runs has lost, the guest that goes on from it finds. Every round is one more in each page.
 */
#include "rt.h"

#define PAGES  1024u
#define ROUNDS 100u
#define STEP   512u             /* 64-bit words of a page */

static volatile uint64_t pages[PAGES * STEP] __attribute__((aligned(4096)));

int main(void)
{
	for (uint64_t round = 1; round <= ROUNDS; round++) {
		uint64_t lost = 0;

		for (uint32_t i = 0; i < PAGES; i++) {
			lost += pages[i * STEP] != round - 1;
			pages[i * STEP] = round;
		}
		if (lost)
			put_hex("pages that are older ", lost);
		check("round", !lost);
		for (volatile uint32_t i = 0; i < PAUSE; i++)
			;
	}
	put("done\n");
	return 0;
}
