/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers whose vectors the CPU fetches: hands a controller's handlers to the accelerator, or ties
 * one controller to another, and passes on what they ask for. `bind` and `take` on [main]; `request` and `event`
 * on any thread, without a lock: what they read was written before the machine ran.
 * Easy to break: the vCPUs of a machine end with the accelerator's instance; a binding released later finds none.
 */
#include "kernel/machine/vector.h"

#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/vcpu.h"

/* What an instance has bound; a resource of it, made with its first binding. */
struct vectors {
	const struct mt_cpu_vector *role;
	uint32_t count;                                  /* of `bound` */
	bool *bound;
	void (*changed)(void *arg, uint32_t level);      /* it stands behind another; NULL: it does not */
	void *arg;
};

/* Resources of the controller that has bound a vCPU, or taken another. */
struct binding {
	struct mt_inst *inst;
	uint32_t vcpu;
	struct mt_vector_ops ops;
};

static const struct mt_cpu_vector *accelerator_role(const struct machine *m)
{
	return m->vcpus && m->cpu ? inst_role(m->cpu, MT_IFACE_CPU_VECTOR) : NULL;
}

static void vectors_release(void *arg)
{
	struct mt_inst *inst = arg;

	g_free(inst->vectors->bound);
	g_free(inst->vectors);
	inst->vectors = NULL;
}

static struct vectors *vectors_get(struct mt_inst *inst)
{
	if (!inst->vectors) {
		inst->vectors = g_new0(struct vectors, 1);
		inst_own(inst, vectors_release, inst);
	}
	return inst->vectors;
}

static int plugin_fault(const struct mt_inst *inst, const char *what, struct mt_error *err)
{
	return fault_set(err, MT_EINVAL, NULL, NULL, "%s %s (plugin fault)", inst->cls->name, what);
}

/* Vectors for vCPUs */

static void binding_release(void *arg)
{
	struct binding *b = arg;
	const struct mt_cpu_vector *role = accelerator_role(b->inst->machine);

	b->inst->vectors->bound[b->vcpu] = false;
	if (role)
		role->unbind(vcpus_self(b->inst->machine->vcpus, b->vcpu));
	g_free(b);
}

static int bind_check(struct mt_inst *inst, uint32_t vcpu, const struct mt_vector_ops *ops, struct mt_error *err)
{
	const struct machine *m = inst->machine;

	if (!(inst->cls->flags & MT_CLASS_PARALLEL))
		return plugin_fault(inst, "gives vectors and is not parallel", err);
	if (ops->flags)
		return fault_set(err, MT_EINVAL, NULL, "use a later mortise", "%s gives vectors with unknown flags 0x%x",
				 inst->cls->name, ops->flags);
	if (!ops->acknowledge || !ops->priority != !ops->set_priority)
		return plugin_fault(inst, "gives vectors and lacks an operation", err);
	if (!accelerator_role(m))
		return fault_set(err, MT_ENOTSUP, NULL, "use another accelerator",
				 "the accelerator takes no interrupt vectors from devices");
	if (vcpu >= vcpus_count(m->vcpus))
		return fault_set(err, MT_ENOENT, NULL, NULL, "there is no vCPU %u", vcpu);
	if (inst->vectors && inst->vectors->changed)
		return fault_set(err, MT_EBUSY, NULL, NULL, "%s stands behind another interrupt controller", inst->id);
	return 0;
}

static int vector_bind(struct mt_inst *inst, uint32_t vcpu, const struct mt_vector_ops *ops, void *arg,
		       struct mt_error *err)
{
	const struct machine *m = inst->machine;
	struct binding *b = g_new0(struct binding, 1);
	struct vectors *v;
	int code;

	memcpy(&b->ops, ops, MIN(ops->size, sizeof(b->ops)));
	b->ops.size = sizeof(b->ops);
	b->inst = inst;
	b->vcpu = vcpu;
	code = bind_check(inst, vcpu, &b->ops, err);
	if (code == 0)
		code = accelerator_role(m)->bind(vcpus_self(m->vcpus, vcpu), &b->ops, arg, err);
	if (code < 0) {
		g_free(b);
		return code;
	}
	v = vectors_get(inst);
	v->role = accelerator_role(m);
	if (!v->bound) {
		v->count = vcpus_count(m->vcpus);
		v->bound = g_new0(bool, v->count);
	}
	v->bound[vcpu] = true;
	inst_own(inst, binding_release, b);
	return 0;
}

/* One controller behind another */

static void taken_release(void *arg)
{
	struct vectors *v = ((struct mt_inst *)arg)->vectors;

	if (v)
		v->changed = NULL;
}

static int vector_take(struct mt_inst *inst, const char *prop, void (*changed)(void *arg, uint32_t level), void *arg,
		       const struct mt_vector_source **source, void **self, struct mt_error *err)
{
	struct mt_inst *from = inst_ref(inst, prop);
	const struct mt_vector_source *role;

	if (!from)
		return fault_set(err, MT_ENOENT, prop, NULL, "'%s' is missing", prop);
	role = inst_role(from, MT_IFACE_VECTOR_SOURCE);
	if (!role)
		return fault_set(err, MT_EINVAL, prop, "name an interrupt controller such as an 8259A",
				 "%s gives no interrupt vectors", from->id);
	if (!(inst->cls->flags & from->cls->flags & MT_CLASS_PARALLEL))
		return plugin_fault(inst, "takes vectors, and one of the two is not parallel", err);
	if (from->vectors)
		return fault_set(err, MT_EBUSY, prop, NULL, "%s %s already", from->id,
				 from->vectors->changed ? "stands behind another controller" : "serves a vCPU");
	vectors_get(from)->arg = arg;
	from->vectors->changed = changed;
	inst_own(inst, taken_release, from);
	*source = role;
	*self = from->self;
	return 0;
}

/* What they ask for */

/* The accelerator's pointer of a vCPU that the instance has bound, or NULL. */
static void *bound_vcpu(const struct mt_inst *inst, uint32_t vcpu)
{
	const struct vectors *v = inst->vectors;
	const struct machine *m = inst->machine;

	return v && vcpu < v->count && v->bound[vcpu] && m->vcpus ? vcpus_self(m->vcpus, vcpu) : NULL;
}

static void vector_request(struct mt_inst *inst, uint32_t vcpu, uint32_t level)
{
	const struct vectors *v = inst->vectors;
	void *self = bound_vcpu(inst, vcpu);

	if (self) {
		v->role->request(self, !!level);
		vcpus_wake(inst->machine->vcpus, vcpu);
	} else if (v && v->changed && vcpu == 0) {
		v->changed(v->arg, !!level);
	}
}

static void vector_event(struct mt_inst *inst, uint32_t vcpu, uint32_t event, uint32_t value)
{
	void *self = bound_vcpu(inst, vcpu);

	if (!self)
		return;
	inst->vectors->role->event(self, event, value);
	vcpus_wake(inst->machine->vcpus, vcpu);
}

const struct mt_vector_host vector_host = {
	.bind = vector_bind,
	.take = vector_take,
	.request = vector_request,
	.event = vector_event,
};
