/* SPDX-License-Identifier: MIT */
/* dev-boot-arm64 on the fake host: placement, registers, refusals, and damaged headers. */
#include <fake/boot.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/image.h>
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#include "image.h"

#define RAM  0x80000000ull
#define MIB  (1ull << 20)
#define GIB  (1ull << 30)
#define EL1H 0x3c5u

static struct fake *f;
static struct mt_error err;
static char folder[256];

static void start(void)
{
	fake_folder_make(folder);
	f = fake_new("dev-boot-arm64");
	fake_ram(f, RAM, 64 * MIB);
	ck_assert_int_eq(fake_boot_reg_set(f, 0, "cpsr", EL1H), 0);
	mt_error_init(&err);
}

static void stop(void)
{
	fake_free(f);
	fake_folder_remove(folder);
}

static void again(void)
{
	stop();
	start();
}

static void file(const char *key, const void *data, size_t len, size_t total)
{
	fake_boot_file(f, folder, key, data, len, total);
}

static void head_make(uint8_t head[64], uint64_t text_offset, uint64_t size, uint64_t flags)
{
	memset(head, 0x13, 64);
	mt_put_le64(head + 8, text_offset);
	mt_put_le64(head + 16, size);
	mt_put_le64(head + 24, flags);
	mt_put_le32(head + 56, 0x644d5241);
}

static void kernel(uint64_t text_offset, uint64_t size, size_t total)
{
	uint8_t head[64];

	head_make(head, text_offset, size, 0xa);
	file("kernel", head, sizeof(head), total);
}

static int go(void)
{
	return fake_boot_go(f, &err);
}

static uint64_t reg(const char *name)
{
	return fake_boot_value(f, 0, name);
}

START_TEST(kernel_initrd_and_tree)
{
	uint8_t initrd[5000];
	uint64_t gpa, len, other;

	memset(initrd, 0x77, sizeof(initrd));
	kernel(0, 3 * MIB, 2 * MIB);
	file("initrd", initrd, sizeof(initrd), sizeof(initrd));
	fake_prop(f, "append", "console=ttyS0");
	fake_vcpus(f, 2);
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_eq(reg("pc"), RAM);
	ck_assert_uint_eq(reg("x1"), 0);
	ck_assert_uint_eq(reg("x2"), 0);
	ck_assert_uint_eq(reg("x3"), 0);
	/* whoever serves PSCI has the others off */
	ck_assert(!fake_boot_reg(f, 1, "pc", &other));
	ck_assert_uint_eq(mt_get_le32(fake_ram_at(f, RAM + 56)), 0x644d5241);
	ck_assert(fake_ram_dirty(f, RAM + MIB));
	ck_assert_uint_eq(mt_get_be32(fake_ram_at(f, reg("x0"))), 0xd00dfeed);
	ck_assert_uint_eq(reg("x0"), RAM + 62 * MIB);
	ck_assert_str_eq(fake_boot_args(f), "console=ttyS0");
	fake_boot_initrd(f, &gpa, &len);
	ck_assert_uint_eq(len, sizeof(initrd));
	ck_assert_uint_eq(gpa, RAM + 62 * MIB - 8192);
	ck_assert_mem_eq(fake_ram_at(f, gpa), initrd, sizeof(initrd));
}
END_TEST

START_TEST(offset_from_two_mib)
{
	fake_ram(f, RAM + MIB, 64 * MIB);
	kernel(0x80000, 4096, 4096);
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_eq(reg("pc"), RAM + 2 * MIB + 0x80000);
	ck_assert_uint_eq(mt_get_le32(fake_ram_at(f, reg("pc") + 56)), 0x644d5241);
}
END_TEST

START_TEST(reset_loads_again)
{
	kernel(0, 4096, 4096);
	ck_assert_int_eq(go(), 0);
	memset(fake_ram_at(f, RAM), 0, 64);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(mt_get_le32(fake_ram_at(f, RAM + 56)), 0x644d5241);
}
END_TEST

START_TEST(el2_is_fine)
{
	ck_assert_int_eq(fake_boot_reg_set(f, 0, "cpsr", 0x3c9), 0);
	kernel(0, 4096, 4096);
	ck_assert_int_eq(go(), 0);
}
END_TEST

static void expect_error(const char *culprit, const char *words)
{
	ck_assert_int_lt(go(), 0);
	ck_assert_str_eq(err.culprit, culprit);
	ck_assert_msg(strstr(err.message, words), "%s", err.message);
}

START_TEST(levels_that_no_kernel_is_entered_in)
{
	static const struct { uint64_t pstate; const char *words; } all[] = {
		{ 0x3cd, "EL3" }, { 0x3c0, "EL0" }, { 0x1d3, "AArch32" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		again();
		kernel(0, 4096, 4096);
		ck_assert_int_eq(fake_boot_reg_set(f, 0, "cpsr", all[i].pstate), 0);
		expect_error("kernel", all[i].words);
	}
}
END_TEST

START_TEST(another_cpu)
{
	fake_free(f);
	f = fake_new("dev-boot-arm64");
	kernel(0, 4096, 4096);
	expect_error("plugin", "no register 'cpsr'");
}
END_TEST

START_TEST(missing_file)
{
	fake_prop(f, "kernel", "/nonexistent/Image");
	expect_error("kernel", "/nonexistent/Image");
}
END_TEST

START_TEST(files_that_are_no_image)
{
	static const struct { const char *bytes; size_t len, total; const char *words; } all[] = {
		{ "", 0, 0, "empty" }, { "hello", 5, 4096, "no arm64 Linux Image" }, { "hello", 5, 63, "no arm64 Linux Image" },
		{ "\x1f\x8b\x08", 3, 100, "gzip" }, { "\x28\xb5\x2f\xfd", 4, 4, "zstd" }, { "\xfd" "7zXZ", 5, 100, "xz" },
		{ "MZ\0\0zimg", 8, 100, "EFI" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		again();
		file("kernel", all[i].bytes, all[i].len, all[i].total);
		expect_error("kernel", all[i].words);
	}
}
END_TEST

START_TEST(kernel_of_riscv)
{
	uint8_t head[64];

	head_make(head, 0, 4096, 0);
	mt_put_le32(head + 56, 0x05435352);
	file("kernel", head, 64, 4096);
	expect_error("kernel", "no arm64 Linux Image");
	ck_assert_ptr_nonnull(strstr(err.hint, "built for arm64"));
}
END_TEST

START_TEST(headers_that_are_refused)
{
	static const struct { uint64_t offset, size, flags; const char *words; } all[] = {
		{ 0x80000, 0, 0, "how much memory" }, { 0, 4096, 1, "big-endian" }, { 1ull << 40, 4096, 0, "damaged" },
		{ 0, UINT64_MAX, 0, "damaged" },
	};
	uint8_t head[64];

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		again();
		head_make(head, all[i].offset, all[i].size, all[i].flags);
		file("kernel", head, 64, 4096);
		expect_error("kernel", all[i].words);
	}
}
END_TEST

START_TEST(kernel_too_big)
{
	kernel(0, 65 * MIB, 4096);
	expect_error("kernel", "do not fit into RAM");
}
END_TEST

/* The file is longer than its header says. */
START_TEST(file_too_big)
{
	kernel(0, 4096, 65 * MIB);
	expect_error("kernel", "do not fit into RAM");
}
END_TEST

START_TEST(kernel_under_the_tree)
{
	kernel(0, 63 * MIB, 4096);
	expect_error("dtb", "overlap the kernel");
}
END_TEST

START_TEST(initrd_over_the_kernel)
{
	kernel(0, 8 * MIB, 4096);
	file("initrd", "x", 1, 60 * MIB);
	expect_error("initrd", "overlap the kernel");
}
END_TEST

START_TEST(initrd_bigger_than_all_ram)
{
	kernel(0, 4096, 4096);
	file("initrd", "x", 1, 600 * MIB);
	expect_error("initrd", "do not fit into RAM");
}
END_TEST

START_TEST(ram_too_high)
{
	struct image image = { .memory_bytes = 4096 };
	struct layout l;

	ck_assert_int_eq(layout_make(&l, UINT64_MAX - 4096, 4096, &image, "k", NULL, &err), MT_ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.message, "too high"));
}
END_TEST

START_TEST(tree_too_big)
{
	kernel(0, 4096, 4096);
	fake_boot_fdt_bytes(f, 2 * MIB + 1);
	expect_error("dtb", "device tree");
}
END_TEST

START_TEST(own_tree)
{
	uint8_t tree[64] = { 0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 64, 0xab };

	kernel(0, 4096, 4096);
	file("dtb", tree, 64, 64);
	ck_assert_int_eq(go(), 0);
	ck_assert_mem_eq(fake_ram_at(f, reg("x0")), tree, 64);
}
END_TEST

START_TEST(own_tree_damaged)
{
	kernel(0, 4096, 4096);
	file("dtb", "x", 1, 64);
	expect_error("dtb", "no flattened device tree");
}
END_TEST

START_TEST(own_tree_excludes_append)
{
	kernel(0, 4096, 4096);
	file("dtb", "x", 1, 64);
	fake_prop(f, "append", "quiet");
	expect_error("dtb", "no effect");
}
END_TEST

/* Everything is within 32 GiB of the GiB that the kernel begins in. */
START_TEST(much_ram)
{
	struct mt_boot_file initrd = { .key = "initrd", .path = "i", .len_bytes = 20 * MIB };
	struct image image = { .memory_bytes = 40 * MIB };
	struct layout l;

	ck_assert_int_eq(layout_make(&l, RAM, 64 * GIB, &image, "k", &initrd, &err), 0);
	ck_assert_uint_eq(l.kernel_gpa, RAM);
	ck_assert_uint_eq(l.tree_gpa, RAM + 32 * GIB - 2 * MIB);
	ck_assert_uint_eq(l.initrd_gpa, RAM + 32 * GIB - 22 * MIB);
}
END_TEST

/* What is accepted has numbers that the layout cannot overflow with. */
START_TEST(fuzz_headers)
{
	struct mt_boot_file k = { .key = "kernel", .path = "k" }, initrd = { .key = "initrd", .path = "i" };
	uint64_t seed = 7;
	struct image image;
	struct layout l;

	for (int i = 0; i < 100000; i++) {
		uint8_t head[64], *copy;

		head_make(head, fake_random(&seed) >> fake_random(&seed) % 64, fake_random(&seed) >> fake_random(&seed) % 64,
			  fake_random(&seed));
		k.len_bytes = fake_random(&seed) >> fake_random(&seed) % 64;
		initrd.len_bytes = fake_random(&seed) >> fake_random(&seed) % 64;
		copy = malloc(mt_min_u64(k.len_bytes, 64) + 1);      /* its own block: a sanitizer sees a byte too far */
		memcpy(copy, head, mt_min_u64(k.len_bytes, 64));
		if (!image_parse(&image, &k, copy, &err)) {
			ck_assert_uint_ge(image.memory_bytes, k.len_bytes);
			if (!layout_make(&l, RAM, 64 * MIB, &image, "k", &initrd, &err)) {
				ck_assert_uint_le(l.kernel_gpa + image.memory_bytes, l.initrd_gpa);
				ck_assert_uint_le(l.initrd_gpa + initrd.len_bytes, l.tree_gpa);
				ck_assert_uint_eq(l.tree_gpa + l.tree_bytes, RAM + 64 * MIB);
			}
		}
		free(copy);
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("boot-arm64", start, stop, kernel_initrd_and_tree, offset_from_two_mib, reset_loads_again,
		  el2_is_fine, levels_that_no_kernel_is_entered_in, another_cpu, missing_file, files_that_are_no_image,
		  kernel_of_riscv, headers_that_are_refused, kernel_too_big, file_too_big, kernel_under_the_tree,
		  initrd_over_the_kernel, initrd_bigger_than_all_ram, ram_too_high, tree_too_big, own_tree, own_tree_damaged,
		  own_tree_excludes_append, much_ram, fuzz_headers);
}
