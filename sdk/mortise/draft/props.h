/* SPDX-License-Identifier: MIT */
/*
 * Reading one's own configuration. Values have been checked against the note's property table before
 * `create`; a property without value and without default reads as absent. Strings live as long as the instance.
 */
#ifndef MORTISE_PROPS_H
#define MORTISE_PROPS_H

#include "../plugin.h"

#define MT_IFACE_PROPS "mortise.props/1"

#define MT_OPEN_READ   0u
#define MT_OPEN_WRITE  1u   /* read and write */
#define MT_OPEN_CREATE 2u   /* create or truncate, write */

struct mt_props_host {
	/* [main] 1 when the property has a value (or a default). */
	uint32_t (*present)(struct mt_inst *inst, const char *name);
	/* [main] BOOL as 0 or 1, INT, SIZE in bytes, DURATION in ns, ADDR. 0 when absent. */
	uint64_t (*get_u64)(struct mt_inst *inst, const char *name);
	/* [main] Any property as text; NULL when absent. PATH: made absolute. */
	const char *(*get_str)(struct mt_inst *inst, const char *name);
	/* [main] LIST and IRQ: number of elements, and one of them. */
	uint32_t (*count)(struct mt_inst *inst, const char *name);
	const char *(*get_element)(struct mt_inst *inst, const char *name, uint32_t index);
	/*
	 * [main] Opens the file that a PATH property names, MT_OPEN_*; the plugin owns the descriptor and closes
	 * it. Returns it, or a negative code with `err` (file, reason, line of the machine file) filled.
	 */
	int (*open_path)(struct mt_inst *inst, const char *name, uint32_t mode, struct mt_error *err);
	/* [any] The instance's id in the machine file ("uart0"). */
	const char *(*id)(struct mt_inst *inst);
};

#endif
