/* SPDX-License-Identifier: MIT */
/*
 * A space of guest-physical addresses: RAM blocks and regions of registers, flattened into immutable views.
 * ram.c makes RAM objects, bus.c regions, views and accesses.
 * A change publishes a new view at once; the old one is retired when no vCPU, DMA or loop thread can still
 * be in it (readers hold a view between space_view_get and space_view_put; vCPUs by their `run`).
 */
#ifndef MORTISE_KERNEL_SPACE_H
#define MORTISE_KERNEL_SPACE_H

#include <mortise/draft/mmio.h>
#include <mortise/draft/ram.h>

#include "kernel/machine/inst.h"

struct space;

struct space *space_create(struct machine *m, const char *name);
void space_destroy(struct space *space);

/* [main] RAM from a memfd, mapped shared, not reserved. NULL with `err`. */
struct mt_ram *ram_create(struct space *space, const char *name, uint64_t len_bytes, struct mt_error *err);
int space_add_ram(struct space *space, struct mt_ram *ram, uint64_t gpa, struct mt_error *err);
/* RAM block `index` in order of adding; false: no such */
bool space_ram_block(const struct space *space, uint32_t index, uint64_t *gpa, uint64_t *len_bytes);

/* Map transactions: changes between begin and commit become one new view. [main], or [vcpu] for a bus. */
void space_begin(struct space *space);
void space_commit(struct space *space);

/* [any] The newest view, held until put. Never waits. */
const struct mt_flat_view *space_view_get(struct space *space);
void space_view_put(struct space *space, const struct mt_flat_view *view);
/* [any] Range that holds gpa, or NULL. Binary search. */
const struct mt_flat_range *view_find(const struct mt_flat_view *view, uint64_t gpa);

/* Called after a new view was published: vcpu.c kicks all vCPUs. */
void space_set_listener(struct space *space, void (*published)(void *arg), void *arg);

/* [any] Region access as mt_vcpu_host.read and .write declare it; splits, takes the instance lock. */
uint32_t bus_read(const struct mt_flat_range *range, uint64_t addr, uint32_t width, const struct mt_access *from,
		  uint64_t *value);
uint32_t bus_write(const struct mt_flat_range *range, uint64_t addr, uint32_t width, const struct mt_access *from,
		   uint64_t value);

/* Service tables. */
extern const struct mt_mmio_host bus_mmio_host;

#endif
