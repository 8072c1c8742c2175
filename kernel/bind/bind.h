/* SPDX-License-Identifier: MIT */
/*
 * Bindings to eventfds: of writes to a region (here), and the question of who serves them, also for the lines
 * of kernel/machine/irq.c and the messages of kernel/pci/signal.c. The kernel serves each binding until the
 * accelerator takes it over (mortise.cpu.eventfd/1). A region's bindings may be made and ended on any thread; its
 * place changes under the lock of its space, outside of this one's: space, then bindings, then the accelerator's own.
 */
#ifndef KERNEL_BIND_BIND_H
#define KERNEL_BIND_BIND_H

#include <mortise/draft/cpu-eventfd.h>
#include <mortise/draft/mmio.h>
#include <pthread.h>
#include <stdbool.h>

struct machine;
struct mt_inst;

struct binding {
	uint64_t offset, value;
	uint32_t width, match_value;
	int fd;
	bool taken;                    /* by the accelerator */
};

/* Of a region. */
struct bindings {
	uint32_t count;                /* atomic: 0 spares every write the lock */
	pthread_mutex_t lock;
	struct binding *list;
	uint64_t gpa;                  /* of the region, while `placed` */
	bool placed;
};

void bindings_init(struct bindings *b);
void bindings_free(struct bindings *b);

/* [any] True: the write is served by a signal. */
bool bindings_serve(struct bindings *b, const struct mt_access *access, uint64_t value);

/* [main] or [vcpu] The region has got a place; it loses it. */
void bindings_placed(struct mt_region *region, uint64_t gpa);
void bindings_unplaced(struct mt_region *region);

/* [any] as mt_mmio_host.bind_eventfd */
int bindings_bind(struct mt_region *region, uint64_t offset, uint32_t width, uint32_t match_value, uint64_t value,
		  int fd, struct mt_error *err);

/* [main] A line's binding to an input of `sink`. True: the sink is the accelerator, and serves it. */
bool bind_line_take(struct mt_inst *sink, uint32_t input, int fd, int resample_fd);
void bind_line_give(struct mt_inst *sink, uint32_t input, int fd, int resample_fd);

/* [any] Messages by signals, as one change. True: the accelerator sends them all. */
bool bind_messages_take(const struct machine *m, const struct mt_message *messages, uint32_t count);
void bind_messages_give(const struct machine *m, const struct mt_message *messages, uint32_t count);

#endif
