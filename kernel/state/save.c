/* SPDX-License-Identifier: MIT */
/*
 * Taking a snapshot. [main]. What can be refused is refused before the pause, RAM is copied before it where
 * the accelerator can tell what changes meanwhile (early.h); the disk is waited for after the machine goes
 * on. Easy to break: between park_begin and park_end nothing may wait for a loop.
 */
#include "kernel/state/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/block/block.h"
#include "kernel/machine/clock.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/machine/space.h"
#include "kernel/machine/vcpu.h"
#include "kernel/state/dir.h"
#include "kernel/state/disk.h"
#include "kernel/state/early.h"
#include "kernel/state/file.h"
#include "kernel/state/park.h"
#include "kernel/state/part.h"
#include "kernel/state/shape.h"
#include "kernel/state/sums.h"

struct save {
	struct machine *m;
	struct state_dir *dir;
	struct manifest *man;
	struct mt_error *err;
	bool early;                    /* RAM was copied while the guest ran: what it wrote meanwhile is to be copied again */
};

/* Refusals. */

static const char *state_role(const struct mt_inst *inst)
{
	return inst->cls->kind == MT_KIND_CPU ? MT_IFACE_CPU_STATE : MT_IFACE_STATE;
}

static int inst_may_save(struct mt_inst *inst, struct mt_error *err)
{
	const struct mt_state_class *cls = inst_role(inst, state_role(inst));
	int code = 0;

	if (inst->cls->flags & MT_CLASS_NO_STATE || !cls || !cls->save || !cls->load || !cls->schema)
		return fault_set(err, MT_ENOTSUP, inst->id, "leave it out of machines that are to be saved",
				 "the machine cannot be saved: %s (%s) has no state", inst->id, inst->cls->name);
	if (!cls->may_save || inst->cls->kind == MT_KIND_CPU)
		return 0;
	err->message[0] = 0;
	inst_enter(inst);
	code = cls->may_save(inst->self, err);
	inst_leave(inst);
	if (code < 0 && !err->message[0])
		fault_set(err, code, inst->id, NULL, "the machine cannot be saved now: %s does not allow it", inst->id);
	return code;
}

static int insts_may_save(struct machine *m, struct mt_error *err)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < m->insts->len; i++)
		code = inst_may_save(block_image(g_ptr_array_index(m->insts, i)), err);
	return code;
}

/* Components. */

/* Writes what `out` collected, and its entry of the manifest. */
static int component_write(struct save *s, struct mt_state_out *out, struct manifest_component *component)
{
	GByteArray *bytes = state_out_finish(out, s->err);
	char *name;
	int code;

	if (!bytes)
		return s->err->code;
	name = manifest_component_file(component->kind, component->id);
	code = state_dir_write(s->dir, name, bytes->data, bytes->len, &component->file, s->err);
	g_free(name);
	g_byte_array_unref(bytes);
	return code;
}

static int part_save(struct save *s, const struct state_part *part)
{
	struct manifest_component *component = manifest_add(s->man, MANIFEST_KERNEL, part->name);
	struct mt_state_out *out;
	int code;

	component->schema = g_strdup_printf("mortise.%s", part->name);
	component->version = part->version;
	out = state_out_create(part->name, component->schema, component->version);
	code = part->save(s->m, out, &state_writer, s->err);
	if (code == 0)
		code = component_write(s, out, component);
	state_out_destroy(out);
	return code;
}

/* `self` of the instance or of the vCPU. */
static int class_save(struct save *s, struct mt_inst *inst, void *self, struct manifest_component *component)
{
	const struct mt_state_class *cls = inst_role(inst, state_role(inst));
	struct mt_state_out *out = state_out_create(component->id, cls->schema, cls->version);
	int code;

	component->cls = g_strdup(inst->cls->name);
	component->plugin_version = g_strdup(inst->cls->version ? inst->cls->version : "");
	component->schema = g_strdup(cls->schema);
	component->version = cls->version;
	s->err->message[0] = 0;
	inst_enter(inst);
	code = cls->save(self, out, &state_writer, s->err);
	inst_leave(inst);
	if (code < 0 && !s->err->message[0])
		fault_set(s->err, code, inst->id, NULL, "%s (%s) could not be saved", inst->id, inst->cls->name);
	if (code == 0)
		code = component_write(s, out, component);
	state_out_destroy(out);
	return code;
}

static int vcpus_save(struct save *s)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && s->m->vcpus && i < vcpus_count(s->m->vcpus); i++) {
		char id[16];

		snprintf(id, sizeof(id), "%u", i);
		code = class_save(s, s->m->cpu, vcpus_accel(s->m->vcpus, i), manifest_add(s->man, MANIFEST_VCPU, id));
	}
	return code;
}

/* A disk is saved as its image has it, which may be another instance's. */
static int image_save(struct save *s, struct mt_inst *inst)
{
	struct mt_inst *image = block_image(inst);

	return class_save(s, image, image->self, manifest_add(s->man, MANIFEST_INSTANCE, inst->id));
}

static int insts_save(struct save *s)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < s->m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(s->m->insts, i);

		if (inst->cls->kind != MT_KIND_CPU)
			code = image_save(s, inst);
	}
	return code == 0 ? vcpus_save(s) : code;
}

/* RAM, machine file, manifest. */

static int memory_save(struct save *s)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < s->m->memory->len; i++) {
		const struct machine_memory *memory = &g_array_index(s->m->memory, struct machine_memory, i);
		struct manifest_memory *entry = manifest_add_memory(s->man, memory->section->id);
		char *name = manifest_memory_file(entry->id);

		entry->gpa = memory->gpa;
		entry->len_bytes = memory->len_bytes;
		code = state_dir_write_ram(s->dir, name, memory->ram, s->err);
		g_free(name);
	}
	return code;
}

static int memory_update(struct save *s)
{
	int code = early_collect(s->m);
	uint64_t pages = 0;

	if (code < 0)
		return fault_set(s->err, code, NULL, "pause the machine first",
				 "what the guest has written while its memory was copied is not known");
	for (unsigned i = 0; code == 0 && i < s->m->memory->len; i++) {
		const struct machine_memory *memory = &g_array_index(s->m->memory, struct machine_memory, i);
		char *name = manifest_memory_file(memory->section->id);

		code = state_dir_update_ram(s->dir, name, memory->ram, MT_DIRTY_MIGRATION, &pages, s->err);
		g_free(name);
	}
	log_message(s->m, NULL, MT_LOG_DEBUG, "snapshot: %llu pages were written while memory was copied, and copied again",
		    (unsigned long long)pages);
	return code;
}

/* Text that `print` writes, as a file of the folder. */
static int text_write(struct save *s, const char *name, void (*print)(struct save *s, FILE *out),
		      struct manifest_file *file)
{
	char *text = NULL;
	size_t len_bytes = 0;
	FILE *out = open_memstream(&text, &len_bytes);
	int code;

	if (!out)
		return fault_set(s->err, MT_ENOMEM, name, NULL, "out of memory");
	print(s, out);
	code = fclose(out) ? fault_set(s->err, MT_ENOMEM, name, NULL, "out of memory") :
	       state_dir_write(s->dir, name, text, len_bytes, file, s->err);
	free(text);
	return code;
}

static void machine_print(struct save *s, FILE *out)
{
	shape_print(s->m, out);
}

static void contents_print(struct save *s, FILE *out)
{
	manifest_print(s->man, out);
}

static int all_save(struct save *s)
{
	int code = 0;

	s->man->guest_ns = clock_guest_ns(s->m->clock);
	s->man->vcpus = s->m->vcpu_count;
	for (unsigned i = 0; code == 0 && state_parts[i]; i++)
		code = part_save(s, state_parts[i]);
	if (code == 0)
		code = insts_save(s);
	if (code == 0)
		code = s->early ? memory_update(s) : memory_save(s);
	if (code == 0)
		code = text_write(s, MANIFEST_MACHINE, machine_print, &s->man->machine);
	if (code == 0)
		disks_note(s->m, s->man);
	return code;
}

/* What needs no standing still: the checksums of RAM, and the list of it all. */
static int rest_save(struct save *s)
{
	struct manifest_file contents;
	int code = 0;

	for (unsigned i = 0; code == 0 && i < s->man->memory->len; i++)
		code = sums_write(s->dir, g_ptr_array_index(s->man->memory, i), s->err);
	return code == 0 ? text_write(s, MANIFEST_FILE, contents_print, &contents) : code;
}

static int paused_save(struct save *s)
{
	struct park *park = park_begin(s->m);
	int code = block_rest_all(s->m, s->err);

	if (code == 0)
		code = all_save(s);
	park_end(park);
	return code;
}

static int standing_save(struct save *s, bool running)
{
	int code;

	machine_pause(s->m);
	code = paused_save(s);
	if (running)
		machine_start(s->m);
	return code;
}

int machine_snapshot(struct machine *m, const char *dir, struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	struct save s = { .m = m, .err = err ? err : &none };
	bool running = m->state == INST_RUNNING;
	int code = insts_may_save(m, s.err);

	g_assert(running || m->state == INST_QUIESCED || m->state == INST_REALIZED);
	if (code < 0)
		return code;
	s.dir = state_dir_create(dir, s.err);
	if (!s.dir)
		return s.err->code;
	s.man = manifest_create();
	s.early = running && early_begin(m);
	code = s.early ? memory_save(&s) : 0;
	if (code == 0)
		code = standing_save(&s, running);
	if (s.early)
		early_end(m);
	if (code == 0)
		code = rest_save(&s);
	if (code == 0)
		code = state_dir_commit(s.dir, s.err);
	manifest_destroy(s.man);
	state_dir_destroy(s.dir);
	return code;
}
