/* SPDX-License-Identifier: MIT */
/*
 * Going on from a snapshot. [main]. The machine is made from the machine file of the snapshot, held against the
 * manifest, and realized with RAM that is mapped from the snapshot's files; then the kernel's parts, the instances in
 * the order of realize, and the vCPUs are loaded. Everything read is untrusted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/vcpu.h"
#include "kernel/state/dir.h"
#include "kernel/state/disk.h"
#include "kernel/state/file.h"
#include "kernel/state/park.h"
#include "kernel/state/part.h"
#include "kernel/state/shape.h"
#include "kernel/state/state.h"
#include "kernel/state/sums.h"
#include "kernel/virtio/vdev.h"

struct snapshot {
	int dir_fd;
	char *path, *machine_file;
	struct manifest *man;
};

/* Opening. */

static int machine_file_check(struct snapshot *snap, struct mt_error *err)
{
	GByteArray *bytes = state_dir_read_checked(snap->dir_fd, MANIFEST_MACHINE, &snap->man->machine, err);

	if (!bytes)
		return err->code;
	g_byte_array_unref(bytes);
	return 0;
}

struct snapshot *snapshot_open(const char *path, struct mt_error *err)
{
	struct snapshot *snap = g_new0(struct snapshot, 1);
	GByteArray *text = NULL;

	snap->path = g_strdup(path);
	snap->machine_file = g_build_filename(path, MANIFEST_MACHINE, NULL);
	snap->dir_fd = state_dir_open(path, err);
	if (snap->dir_fd >= 0)
		text = state_dir_read(snap->dir_fd, MANIFEST_FILE, MANIFEST_BYTES_MAX, err);
	if (text) {
		snap->man = manifest_parse((const char *)text->data, text->len, err);
		g_byte_array_unref(text);
	}
	if (snap->man && machine_file_check(snap, err) == 0)
		return snap;
	snapshot_close(snap);
	return NULL;
}

void snapshot_close(struct snapshot *snap)
{
	if (!snap)
		return;
	if (snap->dir_fd >= 0)
		close(snap->dir_fd);
	manifest_destroy(snap->man);
	g_free(snap->machine_file);
	g_free(snap->path);
	g_free(snap);
}

const char *snapshot_machine_file(const struct snapshot *snap)
{
	return snap->machine_file;
}

/* The machine against the manifest. */

static int mismatch(struct mt_error *err, const char *culprit, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int mismatch(struct mt_error *err, const char *culprit, const char *format, ...)
{
	char text[sizeof(err->message)];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return fault_set(err, MT_EINVAL, culprit, "a restored machine has the shape that it was saved with",
			 "the machine does not fit the snapshot: %s", text);
}

static int memory_check(const struct snapshot *snap, const struct machine *m, struct mt_error *err)
{
	if (snap->man->memory->len != m->memory->len)
		return mismatch(err, "memory", "it has %u memories, not %u", m->memory->len, snap->man->memory->len);
	for (unsigned i = 0; i < m->memory->len; i++) {
		const struct machine_memory *memory = &g_array_index(m->memory, struct machine_memory, i);
		const struct manifest_memory *saved = g_ptr_array_index(snap->man->memory, i);
		const char *id = memory->section->id;

		if (strcmp(id, saved->id) || memory->gpa != saved->gpa || memory->len_bytes != saved->len_bytes)
			return mismatch(err, id, "memory %s has another id, place or size", id);
	}
	return 0;
}

static const char *state_role(const struct mt_inst *inst)
{
	return inst->cls->kind == MT_KIND_CPU ? MT_IFACE_CPU_STATE : MT_IFACE_STATE;
}

/* The schema counts, not the plugin or its version. */
static int class_check(const struct mt_inst *inst, const struct manifest_component *saved, struct mt_error *err)
{
	const struct mt_state_class *cls = inst_role(inst, state_role(inst));

	if (inst->cls->flags & MT_CLASS_NO_STATE || !cls || !cls->load || !cls->schema)
		return fault_set(err, MT_ENOTSUP, inst->id, NULL, "%s (%s) has no state", inst->id, inst->cls->name);
	if (!saved)
		return mismatch(err, inst->id, "%s is not in it", inst->id);
	if (strcmp(cls->schema, saved->schema))
		return mismatch(err, inst->id, "%s (%s) has state %s, and was saved with %s", inst->id,
				inst->cls->name, cls->schema, saved->schema);
	if (saved->version < cls->version_min || saved->version > cls->version)
		return mismatch(err, inst->id, "%s (%s) takes versions %u to %u of %s, not %u", inst->id,
				inst->cls->name, cls->version_min, cls->version, cls->schema, saved->version);
	return 0;
}

static int insts_check(const struct snapshot *snap, const struct machine *m, struct mt_error *err)
{
	unsigned wanted = m->vcpu_count;
	int code = 0;

	for (unsigned i = 0; state_parts[i]; i++)
		wanted++;
	for (unsigned i = 0; code == 0 && i < m->insts->len; i++) {
		const struct mt_inst *inst = g_ptr_array_index(m->insts, i);
		bool cpu = inst->cls->kind == MT_KIND_CPU;

		code = class_check(inst, manifest_find(snap->man, cpu ? MANIFEST_VCPU : MANIFEST_INSTANCE,
						       cpu ? "0" : inst->id), err);
		wanted += !cpu;
	}
	if (code == 0 && snap->man->components->len != wanted)
		code = mismatch(err, MANIFEST_FILE, "it lacks sections or parts that the snapshot has");
	return code;
}

/* The saved file alone, to see what -s has changed. */
static int config_check(const struct snapshot *snap, const struct machine *m, struct mt_error *err)
{
	struct config_options options = { 0 };
	struct diag *d = diag_create();
	struct config *saved = config_load(snap->machine_file, &options, d);
	int code = saved ? shape_check(m, saved, err) :
		   fault_set(err, MT_EINVAL, MANIFEST_MACHINE, NULL, "the snapshot's machine file cannot be read");

	config_destroy(saved);
	diag_destroy(d);
	return code;
}

static int ram_open(void *arg, const char *id, uint64_t len_bytes, struct mt_error *err)
{
	const struct snapshot *snap = arg;
	char *name = manifest_memory_file(id);
	int fd = state_dir_open_ram(snap->dir_fd, name, len_bytes, err);

	g_free(name);
	return fd;
}

int snapshot_bind(struct snapshot *snap, struct machine *m, struct mt_error *err)
{
	int code;

	if (snap->man->vcpus != m->vcpu_count)
		return mismatch(err, "count", "it has %u vCPUs, not %u", m->vcpu_count, snap->man->vcpus);
	code = config_check(snap, m, err);
	if (code == 0)
		code = memory_check(snap, m, err);
	if (code == 0)
		code = insts_check(snap, m, err);
	if (code == 0)
		code = disks_check(m, snap->man, err);
	m->ram_source.open = ram_open;
	m->ram_source.arg = snap;
	return code;
}

/* Looking at all of it. */

static int component_check(const struct snapshot *snap, const struct manifest_component *component,
			   struct mt_error *err)
{
	char *name = manifest_component_file(component->kind, component->id);
	GByteArray *bytes = state_dir_read_checked(snap->dir_fd, name, &component->file, err);
	struct mt_state_in *in = bytes ? state_in_open(component->id, bytes->data, bytes->len, err) : NULL;
	int code = in ? 0 : err->code;

	if (in)
		state_in_close(in);
	if (bytes)
		g_byte_array_unref(bytes);
	g_free(name);
	return code;
}

int snapshot_verify(const struct snapshot *snap, struct mt_error *err)
{
	int code = 0;
	bool other;

	for (unsigned i = 0; code == 0 && i < snap->man->components->len; i++)
		code = component_check(snap, g_ptr_array_index(snap->man->components, i), err);
	for (unsigned i = 0; code == 0 && i < snap->man->memory->len; i++)
		code = sums_check(snap->dir_fd, g_ptr_array_index(snap->man->memory, i), err);
	for (unsigned i = 0; code == 0 && i < snap->man->disks->len; i++) {
		const struct manifest_disk *disk = g_ptr_array_index(snap->man->disks, i);

		code = disk_unchanged(disk, disk->path, &other, err);
	}
	return code;
}

/* Loading. */

struct load {
	struct snapshot *snap;
	struct machine *m;
	struct mt_error *err;
	GByteArray *bytes;             /* of the component that is open */
	struct mt_state_in *in;
};

static int component_open(struct load *l, const struct manifest_component *component)
{
	char *name = manifest_component_file(component->kind, component->id);

	l->bytes = state_dir_read_checked(l->snap->dir_fd, name, &component->file, l->err);
	g_free(name);
	if (!l->bytes)
		return l->err->code;
	l->in = state_in_open(component->id, l->bytes->data, l->bytes->len, l->err);
	if (l->in && !strcmp(state_in_schema(l->in), component->schema) &&
	    state_in_version(l->in) == component->version)
		return 0;
	if (l->in)
		fault_set(l->err, MT_EINVAL, component->id, "the snapshot is damaged",
			  "the state of %s is of %s/%u, where " MANIFEST_FILE " says %s/%u", component->id,
			  state_in_schema(l->in), state_in_version(l->in), component->schema, component->version);
	return l->err->code;
}

static int component_close(struct load *l, int code)
{
	if (l->in) {
		code = state_in_verdict(l->in, code, l->err);
		state_in_close(l->in);
	}
	if (l->bytes)
		g_byte_array_unref(l->bytes);
	l->in = NULL;
	l->bytes = NULL;
	return code;
}

static int part_load(struct load *l, const struct state_part *part)
{
	const struct manifest_component *component = manifest_find(l->snap->man, MANIFEST_KERNEL, part->name);
	int code;

	if (!component || component->version != part->version)
		return mismatch(l->err, part->name, "the kernel's part '%s' is missing or of another version",
				part->name);
	code = component_open(l, component);
	if (code == 0) {
		l->err->message[0] = 0;
		code = part->load(l->m, l->in, &state_reader, l->err);
	}
	return component_close(l, code);
}

static int class_load(struct load *l, struct mt_inst *inst, void *self, enum manifest_kind kind, const char *id)
{
	const struct mt_state_class *cls = inst_role(inst, state_role(inst));
	const struct manifest_component *component = manifest_find(l->snap->man, kind, id);
	int code = class_check(inst, component, l->err);

	if (code < 0)
		return code;
	code = component_open(l, component);
	if (code == 0) {
		l->err->message[0] = 0;
		inst_enter(inst);
		code = cls->load(self, l->in, &state_reader, component->version, l->err);
		inst_leave(inst);
	}
	return component_close(l, code);
}

static int insts_load(struct load *l)
{
	int code = 0;

	for (unsigned i = 0; code == 0 && i < l->m->insts->len; i++) {
		struct mt_inst *inst = g_ptr_array_index(l->m->insts, i);

		if (inst->cls->kind == MT_KIND_CPU)
			continue;
		code = class_load(l, inst, inst->self, MANIFEST_INSTANCE, inst->id);
		if (code == 0)
			vdev_loaded(inst);
	}
	return code;
}

static int vcpus_load(struct load *l)
{
	int code = 0;

	for (uint32_t i = 0; code == 0 && l->m->vcpus && i < vcpus_count(l->m->vcpus); i++) {
		char id[16];

		snprintf(id, sizeof(id), "%u", i);
		code = class_load(l, l->m->cpu, vcpus_accel(l->m->vcpus, i), MANIFEST_VCPU, id);
	}
	return code;
}

int snapshot_load(struct snapshot *snap, struct machine *m, struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	struct load l = { .snap = snap, .m = m, .err = err ? err : &none };
	struct park *park = park_begin(m);
	int code = 0;

	for (unsigned i = 0; code == 0 && state_parts[i]; i++)
		code = part_load(&l, state_parts[i]);
	if (code == 0)
		code = insts_load(&l);
	if (code == 0)
		code = vcpus_load(&l);
	park_end(park);
	return code;
}
