// SPDX-License-Identifier: MIT
/*
 * The machine file: the scanner against iniparser over a corpus, values, layers, and a bounded fuzz over
 * mutated corpus files: whatever the bytes, no crash, and what is accepted is read alike by iniparser.
 */
#include <check.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if __has_include(<iniparser/iniparser.h>)
#include <iniparser/iniparser.h>
#else
#include <iniparser.h>
#endif

#include "kernel/load/check.h"
#include "kernel/config/ini.h"
#include "kernel/config/suggest.h"
#include "kernel/config/test-build.h"

#define FUZZ_ROUNDS 3000
#define FUZZ_SEED 20240229u

static int quiet(const char *format, ...)
{
	(void)format;
	return 0;
}

static dictionary *load_by_iniparser(const char *text, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	char path[64];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, len), (ssize_t)len);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	iniparser_set_error_callback(quiet);
	dictionary *dict = iniparser_load(path);

	close(fd);
	return dict;
}

static void compare_key(const struct ini_section *sec, const struct ini_key *key, dictionary *dict)
{
	char *name = g_strconcat(sec->kind, sec->id ? " " : "", sec->id ? sec->id : "", ":", key->name, NULL);

	ck_assert_msg(dict != NULL, "iniparser does not load what the scanner accepts");
	const char *value = iniparser_getstring(dict, name, NULL);

	ck_assert_msg(value && !strcmp(value, key->value), "[%s] scanner '%s' iniparser '%s'", name, key->value,
		      value ? value : "(none)");
	g_free(name);
}

/* Every key that the scanner gives for a text without faults is what iniparser gives. */
static void compare_text(const char *text, size_t len)
{
	struct diag *d = diag_create();
	struct ini_file *file = ini_scan("t", text, len, d);
	dictionary *dict = diag_errors(d) ? NULL : load_by_iniparser(text, len);

	for (unsigned i = 0; !diag_errors(d) && i < file->sections->len; i++) {
		const struct ini_section *sec = file->sections->pdata[i];

		for (unsigned k = 0; k < sec->keys->len; k++)
			compare_key(sec, sec->keys->pdata[k], dict);
	}
	if (dict)
		iniparser_freedict(dict);
	ini_free(file);
	diag_destroy(d);
}

static GPtrArray *corpus(const char *folder)
{
	GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
	char *dir_path = g_build_filename(TEST_SRCDIR, folder, NULL);
	GDir *dir = g_dir_open(dir_path, 0, NULL);
	const char *name;

	ck_assert_ptr_nonnull(dir);
	while ((name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".ini"))
			g_ptr_array_add(paths, g_build_filename(dir_path, name, NULL));
	g_dir_close(dir);
	g_free(dir_path);
	return paths;
}

START_TEST(scanner_and_iniparser_agree)
{
	static const char *const folders[] = { "tests/ini/good", "tests/ini/machines", "conf" };

	for (size_t f = 0; f < G_N_ELEMENTS(folders); f++) {
		GPtrArray *paths = corpus(folders[f]);

		for (unsigned i = 0; i < paths->len; i++) {
			struct diag *d = diag_create();
			char *text;
			size_t len;

			ck_assert(g_file_get_contents(paths->pdata[i], &text, &len, NULL));
			ini_free(ini_scan(paths->pdata[i], text, len, d));
			diag_print_text(d, stderr);
			ck_assert_uint_eq(diag_errors(d), 0);
			compare_text(text, len);
			diag_destroy(d);
			g_free(text);
		}
		g_ptr_array_unref(paths);
	}
}
END_TEST

/* Traps of iniparser, each a text that it takes and loses something of: the scanner must refuse them. */
START_TEST(scanner_refuses_what_iniparser_swallows)
{
	static const char *const texts[] = {
		"x = 1\n", "[a]\nk = 1\nk = 2\n", "[a]\nk = 1\n[a]\nl = 2\n", "[a]\nk = a#b\n", "[a]\nk = a;b\n",
		"[a]\nk = \"open\n", "[a]\nk = \"a\" b\n", "[a]\nk = \"a\\b\"\n", "[a]\nk = a \\\nb\n",
		"[A]\nk = 1\n", "[a]\nK = 1\n", "[a:b]\nk = 1\n", "[a \"b\"]\nk = 1\n", "[a]\n; c \\\nk = 1\n",
		"[a]\nk\n", "[a] ; c\nk = 1\n", "\xef\xbb\xbf[a]\nk = 1\n", "[a]\nk:l = 1\n", "[a]\nk = 'a'b'\n",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
		struct diag *d = diag_create();

		ini_free(ini_scan("t", texts[i], strlen(texts[i]), d));
		ck_assert_msg(diag_errors(d) > 0, "accepted: %s", texts[i]);
		diag_destroy(d);
	}
}
END_TEST

START_TEST(quoting_round_trips)
{
	static const char *const values[] = {
		"a", "a b", "a;b", "a#b", " a", "a ", "", "\"a\"", "'a'", "it's", "a\"b", "a\"b;", "a'b;", "a\\b", "\"",
		"''", "a\\", "=", "[x]", "%s",
	};

	for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
		char *form = ini_quote(values[i]);

		if (!form)
			continue;
		char *text = g_strdup_printf("[s]\nk = %s\n", form);
		dictionary *dict = load_by_iniparser(text, strlen(text));
		struct diag *d = diag_create();
		struct ini_file *file = ini_scan("t", text, strlen(text), d);
		const struct ini_section *sec = file->sections->pdata[0];

		ck_assert_msg(sec->keys->len == 1, "refused: %s", text);
		ck_assert_str_eq(((struct ini_key *)sec->keys->pdata[0])->value, values[i]);
		ck_assert_str_eq(iniparser_getstring(dict, "s:k", "(none)"), values[i]);
		iniparser_freedict(dict);
		ini_free(file);
		diag_destroy(d);
		g_free(text);
		g_free(form);
	}
	ck_assert_ptr_null(ini_quote("a\"b'c;"));
	ck_assert_ptr_null(ini_quote("a\\b;"));
}
END_TEST

/* Fuzz */

static void mutate(GRand *rand, GByteArray *bytes)
{
	static const char *const bits[] = {
		"[", "]", "=", "\"", "'", ";", "#", "\\", "\n", "\r\n", "${", "}", "${dir}", "include.1 = tiny.ini\n",
		"base = tiny\n", "[machine]\n", "plugin = ", ".1", "\xc3", "\0", "\t", ",", ":",
	};
	int count = g_rand_int_range(rand, 1, 6);

	for (int i = 0; i < count; i++) {
		guint at = bytes->len ? (guint)g_rand_int_range(rand, 0, (gint32)bytes->len) : 0;
		const char *bit = bits[g_rand_int_range(rand, 0, G_N_ELEMENTS(bits))];
		guint tail = bytes->len - at;

		switch (g_rand_int_range(rand, 0, 4)) {
		case 0:
			if (bytes->len)
				bytes->data[at] = (guint8)g_rand_int_range(rand, 0, 256);
			break;
		case 1:
			g_byte_array_set_size(bytes, at);
			break;
		case 2:
			if (tail > 1)
				g_byte_array_remove_range(bytes, at, (guint)g_rand_int_range(rand, 1, (gint32)MIN(tail, 40)));
			break;
		default: {
			guint len = MAX((guint)strlen(bit), 1);

			g_byte_array_set_size(bytes, bytes->len + len);
			memmove(bytes->data + at + len, bytes->data + at, tail);
			memcpy(bytes->data + at, bit, len);
		}
		}
	}
}

/* The whole way of a machine file, from bytes on disk to printed diagnostics. */
static void load_bytes(struct registry *reg, const char *path, const GByteArray *bytes)
{
	static const char *const dirs[] = { TEST_SRCDIR "/tests/ini/machines", NULL };
	static const char *const settings[] = { "cpu.count=2", "boot.append=${dir}", NULL };
	struct config_options options = { .machine_dirs = dirs, .settings = settings };
	struct diag *d = diag_create();
	char *text = NULL;
	size_t len;

	/* without the fsync of the plain call */
	ck_assert(g_file_set_contents_full(path, (const char *)bytes->data, (gssize)bytes->len,
					   G_FILE_SET_CONTENTS_NONE, 0600, NULL));
	struct config *cfg = config_load(path, &options, d);
	FILE *out = open_memstream(&text, &len);

	if (cfg) {
		check_run(cfg, reg, d);
		check_print_map(cfg, reg, out);
		config_print(cfg, true, out);
	}
	diag_print_text(d, out);
	diag_print_json(d, out);
	fclose(out);
	free(text);
	config_destroy(cfg);
	diag_destroy(d);
}

START_TEST(mutated_files_do_no_harm)
{
	GPtrArray *good = corpus("tests/ini/good"), *broken = corpus("tests/ini/broken");
	GRand *rand = g_rand_new_with_seed(FUZZ_SEED);
	char *dir = g_dir_make_tmp("mortise-ini-XXXXXX", NULL), *path = g_build_filename(dir, "m.ini", NULL);
	const char *plugin_dirs[] = { build_dir(), NULL };
	struct registry *reg = registry_create(plugin_dirs);
	int rounds = g_getenv("MORTISE_LONG") ? FUZZ_ROUNDS * 100 : FUZZ_ROUNDS;

	build_corpus_plugin("test-parts");
	for (int i = 0; i < rounds; i++) {
		GPtrArray *paths = i % 2 ? broken : good;
		GByteArray *bytes = g_byte_array_new();
		char *text;
		size_t len;

		ck_assert(g_file_get_contents(paths->pdata[g_rand_int_range(rand, 0, (gint32)paths->len)], &text, &len,
					      NULL));
		g_byte_array_append(bytes, (guint8 *)text, (guint)len);
		mutate(rand, bytes);
		compare_text((const char *)bytes->data, bytes->len);
		if (i % 4 == 0)
			load_bytes(reg, path, bytes);
		g_byte_array_unref(bytes);
		g_free(text);
	}
	unlink(path);
	rmdir(dir);
	g_free(path);
	g_free(dir);
	registry_destroy(reg);
	g_rand_free(rand);
	g_ptr_array_unref(good);
	g_ptr_array_unref(broken);
}
END_TEST

/* Values */

START_TEST(values_parse)
{
	struct value_fault fault;
	uint64_t n = 0, min, max;
	uint8_t mac[6];
	char id[64];
	bool b = false;

	ck_assert(value_parse_bool("on", &b, &fault) && b);
	ck_assert(!value_parse_bool("yes", &b, &fault));
	ck_assert(value_parse_int("18446744073709551615", &n, &fault) && n == UINT64_MAX);
	ck_assert(value_parse_int("0xFFFFFFFF80000000", &n, &fault) && n == 0xFFFFFFFF80000000u);
	ck_assert(!value_parse_int("18446744073709551616", &n, &fault));
	ck_assert(!value_parse_int("0x", &n, &fault) && !value_parse_int("", &n, &fault));
	ck_assert(!value_parse_int("+1", &n, &fault) && !value_parse_int(" 1", &n, &fault));
	ck_assert(!value_parse_int("12q", &n, &fault) && fault.at == 2 && fault.len == 1);
	ck_assert(value_parse_size("3G", &n, &fault) && n == 3ull << 30);
	ck_assert(!value_parse_size("16777216T", &n, &fault) && !value_parse_size("1KB", &n, &fault));
	ck_assert(value_parse_duration("3ms", &n, &fault) && n == 3000000);
	ck_assert(!value_parse_duration("3", &n, &fault) && !value_parse_duration("99999999999999s", &n, &fault));
	ck_assert(value_parse_mac("52:54:00:ab:CD:ef", mac, &fault) && mac[4] == 0xcd);
	ck_assert(!value_parse_mac("52:54:00:ab:cd", mac, &fault) && !value_parse_mac("", mac, &fault));
	ck_assert(value_parse_irq("plic:10", id, &n, &fault) && n == 10 && !strcmp(id, "plic"));
	ck_assert(!value_parse_irq("plic:", id, &n, &fault) && !value_parse_irq(":1", id, &n, &fault));
	ck_assert(value_parse_range("1..4", false, &min, &max) && min == 1 && max == 4);
	ck_assert(value_parse_range("4K..", true, &min, &max) && min == 4096 && max == UINT64_MAX);
	ck_assert(!value_parse_range("4..1", false, &min, &max) && !value_parse_range("4", false, &min, &max));
	ck_assert_int_eq(value_enum_index("a|bc|d", "bc"), 1);
	ck_assert_int_eq(value_enum_index("a|bc|d", "b"), -1);
	ck_assert_int_eq(value_enum_index("a|bc|d", ""), -1);
	ck_assert(value_word_in("x/1 y/1", "y/1") && !value_word_in("x/1 y/1", "y") && !value_word_in("", ""));
}
END_TEST

START_TEST(suggestions_are_near)
{
	struct suggest s;
	char buf[160];

	suggest_init(&s, "mcc");
	suggest_add(&s, "queues");
	suggest_add(&s, "mac");
	ck_assert_str_eq(suggest_hint(&s, buf), "did you mean 'mac'?");
	suggest_init(&s, "zzz");
	suggest_add(&s, "mac");
	ck_assert_ptr_null(suggest_hint(&s, buf));
}
END_TEST

/* Layers */

struct layers_fixture {
	char *dir, *file;
	struct diag *d;
	struct config *cfg;
};

static void put(const struct layers_fixture *f, const char *name, const char *text)
{
	char *path = g_build_filename(f->dir, name, NULL), *folder = g_path_get_dirname(path);

	g_mkdir_with_parents(folder, 0700);
	ck_assert(g_file_set_contents(path, text, -1, NULL));
	g_free(folder);
	g_free(path);
}

static const char *value_of(const struct layers_fixture *f, const char *id, const char *key)
{
	return section_get_text(config_section_find(f->cfg, id), key, NULL);
}

static void load(struct layers_fixture *f, const char *const *settings, const char *const *defines)
{
	const char *dirs[] = { f->dir, NULL };
	struct config_options options = { .machine_dirs = dirs, .settings = settings, .defines = defines };

	f->cfg = config_load(f->file, &options, f->d);
	diag_print_text(f->d, stderr);
	ck_assert_uint_eq(diag_errors(f->d), 0);
	ck_assert_ptr_nonnull(f->cfg);
}

START_TEST(layers_win_in_order)
{
	struct layers_fixture f = { .dir = g_dir_make_tmp("mortise-layers-XXXXXX", NULL), .d = diag_create() };
	const char *settings[] = { "a.k5=set", "cpu.count=9", "a.list=x,y", "sandbox.x-a=1", NULL };
	const char *defines[] = { "TREE=/src", NULL };

	f.file = g_build_filename(f.dir, "m.ini", NULL);
	put(&f, "shipped.ini", "[machine]\nschema = 1\n[device a]\nplugin = p\nk1 = base\nk2 = base\nk3 = base\n"
	    "k4 = base\nk5 = base\ngone = 1\nlist.1 = q\n[device b]\nplugin = p\n[device c]\nplugin = p\n");
	put(&f, "sub/one.inc", "[device a]\nk2 = one\nk3 = one\npath = file.img\n");
	put(&f, "two.inc", "[device a]\nk3 = two\n");
	put(&f, "m.ini", "[machine]\nbase = shipped\ninclude.2 = two.inc\ninclude.1 = sub/one.inc\n"
	    "[device a]\nk4 = file\nk5 = file\ngone =\ndir = ${dir}/x\ntree = ${TREE}/y\n[device b]\nplugin =\n");
	put(&f, "m.ini.d/20-b.ini", "[device a]\nk5 = twenty\n");
	put(&f, "m.ini.d/10-a.ini", "[device a]\nk5 = ten\n[device c]\nplugin =\n");
	put(&f, "m.ini.d/30-c.ini", "[device c]\nplugin = again\n");
	load(&f, settings, defines);
	ck_assert_str_eq(value_of(&f, "a", "k1"), "base");
	ck_assert_str_eq(value_of(&f, "a", "k2"), "one");
	ck_assert_str_eq(value_of(&f, "a", "k3"), "two");
	ck_assert_str_eq(value_of(&f, "a", "k4"), "file");
	ck_assert_str_eq(value_of(&f, "a", "k5"), "set");
	ck_assert_ptr_null(value_of(&f, "a", "gone"));
	ck_assert_ptr_null(config_section_find(f.cfg, "b"));
	ck_assert_str_eq(value_of(&f, "c", "plugin"), "again");
	ck_assert_str_eq(value_of(&f, "cpu", "count"), "9");
	ck_assert_str_eq(value_of(&f, "a", "tree"), "/src/y");

	char *expected = g_build_filename(f.dir, "sub", "file.img", NULL);
	char *path = key_path(section_get(config_section_find(f.cfg, "a"), "path"));
	GPtrArray *list = section_get_list(config_section_find(f.cfg, "a"), "list");

	ck_assert_str_eq(path, expected);
	ck_assert_uint_eq(list->len, 2);
	ck_assert_str_eq(((struct config_item *)list->pdata[1])->text, "y");
	g_ptr_array_unref(list);
	g_free(path);
	g_free(expected);
	char *command = g_strdup_printf("rm -r '%s'", f.dir);

	ck_assert_int_eq(system(command), 0);
	g_free(command);
	config_destroy(f.cfg);
	diag_destroy(f.d);
	g_free(f.file);
	g_free(f.dir);
}
END_TEST

START_TEST(layers_deep_and_wide)
{
	struct layers_fixture f = { .dir = g_dir_make_tmp("mortise-layers-XXXXXX", NULL), .d = diag_create() };
	const char *dirs[] = { f.dir, NULL };
	struct config_options options = { .machine_dirs = dirs };

	for (int i = 0; i < 12; i++) {
		char *name = g_strdup_printf("f%d.ini", i);
		char *text = g_strdup_printf("[machine]\ninclude.1 = f%d.ini\n", i + 1);

		put(&f, name, text);
		g_free(text);
		g_free(name);
	}
	f.file = g_build_filename(f.dir, "f0.ini", NULL);
	f.cfg = config_load(f.file, &options, f.d);
	ck_assert_uint_eq(diag_errors(f.d), 1);
	config_destroy(f.cfg);
	char *command = g_strdup_printf("rm -r '%s'", f.dir);

	ck_assert_int_eq(system(command), 0);
	g_free(command);
	diag_destroy(f.d);
	g_free(f.file);
	g_free(f.dir);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ini");
	TCase *tcase = tcase_create("ini");
	SRunner *runner;

	build_dir();
	tcase_set_timeout(tcase, 3600);
	tcase_add_test(tcase, scanner_and_iniparser_agree);
	tcase_add_test(tcase, scanner_refuses_what_iniparser_swallows);
	tcase_add_test(tcase, quoting_round_trips);
	tcase_add_test(tcase, mutated_files_do_no_harm);
	tcase_add_test(tcase, values_parse);
	tcase_add_test(tcase, suggestions_are_near);
	tcase_add_test(tcase, layers_win_in_order);
	tcase_add_test(tcase, layers_deep_and_wide);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed != 0;
}
