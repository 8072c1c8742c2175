/* SPDX-License-Identifier: MIT */
/*
 * dev-ioapic: attaches an I/O APIC to memory, to lines, and to the local APICs that take its messages. A parallel
 * class: lines change and interrupts end on any thread.
 *
 * `lock` is around the registers, and messages are sent with it, so that they go in order. Easy to break: the end of an
 * interrupt may change a line before it returns, so that it is told without the lock, and before the level asks again.
 */
#define MT_NOTE_NAME     "dev-ioapic"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "I/O APIC, the PC's interrupt controller for lines"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1 mortise.msi-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define IOAPIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "0xfec00000", "0x1000", "", 0, "address of the registers") \
	P(c, id, "id", MT_PROP_INT, "0", "0..15", "", 0, "its number after a reset, which the guest can change") \
	P(c, gsi_base, "gsi-base", MT_PROP_INT, "0", "0..65535", "", 0, \
	  "number of the interrupt at input 0, as ACPI counts them") \
	P(c, isa, "isa", MT_PROP_IRQ, "", "16", "", 0, \
	  "inputs of the 8259A pair, which has the wires of the ISA bus too: 0 follows input 2, the others their own") \
	P(c, msi, "msi", MT_PROP_REF, "", "mortise.msi-target/1", "", MT_PROPF_REQUIRED, \
	  "the local APICs, which take its messages")
#define MT_NOTE_CLASSES(C) \
	C(ioapic, "dev-ioapic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, "mortise.irq-sink/1 mortise.acpi-node/1", \
	  IOAPIC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/msi.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <pthread.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "ioapic.h"

#define ISA_LINES       16u
#define ISA_TIMER_INPUT 2u

struct chip {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_props_host *props;
	const struct mt_msi_host *msi;
	struct mt_line *isa[IOAPIC_INPUTS];    /* that follow inputs; NULL: none */
	pthread_mutex_t lock;
	struct ioapic regs;        /* under the lock */
};

/* With the lock, which it drops. */
static void leave(struct chip *c)
{
	uint64_t addr;
	uint32_t data;

	while (ioapic_next(&c->regs, &addr, &data))
		c->irq->message_send(c->inst, addr, data);
	pthread_mutex_unlock(&c->lock);
}

static void ended(void *arg, uint32_t vector)
{
	struct chip *c = arg;
	uint32_t inputs;

	pthread_mutex_lock(&c->lock);
	inputs = ioapic_eoi(&c->regs, vector);
	pthread_mutex_unlock(&c->lock);
	for (uint32_t i = 0; inputs >> i; i++)
		if (inputs >> i & 1)
			c->irq->end_of_interrupt(c->inst, i);
	pthread_mutex_lock(&c->lock);
	leave(c);
}

/* --- lines --- */

static uint32_t input_count(void *self)
{
	(void)self;
	return IOAPIC_INPUTS;
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	struct chip *c = self;

	/* first: a message may ask the 8259A for the vector of it (ExtINT) */
	if (input < IOAPIC_INPUTS)
		c->irq->line_set(c->isa[input], level);
	pthread_mutex_lock(&c->lock);
	ioapic_input(&c->regs, input, level);
	leave(c);
}

/* "intel,ce4100-ioapic": the input, and how it is triggered; 4: while it is high. */
static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = 4;
	return 2;
}

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count,
	.input_set = input_set,
	.fdt_cells = fdt_cells,
};

/* --- registers --- */

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct chip *c = self;

	pthread_mutex_lock(&c->lock);
	*value = ioapic_read(&c->regs, (uint32_t)a->offset);
	pthread_mutex_unlock(&c->lock);
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct chip *c = self;

	if (a->offset == IOAPIC_AT_EOI) {
		ended(c, (uint32_t)value & 0xff);
		return MT_BUS_OK;
	}
	pthread_mutex_lock(&c->lock);
	ioapic_write(&c->regs, (uint32_t)a->offset, (uint32_t)value);
	leave(c);
	return MT_BUS_OK;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct chip *c = calloc(1, sizeof(*c));

	if (!c)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	c->inst = inst;
	c->mmio = host->get_interface(host, MT_IFACE_MMIO);
	c->irq = host->get_interface(host, MT_IFACE_IRQ);
	c->props = host->get_interface(host, MT_IFACE_PROPS);
	c->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	pthread_mutex_init(&c->lock, NULL);
	*self = c;
	return 0;
}

static void regs_reset(struct chip *c)
{
	ioapic_reset(&c->regs);
	c->regs.id = (uint32_t)c->props->get_u64(c->inst, "id");
}

/* On a PC the timer's interrupt 0 is at input 2, since the second 8259A takes the wire of that number. */
static void isa_get(struct chip *c)
{
	c->isa[ISA_TIMER_INPUT] = c->irq->line_get(c->inst, "isa", 0);
	for (uint32_t i = 1; i < ISA_LINES; i++)
		if (i != ISA_TIMER_INPUT)
			c->isa[i] = c->irq->line_get(c->inst, "isa", i);
}

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "ioapic", .at_prop = "at", .len_bytes = IOAPIC_REGION_BYTES,
		.width_min = 4, .width_max = 4, .ops = &region_ops,
	};
	struct chip *c = self;
	int code = c->msi->eoi_listen(c->inst, "msi", ended, c, err);

	regs_reset(c);
	if (code < 0)
		return code;
	if (c->props->present(c->inst, "isa"))
		isa_get(c);
	return c->mmio->region_add(c->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct chip *c = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	pthread_mutex_lock(&c->lock);
	regs_reset(c);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

static void destroy(void *self)
{
	struct chip *c = self;

	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* --- state --- */

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct ioapic, id, 15),
	MT_STATE_VAR(struct ioapic, select, 0xff),
	MT_STATE_VAR(struct ioapic, lines, (1u << IOAPIC_INPUTS) - 1),
	MT_STATE_ARRAY(struct ioapic, entry, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct ioapic, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct chip *c = self;

	(void)err;
	mt_state_save(out, w, &table, &c->regs);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct chip *c = self;
	struct ioapic regs = { 0 };
	const char *why;
	int code = mt_state_load(in, r, &table, version, &regs);

	(void)err;
	if (code)
		return code;
	why = ioapic_cannot_be(&regs);
	if (why)
		return r->refuse(in, "entry", why);
	c->regs = regs;
	return 0;
}

/* A state that says otherwise than the lines is put right: what is due goes. */
static void resume(void *self)
{
	struct chip *c = self;

	pthread_mutex_lock(&c->lock);
	leave(c);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

/* --- ACPI --- */

static uint32_t acpi_gsi(void *self, uint32_t input)
{
	struct chip *c = self;

	return (uint32_t)c->props->get_u64(c->inst, "gsi-base") + input;
}

static int acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	struct chip *c = self;

	(void)err;
	w->ioapic(acpi, (uint32_t)c->props->get_u64(c->inst, "id"), c->props->get_u64(c->inst, "at"), acpi_gsi(c, 0));
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe, .gsi = acpi_gsi };

static const struct mt_state_class state_class = {
	.schema = "ioapic", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_IRQ_SINK, &irq_sink },
		       { MT_IFACE_ACPI_NODE, &acpi_node },
		       { MT_IFACE_STATE, &state_class })
