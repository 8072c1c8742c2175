/* SPDX-License-Identifier: MIT */
/*
 * mortise.acpi-host/1: brings what the classes say of themselves to the plugin that writes ACPI tables, and its tables
 * to the boot loader. [main], inside a reset, so the machine stands still. Easy to break: the writer's instance is not
 * entered, because each described one is.
 */
#include "kernel/acpi/acpi.h"

#include "kernel/machine/fault.h"
#include "kernel/machine/irq.h"
#include "kernel/machine/services.h"

static int describe(struct mt_inst *described, struct mt_acpi *acpi, const struct mt_acpi_writer *w,
		    struct mt_error *err)
{
	const struct mt_acpi_node *node = inst_role(described, MT_IFACE_ACPI_NODE);
	int code;

	if (!node || !node->describe)
		return 0;
	w->begin(acpi, described);
	inst_enter(described);
	code = node->describe(described->self, acpi, w, err);
	inst_leave(described);
	if (code < 0)
		fault_locate(err, code, described);
	return code;
}

static struct mt_inst *section_inst(struct machine *m, size_t i)
{
	return machine_find(m, config_section_at(m->config, i)->id);
}

static int collect(struct mt_inst *inst, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	struct machine *m = inst->machine;
	int code = m->cpu ? describe(m->cpu, acpi, w, err) : 0;

	for (size_t i = 0; code >= 0 && i < config_section_count(m->config); i++) {
		struct mt_inst *next = section_inst(m, i);

		if (next && next != m->cpu)
			code = describe(next, acpi, w, err);
	}
	return code;
}

static int gsi(struct mt_inst *described, const char *irq_prop, uint32_t index, uint32_t *number, struct mt_error *err)
{
	const char *element = props_host.get_element(described, irq_prop, index);
	const struct mt_acpi_node *node;
	struct mt_inst *sink;
	uint64_t input;
	char id[64];

	if (!element || !value_parse_irq(element, id, &input, NULL) || !(sink = machine_find(described->machine, id)))
		return fault_set(err, MT_ENOENT, irq_prop, NULL, "'%s' has no interrupt number %u", irq_prop, index);
	node = inst_role(sink, MT_IFACE_ACPI_NODE);
	*number = node && node->gsi ? node->gsi(sink->self, (uint32_t)input) : (uint32_t)input;
	return 0;
}

static int tables(struct mt_inst *inst, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *err)
{
	struct machine *m = inst->machine;

	for (size_t i = 0; i < config_section_count(m->config); i++) {
		struct mt_inst *next = section_inst(m, i);
		const struct mt_acpi_tables *role = next ? inst_role(next, MT_IFACE_ACPI_TABLES) : NULL;

		if (role)
			return role->build(next->self, gpa, blob, len_bytes, err);
	}
	return MT_ENOENT;
}

const struct mt_acpi_host acpi_host = { .collect = collect, .gsi = gsi, .tables = tables };
