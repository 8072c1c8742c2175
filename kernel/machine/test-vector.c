/* SPDX-License-Identifier: MIT */
/*
 * Controllers whose vectors the CPU fetches: bound to vCPUs, called on the vCPU's thread, waking it; one behind
 * another; refused, undone with the device.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/test-fake.h"
#include "kernel/machine/vector.h"

#define MACHINE_OF(count) "[machine]\nschema = 1\narch = riscv64\n[cpu]\nplugin = fake-cpu\ncount = " #count "\n" \
	"[device first]\nplugin = fake-irq\nto = behind\n[device second]\nplugin = fake-irq\nto = behind\n" \
	"[device behind]\nplugin = fake-irq\n[device slow]\nplugin = fake-dev\nto = behind\n" \
	"[device third]\nplugin = fake-irq\nto = slow\n"
#define MACHINE MACHINE_OF(2)

static int32_t acknowledge(void *arg) { return (int32_t)(*(uint32_t *)arg)++; }
static uint32_t priority(void *arg) { return *(uint32_t *)arg; }
static void set_priority(void *arg, uint32_t level) { *(uint32_t *)arg = level; }

static const struct mt_vector_ops ops = { .size = sizeof(ops), .acknowledge = acknowledge };
static const struct mt_vector_ops all_ops = {
	.size = sizeof(all_ops), .acknowledge = acknowledge, .priority = priority, .set_priority = set_priority,
};

/* A vCPU that halts until it is asked to take an interrupt. */
static int run_take(struct fake_vcpu *v, const struct mt_run_params *params, struct mt_exit *exit)
{
	(void)params;
	exit->reason = MT_EXIT_HALT;
	if (atomic_exchange(&v->request, 0))
		atomic_store(&v->count, (uint64_t)v->vector_ops->acknowledge(v->vector_arg));
	return 0;
}

static void wait_for(_Atomic uint64_t *count, uint64_t value)
{
	while (atomic_load(count) != value)
		usleep(100);
}

START_TEST(test_wakes)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_inst *first;
	struct machine *m;
	uint32_t next = 0x30;

	fake_run = run_take;
	m = fake_ready(MACHINE);
	first = machine_find(m, "first");
	ck_assert_int_eq(vector_host.bind(first, 1, &ops, &next, &err), 0);
	machine_start(m);
	vector_host.request(first, 1, 1);
	wait_for(&fake_vcpu(m, 1)->count, 0x30);
	vector_host.request(first, 1, 7);      /* any level but 0 */
	wait_for(&fake_vcpu(m, 1)->count, 0x31);
	vector_host.event(first, 1, MT_VCPU_EVENT_STARTUP, 0x9f);
	machine_pause(m);
	ck_assert_uint_eq(fake_vcpu(m, 1)->event, MT_VCPU_EVENT_STARTUP);
	ck_assert_uint_eq(fake_vcpu(m, 1)->event_value, 0x9f);
	machine_destroy(m);
}
END_TEST

/* Who has not bound the vCPU asks in vain. */
START_TEST(test_strangers)
{
	struct machine *m = fake_ready(MACHINE);
	struct mt_inst *first = machine_find(m, "first"), *second = machine_find(m, "second");
	struct mt_error err = { .size = sizeof(err) };
	uint32_t next = 0;

	ck_assert_int_eq(vector_host.bind(first, 1, &ops, &next, &err), 0);
	vector_host.request(second, 1, 1);
	vector_host.request(first, 0, 1);
	vector_host.request(first, 2, 1);
	vector_host.event(second, 1, MT_VCPU_EVENT_NMI, 0);
	vector_host.event(first, 0, MT_VCPU_EVENT_NMI, 0);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(fake_vcpu(m, i)->request, 0);
		ck_assert_uint_eq(fake_vcpu(m, i)->event, 0);
	}
	machine_destroy(m);
}
END_TEST

static void refused(struct mt_inst *inst, uint32_t vcpu, const struct mt_vector_ops *o, int code, const char *why)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_int_eq(vector_host.bind(inst, vcpu, o, NULL, &err), code);
	ck_assert_msg(strstr(err.message, why) != NULL, "'%s' lacks '%s'", err.message, why);
}

START_TEST(test_bind_refusals)
{
	struct machine *m = fake_ready(MACHINE_OF(8));
	struct mt_inst *first = machine_find(m, "first");
	struct mt_error err = { .size = sizeof(err) };
	struct mt_vector_ops bad = all_ops;

	ck_assert_int_eq(vector_host.bind(first, 0, &all_ops, NULL, &err), 0);
	ck_assert_ptr_eq(fake_vcpu(m, 0)->vector_ops->set_priority, set_priority);
	refused(machine_find(m, "second"), 0, &ops, MT_EBUSY, "has a controller already");
	refused(first, 8, &ops, MT_ENOENT, "no vCPU 8");
	refused(first, FAKE_VCPUS - 1, &ops, MT_ENOTSUP, "no vectors for this one");
	refused(machine_find(m, "slow"), 1, &ops, MT_EINVAL, "not parallel");
	bad.flags = 4;
	refused(first, 1, &bad, MT_EINVAL, "unknown flags 0x4");
	bad.flags = 0;
	bad.priority = NULL;
	refused(first, 1, &bad, MT_EINVAL, "lacks an operation");
	bad.size = offsetof(struct mt_vector_ops, priority);   /* an older plugin's: the tail is as if NULL */
	ck_assert_int_eq(vector_host.bind(first, 1, &bad, NULL, &err), 0);
	ck_assert_ptr_null(fake_vcpu(m, 1)->vector_ops->set_priority);
	machine_destroy(m);
}
END_TEST

START_TEST(test_release)
{
	struct machine *m = fake_ready(MACHINE);
	struct mt_inst *first = machine_find(m, "first");
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_int_eq(vector_host.bind(first, 0, &ops, NULL, &err), 0);
	ck_assert_int_eq(vector_host.bind(first, 1, &ops, NULL, &err), 0);
	inst_release_all(first);
	ck_assert_ptr_null(fake_vcpu(m, 0)->vector_ops);
	ck_assert_ptr_null(fake_vcpu(m, 1)->vector_ops);
	vector_host.request(first, 0, 1);
	ck_assert_uint_eq(fake_vcpu(m, 0)->request, 0);
	ck_assert_int_eq(vector_host.bind(machine_find(m, "second"), 1, &ops, NULL, &err), 0);
	machine_destroy(m);
}
END_TEST

static void changed(void *arg, uint32_t level)
{
	*(uint32_t *)arg = level;
}

static int take(struct machine *m, const char *who, uint32_t *level, struct mt_error *err)
{
	const struct mt_vector_source *source = NULL;
	void *self = NULL;
	int code;

	*err = (struct mt_error){ .size = sizeof(*err) };
	code = vector_host.take(machine_find(m, who), "to", changed, level, &source, &self, err);
	if (code == 0)
		ck_assert_int_eq(source->acknowledge(self), 0x44);
	return code;
}

START_TEST(test_behind)
{
	struct machine *m = fake_ready(MACHINE);
	struct mt_inst *behind = machine_find(m, "behind");
	struct mt_error err;
	uint32_t level = 0;

	vector_host.request(behind, 0, 1);
	ck_assert_uint_eq(level, 0);
	ck_assert_int_eq(take(m, "first", &level, &err), 0);
	vector_host.request(behind, 0, 5);
	ck_assert_uint_eq(level, 1);
	vector_host.request(behind, 1, 0);     /* not its vCPU */
	ck_assert_uint_eq(level, 1);
	vector_host.request(behind, 0, 0);
	ck_assert_uint_eq(level, 0);
	ck_assert_int_eq(take(m, "second", &level, &err), MT_EBUSY);
	ck_assert_ptr_nonnull(strstr(err.message, "behind stands behind another"));
	refused(behind, 0, &ops, MT_EBUSY, "stands behind another");
	inst_release_all(machine_find(m, "first"));
	vector_host.request(behind, 0, 1);
	ck_assert_uint_eq(level, 0);
	machine_destroy(m);
}
END_TEST

START_TEST(test_take_refusals)
{
	struct machine *m = fake_ready(MACHINE);
	struct mt_error err = { .size = sizeof(err) };
	uint32_t level = 0;

	ck_assert_int_eq(take(m, "behind", &level, &err), MT_ENOENT);
	ck_assert_str_eq(err.culprit, "to");
	ck_assert_int_eq(take(m, "third", &level, &err), MT_EINVAL);
	ck_assert_str_eq(err.message, "slow gives no interrupt vectors");
	ck_assert_int_eq(take(m, "slow", &level, &err), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "not parallel"));
	ck_assert_int_eq(vector_host.bind(machine_find(m, "behind"), 0, &ops, NULL, &err), 0);
	ck_assert_int_eq(take(m, "first", &level, &err), MT_EBUSY);
	ck_assert_str_eq(err.message, "behind serves a vCPU already");
	machine_destroy(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vector");
	TCase *tc = tcase_create("vector");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, fake_setup, fake_teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_wakes);
	tcase_add_test(tc, test_strangers);
	tcase_add_test(tc, test_bind_refusals);
	tcase_add_test(tc, test_release);
	tcase_add_test(tc, test_behind);
	tcase_add_test(tc, test_take_refusals);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
