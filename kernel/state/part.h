/* SPDX-License-Identifier: MIT */
/*
 * What the kernel itself saves: a part a service. A new part is a struct and a line of the table in part.c. [main],
 * the machine paused, no instance lock held.
 */
#ifndef KERNEL_STATE_PART_H
#define KERNEL_STATE_PART_H

#include <mortise/draft/state.h>

#include "kernel/machine/machine.h"

struct state_part {
	const char *name;              /* also of the file and the schema: "kernel-NAME.state", "mortise.NAME" */
	uint32_t version;
	int (*save)(struct machine *m, struct mt_state_out *out, const struct mt_state_writer *w,
		    struct mt_error *err);
	int (*load)(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r,
		    struct mt_error *err);
};

/* NULL-terminated, in the order of loading. */
extern const struct state_part *const state_parts[];

#endif
