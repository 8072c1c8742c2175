/* SPDX-License-Identifier: MIT */
/*
 * Classes that stand in for those of other files (mortise/note.h): each has the kind, properties, ranges and roles
 * of the one that it stands in for, so that a machine file is right with both; and a machine gets the one or the
 * other by its [cpu] section. From notes alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernel/load/registry.h"

static unsigned faults, classes;

static void fault(const struct note_class *cls, const char *what, const char *a, const char *b)
{
	printf("%s: %s: '%s' here, '%s' there\n", cls->name, what, a, b);
	faults++;
}

static void same(const struct note_class *cls, const char *what, const char *a, const char *b)
{
	if (strcmp(a, b))
		fault(cls, what, a, b);
}

static void prop_compare(const struct note_class *cls, const struct note_prop *a, const struct note_prop *b)
{
	same(cls, "name of a property", a->name, b->name);
	same(cls, a->name, a->deflt, b->deflt);
	same(cls, a->name, a->range, b->range);
	same(cls, a->name, a->unit, b->unit);
	same(cls, a->name, a->help, b->help);
	if (a->type != b->type || a->flags != b->flags)
		fault(cls, a->name, note_type_name(a->type), note_type_name(b->type));
}

/* The roles but for the first word of the one that stands in, in any order. */
static void roles_compare(const struct note_class *cls, const struct note_class *of)
{
	char **own = g_strsplit(cls->roles, " ", -1), **theirs = g_strsplit(of->roles, " ", -1);

	if (g_strv_length(own) != g_strv_length(theirs) + 1)
		fault(cls, "roles", cls->roles, of->roles);
	for (int i = 0; theirs[i]; i++)
		if (!g_strv_contains((const char *const *)own, theirs[i]))
			fault(cls, "roles", cls->roles, theirs[i]);
	g_strfreev(own);
	g_strfreev(theirs);
}

static void class_compare(struct registry *reg, const struct note_class *cls)
{
	const struct registry_class *of = registry_find(reg, cls->name, NULL);

	classes++;
	if (!of) {
		fault(cls, "what it stands in for", "", "is not built");
		return;
	}
	if (of->cls == cls || of->cls->kind != cls->kind)
		fault(cls, "kind", note_kind_name(cls->kind), note_kind_name(of->cls->kind));
	roles_compare(cls, of->cls);
	if (of->cls->prop_count != cls->prop_count) {
		fault(cls, "number of properties", "", "");
		return;
	}
	for (size_t i = 0; i < cls->prop_count; i++)
		prop_compare(cls, &cls->props[i], &of->cls->props[i]);
}

/* Which file serves a class of a machine whose [cpu] has these lines. */
static const char *file_of(struct registry *reg, const char *name, const char *cpu)
{
	char *path = g_build_filename(g_get_tmp_dir(), "stand-ins-XXXXXX", NULL);
	char *text = g_strdup_printf("[machine]\nschema = 1\n[cpu]\n%s", cpu);
	static const char *const none[] = { NULL };
	struct config_options options = { .machine_dirs = none };
	const struct registry_class *found = NULL;
	struct diag *d = diag_create();
	struct config *cfg;
	int fd = g_mkstemp(path);

	if (fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text)) {
		cfg = config_load(path, &options, d);
		if (cfg)
			found = registry_find_for(reg, cfg, name, NULL);
		config_destroy(cfg);
	}
	close(fd);
	unlink(path);
	diag_destroy(d);
	g_free(text);
	g_free(path);
	return found ? found->entry->note->name : "none";
}

static void machines_check(struct registry *reg)
{
	static const struct { const char *name, *cpu, *file; } all[] = {
		{ "dev-lapic", "plugin = cpu-kvm\n", "cpu-kvm" },
		{ "dev-lapic", "plugin = cpu-kvm\nirqchip = split\n", "cpu-kvm" },
		{ "dev-ioapic", "plugin = cpu-kvm\nirqchip = split\n", "dev-ioapic" },
		{ "dev-i8254", "plugin = cpu-kvm\nirqchip = kernel\n", "cpu-kvm" },
		{ "dev-lapic", "plugin = cpu-kvm\nirqchip = user\n", "dev-lapic" },
		{ "dev-lapic", "plugin = cpu-tcg\n", "dev-lapic" },
		{ "dev-lapic", "count = 1\n", "dev-lapic" },
		{ "dev-uart16550", "plugin = cpu-kvm\n", "dev-uart16550" },
		{ "cpu-kvm", "plugin = cpu-kvm\n", "cpu-kvm" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *file = file_of(reg, all[i].name, all[i].cpu);

		if (!strcmp(file, all[i].file))
			continue;
		printf("%s with '%s' is of %s, not %s\n", all[i].name, all[i].cpu, file, all[i].file);
		faults++;
	}
}

int main(void)
{
	const char *plugins[] = { TEST_BUILDDIR "/plugins/*/.libs", NULL };
	struct registry *reg = registry_create(plugins);
	const GPtrArray *all = registry_all(reg);
	int status = EXIT_SUCCESS;

	for (unsigned i = 0; i < all->len; i++) {
		const struct registry_entry *entry = g_ptr_array_index(all, i);

		for (size_t k = 0; entry->note && k < entry->note->class_count; k++)
			if (note_stands_in(&entry->note->classes[k], NULL, NULL))
				class_compare(reg, &entry->note->classes[k]);
	}
	if (classes)
		machines_check(reg);
	else
		printf("no plugin stands in for another: cpu-kvm is not built\n"), status = 77;
	registry_destroy(reg);
	printf("%u classes, %u faults\n", classes, faults);
	return faults ? EXIT_FAILURE : status;
}
