/* SPDX-License-Identifier: MIT */
/* Service tables of the machine core that host.c offers (the others stand in the headers of their files). */
#ifndef KERNEL_MACHINE_SERVICES_H
#define KERNEL_MACHINE_SERVICES_H

#include <mortise/draft/boot.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/log.h>
#include <mortise/draft/props.h>

#include "kernel/machine/machine.h"

extern const struct mt_props_host props_host;
extern const struct mt_log_host log_host;
extern const struct mt_boot_host boot_host;

/* [any] log.c: one line on standard error, "mortise: [id] text"; `inst` may be NULL */
void log_message(struct machine *m, const struct mt_inst *inst, uint32_t level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

struct fdt_request {
	const char *bootargs;                 /* may be NULL */
	uint64_t initrd_gpa, initrd_bytes;    /* 0 bytes: none */
	bool rng_seed;                        /* random numbers for the guest's start */
};

/*
 * [main] fdt.c: the device tree of a created machine. The blob belongs to the machine and lives until the
 * next call or the machine's end. 0, or a negative code with `err` filled.
 */
int fdt_build(struct machine *m, const struct fdt_request *request, const void **blob, uint64_t *len_bytes,
	      struct mt_error *err);
void fdt_destroy(struct fdt_state *state);

/* [main] dts.c: prints a blob as source that dtc takes. False: the blob is broken. */
bool dts_print(const void *blob, FILE *out);

#endif
