/* SPDX-License-Identifier: MIT */
/*
 * The tables in memory: RSDP, FACS, DSDT, FADT, MADT, MCFG and the XSDT that lists them, one behind the other, with
 * sums. Sections and offsets are those of ACPI 6.3, 5.2. [main]
 */
#include "tables.h"

#include <string.h>
#include <util/endian.h>
#include <util/error.h>

#define HEADER     36u
#define RSDP_BYTES 36u
#define FACS_AT    64u                 /* aligned to 64 bytes */
#define FACS_BYTES 64u
#define FADT_BYTES 276u
#define LAPIC_AT   0xfee00000u
#define ALIGN      16u

#define IAPC_LEGACY  0x0001u           /* devices on the LPC bus */
#define IAPC_NO_VGA  0x0004u
#define IAPC_NO_RTC  0x0020u
#define FADT_FLAGS   0x00000065u       /* WBINVD, C1 works, no sleep button and no RTC wake by fixed hardware */
#define FADT_RESET   0x00000400u
#define AS_ISA       0x0000u           /* of an override: an edge, active high */
#define LEVEL_HIGH   0x000du

struct layout {
	struct mt_acpi *t;
	uint64_t gpa;
	uint32_t at;                   /* next free byte */
	uint64_t listed[8];            /* addresses for the XSDT */
	uint32_t count;
};

static uint8_t sum_of(const uint8_t *bytes, uint32_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *bytes++);
	return (uint8_t)-sum;
}

/* A table of `len` bytes, zero but for its header; NULL: no room. */
static uint8_t *table_begin(struct layout *l, const char *signature, uint32_t revision, uint32_t len)
{
	uint8_t *at = l->t->blob + l->at;

	if (len > TABLES_BYTES - l->at) {
		l->t->code = mt_error_set(l->t->err, MT_ENOSPC, NULL, "ACPI: the tables take more than %u bytes", TABLES_BYTES);
		return NULL;
	}
	memcpy(at, signature, 4);
	mt_put_le32(at + 4, len);
	at[8] = (uint8_t)revision;
	memcpy(at + 10, "MRTISEMORTISE ", 14);
	mt_put_le32(at + 24, 1);
	memcpy(at + 28, "MRTS", 4);
	mt_put_le32(at + 32, 1);
	return at;
}

/* Its address; the next table follows. */
static uint64_t table_end(struct layout *l, uint8_t *table)
{
	uint64_t gpa = l->gpa + l->at;
	uint32_t len = mt_get_le32(table + 4);

	table[9] = sum_of(table, len);
	l->at = (l->at + len + ALIGN - 1) & ~(ALIGN - 1);
	return gpa;
}

/* A header, fixed bytes (zero; *fixed), and what was said. */
static uint8_t *table_of(struct layout *l, const char *signature, uint32_t revision, uint32_t fixed,
			 const struct aml *said)
{
	uint8_t *table = table_begin(l, signature, revision, HEADER + fixed + said->len);

	if (table)
		memcpy(table + HEADER + fixed, said->data, said->len);
	return table;
}

static void list(struct layout *l, uint8_t *table)
{
	if (table)
		l->listed[l->count++] = table_end(l, table);
}

/* Generic address of an I/O port, 5.2.3.2; access by 8 or 16 bits */
static void port_address(uint8_t *at, uint64_t port, uint32_t bits, uint32_t access)
{
	at[0] = 1;
	at[1] = (uint8_t)bits;
	at[3] = (uint8_t)access;
	mt_put_le64(at + 4, port);
}

static void power_blocks(uint8_t *fadt, uint64_t port)
{
	mt_put_le32(fadt + 56, (uint32_t)port + PM_EVENT);
	mt_put_le32(fadt + 64, (uint32_t)port + PM_CONTROL);
	fadt[88] = 4;
	fadt[89] = 2;
	port_address(fadt + 148, port + PM_EVENT, 32, 2);
	port_address(fadt + 172, port + PM_CONTROL, 16, 2);
}

/* 5.2.9. SMI_CMD is 0: the machine is in ACPI mode from the start. C2 and C3 are not there. */
static void fadt_write(struct layout *l, uint64_t dsdt)
{
	const struct mt_acpi *t = l->t;
	uint8_t *fadt = table_begin(l, "FACP", 6, FADT_BYTES);

	if (!fadt)
		return;
	mt_put_le32(fadt + 36, (uint32_t)(l->gpa + FACS_AT));
	mt_put_le32(fadt + 40, (uint32_t)dsdt);
	mt_put_le16(fadt + 46, (uint16_t)t->sci);
	power_blocks(fadt, t->pm_port);
	mt_put_le16(fadt + 96, 0x0fff);
	mt_put_le16(fadt + 98, 0x0fff);
	mt_put_le16(fadt + 109, IAPC_LEGACY | IAPC_NO_VGA | (t->has_rtc ? 0 : IAPC_NO_RTC));
	mt_put_le32(fadt + 112, FADT_FLAGS | (t->reset_port ? FADT_RESET : 0));
	if (t->reset_port)
		port_address(fadt + 116, t->reset_port, 8, 1);
	fadt[128] = t->reset_value;
	fadt[131] = 3;                         /* minor version */
	mt_put_le64(fadt + 140, dsdt);
	list(l, fadt);
}

/* 5.2.12.5: where an interrupt of the ISA bus is, and how it comes, when that is not as on the bus */
static void override(struct aml *madt, uint32_t isa, uint32_t gsi, uint32_t how)
{
	aml_raw(madt, 0x0a02, 3);
	aml_raw(madt, isa, 1);
	aml_raw(madt, gsi, 4);
	aml_raw(madt, how, 2);
}

/* The SCI is a level; and NMIs come in at LINT1 of every CPU. A machine without local APICs has no such table. */
static void madt_write(struct layout *l)
{
	struct mt_acpi *t = l->t;
	uint8_t *madt;

	if (!t->cpus)
		return;
	if (t->timer)
		override(&t->madt, 0, t->timer, AS_ISA);
	if (t->sci < 16)
		override(&t->madt, t->sci, t->sci, LEVEL_HIGH);
	aml_raw(&t->madt, 0x010000ff0604ull, 6);
	madt = table_of(l, "APIC", 4, 8, &t->madt);
	if (!madt)
		return;
	mt_put_le32(madt + HEADER, LAPIC_AT);
	mt_put_le32(madt + HEADER + 4, t->has_pic);
	list(l, madt);
}

static uint64_t xsdt_write(struct layout *l)
{
	uint8_t *xsdt = table_begin(l, "XSDT", 1, HEADER + 8 * l->count);

	if (!xsdt)
		return 0;
	for (uint32_t i = 0; i < l->count; i++)
		mt_put_le64(xsdt + HEADER + 8 * i, l->listed[i]);
	return table_end(l, xsdt);
}

/* 5.2.5.3: two sums, of the first 20 bytes and of all */
static void rsdp_write(uint8_t *rsdp, uint64_t xsdt)
{
	memcpy(rsdp, "RSD PTR ", 8);
	memcpy(rsdp + 9, "MRTISE", 6);
	rsdp[15] = 2;
	mt_put_le32(rsdp + 20, RSDP_BYTES);
	mt_put_le64(rsdp + 24, xsdt);
	rsdp[8] = sum_of(rsdp, 20);
	rsdp[32] = sum_of(rsdp, RSDP_BYTES);
}

static void facs_write(uint8_t *facs)
{
	memcpy(facs, "FACS", 4);
	mt_put_le32(facs + 4, FACS_BYTES);
	facs[32] = 2;
}

static void all_write(struct layout *l)
{
	uint8_t *dsdt = table_of(l, "DSDT", 2, 0, &l->t->dsdt);
	uint64_t xsdt;

	if (!dsdt)
		return;
	fadt_write(l, table_end(l, dsdt));
	madt_write(l);
	if (l->t->mcfg.len)
		list(l, table_of(l, "MCFG", 1, 8, &l->t->mcfg));
	xsdt = xsdt_write(l);
	rsdp_write(l->t->blob, xsdt);
	facs_write(l->t->blob + FACS_AT);
}

int tables_end(struct mt_acpi *t, uint64_t gpa, uint64_t *len_bytes)
{
	struct layout l = { .t = t, .gpa = gpa, .at = FACS_AT + FACS_BYTES };

	aml_end(&t->dsdt);
	memset(t->blob, 0, sizeof(t->blob));
	if (!t->code)
		all_write(&l);
	if (!t->code && (t->dsdt.failed || t->madt.failed || t->mcfg.failed))
		t->code = mt_error_set(t->err, MT_ENOSPC, NULL, "ACPI: the machine is too large for its tables");
	*len_bytes = l.at;
	return t->code;
}
