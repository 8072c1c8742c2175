/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of machines that run, with an accelerator that logs writes: what was copied before the pause,
 * what is copied again in it, and what happens when the log fails. Over fake classes, which have a state of
 * one field.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <mortise/draft/cpu-dirty.h>
#include <mortise/draft/state.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/dma.h"
#include "kernel/machine/space.h"
#include "kernel/machine/test-fake.h"
#include "kernel/state/manifest.h"
#include "kernel/state/state.h"

#define BOARD "[machine]\nschema = 1\narch = x\n[cpu]\nplugin = fake-cpu\n[memory ram]\nat = 0\nsize = 1M\n"
#define PAGE  4096u

static struct machine *m;
static struct mt_ram *ram;
static char *folder, *path;
static uint32_t begun, ended, collected;
static int log_code, collect_code;

static int field_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	uint32_t one = 1;

	(void)self, (void)err;
	w->put(out, "one", MT_STATE_U32, 0, &one, 1);
	return 0;
}

static int field_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		      struct mt_error *err)
{
	(void)self, (void)in, (void)r, (void)version, (void)err;
	return 0;
}

static const struct mt_state_class state_class = {
	.schema = "fake", .version = 1, .version_min = 1, .save = field_save, .load = field_load,
};

static int log_writes(void *self, uint32_t on)
{
	(void)self;
	*(on ? &begun : &ended) += 1;
	return on ? log_code : 0;
}

/*
 * What three writers did after the copy: a vCPU, which only the log knows; a device, which marks; and one
 * whose write nobody tells of, so that a copy of the whole RAM would show.
 */
static int collect(void *self)
{
	(void)self;
	ck_assert_uint_eq(m->state, INST_QUIESCED);
	collected++;
	ram->hva[PAGE] = 'X';
	__atomic_fetch_or(&ram->dirty[MT_DIRTY_MIGRATION][0], 2, __ATOMIC_RELAXED);
	ram->hva[200 * PAGE] = 'Y';
	ram_mark_dirty(ram, 200 * PAGE, 1);
	ram->hva[2 * PAGE] = 'Z';
	return collect_code;
}

static const struct mt_cpu_dirty dirty_role = { log_writes, collect };

static const void *role(const char *class_name, const char *id)
{
	if (!strcmp(id, MT_IFACE_STATE) || !strcmp(id, MT_IFACE_CPU_STATE))
		return &state_class;
	return !strcmp(class_name, "fake-cpu") && !strcmp(id, MT_IFACE_CPU_DIRTY) ? &dirty_role : NULL;
}

static void setup(void)
{
	fake_setup();
	fake_role = role;
	begun = ended = collected = 0;
	log_code = collect_code = 0;
	folder = g_dir_make_tmp("mortise-early.XXXXXX", NULL);
	path = g_build_filename(folder, "snapshot", NULL);
	m = fake_ready(BOARD);
	ram = g_array_index(m->memory, struct machine_memory, 0).ram;
	ram->hva[PAGE] = 'a';
	ram->hva[2 * PAGE] = 'b';
}

static void teardown(void)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *file = g_build_filename(path, name, NULL);

		g_unlink(file);
		g_free(file);
	}
	if (dir)
		g_dir_close(dir);
	g_rmdir(path);
	ck_assert_int_eq(g_rmdir(folder), 0);
	g_free(path);
	g_free(folder);
	machine_destroy(m);
	fake_role = NULL;
	fake_teardown();
}

/* The first byte of a page as the snapshot has it. */
static int saved(uint32_t page)
{
	char *name = manifest_memory_file("ram"), *file = g_build_filename(path, name, NULL);
	int fd = open(file, O_RDONLY);
	uint8_t byte = 0;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)page * PAGE), 1);
	close(fd);
	g_free(file);
	g_free(name);
	return byte;
}

START_TEST(what_was_written_meanwhile_is_copied_again)
{
	struct mt_error err = { .size = sizeof(err) };

	machine_start(m);
	ck_assert_msg(machine_snapshot(m, path, &err) == 0, "%s", err.message);
	ck_assert_uint_eq(m->state, INST_RUNNING);
	ck_assert(begun == 1 && collected == 1 && ended == 1);
	ck_assert_int_eq(saved(1), 'X');
	ck_assert_int_eq(saved(200), 'Y');
	ck_assert_int_eq(saved(2), 'b');
	machine_pause(m);
}
END_TEST

/* Bits of the last time are none of this time. */
START_TEST(twice)
{
	struct mt_error err = { .size = sizeof(err) };
	char *other = g_strconcat(path, "-first", NULL);

	machine_start(m);
	ck_assert_int_eq(machine_snapshot(m, path, &err), 0);
	ck_assert_uint_ne(ram->dirty[MT_DIRTY_MIGRATION][200 / 64], 0);
	ck_assert_int_eq(g_rename(path, other), 0);
	collect_code = MT_EHOST;
	ck_assert_int_eq(machine_snapshot(m, path, &err), MT_EHOST);
	machine_pause(m);
	/* for teardown */
	ck_assert_int_eq(g_rename(other, path), 0);
	g_free(other);
	ck_assert_int_eq(saved(200), 'Y');
}
END_TEST

START_TEST(a_machine_that_stands_is_copied_once)
{
	struct mt_error err = { .size = sizeof(err) };

	machine_start(m);
	machine_pause(m);
	ck_assert_int_eq(machine_snapshot(m, path, &err), 0);
	ck_assert(begun == 0 && collected == 0 && ended == 0);
	ck_assert_int_eq(saved(2), 'b');
}
END_TEST

/* No log: everything in the pause, as without the role. */
START_TEST(without_a_log)
{
	struct mt_error err = { .size = sizeof(err) };

	log_code = MT_EHOST;
	machine_start(m);
	ck_assert_int_eq(machine_snapshot(m, path, &err), 0);
	ck_assert(begun == 1 && collected == 0 && ended == 0);
	ck_assert_int_eq(saved(1), 'a');
	machine_pause(m);
}
END_TEST

/* What nobody can tell is not guessed: the guest goes on, and there is no snapshot. */
START_TEST(a_log_that_is_lost)
{
	struct mt_error err = { .size = sizeof(err) };

	collect_code = MT_EHOST;
	machine_start(m);
	ck_assert_int_eq(machine_snapshot(m, path, &err), MT_EHOST);
	ck_assert_ptr_nonnull(strstr(err.message, "is not known"));
	ck_assert_uint_eq(m->state, INST_RUNNING);
	ck_assert_uint_eq(ended, 1);
	ck_assert(!g_file_test(path, G_FILE_TEST_EXISTS));
	machine_pause(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("early");
	TCase *tc = tcase_create("early");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_written_meanwhile_is_copied_again);
	tcase_add_test(tc, twice);
	tcase_add_test(tc, a_machine_that_stands_is_copied_once);
	tcase_add_test(tc, without_a_log);
	tcase_add_test(tc, a_log_that_is_lost);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
