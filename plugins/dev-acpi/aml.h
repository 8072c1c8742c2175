/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI Machine Language (ACPI 6.3, chapter 20) and of resource descriptors (6.4), into storage of the
 * caller. Blocks are closed inside out; their length is put in when they close. What does not fit sets `failed` and is
 * left out.
 */
#ifndef DEV_ACPI_AML_H
#define DEV_ACPI_AML_H

#include <stdint.h>

#define AML_DEPTH 8u

struct aml {
	uint8_t *data;
	uint32_t len, max;
	uint32_t open[AML_DEPTH], depth;       /* where the contents of open blocks begin */
	uint32_t failed;
};

void aml_init(struct aml *a, uint8_t *data, uint32_t max);
void aml_bytes(struct aml *a, const void *bytes, uint32_t len);
/* A number of `width` bytes, as it is */
void aml_raw(struct aml *a, uint64_t value, uint32_t width);

/* Blocks: each is ended by aml_end. */
void aml_scope(struct aml *a, const char *path);
void aml_device(struct aml *a, const char *seg);
void aml_method(struct aml *a, const char *seg, uint32_t flags);
void aml_package(struct aml *a, uint32_t elements);
void aml_end(struct aml *a);

/* Name (SEG, ...: the object follows; and objects. A name has up to four characters. */
void aml_name(struct aml *a, const char *seg);
void aml_integer(struct aml *a, uint64_t value);
void aml_id(struct aml *a, const char *id);    /* "PNP0501" as EISA id, others as string */
void aml_buffer(struct aml *a, const struct aml *contents);

/* Resource descriptors */
void aml_ports(struct aml *a, uint32_t base, uint32_t len);
void aml_isa_irq(struct aml *a, uint32_t irq);
void aml_interrupt(struct aml *a, uint32_t gsi);       /* level, active high */
void aml_fixed_memory(struct aml *a, uint64_t base, uint64_t len);
void aml_window(struct aml *a, uint64_t base, uint64_t len);   /* passed on by a bridge */
void aml_buses(struct aml *a, uint32_t first, uint32_t count);
void aml_end_tag(struct aml *a);

#endif
