/* SPDX-License-Identifier: MIT */
/* Instances for images that have no section of their own; see open.h. [main] */
#include "kernel/block/open.h"

#include <mortise/draft/block-create.h>
#include <mortise/draft/block-filter.h>
#include <string.h>
#include <util/error.h>

#include "kernel/block/request.h"
#include "kernel/load/check.h"
#include "kernel/load/note-rules.h"
#include "kernel/machine/fault.h"

static const char origin_key;        /* its address is the key of inst_data */

/* What lives as long as the instance. */
struct opened {
	struct config_section section;
	char *path;                  /* or the id of a filter */
	char *dir;                   /* where its relative paths start */
};

/* Formats */

static char *format_role(const char *format)
{
	return g_strdup_printf("format/%s", format);
}

/* By the name that a plugin of the format would have, else by looking through all of them. */
static const struct note_class *class_with(struct machine *m, const char *format, const char *role,
					   const struct mt_plugin **plugin, struct mt_error *err)
{
	char *name = g_strdup_printf("block-%s", format);
	const struct note_class *cls = NULL;

	*plugin = m->source->find(m->source, name, &cls, err);
	g_free(name);
	if (*plugin && value_word_in(cls->roles, role))
		return cls;
	if (!*plugin && err->code != MT_ENOENT)
		return NULL;
	cls = m->source->find_role ? m->source->find_role(m->source, role, 0) : NULL;
	*plugin = cls ? m->source->find(m->source, cls->name, &cls, err) : NULL;
	if (!cls)
		fault_set(err, MT_ENOTSUP, "format", "mortise plugins lists the plugins that there are",
			  "no plugin serves the format '%.64s'", format);
	return *plugin ? cls : NULL;
}

const struct note_class *open_format(struct machine *m, const char *format, const struct mt_plugin **plugin,
				     struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	const struct note_class *cls;
	char *role;

	if (!*format || strspn(format, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(format)) {
		fault_set(err, MT_EINVAL, "format", NULL, "'%.64s' is no name of a format", format);
		return NULL;
	}
	role = format_role(format);
	cls = class_with(m, format, role, plugin, err ? err : &none);
	g_free(role);
	return cls;
}

const void *open_role(struct machine *m, const char *format, const char *iface_id, struct mt_error *err)
{
	const struct mt_plugin *plugin;
	const struct note_class *cls;

	err->code = 0;
	cls = open_format(m, format, &plugin, err);
	open_rest(m);
	return cls ? plugin->get_class(cls->name, iface_id) : NULL;
}

char *open_format_name(const struct note_class *cls)
{
	char **roles = g_strsplit(cls->roles, " ", -1), *name = NULL;

	for (int i = 0; roles[i] && !name; i++) {
		if (!strncmp(roles[i], "format/", strlen("format/")))
			name = g_strdup(roles[i] + strlen("format/"));
	}
	g_strfreev(roles);
	return name ? name : g_strdup(cls->name);
}

/* URIs: of disks that the user names; a name in an image has gone by names.c before it can come here. */

bool open_is_uri(const char *path)
{
	size_t n = strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789+");

	return n && !strncmp(path + n, "://", 3);
}

static const struct note_class *open_protocol(struct machine *m, const struct open_spec *spec,
					      const struct mt_plugin **plugin, struct mt_error *err)
{
	char *scheme = g_strndup(spec->path, strcspn(spec->path, ":")), *role = g_strdup_printf("protocol/%s", scheme);
	const struct note_class *cls = m->source->find_role ? m->source->find_role(m->source, role, 0) : NULL;

	*plugin = NULL;
	if (!cls)
		fault_set(err, MT_ENOTSUP, "file", "a path that looks like that begins with ./", "no plugin opens %s://",
			  scheme);
	else if (spec->format && strcmp(spec->format, "raw"))
		fault_set(err, MT_ENOTSUP, "format", "the server can take the format apart",
			  "%.160s: a disk behind a URI is raw, not %s", spec->path, spec->format);
	else
		*plugin = m->source->find(m->source, cls->name, &cls, err);
	g_free(role);
	g_free(scheme);
	return *plugin ? cls : NULL;
}

struct looks {
	uint8_t head[MT_BLOCK_PROBE_BYTES], tail[512];
	uint32_t head_bytes, tail_bytes;
	uint64_t file_bytes;
};

static int looks_read(struct looks *looks, const struct open_spec *spec, struct mt_error *err)
{
	struct file_options options = spec->options;
	struct file *file;
	int rc;

	options.readonly = true;
	options.locking = false;
	options.cache = FILE_WRITEBACK;
	file = file_open(spec->path, &options, err);
	if (!file)
		return err->code ? err->code : MT_EIO;
	looks->file_bytes = file->len_bytes;
	looks->head_bytes = (uint32_t)MIN(file->len_bytes, sizeof(looks->head));
	looks->tail_bytes = (uint32_t)MIN(file->len_bytes, sizeof(looks->tail));
	rc = file_read(file, 0, looks->head, looks->head_bytes);
	if (rc == 0)
		rc = file_read(file, file->len_bytes - looks->tail_bytes, looks->tail, looks->tail_bytes);
	file_close(file);
	return rc == 0 ? 0 : fault_set(err, rc, "file", NULL, "%s cannot be read", spec->path);
}

static uint32_t score_of(struct machine *m, const struct note_class **cls, const struct looks *looks)
{
	struct mt_error ignored = { .size = sizeof(ignored) };
	const struct mt_plugin *plugin = m->source->find(m->source, (*cls)->name, cls, &ignored);
	const struct mt_block_probe *probe = plugin ? plugin->get_class((*cls)->name, MT_IFACE_BLOCK_PROBE) : NULL;

	return probe ? probe->probe(looks->head, looks->head_bytes, looks->tail, looks->tail_bytes, looks->file_bytes) : 0;
}

char *open_probe(struct machine *m, const struct open_spec *spec, struct mt_error *err)
{
	const struct note_class *cls, *best = NULL;
	struct looks *looks = g_new0(struct looks, 1);
	bool known = looks_read(looks, spec, err) == 0 && m->source->find_role;
	uint32_t highest = 0, score;

	/* one that is certain settles it: no other plugin is even looked for */
	for (uint32_t i = 0; known && highest < 100 &&
	     (cls = m->source->find_role(m->source, MT_IFACE_BLOCK_PROBE, i)); i++) {
		score = score_of(m, &cls, looks);
		if (score > highest) {
			highest = score;
			best = cls;
		}
	}
	g_free(looks);
	return best ? open_format_name(best) : NULL;
}

/* Sections */

static void key_free(void *data)
{
	struct config_key *key = data;

	g_free((char *)key->name);
	g_free((char *)key->value);
	g_free(key);
}

static void key_add(struct opened *o, const struct note_class *cls, const char *name, const char *value)
{
	struct config_key *key;

	if (!check_prop_of_key(cls, name))
		return;
	key = g_new0(struct config_key, 1);
	key->name = g_strdup(name);
	key->value = g_strdup(value);
	key->dir = o->dir;
	g_ptr_array_add(o->section.keys, key);
}

static struct opened *section_new(char *id, const char *label)
{
	struct opened *o = g_new0(struct opened, 1);

	o->path = id;
	o->dir = g_get_current_dir();
	o->section = (struct config_section){ .kind = CONFIG_BLOCK, .id = id, .label = label,
					      .keys = g_ptr_array_new_with_free_func(key_free),
					      .unset = g_ptr_array_new() };
	return o;
}

static struct opened *opened_new(const struct note_class *cls, const struct open_spec *spec)
{
	static const char *const caches[] = { "writeback", "none", "unsafe" };
	bool uri = open_is_uri(spec->path);
	struct opened *o = section_new(uri ? g_strdup(spec->path) : g_canonicalize_filename(spec->path, NULL), "image");

	key_add(o, cls, uri ? "uri" : "file", o->path);
	key_add(o, cls, "readonly", spec->options.readonly ? "on" : "off");
	key_add(o, cls, "discard", spec->options.discard ? "on" : "off");
	key_add(o, cls, "locking", spec->options.locking ? "on" : "off");
	key_add(o, cls, "cache", caches[spec->options.cache]);
	if (spec->through)
		key_add(o, cls, "through", spec->through);
	return o;
}

static void opened_free(struct opened *o)
{
	g_ptr_array_unref(o->section.keys);
	g_ptr_array_unref(o->section.unset);
	g_free(o->path);
	g_free(o->dir);
	g_free(o);
}

static void rule_make(struct name_rule *rule, const struct open_spec *spec)
{
	static const struct name_rule none;

	names_rule_copy(rule, spec->rule ? spec->rule : &none, spec->path);
	if (spec->known) {
		g_strfreev(rule->known);
		rule->known = g_strdupv(spec->known);
	}
	rule->parts_folder = g_canonicalize_filename(spec->parts_folder ? spec->parts_folder : rule->folder, NULL);
	if (spec->names_folder) {
		g_free(rule->folder);
		rule->folder = g_canonicalize_filename(spec->names_folder, NULL);
	}
}

struct borigin *open_origin(struct mt_inst *inst)
{
	const struct open_spec *spec = inst_data_get(inst, &origin_key);
	struct borigin *origin;

	if (!spec)
		return NULL;
	origin = g_new0(struct borigin, 1);
	origin->opened = true;
	origin->above = spec->above;
	origin->name = g_strdup(spec->path);
	origin->path = g_strdup(spec->path);
	origin->options = spec->options;
	origin->backing_off = spec->backing_off;
	origin->below_any = spec->below_any;
	origin->deeper_any = spec->deeper_any;
	origin->backing_write = spec->backing_write;
	rule_make(&origin->rule, spec);
	return origin;
}

/* Life */

static void inst_end(struct mt_inst *inst)
{
	struct opened *o = (struct opened *)inst->section;

	inst_enter(inst);
	if (inst->dev && inst->dev->destroy && inst->self)
		inst->dev->destroy(inst->self);
	inst_leave(inst);
	inst_destroy(inst);
	opened_free(o);
}

static void unrealize(struct mt_inst *inst)
{
	if (node_own(inst))
		node_alone(node_own(inst));
	inst_enter(inst);
	if (inst->dev->unrealize)
		inst->dev->unrealize(inst->self);
	inst_leave(inst);
}

void open_close(struct mt_inst *inst)
{
	unrealize(inst);
	inst_release_all(inst);
	inst_move(&inst->state, INST_UNREALIZED);
	inst_end(inst);
}

void open_hollow(struct mt_inst *inst)
{
	static const struct mt_device_class nothing;

	unrealize(inst);
	node_end(node_own(inst));
	inst_enter(inst);
	if (inst->dev->destroy)
		inst->dev->destroy(inst->self);
	inst->self = NULL;
	inst->dev = &nothing;
	inst_leave(inst);
}

static int inst_begin(struct mt_inst *inst, bool is_disk, struct mt_error *err)
{
	int rc = inst->dev ? inst->dev->create(host_get(), inst, &inst->self, err) : MT_ENOTSUP;

	if (rc < 0)
		return rc;
	inst_move(&inst->state, INST_CREATED);
	rc = inst->dev->realize ? inst->dev->realize(inst->self, err) : 0;
	if (rc < 0)
		return rc;
	if (inst->fault.code)
		rc = fault_set(err, inst->fault.code, inst->fault.culprit, NULL, "%s", inst->fault.message);
	if (rc == 0 && is_disk)
		rc = node_info(node_of_inst(inst), err);
	if (rc < 0 && inst->dev->unrealize)
		inst->dev->unrealize(inst->self);
	return rc;
}

void open_blame(struct mt_error *err, int rc, const char *path)
{
	char *text;

	if (!err->code)
		fault_set(err, rc, "file", NULL, "it cannot be done (%d)", rc);
	if (strstr(err->message, path))
		return;
	text = g_strdup_printf("%s: %s", path, err->message);
	g_strlcpy(err->message, text, sizeof(err->message));
	g_free(text);
}

static struct mt_inst *inst_make(struct machine *m, const struct open_spec *spec, const struct note_class *cls,
				 const struct mt_plugin *plugin, struct mt_error *err)
{
	struct opened *o = opened_new(cls, spec);
	struct mt_inst *inst = inst_create(m, &o->section, cls, plugin);
	const struct bnode *node;
	int rc;

	inst->rank = spec->above ? spec->above->inst->rank - 1 : spec->rank ? spec->rank : INST_RANK_STEP;
	inst_data_set(inst, &origin_key, (void *)spec);
	inst_enter(inst);
	rc = inst_begin(inst, true, err);
	inst_leave(inst);
	inst_data_set(inst, &origin_key, NULL);
	if (rc == 0) {
		inst_move(&inst->state, INST_REALIZED);
		return inst;
	}
	node = node_own(inst);
	if (!node || !node->origin->below_failed)
		open_blame(err, rc, spec->path);
	inst_release_all(inst);
	inst_end(inst);
	return NULL;
}

void open_rest(struct machine *m)
{
	if (m->source->rest)
		m->source->rest(m->source);
}

struct mt_inst *open_inst(struct machine *m, const struct open_spec *spec, struct mt_error *err)
{
	struct mt_error none = { .size = sizeof(none) };
	const struct note_class *cls = NULL;
	const struct mt_plugin *plugin;
	char *format;

	err = err ? err : &none;
	err->code = 0;
	err->hint[0] = 0;
	if (!spec->above && open_is_uri(spec->path)) {
		cls = open_protocol(m, spec, &plugin, err);
		open_rest(m);
		return cls ? inst_make(m, spec, cls, plugin, err) : NULL;
	}
	format = spec->format ? g_strdup(spec->format) : open_probe(m, spec, err);
	if (format)
		cls = open_format(m, format, &plugin, err);
	else if (!err->code)
		fault_set(err, MT_EINVAL, "format", spec->above ? "record the format: mortise img rebase -u -F FORMAT" :
			  "say what it is: -f raw, if it is that", "%s: no known format is to be seen in it", spec->path);
	g_free(format);
	open_rest(m);
	return cls ? inst_make(m, spec, cls, plugin, err) : NULL;
}

/* Filters */

static const struct note_class *filter_class(struct machine *m, const char *name, const struct mt_plugin **plugin,
					     struct mt_error *err)
{
	char *whole = g_str_has_prefix(name, "block-") ? g_strdup(name) : g_strconcat("block-", name, NULL);
	const struct note_class *cls = NULL;

	err->code = 0;
	*plugin = m->source->find(m->source, whole, &cls, err);
	if (*plugin && !value_word_in(cls->roles, MT_IFACE_BLOCK_FILTER)) {
		fault_set(err, MT_ENOTSUP, "through", NULL, "%s is no filter", whole);
		*plugin = NULL;
	}
	g_free(whole);
	open_rest(m);
	return *plugin ? cls : NULL;
}

static int filter_key(struct opened *o, const struct note_class *cls, const char *word, struct mt_error *err)
{
	const char *equals = strchr(word, '=');
	char *name = g_strndup(word, strcspn(word, "="));
	const struct note_prop *prop = check_prop_of_key(cls, name);
	const char *value = equals ? equals + 1 : "on";
	struct value_fault fault;
	int rc = 0;

	if (!prop)
		rc = fault_set(err, MT_EINVAL, "through", "mortise describe lists the properties of a plugin",
			       "%s has no property '%s'", cls->name, name);
	else if (!note_value_check(prop, value, &fault))
		rc = fault_set(err, MT_EINVAL, prop->name, prop->help, "%s: %s", prop->name, fault.message);
	else
		key_add(o, cls, name, value);
	g_free(name);
	return rc;
}

static int filter_keys(struct opened *o, const struct note_class *cls, char *const *words, struct mt_error *err)
{
	int rc = 0;

	for (int i = 0; words[i] && rc == 0; i++) {
		if (*words[i])
			rc = filter_key(o, cls, words[i], err);
	}
	for (size_t i = 0; i < cls->prop_count && rc == 0; i++) {
		GPtrArray *items = section_get_list(&o->section, cls->props[i].name);

		if (cls->props[i].flags & MT_PROPF_REQUIRED && !items->len)
			rc = fault_set(err, MT_EINVAL, cls->props[i].name, NULL, "%s wants %s: %s", cls->name,
				       cls->props[i].name, cls->props[i].help);
		g_ptr_array_unref(items);
	}
	return rc;
}

static struct mt_inst *filter_make(struct machine *m, struct opened *o, const struct note_class *cls,
				   const struct mt_plugin *plugin, struct mt_error *err)
{
	struct mt_inst *inst = inst_create(m, &o->section, cls, plugin);
	int rc;

	inst->rank = 1 + m->insts->len;
	inst_enter(inst);
	rc = inst_begin(inst, false, err);
	inst_leave(inst);
	if (rc == 0) {
		inst_move(&inst->state, INST_REALIZED);
		g_ptr_array_add(m->insts, inst);
		return inst;
	}
	open_blame(err, rc, cls->name);
	inst_release_all(inst);
	inst_end(inst);
	return NULL;
}

struct mt_inst *open_filter(struct machine *m, const char *name, char *const *words, const char *child,
			    struct mt_error *err)
{
	const struct mt_plugin *plugin;
	const struct note_class *cls = filter_class(m, name, &plugin, err);
	struct opened *o;

	if (!cls)
		return NULL;
	o = section_new(g_strdup_printf("filter%u", m->insts->len), "filter");
	if (child)
		key_add(o, cls, "child", child);
	if (filter_keys(o, cls, words, err) == 0)
		return filter_make(m, o, cls, plugin, err);
	opened_free(o);
	return NULL;
}
