/* SPDX-License-Identifier: MIT */
/* Numbers for tests: the same state gives the same sequence on every host. */
#include "fake.h"

/* splitmix64 */
uint64_t fake_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}
