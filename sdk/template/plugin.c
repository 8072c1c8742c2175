/* SPDX-License-Identifier: MIT */
/*
 * dev-example: the smallest complete device, to start a new one from. Registers: ID (0, read-only), SCRATCH (4),
 * IRQ (8: bit 0 is the level of the line). All calls come under the instance lock, so there is none here.
 * Using this file as a start makes no derived work.
 */
#define MT_NOTE_NAME     "dev-example"
#define MT_NOTE_VERSION  "1.0"
#define MT_NOTE_VENDOR   "you"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "an example: identity, scratch and interrupt registers"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define EXAMPLE_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x1000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "interrupt output") \
	P(c, ident, "ident", MT_PROP_INT, "0x1234", "0..0xffffffff", "", 0, "what the ID register reads")
#define MT_NOTE_CLASSES(C) \
	C(example, MT_NOTE_NAME, MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "", EXAMPLE_PROPS)
#include <mortise/note-emit.h>

#include <lib/regmap.h>
#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

struct example {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	struct mt_line *line;
	uint32_t ident, scratch, level;
};

static uint64_t id_read(void *self, const struct mt_regmap_reg *reg)
{
	(void)reg;
	return ((struct example *)self)->ident;
}

static void irq_write(void *self, const struct mt_regmap_reg *reg, uint64_t value)
{
	struct example *d = self;

	(void)reg;
	d->irq->line_set(d->line, (uint32_t)value);
}

/* offset, width, access, variable, reset, mask of writable bits, read, write, name */
static const struct mt_regmap_reg regs[] = {
	{ 0, 4, MT_REGMAP_RO, MT_REGMAP_NO_FIELD, 0, 0, id_read, NULL, "ID" },
	{ 4, 4, 0, offsetof(struct example, scratch), 0, UINT32_MAX, NULL, NULL, "SCRATCH" },
	{ 8, 4, 0, offsetof(struct example, level), 0, 1, NULL, irq_write, "IRQ" },
};
static const struct mt_regmap regmap = { regs, sizeof(regs) / sizeof(regs[0]), 0 };

static uint32_t region_read(void *self, const struct mt_access *access, uint64_t *value)
{
	return mt_regmap_read(&regmap, self, access, value);
}

static uint32_t region_write(void *self, const struct mt_access *access, uint64_t value)
{
	return mt_regmap_write(&regmap, self, access, value);
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	const struct mt_props_host *props = host->get_interface(host, MT_IFACE_PROPS);
	struct example *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->ident = (uint32_t)props->get_u64(inst, "ident");
	*self = d;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "registers", .at_prop = "at", .len_bytes = 0x1000,
		.width_min = 1, .width_max = 4, .ops = &region_ops,
	};
	struct example *d = self;

	d->line = d->irq->line_get(d->inst, "irq", 0);     /* NULL without the property: setting it does nothing */
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct example *d = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_ENTER)
		mt_regmap_reset(&regmap, d);
	else if (phase == MT_RESET_HOLD)
		d->irq->line_set(d->line, d->level);
	return 0;
}

static void unrealize(void *self)
{
	(void)self;     /* regions and lines go with the instance */
}

static void destroy(void *self)
{
	free(self);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.unrealize = unrealize,
	.destroy = destroy,
};

/* Saved state: the level of the line is the host's, so that no output has to be made again. */
static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct example, scratch, UINT32_MAX),
	MT_STATE_VAR(struct example, level, 1),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct example, fields);

MT_STATE_CLASS_OF(state_class, "example", 1, 1, table, self)

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
