/* SPDX-License-Identifier: MIT */
/* dev-fw-cfg: items and the directory, both ways to read them, ACPI tables, requests of a hostile guest, state. */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <mortise/draft/acpi.h>
#include <stdio.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>

#include "acpi.h"

#define RAM_BYTES  0x100000u
#define REQUEST_AT 0x1000u
#define DATA_AT    0x2000u
#define READ       2u
#define SKIP       4u
#define SELECT     8u
#define WRITE      16u

static struct fake *f;
static struct mt_error err;

/* Tables as dev-acpi lays them out, of `tables_bytes` (0: none), for address 0. */
static const void *(*real_get)(const struct mt_host *host, const char *id);
static uint8_t tables_blob[0x400];
static uint64_t tables_bytes;

static int tables(struct mt_inst *inst, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *e)
{
	(void)inst, (void)e;
	ck_assert_uint_eq(gpa, 0);
	if (!tables_bytes)
		return MT_ENOENT;
	*blob = tables_blob;
	*len_bytes = tables_bytes;
	return 0;
}

static const struct mt_acpi_host acpi_host = { .tables = tables };

static const void *get(const struct mt_host *h, const char *id)
{
	return strcmp(id, MT_IFACE_ACPI_HOST) == 0 ? &acpi_host : real_get(h, id);
}

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-fw-cfg");
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(made);

	real_get = host->get_interface;
	host->get_interface = get;
	fake_ram(made, 0, RAM_BYTES);
	fake_vcpus(made, 3);
	fake_prop(made, "boot-menu", "on");
	fake_prop(made, "text", "opt/one=first line, opt/two=x=y, opt/one=second");
	fake_prop(made, "number", "etc/sercon-port=0x3f8");
	return made;
}

static void start(void)
{
	tables_bytes = 0;
	f = make();
	mt_error_init(&err);
	fake_start(f);
}

static void stop(void)
{
	fake_free(f);
}

static void again(void)
{
	stop();
	f = make();
}

/* Ports */

static void pick(uint16_t key)
{
	fake_put(f, 0, 2, key);
}

static void take(void *to, uint32_t len)
{
	for (uint8_t *at = to; len--; at++)
		*at = (uint8_t)fake_get(f, 1, 1);
}

static uint64_t number(uint16_t key, uint32_t len)
{
	uint8_t bytes[8] = { 0 };

	pick(key);
	take(bytes, len);
	return mt_get_le64(bytes);
}

/* The entry of the directory; its key, or 0, and its length. */
static uint16_t entry(const char *name, uint32_t *len)
{
	uint8_t count[4], e[64];

	pick(0x19);
	take(count, sizeof(count));
	for (uint32_t i = mt_get_be32(count); i; i--) {
		take(e, sizeof(e));
		*len = mt_get_be32(e);
		if (!strcmp((char *)e + 8, name))
			return mt_get_be16(e + 4);
	}
	return 0;
}

static uint32_t contents(const char *name, void *to)
{
	uint32_t len = 0;
	uint16_t key = entry(name, &len);

	ck_assert_msg(key, "there is no file %s", name);
	pick(key);
	take(to, len);
	return len;
}

/* DMA: the answer's control */
static uint32_t request(uint32_t control, uint32_t len, uint64_t gpa)
{
	uint8_t *at = fake_ram_at(f, REQUEST_AT);

	mt_put_be32(at, control);
	mt_put_be32(at + 4, len);
	mt_put_be64(at + 8, gpa);
	fake_put(f, 4, 4, 0);
	fake_put(f, 8, 4, __builtin_bswap32(REQUEST_AT));
	return mt_get_be32(at);
}

START_TEST(found)
{
	char signature[4];

	ck_assert_str_eq(fake_region(f, 0)->at_prop, "port");
	pick(0);
	take(signature, 4);
	ck_assert_mem_eq(signature, "QEMU", 4);
	ck_assert_uint_eq(fake_get(f, 1, 1), 0);
	ck_assert_uint_eq(number(1, 4), 3);
	ck_assert_uint_eq(fake_get(f, 4, 4), 0x554d4551);  /* "QEMU CFG" */
	ck_assert_uint_eq(fake_get(f, 8, 4), 0x47464320);
}
END_TEST

START_TEST(fixed_items)
{
	ck_assert_uint_eq(number(3, 8), RAM_BYTES);
	ck_assert_uint_eq(number(5, 2), 3);
	ck_assert_uint_eq(number(15, 2), 3);
	ck_assert_uint_eq(number(14, 2), 1);
	ck_assert_uint_eq(number(0x8003, 4), 0);
	ck_assert_uint_eq(number(0x1f, 8), 0);
}
END_TEST

START_TEST(files)
{
	uint8_t bytes[64] = { 0 };

	ck_assert_uint_eq(contents("etc/e820", bytes), 20);
	ck_assert_uint_eq(mt_get_le64(bytes), 0);
	ck_assert_uint_eq(mt_get_le64(bytes + 8), RAM_BYTES);
	ck_assert_uint_eq(mt_get_le32(bytes + 16), 1);
	ck_assert_uint_eq(contents("opt/one", bytes), 17);
	ck_assert_mem_eq(bytes, "first line\nsecond", 17);
	ck_assert_uint_eq(contents("opt/two", bytes), 3);
	ck_assert_mem_eq(bytes, "x=y", 3);
	ck_assert_uint_eq(contents("etc/sercon-port", bytes), 8);
	ck_assert_uint_eq(mt_get_le64(bytes), 0x3f8);
}
END_TEST

START_TEST(by_dma)
{
	uint8_t *at = fake_ram_at(f, DATA_AT);
	uint32_t len;
	uint16_t key = entry("opt/one", &len);

	memset(at, 0xee, 64);
	ck_assert_uint_eq(request((uint32_t)key << 16 | SELECT | READ, 5, DATA_AT), 0);
	ck_assert_mem_eq(at, "first\xee", 6);
	ck_assert_uint_eq(request(SKIP, 6, 0), 0);
	ck_assert_uint_eq(request(READ, 9, DATA_AT), 0);   /* six of them, and zeros */
	ck_assert_mem_eq(at, "second\0\0\0\xee", 10);
	ck_assert(fake_ram_dirty(f, DATA_AT));
	ck_assert_uint_eq(request(SELECT, 0, 0), 0);
	ck_assert_uint_eq(fake_get(f, 1, 1), 'Q');
}
END_TEST

START_TEST(wrong_requests)
{
	uint32_t len;
	uint16_t key = entry("opt/one", &len);

	ck_assert_uint_eq(request((uint32_t)key << 16 | SELECT | READ, 5, RAM_BYTES), 1);
	ck_assert_uint_eq(request((uint32_t)key << 16 | SELECT | READ, 17, RAM_BYTES - 16), 1);
	ck_assert_uint_eq(request((uint32_t)key << 16 | SELECT | READ, 17, UINT64_MAX - 3), 1);
	ck_assert_uint_eq(request(READ, UINT32_MAX, DATA_AT), 1);
	ck_assert_uint_eq(request(READ, 0x200000, DATA_AT), 1);
	ck_assert_uint_eq(request((uint32_t)key << 16 | SELECT | WRITE, 5, DATA_AT), 1);
	ck_assert_uint_eq(fake_get(f, 1, 1), 'f');         /* selected, and nothing was written */
	ck_assert_uint_eq(request(SKIP, UINT32_MAX, 0), 0);
	ck_assert_uint_eq(request(SKIP, UINT32_MAX, 0), 0);
	ck_assert_uint_eq(fake_get(f, 1, 1), 0);           /* not round to the beginning */
	/* requests that lie nowhere, or half of them */
	fake_put(f, 4, 4, UINT32_MAX);
	fake_put(f, 8, 4, UINT32_MAX);
	fake_put(f, 8, 4, __builtin_bswap32(RAM_BYTES - 8));
}
END_TEST

/* The data goes over the request itself: what it said counts, and the answer comes last. */
START_TEST(request_over_itself)
{
	ck_assert_uint_eq(request(0u << 16 | SELECT | READ, 16, REQUEST_AT), 0);
	ck_assert_uint_eq(mt_get_be32(fake_ram_at(f, REQUEST_AT + 4)), 0);
}
END_TEST

START_TEST(other_accesses)
{
	pick(0);
	fake_put(f, 1, 1, 5);                              /* data is not written */
	ck_assert_uint_eq(fake_get(f, 1, 1), 'Q');
	ck_assert_uint_eq(fake_get(f, 0, 2), 0);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(fake_get(f, 1, 1), 'Q');
}
END_TEST

/* ACPI: RSDP, XSDT with one table, FADT with a FACS of 32 bits and both addresses of a DSDT */

#define XSDT 0x80u
#define FADT 0xc0u
#define FACS 0x40u
#define DSDT 0x200u

static void table(uint32_t at, const char *signature, uint32_t len)
{
	memcpy(tables_blob + at, signature, 4);
	mt_put_le32(tables_blob + at + 4, len);
	tables_blob[at + 9] = 0x77;
}

static void with_tables(void)
{
	memset(tables_blob, 0, sizeof(tables_blob));
	memcpy(tables_blob, "RSD PTR ", 8);
	mt_put_le64(tables_blob + 24, XSDT);
	tables_blob[32] = 0x55;
	table(XSDT, "XSDT", 44);
	mt_put_le64(tables_blob + XSDT + 36, FADT);
	table(FADT, "FACP", 276);
	mt_put_le32(tables_blob + FADT + 36, FACS);
	mt_put_le32(tables_blob + FADT + 40, DSDT);
	mt_put_le64(tables_blob + FADT + 140, DSDT);
	table(DSDT, "DSDT", 64);
	tables_bytes = sizeof(tables_blob);
}

static uint8_t sum_of(const uint8_t *bytes, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *bytes++);
	return sum;
}

/* Does what firmware does with the commands, with the tables at `gpa`. */
static void loader_run(uint8_t *rsdp, uint8_t *moved, uint64_t gpa)
{
	uint8_t commands[64 * 128];
	uint32_t len = contents("etc/table-loader", commands);

	ck_assert_uint_eq(len % 128, 0);
	for (const uint8_t *c = commands; c < commands + len; c += 128) {
		uint8_t *file = strcmp((const char *)c + 4, "etc/acpi/rsdp") ? moved : rsdp;

		if (mt_get_le32(c) == 2) {
			uint8_t *at = file + mt_get_le32(c + 116);

			ck_assert_str_eq((const char *)c + 60, "etc/acpi/tables");
			if (c[120] == 8)
				mt_put_le64(at, mt_get_le64(at) + gpa);
			else
				mt_put_le32(at, mt_get_le32(at) + (uint32_t)gpa);
		} else if (mt_get_le32(c) == 3) {
			uint8_t *at = file + mt_get_le32(c + 60);

			ck_assert_uint_eq(*at, 0);
			*at = (uint8_t)(*at - sum_of(file + mt_get_le32(c + 64), mt_get_le32(c + 68)));
		}
	}
}

START_TEST(acpi_tables)
{
	uint8_t rsdp[64], moved[sizeof(tables_blob)];
	uint32_t len;

	ck_assert_uint_eq(entry("etc/table-loader", &len), 0);
	again();
	with_tables();
	fake_start(f);
	ck_assert_uint_eq(contents("etc/acpi/rsdp", rsdp), 36);
	ck_assert_uint_eq(contents("etc/acpi/tables", moved), sizeof(moved));
	ck_assert_uint_eq(moved[0], 0);                    /* no second RSDP */
	loader_run(rsdp, moved, 0x7ff000);
	ck_assert_uint_eq(mt_get_le64(rsdp + 24), 0x7ff000 + XSDT);
	ck_assert_uint_eq(mt_get_le64(moved + XSDT + 36), 0x7ff000 + FADT);
	ck_assert_uint_eq(mt_get_le32(moved + FADT + 36), 0x7ff000 + FACS);
	ck_assert_uint_eq(mt_get_le32(moved + FADT + 40), 0x7ff000 + DSDT);
	ck_assert_uint_eq(mt_get_le64(moved + FADT + 132), 0);
	ck_assert_uint_eq(mt_get_le64(moved + FADT + 140), 0x7ff000 + DSDT);
	ck_assert_uint_eq(sum_of(rsdp, 36), 0);
	ck_assert_uint_eq(sum_of(moved + XSDT, 44), 0);
	ck_assert_uint_eq(sum_of(moved + FADT, 276), 0);
	ck_assert_uint_eq(moved[DSDT + 9], 0x77);          /* it has no addresses: its sum is its own */
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(contents("etc/acpi/tables", moved), sizeof(moved));
}
END_TEST

START_TEST(damaged_tables)
{
	uint64_t seed = 5;

	for (int i = 0; i < 20000; i++) {
		struct items items = { 0 };
		uint64_t len = sizeof(tables_blob);

		with_tables();
		for (uint64_t n = 1 + fake_random(&seed) % 4; n; n--) {
			uint64_t r = fake_random(&seed);

			tables_blob[r % (FADT + 160)] = r >> 60 & 1 ? 0xff : (uint8_t)(r >> 20);
		}
		if (i & 1)
			len = fake_random(&seed) % len;
		mt_error_init(&err);
		if (acpi_files(&items, tables_blob, len, &err))
			ck_assert(err.message[0]);
		items_free(&items);
	}
}
END_TEST

/* Realize, or the first reset, says what is wrong. */
static void refused(const char *prop, const char *value, const char *words)
{
	int rc;

	again();
	if (prop)
		fake_prop(f, prop, value);
	mt_error_init(&err);
	ck_assert_int_eq(fake_create(f, &err), 0);
	rc = fake_realize(f, &err);
	if (rc == 0)
		rc = fake_reset(f, MT_RESET_COLD, &err);
	ck_assert_int_lt(rc, 0);
	ck_assert_msg(strstr(err.message, words), "%s", err.message);
}

START_TEST(wrong_properties)
{
	char text[100];

	refused("text", "no equals sign", "is not of the form");
	refused("text", "=nothing", "is not of the form");
	refused("number", "a=12x", "no number");
	refused("number", "a=-1", "no number");
	refused("number", "a=", "no number");
	refused("number", "a=0x10000000000000000", "no number");
	refused("number", "opt/one=1", "already");
	refused("text", "etc/e820=me", "machine's own");
	refused("number", "etc/table-loader=1", "machine's own");
	memset(text, 'n', sizeof(text));
	memcpy(text + 56, "=x", 3);
	refused("text", text, "up to 55");
}
END_TEST

START_TEST(wrong_tables)
{
	with_tables();
	tables_blob[0] = 'X';
	refused(NULL, NULL, "do not begin with an RSDP");
	with_tables();
	mt_put_le64(tables_blob + 24, sizeof(tables_blob));
	refused(NULL, NULL, "have no XSDT");
	with_tables();
	mt_put_le64(tables_blob + XSDT + 36, UINT64_MAX);
	refused(NULL, NULL, "not there");
	with_tables();
	mt_put_le32(tables_blob + FADT + 4, 100);
	refused(NULL, NULL, "cut short");
	with_tables();
	tables_bytes = (1u << 20) + 1;
	refused(NULL, NULL, "no memory for 1048577 bytes");
}
END_TEST

START_TEST(too_many_files)
{
	char value[1024] = "";
	size_t len = 0;

	again();
	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(value + len, sizeof(value) - len, "n%d=1%s", i, i < 99 ? "," : "");
	fake_prop(f, "number", value);
	mt_error_init(&err);
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_ENOSPC);
	ck_assert_msg(strstr(err.message, "more than 96"), "%s", err.message);
}
END_TEST

/* In the middle of a file and of an address, with and without tables. */
START_TEST(state)
{
	uint32_t len;

	pick(entry("opt/one", &len));
	fake_get(f, 1, 1);
	fake_put(f, 4, 4, 0x12345678);
	fake_state_check(f, make);
	again();
	with_tables();
	fake_start(f);
	pick(entry("etc/acpi/tables", &len));
	ck_assert_uint_eq(request(SKIP, 7, 0), 0);
	fake_state_check(f, make);
	fake_state_refuses(f, make, "tables", 0, 'X', "are no ACPI tables");
}
END_TEST

/* The guest keeps the tables that it had, though another writer would make others. */
START_TEST(state_has_the_tables)
{
	uint8_t before[sizeof(tables_blob)], after[sizeof(tables_blob)];
	struct fake_state *saved;

	again();
	with_tables();
	fake_start(f);
	contents("etc/acpi/tables", before);
	saved = fake_save(f);
	again();
	memset(tables_blob + DSDT, 0, 64);
	ck_assert_int_eq(fake_load(f, saved, &err), 0);
	contents("etc/acpi/tables", after);
	ck_assert_mem_eq(before, after, sizeof(before));
	fake_state_free(saved);
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 17, 20000);
}
END_TEST

int main(void)
{
	CHECK_RUN("fw-cfg", start, stop, found, fixed_items, files, by_dma, wrong_requests, request_over_itself,
		  other_accesses, acpi_tables, damaged_tables, wrong_properties, wrong_tables, too_many_files, state,
		  state_has_the_tables, random_accesses);
}
