/* SPDX-License-Identifier: MIT */
/* System registers that the plugin serves, and the targets and messages of message-signalled interrupts. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

#include "../util/error.h"

/* --- system registers --- */

static struct fake_sysreg *find(struct fake *f, uint32_t vcpu, uint64_t first, uint64_t last)
{
	for (uint32_t i = 0; i < f->sysreg_count; i++) {
		struct fake_sysreg *s = &f->sysregs[i];

		if (s->vcpu == vcpu && s->range.first <= last && first <= s->range.last)
			return s;
	}
	return NULL;
}

static int sysreg_bind(struct mt_inst *inst, uint32_t vcpu, const struct mt_sysreg_range *range, struct mt_error *err)
{
	struct fake *f = inst->fake;

	if (!(fake_class_flags(f) & MT_CLASS_PARALLEL))
		fake_die("a class that is not parallel serves system registers");
	if (vcpu >= f->vcpu_count)
		return mt_error_set(err, MT_ENOENT, NULL, "there is no vCPU %u", vcpu);
	if (find(f, vcpu, range->first, range->last))
		return mt_error_set(err, MT_EBUSY, NULL, "these registers are owned already");
	if (f->sysreg_count == FAKE_SYSREGS)
		fake_die("too many ranges of system registers");
	f->sysregs[f->sysreg_count++] = (struct fake_sysreg){ *range, vcpu };
	return 0;
}

const struct mt_sysreg_host fake_sysreg_host = { .bind = sysreg_bind };

uint32_t fake_sysreg_read(struct fake *f, uint32_t vcpu, uint64_t number, uint64_t *value)
{
	const struct fake_sysreg *s = find(f, vcpu, number, number);
	struct mt_sysreg_access a = { .number = number, .vcpu = vcpu };

	return s ? s->range.ops->read(s->range.arg, &a, value) : MT_SYSREG_ILLEGAL;
}

uint32_t fake_sysreg_write(struct fake *f, uint32_t vcpu, uint64_t number, uint64_t value)
{
	const struct fake_sysreg *s = find(f, vcpu, number, number);
	struct mt_sysreg_access a = { .number = number, .vcpu = vcpu };

	return s ? s->range.ops->write(s->range.arg, &a, value) : MT_SYSREG_ILLEGAL;
}

uint32_t fake_sysreg_modify(struct fake *f, uint32_t vcpu, uint64_t number, uint64_t keep, uint64_t bits, uint64_t *old)
{
	const struct fake_sysreg *s = find(f, vcpu, number, number);
	struct mt_sysreg_access a = { .number = number, .vcpu = vcpu };

	return s ? s->range.ops->modify(s->range.arg, &a, keep, bits, old) : MT_SYSREG_ILLEGAL;
}

void fake_sysreg_fuzz(struct fake *f, uint64_t *seed)
{
	uint64_t r = fake_random(seed), value;
	const struct fake_sysreg *s;
	uint64_t number;

	s = &f->sysregs[r % f->sysreg_count];
	number = s->range.first + fake_random(seed) % (s->range.last - s->range.first + 1);
	switch (r >> 60 & 3) {
	case 0:
		fake_sysreg_read(f, s->vcpu, number, &value);
		break;
	case 1:
		fake_sysreg_write(f, s->vcpu, number, fake_random(seed));
		break;
	default:
		fake_sysreg_modify(f, s->vcpu, number, fake_random(seed), fake_random(seed), &value);
	}
}

/* --- messages --- */

void fake_msi_target(struct fake *f, const char *prop, const struct mt_msi_window *window)
{
	uint32_t i = f->msi_target_count++;

	if (i == FAKE_MSI_TARGETS)
		fake_die("too many targets of messages");
	fake_prop(f, prop, "target");
	f->msi_targets[i].window = *window;
	snprintf(f->msi_targets[i].prop, sizeof(f->msi_targets[i].prop), "%s", prop);
}

static int msi_window(struct mt_inst *inst, const char *prop, struct mt_msi_window *out, struct mt_error *err)
{
	const struct fake *f = inst->fake;
	uint32_t size = out->size;

	for (uint32_t i = 0; i < f->msi_target_count; i++) {
		if (strcmp(f->msi_targets[i].prop, prop))
			continue;
		memcpy(out, &f->msi_targets[i].window, size < sizeof(*out) ? size : sizeof(*out));
		out->size = size;
		return 0;
	}
	return mt_error_set(err, MT_ENOENT, prop, "'%s' is missing", prop);
}

static int eoi_listen(struct mt_inst *inst, const char *prop, void (*ended)(void *arg, uint32_t vector), void *arg,
		      struct mt_error *err)
{
	struct fake *f = inst->fake;
	struct mt_msi_window window = { .size = sizeof(window) };
	int code = msi_window(inst, prop, &window, err);

	if (code < 0)
		return code;
	if (f->eoi_listener)
		fake_die("it listens already");
	f->eoi_listener = ended;
	f->eoi_arg = arg;
	return 0;
}

static void eoi(struct mt_inst *target, uint32_t vector)
{
	target->fake->eoi_last = vector;
	target->fake->eois++;
}

const struct mt_msi_host fake_msi_host = { .window = msi_window, .eoi_listen = eoi_listen, .eoi = eoi };

void fake_eoi(struct fake *f, uint32_t vector)
{
	if (f->eoi_listener)
		f->eoi_listener(f->eoi_arg, vector);
}

uint32_t fake_eois(struct fake *f, uint32_t *vector)
{
	if (vector)
		*vector = f->eoi_last;
	return f->eois;
}

uint32_t fake_message_send(struct mt_inst *inst, uint64_t addr, uint32_t data)
{
	struct fake *f = inst->fake;

	f->messages[f->message_count++ % FAKE_MESSAGES] = (struct fake_message){ addr, data };
	return MT_BUS_OK;
}

uint32_t fake_messages(struct fake *f)
{
	return f->message_count;
}

uint32_t fake_message(struct fake *f, uint32_t index, uint64_t *addr)
{
	if (index >= f->message_count || f->message_count - index > FAKE_MESSAGES)
		fake_die("no message %u", index);
	*addr = f->messages[index % FAKE_MESSAGES].addr;
	return f->messages[index % FAKE_MESSAGES].data;
}
