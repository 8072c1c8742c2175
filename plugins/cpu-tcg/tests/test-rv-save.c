/* SPDX-License-Identifier: MIT */
/*
 * A hart saved, loaded into a fresh one, and saved again: every register that a debugger can name comes back, and no
 * state makes a hart that a guest could not make.
 */
#include <check.h>
#include <fake/state.h>
#include <stdlib.h>
#include <string.h>

#include "rvfake.h"

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(RV_ISA_DEFAULT "_smaia_ssaia");
}

static void teardown(void)
{
	rv_fake_free(f);
}

static struct fake_state *save(void)
{
	struct fake_state *state = fake_state_new();

	ck_assert_int_eq(rv_save(f->env, fake_state_out(state), &fake_state_writer), 0);
	return state;
}

static int load(struct fake_state *state)
{
	return rv_load(f->env, fake_state_in(state), &fake_state_reader);
}

/* A guest's values, far from those after reset. */
static void fill(uint64_t seed)
{
	uint32_t count = rv_reg_count(f->config);

	for (uint32_t i = 0; i < count; i++) {
		struct mt_reg_desc desc = { .size = sizeof(desc) };

		ck_assert_int_eq(rv_reg_describe(f->config, i, &desc), 0);
		/* locked entries of the PMP would keep the rest from being set */
		if (!(desc.flags & MT_REG_READONLY) && strncmp(desc.name, "pmp", 3))
			rv_reg_write(f->env, desc.number, rv_fake_random(&seed));
	}
	for (uint32_t i = 0; i < RV_PMP_ENTRIES; i++)
		rv_csr_poke(f->env, CSR_PMPADDR0 + i, rv_fake_random(&seed));
	rv_csr_poke(f->env, CSR_PMPCFG0, rv_fake_random(&seed));
	rv_csr_poke(f->env, CSR_PMPCFG0 + 2, rv_fake_random(&seed));
	rv_csr_poke(f->env, CSR_SATP, (uint64_t)SATP_SV39 << 60 | (seed & 0xfffffffffff));
	f->s->priv = RV_S;
	rv_pin_set(f->env, RV_SEI, 1);
	rv_pin_set(f->env, RV_MTI, seed & 1);
}

static uint64_t *registers(uint32_t *count)
{
	uint64_t *values;

	*count = rv_reg_count(f->config);
	values = calloc(*count, sizeof(*values));
	for (uint32_t i = 0; i < *count; i++) {
		struct mt_reg_desc desc = { .size = sizeof(desc) };

		rv_reg_describe(f->config, i, &desc);
		ck_assert_int_eq(rv_reg_read(f->env, desc.number, &values[i]), 0);
	}
	return values;
}

static void expect_registers(const uint64_t *wanted)
{
	uint32_t count;
	uint64_t *values = registers(&count);

	for (uint32_t i = 0; i < count; i++) {
		struct mt_reg_desc desc = { .size = sizeof(desc) };

		rv_reg_describe(f->config, i, &desc);
		ck_assert_msg(values[i] == wanted[i], "%s is %llx, was %llx", desc.name,
			      (unsigned long long)values[i], (unsigned long long)wanted[i]);
	}
	free(values);
}

START_TEST(every_register_comes_back)
{
	for (uint64_t seed = 1; seed < 40; seed++) {
		struct fake_state *state, *again;
		uint32_t count, pins;
		uint64_t *before;

		f->ticks = seed * 1000;
		fill(seed);
		before = registers(&count);
		pins = f->s->pins;
		state = save();
		teardown();
		setup();
		f->ticks = seed * 1000;
		ck_assert_msg(load(state) == 0, "%s", fake_state_refused(state));
		ck_assert_ptr_null(fake_state_left(state));
		expect_registers(before);
		ck_assert_uint_eq(f->s->pins, pins);
		ck_assert_uint_eq(f->env->reservation, UINT64_MAX);
		again = save();
		ck_assert_ptr_null(fake_state_differs(state, again));
		fake_state_free(again);
		fake_state_free(state);
		free(before);
	}
}
END_TEST

static void expect_refused(const char *field, uint32_t index, uint64_t value)
{
	struct fake_state *state = save();
	uint32_t at = fake_state_find(state, field);

	ck_assert_msg(at < fake_state_fields(state), "%s", field);
	fake_state_set(state, at, index, value);
	ck_assert_int_eq(load(state), MT_EINVAL);
	ck_assert_ptr_eq(strstr(fake_state_refused(state), field), fake_state_refused(state));
	fake_state_free(state);
	teardown();
	setup();
}

START_TEST(what_no_guest_can_make_is_refused)
{
	expect_refused("x", 0, 1);
	expect_refused("priv", 0, 2);
	expect_refused("priv", 0, 4);
	expect_refused("pc", 0, 1);
	expect_refused("pins", 0, 1);
	expect_refused("frm", 0, 8);
	expect_refused("fflags", 0, 32);
	expect_refused("mstatus", 0, 0);                                  /* UXL 0 */
	expect_refused("mstatus", 0, MSTATUS_UXL | MSTATUS_SXL | UINT64_C(2) << MSTATUS_MPP_SHIFT);
	expect_refused("satp", 0, UINT64_C(3) << 60);
	expect_refused("mtvec", 0, 2);
	expect_refused("mepc", 0, 1);
	expect_refused("mip", 0, RV_IRQ_BIT(RV_MSI));
	expect_refused("mideleg", 0, RV_IRQ_BIT(RV_MSI));
	expect_refused("menvcfg", 0, UINT64_C(1) << 40);
	expect_refused("pmp.cfg", 3, PMP_W);
	expect_refused("pmp.addr", 3, UINT64_MAX);
	expect_refused("hart", 0, 1);
}
END_TEST

START_TEST(another_instruction_set_is_refused)
{
	struct fake_state *state = save();

	teardown();
	f = rv_fake_new("rv64imac_zicsr_zifencei");
	ck_assert_int_eq(load(state), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(fake_state_refused(state), "isa"));
	fake_state_free(state);
}
END_TEST

START_TEST(random_values_never_break_a_hart)
{
	uint64_t seed = 7;

	for (int round = 0; round < 3000; round++) {
		struct fake_state *state = save();
		uint32_t field = (uint32_t)(rv_fake_random(&seed) % fake_state_fields(state));

		if (fake_state_type(state, field) != MT_STATE_STRING)
			fake_state_set(state, field, 0, rv_fake_random(&seed) >> (rv_fake_random(&seed) & 63));
		if (load(state) == 0) {
			f->env->pc = FAKE_RAM;
			rv_fake_insn(f, 0x00000013);                      /* nop */
		}
		fake_state_free(state);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rv-save");
	TCase *tc = tcase_create("save");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, every_register_comes_back);
	tcase_add_test(tc, what_no_guest_can_make_is_refused);
	tcase_add_test(tc, another_instruction_set_is_refused);
	tcase_add_test(tc, random_values_never_break_a_hart);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
