/* SPDX-License-Identifier: MIT */
/*
 * dev-riscv-imsic: the interrupt files of one privilege level, one for each vCPU, in a row of pages. Messages
 * arrive as writes on any thread; the vCPU reaches its own file by system registers that it calls straight. A
 * parallel class: a lock for each file covers the chip and the pin, so that the order of pin changes is the
 * chip's. Below the lock are only pins, which call nobody back.
 */
#define MT_NOTE_NAME     "dev-riscv-imsic"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "RISC-V incoming MSI controllers of the vCPUs"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.props/1 mortise.sysreg-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define IMSIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x40000", "", MT_PROPF_REQUIRED, \
	  "guest-physical address of the page of vCPU 0") \
	P(c, level, "level", MT_PROP_ENUM, "", "machine|supervisor", "", MT_PROPF_REQUIRED, \
	  "privilege level that is interrupted") \
	P(c, identities, "identities", MT_PROP_INT, "255", "63..2047", "", 0, \
	  "interrupt identities of each file: one less than a multiple of 64")
#define MT_NOTE_CLASSES(C) \
	C(imsic, "dev-riscv-imsic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.msi-target/1 mortise.fdt-node/1", IMSIC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/cpu-sysreg.h>
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

#include "imsic.h"

#define REGION_BYTES 0x40000u
#define VCPUS_MAX    (REGION_BYTES / IMSIC_PAGE_BYTES)

/* The registers of a page. */
#define SETEIPNUM_LE 0x0u
#define SETEIPNUM_BE 0x4u

/* What differs between the levels: numbers of the privileged architecture. */
struct level {
	const char *name, *pin;
	uint64_t topei, ireg;      /* CSR numbers */
	uint32_t cause;            /* of the external interrupt */
};

static const struct level levels[] = {
	{ "machine", "meip", 0x35c, 0x351, 11 },
	{ "supervisor", "seip", 0x15c, 0x151, 9 },
};

/* A vCPU's file. */
struct hart {
	pthread_mutex_t lock;
	struct imsic_file file;
	struct imsic_dev *dev;
	struct mt_line *pin;
};

struct imsic_dev {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_sysreg_host *sysreg;
	const struct level *level;
	uint64_t at;
	uint32_t identities;
	struct hart *harts;
	uint32_t count;
};

static void pin_set(void *arg, uint32_t level)
{
	struct hart *h = arg;

	h->dev->irq->line_set(h->pin, level);
}

/* --- messages --- */

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	const struct imsic_dev *d = self;

	*value = 0;
	return a->offset / IMSIC_PAGE_BYTES < d->count ? MT_BUS_OK : MT_BUS_DECODE;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct imsic_dev *d = self;
	uint64_t index = a->offset / IMSIC_PAGE_BYTES, offset = a->offset % IMSIC_PAGE_BYTES;
	uint32_t identity = (uint32_t)value;

	if (index >= d->count)
		return MT_BUS_DECODE;
	if (offset != SETEIPNUM_LE && offset != SETEIPNUM_BE)
		return MT_BUS_OK;
	if (offset == SETEIPNUM_BE)
		identity = __builtin_bswap32(identity);
	pthread_mutex_lock(&d->harts[index].lock);
	imsic_message(&d->harts[index].file, identity);
	pthread_mutex_unlock(&d->harts[index].lock);
	return MT_BUS_OK;
}

/* --- system registers --- */

static uint32_t topei_read(void *arg, const struct mt_sysreg_access *a, uint64_t *value)
{
	struct hart *h = arg;

	(void)a;
	pthread_mutex_lock(&h->lock);
	*value = imsic_top(&h->file);
	pthread_mutex_unlock(&h->lock);
	return MT_SYSREG_OK;
}

/* Whatever is written claims what the register reports. */
static uint32_t topei_modify(void *arg, const struct mt_sysreg_access *a, uint64_t keep, uint64_t bits, uint64_t *old)
{
	struct hart *h = arg;

	(void)a, (void)keep, (void)bits;
	pthread_mutex_lock(&h->lock);
	*old = imsic_claim(&h->file);
	pthread_mutex_unlock(&h->lock);
	return MT_SYSREG_OK;
}

static uint32_t topei_write(void *arg, const struct mt_sysreg_access *a, uint64_t value)
{
	uint64_t old;

	return topei_modify(arg, a, 0, value, &old);
}

static uint32_t ireg_read(void *arg, const struct mt_sysreg_access *a, uint64_t *value)
{
	struct hart *h = arg;
	int exists;

	pthread_mutex_lock(&h->lock);
	exists = imsic_read(&h->file, (uint32_t)a->number, value);
	pthread_mutex_unlock(&h->lock);
	return exists ? MT_SYSREG_OK : MT_SYSREG_ILLEGAL;
}

static uint32_t ireg_modify(void *arg, const struct mt_sysreg_access *a, uint64_t keep, uint64_t bits, uint64_t *old)
{
	struct hart *h = arg;
	int exists;

	pthread_mutex_lock(&h->lock);
	exists = imsic_modify(&h->file, (uint32_t)a->number, keep, bits, old);
	pthread_mutex_unlock(&h->lock);
	return exists ? MT_SYSREG_OK : MT_SYSREG_ILLEGAL;
}

static uint32_t ireg_write(void *arg, const struct mt_sysreg_access *a, uint64_t value)
{
	uint64_t old;

	return ireg_modify(arg, a, 0, value, &old);
}

static const struct mt_sysreg_ops topei_ops = { .read = topei_read, .write = topei_write, .modify = topei_modify };
static const struct mt_sysreg_ops ireg_ops = { .read = ireg_read, .write = ireg_write, .modify = ireg_modify };

static int registers_bind(struct imsic_dev *d, uint32_t vcpu, struct mt_error *err)
{
	const struct level *l = d->level;
	struct hart *h = &d->harts[vcpu];
	const struct mt_sysreg_range topei = {
		.size = sizeof(topei), .first = l->topei, .last = l->topei, .ops = &topei_ops, .arg = h,
	};
	const struct mt_sysreg_range ireg = {
		.size = sizeof(ireg), .first = l->ireg << 32 | IMSIC_SELECT_FIRST,
		.last = l->ireg << 32 | IMSIC_SELECT_LAST, .ops = &ireg_ops, .arg = h,
	};
	int code = d->sysreg->bind(d->inst, vcpu, &topei, err);

	return code < 0 ? code : d->sysreg->bind(d->inst, vcpu, &ireg, err);
}

/* --- roles --- */

static int window(void *self, struct mt_msi_window *out)
{
	const struct imsic_dev *d = self;
	struct mt_msi_window w = {
		.size = out->size < sizeof(w) ? out->size : sizeof(w), .gpa = d->at,
		.len_bytes = (uint64_t)d->irq->vcpu_count(d->inst) * IMSIC_PAGE_BYTES,
		.stride_bytes = IMSIC_PAGE_BYTES, .identities = d->identities,
	};

	memcpy(out, &w, w.size);
	return 0;
}

/* The smallest number of bits that holds every index. */
static uint32_t index_bits(uint32_t count)
{
	uint32_t bits = 0;

	while (count > 1u << bits)
		bits++;
	return bits;
}

/* Linux binding interrupt-controller/riscv,imsics.yaml. */
static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const uint32_t zero = 0;
	const struct imsic_dev *d = self;
	uint32_t bits = index_bits(d->irq->vcpu_count(d->inst));

	(void)err;
	w->begin(fdt, "imsics", "at");
	w->self_phandle(fdt);
	w->str(fdt, "compatible", "riscv,imsics");
	w->empty(fdt, "interrupt-controller");
	w->u32s(fdt, "#interrupt-cells", &zero, 1);
	w->empty(fdt, "msi-controller");
	w->u32s(fdt, "#msi-cells", &zero, 1);
	w->u32s(fdt, "riscv,num-ids", &d->identities, 1);
	w->u32s(fdt, "riscv,hart-index-bits", &bits, 1);
	w->vcpu_irqs(fdt, "interrupts-extended", &d->level->cause, 1);
	w->end(fdt);
	return 0;
}

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	const struct mt_props_host *props = host->get_interface(host, MT_IFACE_PROPS);
	uint64_t identities = props->get_u64(inst, "identities");
	struct imsic_dev *d;

	if (identities % 64 != 63) {
		mt_error_set(err, MT_ERANGE, "identities", "%u is not one less than a multiple of 64",
			     (unsigned)identities);
		return mt_error_hint(err, "for instance 63, 127, 255, 511, 1023 or 2047");
	}
	d = calloc(1, sizeof(*d));
	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->sysreg = host->get_interface(host, MT_IFACE_SYSREG_HOST);
	d->level = &levels[strcmp(props->get_str(inst, "level"), levels[0].name) ? 1 : 0];
	d->at = props->get_u64(inst, "at");
	d->identities = (uint32_t)identities;
	*self = d;
	return 0;
}

static int harts_make(struct imsic_dev *d, uint32_t count, struct mt_error *err)
{
	d->harts = calloc(count, sizeof(*d->harts));
	if (!d->harts)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	for (d->count = 0; d->count < count; d->count++) {
		struct hart *h = &d->harts[d->count];

		pthread_mutex_init(&h->lock, NULL);
		imsic_init(&h->file, d->identities);
		h->dev = d;
		h->pin = d->irq->vcpu_pin(d->inst, d->count, d->level->pin);
		h->file.output = pin_set;
		h->file.arg = h;
	}
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .flags = MT_REGION_STRICT, .name = "imsic", .at_prop = "at",
		.len_bytes = REGION_BYTES, .width_min = 4, .width_max = 4, .ops = &region_ops,
	};
	struct imsic_dev *d = self;
	uint32_t vcpus = d->irq->vcpu_count(d->inst);
	uint64_t align = (uint64_t)IMSIC_PAGE_BYTES << index_bits(vcpus);
	int code;

	if (vcpus > VCPUS_MAX)
		return mt_error_set(err, MT_ERANGE, "count", "an IMSIC serves at most %u vCPUs", VCPUS_MAX);
	/* "Arrangement of the memory regions": guests compute addresses by or-ing the index in */
	if (d->at % align) {
		mt_error_set(err, MT_EINVAL, "at", "the address of %u interrupt files is not a multiple of 0x%llx", vcpus,
			     (unsigned long long)align);
		return mt_error_hint(err, "a multiple of 0x%x serves any number of vCPUs", REGION_BYTES);
	}
	code = harts_make(d, vcpus, err);
	for (uint32_t i = 0; code >= 0 && i < vcpus; i++)
		code = registers_bind(d, i, err);
	if (code < 0)
		return code;
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct imsic_dev *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	for (uint32_t i = 0; i < d->count; i++) {
		pthread_mutex_lock(&d->harts[i].lock);
		imsic_reset(&d->harts[i].file);
		pthread_mutex_unlock(&d->harts[i].lock);
	}
	return 0;
}

static void destroy(void *self)
{
	struct imsic_dev *d = self;

	for (uint32_t i = 0; i < d->count; i++)
		pthread_mutex_destroy(&d->harts[i].lock);
	free(d->harts);
	free(d);
}

/* --- saved state --- */

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct imsic_dev *d = self;

	(void)err;
	for (uint32_t i = 0; i < d->count; i++) {
		w->begin(out, "file", 0);
		pthread_mutex_lock(&d->harts[i].lock);
		imsic_save(&d->harts[i].file, out, w);
		pthread_mutex_unlock(&d->harts[i].lock);
		w->end(out);
	}
	return 0;
}

/* Into copies first: all files or none. */
static int files_load(struct imsic_dev *d, struct imsic_file *files, struct mt_state_in *in,
		      const struct mt_state_reader *r)
{
	uint32_t type = 0, count = 0;
	int code = 0;

	r->find(in, "file", &type, &count);
	if (count != d->count)
		return r->refuse(in, "file", "is there in another number than the machine has vCPUs");
	for (uint32_t i = 0; !code && i < count; i++) {
		code = r->begin(in, "file", i);
		if (code)
			return code;
		files[i] = d->harts[i].file;
		code = imsic_load(&files[i], in, r);
		r->end(in);
	}
	return code;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct imsic_dev *d = self;
	struct imsic_file *files = calloc(d->count, sizeof(*files));
	int code;

	(void)version;
	if (!files)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = files_load(d, files, in, r);
	for (uint32_t i = 0; !code && i < d->count; i++) {
		pthread_mutex_lock(&d->harts[i].lock);
		d->harts[i].file = files[i];
		pthread_mutex_unlock(&d->harts[i].lock);
	}
	free(files);
	return code;
}

static void resume(void *self)
{
	struct imsic_dev *d = self;

	for (uint32_t i = 0; i < d->count; i++) {
		pthread_mutex_lock(&d->harts[i].lock);
		imsic_redrive(&d->harts[i].file);
		pthread_mutex_unlock(&d->harts[i].lock);
	}
}

static const struct mt_state_class state_class = {
	.schema = "riscv-imsic", .version = 1, .version_min = 1, .save = save, .load = load,
};

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

static const struct mt_msi_target msi_target = { .window = window };
static const struct mt_fdt_node fdt_node = { .describe = describe };

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_MSI_TARGET, &msi_target },
		       { MT_IFACE_FDT_NODE, &fdt_node })
