/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 back end's exits: links, jump cache, polls, and what run() keeps. The ops are irfuzz's matter.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xmmintrin.h>

#include "host/x86_64/lower.h"

#define CODE_BYTES 65536u
#define PC 0x10000ull

static const struct ir_global globals[2] = {
	{ "x0", ENV_GUEST_OFFSET, 0, 1 }, { "x1", ENV_GUEST_OFFSET + 8, 0, 0 },
};
#define X0 IR_GLOBAL(0)
#define X1 IR_GLOBAL(1)

static struct tcg_env *env;
static struct tcg_host_state *state;
static uint8_t *code;
static size_t used;
static uint64_t *regs;
static struct ir_block block;
static const void *next_code;           /* what tcg_find_code answers */
static uint32_t finds;

const void *tcg_find_code(struct tcg_env *e, uint64_t pc)
{
	e->pc = pc;
	e->exit_reason = TCG_EXIT_LOOKUP;
	finds++;
	return next_code;
}

uint64_t tcg_slow_load(struct tcg_env *e, uint64_t vaddr, uint32_t mem, uint32_t *exit)
{
	(void)e, (void)vaddr, (void)mem;
	*exit = TCG_EXIT_NONE;
	return 0x8182838485868788ull;
}

uint32_t tcg_slow_store(struct tcg_env *e, uint64_t vaddr, uint64_t value, uint32_t mem)
{
	(void)e, (void)vaddr, (void)value, (void)mem;
	return TCG_EXIT_EXCEPTION;
}

uint32_t tcg_slow_zero(struct tcg_env *e, uint64_t vaddr)
{
	(void)e, (void)vaddr;
	return TCG_EXIT_EXCEPTION;
}

uint64_t tcg_slow_amo(struct tcg_env *e, uint64_t vaddr, uint64_t value, uint32_t mem_amo, uint32_t *exit)
{
	(void)e, (void)vaddr, (void)value, (void)mem_amo;
	*exit = TCG_EXIT_NONE;
	return 0;
}

uint64_t tcg_slow_cas(struct tcg_env *e, uint64_t vaddr, uint64_t expected, uint64_t desired, uint32_t mem,
		      uint32_t *exit)
{
	(void)e, (void)vaddr, (void)expected, (void)desired, (void)mem;
	*exit = TCG_EXIT_NONE;
	return 0;
}

static void setup(void)
{
	struct tcg_code_space space;

	env = aligned_alloc(64, sizeof(*env) + 64);
	memset(env, 0, sizeof(*env) + 64);
	memset(env->tlb, 0xff, sizeof(env->tlb));
	memset(env->jump_cache, 0xff, sizeof(env->jump_cache));
	regs = env->guest;
	code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	space = (struct tcg_code_space){ code, code, CODE_BYTES };
	used = host_x86_64.init(&state, globals, 2, &space);
	ck_assert_uint_ne(used, 0);
	next_code = NULL;
	finds = 0;
}

static void teardown(void)
{
	host_x86_64.fini(state);
	munmap(code, CODE_BYTES);
	free(env);
}

static struct ir_block *begin(uint64_t pc)
{
	block.globals = globals;
	block.global_count = 2;
	ir_begin(&block, pc, 0);
	ir_insn(&block, pc, 4);
	return &block;
}

static void lower(struct tcg_block *out)
{
	struct tcg_code_space space = { code + used, code + used, CODE_BYTES - used };
	size_t bytes;

	memset(out, 0, sizeof(*out));
	out->pc = block.pc;
	bytes = host_x86_64.lower(state, &block, out, &space);
	ck_assert_uint_ne(bytes, 0);
	used += bytes;
}

static enum tcg_exit run(const struct tcg_block *b)
{
	return host_x86_64.run(state, env, b->code);
}

/* x0 += n, on at pc */
static void adder(struct tcg_block *out, uint64_t at, int64_t n, uint64_t pc)
{
	struct ir_block *b = begin(at);

	ir_op2i(b, IR_add, X0, X0, n);
	ir_exit_pc(b, pc);
	lower(out);
}

/*
 * The unlinked exit names its link; linked, code goes on in the other block; unlinked again, it comes back.
 */
START_TEST(test_link)
{
	struct tcg_block a, b;
	struct tcg_link *link;

	adder(&a, PC, 1, PC + 0x100);
	adder(&b, PC + 0x100, 10, PC + 0x200);
	ck_assert_int_eq(run(&a), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(env->pc, PC + 0x100);
	ck_assert_uint_eq(regs[0], 1);
	link = (struct tcg_link *)(uintptr_t)env->link_patch;
	ck_assert_ptr_eq(link, &a.links[0]);
	ck_assert_uint_eq(link->target_pc, PC + 0x100);
	ck_assert_uint_ne(link->patch_offset, 0);
	ck_assert_uint_le(((uintptr_t)a.code + link->patch_offset) & 7u, 4);
	host_x86_64.link(state, link, b.code, 0);
	ck_assert_int_eq(run(&a), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(regs[0], 12);
	ck_assert_uint_eq(env->pc, PC + 0x200);
	ck_assert_uint_eq(env->link_patch, (uintptr_t)&b.links[0]);
	host_x86_64.link(state, link, NULL, 0);
	ck_assert_int_eq(run(&a), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(regs[0], 13);
	ck_assert_uint_eq(env->link_patch, (uintptr_t)link);
	/* refused, it looks in the jump cache and asks for code */
	host_x86_64.refuse(state, link, 0);
	ck_assert_int_eq(run(&a), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(env->link_patch, 0);
	ck_assert_uint_eq(finds, 1);
	next_code = b.code;
	ck_assert_int_eq(run(&a), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(env->pc, PC + 0x200);
	ck_assert_uint_eq(regs[0], 25);
}
END_TEST

/* A conditional branch has two exits, each linked by itself. */
START_TEST(test_branch_links)
{
	struct tcg_block a, taken, not_taken;
	struct ir_block *b = begin(PC);
	uint16_t label = ir_label(b);

	ir_brci(b, IR_EQ, X1, 5, label);
	ir_exit_pc(b, PC + 4);
	ir_place(b, label);
	ir_exit_pc(b, PC + 0x40);
	lower(&a);
	adder(&not_taken, PC + 4, 1, PC + 0x1000);
	adder(&taken, PC + 0x40, 100, PC + 0x1000);
	for (regs[1] = 4; regs[1] <= 5; regs[1]++) {
		ck_assert_int_eq(run(&a), TCG_EXIT_LOOKUP);
		struct tcg_link *link = (struct tcg_link *)(uintptr_t)env->link_patch;
		ck_assert_ptr_nonnull(link);
		ck_assert_uint_eq(link->target_pc, env->pc);
		ck_assert_uint_eq(env->pc, regs[1] == 5 ? PC + 0x40 : PC + 4);
		host_x86_64.link(state, link, regs[1] == 5 ? taken.code : not_taken.code, 0);
	}
	regs[1] = 4;
	run(&a);
	ck_assert_uint_eq(regs[0], 1);
	regs[1] = 5;
	run(&a);
	ck_assert_uint_eq(regs[0], 101);
	ck_assert_uint_eq(env->link_patch, 0);  /* the other page is found, not linked */
	ck_assert_uint_eq(finds, 2);
}
END_TEST

static void cache(uint64_t pc, const struct tcg_block *b)
{
	env->jump_cache[tcg_jc_index(pc)] = (struct jc_entry){ pc ^ env->context, b->code };
}

/* Exits to other pages and to registers take the slot of their pc, in their context only. */
START_TEST(test_jump_cache)
{
	struct tcg_block far, reg, end;
	struct ir_block *b;

	env->context = 0xabcdull << 48;
	adder(&far, PC, 1, PC + 0x5002);
	b = begin(PC + 8);
	ir_exit_reg(b, X1, IR_JUMP_PLAIN);
	lower(&reg);
	b = begin(PC + 0x5002);
	ir_op2i(b, IR_add, X0, X0, 1000);
	ir_exit_env(b);
	lower(&end);
	regs[1] = PC + 0x5002;
	ck_assert_int_eq(run(&far), TCG_EXIT_LOOKUP);
	ck_assert_int_eq(run(&reg), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(env->pc, PC + 0x5002);
	ck_assert_uint_eq(finds, 2);
	cache(PC + 0x5002, &end);
	env->pc = 0x77770;
	run(&far);
	ck_assert_uint_eq(finds, 3);            /* at `end` only */
	ck_assert_uint_eq(regs[0], 1002);
	ck_assert_uint_eq(env->pc, 0x77770);
	run(&reg);
	ck_assert_uint_eq(regs[0], 2002);
	ck_assert_uint_eq(finds, 4);
	env->context ^= 1ull << 48;
	run(&reg);
	ck_assert_uint_eq(regs[0], 2002);
	ck_assert_uint_eq(env->pc, PC + 0x5002);
}
END_TEST

/* What tcg_find_code finds is run at once. */
START_TEST(test_find)
{
	struct tcg_block far, end;
	struct ir_block *b;

	adder(&far, PC, 1, PC + 0x5000);
	b = begin(PC + 0x5000);
	ir_op2i(b, IR_add, X0, X0, 1000);
	ir_poll(b, 0x1234);
	ir_exit_pc(b, PC + 0x5010);
	lower(&end);
	next_code = end.code;
	env->poll = 1;
	ck_assert_int_eq(run(&far), TCG_EXIT_POLL);
	ck_assert_uint_eq(env->pc, 0x1234);
	ck_assert_uint_eq(regs[0], 1001);
	env->poll = 0;
	ck_assert_int_eq(run(&far), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(env->pc, PC + 0x5010);
}
END_TEST

START_TEST(test_poll_at_register_exit)
{
	struct tcg_block reg;
	struct ir_block *b = begin(PC);

	ir_exit_reg(b, X1, IR_JUMP_RETURN);
	lower(&reg);
	regs[1] = 0x4440;
	env->poll = 1;
	ck_assert_int_eq(run(&reg), TCG_EXIT_POLL);
	ck_assert_uint_eq(env->pc, 0x4440);
	ck_assert_uint_eq(finds, 0);
}
END_TEST

/* The caller's MXCSR comes back, the guest's flags are in env->fflags, and its mode rounds. */
START_TEST(test_mxcsr)
{
	static const uint64_t expected[4] = { 0x3fd5555555555555, 0x3fd5555555555555, 0x3fd5555555555555,
					      0x3fd5555555555556 };
	struct tcg_block out;
	struct ir_block *b = begin(PC);
	uint32_t before = _mm_getcsr();

	ir_fp2(b, IR_fdiv_d, X0, X0, X1, IR_RM_DYN);
	ir_exit_pc(b, PC);
	lower(&out);
	for (env->frm = 0; env->frm < 4; env->frm++) {
		regs[0] = 0x3ff0000000000000;
		regs[1] = 0x4008000000000000;
		env->fflags = 8;
		run(&out);
		ck_assert_uint_eq(regs[0], expected[env->frm]);
		ck_assert_uint_eq(env->fflags, 8 | 1);
		ck_assert_uint_eq(_mm_getcsr(), before);
	}
}
END_TEST

/*
 * A store that faults leaves with the pc of its instruction; a load that misses is extended by the back end.
 */
START_TEST(test_slow_paths)
{
	struct tcg_block out;
	struct ir_block *b = begin(PC);

	ir_ld(b, X0, X1, 0, IRM_16 | IRM_SIGN);
	ir_insn(b, PC + 4, 4);
	ir_st(b, X1, 8, X0, IRM_64);
	ir_movi(b, X0, 1);
	ir_exit_pc(b, PC);
	lower(&out);
	ck_assert_int_eq(run(&out), TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(env->pc, PC + 4);
	ck_assert_uint_eq(regs[0], 0xffffffffffff8788ull);
}
END_TEST

/* A block that does not fit is refused whatever the room, and writes nothing beyond it. */
START_TEST(test_room)
{
	struct tcg_block out;
	struct ir_block *b = begin(PC);
	struct tcg_code_space space = { code + used, code + used, 0 };

	for (uint32_t i = 0; i < 64; i++)
		ir_st(b, X1, i, X0, IRM_64);
	ir_exit_pc(b, PC);
	memset(code + used, 0xcc, CODE_BYTES - used);
	for (space.free_bytes = 0; space.free_bytes < 16384; space.free_bytes += 64) {
		memset(&out, 0, sizeof(out));
		if (host_x86_64.lower(state, b, &out, &space))
			break;
		ck_assert_uint_eq(code[used + space.free_bytes], 0xcc);
	}
	ck_assert_uint_gt(space.free_bytes, 1024);
	ck_assert_uint_lt(space.free_bytes, 16384);
}
END_TEST

static uint64_t atomic_model(uint32_t which, uint64_t old, uint64_t v)
{
	switch (which) {
	case IR_AMO_SWAP: return v;
	case IR_AMO_ADD:  return old + v;
	case IR_AMO_AND:  return old & v;
	case IR_AMO_OR:   return old | v;
	case IR_AMO_XOR:  return old ^ v;
	case IR_AMO_MIN:  return (int64_t)old < (int64_t)v ? old : v;
	case IR_AMO_MAX:  return (int64_t)old > (int64_t)v ? old : v;
	case IR_AMO_MINU: return old < v ? old : v;
	default:          return old > v ? old : v;
	}
}

/* IR_AMO_* or, one more, a compare-and-swap that finds what it expects; the old value wanted or not. */
static void lower_atomic(struct tcg_block *out, uint32_t which, uint64_t vaddr, bool wanted)
{
	struct ir_block *b = begin(PC);
	ir_val addr = ir_movi(b, IR_NONE, (int64_t)vaddr), d = wanted ? X0 : IR_NONE;

	if (which > IR_AMO_MAXU)
		ir_cas(b, d, addr, X0, X1, IRM_64);
	else
		ir_amo(b, d, which, addr, X1, IRM_64);
	ir_exit_pc(b, PC + 4);
	lower(out);
}

/* By machine code, without a slow path: the line's version is counted up when it is odd, and only that one. */
START_TEST(test_atomic_lines)
{
	static uint32_t lines[LINE_VERSIONS];
	uint8_t *page = aligned_alloc(TCG_PAGE_SIZE, TCG_PAGE_SIZE);
	uint64_t vaddr = 0x7000, offset = 0x548, old = 0xf0f0, v = ~0xff00ull;
	struct tlb_entry *e = &env->tlb[0][1][vaddr >> TCG_PAGE_BITS];

	*e = (struct tlb_entry){ vaddr, (uintptr_t)page - vaddr };
	env->lines = lines;
	for (uint32_t which = IR_AMO_SWAP; which <= IR_AMO_MAXU + 1; which++)
		for (uint32_t kind = 0; kind < 4; kind++) {
			bool wanted = kind & 1, odd = kind & 2;
			uint32_t line = tcg_line_index((uintptr_t)page + offset);
			uint64_t got, result = which > IR_AMO_MAXU ? v : atomic_model(which, old, v);
			struct tcg_block block_of;
			lower_atomic(&block_of, which, vaddr + offset, wanted);
			memset(lines, 0x55, sizeof(lines));     /* all odd */
			lines[line] = odd ? 7 : 8;
			memcpy(page + offset, &old, 8);
			regs[0] = old;
			regs[1] = v;
			ck_assert_int_eq(run(&block_of), TCG_EXIT_LOOKUP);
			memcpy(&got, page + offset, 8);
			ck_assert_msg(got == result, "%u: %lx, not %lx", which, got, result);
			ck_assert_uint_eq(regs[0], old);
			ck_assert_uint_eq(lines[line], 8);
			for (uint32_t i = 0; i < LINE_VERSIONS; i++)
				ck_assert(i == line || lines[i] == 0x55555555);
		}
	free(page);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("x86_64");
	TCase *c = tcase_create("exits");
	SRunner *r;
	int failed;

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, test_link);
	tcase_add_test(c, test_branch_links);
	tcase_add_test(c, test_jump_cache);
	tcase_add_test(c, test_find);
	tcase_add_test(c, test_poll_at_register_exit);
	tcase_add_test(c, test_mxcsr);
	tcase_add_test(c, test_slow_paths);
	tcase_add_test(c, test_room);
	tcase_add_test(c, test_atomic_lines);
	suite_add_tcase(s, c);
	r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
