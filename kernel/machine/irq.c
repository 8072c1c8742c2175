/* SPDX-License-Identifier: MIT */
/*
 * Interrupts. An input (of a sink, or a pin of a vCPU) or-s its sources; lines are set on every thread and
 * made on [main] in realize. Inputs are remembered with their sink, so that end_of_interrupt finds them.
 *
 * The rule that is easy to break: a change is delivered under the input's lock. Two threads may change two
 * sources of one input at once, A lowering the last raised one and B raising another: each is right about the
 * or-ed level at its own moment, but if they delivered outside the lock, A's 0 could reach the sink after
 * B's 1 and stay. The locks order downward (device, input, sink's own, pin input, vCPU), as the wires do.
 */
#include "kernel/machine/irq.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "kernel/bind/bind.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/services.h"
#include "kernel/machine/space.h"
#include "kernel/config/value.h"
#include "kernel/machine/vcpu.h"
#include "kernel/state/part.h"

/* Either a sink's input or a vCPU's pin. */
struct input {
	struct mt_inst *sink;          /* the accelerator's instance for a pin */
	const struct mt_irq_sink *role;    /* NULL: a pin */
	uint32_t number, vcpu;         /* input or pin */
	pthread_mutex_t lock;          /* of the levels; held while the sink is told */
	uint32_t raised;               /* sources that are 1 */
	struct mt_line *lines;
	struct input *next;
};

struct mt_line {
	struct input *input;
	struct mt_inst *inst;          /* who asked for it */
	char name[40];                 /* property and element, or pin and vCPU: "irq.0" */
	uint32_t level;                /* atomic; written under the input's lock after the sink was told */
	struct mt_line *next;          /* of the input */
	struct loop_watch *watch;      /* of the bound eventfd */
	int fd, resample_fd;
	bool taken;                    /* the accelerator serves the binding */
	bool resampling;               /* raised by the eventfd, waits for the end of the interrupt */
};

/* The inputs of one instance. Its resource; the lines that use it end earlier. */
struct inputs {
	pthread_mutex_t lock;
	struct input *first;
	uint32_t resampled;            /* atomic: lines that want the end of interrupts */
};

static const char inputs_key;

/* Levels */

/* With the input's lock held. */
static void input_tell(struct input *input, uint32_t level)
{
	if (!input->role)
		vcpus_pin_set(input->sink->machine->vcpus, input->vcpu, input->number, level);
	else
		input->role->input_set(input->sink->self, input->number, level);
}

/* With the input's lock held. */
static void line_change(struct mt_line *line, uint32_t level)
{
	struct input *input = line->input;

	if (line->level == level)
		return;
	input->raised += level ? 1u : -1u;
	if (level ? input->raised == 1 : input->raised == 0)
		input_tell(input, level);
	__atomic_store_n(&line->level, level, __ATOMIC_RELEASE);
}

static void line_set(struct mt_line *line, uint32_t level)
{
	level = level != 0;
	/* the level is stored last: who sees it here knows that the sink has seen it too */
	if (!line || !line->input || __atomic_load_n(&line->level, __ATOMIC_ACQUIRE) == level)
		return;
	pthread_mutex_lock(&line->input->lock);
	line_change(line, level);
	pthread_mutex_unlock(&line->input->lock);
}

/* Inputs */

static void input_free(struct input *input)
{
	/* a sink that goes before its sources, in spite of the order: they lead nowhere from now on */
	for (struct mt_line *line = input->lines; line; line = line->next)
		line->input = NULL;
	pthread_mutex_destroy(&input->lock);
	g_free(input);
}

static void inputs_release(void *arg)
{
	struct mt_inst *sink = arg;
	struct inputs *inputs = inst_data_get(sink, &inputs_key);

	inst_data_set(sink, &inputs_key, NULL);
	while (inputs->first) {
		struct input *input = inputs->first;

		inputs->first = input->next;
		input_free(input);
	}
	pthread_mutex_destroy(&inputs->lock);
	g_free(inputs);
}

static struct inputs *inputs_of(struct mt_inst *sink)
{
	struct inputs *inputs = inst_data_get(sink, &inputs_key);

	if (inputs)
		return inputs;
	inputs = g_new0(struct inputs, 1);
	pthread_mutex_init(&inputs->lock, NULL);
	inst_data_set(sink, &inputs_key, inputs);
	inst_own(sink, inputs_release, sink);
	return inputs;
}

/* With the lock of `inputs` held. */
static struct input *input_find(const struct inputs *inputs, bool pin, uint32_t vcpu, uint32_t number)
{
	struct input *input = inputs->first;

	while (input && (!input->role != pin || input->vcpu != vcpu || input->number != number))
		input = input->next;
	return input;
}

/* [main] The input, made when it is new. `role` is NULL for a pin of `vcpu`. */
static struct input *input_get(struct mt_inst *sink, const struct mt_irq_sink *role, uint32_t vcpu,
			       uint32_t number)
{
	struct inputs *inputs = inputs_of(sink);
	struct input *input;

	pthread_mutex_lock(&inputs->lock);
	input = input_find(inputs, !role, vcpu, number);
	if (!input) {
		input = g_new0(struct input, 1);
		*input = (struct input){ .sink = sink, .role = role, .number = number, .vcpu = vcpu,
					 .next = inputs->first };
		pthread_mutex_init(&input->lock, NULL);
		inputs->first = input;
	}
	pthread_mutex_unlock(&inputs->lock);
	return input;
}

/* Eventfds */

/* [io] The descriptor was signalled. */
static void line_signalled(void *arg, uint32_t events)
{
	struct mt_line *line = arg;
	eventfd_t count;

	(void)events;
	if (eventfd_read(line->fd, &count) < 0)
		return;
	pthread_mutex_lock(&line->input->lock);
	line_change(line, 1);
	if (line->resample_fd < 0)
		line_change(line, 0);
	else
		line->resampling = true;
	pthread_mutex_unlock(&line->input->lock);
}

static bool line_watch(struct mt_line *line)
{
	line->watch = loop_watch_add(line->inst->loop, line->fd, MT_FD_READ, line_signalled, line);
	return line->watch != NULL;
}

/*
 * An accelerator's pulse ends with the input low, whoever else holds it high. So what has several sources is
 * served here, unless it is for the end of the interrupt: that is or-ed there too.
 */
static void input_share(const struct input *input)
{
	for (struct mt_line *line = input->lines; line; line = line->next) {
		if (!line->taken || line->resample_fd >= 0)
			continue;
		bind_line_give(input->sink, input->number, line->fd, -1);
		line->taken = false;
		if (!line_watch(line))
			log_message(line->inst->machine, line->inst, MT_LOG_ERROR,
				    "interrupt %s: descriptor %d cannot be watched", line->name, line->fd);
	}
}

static bool line_take(struct mt_line *line)
{
	const struct input *input = line->input;
	bool alone = input->lines == line && !line->next;

	line->taken = input->role && (alone || line->resample_fd >= 0) &&
		      bind_line_take(input->sink, input->number, line->fd, line->resample_fd);
	return line->taken;
}

/* Lines */

static void line_unbind(struct mt_line *line)
{
	struct inputs *inputs;

	if (line->taken && line->input)
		bind_line_give(line->input->sink, line->input->number, line->fd, line->resample_fd);
	line->taken = false;
	if (!line->watch)
		return;
	loop_watch_remove(line->watch);
	line->watch = NULL;
	if (!line->input)
		return;
	inputs = inst_data_get(line->input->sink, &inputs_key);
	pthread_mutex_lock(&line->input->lock);
	line->resampling = false;
	line_change(line, 0);
	if (line->resample_fd >= 0)
		__atomic_sub_fetch(&inputs->resampled, 1, __ATOMIC_RELEASE);
	line->resample_fd = -1;
	pthread_mutex_unlock(&line->input->lock);
}

static void line_release(void *arg)
{
	struct mt_line *line = arg, **link;
	struct input *input = line->input;

	line_unbind(line);
	if (input) {
		pthread_mutex_lock(&input->lock);
		line_change(line, 0);
		for (link = &input->lines; *link != line; link = &(*link)->next)
			;
		*link = line->next;
		pthread_mutex_unlock(&input->lock);
	}
	g_free(line);
}

static struct mt_line *line_new(struct mt_inst *inst, struct input *input, const char *name, uint32_t index)
{
	struct mt_line *line = g_new0(struct mt_line, 1);

	g_snprintf(line->name, sizeof(line->name), "%s.%u", name, index);
	line->input = input;
	line->inst = inst;
	line->resample_fd = -1;
	input_share(input);
	pthread_mutex_lock(&input->lock);
	line->next = input->lines;
	input->lines = line;
	pthread_mutex_unlock(&input->lock);
	inst_own(inst, line_release, line);
	return line;
}

/* To the plugin it looks like an interrupt that is not connected: the machine fails for it (inst_realize). */
static struct mt_line *line_refuse(struct mt_inst *inst, const char *prop, const char *element, const char *why)
{
	if (!inst->fault.code)
		fault_set(&inst->fault, MT_EINVAL, prop, NULL, "interrupt %s leads nowhere: %s", element, why);
	return NULL;
}

/* A controller says nothing of an input that its guest could not name: input 0 of a PLIC is no interrupt. */
static bool input_exists(const struct mt_inst *sink, const struct mt_irq_sink *role, uint64_t number)
{
	uint32_t cells[4];

	return number < role->input_count(sink->self) &&
	       (!role->fdt_cells || role->fdt_cells(sink->self, (uint32_t)number, cells));
}

static struct mt_line *line_get(struct mt_inst *inst, const char *prop, uint32_t index)
{
	const char *element;
	const struct mt_irq_sink *role;
	struct mt_inst *sink;
	char id[64];
	uint64_t number;

	if (index >= props_host.count(inst, prop))
		return NULL;
	element = props_host.get_element(inst, prop, index);
	if (!element)
		return NULL;
	if (!value_parse_irq(element, id, &number, NULL))
		return line_refuse(inst, prop, element, "not ID:INPUT");
	sink = machine_find(inst->machine, id);
	role = sink ? inst_role(sink, MT_IFACE_IRQ_SINK) : NULL;
	if (!role)
		return line_refuse(inst, prop, element, "no such interrupt controller");
	if (!input_exists(sink, role, number))
		return line_refuse(inst, prop, element, "no such input");
	return line_new(inst, input_get(sink, role, 0, (uint32_t)number), prop, index);
}

static struct mt_line *vcpu_pin(struct mt_inst *inst, uint32_t vcpu, const char *pin)
{
	struct machine *m = inst->machine;
	int32_t number = m->vcpus && vcpu < vcpus_count(m->vcpus) ? vcpus_pin_find(m->vcpus, pin) : MT_ENOENT;

	if (number < 0)
		return NULL;
	return line_new(inst, input_get(m->cpu, NULL, vcpu, (uint32_t)number), pin, vcpu);
}

static uint32_t vcpu_count(struct mt_inst *inst)
{
	return inst->machine->vcpu_count;
}

static int line_bind_eventfd(struct mt_line *line, int fd, int resample_fd, struct mt_error *err)
{
	struct inputs *inputs;

	if (!line || !line->input)
		return fault_set(err, MT_ENOENT, NULL, NULL, "no line to bind");
	if (fd < 0) {
		line_unbind(line);
		return 0;
	}
	if (line->watch || line->taken)
		return fault_set(err, MT_EBUSY, NULL, NULL, "the line is bound already");
	line->fd = fd;
	line->resample_fd = resample_fd < 0 ? -1 : resample_fd;
	if (line_take(line))
		return 0;
	inputs = inst_data_get(line->input->sink, &inputs_key);
	if (resample_fd >= 0)
		__atomic_add_fetch(&inputs->resampled, 1, __ATOMIC_RELEASE);
	if (line_watch(line))
		return 0;
	if (resample_fd >= 0)
		__atomic_sub_fetch(&inputs->resampled, 1, __ATOMIC_RELEASE);
	line->resample_fd = -1;
	return fault_set(err, MT_EINVAL, NULL, NULL, "descriptor %d cannot be watched", fd);
}

/*
 * On the thread of the vCPU that ended the interrupt. The line falls before the descriptor is signalled, so
 * that a source that is still active, and signals again at once, is not lost.
 */
static void input_resample(struct input *input)
{
	pthread_mutex_lock(&input->lock);
	for (struct mt_line *line = input->lines; line; line = line->next) {
		if (!line->resampling)
			continue;
		line->resampling = false;
		line_change(line, 0);
		eventfd_write(line->resample_fd, 1);
	}
	pthread_mutex_unlock(&input->lock);
}

static void end_of_interrupt(struct mt_inst *sink, uint32_t number)
{
	struct inputs *inputs = inst_data_get(sink, &inputs_key);
	struct input *input;

	if (!inputs || !__atomic_load_n(&inputs->resampled, __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&inputs->lock);
	input = input_find(inputs, false, 0, number);
	pthread_mutex_unlock(&inputs->lock);
	if (input)
		input_resample(input);
}

/*
 * Saved state: the lines that are raised. Sinks and vCPUs have saved the or-ed levels that they were told of,
 * so that nobody is told when the levels come back.
 */

static void inputs_visit(struct machine *m, void (*fn)(struct mt_line *line, void *arg), void *arg)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		const struct inputs *inputs = inst_data_get(g_ptr_array_index(m->insts, i), &inputs_key);

		for (struct input *input = inputs ? inputs->first : NULL; input; input = input->next)
			for (struct mt_line *line = input->lines; line; line = line->next)
				fn(line, arg);
	}
}

struct saving {
	struct mt_state_out *out;
	const struct mt_state_writer *w;
};

static void line_save(struct mt_line *line, void *arg)
{
	const struct saving *s = arg;
	uint8_t resampling = line->resampling;

	if (!line->level)
		return;
	s->w->begin(s->out, "raised", 0);
	s->w->put(s->out, "source", MT_STATE_STRING, 0, line->inst->id, (uint32_t)strlen(line->inst->id));
	s->w->put(s->out, "line", MT_STATE_STRING, 0, line->name, (uint32_t)strlen(line->name));
	s->w->put(s->out, "resampling", MT_STATE_U8, 0, &resampling, 1);
	s->w->end(s->out);
}

static int state_save(struct machine *m, struct mt_state_out *out, const struct mt_state_writer *w,
		      struct mt_error *err)
{
	struct saving s = { out, w };

	(void)err;
	inputs_visit(m, line_save, &s);
	return 0;
}

struct wanted_line {
	char source[128], name[40];
	struct mt_line *found;
};

static void line_match(struct mt_line *line, void *arg)
{
	struct wanted_line *wanted = arg;

	if (!strcmp(line->inst->id, wanted->source) && !strcmp(line->name, wanted->name))
		wanted->found = line;
}

static int line_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct wanted_line wanted = { .found = NULL };
	uint8_t resampling = 0;
	int code = r->get(in, "source", MT_STATE_STRING, wanted.source, sizeof(wanted.source));

	if (code == 0)
		code = r->get(in, "line", MT_STATE_STRING, wanted.name, sizeof(wanted.name));
	if (code == 0)
		code = r->get(in, "resampling", MT_STATE_U8, &resampling, 1);
	if (code < 0)
		return code;
	inputs_visit(m, line_match, &wanted);
	if (!wanted.found)
		return r->refuse(in, "line", "is none of this machine");
	pthread_mutex_lock(&wanted.found->input->lock);
	if (!wanted.found->level)
		wanted.found->input->raised++;
	wanted.found->resampling = resampling && wanted.found->resample_fd >= 0;
	__atomic_store_n(&wanted.found->level, 1, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&wanted.found->input->lock);
	return 0;
}

static int state_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r,
		      struct mt_error *err)
{
	uint32_t type, count = 0;
	int code = 0;

	(void)err;
	r->find(in, "raised", &type, &count);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "raised", i);
		if (code < 0)
			return code;
		code = line_load(m, in, r);
		r->end(in);
	}
	return code;
}

const struct state_part irq_state_part = { "irq", 1, state_save, state_load };

const struct mt_irq_host irq_host = {
	.line_get = line_get,
	.vcpu_pin = vcpu_pin,
	.vcpu_count = vcpu_count,
	.line_set = line_set,
	.line_bind_eventfd = line_bind_eventfd,
	.message_send = bus_message,
	.end_of_interrupt = end_of_interrupt,
};
