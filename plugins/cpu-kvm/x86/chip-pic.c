/* SPDX-License-Identifier: MIT */
/*
 * KVM's pair of 8259A as the class "dev-i8259". State: schema "i8259" of dev-i8259. KVM keeps no ICW1 and ICW3: it
 * takes a cascade at input 2, edges but for ELCR, and vectors of the 8086; what differs is refused.
 */
#include "chips.h"

#include <util/error.h>
#include <util/state.h>

/* Intel 231468, "Initialization command words" */
#define ICW1      0x10u
#define ICW1_IC4  0x01u
#define ICW1_SNGL 0x02u
#define ICW1_LTIM 0x08u
#define ICW4_8086 0x01u
#define ICW4_AEOI 0x02u
#define ICW4_SFNM 0x10u

/* --- lines --- */

static uint32_t input_count(void *self)
{
	(void)self;
	return PIC_INPUTS;
}

/* [any] */
static void input_set(void *self, uint32_t input, uint32_t level)
{
	const struct chip *c = self;
	struct kvm_irq_level line = { .irq = routes_gsi_pic(input), .level = level };

	if (c->k->vm_fd >= 0)
		vm_ioctl(c->k, KVM_IRQ_LINE, &line);
}

/* "intel,i8259": the input, and 3 for an edge that rises. */
static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = 3;
	return input == CASCADE_INPUT ? 0 : 2;
}

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count, .input_set = input_set, .fdt_cells = fdt_cells,
};

static int line_take(void *self, uint32_t input, int fd, int resample_fd)
{
	struct chip *c = self;

	return irqfd_take(c->k, routes_gsi_pic(input), fd, resample_fd);
}

static void line_give(void *self, uint32_t input, int fd, int resample_fd)
{
	struct chip *c = self;

	(void)resample_fd;
	irqfd_give(c->k, routes_gsi_pic(input), fd);
}

static const struct mt_cpu_eventfd eventfd = { .line_take = line_take, .line_give = line_give };

/* KVM fetches its vectors itself. */
static int32_t acknowledge(void *self)
{
	(void)self;
	return MT_VECTOR_NONE;
}

static const struct mt_vector_source vector_source = { .acknowledge = acknowledge };

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return chip_create(host, inst, CHIP_PIC, self, err);
}

static int realize(void *self, struct mt_error *err)
{
	static const struct chip_fixed fixed[] = {
		{ "port", 0x20 }, { "second-port", 0xa0 }, { "elcr", 0x4d0 }, { NULL, 0 },
	};
	struct chip *c = self;

	if (c->props->present(c->inst, "vcpu")) {
		mt_error_set(err, MT_ENOTSUP, "vcpu", "KVM has its 8259A pair behind the local APICs");
		mt_error_hint(err, "leave 'vcpu' out and name this one by 'pic' of the dev-lapic, or set irqchip = user in [cpu]");
		return MT_ENOTSUP;
	}
	return chip_check_fixed(c, fixed, err);
}

static const struct mt_device_class device_class = { .create = create, .realize = realize, .destroy = chip_destroy };

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	(void)self, (void)err;
	w->pic(acpi);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = describe };

/* --- state --- */

struct saved_chip {
	uint8_t line, irr, isr, imr, elcr, icw1, icw2, icw3, icw4;
	uint8_t step;                      /* the ICW that comes next, 2 to 4; 0: none */
	uint8_t ready;                     /* all of them have come */
	uint8_t lowest;                    /* the input of the lowest priority */
	uint8_t special_mask, rotate_auto, poll, read_isr;
};

struct saved {
	struct saved_chip chips[2];
};

#define BYTE(member, max) MT_STATE_VAR(struct saved_chip, member, max)

static const struct mt_state_field chip_fields[] = {
	BYTE(line, 0xff), BYTE(irr, 0xff), BYTE(isr, 0xff), BYTE(imr, 0xff), BYTE(elcr, 0xff), BYTE(icw1, 0xff),
	BYTE(icw2, 0xff), BYTE(icw3, 0xff), BYTE(icw4, 0x1f), BYTE(step, 4), BYTE(ready, 1), BYTE(lowest, 7),
	BYTE(special_mask, 1), BYTE(rotate_auto, 1), BYTE(poll, 1), BYTE(read_isr, 1),
};
static const struct mt_state_table chip_table = MT_STATE_TABLE(struct saved_chip, chip_fields);
static const struct mt_state_field fields[] = { MT_STATE_STRUCTS(struct saved, chips, &chip_table) };
static const struct mt_state_table table = MT_STATE_TABLE(struct saved, fields);

/* KVM's interrupts that are levels; those for ever edges (the timer, the keyboard, the cascade; clock, coprocessor). */
static const uint8_t elcr_bits[2] = { 0xf8, 0xde };
static const uint8_t cascades[2] = { 1u << CASCADE_INPUT, CASCADE_INPUT };

/* One that never had a command word shows no vectors: KVM does not say so. */
static bool is_fresh(const struct kvm_pic_state *k)
{
	return !k->irq_base && !k->init_state && !k->init4;
}

static void chip_save(const struct kvm_pic_state *k, uint32_t n, struct saved_chip *s)
{
	*s = (struct saved_chip){
		.line = k->last_irr, .irr = k->irr & (uint8_t)~k->elcr, .isr = k->isr, .imr = k->imr, .elcr = k->elcr,
		.lowest = (k->priority_add + 7) & 7, .special_mask = k->special_mask != 0,
		.rotate_auto = k->rotate_on_auto_eoi != 0, .poll = k->poll != 0, .read_isr = k->read_reg_select != 0,
	};
	if (is_fresh(k))
		return;
	s->icw1 = ICW1 | (k->init4 ? ICW1_IC4 : 0);
	s->icw2 = k->irq_base;
	s->icw3 = cascades[n];
	s->icw4 = (uint8_t)(ICW4_8086 | (k->auto_eoi ? ICW4_AEOI : 0) | (k->special_fully_nested_mode ? ICW4_SFNM : 0));
	s->step = k->init_state ? (uint8_t)(k->init_state + 1) : 0;
	s->ready = !s->step;
}

static void chip_load(const struct saved_chip *s, uint32_t n, struct kvm_pic_state *k)
{
	*k = (struct kvm_pic_state){
		.last_irr = s->line, .irr = (uint8_t)((s->irr & ~s->elcr) | (s->line & s->elcr)), .imr = s->imr, .isr = s->isr,
		.priority_add = (s->lowest + 1) & 7, .irq_base = s->icw2 & 0xf8, .read_reg_select = s->read_isr,
		.poll = s->poll, .special_mask = s->special_mask, .init_state = s->step ? s->step - 1 : 0,
		.auto_eoi = (s->icw4 & ICW4_AEOI) != 0, .rotate_on_auto_eoi = s->rotate_auto,
		.special_fully_nested_mode = (s->icw4 & ICW4_SFNM) != 0, .init4 = s->icw1 & ICW1_IC4,
		.elcr = s->elcr, .elcr_mask = elcr_bits[n],
	};
	/* in KVM the second chip's output is an edge that is over at once */
	if (n == 0)
		k->last_irr &= (uint8_t)~(1u << CASCADE_INPUT);
}

static const char *cannot_be(const struct saved_chip *s, uint32_t n)
{
	if (s->elcr & ~elcr_bits[n])
		return "has a level on an input that is an edge for ever";
	if (s->step == 1 || (s->step && s->ready))
		return "is in no step of the initialization";
	if (s->icw1 & (ICW1_SNGL | ICW1_LTIM))
		return "is single, or has levels on all inputs: KVM has no such 8259A";
	if (s->ready && (!(s->icw4 & ICW4_8086) || s->icw3 != cascades[n]))
		return "has vectors of the 8080, or another cascade: KVM has no such 8259A";
	return NULL;
}

static int pair_move(struct chip *c, struct kvm_irqchip pair[2],
		     int (*call)(struct kvm *k, uint32_t id, struct kvm_irqchip *state))
{
	int code = call(c->k, KVM_IRQCHIP_PIC_MASTER, &pair[0]);

	return code < 0 ? code : call(c->k, KVM_IRQCHIP_PIC_SLAVE, &pair[1]);
}

/*
 * KVM's timer pulses its line, and gives no further pulse before the last one was acknowledged: one that finds the
 * line high is no edge, and would be the last.
 */
static void timer_line_lower(const struct chip *c, struct kvm_irqchip pair[2])
{
	const struct chip *pit = c->k->chips[CHIP_PIT];

	if (pit && pit->to_pic >= 0)
		pair[pit->to_pic / 8].chip.pic.last_irr &= (uint8_t)~(1u << pit->to_pic % 8);
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct kvm_irqchip pair[2];
	struct saved saved;

	if (pair_move(self, pair, irqchip_get) < 0)
		return mt_error_set(err, MT_EIO, NULL, "KVM does not tell the state of the 8259A");
	for (uint32_t n = 0; n < 2; n++)
		chip_save(&pair[n].chip.pic, n, &saved.chips[n]);
	mt_state_save(out, w, &table, &saved);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct kvm_irqchip pair[2] = { { 0 } };
	struct saved saved = { 0 };
	int code = mt_state_load(in, r, &table, version, &saved);
	const char *why = NULL;

	for (uint32_t n = 0; code == 0 && n < 2 && !why; n++) {
		why = cannot_be(&saved.chips[n], n);
		chip_load(&saved.chips[n], n, &pair[n].chip.pic);
	}
	if (why)
		return r->refuse(in, "chips", why);
	if (code)
		return code;
	timer_line_lower(self, pair);
	if (pair_move(self, pair, irqchip_set) < 0)
		return mt_error_set(err, MT_EINVAL, NULL, "KVM does not take the 8259A of the snapshot");
	return 0;
}

static const struct mt_state_class state_class = {
	.schema = "i8259", .version = 1, .version_min = 1, .save = save, .load = load,
};

const struct mt_role chip_pic_roles[] = {
	{ MT_IFACE_DEVICE, &device_class }, { MT_IFACE_IRQ_SINK, &irq_sink }, { MT_IFACE_CPU_EVENTFD, &eventfd },
	{ MT_IFACE_VECTOR_SOURCE, &vector_source }, { MT_IFACE_ACPI_NODE, &acpi_node }, { MT_IFACE_STATE, &state_class },
};
const size_t chip_pic_role_count = sizeof(chip_pic_roles) / sizeof(chip_pic_roles[0]);
