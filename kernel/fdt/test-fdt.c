/* SPDX-License-Identifier: MIT */
/* The device tree: its content read back with libfdt, what it refuses, and its source held against dtc. */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/machine/test-fake.h"

#define HEAD "[machine]\nschema = 1\narch = riscv64\ntitle = \"Test board\"\n[cpu]\nplugin = fake-cpu\ncount = 2\n"
#define BOARD HEAD "[memory ram]\nat = 0x80000000\nsize = 16M\n[memory high]\nat = 0x100000000\nsize = 8G\n" \
	"[device uart]\nplugin = fake-dev\nat = 0x10000000\nirq = pic:10\nto = pic\n" \
	"[device pic]\nplugin = fake-irq\nat = 0xc000000\n"

static const void *build(struct machine *m, const struct fdt_request *request)
{
	struct mt_error err = { .size = sizeof(err) };
	const void *blob = NULL;
	uint64_t len_bytes = 0;

	if (fdt_build(m, request, &blob, &len_bytes, &err) < 0)
		ck_abort_msg("%s", err.message);
	ck_assert_int_eq(fdt_check_header(blob), 0);
	ck_assert_uint_eq(fdt_totalsize(blob), len_bytes);
	return blob;
}

static int node(const void *blob, const char *path)
{
	int at = fdt_path_offset(blob, path);

	ck_assert_msg(at >= 0, "no node %s", path);
	return at;
}

static void expect_cells(const void *blob, const char *path, const char *name, const uint32_t *cells, int count)
{
	int len = 0;
	const fdt32_t *data = fdt_getprop(blob, node(blob, path), name, &len);

	ck_assert_msg(data && len == count * 4, "%s %s has %d bytes", path, name, len);
	for (int i = 0; i < count; i++)
		ck_assert_uint_eq(fdt32_to_cpu(data[i]), cells[i]);
}

#define CELLS(blob, path, name, ...) \
	expect_cells(blob, path, name, (const uint32_t[]){ __VA_ARGS__ }, \
		     (int)G_N_ELEMENTS(((const uint32_t[]){ __VA_ARGS__ })))

static void expect_text(const void *blob, const char *path, const char *name, const char *text, int count)
{
	int len = 0;
	const char *data = fdt_getprop(blob, node(blob, path), name, &len);

	ck_assert_msg(data && len == count && !memcmp(data, text, (size_t)count), "%s %s", path, name);
}

#define TEXT(blob, path, name, text) expect_text(blob, path, name, text, sizeof(text))

START_TEST(test_content)
{
	struct fdt_request request = { "console=ttyS0", 0x84000000u, 0x1234, true };
	struct machine *m = fake_machine(BOARD);
	const void *blob = build(m, &request);
	int len;
	uint32_t pic;

	CELLS(blob, "/", "#address-cells", 2);
	TEXT(blob, "/", "model", "Test board");
	TEXT(blob, "/", "compatible", "mortise,virt");
	CELLS(blob, "/cpus", "#address-cells", 1);
	CELLS(blob, "/cpus", "#size-cells", 0);
	CELLS(blob, "/cpus", "fake,count", 2);
	/* not every instruction set has it: the accelerator's */
	ck_assert_ptr_null(fdt_getprop(blob, node(blob, "/cpus"), "timebase-frequency", &len));
	CELLS(blob, "/cpus/cpu@1", "reg", 1);
	CELLS(blob, "/memory@80000000", "reg", 0, 0x80000000u, 0, 0x1000000);
	TEXT(blob, "/memory@80000000", "device_type", "memory");
	CELLS(blob, "/memory@100000000", "reg", 1, 0, 2, 0);
	TEXT(blob, "/soc", "compatible", "simple-bus");
	ck_assert_ptr_nonnull(fdt_getprop(blob, node(blob, "/soc"), "ranges", &len));
	ck_assert_int_eq(len, 0);
	TEXT(blob, "/soc/serial@10000000", "compatible", "fake,serial\0ns16550a");
	CELLS(blob, "/soc/serial@10000000", "reg", 0, 0x10000000, 0, 0x100);
	CELLS(blob, "/soc/serial@10000000", "wide", 0x12345678, 0x9abcdef0u);
	pic = fdt_get_phandle(blob, node(blob, "/soc/interrupt-controller@c000000"));
	ck_assert_uint_ne(pic, 0);
	CELLS(blob, "/soc/serial@10000000", "interrupts-extended", pic, 10, 4);
	CELLS(blob, "/soc/serial@10000000", "backend", pic);
	CELLS(blob, "/soc/interrupt-controller@c000000", "interrupts-extended",
	      fdt_get_phandle(blob, node(blob, "/cpus/cpu@0/interrupt-controller")), 11,
	      fdt_get_phandle(blob, node(blob, "/cpus/cpu@0/interrupt-controller")), 9,
	      fdt_get_phandle(blob, node(blob, "/cpus/cpu@1/interrupt-controller")), 11,
	      fdt_get_phandle(blob, node(blob, "/cpus/cpu@1/interrupt-controller")), 9);
	TEXT(blob, "/soc/firmware-calls", "method", "fake");
	TEXT(blob, "/chosen", "stdout-path", "/soc/serial@10000000");
	TEXT(blob, "/chosen", "bootargs", "console=ttyS0");
	CELLS(blob, "/chosen", "linux,initrd-start", 0, 0x84000000u);
	CELLS(blob, "/chosen", "linux,initrd-end", 0, 0x84001234u);
	ck_assert_ptr_nonnull(fdt_getprop(blob, node(blob, "/chosen"), "rng-seed", &len));
	ck_assert_int_eq(len, 32);
	machine_destroy(m);
}
END_TEST

START_TEST(test_again)
{
	struct fdt_request request = { 0 };
	struct machine *m = fake_machine(BOARD);
	const void *blob = build(m, &request);
	void *copy = g_malloc(fdt_totalsize(blob));
	int len;

	memcpy(copy, blob, fdt_totalsize(blob));
	blob = build(m, &request);
	ck_assert_uint_eq(fdt_totalsize(blob), fdt_totalsize(copy));
	ck_assert_int_eq(memcmp(blob, copy, fdt_totalsize(blob)), 0);
	ck_assert_ptr_null(fdt_getprop(blob, node(blob, "/chosen"), "bootargs", &len));
	ck_assert_ptr_null(fdt_getprop(blob, node(blob, "/chosen"), "linux,initrd-start", &len));
	g_free(copy);
	machine_destroy(m);
}
END_TEST

START_TEST(test_console)
{
	struct fdt_request request = { 0 };
	struct machine *m = fake_machine("[machine]\nschema = 1\narch = riscv64\nconsole = two\n[cpu]\n"
					 "plugin = fake-cpu\n[device one]\nplugin = fake-dev\nat = 0x1000\n"
					 "[device two]\nplugin = fake-dev\nat = 0x2000\n");

	TEXT(build(m, &request), "/chosen", "stdout-path", "/soc/serial@2000");
	machine_destroy(m);
}
END_TEST

/* ROM is not memory that the guest may be given. */
START_TEST(test_rom)
{
	struct fdt_request request = { 0 };
	struct machine *m = fake_ready("[cpu]\nplugin = fake-cpu\n[memory rom]\nat = 0x1000\nsize = 8K\ntype = rom\n"
				       "[memory ram]\nat = 0x80000000\nsize = 1M\n");
	const void *blob = build(m, &request);
	uint64_t gpa, len_bytes;

	ck_assert_int_lt(fdt_path_offset(blob, "/memory@1000"), 0);
	node(blob, "/memory@80000000");
	ck_assert_int_eq(boot_host.ram_block(m->cpu, 0, &gpa, &len_bytes), 0);
	ck_assert_uint_eq(gpa, 0x80000000u);
	ck_assert_int_eq(boot_host.ram_block(m->cpu, 1, &gpa, &len_bytes), MT_ENOENT);
	machine_destroy(m);
}
END_TEST

START_TEST(test_growth)
{
	struct fdt_request request = { 0 };
	struct machine *m = fake_machine(HEAD "[device a]\nplugin = fake-dev\nat = 0x1000\nmode = many\n");
	const void *blob = build(m, &request);

	TEXT(blob, "/soc/serial@1000/port0", "label", "port0");
	TEXT(blob, "/soc/serial@1000/port2999", "label", "port2999");
	machine_destroy(m);
}
END_TEST

static void refuse(const char *text, const char *words)
{
	struct fdt_request request = { 0 };
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = fake_machine(text);
	const void *blob;
	uint64_t len_bytes;

	ck_assert_int_lt(fdt_build(m, &request, &blob, &len_bytes, &err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
	machine_destroy(m);
}

START_TEST(test_refused)
{
	refuse(HEAD "[device a]\nplugin = fake-dev\nmode = wrong\n",
	       ":10:8: error: [device a]: mode: describe fails as told");
	refuse(HEAD "[device a]\nplugin = fake-dev\nmode = open\n", "[device a]: device tree: begin without end");
	refuse(HEAD "[device a]\nplugin = fake-dev\nto = b\n[device b]\nplugin = fake-dev\nmode = silent\n",
	       "[device a]: device tree: refers to a section that has no node");
	refuse(HEAD "[device a]\nplugin = fake-dev\nirq = b:1\n[device b]\nplugin = fake-dev\n",
	       "[device a]: irq: device tree: an interrupt names a section that takes none");
}
END_TEST

static char *dts_of(const void *blob)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	ck_assert(dts_print(blob, out));
	fclose(out);
	return text;
}

START_TEST(test_source)
{
	struct fdt_request request = { "say \"hi\" \\", 0, 0, false };
	struct machine *m = fake_machine(BOARD);
	char *text = dts_of(build(m, &request));

	ck_assert_int_eq(strncmp(text, "/dts-v1/;\n\n/ {\n\t#address-cells = <0x02>;\n", 41), 0);
	ck_assert_ptr_nonnull(strstr(text, "\tcompatible = \"fake,serial\", \"ns16550a\";\n"));
	ck_assert_ptr_nonnull(strstr(text, "\tflag;\n"));
	ck_assert_ptr_nonnull(strstr(text, "bootargs = \"say \\\"hi\\\" \\\\\";\n"));
	free(text);
	machine_destroy(m);
}
END_TEST

/* What dtc makes of the source is the blob again. */
START_TEST(test_dtc)
{
	struct fdt_request request = { "say \"hi\" \\", 0x84000000u, 0x1001, true };
	struct machine *m = fake_machine(BOARD);
	const void *blob = build(m, &request);
	char *dir, *text = dts_of(blob), *command, *path, *other, *again;
	size_t len;

	if (system("dtc --version > /dev/null 2>&1") != 0) {
		printf("no dtc: its reading of the source is not tested\n");
		free(text);
		machine_destroy(m);
		return;
	}
	dir = g_dir_make_tmp("mortise-test-XXXXXX", NULL);
	ck_assert_ptr_nonnull(dir);
	path = g_build_filename(dir, "a.dts", NULL);
	other = g_build_filename(dir, "a.dtb", NULL);
	ck_assert(g_file_set_contents(path, text, -1, NULL));
	command = g_strdup_printf("dtc -q -I dts -O dtb -o %s %s", other, path);
	ck_assert_int_eq(system(command), 0);
	ck_assert(g_file_get_contents(other, &again, &len, NULL));
	g_free(command);
	command = dts_of(again);
	ck_assert_str_eq(command, text);
	free(command);
	free(text);
	g_free(again);
	unlink(path);
	unlink(other);
	rmdir(dir);
	g_free(dir);
	g_free(path);
	g_free(other);
	machine_destroy(m);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fdt");
	TCase *t = tcase_create("fdt");

	tcase_add_checked_fixture(t, fake_setup, fake_teardown);
	tcase_add_test(t, test_content);
	tcase_add_test(t, test_again);
	tcase_add_test(t, test_console);
	tcase_add_test(t, test_rom);
	tcase_add_test(t, test_growth);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_source);
	tcase_add_test(t, test_dtc);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
