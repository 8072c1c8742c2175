/* SPDX-License-Identifier: MIT */
/* Inside of `check`: what its files share. Everyone else includes check.h. */
#ifndef KERNEL_LOAD_CHECK_PARTS_H
#define KERNEL_LOAD_CHECK_PARTS_H

#include "kernel/load/check.h"

#define CHECK_ROLE_IRQ "mortise.irq-sink/1"

struct check {
	const struct config *cfg;
	struct registry *reg;
	struct diag *d;                /* NULL: look, say nothing */
	GHashTable *classes;           /* struct config_section * -> struct note_class * (absent: unknown) */
};

/* A key that sets a property. */
struct check_use {
	const struct config_section *sec;
	const struct config_key *key;
	const struct note_prop *prop;
};

void check_init(struct check *c, const struct config *cfg, struct registry *reg, struct diag *d);
void check_fini(struct check *c);

const struct note_class *check_class_of(const struct check *c, const struct config_section *sec);
/* All keys of the machine that set a known property of a type: struct check_use, in file order. */
GArray *check_uses_of(const struct check *c, uint32_t type);
/* " (line 12)" or " (other.ini:12)", seen from `from`. */
void check_place(char buf[256], const struct diag_pos *from, const struct diag_pos *to);

/* check-refs.c: references and interrupts. check-map.c: addresses. check-paths.c: files. */
void check_refs(struct check *c);
void check_paths(struct check *c);
void check_map(struct check *c);

#endif
