// SPDX-License-Identifier: MIT
/*
 * Sections against their property tables: unknown and missing keys, values, plugins. Sections without a
 * plugin have tables of the kernel's own, in the same form, so there is one way to check a value. No plugin
 * code runs, nothing is allocated for the guest. Called from [main].
 */
#include "kernel/load/check.h"

#include <string.h>

#include "kernel/load/check-parts.h"
#include "kernel/config/ini.h"
#include "kernel/load/note-rules.h"
#include "kernel/config/suggest.h"

static const struct note_prop check_machine_props[] = {
	{ "schema", "", "1..1", "", "version of the file's grammar", MT_PROP_INT, MT_PROPF_REQUIRED },
	{ "arch", "", "", "", "instruction set, as the cpu plugin calls it", MT_PROP_STRING, 0 },
	{ "title", "", "", "", "one line for people", MT_PROP_STRING, 0 },
	{ "name", "", "", "", "how `mortise ctl` calls the machine", MT_PROP_REF, 0 },
	{ "console", "", "mortise.fdt-node/1", "", "the device that the guest's messages go to", MT_PROP_REF, 0 },
	{ "timebase", "10000000", "1..", "Hz", "rate of the guest's timer", MT_PROP_INT, 0 },
};

static const struct note_prop check_memory_props[] = {
	{ "at", "", "", "", "guest-physical address", MT_PROP_ADDR, MT_PROPF_REQUIRED },
	{ "size", "", "4K..", "", "length, a multiple of 4K", MT_PROP_SIZE, MT_PROPF_REQUIRED },
	{ "type", "ram", "ram|rom", "", "whether the guest may write it", MT_PROP_ENUM, 0 },
	{ "share", "off", "", "", "a file in memory, so that other processes can be given it", MT_PROP_BOOL, 0 },
};

static const struct note_prop check_monitor_props[] = {
	{ "socket", "", "", "", "path of the control socket, or off", MT_PROP_STRING, 0 },
	{ "viewer", "", "", "", "path of a second one, which only answers queries", MT_PROP_STRING, 0 },
	{ "gdb", "", "", "", "where to listen for a debugger: unix:PATH or tcp:HOST:PORT", MT_PROP_STRING, 0 },
	{ "wait", "off", "", "", "do not start before the debugger says so", MT_PROP_BOOL, 0 },
};

/* Kind 0: these sections have no plugin. */
static const struct note_class check_core_classes[CONFIG_KINDS] = {
	[CONFIG_MACHINE] = { "machine", "", "", 0, 0, check_machine_props, G_N_ELEMENTS(check_machine_props), NULL },
	[CONFIG_MEMORY] = { "memory", "", "", 0, 0, check_memory_props, G_N_ELEMENTS(check_memory_props), NULL },
	[CONFIG_MONITOR] = { "monitor", "", "", 0, 0, check_monitor_props, G_N_ELEMENTS(check_monitor_props), NULL },
	[CONFIG_SANDBOX] = { "sandbox", "", "", 0, 0, NULL, 0, NULL },
};

/* The kind of plugin that a kind of section takes, 0 for none. */
static uint32_t check_plugin_kind(enum config_kind kind)
{
	switch (kind) {
	case CONFIG_CPU: return MT_KIND_CPU;
	case CONFIG_BOOT: return MT_KIND_BOOT;
	case CONFIG_DEVICE: return MT_KIND_DEVICE;
	case CONFIG_BLOCK: return MT_KIND_BLOCK;
	default: return 0;
	}
}

void check_place(char buf[256], const struct diag_pos *from, const struct diag_pos *to)
{
	if (!g_strcmp0(from->file, to->file))
		g_snprintf(buf, 256, " (line %d)", to->line);
	else
		g_snprintf(buf, 256, " (%.200s:%d)", to->file, to->line);
}

/* Classes */

/* Of a machine for other hosts than this one: the accelerator's class, whose file brings other devices there. */
static const struct note_class *check_stranger(struct check *c, const struct config_section *sec)
{
	const struct config_section *machine = config_section_find(c->cfg, "machine");
	const struct config_section *cpu = config_section_next(c->cfg, CONFIG_CPU, NULL);
	const struct config_key *key = machine ? section_get(machine, "arch") : NULL;
	const struct note_class *cls = key && cpu && cpu != sec ? check_class_of(c, cpu) : NULL;
	char *role = key ? g_strconcat("arch/", key->value, NULL) : NULL;
	bool runs = cls && (!strstr(cls->roles, "arch/") || strstr(cls->roles, role));

	g_free(role);
	return runs ? NULL : cls;
}

static void check_tell_plugin(struct check *c, const struct config_section *sec, const struct config_key *key,
			      const struct mt_error *err)
{
	const char *close = registry_suggest(c->reg, key->value, check_plugin_kind(sec->kind));
	const struct note_class *stranger = check_stranger(c, sec);
	char *hint = NULL;

	if (!ini_key_is_legal(key->value)) {
		diag_add(c->d, DIAG_ERROR, &key->value_pos, (int)strlen(key->value), sec->label, "see: mortise plugins",
			 "'%s' cannot be the name of a plugin", key->value);
	} else if (err->code == MT_ENOENT && !strcmp(err->culprit, "plugin")) {
		hint = close ? g_strdup_printf("did you mean '%s'?", close)
			     : stranger ? g_strdup_printf("%.64s may have it on hosts that run such machines",
							  stranger->name)
			     : g_strdup_printf("the package mortise-plugin-%.64s may have it", key->value);
		diag_add(c->d, close ? DIAG_ERROR : DIAG_HOST, &key->value_pos, (int)strlen(key->value), sec->label,
			 hint, "%s", err->message);
	} else {
		diag_add(c->d, DIAG_HOST, &key->value_pos, (int)strlen(key->value), sec->label, err->hint,
			 "plugin '%s' cannot be used: %s", key->value, err->message);
	}
	g_free(hint);
}

static const struct note_class *check_find_class(struct check *c, const struct config_section *sec)
{
	const struct config_key *key = section_get(sec, "plugin");
	uint32_t kind = check_plugin_kind(sec->kind);
	struct mt_error err = { .size = sizeof(err) };
	const struct registry_class *found = key ? registry_find_for(c->reg, c->cfg, key->value, &err) : NULL;

	if (found && found->cls->kind == kind)
		return found->cls;
	if (!c->d)
		return NULL;
	if (!key && !sec->damaged)
		diag_add(c->d, DIAG_ERROR, &sec->pos, (int)strlen(sec->label) + 2, sec->label, "see: mortise plugins",
			 "no 'plugin' says what this is");
	else if (found)
		diag_add(c->d, DIAG_ERROR, &key->value_pos, (int)strlen(key->value), sec->label, NULL,
			 "plugin '%s' is a %s plugin; here stands a %s plugin", key->value,
			 note_kind_name(found->cls->kind), note_kind_name(kind));
	else if (key)
		check_tell_plugin(c, sec, key, &err);
	return NULL;
}

void check_init(struct check *c, const struct config *cfg, struct registry *reg, struct diag *d)
{
	*c = (struct check) { .cfg = cfg, .reg = reg, .d = d, .classes = g_hash_table_new(NULL, NULL) };
	for (size_t i = 0; i < config_section_count(cfg); i++) {
		const struct config_section *sec = config_section_at(cfg, i);
		const struct note_class *cls = check_plugin_kind(sec->kind) ? check_find_class(c, sec)
									     : &check_core_classes[sec->kind];

		if (cls)
			g_hash_table_insert(c->classes, (void *)sec, (void *)cls);
	}
}

void check_fini(struct check *c)
{
	g_hash_table_unref(c->classes);
}

const struct note_class *check_class_of(const struct check *c, const struct config_section *sec)
{
	return g_hash_table_lookup(c->classes, sec);
}

/* Keys */

static bool check_is_list(const struct note_prop *prop)
{
	return prop->type == MT_PROP_LIST || prop->type == MT_PROP_IRQ;
}

const struct note_prop *check_prop_of_key(const struct note_class *cls, const char *key)
{
	const struct note_prop *prop = note_prop_find(cls, key);
	const char *dot = prop ? NULL : strrchr(key, '.');
	uint64_t number;

	if (prop || !dot || !value_parse_int(dot + 1, &number, NULL) || !number)
		return prop;
	char *stem = g_strndup(key, (size_t)(dot - key));

	prop = note_prop_find(cls, stem);
	g_free(stem);
	return prop && check_is_list(prop) ? prop : NULL;
}

/* Keys that belong to no property: the kernel's own, and those of other tools. */
static bool check_is_foreign(const struct config_section *sec, const char *key)
{
	bool has_loop = sec->kind == CONFIG_DEVICE || sec->kind == CONFIG_BLOCK;

	return g_str_has_prefix(key, "x-") || (check_plugin_kind(sec->kind) && !strcmp(key, "plugin")) ||
	       (has_loop && !strcmp(key, "thread"));
}

static void check_list_keys(const struct note_class *cls, GString *hint)
{
	for (size_t i = 0; i < cls->prop_count; i++)
		g_string_append_printf(hint, "%s%s", i ? ", " : "it has ", cls->props[i].name);
}

static void check_tell_key(struct check *c, const struct config_section *sec, const struct note_class *cls,
			   const struct config_key *key)
{
	char close[160];
	struct suggest s;
	GString *hint = g_string_new(NULL);

	suggest_init(&s, key->name);
	for (size_t i = 0; i < cls->prop_count; i++)
		suggest_add(&s, cls->props[i].name);
	if (sec->kind == CONFIG_MACHINE) {
		suggest_add(&s, "base");
		suggest_add(&s, "include.1");
	}
	if (suggest_hint(&s, close))
		g_string_append(hint, close);
	else if (!cls->kind)
		check_list_keys(cls, hint);
	if (cls->kind)
		g_string_append_printf(hint, "%s(mortise describe %s)", hint->len ? "   " : "", cls->name);
	diag_add(c->d, DIAG_ERROR, &key->pos, (int)strlen(key->name), sec->label, hint->str, "%s has no %s '%s'",
		 cls->kind ? cls->name : "this section", cls->kind ? "property" : "key", key->name);
	g_string_free(hint, TRUE);
}

static void check_tell_value(struct check *c, const struct check_use *use, const struct value_fault *fault,
			     size_t offset)
{
	struct value_fault here = *fault;
	struct suggest s;
	char close[160];
	char **words = use->prop->type == MT_PROP_ENUM ? g_strsplit(use->prop->range, "|", -1) : NULL;

	suggest_init(&s, use->key->value);
	for (int i = 0; words && words[i]; i++)
		suggest_add(&s, words[i]);
	here.at += offset;
	key_error(c->d, use->sec, use->key, &here, suggest_hint(&s, close), NULL);
	g_strfreev(words);
}

static void check_list(struct check *c, const struct check_use *use)
{
	GPtrArray *items = section_get_list(use->sec, use->prop->name);
	struct value_fault fault;

	for (unsigned i = 0; i < items->len; i++) {
		const struct config_item *item = items->pdata[i];

		if (item->key == use->key && !note_value_check(use->prop, item->text, &fault))
			check_tell_value(c, use, &fault, item->offset);
	}
	g_ptr_array_unref(items);
}

static void check_key(struct check *c, const struct config_section *sec, const struct note_class *cls,
		      const struct config_key *key)
{
	const struct note_prop *prop = check_prop_of_key(cls, key->name);
	const struct check_use use = { sec, key, prop };
	struct value_fault fault;

	if (check_is_foreign(sec, key->name))
		return;
	if (!prop) {
		check_tell_key(c, sec, cls, key);
		return;
	}
	if (prop->flags & MT_PROPF_DEPRECATED)
		diag_add(c->d, DIAG_WARNING, &key->pos, (int)strlen(key->name), sec->label, NULL,
			 "'%s' is deprecated: %s", prop->name, prop->help);
	if (!*key->value)
		return;
	if (check_is_list(prop))
		check_list(c, &use);
	else if (!note_value_check(prop, key->value, &fault))
		check_tell_value(c, &use, &fault, 0);
}

static void check_required(struct check *c, const struct config_section *sec, const struct note_class *cls)
{
	for (size_t i = 0; i < cls->prop_count && !sec->damaged; i++) {
		const struct note_prop *prop = &cls->props[i];
		GPtrArray *items = section_get_list(sec, prop->name);

		if ((prop->flags & MT_PROPF_REQUIRED) && !items->len)
			diag_add(c->d, DIAG_ERROR, &sec->pos, (int)strlen(sec->label) + 2, sec->label, NULL,
				 "'%s' is required: %s", prop->name, prop->help);
		g_ptr_array_unref(items);
	}
}

static void check_section(struct check *c, const struct config_section *sec)
{
	const struct note_class *cls = check_class_of(c, sec);

	if (!cls)
		return;
	for (unsigned i = 0; i < sec->keys->len; i++)
		check_key(c, sec, cls, sec->keys->pdata[i]);
	for (unsigned i = 0; i < sec->unset->len; i++)
		check_key(c, sec, cls, sec->unset->pdata[i]);
	check_required(c, sec, cls);
}

static void check_presence(struct check *c, enum config_kind kind, const char *hint)
{
	struct diag_pos pos = { config_file(c->cfg), 1, 1, NULL };

	if (!config_section_next(c->cfg, kind, NULL))
		diag_add(c->d, DIAG_ERROR, &pos, 1, NULL, hint, "the machine has no [%s]", config_kind_name(kind));
}

/* The core runs one section of vCPUs so far. */
static void check_single(struct check *c, enum config_kind kind)
{
	const struct config_section *sec = config_section_next(c->cfg, kind, NULL), *first = sec;
	char place[256];

	while (sec && (sec = config_section_next(c->cfg, kind, sec))) {
		check_place(place, &sec->pos, &first->pos);
		diag_add(c->d, DIAG_ERROR, &sec->pos, (int)strlen(sec->label) + 2, sec->label, NULL,
			 "a machine has one section of this kind, and there is [%s]%s", first->label, place);
	}
}

GArray *check_uses_of(const struct check *c, uint32_t type)
{
	GArray *uses = g_array_new(FALSE, FALSE, sizeof(struct check_use));

	for (size_t i = 0; i < config_section_count(c->cfg); i++) {
		const struct config_section *sec = config_section_at(c->cfg, i);
		const struct note_class *cls = check_class_of(c, sec);

		for (unsigned k = 0; cls && k < sec->keys->len; k++) {
			const struct config_key *key = sec->keys->pdata[k];
			const struct check_use use = { sec, key, check_prop_of_key(cls, key->name) };

			if (use.prop && use.prop->type == type && !check_is_foreign(sec, key->name))
				g_array_append_val(uses, use);
		}
	}
	return uses;
}

/*
 * [machine] arch against what the cpu's plugin runs: its class names each instruction set as a role "arch/NAME".
 * A class that names none is not asked.
 */
static void check_arch(struct check *c)
{
	const struct config_section *machine = config_section_find(c->cfg, "machine");
	const struct config_section *cpu = config_section_next(c->cfg, CONFIG_CPU, NULL);
	const struct config_key *key = machine ? section_get(machine, "arch") : NULL;
	const struct note_class *cls = cpu ? check_class_of(c, cpu) : NULL;
	struct value_fault fault = { .at = 0 };
	struct suggest near;
	char hint[160];

	if (!key || !cls || !strstr(cls->roles, "arch/"))
		return;
	char **roles = g_strsplit(cls->roles, " ", -1);
	bool found = false;

	suggest_init(&near, key->value);
	for (char **role = roles; *role; role++) {
		if (!g_str_has_prefix(*role, "arch/"))
			continue;
		found |= !strcmp(*role + strlen("arch/"), key->value);
		suggest_add(&near, *role + strlen("arch/"));
	}
	if (!found) {
		fault.len = strlen(key->value);
		g_snprintf(fault.message, sizeof(fault.message), "%.64s does not run '%.64s'", cls->name, key->value);
		key_error(c->d, machine, key, &fault, suggest_hint(&near, hint), NULL);
	}
	g_strfreev(roles);
}

bool check_run(const struct config *cfg, struct registry *reg, struct diag *d)
{
	unsigned before = diag_errors(d);
	struct check c;

	check_init(&c, cfg, reg, d);
	/* After an error of reading, the section may be in what could not be read. */
	if (!before) {
		check_presence(&c, CONFIG_MACHINE, "write [machine] with schema = 1");
		check_presence(&c, CONFIG_CPU, "write [cpu] with plugin = NAME");
		check_presence(&c, CONFIG_MEMORY, "write [memory ram] with at = and size =");
	}
	check_single(&c, CONFIG_CPU);
	check_single(&c, CONFIG_BOOT);
	for (size_t i = 0; i < config_section_count(cfg); i++)
		check_section(&c, config_section_at(cfg, i));
	check_arch(&c);
	check_refs(&c);
	check_paths(&c);
	check_map(&c);
	check_fini(&c);
	return diag_errors(d) == before;
}

bool check_gate(const struct config *cfg, struct registry *reg, struct loader *loader, struct diag *d)
{
	GHashTable *seen = g_hash_table_new(NULL, NULL);
	unsigned before = diag_errors(d);

	for (size_t i = 0; i < config_section_count(cfg); i++) {
		const struct config_section *sec = config_section_at(cfg, i);
		const struct config_key *key = check_plugin_kind(sec->kind) ? section_get(sec, "plugin") : NULL;
		const struct registry_class *found = key ? registry_find_for(reg, cfg, key->value, NULL) : NULL;
		struct mt_error err = { .size = sizeof(err) };

		if (!found || !g_hash_table_add(seen, (void *)found->entry))
			continue;
		if (loader_examine(loader, found->entry, &err))
			diag_add(d, DIAG_HOST, &key->value_pos, (int)strlen(key->value), sec->label, err.hint,
				 "plugin '%s' cannot be used: %s", key->value, err.message);
	}
	g_hash_table_unref(seen);
	return diag_errors(d) == before;
}
