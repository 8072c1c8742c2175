/* SPDX-License-Identifier: MIT */
/*
 * The target description that GDB gets: the registers of regs.c, sorted into the features that GDB knows of
 * RISC-V (GDB manual, "RISC-V Features"). [main].
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "state.h"

/* Text as snprintf fills it: `at` goes on beyond the end. */
struct text {
	char *text;
	uint64_t bytes, at;
};

static void put(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *format, ...)
{
	uint64_t left = t->at < t->bytes ? t->bytes - t->at : 0;
	va_list args;

	va_start(args, format);
	int n = vsnprintf(left ? t->text + t->at : NULL, left, format, args);
	va_end(args);
	t->at += n > 0 ? (uint64_t)n : 0;
}

static const char *feature_of(const struct mt_reg_desc *d)
{
	if (!strcmp(d->group, "general"))
		return "cpu";
	if (!strcmp(d->group, "float"))
		return "fpu";
	return strcmp(d->name, "priv") ? "csr" : "virtual";
}

static const char *type_of(const struct mt_reg_desc *d)
{
	if (!strcmp(d->name, "pc") || !strcmp(d->name, "ra"))
		return "code_ptr";
	if (!strcmp(d->name, "sp") || !strcmp(d->name, "gp") || !strcmp(d->name, "tp") ||
	    !strcmp(d->name, "s0"))
		return "data_ptr";
	return strcmp(d->group, "float") ? "int" : "riscv_double";
}

static void put_types(struct text *t)
{
	put(t, "<union id=\"riscv_double\"><field name=\"float\" type=\"ieee_single\"/>"
	       "<field name=\"double\" type=\"ieee_double\"/></union>\n");
}

static void put_reg(struct text *t, const struct mt_reg_desc *d)
{
	/* GDB calls x8 fp */
	const char *name = strcmp(d->name, "s0") ? d->name : "fp";

	put(t, "<reg name=\"%s\" bitsize=\"%u\" regnum=\"%u\" type=\"%s\"/>\n", name, d->width_bytes * 8,
	    d->number, type_of(d));
}

uint64_t rv_gdb_xml(struct tcg_front_config *config, char *text, uint64_t text_bytes)
{
	struct text t = { text, text_bytes, 0 };
	const char *open = NULL;
	uint32_t count = rv_reg_count(config);

	put(&t, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
		"<target version=\"1.0\">\n<architecture>riscv:rv64</architecture>\n");
	for (uint32_t i = 0; i < count; i++) {
		struct mt_reg_desc d = { .size = sizeof(d) };

		if (rv_reg_describe(config, i, &d) < 0)
			continue;
		if (!open || strcmp(open, feature_of(&d))) {
			put(&t, "%s<feature name=\"org.gnu.gdb.riscv.%s\">\n", open ? "</feature>\n" : "",
			    feature_of(&d));
			open = feature_of(&d);
			if (!strcmp(open, "fpu"))
				put_types(&t);
		}
		put_reg(&t, &d);
	}
	put(&t, "</feature>\n</target>\n");
	return t.at;
}
