/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables, written by one plugin from what all plugins say. A class with the role "mortise.acpi-node/1" says what
 * the guest cannot find out by itself: CPUs, interrupt controllers, devices at fixed ports, the PCI root. The class
 * with the role "mortise.acpi-tables/1" collects that and makes tables; a boot loader asks the kernel for them and
 * puts them into memory. Numbers of interrupts are global system interrupts (ACPI 6.3, 5.2.13).
 */
#ifndef MORTISE_ACPI_H
#define MORTISE_ACPI_H

#include "../plugin.h"

#define MT_IFACE_ACPI_NODE   "mortise.acpi-node/1"     /* role of who is told of */
#define MT_IFACE_ACPI_TABLES "mortise.acpi-tables/1"   /* role of who writes the tables */
#define MT_IFACE_ACPI_HOST   "mortise.acpi-host/1"     /* host */

/* Who writes the tables; valid during describe. */
struct mt_acpi;

struct mt_acpi_range {
	uint64_t base, len_bytes;
};

/* The root of a PCI hierarchy of one bus. */
struct mt_acpi_pci {
	uint32_t size;
	uint32_t window_count;
	const struct mt_acpi_range *windows;   /* of addresses, that it passes on */
	struct mt_acpi_range ecam;
	struct mt_acpi_range ports;            /* its own I/O ports; none: 0 bytes */
	const char *irq_prop;      /* IRQ property: INTA to INTD of slot 0; a slot's pins are rotated by its number */
};

/* [main] all of it, inside describe. What does not fit makes the tables fail; no result to look at. */
struct mt_acpi_writer {
	/* The kernel's, before each describe: whose properties are meant from now on. */
	void (*begin)(struct mt_acpi *acpi, struct mt_inst *described);
	/* A CPU with the id of its local APIC. */
	void (*cpu)(struct mt_acpi *acpi, uint32_t uid, uint32_t apic_id);
	/* An I/O APIC whose input 0 is the interrupt `gsi_base`. */
	void (*ioapic)(struct mt_acpi *acpi, uint32_t id, uint64_t gpa, uint32_t gsi_base);
	/* Both 8259A of a PC are there, as well. */
	void (*pic)(struct mt_acpi *acpi);
	/*
	 * A device with I/O ports and, where `irq_prop` (NULL: none) is set, the interrupt of its first element. `hid` is
	 * an id of PNP or ACPI, as "PNP0501".
	 */
	void (*device)(struct mt_acpi *acpi, const char *hid, const struct mt_acpi_range *ports, uint32_t port_count,
		       const char *irq_prop);
	void (*pci)(struct mt_acpi *acpi, const struct mt_acpi_pci *pci);
	/* A write of `value`, one byte, to an I/O port resets the machine. */
	void (*reset)(struct mt_acpi *acpi, uint64_t port, uint8_t value);
};

struct mt_acpi_node {
	/* [main] after create; it may not be realized yet. 0, or a negative code with `err`. */
	int (*describe)(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err);
	/* [main] of an interrupt controller: the number of an input. NULL: the input's own. */
	uint32_t (*gsi)(void *self, uint32_t input);
};

struct mt_acpi_tables {
	/*
	 * [main] in reset. All tables in one piece, with addresses as if it lay at `gpa` (a multiple of 64), the RSDP
	 * first. It belongs to the instance and lives until the next call. 0, or a negative code with `err`.
	 */
	int (*build)(void *self, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *err);
};

struct mt_acpi_host {
	/* [main] in build: calls describe of every instance, the accelerator first, then in the order of the file */
	int (*collect)(struct mt_inst *inst, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err);
	/* [main] the number of an element of `described`'s IRQ property; MT_ENOENT with `err`: there is no such */
	int (*gsi)(struct mt_inst *described, const char *irq_prop, uint32_t index, uint32_t *gsi, struct mt_error *err);
	/* [main] in reset, for boot loaders: build of the one who writes tables. MT_ENOENT: this machine has no tables. */
	int (*tables)(struct mt_inst *inst, uint64_t gpa, const void **blob, uint64_t *len_bytes, struct mt_error *err);
};

#endif
