/* SPDX-License-Identifier: MIT */
/*
 * System registers that devices own: hands a device's handlers to the accelerator. All on [main]; the
 * accelerator calls the handlers by itself, the kernel is not between. The rule that is easy to break: the
 * vCPUs of a machine end with the accelerator's instance, so a binding that is released later finds none and
 * has nothing to undo.
 */
#include "kernel/machine/sysreg.h"

#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/vcpu.h"

/* A resource of the device. */
struct binding {
	struct machine *machine;
	uint32_t vcpu;
	struct mt_sysreg_range range;
};

static const struct mt_cpu_sysreg *accelerator_role(const struct machine *m)
{
	return m->vcpus && m->cpu ? inst_role(m->cpu, MT_IFACE_CPU_SYSREG) : NULL;
}

static void binding_release(void *arg)
{
	struct binding *b = arg;
	const struct mt_cpu_sysreg *role = accelerator_role(b->machine);

	if (role)
		role->unbind(vcpus_self(b->machine->vcpus, b->vcpu), &b->range);
	g_free(b);
}

static int range_check(const struct mt_inst *inst, const struct mt_sysreg_range *range, struct mt_error *err)
{
	const struct mt_sysreg_ops *ops = range->ops;

	if (!(inst->cls->flags & MT_CLASS_PARALLEL))
		return fault_set(err, MT_EINVAL, NULL, NULL,
				 "%s serves system registers and is not parallel (plugin fault)", inst->cls->name);
	if (range->flags)
		return fault_set(err, MT_EINVAL, NULL, "use a later mortise",
				 "a range of system registers has unknown flags 0x%x", range->flags);
	if (range->first > range->last || !ops || !ops->read || !ops->write || !ops->modify)
		return fault_set(err, MT_EINVAL, NULL, NULL,
				 "a range of system registers lacks an operation or is empty (plugin fault)");
	return 0;
}

static int sysreg_bind(struct mt_inst *inst, uint32_t vcpu, const struct mt_sysreg_range *range,
		       struct mt_error *err)
{
	struct machine *m = inst->machine;
	const struct mt_cpu_sysreg *role = accelerator_role(m);
	struct mt_sysreg_range copy = { 0 };
	struct binding *b;
	int code;

	memcpy(&copy, range, MIN(range->size, sizeof(copy)));
	copy.size = sizeof(copy);
	code = range_check(inst, &copy, err);
	if (code < 0)
		return code;
	if (!role)
		return fault_set(err, MT_ENOTSUP, NULL, "use another accelerator, or a controller without such registers",
				 "the accelerator lets no device serve system registers");
	if (vcpu >= vcpus_count(m->vcpus))
		return fault_set(err, MT_ENOENT, NULL, NULL, "there is no vCPU %u", vcpu);
	code = role->bind(vcpus_self(m->vcpus, vcpu), &copy, err);
	if (code < 0)
		return code;
	b = g_new0(struct binding, 1);
	*b = (struct binding){ m, vcpu, copy };
	inst_own(inst, binding_release, b);
	return 0;
}

const struct mt_sysreg_host sysreg_host = { .bind = sysreg_bind };
