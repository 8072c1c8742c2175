/* SPDX-License-Identifier: MIT */
/*
 * Inside the debugger's side of the monitor. While a debugger is connected the machine is either held
 * (paused, the debugger asks) or let go (an answer to its last resume is owed). Commands are answered by
 * putting text into `reply`.
 */
#ifndef KERNEL_MONITOR_GDB_PARTS_H
#define KERNEL_MONITOR_GDB_PARTS_H

#include <mortise/draft/cpu-debug.h>

#include "kernel/machine/vcpu.h"
#include "kernel/monitor/gdb.h"
#include "kernel/monitor/packet.h"

#define GDB_SIGINT  2
#define GDB_SIGTRAP 5

struct gdb_source {
	struct source source;
	struct gdb *gdb;
};

struct gdb_point {
	uint8_t type;              /* of the Z packet */
	uint32_t kind;             /* MT_DEBUG_* */
	uint64_t vaddr, len_bytes;
};

/* What one vCPU shall do, or has done. */
struct gdb_cpu {
	char action;               /* 'c', 's', or 0: stays where it is */
	bool waiting;              /* `stop` was not told yet */
	struct mt_debug_stop stop;
};

struct gdb {
	struct monitor *mon;
	struct machine *m;
	struct vcpus *vcpus;
	const struct mt_cpu_debug *debug;
	const struct mt_cpu_regs *regs;
	struct gdb_source listener, peer;
	char *path;                /* of a unix socket, removed at the end */
	struct packet_reader reader;
	GString *out, *last;       /* to be sent; the packet that has not been acknowledged */
	GString *reply;
	bool silent;               /* no acknowledgements any more */
	bool answer;               /* the packet that is being served has a reply */
	bool holds;
	bool detached;             /* it has said so: packets that come after are refused */
	bool paused_before;        /* it was paused when the debugger came */
	bool free_irqs;            /* interrupts are taken while stepping */
	bool told_swbreak, told_hwbreak;
	int signal;                /* why it is held */
	struct mt_debug_stop stop; /* with SIGTRAP */
	uint32_t cpu;              /* that registers and memory are asked of (Hg) */
	struct gdb_cpu *cpus;
	GArray *points;            /* struct gdb_point */
	char *xml;
};

/* gdb.c: a packet of its own, beside a reply */
void gdb_send(struct gdb *g, const char *data, size_t len);
void gdb_error(struct gdb *g, unsigned number);
void gdb_ok(struct gdb *g);

/* gdb-run.c */
void gdb_hold(struct gdb *g, uint32_t cpu, int signal);
void gdb_reply_stop(struct gdb *g);
void gdb_vcont(struct gdb *g, const char *p);
/* c and s of old */
void gdb_resume_one(struct gdb *g, char action, const char *p);
void gdb_interrupt(struct gdb *g);
/* Forgets what the debugger wanted, and lets the machine run as it did before. */
void gdb_let_go(struct gdb *g);

/* gdb-command.c: registers, memory, points */
void gdb_command(struct gdb *g, const char *p);
/* Virtual memory of the chosen vCPU, RAM and ROM; false: something of it is not there. */
bool gdb_memory(struct gdb *g, uint64_t vaddr, void *buf, size_t len, bool write);

/* gdb-query.c: q and Q */
void gdb_query(struct gdb *g, const char *p);
/* gdb-monitor.c: the text behind `monitor` */
void gdb_monitor(struct gdb *g, const char *text);
/* "1" -> 0; all (-1) and any (0) are `deflt` */
bool gdb_take_thread(const struct gdb *g, const char **p, uint32_t *cpu, uint32_t deflt);

#endif
