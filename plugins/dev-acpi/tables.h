/* SPDX-License-Identifier: MIT */
/*
 * The tables: what the machine's classes say goes into the DSDT, the MADT and the MCFG while it is said; then all is
 * laid out at its address, with sums. [main]. Easy to break: nothing here may depend on anything but what was said.
 */
#ifndef DEV_ACPI_TABLES_H
#define DEV_ACPI_TABLES_H

#include <mortise/draft/acpi.h>

#include "aml.h"

#define TABLES_DSDT_MAX 0x8000u
#define TABLES_MADT_MAX 0x8000u
#define TABLES_MCFG_MAX 0x100u
#define TABLES_BYTES    0x12000u       /* all of it */

#define PM_EVENT   0u                  /* offsets in the power management block, and its length */
#define PM_CONTROL 4u
#define PM_BYTES   8u
#define PM_S5      5u                  /* SLP_TYP of soft off */

struct mt_acpi {
	const struct mt_acpi_host *host;
	struct mt_inst *described;
	struct aml dsdt, madt, mcfg;
	uint8_t dsdt_bytes[TABLES_DSDT_MAX], madt_bytes[TABLES_MADT_MAX], mcfg_bytes[TABLES_MCFG_MAX];
	uint32_t devices, roots, cpus;
	uint32_t has_pic, has_rtc;
	uint64_t reset_port;               /* 0: no reset register */
	uint8_t reset_value;
	uint32_t sci;
	uint32_t timer;                    /* interrupt of the 8254, which is ISA's 0 */
	uint64_t pm_port;
	int code;                          /* the first failure, with its words */
	struct mt_error *err;
	uint8_t blob[TABLES_BYTES];
};

extern const struct mt_acpi_writer tables_writer;

/* Begins anew: `sci` and `pm_port` are the writer's own. */
void tables_begin(struct mt_acpi *t, const struct mt_acpi_host *host, uint32_t sci, uint64_t pm_port,
		  struct mt_error *err);
/* 0 with t->blob filled and its length, or the failure. */
int tables_end(struct mt_acpi *t, uint64_t gpa, uint64_t *len_bytes);

#endif
