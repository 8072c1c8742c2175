/* SPDX-License-Identifier: MIT */
/*
 * What a PC has besides ECAM: the configuration ports (PCI Local Bus 3.0, 3.2.2.3.2), the reset control register among
 * them, and a function 0:0.0 that says "host bridge", by which software tells that there is a PCI bus at all.
 * Called [vcpu] without a lock. The address register is taken by 32-bit accesses only; narrower ones are other
 * chips' ports.
 */
#include "bridge.h"

#include <util/endian.h>

#define PORTS         8u
#define DATA          4u
#define RESET_AT      1u          /* 0xcf9 */
#define RESET_REQUEST 0x04u       /* its rise resets, cold or warm */
#define ENABLED       0x80000000u
#define FUNCTION_SELF 0u
#define NOBODY        0xffffu

/* Type 0, without BARs and capabilities; its vendor, device and subsystem ids are the generic PCIe host bridge's. */
static const uint8_t own_header[64] = {
	0x36, 0x1b, 0x08, 0x00, 0, 0, 0, 0, 0, 0x00, 0x00, 0x06, 0, 0, 0x80, 0,
	[0x2c] = 0xf4, 0x1a, 0x00, 0x11,
};

static uint64_t ones(uint32_t width)
{
	return UINT32_MAX >> (32 - 8 * width);
}

/* A function that the machine file puts at slot 0 is there in our place. */
static uint32_t own_function(struct bridge *b, uint32_t devfn, const struct mt_access *a)
{
	struct mt_access vendor = *a;
	uint64_t id = 0;

	if (!b->has_ports || devfn != FUNCTION_SELF)
		return 0;
	vendor.offset = 0;
	vendor.width = 2;
	return b->pci->config_read(b->bus, devfn, &vendor, &id) == MT_BUS_OK && (id & NOBODY) == NOBODY;
}

uint32_t config_read(struct bridge *b, uint32_t devfn, const struct mt_access *a, uint64_t *value)
{
	uint8_t word[4] = { 0 };

	if (!own_function(b, devfn, a))
		return b->pci->config_read(b->bus, devfn, a, value);
	for (uint32_t i = 0; i < a->width && a->offset + i < sizeof(own_header); i++)
		word[i] = own_header[a->offset + i];
	*value = mt_get_le32(word);
	return MT_BUS_OK;
}

uint32_t config_write(struct bridge *b, uint32_t devfn, const struct mt_access *a, uint64_t value)
{
	return own_function(b, devfn, a) ? MT_BUS_OK : b->pci->config_write(b->bus, devfn, a, value);
}

/* The access that the address register makes of one to the data ports; 0: no function is meant. */
static uint32_t addressed(struct bridge *b, const struct mt_access *a, uint32_t *devfn, struct mt_access *inner)
{
	uint32_t address = __atomic_load_n(&b->config_address, __ATOMIC_RELAXED);

	*inner = *a;
	inner->offset = (address & 0xfc) | (a->offset & 3);
	*devfn = address >> 8 & 0xff;
	return (address & ENABLED) && !(address >> 16 & 0xff);
}

static uint32_t ports_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct mt_access inner;
	struct bridge *b = self;
	uint32_t devfn;

	*value = ones(a->width);
	if (a->offset >= DATA)
		return addressed(b, a, &devfn, &inner) ? config_read(b, devfn, &inner, value) : MT_BUS_OK;
	if (a->width == 4)
		*value = __atomic_load_n(&b->config_address, __ATOMIC_RELAXED);
	else if (a->width == 1 && a->offset == RESET_AT)
		*value = __atomic_load_n(&b->reset_control, __ATOMIC_RELAXED);
	return MT_BUS_OK;
}

static void reset_control_write(struct bridge *b, uint8_t value)
{
	uint8_t before = __atomic_exchange_n(&b->reset_control, value & RESET_CONTROL_BITS, __ATOMIC_RELAXED);

	if (value & ~before & RESET_REQUEST)
		b->loop->machine_request(b->inst, MT_REQUEST_RESET, 0);
}

static uint32_t ports_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct mt_access inner;
	struct bridge *b = self;
	uint32_t devfn;

	if (a->offset >= DATA)
		return addressed(b, a, &devfn, &inner) ? config_write(b, devfn, &inner, value) : MT_BUS_OK;
	if (a->width == 4)
		__atomic_store_n(&b->config_address, (uint32_t)value & CONFIG_ADDRESS_BITS, __ATOMIC_RELAXED);
	else if (a->width == 1 && a->offset == RESET_AT)
		reset_control_write(b, (uint8_t)value);
	return MT_BUS_OK;
}

static const struct mt_region_ops ports_ops = { .read = ports_read, .write = ports_write };

int ports_add(struct bridge *b, struct mt_error *err)
{
	static const struct mt_region_desc ports = {
		.size = sizeof(ports), .name = "config-ports", .at_prop = "config-port", .len_bytes = PORTS,
		.width_min = 1, .width_max = 4, .ops = &ports_ops,
	};

	b->has_ports = b->props->present(b->inst, "config-port");
	return !b->has_ports || b->mmio->region_add(b->inst, &ports, err) ? 0 : MT_EINVAL;
}

void ports_reset(struct bridge *b)
{
	__atomic_store_n(&b->config_address, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&b->reset_control, 0, __ATOMIC_RELAXED);
}
