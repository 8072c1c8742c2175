/* SPDX-License-Identifier: MIT */
/*
 * fuzz-cpu, an accelerator whose vCPUs sleep: the program is the guest. It reaches a vCPU's registers by ends_sysreg,
 * and takes its interrupts by ends_vector. The vCPUs are in one table, for there is one machine at a time; requests
 * and pins come on any thread.
 */
#include "tests/fuzz/fuzz.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/fault.h"

#define CPUS_MAX 8u

struct cpu {
	struct mt_sysreg_range ranges[4];
	uint32_t range_count;
	const struct mt_vector_ops *vectors;
	void *vectors_arg;
	_Atomic uint32_t kicked, pins, requested;
};

static struct cpu cpus[CPUS_MAX];

uint64_t ends_sysreg(uint32_t vcpu, uint32_t number, uint32_t how, uint64_t value)
{
	uint64_t old = 0;

	for (uint32_t i = 0; i < cpus[vcpu % CPUS_MAX].range_count; i++) {
		const struct mt_sysreg_range *r = &cpus[vcpu % CPUS_MAX].ranges[i];
		struct mt_sysreg_access a = { r->first + number % (r->last - r->first + 1), vcpu % CPUS_MAX, how >> 4 & 3 };

		if (number >> 8 != i)
			continue;
		if (how % 3 == 0)
			r->ops->read(r->arg, &a, &old);
		else if (how % 3 == 1)
			r->ops->write(r->arg, &a, value);
		else
			r->ops->modify(r->arg, &a, value >> 32, value, &old);
	}
	return old;
}

/* The vCPU takes what waits, and now and then asks when nothing does; or it writes and reads CR8. */
int32_t ends_vector(uint32_t vcpu, uint32_t how)
{
	struct cpu *c = &cpus[vcpu % CPUS_MAX];
	int32_t vector = MT_VECTOR_NONE;

	if (!c->vectors)
		return vector;
	if (how & 1 && c->vectors->priority) {
		if (how & 4 && c->vectors->set_enabled)
			c->vectors->set_enabled(c->vectors_arg, how >> 3 & 1);
		c->vectors->set_priority(c->vectors_arg, how >> 4 & 15);
		return (int32_t)c->vectors->priority(c->vectors_arg);
	}
	if (how & 2 || atomic_load(&c->requested))
		vector = c->vectors->acknowledge(c->vectors_arg);
	if (vector != MT_VECTOR_NONE && (vector < 0 || vector > 255))
		abort();
	return vector;
}

static int cpu_probe(const struct mt_host *host, struct mt_error *err)
{
	(void)host, (void)err;
	return 0;
}

static int cpu_create(const struct mt_host *host, struct mt_inst *inst, uint32_t vcpu_count, void **self,
		      struct mt_error *err)
{
	(void)host, (void)inst;
	memset(cpus, 0, sizeof(cpus));
	*self = cpus;
	return vcpu_count <= CPUS_MAX ? 0 : fault_set(err, MT_ERANGE, "count", NULL, "too many");
}

static int cpu_realize(void *self, struct mt_error *err)
{
	(void)self, (void)err;
	return 0;
}

static int cpu_vcpu_create(void *self, uint32_t index, struct mt_vcpu *handle, void **vcpu, struct mt_error *err)
{
	(void)self, (void)handle, (void)err;
	*vcpu = &cpus[index];
	return 0;
}

static void cpu_unrealize(void *self)
{
	(void)self;
}

static void cpu_vcpu_reset(void *vcpu, uint32_t kind)
{
	(void)vcpu, (void)kind;
}

static int cpu_run(void *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	(void)params;
	exit->reason = atomic_exchange(&((struct cpu *)vcpu)->kicked, 0) ? MT_EXIT_KICKED : MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	return 0;
}

static void cpu_kick(void *vcpu)
{
	atomic_store(&((struct cpu *)vcpu)->kicked, 1);
}

const struct mt_cpu_class ends_cpu_class = {
	cpu_probe, cpu_create, cpu_realize, cpu_unrealize, cpu_unrealize, cpu_vcpu_create, cpu_unrealize,
	cpu_vcpu_reset, cpu_run, cpu_kick,
};

static int32_t pin_find(void *self, const char *name)
{
	static const char *const names[] = { "msip", "mtip", "meip", "ssip", "stip", "seip" };

	(void)self;
	for (int32_t i = 0; i < (int32_t)G_N_ELEMENTS(names); i++) {
		if (!strcmp(names[i], name))
			return i;
	}
	return MT_ENOENT;
}

static void pin_set(void *vcpu, uint32_t pin, uint32_t level)
{
	if (level)
		atomic_fetch_or(&((struct cpu *)vcpu)->pins, 1u << pin);
	else
		atomic_fetch_and(&((struct cpu *)vcpu)->pins, ~(1u << pin));
}

const struct mt_cpu_pins ends_cpu_pins = { pin_find, pin_set };

static int sysreg_bind(void *vcpu, const struct mt_sysreg_range *range, struct mt_error *err)
{
	struct cpu *c = vcpu;

	if (c->range_count == G_N_ELEMENTS(c->ranges))
		return fault_set(err, MT_EBUSY, NULL, NULL, "too many registers");
	c->ranges[c->range_count++] = *range;
	return 0;
}

static void sysreg_unbind(void *vcpu, const struct mt_sysreg_range *range)
{
	(void)range;
	((struct cpu *)vcpu)->range_count = 0;
}

const struct mt_cpu_sysreg ends_cpu_sysreg = { sysreg_bind, sysreg_unbind };

static int vector_bind(void *vcpu, const struct mt_vector_ops *ops, void *arg, struct mt_error *err)
{
	struct cpu *c = vcpu;

	if (c->vectors)
		return fault_set(err, MT_EBUSY, NULL, NULL, "the vCPU has an interrupt controller already");
	c->vectors = ops;
	c->vectors_arg = arg;
	return 0;
}

static void vector_unbind(void *vcpu)
{
	((struct cpu *)vcpu)->vectors = NULL;
}

static void vector_request(void *vcpu, uint32_t level)
{
	atomic_store(&((struct cpu *)vcpu)->requested, level);
}

static void vector_event(void *vcpu, uint32_t event, uint32_t value)
{
	(void)vcpu, (void)event, (void)value;
}

const struct mt_cpu_vector ends_cpu_vector = { vector_bind, vector_unbind, vector_request, vector_event };
