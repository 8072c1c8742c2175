/* SPDX-License-Identifier: MIT */
/* dev-boot-x86: what is loaded where, what registers start with, files that are wrong, random damage to headers. */
#include <elf.h>
#include <fake/boot.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/image.h>
#include <fake/state.h>
#include <mortise/draft/acpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <util/endian.h>
#include <util/error.h>

#define MIB 0x100000ull
#define RAM_BYTES (32 * MIB)

static struct fake *f;
static struct mt_error err;
static char folder[256];

static void start(void)
{
	fake_folder_make(folder);
	f = fake_new("dev-boot-x86");
	fake_ram(f, 0, RAM_BYTES);
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

struct elf {
	Elf64_Ehdr eh;
	Elf64_Phdr ph[2];
	uint32_t note[8];
	uint8_t code[16];
};

static struct elf elf_file(uint64_t paddr)
{
	struct elf e;

	memset(&e, 0, sizeof(e));
	memcpy(e.eh.e_ident, ELFMAG, SELFMAG);
	e.eh.e_ident[EI_CLASS] = ELFCLASS64;
	e.eh.e_ident[EI_DATA] = ELFDATA2LSB;
	e.eh.e_type = ET_EXEC;
	e.eh.e_machine = EM_X86_64;
	e.eh.e_phoff = offsetof(struct elf, ph);
	e.eh.e_phentsize = sizeof(Elf64_Phdr);
	e.eh.e_phnum = 2;
	e.ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_offset = offsetof(struct elf, code), .p_paddr = paddr,
				.p_vaddr = paddr, .p_filesz = 16, .p_memsz = 0x2000 };
	e.ph[1] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = offsetof(struct elf, note), .p_filesz = sizeof(e.note) };
	/* another note first */
	memcpy(e.note, (uint32_t[]){ 0, 0, 7, 4, 4, 18, 0x006e6558, 0 }, sizeof(e.note));
	e.note[7] = (uint32_t)paddr + 4;
	memset(e.code, 0xee, sizeof(e.code));
	return e;
}

static int go(void)
{
	return fake_boot_go(f, &err);
}

static uint64_t reg(const char *name)
{
	return fake_boot_value(f, 0, name);
}

static uint64_t ram64(uint64_t gpa)
{
	return mt_get_le64(fake_ram_at(f, gpa));
}

static uint32_t ram32(uint64_t gpa)
{
	return mt_get_le32(fake_ram_at(f, gpa));
}

/* Tables of `tables_bytes` (0: none), all of one byte. */
static const void *(*real_get)(const struct mt_host *host, const char *id);
static uint64_t tables_bytes, tables_gpa;
static uint8_t tables_blob[0x20001];

static int tables(struct mt_inst *inst, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *e)
{
	(void)inst, (void)e;
	if (!tables_bytes)
		return MT_ENOENT;
	memset(tables_blob, 0xac, sizeof(tables_blob));
	tables_gpa = gpa;
	*blob = tables_blob;
	*len_bytes = tables_bytes;
	return 0;
}

static const struct mt_acpi_host acpi_host = { .tables = tables };

static const void *get(const struct mt_host *h, const char *id)
{
	return strcmp(id, MT_IFACE_ACPI_HOST) == 0 ? &acpi_host : real_get(h, id);
}

static void with_tables(uint64_t bytes)
{
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(f);

	real_get = host->get_interface;
	host->get_interface = get;
	tables_bytes = bytes;
}

START_TEST(acpi_tables)
{
	struct elf e = elf_file(2 * MIB);

	with_tables(0x20000);
	file("kernel", &e, sizeof(e), sizeof(e));
	ck_assert_msg(go() == 0, "%s", err.message);
	ck_assert_uint_eq(tables_gpa, 0xe0000);
	ck_assert_uint_eq(ram64(reg("rbx") + 32), 0xe0000);
	ck_assert_mem_eq(fake_ram_at(f, 0xe0000), tables_blob, 0x20000);
	ck_assert_uint_ne(*fake_ram_at(f, 0xdffff), 0xac);
	tables_bytes = 0;                              /* no more of them after a reset */
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(ram64(reg("rbx") + 32), 0);
	tables_bytes = 0x20001;
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), MT_ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.message, "ACPI"));
}
END_TEST

START_TEST(pvh_kernel)
{
	struct elf e = elf_file(2 * MIB);
	uint64_t info, module, map;
	uint8_t initrd[5000];

	memset(initrd, 0x77, sizeof(initrd));
	file("kernel", &e, sizeof(e), sizeof(e));
	file("initrd", initrd, sizeof(initrd), sizeof(initrd));
	fake_prop(f, "append", "quiet");
	ck_assert_msg(go() == 0, "%s", err.message);
	ck_assert_uint_eq(reg("rip"), 2 * MIB + 4);
	ck_assert_uint_eq(reg("cr0"), 0x11);
	ck_assert_uint_eq(reg("cs.attr"), 0xc09b);
	ck_assert_uint_eq(reg("ds.attr"), 0xc093);
	ck_assert_uint_eq(reg("cs.limit"), UINT32_MAX);
	info = reg("rbx");
	ck_assert_uint_eq(ram32(info), 0x336ec578);
	ck_assert_uint_eq(ram32(info + 12), 1);
	ck_assert_str_eq((char *)fake_ram_at(f, ram64(info + 24)), "quiet");
	module = ram64(info + 16);
	ck_assert_uint_eq(ram64(module + 8), sizeof(initrd));
	ck_assert_mem_eq(fake_ram_at(f, ram64(module)), initrd, sizeof(initrd));
	ck_assert_uint_eq(ram64(module), (RAM_BYTES - sizeof(initrd)) & ~4095ull);
	map = ram64(info + 40);
	ck_assert_uint_eq(ram32(info + 48), 2);
	ck_assert_uint_eq(ram64(map + 24), MIB);
	ck_assert_uint_eq(ram64(map + 32), RAM_BYTES - MIB);
	ck_assert_uint_eq(ram32(map + 40), 1);
	ck_assert_uint_eq(*fake_ram_at(f, 2 * MIB + 15), 0xee);
	ck_assert_uint_eq(*fake_ram_at(f, 2 * MIB + 16), 0);
	ck_assert(fake_ram_dirty(f, 2 * MIB));
}
END_TEST

START_TEST(reset_loads_again)
{
	struct elf e = elf_file(2 * MIB);

	file("kernel", &e, sizeof(e), sizeof(e));
	ck_assert_int_eq(go(), 0);
	memset(fake_ram_at(f, 2 * MIB), 0, 0x2000);
	memset(fake_ram_at(f, 2 * MIB + 0x1000), 9, 16);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(*fake_ram_at(f, 2 * MIB), 0xee);
	ck_assert_uint_eq(*fake_ram_at(f, 2 * MIB + 0x1000), 0);
}
END_TEST

static void linux_head(uint8_t head[0x400], uint64_t gpa)
{
	memset(head, 0, 0x400);
	head[0x1f1] = 1;
	head[0x201] = 0x6a;
	memcpy(head + 0x202, "HdrS", 4);
	mt_put_le16(head + 0x206, 0x20f);
	mt_put_le32(head + 0x22c, 0x7fffffff);
	mt_put_le16(head + 0x236, 0x7f);
	mt_put_le32(head + 0x238, 2047);
	mt_put_le64(head + 0x258, gpa);
	mt_put_le32(head + 0x260, 0x300000);
}

START_TEST(linux_kernel)
{
	uint8_t head[0x400], initrd[100] = { 1 };
	uint64_t zero, pages;

	linux_head(head, 16 * MIB);
	file("kernel", head, sizeof(head), 0x400 + 0x1000);
	file("initrd", initrd, sizeof(initrd), sizeof(initrd));
	fake_prop(f, "append", "console=ttyS0");
	with_tables(0x1000);
	ck_assert_msg(go() == 0, "%s", err.message);
	ck_assert_uint_eq(reg("rip"), 16 * MIB + 0x200);
	ck_assert_uint_eq(reg("efer"), 0x500);
	ck_assert_uint_eq(reg("cs.attr"), 0xa09b);
	ck_assert_uint_eq(reg("cs"), 0x10);
	zero = reg("rsi");
	ck_assert_mem_eq(fake_ram_at(f, zero + 0x202), "HdrS", 4);
	ck_assert_uint_eq(*fake_ram_at(f, zero + 0x210), 0xff);
	ck_assert_uint_eq(ram64(zero + 0x70), 0xe0000);
	ck_assert_uint_eq(ram32(zero + 0x21c), sizeof(initrd));
	ck_assert_uint_eq(ram32(zero + 0x218), RAM_BYTES - 4096);
	ck_assert_str_eq((char *)fake_ram_at(f, ram32(zero + 0x228)), "console=ttyS0");
	ck_assert_uint_eq(*fake_ram_at(f, zero + 0x1e8), 2);
	ck_assert_uint_eq(ram64(zero + 0x2d0 + 20), MIB);
	/* the tables map an address in the third GiB to itself */
	pages = ram64((ram64(reg("cr3")) & ~4095ull) + 16) & ~4095ull;
	ck_assert_uint_eq(ram64(pages + 8 * 5), 0x80000000 + 5 * 2 * MIB + 0x83);
}
END_TEST

static void expect(const char *culprit, const char *words)
{
	ck_assert_int_lt(go(), 0);
	ck_assert_str_eq(err.culprit, culprit);
	ck_assert_msg(strstr(err.message, words), "%s", err.message);
}

START_TEST(no_kernel_at_all)
{
	file("kernel", "hello", 5, 5);
	expect("kernel", "neither an ELF file nor a Linux bzImage");
}
END_TEST

START_TEST(empty_file)
{
	file("kernel", "", 0, 0);
	expect("kernel", "empty");
}
END_TEST

START_TEST(elf_without_entry)
{
	struct elf e = elf_file(2 * MIB);

	e.note[5] = 17;
	file("kernel", &e, sizeof(e), sizeof(e));
	expect("kernel", "no PVH entry");
}
END_TEST

START_TEST(elf_of_another_machine)
{
	struct elf e = elf_file(2 * MIB);

	e.eh.e_machine = EM_RISCV;
	file("kernel", &e, sizeof(e), sizeof(e));
	expect("kernel", "not for x86-64");
}
END_TEST

START_TEST(elf_in_low_memory)
{
	struct elf e = elf_file(0x8000);

	file("kernel", &e, sizeof(e), sizeof(e));
	expect("kernel", "do not fit into RAM");
}
END_TEST

START_TEST(elf_beyond_memory)
{
	struct elf e = elf_file(RAM_BYTES - 0x1000);

	file("kernel", &e, sizeof(e), sizeof(e));
	expect("kernel", "do not fit into RAM");
}
END_TEST

START_TEST(old_linux)
{
	uint8_t head[0x400];

	linux_head(head, 16 * MIB);
	mt_put_le16(head + 0x236, 0);
	file("kernel", head, sizeof(head), 0x2000);
	expect("kernel", "no 64-bit entry");
}
END_TEST

START_TEST(linux_cut_short)
{
	uint8_t head[0x400];

	linux_head(head, 16 * MIB);
	head[0x1f1] = 30;
	file("kernel", head, sizeof(head), 0x400);
	expect("kernel", "missing");
}
END_TEST

START_TEST(initrd_too_big)
{
	struct elf e = elf_file(2 * MIB);

	file("kernel", &e, sizeof(e), sizeof(e));
	file("initrd", "x", 1, 40 * MIB);
	expect("initrd", "do not fit into RAM");
}
END_TEST

START_TEST(command_line_too_long)
{
	struct elf e = elf_file(2 * MIB);
	char text[5000];

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	file("kernel", &e, sizeof(e), sizeof(e));
	fake_prop(f, "append", text);
	expect("append", "4999 bytes; this kernel takes 4095");
}
END_TEST

START_TEST(memory_elsewhere)
{
	struct elf e = elf_file(2 * MIB);

	fake_ram(f, 0x80000000, RAM_BYTES);
	file("kernel", &e, sizeof(e), sizeof(e));
	expect("kernel", "no RAM of 2 MiB or more at address 0");
}
END_TEST

/* Random damage: refused with words, or loaded; never beyond RAM, which a sanitizer would see. */
START_TEST(damaged_headers)
{
	uint64_t seed = 11;

	for (int i = 0; i < 1500; i++) {
		struct elf e = elf_file(2 * MIB);
		uint8_t head[0x400], *bytes = i & 1 ? head : (uint8_t *)&e;
		size_t len = i & 1 ? sizeof(head) : sizeof(e);
		char path[300];
		FILE *out;

		linux_head(head, 16 * MIB);
		for (uint64_t n = 1 + fake_random(&seed) % 5; n; n--) {
			uint64_t r = fake_random(&seed), at = i & 1 ? 0x1f1 + r % 0x77 : r % len;

			bytes[at] = r >> 60 & 1 ? 0xff : (uint8_t)(r >> 20);
		}
		if (i == 0) {
			file("kernel", bytes, len, len + 64);
			ck_assert_int_eq(fake_create(f, &err), 0);
			ck_assert_int_eq(fake_realize(f, &err), 0);
		}
		snprintf(path, sizeof(path), "%s/kernel", folder);
		out = fopen(path, "rb+");
		ck_assert_int_eq(ftruncate(fileno(out), 0), 0);
		ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
		fflush(out);
		ck_assert_int_eq(ftruncate(fileno(out), (off_t)(len + (i & 2 ? 4096 : 0))), 0);
		fclose(out);
		mt_error_init(&err);
		if (fake_reset(f, MT_RESET_COLD, &err) < 0)
			ck_assert(err.message[0]);
	}
}
END_TEST

int main(void)
{
	CHECK_RUN("boot-x86", start, stop, pvh_kernel, acpi_tables, reset_loads_again, linux_kernel, no_kernel_at_all,
		  empty_file, elf_without_entry, elf_of_another_machine, elf_in_low_memory, elf_beyond_memory, old_linux,
		  linux_cut_short, initrd_too_big, command_line_too_long, memory_elsewhere, damaged_headers);
}
