/* SPDX-License-Identifier: MIT */
/* See ioapic.h. "Sheet" is Intel 290566; messages: Intel SDM volume 3, "Message Address/Data Register Format". */
#include "ioapic.h"

#include <string.h>

#define BIT(n) (1u << (n))

/* What the guest can set of an entry: its lower half without delivery status and remote IRR, and the destination. */
#define ENTRY_LOW  (0x1ffffu & ~(IOAPIC_PENDING | IOAPIC_REMOTE_IRR))
#define ENTRY_HIGH 0xff000000u

/* Sheet, "Memory mapped registers" */
enum { AT_SELECT = 0x00, AT_WINDOW = 0x10 };
/* Sheet, "IOAPIC registers" */
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRIES = 0x10 };

#define MSI_BASE 0xfee00000u

/* Delivery modes but fixed and lowest priority are edges, whatever the entry says (sheet, "Delivery mode"). */
static bool is_level(const struct ioapic *a, uint32_t input)
{
	return a->entry[input] & IOAPIC_LEVEL && (a->entry[input] & IOAPIC_MODE) <= 0x100;
}

static void entry_set(struct ioapic *a, uint32_t input, uint64_t value, uint64_t mask)
{
	uint64_t *entry = &a->entry[input];

	*entry = (*entry & ~mask) | (value & mask);
	if (!is_level(a, input))
		*entry &= ~(uint64_t)IOAPIC_REMOTE_IRR;
}

static uint32_t register_read(const struct ioapic *a, uint32_t number)
{
	switch (number) {
	case REG_ID: return a->id << 24;
	case REG_VERSION: return (IOAPIC_INPUTS - 1) << 16 | IOAPIC_VERSION;
	case REG_ARBITRATION: return a->id << 24;
	}
	if (number < REG_ENTRIES || number - REG_ENTRIES >= 2 * IOAPIC_INPUTS)
		return 0;
	return (uint32_t)(a->entry[(number - REG_ENTRIES) / 2] >> (number & 1 ? 32 : 0));
}

static void register_write(struct ioapic *a, uint32_t number, uint32_t value)
{
	if (number == REG_ID)
		a->id = value >> 24 & 15;
	if (number < REG_ENTRIES || number - REG_ENTRIES >= 2 * IOAPIC_INPUTS)
		return;
	if (number & 1)
		entry_set(a, (number - REG_ENTRIES) / 2, (uint64_t)value << 32, (uint64_t)ENTRY_HIGH << 32);
	else
		entry_set(a, (number - REG_ENTRIES) / 2, value, ENTRY_LOW);
}

uint32_t ioapic_read(const struct ioapic *a, uint32_t offset)
{
	if (offset == AT_SELECT)
		return a->select;
	return offset == AT_WINDOW ? register_read(a, a->select) : 0;
}

void ioapic_write(struct ioapic *a, uint32_t offset, uint32_t value)
{
	if (offset == AT_SELECT)
		a->select = value & 0xff;
	else if (offset == AT_WINDOW)
		register_write(a, a->select, value);
}

/* Sheet, "Interrupt mask": an edge that comes while it is masked is not remembered. */
void ioapic_input(struct ioapic *a, uint32_t input, uint32_t level)
{
	if (input >= IOAPIC_INPUTS)
		return;
	if (level && !(a->lines & BIT(input)) && !is_level(a, input) && !(a->entry[input] & IOAPIC_MASKED))
		a->edges |= BIT(input);
	a->lines = level ? a->lines | BIT(input) : a->lines & ~BIT(input);
}

uint32_t ioapic_eoi(struct ioapic *a, uint32_t vector)
{
	uint32_t ended = 0;

	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
		if ((a->entry[i] & IOAPIC_VECTOR) != vector || !(a->entry[i] & IOAPIC_REMOTE_IRR))
			continue;
		a->entry[i] &= ~(uint64_t)IOAPIC_REMOTE_IRR;
		ended |= BIT(i);
	}
	return ended;
}

/* A level asks again as long as it stands and none of its interrupts is under way. */
static bool is_due(const struct ioapic *a, uint32_t input)
{
	if (!is_level(a, input))
		return a->edges & BIT(input);
	return a->lines & BIT(input) && !(a->entry[input] & (IOAPIC_MASKED | IOAPIC_REMOTE_IRR));
}

bool ioapic_next(struct ioapic *a, uint64_t *addr, uint32_t *data)
{
	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
		uint64_t e = a->entry[i];

		if (!is_due(a, i))
			continue;
		a->edges &= ~BIT(i);
		if (is_level(a, i))
			a->entry[i] |= IOAPIC_REMOTE_IRR;
		*addr = MSI_BASE | (e >> 56) << 12 | (e & IOAPIC_LOGICAL ? 4 : 0);
		*data = (uint32_t)(e & (IOAPIC_VECTOR | IOAPIC_MODE)) | (is_level(a, i) ? 3u << 14 : 0);
		return true;
	}
	return false;
}

void ioapic_reset(struct ioapic *a)
{
	*a = (struct ioapic){ .lines = a->lines };
	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++)
		a->entry[i] = IOAPIC_MASKED;
}

const char *ioapic_cannot_be(const struct ioapic *a)
{
	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++) {
		if (a->entry[i] & ~((uint64_t)ENTRY_HIGH << 32 | ENTRY_LOW | IOAPIC_REMOTE_IRR))
			return "has bits that no entry has";
		if (!is_level(a, i) && a->entry[i] & IOAPIC_REMOTE_IRR)
			return "has an edge with remote IRR";
	}
	return NULL;
}
