// SPDX-License-Identifier: MIT
/*
 * Packets about registers, memory and points, and the table of all. Numbers of registers are those of the
 * accelerator's description. Memory is what the chosen vCPU would find there, RAM and ROM only: to read a
 * device's register is to change the device.
 */
#include <string.h>

#include "kernel/machine/dma.h"
#include "kernel/machine/space.h"
#include "kernel/monitor/gdb-parts.h"

#define E_ARGUMENT 22u
#define E_FAULT    14u
#define E_NONE     2u

/* Registers */

static void *accel(const struct gdb *g)
{
	return vcpus_accel(g->vcpus, g->cpu);
}

static bool reg_desc(const struct gdb *g, uint32_t index, struct mt_reg_desc *d)
{
	*d = (struct mt_reg_desc){ .size = sizeof(*d) };
	return g->regs->describe(g->m->cpu->self, index, d) == 0 && d->width_bytes <= sizeof(uint64_t);
}

static bool reg_find(const struct gdb *g, uint64_t number, struct mt_reg_desc *d)
{
	uint32_t count = g->regs->count(g->m->cpu->self);

	for (uint32_t i = 0; i < count; i++)
		if (reg_desc(g, i, d) && d->number == number)
			return true;
	return false;
}

/* The registers of `g`: the general ones, which have the first numbers. */
static bool reg_general(const struct gdb *g, uint32_t number, struct mt_reg_desc *d)
{
	return reg_desc(g, number, d) && d->number == number && !strcmp(d->group, "general");
}

static void read_general(struct gdb *g, const char *p)
{
	struct mt_reg_desc d;

	(void)p;
	for (uint32_t i = 0; reg_general(g, i, &d); i++) {
		uint64_t value = 0;

		g->regs->read(accel(g), d.number, &value);
		packet_put_hex(g->reply, &value, d.width_bytes);
	}
}

static void write_general(struct gdb *g, const char *p)
{
	struct mt_reg_desc d;

	for (uint32_t i = 0; reg_general(g, i, &d); i++) {
		uint64_t value = 0;

		if (!packet_take_hex(&p, &value, d.width_bytes)) {
			gdb_error(g, E_ARGUMENT);
			return;
		}
		/* a register that cannot be changed (zero) is among them: GDB writes back what it has read */
		g->regs->write(accel(g), d.number, value);
	}
	gdb_ok(g);
}

static void read_register(struct gdb *g, const char *p)
{
	struct mt_reg_desc d;
	uint64_t number, value;

	if (!packet_take_number(&p, &number) || !reg_find(g, number, &d))
		gdb_error(g, E_ARGUMENT);
	else if (g->regs->read(accel(g), d.number, &value) < 0)
		/* in the description, but not there now: GDB shows it as unavailable */
		for (uint32_t i = 0; i < d.width_bytes; i++)
			g_string_append(g->reply, "xx");
	else
		packet_put_hex(g->reply, &value, d.width_bytes);
}

static void write_register(struct gdb *g, const char *p)
{
	struct mt_reg_desc d;
	uint64_t number, value = 0;

	if (!packet_take_number(&p, &number) || !packet_take(&p, '=') || !reg_find(g, number, &d) ||
	    !packet_take_hex(&p, &value, d.width_bytes))
		gdb_error(g, E_ARGUMENT);
	else if (g->regs->write(accel(g), d.number, value) < 0)
		gdb_error(g, 1);
	else
		gdb_ok(g);
}

/* Memory */

/* Up to the end of the page and of the range; 0: nothing there. */
static size_t memory_part(const struct gdb *g, uint64_t vaddr, void *buf, size_t len, bool write)
{
	const struct mt_flat_view *view = vcpu_host.view(vcpus_handle(g->vcpus, g->cpu));
	const struct mt_flat_range *r;
	uint64_t gpa, part, offset;

	if (g->debug->translate(accel(g), vaddr, &gpa, &part) < 0)
		return 0;
	r = view_find(view, gpa);
	if (!r || r->kind == MT_FLAT_IO)
		return 0;
	offset = gpa - r->gpa;
	part = MIN(MIN(part, len), r->len_bytes - offset);
	if (!write) {
		ram_load(r->hva + offset, buf, part);
	} else {
		ram_store(r->hva + offset, buf, part);
		ram_mark_dirty(r->ram, r->ram_offset + offset, part);
	}
	return part;
}

bool gdb_memory(struct gdb *g, uint64_t vaddr, void *buf, size_t len, bool write)
{
	while (len) {
		size_t done = memory_part(g, vaddr, buf, len, write);

		if (!done)
			return false;
		vaddr += done;
		buf = (uint8_t *)buf + done;
		len -= done;
	}
	return true;
}

static bool take_range(const char **p, uint64_t *vaddr, uint64_t *len)
{
	return packet_take_number(p, vaddr) && packet_take(p, ',') && packet_take_number(p, len);
}

static void read_memory(struct gdb *g, const char *p)
{
	uint8_t buf[PACKET_BYTES / 2];
	uint64_t vaddr, len;

	if (!take_range(&p, &vaddr, &len))
		gdb_error(g, E_ARGUMENT);
	else if (!gdb_memory(g, vaddr, buf, MIN(len, sizeof(buf)), false))
		gdb_error(g, E_FAULT);
	else
		packet_put_hex(g->reply, buf, MIN(len, sizeof(buf)));
}

static void store(struct gdb *g, uint64_t vaddr, void *bytes, size_t len)
{
	if (gdb_memory(g, vaddr, bytes, len, true))
		gdb_ok(g);
	else
		gdb_error(g, E_FAULT);
}

static void write_memory(struct gdb *g, const char *p)
{
	uint8_t buf[PACKET_BYTES / 2];
	uint64_t vaddr, len;

	if (!take_range(&p, &vaddr, &len) || !packet_take(&p, ':') || len > sizeof(buf) ||
	    !packet_take_hex(&p, buf, len))
		gdb_error(g, E_ARGUMENT);
	else
		store(g, vaddr, buf, len);
}

static void write_binary(struct gdb *g, const char *p)
{
	uint64_t vaddr, len;

	if (!take_range(&p, &vaddr, &len) || !packet_take(&p, ':') ||
	    len != g->reader.len - (size_t)(p - g->reader.data))
		gdb_error(g, E_ARGUMENT);
	else
		store(g, vaddr, (char *)p, len);
}

/* Points: Z and z type,address,length */

static bool take_point(const char *p, struct gdb_point *point)
{
	static const uint32_t kinds[] = {
		MT_DEBUG_EXECUTE, MT_DEBUG_EXECUTE, MT_DEBUG_WRITE, MT_DEBUG_READ,
		MT_DEBUG_READ | MT_DEBUG_WRITE,
	};
	uint64_t type;

	if (!packet_take_number(&p, &type) || type >= G_N_ELEMENTS(kinds) || !packet_take(&p, ',') ||
	    !take_range(&p, &point->vaddr, &point->len_bytes))
		return false;
	point->type = (uint8_t)type;
	point->kind = kinds[type];
	return true;
}

static void insert_point(struct gdb *g, const char *p)
{
	struct gdb_point point;
	int code;

	if (!take_point(p, &point)) {
		gdb_error(g, E_ARGUMENT);
		return;
	}
	code = g->debug->point_add(g->m->cpu->self, point.kind, point.vaddr, point.len_bytes);
	if (code == MT_ENOTSUP)
		return;   /* the empty reply: not known here */
	if (code < 0) {
		gdb_error(g, (unsigned)-code & 0xff);
		return;
	}
	g_array_append_val(g->points, point);
	gdb_ok(g);
}

static void remove_point(struct gdb *g, const char *p)
{
	struct gdb_point point;

	if (!take_point(p, &point)) {
		gdb_error(g, E_ARGUMENT);
		return;
	}
	for (unsigned i = 0; i < g->points->len; i++) {
		const struct gdb_point *have = &g_array_index(g->points, struct gdb_point, i);

		if (have->type != point.type || have->vaddr != point.vaddr ||
		    have->len_bytes != point.len_bytes)
			continue;
		g->debug->point_remove(g->m->cpu->self, point.kind, point.vaddr, point.len_bytes);
		g_array_remove_index_fast(g->points, i);
		gdb_ok(g);
		return;
	}
	gdb_error(g, E_NONE);
}

/* The rest */

static void set_thread(struct gdb *g, const char *p)
{
	bool registers = *p == 'g';
	uint32_t cpu;

	if (!*p++ || !gdb_take_thread(g, &p, &cpu, g->cpu)) {
		gdb_error(g, E_ARGUMENT);
		return;
	}
	if (registers)
		g->cpu = cpu;
	gdb_ok(g);
}

static void thread_alive(struct gdb *g, const char *p)
{
	uint32_t cpu;

	if (gdb_take_thread(g, &p, &cpu, UINT32_MAX) && cpu != UINT32_MAX)
		gdb_ok(g);
	else
		gdb_error(g, E_NONE);
}

static void why_stopped(struct gdb *g, const char *p)
{
	(void)p;
	gdb_reply_stop(g);
}

static void go_on(struct gdb *g, const char *p)
{
	gdb_resume_one(g, 'c', p);
}

static void step(struct gdb *g, const char *p)
{
	gdb_resume_one(g, 's', p);
}

static void detach(struct gdb *g, const char *p)
{
	(void)p;
	gdb_let_go(g);
	g->detached = true;
	gdb_ok(g);
}

static void kill_machine(struct gdb *g, const char *p)
{
	(void)p;
	g->answer = false;
	machine_request(g->m, MT_REQUEST_QUIT, 0);
}

static void verbose(struct gdb *g, const char *p)
{
	if (!strcmp(p, "Cont?"))
		g_string_append(g->reply, "vCont;c;C;s;S");
	else if (g_str_has_prefix(p, "Cont;"))
		gdb_vcont(g, p + strlen("Cont"));
	else if (g_str_has_prefix(p, "Kill")) {
		machine_request(g->m, MT_REQUEST_QUIT, 0);
		gdb_ok(g);
	}
}

static const struct { char letter; void (*serve)(struct gdb *g, const char *p); } commands[] = {
	{ '?', why_stopped }, { 'c', go_on }, { 'D', detach }, { 'g', read_general }, { 'G', write_general },
	{ 'H', set_thread }, { 'k', kill_machine }, { 'm', read_memory }, { 'M', write_memory },
	{ 'p', read_register }, { 'P', write_register }, { 'q', gdb_query }, { 'Q', gdb_query },
	{ 's', step }, { 'T', thread_alive }, { 'v', verbose }, { 'X', write_binary }, { 'z', remove_point },
	{ 'Z', insert_point },
};

void gdb_command(struct gdb *g, const char *p)
{
	/* what cannot be asked of vCPUs that run: a debugger in all-stop mode only interrupts them */
	if (!g->holds && *p != 'k' && *p != 'D') {
		gdb_error(g, 1);
		return;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
		if (commands[i].letter == *p) {
			commands[i].serve(g, *p == 'q' || *p == 'Q' ? p : p + 1);
			return;
		}
}
