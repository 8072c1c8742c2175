/* SPDX-License-Identifier: MIT */
/*
 * Integer instructions, run one by one, against models written from the specification (64-bit values, 128-bit
 * products), over boundary operands and random ones; loads, stores, branches, jumps, atomics, x0.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rvfake.h"

#define RD 7u
#define RS1 5u
#define RS2 6u
#define DATA (FAKE_RAM + 0x8000)

static struct rv_fake *f;

static void setup(void)
{
	f = rv_fake_new(RV_ISA_DEFAULT);
}

static void teardown(void)
{
	rv_fake_free(f);
}

static const uint64_t edges[] = {
	0, 1, 2, 3, 7, 31, 32, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
	0x100000000, 0x7fffffffffffffff, 0x8000000000000000, 0x8000000000000001, 0xffffffff7fffffff,
	0xffffffff80000000, 0xfffffffffffffffe, 0xffffffffffffffff, 0x0102030405060708, 0x00ff00ff00ff00ff,
	0x123456789abcdef0, 0x5555555555555555,
};
#define EDGES (sizeof(edges) / sizeof(edges[0]))

/* --- models --- */

static uint64_t sx32(uint64_t v) { return (uint64_t)(int64_t)(int32_t)v; }
static int64_t s(uint64_t v) { return (int64_t)v; }

static uint64_t mulhsu(uint64_t a, uint64_t b)
{
	return (uint64_t)((__int128)s(a) * (__int128)(unsigned __int128)b >> 64);
}

static uint64_t divide(uint64_t a, uint64_t b)
{
	if (!b)
		return UINT64_MAX;
	return s(b) == -1 ? -a : (uint64_t)(s(a) / s(b));
}

static uint64_t remain(uint64_t a, uint64_t b)
{
	if (!b)
		return a;
	return s(b) == -1 ? 0 : (uint64_t)(s(a) % s(b));
}

static uint64_t rol64(uint64_t a, uint32_t n) { return n & 63 ? a << (n & 63) | a >> (64 - (n & 63)) : a; }
static uint64_t rol32(uint64_t a, uint32_t n)
{
	uint32_t v = (uint32_t)a;

	return sx32(n & 31 ? v << (n & 31) | v >> (32 - (n & 31)) : v);
}

static uint64_t count(uint64_t a, uint32_t bits, int from, int stop_at)
{
	/* zeros from the low (from = 0) or high end until a one; stop_at < 0: all ones */
	uint64_t n = 0;

	for (uint32_t i = 0; i < bits; i++) {
		bool one = a >> (from ? bits - 1 - i : i) & 1;
		if (stop_at >= 0 && one)
			break;
		n += stop_at >= 0 ? 1 : one;
	}
	return n;
}

static uint64_t bytes(uint64_t a, bool reverse)
{
	uint64_t r = 0;

	for (int i = 0; i < 8; i++) {
		uint64_t b = a >> (8 * i) & 255;
		r |= reverse ? b << (56 - 8 * i) : (b ? UINT64_C(255) : 0) << (8 * i);
	}
	return r;
}

/* rd of a register-register or unary instruction, or of one with b as its immediate. */
static uint64_t model(uint32_t op, uint64_t a, uint64_t b)
{
	uint32_t n = (uint32_t)b & 63, w = (uint32_t)b & 31;

	switch (op) {
	case RV_add: case RV_addi:     return a + b;
	case RV_sub:                   return a - b;
	case RV_and: case RV_andi:     return a & b;
	case RV_or: case RV_ori:       return a | b;
	case RV_xor: case RV_xori:     return a ^ b;
	case RV_slt: case RV_slti:     return s(a) < s(b);
	case RV_sltu: case RV_sltiu:   return a < b;
	case RV_sll: case RV_slli:     return a << n;
	case RV_srl: case RV_srli:     return a >> n;
	case RV_sra: case RV_srai:     return (uint64_t)(s(a) >> n);
	case RV_addw: case RV_addiw:   return sx32(a + b);
	case RV_subw:                  return sx32(a - b);
	case RV_sllw: case RV_slliw:   return sx32((uint32_t)a << w);
	case RV_srlw: case RV_srliw:   return sx32((uint32_t)a >> w);
	case RV_sraw: case RV_sraiw:   return (uint64_t)(int64_t)((int32_t)a >> w);
	case RV_mul:                   return a * b;
	case RV_mulh:                  return (uint64_t)((__int128)s(a) * s(b) >> 64);
	case RV_mulhsu:                return mulhsu(a, b);
	case RV_mulhu:                 return (uint64_t)((unsigned __int128)a * b >> 64);
	case RV_div:                   return divide(a, b);
	case RV_divu:                  return b ? a / b : UINT64_MAX;
	case RV_rem:                   return remain(a, b);
	case RV_remu:                  return b ? a % b : a;
	case RV_mulw:                  return sx32(a * b);
	case RV_divw:                  return sx32(divide(sx32(a), sx32(b)));
	case RV_divuw:                 return (uint32_t)b ? sx32((uint32_t)a / (uint32_t)b) : UINT64_MAX;
	case RV_remw:                  return sx32(remain(sx32(a), sx32(b)));
	case RV_remuw:                 return sx32((uint32_t)b ? (uint32_t)a % (uint32_t)b : (uint32_t)a);
	case RV_sh1add:                return b + (a << 1);
	case RV_sh2add:                return b + (a << 2);
	case RV_sh3add:                return b + (a << 3);
	case RV_add_uw:                return b + (uint32_t)a;
	case RV_sh1add_uw:             return b + ((uint64_t)(uint32_t)a << 1);
	case RV_sh2add_uw:             return b + ((uint64_t)(uint32_t)a << 2);
	case RV_sh3add_uw:             return b + ((uint64_t)(uint32_t)a << 3);
	case RV_slli_uw:               return (uint64_t)(uint32_t)a << n;
	case RV_andn:                  return a & ~b;
	case RV_orn:                   return a | ~b;
	case RV_xnor:                  return ~(a ^ b);
	case RV_min:                   return s(a) < s(b) ? a : b;
	case RV_max:                   return s(a) > s(b) ? a : b;
	case RV_minu:                  return a < b ? a : b;
	case RV_maxu:                  return a > b ? a : b;
	case RV_rol:                   return rol64(a, n);
	case RV_ror: case RV_rori:     return rol64(a, 64 - n);
	case RV_rolw:                  return rol32(a, w);
	case RV_rorw: case RV_roriw:   return rol32(a, 32 - w);
	case RV_clz:                   return count(a, 64, 1, 1);
	case RV_ctz:                   return count(a, 64, 0, 1);
	case RV_cpop:                  return count(a, 64, 0, -1);
	case RV_clzw:                  return count(a, 32, 1, 1);
	case RV_ctzw:                  return count(a, 32, 0, 1);
	case RV_cpopw:                 return count(a, 32, 0, -1);
	case RV_sext_b:                return (uint64_t)(int64_t)(int8_t)a;
	case RV_sext_h:                return (uint64_t)(int64_t)(int16_t)a;
	case RV_zext_h:                return (uint16_t)a;
	case RV_orc_b:                 return bytes(a, false);
	case RV_rev8:                  return bytes(a, true);
	case RV_bclr: case RV_bclri:   return a & ~(UINT64_C(1) << n);
	case RV_bset: case RV_bseti:   return a | UINT64_C(1) << n;
	case RV_binv: case RV_binvi:   return a ^ UINT64_C(1) << n;
	case RV_czero_eqz:             return b ? a : 0;
	case RV_czero_nez:             return b ? 0 : a;
	case RV_bext: case RV_bexti:   return a >> n & 1;
	}
	ck_abort_msg("no model of %s", rv_entries[op].name);
	return 0;
}

/* --- computation --- */

static bool is_computation(uint32_t op)
{
	uint32_t format = rv_entries[op].format;

	return (format == RV_FORMAT_R || format == RV_FORMAT_R1 || format == RV_FORMAT_I ||
		format == RV_FORMAT_SH6 || format == RV_FORMAT_SH5);
}

static void check_one(uint32_t op, uint64_t a, uint64_t b, uint32_t rd, uint32_t rs1, uint32_t rs2)
{
	uint32_t format = rv_entries[op].format;
	bool imm = format == RV_FORMAT_I || format == RV_FORMAT_SH6 || format == RV_FORMAT_SH5;
	struct rv_insn insn = { .op = (uint8_t)op, .rd = (uint8_t)rd, .rs1 = (uint8_t)rs1, .rs2 = (uint8_t)rs2,
				.imm = (int64_t)b };

	f->env->pc = FAKE_RAM;
	f->s->x[RD] = 0x6162636465666768;
	if (rs2 && !imm)
		f->s->x[rs2] = b;
	if (rs1)
		f->s->x[rs1] = a;
	/* the values as the instruction will see them: registers may be the same one, or x0 */
	a = rs1 ? f->s->x[rs1] : 0;
	b = imm ? b : rs2 ? f->s->x[rs2] : 0;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&insn)), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 4);
	if (rd)
		ck_assert_msg(f->s->x[rd] == model(op, a, b), "%s x%u,x%u,x%u %lx %lx: %lx, not %lx",
			      rv_entries[op].name, rd, rs1, rs2, a, b, f->s->x[rd], model(op, a, b));
}

static uint64_t immediate(uint32_t format, uint64_t b)
{
	if (format == RV_FORMAT_SH6)
		return b & 63;
	if (format == RV_FORMAT_SH5)
		return b & 31;
	return format == RV_FORMAT_I ? (uint64_t)((int64_t)(b << 52) >> 52) : b;
}

START_TEST(computation)
{
	uint64_t rng = 1;

	for (uint32_t op = 0; op < RV_OPS; op++) {
		if (!is_computation(op))
			continue;
		for (size_t i = 0; i < EDGES; i++)
			for (size_t j = 0; j < EDGES; j++)
				check_one(op, edges[i], immediate(rv_entries[op].format, edges[j]), RD, RS1, RS2);
		for (int i = 0; i < 200; i++) {
			uint64_t a = rv_fake_random(&rng), b = rv_fake_random(&rng);
			check_one(op, a >> (a & 31), immediate(rv_entries[op].format, b), RD, RS1, RS2);
		}
	}
}
END_TEST

/* The same with x0 and the same register in every place. */
START_TEST(register_aliases)
{
	static const uint32_t regs[] = { 0, RD, RS1 };

	for (uint32_t op = 0; op < RV_OPS; op++) {
		if (!is_computation(op))
			continue;
		for (int rd = 0; rd < 3; rd++)
			for (int rs1 = 0; rs1 < 3; rs1++)
				for (int rs2 = 0; rs2 < 3; rs2++)
					for (size_t i = 0; i < EDGES; i++)
						check_one(op, edges[i],
							  immediate(rv_entries[op].format, edges[(i * 7 + 3) % EDGES]),
							  regs[rd], regs[rs1], regs[rs2]);
	}
}
END_TEST

/* --- blocks of several instructions --- */

static uint64_t at;

static void put(const struct rv_insn *insn)
{
	rv_fake_put(f, at, rv_encode(insn), 4);
	at += 4;
}
#define PUT(...) put(&(struct rv_insn){ __VA_ARGS__ })

/* Chains of instructions that the translator computes itself, against the same ones apart. */
START_TEST(known_values)
{
	uint64_t rng = 3, apart[32];
	static const uint8_t ops[] = { RV_lui, RV_auipc, RV_addi, RV_addiw, RV_slli, RV_xori, RV_andi, RV_ori,
				      RV_add,
				       RV_sub, RV_srli, RV_addw };

	for (int round = 0; round < 3000; round++) {
		at = FAKE_RAM;
		for (int i = 0; i < 12; i++) {
			uint64_t r = rv_fake_random(&rng);
			uint32_t op = ops[r % sizeof(ops)], format = rv_entries[op].format;
			int64_t imm = format == RV_FORMAT_U ? (int64_t)(int32_t)(r >> 32 & 0xfffff000) :
				      (int64_t)immediate(format, r >> 20);
			PUT(.op = (uint8_t)op, .rd = r >> 8 & 3, .rs1 = r >> 10 & 3, .rs2 = r >> 12 & 3, .imm = imm);
		}
		for (int i = 1; i < 4; i++)
			f->s->x[i] = edges[rv_fake_random(&rng) % EDGES];
		uint64_t before[32];
		memcpy(before, f->s->x, sizeof(before));
		f->env->pc = FAKE_RAM;
		for (int i = 0; i < 12; i++)
			rv_fake_run(f, 1);
		memcpy(apart, f->s->x, sizeof(apart));
		memcpy(f->s->x, before, sizeof(before));
		f->env->pc = FAKE_RAM;
		rv_fake_run(f, 12);
		ck_assert_uint_eq(f->env->pc, FAKE_RAM + 48);
		ck_assert_mem_eq(f->s->x, apart, sizeof(apart));
	}
}
END_TEST

START_TEST(upper_immediates)
{
	static const int64_t imms[] = { 0, 0x1000, 0x7ffff000, -0x80000000ll, -0x1000 };

	for (size_t i = 0; i < 5; i++) {
		f->env->pc = FAKE_RAM;
		rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_lui, .rd = RD, .imm = imms[i] }));
		ck_assert_int_eq((int64_t)f->s->x[RD], imms[i]);
		f->env->pc = FAKE_RAM;
		rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_auipc, .rd = RD, .imm = imms[i] }));
		ck_assert_uint_eq(f->s->x[RD], FAKE_RAM + (uint64_t)imms[i]);
	}
}
END_TEST

/* --- memory --- */

START_TEST(loads_and_stores)
{
	static const struct { uint8_t load, store; uint32_t bytes; bool sign; } kinds[] = {
		{ RV_lb, RV_sb, 1, true }, { RV_lbu, RV_sb, 1, false }, { RV_lh, RV_sh, 2, true },
		{ RV_lhu, RV_sh, 2, false }, { RV_lw, RV_sw, 4, true }, { RV_lwu, RV_sw, 4, false }, { RV_ld, RV_sd,
				8, false },
	};

	for (size_t k = 0; k < 7; k++)
		for (int offset = -9; offset < 9; offset++)     /* misaligned ones work too */
			for (size_t e = 0; e < EDGES; e++) {
				uint32_t bits = 64 - 8 * kinds[k].bytes;
				uint64_t low = edges[e] << bits >> bits;
				rv_fake_put(f, DATA + (uint64_t)offset, ~edges[e], 8);
				f->s->x[RS1] = DATA;
				f->s->x[RS2] = edges[e];
				f->env->pc = FAKE_RAM;
				rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = kinds[k].store, .rs1 = RS1,
									     .rs2 = RS2, .imm = offset }));
				uint64_t kept = kinds[k].bytes == 8 ? 0 : ~edges[e] >> (8 * kinds[k].bytes);
				uint64_t whole = kinds[k].bytes == 8 ? low : low | kept << (8 * kinds[k].bytes);
				ck_assert_uint_eq(rv_fake_get(f, DATA + (uint64_t)offset, 8), whole);
				f->s->x[RS1] = DATA;
				rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = kinds[k].load, .rd = RS1,
									     .rs1 = RS1, .imm = offset }));
				ck_assert_uint_eq(f->s->x[RS1], kinds[k].sign ? (uint64_t)((int64_t)(low << bits) >> bits) :
						  low);
			}
}
END_TEST

START_TEST(faulting_access)
{
	f->s->x[RS1] = 0x1000;
	f->s->x[RD] = 77;
	ck_assert_int_eq(rv_fake_insn(f, 0x0002b383), TCG_EXIT_EXCEPTION);      /* ld t2,0(t0) */
	ck_assert_uint_eq(f->env->exception, RV_LOAD_ACCESS);
	ck_assert_uint_eq(f->env->exception_value, 0x1000);
	ck_assert_uint_eq(f->s->x[RD], 77);
	ck_assert_int_eq(rv_fake_insn(f, 0x0002b003), TCG_EXIT_EXCEPTION);      /* ld zero,0(t0) loads too */
	ck_assert_int_eq(rv_fake_insn(f, 0x0072b023), TCG_EXIT_EXCEPTION);      /* sd t2,0(t0) */
	ck_assert_uint_eq(f->env->exception, RV_STORE_ACCESS);
	f->env->pc = 0x2000;
	ck_assert_int_eq(rv_fake_run(f, 4), TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_INSN_ACCESS);
}
END_TEST

/* --- control --- */

START_TEST(branches)
{
	static const uint8_t ops[] = { RV_beq, RV_bne, RV_blt, RV_bge, RV_bltu, RV_bgeu };

	for (int k = 0; k < 6; k++)
		for (size_t i = 0; i < EDGES; i++)
			for (size_t j = 0; j < EDGES * 3; j++) {
				uint64_t a = edges[i], b = edges[j % EDGES];
				uint8_t rs1 = RS1, rs2 = RS2;
				if (j / EDGES == 1)
					rs2 = 0, b = 0;
				if (j / EDGES == 2)
					rs1 = 0, a = 0;
				bool taken[] = { a == b, a != b, s(a) < s(b), s(a) >= s(b), a < b, a >= b };
				int64_t offset = j & 1 ? 0x7fe : -0x800;
				f->env->pc = FAKE_RAM + 0x4000;
				f->s->x[RS1] = edges[i];
				f->s->x[RS2] = edges[j % EDGES];
				rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = ops[k], .rs1 = rs1, .rs2 = rs2,
									     .imm = offset }));
				ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0x4000 + (uint64_t)(taken[k] ? offset : 4));
			}
}
END_TEST

START_TEST(jumps)
{
	f->env->pc = FAKE_RAM + 0x4000;
	rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jal, .rd = 1, .imm = -0x2002 }));
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0x1ffe);
	ck_assert_uint_eq(f->s->x[1], FAKE_RAM + 0x4004);
	/* bit 0 of the target is dropped; rd = rs1 reads first */
	f->env->pc = FAKE_RAM;
	f->s->x[1] = FAKE_RAM + 0x101;
	rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jalr, .rd = 1, .rs1 = 1, .imm = -16 }));
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0xf0);
	ck_assert_uint_eq(f->s->x[1], FAKE_RAM + 4);
	/* auipc and jalr: the pair is one constant jump */
	at = f->env->pc = FAKE_RAM;
	PUT(.op = RV_auipc, .rd = 1, .imm = 0x1000);
	PUT(.op = RV_jalr, .rd = 1, .rs1 = 1, .imm = 0x14);
	ck_assert_int_eq(rv_fake_run(f, 8), TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0x1014);
	ck_assert_uint_eq(f->s->x[1], FAKE_RAM + 8);
	/* jalr x0,0(x0) */
	f->env->pc = FAKE_RAM;
	rv_fake_insn(f, 0x00000067);
	ck_assert_uint_eq(f->env->pc, 0);
}
END_TEST

/* A block polls before it goes back. */
START_TEST(back_edges_poll)
{
	f->env->pc = FAKE_RAM + 0x100;
	f->env->poll = 1;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jal, .imm = -0x10 })), TCG_EXIT_POLL);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0xf0);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jal, .imm = 0x10 })),
			 TCG_EXIT_LOOKUP);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_beq, .imm = 0 })), TCG_EXIT_POLL);
}
END_TEST

/* Instructions across the end of the page have a block of their own; a later page is not looked at before. */
START_TEST(page_end)
{
	at = FAKE_RAM + 0xff6;
	rv_fake_put(f, at, 0x0285, 2);                          /* c.addi t0,1 */
	rv_fake_put(f, at + 2, 0x00128293, 4);                  /* addi t0,t0,1 */
	rv_fake_put(f, at + 6, 0x0285, 2);
	rv_fake_put(f, at + 8, 0x00128293, 4);                  /* in both pages */
	f->env->pc = at;
	f->s->x[RS1] = 0;
	rv_fake_run(f, 64);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0xffe);
	ck_assert_uint_eq(f->s->x[RS1], 3);
	rv_fake_run(f, 1);
	ck_assert_uint_eq(f->s->x[RS1], 4);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0x1002);
	/* the last parcel of RAM begins an instruction whose rest is not there */
	f->env->pc = FAKE_RAM + FAKE_BYTES - 2;
	rv_fake_put(f, f->env->pc, 0x0013, 2);
	ck_assert_int_eq(rv_fake_run(f, 64), TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_INSN_ACCESS);
	ck_assert_uint_eq(f->env->exception_value, FAKE_RAM + FAKE_BYTES);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + FAKE_BYTES - 2);
}
END_TEST

/* Without C an instruction begins at a multiple of 4, and the jump that would break this faults. */
START_TEST(breakpoints_end_blocks)
{
	at = FAKE_RAM + 0x100;
	for (uint32_t i = 0; i < 4; i++)
		rv_fake_put(f, at + 2 * i, 0x0285, 2);          /* c.addi t0,1 */
	f->env->pc = at;
	f->s->x[RS1] = 0;
	f->break_at = at + 4;
	rv_fake_run(f, 64);
	ck_assert_uint_eq(f->env->pc, at + 4);
	ck_assert_uint_eq(f->s->x[RS1], 2);
	/* a block that begins with it is the engine's affair; a place inside an instruction is none */
	f->break_at = at + 5;
	rv_fake_run(f, 2);
	ck_assert_uint_eq(f->env->pc, at + 8);
}
END_TEST

START_TEST(misaligned_targets)
{
	rv_fake_free(f);
	f = rv_fake_new("rv64ima_zicsr");
	f->s->x[1] = 9;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jal, .rd = 1, .imm = 6 })),
			 TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_INSN_MISALIGNED);
	ck_assert_uint_eq(f->env->exception_value, FAKE_RAM + 6);
	ck_assert_uint_eq(f->s->x[1], 9);
	f->s->x[1] = FAKE_RAM + 0x102;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jalr, .rd = 1, .rs1 = 1 })),
			 TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception_value, FAKE_RAM + 0x102);
	ck_assert_uint_eq(f->s->x[1], FAKE_RAM + 0x102);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_jalr, .rd = 1, .rs1 = 1,
			.imm = -2 })),
			 TCG_EXIT_LOOKUP);
	ck_assert_uint_eq(f->env->pc, FAKE_RAM + 0x100);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_bne, .imm = 6 })), TCG_EXIT_LOOKUP);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_beq, .imm = 6 })),
			 TCG_EXIT_EXCEPTION);
	ck_assert_int_eq(rv_fake_insn(f, 0x4515), TCG_EXIT_EXCEPTION);          /* c.li */
	ck_assert_uint_eq(f->env->exception, RV_ILLEGAL);
	ck_assert_uint_eq(f->env->exception_value, 0x4515);
}
END_TEST

/* --- atomics --- */

static uint64_t amo_model(uint32_t op, uint64_t old, uint64_t v)
{
	switch (op) {
	case RV_amoswap_w: case RV_amoswap_d: return v;
	case RV_amoadd_w: case RV_amoadd_d:   return old + v;
	case RV_amoxor_w: case RV_amoxor_d:   return old ^ v;
	case RV_amoand_w: case RV_amoand_d:   return old & v;
	case RV_amoor_w: case RV_amoor_d:     return old | v;
	case RV_amomin_w:  return (int32_t)old < (int32_t)v ? old : v;
	case RV_amomax_w:  return (int32_t)old > (int32_t)v ? old : v;
	case RV_amominu_w: return (uint32_t)old < (uint32_t)v ? old : v;
	case RV_amomaxu_w: return (uint32_t)old > (uint32_t)v ? old : v;
	case RV_amomin_d:  return s(old) < s(v) ? old : v;
	case RV_amomax_d:  return s(old) > s(v) ? old : v;
	case RV_amominu_d: return old < v ? old : v;
	case RV_amomaxu_d: return old > v ? old : v;
	}
	ck_abort_msg("no model of %s", rv_entries[op].name);
	return 0;
}

static bool is_amo(uint32_t op)
{
	return rv_entries[op].format == RV_FORMAT_AMO && rv_entries[op].ext == RV_EXT_A && op != RV_sc_w && op != RV_sc_d;
}

START_TEST(amos)
{
	for (uint32_t op = 0; op < RV_OPS; op++) {
		uint32_t width = rv_entries[op].match >> 12 & 1 ? 8 : 4;
		if (!is_amo(op))
			continue;
		for (size_t i = 0; i < EDGES; i++)
			for (size_t j = 0; j < EDGES; j++) {
				uint64_t mask = width == 8 ? UINT64_MAX : 0xffffffff;
				f->env->pc = FAKE_RAM;
				f->s->x[RS1] = DATA;
				f->s->x[RS2] = edges[j];
				rv_fake_put(f, DATA, edges[i], 8);
				rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = (uint8_t)op, .rd = RS1, .rs1 = RS1,
									     .rs2 = RS2, .imm = (int64_t)(i & 3) }));
				ck_assert_uint_eq(f->s->x[RS1], width == 4 ? sx32(edges[i]) : edges[i]);
				ck_assert_uint_eq(rv_fake_get(f, DATA, 8),
						  (amo_model(op, edges[i], edges[j]) & mask) | (edges[i] & ~mask));
			}
		f->env->pc = FAKE_RAM;
		f->s->x[RS1] = DATA + 2;
		ck_assert_int_eq(rv_fake_insn(f, rv_entries[op].match | RS1 << 15), TCG_EXIT_EXCEPTION);
		ck_assert_uint_eq(f->env->exception, RV_STORE_MISALIGNED);
		ck_assert_uint_eq(f->env->exception_value, DATA + 2);
	}
}
END_TEST

static uint64_t load_reserved(uint8_t op, uint64_t addr)
{
	f->env->pc = FAKE_RAM;
	f->s->x[RS1] = addr;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = op, .rd = RD, .rs1 = RS1 })),
			 TCG_EXIT_LOOKUP);
	return f->s->x[RD];
}

static uint64_t store_conditional(uint8_t op, uint64_t addr, uint64_t value)
{
	f->env->pc = FAKE_RAM;
	f->s->x[RS1] = addr;
	f->s->x[RS2] = value;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = op, .rd = RD, .rs1 = RS1, .rs2 = RS2 })),
			 TCG_EXIT_LOOKUP);
	return f->s->x[RD];
}

START_TEST(reservations)
{
	rv_fake_put(f, DATA, 0x1122334488776655, 8);
	ck_assert_uint_eq(store_conditional(RV_sc_d, DATA, 5), 1);              /* none yet */
	ck_assert_uint_eq(load_reserved(RV_lr_w, DATA), 0xffffffff88776655);
	ck_assert_uint_eq(store_conditional(RV_sc_w, DATA, 0xaabbccdd12345678), 0);
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), 0x1122334412345678);
	ck_assert_uint_eq(store_conditional(RV_sc_w, DATA, 1), 1);              /* used up */
	ck_assert_uint_eq(load_reserved(RV_lr_d, DATA), 0x1122334412345678);
	ck_assert_uint_eq(store_conditional(RV_sc_d, DATA + 8, 1), 1);          /* elsewhere, and that ends it */
	ck_assert_uint_eq(store_conditional(RV_sc_d, DATA, 1), 1);
	load_reserved(RV_lr_d, DATA);
	ck_assert_uint_eq(store_conditional(RV_sc_w, DATA, 1), 1);              /* other width */
	load_reserved(RV_lr_d, DATA);
	rv_fake_put(f, DATA, 99, 8);                                            /* another hart's plain store */
	ck_assert_uint_eq(store_conditional(RV_sc_d, DATA, 1), 1);
	ck_assert_uint_eq(rv_fake_get(f, DATA, 8), 99);
	load_reserved(RV_lr_d, DATA);
	f->line_version++;                                                      /* an AMO there and back */
	ck_assert_uint_eq(store_conditional(RV_sc_d, DATA, 1), 1);
	load_reserved(RV_lr_d, DATA);
	uint32_t version = f->line_version;
	ck_assert_uint_eq(store_conditional(RV_sc_d, DATA, 7), 0);
	ck_assert_uint_ne(f->line_version, version);                            /* an SC ends the others' */
	f->s->x[RS1] = DATA + 4;
	f->env->pc = FAKE_RAM;
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_lr_d, .rd = RD, .rs1 = RS1 })),
			 TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_LOAD_MISALIGNED);
	ck_assert_int_eq(rv_fake_insn(f, rv_encode(&(struct rv_insn){ .op = RV_sc_d, .rd = RD, .rs1 = RS1 })),
			 TCG_EXIT_EXCEPTION);
	ck_assert_uint_eq(f->env->exception, RV_STORE_MISALIGNED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rv-int");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, 300);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, computation);
	tcase_add_test(tc, register_aliases);
	tcase_add_test(tc, known_values);
	tcase_add_test(tc, upper_immediates);
	tcase_add_test(tc, loads_and_stores);
	tcase_add_test(tc, faulting_access);
	tcase_add_test(tc, branches);
	tcase_add_test(tc, jumps);
	tcase_add_test(tc, back_edges_poll);
	tcase_add_test(tc, page_end);
	tcase_add_test(tc, breakpoints_end_blocks);
	tcase_add_test(tc, misaligned_targets);
	tcase_add_test(tc, amos);
	tcase_add_test(tc, reservations);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
