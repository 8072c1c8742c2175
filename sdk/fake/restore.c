/* SPDX-License-Identifier: MIT */
/* Instances of the fake host saved and loaded, and the test of a class's state; see state.h. */
#include <stdlib.h>
#include <string.h>

#include "../util/error.h"
#include "internal.h"
#include "state.h"

static const struct mt_state_class *state_class(struct fake *f)
{
	const struct mt_state_class *cls = fake_role(f, MT_IFACE_STATE);

	if (!cls || (fake_class_flags(f) & MT_CLASS_NO_STATE))
		fake_die("%s has no state", f->class_name);
	if (!cls->schema || !*cls->schema || !cls->version || !cls->version_min || cls->version_min > cls->version)
		fake_die("%s: schema or version is wrong", f->class_name);
	return cls;
}

static void host_save(const struct fake *f, struct fake_state *state)
{
	state->now_ns = f->now_ns;
	state->timer_count = f->timer_count;
	for (uint32_t i = 0; i < f->timer_count; i++)
		state->deadline_ns[i] = f->timers[i].deadline_ns;
	state->line_count = f->line_count;
	state->lines = calloc(f->line_count + 1, sizeof(*state->lines));
	if (!state->lines)
		fake_die("no memory");
	memcpy(state->lines, f->lines, f->line_count * sizeof(*state->lines));
}

/* Levels of lines are the host's: they are there before load. */
static void host_load(struct fake *f, const struct fake_state *state)
{
	f->now_ns = state->now_ns;
	for (uint32_t i = 0; i < f->line_count && i < state->line_count; i++)
		f->lines[i].level = state->lines[i].level;
}

static void host_compare(const struct fake *f, const struct fake_state *state)
{
	for (uint32_t i = 0; i < f->line_count && i < state->line_count; i++)
		if (f->lines[i].level != state->lines[i].level)
			fake_die("%s: a load changed the level of %s[%u]", f->class_name, f->lines[i].name,
				 f->lines[i].index);
	for (uint32_t i = 0; i < f->timer_count && i < state->timer_count; i++)
		if (f->timers[i].deadline_ns != state->deadline_ns[i])
			fake_die("%s: a load left timer %u with another deadline", f->class_name, i);
}

struct fake_state *fake_save(struct fake *f)
{
	const struct mt_state_class *cls = state_class(f);
	struct fake_state *state = fake_state_new();
	struct mt_error err;

	mt_error_init(&err);
	if (f->state != FAKE_RUNNING)
		fake_die("save: not running");
	if (f->dev->quiesce)
		f->dev->quiesce(f->self);
	fake_pump(f);
	if ((cls->may_save && cls->may_save(f->self, &err)) ||
	    cls->save(f->self, fake_state_out(state), &fake_state_writer, &err))
		fake_die("save: %s: %s", err.culprit, err.message);
	host_save(f, state);
	if (f->dev->resume)
		f->dev->resume(f->self);
	return state;
}

static int load(struct fake *f, struct fake_state *state, struct mt_error *err)
{
	const struct mt_state_class *cls = state_class(f);
	const char *left;
	int code = cls->load(f->self, fake_state_in(state), &fake_state_reader, cls->version, err);

	if (code) {
		if (!err->message[0])
			mt_error_set(err, code, NULL, "%s", fake_state_refused(state));
		return code;
	}
	left = fake_state_left(state);
	return left ? mt_error_set(err, MT_EINVAL, left, "%s is not known", left) : 0;
}

int fake_load(struct fake *f, struct fake_state *state, struct mt_error *err)
{
	struct mt_error none;
	int code;

	mt_error_init(&none);
	err = err ? err : &none;
	err->message[0] = 0;
	if (fake_create(f, err) || fake_realize(f, err))
		fake_die("load: %s: %s", err->culprit, err->message);
	host_load(f, state);
	code = load(f, state, err);
	if (code)
		return code;
	if (f->dev->resume)
		f->dev->resume(f->self);
	f->state = FAKE_RUNNING;
	return 0;
}

/* The test. */

#define FUZZ_ACCESSES 64

static void take_or_refuse(struct fake_state *state, struct fake *(*make)(void), uint64_t seed)
{
	struct fake *f = make();

	if (fake_load(f, state, NULL) == 0) {
		if (fake_region_count(f))
			fake_fuzz_region(f, seed, FUZZ_ACCESSES);
		fake_advance(f, 1000000);
		fake_pump(f);
		fake_state_free(fake_save(f));
	}
	fake_free(f);
}

/* A fresh copy of what `f` saves, for each change. */
static void try_removed(struct fake *f, struct fake *(*make)(void), uint32_t field)
{
	struct fake_state *state = fake_save(f);

	fake_state_remove(state, field);
	take_or_refuse(state, make, field);
	fake_state_free(state);
}

static void try_resized(struct fake *f, struct fake *(*make)(void), uint32_t field, uint32_t count)
{
	struct fake_state *state = fake_save(f);

	fake_state_resize(state, field, count);
	take_or_refuse(state, make, field);
	fake_state_free(state);
}

static void try_value(struct fake *f, struct fake *(*make)(void), uint32_t field, uint64_t value)
{
	struct fake_state *state = fake_save(f);

	fake_state_set(state, field, 0, value);
	take_or_refuse(state, make, field);
	fake_state_free(state);
}

static void try_field(struct fake *f, struct fake *(*make)(void), struct fake_state *state, uint32_t field)
{
	static const uint64_t values[] = { 0, 1, 2, 0x7f, 0xff, 0x8000, 0xffff, 0x7fffffff, 0xffffffff,
					   UINT64_MAX / 2, UINT64_MAX };
	uint32_t count = fake_state_count(state, field);

	try_removed(f, make, field);
	if (fake_state_type(state, field) == MT_STATE_GROUP)
		return;
	try_resized(f, make, field, 0);
	try_resized(f, make, field, count + 1);
	for (size_t i = 0; count && i < sizeof(values) / sizeof(values[0]); i++)
		try_value(f, make, field, values[i]);
}

void fake_state_check(struct fake *f, struct fake *(*make)(void))
{
	struct fake_state *first = fake_save(f), *second;
	struct fake *g = make();
	struct mt_error err;
	const char *path;

	mt_error_init(&err);
	if (fake_load(g, first, &err))
		fake_die("what %s saved is refused: %s %s", f->class_name, err.culprit, err.message);
	host_compare(g, first);
	second = fake_save(g);
	path = fake_state_differs(first, second);
	if (path)
		fake_die("%s saves %s otherwise after a load", f->class_name, path);
	fake_free(g);
	fake_state_free(second);
	for (uint32_t i = 0; i < fake_state_fields(first); i++)
		try_field(f, make, first, i);
	fake_state_free(first);
}

void fake_state_refuses(struct fake *f, struct fake *(*make)(void), const char *path, uint32_t index, uint64_t value,
			const char *why)
{
	struct fake_state *saved = fake_save(f);
	uint32_t field = fake_state_find(saved, path);
	struct fake *g = make();
	struct mt_error err;

	mt_error_init(&err);
	if (field == fake_state_fields(saved))
		fake_die("%s saves no %s", f->class_name, path);
	fake_state_set(saved, field, index, value);
	if (fake_load(g, saved, &err) >= 0)
		fake_die("%s took %s = 0x%llx", f->class_name, path, (unsigned long long)value);
	if (!strstr(fake_state_refused(saved), why))
		fake_die("%s refuses %s by '%s', which lacks '%s'", f->class_name, path, fake_state_refused(saved), why);
	fake_free(g);
	fake_state_free(saved);
}
