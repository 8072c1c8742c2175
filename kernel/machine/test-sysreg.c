/* SPDX-License-Identifier: MIT */
/*
 * System registers that a device owns: bound, called on the vCPU's thread, refused, undone with the device.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/sysreg.h"
#include "kernel/machine/test-fake.h"

#define MACHINE "[machine]\nschema = 1\narch = riscv64\n[cpu]\nplugin = fake-cpu\ncount = 2\n" \
		"[device first]\nplugin = fake-irq\n[device second]\nplugin = fake-irq\n[device slow]\nplugin = fake-dev\n"

static uint32_t reg_read(void *arg, const struct mt_sysreg_access *a, uint64_t *value)
{
	*value = *(uint64_t *)arg + a->number;
	return MT_SYSREG_OK;
}

static uint32_t reg_write(void *arg, const struct mt_sysreg_access *a, uint64_t value)
{
	if (a->number != 0x10)
		return MT_SYSREG_ILLEGAL;
	*(uint64_t *)arg = value;
	return MT_SYSREG_OK | MT_SYSREG_LEAVE;
}

static uint32_t reg_modify(void *arg, const struct mt_sysreg_access *a, uint64_t keep, uint64_t bits, uint64_t *old)
{
	(void)a;
	*old = *(uint64_t *)arg;
	*(uint64_t *)arg = (*old & keep) | bits;
	return MT_SYSREG_OK;
}

static const struct mt_sysreg_ops ops = { reg_read, reg_write, reg_modify };

static struct mt_sysreg_range range_of(uint64_t first, uint64_t last, uint64_t *arg)
{
	return (struct mt_sysreg_range){ .size = sizeof(struct mt_sysreg_range), .first = first, .last = last,
					 .ops = &ops, .arg = arg };
}

/* What translated code would do: an access of each kind. */
static int run_access(struct fake_vcpu *v, const struct mt_run_params *params, struct mt_exit *exit)
{
	const struct mt_sysreg_range *r = &v->sysregs;
	struct mt_sysreg_access a = { .number = 0x10, .vcpu = v->index, .privilege = 1 };
	uint64_t old = 0;

	(void)params;
	exit->reason = MT_EXIT_HALT;
	if (!r->ops || atomic_load(&v->count))
		return 0;
	ck_assert_uint_eq(r->ops->write(r->arg, &a, 0xf0), MT_SYSREG_OK | MT_SYSREG_LEAVE);
	ck_assert_uint_eq(r->ops->modify(r->arg, &a, ~UINT64_C(0x10), 0x3, &old), MT_SYSREG_OK);
	ck_assert_uint_eq(old, 0xf0);
	a.number = 0x11;
	ck_assert_uint_eq(r->ops->write(r->arg, &a, 1), MT_SYSREG_ILLEGAL);
	atomic_store(&v->count, 1);
	return 0;
}

START_TEST(test_access)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m;
	uint64_t value = 0;
	struct mt_sysreg_range range = range_of(0x10, 0x1f, &value);

	fake_run = run_access;
	m = fake_ready(MACHINE);
	ck_assert_int_eq(sysreg_host.bind(machine_find(m, "first"), 1, &range, &err), 0);
	ck_assert_ptr_null(fake_vcpu(m, 0)->sysregs.ops);
	machine_start(m);
	while (!atomic_load(&fake_vcpu(m, 1)->count))
		usleep(100);
	machine_pause(m);
	ck_assert_uint_eq(value, 0xe3);
	machine_destroy(m);
}
END_TEST

static void refused(struct mt_inst *inst, uint32_t vcpu, struct mt_sysreg_range range, int code, const char *why)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_int_eq(sysreg_host.bind(inst, vcpu, &range, &err), code);
	ck_assert_msg(strstr(err.message, why) != NULL, "'%s' lacks '%s'", err.message, why);
}

START_TEST(test_refusals)
{
	struct machine *m = fake_ready(MACHINE);
	struct mt_inst *first = machine_find(m, "first");
	struct mt_error err = { .size = sizeof(err) };
	uint64_t value = 0;
	struct mt_sysreg_range range = range_of(0x10, 0x1f, &value), bad = range;

	ck_assert_int_eq(sysreg_host.bind(first, 0, &range, &err), 0);
	refused(machine_find(m, "second"), 0, range, MT_EBUSY, "owned already");
	refused(first, 2, range, MT_ENOENT, "no vCPU 2");
	refused(first, 1, range_of(0x10, 0x1000, &value), MT_ENOTSUP, "no such registers");
	refused(machine_find(m, "slow"), 1, range, MT_EINVAL, "not parallel");
	refused(first, 1, range_of(0x11, 0x10, &value), MT_EINVAL, "is empty");
	bad.flags = 4;
	refused(first, 1, bad, MT_EINVAL, "unknown flags 0x4");
	bad.flags = 0;
	bad.ops = NULL;
	refused(first, 1, bad, MT_EINVAL, "lacks an operation");
	machine_destroy(m);
}
END_TEST

/*
 * An instance that goes gives its registers back; the accelerator's fake holds the ranges against each other.
 */
START_TEST(test_release)
{
	struct machine *m = fake_ready(MACHINE);
	struct mt_inst *first = machine_find(m, "first");
	struct mt_error err = { .size = sizeof(err) };
	uint64_t values[2] = { 0 };
	struct mt_sysreg_range range = range_of(0x10, 0x1f, &values[0]);

	ck_assert_int_eq(sysreg_host.bind(first, 1, &range, &err), 0);
	inst_release_all(first);
	ck_assert_ptr_null(fake_vcpu(m, 1)->sysregs.ops);
	range.arg = &values[1];
	ck_assert_int_eq(sysreg_host.bind(machine_find(m, "second"), 1, &range, &err), 0);
	ck_assert_ptr_eq(fake_vcpu(m, 1)->sysregs.arg, &values[1]);
	machine_destroy(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sysreg");
	TCase *tc = tcase_create("sysreg");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, fake_setup, fake_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_access);
	tcase_add_test(tc, test_refusals);
	tcase_add_test(tc, test_release);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
