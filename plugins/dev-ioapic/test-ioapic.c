/* SPDX-License-Identifier: MIT */
/* The I/O APIC against the 82093AA's data sheet: registers, edges, levels and their ends, masks, messages; state. */
#include <fake/acpi.h>
#include <fake/check-run.h>
#include <fake/state.h>
#include <string.h>

#define LOW(n)  (0x10 + 2 * (n))
#define HIGH(n) (0x11 + 2 * (n))
#define MASKED  0x10000u
#define LEVEL   0x8000u
#define IRR     0x4000u

static struct fake *f;
static uint32_t seen;          /* messages that a test has looked at */

static struct fake *make(void)
{
	struct mt_msi_window window = { .size = sizeof(window), .gpa = 0xfee00000, .len_bytes = 1 << 20 };
	struct fake *made = fake_new("dev-ioapic");

	fake_msi_target(made, "msi", &window);
	fake_prop(made, "id", "9");
	return made;
}

static void start(void)
{
	f = make();
	fake_start(f);
	seen = 0;
}

static void stop(void)
{
	fake_free(f);
}

static uint32_t get(uint32_t reg)
{
	fake_put(f, 0, 4, reg);
	return (uint32_t)fake_get(f, 0x10, 4);
}

static void put(uint32_t reg, uint32_t value)
{
	fake_put(f, 0, 4, reg);
	fake_put(f, 0x10, 4, value);
}

static void nothing(void)
{
	ck_assert_uint_eq(fake_messages(f), seen);
}

static void sent(uint64_t addr, uint32_t data)
{
	uint64_t to = 0;

	ck_assert_uint_gt(fake_messages(f), seen);
	ck_assert_uint_eq(fake_message(f, seen, &to), data);
	ck_assert_uint_eq(to, addr);
	seen++;
}

START_TEST(registers)
{
	ck_assert_uint_eq(get(0), 9u << 24);
	ck_assert_uint_eq(get(1), 0x00170020);
	ck_assert_uint_eq(get(2), 9u << 24);
	put(0, 0xff000000);
	put(1, 0);
	ck_assert_uint_eq(get(0), 15u << 24);
	ck_assert_uint_eq(get(1), 0x00170020);
	ck_assert_uint_eq(get(3) | get(0xf) | get(0x40) | get(0xff), 0);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0xff);
	fake_put(f, 0, 4, 0x112);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0x12);
	ck_assert_uint_eq(fake_get(f, 0x40, 4) | fake_get(f, 0x20, 4) | fake_get(f, 0xffc, 4), 0);
	for (uint32_t i = 0; i < 24; i++) {
		ck_assert_uint_eq(get(LOW(i)), MASKED);
		ck_assert_uint_eq(get(HIGH(i)), 0);
		put(LOW(i), 0xffffffff);
		put(HIGH(i), 0xffffffff);
		/* delivery status and remote IRR are read only */
		ck_assert_uint_eq(get(LOW(i)), 0x1afff);
		ck_assert_uint_eq(get(HIGH(i)), 0xff000000);
	}
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(get(LOW(5)), MASKED);
	ck_assert_uint_eq(get(0), 9u << 24);
	nothing();
}
END_TEST

START_TEST(edges)
{
	put(HIGH(4), 3u << 24);
	put(LOW(4), 0x51);
	nothing();
	fake_input(f, 4, 1);
	sent(0xfee03000, 0x51);
	fake_input(f, 4, 0);
	nothing();
	put(LOW(4), 0x151 | 0x800);            /* lowest priority, logical */
	fake_input(f, 4, 1);
	sent(0xfee03004, 0x151);
	fake_eoi(f, 0x51);
	nothing();
	/* masked, it is not remembered */
	fake_input(f, 4, 0);
	put(LOW(4), 0x51 | MASKED);
	fake_input(f, 4, 1);
	put(LOW(4), 0x51);
	nothing();
	ck_assert_uint_eq(get(LOW(4)), 0x51);
}
END_TEST

START_TEST(levels)
{
	put(LOW(16), 0x61 | LEVEL);
	fake_input(f, 16, 1);
	sent(0xfee00000, 0xc061);
	ck_assert_uint_eq(get(LOW(16)), 0x61 | LEVEL | IRR);
	fake_eoi(f, 0x62);
	nothing();
	fake_eoi(f, 0x61);                     /* it still stands */
	sent(0xfee00000, 0xc061);
	fake_input(f, 16, 0);
	fake_eoi(f, 0x61);
	nothing();
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 16), 2);
	ck_assert_uint_eq(get(LOW(16)), 0x61 | LEVEL);
	/* a level that came while it was masked */
	put(LOW(16), 0x61 | LEVEL | MASKED);
	fake_input(f, 16, 1);
	nothing();
	put(LOW(16), 0x61 | LEVEL);
	sent(0xfee00000, 0xc061);
	/* masked while it is under way: its end does not bring it back */
	put(LOW(16), 0x61 | LEVEL | MASKED);
	ck_assert_uint_eq(get(LOW(16)), 0x61 | LEVEL | MASKED | IRR);
	fake_eoi(f, 0x61);
	nothing();
}
END_TEST

/* Kernels make an entry an edge for a moment where the chip has no EOI register. */
START_TEST(an_edge_has_no_remote_irr)
{
	put(LOW(2), 0x61 | LEVEL);
	fake_input(f, 2, 1);
	sent(0xfee00000, 0xc061);
	put(LOW(2), 0x61 | MASKED);
	ck_assert_uint_eq(get(LOW(2)), 0x61 | MASKED);
	put(LOW(2), 0x61 | LEVEL);
	sent(0xfee00000, 0xc061);
}
END_TEST

START_TEST(the_eoi_register_ends)
{
	put(LOW(3), 0x71 | LEVEL);
	put(LOW(9), 0x71 | LEVEL);
	fake_input(f, 3, 1);
	sent(0xfee00000, 0xc071);
	fake_input(f, 9, 1);
	sent(0xfee00000, 0xc071);
	fake_input(f, 3, 0);
	fake_put(f, 0x40, 4, 0xff71);
	sent(0xfee00000, 0xc071);
	nothing();
	ck_assert_uint_eq(get(LOW(3)), 0x71 | LEVEL);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 3), 1);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 9), 1);
}
END_TEST

/* NMI, SMI, INIT and ExtINT are edges; nobody would end a level of theirs. */
START_TEST(other_modes_are_edges)
{
	for (uint32_t mode = 2; mode < 8; mode++) {
		put(LOW(0), mode << 8 | LEVEL);
		fake_input(f, 0, 1);
		sent(0xfee00000, mode << 8);
		fake_input(f, 0, 0);
	}
	nothing();
	ck_assert_uint_eq(get(LOW(0)), 0x700 | LEVEL);
}
END_TEST

/* The 8259A has the same wires, whatever the entries say. */
START_TEST(lines_of_the_isa_bus)
{
	fake_free(f);
	f = make();
	fake_prop(f, "isa", "pic:0, pic:1, pic:2, pic:3, pic:4, pic:5, pic:6, pic:7, pic:8, pic:9, pic:10, pic:11, "
		  "pic:12, pic:13, pic:14, pic:15");
	fake_start(f);
	for (uint32_t i = 0; i < 24; i++) {
		fake_input(f, i, 1);
		for (uint32_t line = 0; line < 16; line++)
			if (line != 2)
				ck_assert_uint_eq(fake_line(f, "isa", line), i && line == (i == 2 ? 0 : i));
		fake_input(f, i, 0);
		ck_assert_uint_eq(fake_line(f, "isa", i == 2 || i > 15 ? 0 : i), 0);
	}
	put(LOW(1), 0x31);
	fake_input(f, 1, 1);
	sent(0xfee00000, 0x31);
	ck_assert_uint_eq(fake_line(f, "isa", 1), 1);
	nothing();
}
END_TEST

START_TEST(state)
{
	put(LOW(7), 0x81 | LEVEL);
	put(HIGH(7), 0x12000000);
	put(LOW(8), 0x951);
	put(LOW(20), 0x99 | LEVEL | MASKED);
	fake_input(f, 7, 1);
	fake_input(f, 8, 1);
	fake_input(f, 20, 1);
	put(0, 3u << 24);
	fake_state_check(f, make);
}
END_TEST

START_TEST(hostile_state)
{
	fake_state_refuses(f, make, "id", 0, 16, "id: ");
	fake_state_refuses(f, make, "lines", 0, 1u << 24, "lines: ");
	fake_state_refuses(f, make, "entry", 5, 1u << 12, "bits that no entry has");
	fake_state_refuses(f, make, "entry", 23, 1ull << 40, "bits that no entry has");
	fake_state_refuses(f, make, "entry", 0, IRR | 0x20, "edge with remote IRR");
}
END_TEST

static struct fake *make_second(void)
{
	struct fake *made = make();

	fake_prop(made, "at", "0xfec10000");
	fake_prop(made, "gsi-base", "24");
	return made;
}

START_TEST(acpi)
{
	const struct mt_acpi_node *node = fake_role(f, MT_IFACE_ACPI_NODE);
	struct mt_acpi said;

	ck_assert_str_eq(fake_acpi_text(f, &said), "ioapic 9 at fec00000 from 0\n");
	ck_assert_uint_eq(node->gsi(fake_self(f), 5), 5);
	fake_free(f);
	f = make_second();
	fake_start(f);
	ck_assert_str_eq(fake_acpi_text(f, &said), "ioapic 9 at fec10000 from 18\n");
	ck_assert_uint_eq(node->gsi(fake_self(f), 23), 47);
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 6, 100000);
}
END_TEST

int main(void)
{
	CHECK_RUN("ioapic", start, stop, registers, edges, levels, an_edge_has_no_remote_irr, the_eoi_register_ends,
		  other_modes_are_edges, lines_of_the_isa_bus, state, hostile_state, acpi, random_accesses);
}
