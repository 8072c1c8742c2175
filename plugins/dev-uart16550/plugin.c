/* SPDX-License-Identifier: MIT */
/*
 * dev-uart16550: attaches the chip to a region, a line, a char port and a timer. Calls come [vcpu] (registers)
 * and [io] (port, timer) under the instance lock. A byte written to THR goes to the port at once, in one call:
 * there is no wake-up of another thread and no timer on that path.
 */
#define MT_NOTE_NAME     "dev-uart16550"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "NS16550A serial port"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1 mortise.clock/1 mortise.char-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define UART_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x100", "", 0, "guest-physical base address; this or port is needed") \
	P(c, port, "port", MT_PROP_ADDR, "", "0x8", "io", 0, "I/O port of the first register, on x86") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "interrupt output") \
	P(c, chardev, "char", MT_PROP_REF, "", "mortise.char/1", "", 0, "back end; without it nobody listens") \
	P(c, clock, "clock", MT_PROP_INT, "3686400", "1..1000000000", "Hz", 0, "crystal, for the device tree") \
	P(c, reg_shift, "reg-shift", MT_PROP_INT, "0", "0..2", "", 0, "registers are 1 << reg-shift bytes apart")
#define MT_NOTE_CLASSES(C) \
	C(uart, "dev-uart16550", MT_KIND_DEVICE, 0, \
	  MT_NOTE_SUMMARY, "mortise.fdt-node/1 mortise.acpi-node/1", UART_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/char.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>

#include "uart16550.h"

#define REGION_BYTES 0x100u

struct uart_dev {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	const struct mt_char_host *chars;
	struct uart16550 chip;
	struct mt_line *line;
	struct mt_char *chr;       /* NULL: nobody listens */
	struct mt_timer *timer;
	uint64_t clock_hz;
	uint32_t reg_shift;
	uint32_t starved;          /* the port has been told that there is no room */
	uint64_t timeout_ns;       /* guest time at which the character time-out comes; UINT64_MAX: never */
};

/* A port that is gone swallows: the guest's output never stops because a terminal was closed. */
static int chip_transmit(void *arg, uint8_t byte)
{
	struct uart_dev *d = arg;

	return !d->chr || d->chars->write(d->chr, &byte, 1) != 0;
}

static void chip_interrupt(void *arg, uint32_t level)
{
	struct uart_dev *d = arg;

	d->irq->line_set(d->line, level);
}

static void chip_receive_ready(void *arg)
{
	struct uart_dev *d = arg;

	if (!d->chr || !d->starved || !uart16550_room(&d->chip))
		return;
	d->starved = 0;
	d->chars->receive_ready(d->chr);
}

static void chip_timeout(void *arg, uint32_t start)
{
	struct uart_dev *d = arg;

	d->timeout_ns = !start ? UINT64_MAX : d->clock->now_ns(d->inst, MT_CLOCK_GUEST) +
					      uart16550_timeout_ns(&d->chip, d->clock_hz);
	if (d->timer)
		d->clock->timer_arm(d->timer, d->timeout_ns);
}

static const struct uart16550_ops chip_ops = {
	.transmit = chip_transmit,
	.interrupt = chip_interrupt,
	.receive_ready = chip_receive_ready,
	.timeout = chip_timeout,
};

static void timer_fired(void *arg)
{
	struct uart_dev *d = arg;

	d->timeout_ns = UINT64_MAX;
	uart16550_timeout(&d->chip);
}

static uint32_t port_can_receive(void *self)
{
	struct uart_dev *d = self;
	uint32_t room = uart16550_room(&d->chip);

	d->starved |= !room;
	return room;
}

static void port_receive(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct uart_dev *d = self;

	uart16550_receive(&d->chip, data, len_bytes);
	d->starved |= !uart16550_room(&d->chip);
}

static void port_writable(void *self)
{
	struct uart_dev *d = self;

	uart16550_writable(&d->chip);
}

static void port_event(void *self, uint32_t event)
{
	struct uart_dev *d = self;

	if (event == MT_CHAR_BREAK) {
		uart16550_break(&d->chip);
		return;
	}
	uart16550_carrier(&d->chip, event == MT_CHAR_OPENED);
	/* what waits goes to the new listener, or to nobody */
	uart16550_writable(&d->chip);
}

static const struct mt_char_front char_front = {
	.can_receive = port_can_receive,
	.receive = port_receive,
	.writable = port_writable,
	.event = port_event,
};

/* A register stands in the lowest byte of its slot; beside it there is nothing. */
static uint32_t reg_of(const struct uart_dev *d, uint64_t offset)
{
	uint64_t slot = (uint64_t)1 << d->reg_shift;

	return offset % slot ? UART16550_REGISTERS : (uint32_t)(offset >> d->reg_shift);
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct uart_dev *d = self;

	*value = uart16550_read(&d->chip, reg_of(d, a->offset));
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct uart_dev *d = self;

	uart16550_write(&d->chip, reg_of(d, a->offset), (uint8_t)value);
	return MT_BUS_OK;
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	struct uart_dev *d = self;
	uint32_t clock_hz = (uint32_t)d->clock_hz;

	(void)err;
	if (!d->props->present(d->inst, "at"))
		return 0;              /* ports are not in a device tree */
	w->begin(fdt, "serial", "at");
	w->str(fdt, "compatible", "ns16550a");
	w->u32s(fdt, "clock-frequency", &clock_hz, 1);
	if (d->reg_shift)
		w->u32s(fdt, "reg-shift", &d->reg_shift, 1);
	if (d->props->present(d->inst, "irq"))
		w->irqs(fdt, "irq");
	w->end(fdt);
	return 0;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct uart_dev *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->clock = host->get_interface(host, MT_IFACE_CLOCK);
	d->chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	d->clock_hz = d->props->get_u64(inst, "clock");
	d->reg_shift = (uint32_t)d->props->get_u64(inst, "reg-shift");
	d->timeout_ns = UINT64_MAX;
	uart16550_init(&d->chip, &chip_ops, d);
	*self = d;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	struct uart_dev *d = self;
	struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "uart", .at_prop = "at", .len_bytes = REGION_BYTES,
		.width_min = 1, .width_max = 1u << d->reg_shift, .ops = &region_ops,
	};

	uint32_t at = d->props->present(d->inst, "at"), port = d->props->present(d->inst, "port");

	if (at == port) {
		mt_error_set(err, MT_EINVAL, "at", at ? "it cannot be in memory and at a port" : "no address and no port");
		return mt_error_hint(err, "set one of at = ADDRESS and port = PORT");
	}
	if (port && d->reg_shift)
		return mt_error_set(err, MT_EINVAL, "reg-shift", "registers at ports are side by side");
	if (port) {
		desc.at_prop = "port";
		desc.len_bytes = UART16550_REGISTERS;
	}
	d->line = d->irq->line_get(d->inst, "irq", 0);
	d->timer = d->clock->timer_create(d->inst, MT_CLOCK_GUEST, timer_fired, d);
	if (!d->timer)
		return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	if (d->props->present(d->inst, "char")) {
		d->chr = d->chars->connect(d->inst, "char", &char_front, d, err);
		if (!d->chr)
			return MT_EINVAL;
		uart16550_carrier(&d->chip, 1);
	}
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct uart_dev *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	uart16550_reset(&d->chip);
	chip_receive_ready(d);
	return 0;
}

/* After a pause, or a load: the port may have room for what waits, or bytes for us, and nobody has said so. */
static void resume(void *self)
{
	struct uart_dev *d = self;

	uart16550_writable(&d->chip);
	uart16550_redrive(&d->chip);
	chip_receive_ready(d);
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct uart_dev *d = self;

	(void)err;
	uart16550_save(&d->chip, out, w);
	w->put(out, "timeout-ns", MT_STATE_U64, 0, &d->timeout_ns, 1);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct uart_dev *d = self;
	uint64_t timeout_ns;
	int code = r->get(in, "timeout-ns", MT_STATE_U64, &timeout_ns, 1);

	(void)version, (void)err;
	if (!code)
		code = uart16550_load(&d->chip, in, r);
	if (code)
		return code;
	d->timeout_ns = timeout_ns;
	d->clock->timer_arm(d->timer, timeout_ns);
	d->starved = 1;
	return 0;
}

static void unrealize(void *self)
{
	struct uart_dev *d = self;

	d->chr = NULL;
	d->timer = NULL;
}

static void destroy(void *self)
{
	free(self);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.unrealize = unrealize,
	.destroy = destroy,
};

static const struct mt_fdt_node fdt_node = { .describe = describe };

/* One at I/O ports; what stands in memory is for the device tree. */
static int acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	struct uart_dev *d = self;
	const struct mt_acpi_range ports = { d->props->get_u64(d->inst, "port"), 8 };

	(void)err;
	if (d->props->present(d->inst, "port"))
		w->device(acpi, "PNP0501", &ports, 1, d->props->present(d->inst, "irq") ? "irq" : NULL);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe };

static const struct mt_state_class state_class = {
	.schema = "ns16550a", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node },
		       { MT_IFACE_ACPI_NODE, &acpi_node })
