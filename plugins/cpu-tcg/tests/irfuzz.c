/* SPDX-License-Identifier: MIT */
/*
 * Random blocks on every back end: the IR interpreter is the oracle; the optimised block on the interpreter
 * and both on the machine-code back end, with all its registers and with hardly any, must end in the same
 * state. irfuzz [COUNT [SEED]]: MORTISE_LONG=1 makes the default count 10^6. A mismatch prints the smallest
 * block that still shows it, and the seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/irfuzz.h"
#ifdef __x86_64__
#include "host/x86_64/lower.h"
#endif

#define CODE_BYTES (1u << 20)
#define MAX_HOSTS 6u

struct target {
	const char *name;
	const struct tcg_host *host;
	struct tcg_host_state *state;
	uint8_t *rw;
	const uint8_t *rx;
	size_t used;
	bool optimise;
};

static struct target targets[MAX_HOSTS];
static uint32_t target_count;
static struct fuzz_machine oracle, other;
static struct ir_block block, work;

static bool map_code(struct target *t)
{
	int fd = memfd_create("code", 0);
	void *rw, *rx;

	if (fd < 0 || ftruncate(fd, CODE_BYTES))
		return false;
	rw = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	rx = mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	close(fd);
	t->rw = rw;
	t->rx = rx;
	return rw != MAP_FAILED && rx != MAP_FAILED;
}

static struct target *add_target(const char *name, const struct tcg_host *host, bool optimise)
{
	struct target *t = &targets[target_count++];
	struct tcg_code_space space;

	*t = (struct target){ .name = name, .host = host, .optimise = optimise };
	if (!map_code(t))
		exit(77);
	space = (struct tcg_code_space){ t->rw, t->rx, CODE_BYTES };
	t->used = host->init(&t->state, fuzz_globals, FUZZ_GLOBALS, &space);
	return t;
}

#ifdef __x86_64__
static void add_reduced(const char *name, uint32_t drop, uint8_t gprs, uint8_t xmms, uint8_t temps,
			bool optimise)
{
	struct target *t = add_target(name, &host_x86_64, optimise);
	struct tcg_code_space space = { t->rw, t->rx, CODE_BYTES };
	struct x86_config config;

	t->host->fini(t->state);
	x86_config_detect(&config);
	config.features &= ~drop;
	config.mapped_gprs = gprs;
	config.mapped_xmms = xmms;
	config.temp_gprs = temps ? 1 : 0;
	config.temp_xmms = temps;
	if (x86_state_new(&t->state, &config, fuzz_globals, FUZZ_GLOBALS, &space, &t->used))
		exit(1);
}
#endif

static void add_targets(void)
{
	add_target("interp", &host_interp, false);
	add_target("interp-optimised", &host_interp, true);
#ifdef __x86_64__
	add_target("x86_64", &host_x86_64, false);
	add_target("x86_64-optimised", &host_x86_64, true);
	add_reduced("x86_64-few-registers", 0, 3, 2, 1, false);
	add_reduced("x86_64-no-features", ~0u, 7, 6, 0, true);
#endif
}

static void run(struct target *t, const struct ir_block *b, struct fuzz_machine *m, uint64_t seed)
{
	static struct tcg_block out;
	struct tcg_code_space space = { t->rw + t->used, t->rx + t->used, CODE_BYTES - t->used };
	const struct ir_block *use = b;

	if (t->optimise) {
		memcpy(&work, b, offsetof(struct ir_block, ops) + b->op_count * sizeof(struct ir_op));
		ir_optimise(&work);
		use = &work;
	}
	memset(&out, 0, sizeof(out));
	out.pc = b->pc;
	if (!t->host->lower(t->state, use, &out, &space)) {
		fprintf(stderr, "%s: block does not fit\n", t->name);
		exit(1);
	}
	fuzz_machine_reset(m, seed);
	fuzz_machine_run(m, t->host, t->state, out.code);
}

static const char *differs(struct target *t, const struct ir_block *b, uint64_t seed)
{
	uint32_t at;
	const char *why;

	run(&targets[0], b, &oracle, seed);
	run(t, b, &other, seed);
	why = fuzz_machine_compare(&oracle, &other);
	if (!why && t->optimise && (why = ir_verify(&work, &at)))
		return why;
	return why;
}

static void print_block(const struct ir_block *b)
{
	static char text[1 << 17];

	ir_print(b, text, sizeof(text));
	fputs(text, stderr);
}

/* Removes ops one by one while the block stays well formed and still fails. */
static void minimise(struct target *t, struct ir_block *b, uint64_t seed)
{
	static struct ir_block smaller;
	bool again = true;
	uint32_t at;

	while (again) {
		again = false;
		for (uint32_t i = b->op_count; i-- > 0;) {
			memcpy(&smaller, b, sizeof(smaller));
			memmove(&smaller.ops[i], &smaller.ops[i + 1],
				(b->op_count - i - 1) * sizeof(struct ir_op));
			smaller.op_count--;
			if (ir_verify(&smaller, &at) || !differs(t, &smaller, seed))
				continue;
			memcpy(b, &smaller, sizeof(smaller));
			again = true;
		}
	}
}

static void dump_code(struct target *t)
{
	const char *path = getenv("IRFUZZ_DUMP");
	FILE *f = path ? fopen(path, "wb") : NULL;

	if (!f)
		return;
	fwrite(t->rw + t->used, 1, 4096, f);
	fclose(f);
}

static int report(struct target *t, uint64_t seed, uint64_t number)
{
	const char *why = differs(t, &block, seed);

	fprintf(stderr, "%s, block %llu: %s\n", t->name, (unsigned long long)number,
		why ? why : "not reproducible");
	if (!why)
		return 1;
	minimise(t, &block, seed);
	why = differs(t, &block, seed);
	fprintf(stderr, "minimised: %s (frm %u)\n", why ? why : "?", oracle.env->frm);
	print_block(&block);
	dump_code(t);
	return 1;
}

static int fuzz_one(uint64_t seed, uint64_t number)
{
	struct fuzz_rng rng = { seed };
	const char *why;
	uint32_t at;

	fuzz_generate(&block, &rng, 1 + fuzz_below(&rng, fuzz_below(&rng, 4) ? 24 : 120));
	why = ir_verify(&block, &at);
	if (why) {
		fprintf(stderr, "block %llu is ill-formed at %u: %s\n", (unsigned long long)number, at, why);
		print_block(&block);
		return 1;
	}
	run(&targets[0], &block, &oracle, seed);
	for (uint32_t i = 1; i < target_count; i++) {
		run(&targets[i], &block, &other, seed);
		why = fuzz_machine_compare(&oracle, &other);
		if (why) {
			fprintf(stderr, "%s\n", why);
			return report(&targets[i], seed, number);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint64_t count = getenv("MORTISE_LONG") ? 1000000 : 20000;
	uint64_t seed = 1;

	if (argc > 1)
		count = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		seed = strtoull(argv[2], NULL, 0);
	fuzz_globals_init();
	if (fuzz_machine_new(&oracle) || fuzz_machine_new(&other))
		return 1;
	add_targets();
	for (uint64_t i = 0; i < count; i++)
		if (fuzz_one(seed * 0x100000000ull + i, i))
			return 1;
	printf("%llu blocks on %u back ends\n", (unsigned long long)count, target_count);
	for (uint32_t i = 0; i < target_count; i++)
		targets[i].host->fini(targets[i].state);
	fuzz_machine_free(&oracle);
	fuzz_machine_free(&other);
	return 0;
}
