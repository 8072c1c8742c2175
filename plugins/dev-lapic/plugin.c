/* SPDX-License-Identifier: MIT */
/*
 * dev-lapic: attaches a local APIC to every vCPU, to the page of registers that each vCPU sees as its own, to the
 * messages that are written to the megabyte around it, to LINT0 and LINT1, and to the 8259A pair behind LINT0. A
 * parallel class: messages, lines and IPIs come on any thread, vCPUs fetch vectors on their own.
 *
 * `lock` is around one local APIC; `order` around telling its output, so that the last level told is its last. Easy
 * to break: no two local APICs are locked at once, `order` is taken before `lock`, and nothing outside is called
 * with `lock` held but the clock.
 */
#define MT_NOTE_NAME     "dev-lapic"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "The local APICs of x86 vCPUs"
#define MT_NOTE_REQUIRES \
	"mortise.mmio/1 mortise.irq/1 mortise.props/1 mortise.clock/1 mortise.msi-host/1 mortise.vector-host/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define LAPIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "0xfee00000", "0x100000", "", 0, \
	  "guest-physical address of the registers; messages go to the megabyte from here on") \
	P(c, pic, "pic", MT_PROP_REF, "", "mortise.vector-source/1", "", 0, \
	  "controller behind LINT0, which gives vectors of its own (dev-i8259)")
#define MT_NOTE_CLASSES(C) \
	C(lapic, "dev-lapic", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.msi-target/1 mortise.irq-sink/1 mortise.acpi-node/1", LAPIC_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/device.h>
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
#include <util/state.h>

#include "lapic.h"

#define REGION_BYTES 0x100000u
#define TOLD_NOTHING 2u
#define LVT_EXTINT   (LAPIC_EXTINT << 8)

/* A vCPU's. */
struct apic {
	struct lapic_dev *dev;
	struct mt_timer *timer;
	uint32_t vcpu;
	pthread_mutex_t lock, order;
	uint32_t told;             /* under `order` */
	uint64_t armed_ns;         /* under `lock`: of the timer */
	struct lapic chip;         /* under `lock` */
};

struct lapic_dev {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_clock_host *clock;
	const struct mt_props_host *props;
	const struct mt_msi_host *msi;
	const struct mt_vector_host *vectors;
	const struct mt_vector_source *source;   /* behind LINT0; NULL: none */
	void *source_self;
	struct apic *apics;
	uint32_t count;
};

static uint64_t now(const struct lapic_dev *d)
{
	return d->clock->now_ns(d->inst, MT_CLOCK_GUEST);
}

/* --- what follows a change --- */

static void output_tell(struct apic *p)
{
	struct lapic_dev *d = p->dev;
	uint32_t level;

	pthread_mutex_lock(&p->order);
	pthread_mutex_lock(&p->lock);
	level = lapic_output(&p->chip);
	pthread_mutex_unlock(&p->lock);
	if (level != p->told)
		d->vectors->request(d->inst, p->vcpu, level);
	p->told = level;
	pthread_mutex_unlock(&p->order);
}

static void events_tell(struct apic *p, const struct lapic_out *out)
{
	static const struct { uint32_t mode, event; } kinds[] = {
		{ LAPIC_INIT, MT_VCPU_EVENT_INIT }, { LAPIC_STARTUP, MT_VCPU_EVENT_STARTUP },
		{ LAPIC_NMI, MT_VCPU_EVENT_NMI }, { LAPIC_SMI, MT_VCPU_EVENT_SMI },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (out->events >> kinds[i].mode & 1)
			p->dev->vectors->event(p->dev->inst, p->vcpu, kinds[i].event, out->page);
}

/* With `lock`, which it drops. What else is to be done is the caller's: an IPI, the end of a level. */
static struct lapic_out leave(struct apic *p)
{
	struct lapic_out out = p->chip.out;
	uint64_t deadline_ns = lapic_deadline(&p->chip);

	memset(&p->chip.out, 0, sizeof(p->chip.out));
	if (deadline_ns != p->armed_ns)
		p->dev->clock->timer_arm(p->timer, deadline_ns);
	p->armed_ns = deadline_ns;
	pthread_mutex_unlock(&p->lock);
	events_tell(p, &out);
	output_tell(p);
	return out;
}

/* [io]; it may be early, or late for a deadline that has gone */
static void timer_fired(void *arg)
{
	struct apic *p = arg;

	pthread_mutex_lock(&p->lock);
	p->armed_ns = UINT64_MAX;
	lapic_tick(&p->chip, now(p->dev));
	leave(p);
}

/* --- delivery --- */

static uint32_t addressed(struct apic *p, const struct lapic_message *m, uint32_t sender, uint32_t *priority)
{
	uint32_t yes;

	pthread_mutex_lock(&p->lock);
	yes = lapic_is_addressed(&p->chip, m, sender);
	*priority = lapic_arbitration(&p->chip);
	pthread_mutex_unlock(&p->lock);
	return yes;
}

static void accept(struct apic *p, const struct lapic_message *m)
{
	pthread_mutex_lock(&p->lock);
	lapic_accept(&p->chip, m);
	leave(p);
}

/* The first of the lowest priority. One may change its own in between, as on a bus. */
static void deliver_to_lowest(struct lapic_dev *d, const struct lapic_message *m, uint32_t sender)
{
	struct apic *best = NULL;
	uint32_t lowest = 256, priority;

	for (uint32_t i = 0; i < d->count; i++)
		if (addressed(&d->apics[i], m, sender, &priority) && priority < lowest) {
			best = &d->apics[i];
			lowest = priority;
		}
	if (best)
		accept(best, m);
}

/* Without a lock. `sender`: an id, or LAPIC_BROADCAST for a device. */
static void deliver(struct lapic_dev *d, const struct lapic_message *m, uint32_t sender)
{
	uint32_t priority;

	if (m->redirect) {
		deliver_to_lowest(d, m, sender);
	} else if (!m->shorthand && !m->logical && m->dest != LAPIC_BROADCAST) {
		if (m->dest < d->count)
			accept(&d->apics[m->dest], m);
	} else {
		for (uint32_t i = 0; i < d->count; i++)
			if (addressed(&d->apics[i], m, sender, &priority))
				accept(&d->apics[i], m);
	}
}

/* --- registers and messages --- */

static uint32_t is_register(const struct lapic_dev *d, const struct mt_access *a)
{
	return a->offset < LAPIC_PAGE_BYTES && a->requester == MT_REQUESTER_VCPU && a->vcpu < d->count;
}

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct lapic_dev *d = self;
	struct apic *p;
	uint32_t off;

	*value = 0;
	if (!is_register(d, a))
		return a->offset < LAPIC_PAGE_BYTES ? MT_BUS_OK : MT_BUS_DECODE;
	p = &d->apics[a->vcpu];
	pthread_mutex_lock(&p->lock);
	off = p->chip.off;
	if (!off)
		*value = lapic_read(&p->chip, (uint32_t)a->offset, now(d));
	leave(p);
	return off ? MT_BUS_DECODE : MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct lapic_dev *d = self;
	struct lapic_out out;
	struct apic *p;
	uint32_t off;

	if (!is_register(d, a)) {
		struct lapic_message m = lapic_message_of((uint32_t)a->offset, (uint32_t)value);

		deliver(d, &m, LAPIC_BROADCAST);
		return MT_BUS_OK;
	}
	p = &d->apics[a->vcpu];
	pthread_mutex_lock(&p->lock);
	off = p->chip.off;
	if (!off)
		lapic_write(&p->chip, (uint32_t)a->offset, (uint32_t)value, now(d));
	out = leave(p);
	if (out.send)
		deliver(d, &out.message, p->vcpu);
	if (out.ended)
		d->msi->eoi(d->inst, out.ended);
	return off ? MT_BUS_DECODE : MT_BUS_OK;
}

/* --- vectors --- */

static int32_t chip_acknowledge(struct apic *p)
{
	int32_t vector;

	pthread_mutex_lock(&p->lock);
	vector = lapic_acknowledge(&p->chip);
	leave(p);
	return vector < 0 ? MT_VECTOR_NONE : vector;
}

/* ExtINT knows no priority ("Task and Processor Priorities"): it comes first. */
static int32_t acknowledge(void *arg)
{
	struct apic *p = arg;
	struct lapic_dev *d = p->dev;
	int32_t vector = MT_VECTOR_NONE;
	uint32_t extint;

	pthread_mutex_lock(&p->lock);
	extint = lapic_extint(&p->chip);
	lapic_extint_done(&p->chip);
	leave(p);
	if (extint && d->source)
		vector = d->source->acknowledge(d->source_self);
	return vector == MT_VECTOR_NONE ? chip_acknowledge(p) : vector;
}

static uint32_t priority(void *arg)
{
	struct apic *p = arg;
	uint32_t level;

	pthread_mutex_lock(&p->lock);
	level = lapic_priority(&p->chip);
	pthread_mutex_unlock(&p->lock);
	return level;
}

static void set_priority(void *arg, uint32_t level)
{
	struct apic *p = arg;

	pthread_mutex_lock(&p->lock);
	lapic_set_priority(&p->chip, level);
	leave(p);
}

static void set_enabled(void *arg, uint32_t enabled)
{
	struct apic *p = arg;

	pthread_mutex_lock(&p->lock);
	lapic_enable(&p->chip, enabled);
	leave(p);
}

static const struct mt_vector_ops vector_ops = {
	.size = sizeof(vector_ops), .acknowledge = acknowledge, .priority = priority, .set_priority = set_priority,
	.set_enabled = set_enabled,
};

/* --- lines --- */

static uint32_t input_count(void *self)
{
	(void)self;
	return LAPIC_LINTS;
}

/* A pin of all of them: what each makes of it is its vector table's. */
static void input_set(void *self, uint32_t input, uint32_t level)
{
	struct lapic_dev *d = self;

	for (uint32_t i = 0; i < d->count && input < LAPIC_LINTS; i++) {
		pthread_mutex_lock(&d->apics[i].lock);
		lapic_lint(&d->apics[i].chip, input, level);
		leave(&d->apics[i]);
	}
}

static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	return 1;
}

static void source_changed(void *arg, uint32_t level)
{
	input_set(arg, 0, level);
}

static int window(void *self, struct mt_msi_window *out)
{
	const struct lapic_dev *d = self;
	struct mt_msi_window w = {
		.size = out->size < sizeof(w) ? out->size : sizeof(w), .gpa = d->props->get_u64(d->inst, "at"),
		.len_bytes = REGION_BYTES, .identities = 255,
	};

	memcpy(out, &w, w.size);
	return 0;
}

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct lapic_dev *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->irq = host->get_interface(host, MT_IFACE_IRQ);
	d->clock = host->get_interface(host, MT_IFACE_CLOCK);
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	d->vectors = host->get_interface(host, MT_IFACE_VECTOR_HOST);
	*self = d;
	return 0;
}

static int apic_init(struct lapic_dev *d, uint32_t vcpu, struct mt_error *err)
{
	struct apic *p = &d->apics[vcpu];

	p->dev = d;
	p->vcpu = vcpu;
	p->told = TOLD_NOTHING;
	p->armed_ns = UINT64_MAX;
	p->chip.id = (uint8_t)vcpu;
	lapic_reset(&p->chip);
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->order, NULL);
	d->count = vcpu + 1;
	p->timer = d->clock->timer_create(d->inst, MT_CLOCK_GUEST, timer_fired, p);
	if (!p->timer)
		return mt_error_set(err, MT_ENOMEM, NULL, "no timer");
	return d->vectors->bind(d->inst, vcpu, &vector_ops, p, err);
}

static int source_take(struct lapic_dev *d, struct mt_error *err)
{
	if (!d->props->present(d->inst, "pic"))
		return 0;
	return d->vectors->take(d->inst, "pic", source_changed, d, &d->source, &d->source_self, err);
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .flags = MT_REGION_STRICT, .name = "lapic", .at_prop = "at",
		.len_bytes = REGION_BYTES, .width_min = 4, .width_max = 4, .ops = &region_ops,
	};
	struct lapic_dev *d = self;
	uint32_t vcpus = d->irq->vcpu_count(d->inst);
	uint64_t at = d->props->get_u64(d->inst, "at");
	int code = 0;

	if (vcpus > LAPIC_ID_MAX + 1)
		return mt_error_set(err, MT_ERANGE, "count", "local APICs serve at most %u vCPUs", LAPIC_ID_MAX + 1);
	if (at % REGION_BYTES)
		return mt_error_set(err, MT_EINVAL, "at", "the address is not a multiple of 0x%x", REGION_BYTES);
	d->apics = calloc(vcpus, sizeof(*d->apics));
	if (!d->apics)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	for (uint32_t i = 0; code == 0 && i < vcpus; i++)
		code = apic_init(d, i, err);
	if (code == 0)
		code = source_take(d, err);
	if (code)
		return code;
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

/*
 * A kernel that no firmware has started finds what firmware leaves: interrupts of the 8259A come through LINT0 of
 * the first vCPU (MultiProcessor Specification 1.4, "Virtual Wire Mode").
 */
static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct lapic_dev *d = self;

	(void)kind, (void)err;
	if (phase != MT_RESET_HOLD)
		return 0;
	for (uint32_t i = 0; i < d->count; i++) {
		struct apic *p = &d->apics[i];

		pthread_mutex_lock(&p->lock);
		lapic_reset(&p->chip);
		if (i == 0 && d->source)
			p->chip.lvt[LVT_LINT0] = LVT_EXTINT;
		leave(p);
	}
	return 0;
}

static void resume(void *self)
{
	struct lapic_dev *d = self;

	for (uint32_t i = 0; i < d->count; i++) {
		pthread_mutex_lock(&d->apics[i].order);
		d->apics[i].told = TOLD_NOTHING;
		pthread_mutex_unlock(&d->apics[i].order);
		output_tell(&d->apics[i]);
	}
}

static void destroy(void *self)
{
	struct lapic_dev *d = self;

	for (uint32_t i = 0; i < d->count; i++) {
		pthread_mutex_destroy(&d->apics[i].order);
		pthread_mutex_destroy(&d->apics[i].lock);
	}
	free(d->apics);
	free(d);
}

/* --- state: a group for each vCPU --- */

#define WORD(member) MT_STATE_VAR(struct lapic, member, UINT32_MAX)
#define WORDS(member) MT_STATE_ARRAY(struct lapic, member, UINT32_MAX)

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct lapic, extint, 1), MT_STATE_ARRAY(struct lapic, line, 1), MT_STATE_VAR(struct lapic, tpr, 0xff),
	WORD(ldr), WORD(dfr), WORD(svr), WORDS(isr), WORDS(tmr), WORDS(irr), WORD(esr), WORD(errors), WORD(icr_low),
	WORD(icr_high), WORDS(lvt), WORD(initial), WORD(divide), MT_STATE_VAR(struct lapic, deadline_ns, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct lapic, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct lapic_dev *d = self;

	(void)err;
	for (uint32_t i = 0; i < d->count; i++) {
		w->begin(out, "apic", 0);
		pthread_mutex_lock(&d->apics[i].lock);
		mt_state_save(out, w, &table, &d->apics[i].chip);
		pthread_mutex_unlock(&d->apics[i].lock);
		w->end(out);
	}
	return 0;
}

static int chip_load(struct lapic *chip, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version)
{
	int code = mt_state_load(in, r, &table, version, chip);
	const char *why = code ? NULL : lapic_cannot_be(chip);

	return why ? r->refuse(in, "lvt", why) : code;
}

/* Into copies first: all or none. */
static int chips_load(struct lapic_dev *d, struct lapic *chips, struct mt_state_in *in,
		      const struct mt_state_reader *r, uint32_t version)
{
	uint32_t type = 0, count = 0;
	int code = 0;

	r->find(in, "apic", &type, &count);
	if (count != d->count)
		return r->refuse(in, "apic", "is there in another number than the machine has vCPUs");
	for (uint32_t i = 0; !code && i < count; i++) {
		code = r->begin(in, "apic", i);
		if (code)
			return code;
		chips[i].id = (uint8_t)i;
		code = chip_load(&chips[i], in, r, version);
		r->end(in);
	}
	return code;
}

static void chip_take(struct apic *p, const struct lapic *chip)
{
	const uint8_t off = p->chip.off;

	pthread_mutex_lock(&p->lock);
	p->chip = *chip;
	p->chip.off = off;
	p->armed_ns = lapic_deadline(chip);
	p->dev->clock->timer_arm(p->timer, p->armed_ns);
	pthread_mutex_unlock(&p->lock);
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct lapic_dev *d = self;
	struct lapic *chips = calloc(d->count, sizeof(*chips));
	int code;

	if (!chips)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = chips_load(d, chips, in, r, version);
	for (uint32_t i = 0; !code && i < d->count; i++)
		chip_take(&d->apics[i], &chips[i]);
	free(chips);
	return code;
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.resume = resume,
	.destroy = destroy,
};

static const struct mt_state_class state_class = {
	.schema = "lapic", .version = 1, .version_min = 1, .save = save, .load = load,
};

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count,
	.input_set = input_set,
	.fdt_cells = fdt_cells,
};

/* The CPUs are told of by who serves their local APICs: a machine without these has no MADT. */
static int acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	const struct lapic_dev *d = self;

	(void)err;
	for (uint32_t i = 0; i < d->irq->vcpu_count(d->inst); i++)
		w->cpu(acpi, i, i);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe };

static const struct mt_msi_target msi_target = { .window = window };

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_MSI_TARGET, &msi_target },
		       { MT_IFACE_IRQ_SINK, &irq_sink },
		       { MT_IFACE_ACPI_NODE, &acpi_node },
		       { MT_IFACE_STATE, &state_class })
