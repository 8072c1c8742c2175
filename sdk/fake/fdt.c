/* SPDX-License-Identifier: MIT */
/*
 * The device-tree writer of the fake host: records what a class describes as text in the manner of dtc. Phandles:
 * the instance's own is 1, the interrupt controller of vCPU i is 0x100 + i, its cpu node 0x200 + i; an interrupt
 * "plic:10" becomes <&plic 10>.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mt_fdt {
	struct fake *fake;
	char *text;
	size_t len, capacity;
	uint32_t depth;
};

__attribute__((format(printf, 2, 3)))
static void put(struct mt_fdt *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (t->capacity - t->len < 4096) {
		t->capacity += 16384;
		t->text = realloc(t->text, t->capacity);
		if (!t->text)
			fake_die("no memory");
	}
	va_start(ap, fmt);
	n = vsnprintf(t->text + t->len, t->capacity - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->capacity - t->len)
		fake_die("a device-tree text is too long");
	t->len += (size_t)n;
}

static void indent(struct mt_fdt *t)
{
	for (uint32_t i = 0; i < t->depth; i++)
		put(t, "\t");
}

static void begin(struct mt_fdt *t, const char *name, const char *unit_prop)
{
	struct mt_inst *inst = &t->fake->inst;

	indent(t);
	if (!unit_prop) {
		put(t, "%s {\n", name);
		t->depth++;
		return;
	}
	put(t, "%s@%llx {\n", name, (unsigned long long)fake_props_host.get_u64(inst, unit_prop));
	t->depth++;
	indent(t);
	put(t, "reg = <0x%llx %s>;\n", (unsigned long long)fake_props_host.get_u64(inst, unit_prop),
	    fake_prop_range(t->fake, unit_prop));
}

static void end(struct mt_fdt *t)
{
	if (!t->depth)
		fake_die("a device-tree node is closed that was not opened");
	t->depth--;
	indent(t);
	put(t, "};\n");
}

static void check_open(struct mt_fdt *t)
{
	if (!t->depth)
		fake_die("a device-tree property outside a node");
	indent(t);
}

static void empty(struct mt_fdt *t, const char *name)
{
	check_open(t);
	put(t, "%s;\n", name);
}

static void u32s(struct mt_fdt *t, const char *name, const uint32_t *values, uint32_t count)
{
	check_open(t);
	put(t, "%s = <", name);
	for (uint32_t i = 0; i < count; i++)
		put(t, i ? " 0x%x" : "0x%x", values[i]);
	put(t, ">;\n");
}

static void u64(struct mt_fdt *t, const char *name, uint64_t value)
{
	uint32_t halves[] = { (uint32_t)(value >> 32), (uint32_t)value };

	u32s(t, name, halves, 2);
}

static void strs(struct mt_fdt *t, const char *name, const char *const *values, uint32_t count)
{
	check_open(t);
	put(t, "%s = ", name);
	for (uint32_t i = 0; i < count; i++)
		put(t, i ? ", \"%s\"" : "\"%s\"", values[i]);
	put(t, ";\n");
}

static void str(struct mt_fdt *t, const char *name, const char *value)
{
	strs(t, name, &value, 1);
}

static void bytes(struct mt_fdt *t, const char *name, const void *data, uint32_t len)
{
	check_open(t);
	put(t, "%s = [", name);
	for (uint32_t i = 0; i < len; i++)
		put(t, i ? " %02x" : "%02x", ((const uint8_t *)data)[i]);
	put(t, "];\n");
}

static void irqs(struct mt_fdt *t, const char *irq_prop)
{
	struct mt_inst *inst = &t->fake->inst;
	uint32_t count = fake_props_host.count(inst, irq_prop);

	check_open(t);
	put(t, "interrupts-extended = <");
	for (uint32_t i = 0; i < count; i++) {
		const char *element = fake_props_host.get_element(inst, irq_prop, i);
		size_t id = strcspn(element, ":");

		put(t, "%s&%.*s %s", i ? " " : "", (int)id, element, element + id + (element[id] != 0));
	}
	put(t, ">;\n");
}

static void ref(struct mt_fdt *t, const char *name, const char *ref_prop)
{
	check_open(t);
	put(t, "%s = <&%s>;\n", name, fake_prop_text(t->fake, ref_prop));
}

static uint32_t phandle(struct mt_fdt *t)
{
	(void)t;
	return 1;
}

static void self_phandle(struct mt_fdt *t)
{
	uint32_t own = phandle(t);

	u32s(t, "phandle", &own, 1);
}

static void vcpu_irqs(struct mt_fdt *t, const char *name, const uint32_t *causes, uint32_t count)
{
	check_open(t);
	put(t, "%s = <", name);
	for (uint32_t i = 0; i < t->fake->vcpu_count * count; i++)
		put(t, "%s&intc%u 0x%x", i ? " " : "", i / count, causes[i % count]);
	put(t, ">;\n");
}

static uint32_t vcpu_phandle(struct mt_fdt *t, uint32_t vcpu)
{
	(void)t;
	return 0x200 + vcpu;
}

static uint32_t vcpu_intc_phandle(struct mt_fdt *t, uint32_t vcpu)
{
	(void)t;
	return 0x100 + vcpu;
}

/* Interrupt controllers have 0x300 for a phandle. */
static uint32_t irq_cells(struct mt_fdt *t, const char *irq_prop, uint32_t index, uint32_t cells[5])
{
	const char *element = fake_props_host.get_element(&t->fake->inst, irq_prop, index);

	if (!element)
		return 0;
	cells[0] = 0x300;
	cells[1] = (uint32_t)strtoul(strchr(element, ':') ? strchr(element, ':') + 1 : "0", NULL, 0);
	return 2;
}

static const struct mt_fdt_writer writer = {
	.begin = begin,
	.end = end,
	.empty = empty,
	.u32s = u32s,
	.u64 = u64,
	.str = str,
	.strs = strs,
	.bytes = bytes,
	.irqs = irqs,
	.ref = ref,
	.self_phandle = self_phandle,
	.phandle = phandle,
	.vcpu_irqs = vcpu_irqs,
	.vcpu_phandle = vcpu_phandle,
	.vcpu_intc_phandle = vcpu_intc_phandle,
	.irq_cells = irq_cells,
};

const char *fake_fdt(struct fake *f)
{
	const struct mt_fdt_node *node = fake_role(f, MT_IFACE_FDT_NODE);
	struct mt_fdt t = { .fake = f };

	if (!node || f->state == FAKE_NEW)
		fake_die("%s describes no node, or is not created", f->class_name);
	put(&t, "%s", "");
	if (node->describe(f->self, &t, &writer, NULL) || t.depth)
		fake_die("describe failed or left a node open");
	free(f->fdt_text);
	f->fdt_text = t.text;
	return t.text;
}
