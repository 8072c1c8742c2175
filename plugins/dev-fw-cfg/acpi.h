/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables as firmware takes them: it chooses where they lie, so it gets them with addresses that count from their
 * own beginning, and a list of commands (linker/loader) that says which to add to and which sums to make. [main]
 */
#ifndef FW_CFG_ACPI_H
#define FW_CFG_ACPI_H

#include "items.h"

#define ACPI_BYTES_MAX (1u << 20)

/*
 * Files "etc/acpi/tables", "etc/acpi/rsdp" and "etc/table-loader" from tables that were made for address 0, RSDP first;
 * what these files had before is gone. 0, or a negative code with `err`. Nothing in the tables is trusted.
 */
int acpi_files(struct items *items, const uint8_t *tables, uint64_t len_bytes, struct mt_error *err);

#endif
