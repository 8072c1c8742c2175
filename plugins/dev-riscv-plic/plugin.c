/* SPDX-License-Identifier: MIT */
/*
 * dev-riscv-plic: a PLIC with two contexts for each vCPU (machine, then supervisor mode). A parallel class: its
 * own lock covers the chip, for inputs come from any thread. Pins are set inside the lock, so that their order
 * is the chip's order; below the lock are only pins, which call nobody back.
 */
#define MT_NOTE_NAME     "dev-riscv-plic"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "RISC-V platform-level interrupt controller"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define PLIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x4000000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, sources, "sources", MT_PROP_INT, "96", "1..1023", "", 0, "number of interrupt sources")
#define MT_NOTE_CLASSES(C) \
	C(plic, "dev-riscv-plic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.irq-sink/1 mortise.fdt-node/1", PLIC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>

#include "plic.h"

struct plic_dev {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	pthread_mutex_t lock;
	struct plic chip;
	struct mt_line **pins;     /* of each context; an accelerator without that mode gives none */
	uint32_t sources;
};

static void pin_set(void *arg, uint32_t context, uint32_t level)
{
	struct plic_dev *d = arg;

	d->irq->line_set(d->pins[context], level);
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct plic_dev *d = self;

	pthread_mutex_lock(&d->lock);
	*value = plic_read(&d->chip, (uint32_t)a->offset);
	pthread_mutex_unlock(&d->lock);
	return MT_BUS_OK;
}

static uint32_t completes(struct plic_dev *d, uint32_t offset, uint32_t value)
{
	uint32_t source;

	pthread_mutex_lock(&d->lock);
	source = plic_completes(&d->chip, offset, value);
	pthread_mutex_unlock(&d->lock);
	return source;
}

/*
 * The notice goes out before the gateway opens and without the lock: whoever serves it may lower the input, which
 * comes back through input_set; else the old level would pend once more.
 */
static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct plic_dev *d = self;
	uint32_t source = completes(d, (uint32_t)a->offset, (uint32_t)value);

	if (source)
		d->irq->end_of_interrupt(d->inst, source);
	pthread_mutex_lock(&d->lock);
	plic_write(&d->chip, (uint32_t)a->offset, (uint32_t)value);
	pthread_mutex_unlock(&d->lock);
	return MT_BUS_OK;
}

static uint32_t input_count(void *self)
{
	struct plic_dev *d = self;

	return d->sources + 1;     /* 0 is no interrupt, but numbers begin there */
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	struct plic_dev *d = self;

	pthread_mutex_lock(&d->lock);
	plic_input(&d->chip, input, level);
	pthread_mutex_unlock(&d->lock);
}

static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	return input != 0;   /* source 0 means "no interrupt" (PLIC 1.0.0, 1.4) */
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "sifive,plic-1.0.0", "riscv,plic0" };
	static const uint32_t causes[] = { 11, 9 };   /* machine and supervisor external interrupt */
	static const uint32_t zero = 0, one = 1;
	struct plic_dev *d = self;

	(void)err;
	w->begin(fdt, "plic", "at");
	w->self_phandle(fdt);
	w->strs(fdt, "compatible", compatible, 2);
	w->empty(fdt, "interrupt-controller");
	w->u32s(fdt, "#interrupt-cells", &one, 1);
	w->u32s(fdt, "#address-cells", &zero, 1);
	w->u32s(fdt, "riscv,ndev", &d->sources, 1);
	w->vcpu_irqs(fdt, "interrupts-extended", causes, 2);
	w->end(fdt);
	return 0;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	const struct mt_props_host *props = host->get_interface(host, MT_IFACE_PROPS);
	struct plic_dev *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->sources = (uint32_t)props->get_u64(inst, "sources");
	pthread_mutex_init(&d->lock, NULL);
	*self = d;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "plic", .at_prop = "at", .len_bytes = PLIC_REGION_BYTES,
		.width_min = 4, .width_max = 4, .ops = &region_ops,
	};
	struct plic_dev *d = self;
	uint32_t vcpus = d->irq->vcpu_count(d->inst);

	if (vcpus > PLIC_CONTEXTS_MAX / 2)
		return mt_error_set(err, MT_ERANGE, "count", "a PLIC serves at most %u vCPUs", PLIC_CONTEXTS_MAX / 2);
	d->pins = calloc(vcpus * 2 + 1, sizeof(*d->pins));
	if (!d->pins || plic_init(&d->chip, d->sources, vcpus * 2))
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->chip.output = pin_set;
	d->chip.arg = d;
	for (uint32_t i = 0; i < vcpus; i++) {
		d->pins[i * 2] = d->irq->vcpu_pin(d->inst, i, "meip");
		d->pins[i * 2 + 1] = d->irq->vcpu_pin(d->inst, i, "seip");
	}
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct plic_dev *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	pthread_mutex_lock(&d->lock);
	plic_reset(&d->chip);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct plic_dev *d = self;

	(void)err;
	pthread_mutex_lock(&d->lock);
	plic_save(&d->chip, out, w);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct plic_dev *d = self;
	int code;

	(void)version;
	pthread_mutex_lock(&d->lock);
	code = plic_load(&d->chip, in, r);
	pthread_mutex_unlock(&d->lock);
	return code == MT_ENOMEM ? mt_error_set(err, code, NULL, "out of memory") : code;
}

static void resume(void *self)
{
	struct plic_dev *d = self;

	pthread_mutex_lock(&d->lock);
	plic_redrive(&d->chip);
	pthread_mutex_unlock(&d->lock);
}

static const struct mt_state_class state_class = {
	.schema = "riscv-plic", .version = 1, .version_min = 1, .save = save, .load = load,
};

static void destroy(void *self)
{
	struct plic_dev *d = self;

	plic_fini(&d->chip);
	free(d->pins);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

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
		       { MT_IFACE_IRQ_SINK, &irq_sink },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node })
