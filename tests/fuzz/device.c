/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target of a device: a program of a hostile guest against the machine of FUZZ_MACHINE (a fuzz.ini). Linked with
 * libFuzzer it is tests/fuzz/fuzz-device; without, the bounded replay of every plugin's corpus, a process each.
 * The first byte of an input: 1: let the loop run by itself; 2: place the BARs; 4: start the virtio devices.
 */
#include "tests/fuzz/fuzz.h"

#include <fake/replay.h>
#include <glob.h>
#include <sys/wait.h>

#include "kernel/machine/clock.h"

#define BEGIN_LAZY      1u
#define BEGIN_ENUMERATE 2u
#define BEGIN_VIRTIO    4u
#define MUTATIONS       2u
#define MUTATIONS_LONG  250u

static void virtio_start_all(struct guest *g, uint8_t how)
{
	for (uint8_t i = 0; i < g->vdev_count; i++) {
		const uint8_t program[] = { (uint8_t)(i | 15 << 2), 0, (how & 8 ? 16 : 0) | (how & 16 ? 4 : 0) };
		struct guest start = *g;

		start.at = program;
		start.end = program + sizeof(program);
		op_virtio_start(&start);
		memcpy(g->vdevs, start.vdevs, sizeof(g->vdevs));
	}
}

static void begin(struct guest *g)
{
	uint8_t how = take8(g);

	g->lazy = how & BEGIN_LAZY;
	pci_find(g);
	if (how & BEGIN_ENUMERATE)
		pci_enumerate(g);
	virtio_find(g);
	if (how & BEGIN_VIRTIO)
		virtio_start_all(g, how);
}

/* FUZZ_REUSE: how many inputs a machine serves, reset in between. More are quicker, but may need those before them. */
static struct machine *kept;
static uint32_t kept_uses;

static uint32_t reuse(void)
{
	const char *text = getenv("FUZZ_REUSE");

	return text ? (uint32_t)atoi(text) : 0;
}

static struct machine *machine_take(void)
{
	struct machine *m = kept;

	kept = NULL;
	return m ? m : target_run();
}

static void machine_give(struct machine *m)
{
	struct mt_error err = { .size = sizeof(err) };
	struct mt_ram *ram = g_array_index(m->memory, struct machine_memory, 0).ram;

	if (++kept_uses >= reuse()) {
		kept_uses = 0;
		machine_destroy(m);
		return;
	}
	machine_pause(m);
	memset(ram->hva, 0, ram->len_bytes);
	clock_set_guest_ns(m->clock, 0);
	if (machine_reset(m, MT_RESET_COLD, &err) < 0)
		abort();
	machine_start(m);
	kept = m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest g = { .at = data, .end = data + size };

	ends_begin();
	g.m = machine_take();
	g.ram = g_array_index(g.m->memory, struct machine_memory, 0).gpa;
	g.ram_bytes = g_array_index(g.m->memory, struct machine_memory, 0).len_bytes;
	target_guest(&g);
	begin(&g);
	guest_run(&g);
	inst_thread_set(MT_THREAD_MAIN);
	machine_give(g.m);
	image_free(g.image);
	return 0;
}

#ifdef FUZZ_ENGINE
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *machine = getenv("FUZZ_MACHINE");

	(void)argc, (void)argv;
	if (machine && target_open(machine, "/nonexistent"))
		return 0;
	fputs("FUZZ_MACHINE names a plugin's fuzz.ini\n", stderr);
	exit(2);
}
#else

/* In a process of its own, so that one crash does not hide another. */
static int replay_machine(const char *machine, int argc, char **argv)
{
	char corpus[1024];
	int bad = 1, status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		snprintf(corpus, sizeof(corpus), "%.*s/fuzz", (int)(strrchr(machine, '/') - machine), machine);
		if (target_open(machine, "/nonexistent"))
			bad = replay_main(argc, argv, corpus, getenv("MORTISE_LONG") ? MUTATIONS_LONG : MUTATIONS);
		target_close();
		exit(bad);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	bad = !WIFEXITED(status) || WEXITSTATUS(status);
	printf("%s: %s\n", machine, bad ? "FAILED" : "ok");
	return bad;
}

/* Without arguments: every plugin that has a fuzz.ini. MACHINE [INPUT...]: that one. */
int main(int argc, char **argv)
{
	glob_t machines;
	int bad = 0;

	if (argc > 1)
		return replay_machine(argv[1], argc - 1, argv + 1);
	if (glob(TEST_SRCDIR "/plugins/*/fuzz.ini", 0, NULL, &machines))
		return fprintf(stderr, "no plugin has a fuzz.ini\n"), 1;
	for (size_t i = 0; i < machines.gl_pathc; i++)
		bad |= replay_machine(machines.gl_pathv[i], 1, argv);
	globfree(&machines);
	return bad;
}
#endif
