/* SPDX-License-Identifier: MIT */
/*
 * dev-riscv-aclint: software and timer interrupts of every vCPU. mtime is guest time in ticks of the machine's
 * timebase plus an offset that the guest may write.
 * A parallel class with a lock for each hart: every vCPU sets its own timer often, and must not meet the others.
 * `offset` is atomic; a write of mtime visits the harts one by one. Pins and timers are set inside the hart's
 * lock, so that a timer that fires [io] while a vCPU writes mtimecmp cannot leave the pin of the older value.
 */
#define MT_NOTE_NAME     "dev-riscv-aclint"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "RISC-V ACLINT in the CLINT's layout: timer and software interrupts"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1 mortise.clock/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define ACLINT_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x10000", "", MT_PROPF_REQUIRED, "guest-physical base address")
#define MT_NOTE_CLASSES(C) \
	C(aclint, "dev-riscv-aclint", MT_KIND_DEVICE, MT_CLASS_PARALLEL, \
	  MT_NOTE_SUMMARY, \
	  "mortise.fdt-node/1", ACLINT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/clock.h>
#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/state.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>

#include "aclint.h"

struct hart {
	struct aclint_dev *dev;
	pthread_mutex_t lock;
	struct mt_line *msip_pin, *mtip_pin;
	struct mt_timer *timer;
	uint64_t compare;
	uint32_t msip;
};

struct aclint_dev {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	_Atomic uint64_t offset;   /* mtime - ticks */
	uint32_t hart_count;
	struct hart *harts;
};

/* With the hart's lock held: the pin and the timer for the compare value that stands there. */
static void hart_update(struct hart *h)
{
	struct aclint_dev *d = h->dev;
	uint64_t ticks = d->clock->ticks(d->inst);
	uint64_t due = aclint_due_tick(ticks, atomic_load(&d->offset), h->compare);

	d->irq->line_set(h->mtip_pin, due <= ticks);
	d->clock->timer_arm(h->timer, due <= ticks || due == UINT64_MAX ? UINT64_MAX :
				      d->clock->ticks_to_ns(d->inst, due));
}

/* [io]; the compare value may have changed since the timer was armed, so it only says: look again */
static void timer_fired(void *arg)
{
	struct hart *h = arg;

	pthread_mutex_lock(&h->lock);
	hart_update(h);
	pthread_mutex_unlock(&h->lock);
}

static uint64_t hart_read(struct hart *h, uint32_t reg)
{
	uint64_t value;

	pthread_mutex_lock(&h->lock);
	value = reg == ACLINT_MSIP ? h->msip : h->compare;
	pthread_mutex_unlock(&h->lock);
	return value;
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct aclint_dev *d = self;
	struct aclint_place p = aclint_place(a->offset, a->width, d->hart_count);
	uint64_t whole = 0;

	if (p.reg == ACLINT_MTIME)
		whole = d->clock->ticks(d->inst) + atomic_load(&d->offset);
	else if (p.reg != ACLINT_NONE)
		whole = hart_read(&d->harts[p.hart], p.reg);
	*value = aclint_part(&p, whole);
	return MT_BUS_OK;
}

static void msip_write(struct hart *h, uint32_t value)
{
	pthread_mutex_lock(&h->lock);
	/* a hart may wait for one more message with the last one still pending: it gets an edge for each */
	if (h->msip && value & 1)
		h->dev->irq->line_set(h->msip_pin, 0);
	h->msip = value & 1;
	h->dev->irq->line_set(h->msip_pin, h->msip);
	pthread_mutex_unlock(&h->lock);
}

static void compare_write(struct hart *h, const struct aclint_place *p, uint64_t value)
{
	pthread_mutex_lock(&h->lock);
	h->compare = aclint_merge(p, h->compare, value);
	hart_update(h);
	pthread_mutex_unlock(&h->lock);
}

static void time_write(struct aclint_dev *d, const struct aclint_place *p, uint64_t value)
{
	uint64_t ticks = d->clock->ticks(d->inst);
	uint64_t old = atomic_load(&d->offset), new;

	do
		new = aclint_merge(p, ticks + old, value) - ticks;
	while (!atomic_compare_exchange_weak(&d->offset, &old, new));
	for (uint32_t i = 0; i < d->hart_count; i++)
		timer_fired(&d->harts[i]);
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct aclint_dev *d = self;
	struct aclint_place p = aclint_place(a->offset, a->width, d->hart_count);

	if (p.reg == ACLINT_MTIMECMP)
		compare_write(&d->harts[p.hart], &p, value);
	else if (p.reg == ACLINT_MSIP)
		msip_write(&d->harts[p.hart], (uint32_t)value);
	else if (p.reg == ACLINT_MTIME)
		time_write(d, &p, value);
	return MT_BUS_OK;
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "sifive,clint0", "riscv,clint0" };
	static const uint32_t causes[] = { 3, 7 };    /* machine software and machine timer interrupt */

	(void)self, (void)err;
	w->begin(fdt, "clint", "at");
	w->strs(fdt, "compatible", compatible, 2);
	w->vcpu_irqs(fdt, "interrupts-extended", causes, 2);
	w->end(fdt);
	return 0;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct aclint_dev *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->clock = host->get_interface(host, MT_IFACE_CLOCK);
	*self = d;
	return 0;
}

static int hart_init(struct aclint_dev *d, uint32_t index)
{
	struct hart *h = &d->harts[index];

	h->dev = d;
	h->compare = UINT64_MAX;
	h->msip_pin = d->irq->vcpu_pin(d->inst, index, "msip");
	h->mtip_pin = d->irq->vcpu_pin(d->inst, index, "mtip");
	h->timer = d->clock->timer_create(d->inst, MT_CLOCK_GUEST, timer_fired, h);
	pthread_mutex_init(&h->lock, NULL);
	return h->timer ? 0 : MT_ENOMEM;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "aclint", .at_prop = "at", .len_bytes = ACLINT_REGION_BYTES,
		.width_min = 4, .width_max = 8, .ops = &region_ops,
	};
	struct aclint_dev *d = self;
	uint32_t harts = d->irq->vcpu_count(d->inst);

	if (harts > ACLINT_HARTS_MAX)
		return mt_error_set(err, MT_ERANGE, "count", "an ACLINT serves at most %u vCPUs", ACLINT_HARTS_MAX);
	d->harts = calloc(harts + 1, sizeof(*d->harts));
	if (!d->harts)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	for (; d->hart_count < harts; d->hart_count++)
		if (hart_init(d, d->hart_count))
			return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

/* mtimecmp has no reset value in the specification: none, so that no timer interrupt waits. */
static void hart_reset(struct hart *h)
{
	pthread_mutex_lock(&h->lock);
	h->msip = 0;
	h->compare = UINT64_MAX;
	h->dev->irq->line_set(h->msip_pin, 0);
	hart_update(h);
	pthread_mutex_unlock(&h->lock);
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct aclint_dev *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	atomic_store(&d->offset, 0);
	for (uint32_t i = 0; i < d->hart_count; i++)
		hart_reset(&d->harts[i]);
	return 0;
}

/* Saved state: the levels of the pins are the kernel's and the vCPUs'. [main], nobody else is about. */

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct aclint_dev *d = self;
	uint64_t offset = atomic_load(&d->offset);

	(void)err;
	w->put(out, "offset", MT_STATE_U64, 0, &offset, 1);
	for (uint32_t i = 0; i < d->hart_count; i++) {
		w->begin(out, "hart", 0);
		w->put(out, "mtimecmp", MT_STATE_U64, 0, &d->harts[i].compare, 1);
		w->put(out, "msip", MT_STATE_U32, 0, &d->harts[i].msip, 1);
		w->end(out);
	}
	return 0;
}

static int hart_load(struct hart *h, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = r->get(in, "mtimecmp", MT_STATE_U64, &h->compare, 1);

	if (!code)
		code = r->get(in, "msip", MT_STATE_U32, &h->msip, 1);
	return code || h->msip <= 1 ? code : r->refuse(in, "msip", "is neither 0 nor 1");
}

/* `loaded` has room for all harts. */
static int harts_load(struct aclint_dev *d, struct hart *loaded, struct mt_state_in *in,
		      const struct mt_state_reader *r)
{
	uint32_t type = 0, count = 0;
	int code = 0;

	r->find(in, "hart", &type, &count);
	if (count != d->hart_count)
		return r->refuse(in, "hart", "is there in another number than the machine has vCPUs");
	for (uint32_t i = 0; !code && i < count; i++) {
		code = r->begin(in, "hart", i);
		if (code)
			return code;
		code = hart_load(&loaded[i], in, r);
		r->end(in);
	}
	return code;
}

static void hart_take(struct hart *h, const struct hart *loaded)
{
	struct aclint_dev *d = h->dev;
	uint64_t ticks = d->clock->ticks(d->inst);
	uint64_t due = aclint_due_tick(ticks, atomic_load(&d->offset), loaded->compare);

	h->compare = loaded->compare;
	h->msip = loaded->msip;
	d->clock->timer_arm(h->timer, due <= ticks || due == UINT64_MAX ? UINT64_MAX :
				      d->clock->ticks_to_ns(d->inst, due));
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct aclint_dev *d = self;
	struct hart *loaded = calloc(d->hart_count + 1, sizeof(*loaded));
	uint64_t offset = 0;
	int code;

	(void)version;
	if (!loaded)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = r->get(in, "offset", MT_STATE_U64, &offset, 1);
	if (!code)
		code = harts_load(d, loaded, in, r);
	if (!code) {
		atomic_store(&d->offset, offset);
		for (uint32_t i = 0; i < d->hart_count; i++)
			hart_take(&d->harts[i], &loaded[i]);
	}
	free(loaded);
	return code;
}

/* A state that says otherwise than the pins is put right. */
static void resume(void *self)
{
	struct aclint_dev *d = self;

	for (uint32_t i = 0; i < d->hart_count; i++) {
		d->irq->line_set(d->harts[i].msip_pin, d->harts[i].msip);
		timer_fired(&d->harts[i]);
	}
}

static const struct mt_state_class state_class = {
	.schema = "riscv-aclint", .version = 1, .version_min = 1, .save = save, .load = load,
};

static void destroy(void *self)
{
	struct aclint_dev *d = self;

	for (uint32_t i = 0; i < d->hart_count; i++)
		pthread_mutex_destroy(&d->harts[i].lock);
	free(d->harts);
	free(d);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

static const struct mt_fdt_node fdt_node = { .describe = describe };

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node })
