/* SPDX-License-Identifier: MIT */
/*
 * What a class says of itself for ACPI tables, as text: one line for each call of the writer, numbers in hexadecimal.
 * The interrupt of a device is the name of its IRQ property. [main]
 */
#ifndef MTSDK_FAKE_ACPI_H
#define MTSDK_FAKE_ACPI_H

#include <mortise/draft/acpi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake.h"

struct mt_acpi {
	char text[1024];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static inline void fake_acpi_say(struct mt_acpi *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(a->text + a->len, sizeof(a->text) - a->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(a->text) - a->len)
		abort();
	a->len += (size_t)n;
}

static inline void fake_acpi_cpu(struct mt_acpi *a, uint32_t uid, uint32_t apic_id)
{
	fake_acpi_say(a, "cpu %x apic %x\n", uid, apic_id);
}

static inline void fake_acpi_ioapic(struct mt_acpi *a, uint32_t id, uint64_t gpa, uint32_t gsi_base)
{
	fake_acpi_say(a, "ioapic %x at %llx from %x\n", id, (unsigned long long)gpa, gsi_base);
}

static inline void fake_acpi_pic(struct mt_acpi *a)
{
	fake_acpi_say(a, "pic\n");
}

static inline void fake_acpi_device(struct mt_acpi *a, const char *hid, const struct mt_acpi_range *ports,
				    uint32_t port_count, const char *irq_prop)
{
	fake_acpi_say(a, "%s", hid);
	for (uint32_t i = 0; i < port_count; i++)
		fake_acpi_say(a, " %llx+%llx", (unsigned long long)ports[i].base, (unsigned long long)ports[i].len_bytes);
	fake_acpi_say(a, " %s\n", irq_prop ? irq_prop : "-");
}

/* What an instance says by its role, in `a` until the next call. Aborts when there is no such role, or it refuses. */
static inline const char *fake_acpi_of(const struct mt_acpi_node *node, void *self, struct mt_acpi *a)
{
	struct mt_acpi_writer writer;

	memset(&writer, 0, sizeof(writer));
	writer.cpu = fake_acpi_cpu;
	writer.ioapic = fake_acpi_ioapic;
	writer.pic = fake_acpi_pic;
	writer.device = fake_acpi_device;
	a->len = 0;
	a->text[0] = 0;
	if (!node || node->describe(self, a, &writer, NULL) < 0)
		abort();
	return a->text;
}

static inline const char *fake_acpi_text(struct fake *f, struct mt_acpi *a)
{
	return fake_acpi_of((const struct mt_acpi_node *)fake_role(f, MT_IFACE_ACPI_NODE), fake_self(f), a);
}

#endif
