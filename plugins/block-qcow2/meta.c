/* SPDX-License-Identifier: MIT */
/* A set of clusters that have metadata, by kind: an open hash table. It grows by doubling and has no order. */
#include "qcow2.h"

#include <stdlib.h>

static uint64_t slot_of(const struct meta *m, uint64_t cluster)
{
	uint64_t at = (cluster * 0x9e3779b97f4a7c15ull >> 20) & (m->room - 1);

	while (m->slots[at] && m->slots[at] >> 3 != cluster)
		at = (at + 1) & (m->room - 1);
	return at;
}

static int grow(struct meta *m)
{
	struct meta next = { .room = m->room ? m->room * 2 : 64 };

	next.slots = calloc(next.room, sizeof(*next.slots));
	if (!next.slots)
		return MT_ENOMEM;
	for (uint64_t i = 0; i < m->room; i++) {
		if (m->slots[i])
			next.slots[slot_of(&next, m->slots[i] >> 3)] = m->slots[i];
	}
	next.used = m->used;
	free(m->slots);
	*m = next;
	return 0;
}

int meta_add(struct meta *m, uint64_t cluster, uint64_t count, enum meta_kind kind)
{
	for (; count; count--, cluster++) {
		uint64_t at;

		if (m->used * 2 >= m->room && grow(m) < 0)
			return MT_ENOMEM;
		at = slot_of(m, cluster);
		m->used += !m->slots[at];
		m->slots[at] = cluster << 3 | (uint64_t)(m->slots[at] ? META_MIXED : kind);
	}
	return 0;
}

/* What follows in the same chain moves up, so that no search ends at the gap. */
void meta_remove(struct meta *m, uint64_t cluster)
{
	uint64_t at = m->room ? slot_of(m, cluster) : 0;

	if (!m->room || !m->slots[at])
		return;
	m->slots[at] = 0;
	m->used--;
	for (uint64_t next = (at + 1) & (m->room - 1); m->slots[next]; next = (next + 1) & (m->room - 1)) {
		uint64_t entry = m->slots[next];

		m->slots[next] = 0;
		m->slots[slot_of(m, entry >> 3)] = entry;
	}
}

enum meta_kind meta_at(const struct meta *m, uint64_t cluster)
{
	return m->room ? (enum meta_kind)(m->slots[slot_of(m, cluster)] & 7) : META_NONE;
}

void meta_fini(struct meta *m)
{
	free(m->slots);
	*m = (struct meta){ 0 };
}
