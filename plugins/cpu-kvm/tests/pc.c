/* SPDX-License-Identifier: MIT */
/* See shim.h: the classes of cpu-kvm that stand in for a PC's interrupt controllers, each on a fake host of its own. */
#include <stdio.h>
#include <string.h>

#include "shim.h"

struct fake *bench_chips[CHIPS];

static const char *const classes[CHIPS] = { "dev-lapic", "dev-ioapic", "dev-i8259", "dev-i8254" };
static const char *const ids[CHIPS] = { "lapic", "ioapic", "pic", "pit" };
static bool left_out[CHIPS];

struct fake *bench_chip(uint32_t which)
{
	char isa[256] = "";

	if (bench_chips[which])
		return bench_chips[which];
	bench_chips[which] = fake_new(classes[which]);
	fake_id(bench_chips[which], ids[which]);
	fake_vcpus(bench_chips[which], b.count);
	for (int i = 0; i < 16; i++)
		sprintf(isa + strlen(isa), "%spic:%d", i ? ", " : "", i);
	if (which == CHIP_LAPIC)
		fake_prop(bench_chips[which], "pic", "pic");
	if (which == CHIP_IOAPIC)
		fake_prop(bench_chips[which], "isa", isa);
	if (which == CHIP_IOAPIC)
		fake_prop(bench_chips[which], "msi", "lapic");
	if (which == CHIP_PIT)
		fake_prop(bench_chips[which], "irq", "ioapic:2");
	return bench_chips[which];
}

void bench_without(uint32_t which)
{
	left_out[which] = true;
}

void *chip_self(uint32_t which)
{
	return fake_self(bench_chips[which]);
}

static const struct mt_state_class *chip_state(uint32_t which)
{
	return fake_role(bench_chips[which], MT_IFACE_STATE);
}

struct fake_state *chip_saved(uint32_t which)
{
	struct fake_state *s = fake_state_new();

	if (chip_state(which)->save(chip_self(which), fake_state_out(s), &fake_state_writer, &b.err) == 0)
		return s;
	fake_state_free(s);
	return NULL;
}

int chip_loaded(uint32_t which, struct fake_state *s)
{
	const struct mt_state_class *cls = chip_state(which);

	return cls->load(chip_self(which), fake_state_in(s), &fake_state_reader, cls->version, &b.err);
}

/* A controller of the test's behind LINT0, as a device would be. */
int32_t bench_vector = MT_VECTOR_NONE;

static int32_t vector_take(void *self)
{
	int32_t vector = bench_vector;

	(void)self;
	bench_vector = MT_VECTOR_NONE;
	return vector;
}

static int devices_create(void)
{
	static const struct mt_vector_source source = { .acknowledge = vector_take };
	const struct mt_props_host *props = fake_host(b.f)->get_interface(fake_host(b.f), MT_IFACE_PROPS);
	const char *irqchip = props->get_str(fake_inst(b.f), "irqchip");
	uint32_t count = !strcmp(irqchip, "kernel") ? CHIPS : !strcmp(irqchip, "split") ? 1 : 0;
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < count; i++) {
		if (left_out[i])
			continue;
		fake_accelerator(bench_chip(i), b.self);
		if (count == 1)
			fake_vector_source(bench_chips[i], "pic", &source, NULL);
		code = fake_create(bench_chips[i], &b.err);
	}
	return code;
}

/* What is named comes first. */
static int devices_realize(void)
{
	static const uint32_t order[CHIPS] = { CHIP_PIC, CHIP_LAPIC, CHIP_IOAPIC, CHIP_PIT };
	int code = 0;

	for (uint32_t i = 0; code == 0 && i < CHIPS; i++)
		if (bench_chips[order[i]])
			code = fake_realize(bench_chips[order[i]], &b.err);
	return code;
}

static void devices_end(void)
{
	for (uint32_t i = 0; i < CHIPS; i++)
		fake_free(bench_chips[i]);
	memset(bench_chips, 0, sizeof(bench_chips));
	memset(left_out, 0, sizeof(left_out));
}

const struct bench_devices bench_devices = { devices_create, devices_realize, devices_end };
