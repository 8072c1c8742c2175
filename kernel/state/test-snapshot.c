/* SPDX-License-Identifier: MIT */
/*
 * Snapshots of machines made of the plugins just built. The guest is a loop of one instruction: what is looked at is
 * that all classes save, load into a fresh machine and save again the same bytes; that what cannot be saved is refused
 * before anything happens; and that a failure leaves nothing.
 */
#include <check.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/load/check.h"
#include "kernel/machine/space.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/dir.h"
#include "kernel/state/file.h"
#include "kernel/state/manifest.h"
#include "kernel/state/state.h"

static char *folder;
static struct registry *registry;
static struct mt_error err;

static char *in_folder(const char *name)
{
	return g_build_filename(folder, name, NULL);
}

static void file_make(const char *name, const void *bytes, size_t len_bytes, uint64_t size)
{
	char *path = in_folder(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, len_bytes), (ssize_t)len_bytes);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	close(fd);
	g_free(path);
}

static void setup(void)
{
	static const uint8_t loop[] = { 0x6f, 0x00, 0x00, 0x00 };     /* j . */
	char *plugins = g_build_filename(TEST_BUILDDIR, "plugins", "*", ".libs", NULL);
	const char *dirs[] = { plugins, NULL };

	folder = g_dir_make_tmp("mortise-snapshot.XXXXXX", NULL);
	ck_assert_ptr_nonnull(folder);
	registry = registry_create(dirs);
	g_free(plugins);
	file_make("firmware", loop, sizeof(loop), sizeof(loop));
	file_make("disk", "disk", 4, 1 << 20);
	err = (struct mt_error){ .size = sizeof(err) };
}

static void remove_all(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *inner = g_build_filename(path, name, NULL);

		remove_all(inner);
		g_free(inner);
	}
	if (dir)
		g_dir_close(dir);
	g_remove(path);
}

static void teardown(void)
{
	registry_destroy(registry);
	remove_all(folder);
	g_free(folder);
}

static const char board[] =
	"[machine]\nschema = 1\narch = riscv64\n"
	"[cpu]\nplugin = cpu-tcg\ncount = 2\ncode-cache = 1M\n"
	"[memory ram]\nat = 0x80000000\nsize = 16M\n"
	"[memory shared]\nat = 0x90000000\nsize = 1M\nshare = on\n"
	"[boot]\nplugin = dev-boot-riscv\nfirmware = firmware\n"
	"[device aclint]\nplugin = dev-riscv-aclint\nat = 0x02000000\n"
	"[device plic]\nplugin = dev-riscv-plic\nat = 0x0c000000\n"
	"[device power]\nplugin = dev-syscon-test\nat = 0x00100000\n"
	"[device rtc]\nplugin = dev-rtc-goldfish\nat = 0x00101000\nirq = plic:11\n"
	"[device con0]\nplugin = dev-char-file\noutput = output\n"
	"[device uart0]\nplugin = dev-uart16550\nat = 0x10000000\nirq = plic:10\nchar = con0\n"
	"[device bus1]\nplugin = dev-virtio-mmio\nat = 0x10001000\nirq = plic:1\n"
	"[device bus2]\nplugin = dev-virtio-mmio\nat = 0x10002000\nirq = plic:2\n"
	"[device bus3]\nplugin = dev-virtio-mmio\nat = 0x10003000\nirq = plic:3\n"
	"[block disk]\nplugin = block-raw\nfile = disk\n"
	"[device vda]\nplugin = dev-virtio-blk\nbus = bus1\nblock = disk\n"
	"[device rng]\nplugin = dev-virtio-rng\nbus = bus2\n"
	"[device con1]\nplugin = dev-char-socket\npath = socket\n"
	"[device hvc0]\nplugin = dev-virtio-console\nbus = bus3\nchar = con1\n"
	"[device pci]\nplugin = dev-pci-host\nat = 0x30000000\nmem32 = 0x40000000\nmem64 = 0x4000000000\n"
	"irq = plic:32, plic:33, plic:34, plic:35\n"
	"[device slot1]\nplugin = dev-virtio-pci\nbus = pci\n"
	"[device slot2]\nplugin = dev-virtio-pci\nbus = pci\n"
	"[device rng1]\nplugin = dev-virtio-rng\nbus = slot1\n"
	"[monitor]\nsocket = control\nviewer = eyes\ngdb = unix:debugger\n";

/* A machine and its file. */
struct run {
	struct config *config;
	struct machine *m;
	struct snapshot *snap;
};

static struct config *config_of(const char *path, const char *const *settings)
{
	struct config_options options = { .settings = settings };
	struct diag *d = diag_create();
	struct config *config = config_load(path, &options, d);

	ck_assert_ptr_nonnull(config);
	check_run(config, registry, d);
	diag_print_text(d, stderr);
	ck_assert_int_eq(diag_exit_code(d), 0);
	diag_destroy(d);
	return config;
}

static struct run start(const char *text)
{
	char *path = in_folder("machine.ini");
	struct run run = { 0 };

	ck_assert(g_file_set_contents(path, text, -1, NULL));
	run.config = config_of(path, NULL);
	run.m = machine_create(run.config, registry, &err);
	ck_assert_msg(run.m != NULL, "%s", err.message);
	ck_assert_msg(machine_realize(run.m, &err) == 0, "%s", err.message);
	ck_assert_msg(machine_reset(run.m, MT_RESET_COLD, &err) == 0, "%s", err.message);
	machine_start(run.m);
	g_usleep(30000);
	g_free(path);
	return run;
}

/* Up to a negative code of bind, realize or load. */
static int restore(struct run *run, const char *name, const char *const *settings)
{
	char *path = in_folder(name);
	int code;

	*run = (struct run){ 0 };
	run->snap = snapshot_open(path, &err);
	g_free(path);
	if (!run->snap)
		return err.code;
	run->config = config_of(snapshot_machine_file(run->snap), settings);
	run->m = machine_create(run->config, registry, &err);
	ck_assert_msg(run->m != NULL, "%s", err.message);
	code = snapshot_bind(run->snap, run->m, &err);
	if (code == 0)
		code = machine_realize(run->m, &err);
	return code == 0 ? snapshot_load(run->snap, run->m, &err) : code;
}

static void stop(struct run *run)
{
	machine_destroy(run->m);
	config_destroy(run->config);
	snapshot_close(run->snap);
}

static int snapshot(struct run *run, const char *name)
{
	char *path = in_folder(name);
	int code = machine_snapshot(run->m, path, &err);

	g_free(path);
	return code;
}

static uint8_t *ram_at(struct run *run, unsigned memory, uint64_t offset)
{
	return g_array_index(run->m->memory, struct machine_memory, memory).ram->hva + offset;
}

/* Every file of a snapshot is the same in another. */
static void expect_same(const char *a, const char *b)
{
	char *path = in_folder(a), *other = in_folder(b);
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;
	unsigned count = 0;

	while ((name = g_dir_read_name(dir))) {
		char *x = g_build_filename(path, name, NULL), *y = g_build_filename(other, name, NULL);
		char *p, *q;
		gsize m, n;

		ck_assert(g_file_get_contents(x, &p, &m, NULL));
		ck_assert_msg(g_file_get_contents(y, &q, &n, NULL), "%s", y);
		ck_assert_msg(m == n && !memcmp(p, q, n), "%s differs", name);
		g_free(p), g_free(q), g_free(x), g_free(y);
		count++;
	}
	g_dir_close(dir);
	ck_assert_uint_gt(count, 20);
	g_free(path), g_free(other);
}

START_TEST(saved_loaded_and_saved_again_the_same)
{
	struct run run = start(board), again;

	memcpy(ram_at(&run, 0, 0x800000), "private", 8);
	memcpy(ram_at(&run, 1, 0x1000), "shared", 7);
	ck_assert_msg(snapshot(&run, "one") == 0, "%s", err.message);
	ck_assert_int_eq(run.m->state, INST_RUNNING);
	stop(&run);
	ck_assert_msg(restore(&again, "one", NULL) == 0, "%s", err.message);
	ck_assert_str_eq((char *)ram_at(&again, 0, 0x800000), "private");
	ck_assert_str_eq((char *)ram_at(&again, 1, 0x1000), "shared");
	ck_assert_msg(snapshot(&again, "two") == 0, "%s", err.message);
	expect_same("one", "two");
	/* it runs, and can be saved from there; the file is not written */
	machine_start(again.m);
	memcpy(ram_at(&again, 0, 0x800000), "changed", 8);
	g_usleep(30000);
	ck_assert_msg(snapshot(&again, "three") == 0, "%s", err.message);
	stop(&again);
	ck_assert_msg(restore(&again, "one", NULL) == 0, "%s", err.message);
	ck_assert_str_eq((char *)ram_at(&again, 0, 0x800000), "private");
	stop(&again);
	ck_assert_msg(restore(&again, "three", NULL) == 0, "%s", err.message);
	ck_assert_str_eq((char *)ram_at(&again, 0, 0x800000), "changed");
	stop(&again);
}
END_TEST

/* Pages of the first two memories that the host has given. */
static unsigned resident(struct run *run)
{
	static unsigned char pages[17 << 8];
	unsigned count = 0;

	ck_assert_int_eq(mincore(ram_at(run, 0, 0), 16 << 20, pages), 0);
	ck_assert_int_eq(mincore(ram_at(run, 1, 0), 1 << 20, pages + (16 << 8)), 0);
	for (unsigned i = 0; i < sizeof(pages); i++)
		count += pages[i] & 1;
	return count;
}

/* Of paths that are relative to the machine's own file. */
START_TEST(paths_stay_where_they_were)
{
	static const char *const keys[] = { "path = ", "socket = ", "viewer = ", "gdb = unix:" };
	static const char *const names[] = { "socket", "control", "eyes", "debugger" };
	struct run run = start(board);
	char *path = in_folder("one/machine.ini"), *text;

	ck_assert_msg(snapshot(&run, "one") == 0, "%s", err.message);
	stop(&run);
	ck_assert(g_file_get_contents(path, &text, NULL, NULL));
	for (unsigned i = 0; i < G_N_ELEMENTS(keys); i++) {
		char *there = in_folder(names[i]), *line = g_strconcat("\n", keys[i], there, "\n", NULL);

		ck_assert_msg(strstr(text, line) != NULL, "no '%s%s' in:\n%s", keys[i], there, text);
		g_free(there), g_free(line);
	}
	g_free(path), g_free(text);
}
END_TEST

START_TEST(ram_is_sparse)
{
	struct run run = start(board);
	char *path = in_folder("one/memory-ram.bin");
	unsigned before = resident(&run);
	struct stat st;

	ck_assert_int_eq(snapshot(&run, "one"), 0);
	ck_assert_uint_eq(resident(&run), before);
	ck_assert_uint_lt(before, 17 << 8);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 16 << 20);
	ck_assert_int_lt(st.st_blocks * 512, 4 << 20);
	g_free(path);
	stop(&run);
}
END_TEST

/* Names in the folder that begin so. */
static unsigned count_of(const char *prefix)
{
	GDir *dir = g_dir_open(folder, 0, NULL);
	const char *name;
	unsigned count = 0;

	while ((name = g_dir_read_name(dir)))
		count += g_str_has_prefix(name, prefix);
	g_dir_close(dir);
	return count;
}

START_TEST(failures_leave_nothing)
{
	struct run run = start(board);
	struct mt_inst *uart = machine_find(run.m, "uart0");
	struct note_class stateless = *uart->cls;

	ck_assert_int_eq(snapshot(&run, "none/one"), MT_EIO);
	ck_assert_int_eq(snapshot(&run, "disk"), MT_EBUSY);
	ck_assert_ptr_nonnull(strstr(err.message, "exists"));
	stateless.flags |= MT_CLASS_NO_STATE;
	uart->cls = &stateless;
	ck_assert_int_eq(snapshot(&run, "one"), MT_ENOTSUP);
	ck_assert_str_eq(err.culprit, "uart0");
	ck_assert_ptr_nonnull(strstr(err.message, "uart0 (dev-uart16550) has no state"));
	ck_assert_uint_eq(count_of("one"), 0);
	ck_assert_int_eq(run.m->state, INST_RUNNING);
	/* a paused machine stays paused */
	machine_pause(run.m);
	ck_assert_int_eq(snapshot(&run, "one"), MT_ENOTSUP);
	ck_assert_int_eq(run.m->state, INST_QUIESCED);
	stop(&run);
}
END_TEST

static void expect_refused(const char *setting, const char *words)
{
	const char *settings[] = { setting, NULL };
	struct run run;

	err.message[0] = 0;
	ck_assert_int_lt(restore(&run, "one", settings), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "%s: %s", setting, err.message);
	stop(&run);
}

/* Another file of the folder for the disk. */
static char *file_setting(const char *name)
{
	char *path = in_folder(name), *setting = g_strdup_printf("disk.file=%s", path);

	g_free(path);
	return setting;
}

START_TEST(what_does_not_fit_is_refused_by_name)
{
	static const char *const fine[] = { "con0.output=other", "disk.cache=unsafe", NULL };
	struct run run = start(board);
	char *setting;

	ck_assert_int_eq(snapshot(&run, "one"), 0);
	stop(&run);
	expect_refused("cpu.count=3", "3 vCPUs, not 2");
	expect_refused("ram.size=32M", "memory ram");
	expect_refused("uart0.at=0x10008000", "[device uart0] at");
	expect_refused("rtc.irq=plic:12", "[device rtc] irq");
	expect_refused("machine.timebase=1000000", "[machine] timebase");
	expect_refused("cpu.isa=rv64imac_zicsr_zifencei", "isa");
	file_make("long", "disk", 4, 2 << 20);
	setting = file_setting("long");
	expect_refused(setting, "disk-bytes");
	g_free(setting);
	ck_assert_msg(restore(&run, "one", fine) == 0, "%s", err.message);
	stop(&run);
}
END_TEST

static int verify(const char *name)
{
	char *path = in_folder(name);
	struct snapshot *snap = snapshot_open(path, &err);
	int code = snap ? snapshot_verify(snap, &err) : err.code;

	snapshot_close(snap);
	g_free(path);
	return code;
}

/* The disk as the guest would write it. */
static void disk_write(void)
{
	g_usleep(20000);               /* the file system's clock ticks */
	file_make("disk", "d1sk", 4, 1 << 20);
}

START_TEST(a_disk_that_changed_is_refused)
{
	char *disk = in_folder("disk"), *setting = file_setting("copy");
	const char *const copied[] = { setting, NULL };
	struct run run = start(board);

	ck_assert_int_eq(snapshot(&run, "one"), 0);
	ck_assert_msg(verify("one") == 0, "%s", err.message);
	stop(&run);
	ck_assert_msg(restore(&run, "one", NULL) == 0, "%s", err.message);
	stop(&run);
	file_make("copy", "disk", 4, 1 << 20);
	disk_write();
	expect_refused("con0.output=other", "'disk'");
	ck_assert_ptr_nonnull(strstr(err.message, disk));
	ck_assert_int_lt(verify("one"), 0);
	ck_assert_str_eq(err.culprit, "disk");
	/* a copy from before */
	ck_assert_msg(restore(&run, "one", copied) == 0, "%s", err.message);
	stop(&run);
	g_free(setting);
	g_free(disk);
}
END_TEST

/* A bit of RAM is found by those who ask, and by the place. */
START_TEST(damage_of_memory_is_found_on_demand)
{
	struct run run = start(board);
	char *path = in_folder("one/memory-ram.bin");
	int fd;

	memcpy(ram_at(&run, 0, 0x812345), "words", 5);
	ck_assert_int_eq(snapshot(&run, "one"), 0);
	stop(&run);
	ck_assert_msg(verify("one") == 0, "%s", err.message);
	fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, "W", 1, 0x812345), 1);
	ck_assert_int_lt(verify("one"), 0);
	ck_assert_msg(strstr(err.message, "memory-ram.bin") != NULL, "%s", err.message);
	ck_assert_msg(strstr(err.message, "0x800000") != NULL, "%s", err.message);
	ck_assert_int_eq(pwrite(fd, "w", 1, 0x812345), 1);
	ck_assert_int_eq(verify("one"), 0);
	/* in a hole */
	ck_assert_int_eq(pwrite(fd, "w", 1, 0xc00000), 1);
	ck_assert_int_lt(verify("one"), 0);
	close(fd);
	g_free(path);
}
END_TEST

/* One bit of each file in turn; a restore does not read RAM and its sums. */
START_TEST(damage_is_found_in_every_file)
{
	struct run run = start(board);
	char *path = in_folder("one");
	unsigned files = 0;
	const char *name;
	GDir *dir;

	ck_assert_int_eq(snapshot(&run, "one"), 0);
	stop(&run);
	dir = g_dir_open(path, 0, NULL);
	while ((name = g_dir_read_name(dir))) {
		char *file = g_build_filename(path, name, NULL), *text;
		gsize len;

		if (g_str_has_prefix(name, "memory-")) {
			g_free(file);
			continue;
		}
		ck_assert(g_file_get_contents(file, &text, &len, NULL));
		text[len / 2] ^= 1;
		ck_assert(g_file_set_contents(file, text, (gssize)len, NULL));
		err.message[0] = 0;
		ck_assert_msg(restore(&run, "one", NULL) < 0, "%s", name);
		ck_assert_msg(strstr(err.message, name) != NULL, "%s: %s", name, err.message);
		stop(&run);
		text[len / 2] ^= 1;
		ck_assert(g_file_set_contents(file, text, (gssize)len, NULL));
		g_free(text);
		g_free(file);
		files++;
	}
	g_dir_close(dir);
	ck_assert_uint_gt(files, 18);
	ck_assert_msg(restore(&run, "one", NULL) == 0, "%s", err.message);
	stop(&run);
	g_free(path);
}
END_TEST

/* States that were made up: the sums are right, values are not what a class has written. */

static uint32_t random_below(uint32_t bound)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % bound;
}

/* Changes the data of one field; false: the record has none. */
static bool record_change(uint8_t *record)
{
	static const uint8_t values[] = { 0, 1, 2, 0x7f, 0x80, 0xff };
	uint32_t len, data, crc;

	memcpy(&len, record, 4);
	data = STATE_RECORD_BYTES + record[6];
	if (data + 4 >= len || !state_type_bytes(record[4]))
		return false;
	for (uint32_t n = 1 + random_below(3); n > 0; n--) {
		uint32_t at = data + random_below(len - 4 - data);

		record[at] = random_below(2) ? values[random_below(sizeof(values))] : (uint8_t)random_below(256);
	}
	crc = crc32c(0, record, len - 4);
	memcpy(record + len - 4, &crc, 4);
	return true;
}

static void file_change(uint8_t *bytes, size_t len_bytes)
{
	uint32_t count = 0, len;

	for (size_t at = STATE_HEADER_BYTES; at < len_bytes; at += len, count++)
		memcpy(&len, bytes + at, 4);
	for (unsigned tries = 0; tries < 20; tries++) {
		uint32_t wanted = random_below(count);
		size_t at = STATE_HEADER_BYTES;

		for (; wanted > 0; wanted--, at += len)
			memcpy(&len, bytes + at, 4);
		if (record_change(bytes + at))
			return;
	}
}

static void manifest_write(const struct manifest *man, const char *path)
{
	FILE *out = fopen(path, "w");

	manifest_print(man, out);
	fclose(out);
}

/* 1 when the machine took it. */
static unsigned try_changed(struct manifest *man, const char *dir)
{
	struct manifest_component *component = g_ptr_array_index(man->components, random_below(man->components->len));
	char *name = manifest_component_file(component->kind, component->id), *path = g_build_filename(dir, name, NULL);
	char *manifest = g_build_filename(dir, MANIFEST_FILE, NULL), *text, *changed;
	uint32_t crc = component->file.crc;
	struct run run;
	unsigned taken;
	gsize len;

	ck_assert(g_file_get_contents(path, &text, &len, NULL));
	changed = g_memdup2(text, len);
	file_change((uint8_t *)changed, len);
	component->file.crc = crc32c(0, changed, len);
	ck_assert(g_file_set_contents(path, changed, (gssize)len, NULL));
	manifest_write(man, manifest);
	err.message[0] = 0;
	taken = restore(&run, "one", NULL) == 0;
	ck_assert(taken || err.message[0]);
	if (taken) {
		machine_start(run.m);
		g_usleep(2000);
	}
	stop(&run);
	component->file.crc = crc;
	ck_assert(g_file_set_contents(path, text, (gssize)len, NULL));
	g_free(text), g_free(changed), g_free(name), g_free(path), g_free(manifest);
	return taken;
}

START_TEST(made_up_states_never_break_the_host)
{
	struct run run = start(board);
	char *dir = in_folder("one"), *path = in_folder("one/" MANIFEST_FILE), *text;
	unsigned rounds = getenv("MORTISE_LONG") ? 5000 : 150, taken = 0;
	struct manifest *man;
	gsize len;

	ck_assert_int_eq(snapshot(&run, "one"), 0);
	stop(&run);
	ck_assert(g_file_get_contents(path, &text, &len, NULL));
	man = manifest_parse(text, len, &err);
	ck_assert_ptr_nonnull(man);
	for (unsigned i = 0; i < rounds; i++)
		taken += try_changed(man, dir);
	/* most are refused, but not all: some registers hold anything */
	ck_assert_uint_gt(taken, 0);
	ck_assert_uint_lt(taken, rounds);
	manifest_destroy(man);
	g_free(dir), g_free(path), g_free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, getenv("MORTISE_LONG") ? 1200 : 120);
	tcase_add_test(tc, saved_loaded_and_saved_again_the_same);
	tcase_add_test(tc, paths_stay_where_they_were);
	tcase_add_test(tc, ram_is_sparse);
	tcase_add_test(tc, failures_leave_nothing);
	tcase_add_test(tc, what_does_not_fit_is_refused_by_name);
	tcase_add_test(tc, a_disk_that_changed_is_refused);
	tcase_add_test(tc, damage_of_memory_is_found_on_demand);
	tcase_add_test(tc, damage_is_found_in_every_file);
	tcase_add_test(tc, made_up_states_never_break_the_host);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
