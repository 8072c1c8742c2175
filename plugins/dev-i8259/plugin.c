/* SPDX-License-Identifier: MIT */
/*
 * dev-i8259: attaches the pair of interrupt controllers to their ports, to lines, and to a vCPU or to a controller in
 * front of it. A parallel class: lines change on any thread, the vCPU fetches vectors on its own.
 *
 * `lock` is around the chips; `order` around telling the output, so that the last level told is the chips' last. Easy
 * to break: telling may end in another controller, and acknowledging ends in telling: `order` is taken first, and
 * nothing is called with `lock` held.
 */
#define MT_NOTE_NAME     "dev-i8259"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "The PC's pair of Intel 8259A interrupt controllers"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1 mortise.vector-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define PIC_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x20", "0x2", "io", 0, "I/O port of the first controller") \
	P(c, second, "second-port", MT_PROP_ADDR, "0xa0", "0x2", "io", 0, "I/O port of the second controller") \
	P(c, elcr, "elcr", MT_PROP_ADDR, "0x4d0", "0x2", "io", 0, "I/O port of the edge and level registers") \
	P(c, vcpu, "vcpu", MT_PROP_INT, "", "0..1023", "", 0, \
	  "vCPU that is interrupted; without it another controller names this one")
#define MT_NOTE_CLASSES(C) \
	C(pic, "dev-i8259", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.irq-sink/1 mortise.vector-source/1 mortise.acpi-node/1", PIC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <pthread.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "i8259.h"

#define TOLD_NOTHING 2u

struct pic {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_props_host *props;
	const struct mt_vector_host *vectors;
	uint32_t vcpu;             /* that is interrupted, or 0 behind another controller */
	pthread_mutex_t lock, order;
	uint32_t told;             /* under `order` */
	struct i8259 chips;        /* under `lock` */
};

static void output_tell(struct pic *d)
{
	uint32_t level;

	pthread_mutex_lock(&d->order);
	pthread_mutex_lock(&d->lock);
	level = i8259_output(&d->chips);
	pthread_mutex_unlock(&d->lock);
	if (level != d->told)
		d->vectors->request(d->inst, d->vcpu, level);
	d->told = level;
	pthread_mutex_unlock(&d->order);
}

/* With `lock`, which it drops: what the chips have become, for the rest of the machine. */
static void leave(struct pic *d)
{
	uint32_t ended = d->chips.ended;

	d->chips.ended = 0;
	pthread_mutex_unlock(&d->lock);
	/* first: it may lower the line, which would interrupt once more */
	for (uint32_t n = 0; ended >> n; n++)
		if (ended >> n & 1)
			d->irq->end_of_interrupt(d->inst, n);
	output_tell(d);
}

/* --- vectors --- */

static int32_t acknowledge(void *self)
{
	struct pic *d = self;
	int32_t vector = MT_VECTOR_NONE;

	pthread_mutex_lock(&d->lock);
	if (i8259_output(&d->chips))
		vector = i8259_acknowledge(&d->chips);
	leave(d);
	return vector;
}

static const struct mt_vector_ops vector_ops = { .size = sizeof(vector_ops), .acknowledge = acknowledge };
static const struct mt_vector_source vector_source = { .acknowledge = acknowledge };

/* --- lines --- */

static uint32_t input_count(void *self)
{
	(void)self;
	return I8259_INPUTS;
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	struct pic *d = self;

	pthread_mutex_lock(&d->lock);
	i8259_input(&d->chips, input, level);
	leave(d);
}

/* "intel,i8259": the input, and 3 for an edge that rises. */
static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = 3;
	return input == I8259_CASCADE ? 0 : 2;
}

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count,
	.input_set = input_set,
	.fdt_cells = fdt_cells,
};

/* --- ports --- */

static uint32_t chip_read(struct pic *d, uint32_t chip, const struct mt_access *a, uint64_t *value)
{
	pthread_mutex_lock(&d->lock);
	*value = i8259_read(&d->chips, chip, (uint32_t)a->offset);
	leave(d);
	return MT_BUS_OK;
}

static uint32_t chip_write(struct pic *d, uint32_t chip, const struct mt_access *a, uint64_t value)
{
	pthread_mutex_lock(&d->lock);
	i8259_write(&d->chips, chip, (uint32_t)a->offset, (uint8_t)value);
	leave(d);
	return MT_BUS_OK;
}

static uint32_t first_read(void *self, const struct mt_access *a, uint64_t *value)
{
	return chip_read(self, 0, a, value);
}

static uint32_t first_write(void *self, const struct mt_access *a, uint64_t value)
{
	return chip_write(self, 0, a, value);
}

static uint32_t second_read(void *self, const struct mt_access *a, uint64_t *value)
{
	return chip_read(self, 1, a, value);
}

static uint32_t second_write(void *self, const struct mt_access *a, uint64_t value)
{
	return chip_write(self, 1, a, value);
}

static uint32_t elcr_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct pic *d = self;

	pthread_mutex_lock(&d->lock);
	*value = i8259_elcr_read(&d->chips, (uint32_t)a->offset);
	pthread_mutex_unlock(&d->lock);
	return MT_BUS_OK;
}

static uint32_t elcr_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct pic *d = self;

	pthread_mutex_lock(&d->lock);
	i8259_elcr_write(&d->chips, (uint32_t)a->offset, (uint8_t)value);
	leave(d);
	return MT_BUS_OK;
}

static const struct mt_region_ops first_ops = { .read = first_read, .write = first_write };
static const struct mt_region_ops second_ops = { .read = second_read, .write = second_write };
static const struct mt_region_ops elcr_ops = { .read = elcr_read, .write = elcr_write };

#define PORTS(name_, prop, ops_) \
	{ .size = sizeof(struct mt_region_desc), .name = name_, .at_prop = prop, .len_bytes = 2, .width_min = 1, \
	  .width_max = 1, .ops = ops_ }
static const struct mt_region_desc regions[] = {
	PORTS("first", "port", &first_ops), PORTS("second", "second-port", &second_ops), PORTS("elcr", "elcr", &elcr_ops),
};

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct pic *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->vectors = host->get_interface(host, MT_IFACE_VECTOR_HOST);
	d->told = TOLD_NOTHING;
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->order, NULL);
	i8259_reset(&d->chips);
	*self = d;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	struct pic *d = self;
	int code = 0;

	d->vcpu = (uint32_t)d->props->get_u64(d->inst, "vcpu");
	if (d->props->present(d->inst, "vcpu"))
		code = d->vectors->bind(d->inst, d->vcpu, &vector_ops, d, err);
	for (size_t i = 0; code == 0 && i < sizeof(regions) / sizeof(regions[0]); i++)
		code = d->mmio->region_add(d->inst, &regions[i], err) ? 0 : MT_EINVAL;
	return code;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct pic *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	pthread_mutex_lock(&d->lock);
	i8259_reset(&d->chips);
	leave(d);
	return 0;
}

static void resume(void *self)
{
	struct pic *d = self;

	pthread_mutex_lock(&d->order);
	d->told = TOLD_NOTHING;
	pthread_mutex_unlock(&d->order);
	output_tell(d);
}

static void destroy(void *self)
{
	struct pic *d = self;

	pthread_mutex_destroy(&d->order);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* --- state --- */

#define BYTE(member, max) MT_STATE_VAR(struct i8259_chip, member, max)

static const struct mt_state_field chip_fields[] = {
	BYTE(line, 0xff), BYTE(irr, 0xff), BYTE(isr, 0xff), BYTE(imr, 0xff), BYTE(elcr, 0xff), BYTE(icw1, 0xff),
	BYTE(icw2, 0xff), BYTE(icw3, 0xff), BYTE(icw4, 0x1f), BYTE(step, 4), BYTE(ready, 1), BYTE(lowest, 7),
	BYTE(special_mask, 1), BYTE(rotate_auto, 1), BYTE(poll, 1), BYTE(read_isr, 1),
};
static const struct mt_state_table chip_table = MT_STATE_TABLE(struct i8259_chip, chip_fields);
static const struct mt_state_field fields[] = { MT_STATE_STRUCTS(struct i8259, chips, &chip_table) };
static const struct mt_state_table table = MT_STATE_TABLE(struct i8259, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct pic *d = self;
	struct i8259 chips;

	(void)err;
	pthread_mutex_lock(&d->lock);
	chips = d->chips;
	pthread_mutex_unlock(&d->lock);
	mt_state_save(out, w, &table, &chips);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct pic *d = self;
	struct i8259 chips = { 0 };
	const char *why;
	int code = mt_state_load(in, r, &table, version, &chips);

	(void)err;
	if (code)
		return code;
	why = i8259_cannot_be(&chips);
	if (why)
		return r->refuse(in, "chips", why);
	pthread_mutex_lock(&d->lock);
	d->chips = chips;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

/* Its inputs have the numbers of the interrupts, so that no `gsi` is needed. */
static int acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	(void)self, (void)err;
	w->pic(acpi);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe };

static const struct mt_state_class state_class = {
	.schema = "i8259", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_IRQ_SINK, &irq_sink },
		       { MT_IFACE_ACPI_NODE, &acpi_node },
		       { MT_IFACE_VECTOR_SOURCE, &vector_source },
		       { MT_IFACE_STATE, &state_class })
