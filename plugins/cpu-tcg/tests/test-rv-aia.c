/* SPDX-License-Identifier: MIT */
/*
 * Smaia and Ssaia in a hart: top interrupts, virtual interrupts of supervisor level, the windows, and
 * registers that a device serves; who may bind what.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "rvfake.h"

#define ISA "rv64imafdc_zicsr_zifencei_smaia_ssaia_sstc"
#define WRITE 1u                /* csrrw, csrrs, csrrc */
#define SET   2u
#define CLEAR 3u
#define TOP(n) ((uint64_t)(n) << 16 | 1)

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(ISA);
}

static void teardown(void)
{
	rv_fake_free(f);
}

/* csrr* x7, number, x5 (or x0, which writes nothing); false: illegal. */
static bool access(uint32_t op, uint32_t number, bool write, uint64_t value, uint64_t *old)
{
	uint32_t word = 0x73 | op << 12 | 7 << 7 | (write ? 5 : 0) << 15 | number << 20;
	enum tcg_exit exit;

	f->env->pc = FAKE_RAM;
	f->s->x[5] = value;
	exit = rv_fake_insn(f, word);
	*old = f->s->x[7];
	if (exit != TCG_EXIT_EXCEPTION)
		return true;
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
	return false;
}

static uint64_t get(uint32_t number)
{
	uint64_t value;

	ck_assert_msg(access(SET, number, false, 0, &value), "%03x", number);
	return value;
}

static void put(uint32_t number, uint64_t value)
{
	uint64_t old;

	ck_assert_msg(access(WRITE, number, true, value, &old), "%03x", number);
}

static bool readable(uint32_t number)
{
	uint64_t value;

	return access(SET, number, false, 0, &value);
}

static void pin(uint32_t irq, uint32_t level)
{
	rv_pin_set(f->env, irq, level);
}

/* --- a device of one register --- */

static struct { uint64_t value, number; uint32_t privilege, calls, result; } device;

static uint32_t device_read(void *arg, const struct mt_sysreg_access *a, uint64_t *value)
{
	ck_assert_ptr_eq(arg, &device);
	device.number = a->number;
	device.privilege = a->privilege;
	device.calls++;
	*value = device.value;
	return device.result;
}

static uint32_t device_modify(void *arg, const struct mt_sysreg_access *a, uint64_t keep, uint64_t bits, uint64_t *old)
{
	uint32_t result = device_read(arg, a, old);

	if ((result & MT_SYSREG_RESULT) == MT_SYSREG_OK)
		device.value = (device.value & keep) | bits;
	return result;
}

static uint32_t device_write(void *arg, const struct mt_sysreg_access *a, uint64_t value)
{
	uint64_t old;

	return device_modify(arg, a, 0, value, &old);
}

static const struct mt_sysreg_ops device_ops = { device_read, device_write, device_modify };

static struct mt_sysreg_range range(uint64_t first, uint64_t last)
{
	memset(&device, 0, sizeof(device));
	return (struct mt_sysreg_range){ .size = sizeof(struct mt_sysreg_range), .first = first, .last = last,
					 .ops = &device_ops, .arg = &device };
}

static void bind(uint64_t first, uint64_t last)
{
	struct mt_sysreg_range r = range(first, last);
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_msg(rv_sysreg_bind(f->env, &r, &err) == 0, "%s", err.message);
}

static void refused(uint64_t first, uint64_t last, int code, const char *why)
{
	struct mt_sysreg_range r = range(first, last);
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_eq(rv_sysreg_bind(f->env, &r, &err), code);
	ck_assert_msg(strstr(err.message, why) != NULL, "'%s' lacks '%s'", err.message, why);
}

/* --- tests --- */

START_TEST(absent_without_the_extension)
{
	static const uint32_t numbers[] = { CSR_MISELECT, CSR_MIREG, CSR_MTOPEI, CSR_MTOPI, CSR_MVIEN, CSR_MVIP,
					    CSR_SISELECT, CSR_SIREG, CSR_STOPEI, CSR_STOPI };

	rv_fake_free(f);
	f = rv_fake_new("rv64ima_zicsr");
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		ck_assert_msg(!readable(numbers[i]), "%03x", numbers[i]);
	refused(CSR_STOPEI, CSR_STOPEI, MT_ENOTSUP, "no 'ssaia'");
}
END_TEST

START_TEST(topi_has_the_default_order)
{
	static const uint32_t order[] = { RV_MEI, RV_MSI, RV_MTI, RV_SEI, RV_SSI, RV_STI };

	put(CSR_MIE, UINT64_MAX);
	for (size_t i = 0; i < 6; i++)
		pin(order[i], 1);
	for (size_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(get(CSR_MTOPI), TOP(order[i]));
		pin(order[i], 0);
	}
	ck_assert_uint_eq(get(CSR_MTOPI), 0);
	/* the global enable does not matter, the delegation does */
	pin(RV_STI, 1);
	pin(RV_SEI, 1);
	put(CSR_MIDELEG, RV_IRQ_BIT(RV_SEI));
	ck_assert_uint_eq(get(CSR_MTOPI), TOP(RV_STI));
	ck_assert_uint_eq(get(CSR_STOPI), TOP(RV_SEI));
	put(CSR_SIE, 0);
	ck_assert_uint_eq(get(CSR_STOPI), 0);
	rv_fake_enter(f, RV_S);
	ck_assert_uint_eq(get(CSR_STOPI), 0);
	ck_assert(!readable(CSR_MTOPI));
}
END_TEST

START_TEST(iprio_is_zero)
{
	put(CSR_MISELECT, 0x30);
	put(CSR_MIREG, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MIREG), 0);
	put(CSR_MISELECT, 0x3e);
	ck_assert_uint_eq(get(CSR_MIREG), 0);
	put(CSR_SISELECT, 0x3f);
	ck_assert(!readable(CSR_SIREG));
	for (uint32_t select = 0; select < 0x200; select++) {
		put(CSR_SISELECT, select);
		ck_assert_uint_eq(get(CSR_SISELECT), select);
		ck_assert_int_eq(readable(CSR_SIREG), select >= 0x30 && select < 0x40 && !(select & 1));
	}
}
END_TEST

START_TEST(device_serves_registers)
{
	uint64_t old, last = (uint64_t)CSR_SIREG << 32 | 0xff;

	ck_assert(!readable(CSR_STOPEI));
	bind(CSR_STOPEI, CSR_STOPEI);
	device.value = 0x70007;
	rv_fake_enter(f, RV_S);
	ck_assert_uint_eq(get(CSR_STOPEI), 0x70007);
	ck_assert_uint_eq(device.number, CSR_STOPEI);
	ck_assert_uint_eq(device.privilege, RV_S);
	/* reading and writing are one call */
	device.calls = 0;
	ck_assert(access(SET, CSR_STOPEI, true, 0x100, &old));
	ck_assert_uint_eq(old, 0x70007);
	ck_assert(access(CLEAR, CSR_STOPEI, true, 7, &old));
	ck_assert_uint_eq(device.value, 0x70100);
	ck_assert_uint_eq(device.calls, 2);
	bind(last - 0x8f, last);
	put(CSR_SISELECT, 0x72);
	put(CSR_SIREG, 5);
	ck_assert_uint_eq(device.value, 5);
	ck_assert_uint_eq(device.number, (uint64_t)CSR_SIREG << 32 | 0x72);
	device.result = MT_SYSREG_OK | MT_SYSREG_LEAVE;
	put(CSR_SIREG, 6);
	ck_assert_uint_eq(f->leaves, 1);
	device.result = MT_SYSREG_ILLEGAL;
	ck_assert(!access(WRITE, CSR_SIREG, true, 7, &old));
	ck_assert_uint_eq(device.value, 6);
	rv_fake_enter(f, RV_U);
	ck_assert(!readable(CSR_SIREG));
}
END_TEST

START_TEST(bindings_are_refused)
{
	struct mt_sysreg_range r;

	refused(CSR_MSCRATCH, CSR_MSCRATCH, MT_ENOTSUP, "no registers for devices");
	refused(CSR_STOPEI, CSR_MTOPEI, MT_ENOTSUP, "no registers for devices");
	refused((uint64_t)CSR_MIREG << 32 | 0x30, (uint64_t)CSR_MIREG << 32 | 0xff, MT_ENOTSUP, "no registers");
	bind(CSR_MTOPEI, CSR_MTOPEI);
	refused(CSR_MTOPEI, CSR_MTOPEI, MT_EBUSY, "another device");
	r = range(CSR_MTOPEI, CSR_MTOPEI);
	rv_sysreg_unbind(f->env, &r);
	ck_assert(!readable(CSR_MTOPEI));
	bind(CSR_MTOPEI, CSR_MTOPEI);
	/* a reset of the hart is none of the machine's wiring */
	rv_reset(f->env, 0);
	ck_assert(readable(CSR_MTOPEI));
}
END_TEST

/* A debugger may look, but not claim. */
START_TEST(debugger_leaves_the_device_alone)
{
	uint64_t value = 1;

	ck_assert(rv_csr_peek(f->env, CSR_STOPEI, &value));
	ck_assert_uint_eq(value, 0);
	bind(CSR_STOPEI, CSR_STOPEI);
	device.value = 9;
	ck_assert(rv_csr_peek(f->env, CSR_STOPEI, &value));
	ck_assert_uint_eq(value, 9);
	ck_assert(!rv_csr_poke(f->env, CSR_STOPEI, 1));
	ck_assert_uint_eq(device.calls, 1);
}
END_TEST

/* "Interrupt filtering": machine level takes the real one and shows a virtual one to supervisor level. */
START_TEST(filtered_external_interrupt)
{
	uint64_t sei = RV_IRQ_BIT(RV_SEI);

	put(CSR_MVIEN, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MVIEN), sei | RV_IRQ_BIT(RV_SSI));
	put(CSR_MVIP, sei);
	ck_assert_uint_eq(get(CSR_MIP), 0);
	ck_assert_uint_eq(get(CSR_SIP), sei);
	ck_assert_uint_eq(get(CSR_STOPI), 0);
	put(CSR_SIE, sei);
	ck_assert_uint_eq(get(CSR_SIE), sei);
	ck_assert_uint_eq(get(CSR_MIE), 0);
	ck_assert_uint_eq(get(CSR_STOPI), TOP(RV_SEI));
	ck_assert(rv_wakeup_pending(f->env));
	/* SEIP of mip is the controller's alone, and cannot be written */
	put(CSR_MIP, sei);
	ck_assert_uint_eq(get(CSR_MIP), 0);
	pin(RV_SEI, 1);
	put(CSR_MIE, sei);
	ck_assert_uint_eq(get(CSR_MTOPI), TOP(RV_SEI));
	pin(RV_SEI, 0);
	/* it traps to S though mideleg has no bit for it */
	put(CSR_STVEC, 0x80001000);
	rv_fake_enter(f, RV_U);
	ck_assert(rv_take_interrupt(f->env));
	ck_assert_uint_eq(f->s->priv, RV_S);
	ck_assert_uint_eq(f->s->scause, RV_CAUSE_INTERRUPT | RV_SEI);
}
END_TEST

START_TEST(mvip_aliases_mip)
{
	uint64_t ssi = RV_IRQ_BIT(RV_SSI), sti = RV_IRQ_BIT(RV_STI), sei = RV_IRQ_BIT(RV_SEI), old;

	put(CSR_MVIP, UINT64_MAX);
	ck_assert_uint_eq(get(CSR_MVIP), ssi | sti | sei);
	ck_assert_uint_eq(get(CSR_MIP), ssi | sti | sei);
	put(CSR_MVIP, 0);
	/* a level on a line does not stick */
	pin(RV_SSI, 1);
	ck_assert_uint_eq(get(CSR_MVIP), ssi);
	ck_assert(access(SET, CSR_MVIP, true, sti, &old));
	pin(RV_SSI, 0);
	ck_assert_uint_eq(get(CSR_MVIP), sti);
	/* with Sstc on STIP is not the software's */
	put(CSR_MENVCFG, MENVCFG_STCE);
	ck_assert_uint_eq(get(CSR_MVIP), 0);
	put(CSR_MVIP, sti);
	ck_assert_uint_eq(get(CSR_MVIP), 0);
	/* apart: the bit of mip stays as it is */
	put(CSR_MIP, ssi);
	put(CSR_MVIEN, ssi);
	put(CSR_MVIP, 0);
	ck_assert_uint_eq(get(CSR_MIP), ssi);
	ck_assert_uint_eq(get(CSR_SIP), 0);
	rv_fake_enter(f, RV_S);
	put(CSR_SIP, ssi);
	rv_fake_enter(f, RV_M);
	ck_assert_uint_eq(get(CSR_MVIP), ssi);
}
END_TEST

/* With mvien.SEI machine level keeps the supervisor's interrupt file to itself. */
START_TEST(filtering_hides_the_file)
{
	uint64_t last = (uint64_t)CSR_SIREG << 32 | 0xff;

	bind(CSR_STOPEI, CSR_STOPEI);
	bind(last - 0x8f, last);
	put(CSR_SISELECT, 0x70);
	put(CSR_MVIEN, RV_IRQ_BIT(RV_SEI));
	ck_assert(readable(CSR_STOPEI) && readable(CSR_SIREG));
	rv_fake_enter(f, RV_S);
	ck_assert(!readable(CSR_STOPEI));
	ck_assert(!readable(CSR_SIREG));
	put(CSR_SISELECT, 0x30);
	ck_assert(readable(CSR_SIREG));
	rv_fake_enter(f, RV_M);
	put(CSR_MVIEN, 0);
	rv_fake_enter(f, RV_S);
	ck_assert(readable(CSR_STOPEI));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rv-aia");
	TCase *tc = tcase_create("aia");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, absent_without_the_extension);
	tcase_add_test(tc, topi_has_the_default_order);
	tcase_add_test(tc, iprio_is_zero);
	tcase_add_test(tc, device_serves_registers);
	tcase_add_test(tc, bindings_are_refused);
	tcase_add_test(tc, debugger_leaves_the_device_alone);
	tcase_add_test(tc, filtered_external_interrupt);
	tcase_add_test(tc, mvip_aliases_mip);
	tcase_add_test(tc, filtering_hides_the_file);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
