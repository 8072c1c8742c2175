/* SPDX-License-Identifier: MIT */
/* dev-acpi: the language it writes, the tables of a board that the test describes, its registers; iasl as judge. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/image.h>
#include <fake/state.h>
#include <mortise/draft/acpi.h>
#include <mortise/draft/power.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <util/endian.h>
#include <util/error.h>

#include "tables.h"

#define AT 0xe0000u

static struct fake *f;
static const void *(*real_get)(const struct mt_host *host, const char *id);
static uint32_t cpus, ranges, timer;   /* how much the board has; the interrupt of its timer */
static struct mt_error err;

/* The board: two CPUs with an I/O APIC, a timer, a serial port, a clock, a device above the ISA's interrupts, PCI. */
static int collect(struct mt_inst *inst, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *e)
{
	static const struct mt_acpi_range com = { 0x3f8, 8 }, clock = { 0x70, 2 }, pit = { 0x40, 4 };
	static const struct mt_acpi_range windows[] = { { 0xc0000000, 0x20000000 }, { 0x4000000000, 64ull << 30 } };
	const struct mt_acpi_pci pci = {
		sizeof(pci), 2, windows, { 0xe0000000, 0x100000 }, { 0xcf8, 8 }, "pins",
	};

	(void)e;
	w->begin(acpi, inst);
	for (uint32_t i = 0; i < cpus; i++)
		w->cpu(acpi, i, i);
	w->ioapic(acpi, 0, 0xfec00000, 0);
	w->pic(acpi);
	for (uint32_t i = 0; i < ranges; i++)
		w->device(acpi, "PNP0501", &com, 1, "four");
	w->device(acpi, "PNP0B00", &clock, 1, NULL);
	w->device(acpi, "PNP0100", &pit, 1, "zero");
	w->device(acpi, "LNRO0005", NULL, 0, "pins");
	w->reset(acpi, 0xcf9, 6);
	w->pci(acpi, &pci);
	return 0;
}

static int gsi(struct mt_inst *described, const char *prop, uint32_t index, uint32_t *number, struct mt_error *e)
{
	(void)described;
	if (!strcmp(prop, "none"))
		return mt_error_set(e, MT_ENOENT, prop, "none");
	*number = !strcmp(prop, "irq") ? 9 : !strcmp(prop, "four") ? 4 : !strcmp(prop, "zero") ? timer : 16 + index;
	return 0;
}

static const struct mt_acpi_host board = { .collect = collect, .gsi = gsi };

static const void *get(const struct mt_host *h, const char *id)
{
	return strcmp(id, MT_IFACE_ACPI_HOST) == 0 ? &board : real_get(h, id);
}

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-acpi");
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(made);

	real_get = host->get_interface;
	host->get_interface = get;
	fake_prop(made, "irq", "pic:9");
	return made;
}

static void start(void)
{
	cpus = 2;
	ranges = 1;
	timer = 2;
	mt_error_init(&err);
	f = make();
	fake_start(f);
}

static void stop(void)
{
	fake_free(f);
}

/* The language: bytes as the specification has them. */

static uint8_t storage[0x20000];
static struct aml a;

static void wrote(const char *bytes, uint32_t len)
{
	ck_assert_uint_eq(a.failed, 0);
	ck_assert_uint_eq(a.len, len);
	ck_assert_mem_eq(a.data, bytes, len);
	aml_init(&a, storage, sizeof(storage));
}

#define WROTE(text) wrote(text, sizeof(text) - 1)

START_TEST(integers_and_names)
{
	aml_init(&a, storage, sizeof(storage));
	for (uint32_t i = 0; i < 3; i++)
		aml_integer(&a, i);
	WROTE("\x00\x01\x0a\x02");
	aml_integer(&a, 0x1ff);
	aml_integer(&a, 0x12345);
	aml_integer(&a, 0x123456789aull);
	WROTE("\x0b\xff\x01\x0c\x45\x23\x01\x00\x0e\x9a\x78\x56\x34\x12\x00\x00\x00");
	aml_name(&a, "_S5");
	aml_id(&a, "PNP0A03");
	WROTE("\x08_S5_\x0c\x41\xd0\x0a\x03");
	aml_id(&a, "LNRO0005");
	aml_id(&a, "PNP0aX3");
	WROTE("\x0dLNRO0005\0\x0dPNP0aX3\0");
}
END_TEST

START_TEST(lengths)
{
	static const struct { uint32_t contents; const char *length; uint32_t bytes; } cases[] = {
		{ 0, "\x01", 1 }, { 62, "\x3f", 1 }, { 63, "\x41\x04", 2 }, { 4093, "\x4f\xff", 2 },
		{ 4094, "\x81\x00\x01", 3 }, { 65533, "\x80\x00\x10", 3 },
	};

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		aml_init(&a, storage, sizeof(storage));
		aml_scope(&a, "");             /* four characters of name */
		for (uint32_t n = 4; n < cases[i].contents; n++)
			aml_raw(&a, n, 1);
		if (cases[i].contents < 4)
			a.len = 1;
		aml_end(&a);
		ck_assert_uint_eq(a.len, 1 + cases[i].bytes + cases[i].contents);
		ck_assert_mem_eq(a.data + 1, cases[i].length, cases[i].bytes);
	}
}
END_TEST

START_TEST(blocks)
{
	aml_init(&a, storage, sizeof(storage));
	aml_scope(&a, "\\_SB");
	aml_device(&a, "PCI0");
	aml_method(&a, "_OSC", 4);
	aml_raw(&a, 0x6ba4, 2);
	aml_end(&a);
	aml_end(&a);
	aml_end(&a);
	WROTE("\x10\x16\\_SB_\x5b\x82\x0e""PCI0\x14\x08_OSC\x04\xa4\x6b");
	aml_package(&a, 2);
	aml_integer(&a, 1);
	aml_integer(&a, 7);
	aml_end(&a);
	WROTE("\x12\x05\x02\x01\x0a\x07");
}
END_TEST

START_TEST(resources)
{
	aml_init(&a, storage, sizeof(storage));
	aml_ports(&a, 0x3f8, 8);
	aml_isa_irq(&a, 4);
	aml_interrupt(&a, 0x12);
	aml_end_tag(&a);
	WROTE("\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00\x89\x06\x00\x01\x01\x12\x00\x00\x00\x79\x00");
	aml_window(&a, 0xc0000000, 0x20000000);
	WROTE("\x87\x17\x00\x00\x0c\x01\0\0\0\0\0\0\0\xc0\xff\xff\xff\xdf\0\0\0\0\0\0\0\x20");
	aml_fixed_memory(&a, 0x4000000000, 1ull << 32);
	WROTE("\x8a\x2b\x00\x00\x0d\x01\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0\0\xff\xff\xff\xff\x40\0\0\0"
	      "\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0");
	aml_buses(&a, 0, 1);
	WROTE("\x88\x0d\x00\x02\x0c\x00\0\0\0\0\0\0\0\0\x01\0");
}
END_TEST

/* Every room that is too small is seen, and nothing is written behind it. */
START_TEST(too_small)
{
	for (uint32_t room = 0; room < 24; room++) {
		memset(storage, 0xee, 64);
		aml_init(&a, storage, room);
		aml_scope(&a, "\\_SB");
		aml_device(&a, "PCI0");
		aml_id(&a, "PNP0A03");
		aml_end(&a);
		aml_end(&a);
		ck_assert_uint_eq(a.failed, room < 19);
		ck_assert_uint_le(a.len, room);
		for (uint32_t i = room; i < 64; i++)
			ck_assert_uint_eq(storage[i], 0xee);
	}
	aml_init(&a, storage, sizeof(storage));
	for (uint32_t i = 0; i <= AML_DEPTH; i++)
		aml_package(&a, 1);
	ck_assert_uint_eq(a.failed, 1);
}
END_TEST

/* The tables */

static const uint8_t *blob;
static uint64_t blob_bytes;

static int make_tables(void)
{
	const struct mt_acpi_tables *role = fake_role(f, MT_IFACE_ACPI_TABLES);

	return role->build(fake_self(f), AT, (const void **)&blob, &blob_bytes, &err);
}

static const uint8_t *at_gpa(uint64_t gpa)
{
	ck_assert_uint_ge(gpa, AT);
	ck_assert_uint_lt(gpa - AT, blob_bytes);
	return blob + (gpa - AT);
}

static uint32_t sum(const uint8_t *bytes, uint32_t len)
{
	uint8_t total = 0;

	for (uint32_t i = 0; i < len; i++)
		total = (uint8_t)(total + bytes[i]);
	return total;
}

/* By the RSDP and the XSDT, as a guest goes. */
static const uint8_t *look_for(const char *signature)
{
	const uint8_t *xsdt = at_gpa(mt_get_le64(blob + 24)), *found = NULL;

	ck_assert_uint_eq(sum(blob, 20) | sum(blob, 36), 0);
	for (uint32_t at = 36; at < mt_get_le32(xsdt + 4); at += 8) {
		const uint8_t *table = at_gpa(mt_get_le64(xsdt + at));

		ck_assert_uint_eq(sum(table, mt_get_le32(table + 4)), 0);
		if (!memcmp(table, signature, 4))
			found = table;
	}
	return found;
}

static const uint8_t *find(const char *signature)
{
	const uint8_t *found = look_for(signature);

	ck_assert_msg(found, "no %s", signature);
	return found;
}

START_TEST(fixed_tables)
{
	const uint8_t *fadt, *mcfg;

	ck_assert_int_eq(make_tables(), 0);
	ck_assert_mem_eq(blob, "RSD PTR ", 8);
	fadt = find("FACP");
	mcfg = find("MCFG");
	ck_assert_uint_eq(mt_get_le16(fadt + 46), 9);
	ck_assert_uint_eq(mt_get_le32(fadt + 56), 0x600);
	ck_assert_uint_eq(mt_get_le32(fadt + 64), 0x604);
	ck_assert_mem_eq(at_gpa(mt_get_le32(fadt + 36)), "FACS", 4);
	ck_assert_uint_eq(mt_get_le32(fadt + 36) % 64, 0);
	ck_assert_mem_eq(at_gpa(mt_get_le64(fadt + 140)), "DSDT", 4);
	ck_assert_uint_eq(mt_get_le32(fadt + 40), mt_get_le64(fadt + 140));
	ck_assert_uint_eq(mt_get_le32(fadt + 112) & 0x400, 0x400);
	ck_assert_mem_eq(fadt + 116, "\x01\x08\x00\x01\xf9\x0c\0\0\0\0\0\0\x06", 13);
	ck_assert_mem_eq(mcfg + 44, "\0\0\0\xe0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
}
END_TEST

START_TEST(cpus_and_controllers)
{
	static const char wanted[] =
		"\x00\x08\x00\x00\x01\0\0\0" "\x00\x08\x01\x01\x01\0\0\0" "\x01\x0c\x00\x00\0\0\xc0\xfe\0\0\0\0"
		"\x02\x0a\x00\x00\x02\0\0\0\x00\x00" "\x02\x0a\x00\x09\x09\0\0\0\x0d\x00" "\x04\x06\xff\0\0\x01";
	const uint8_t *madt;

	ck_assert_int_eq(make_tables(), 0);
	madt = find("APIC");
	ck_assert_uint_eq(mt_get_le32(madt + 36), 0xfee00000);
	ck_assert_uint_eq(mt_get_le32(madt + 40), 1);
	ck_assert_uint_eq(mt_get_le32(madt + 4), 44 + sizeof(wanted) - 1);
	ck_assert_mem_eq(madt + 44, wanted, sizeof(wanted) - 1);
	cpus = 1024;                                   /* from number 255 on: x2APIC */
	ck_assert_int_eq(make_tables(), 0);
	madt = find("APIC");
	ck_assert_mem_eq(madt + 44 + 255 * 8, "\x09\x10\0\0\xff\0\0\0\x01\0\0\0\xff\0\0\0", 16);
}
END_TEST

/* The 8254 where the ISA bus has it needs no override, and without local APICs there is nothing to tell of. */
START_TEST(simpler_boards)
{
	const uint8_t *madt;

	timer = 0;
	ck_assert_int_eq(make_tables(), 0);
	madt = find("APIC");
	ck_assert_mem_eq(madt + 44 + 28, "\x02\x0a\x00\x09", 4);
	cpus = 0;
	ck_assert_int_eq(make_tables(), 0);
	ck_assert_ptr_null(look_for("APIC"));
	find("FACP");
}
END_TEST

START_TEST(too_many)
{
	ranges = 2000;
	ck_assert_int_eq(make_tables(), MT_ENOSPC);
	ck_assert_ptr_nonnull(strstr(err.message, "too large"));
	ranges = 1;
	cpus = 4096;
	ck_assert_int_eq(make_tables(), MT_ENOSPC);
	cpus = 1;
	ck_assert_int_eq(make_tables(), 0);
}
END_TEST

static void table_file(const char *folder, const char *name, const uint8_t *table)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "wb");
	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(table, 1, mt_get_le32(table + 4), out), mt_get_le32(table + 4));
	ck_assert_int_eq(fclose(out), 0);
}

/* 1 when the program's text holds `wanted` */
static int says(const char *command, const char *wanted)
{
	static char text[1 << 18];
	FILE *in = popen(command, "r");
	size_t len;

	ck_assert_ptr_nonnull(in);
	len = fread(text, 1, sizeof(text) - 1, in);
	text[len] = 0;
	pclose(in);
	return strstr(text, wanted) != NULL;
}

/* Taken apart by iasl, and the DSDT put together again: it has no error, and says what was said. */
START_TEST(iasl)
{
	static const char *const wanted[] = {
		"Device (PCI0)", "EisaId (\"PNP0A08\")", "0x03F8,", "0xC0000000,", "Name (_S5", "Return (Arg3)",
		"0x0000004000000000,", "IRQNoFlags", "EisaId (\"PNP0100\")", "{0}",
	};
	char folder[256], command[512];
	const uint8_t *fadt;

	if (!fake_have("iasl")) {
		puts("iasl is missing (acpica-tools): its part is skipped");
		return;
	}
	ck_assert_int_eq(make_tables(), 0);
	fake_folder_make(folder);
	fadt = find("FACP");
	table_file(folder, "dsdt", at_gpa(mt_get_le64(fadt + 140)));
	table_file(folder, "facp", fadt);
	table_file(folder, "apic", find("APIC"));
	table_file(folder, "mcfg", find("MCFG"));
	snprintf(command, sizeof(command), "cd %s && iasl -d facp apic mcfg dsdt 2>&1 && iasl -f dsdt.dsl 2>&1", folder);
	ck_assert_msg(says(command, "0 Errors"), "%s", command);
	snprintf(command, sizeof(command), "cd %s && cat *.dsl", folder);
	for (uint32_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		ck_assert_msg(says(command, wanted[i]), "no '%s'", wanted[i]);
	ck_assert(!says(command, "Invalid") && !says(command, "Error"));
	fake_folder_remove(folder);
}
END_TEST

/* The registers */

START_TEST(button)
{
	const struct mt_power_button *role = fake_role(f, MT_IFACE_POWER_BUTTON);

	ck_assert_str_eq(fake_region(f, 0)->at_prop, "port");
	ck_assert_int_eq(role->press(fake_self(f), &err), 0);
	ck_assert_uint_eq(fake_get(f, 0, 2), 0x100);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	fake_put(f, 2, 2, 0x0100);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	fake_put(f, 0, 1, 0xff);                       /* the other half */
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	fake_put(f, 1, 1, 0x01);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	ck_assert_uint_eq(fake_get(f, 0, 2), 0);
	ck_assert_uint_eq(fake_get(f, 3, 1), 1);
	ck_assert_int_eq(role->press(fake_self(f), &err), 0);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

START_TEST(soft_off)
{
	uint32_t request = 0, code = 1;

	ck_assert_uint_eq(fake_get(f, 4, 2), 0x0001);  /* in ACPI mode */
	fake_put(f, 4, 2, 0x1400);
	ck_assert_uint_eq(fake_get(f, 4, 2), 0x1401);
	fake_put(f, 4, 2, 0x2000);                     /* another state */
	ck_assert_uint_eq(fake_requests(f, NULL, NULL), 0);
	fake_put(f, 4, 2, 0x3400);
	ck_assert_uint_eq(fake_requests(f, &request, &code), 1);
	ck_assert_uint_eq(request, MT_REQUEST_POWEROFF);
	ck_assert_uint_eq(code, 0);
	fake_put(f, 5, 1, 0x34);                       /* by the upper byte alone */
	ck_assert_uint_eq(fake_requests(f, NULL, NULL), 2);
	fake_put(f, 6, 2, 0xffff);
	ck_assert_uint_eq(fake_get(f, 6, 2), 0);
}
END_TEST

START_TEST(state)
{
	const struct mt_power_button *role = fake_role(f, MT_IFACE_POWER_BUTTON);

	role->press(fake_self(f), &err);
	fake_put(f, 2, 2, 0x0520);
	fake_put(f, 4, 2, 0x0c02);
	fake_state_check(f, make);
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 6, 20000);
}
END_TEST

int main(void)
{
	CHECK_RUN("acpi", start, stop, integers_and_names, lengths, blocks, resources, too_small, fixed_tables,
		  cpus_and_controllers, simpler_boards, too_many, iasl, button, soft_off, state, random_accesses);
}
