/* SPDX-License-Identifier: MIT */
/*
 * A machine from its file: loads the classes, orders the sections, and takes all instances through their life
 * together. [main] only. Easy to break: what comes to life first goes last, on every path out of a failure
 * too; and a plugin is called between inst_enter and inst_leave, with no other instance entered.
 */
#include "kernel/machine/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/machine/clock.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/graph.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/port.h"
#include "kernel/machine/services.h"
#include "kernel/machine/space.h"
#include "kernel/machine/vcpu.h"
#include "kernel/virtio/vdev.h"

#define TIMEBASE_HZ 10000000u
#define VCPUS_MAX 1024u

/* Classes of the sections, found before anything is ordered. */

struct found {
	const struct note_class *cls;
	const struct mt_plugin *plugin;
};

static int class_find(struct machine *m, const struct config_section *section, GHashTable *classes,
		      struct mt_error *err)
{
	const struct config_key *key = section_get(section, "plugin");
	struct machine_source *source = m->source;
	struct found *found;

	if (!key)
		return 0;
	found = g_new0(struct found, 1);
	if (source->find_for)
		found->plugin = source->find_for(source, m->config, key->value, &found->cls, err);
	else
		found->plugin = source->find(source, key->value, &found->cls, err);
	if (!found->plugin) {
		struct mt_inst place = { .section = section };

		g_free(found);
		g_strlcpy(err->culprit, "plugin", sizeof(err->culprit));
		return fault_locate(err, err->code, &place);
	}
	g_hash_table_insert(classes, (void *)section, found);
	return 0;
}

static int classes_find(struct machine *m, GHashTable *classes, struct mt_error *err)
{
	for (size_t i = 0; i < config_section_count(m->config); i++) {
		int code = class_find(m, config_section_at(m->config, i), classes, err);

		if (code < 0)
			return code;
	}
	return 0;
}

static const struct note_class *class_of(void *arg, const struct config_section *section)
{
	const struct found *found = g_hash_table_lookup(arg, section);

	return found ? found->cls : NULL;
}

/* Instances in the order of the graph. */

struct mt_inst *machine_find(const struct machine *m, const char *id)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (!strcmp(inst->id, id))
			return inst;
	}
	return NULL;
}

/* `thread = NAME`: sections of one name share a loop of that name; without, the machine's. */
static struct loop *loop_of(struct machine *m, const struct config_section *section)
{
	const char *name = section_get_text(section, "thread", "");
	struct loop *loop = *name ? g_hash_table_lookup(m->threads, name) : m->loop;

	if (!loop) {
		loop = loop_create(name);
		if (loop)
			g_hash_table_insert(m->threads, g_strdup(name), loop);
	}
	return loop ? loop : m->loop;
}

static void inst_add(struct machine *m, const struct graph_node *node, const struct found *found)
{
	struct mt_inst *inst = inst_create(m, node->section, found->cls, found->plugin);

	inst->rank = (node->rank + 1) * INST_RANK_STEP;
	inst->loop = loop_of(m, node->section);
	g_ptr_array_add(m->insts, inst);
	if (found->cls->kind == MT_KIND_CPU && !m->cpu)
		m->cpu = inst;
	if (found->cls->kind == MT_KIND_BOOT && !m->boot)
		m->boot = inst;
}

/* refs_in is in file order, so this walks the nodes, not the order. */
static void refs_wire(struct machine *m, const struct graph *g)
{
	for (unsigned i = 0; i < g->nodes->len; i++) {
		const struct graph_node *node = g_ptr_array_index(g->nodes, i);
		struct mt_inst *from = machine_find(m, node->section->id);

		for (unsigned e = 0; e < node->edges->len; e++) {
			const struct graph_edge *edge = &g_array_index(node->edges, struct graph_edge, e);

			if (edge->ref)
				g_ptr_array_add(machine_find(m, edge->to->section->id)->refs_in, from);
		}
	}
}

static int insts_make(struct machine *m, struct mt_error *err)
{
	GHashTable *classes = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	struct graph *g = NULL;
	int code = classes_find(m, classes, err);

	if (code == 0) {
		g = graph_create(m->config, class_of, classes);
		if (!graph_sort(g, err))
			code = MT_EINVAL;
	}
	for (unsigned i = 0; code == 0 && i < g->order->len; i++) {
		const struct graph_node *node = g_ptr_array_index(g->order, i);

		inst_add(m, node, g_hash_table_lookup(classes, node->section));
	}
	if (code == 0)
		refs_wire(m, g);
	graph_destroy(g);
	g_hash_table_unref(classes);
	return code;
}

/* [memory ID], [machine], [cpu]. */

static int memory_read(struct machine *m, const struct config_section *section, struct mt_error *err)
{
	struct machine_memory memory = { .section = section };
	struct mt_inst place = { .section = section };

	if (!section_get_int(section, "at", &memory.gpa, NULL)) {
		fault_set(err, MT_EINVAL, "at", NULL, "'at' is missing or no address");
		return fault_locate(err, MT_EINVAL, &place);
	}
	if (!section_get_size(section, "size", &memory.len_bytes, NULL) || memory.len_bytes == 0 ||
	    memory.len_bytes & 4095 || memory.gpa & 4095 || memory.gpa + memory.len_bytes < memory.gpa) {
		fault_set(err, MT_EINVAL, "size", NULL,
			  "'at' and 'size' must be multiples of 4K, and 'size' not 0");
		return fault_locate(err, MT_EINVAL, &place);
	}
	memory.rom = !strcmp(section_get_text(section, "type", "ram"), "rom");
	section_get_bool(section, "share", &memory.share, NULL);
	g_array_append_val(m->memory, memory);
	return 0;
}

static int cpu_read(struct machine *m, const struct config_section *section, struct mt_error *err)
{
	const struct config_section *second = config_section_next(m->config, CONFIG_CPU, section);
	struct mt_inst place = { .section = section };
	uint64_t count = 1;

	section_get_int(section, "count", &count, NULL);
	if (count == 0 || count > VCPUS_MAX) {
		fault_set(err, MT_ERANGE, "count", NULL, "'count' must be between 1 and %u", VCPUS_MAX);
		return fault_locate(err, MT_ERANGE, &place);
	}
	if (second) {
		place.section = second;
		fault_set(err, MT_ENOTSUP, NULL, NULL, "a machine has one section of this kind; more are to come");
		return fault_locate(err, MT_ENOTSUP, &place);
	}
	m->vcpu_count = (uint32_t)count;
	return 0;
}

static int config_read(struct machine *m, struct mt_error *err)
{
	const struct config_section *section = NULL;
	int code = 0;

	while (code == 0 && (section = config_section_next(m->config, CONFIG_MEMORY, section)))
		code = memory_read(m, section, err);
	section = config_section_next(m->config, CONFIG_CPU, NULL);
	return code == 0 && section ? cpu_read(m, section, err) : code;
}

static uint64_t timebase_hz(const struct config *config)
{
	const struct config_section *section = config_section_next(config, CONFIG_MACHINE, NULL);
	uint64_t hz = TIMEBASE_HZ;

	if (section)
		section_get_int(section, "timebase", &hz, NULL);
	return hz ? hz : TIMEBASE_HZ;
}

/* Calls into the classes. */

static int call_create(struct mt_inst *inst, struct mt_error *err)
{
	const struct mt_host *host = host_get();
	int code;

	inst_enter(inst);
	if (inst->cls->kind == MT_KIND_CPU) {
		const struct mt_cpu_class *cpu = inst_role(inst, MT_IFACE_CPU);

		code = MT_ENOTSUP;
		if (cpu)
			code = cpu->create(host, inst, inst->machine->vcpu_count, &inst->self, err);
	} else {
		code = inst->dev ? inst->dev->create(host, inst, &inst->self, err) : MT_ENOTSUP;
	}
	inst_leave(inst);
	return code;
}

static int inst_bring(struct mt_inst *inst, struct mt_error *err)
{
	int code;

	err->message[0] = err->culprit[0] = err->hint[0] = 0;
	code = call_create(inst, err);
	if (code >= 0) {
		inst_move(&inst->state, INST_CREATED);
		return 0;
	}
	if (code == MT_ENOTSUP && !err->message[0])
		fault_set(err, code, "plugin", NULL, "%s has no interface of its kind (%s)", inst->cls->name,
			  inst->cls->kind == MT_KIND_CPU ? MT_IFACE_CPU : MT_IFACE_DEVICE);
	return fault_locate(err, code, inst);
}

static int call_realize(struct mt_inst *inst, struct mt_error *err)
{
	int code = 0;

	inst_enter(inst);
	if (inst->cls->kind == MT_KIND_CPU) {
		const struct mt_cpu_class *cpu = inst_role(inst, MT_IFACE_CPU);

		code = cpu->probe ? cpu->probe(host_get(), err) : 0;
		if (code >= 0)
			code = cpu->realize(inst->self, err);
	} else if (inst->dev->realize) {
		code = inst->dev->realize(inst->self, err);
	}
	inst_leave(inst);
	return code;
}

static void call_unrealize(struct mt_inst *inst)
{
	inst_enter(inst);
	if (inst->cls->kind == MT_KIND_CPU)
		((const struct mt_cpu_class *)inst_role(inst, MT_IFACE_CPU))->unrealize(inst->self);
	else if (inst->dev->unrealize)
		inst->dev->unrealize(inst->self);
	inst_leave(inst);
}

static void call_destroy(struct mt_inst *inst)
{
	inst_enter(inst);
	if (inst->cls->kind == MT_KIND_CPU)
		((const struct mt_cpu_class *)inst_role(inst, MT_IFACE_CPU))->destroy(inst->self);
	else if (inst->dev->destroy)
		inst->dev->destroy(inst->self);
	inst_leave(inst);
}

static int call_reset(struct mt_inst *inst, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	int code;

	if (!inst->dev || !inst->dev->reset)
		return 0;
	err->message[0] = err->culprit[0] = err->hint[0] = 0;
	inst_enter(inst);
	code = inst->dev->reset(inst->self, kind, phase, err);
	inst_leave(inst);
	return code < 0 ? fault_locate(err, code, inst) : 0;
}

/* The machine's life. */

/* Until everything posted so far has run, on all loops. */
static void loops_sync(struct machine *m)
{
	GHashTableIter iter;
	void *loop;

	loop_sync(m->loop);
	g_hash_table_iter_init(&iter, m->threads);
	while (g_hash_table_iter_next(&iter, NULL, &loop))
		loop_sync(loop);
}

static void machine_init(struct machine *m)
{
	m->insts = g_ptr_array_new();
	m->memory = g_array_new(FALSE, FALSE, sizeof(struct machine_memory));
	m->state = INST_NEW;
	m->signal_fd = m->watcher.fd = -1;
	m->log.level = MT_LOG_INFO;
	pthread_mutex_init(&m->log.lock, NULL);
	pthread_mutex_init(&m->ask.lock, NULL);
	m->ask.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->loop = loop_create("loop");
	m->threads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify)loop_destroy);
	m->clock = clock_create(m, timebase_hz(m->config));
	m->system = space_create(m, "system");
	m->ports = space_create(m, "io");
}

struct machine *machine_create_from(struct config *config, struct machine_source *source,
				    struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	struct machine *m = g_new0(struct machine, 1);
	int code;

	err = err ? err : &none;
	inst_thread_set(MT_THREAD_MAIN);
	m->config = config;
	m->source = source;
	machine_init(m);
	code = config_read(m, err);
	if (code == 0)
		code = insts_make(m, err);
	for (unsigned i = 0; code == 0 && i < m->insts->len; i++)
		code = inst_bring(g_ptr_array_index(m->insts, i), err);
	if (code < 0) {
		machine_destroy(m);
		return NULL;
	}
	inst_move(&m->state, INST_CREATED);
	return m;
}

static struct mt_ram *memory_make(struct machine *m, const struct machine_memory *memory, struct mt_error *err)
{
	const char *id = memory->section->id;
	struct mt_ram *ram;
	int fd = -1;

	if (m->ram_source.open) {
		fd = m->ram_source.open(m->ram_source.arg, id, memory->len_bytes, err);
		if (fd < 0)
			return NULL;
	}
	ram = ram_create_from(m->system, id, memory->len_bytes, memory->share, fd, err);
	if (fd >= 0)
		close(fd);
	return ram;
}

static int memory_realize(struct machine *m, struct mt_error *err)
{
	for (unsigned i = 0; i < m->memory->len; i++) {
		struct machine_memory *memory = &g_array_index(m->memory, struct machine_memory, i);
		struct mt_inst place = { .section = memory->section };
		int code;

		memory->ram = memory_make(m, memory, err);
		if (memory->ram && memory->rom)
			memory->ram->flags |= MT_RAM_READONLY;
		code = memory->ram ? space_add_ram(m->system, memory->ram, memory->gpa, err) : MT_ENOMEM;
		if (code < 0)
			return fault_locate(err, err->code < 0 ? err->code : code, &place);
	}
	return 0;
}

/* The lock keeps out a request from a thread that is still about. */
static void vcpus_set(struct machine *m, struct vcpus *vcpus)
{
	pthread_mutex_lock(&m->ask.lock);
	m->vcpus = vcpus;
	pthread_mutex_unlock(&m->ask.lock);
}

static void inst_unrealize(struct mt_inst *inst)
{
	struct machine *m = inst->machine;
	struct vcpus *vcpus = m->vcpus;

	if (inst == m->cpu) {
		vcpus_set(m, NULL);
		vcpus_destroy(vcpus);
	}
	call_unrealize(inst);
	inst_release_all(inst);
	inst_move(&inst->state, INST_UNREALIZED);
}

static void insts_unrealize(struct machine *m)
{
	for (unsigned i = m->insts->len; i-- > 0;) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (inst->state == INST_REALIZED || inst->state == INST_QUIESCED)
			inst_unrealize(inst);
	}
	loops_sync(m);
}

static int inst_realize(struct mt_inst *inst, struct mt_error *err)
{
	struct machine *m = inst->machine;
	int code;

	err->message[0] = err->culprit[0] = err->hint[0] = 0;
	inst->fault.code = 0;
	code = call_realize(inst, err);
	if (code >= 0 && inst->fault.code) {
		call_unrealize(inst);
		code = inst->fault.code;
		memcpy(err->culprit, inst->fault.culprit, sizeof(err->culprit));
		memcpy(err->message, inst->fault.message, sizeof(err->message));
	}
	if (code < 0) {
		/* what services gave before it failed */
		inst_release_all(inst);
		return fault_locate(err, code, inst);
	}
	inst_move(&inst->state, INST_REALIZED);
	if (inst != m->cpu)
		return 0;
	/* before the devices: they ask for pins */
	vcpus_set(m, vcpus_create(m, m->vcpu_count, err));
	return m->vcpus ? 0 : fault_locate(err, err->code, inst);
}

int machine_realize(struct machine *m, struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	int code;

	err = err ? err : &none;
	g_assert(inst_may_move(m->state, INST_REALIZED));
	/* one view for all regions */
	space_begin(m->system);
	space_begin(m->ports);
	code = memory_realize(m, err);
	for (unsigned i = 0; code == 0 && i < m->insts->len; i++)
		code = inst_realize(g_ptr_array_index(m->insts, i), err);
	space_commit(m->ports);
	space_commit(m->system);
	if (code < 0)
		insts_unrealize(m);
	else
		inst_move(&m->state, INST_REALIZED);
	return code;
}

static int reset_phase(struct machine *m, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		int code = call_reset(g_ptr_array_index(m->insts, i), kind, phase, err);

		if (code < 0)
			return code;
	}
	return 0;
}

int machine_reset(struct machine *m, uint32_t kind, struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	int code;

	err = err ? err : &none;
	g_assert(m->state == INST_REALIZED || m->state == INST_QUIESCED);
	code = reset_phase(m, kind, MT_RESET_ENTER, err);
	/* between: pins that devices drive in HOLD, and registers that the loader sets in EXIT, stay */
	if (code == 0 && m->vcpus)
		vcpus_reset(m->vcpus, kind);
	if (code == 0)
		code = reset_phase(m, kind, MT_RESET_HOLD, err);
	if (code == 0)
		code = reset_phase(m, kind, MT_RESET_EXIT, err);
	return code;
}

void machine_start(struct machine *m)
{
	inst_move(&m->state, INST_RUNNING);
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (inst->dev && inst->dev->resume) {
			inst_enter(inst);
			inst->dev->resume(inst->self);
			inst_leave(inst);
		}
		vdev_release(inst);
		inst_move(&inst->state, INST_RUNNING);
		char_started(inst);
		net_started(inst);
	}
	clock_resume(m->clock);
	if (m->vcpus)
		vcpus_resume(m->vcpus);
}

void machine_pause(struct machine *m)
{
	if (m->state != INST_RUNNING)
		return;
	if (m->vcpus)
		vcpus_pause(m->vcpus);
	clock_pause(m->clock);
	/* fronts first: they stop to ask before back ends stop to answer */
	for (unsigned i = m->insts->len; i-- > 0;) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		vdev_hold(inst);
		if (inst->dev && inst->dev->quiesce) {
			inst_enter(inst);
			inst->dev->quiesce(inst->self);
			inst_leave(inst);
		}
		inst_move(&inst->state, INST_QUIESCED);
	}
	loops_sync(m);
	inst_move(&m->state, INST_QUIESCED);
}

static void insts_destroy(struct machine *m)
{
	for (unsigned i = m->insts->len; i-- > 0;) {
		struct mt_inst *inst = g_ptr_array_index(m->insts, i);

		if (inst->state != INST_NEW)
			call_destroy(inst);
	}
	/* apart: destroy of a front may look at its back end's instance */
	for (unsigned i = m->insts->len; i-- > 0;)
		inst_destroy(g_ptr_array_index(m->insts, i));
	g_ptr_array_unref(m->insts);
}

void machine_destroy(struct machine *m)
{
	if (!m)
		return;
	machine_pause(m);
	if (m->watcher.destroy)
		m->watcher.destroy(m->watcher.arg);
	if (m->state == INST_REALIZED || m->state == INST_QUIESCED) {
		insts_unrealize(m);
		inst_move(&m->state, INST_UNREALIZED);
	}
	insts_destroy(m);
	fdt_destroy(m->fdt);
	clock_destroy(m->clock);
	g_hash_table_destroy(m->threads);
	loop_destroy(m->loop);
	space_destroy(m->ports);
	space_destroy(m->system);
	g_array_unref(m->memory);
	if (m->ask.event_fd >= 0)
		close(m->ask.event_fd);
	pthread_mutex_destroy(&m->ask.lock);
	pthread_mutex_destroy(&m->log.lock);
	if (m->source && m->source->destroy)
		m->source->destroy(m->source);
	inst_move(&m->state, INST_GONE);
	g_free(m);
}
