/* SPDX-License-Identifier: MIT */
/* See bench.h: the accelerator on the fake host, with a vCPU host of the bench's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "bench.h"

#define RAM_BYTES 0x100000u

struct bench b;
struct access seen;
uint8_t bench_ram[RAM_BYTES] __attribute__((aligned(4096)));

static uint32_t host_read(struct mt_vcpu *vcpu, const struct mt_flat_range *range, uint64_t addr, uint32_t width,
			  uint32_t privilege, uint64_t *value)
{
	(void)vcpu, (void)privilege;
	seen.count++;
	seen.addr = addr;
	seen.width = width;
	seen.is_write = 0;
	seen.range_gpa = range->gpa;
	if (seen.hook)
		seen.hook();
	*value = seen.answer;
	return seen.result;
}

static uint32_t host_write(struct mt_vcpu *vcpu, const struct mt_flat_range *range, uint64_t addr, uint32_t width,
			   uint32_t privilege, uint64_t value)
{
	uint64_t ignored;

	host_read(vcpu, range, addr, width, privilege, &ignored);
	seen.is_write = 1;
	seen.value = value;
	return seen.result;
}

static const struct mt_vcpu_host vcpu_host = { .read = host_read, .write = host_write };

static const void *get_interface(const struct mt_host *host, const char *id)
{
	const struct mt_host *fake = fake_host(b.f);

	(void)host;
	return strcmp(id, MT_IFACE_VCPU_HOST) ? fake->get_interface(fake, id) : &vcpu_host;
}

static const struct mt_host host = { sizeof(host), MT_ABI_MAJOR, "bench", get_interface };

void bench_new(uint32_t count)
{
	memset(&b, 0, sizeof(b));
	memset(&seen, 0, sizeof(seen));
	mt_error_init(&b.err);
	b.f = fake_new("cpu-kvm");
	b.count = count;
	b.cls = fake_role(b.f, MT_IFACE_CPU);
	b.regs = fake_role(b.f, MT_IFACE_CPU_REGS);
	b.debug = fake_role(b.f, MT_IFACE_CPU_DEBUG);
	b.state = fake_role(b.f, MT_IFACE_CPU_STATE);
	b.vector = fake_role(b.f, MT_IFACE_CPU_VECTOR);
}

int bench_up(void)
{
	struct mt_vcpu *handle = (void *)&b;
	int code = b.cls->probe(&host, &b.err);

	if (code == 0)
		code = b.cls->create(&host, fake_inst(b.f), b.count, &b.self, &b.err);
	if (code == 0 && bench_devices.create)
		code = bench_devices.create();
	if (code == 0)
		code = b.cls->realize(b.self, &b.err);
	for (uint32_t i = 0; code == 0 && i < b.count; i++)
		code = b.cls->vcpu_create(b.self, i, handle, &b.vcpu[i], &b.err);
	if (code == 0 && bench_devices.realize)
		code = bench_devices.realize();
	for (uint32_t i = 0; code == 0 && i < b.count; i++)
		b.cls->vcpu_reset(b.vcpu[i], MT_RESET_COLD);
	return code;
}

void bench_down(void)
{
	if (bench_devices.end)
		bench_devices.end();
	for (uint32_t i = 0; i < SHIM_VCPUS; i++)
		if (b.vcpu[i])
			b.cls->vcpu_destroy(b.vcpu[i]);
	if (b.self) {
		b.cls->unrealize(b.self);
		b.cls->destroy(b.self);
	}
	fake_free(b.f);
	memset(&b, 0, sizeof(b));
}

static const struct mt_flat_range memory[] = {
	{ .gpa = 0, .len_bytes = 0xf0000, .kind = MT_FLAT_RAM, .hva = bench_ram },
	{ .gpa = 0xf0000, .len_bytes = 0x10000, .kind = MT_FLAT_ROM, .hva = bench_ram + 0xf0000 },
	{ .gpa = 0x10000000, .len_bytes = 0x100, .kind = MT_FLAT_IO, .region = &b },
};
static const struct mt_flat_range port[] = {
	{ .gpa = 0x3f8, .len_bytes = 8, .kind = MT_FLAT_IO, .region = &b },
};
static const struct mt_flat_view view = { 1, 3, sizeof(memory[0]), memory }, ports = { 1, 1, sizeof(port[0]), port };

const struct mt_flat_view *bench_view(void)
{
	return &view;
}

int bench_run_view(uint32_t vcpu, const struct mt_flat_view *with)
{
	struct mt_run_params params = { .size = sizeof(params), .view = with, .ports = &ports, .deadline_ns = UINT64_MAX };

	b.exit = (struct mt_exit){ .size = sizeof(b.exit), .reason = 0, .wake_ns = 0 };
	return b.cls->run(b.vcpu[vcpu], &params, &b.exit);
}

int bench_run(uint32_t vcpu)
{
	return bench_run_view(vcpu, &view);
}

static uint32_t reg_number(const char *name)
{
	struct mt_reg_desc desc = { .size = sizeof(desc) };

	for (uint32_t i = 0; i < b.regs->count(b.self); i++)
		if (b.regs->describe(b.self, i, &desc) == 0 && !strcmp(desc.name, name))
			return desc.number;
	abort();
}

uint64_t reg_get(uint32_t vcpu, const char *name)
{
	uint64_t value[2] = { 0 };

	if (b.regs->read(b.vcpu[vcpu], reg_number(name), value) < 0)
		abort();
	return value[0];
}

void reg_set(uint32_t vcpu, const char *name, uint64_t value)
{
	if (b.regs->write(b.vcpu[vcpu], reg_number(name), value) < 0)
		abort();
}

void bench_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, b.err.message);
	abort();
}

struct fake_state *bench_saved(uint32_t vcpu)
{
	struct fake_state *s = fake_state_new();

	if (b.state->save(b.vcpu[vcpu], fake_state_out(s), &fake_state_writer, &b.err) < 0)
		bench_die("a vCPU is not saved");
	return s;
}

int bench_loaded(uint32_t vcpu, struct fake_state *s)
{
	return b.state->load(b.vcpu[vcpu], fake_state_in(s), &fake_state_reader, b.state->version, &b.err);
}
