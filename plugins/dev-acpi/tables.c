/* SPDX-License-Identifier: MIT */
/* See tables.h: what is said, and the DSDT. layout.c makes the tables around it. Sections are those of ACPI 6.3. */
#include "tables.h"

#include <stdio.h>
#include <string.h>
#include <util/error.h>

#define CRS_MAX      1024u
#define SLOTS        32u
#define PINS         4u
#define XAPIC_IDS    255u              /* those above need another entry */
#define ISA_IRQS     16u
#define ARG3_RETURN  0x6ba4u           /* Return (Arg3) */
#define METHOD_ARGS4 4u
#define TIMER        "PNP0100"         /* 8254 */
#define CLOCK        "PNP0B00"

static void fail(struct mt_acpi *t, int code, const char *text)
{
	if (!t->code)
		t->code = mt_error_set(t->err, code, NULL, "ACPI: %s", text);
}

static uint32_t gsi_of(struct mt_acpi *t, const char *irq_prop, uint32_t index)
{
	uint32_t gsi = 0;
	int code = t->host->gsi(t->described, irq_prop, index, &gsi, t->code ? NULL : t->err);

	if (code < 0 && !t->code)
		t->code = code;
	return gsi;
}

/* Devices */

static void named_integer(struct aml *a, const char *seg, uint64_t value)
{
	aml_name(a, seg);
	aml_integer(a, value);
}

static void named_id(struct aml *a, const char *seg, const char *id)
{
	aml_name(a, seg);
	aml_id(a, id);
}

static void named_resources(struct aml *a, struct aml *crs)
{
	aml_end_tag(crs);
	aml_name(a, "_CRS");
	aml_buffer(a, crs);
}

static void device_begin(struct mt_acpi *t, const char *hid)
{
	char seg[8];

	snprintf(seg, sizeof(seg), "D%03X", t->devices & 0xfff);
	aml_device(&t->dsdt, seg);
	named_id(&t->dsdt, "_HID", hid);
	named_integer(&t->dsdt, "_UID", t->devices++);
}

static void say_device(struct mt_acpi *t, const char *hid, const struct mt_acpi_range *ports, uint32_t port_count,
		       const char *irq_prop)
{
	uint8_t bytes[CRS_MAX];
	struct aml crs;
	uint32_t gsi;

	aml_init(&crs, bytes, sizeof(bytes));
	for (uint32_t i = 0; i < port_count; i++)
		aml_ports(&crs, (uint32_t)ports[i].base, (uint32_t)ports[i].len_bytes);
	if (irq_prop) {
		gsi = gsi_of(t, irq_prop, 0);
		/* always ISA's interrupt 0: where that is, an override says */
		if (!strcmp(hid, TIMER)) {
			t->timer = gsi;
			gsi = 0;
		}
		if (gsi < ISA_IRQS)
			aml_isa_irq(&crs, gsi);
		else
			aml_interrupt(&crs, gsi);
	}
	t->has_rtc |= !strcmp(hid, CLOCK);
	device_begin(t, hid);
	named_resources(&t->dsdt, &crs);
	aml_end(&t->dsdt);
}

/* 6.2.13, _PRT: the interrupt of each pin of each slot. A function of any number, so 0xffff. */
static void routing(struct mt_acpi *t, const char *irq_prop)
{
	uint32_t gsi[PINS];

	for (uint32_t i = 0; i < PINS; i++)
		gsi[i] = gsi_of(t, irq_prop, i);
	aml_name(&t->dsdt, "_PRT");
	aml_package(&t->dsdt, SLOTS * PINS);
	for (uint32_t slot = 0; slot < SLOTS; slot++) {
		for (uint32_t pin = 0; pin < PINS; pin++) {
			aml_package(&t->dsdt, 4);
			aml_integer(&t->dsdt, slot << 16 | 0xffff);
			aml_integer(&t->dsdt, pin);
			aml_integer(&t->dsdt, 0);
			aml_integer(&t->dsdt, gsi[(slot + pin) % PINS]);
			aml_end(&t->dsdt);
		}
	}
	aml_end(&t->dsdt);
}

static void root_resources(struct mt_acpi *t, const struct mt_acpi_pci *pci)
{
	uint8_t bytes[CRS_MAX];
	struct aml crs;

	aml_init(&crs, bytes, sizeof(bytes));
	aml_buses(&crs, 0, 1);
	if (pci->ports.len_bytes)
		aml_ports(&crs, (uint32_t)pci->ports.base, (uint32_t)pci->ports.len_bytes);
	for (uint32_t i = 0; i < pci->window_count; i++)
		aml_window(&crs, pci->windows[i].base, pci->windows[i].len_bytes);
	named_resources(&t->dsdt, &crs);
}

/* Its configuration space is nobody else's: a motherboard resource (PCI Firmware 3.2, 4.1.2). */
static void root_ecam(struct mt_acpi *t, const struct mt_acpi_range *ecam, uint32_t segment)
{
	uint8_t bytes[CRS_MAX];
	struct aml crs;

	aml_init(&crs, bytes, sizeof(bytes));
	aml_fixed_memory(&crs, ecam->base, ecam->len_bytes);
	device_begin(t, "PNP0C02");
	named_resources(&t->dsdt, &crs);
	aml_end(&t->dsdt);
	aml_raw(&t->mcfg, ecam->base, 8);
	aml_raw(&t->mcfg, segment, 2);
	aml_raw(&t->mcfg, 0, 2);               /* first and last bus */
	aml_raw(&t->mcfg, 0, 4);
}

/* _OSC gives the system all that it asks for: there is nothing that firmware would do instead. */
static void say_pci(struct mt_acpi *t, const struct mt_acpi_pci *pci)
{
	struct aml *a = &t->dsdt;
	char seg[8];

	snprintf(seg, sizeof(seg), "PCI%X", t->roots & 15);
	aml_device(a, seg);
	named_id(a, "_HID", "PNP0A08");
	named_id(a, "_CID", "PNP0A03");
	named_integer(a, "_UID", t->roots);
	named_integer(a, "_SEG", t->roots);
	named_integer(a, "_BBN", 0);
	aml_method(a, "_OSC", METHOD_ARGS4);
	aml_raw(a, ARG3_RETURN, 2);
	aml_end(a);
	root_resources(t, pci);
	routing(t, pci->irq_prop);
	aml_end(a);
	root_ecam(t, &pci->ecam, t->roots++);
}

static void say_reset(struct mt_acpi *t, uint64_t port, uint8_t value)
{
	t->reset_port = port;
	t->reset_value = value;
}

/* CPUs and controllers: entries of the MADT, 5.2.12 */

static void say_cpu(struct mt_acpi *t, uint32_t uid, uint32_t apic_id)
{
	struct aml *a = &t->madt;

	t->cpus++;
	if (apic_id < XAPIC_IDS && uid < XAPIC_IDS) {
		aml_raw(a, 0x0800, 2);
		aml_raw(a, uid, 1);
		aml_raw(a, apic_id, 1);
		aml_raw(a, 1, 4);
		return;
	}
	aml_raw(a, 0x1009, 4);
	aml_raw(a, apic_id, 4);
	aml_raw(a, 1, 4);
	aml_raw(a, uid, 4);
}

static void say_ioapic(struct mt_acpi *t, uint32_t id, uint64_t gpa, uint32_t gsi_base)
{
	struct aml *a = &t->madt;

	aml_raw(a, 0x0c01, 2);
	aml_raw(a, id, 2);
	aml_raw(a, gpa, 4);
	aml_raw(a, gsi_base, 4);
	if (gpa > UINT32_MAX)
		fail(t, MT_ERANGE, "an I/O APIC above 4 GiB");
}

static void say_pic(struct mt_acpi *t)
{
	t->has_pic = 1;
}

static void say_begin(struct mt_acpi *t, struct mt_inst *described)
{
	t->described = described;
}

const struct mt_acpi_writer tables_writer = {
	.begin = say_begin,
	.cpu = say_cpu,
	.ioapic = say_ioapic,
	.pic = say_pic,
	.device = say_device,
	.pci = say_pci,
	.reset = say_reset,
};

/* 7.4.2: what SLP_TYP has to be for soft off */
static void soft_off(struct aml *a)
{
	aml_name(a, "_S5");
	aml_package(a, 4);
	aml_integer(a, PM_S5);
	for (uint32_t i = 0; i < 3; i++)
		aml_integer(a, 0);
	aml_end(a);
}

void tables_begin(struct mt_acpi *t, const struct mt_acpi_host *host, uint32_t sci, uint64_t pm_port,
		  struct mt_error *err)
{
	memset(t, 0, sizeof(*t));
	t->host = host;
	t->sci = sci;
	t->pm_port = pm_port;
	t->err = err;
	aml_init(&t->dsdt, t->dsdt_bytes, sizeof(t->dsdt_bytes));
	aml_init(&t->madt, t->madt_bytes, sizeof(t->madt_bytes));
	aml_init(&t->mcfg, t->mcfg_bytes, sizeof(t->mcfg_bytes));
	soft_off(&t->dsdt);
	aml_scope(&t->dsdt, "\\_SB");
}
