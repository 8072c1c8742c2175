/* SPDX-License-Identifier: MIT */
/*
 * An instance: one section of the machine file brought to life. Owns the class's `self`, the instance lock
 * and everything that the instance got from services (regions, lines, timers, ...), which go with it in the
 * reverse order of their making.
 * Calls into a plugin happen between inst_enter and inst_leave, never otherwise; no instance lock is held
 * across an upward call (debug builds check the rank: an instance may only enter one of a lower rank).
 */
#ifndef MORTISE_KERNEL_INST_H
#define MORTISE_KERNEL_INST_H

#include <glib.h>
#include <mortise/draft/device.h>
#include <stdbool.h>

#include "kernel/config/config.h"
#include "kernel/load/note.h"

struct machine;
struct loop;
struct vectors;
struct eoi_listener;

/* Of an instance, and of the machine as a whole. inst_move has the legal transitions. */
enum inst_state {
	INST_NEW, INST_CREATED, INST_REALIZED, INST_RUNNING, INST_QUIESCED, INST_UNREALIZED, INST_GONE,
	INST_STATES
};

#define INST_RANK_STEP 128u     /* between ranks there is room for instances that come to life later, below one */

struct mt_inst {
	struct machine *machine;
	const char *id;                        /* section id, or kind for a section without ("cpu", "boot") */
	const struct config_section *section;
	const struct note_class *cls;          /* from the plugin's note: name, kind, flags, properties */
	const struct mt_plugin *plugin;
	const struct mt_device_class *dev;     /* NULL for the cpu kind */
	void *self;
	enum inst_state state;
	GRecMutex lock;
	unsigned rank;                         /* of the lock: front above back end, bus above device */
	struct loop *loop;                     /* where its callbacks run */
	GArray *resources;                     /* of struct inst_resource */
	GPtrArray *refs_in;                    /* instances whose REF names this one, in file order */
	GStringChunk *strings;                 /* what props.c has handed out */
	GHashTable *data;                      /* what services remember of the instance; inst_data_* */
	struct vectors *vectors;               /* vector.c: what it asks of vCPUs; NULL: nothing */
	struct eoi_listener *eoi_listeners;    /* msi.c: who hears of ended messages to it */
	struct mt_error fault;                 /* of a service that cannot tell the plugin why; realize fails by it */
};

/* Something that a service made for an instance and that ends with it. */
struct inst_resource {
	void (*release)(void *resource);
	void *resource;
};

struct mt_inst *inst_create(struct machine *m, const struct config_section *section,
			    const struct note_class *cls, const struct mt_plugin *plugin);
void inst_destroy(struct mt_inst *inst);

/* [main] `release` runs after the class's unrealize (at the latest in inst_destroy), last made first. */
void inst_own(struct mt_inst *inst, void (*release)(void *), void *resource);
void inst_disown(struct mt_inst *inst, void *resource);
void inst_release_all(struct mt_inst *inst);

/* [main] A pointer that a service keeps with the instance, under a key of its own: the address of a static. */
void *inst_data_get(const struct mt_inst *inst, const void *key);
void inst_data_set(struct mt_inst *inst, const void *key, void *value);

/* [any] Take and drop the instance lock; nothing for a parallel class. */
void inst_enter(struct mt_inst *inst);
void inst_leave(struct mt_inst *inst);

/* [main] A role's vtable of the instance's class, or NULL. */
const void *inst_role(const struct mt_inst *inst, const char *iface_id);

/* [main] The instance that a REF property (or "id" of an IRQ element) names; NULL when absent. */
struct mt_inst *inst_ref(const struct mt_inst *inst, const char *prop);

/* [main] The only way to change a state: refuses (asserts) what the table does not have. */
void inst_move(enum inst_state *state, enum inst_state to);
bool inst_may_move(enum inst_state from, enum inst_state to);

/* [any] The calling thread's word, MT_THREAD_*: set once by whoever owns the thread (machine, vcpu, loop). */
void inst_thread_set(uint32_t word);
uint32_t inst_thread_current(void);

#endif
