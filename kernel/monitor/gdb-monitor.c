// SPDX-License-Identifier: MIT
/* The words behind GDB's `monitor`: a table at the end. What they print goes to GDB's console. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/space.h"
#include "kernel/monitor/gdb-parts.h"

static void print(struct gdb *g, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void print(struct gdb *g, const char *format, ...)
{
	GString *packet = g_string_new("O");
	va_list args;
	char *text;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	packet_put_hex(packet, text, strlen(text));
	gdb_send(g, packet->str, packet->len);
	g_string_free(packet, TRUE);
	g_free(text);
}

static void info_devices(struct gdb *g, const char *rest)
{
	(void)rest;
	for (unsigned i = 0; i < g->m->insts->len; i++) {
		const struct mt_inst *inst = g_ptr_array_index(g->m->insts, i);

		print(g, "%-16s %-20s %s\n", inst->id, inst->cls->name, inst->cls->summary);
	}
}

static void info_registers(struct gdb *g, const char *rest)
{
	uint32_t count = g->regs->count(g->m->cpu->self);

	print(g, "vcpu%u\n", g->cpu);
	for (uint32_t i = 0; i < count; i++) {
		struct mt_reg_desc d = { .size = sizeof(d) };
		uint64_t value;

		if (g->regs->describe(g->m->cpu->self, i, &d) == 0 && (!*rest || !strcmp(rest, d.group)) &&
		    g->regs->read(vcpus_accel(g->vcpus, g->cpu), d.number, &value) == 0)
			print(g, "%-16s 0x%016" G_GINT64_MODIFIER "x\n", d.name, value);
	}
}

static void info_memory(struct gdb *g, const char *rest)
{
	const struct mt_flat_view *view = space_view_get(g->m->system);

	(void)rest;
	for (uint32_t i = 0; i < view->count; i++) {
		const uint8_t *at = (const uint8_t *)view->ranges + (size_t)i * view->stride;
		const struct mt_flat_range *r = (const void *)at;

		print(g, "0x%016" G_GINT64_MODIFIER "x..0x%016" G_GINT64_MODIFIER "x %s\n", r->gpa,
		      r->gpa + (r->len_bytes - 1),
		      r->kind == MT_FLAT_IO ? "io" : r->kind == MT_FLAT_RAM ? "ram" : "rom");
	}
	space_view_put(g->m->system, view);
}

static void translate(struct gdb *g, const char *rest)
{
	uint64_t vaddr, gpa, len;
	const char *p = rest;

	if (g_str_has_prefix(p, "0x"))
		p += 2;
	if (!packet_take_number(&p, &vaddr) || *p)
		print(g, "wanted: monitor translate ADDRESS, in hexadecimal\n");
	else if (g->debug->translate(vcpus_accel(g->vcpus, g->cpu), vaddr, &gpa, &len) < 0)
		print(g, "vcpu%u has nothing at 0x%" G_GINT64_MODIFIER "x\n", g->cpu, vaddr);
	else
		print(g, "0x%" G_GINT64_MODIFIER "x\n", gpa);
}

static void step_interrupts(struct gdb *g, const char *rest)
{
	if (!strcmp(rest, "on") || !strcmp(rest, "off"))
		g->free_irqs = !strcmp(rest, "on");
	print(g, "interrupts are %s while stepping\n", g->free_irqs ? "taken" : "not taken");
}

static void reset(struct gdb *g, const char *rest)
{
	(void)rest;
	machine_request(g->m, MT_REQUEST_RESET, 0);
	print(g, "the machine is being reset; what GDB knows of its registers is old: "
		 "maint flush register-cache\n");
}

static void quit(struct gdb *g, const char *rest)
{
	(void)rest;
	machine_request(g->m, MT_REQUEST_QUIT, 0);
}

static void help(struct gdb *g, const char *rest);

static const struct {
	const char *name, *help;
	void (*run)(struct gdb *g, const char *rest);
} words[] = {
	{ "help", "this list", help },
	{ "info devices", "the machine's sections", info_devices },
	{ "info memory", "what lies where in guest-physical memory", info_memory },
	{ "info registers", "[GROUP] all registers of the vCPU (general, float, csr)", info_registers },
	{ "translate", "ADDRESS guest-physical address of a virtual one", translate },
	{ "step-interrupts", "on|off whether interrupts are taken while stepping", step_interrupts },
	{ "reset", "reset the machine", reset },
	{ "quit", "end the machine", quit },
};

static void help(struct gdb *g, const char *rest)
{
	(void)rest;
	for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
		print(g, "%-16s %s\n", words[i].name, words[i].help);
}

void gdb_monitor(struct gdb *g, const char *text)
{
	char *line = g_strstrip(g_strdup(text));
	bool known = false;

	for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
		size_t len = strlen(words[i].name);

		if (strncmp(line, words[i].name, len) || (line[len] && line[len] != ' '))
			continue;
		words[i].run(g, g_strchug(line + len));
		known = true;
		break;
	}
	if (!known) {
		print(g, "'%s' is none of these:\n", line);
		help(g, "");
	}
	g_free(line);
	gdb_ok(g);
}
