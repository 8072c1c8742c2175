/* SPDX-License-Identifier: MIT */
/*
 * A space of guest-physical addresses: RAM blocks and regions of registers, flattened into immutable views.
 * ram.c makes RAM objects, space.c places things and publishes views, bus.c makes and serves regions.
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
/* [main] frees its RAM too; nobody may hold a view any more */
void space_destroy(struct space *space);

/*
 * [main] RAM, not reserved: a memfd mapped shared, or anonymous memory. NULL with `err`. Belongs to the
 * space. The caller may
 * set MT_RAM_READONLY before it adds the RAM: then the guest and DMA cannot write it.
 */
struct mt_ram *ram_create(struct space *space, const char *name, uint64_t len_bytes, bool share,
			  struct mt_error *err);
/*
 * The same, with what a file of `len_bytes` holds to start with: mapped copy on write, so that it is quick and the file
 * is never written; copied where the RAM is shared. The file must not change while the RAM lives. fd -1: zeros.
 */
struct mt_ram *ram_create_from(struct space *space, const char *name, uint64_t len_bytes, bool share, int fd,
			       struct mt_error *err);
void ram_destroy(struct mt_ram *ram);
/* [main] From now on who writes sets bits in dirty[client], all of which are clear. */
int ram_track(struct mt_ram *ram, uint32_t client, struct mt_error *err);
/* [any] Whether no file is behind it, neither its own nor a snapshot's: pages that are not there are zero. */
bool ram_is_anonymous(const struct mt_ram *ram);
const char *ram_name(const struct mt_ram *ram);
int space_add_ram(struct space *space, struct mt_ram *ram, uint64_t gpa, struct mt_error *err);
/* RAM block `index` in order of adding; false: no such */
bool space_ram_block(const struct space *space, uint32_t index, uint64_t *gpa, uint64_t *len_bytes);
/* ram.c to the space: the next id; takes the RAM over */
uint32_t space_own_ram(struct space *space, struct mt_ram *ram);

/*
 * Map transactions: changes between begin and commit become one new view. [main], or [vcpu] for a bus. They
 * nest; another thread's transaction waits for this one, so keep them short.
 */
void space_begin(struct space *space);
void space_commit(struct space *space);
/*
 * [any] Calls `fn(arg)` once, when every view older than the newest is gone; inside a transaction: older than
 * the view that this transaction will publish. Runs on the thread that dropped the last one (perhaps this
 * one, at once), holding nothing, in the order of asking; it must not wait.
 */
void space_on_retired(struct space *space, void (*fn)(void *arg), void *arg);

/* [any] The newest view, held until put. Never waits. */
const struct mt_flat_view *space_view_get(struct space *space);
void space_view_put(struct space *space, const struct mt_flat_view *view);
/* [any] Range that holds gpa, or NULL. Binary search. */
const struct mt_flat_range *view_find(const struct mt_flat_view *view, uint64_t gpa);

/* Called after a new view was published, on the thread that did: vcpu.c kicks all vCPUs. */
void space_set_listener(struct space *space, void (*published)(void *arg), void *arg);
/* [any] Counts the views that the calling thread has published, in whatever space. */
unsigned space_changes_by_thread(void);

/* [any] Region access as mt_vcpu_host.read and .write declare it; splits, takes the instance lock. */
uint32_t bus_read(const struct mt_flat_range *range, uint64_t addr, uint32_t width,
		  const struct mt_access *from, uint64_t *value);
uint32_t bus_write(const struct mt_flat_range *range, uint64_t addr, uint32_t width,
		   const struct mt_access *from, uint64_t value);
/* [any] A message of `inst` (see irq.h). Reaches RAM and parallel instances, never `inst` itself. */
uint32_t bus_message(struct mt_inst *inst, uint64_t addr, uint32_t data);
/* [any] From an operation of a parallel instance: until it is in again, what it calls may send it messages. */
const void *bus_step_out(const struct mt_inst *inst);
void bus_step_in(const void *was);
/* [main] The requester id of an instance, not 0. */
uint32_t bus_requester(const struct mt_inst *inst);

/* [main] or [vcpu] for a bus: places a region that has no address of its own, moves it, takes it away. */
int bus_region_place(struct mt_region *region, uint64_t gpa, struct mt_error *err);
void bus_region_unplace(struct mt_region *region);

/* Service tables. */
extern const struct mt_mmio_host bus_mmio_host;

#endif
