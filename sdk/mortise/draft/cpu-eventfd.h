/* SPDX-License-Identifier: MIT */
/*
 * What an accelerator takes over of the bindings to eventfds (mt_mmio_host.bind_eventfd,
 * mt_irq_host.line_bind_eventfd, mt_pci_host.bind_eventfd), so that a write signals a descriptor, or a descriptor
 * raises an interrupt or sends a message,
 * without a way through the kernel of the emulator (KVM: ioeventfd, irqfd). A role of the accelerator, wholly
 * optional: the kernel serves whatever is not taken, and what is given back, and nobody who binds can tell
 * the difference.
 *
 * The kernel offers a binding when it is made and when the region that it is in gets a place, and takes it
 * back before it goes or the region moves. Calls come one at a time for a binding, under locks of the kernel:
 * they call nothing back, and wait for no vCPU to leave `run`.
 */
#ifndef MORTISE_CPU_EVENTFD_H
#define MORTISE_CPU_EVENTFD_H

#include "../plugin.h"

#define MT_IFACE_CPU_EVENTFD "mortise.cpu.eventfd/1"

/* A write that signals: of `width` bytes at `gpa`. */
struct mt_write_match {
	uint32_t size;
	uint32_t flags;            /* MT_WRITE_* */
	uint64_t gpa;              /* or the port */
	uint64_t value;            /* with MT_WRITE_VALUE */
	uint32_t width;            /* bytes: 1, 2, 4, 8 */
	uint32_t reserved;         /* 0 */
};
#define MT_WRITE_VALUE 1u          /* only this value; of others the write is an access as any */
#define MT_WRITE_PORT  2u          /* in the space "io" */

/* A message that a signal of `fd` sends: `data` to `addr`, as mt_irq_host.message_send. Of arrays: no size. */
struct mt_message {
	uint64_t addr;
	uint32_t data;
	int32_t fd;                /* stays the caller's */
};

struct mt_cpu_eventfd {
	/*
	 * [any] From now on such a write adds 1 to `fd`, which stays the caller's. 0, or a negative code: the
	 * kernel serves it. Flags that are not known: MT_ENOTSUP.
	 */
	int (*write_take)(void *self, const struct mt_write_match *match, int fd);
	/* [any] After it returns nothing is added by it any more. Only what was taken. */
	void (*write_give)(void *self, const struct mt_write_match *match, int fd);
	/*
	 * [main] Of a sink ("mortise.irq-sink/1") of the accelerator's file, which has the role with these two
	 * alone, and whose `self` it is (the accelerator's own class may be one): a signal of `fd` pulses `input`;
	 * with `resample_fd` >= 0 it raises it until the end of the interrupt, which lowers it and signals
	 * resample_fd. An input that pulses has no other source meanwhile. 0, or a negative code.
	 */
	int (*line_take)(void *self, uint32_t input, int fd, int resample_fd);
	/* [main] The input is low, as far as it was raised by this. Only what was taken. */
	void (*line_give)(void *self, uint32_t input, int fd, int resample_fd);
	/*
	 * [any] Of the accelerator's class. From now on signals send these messages, what was signalled before and not
	 * read included; `count` of them are one change. 0, or a negative code: none of them is taken.
	 */
	int (*messages_take)(void *self, const struct mt_message *messages, uint32_t count);
	/* [any] After it returns no signal sends any of them; later ones stay in the descriptors. Only what was taken. */
	void (*messages_give)(void *self, const struct mt_message *messages, uint32_t count);
};

#endif
