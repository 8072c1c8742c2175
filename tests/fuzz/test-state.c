/* SPDX-License-Identifier: MIT */
/*
 * The state of every class that there is: a plugin brings a machine with its classes (fuzz.ini, or state.ini where
 * the class reaches out to the host, state-ARCH.ini where it is for one kind of host), and each is saved, loaded
 * into a fresh machine and saved again to the same bytes; states that are cut off, changed or hold an unknown
 * field are refused by name. A class with state that is in no machine fails the test, so that a new plugin cannot
 * forget it. A process for each machine.
 */
#include "tests/fuzz/fuzz.h"

#include <elf.h>
#include <glib/gstdio.h>
#include <glob.h>
#include <mortise/draft/block-create.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel/load/loader.h"
#include "kernel/state/file.h"
#include "tests/fuzz/empty-image.h"

#define RUN_US    10000
#define CUTS      16u              /* places at which each component is cut off */
#define HOST_LACKS 77

static void refused(const char *who, const char *how, const uint8_t *bytes, size_t len_bytes)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_state_in *in = state_in_open(who, bytes, len_bytes, &err);

	if (!in && strstr(err.message, who))
		return;
	printf("%s: %s: %s\n", who, how, in ? "taken" : err.message);
	exit(1);
}

/* Whatever does not have its sums is refused before a class sees it. */
static void damaged_files_are_refused(const struct image *image)
{
	for (unsigned i = 0; i < image_count(image); i++) {
		const uint8_t *bytes;
		size_t len;
		const char *who = image_component(image, i, &bytes, &len);

		for (unsigned cut = 0; cut < CUTS; cut++) {
			uint8_t *copy = g_memdup2(bytes, len);
			size_t at = len * cut / CUTS;

			refused(who, "cut off", copy, at);
			copy[at] ^= (uint8_t)(1u << cut % 8);
			refused(who, "a bit changed", copy, len);
			g_free(copy);
		}
	}
}

static void unknown_fields_are_refused(struct image *const *images, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const uint8_t *bytes;
		size_t len;

		/* the words of a refusal are looked at in there */
		if (image_load(images[i], false)) {
			printf("%s took a field that it does not know\n", image_component(images[i], i, &bytes, &len));
			exit(1);
		}
	}
}

/* Of a fresh machine `m`, which goes: there is one at a time. */
static void state_check(struct machine *m)
{
	struct image *image = image_save(m, IMAGE_PLAIN), **extra;
	unsigned count = image_count(image);

	extra = g_new0(struct image *, count);
	for (unsigned i = 0; i < count; i++)
		extra[i] = image_save(m, i);
	machine_destroy(m);
	damaged_files_are_refused(image);
	machine_destroy(image_load(image, true));      /* compares what is saved again */
	unknown_fields_are_refused(extra, count);
	for (unsigned i = 0; i < count; i++)
		image_free(extra[i]);
	image_free(image);
	g_free(extra);
}

static void classes_print(const struct machine *m, FILE *out)
{
	for (unsigned i = 0; i < m->insts->len; i++)
		fprintf(out, "%s\n", ((struct mt_inst *)g_ptr_array_index(m->insts, i))->cls->name);
}

static int machine_check(const char *file, const char *tmp, FILE *out)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m;

	ends_begin();
	if (!target_open(file, tmp))
		return 1;
	m = target_try(&err);
	if (!m) {
		printf("%s: not on this host: %s\n", file, err.message);
		/* MT_ENOENT: a class that stands in for a device on another kind of host */
		return err.code == MT_EHOST || err.code == MT_EPERM || err.code == MT_ENOENT ? HOST_LACKS : 1;
	}
	classes_print(m, out);
	machine_destroy(m);
	m = target_run();
	g_usleep(RUN_US);
	state_check(m);
	target_close();
	return 0;
}

/* What the host lacks is not run; its classes are those that the file names. */
static void classes_read(const char *file, GHashTable *covered)
{
	char line[256], name[128];
	FILE *from = fopen(file, "r");

	while (from && fgets(line, sizeof(line), from))
		if (sscanf(line, "plugin = %127s", name) == 1)
			g_hash_table_add(covered, g_strdup(name));
	if (from)
		fclose(from);
}

/* The classes of one machine file into `covered`; false: the check failed. */
static bool file_check(const char *file, const char *tmp, GHashTable *covered)
{
	char name[256];
	int pipes[2], status = 1;
	FILE *from;
	pid_t pid;

	fflush(NULL);
	if (pipe(pipes) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		FILE *out = fdopen(pipes[1], "w");

		status = machine_check(file, tmp, out);
		fclose(out);
		exit(status);
	}
	close(pipes[1]);
	from = fdopen(pipes[0], "r");
	while (fscanf(from, "%255s", name) == 1)
		g_hash_table_add(covered, g_strdup(name));
	fclose(from);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == HOST_LACKS)
		classes_read(file, covered);
	printf("%s: %s\n", file, status == 0 ? "ok" : WIFEXITED(status) && WEXITSTATUS(status) == HOST_LACKS ?
	       "skipped" : "FAILED");
	return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == HOST_LACKS);
}

static bool files_check(const char *pattern, const char *tmp, GHashTable *covered)
{
	bool good = true;
	glob_t files;

	if (glob(pattern, 0, NULL, &files))
		return false;
	for (size_t i = 0; i < files.gl_pathc; i++)
		good &= file_check(files.gl_pathv[i], tmp, covered);
	globfree(&files);
	return good;
}

/* An empty disk of a format, ${tmp}/CLASS. */
static bool class_prepare(struct loader *loader, const struct registry_entry *entry, const struct note_class *cls,
			  const char *tmp)
{
	struct mt_error err = { .size = sizeof(err) };
	const struct mt_plugin *plugin;
	char *path;
	int code = 0;

	if (cls->kind != MT_KIND_BLOCK)
		return true;
	path = g_build_filename(tmp, cls->name, NULL);
	plugin = loader_load(loader, entry, &err);
	code = plugin ? empty_image_make(plugin, cls->name, path, &err) : err.code;
	if (code < 0)
		printf("%s: %s\n", cls->name, err.message);
	g_free(path);
	return code == 0;
}

/* A format that makes no images has no machine here: its own test has images, and saves it. */
static bool class_check(struct loader *loader, const struct registry_entry *entry, const struct note_class *cls,
			GHashTable *covered)
{
	struct mt_error err = { .size = sizeof(err) };

	if (cls->flags & MT_CLASS_NO_STATE || g_hash_table_contains(covered, cls->name))
		return true;
	if (cls->kind == MT_KIND_BLOCK && !loader_load(loader, entry, &err)->get_class(cls->name, MT_IFACE_BLOCK_CREATE)) {
		printf("%s: makes no images: skipped\n", cls->name);
		return true;
	}
	printf("%s: in no machine: give its plugin a fuzz.ini or a state.ini\n", cls->name);
	return false;
}

/* Every class of every plugin: into a machine's file before, or looked for behind (`covered`). */
static bool classes_walk(struct registry *registry, const char *tmp, GHashTable *covered)
{
	struct loader *loader = loader_create(host_get());
	const GPtrArray *all = registry_all(registry);
	unsigned count = 0;
	bool good = true;

	loader_set_interfaces(loader, host_interface_ids);
	for (unsigned i = 0; i < all->len; i++) {
		const struct registry_entry *entry = g_ptr_array_index(all, i);

		for (size_t k = 0; entry->note && k < entry->note->class_count; k++, count++) {
			const struct note_class *cls = &entry->note->classes[k];

			good &= covered ? class_check(loader, entry, cls, covered) : class_prepare(loader, entry, cls, tmp);
		}
	}
	loader_destroy(loader);
	printf("%u classes\n", count);
	return good && count;
}

static void folder_remove(const char *path)
{
	GDir *dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		char *file = g_build_filename(path, name, NULL);

		g_remove(file);
		g_free(file);
	}
	if (dir)
		g_dir_close(dir);
	g_rmdir(path);
}

/* A PVH kernel: one segment at 1 MiB with "jmp .", and the note with its entry. */
static bool pvh_write(const char *tmp)
{
	static const struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph[2];
		uint32_t note[5];
		uint8_t code[4];
	} elf = {
		.eh = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT }, .e_type = ET_EXEC,
			.e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 2 },
		.ph = { { .p_type = PT_LOAD, .p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr) + 20, .p_filesz = 4,
			  .p_memsz = 4, .p_paddr = 0x100000 },
			{ .p_type = PT_NOTE, .p_offset = sizeof(Elf64_Ehdr) + 2 * sizeof(Elf64_Phdr), .p_filesz = 20 } },
		.note = { 4, 4, 18, 0x006e6558, 0x100000 },
		.code = { 0xeb, 0xfe },
	};
	char *path = g_build_filename(tmp, "pvh", NULL);
	bool good = g_file_set_contents(path, (const char *)&elf, sizeof(elf), NULL);

	g_free(path);
	return good;
}

/* A BIOS of a page, with "jmp ." at the reset vector. */
static bool bios_write(const char *tmp)
{
	static const char bios[4096] = { [4080] = (char)0xeb, [4081] = (char)0xfe };
	char *path = g_build_filename(tmp, "bios", NULL);
	bool good = g_file_set_contents(path, bios, sizeof(bios), NULL);

	g_free(path);
	return good;
}

/* An arm64 Image of a page: "b .", then its size and the magic number of the header. */
static bool arm64_image_write(const char *tmp)
{
	static const char image[4096] = { [3] = 0x14, [17] = 0x10, [56] = 'A', [57] = 'R', [58] = 'M', [59] = 'd' };
	char *path = g_build_filename(tmp, "arm64-image", NULL);
	bool good = g_file_set_contents(path, image, sizeof(image), NULL);

	g_free(path);
	return good;
}

/* A riscv64 Image of a page: "j .", where it goes and its size, and the magic numbers of the header. */
static bool riscv_image_write(const char *tmp)
{
	static const char image[4096] = { [0] = 0x6f, [10] = 0x20, [17] = 0x10, [32] = 2, [48] = 'R', [49] = 'I', [50] = 'S',
					  [51] = 'C', [52] = 'V', [56] = 'R', [57] = 'S', [58] = 'C', [59] = 5 };
	char *path = g_build_filename(tmp, "riscv-image", NULL);
	bool good = g_file_set_contents(path, image, sizeof(image), NULL);

	g_free(path);
	return good;
}

/* Of this kind of host; there may be none. */
static bool host_files_check(const char *tmp, GHashTable *covered)
{
	struct utsname host;
	glob_t files;
	char *pattern;
	bool good;

	if (uname(&host) < 0)
		return false;
	pattern = g_strdup_printf(TEST_SRCDIR "/plugins/*/state-%s.ini", host.machine);
	good = glob(pattern, 0, NULL, &files) == GLOB_NOMATCH || files_check(pattern, tmp, covered);
	globfree(&files);
	g_free(pattern);
	return good;
}

int main(void)
{
	static const char loop[] = { 0x6f, 0x00, 0x00, 0x00 };         /* RISC-V: j . */
	const char *plugins[] = { TEST_BUILDDIR "/plugins/*/.libs", NULL };
	GHashTable *covered = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	struct registry *registry = registry_create(plugins);
	char *tmp = g_dir_make_tmp("mortise-state.XXXXXX", NULL), *firmware = g_build_filename(tmp, "firmware", NULL);
	bool good;

	good = g_file_set_contents(firmware, loop, sizeof(loop), NULL) && pvh_write(tmp) && bios_write(tmp) &&
	       arm64_image_write(tmp) && riscv_image_write(tmp) && classes_walk(registry, tmp, NULL);
	good &= files_check(TEST_SRCDIR "/plugins/*/fuzz.ini", tmp, covered);
	good &= files_check(TEST_SRCDIR "/plugins/*/state.ini", tmp, covered);
	good &= host_files_check(tmp, covered);
	good &= classes_walk(registry, tmp, covered);
	folder_remove(tmp);
	registry_destroy(registry);
	g_free(firmware), g_free(tmp);
	g_hash_table_unref(covered);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
