/* SPDX-License-Identifier: MIT */
/*
 * KVM's I/O APIC as the class "dev-ioapic". Lines of the ISA bus go on to the 8259A pair by the instance's own
 * lines, as the device's do. State: schema "ioapic" of dev-ioapic; KVM keeps of the lines what it has yet to
 * deliver, so the levels are the instance's.
 */
#include "chips.h"

#include <util/error.h>
#include <util/state.h>

#define IOAPIC_BASE 0xfec00000u
#define REMOTE_IRR  (1u << 14)
#define LEVEL       (1u << 15)
#define MODE        0x700u
#define ENTRY_BITS  (UINT64_C(0xff) << 56 | (0x1ffffu & ~(1u << 12)))

/* [any] */
static void line_tell(const struct chip *c, uint32_t input, uint32_t level)
{
	struct kvm_irq_level line = { .irq = routes_gsi_ioapic(input), .level = level };

	if (c->k->vm_fd >= 0)
		vm_ioctl(c->k, KVM_IRQ_LINE, &line);
}

/* --- lines --- */

static uint32_t input_count(void *self)
{
	(void)self;
	return IOAPIC_INPUTS;
}

/* [any], under the kernel's lock of this input */
static void input_set(void *self, uint32_t input, uint32_t level)
{
	struct chip *c = self;

	if (level)
		atomic_fetch_or(&c->lines, 1u << input);
	else
		atomic_fetch_and(&c->lines, ~(1u << input));
	line_tell(c, input, level);
	c->irq->line_set(c->isa[input], level);
}

/* "intel,ce4100-ioapic": the input, and how it is triggered; 4: while it is high. */
static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = input;
	cells[1] = 4;
	return 2;
}

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count, .input_set = input_set, .fdt_cells = fdt_cells,
};

/* KVM knows nothing of the instance's own lines. */
static int line_take(void *self, uint32_t input, int fd, int resample_fd)
{
	struct chip *c = self;

	return c->isa[input] ? MT_ENOTSUP : irqfd_take(c->k, routes_gsi_ioapic(input), fd, resample_fd);
}

static void line_give(void *self, uint32_t input, int fd, int resample_fd)
{
	struct chip *c = self;

	(void)resample_fd;
	irqfd_give(c->k, routes_gsi_ioapic(input), fd);
}

static const struct mt_cpu_eventfd eventfd = { .line_take = line_take, .line_give = line_give };

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return chip_create(host, inst, CHIP_IOAPIC, self, err);
}

static void isa_get(struct chip *c)
{
	for (uint32_t i = 0; i < PIC_INPUTS; i++)
		if (i != CASCADE_INPUT)
			c->isa[i ? i : ISA_TIMER_INPUT] = c->irq->line_get(c->inst, "isa", i);
}

static int realize(void *self, struct mt_error *err)
{
	static const struct chip_fixed fixed[] = { { "at", IOAPIC_BASE }, { NULL, 0 } };
	struct chip *c = self;
	int code = chip_check_fixed(c, fixed, err);

	if (code < 0)
		return code;
	c->k->arch->first.ioapic.chip.ioapic.id = (uint32_t)c->props->get_u64(c->inst, "id");
	if (c->props->present(c->inst, "isa"))
		isa_get(c);
	return 0;
}

/* Levels stay over a reset; KVM's went with the vCPUs' reset, and all entries are masked. */
static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct chip *c = self;
	uint32_t lines = atomic_load(&c->lines);

	(void)kind, (void)err;
	for (uint32_t i = 0; phase == MT_RESET_EXIT && i < IOAPIC_INPUTS; i++)
		if (lines >> i & 1)
			line_tell(c, i, 1);
	return 0;
}

/* A level that was due when the machine was saved is sent: while the vCPUs were loaded it would have been lost. */
static void resume(void *self)
{
	struct chip *c = self;

	if (c->loaded && irqchip_set(c->k, KVM_IRQCHIP_IOAPIC, &c->state) < 0)
		kvm_log(c->k, MT_LOG_ERROR, "KVM does not take the loaded I/O APIC again: a level may be lost");
	c->loaded = false;
}

static const struct mt_device_class device_class = {
	.create = create, .realize = realize, .reset = reset, .resume = resume, .destroy = chip_destroy,
};

/* --- ACPI --- */

static uint32_t gsi(void *self, uint32_t input)
{
	const struct chip *c = self;

	return (uint32_t)c->props->get_u64(c->inst, "gsi-base") + input;
}

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	const struct chip *c = self;

	(void)err;
	w->ioapic(acpi, (uint32_t)c->props->get_u64(c->inst, "id"), IOAPIC_BASE, gsi(self, 0));
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = describe, .gsi = gsi };

/* --- state --- */

struct saved {
	uint32_t id, select, lines;
	uint64_t entry[IOAPIC_INPUTS];
};

static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct saved, id, 15),
	MT_STATE_VAR(struct saved, select, 0xff),
	MT_STATE_VAR(struct saved, lines, (1u << IOAPIC_INPUTS) - 1),
	MT_STATE_ARRAY(struct saved, entry, UINT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct saved, fields);

/* Delivery modes but fixed and lowest priority are edges, whatever the entry says. */
static bool is_level(uint64_t entry)
{
	return entry & LEVEL && (entry & MODE) <= 0x100;
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct chip *c = self;
	const struct kvm_ioapic_state *s;
	struct kvm_irqchip state;
	struct saved saved;

	if (irqchip_get(c->k, KVM_IRQCHIP_IOAPIC, &state) < 0)
		return mt_error_set(err, MT_EIO, NULL, "KVM does not tell the state of the I/O APIC");
	s = &state.chip.ioapic;
	saved = (struct saved){ .id = s->id & 15, .select = s->ioregsel & 0xff, .lines = atomic_load(&c->lines) };
	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
		saved.entry[i] = s->redirtbl[i].bits & ENTRY_BITS;
		if (!is_level(saved.entry[i]))
			saved.entry[i] &= ~(uint64_t)REMOTE_IRR;
	}
	mt_state_save(out, w, &table, &saved);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct chip *c = self;
	struct kvm_ioapic_state *s = &c->state.chip.ioapic;
	struct saved saved = { 0 };
	int code = mt_state_load(in, r, &table, version, &saved);

	for (uint32_t i = 0; code == 0 && i < IOAPIC_INPUTS; i++) {
		if (saved.entry[i] & ~ENTRY_BITS)
			code = r->refuse(in, "entry", "has bits that no entry has");
		else if (!is_level(saved.entry[i]) && saved.entry[i] & REMOTE_IRR)
			code = r->refuse(in, "entry", "has an edge with remote IRR");
	}
	if (code)
		return code;
	*s = (struct kvm_ioapic_state){ .base_address = IOAPIC_BASE, .ioregsel = saved.select, .id = saved.id };
	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
		s->redirtbl[i].bits = saved.entry[i];
		if (saved.lines >> i & 1 && is_level(saved.entry[i]))
			s->irr |= 1u << i;
	}
	if (irqchip_set(c->k, KVM_IRQCHIP_IOAPIC, &c->state) < 0)
		return mt_error_set(err, MT_EINVAL, NULL, "KVM does not take the I/O APIC of the snapshot");
	atomic_store(&c->lines, saved.lines);
	c->loaded = true;
	return 0;
}

static const struct mt_state_class state_class = {
	.schema = "ioapic", .version = 1, .version_min = 1, .save = save, .load = load,
};

const struct mt_role chip_ioapic_roles[] = {
	{ MT_IFACE_DEVICE, &device_class }, { MT_IFACE_IRQ_SINK, &irq_sink }, { MT_IFACE_CPU_EVENTFD, &eventfd },
	{ MT_IFACE_ACPI_NODE, &acpi_node }, { MT_IFACE_STATE, &state_class },
};
const size_t chip_ioapic_role_count = sizeof(chip_ioapic_roles) / sizeof(chip_ioapic_roles[0]);
