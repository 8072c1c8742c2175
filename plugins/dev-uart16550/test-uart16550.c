/* SPDX-License-Identifier: MIT */
/* dev-uart16550 on the fake host: interrupt conditions, FIFOs, loopback, back-pressure, modem lines. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <string.h>

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR, THR = 0, DLL = 0, DLM = 1, FCR = 2 };

static struct fake *f;

static struct fake *make_with(const char *chr, const char *shift)
{
	struct fake *made = fake_new("dev-uart16550");

	fake_prop(made, "at", "0x10000000");
	fake_prop(made, "irq", "plic:10");
	fake_prop(made, "char", chr);
	fake_prop(made, "reg-shift", shift);
	return made;
}

static void start_with(const char *chr, const char *shift)
{
	f = make_with(chr, shift);
	fake_start(f);
}

static struct fake *make(void)
{
	return make_with("con0", "0");
}

/* Goes on with what was saved, in a fresh instance. */
static void reload(void)
{
	struct fake_state *state = fake_save(f);

	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
}

static void start(void)
{
	start_with("con0", "0");
}

static void stop(void)
{
	fake_free(f);
}

static void restart_with(const char *chr, const char *shift)
{
	stop();
	start_with(chr, shift);
}

static uint8_t get(uint32_t reg)
{
	return (uint8_t)fake_get(f, reg, 1);
}

static void put(uint32_t reg, uint8_t value)
{
	fake_put(f, reg, 1, value);
}

static uint32_t irq(void)
{
	return fake_line(f, "irq", 0);
}

static void expect_out(const char *text)
{
	uint32_t len;
	const uint8_t *out = fake_char_out(f, &len);

	ck_assert_uint_eq(len, strlen(text));
	ck_assert(!len || !memcmp(out, text, len));
}

START_TEST(reset_values)
{
	ck_assert_uint_eq(get(IIR), 0x01);
	ck_assert_uint_eq(get(LSR), 0x60);
	ck_assert_uint_eq(get(MSR), 0xb0);
	put(SCR, 0x5a);
	ck_assert_uint_eq(get(SCR), 0x5a);
	put(IER, 0xff);
	ck_assert_uint_eq(get(IER), 0x0f);
	put(MCR, 0xef);
	ck_assert_uint_eq(get(MCR), 0x0f);
	put(LCR, 0x80);
	put(DLL, 0x12);
	put(DLM, 0x34);
	ck_assert_uint_eq(get(DLL), 0x12);
	ck_assert_uint_eq(get(DLM), 0x34);
	put(LCR, 3);
	ck_assert_uint_eq(get(IER), 0x0f);
}
END_TEST

START_TEST(transmit_and_its_interrupt)
{
	put(IER, 2);
	ck_assert_uint_eq(irq(), 1);
	ck_assert_uint_eq(get(IIR), 0x02);
	ck_assert_uint_eq(irq(), 0);
	ck_assert_uint_eq(get(IIR), 0x01);
	put(THR, 'a');
	ck_assert_uint_eq(irq(), 1);
	put(THR, 'b');
	expect_out("ab");
	ck_assert_uint_eq(fake_line_changes(f, "irq", 0), 3);   /* the second byte does not touch the line */
	put(IER, 0);
	ck_assert_uint_eq(irq(), 0);
	put(IER, 2);
	ck_assert_uint_eq(irq(), 1);
}
END_TEST

START_TEST(back_pressure)
{
	put(FCR, 1);
	put(IER, 2);
	get(IIR);
	fake_char_room(f, 1);
	put(THR, '0');
	ck_assert_uint_eq(get(LSR), 0x60);
	get(IIR);
	for (int i = 1; i <= 17; i++)
		put(THR, (uint8_t)('0' + i));
	ck_assert_uint_eq(get(LSR), 0x00);
	ck_assert_uint_eq(irq(), 0);
	fake_char_more(f, 10);
	ck_assert_uint_eq(get(LSR), 0x00);
	ck_assert_uint_eq(irq(), 0);
	fake_char_more(f, 10);
	ck_assert_uint_eq(get(LSR), 0x60);
	ck_assert_uint_eq(irq(), 1);
	expect_out("0123456789:;<=>?@");      /* the 17th waiting byte had no room */
}
END_TEST

START_TEST(back_pressure_without_fifo)
{
	fake_char_room(f, 0);
	put(THR, 'a');
	put(THR, 'b');
	fake_char_more(f, 9);
	expect_out("b");
}
END_TEST

START_TEST(dead_and_missing_back_ends_swallow)
{
	put(IER, 2);
	fake_char_room(f, 0);
	put(THR, 'a');
	ck_assert_uint_eq(get(LSR), 0x00);
	fake_char_gone(f);
	fake_char_event(f, MT_CHAR_CLOSED);
	ck_assert_uint_eq(get(LSR), 0x60);
	put(THR, 'b');
	ck_assert_uint_eq(get(LSR), 0x60);
	ck_assert_uint_eq(get(IIR), 0x02);
	restart_with("", "0");
	put(THR, 'c');
	ck_assert_uint_eq(get(LSR), 0x60);
	ck_assert_uint_eq(get(MSR), 0x00);
	expect_out("");
}
END_TEST

START_TEST(receive_without_fifo)
{
	put(IER, 1);
	ck_assert_uint_eq(fake_char_send(f, "xyz", 3), 3);
	for (const char *c = "xyz"; *c; c++) {
		ck_assert_uint_eq(irq(), 1);
		ck_assert_uint_eq(get(IIR), 0x04);
		ck_assert_uint_eq(get(LSR), 0x61);
		ck_assert_uint_eq(get(RBR), *c);
		ck_assert_uint_eq(irq(), 0);
		fake_pump(f);
	}
	ck_assert_uint_eq(get(LSR), 0x60);
	ck_assert_uint_eq(get(RBR), 0);
}
END_TEST

START_TEST(trigger_level_and_timeout)
{
	put(FCR, 0x81);                       /* 8 bytes */
	put(LCR, 0x83);
	put(DLL, 2);                          /* 115200 at 3.6864 MHz: 4 * 10 bits are 347.2 us */
	put(LCR, 3);
	put(IER, 1);
	fake_char_send(f, "1234567", 7);
	ck_assert_uint_eq(irq(), 0);
	ck_assert_uint_eq(get(IIR), 0xc1);
	fake_advance(f, 347221);
	ck_assert_uint_eq(irq(), 0);
	fake_advance(f, 2);
	ck_assert_uint_eq(irq(), 1);
	ck_assert_uint_eq(get(IIR), 0xcc);
	ck_assert_uint_eq(get(RBR), '1');
	ck_assert_uint_eq(irq(), 0);          /* a read ends the time-out, and it runs again */
	fake_advance(f, 400000);
	ck_assert_uint_eq(get(IIR), 0xcc);
	fake_char_send(f, "89", 2);
	ck_assert_uint_eq(get(IIR), 0xc4);
	for (const char *c = "23456789"; *c; c++)
		ck_assert_uint_eq(get(RBR), *c);
	ck_assert_uint_eq(irq(), 0);
	fake_advance(f, 1000000);
	ck_assert_uint_eq(irq(), 0);
}
END_TEST

START_TEST(fifo_fills_and_goes_on)
{
	char in[40];
	int n = 0;

	for (int i = 0; i < 40; i++)
		in[i] = (char)('A' + i);
	put(FCR, 0xc1);
	fake_char_send(f, in, 40);
	while (get(LSR) & 1) {
		ck_assert_uint_eq(get(LSR) & 2, 0);
		ck_assert_uint_eq(get(RBR), in[n]);
		n++;
		fake_pump(f);
	}
	ck_assert_int_eq(n, 40);
	fake_char_send(f, "old", 3);
	put(FCR, 0xc3);
	ck_assert_uint_eq(get(LSR), 0x60);
}
END_TEST

START_TEST(break_is_an_error_of_its_byte)
{
	put(FCR, 1);
	put(IER, 4);
	fake_char_send(f, "a", 1);
	fake_char_event(f, MT_CHAR_BREAK);
	ck_assert_uint_eq(irq(), 0);
	ck_assert_uint_eq(get(LSR), 0xe1);
	ck_assert_uint_eq(get(RBR), 'a');
	ck_assert_uint_eq(irq(), 1);
	ck_assert_uint_eq(get(IIR), 0xc6);
	ck_assert_uint_eq(get(LSR), 0xf1);
	ck_assert_uint_eq(irq(), 0);
	ck_assert_uint_eq(get(LSR), 0x61);
	ck_assert_uint_eq(get(RBR), 0);
	ck_assert_uint_eq(get(LSR), 0x60);
}
END_TEST

START_TEST(loopback)
{
	get(MSR);
	put(FCR, 1);
	put(MCR, 0x10);
	put(THR, 'q');
	expect_out("");
	ck_assert_uint_eq(get(RBR), 'q');
	put(MCR, 0x1f);
	ck_assert_uint_eq(get(MSR), 0xfb);
	put(MCR, 0x1a);
	ck_assert_uint_eq(get(MSR), 0x96);    /* DSR changed, RI fell, DCD and CTS stay */
	put(LCR, 0x40);
	ck_assert_uint_eq(get(LSR), 0xf1);
	put(FCR, 3);
	for (int i = 0; i < 17; i++)
		put(THR, (uint8_t)i);
	ck_assert_uint_eq(get(LSR) & 2, 2);
	fake_char_send(f, "w", 1);            /* waits outside */
	for (int i = 0; i < 16; i++)
		ck_assert_uint_eq(get(RBR), i);
	ck_assert_uint_eq(get(LSR) & 1, 0);
	put(MCR, 0);
	fake_pump(f);
	ck_assert_uint_eq(get(RBR), 'w');
}
END_TEST

START_TEST(modem_interrupt)
{
	get(MSR);
	put(IER, 8);
	ck_assert_uint_eq(irq(), 0);
	fake_char_event(f, MT_CHAR_CLOSED);
	ck_assert_uint_eq(irq(), 1);
	ck_assert_uint_eq(get(IIR), 0x00);
	ck_assert_uint_eq(get(MSR), 0x0b);
	ck_assert_uint_eq(irq(), 0);
	fake_char_event(f, MT_CHAR_OPENED);
	ck_assert_uint_eq(get(MSR), 0xbb);
}
END_TEST

START_TEST(order_of_conditions)
{
	fake_char_event(f, MT_CHAR_CLOSED);
	fake_char_event(f, MT_CHAR_BREAK);
	put(IER, 0x0f);
	ck_assert_uint_eq(get(IIR), 0x06);
	get(LSR);
	ck_assert_uint_eq(get(IIR), 0x04);
	get(RBR);
	ck_assert_uint_eq(get(IIR), 0x02);
	ck_assert_uint_eq(get(IIR), 0x00);
	get(MSR);
	ck_assert_uint_eq(get(IIR), 0x01);
}
END_TEST

START_TEST(spaced_registers)
{
	restart_with("con0", "2");
	fake_put(f, SCR << 2, 4, 0x1234);
	ck_assert_uint_eq(fake_get(f, SCR << 2, 4), 0x34);
	ck_assert_uint_eq(fake_get(f, (SCR << 2) + 1, 1), 0);
	fake_put(f, THR, 4, 'z');
	expect_out("z");
	fake_char_send(f, "12", 2);
	ck_assert_uint_eq(fake_get(f, RBR, 4), '1');
	ck_assert_uint_eq(fake_get(f, 0x20, 4), 0);
	ck_assert_ptr_nonnull(strstr(fake_fdt(f), "reg-shift = <0x2>;"));
}
END_TEST

START_TEST(device_tree)
{
	ck_assert_str_eq(fake_fdt(f),
		"serial@10000000 {\n"
		"\treg = <0x10000000 0x100>;\n"
		"\tcompatible = \"ns16550a\";\n"
		"\tclock-frequency = <0x384000>;\n"
		"\tinterrupts-extended = <&plic 10>;\n"
		"};\n");
}
END_TEST

START_TEST(state)
{
	put(FCR, 0x81);
	put(LCR, 0x83);
	put(DLL, 2);
	put(LCR, 3);
	put(IER, 0x0f);
	put(MCR, 0x0b);
	put(SCR, 0x77);
	get(IIR);
	fake_char_send(f, "abcde", 5);
	get(RBR);
	fake_char_event(f, MT_CHAR_BREAK);
	fake_char_send(f, "f", 1);
	fake_state_check(f, make);
	reload();
	ck_assert_uint_eq(get(SCR), 0x77);
	fake_advance(f, 400000);
	ck_assert_uint_eq(irq(), 1);
	ck_assert_uint_eq(get(IIR), 0xcc);
	for (const char *c = "bcde"; *c; c++)
		ck_assert_uint_eq(get(RBR), *c);
	ck_assert_uint_eq(get(LSR) & 0x91, 0x91);     /* the break is an error of its byte */
	ck_assert_uint_eq(get(RBR), 0);
	ck_assert_uint_eq(get(RBR), 'f');
}
END_TEST

START_TEST(state_sends_what_waits)
{
	put(FCR, 1);
	fake_char_room(f, 0);
	put(THR, 'x');
	put(THR, 'y');
	reload();
	expect_out("xy");
	ck_assert_uint_eq(get(LSR), 0x60);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 5, 200000);
	restart_with("con0", "2");
	fake_fuzz_region(f, 6, 50000);
}
END_TEST

/* On x86: eight registers at a port, in no device tree; one place it must be, and not two. */
START_TEST(at_a_port)
{
	struct mt_error err = { .size = sizeof(err) };

	stop();
	f = fake_new("dev-uart16550");
	fake_prop(f, "port", "0x3f8");
	fake_start(f);
	ck_assert_str_eq(fake_region(f, 0)->at_prop, "port");
	ck_assert_uint_eq(fake_region(f, 0)->len_bytes, 8);
	fake_put(f, SCR, 1, 0x5a);
	ck_assert_uint_eq(fake_get(f, SCR, 1), 0x5a);
	ck_assert_ptr_null(strstr(fake_fdt(f), "serial"));
	for (int i = 0; i < 3; i++) {
		stop();
		f = fake_new("dev-uart16550");
		fake_prop(f, "at", i == 0 ? "0x1000" : "");
		fake_prop(f, "port", i == 1 ? "" : "0x3f8");
		fake_prop(f, "reg-shift", i == 2 ? "2" : "0");
		ck_assert_int_eq(fake_create(f, &err), 0);
		ck_assert_int_lt(fake_realize(f, &err), 0);
		ck_assert(err.message[0]);
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("uart16550", start, stop, reset_values, transmit_and_its_interrupt, back_pressure,
		  back_pressure_without_fifo, dead_and_missing_back_ends_swallow, receive_without_fifo,
		  trigger_level_and_timeout, fifo_fills_and_goes_on, break_is_an_error_of_its_byte, loopback,
		  modem_interrupt, order_of_conditions, spaced_registers, device_tree, at_a_port, state,
		  state_sends_what_waits, fuzz);
}
