/* SPDX-License-Identifier: MIT */
/*
 * The state of a machine in memory: what kernel/state does with files, and damage to it with right sums, so that it
 * reaches the classes. [main].
 */
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/vcpu.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"
#include "kernel/state/park.h"
#include "kernel/state/part.h"
#include "kernel/virtio/vdev.h"

/* One component: a part of the kernel, an instance, or a vCPU of the accelerator. */
struct component {
	const char *who;               /* of the machine file, which outlives all images, or the kernel's */
	GByteArray *bytes;
};

struct image {
	GArray *parts;                 /* struct component: in the order of loading */
	GPtrArray *rams;               /* GByteArray */
};

static void component_clear(void *arg)
{
	struct component *c = arg;

	if (c->bytes)
		g_byte_array_unref(c->bytes);
}

static void bytes_free(void *bytes)
{
	g_byte_array_unref(bytes);
}

static struct image *image_new(void)
{
	struct image *image = g_new0(struct image, 1);

	image->parts = g_array_new(FALSE, FALSE, sizeof(struct component));
	g_array_set_clear_func(image->parts, component_clear);
	image->rams = g_ptr_array_new_with_free_func(bytes_free);
	return image;
}

void image_free(struct image *image)
{
	if (!image)
		return;
	g_array_unref(image->parts);
	g_ptr_array_unref(image->rams);
	g_free(image);
}

static void fail(const char *who, const char *what, const struct mt_error *err)
{
	fprintf(stderr, "fuzz: %s: %s: %s\n", who, what, err->message);
	abort();
}

/* `extra`: a field that nobody knows is there too. */
static GByteArray *finish(struct mt_state_out *out, const char *who, int code, bool extra, struct mt_error *err)
{
	const uint32_t value = 1;
	GByteArray *bytes;

	if (extra)
		state_writer.put(out, "unheard-of", MT_STATE_U32, 0, &value, 1);
	bytes = code == 0 ? state_out_finish(out, err) : NULL;
	if (!bytes)
		fail(who, "save", err);
	state_out_destroy(out);
	return bytes;
}

static GByteArray *part_save(struct machine *m, const struct state_part *part, bool extra)
{
	struct mt_error err = { .size = sizeof(err) };
	char *schema = g_strdup_printf("mortise.%s", part->name);
	struct mt_state_out *out = state_out_create(part->name, schema, part->version);
	int code = part->save(m, out, &state_writer, &err);

	g_free(schema);
	return finish(out, part->name, code, extra, &err);
}

/* `self` of an instance or of a vCPU. */
static GByteArray *class_save(struct mt_inst *inst, void *self, const struct mt_state_class *cls, bool extra)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_state_out *out = state_out_create(inst->id, cls->schema, cls->version);
	int code;

	inst_enter(inst);
	code = cls->save(self, out, &state_writer, &err);
	inst_leave(inst);
	return finish(out, inst->id, code, extra, &err);
}

/*
 * The components of a machine in the order of loading: of each, what has the state and where. False: no more.
 */
struct walk {
	unsigned part, inst, vcpu;
	struct mt_inst *at;
	const struct state_part *kernel;
	const struct mt_state_class *cls;
	void *self;
};

static bool walk_vcpus(struct walk *w, struct machine *m)
{
	w->at = m->cpu;
	w->cls = m->cpu ? inst_role(m->cpu, MT_IFACE_CPU_STATE) : NULL;
	if (!w->cls || w->vcpu >= vcpus_count(m->vcpus))
		return false;
	w->self = vcpus_accel(m->vcpus, w->vcpu++);
	return true;
}

static bool walk_next(struct walk *w, struct machine *m)
{
	w->kernel = state_parts[w->part];
	if (w->kernel)
		return w->part++, true;
	while (w->inst < m->insts->len) {
		w->at = g_ptr_array_index(m->insts, w->inst++);
		w->cls = w->at->cls->kind == MT_KIND_CPU ? NULL : inst_role(w->at, MT_IFACE_STATE);
		w->self = w->at->self;
		if (w->cls)
			return true;
	}
	return walk_vcpus(w, m);
}

static struct image *save_paused(struct machine *m, unsigned extra)
{
	struct image *image = image_new();
	struct park *park = park_begin(m);
	struct walk w = { 0 };

	while (walk_next(&w, m)) {
		struct component c = { .who = w.kernel ? w.kernel->name : w.at->section->id };

		c.bytes = w.kernel ? part_save(m, w.kernel, image->parts->len == extra) :
			  class_save(w.at, w.self, w.cls, image->parts->len == extra);
		g_array_append_val(image->parts, c);
	}
	park_end(park);
	for (unsigned i = 0; i < m->memory->len; i++) {
		struct mt_ram *ram = g_array_index(m->memory, struct machine_memory, i).ram;

		g_ptr_array_add(image->rams, g_byte_array_append(g_byte_array_new(), ram->hva, (guint)ram->len_bytes));
	}
	return image;
}

struct image *image_save(struct machine *m, unsigned extra)
{
	struct image *image;

	machine_pause(m);
	image = save_paused(m, extra);
	machine_start(m);
	return image;
}

struct image *image_copy(const struct image *image)
{
	struct image *copy = image_new();

	for (unsigned i = 0; i < image->parts->len; i++) {
		struct component c = g_array_index(image->parts, struct component, i);

		c.bytes = g_byte_array_append(g_byte_array_new(), c.bytes->data, c.bytes->len);
		g_array_append_val(copy->parts, c);
	}
	for (unsigned i = 0; i < image->rams->len; i++) {
		const GByteArray *bytes = g_ptr_array_index(image->rams, i);

		g_ptr_array_add(copy->rams, g_byte_array_append(g_byte_array_new(), bytes->data, bytes->len));
	}
	return copy;
}

/* Damage. */

/* The record of a file that holds byte `at`, its sum put right. */
static void resum(GByteArray *bytes, size_t at)
{
	uint32_t len, crc;

	for (size_t i = STATE_HEADER_BYTES; i + STATE_RECORD_BYTES <= bytes->len; i += len) {
		memcpy(&len, bytes->data + i, 4);
		if (len < STATE_RECORD_BYTES + 4 || len > bytes->len - i)
			return;
		if (at >= i + len)
			continue;
		crc = crc32c(0, bytes->data + i, len - 4);
		memcpy(bytes->data + i + len - 4, &crc, 4);
		return;
	}
}

void image_damage(struct image *image, uint32_t how, uint32_t where, uint32_t value)
{
	GByteArray *bytes = g_array_index(image->parts, struct component, (where >> 16) % image->parts->len).bytes;
	size_t at;

	if (bytes->len <= STATE_HEADER_BYTES)
		return;
	at = STATE_HEADER_BYTES + (where & 0xffff) % (bytes->len - STATE_HEADER_BYTES);
	switch (how % 4) {
	case 0:
		bytes->data[at] = (uint8_t)value;
		break;
	case 1:
		bytes->data[at] ^= (uint8_t)(1u << (value & 7));
		break;
	case 2:
		for (size_t i = 0; i < 4 && at + i < bytes->len; i++)
			bytes->data[at + i] = (uint8_t)(value >> 8 * i);
		break;
	default:
		g_byte_array_set_size(bytes, (guint)at);
		return;
	}
	resum(bytes, at);
}

unsigned image_count(const struct image *image)
{
	return image->parts->len;
}

const char *image_component(const struct image *image, unsigned index, const uint8_t **bytes, size_t *len_bytes)
{
	const struct component *c = &g_array_index(image->parts, struct component, index);

	*bytes = c->bytes->data;
	*len_bytes = c->bytes->len;
	return c->who;
}

/* Loading. */

/* The words of the last refusal: by whom and why must have been told. */
static char refusal[256];

static bool verdict(struct mt_state_in *in, int code, const char *who, struct mt_error *err)
{
	code = state_in_verdict(in, code, err);
	state_in_close(in);
	g_strlcpy(refusal, code < 0 ? err->message : "", sizeof(refusal));
	if (code < 0 && !strstr(err->message, who))
		fail(who, "refused without its name", err);
	return code == 0;
}

static struct mt_state_in *component_open(const GByteArray *bytes, const char *who, const char *schema, uint32_t from,
					  uint32_t to)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_state_in *in = state_in_open(who, bytes->data, bytes->len, &err);

	if (!in && !strstr(err.message, who))
		fail(who, "refused without its name", &err);
	if (!in || (!strcmp(state_in_schema(in), schema) && state_in_version(in) >= from && state_in_version(in) <= to))
		return in;
	state_in_close(in);
	return NULL;
}

static bool part_load(struct machine *m, const struct state_part *part, const GByteArray *bytes)
{
	struct mt_error err = { .size = sizeof(err) };
	char *schema = g_strdup_printf("mortise.%s", part->name);
	struct mt_state_in *in = component_open(bytes, part->name, schema, part->version, part->version);

	g_free(schema);
	return in && verdict(in, part->load(m, in, &state_reader, &err), part->name, &err);
}

static bool class_load(struct mt_inst *inst, void *self, const struct mt_state_class *cls, const GByteArray *bytes)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_state_in *in;
	bool good;
	int code;

	in = component_open(bytes, inst->id, cls->schema, cls->version_min, cls->version);
	if (!in)
		return false;
	inst_enter(inst);
	code = cls->load(self, in, &state_reader, state_in_version(in), &err);
	inst_leave(inst);
	good = verdict(in, code, inst->id, &err);
	if (good && self == inst->self)
		vdev_loaded(inst);
	return good;
}

static void rams_load(struct machine *m, const struct image *image)
{
	for (unsigned i = 0; i < image->rams->len; i++) {
		const GByteArray *bytes = g_ptr_array_index(image->rams, i);

		memcpy(g_array_index(m->memory, struct machine_memory, i).ram->hva, bytes->data, bytes->len);
	}
}

static bool load_all(struct machine *m, const struct image *image)
{
	struct park *park = park_begin(m);
	struct walk w = { 0 };
	bool good = true;

	rams_load(m, image);
	for (unsigned i = 0; good && walk_next(&w, m); i++) {
		const GByteArray *bytes = g_array_index(image->parts, struct component, i).bytes;

		good = w.kernel ? part_load(m, w.kernel, bytes) : class_load(w.at, w.self, w.cls, bytes);
	}
	park_end(park);
	return good;
}

struct machine *image_load(const struct image *image, bool whole)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = target_realize();
	struct image *again;

	if (!load_all(m, image)) {
		g_strlcpy(err.message, refusal, sizeof(err.message));
		if (whole)
			fail("state", "refused what was saved", &err);
		machine_destroy(m);
		return NULL;
	}
	again = save_paused(m, IMAGE_PLAIN);
	if (whole)
		image_expect_same(image, again);
	image_free(again);
	machine_start(m);
	return m;
}

/* The name of the first record that is another, for people. */
static void difference_name(const GByteArray *x, const GByteArray *y, char *name, size_t room)
{
	uint32_t len, other;

	for (size_t i = STATE_HEADER_BYTES; i < x->len && i < y->len; i += len) {
		memcpy(&len, x->data + i, 4);
		memcpy(&other, y->data + i, 4);
		if (len == other && !memcmp(x->data + i, y->data + i, len))
			continue;
		g_snprintf(name, room, "%.*s", (int)x->data[i + 6], (const char *)x->data + i + STATE_RECORD_BYTES);
		return;
	}
	g_strlcpy(name, "what follows", room);
}

void image_expect_same(const struct image *a, const struct image *b)
{
	struct mt_error err = { .size = sizeof(err) };

	for (unsigned i = 0; i < a->parts->len; i++) {
		const struct component *x = &g_array_index(a->parts, struct component, i);
		const struct component *y = &g_array_index(b->parts, struct component, i);

		if (x->bytes->len == y->bytes->len && !memcmp(x->bytes->data, y->bytes->data, x->bytes->len))
			continue;
		difference_name(x->bytes, y->bytes, err.message, sizeof(err.message));
		fail(x->who, "saved again, it has another", &err);
	}
}
