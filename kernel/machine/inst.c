/* SPDX-License-Identifier: MIT */
/*
 * Instances: state, lock, resources, roles. Created and destroyed on [main]; inst_enter and inst_leave are
 * called from every thread. Easy to break: a class with MT_CLASS_PARALLEL has no lock here, so nothing of the
 * instance but the lock may be written between enter and leave by the kernel itself.
 */
#include "kernel/machine/inst.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/machine.h"

static _Thread_local uint32_t thread_word = MT_THREAD_OTHER;

void inst_thread_set(uint32_t word)
{
	thread_word = word;
}

uint32_t inst_thread_current(void)
{
	return thread_word;
}

/* Reset is no state: it is legal in REALIZED and QUIESCED. */
static const uint8_t moves[INST_STATES] = {
	[INST_NEW] = 1 << INST_CREATED | 1 << INST_GONE,
	[INST_CREATED] = 1 << INST_REALIZED | 1 << INST_GONE,
	[INST_REALIZED] = 1 << INST_RUNNING | 1 << INST_UNREALIZED,
	[INST_RUNNING] = 1 << INST_QUIESCED,
	[INST_QUIESCED] = 1 << INST_RUNNING | 1 << INST_UNREALIZED,
	[INST_UNREALIZED] = 1 << INST_GONE,
};

bool inst_may_move(enum inst_state from, enum inst_state to)
{
	return from < INST_STATES && to < INST_STATES && (moves[from] >> to & 1);
}

void inst_move(enum inst_state *state, enum inst_state to)
{
	g_assert(inst_may_move(*state, to));
	/* loops look at it before they call the instance */
	__atomic_store_n(state, to, __ATOMIC_RELEASE);
}

/* Lock ranks. The stack of the instances whose lock this thread holds; recursion pushes again. */
#if MORTISE_DEBUG
#define RANK_DEPTH 64
static _Thread_local const struct mt_inst *held[RANK_DEPTH];
static _Thread_local unsigned held_count;

static bool rank_holds(const struct mt_inst *inst)
{
	for (unsigned i = 0; i < held_count; i++) {
		if (held[i] == inst)
			return true;
	}
	return false;
}

static void rank_push(const struct mt_inst *inst)
{
	const struct mt_inst *top = held_count ? held[held_count - 1] : NULL;

	if (top && !rank_holds(inst) && (top->machine != inst->machine || inst->rank >= top->rank)) {
		fprintf(stderr, "mortise: lock order: %s (rank %u) entered while %s (rank %u) is held\n",
			inst->id, inst->rank, top->id, top->rank);
		abort();
	}
	g_assert(held_count < RANK_DEPTH);
	held[held_count++] = inst;
}

static void rank_pop(const struct mt_inst *inst)
{
	g_assert(held_count > 0 && held[held_count - 1] == inst);
	held_count--;
}
#else
static inline void rank_push(const struct mt_inst *inst) { (void)inst; }
static inline void rank_pop(const struct mt_inst *inst) { (void)inst; }
#endif

void inst_enter(struct mt_inst *inst)
{
	if (inst->cls->flags & MT_CLASS_PARALLEL)
		return;
	/* before the lock: a wrong order is reported even when it would deadlock now */
	rank_push(inst);
	g_rec_mutex_lock(&inst->lock);
}

void inst_leave(struct mt_inst *inst)
{
	if (inst->cls->flags & MT_CLASS_PARALLEL)
		return;
	g_rec_mutex_unlock(&inst->lock);
	rank_pop(inst);
}

static const struct mt_device_class *device_class(const struct note_class *cls,
						  const struct mt_plugin *plugin)
{
	return cls->kind == MT_KIND_CPU ? NULL : plugin->get_class(cls->name, MT_IFACE_DEVICE);
}

struct mt_inst *inst_create(struct machine *m, const struct config_section *section,
			    const struct note_class *cls, const struct mt_plugin *plugin)
{
	struct mt_inst *inst = g_new0(struct mt_inst, 1);

	inst->machine = m;
	inst->id = section->id;
	inst->section = section;
	inst->cls = cls;
	inst->plugin = plugin;
	inst->dev = device_class(cls, plugin);
	inst->state = INST_NEW;
	inst->loop = m->loop;
	g_rec_mutex_init(&inst->lock);
	inst->resources = g_array_new(FALSE, FALSE, sizeof(struct inst_resource));
	inst->refs_in = g_ptr_array_new();
	inst->strings = g_string_chunk_new(256);
	inst->data = g_hash_table_new(NULL, NULL);
	return inst;
}

void inst_destroy(struct mt_inst *inst)
{
	if (!inst)
		return;
	inst_release_all(inst);
	inst_move(&inst->state, INST_GONE);
	g_array_unref(inst->resources);
	g_ptr_array_unref(inst->refs_in);
	g_string_chunk_free(inst->strings);
	g_hash_table_unref(inst->data);
	g_rec_mutex_clear(&inst->lock);
	g_free(inst);
}

void inst_own(struct mt_inst *inst, void (*release)(void *), void *resource)
{
	struct inst_resource entry = { release, resource };

	g_array_append_val(inst->resources, entry);
}

void inst_disown(struct mt_inst *inst, void *resource)
{
	for (unsigned i = inst->resources->len; i-- > 0;) {
		if (g_array_index(inst->resources, struct inst_resource, i).resource == resource) {
			g_array_remove_index(inst->resources, i);
			return;
		}
	}
}

void inst_release_all(struct mt_inst *inst)
{
	/* one by one: releasing a resource may disown others */
	while (inst->resources->len) {
		unsigned last = inst->resources->len - 1;
		struct inst_resource entry = g_array_index(inst->resources, struct inst_resource, last);

		g_array_set_size(inst->resources, last);
		entry.release(entry.resource);
	}
}

void *inst_data_get(const struct mt_inst *inst, const void *key)
{
	return g_hash_table_lookup(inst->data, key);
}

void inst_data_set(struct mt_inst *inst, const void *key, void *value)
{
	if (value)
		g_hash_table_insert(inst->data, (void *)key, value);
	else
		g_hash_table_remove(inst->data, key);
}

const void *inst_role(const struct mt_inst *inst, const char *iface_id)
{
	return inst->plugin->get_class(inst->cls->name, iface_id);
}

struct mt_inst *inst_ref(const struct mt_inst *inst, const char *prop)
{
	const struct config_key *key = section_get(inst->section, prop);
	struct mt_inst *target;
	char *id;

	if (!key)
		return NULL;
	id = g_strndup(key->value, strcspn(key->value, ":,"));
	target = machine_find(inst->machine, g_strstrip(id));
	g_free(id);
	return target;
}
