/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 back end as the engine sees it: the choice of registers, the processor's features, entry into
 * translated code and the patching of direct exits.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "host/x86_64/lower.h"

/*
 * In order of preference: callee-saved first, since pure helpers need not save them. r15 is for temporaries.
 */
static const uint8_t gpr_order[X86_MAPPED_GPRS] = { RBX, R14, R13, R12, RSI, RDI, R8, R9, R10, R11 };

/* Not every compiler's __builtin_cpu_supports knows it. */
static bool has_lzcnt(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid(0x80000001u, &a, &b, &c, &d) && (c >> 5 & 1u);
}

void x86_config_detect(struct x86_config *config)
{
	uint32_t f = 0;

	__builtin_cpu_init();
	f |= __builtin_cpu_supports("avx") ? X86_AVX : 0;
	f |= __builtin_cpu_supports("fma") && (f & X86_AVX) ? X86_FMA : 0;
	f |= __builtin_cpu_supports("bmi") ? X86_BMI1 : 0;
	f |= __builtin_cpu_supports("bmi2") ? X86_BMI2 : 0;
	f |= has_lzcnt() ? X86_LZCNT : 0;
	f |= __builtin_cpu_supports("popcnt") ? X86_POPCNT : 0;
	f |= __builtin_cpu_supports("sse4.1") ? X86_SSE41 : 0;
	*config = (struct x86_config){
		.features = f,
		.mapped_gprs = X86_MAPPED_GPRS, .mapped_xmms = X86_MAPPED_XMMS,
		.temp_gprs = X86_TEMP_GPRS, .temp_xmms = X86_TEMP_XMMS,
	};
}

/* The wanted global of a class with the lowest priority number that is not mapped yet; -1: none. */
static int next_global(const struct tcg_host_state *s, bool fp)
{
	int best = -1;

	for (uint32_t i = 0; i < s->global_count; i++) {
		const struct ir_global *g = &s->globals[i];
		if (!g->priority || (g->is_fp != 0) != fp || s->at[IR_GLOBAL(i)].kind != V_MEM)
			continue;
		if (best < 0 || g->priority < s->globals[best].priority)
			best = (int)i;
	}
	return best;
}

static void map(struct tcg_host_state *s, bool fp, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		int g = next_global(s, fp);
		uint8_t reg = fp ? (uint8_t)(15u - i) : gpr_order[i];
		if (g < 0)
			return;
		s->at[IR_GLOBAL(g)] = (struct x86_val){ .kind = fp ? V_XMM : V_GPR, .reg = reg };
		s->mapped[fp ? 16u + reg : reg] = (uint8_t)g;
	}
}

static void choose_registers(struct tcg_host_state *s)
{
	memset(s->mapped, REG_NONE, sizeof(s->mapped));
	for (uint32_t i = 0; i < s->global_count; i++)
		s->at[IR_GLOBAL(i)] = (struct x86_val){
			.kind = V_MEM, .reg = R_ENV, .disp = (int32_t)s->globals[i].env_offset - ENV_BIAS,
		};
	map(s, false, s->config.mapped_gprs);
	map(s, true, s->config.mapped_xmms);
}

static void find_reads(struct tcg_host_state *s)
{
	for (uint32_t i = 0; i < IR_OPCODES; i++)
		for (const char *p = ir_opinfo[i].operands; *p; p++)
			switch (*p) {
			case 'a': s->reads[i] |= READ_A; break;
			case 'b': case 'B': s->reads[i] |= READ_B; break;
			case 'c': s->reads[i] |= READ_C; break;
			case 'd': s->reads[i] |= WRITE_D; break;
			case 'D': s->reads[i] |= READ_D | WRITE_D; break;
			}
}

int x86_state_new(struct tcg_host_state **state, const struct x86_config *config,
		  const struct ir_global *globals, uint32_t global_count, const struct tcg_code_space *space,
		  size_t *used)
{
	struct tcg_host_state *s = calloc(1, sizeof(*s));
	struct x86_enc e = { .p = space->rw, .start = space->rw };

	if (!s)
		return -1;
	s->config = *config;
	s->rx = space->rx;
	s->globals = globals;
	s->global_count = global_count;
	choose_registers(s);
	find_reads(s);
	if (!x86_stubs_emit(s, &e, space->free_bytes)) {
		free(s);
		return -1;
	}
	*used = (x86_at(&e) + 63u) & ~(size_t)63u;
	*state = s;
	return 0;
}

static bool x86_usable(void)
{
	return true;
}

static size_t x86_init(struct tcg_host_state **state, const struct ir_global *globals, uint32_t global_count,
		       const struct tcg_code_space *space)
{
	struct x86_config config;
	size_t used;

	x86_config_detect(&config);
	return x86_state_new(state, &config, globals, global_count, space, &used) ? 0 : used;
}

static void x86_fini(struct tcg_host_state *state)
{
	free(state);
}

static enum tcg_exit x86_run(struct tcg_host_state *state, struct tcg_env *env, const uint8_t *code)
{
	union {
		const uint8_t *at;
		uint32_t (*enter)(struct tcg_env *env, const uint8_t *code);
	} stub = { .at = state->rx + state->stubs.enter };

	env->link_patch = 0;
	return (enum tcg_exit)stub.enter(env, code);
}

/* Other threads may be at this jump: it goes to the old or to the new place, both right. */
static void patch(const struct tcg_link *link, const uint8_t *target, ptrdiff_t rw_delta)
{
	const uint8_t *site = link->from->code + link->patch_offset;
	int32_t rel = (int32_t)(target - (site + 4));

	__atomic_store_n((int32_t *)(uintptr_t)(site + rw_delta), rel, __ATOMIC_RELEASE);
}

static void x86_link(struct tcg_host_state *state, struct tcg_link *link, const uint8_t *to,
		     ptrdiff_t rw_delta)
{
	(void)state;
	patch(link, to ? to : link->from->code + link->unlink_offset, rw_delta);
}

/* The way to `find` stands right before the unlinked exit. */
static void x86_refuse(struct tcg_host_state *state, struct tcg_link *link, ptrdiff_t rw_delta)
{
	(void)state;
	patch(link, link->from->code + link->unlink_offset - X86_FIND_BYTES, rw_delta);
}

static void x86_stats(const struct tcg_host_state *state, struct tcg_host_stats *stats)
{
	*stats = state->stats;
}

const struct tcg_host host_x86_64 = {
	.name = "x86_64",
	.needs_exec = true,
	.usable = x86_usable,
	.init = x86_init,
	.fini = x86_fini,
	.lower = x86_lower,
	.run = x86_run,
	.link = x86_link,
	.refuse = x86_refuse,
	.stats = x86_stats,
};
