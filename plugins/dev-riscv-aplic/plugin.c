/* SPDX-License-Identifier: MIT */
/*
 * dev-riscv-aplic: an APLIC with a machine-level domain and, where its address is given, a supervisor-level
 * child. Both are one chip, for wires arrive at the root and are delegated; so they are one instance with two
 * regions and two nodes of the device tree (docs/decisions/0007-one-aplic.md). A domain with a target for
 * messages delivers by messages, else by pins. A parallel class: its lock covers the chip, for inputs come from
 * any thread. Pins are set and messages sent inside the lock, so that their order is the chip's; below the lock
 * are pins and the target's own lock, which call nobody back. The target's address is the configuration's, never
 * the guest's: that keeps the order of locks.
 */
#define MT_NOTE_NAME     "dev-riscv-aplic"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "RISC-V advanced platform-level interrupt controller"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1 mortise.msi-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define APLIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x8000", "", MT_PROPF_REQUIRED, \
	  "guest-physical address of the machine-level domain") \
	P(c, supervisor_at, "supervisor-at", MT_PROP_ADDR, "", "0x8000", "", 0, \
	  "guest-physical address of the supervisor-level domain; without it there is none") \
	P(c, msi, "msi", MT_PROP_REF, "", "mortise.msi-target/1", "", 0, \
	  "where the machine-level domain sends messages; without it it sets pins") \
	P(c, supervisor_msi, "supervisor-msi", MT_PROP_REF, "", "mortise.msi-target/1", "", 0, \
	  "the same for the supervisor-level domain") \
	P(c, sources, "sources", MT_PROP_INT, "96", "1..1023", "", 0, "number of interrupt sources")
#define MT_NOTE_CLASSES(C) \
	C(aplic, "dev-riscv-aplic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.irq-sink/1 mortise.fdt-node/1", APLIC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/msi.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>

#include "aplic.h"

/* What differs between the levels: pins, causes of the privileged architecture, names of properties. */
static const struct {
	const char *region, *at, *msi, *pin;
	uint32_t cause;
} levels[APLIC_DOMAINS] = {
	[APLIC_ROOT] = { "aplic", "at", "msi", "meip", 11 },
	[APLIC_CHILD] = { "aplic-supervisor", "supervisor-at", "supervisor-msi", "seip", 9 },
};

#define FDT_LEVEL_HIGH 4u   /* how devices of the machine drive their lines */

struct aplic_dev {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_msi_host *msi;
	pthread_mutex_t lock;
	struct aplic chip;
	uint32_t sources, domains;
	uint32_t by_message[APLIC_DOMAINS];
	struct mt_msi_window window[APLIC_DOMAINS];
	struct mt_line **pins[APLIC_DOMAINS];      /* of each vCPU, where the domain sets pins */
};

/* --- outputs --- */

static void pin_set(void *arg, uint32_t domain, uint32_t hart, uint32_t level)
{
	struct aplic_dev *d = arg;

	d->irq->line_set(d->pins[domain][hart], level);
}

static void message_send(void *arg, uint32_t domain, uint32_t hart, uint32_t identity)
{
	struct aplic_dev *d = arg;
	const struct mt_msi_window *w = &d->window[domain];

	d->irq->message_send(d->inst, w->gpa + (uint64_t)hart * w->stride_bytes, identity);
}

/* --- registers --- */

static uint32_t domain_read(struct aplic_dev *d, uint32_t domain, uint32_t offset)
{
	uint32_t value, source;

	pthread_mutex_lock(&d->lock);
	value = aplic_read(&d->chip, domain, offset);
	source = aplic_read_ends(&d->chip, domain, offset, value);
	pthread_mutex_unlock(&d->lock);
	if (source)
		d->irq->end_of_interrupt(d->inst, source);
	return value;
}

/* The notice goes out first and without the lock: whoever serves it may lower the wire, through input_set. */
static void domain_write(struct aplic_dev *d, uint32_t domain, uint32_t offset, uint32_t value)
{
	uint32_t source;

	pthread_mutex_lock(&d->lock);
	source = aplic_write_ends(&d->chip, domain, offset, value);
	if (source) {
		pthread_mutex_unlock(&d->lock);
		d->irq->end_of_interrupt(d->inst, source);
		pthread_mutex_lock(&d->lock);
	}
	aplic_write(&d->chip, domain, offset, value);
	pthread_mutex_unlock(&d->lock);
}

static uint32_t root_read(void *self, const struct mt_access *a, uint64_t *value)
{
	*value = domain_read(self, APLIC_ROOT, (uint32_t)a->offset);
	return MT_BUS_OK;
}

static uint32_t root_write(void *self, const struct mt_access *a, uint64_t value)
{
	domain_write(self, APLIC_ROOT, (uint32_t)a->offset, (uint32_t)value);
	return MT_BUS_OK;
}

static uint32_t child_read(void *self, const struct mt_access *a, uint64_t *value)
{
	*value = domain_read(self, APLIC_CHILD, (uint32_t)a->offset);
	return MT_BUS_OK;
}

static uint32_t child_write(void *self, const struct mt_access *a, uint64_t value)
{
	domain_write(self, APLIC_CHILD, (uint32_t)a->offset, (uint32_t)value);
	return MT_BUS_OK;
}

static const struct mt_region_ops region_ops[APLIC_DOMAINS] = {
	[APLIC_ROOT] = { .read = root_read, .write = root_write },
	[APLIC_CHILD] = { .read = child_read, .write = child_write },
};

/* --- roles --- */

static uint32_t input_count(void *self)
{
	const struct aplic_dev *d = self;

	return d->sources + 1;     /* 0 is no interrupt, but numbers begin there */
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	struct aplic_dev *d = self;

	pthread_mutex_lock(&d->lock);
	aplic_input(&d->chip, input, level);
	pthread_mutex_unlock(&d->lock);
}

static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = FDT_LEVEL_HIGH;
	return input ? 2 : 0;
}

/* Delegation to the child: all sources. OpenSBI before 1.3 knows the older of the two names. */
static void describe_child(const struct aplic_dev *d, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	const uint32_t child = w->phandle(fdt), delegation[] = { child, 1, d->sources };

	w->u32s(fdt, "riscv,children", &child, 1);
	w->u32s(fdt, "riscv,delegation", delegation, 3);
	w->u32s(fdt, "riscv,delegate", delegation, 3);
}

/* Linux binding interrupt-controller/riscv,aplic.yaml. Others refer to the domain of the least privilege. */
static void describe_domain(struct aplic_dev *d, uint32_t domain, struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	static const uint32_t zero = 0, two = 2;

	w->begin(fdt, "aplic", levels[domain].at);
	if (domain == d->domains - 1)
		w->self_phandle(fdt);
	w->str(fdt, "compatible", "riscv,aplic");
	w->empty(fdt, "interrupt-controller");
	w->u32s(fdt, "#interrupt-cells", &two, 1);
	w->u32s(fdt, "#address-cells", &zero, 1);
	w->u32s(fdt, "riscv,num-sources", &d->sources, 1);
	if (d->by_message[domain])
		w->ref(fdt, "msi-parent", levels[domain].msi);
	else
		w->vcpu_irqs(fdt, "interrupts-extended", &levels[domain].cause, 1);
	if (domain != d->domains - 1)
		describe_child(d, fdt, w);
	w->end(fdt);
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	struct aplic_dev *d = self;

	(void)err;
	for (uint32_t i = 0; i < d->domains; i++)
		describe_domain(d, i, fdt, w);
	return 0;
}

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	const struct mt_props_host *props = host->get_interface(host, MT_IFACE_PROPS);
	uint32_t domains = props->present(inst, levels[APLIC_CHILD].at) ? APLIC_DOMAINS : 1;
	struct aplic_dev *d;

	if (domains == 1 && props->present(inst, levels[APLIC_CHILD].msi)) {
		mt_error_set(err, MT_EINVAL, levels[APLIC_CHILD].msi, "there is no supervisor-level domain");
		return mt_error_hint(err, "give it an address: %s", levels[APLIC_CHILD].at);
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	d->sources = (uint32_t)props->get_u64(inst, "sources");
	d->domains = domains;
	for (uint32_t i = 0; i < domains; i++)
		d->by_message[i] = props->present(inst, levels[i].msi);
	pthread_mutex_init(&d->lock, NULL);
	*self = d;
	return 0;
}

static int message_target(struct aplic_dev *d, uint32_t domain, struct mt_error *err)
{
	d->window[domain].size = sizeof(d->window[domain]);
	return d->msi->window(d->inst, levels[domain].msi, &d->window[domain], err);
}

static int pins_get(struct aplic_dev *d, uint32_t domain, uint32_t vcpus, struct mt_error *err)
{
	d->pins[domain] = calloc(vcpus + 1, sizeof(*d->pins[domain]));
	if (!d->pins[domain])
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	for (uint32_t i = 0; i < vcpus; i++)
		d->pins[domain][i] = d->irq->vcpu_pin(d->inst, i, levels[domain].pin);
	return 0;
}

static int region_add(struct aplic_dev *d, uint32_t domain, struct mt_error *err)
{
	const struct mt_region_desc desc = {
		.size = sizeof(desc), .flags = MT_REGION_STRICT, .name = levels[domain].region,
		.at_prop = levels[domain].at, .len_bytes = APLIC_REGION_BYTES, .width_min = 4, .width_max = 4,
		.ops = &region_ops[domain],
	};

	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int realize(void *self, struct mt_error *err)
{
	struct aplic_dev *d = self;
	uint32_t vcpus = d->irq->vcpu_count(d->inst);
	int code = 0;

	if (vcpus > APLIC_HARTS_MAX)
		return mt_error_set(err, MT_ERANGE, "count", "an APLIC serves at most %u vCPUs", APLIC_HARTS_MAX);
	if (aplic_init(&d->chip, d->sources, vcpus, d->domains, d->by_message))
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->chip.output = pin_set;
	d->chip.message = message_send;
	d->chip.arg = d;
	for (uint32_t i = 0; code >= 0 && i < d->domains; i++) {
		code = d->by_message[i] ? message_target(d, i, err) : pins_get(d, i, vcpus, err);
		if (code >= 0)
			code = region_add(d, i, err);
	}
	return code;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct aplic_dev *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	pthread_mutex_lock(&d->lock);
	aplic_reset(&d->chip);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void destroy(void *self)
{
	struct aplic_dev *d = self;

	aplic_fini(&d->chip);
	for (uint32_t i = 0; i < APLIC_DOMAINS; i++)
		free(d->pins[i]);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct aplic_dev *d = self;

	(void)err;
	pthread_mutex_lock(&d->lock);
	aplic_save(&d->chip, out, w);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct aplic_dev *d = self;
	int code;

	(void)version;
	pthread_mutex_lock(&d->lock);
	code = aplic_load(&d->chip, in, r);
	pthread_mutex_unlock(&d->lock);
	return code == MT_ENOMEM ? mt_error_set(err, code, NULL, "out of memory") : code;
}

static void resume(void *self)
{
	struct aplic_dev *d = self;

	pthread_mutex_lock(&d->lock);
	aplic_redrive(&d->chip);
	pthread_mutex_unlock(&d->lock);
}

static const struct mt_state_class state_class = {
	.schema = "riscv-aplic", .version = 1, .version_min = 1, .save = save, .load = load,
};

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count,
	.input_set = input_set,
	.fdt_cells = fdt_cells,
};

static const struct mt_fdt_node fdt_node = { .describe = describe };

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_IRQ_SINK, &irq_sink },
		       { MT_IFACE_FDT_NODE, &fdt_node })
