/* SPDX-License-Identifier: MIT */
/* Interrupt lines, vCPU pins and sink inputs of the fake host. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

static struct mt_line *line_find(struct fake *f, const char *name, uint32_t index, uint32_t is_pin)
{
	for (uint32_t i = 0; i < f->line_count; i++) {
		struct mt_line *l = &f->lines[i];

		if (l->is_pin == is_pin && l->index == index && !strcmp(l->name, name))
			return l;
	}
	return NULL;
}

static struct mt_line *line_make(struct fake *f, const char *name, uint32_t index, uint32_t is_pin)
{
	struct mt_line *l = line_find(f, name, index, is_pin);

	if (l)
		return l;
	if (f->line_count == FAKE_LINES)
		fake_die("too many lines");
	l = &f->lines[f->line_count++];
	*l = (struct mt_line){ .index = index, .is_pin = is_pin };
	snprintf(l->name, sizeof(l->name), "%s", name);
	return l;
}

static struct mt_line *line_get(struct mt_inst *inst, const char *prop, uint32_t index)
{
	return index < fake_props_host.count(inst, prop) ? line_make(inst->fake, prop, index, 0) : NULL;
}

static struct mt_line *vcpu_pin(struct mt_inst *inst, uint32_t vcpu, const char *pin)
{
	return vcpu < inst->fake->vcpu_count ? line_make(inst->fake, pin, vcpu, 1) : NULL;
}

static uint32_t vcpu_count(struct mt_inst *inst)
{
	return inst->fake->vcpu_count;
}

static void line_set(struct mt_line *line, uint32_t level)
{
	if (!line || line->level == level)
		return;
	if (level > 1)
		fake_die("level %u of %s", level, line->name);
	line->level = level;
	line->changes++;
}

static int line_bind_eventfd(struct mt_line *line, int fd, int resample_fd, struct mt_error *err)
{
	(void)line, (void)fd, (void)resample_fd, (void)err;
	return MT_ENOTSUP;
}

static void end_of_interrupt(struct mt_inst *sink, uint32_t input)
{
	if (input < 1024)
		sink->fake->ends_of_interrupt[input]++;
}

const struct mt_irq_host fake_irq_host = {
	.line_get = line_get,
	.vcpu_pin = vcpu_pin,
	.vcpu_count = vcpu_count,
	.line_set = line_set,
	.line_bind_eventfd = line_bind_eventfd,
	.message_send = fake_message_send,
	.end_of_interrupt = end_of_interrupt,
};

static const struct mt_line *line_want(struct fake *f, const char *name, uint32_t index, uint32_t is_pin)
{
	const struct mt_line *l = line_find(f, name, index, is_pin);

	if (!l)
		fake_die("the plugin did not ask for %s %u", name, index);
	return l;
}

uint32_t fake_line(struct fake *f, const char *prop, uint32_t index)
{
	return line_want(f, prop, index, 0)->level;
}

uint32_t fake_line_changes(struct fake *f, const char *prop, uint32_t index)
{
	return line_want(f, prop, index, 0)->changes;
}

uint32_t fake_pin(struct fake *f, uint32_t vcpu, const char *pin)
{
	return line_want(f, pin, vcpu, 1)->level;
}

void fake_input(struct fake *f, uint32_t input, uint32_t level)
{
	const struct mt_irq_sink *sink = fake_role(f, MT_IFACE_IRQ_SINK);

	if (!sink || input >= sink->input_count(f->self))
		fake_die("no input %u", input);
	sink->input_set(f->self, input, level);
}

uint32_t fake_ends_of_interrupt(struct fake *f, uint32_t input)
{
	return input < 1024 ? f->ends_of_interrupt[input] : 0;
}

void fake_vcpus(struct fake *f, uint32_t count)
{
	f->vcpu_count = count;
}
