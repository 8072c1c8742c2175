/* SPDX-License-Identifier: MIT */
/*
 * See bind.h. What the accelerator has taken stays in the list: a vCPU that comes out with such a write all
 * the same, because the region was being moved, finds it served here.
 */
#include "kernel/bind/bind.h"

#include <sys/eventfd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/region.h"

void bindings_init(struct bindings *b)
{
	pthread_mutex_init(&b->lock, NULL);
}

void bindings_free(struct bindings *b)
{
	pthread_mutex_destroy(&b->lock);
	g_free(b->list);
}

/*
 * Under the lock: after bind_eventfd has unbound a descriptor on another thread, no vCPU can be about to
 * signal it.
 */
bool bindings_serve(struct bindings *b, const struct mt_access *access, uint64_t value)
{
	bool bound = false;

	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; i < b->count && !bound; i++) {
		const struct binding *binding = &b->list[i];

		bound = binding->offset == access->offset && binding->width == access->width &&
			(!binding->match_value || binding->value == value);
		if (bound)
			eventfd_write(binding->fd, 1);
	}
	pthread_mutex_unlock(&b->lock);
	return bound;
}

/* The accelerator */

/* NULL: it takes nothing over, or there is none now. */
static const struct mt_cpu_eventfd *accelerator(const struct machine *m)
{
	enum inst_state state = m->cpu ? __atomic_load_n(&m->cpu->state, __ATOMIC_RELAXED) : INST_NEW;

	return state >= INST_REALIZED && state < INST_UNREALIZED ? inst_role(m->cpu, MT_IFACE_CPU_EVENTFD) : NULL;
}

static struct mt_write_match match_of(const struct mt_region *region, const struct binding *b)
{
	bool port = region->space == region->inst->machine->ports;

	return (struct mt_write_match){
		.size = sizeof(struct mt_write_match), .gpa = region->bindings.gpa + b->offset, .width = b->width,
		.value = b->match_value ? b->value : 0,
		.flags = (b->match_value ? MT_WRITE_VALUE : 0) | (port ? MT_WRITE_PORT : 0),
	};
}

/* With the lock held, as the next. */
static void offer(const struct mt_region *region, struct binding *b)
{
	const struct machine *m = region->inst->machine;
	const struct mt_cpu_eventfd *role = region->bindings.placed && !b->taken ? accelerator(m) : NULL;
	struct mt_write_match match = match_of(region, b);

	b->taken = role && role->write_take(m->cpu->self, &match, b->fd) == 0;
}

static void take_back(const struct mt_region *region, struct binding *b)
{
	const struct machine *m = region->inst->machine;
	const struct mt_cpu_eventfd *role = b->taken ? accelerator(m) : NULL;
	struct mt_write_match match = match_of(region, b);

	if (role)
		role->write_give(m->cpu->self, &match, b->fd);
	b->taken = false;
}

void bindings_placed(struct mt_region *region, uint64_t gpa)
{
	struct bindings *b = &region->bindings;

	pthread_mutex_lock(&b->lock);
	b->gpa = gpa;
	b->placed = true;
	for (uint32_t i = 0; i < b->count; i++)
		offer(region, &b->list[i]);
	pthread_mutex_unlock(&b->lock);
}

void bindings_unplaced(struct mt_region *region)
{
	struct bindings *b = &region->bindings;

	pthread_mutex_lock(&b->lock);
	for (uint32_t i = 0; i < b->count; i++)
		take_back(region, &b->list[i]);
	b->placed = false;
	pthread_mutex_unlock(&b->lock);
}

/* Making and ending */

static bool binding_is(const struct binding *a, const struct binding *b)
{
	return a->offset == b->offset && a->width == b->width && a->match_value == b->match_value &&
	       (!a->match_value || a->value == b->value);
}

/* With the lock held, as the next. */
static void binding_end(const struct mt_region *region, struct bindings *b, uint32_t i)
{
	take_back(region, &b->list[i]);
	b->list[i] = b->list[b->count - 1];
	__atomic_store_n(&b->count, b->count - 1, __ATOMIC_RELEASE);
}

static int binding_set(struct mt_region *region, const struct binding *binding)
{
	struct bindings *b = &region->bindings;
	uint32_t i = 0;

	while (i < b->count && !binding_is(&b->list[i], binding))
		i++;
	if (binding->fd >= 0 && i < b->count)
		return MT_EBUSY;
	if (binding->fd < 0 && i == b->count)
		return MT_ENOENT;
	if (binding->fd < 0) {
		binding_end(region, b, i);
		return 0;
	}
	b->list = g_renew(struct binding, b->list, b->count + 1);
	b->list[i] = *binding;
	__atomic_store_n(&b->count, b->count + 1, __ATOMIC_RELEASE);
	offer(region, &b->list[i]);
	return 0;
}

int bindings_bind(struct mt_region *region, uint64_t offset, uint32_t width, uint32_t match_value, uint64_t value,
		  int fd, struct mt_error *err)
{
	struct binding binding = { offset, value, width, match_value != 0, fd, false };
	int code;

	if (width < 1 || width > 8 || width & (width - 1) || offset >= region->len_bytes ||
	    width > region->len_bytes - offset)
		return fault_set(err, MT_ERANGE, NULL, NULL, "'%s' has no %u bytes at 0x%llx to bind",
				 region->name, width, (unsigned long long)offset);
	pthread_mutex_lock(&region->bindings.lock);
	code = binding_set(region, &binding);
	pthread_mutex_unlock(&region->bindings.lock);
	if (code == 0)
		return 0;
	return fault_set(err, code, NULL, NULL, "0x%llx of '%s' is %s", (unsigned long long)offset,
			 region->name, code == MT_EBUSY ? "bound already" : "not bound");
}

/* Lines */

/* Of a sink of the accelerator's own file; NULL: it takes nothing over, or there is no accelerator now. */
static const struct mt_cpu_eventfd *line_role(const struct mt_inst *sink)
{
	const struct mt_inst *cpu = sink->machine->cpu;

	return cpu && cpu->plugin == sink->plugin && accelerator(sink->machine) ? inst_role(sink, MT_IFACE_CPU_EVENTFD) : NULL;
}

bool bind_line_take(struct mt_inst *sink, uint32_t input, int fd, int resample_fd)
{
	const struct mt_cpu_eventfd *role = line_role(sink);

	return role && role->line_take && role->line_take(sink->self, input, fd, resample_fd) == 0;
}

void bind_line_give(struct mt_inst *sink, uint32_t input, int fd, int resample_fd)
{
	const struct mt_cpu_eventfd *role = line_role(sink);

	if (role && role->line_give)
		role->line_give(sink->self, input, fd, resample_fd);
}

/* Messages */

bool bind_messages_take(const struct machine *m, const struct mt_message *messages, uint32_t count)
{
	const struct mt_cpu_eventfd *role = accelerator(m);

	return role && role->messages_take && role->messages_take(m->cpu->self, messages, count) == 0;
}

void bind_messages_give(const struct machine *m, const struct mt_message *messages, uint32_t count)
{
	const struct mt_cpu_eventfd *role = accelerator(m);

	if (role && role->messages_give)
		role->messages_give(m->cpu->self, messages, count);
}
