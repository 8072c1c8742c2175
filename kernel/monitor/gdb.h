/* SPDX-License-Identifier: MIT */
/* The debugger's connection; [main]. See gdb.c for how it holds the machine. */
#ifndef KERNEL_MONITOR_GDB_H
#define KERNEL_MONITOR_GDB_H

#include "kernel/monitor/monitor.h"

/*
 * Listens at `address`, unix:PATH or tcp:HOST:PORT (tcp::PORT is the loopback). A relative PATH starts at
 * `dir` (NULL: the current folder). A negative code with `err` filled.
 */
int gdb_create(struct monitor *mon, const char *address, const char *dir, struct mt_error *err);
void gdb_destroy(struct gdb *g);
/* It has stopped the machine, and will make it go on. */
bool gdb_holds(const struct gdb *g);
/* The machine was paused by another client: a debugger that let it run is told. */
void gdb_paused(struct gdb *g);
/* vCPUs have stopped for it; the machine is paused. */
void gdb_debugged(struct gdb *g);
/* The machine has come to its end. */
void gdb_exited(struct gdb *g, int code);

#endif
