/* SPDX-License-Identifier: MIT */
/* What classes say on its way to the writer of tables: who is asked and in which order, numbers of interrupts. */
#include <stdlib.h>
#include <string.h>

#include "kernel/acpi/acpi.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/machine/test-fake.h"

#define BOARD "[machine]\nschema = 1\narch = riscv64\n[device uart]\nplugin = fake-dev\nat = 0x10000000\n" \
	"irq = pic:10\n[cpu]\nplugin = fake-cpu\n[device pic]\nplugin = fake-irq\nat = 0xc000000\n" \
	"[memory ram]\nat = 0x80000000\nsize = 1M\n"

static GString *told;
static uint32_t shift;         /* of the controller's numbers; 0: they are its inputs' */
static struct machine *m;

static void begin(struct mt_acpi *acpi, struct mt_inst *described)
{
	(void)acpi;
	g_string_append_printf(told, "%s ", described->id);
}

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	(void)self, (void)acpi, (void)w;
	if (shift == 99)
		return fault_set(err, MT_EINVAL, "at", NULL, "has nothing to say");
	return 0;
}

static uint32_t shifted(void *self, uint32_t input)
{
	(void)self;
	return input + shift;
}

static int build(void *self, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *err)
{
	(void)self, (void)err;
	*blob = told;
	*len_bytes = gpa + 1;
	return 0;
}

static const void *roles(const char *class_name, const char *id)
{
	static const struct mt_acpi_node plain = { describe, NULL }, controller = { describe, shifted };
	static const struct mt_acpi_tables tables = { build };

	if (!strcmp(id, MT_IFACE_ACPI_NODE))
		return !strcmp(class_name, "fake-irq") && shift ? &controller : &plain;
	return !strcmp(id, MT_IFACE_ACPI_TABLES) && !strcmp(class_name, "fake-dev") && shift ? &tables : NULL;
}

static void setup(void)
{
	fake_setup();
	fake_role = roles;
	told = g_string_new(NULL);
	shift = 0;
	m = fake_machine(BOARD);
}

static void teardown(void)
{
	machine_destroy(m);
	g_string_free(told, TRUE);
	fake_role = NULL;
	fake_teardown();
}

static const struct mt_acpi_writer writer = { .begin = begin };

START_TEST(all_are_asked)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_inst *uart = machine_find(m, "uart");

	ck_assert_int_eq(acpi_host.collect(uart, NULL, &writer, &err), 0);
	ck_assert_str_eq(told->str, "cpu uart pic ");          /* the accelerator first, then as in the file */
	shift = 99;
	ck_assert_int_eq(acpi_host.collect(uart, NULL, &writer, &err), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "nothing to say"));
}
END_TEST

START_TEST(interrupts)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_inst *uart = machine_find(m, "uart");
	uint32_t gsi = 0;

	ck_assert_int_eq(acpi_host.gsi(uart, "irq", 0, &gsi, &err), 0);
	ck_assert_uint_eq(gsi, 10);
	shift = 24;
	ck_assert_int_eq(acpi_host.gsi(uart, "irq", 0, &gsi, &err), 0);
	ck_assert_uint_eq(gsi, 34);
	ck_assert_int_eq(acpi_host.gsi(uart, "irq", 1, &gsi, &err), MT_ENOENT);
	ck_assert_str_eq(err.culprit, "irq");
}
END_TEST

START_TEST(tables_or_none)
{
	const void *blob = NULL;
	uint64_t len = 0;

	ck_assert_int_eq(acpi_host.tables(machine_find(m, "pic"), 41, &blob, &len, NULL), MT_ENOENT);
	shift = 1;
	ck_assert_int_eq(acpi_host.tables(machine_find(m, "pic"), 41, &blob, &len, NULL), 0);
	ck_assert_ptr_eq(blob, told);
	ck_assert_uint_eq(len, 42);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("acpi");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, all_are_asked);
	tcase_add_test(tc, interrupts);
	tcase_add_test(tc, tables_or_none);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
