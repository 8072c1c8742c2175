// SPDX-License-Identifier: MIT
/*
 * Stopping and resuming for a debugger, all vCPUs together ("all-stop mode"). Several vCPUs may have
 * stopped at once: one is told, the watchpoints of the others wait until the debugger lets them go on;
 * their breakpoints need not wait, for they are met again.
 */
#include <string.h>

#include "kernel/monitor/gdb-parts.h"

static uint32_t cpu_count(const struct gdb *g)
{
	return vcpus_count(g->vcpus);
}

bool gdb_take_thread(const struct gdb *g, const char **p, uint32_t *cpu, uint32_t deflt)
{
	uint64_t id;

	*cpu = deflt;
	if (packet_take(p, '-'))
		return packet_take(p, '1');
	if (!packet_take_number(p, &id) || id > cpu_count(g))
		return false;
	if (id)
		*cpu = (uint32_t)id - 1;
	return true;
}

/* Stops */

static const struct gdb_point *break_at(const struct gdb *g, uint64_t pc)
{
	for (unsigned i = 0; i < g->points->len; i++) {
		const struct gdb_point *p = &g_array_index(g->points, struct gdb_point, i);

		if (p->kind == MT_DEBUG_EXECUTE && p->vaddr == pc)
			return p;
	}
	return NULL;
}

static void put_reason(struct gdb *g, const struct mt_debug_stop *stop)
{
	const struct gdb_point *point = stop->cause == MT_DEBUG_STOP_BREAK ? break_at(g, stop->pc) : NULL;

	if (stop->cause == MT_DEBUG_STOP_WATCH)
		g_string_append_printf(g->reply, "%s:%" G_GINT64_MODIFIER "x;",
				       stop->access == MT_DEBUG_WRITE ? "watch" :
				       stop->access == MT_DEBUG_READ ? "rwatch" : "awatch", stop->vaddr);
	else if (point && point->type == 0 && g->told_swbreak)
		g_string_append(g->reply, "swbreak:;");
	else if (point && point->type == 1 && g->told_hwbreak)
		g_string_append(g->reply, "hwbreak:;");
}

void gdb_reply_stop(struct gdb *g)
{
	g_string_append_printf(g->reply, "T%02xthread:%x;", g->signal, g->cpu + 1);
	if (g->signal == GDB_SIGTRAP)
		put_reason(g, &g->stop);
}

static void send_stop(struct gdb *g)
{
	g_string_truncate(g->reply, 0);
	gdb_reply_stop(g);
	gdb_send(g, g->reply->str, g->reply->len);
}

void gdb_hold(struct gdb *g, uint32_t cpu, int signal)
{
	g->holds = true;
	g->cpu = cpu;
	g->signal = signal;
	memset(&g->stop, 0, sizeof(g->stop));
}

/* Takes what the vCPUs have to say. */
static void stops_collect(struct gdb *g)
{
	for (uint32_t i = 0; i < cpu_count(g); i++) {
		struct gdb_cpu *cpu = &g->cpus[i];

		if (!vcpus_debugged(g->vcpus, i))
			continue;
		cpu->stop = (struct mt_debug_stop){ .size = sizeof(cpu->stop) };
		cpu->waiting = g->debug->stop(vcpus_accel(g->vcpus, i), &cpu->stop) == 0;
	}
}

static bool still_there(const struct gdb *g, const struct mt_debug_stop *stop)
{
	for (unsigned i = 0; i < g->points->len; i++) {
		const struct gdb_point *p = &g_array_index(g->points, struct gdb_point, i);

		if (p->kind == stop->access && stop->vaddr - p->vaddr < p->len_bytes)
			return true;
	}
	return false;
}

/* Tells the first stop that waits. False: there is none. */
static bool stop_tell(struct gdb *g)
{
	for (uint32_t i = 0; i < cpu_count(g); i++) {
		struct gdb_cpu *cpu = &g->cpus[i];

		if (!cpu->waiting)
			continue;
		cpu->waiting = false;
		if (cpu->stop.cause == MT_DEBUG_STOP_WATCH && !still_there(g, &cpu->stop))
			continue;
		gdb_hold(g, i, GDB_SIGTRAP);
		g->stop = cpu->stop;
		send_stop(g);
		return true;
	}
	return false;
}

/* Only a watchpoint's stop is worth keeping: a breakpoint comes again, a step that others overtook is void. */
static void stops_forget(struct gdb *g)
{
	for (uint32_t i = 0; i < cpu_count(g); i++)
		if (g->cpus[i].stop.cause != MT_DEBUG_STOP_WATCH)
			g->cpus[i].waiting = false;
}

void gdb_debugged(struct gdb *g)
{
	stops_collect(g);
	if (!g->holds && g->peer.source.fd >= 0 && stop_tell(g))
		server_event(g->mon, "STOP", NULL);
	else if (!g->holds)
		machine_start(g->m);   /* of a debugger that has gone, or of a point that has */
	stops_forget(g);
}

void gdb_paused(struct gdb *g)
{
	if (g->peer.source.fd < 0 || g->holds)
		return;
	stops_collect(g);
	if (!stop_tell(g)) {
		gdb_hold(g, g->cpu, GDB_SIGINT);
		send_stop(g);
	}
	stops_forget(g);
}

void gdb_interrupt(struct gdb *g)
{
	if (g->holds)
		return;
	monitor_stop(g->mon);   /* tells gdb_paused */
}

/* Going on */

static void cpus_prepare(struct gdb *g)
{
	uint32_t step = MT_DEBUG_STEP | (g->free_irqs ? 0 : MT_DEBUG_MASK_IRQS);

	for (uint32_t i = 0; i < cpu_count(g); i++) {
		char action = g->cpus[i].action;

		vcpus_keep(g->vcpus, i, !action);
		g->debug->set_mode(vcpus_accel(g->vcpus, i), action == 's' ? step : 0);
	}
}

static void resume(struct gdb *g)
{
	bool some = false;

	for (uint32_t i = 0; i < cpu_count(g); i++)
		some = some || g->cpus[i].action;
	if (!some) {
		gdb_error(g, 1);
		return;
	}
	g->answer = false;
	g->holds = false;
	/* a stop that was not told yet is told in place of running */
	if (stop_tell(g))
		return;
	cpus_prepare(g);
	monitor_go(g->mon);
}

static bool take_action(const char **p, char *action)
{
	uint64_t signal;
	char c = **p;

	if (c != 'c' && c != 'C' && c != 's' && c != 'S')
		return false;
	(*p)++;
	/* a guest has no signals: they are dropped */
	if ((c == 'C' || c == 'S') && !packet_take_number(p, &signal))
		return false;
	*action = (char)g_ascii_tolower(c);
	return true;
}

/* The leftmost action that names a vCPU, or none in particular, is its own. */
static void give_action(struct gdb *g, uint32_t cpu, char action)
{
	for (uint32_t i = 0; i < cpu_count(g); i++)
		if ((cpu == UINT32_MAX || cpu == i) && !g->cpus[i].action)
			g->cpus[i].action = action;
}

void gdb_vcont(struct gdb *g, const char *p)
{
	for (uint32_t i = 0; i < cpu_count(g); i++)
		g->cpus[i].action = 0;
	while (*p) {
		uint32_t cpu = UINT32_MAX;
		char action;

		if (!packet_take(&p, ';') || !take_action(&p, &action) ||
		    (packet_take(&p, ':') && !gdb_take_thread(g, &p, &cpu, UINT32_MAX))) {
			gdb_error(g, 22);
			return;
		}
		give_action(g, cpu, action);
	}
	resume(g);
}

void gdb_resume_one(struct gdb *g, char action, const char *p)
{
	uint64_t pc;

	if (packet_take_number(&p, &pc) && vcpus_reg_set(g->vcpus, g->cpu, "pc", pc) < 0) {
		gdb_error(g, 1);
		return;
	}
	for (uint32_t i = 0; i < cpu_count(g); i++)
		g->cpus[i].action = action == 'c' || i == g->cpu ? action : 0;
	resume(g);
}

void gdb_let_go(struct gdb *g)
{
	bool was_held = g->holds;

	monitor_stop(g->mon);
	for (unsigned i = 0; i < g->points->len; i++) {
		const struct gdb_point *p = &g_array_index(g->points, struct gdb_point, i);

		g->debug->point_remove(g->m->cpu->self, p->kind, p->vaddr, p->len_bytes);
	}
	g_array_set_size(g->points, 0);
	for (uint32_t i = 0; i < cpu_count(g); i++) {
		vcpus_debugged(g->vcpus, i);
		g->cpus[i] = (struct gdb_cpu){ .action = 'c' };
	}
	cpus_prepare(g);
	g->holds = false;
	if (!was_held || !g->paused_before)
		monitor_go(g->mon);
}
