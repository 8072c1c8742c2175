/* SPDX-License-Identifier: MIT */
/*
 * The local APICs of KVM as the class "dev-lapic". Messages of devices come by a region at their address, which vCPUs
 * do not see: KVM serves them before. With irqchip = split a pair of 8259A devices may stand behind LINT0.
 *
 * State: schema "lapic" of dev-lapic. The page that KVM wants goes to it with the registers of its vCPU (whole.c),
 * which are loaded after all devices: the order matters there.
 */
#include "chips.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>
#include <util/state.h>

#define LAPIC_BASE  0xfee00000u
#define LAPIC_BYTES 0x100000u
#define IDENTITIES  255u
#define MODE_SHIFT  8              /* of the delivery mode, in the data of messages */
#define MODE_EXTINT 7u

/* Offsets in the page, and bits (Intel SDM volume 3, "Local APIC Register Address Map", "Local Vector Table"). */
enum {
	AT_ID = 0x20, AT_TPR = 0x80, AT_LDR = 0xd0, AT_DFR = 0xe0, AT_SVR = 0xf0, AT_ISR = 0x100, AT_TMR = 0x180,
	AT_IRR = 0x200, AT_ESR = 0x280, AT_ICR = 0x300, AT_ICR_HIGH = 0x310, AT_LVT = 0x320, AT_INITIAL = 0x380,
	AT_CURRENT = 0x390, AT_DIVIDE = 0x3e0,
};
#define LVT_COUNT     6u
#define LVT_TIMER     0u
#define TIMER_PERIODIC (1u << 17)
#define TIMER_DEADLINE (1u << 18)
#define PENDING       (1u << 12)           /* delivery status, of LVT and ICR: nothing waits in a saved one */

/* --- messages --- */

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	(void)self, (void)a;
	*value = 0;
	return MT_BUS_OK;
}

/* [any] Intel SDM volume 3, "Message Signalled Interrupts" */
static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	const struct chip *c = self;
	const bool extint = c->source && ((uint32_t)value >> MODE_SHIFT & 7) == MODE_EXTINT;
	struct kvm_msi msi = { .address_lo = LAPIC_BASE + (uint32_t)a->offset, .data = (uint32_t)value };

	if (extint)
		extint_send(c->k, msi.address_lo);
	return extint ? MT_BUS_OK : split_send(c->k, &msi) < 0 ? MT_BUS_DEVICE : MT_BUS_OK;
}

static int window(void *self, struct mt_msi_window *out)
{
	struct mt_msi_window w = {
		.size = out->size < sizeof(w) ? out->size : sizeof(w), .gpa = LAPIC_BASE, .len_bytes = LAPIC_BYTES,
		.identities = IDENTITIES,
	};

	(void)self;
	memcpy(out, &w, w.size);
	return 0;
}

static const struct mt_msi_target msi_target = { .window = window };

/* --- lines: KVM's LINT0 is the 8259A's, and LINT1 no one's --- */

static uint32_t input_count(void *self)
{
	(void)self;
	return 0;
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	(void)self, (void)input, (void)level;
}

static const struct mt_irq_sink irq_sink = { .input_count = input_count, .input_set = input_set };

/* --- the 8259A of devices --- */

/* [vcpu] */
static int32_t acknowledge(void *arg)
{
	const struct chip *c = arg;

	return c->source->acknowledge(c->source_self);
}

/* [any] */
static void source_changed(void *arg, uint32_t level)
{
	const struct chip *c = arg;

	c->vectors->request(c->inst, 0, level);
}

static int source_take(struct chip *c, struct mt_error *err)
{
	static const struct mt_vector_ops ops = { .size = sizeof(ops), .acknowledge = acknowledge };
	int code;

	if (!c->props->present(c->inst, "pic"))
		return 0;
	code = c->vectors->take(c->inst, "pic", source_changed, c, &c->source, &c->source_self, err);
	if (code < 0)
		return code;
	return extint_init(c) ? c->vectors->bind(c->inst, 0, &ops, c, err) :
	       mt_error_set(err, MT_ENOMEM, NULL, "no timer");
}

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return chip_create(host, inst, CHIP_LAPIC, self, err);
}

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_ops ops = { .read = region_read, .write = region_write };
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "lapic", .at_prop = "at", .len_bytes = LAPIC_BYTES,
		.width_min = 4, .width_max = 4, .ops = &ops,
	};
	static const struct chip_fixed fixed[] = { { "at", LAPIC_BASE }, { NULL, 0 } };
	struct chip *c = self;
	int code = chip_check_fixed(c, fixed, err);

	if (code < 0)
		return code;
	if (c->k->irqchip && !c->props->present(c->inst, "pic")) {
		mt_error_set(err, MT_EINVAL, "pic", "KVM has its 8259A pair behind LINT0, and the file does not say so");
		mt_error_hint(err, "set pic to the dev-i8259, or irqchip = split or user in [cpu]");
		return MT_EINVAL;
	}
	code = c->k->irqchip ? 0 : source_take(c, err);
	if (code < 0)
		return code;
	return c->mmio->region_add(c->inst, &desc, err) ? 0 : MT_EINVAL;
}

static const struct mt_device_class device_class = { .create = create, .realize = realize, .destroy = chip_destroy };

/* --- ACPI --- */

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	const struct chip *c = self;

	(void)err;
	for (uint32_t i = 0; i < c->k->vcpu_count; i++)
		w->cpu(acpi, i, i);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = describe };

/* --- state: a group for each vCPU --- */

struct saved {
	uint8_t extint;                    /* an ExtINT message waits */
	uint8_t line[2];                   /* LINT pins: who drives them says so again */
	uint8_t tpr;
	uint32_t ldr, dfr, svr, isr[8], tmr[8], irr[8], esr;
	uint32_t errors;                   /* that the guest has not asked for yet */
	uint32_t icr_low, icr_high, lvt[LVT_COUNT], initial, divide;
	uint64_t deadline_ns;              /* of guest time: when the count reaches 0; 0: it does not run */
};

#define WORD(member) MT_STATE_VAR(struct saved, member, UINT32_MAX)
#define WORDS(member) MT_STATE_ARRAY(struct saved, member, UINT32_MAX)

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct saved, extint, 1), MT_STATE_ARRAY(struct saved, line, 1), MT_STATE_VAR(struct saved, tpr, 0xff),
	WORD(ldr), WORD(dfr), WORD(svr), WORDS(isr), WORDS(tmr), WORDS(irr), WORD(esr), WORD(errors), WORD(icr_low),
	WORD(icr_high), WORDS(lvt), WORD(initial), WORD(divide), MT_STATE_VAR(struct saved, deadline_ns, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct saved, fields);

static uint32_t word_get(const struct kvm_lapic_state *page, uint32_t at)
{
	uint32_t value;

	memcpy(&value, page->regs + at, sizeof(value));
	return value;
}

static void word_set(struct kvm_lapic_state *page, uint32_t at, uint32_t value)
{
	memcpy(page->regs + at, &value, sizeof(value));
}

/* Between the page and the schema, both ways by one list. */
static void move(bool in, struct kvm_lapic_state *page, struct saved *s)
{
	const struct { uint32_t at, *own, count, stride; } words[] = {
		{ AT_LDR, &s->ldr, 1, 0 }, { AT_DFR, &s->dfr, 1, 0 }, { AT_SVR, &s->svr, 1, 0 }, { AT_ISR, s->isr, 8, 16 },
		{ AT_TMR, s->tmr, 8, 16 }, { AT_IRR, s->irr, 8, 16 }, { AT_ESR, &s->esr, 1, 0 },
		{ AT_ICR, &s->icr_low, 1, 0 }, { AT_ICR_HIGH, &s->icr_high, 1, 0 }, { AT_LVT, s->lvt, LVT_COUNT, 16 },
		{ AT_INITIAL, &s->initial, 1, 0 }, { AT_DIVIDE, &s->divide, 1, 0 },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (uint32_t n = 0; n < words[i].count; n++) {
			if (in)
				word_set(page, words[i].at + n * words[i].stride, words[i].own[n]);
			else
				words[i].own[n] = word_get(page, words[i].at + n * words[i].stride);
		}
}

/* KVM counts at 1 GHz before the divisor, as dev-lapic does. */
static uint64_t divisor(uint32_t divide)
{
	return 1u << ((((divide & 3) | (divide >> 1 & 4)) + 1) & 7);
}

static void chip_save(const struct chip *c, const struct kvm_lapic_state *page, struct saved *s)
{
	uint32_t left = word_get(page, AT_CURRENT);
	struct kvm_lapic_state copy = *page;

	memset(s, 0, sizeof(*s));
	move(false, &copy, s);
	s->tpr = (uint8_t)word_get(page, AT_TPR);
	s->icr_low &= ~PENDING;
	for (uint32_t i = 0; i < LVT_COUNT; i++)
		s->lvt[i] &= ~PENDING;
	s->divide &= 0xb;
	/* a periodic one never ends: with nothing left it is due, and KVM has not begun the next period yet */
	if (!left && s->lvt[LVT_TIMER] & TIMER_PERIODIC)
		left = 1;
	if (left && s->initial && !(s->lvt[LVT_TIMER] & TIMER_DEADLINE))
		s->deadline_ns = chip_guest_ns(c) + left * divisor(s->divide);
}

/* KVM starts the timer by these two words; with nothing left it would fire once more. */
static void timer_load(const struct chip *c, struct kvm_lapic_state *page, const struct saved *s)
{
	uint64_t now = chip_guest_ns(c), left = 0;

	if (s->deadline_ns)
		left = s->deadline_ns > now ? (s->deadline_ns - now) / divisor(s->divide) : 1;
	left = left > s->initial ? s->initial : left;
	if (s->deadline_ns && !left)
		left = 1;
	if (!left && !(s->lvt[LVT_TIMER] & TIMER_DEADLINE))
		word_set(page, AT_INITIAL, 0);
	word_set(page, AT_CURRENT, (uint32_t)left);
}

static const char *cannot_be(const struct chip *c, const struct saved *s)
{
	if (s->extint && !c->source)
		return "has an ExtINT message that waits, which KVM has no place for";
	if (s->errors)
		return "has errors that the guest has not asked for, which KVM has no place for";
	if ((s->irr[0] | s->isr[0] | s->tmr[0]) & 0xffff)
		return "has one of the vectors that no interrupt has";
	if (s->deadline_ns && !s->initial)
		return "counts from 0";
	return NULL;
}

/*
 * A timer whose time has come leaves its interrupt beside the local APIC, in no state, until the vCPU is run next
 * (Linux, arch/x86/kvm/lapic.c, lapic_timer.pending): so it is, as one that waits for its start-up and can run nothing.
 */
static int timer_take_in(struct kvm_vcpu *v)
{
	const struct kvm_mp_state waits = { .mp_state = KVM_MP_STATE_INIT_RECEIVED };
	struct kvm_mp_state mp;
	int code, again;

	/* asking for the run state makes KVM do an INIT that waits, which changes the local APIC */
	code = vcpu_ioctl(v, KVM_GET_MP_STATE, &mp);
	if (code >= 0)
		code = vcpu_ioctl(v, KVM_SET_MP_STATE, &waits);
	if (code < 0)
		return code;
	code = vcpu_look(v);
	again = vcpu_ioctl(v, KVM_SET_MP_STATE, &mp);
	return code < 0 ? code : again;
}

/* One that counts has no interrupt beside it; one that does not may have run out since. */
static int page_get(struct kvm_vcpu *v, struct kvm_lapic_state *page)
{
	int code = 0;

	for (int i = 0; code >= 0 && i < 2; i++) {
		code = timer_take_in(v);
		if (code >= 0)
			code = vcpu_ioctl(v, KVM_GET_LAPIC, page);
		if (code < 0 || !word_get(page, AT_INITIAL) || word_get(page, AT_CURRENT))
			break;
	}
	return code;
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct chip *c = self;

	for (uint32_t i = 0; i < c->k->vcpu_count; i++) {
		struct kvm_lapic_state page;
		struct saved s;

		if (page_get(c->k->vcpus[i], &page) < 0)
			return mt_error_set(err, MT_EIO, NULL, "KVM does not tell the state of the local APIC of vCPU %u", i);
		extint_look(c->k->vcpus[i], &page);
		chip_save(c, &page, &s);
		s.extint = atomic_load(&c->k->vcpus[i]->arch->extint.waits);
		w->begin(out, "apic", 0);
		mt_state_save(out, w, &table, &s);
		w->end(out);
	}
	return 0;
}

static int chip_load(const struct chip *c, uint32_t vcpu, struct kvm_lapic_state *page, uint8_t *extint,
		     struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version)
{
	struct saved s = { 0 };
	int code = mt_state_load(in, r, &table, version, &s);
	const char *why = code ? NULL : cannot_be(c, &s);

	if (why)
		return r->refuse(in, "lvt", why);
	if (code)
		return code;
	/* what the schema has not is as at power on */
	*page = c->k->vcpus[vcpu]->arch->first->lapic;
	move(true, page, &s);
	word_set(page, AT_TPR, s.tpr);
	word_set(page, AT_ID, vcpu << 24);
	timer_load(c, page, &s);
	*extint = s.extint;
	return 0;
}

/* Into copies first: all or none. */
static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct chip *c = self;
	uint32_t type = 0, count = 0;
	struct kvm_lapic_state *pages;
	uint8_t *extint;
	int code = 0;

	r->find(in, "apic", &type, &count);
	if (count != c->k->vcpu_count)
		return r->refuse(in, "apic", "is there in another number than the machine has vCPUs");
	pages = calloc(count, sizeof(*pages) + 1);
	extint = (uint8_t *)(pages + count);
	if (!pages)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	for (uint32_t i = 0; !code && i < count; i++) {
		code = r->begin(in, "apic", i);
		if (code)
			break;
		code = chip_load(c, i, &pages[i], &extint[i], in, r, version);
		r->end(in);
	}
	for (uint32_t i = 0; !code && i < count; i++) {
		c->k->vcpus[i]->arch->lapic = pages[i];
		atomic_store(&c->k->vcpus[i]->arch->extint.waits, extint[i]);
	}
	free(pages);
	return code;
}

static const struct mt_state_class state_class = {
	.schema = "lapic", .version = 1, .version_min = 1, .save = save, .load = load,
};

const struct mt_role chip_lapic_roles[] = {
	{ MT_IFACE_DEVICE, &device_class }, { MT_IFACE_MSI_TARGET, &msi_target }, { MT_IFACE_IRQ_SINK, &irq_sink },
	{ MT_IFACE_ACPI_NODE, &acpi_node }, { MT_IFACE_STATE, &state_class },
};
const size_t chip_lapic_role_count = sizeof(chip_lapic_roles) / sizeof(chip_lapic_roles[0]);
