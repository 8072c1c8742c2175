/* SPDX-License-Identifier: MIT */
/* See early.h. DMA and the kernel mark what they write once there is a bitmap; the accelerator knows of vCPUs. */
#include "kernel/state/early.h"

#include <mortise/draft/cpu-dirty.h>

#include "kernel/machine/space.h"

static const struct mt_cpu_dirty *role_of(const struct machine *m)
{
	return m->cpu ? inst_role(m->cpu, MT_IFACE_CPU_DIRTY) : NULL;
}

bool early_begin(struct machine *m)
{
	const struct mt_cpu_dirty *role = role_of(m);
	struct mt_error err = { .size = sizeof(err) };

	if (!role)
		return false;
	for (unsigned i = 0; i < m->memory->len; i++) {
		if (ram_track(g_array_index(m->memory, struct machine_memory, i).ram, MT_DIRTY_MIGRATION, &err) < 0)
			return false;
	}
	return role->log(m->cpu->self, 1) == 0;
}

int early_collect(struct machine *m)
{
	return role_of(m)->collect(m->cpu->self);
}

void early_end(struct machine *m)
{
	role_of(m)->log(m->cpu->self, 0);
}
