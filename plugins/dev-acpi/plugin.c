/* SPDX-License-Identifier: MIT */
/*
 * dev-acpi: the tables (tables.c, layout.c) and the fixed hardware that they tell of: the event and control registers
 * of power management (ACPI 6.3, 4.8.3), by which a guest hears the power button and switches the machine off. The
 * registers are called [vcpu] under the instance lock; tables are made [main] while the machine stands still.
 */
#define MT_NOTE_NAME     "dev-acpi"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "ACPI tables, power button and soft off"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.loop/1 mortise.props/1 mortise.acpi-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define ACPI_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x600", "0x8", "io", 0, "I/O port of the power management registers") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", MT_PROPF_REQUIRED, "the system control interrupt; a PC has it at 9")
#define MT_NOTE_CLASSES(C) \
	C(acpi, "dev-acpi", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "mortise.acpi-tables/1 mortise.power-button/1", ACPI_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/device.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/power.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "tables.h"

#define PM1_BUTTON    0x0100u          /* of status and enable */
#define PM1_ENABLES   0x0521u          /* button, RTC, global lock, timer: kept, though only the first ever happens */
#define CONTROL_SCI   0x0001u          /* always on */
#define CONTROL_KEPT  0x1c02u          /* SLP_TYP, BM_RLD */
#define CONTROL_SLEEP 0x2000u

enum { STATUS, ENABLE, CONTROL, REGISTERS };   /* PM_BYTES of 16 bits, the last one unused */

struct power {
	uint16_t status, enable, control;
};

struct acpi {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_loop_host *loop;
	const struct mt_props_host *props;
	const struct mt_acpi_host *host;
	struct mt_line *sci;
	struct power pm;
	struct mt_acpi tables;
};

static void sci_update(struct acpi *d)
{
	d->irq->line_set(d->sci, (d->pm.status & d->pm.enable & PM1_BUTTON) != 0);
}

static uint16_t register_get(const struct acpi *d, uint32_t index)
{
	const uint16_t values[] = { d->pm.status, d->pm.enable, d->pm.control | CONTROL_SCI };

	return index < REGISTERS ? values[index] : 0;
}

static void control_put(struct acpi *d, uint16_t value)
{
	d->pm.control = value & CONTROL_KEPT;
	if ((value & CONTROL_SLEEP) && (value >> 10 & 7) == PM_S5)
		d->loop->machine_request(d->inst, MT_REQUEST_POWEROFF, 0);
}

static void register_put(struct acpi *d, uint32_t index, uint16_t value)
{
	if (index == STATUS)
		d->pm.status = (uint16_t)(d->pm.status & ~value);    /* a 1 clears */
	else if (index == ENABLE)
		d->pm.enable = value & PM1_ENABLES;
	else if (index == CONTROL)
		control_put(d, value);
	sci_update(d);
}

static uint32_t pm_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct acpi *d = self;
	uint32_t whole = register_get(d, (uint32_t)a->offset / 2);

	*value = a->width == 2 ? whole : whole >> 8 * (a->offset & 1) & 0xff;
	return MT_BUS_OK;
}

/* A byte changes its half of a register; the other half of the status is not touched. */
static uint32_t pm_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct acpi *d = self;
	uint32_t index = (uint32_t)a->offset / 2, shift = 8 * (a->offset & 1), other = 0;

	if (a->width == 1 && index != STATUS)
		other = register_get(d, index) & (0xff00u >> shift);
	register_put(d, index, (uint16_t)(a->width == 1 ? (value & 0xff) << shift | other : value));
	return MT_BUS_OK;
}

static int press(void *self, struct mt_error *err)
{
	struct acpi *d = self;

	(void)err;
	d->pm.status |= PM1_BUTTON;
	sci_update(d);
	return 0;
}

static int build(void *self, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *err)
{
	struct acpi *d = self;
	uint32_t sci = 0;
	int code = d->host->gsi(d->inst, "irq", 0, &sci, err);

	if (code < 0)
		return code;
	tables_begin(&d->tables, d->host, sci, d->props->get_u64(d->inst, "port"), err);
	code = d->host->collect(d->inst, &d->tables, &tables_writer, err);
	if (code < 0)
		return code;
	*blob = d->tables.blob;
	return tables_end(&d->tables, gpa, len_bytes);
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct acpi *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	*self = d;
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->loop = host->get_interface(host, MT_IFACE_LOOP);
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->host = host->get_interface(host, MT_IFACE_ACPI_HOST);
	return 0;
}

static const struct mt_region_ops pm_ops = { .read = pm_read, .write = pm_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "power", .at_prop = "port", .len_bytes = PM_BYTES,
		.width_min = 1, .width_max = 2, .ops = &pm_ops,
	};
	struct acpi *d = self;

	d->sci = d->irq->line_get(d->inst, "irq", 0);
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct acpi *d = self;

	(void)kind, (void)err;
	if (phase == MT_RESET_ENTER)
		d->pm.status = d->pm.enable = d->pm.control = 0;
	else if (phase == MT_RESET_HOLD)
		sci_update(d);
	return 0;
}

static void resume(void *self)
{
	sci_update(self);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = free,
};

static const struct mt_acpi_tables acpi_tables = { .build = build };
static const struct mt_power_button power_button = { .press = press };

/* The tables are in RAM. */
static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct power, status, PM1_BUTTON),
	MT_STATE_VAR(struct power, enable, PM1_ENABLES),
	MT_STATE_VAR(struct power, control, CONTROL_KEPT),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct power, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct acpi *d = self;

	(void)err;
	mt_state_save(out, w, &table, &d->pm);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct acpi *d = self;
	struct power loaded;
	int code = mt_state_load(in, r, &table, version, &loaded);

	(void)err;
	if (code)
		return code;
	if (loaded.status & ~PM1_BUTTON)
		return r->refuse(in, "status", "has bits that the chip does not have");
	loaded.enable &= PM1_ENABLES;
	loaded.control &= CONTROL_KEPT;
	d->pm = loaded;
	return 0;
}

static const struct mt_state_class state_class = {
	.schema = "acpi-pm1", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_ACPI_TABLES, &acpi_tables },
		       { MT_IFACE_POWER_BUTTON, &power_button },
		       { MT_IFACE_STATE, &state_class })
