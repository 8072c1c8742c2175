// SPDX-License-Identifier: MIT
/*
 * The gate: a good plugin loads, once; each kind of bad file is refused with its name, the field, what was
 * wanted and offered, and a remedy; and the process lives, whatever a constructor does.
 */
#include <check.h>
#include <elf.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/load/loader.h"
#include "kernel/config/test-build.h"

/* libltdl cannot free what it held when a constructor crashed in the midst of it. */
const char *__lsan_default_suppressions(void) __attribute__((visibility("default")));
const char *__lsan_default_suppressions(void)
{
	return "leak:lt__malloc\n";
}

static const void *no_interface(const struct mt_host *host, const char *id)
{
	(void)host;
	(void)id;
	return NULL;
}

static const struct mt_host host = { sizeof(host), MT_ABI_MAJOR, "test", no_interface };
static const char *const offered[] = { "mortise.log/1", "mortise.mmio/1", NULL };

struct gate {
	struct registry *reg;
	struct loader *loader;
	struct mt_error err;
};

static void gate_open(struct gate *g)
{
	const char *dirs[] = { build_dir(), NULL };

	*g = (struct gate) { .reg = registry_create(dirs), .loader = loader_create(&host) };
	g->err.size = sizeof(g->err);
	loader_set_interfaces(g->loader, offered);
}

static void gate_close(struct gate *g)
{
	loader_destroy(g->loader);
	registry_destroy(g->reg);
}

static const struct mt_plugin *gate_load(struct gate *g, const char *name)
{
	const struct registry_class *found = registry_find(g->reg, name, &g->err);

	return found ? loader_load(g->loader, found->entry, &g->err) : NULL;
}

/* Refused, with the file's name, this field, these words, and some remedy. */
static void expect_refused(const char *name, const char *field, const char *words)
{
	struct gate g;

	gate_open(&g);
	ck_assert_ptr_null(gate_load(&g, name));
	ck_assert_msg(g.err.code < 0, "no code");
	ck_assert_msg(strstr(g.err.message, name) != NULL, "no file in '%s'", g.err.message);
	ck_assert_msg(strstr(g.err.message, field) != NULL, "no '%s' in '%s'", field, g.err.message);
	ck_assert_msg(strstr(g.err.message, words) != NULL, "no '%s' in '%s'", words, g.err.message);
	gate_close(&g);
}

static void expect_build_refused(const struct build_plugin *p, const char *field, const char *words)
{
	g_free(build_plugin(p));
	expect_refused(p->name, field, words);
}

START_TEST(good_plugins_load_once)
{
	const struct build_plugin p = {
		.name = "test-ok", .requires = "mortise.log/1",
		.code = "static int calls;\n#define ENTRY_BODY return calls++ ? 0 : &plugin;",
	};
	struct gate one, two;

	g_free(build_plugin(&p));
	gate_open(&one);
	gate_open(&two);
	const struct mt_plugin *plugin = gate_load(&one, "test-ok");

	ck_assert_msg(plugin != NULL, "%s", one.err.message);
	ck_assert_ptr_eq(plugin, gate_load(&two, "test-ok"));
	gate_close(&one);
	gate_close(&two);
}
END_TEST

/* What other compilers and packagers do to a file. */
START_TEST(good_plugins_of_other_builds)
{
	static const struct build_plugin plugins[] = {
		{ .name = "test-sysv", .flags = "-Wl,-z,defs -Wl,--hash-style=sysv" },
		{ .name = "test-both", .flags = "-Wl,-z,defs -Wl,--hash-style=both" },
		{ .name = "test-stripped", .flags = "-Wl,-z,defs -s" },
		{ .name = "test-gc", .flags = "-Wl,-z,defs -ffunction-sections -fdata-sections -Wl,--gc-sections" },
		{ .name = "test-o2", .flags = "-Wl,-z,defs -O2 -flto -Wl,--build-id" },
		{ .name = "test-libs", .flags = "-Wl,-z,defs -lm -lpthread",
		  .code = "#include <math.h>\n#include <stdio.h>\n#define ENTRY_BODY if (sin(h->size) > 2) "
			  "printf(\"%g\", pow(h->size, h->size)); return &plugin;" },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(plugins); i++) {
		struct gate g;

		g_free(build_plugin(&plugins[i]));
		gate_open(&g);
		ck_assert_msg(gate_load(&g, plugins[i].name) != NULL, "%s", g.err.message);
		gate_close(&g);
	}
}
END_TEST

START_TEST(files_that_are_no_plugins)
{
	size_t len;
	char *path = build_plugin(&(struct build_plugin) { .name = "test-whole" }), *bytes;

	ck_assert(g_file_get_contents(path, &bytes, &len, NULL));
	g_free(path);
	g_free(build_file("test-text.so", "#!/bin/sh\n", 10));
	expect_refused("test-text", "magic", "not an ELF file");
	g_free(build_file("test-empty.so", "", 0));
	expect_refused("test-empty", "file", "not an ELF file");
	g_free(build_file("test-short.so", bytes, 40));
	expect_refused("test-short", "e_ident", "truncated");
	g_free(build_file("test-cut.so", bytes, len / 4));
	expect_refused("test-cut", "p_filesz", "truncated: wanted bytes");
	((Elf64_Ehdr *)bytes)->e_machine = EM_S390;
	g_free(build_file("test-alien.so", bytes, len));
	expect_refused("test-alien", "e_machine", "offered machine 22");
	((Elf64_Ehdr *)bytes)->e_ident[EI_CLASS] = ELFCLASS32;
	g_free(build_file("test-narrow.so", bytes, len));
	expect_refused("test-narrow", "EI_CLASS", "wanted a 64-bit object");
	g_free(bytes);
	expect_build_refused(&(struct build_plugin) { .name = "test-library", .no_note = 1 }, ".note.mortise",
			     "not a mortise plugin");
}
END_TEST

START_TEST(plugins_of_another_kind)
{
	expect_build_refused(&(struct build_plugin) { .name = "test-abi", .abi_major = 7 }, "abi_major",
			     "wanted plugin ABI 1, offered 7");
	expect_build_refused(&(struct build_plugin) { .name = "test-needy", .requires = "mortise.log/1 acme.x/1" },
			     "required interfaces", "wanted 'acme.x/1', offered none");
	expect_build_refused(&(struct build_plugin) { .name = "test-newer", .requires = "mortise.mmio/9" },
			     "required interfaces", "wanted 'mortise.mmio/9', offered mortise.mmio/1");
	expect_build_refused(&(struct build_plugin) { .name = "test-lazy", .flags = "-Wl,-z,lazy" }, "DF_1_NOW",
			     "offered lazy binding");
	expect_build_refused(&(struct build_plugin) {
		.name = "test-open", .code = "MT_EXPORT int acme_helper(void) { return 1; }" }, "exported symbols",
		"offered 'acme_helper' too");
	expect_build_refused(&(struct build_plugin) {
		.name = "test-undefined", .flags = "",
		.code = "extern int acme_missing(void);\n#define ENTRY_BODY return acme_missing() ? &plugin : 0;" },
		"undefined symbol", "wanted symbol 'acme_missing'");
}
END_TEST

START_TEST(plugins_without_their_library)
{
	const struct build_plugin lib = { .name = "libacme", .code = "MT_EXPORT int acme_do(void) { return 1; }" };
	char *path = build_plugin(&lib), *flags = g_strdup_printf("-L%s -lacme -Wl,-z,defs", build_dir());
	const struct build_plugin user = {
		.name = "test-user", .flags = flags,
		.code = "extern int acme_do(void);\n#define ENTRY_BODY return acme_do() ? &plugin : 0;",
	};
	char *origin = g_strdup_printf("%s -Wl,-rpath,'$ORIGIN'", flags);
	struct build_plugin found = user;
	struct gate g;

	found.name = "test-user-found";
	found.flags = origin;
	expect_build_refused(&user, "DT_NEEDED", "wanted the library libacme.so");
	g_free(build_plugin(&found));
	gate_open(&g);
	ck_assert_msg(gate_load(&g, "test-user-found") != NULL, "%s", g.err.message);
	gate_close(&g);
	g_free(origin);
	g_free(flags);
	g_free(path);
}
END_TEST

START_TEST(entries_that_say_no)
{
	expect_build_refused(&(struct build_plugin) {
		.name = "test-no", .code = "#define ENTRY_BODY if (e) { e->code = MT_EHOST; __builtin_strcpy(e->message, "
		"\"no licence\"); } return 0;" }, "test-no", "no licence");
	expect_build_refused(&(struct build_plugin) { .name = "test-mute", .code = "#define ENTRY_BODY return 0;" },
			     "test-mute", "gives no reason");
	expect_build_refused(&(struct build_plugin) {
		.name = "test-major", .code = "static const struct mt_plugin other = { sizeof(other), 3, 0 };\n"
		"#define ENTRY_BODY return &other;" }, "mt_plugin.abi_major", "wanted 1, offered 3");
	expect_build_refused(&(struct build_plugin) {
		.name = "test-small", .code = "static const struct mt_plugin other = { 4, 1, 0 };\n"
		"#define ENTRY_BODY return &other;" }, "mt_plugin.size", "offered 4");
}
END_TEST

/* A crash of the dynamic linker's caller leaves it in an unknown state: nothing is loaded after it. */
static void expect_crash(const char *name, const char *statement, const char *words)
{
	char *code = g_strdup_printf("#include <stdlib.h>\n#include <signal.h>\n"
				     "__attribute__((constructor)) static void boom(void) { %s }", statement);
	struct gate g;

	expect_build_refused(&(struct build_plugin) { .name = name, .code = code }, "constructor", words);
	g_free(build_plugin(&(struct build_plugin) { .name = "test-after" }));
	gate_open(&g);
	ck_assert_ptr_null(gate_load(&g, "test-after"));
	ck_assert_ptr_nonnull(strstr(g.err.message, name));
	gate_close(&g);
	g_free(code);
}

START_TEST(constructors_that_crash)
{
	expect_crash("test-segv", "*(volatile int *)8 = 1;", "signal 11");
}
END_TEST

START_TEST(constructors_that_abort)
{
	expect_crash("test-abort", "abort();", "signal 6");
}
END_TEST

START_TEST(constructors_that_eat_the_stack)
{
	expect_crash("test-deep", "volatile char room[4096]; room[0] = 1; boom(); room[1] = 2;", "signal 11");
}
END_TEST

/* The refusal goes to standard error, because the plugin left us no other way to go on. */
START_TEST(constructors_that_exit)
{
	int pipe_fds[2], status = 0;
	char text[512] = "";

	g_free(build_plugin(&(struct build_plugin) {
		.name = "test-exit", .code = "#include <stdlib.h>\n"
		"__attribute__((constructor)) static void leave(void) { exit(0); }" }));
	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid_t child = fork();

	if (child == 0) {
		struct gate g;

		dup2(pipe_fds[1], STDERR_FILENO);
		gate_open(&g);
		gate_load(&g, "test-exit");
		_exit(77);
	}
	close(pipe_fds[1]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_gt(read(pipe_fds[0], text, sizeof(text) - 1), 0);
	ck_assert_ptr_nonnull(strstr(text, "test-exit.so: called exit"));
	ck_assert_int_eq(WEXITSTATUS(status), 2);
	close(pipe_fds[0]);
}
END_TEST

START_TEST(registry_finds_and_suggests)
{
	struct gate g;

	g_free(build_plugin(&(struct build_plugin) { .name = "test-findme" }));
	char *path = build_plugin(&(struct build_plugin) { .name = "test-inside" });
	char *other = g_strdup_printf("%s/test-renamed.so", build_dir());

	ck_assert_int_eq(rename(path, other), 0);
	gate_open(&g);
	ck_assert_ptr_nonnull(registry_find(g.reg, "test-findme", NULL));
	ck_assert_ptr_nonnull(registry_find(g.reg, "test-inside", NULL));
	ck_assert_ptr_null(registry_find(g.reg, "test-fnidme", &g.err));
	ck_assert_str_eq(g.err.hint, "did you mean 'test-findme'?");
	ck_assert_int_eq(g.err.code, MT_ENOENT);
	ck_assert_ptr_null(registry_find(g.reg, "../test-findme", &g.err));
	ck_assert_ptr_null(registry_find(g.reg, "zzzzzz", &g.err));
	ck_assert_str_eq(g.err.hint, "the package mortise-plugin-zzzzzz may have it");
	gate_close(&g);
	g_free(other);
	g_free(path);
}
END_TEST

/* A file that comes after the one asked for may be as bad as it likes, until it is asked for. */
START_TEST(registry_reads_file_by_file)
{
	char *first = build_plugin(&(struct build_plugin) { .name = "a-test-first" });
	char *bad = g_strdup_printf("%s/a-test-second.so", build_dir());
	const struct registry_entry *entry;
	unsigned n = 0, found = 0;
	struct gate g;

	gate_open(&g);
	entry = registry_nth(g.reg, 0);
	ck_assert_str_eq(entry->path, first);
	ck_assert_ptr_nonnull(entry->note);
	ck_assert(g_file_set_contents(bad, "no ELF", -1, NULL));
	ck_assert_ptr_eq(registry_nth(g.reg, 0), entry);
	gate_close(&g);
	gate_open(&g);
	while ((entry = registry_nth(g.reg, n))) {
		found += !strcmp(entry->path, bad) && !entry->note;
		n++;
	}
	ck_assert_uint_eq(found, 1);
	ck_assert_uint_eq(registry_all(g.reg)->len, n);
	gate_close(&g);
	ck_assert_int_eq(unlink(bad), 0);
	g_free(bad);
	g_free(first);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("loader");
	TCase *tcase = tcase_create("loader");
	SRunner *runner;

	build_dir();
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, good_plugins_load_once);
	tcase_add_test(tcase, good_plugins_of_other_builds);
	tcase_add_test(tcase, files_that_are_no_plugins);
	tcase_add_test(tcase, plugins_of_another_kind);
	tcase_add_test(tcase, plugins_without_their_library);
	tcase_add_test(tcase, entries_that_say_no);
	tcase_add_test(tcase, constructors_that_crash);
	tcase_add_test(tcase, constructors_that_abort);
	tcase_add_test(tcase, constructors_that_eat_the_stack);
	tcase_add_test(tcase, constructors_that_exit);
	tcase_add_test(tcase, registry_finds_and_suggests);
	tcase_add_test(tcase, registry_reads_file_by_file);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	/* Each test in a process of its own: loaded files stay, and a crash spoils the process for loading. */
	srunner_set_fork_status(runner, CK_FORK);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed != 0;
}
