/* SPDX-License-Identifier: MIT */
/* The vCPUs that a controller under test serves, and a controller of the test's that stands behind it. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include "../util/error.h"

static int vector_bind(struct mt_inst *inst, uint32_t vcpu, const struct mt_vector_ops *ops, void *arg,
		       struct mt_error *err)
{
	struct fake *f = inst->fake;
	struct fake_vector *v = &f->vectors[vcpu % FAKE_VECTORS];
	uint32_t bytes = ops->size < sizeof(v->ops) ? ops->size : (uint32_t)sizeof(v->ops);

	if (!(fake_class_flags(f) & MT_CLASS_PARALLEL))
		fake_die("a class that is not parallel gives vectors");
	if (vcpu >= f->vcpu_count || vcpu >= FAKE_VECTORS)
		return mt_error_set(err, MT_ENOENT, NULL, "there is no vCPU %u", vcpu);
	if (v->ops.acknowledge)
		return mt_error_set(err, MT_EBUSY, NULL, "vCPU %u has a controller already", vcpu);
	memcpy(&v->ops, ops, bytes);
	if (!v->ops.acknowledge || v->ops.flags || !v->ops.priority != !v->ops.set_priority)
		fake_die("handlers of vectors that no host takes");
	v->arg = arg;
	return 0;
}

static int vector_take(struct mt_inst *inst, const char *prop, void (*changed)(void *arg, uint32_t level), void *arg,
		       const struct mt_vector_source **source, void **self, struct mt_error *err)
{
	struct fake *f = inst->fake;

	if (!f->source.role || strcmp(f->source.prop, prop))
		return mt_error_set(err, MT_ENOENT, prop, "'%s' is missing", prop);
	if (f->source.changed)
		return mt_error_set(err, MT_EBUSY, prop, "the test's controller stands behind another already");
	f->source.changed = changed;
	f->source.arg = arg;
	*source = f->source.role;
	*self = f->source.self;
	return 0;
}

static void vector_request(struct mt_inst *inst, uint32_t vcpu, uint32_t level)
{
	if (vcpu < FAKE_VECTORS)
		inst->fake->vectors[vcpu].request = !!level;
}

static void vector_event(struct mt_inst *inst, uint32_t vcpu, uint32_t event, uint32_t value)
{
	struct fake_vector *v = &inst->fake->vectors[vcpu % FAKE_VECTORS];

	if (vcpu >= FAKE_VECTORS)
		return;
	v->events++;
	v->event = event;
	v->value = value;
}

const struct mt_vector_host fake_vector_host = {
	.bind = vector_bind,
	.take = vector_take,
	.request = vector_request,
	.event = vector_event,
};

/* For the test */

static struct fake_vector *vector_of(struct fake *f, uint32_t vcpu)
{
	if (vcpu >= FAKE_VECTORS)
		fake_die("no vCPU %u", vcpu);
	return &f->vectors[vcpu];
}

uint32_t fake_vector_bound(struct fake *f, uint32_t vcpu)
{
	return vector_of(f, vcpu)->ops.acknowledge != NULL;
}

uint32_t fake_vector_request(struct fake *f, uint32_t vcpu)
{
	return vector_of(f, vcpu)->request;
}

int32_t fake_vector_acknowledge(struct fake *f, uint32_t vcpu)
{
	const struct fake_vector *v = vector_of(f, vcpu);
	const struct mt_vector_source *source = fake_role(f, MT_IFACE_VECTOR_SOURCE);
	int32_t vector;

	if (!v->ops.acknowledge && !source)
		fake_die("vCPU %u has no controller", vcpu);
	vector = v->ops.acknowledge ? v->ops.acknowledge(v->arg) : source->acknowledge(f->self);
	if (vector != MT_VECTOR_NONE && (vector < 0 || vector > 255))
		fake_die("%d is no vector", vector);
	return vector;
}

uint32_t fake_vector_priority(struct fake *f, uint32_t vcpu)
{
	const struct fake_vector *v = vector_of(f, vcpu);

	if (!v->ops.priority)
		fake_die("the controller of vCPU %u has no priority", vcpu);
	return v->ops.priority(v->arg);
}

void fake_vector_set_priority(struct fake *f, uint32_t vcpu, uint32_t level)
{
	const struct fake_vector *v = vector_of(f, vcpu);

	if (!v->ops.set_priority)
		fake_die("the controller of vCPU %u has no priority", vcpu);
	v->ops.set_priority(v->arg, level);
}

void fake_vector_set_enabled(struct fake *f, uint32_t vcpu, uint32_t enabled)
{
	const struct fake_vector *v = vector_of(f, vcpu);

	if (!v->ops.set_enabled)
		fake_die("the controller of vCPU %u cannot be turned off", vcpu);
	v->ops.set_enabled(v->arg, enabled);
}

uint32_t fake_vector_events(struct fake *f, uint32_t vcpu, uint32_t *event, uint32_t *value)
{
	const struct fake_vector *v = vector_of(f, vcpu);

	*event = v->event;
	*value = v->value;
	return v->events;
}

void fake_vector_source(struct fake *f, const char *prop, const struct mt_vector_source *role, void *self)
{
	fake_prop(f, prop, "source");
	f->source.role = role;
	f->source.self = self;
	snprintf(f->source.prop, sizeof(f->source.prop), "%s", prop);
}

void fake_vector_source_set(struct fake *f, uint32_t level)
{
	if (!f->source.changed)
		fake_die("no controller has taken the test's");
	f->source.changed(f->source.arg, !!level);
}

/* What a vCPU would do, for the fuzzer: one that waits takes its interrupt. */
void fake_vector_fuzz(struct fake *f, uint64_t *seed)
{
	uint64_t r = fake_random(seed);
	uint32_t vcpu = (uint32_t)(r % FAKE_VECTORS);
	struct fake_vector *v = &f->vectors[vcpu];
	uint32_t served = v->ops.acknowledge || (vcpu == 0 && fake_role(f, MT_IFACE_VECTOR_SOURCE));

	if (served && (v->request || (r >> 32) % 16 == 0))
		fake_vector_acknowledge(f, vcpu);
	if (v->ops.set_priority && (r >> 36) % 4 == 0)
		fake_vector_set_priority(f, vcpu, r >> 40 & 15);
	if (f->source.changed && (r >> 48) % 4 == 0)
		fake_vector_source_set(f, r >> 52 & 1);
}
