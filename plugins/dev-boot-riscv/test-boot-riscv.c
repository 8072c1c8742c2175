/* SPDX-License-Identifier: MIT */
/* dev-boot-riscv on the fake host: placement, registers, refusals, and damaged headers. */
#include <elf.h>
#include <fake/boot.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/image.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>

#include "image.h"
#include "layout.h"

#define RAM  0x80000000ull
#define MIB  (1ull << 20)

static struct fake *f;
static struct mt_error err;
static char folder[256];

static void start(void)
{
	fake_folder_make(folder);
	f = fake_new("dev-boot-riscv");
	fake_ram(f, RAM, 64 * MIB);
	mt_error_init(&err);
}

static void stop(void)
{
	fake_free(f);
	fake_folder_remove(folder);
}

static void file(const char *key, const void *data, size_t len, size_t total)
{
	fake_boot_file(f, folder, key, data, len, total);
}

static void linux_image(uint8_t head[64], uint64_t text_offset, uint64_t size)
{
	memset(head, 0x13, 64);
	mt_put_le64(head + 8, text_offset);
	mt_put_le64(head + 16, size);
	mt_put_le64(head + 24, 0);
	mt_put_le32(head + 56, 0x05435352);
}

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	uint8_t code[16];
};

static struct elf elf_file(uint64_t paddr, uint64_t vaddr)
{
	struct elf e;

	memset(&e, 0, sizeof(e));
	memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
	e.eh.e_ident[EI_CLASS] = ELFCLASS64;
	e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e.eh.e_type = ET_EXEC;
	e.eh.e_machine = EM_RISCV;
	e.eh.e_entry = vaddr + 4;
	e.eh.e_phoff = offsetof(struct elf, ph);
	e.eh.e_phentsize = sizeof(Elf64_Phdr);
	e.eh.e_phnum = 2;
	e.ph[0].p_type = PT_NOTE;
	e.ph[1].p_type = PT_LOAD;
	e.ph[1].p_offset = offsetof(struct elf, code);
	e.ph[1].p_filesz = sizeof(e.code);
	e.ph[1].p_memsz = 0x2000;
	e.ph[1].p_paddr = paddr;
	e.ph[1].p_vaddr = vaddr;
	memset(e.code, 0xee, sizeof(e.code));
	return e;
}

static int go(void)
{
	return fake_boot_go(f, &err);
}

static uint64_t reg(uint32_t vcpu, const char *name)
{
	return fake_boot_value(f, vcpu, name);
}

static uint64_t ram64(uint64_t gpa)
{
	return mt_get_le64(fake_ram_at(f, gpa));
}

START_TEST(linux_under_firmware)
{
	uint8_t head[64], initrd[5000];
	uint64_t gpa, len, info, tree;

	linux_image(head, 0x200000, 3 * MIB);
	memset(initrd, 0x77, sizeof(initrd));
	file("firmware", "FIRMWARE", 8, 300000);
	file("kernel", head, 64, 2 * MIB);
	file("initrd", initrd, sizeof(initrd), sizeof(initrd));
	fake_prop(f, "append", "console=ttyS0");
	fake_vcpus(f, 2);
	ck_assert_int_eq(go(), 0);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(reg(i, "pc"), RAM);
		ck_assert_uint_eq(reg(i, "a0"), i);
	}
	info = reg(1, "a2");
	tree = reg(1, "a1");
	ck_assert_mem_eq(fake_ram_at(f, RAM), "FIRMWARE", 8);
	ck_assert_mem_eq(fake_ram_at(f, RAM + 2 * MIB), head, 64);
	ck_assert(fake_ram_dirty(f, RAM + 2 * MIB + 100000));
	ck_assert_uint_eq(ram64(info), 0x4942534f);
	ck_assert_uint_eq(ram64(info + 8), 2);
	ck_assert_uint_eq(ram64(info + 16), RAM + 2 * MIB);
	ck_assert_uint_eq(ram64(info + 24), 1);
	ck_assert_uint_eq(ram64(info + 40), 0);
	ck_assert_uint_eq(mt_get_be32(fake_ram_at(f, tree)), 0xd00dfeed);
	ck_assert_uint_eq(tree % 8, 0);
	ck_assert_str_eq(fake_boot_args(f), "console=ttyS0");
	fake_boot_initrd(f, &gpa, &len);
	ck_assert_uint_eq(len, sizeof(initrd));
	ck_assert_uint_eq(gpa % 4096, 0);
	ck_assert_uint_gt(gpa, RAM + 5 * MIB);
	ck_assert_mem_eq(fake_ram_at(f, gpa), initrd, sizeof(initrd));
}
END_TEST

START_TEST(reset_loads_again)
{
	file("firmware", "FIRMWARE", 8, 8);
	ck_assert_int_eq(go(), 0);
	memset(fake_ram_at(f, RAM), 0, 8);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_mem_eq(fake_ram_at(f, RAM), "FIRMWARE", 8);
}
END_TEST

START_TEST(elf_kernel_at_its_physical_address)
{
	struct elf e = elf_file(RAM + 8 * MIB, 0xffffffff80000000);

	file("firmware", "F", 1, 1);
	file("kernel", &e, sizeof(e), sizeof(e));
	ck_assert_int_eq(fake_create(f, &err), 0);
	memset(fake_ram_at(f, RAM + 8 * MIB), 0x55, 0x2000);
	ck_assert_int_eq(fake_realize(f, &err), 0);
	ck_assert_int_eq(fake_reset(f, MT_RESET_COLD, &err), 0);
	ck_assert_uint_eq(ram64(reg(0, "a2") + 16), RAM + 8 * MIB + 4);
	ck_assert_uint_eq(*fake_ram_at(f, RAM + 8 * MIB + 15), 0xee);
	ck_assert_uint_eq(*fake_ram_at(f, RAM + 8 * MIB + 16), 0);
	ck_assert_uint_eq(*fake_ram_at(f, RAM + 8 * MIB + 0x1fff), 0);
}
END_TEST

START_TEST(elf_kernel_alone_is_firmware)
{
	struct elf e = elf_file(RAM + 0x1000, RAM + 0x1000);

	file("kernel", &e, sizeof(e), sizeof(e));
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_eq(reg(0, "pc"), RAM + 0x1004);
	ck_assert_uint_eq(*fake_ram_at(f, RAM + 0x1000), 0xee);
}
END_TEST

START_TEST(big_firmware_moves_the_kernel)
{
	uint8_t head[64];

	linux_image(head, 0x200000, 4096);
	file("firmware", "F", 1, 2 * MIB + 1);
	file("kernel", head, 64, 4096);
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_eq(ram64(reg(0, "a2") + 16), RAM + 4 * MIB);
}
END_TEST

START_TEST(small_ram)
{
	struct elf e = elf_file(RAM, RAM);

	fake_ram(f, RAM, 256 * 1024);
	file("firmware", &e, sizeof(e), sizeof(e));
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_lt(reg(0, "a1"), RAM + 256 * 1024);
}
END_TEST

static void expect_error(const char *culprit, const char *words)
{
	ck_assert_int_lt(go(), 0);
	ck_assert_str_eq(err.culprit, culprit);
	ck_assert_msg(strstr(err.message, words), "%s", err.message);
}

START_TEST(nothing_to_boot)
{
	expect_error("firmware", "nothing to boot");
}
END_TEST

START_TEST(image_without_firmware)
{
	uint8_t head[64];

	linux_image(head, 0x200000, 4096);
	file("kernel", head, 64, 4096);
	expect_error("kernel", "needs firmware");
	ck_assert_ptr_nonnull(strstr(err.hint, "opensbi"));
}
END_TEST

START_TEST(supervisor_mode_needs_no_firmware)
{
	uint8_t head[64];

	fake_vcpus(f, 2);
	ck_assert_int_eq(fake_boot_reg_set(f, 0, "priv", 1), 0);
	linux_image(head, 0x200000, 3 * MIB);
	file("firmware", "FIRMWARE", 8, 8);
	file("kernel", head, 64, 4096);
	ck_assert_int_eq(go(), 0);
	ck_assert_mem_eq(fake_ram_at(f, RAM), "\0\0\0\0\0\0\0\0", 8);
	ck_assert_mem_eq(fake_ram_at(f, RAM + 2 * MIB), head, 64);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(reg(i, "pc"), RAM + 2 * MIB);
		ck_assert_uint_eq(reg(i, "a0"), i);
		ck_assert_uint_eq(reg(i, "a2"), 0);
	}
	ck_assert_uint_eq(ram64(reg(0, "a1")) & 0xffffffff, 0xedfe0dd0);
}
END_TEST

START_TEST(supervisor_mode_needs_a_kernel)
{
	ck_assert_int_eq(fake_boot_reg_set(f, 0, "priv", 1), 0);
	file("firmware", "FIRMWARE", 8, 8);
	expect_error("kernel", "supervisor mode");
}
END_TEST

START_TEST(machine_mode_takes_firmware)
{
	ck_assert_int_eq(fake_boot_reg_set(f, 0, "priv", 3), 0);
	file("firmware", "FIRMWARE", 8, 8);
	ck_assert_int_eq(go(), 0);
	ck_assert_mem_eq(fake_ram_at(f, RAM), "FIRMWARE", 8);
}
END_TEST

START_TEST(missing_file)
{
	fake_prop(f, "firmware", "/nonexistent/fw.bin");
	expect_error("firmware", "/nonexistent/fw.bin");
}
END_TEST

START_TEST(gzip_is_refused)
{
	file("firmware", "F", 1, 1);
	file("kernel", "\x1f\x8b\x08", 3, 100);
	expect_error("kernel", "gzip");
	ck_assert_ptr_nonnull(strstr(err.hint, "unpack"));
}
END_TEST

START_TEST(foreign_kernel_is_refused)
{
	file("firmware", "F", 1, 1);
	file("kernel", "hello", 5, 4096);
	expect_error("kernel", "neither");
}
END_TEST

START_TEST(kernel_too_big)
{
	uint8_t head[64];

	linux_image(head, 0x200000, 63 * MIB);
	file("firmware", "F", 1, 1);
	file("kernel", head, 64, 4096);
	expect_error("kernel", "do not fit into RAM");
}
END_TEST

START_TEST(kernel_under_the_tree)
{
	uint8_t head[64];

	linux_image(head, 0x200000, 61 * MIB);
	file("firmware", "F", 1, 1);
	file("kernel", head, 64, 4096);
	expect_error("dtb", "overlap the kernel");
}
END_TEST

START_TEST(initrd_too_big)
{
	file("firmware", "F", 1, 3 * MIB);
	file("initrd", "x", 1, 60 * MIB);
	expect_error("initrd", "overlap the firmware");
}
END_TEST

START_TEST(initrd_bigger_than_all_ram)
{
	file("firmware", "F", 1, 1);
	file("initrd", "x", 1, 600 * MIB);
	expect_error("initrd", "do not fit into RAM");
}
END_TEST

START_TEST(elf_outside_ram)
{
	struct elf e = elf_file(0x1000, 0x1000);

	file("firmware", &e, sizeof(e), sizeof(e));
	expect_error("firmware", "do not fit into RAM");
}
END_TEST

START_TEST(elf_header_below_ram)
{
	static uint8_t bytes[0x1010];
	struct elf e = elf_file(RAM - 0x1000, RAM - 0x1000);

	e.eh.e_entry = RAM + 4;
	e.ph[1].p_offset = 0;
	e.ph[1].p_filesz = e.ph[1].p_memsz = sizeof(bytes);
	memcpy(bytes, &e, sizeof(e));
	memset(bytes + 0x1000, 0xcc, 16);
	file("firmware", bytes, sizeof(bytes), sizeof(bytes));
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_eq(reg(0, "pc"), RAM + 4);
	ck_assert_uint_eq(*fake_ram_at(f, RAM), 0xcc);
	ck_assert_uint_eq(*fake_ram_at(f, RAM + 15), 0xcc);
	ck_assert_uint_eq(*fake_ram_at(f, RAM + 16), 0);
}
END_TEST

START_TEST(elf_cut_short)
{
	struct elf e = elf_file(RAM, RAM);

	file("firmware", &e, sizeof(e), sizeof(e) - 1);
	expect_error("firmware", "beyond the end");
}
END_TEST

START_TEST(elf_of_another_machine)
{
	struct elf e = elf_file(RAM, RAM);

	e.eh.e_machine = EM_X86_64;
	file("firmware", &e, sizeof(e), sizeof(e));
	expect_error("firmware", "not for 64-bit RISC-V");
}
END_TEST

START_TEST(tree_too_big)
{
	file("firmware", "F", 1, 1);
	fake_boot_fdt_bytes(f, 2 * MIB);
	expect_error("dtb", "device tree");
}
END_TEST

START_TEST(own_tree)
{
	uint8_t tree[64] = { 0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 64, 0xab };

	file("firmware", "F", 1, 1);
	file("dtb", tree, 64, 64);
	ck_assert_int_eq(go(), 0);
	ck_assert_mem_eq(fake_ram_at(f, reg(0, "a1")), tree, 64);
}
END_TEST

START_TEST(own_tree_damaged)
{
	file("firmware", "F", 1, 1);
	file("dtb", "x", 1, 64);
	expect_error("dtb", "no flattened device tree");
}
END_TEST

START_TEST(own_tree_excludes_append)
{
	file("firmware", "F", 1, 1);
	file("dtb", "x", 1, 64);
	fake_prop(f, "append", "quiet");
	expect_error("dtb", "no effect");
}
END_TEST

START_TEST(ram_across_four_gib)
{
	struct layout l;
	uint64_t gpa;

	layout_init(&l, RAM, 8ull << 30);
	ck_assert_int_eq(layout_slot(&l, NULL), 0);
	ck_assert_int_eq(layout_initrd(&l, 20 * MIB, "i", &gpa, NULL), 0);
	ck_assert_uint_eq(l.slot_gpa, (4ull << 30) - 2 * MIB);
	ck_assert_uint_eq(gpa, (4ull << 30) - 22 * MIB);
}
END_TEST

/* What image_parse promises of everything that it accepts. */
static void check_image(const struct image *image, uint64_t file_bytes)
{
	ck_assert_uint_le(image->segment_count, IMAGE_SEGMENTS_MAX);
	ck_assert_uint_le(image->memory_bytes, file_bytes > 1ull << 40 ? file_bytes : 1ull << 40);
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct image_segment *s = &image->segments[i];

		ck_assert(s->file_offset <= file_bytes && s->file_bytes <= file_bytes - s->file_offset);
		ck_assert_uint_le(s->file_bytes, s->memory_bytes);
		ck_assert(s->gpa + s->memory_bytes >= s->gpa);
	}
}

static void place(struct image *image)
{
	struct layout l;
	uint64_t gpa, entry;

	layout_init(&l, RAM, 64 * MIB);
	layout_cut_headers(&l, image);
	check_image(image, image->file_bytes);
	if (layout_firmware(&l, image, "firmware", "f", &gpa, &entry, NULL))
		layout_init(&l, RAM, 64 * MIB);
	if (!layout_kernel(&l, image, "k", &gpa, &entry, NULL) && !layout_slot(&l, NULL))
		layout_initrd(&l, image->memory_bytes, "i", &gpa, NULL);
}

START_TEST(fuzz_headers)
{
	uint64_t seed = 7;
	struct image image;

	for (int i = 0; i < 200000; i++) {
		struct elf e = elf_file(RAM, RAM);
		uint64_t len = i % 4 ? sizeof(e) : fake_random(&seed) % (sizeof(e) + 1);
		uint8_t *copy = malloc(len + 1);     /* its own block: a sanitizer sees a byte too far */

		if (i & 1)
			linux_image((uint8_t *)&e, fake_random(&seed), fake_random(&seed));
		for (uint64_t n = fake_random(&seed) % 6; n; n--) {
			uint64_t at = fake_random(&seed) % sizeof(e), r = fake_random(&seed);

			((uint8_t *)&e)[at] = r & 1 ? 0xff : (uint8_t)(r >> 8);
		}
		memcpy(copy, &e, len);
		if (!image_parse(&image, copy, len, "kernel", "k", &err)) {
			check_image(&image, len);
			place(&image);
		}
		free(copy);
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("boot-riscv", start, stop, linux_under_firmware, reset_loads_again,
		  elf_kernel_at_its_physical_address, elf_kernel_alone_is_firmware, big_firmware_moves_the_kernel,
		  small_ram, nothing_to_boot, image_without_firmware,
		  supervisor_mode_needs_no_firmware, supervisor_mode_needs_a_kernel, machine_mode_takes_firmware,
		  missing_file, gzip_is_refused,
		  foreign_kernel_is_refused, kernel_too_big, kernel_under_the_tree, initrd_too_big,
		  initrd_bigger_than_all_ram, elf_outside_ram, elf_header_below_ram, elf_cut_short,
		  elf_of_another_machine, tree_too_big, own_tree, own_tree_damaged, own_tree_excludes_append,
		  ram_across_four_gib, fuzz_headers);
}
