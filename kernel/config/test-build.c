// SPDX-License-Identifier: MIT
/* Builds plugin files with $CC, as a vendor's makefile would. Used by tests only. */
#include "kernel/config/test-build.h"

#include <check.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mortise/plugin.h>

static char *build_folder;
static pid_t build_owner;

/* Tests run in forked children; only the process that made the folder removes it. */
static void build_remove(void)
{
	char *command = g_strdup_printf("rm -rf '%s'", build_folder);

	if (getpid() == build_owner && system(command))
		fprintf(stderr, "%s is left behind\n", build_folder);
	g_free(command);
}

const char *build_dir(void)
{
	if (!build_folder) {
		build_folder = g_dir_make_tmp("mortise-plugins-XXXXXX", NULL);
		build_owner = getpid();
		atexit(build_remove);
	}
	return build_folder;
}

static char *build_source(const struct build_plugin *p)
{
	GString *text = g_string_new(NULL);

	g_string_append(text, "#include <mortise/plugin.h>\n#include <mortise/note.h>\n");
	if (p->abi_major)
		g_string_append_printf(text, "#undef MT_ABI_MAJOR\n#define MT_ABI_MAJOR %du\n", p->abi_major);
	g_string_append_printf(text, "#define MT_NOTE_NAME \"%s\"\n#define MT_NOTE_VERSION \"1.2\"\n"
			       "#define MT_NOTE_VENDOR \"Acme\"\n#define MT_NOTE_LICENCE \"MIT\"\n"
			       "#define MT_NOTE_SUMMARY \"a test\"\n#define MT_NOTE_REQUIRES \"%s\"\n"
			       "#define MT_NOTE_OPTIONAL \"\"\n#define MT_NOTE_CAPS 0\n", p->name,
			       p->requires ? p->requires : "");
	g_string_append_printf(text, "#define PROPS(P, c) P(c, at, \"at\", MT_PROP_ADDR, \"\", \"0x1000\", \"\", "
			       "MT_PROPF_REQUIRED, \"base\") P(c, size, \"size\", MT_PROP_SIZE, \"1M\", \"4K..1G\", "
			       "\"bytes\", 0, \"how much\")\n#define MT_NOTE_CLASSES(C) C(one, \"%s\", "
			       "MT_KIND_DEVICE, 0, \"a class\", \"mortise.char/1\", PROPS)\n", p->name);
	if (!p->no_note)
		g_string_append(text, "#include <mortise/note-emit.h>\n");
	g_string_append_printf(text, "%s\n#ifndef ENTRY_BODY\n#define ENTRY_BODY return &plugin;\n#endif\n"
			       "static const void *get_class(const char *n, const char *i) "
			       "{ (void)n; (void)i; return 0; }\n"
			       "static const struct mt_plugin plugin = { sizeof(plugin), 1, get_class };\n"
			       "const struct mt_plugin *mortise_plugin_entry(const struct mt_host *h, "
			       "struct mt_error *e) { (void)h; (void)e; (void)&plugin; ENTRY_BODY }\n",
			       p->code ? p->code : "");
	return g_string_free(text, FALSE);
}

char *build_file(const char *name, const void *bytes, size_t len)
{
	char *path = g_build_filename(build_dir(), name, NULL);

	ck_assert(g_file_set_contents(path, bytes, (gssize)len, NULL));
	return path;
}

static void build_compile(const char *source, const char *path, const char *flags)
{
	const char *cc = g_getenv("CC");
	char *command = g_strdup_printf("%s -w -shared -fPIC -fvisibility=hidden -Wl,-z,now -I%s/sdk %s -o %s %s",
					cc && *cc ? cc : "cc", TEST_SRCDIR, source, path, flags);

	ck_assert_msg(system(command) == 0, "failed: %s", command);
	g_free(command);
}

void build_corpus_plugin(const char *name)
{
	char *source = g_strdup_printf("%s/tests/ini/plugins/%s.c", TEST_SRCDIR, name);
	char *path = g_strdup_printf("%s/%s.so", build_dir(), name);

	build_compile(source, path, "-Wl,-z,defs");
	g_free(path);
	g_free(source);
}

char *build_plugin(const struct build_plugin *p)
{
	char *text = build_source(p), *file = g_strconcat(p->name, ".c", NULL);
	char *source = build_file(file, text, strlen(text));
	char *path = g_strdup_printf("%s/%s.so", build_dir(), p->name);

	build_compile(source, path, p->flags ? p->flags : "-Wl,-z,defs");
	g_free(source);
	g_free(file);
	g_free(text);
	return path;
}
