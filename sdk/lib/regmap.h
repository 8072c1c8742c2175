/* SPDX-License-Identifier: MIT */
/*
 * Register maps: a table of registers, sorted by offset, and the one place that dispatches and checks an
 * access to it. A register without functions is a variable of `self` (`field`); `mask` says which of its bits
 * the guest can change, `reset` what mt_regmap_reset puts there.
 * Accesses: the kernel has already split what the region does not declare; here an access must lie inside one
 * register. A narrower one than the register reads the part, and writes the part over the value that stands
 * there. An access beside all registers reads 0 and writes nothing, with MT_BUS_OK: say otherwise with `strict`.
 * Called under the device's lock; holds no state of its own.
 */
#ifndef MTSDK_REGMAP_H
#define MTSDK_REGMAP_H

#include <stddef.h>
#include <stdint.h>

#include <mortise/draft/mmio.h>

/* Access. */
#define MT_REGMAP_RO  1u   /* writes are dropped */
#define MT_REGMAP_WO  2u   /* reads 0 */
#define MT_REGMAP_W1C 4u   /* a bit written as 1 is cleared (within mask) */

struct mt_regmap_reg {
	uint32_t offset;       /* bytes; a multiple of width */
	uint32_t width;        /* bytes: 1, 2, 4, 8 */
	uint32_t access;       /* MT_REGMAP_*; 0: read and write */
	uint32_t field;        /* offsetof the variable in `self`, as wide as the register; or MT_REGMAP_NO_FIELD */
	uint64_t reset, mask;
	/* NULL: the variable. Called with the instance's `self`. */
	uint64_t (*read)(void *self, const struct mt_regmap_reg *reg);
	/* The whole new value, masked; after the variable was written, when there is one. */
	void (*write)(void *self, const struct mt_regmap_reg *reg, uint64_t value);
	const char *name;      /* for people */
};
#define MT_REGMAP_NO_FIELD UINT32_MAX

struct mt_regmap {
	const struct mt_regmap_reg *regs;
	uint32_t count;
	uint32_t strict;       /* an access beside all registers is MT_BUS_DEVICE */
};

/* 1 when the table is sorted, aligned and free of overlaps: assert it in a test. */
int mt_regmap_valid(const struct mt_regmap *map);
/* The register that holds all of the access, or NULL. */
const struct mt_regmap_reg *mt_regmap_find(const struct mt_regmap *map, uint64_t offset, uint32_t width);
/* MT_BUS_*. */
uint32_t mt_regmap_read(const struct mt_regmap *map, void *self, const struct mt_access *access, uint64_t *value);
uint32_t mt_regmap_write(const struct mt_regmap *map, void *self, const struct mt_access *access, uint64_t value);
/* Puts the reset value into every variable. Calls no function of the table. */
void mt_regmap_reset(const struct mt_regmap *map, void *self);

#endif
