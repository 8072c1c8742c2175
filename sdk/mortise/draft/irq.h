/* SPDX-License-Identifier: MIT */
/*
 * Interrupts: a line carries a level, a message is a write of data to an address. The kernel keeps the
 * levels; several sources of one input are or-ed. A sink (interrupt controller) gets changes of its inputs
 * on whatever thread raised them, without an instance lock, and calls only irq, pin and timer services.
 */
#ifndef MORTISE_IRQ_H
#define MORTISE_IRQ_H

#include "../plugin.h"

#define MT_IFACE_IRQ      "mortise.irq/1"
#define MT_IFACE_IRQ_SINK "mortise.irq-sink/1"

/* One source of one input. Goes with the instance that asked for it. */
struct mt_line;

struct mt_irq_host {
	/* [main] in realize: element `index` of the IRQ property `prop`; NULL when the property is absent. */
	struct mt_line *(*line_get)(struct mt_inst *inst, const char *prop, uint32_t index);
	/* [main] in realize: an interrupt pin of a vCPU by the accelerator's name for it ("mtip"); NULL: no such. */
	struct mt_line *(*vcpu_pin)(struct mt_inst *inst, uint32_t vcpu, const char *pin);
	/* [main] number of vCPUs of the machine */
	uint32_t (*vcpu_count)(struct mt_inst *inst);
	/* [any] Level 0 or 1. NULL line: nothing. */
	void (*line_set)(struct mt_line *line, uint32_t level);
	/*
	 * [main] A signal of `fd` sets the line (edge: raise and lower; with `resample_fd` >= 0: raise, and at end
	 * of interrupt lower and signal resample_fd). fd < 0: unbind. When a saved machine goes on, whoever binds it
	 * signals again what still waits.
	 */
	int (*line_bind_eventfd)(struct mt_line *line, int fd, int resample_fd, struct mt_error *err);
	/*
	 * [any] A message: `data`, 4 bytes little-endian, written to `addr` of the system space. MT_BUS_* result.
	 * Reaches RAM and instances of MT_CLASS_PARALLEL classes with the role "mortise.msi-target/1", nothing
	 * else: the sender may hold its own lock, which another device's registers might want.
	 */
	uint32_t (*message_send)(struct mt_inst *inst, uint64_t addr, uint32_t data);
	/*
	 * [any] called by a sink when the guest ends the interrupt of `input`: serves resampling. It may call the
	 * sink's input_set before it returns: hold no lock that input_set takes.
	 */
	void (*end_of_interrupt)(struct mt_inst *sink, uint32_t input);
};

/* Role of an interrupt controller. */
struct mt_irq_sink {
	/* [main] number of inputs; legal inputs are 0 .. count-1 */
	uint32_t (*input_count)(void *self);
	/* [any] the or-ed level of an input changed */
	void (*input_set)(void *self, uint32_t input, uint32_t level);
	/* [main] device-tree interrupt specifier of an input; returns the number of cells written, at most 4;
	 * 0: this input cannot be used */
	uint32_t (*fdt_cells)(void *self, uint32_t input, uint32_t cells[4]);
};

#endif
