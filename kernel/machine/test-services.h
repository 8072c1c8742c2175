/* SPDX-License-Identifier: MIT */
/*
 * A bench for the tests of the services: a machine with a loop, a clock and a space but without plugins, and
 * instances that are made by hand. Roles come from one table, by class name. [main] is the test.
 */
#ifndef KERNEL_MACHINE_TEST_SERVICES_H
#define KERNEL_MACHINE_TEST_SERVICES_H

#include <check.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kernel/machine/clock.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/space.h"

#define BENCH_HZ 10000000u

struct bench_role {
	const char *class_name, *iface;
	const void *vtable;
};

/* The test's: ends with a NULL class name. */
extern const struct bench_role bench_roles[];

static const void *bench_get_class(const char *class_name, const char *id)
{
	for (const struct bench_role *r = bench_roles; r->class_name; r++) {
		if (!strcmp(r->class_name, class_name) && !strcmp(r->iface, id))
			return r->vtable;
	}
	return NULL;
}

static const struct mt_plugin bench_plugin = { sizeof(bench_plugin), MT_ABI_MAJOR, bench_get_class };

static inline struct machine *bench_create(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	inst_thread_set(MT_THREAD_MAIN);
	m->insts = g_ptr_array_new();
	m->loop = loop_create("test");
	m->clock = clock_create(m, BENCH_HZ);
	m->system = space_create(m, "system");
	m->ports = space_create(m, "io");
	m->log.level = 0;
	pthread_mutex_init(&m->log.lock, NULL);
	return m;
}

/* Keys and values follow, and NULL. */
static inline struct mt_inst *bench_inst(struct machine *m, const char *id, const char *class_name,
					 uint32_t flags, void *self, ...)
{
	struct config_section *section = calloc(1, sizeof(*section));
	struct note_class *cls = calloc(1, sizeof(*cls));
	struct mt_inst *inst;
	const char *name;
	va_list ap;

	section->kind = CONFIG_DEVICE;
	section->id = section->label = id;
	section->keys = g_ptr_array_new_with_free_func(free);
	va_start(ap, self);
	while ((name = va_arg(ap, const char *))) {
		struct config_key *key = calloc(1, sizeof(*key));

		key->name = name;
		key->value = va_arg(ap, const char *);
		g_ptr_array_add(section->keys, key);
	}
	va_end(ap);
	cls->name = class_name;
	cls->kind = MT_KIND_DEVICE;
	cls->flags = flags;
	inst = inst_create(m, section, cls, &bench_plugin);
	inst->self = self;
	inst_move(&inst->state, INST_CREATED);
	inst_move(&inst->state, INST_REALIZED);
	for (unsigned i = 0; i < m->insts->len; i++)
		((struct mt_inst *)g_ptr_array_index(m->insts, i))->rank++;
	g_ptr_array_add(m->insts, inst);
	return inst;
}

static inline void bench_inst_destroy(struct mt_inst *inst)
{
	struct config_section *section = (struct config_section *)inst->section;
	struct note_class *cls = (struct note_class *)inst->cls;

	g_ptr_array_remove(inst->machine->insts, inst);
	inst_release_all(inst);
	inst_move(&inst->state, INST_UNREALIZED);
	inst_destroy(inst);
	g_ptr_array_unref(section->keys);
	free(section);
	free(cls);
}

static inline void bench_destroy(struct machine *m)
{
	while (m->insts->len)
		bench_inst_destroy(g_ptr_array_index(m->insts, m->insts->len - 1));
	g_ptr_array_unref(m->insts);
	clock_destroy(m->clock);
	loop_destroy(m->loop);
	space_destroy(m->ports);
	space_destroy(m->system);
	pthread_mutex_destroy(&m->log.lock);
	free(m);
}

static inline void bench_sleep_ns(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

	nanosleep(&t, NULL);
}

/* Waits up to ten seconds for an atomic counter to reach a value. */
static inline bool bench_wait(const uint32_t *word, uint32_t value)
{
	for (int i = 0; i < 100000; i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) >= value)
			return true;
		bench_sleep_ns(100000);
	}
	return false;
}

static inline int bench_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif
