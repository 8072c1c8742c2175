// SPDX-License-Identifier: MIT
/*
 * Notes: what is read is what was written; and hostile files: every truncation, and bounded rounds of bit
 * flips and of words set to edge values, over the whole file and over the note alone. Run it under a sanitizer.
 */
#include <check.h>
#include <glib.h>
#include <string.h>

#include "kernel/load/elf.h"
#include "kernel/load/note-rules.h"
#include "kernel/load/note.h"
#include "kernel/config/test-build.h"

#define FLIP_ROUNDS 4000
#define NOTE_ROUNDS 20000
#define SEED 20240301u

static int rounds(int usual)
{
	return g_getenv("MORTISE_LONG") ? usual * 100 : usual;
}

static char *good_bytes(size_t *len)
{
	char *path = build_plugin(&(struct build_plugin) { .name = "test-good", .requires = "mortise.log/1 a.b/2" });
	char *bytes;

	ck_assert(g_file_get_contents(path, &bytes, len, NULL));
	g_free(path);
	return bytes;
}

START_TEST(note_says_what_was_written)
{
	struct mt_error err = { .size = sizeof(err) };
	size_t len;
	char *bytes = good_bytes(&len);
	struct note *note = note_read_bytes(bytes, len, &err);

	ck_assert_msg(note != NULL, "%s: %s", err.culprit, err.message);
	ck_assert_str_eq(note->name, "test-good");
	ck_assert_str_eq(note->version, "1.2");
	ck_assert_str_eq(note->vendor, "Acme");
	ck_assert_str_eq(note->requires_ids, "mortise.log/1 a.b/2");
	ck_assert_uint_eq(note->abi_major, MT_NOTE_FORMAT);
	ck_assert_uint_eq(note->class_count, 1);

	const struct note_class *cls = note_class_find(note, "test-good");

	ck_assert_ptr_nonnull(cls);
	ck_assert_str_eq(cls->roles, "mortise.char/1");
	ck_assert_uint_eq(cls->prop_count, 2);

	const struct note_prop *size = note_prop_find(cls, "size");

	ck_assert_str_eq(size->deflt, "1M");
	ck_assert_str_eq(size->range, "4K..1G");
	ck_assert_uint_eq(size->type, MT_PROP_SIZE);
	ck_assert_uint_eq(note_region_bytes(note_prop_find(cls, "at")), 0x1000);
	ck_assert_ptr_null(note_prop_find(cls, "siz"));
	note_free(note);
	g_free(bytes);
}
END_TEST

/* A condition that no accelerator of the file has is refused. The role put in is as long as the one it replaces. */
START_TEST(stand_in_needs_its_accelerator)
{
	static const char role[] = "mortise.char/1", other[] = "stands-in/x=yz";
	struct mt_error err = { .size = sizeof(err) };
	struct note_class cls = { .roles = "a/1 stands-in/irqchip=kernel|split b/1" };
	char prop[64], values[128];
	size_t len;
	char *bytes = good_bytes(&len), *at = memmem(bytes, len, role, sizeof(role));

	ck_assert_ptr_nonnull(at);
	memcpy(at, other, sizeof(other));
	ck_assert_ptr_null(note_read_bytes(bytes, len, &err));
	ck_assert_str_eq(err.culprit, "class roles");
	g_free(bytes);
	ck_assert(note_stands_in(&cls, prop, values));
	ck_assert_str_eq(prop, "irqchip");
	ck_assert_str_eq(values, "kernel|split");
	cls.roles = "it-stands-in/x=y";
	ck_assert(!note_stands_in(&cls, prop, values));
	cls.roles = "stands-in/";
	ck_assert(note_stands_in(&cls, prop, values));
	ck_assert(!*prop && !*values);
}
END_TEST

/* What a reader of the note may do with it: touch every string. */
static size_t use(const struct note *note)
{
	size_t sum = strlen(note->name) + strlen(note->version) + strlen(note->vendor) + strlen(note->summary);

	for (size_t i = 0; i < note->class_count; i++) {
		sum += strlen(note->classes[i].name) + strlen(note->classes[i].roles);
		for (size_t k = 0; k < note->classes[i].prop_count; k++)
			sum += strlen(note->classes[i].props[k].help) + strlen(note->classes[i].props[k].range);
	}
	return sum;
}

/* The bytes go into a block of their exact size, so that a sanitizer sees a read behind them. */
static void read_hostile(const char *bytes, size_t len)
{
	struct mt_error err = { .size = sizeof(err) };
	char *copy = g_memdup2(bytes, len);
	struct note *note = note_read_bytes(copy, len, &err);
	struct elf elf;

	if (note)
		ck_assert_uint_gt(use(note), 0);
	else
		ck_assert_msg(err.code < 0 && *err.message, "refused without a reason");
	note_free(note);
	if (!elf_attach(&elf, copy, len, NULL)) {
		const char *library, *version;

		elf_defines(&elf, "malloc");
		elf_has_version(&elf, "V_1");
		for (unsigned i = 0; i < 64 && elf_version_needed(&elf, i, &library, &version); i++)
			;
		for (unsigned i = 0; i < 64 && elf_needed(&elf, i); i++)
			;
		elf_runpath(&elf);
	}
	g_free(copy);
}

START_TEST(truncated_files_are_refused)
{
	size_t len;
	char *bytes = good_bytes(&len);

	for (size_t n = 0; n < len; n += n < 1024 ? 1 : 37)
		read_hostile(bytes, n);
	g_free(bytes);
}
END_TEST

static void spoil(GRand *rand, char *bytes, size_t len)
{
	static const uint64_t edges[] = {
		0, 1, 0x7f, 0xffff, 0x7fffffff, 0xffffffff, 0x100000000, UINT64_MAX, UINT64_MAX - 7, 1ull << 63,
	};
	size_t at = (size_t)g_rand_int_range(rand, 0, (gint32)len);
	uint64_t edge = edges[g_rand_int_range(rand, 0, G_N_ELEMENTS(edges))];

	if (g_rand_boolean(rand))
		bytes[at] ^= (char)(1 << g_rand_int_range(rand, 0, 8));
	else if (g_rand_boolean(rand))
		memcpy(bytes + (at & ~7ull), &edge, MIN(sizeof(edge), len - (at & ~7ull)));
	else
		memcpy(bytes + (at & ~3ull), &edge, MIN(4, len - (at & ~3ull)));
}

/* Most of a file is code: half of the damage goes to its first bytes and to the dynamic section. */
START_TEST(spoilt_files_do_no_harm)
{
	GRand *rand = g_rand_new_with_seed(SEED);
	size_t len;
	char *bytes = good_bytes(&len);
	struct elf elf;

	ck_assert_int_eq(elf_attach(&elf, bytes, len, NULL), 0);
	for (int i = 0; i < rounds(FLIP_ROUNDS); i++) {
		char *copy = g_memdup2(bytes, len);

		for (int n = g_rand_int_range(rand, 1, 5); n > 0; n--) {
			int where = g_rand_int_range(rand, 0, 3);

			if (where == 0)
				spoil(rand, copy, MIN(len, 0x400));
			else if (where == 1)
				spoil(rand, copy + elf.dyn_offset, MIN(len - elf.dyn_offset, elf.dyn_count * 16));
			else
				spoil(rand, copy, MIN(len, 0x2000));
		}
		read_hostile(copy, len);
		g_free(copy);
	}
	g_free(bytes);
	g_rand_free(rand);
}
END_TEST

START_TEST(spoilt_notes_do_no_harm)
{
	GRand *rand = g_rand_new_with_seed(SEED + 1);
	size_t len, desc_len;
	char *bytes = good_bytes(&len);
	struct elf elf;

	ck_assert_int_eq(elf_attach(&elf, bytes, len, NULL), 0);
	const void *desc = elf_note(&elf, MT_NOTE_OWNER, MT_NOTE_TYPE, &desc_len);

	ck_assert_ptr_nonnull(desc);
	for (int i = 0; i < rounds(NOTE_ROUNDS); i++) {
		struct mt_error err = { .size = sizeof(err) };
		size_t part = i % 3 ? desc_len : (size_t)g_rand_int_range(rand, 0, (gint32)desc_len);
		char *copy = g_memdup2(desc, MAX(part, 1));

		for (int n = part ? g_rand_int_range(rand, 1, 4) : 0; n > 0; n--)
			spoil(rand, copy, part);
		struct note *note = note_parse(copy, part, &err);

		g_free(copy);
		if (note)
			ck_assert_uint_gt(use(note), 0);
		else
			ck_assert_msg(err.code < 0 && *err.message, "refused without a reason");
		note_free(note);
	}
	g_free(bytes);
	g_rand_free(rand);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("note");
	TCase *tcase = tcase_create("note");
	SRunner *runner;

	build_dir();
	tcase_set_timeout(tcase, 3600);
	tcase_add_test(tcase, note_says_what_was_written);
	tcase_add_test(tcase, stand_in_needs_its_accelerator);
	tcase_add_test(tcase, truncated_files_are_refused);
	tcase_add_test(tcase, spoilt_files_do_no_harm);
	tcase_add_test(tcase, spoilt_notes_do_no_harm);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed != 0;
}
