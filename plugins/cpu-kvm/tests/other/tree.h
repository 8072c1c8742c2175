/* SPDX-License-Identifier: MIT */
/* What the tests of other hosts write the device tree with: the words, a line each, in `tree`. */
#ifndef KVM_OTHER_TREE_H
#define KVM_OTHER_TREE_H

#include <mortise/draft/fdt.h>
#include <stdio.h>
#include <string.h>

static char tree[8192];

static inline void tree_str(struct mt_fdt *fdt, const char *name, const char *value)
{
	size_t at = strlen(tree);

	(void)fdt;
	snprintf(tree + at, sizeof(tree) - at, "%s=%s\n", name, value);
}

static inline void tree_strs(struct mt_fdt *fdt, const char *name, const char *const *values, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		tree_str(fdt, name, values[i]);
}

static inline void tree_u32s(struct mt_fdt *fdt, const char *name, const uint32_t *values, uint32_t count)
{
	char text[16];

	for (uint32_t i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "%u", values[i]);
		tree_str(fdt, name, text);
	}
}

static inline void tree_begin(struct mt_fdt *fdt, const char *name, const char *unit_prop)
{
	(void)unit_prop;
	tree_str(fdt, "node", name);
}

static inline void tree_end(struct mt_fdt *fdt)
{
	tree_str(fdt, "node", "");
}

static inline void tree_empty(struct mt_fdt *fdt, const char *name)
{
	tree_str(fdt, name, "");
}

static inline uint32_t tree_phandle(struct mt_fdt *fdt, uint32_t vcpu)
{
	(void)fdt;
	return 100 + vcpu;
}

/* Controllers have 300 for a phandle. */
static inline uint32_t tree_own(struct mt_fdt *fdt)
{
	(void)fdt;
	return 300;
}

static inline void tree_self_phandle(struct mt_fdt *fdt)
{
	tree_str(fdt, "phandle", "300");
}

static const struct mt_fdt_writer tree_writer = {
	.begin = tree_begin, .end = tree_end, .empty = tree_empty, .u32s = tree_u32s, .str = tree_str, .strs = tree_strs,
	.vcpu_phandle = tree_phandle, .vcpu_intc_phandle = tree_phandle,
	.phandle = tree_own, .self_phandle = tree_self_phandle,
};

#endif
