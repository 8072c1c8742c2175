/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 encoder. References are to the Intel SDM, volume 2, chapter 2 (prefixes, ModR/M, VEX).
 */
#include <string.h>

#include "host/x86_64/enc.h"

static inline void put8(struct x86_enc *e, uint32_t v)
{
	*e->p++ = (uint8_t)v;
}

static inline void put32(struct x86_enc *e, int32_t v)
{
	memcpy(e->p, &v, 4);
	e->p += 4;
}

static inline void put64(struct x86_enc *e, int64_t v)
{
	memcpy(e->p, &v, 8);
	e->p += 8;
}

/* ModR/M, SIB and displacement; `tail` = bytes of immediate behind, which RIP-relative addresses count. */
static void put_modrm(struct x86_enc *e, uint8_t reg, struct x86_rm rm, uint32_t tail)
{
	uint32_t r = (uint32_t)(reg & 7) << 3;

	if (rm.kind == RM_REG) {
		put8(e, 0xc0u | r | (rm.base & 7u));
		return;
	}
	if (rm.kind == RM_RIP) {
		put8(e, 0x05u | r);
		put32(e, rm.disp - (int32_t)(x86_at(e) + 4 + tail));
		return;
	}
	if (rm.base == REG_NONE) {              /* [index*scale + disp32] */
		put8(e, 0x04u | r);
		put8(e, (uint32_t)rm.scale << 6 | (rm.index & 7u) << 3 | 5u);
		put32(e, rm.disp);
		return;
	}

	uint32_t base = rm.base & 7u;
	uint32_t mod = 0x80;
	/* mod 00 with base 5 means RIP or none, so rbp and r13 always have a displacement */
	if (rm.disp == 0 && base != 5)
		mod = 0;
	else if (rm.disp == (int8_t)rm.disp)
		mod = 0x40;
	if (rm.index != REG_NONE) {
		put8(e, mod | r | 4u);
		put8(e, (uint32_t)rm.scale << 6 | (rm.index & 7u) << 3 | base);
	} else if (base == 4) {                 /* rsp and r12 need a SIB byte */
		put8(e, mod | r | 4u);
		put8(e, 0x24);
	} else {
		put8(e, mod | r | base);
	}
	if (mod == 0x40)
		put8(e, (uint8_t)rm.disp);
	else if (mod == 0x80)
		put32(e, rm.disp);
}

static inline uint32_t high_bit(uint8_t reg)
{
	return reg != REG_NONE && (reg & 8u);
}

static void put_op(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm, uint32_t tail)
{
	static const uint8_t prefix[4] = { 0, 0x66, 0xf3, 0xf2 };
	uint32_t map = op >> 8 & 3u, pp = op >> 10 & 3u, rex = 0;

	e->count++;
	if (pp)
		put8(e, prefix[pp]);
	rex = (op & X86_W ? 8u : 0u) | high_bit(reg) << 2 | high_bit(rm.index) << 1 | high_bit(rm.base);
	/* spl bpl sil dil need an empty REX prefix */
	if (rex || ((op & X86_BREG) && reg >= 4) || ((op & X86_BRM) && rm.kind == RM_REG && rm.base >= 4))
		put8(e, 0x40u | rex);
	if (map)
		put8(e, 0x0f);
	if (map >= 2)
		put8(e, map == 2 ? 0x38 : 0x3a);
	put8(e, op);
	put_modrm(e, reg, rm, tail);
}

void x86_op(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm)
{
	put_op(e, op, reg, rm, 0);
}

void x86_op_i8(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm, uint8_t imm)
{
	put_op(e, op, reg, rm, 1);
	put8(e, imm);
}

void x86_op_i32(struct x86_enc *e, uint32_t op, uint8_t reg, struct x86_rm rm, int32_t imm)
{
	put_op(e, op, reg, rm, 4);
	put32(e, imm);
}

static void put_vex(struct x86_enc *e, uint32_t op, uint8_t reg, uint8_t v, struct x86_rm rm, uint32_t tail)
{
	uint32_t map = op >> 8 & 3u, pp = op >> 10 & 3u;
	uint32_t r = high_bit(reg) ? 0 : 0x80, x = high_bit(rm.index) ? 0 : 0x40,
		 b = high_bit(rm.base) ? 0 : 0x20;
	uint32_t last = (~(uint32_t)v & 15u) << 3 | (op & X86_L ? 4u : 0u) | pp;

	e->count++;
	if (map == 1 && !(op & X86_W) && x && b) {
		put8(e, 0xc5);
		put8(e, r | last);
	} else {
		put8(e, 0xc4);
		put8(e, r | x | b | map);
		put8(e, (op & X86_W ? 0x80u : 0u) | last);
	}
	put8(e, op);
	put_modrm(e, reg, rm, tail);
}

void x86_vex(struct x86_enc *e, uint32_t op, uint8_t reg, uint8_t v, struct x86_rm rm)
{
	put_vex(e, op, reg, v, rm, 0);
}

void x86_vex_i8(struct x86_enc *e, uint32_t op, uint8_t reg, uint8_t v, struct x86_rm rm, uint8_t imm)
{
	put_vex(e, op, reg, v, rm, 1);
	put8(e, imm);
}

void x86_alu_imm(struct x86_enc *e, uint32_t op, struct x86_rm rm, int32_t imm)
{
	uint8_t ext = (op & 0xffu) >> 3;

	if (imm == (int8_t)imm)
		x86_op_i8(e, X86_OP(0x83, 0, 0) | (op & X86_W), ext, rm, (uint8_t)imm);
	else
		x86_op_i32(e, X86_OP(0x81, 0, 0) | (op & X86_W), ext, rm, imm);
}

void x86_shift_imm(struct x86_enc *e, uint32_t w, uint8_t ext, struct x86_rm rm, uint8_t count)
{
	if (count == 1)
		x86_op(e, X86_OP(0xd1, 0, 0) | w, ext, rm);
	else
		x86_op_i8(e, X86_OP(0xc1, 0, 0) | w, ext, rm, count);
}

void x86_mov_imm(struct x86_enc *e, uint8_t reg, int64_t imm)
{
	e->count++;
	if ((uint64_t)imm <= UINT32_MAX) {
		if (reg & 8u)
			put8(e, 0x41);
		put8(e, 0xb8u | (reg & 7u));
		put32(e, (int32_t)imm);
	} else if (imm == (int32_t)imm) {
		e->count--;
		x86_op_i32(e, X86_OP(0xc7, 0, 0) | X86_W, 0, x86_reg(reg), (int32_t)imm);
	} else {
		put8(e, 0x48u | (reg & 8u) >> 3);
		put8(e, 0xb8u | (reg & 7u));
		put64(e, imm);
	}
}

void x86_mov_rr(struct x86_enc *e, uint8_t d, uint8_t s)
{
	if (d != s)
		put_op(e, OP_MOV | X86_W, d, x86_reg(s), 0);
}

void x86_push(struct x86_enc *e, uint8_t reg)
{
	if (reg & 8u)
		put8(e, 0x41);
	put8(e, 0x50u | (reg & 7u));
}

void x86_pop(struct x86_enc *e, uint8_t reg)
{
	if (reg & 8u)
		put8(e, 0x41);
	put8(e, 0x58u | (reg & 7u));
}

void x86_ret(struct x86_enc *e)
{
	put8(e, 0xc3);
}

void x86_bytes(struct x86_enc *e, const void *bytes, uint32_t count)
{
	memcpy(e->p, bytes, count);
	e->p += count;
}

static uint32_t put_rel32(struct x86_enc *e, uint32_t target)
{
	uint32_t site = x86_at(e);

	e->count++;
	put32(e, (int32_t)(target - (site + 4)));
	return site;
}

uint32_t x86_jmp(struct x86_enc *e, uint32_t target)
{
	put8(e, 0xe9);
	return put_rel32(e, target);
}

uint32_t x86_jcc(struct x86_enc *e, enum x86_cc cc, uint32_t target)
{
	put8(e, 0x0f);
	put8(e, 0x80u | (uint32_t)cc);
	return put_rel32(e, target);
}

uint32_t x86_call(struct x86_enc *e, uint32_t target)
{
	put8(e, 0xe8);
	return put_rel32(e, target);
}

void x86_bind(struct x86_enc *e, uint32_t site, uint32_t target)
{
	int32_t rel = (int32_t)(target - (site + 4));

	memcpy(e->start + site, &rel, 4);
}

void x86_nop(struct x86_enc *e, uint32_t bytes)
{
	static const uint8_t nop[8][8] = {
		{ 0x90 },
		{ 0x66, 0x90 },
		{ 0x0f, 0x1f, 0x00 },
		{ 0x0f, 0x1f, 0x40, 0x00 },
		{ 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		{ 0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00 },
		{ 0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00 },
		{ 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00 },
	};

	if (bytes)
		x86_bytes(e, nop[bytes - 1], bytes);
}
