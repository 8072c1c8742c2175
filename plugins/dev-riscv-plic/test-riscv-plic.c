/* SPDX-License-Identifier: MIT */
/* dev-riscv-plic on the fake host: the rules of the specification, section by section, and the device tree. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <pthread.h>
#include <string.h>

#define PRIORITY(s) (4u * (s))
#define PENDING(w)  (0x1000u + 4 * (w))
#define ENABLE(c, w) (0x2000u + 0x80 * (c) + 4 * (w))
#define THRESHOLD(c) (0x200000u + 0x1000 * (c))
#define CLAIM(c)     (0x200004u + 0x1000 * (c))

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-riscv-plic");

	fake_vcpus(made, 2);
	fake_prop(made, "at", "0x0c000000");
	return made;
}

static void start(void)
{
	f = make();
	fake_start(f);
}

static void stop(void)
{
	fake_free(f);
}

static void enable(uint32_t context, uint32_t source, uint32_t priority)
{
	fake_put(f, PRIORITY(source), 4, priority);
	fake_put(f, ENABLE(context, source / 32), 4, fake_get(f, ENABLE(context, source / 32), 4) | 1u << source % 32);
}

START_TEST(level_goes_to_the_enabled_context)
{
	enable(1, 10, 1);
	fake_input(f, 10, 1);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	ck_assert_uint_eq(fake_get(f, PENDING(0), 4), 1 << 10);
	ck_assert_uint_eq(fake_get(f, CLAIM(1), 4), 10);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	ck_assert_uint_eq(fake_get(f, CLAIM(1), 4), 0);
}
END_TEST

START_TEST(gateway_waits_for_completion)
{
	enable(3, 5, 1);
	fake_input(f, 5, 1);
	ck_assert_uint_eq(fake_get(f, CLAIM(3), 4), 5);
	fake_input(f, 5, 0);
	fake_input(f, 5, 1);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	fake_put(f, CLAIM(3), 4, 5);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 5), 1);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	ck_assert_uint_eq(fake_get(f, CLAIM(3), 4), 5);
	fake_input(f, 5, 0);
	fake_put(f, CLAIM(3), 4, 5);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
}
END_TEST

START_TEST(request_stays_when_the_level_falls)
{
	enable(0, 7, 1);
	fake_input(f, 7, 1);
	fake_input(f, 7, 0);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
	ck_assert_uint_eq(fake_get(f, CLAIM(0), 4), 7);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
}
END_TEST

START_TEST(priorities_ties_and_threshold)
{
	enable(0, 3, 2);
	enable(0, 9, 5);
	enable(0, 40, 5);
	enable(0, 4, 0);
	for (uint32_t s = 3; s <= 40; s++)
		fake_input(f, s, 1);
	fake_put(f, THRESHOLD(0), 4, 5);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	ck_assert_uint_eq(fake_get(f, CLAIM(0), 4), 9);    /* a claim passes the threshold */
	fake_put(f, THRESHOLD(0), 4, 4);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
	ck_assert_uint_eq(fake_get(f, CLAIM(0), 4), 40);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	ck_assert_uint_eq(fake_get(f, CLAIM(0), 4), 3);
	ck_assert_uint_eq(fake_get(f, CLAIM(0), 4), 0);    /* priority 0 never interrupts */
}
END_TEST

START_TEST(completion_needs_the_enable_bit)
{
	enable(0, 6, 1);
	fake_input(f, 6, 1);
	ck_assert_uint_eq(fake_get(f, CLAIM(0), 4), 6);
	fake_put(f, CLAIM(1), 4, 6);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 6), 0);
	fake_put(f, CLAIM(0), 4, 6);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
}
END_TEST

START_TEST(registers_beside_sources_and_contexts)
{
	fake_put(f, PRIORITY(0), 4, 7);
	fake_put(f, PRIORITY(97), 4, 7);
	fake_put(f, ENABLE(0, 0), 4, UINT32_MAX);
	fake_put(f, ENABLE(0, 3), 4, UINT32_MAX);
	fake_put(f, ENABLE(4, 0), 4, UINT32_MAX);
	fake_put(f, PENDING(0), 4, UINT32_MAX);
	fake_put(f, PRIORITY(96), 4, UINT32_MAX);
	ck_assert_uint_eq(fake_get(f, PRIORITY(0), 4), 0);
	ck_assert_uint_eq(fake_get(f, PRIORITY(97), 4), 0);
	ck_assert_uint_eq(fake_get(f, PRIORITY(96), 4), 7);
	ck_assert_uint_eq(fake_get(f, ENABLE(0, 0), 4), UINT32_MAX - 1);
	ck_assert_uint_eq(fake_get(f, ENABLE(0, 3), 4), 1);
	ck_assert_uint_eq(fake_get(f, ENABLE(4, 0), 4), 0);
	ck_assert_uint_eq(fake_get(f, PENDING(0), 4), 0);
	ck_assert_uint_eq(fake_get(f, CLAIM(4), 4), 0);
	ck_assert_uint_eq(fake_get(f, 0x3fffffc, 4), 0);
	fake_put(f, CLAIM(0), 4, UINT32_MAX);
}
END_TEST

START_TEST(reset_lowers_pins_and_keeps_levels)
{
	enable(0, 8, 1);
	fake_input(f, 8, 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	ck_assert_uint_eq(fake_get(f, PENDING(0), 4), 1 << 8);
	enable(0, 8, 1);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
}
END_TEST

START_TEST(most_sources)
{
	fake_free(f);
	f = fake_new("dev-riscv-plic");
	fake_prop(f, "at", "0x0c000000");
	fake_prop(f, "sources", "1023");
	fake_start(f);
	enable(1, 1023, 3);
	fake_input(f, 1023, 1);
	ck_assert_uint_eq(fake_get(f, PENDING(31), 4), 1u << 31);
	ck_assert_uint_eq(fake_get(f, CLAIM(1), 4), 1023);
}
END_TEST

START_TEST(device_tree)
{
	ck_assert_str_eq(fake_fdt(f),
		"plic@c000000 {\n"
		"\treg = <0xc000000 0x4000000>;\n"
		"\tphandle = <0x1>;\n"
		"\tcompatible = \"sifive,plic-1.0.0\", \"riscv,plic0\";\n"
		"\tinterrupt-controller;\n"
		"\t#interrupt-cells = <0x1>;\n"
		"\t#address-cells = <0x0>;\n"
		"\triscv,ndev = <0x60>;\n"
		"\tinterrupts-extended = <&intc0 0xb &intc0 0x9 &intc1 0xb &intc1 0x9>;\n"
		"};\n");
}
END_TEST

static uint32_t stop_wiggling;

static void *wiggle(void *arg)
{
	const struct mt_irq_sink *sink = arg;

	for (uint32_t i = 0; !__atomic_load_n(&stop_wiggling, __ATOMIC_ACQUIRE); i++)
		sink->input_set(fake_self(f), 1 + i % 8, i / 8 % 2);
	return NULL;
}

/* Inputs change on one thread while a vCPU claims and completes on another: nothing is lost, the pin ends low. */
START_TEST(inputs_from_another_thread)
{
	const struct mt_irq_sink *sink = fake_role(f, MT_IFACE_IRQ_SINK);
	uint32_t claims = 0, source;
	pthread_t thread;

	stop_wiggling = 0;
	for (uint32_t s = 1; s <= 8; s++)
		enable(1, s, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, wiggle, (void *)(uintptr_t)sink), 0);
	while (claims < 20000) {
		source = (uint32_t)fake_get(f, CLAIM(1), 4);
		ck_assert_uint_le(source, 8);
		fake_put(f, CLAIM(1), 4, source);
		claims += source != 0;
	}
	__atomic_store_n(&stop_wiggling, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	for (uint32_t s = 1; s <= 8; s++)
		sink->input_set(fake_self(f), s, 0);
	while ((source = (uint32_t)fake_get(f, CLAIM(1), 4)))
		fake_put(f, CLAIM(1), 4, source);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	ck_assert_uint_eq(fake_get(f, PENDING(0), 4), 0);
}
END_TEST

START_TEST(state)
{
	struct fake_state *state;

	enable(1, 5, 3);
	enable(1, 7, 2);
	enable(3, 96, 7);
	fake_put(f, 0x203000, 4, 6);
	fake_input(f, 5, 1);
	fake_input(f, 7, 1);
	fake_input(f, 96, 1);
	ck_assert_uint_eq(fake_get(f, 0x201004, 4), 5);
	fake_state_check(f, make);
	state = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	ck_assert_uint_eq(fake_get(f, 0x203004, 4), 96);
	ck_assert_uint_eq(fake_get(f, 0x201004, 4), 7);
	fake_put(f, 0x201004, 4, 5);          /* still high: it pends again */
	ck_assert_uint_eq(fake_get(f, 0x201004, 4), 5);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 1, 200000);
}
END_TEST

int main(void)
{
	CHECK_RUN("riscv-plic", start, stop, level_goes_to_the_enabled_context, gateway_waits_for_completion,
		  request_stays_when_the_level_falls, priorities_ties_and_threshold, completion_needs_the_enable_bit,
		  registers_beside_sources_and_contexts, reset_lowers_pins_and_keeps_levels, most_sources, device_tree,
		  inputs_from_another_thread, state, fuzz);
}
