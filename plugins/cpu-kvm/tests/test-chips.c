/* SPDX-License-Identifier: MIT */
/*
 * The classes that stand in for devices: what KVM is asked for by what the file names, lines and their numbers, what
 * is told in ACPI tables, what is refused; their state in the schemas of the devices, there and back, and what of it
 * KVM cannot have.
 */
#include <errno.h>
#include <fake/acpi.h>
#include <fake/check-run.h>
#include <string.h>

#include "steps.h"

static void start(void)
{
	shim_start();
	bench_new(2);
}

static void again(void)
{
	stop();
	start();
}

static void counters_at_power_on(void)
{
	for (uint32_t i = 0; i < 3; i++)
		shim.chips.pit.channels[i] = (struct kvm_pit_channel_state){ .mode = 0xff, .gate = i != 2 };
}

static void refused(int code, const char *culprit, const char *words)
{
	ck_assert_int_eq(bench_up(), code);
	ck_assert_str_eq(b.err.culprit, culprit);
	ck_assert_msg(strstr(b.err.message, words), "%s", b.err.message);
	again();
}

/* What is made */

START_TEST(what_the_file_names)
{
	up();
	ck_assert(shim.irqchip && shim.pit && !shim.split);
	again();
	bench_without(CHIP_PIT);
	up();
	ck_assert(shim.irqchip && !shim.pit);
	again();
	for (uint32_t i = 0; i < CHIPS; i++)
		bench_without(i);
	b.count = 1;
	up();
	ck_assert(!shim.irqchip && !shim.pit);
}
END_TEST

START_TEST(all_or_none)
{
	bench_without(CHIP_PIC);
	refused(MT_EINVAL, "irqchip", "the file lacks dev-i8259");
	bench_without(CHIP_LAPIC);
	bench_without(CHIP_IOAPIC);
	refused(MT_EINVAL, "irqchip", "the file lacks dev-lapic, dev-ioapic");
	for (uint32_t i = 0; i < CHIPS; i++)
		bench_without(i);
	refused(MT_EINVAL, "count", "no way to start each other");
}
END_TEST

START_TEST(what_kvm_has_fixed)
{
	static const struct { uint32_t chip; const char *prop, *value, *words; } all[] = {
		{ CHIP_LAPIC, "at", "0xfed00000", "at 0xfee00000 only" },
		{ CHIP_IOAPIC, "at", "0xfec01000", "at 0xfec00000 only" },
		{ CHIP_PIC, "port", "0x30", "at 0x20 only" }, { CHIP_PIC, "second-port", "0x30", "at 0xa0 only" },
		{ CHIP_PIC, "elcr", "0x30", "at 0x4d0 only" }, { CHIP_PIC, "vcpu", "0", "behind the local APICs" },
		{ CHIP_PIT, "port", "0x50", "at 0x40 only" }, { CHIP_PIT, "speaker", "0x62", "at 0x61 only" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		fake_prop(bench_chip(all[i].chip), all[i].prop, all[i].value);
		refused(MT_ENOTSUP, all[i].prop, all[i].words);
	}
	fake_prop(bench_chip(CHIP_LAPIC), "pic", "");
	refused(MT_EINVAL, "pic", "behind LINT0");
	fake_prop(bench_chip(CHIP_PIT), "irq", "gpio:0");
	refused(MT_EINVAL, "irq", "not gpio:0");
}
END_TEST

START_TEST(one_of_each)
{
	struct fake *second;

	up();
	second = fake_new("dev-i8254");
	fake_accelerator(second, b.self);
	ck_assert_int_eq(fake_create(second, &b.err), MT_EBUSY);
	fake_free(second);
	second = fake_new("dev-i8254");
	ck_assert_int_eq(fake_create(second, &b.err), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(b.err.message, "not the accelerator"));
	fake_free(second);
}
END_TEST

static const char *told(uint32_t chip, struct mt_acpi *said)
{
	return fake_acpi_of(fake_role(bench_chips[chip], MT_IFACE_ACPI_NODE), chip_self(chip), said);
}

START_TEST(acpi)
{
	const struct mt_acpi_node *node;
	struct mt_acpi said;

	fake_prop(bench_chip(CHIP_IOAPIC), "id", "3");
	fake_prop(bench_chip(CHIP_IOAPIC), "gsi-base", "24");
	up();
	ck_assert_str_eq(told(CHIP_LAPIC, &said), "cpu 0 apic 0\ncpu 1 apic 1\n");
	ck_assert_str_eq(told(CHIP_IOAPIC, &said), "ioapic 3 at fec00000 from 18\n");
	ck_assert_str_eq(told(CHIP_PIC, &said), "pic\n");
	ck_assert_msg(strstr(told(CHIP_PIT, &said), "PNP0100"), "%s", told(CHIP_PIT, &said));
	node = fake_role(bench_chips[CHIP_IOAPIC], MT_IFACE_ACPI_NODE);
	ck_assert_uint_eq(node->gsi(chip_self(CHIP_IOAPIC), 2), 26);
	b.cls->vcpu_reset(b.vcpu[0], MT_RESET_COLD);
	ck_assert_uint_eq(shim.chips.ioapic.chip.ioapic.id, 3);
}
END_TEST

/* Lines and messages */

/* What a number of KVM's raises, in the order of its table: "i2 p0" is input 2 of the I/O APIC and 0 of the 8259A. */
static const char *raises(uint32_t gsi)
{
	static char text[64];

	*text = '\0';
	for (uint32_t i = 0; i < shim.route_count; i++) {
		const struct kvm_irq_routing_entry *e = &shim.routes[i];

		if (e->gsi != gsi)
			continue;
		ck_assert_uint_eq(e->type, KVM_IRQ_ROUTING_IRQCHIP);
		sprintf(text + strlen(text), "%s%c%u", *text ? " " : "", e->u.irqchip.irqchip == KVM_IRQCHIP_IOAPIC ? 'i' : 'p',
			e->u.irqchip.pin + (e->u.irqchip.irqchip == KVM_IRQCHIP_PIC_SLAVE ? 8 : 0));
	}
	return text;
}

START_TEST(each_input_has_a_number)
{
	char want[16];

	up();
	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
		sprintf(want, "i%u", i);
		ck_assert_str_eq(raises(routes_gsi_ioapic(i)), want);
	}
	for (uint32_t i = 0; i < PIC_INPUTS; i++) {
		sprintf(want, "p%u", i);
		ck_assert_str_eq(raises(routes_gsi_pic(i)), i == CASCADE_INPUT ? "" : want);
	}
	/* the timer's: as the file has it; by the last of an input KVM tells of ends */
	ck_assert_str_eq(raises(0), "i2 p0");
	ck_assert_uint_eq(shim.routes[shim.route_count - 1].gsi, 0);
	again();
	fake_prop(bench_chip(CHIP_PIT), "irq", "pic:0");
	up();
	ck_assert_str_eq(raises(0), "p0");
	again();
	fake_prop(bench_chip(CHIP_PIT), "irq", "ioapic:5");
	up();
	ck_assert_str_eq(raises(0), "i5 p5");
	again();
	fake_prop(bench_chip(CHIP_PIT), "irq", "ioapic:20");
	up();
	ck_assert_str_eq(raises(0), "i20");
	again();
	fake_prop(bench_chip(CHIP_PIT), "irq", "");
	up();
	ck_assert_str_eq(raises(0), "");
}
END_TEST

START_TEST(lines)
{
	const struct mt_irq_sink *pic;
	uint32_t cells[4];

	up();
	fake_input(bench_chips[CHIP_IOAPIC], 4, 1);
	ck_assert_uint_eq(shim.lines[routes_gsi_ioapic(4)], 1);
	ck_assert_uint_eq(fake_line(bench_chips[CHIP_IOAPIC], "isa", 4), 1);
	fake_input(bench_chips[CHIP_IOAPIC], 4, 0);
	ck_assert_uint_eq(shim.lines[routes_gsi_ioapic(4)], 0);
	ck_assert_uint_eq(fake_line(bench_chips[CHIP_IOAPIC], "isa", 4), 0);
	fake_input(bench_chips[CHIP_IOAPIC], 2, 1);
	ck_assert_uint_eq(fake_line(bench_chips[CHIP_IOAPIC], "isa", 0), 1);
	fake_input(bench_chips[CHIP_PIC], 12, 1);
	ck_assert_uint_eq(shim.lines[routes_gsi_pic(12)], 1);
	pic = fake_role(bench_chips[CHIP_PIC], MT_IFACE_IRQ_SINK);
	ck_assert_uint_eq(pic->input_count(chip_self(CHIP_PIC)), 16);
	ck_assert_uint_eq(pic->fdt_cells(chip_self(CHIP_PIC), 2, cells), 0);
	ck_assert_uint_eq(pic->fdt_cells(chip_self(CHIP_PIC), 3, cells), 2);
}
END_TEST

/* KVM's forget them with a reset, and nobody would say them again. */
START_TEST(levels_stay_over_a_reset)
{
	up();
	fake_input(bench_chips[CHIP_IOAPIC], 17, 1);
	memset(shim.lines, 0, sizeof(shim.lines));
	ck_assert_int_eq(fake_reset(bench_chips[CHIP_IOAPIC], MT_RESET_WARM, &b.err), 0);
	ck_assert_uint_eq(shim.lines[17], 1);
	ck_assert_uint_eq(shim.lines[16], 0);
}
END_TEST

START_TEST(messages)
{
	struct mt_msi_window w = { .size = sizeof(w) };
	const struct mt_msi_target *target;
	const struct mt_region_desc *d;
	struct mt_access a = { .offset = 0x1000, .width = 4, .vcpu = MT_VCPU_NONE };
	uint64_t value = 7;

	up();
	target = fake_role(bench_chips[CHIP_LAPIC], MT_IFACE_MSI_TARGET);
	ck_assert_int_eq(target->window(chip_self(CHIP_LAPIC), &w), 0);
	ck_assert(w.gpa == 0xfee00000 && w.len_bytes == 0x100000 && w.identities == 255);
	d = fake_region(bench_chips[CHIP_LAPIC], 0);
	ck_assert_uint_eq(d->ops->write(chip_self(CHIP_LAPIC), &a, 0x4041), MT_BUS_OK);
	ck_assert_uint_eq(shim.msi.address_lo, 0xfee01000);
	ck_assert_uint_eq(shim.msi.data, 0x4041);
	shim.fail_request = KVM_SIGNAL_MSI;
	shim.fail_error = -EINVAL;
	ck_assert_uint_eq(d->ops->write(chip_self(CHIP_LAPIC), &a, 1), MT_BUS_DEVICE);
	ck_assert_uint_eq(d->ops->read(chip_self(CHIP_LAPIC), &a, &value), MT_BUS_OK);
	ck_assert_uint_eq(value, 0);
}
END_TEST

/* State */

static uint64_t get(struct fake_state *s, const char *path, uint32_t index)
{
	return fake_state_get(s, fake_state_find(s, path), index);
}

static void set(struct fake_state *s, const char *path, uint32_t index, uint64_t value)
{
	fake_state_set(s, fake_state_find(s, path), index, value);
}

static void word_put(uint32_t vcpu, uint32_t at, uint32_t value)
{
	memcpy(shim.vcpus[vcpu].whole->lapic.regs + at, &value, sizeof(value));
}

static uint32_t word_get(const struct kvm_lapic_state *page, uint32_t at)
{
	uint32_t value;

	memcpy(&value, page->regs + at, sizeof(value));
	return value;
}

/* What was saved of a chip goes round through a machine that is new, and is the same. */
static void goes_round(uint32_t chip)
{
	struct fake_state *first = chip_saved(chip), *second;
	const char *differs;

	again();
	up();
	ck_assert_msg(chip_loaded(chip, first) == 0, "%s %s", fake_state_refused(first), b.err.message);
	ck_assert_msg(!fake_state_left(first), "%s", fake_state_left(first));
	/* the local APIC goes to KVM with the registers of its vCPU */
	if (chip == CHIP_LAPIC)
		for (uint32_t i = 0; i < b.count; i++)
			shim.vcpus[i].whole->lapic = ((struct kvm *)b.self)->vcpus[i]->arch->lapic;
	second = chip_saved(chip);
	differs = fake_state_differs(first, second);
	ck_assert_msg(!differs, "%s", differs);
	fake_state_free(first);
	fake_state_free(second);
}

/* A value that the file of a snapshot may have and KVM cannot. */
static void is_refused(uint32_t chip, const char *path, uint32_t index, uint64_t value, const char *words)
{
	struct fake_state *s;

	again();
	up();
	counters_at_power_on();
	s = chip_saved(chip);
	set(s, path, index, value);
	ck_assert_int_lt(chip_loaded(chip, s), 0);
	ck_assert_msg(strstr(fake_state_refused(s), words), "%s: %s", path, fake_state_refused(s));
	fake_state_free(s);
}

static void lapic_disturb(void)
{
	word_put(1, 0x80, 0x20);
	word_put(1, 0xd0, 0x02000000);
	word_put(1, 0xe0, 0xffffffff);
	word_put(1, 0xf0, 0x1ff);
	word_put(1, 0x120, 0x00010000);        /* vector 0x50 is served, as a level, and 0x71 waits */
	word_put(1, 0x1a0, 0x00010000);
	word_put(1, 0x230, 0x00020000);
	word_put(1, 0x300, 0x1041);            /* and is said to be pending */
	word_put(1, 0x310, 0x01000000);
	word_put(1, 0x320, 0x20040);           /* periodic */
	word_put(1, 0x350, 0x1700);            /* ExtINT, pending */
	word_put(1, 0x380, 1000);
	word_put(1, 0x390, 300);
	word_put(1, 0x3e0, 3);                 /* by 16 */
}

START_TEST(lapic_state)
{
	struct fake_state *s;

	up();
	fake_advance(bench_chips[CHIP_LAPIC], 5000);
	lapic_disturb();
	s = chip_saved(CHIP_LAPIC);
	ck_assert_uint_eq(get(s, "apic[1]/tpr", 0), 0x20);
	ck_assert_uint_eq(get(s, "apic[1]/isr", 2), 0x10000);
	ck_assert_uint_eq(get(s, "apic[1]/irr", 3), 0x20000);
	ck_assert_uint_eq(get(s, "apic[1]/icr_low", 0), 0x41);
	ck_assert_uint_eq(get(s, "apic[1]/lvt", 3), 0x700);
	ck_assert_uint_eq(get(s, "apic[1]/deadline_ns", 0), 5000 + 300 * 16);
	ck_assert_uint_eq(get(s, "apic[0]/deadline_ns", 0), 0);
	/* 800 ns later 250 of 300 are left */
	fake_advance(bench_chips[CHIP_LAPIC], 800);
	ck_assert_int_eq(chip_loaded(CHIP_LAPIC, s), 0);
	const struct kvm_lapic_state *page = &((struct kvm *)b.self)->vcpus[1]->arch->lapic;
	ck_assert_uint_eq(word_get(page, 0x390), 250);
	ck_assert_uint_eq(word_get(page, 0x380), 1000);
	ck_assert_uint_eq(word_get(page, 0x20), 1u << 24);
	/* one whose time has come fires at once; one that has fired does not again */
	set(s, "apic[1]/deadline_ns", 0, 1);
	ck_assert_int_eq(chip_loaded(CHIP_LAPIC, s), 0);
	ck_assert_uint_eq(word_get(page, 0x390), 1);
	set(s, "apic[1]/deadline_ns", 0, 0);
	ck_assert_int_eq(chip_loaded(CHIP_LAPIC, s), 0);
	ck_assert_uint_eq(word_get(page, 0x390) + word_get(page, 0x380), 0);
	fake_state_free(s);
	again();
	up();
	lapic_disturb();
	goes_round(CHIP_LAPIC);
}
END_TEST

/* With a count of 0 a periodic timer is between two periods, and goes on; one that fires once has done it. */
START_TEST(lapic_timer_with_nothing_left)
{
	struct fake_state *s;

	up();
	fake_advance(bench_chips[CHIP_LAPIC], 5000);
	lapic_disturb();
	word_put(1, 0x390, 0);
	s = chip_saved(CHIP_LAPIC);
	ck_assert_uint_eq(get(s, "apic[1]/deadline_ns", 0), 5000 + 16);
	fake_state_free(s);
	word_put(1, 0x320, 0x40);
	s = chip_saved(CHIP_LAPIC);
	ck_assert_uint_eq(get(s, "apic[1]/deadline_ns", 0), 0);
	fake_state_free(s);
}
END_TEST

static int no_guest(struct shim_vcpu *v)
{
	ck_abort_msg("vCPU %u ran", v->index);
}

/* KVM has the interrupt beside the local APIC until it runs the vCPU, which does not run for it. */
START_TEST(lapic_timer_whose_time_has_come)
{
	struct fake_state *s;

	up();
	shim.guest = no_guest;
	for (uint32_t i = 0; i < 2; i++) {
		shim.vcpus[i].timer = 0x41;
		shim.vcpus[i].whole->mp.mp_state = i ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE;
	}
	b.cls->kick(b.vcpu[0]);
	s = chip_saved(CHIP_LAPIC);
	ck_assert_uint_eq(get(s, "apic[0]/irr", 2), 2);
	ck_assert_uint_eq(get(s, "apic[1]/irr", 2), 2);
	ck_assert_uint_eq(shim.vcpus[0].whole->mp.mp_state, KVM_MP_STATE_RUNNABLE);
	ck_assert_uint_eq(shim.vcpus[1].whole->mp.mp_state, KVM_MP_STATE_HALTED);
	/* a kick is not lost by it */
	ck_assert(shim.vcpus[0].run->immediate_exit && !shim.vcpus[1].run->immediate_exit);
	fake_state_free(s);
}
END_TEST

/* It is given to KVM between the special and the model-specific registers. */
START_TEST(lapic_is_loaded_with_its_vcpu)
{
	struct fake_state *s, *cpu = fake_state_new();

	up();
	ck_assert_int_eq(b.state->save(b.vcpu[1], fake_state_out(cpu), &fake_state_writer, &b.err), 0);
	s = chip_saved(CHIP_LAPIC);
	set(s, "apic[1]/tpr", 0, 0x70);
	ck_assert_int_eq(chip_loaded(CHIP_LAPIC, s), 0);
	ck_assert_uint_eq(word_get(&shim.vcpus[1].whole->lapic, 0x80), 0);
	ck_assert_int_eq(b.state->load(b.vcpu[1], fake_state_in(cpu), &fake_state_reader, b.state->version, &b.err), 0);
	ck_assert_uint_eq(word_get(&shim.vcpus[1].whole->lapic, 0x80), 0x70);
	fake_state_free(s);
	fake_state_free(cpu);
}
END_TEST

START_TEST(lapic_that_kvm_cannot_have)
{
	struct fake_state *s;

	is_refused(CHIP_LAPIC, "apic[0]/extint", 0, 1, "ExtINT message");
	is_refused(CHIP_LAPIC, "apic[1]/errors", 0, 0x20, "errors that the guest");
	is_refused(CHIP_LAPIC, "apic[1]/irr", 0, 2, "no interrupt has");
	is_refused(CHIP_LAPIC, "apic[1]/deadline_ns", 0, 5, "counts from 0");
	s = chip_saved(CHIP_LAPIC);
	stop();
	shim_start();
	bench_new(1);
	up();
	ck_assert_int_lt(chip_loaded(CHIP_LAPIC, s), 0);
	ck_assert_ptr_nonnull(strstr(fake_state_refused(s), "another number"));
	fake_state_free(s);
}
END_TEST

START_TEST(ioapic_state)
{
	struct kvm_ioapic_state *s = &shim.chips.ioapic.chip.ioapic;
	struct fake_state *saved;

	up();
	fake_input(bench_chips[CHIP_IOAPIC], 4, 1);
	fake_input(bench_chips[CHIP_IOAPIC], 16, 1);
	s->id = 2;
	s->ioregsel = 0x12;
	s->redirtbl[4].bits = 0x0100000000001041;      /* an edge, said to be pending */
	s->redirtbl[16].bits = 0x000000000000c051;     /* a level that is under way */
	saved = chip_saved(CHIP_IOAPIC);
	ck_assert_uint_eq(get(saved, "lines", 0), 1u << 4 | 1u << 16);
	ck_assert_uint_eq(get(saved, "entry", 4), 0x0100000000000041);
	ck_assert_uint_eq(get(saved, "entry", 16), 0xc051);
	ck_assert_int_eq(chip_loaded(CHIP_IOAPIC, saved), 0);
	/* an edge that was seen is not to be seen again */
	ck_assert_uint_eq(s->irr, 1u << 16);
	ck_assert_uint_eq(s->base_address, 0xfec00000);
	fake_state_free(saved);
	goes_round(CHIP_IOAPIC);
}
END_TEST

/* KVM sends a level that is due when it is given the state, to local APICs that are overwritten behind that. */
START_TEST(ioapic_is_given_again)
{
	struct kvm_ioapic_state *s = &shim.chips.ioapic.chip.ioapic;
	struct fake_state *saved;

	up();
	saved = chip_saved(CHIP_IOAPIC);
	set(saved, "lines", 0, 1u << 16);
	set(saved, "entry", 16, 0x8051);
	ck_assert_int_eq(chip_loaded(CHIP_IOAPIC, saved), 0);
	s->redirtbl[16].bits |= 0x4000;
	ck_assert_int_eq(fake_reset(bench_chips[CHIP_IOAPIC], MT_RESET_WARM, &b.err), 0);
	ck_assert_uint_eq(s->redirtbl[16].bits, 0x8051);
	/* once */
	s->redirtbl[16].bits |= 0x4000;
	ck_assert_int_eq(fake_reset(bench_chips[CHIP_IOAPIC], MT_RESET_WARM, &b.err), 0);
	ck_assert_uint_eq(s->redirtbl[16].bits, 0xc051);
	fake_state_free(saved);
}
END_TEST

START_TEST(ioapic_that_cannot_be)
{
	is_refused(CHIP_IOAPIC, "entry", 3, 1u << 17, "no entry has");
	is_refused(CHIP_IOAPIC, "entry", 3, 1u << 14, "an edge with remote IRR");
	is_refused(CHIP_IOAPIC, "lines", 0, 1u << 24, "lines");
}
END_TEST

START_TEST(pic_state)
{
	struct kvm_pic_state *one = &shim.chips.pic[0].chip.pic, *two = &shim.chips.pic[1].chip.pic;
	struct fake_state *s;

	up();
	/* nothing was ever written to it */
	s = chip_saved(CHIP_PIC);
	ck_assert_uint_eq(get(s, "chips[0]/ready", 0) + get(s, "chips[0]/icw1", 0), 0);
	ck_assert_int_eq(chip_loaded(CHIP_PIC, s), 0);
	fake_state_free(s);
	*one = (struct kvm_pic_state){ .last_irr = 0x11, .irr = 0x14, .imr = 0xea, .isr = 4, .irq_base = 0x20, .init4 = 1,
				       .priority_add = 3, .elcr_mask = 0xf8, .auto_eoi = 1, .poll = 1 };
	*two = (struct kvm_pic_state){ .last_irr = 2, .irr = 3, .irq_base = 0x28, .init4 = 1, .elcr = 2, .elcr_mask = 0xde,
				       .special_mask = 1, .init_state = 2, .read_reg_select = 1, .rotate_on_auto_eoi = 1,
				       .special_fully_nested_mode = 1 };
	s = chip_saved(CHIP_PIC);
	ck_assert_uint_eq(get(s, "chips[0]/icw1", 0), 0x11);
	ck_assert_uint_eq(get(s, "chips[0]/icw2", 0), 0x20);
	ck_assert_uint_eq(get(s, "chips[0]/icw3", 0), 4);
	ck_assert_uint_eq(get(s, "chips[0]/icw4", 0), 3);
	ck_assert_uint_eq(get(s, "chips[0]/lowest", 0), 2);
	ck_assert_uint_eq(get(s, "chips[0]/ready", 0), 1);
	ck_assert_uint_eq(get(s, "chips[1]/icw3", 0), 2);
	ck_assert_uint_eq(get(s, "chips[1]/step", 0), 3);
	ck_assert_uint_eq(get(s, "chips[1]/ready", 0), 0);
	/* of requests, edges alone: a level is its line */
	ck_assert_uint_eq(get(s, "chips[1]/irr", 0), 1);
	ck_assert_int_eq(chip_loaded(CHIP_PIC, s), 0);
	ck_assert_uint_eq(two->irr, 3);
	/* KVM's timer would never come again behind a pulse that is no edge */
	ck_assert_uint_eq(one->last_irr, 0x10);
	fake_state_free(s);
	goes_round(CHIP_PIC);
}
END_TEST

START_TEST(pic_that_kvm_cannot_have)
{
	struct fake_state *s;

	is_refused(CHIP_PIC, "chips[0]/elcr", 0, 1, "an edge for ever");
	is_refused(CHIP_PIC, "chips[1]/step", 0, 1, "no step");
	is_refused(CHIP_PIC, "chips[0]/icw1", 0, 0x13, "single");
	is_refused(CHIP_PIC, "chips[0]/icw1", 0, 0x19, "single");
	is_refused(CHIP_PIC, "chips[0]/ready", 0, 1, "8080");
	again();
	up();
	s = chip_saved(CHIP_PIC);
	set(s, "chips[1]/ready", 0, 1);
	set(s, "chips[1]/icw4", 0, 1);
	set(s, "chips[1]/icw3", 0, 3);
	ck_assert_int_lt(chip_loaded(CHIP_PIC, s), 0);
	ck_assert_ptr_nonnull(strstr(fake_state_refused(s), "another cascade"));
	fake_state_free(s);
}
END_TEST

static void counters_disturb(void)
{
	counters_at_power_on();
	shim.chips.pit.channels[0] = (struct kvm_pit_channel_state){
		.count = 0x10000, .mode = 2, .rw_mode = 3, .read_state = 4, .write_state = 4, .write_latch = 0x12, .gate = 1,
		.count_latched = 3, .latched_count = 0x1234, .status_latched = 1, .status = 0xb4,
	};
	shim.chips.pit.channels[0].read_state = 3;
	shim.chips.pit.channels[2] = (struct kvm_pit_channel_state){
		.count = 1000, .mode = 0, .rw_mode = 1, .read_state = 1, .write_state = 1, .gate = 1,
	};
	shim.chips.pit.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

START_TEST(pit_state)
{
	struct kvm_pit_channel_state *c = shim.chips.pit.channels;
	struct fake_state *s;

	up();
	fake_advance(bench_chips[CHIP_PIT], 88000);
	counters_disturb();
	s = chip_saved(CHIP_PIT);
	ck_assert_uint_eq(get(s, "seen", 0), 105);
	ck_assert_uint_eq(get(s, "port61", 0), 3);
	ck_assert_uint_eq(get(s, "counters[0]/control", 0), 0x34);
	ck_assert_uint_eq(get(s, "counters[0]/count", 0), 0x10000);
	ck_assert_uint_eq(get(s, "counters[0]/start", 0), 105);
	ck_assert_uint_eq(get(s, "counters[0]/latch_left", 0), 2);
	ck_assert_uint_eq(get(s, "counters[1]/control", 0), 0x30);
	ck_assert_uint_eq(get(s, "counters[1]/null_count", 0), 1);
	ck_assert_uint_eq(get(s, "counters[2]/control", 0), 0x10);
	/* a single count goes on with what is left, and one that is over from the largest; a period begins anew */
	fake_advance(bench_chips[CHIP_PIT], 88000);
	ck_assert_int_eq(chip_loaded(CHIP_PIT, s), 0);
	ck_assert_uint_eq(c[2].count, 895);
	ck_assert_uint_eq(c[0].count, 0x10000);
	ck_assert_uint_eq(c[1].mode, 0xff);
	ck_assert_uint_eq(shim.chips.pit.flags, KVM_PIT_FLAGS_SPEAKER_DATA_ON);
	set(s, "counters[2]/count", 0, 5);
	ck_assert_int_eq(chip_loaded(CHIP_PIT, s), 0);
	ck_assert_uint_eq(c[2].count, 65536 - 100);
	/* a new count that waits for the end of a period is the one */
	set(s, "counters[0]/cr", 0, 77);
	set(s, "counters[0]/switch_at", 0, 400);
	ck_assert_int_eq(chip_loaded(CHIP_PIT, s), 0);
	ck_assert_uint_eq(c[0].count, 77);
	fake_state_free(s);
	again();
	up();
	counters_disturb();
	goes_round(CHIP_PIT);
}
END_TEST

START_TEST(pit_that_kvm_cannot_have)
{
	struct fake_state *s;

	is_refused(CHIP_PIT, "counters[0]/control", 0, 5, "a command");
	is_refused(CHIP_PIT, "counters[0]/gate", 0, 0, "not the board's");
	is_refused(CHIP_PIT, "counters[0]/control", 0, 0x35, "decimals");
	is_refused(CHIP_PIT, "counters[0]/armed", 0, 1, "does not count");
	/* between two bytes it does not, and KVM has the first */
	s = chip_saved(CHIP_PIT);
	set(s, "counters[0]/armed", 0, 1);
	set(s, "counters[0]/write_high", 0, 1);
	set(s, "counters[0]/write_low", 0, 0x34);
	ck_assert_int_eq(chip_loaded(CHIP_PIT, s), 0);
	ck_assert_uint_eq(shim.chips.pit.channels[0].write_state, 4);
	ck_assert_uint_eq(shim.chips.pit.channels[0].write_latch, 0x34);
	fake_state_free(s);
}
END_TEST

/* A call that fails in saving and loading, with each class. */
START_TEST(calls_that_fail)
{
	static const struct { uint32_t chip; unsigned long get, set; } all[] = {
		{ CHIP_LAPIC, KVM_GET_LAPIC, 0 }, { CHIP_LAPIC, KVM_GET_MP_STATE, 0 },
		{ CHIP_LAPIC, KVM_SET_MP_STATE, 0 },
		{ CHIP_LAPIC, KVM_SET_SIGNAL_MASK, 0 },
		{ CHIP_IOAPIC, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP }, { CHIP_PIC, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP },
		{ CHIP_PIT, KVM_GET_PIT2, KVM_SET_PIT2 },
	};
	struct fake_state *s;

	up();
	counters_at_power_on();
	shim.fail_error = -EIO;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		shim.fail_request = all[i].get;
		ck_assert_ptr_null(chip_saved(all[i].chip));
		ck_assert_ptr_nonnull(strstr(b.err.message, "does not tell"));
		s = chip_saved(all[i].chip);
		shim.fail_request = all[i].set;
		ck_assert_int_eq(chip_loaded(all[i].chip, s), all[i].set ? MT_EINVAL : 0);
		ck_assert(!all[i].set || strstr(b.err.message, "does not take"));
		shim.fail_request = 0;
		ck_assert_int_eq(chip_loaded(all[i].chip, s), 0);
		fake_state_free(s);
	}
	/* it would make each entry dearer */
	ck_assert(!shim.vcpus[0].has_mask && !shim.vcpus[1].has_mask);
	/* what is due is lost then, and is told */
	shim.fail_request = KVM_SET_IRQCHIP;
	ck_assert_int_eq(fake_reset(bench_chips[CHIP_IOAPIC], MT_RESET_WARM, &b.err), 0);
	ck_assert_uint_eq(fake_log_count(b.f, MT_LOG_ERROR), 1);
}
END_TEST

START_TEST(routes_that_kvm_refuses)
{
	shim.fail_request = KVM_SET_GSI_ROUTING;
	shim.fail_error = -EINVAL;
	refused(MT_EHOST, "irqchip", "route interrupts");
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-chips", start, stop, what_the_file_names, all_or_none, what_kvm_has_fixed, one_of_each, acpi,
		  each_input_has_a_number, lines, levels_stay_over_a_reset, messages, lapic_state, lapic_timer_with_nothing_left,
		  lapic_timer_whose_time_has_come, lapic_is_loaded_with_its_vcpu, lapic_that_kvm_cannot_have,
		  ioapic_state, ioapic_is_given_again, ioapic_that_cannot_be, pic_state, pic_that_kvm_cannot_have,
		  pit_state, pit_that_kvm_cannot_have, calls_that_fail, routes_that_kvm_refuses);
}
