/* SPDX-License-Identifier: MIT */
/*
 * The 16-bit forms: decoded into the base instruction that they stand for, so that nothing behind the decoder
 * knows of them but for their length. Indexed by quadrant and funct3. A form is refused when its reserved
 * condition holds; two lines may match one word only where such a condition tells them apart.
 */
#include "decode.h"
#include "isa.h"

enum rvc_reg { RVC_REG_Z, RVC_REG_RA, RVC_REG_SP, RVC_REG_F7, RVC_REG_F2, RVC_REG_P7, RVC_REG_P2 };

enum rvc_imm { RVC_IMM_NONE, RVC_IMM_4SPN, RVC_IMM_LW, RVC_IMM_LD, RVC_IMM_CI, RVC_IMM_SH, RVC_IMM_LUI,
	       RVC_IMM_16SP, RVC_IMM_J, RVC_IMM_B, RVC_IMM_LWSP, RVC_IMM_LDSP, RVC_IMM_SWSP, RVC_IMM_SDSP,
	       RVC_IMM_LB, RVC_IMM_LH, RVC_IMM_BYTE, RVC_IMM_ONES };

#define RVC_OK 0u
#define RVC_R0 1u
#define RVC_I0 2u
#define RVC_R2 4u
#define RVC_T0 8u

/* Scattered immediates: `count` bits from the word's bit `from` on are the immediate's from `to` on. */
static const struct {
	uint8_t sign_bits;      /* sign-extended from so many bits; 0: not */
	struct { uint8_t from, to, count; } part[8];
	int16_t fixed;          /* what the immediate is when it has no parts */
} rvc_imms[] = {
	[RVC_IMM_4SPN] = { .sign_bits = 0, .part = { { 11, 4, 2 }, { 7, 6, 4 }, { 6, 2, 1 }, { 5, 3, 1 } } },
	[RVC_IMM_LW] = { .sign_bits = 0, .part = { { 10, 3, 3 }, { 6, 2, 1 }, { 5, 6, 1 } } },
	[RVC_IMM_LD] = { .sign_bits = 0, .part = { { 10, 3, 3 }, { 5, 6, 2 } } },
	[RVC_IMM_CI] = { .sign_bits = 6, .part = { { 12, 5, 1 }, { 2, 0, 5 } } },
	[RVC_IMM_SH] = { .sign_bits = 0, .part = { { 12, 5, 1 }, { 2, 0, 5 } } },
	[RVC_IMM_LUI] = { .sign_bits = 18, .part = { { 12, 17, 1 }, { 2, 12, 5 } } },
	[RVC_IMM_16SP] = { .sign_bits = 10, .part = { { 12, 9, 1 }, { 6, 4, 1 }, { 5, 6, 1 }, { 3, 7, 2 }, { 2, 5, 1 } } },
	[RVC_IMM_J] = { .sign_bits = 12, .part = { { 12, 11, 1 }, { 11, 4, 1 }, { 9, 8, 2 }, { 8, 10, 1 }, { 7, 6, 1 },
						   { 6, 7, 1 }, { 3, 1, 3 }, { 2, 5, 1 } } },
	[RVC_IMM_B] = { .sign_bits = 9, .part = { { 12, 8, 1 }, { 10, 3, 2 }, { 5, 6, 2 }, { 3, 1, 2 }, { 2, 5, 1 } } },
	[RVC_IMM_LWSP] = { .sign_bits = 0, .part = { { 12, 5, 1 }, { 4, 2, 3 }, { 2, 6, 2 } } },
	[RVC_IMM_LDSP] = { .sign_bits = 0, .part = { { 12, 5, 1 }, { 5, 3, 2 }, { 2, 6, 3 } } },
	[RVC_IMM_SWSP] = { .sign_bits = 0, .part = { { 9, 2, 4 }, { 7, 6, 2 } } },
	[RVC_IMM_SDSP] = { .sign_bits = 0, .part = { { 10, 3, 3 }, { 7, 6, 3 } } },
	[RVC_IMM_LB] = { .sign_bits = 0, .part = { { 6, 0, 1 }, { 5, 1, 1 } } },
	[RVC_IMM_LH] = { .sign_bits = 0, .part = { { 5, 1, 1 } } },
	[RVC_IMM_BYTE] = { .fixed = 255 },
	[RVC_IMM_ONES] = { .fixed = -1 },
};

static const struct rvc_entry {
	const char *name;
	uint16_t match, mask;
	uint8_t rd, rs1, rs2, imm, base, ext, reserved;
} rvc_entries[RVC_OPS] = {
#define RVC(id, name, match, mask, rd, rs1, rs2, imm, base, ext, reserved) \
	[RVC_##id] = { name, match, mask, RVC_REG_##rd, RVC_REG_##rs1, RVC_REG_##rs2, RVC_IMM_##imm, RV_##base, \
		       RV_EXT_##ext, RVC_##reserved },
#include "rvc.def"
#undef RVC
};

/* First line of each quadrant and funct3: the table is sorted by them. */
static const uint8_t rvc_first[3 * 8] = {
	[0 * 8 + 0] = RVC_addi4spn, [0 * 8 + 1] = RVC_fld, [0 * 8 + 2] = RVC_lw, [0 * 8 + 3] = RVC_ld,
	[0 * 8 + 4] = RVC_lbu, [0 * 8 + 5] = RVC_fsd, [0 * 8 + 6] = RVC_sw, [0 * 8 + 7] = RVC_sd,
	[1 * 8 + 0] = RVC_addi, [1 * 8 + 1] = RVC_addiw, [1 * 8 + 2] = RVC_li, [1 * 8 + 3] = RVC_addi16sp,
	[1 * 8 + 4] = RVC_srli, [1 * 8 + 5] = RVC_j, [1 * 8 + 6] = RVC_beqz, [1 * 8 + 7] = RVC_bnez,
	[2 * 8 + 0] = RVC_slli, [2 * 8 + 1] = RVC_fldsp, [2 * 8 + 2] = RVC_lwsp, [2 * 8 + 3] = RVC_ldsp,
	[2 * 8 + 4] = RVC_mv, [2 * 8 + 5] = RVC_fsdsp, [2 * 8 + 6] = RVC_swsp, [2 * 8 + 7] = RVC_sdsp,
};

static uint8_t reg_decode(uint32_t where, uint32_t word)
{
	switch (where) {
	case RVC_REG_RA: return 1;
	case RVC_REG_SP: return 2;
	case RVC_REG_F7: return word >> 7 & 31;
	case RVC_REG_F2: return word >> 2 & 31;
	case RVC_REG_P7: return (uint8_t)(8 + (word >> 7 & 7));
	case RVC_REG_P2: return (uint8_t)(8 + (word >> 2 & 7));
	}
	return 0;
}

static uint32_t reg_encode(uint32_t where, uint32_t reg)
{
	switch (where) {
	case RVC_REG_F7: return (reg & 31) << 7;
	case RVC_REG_F2: return (reg & 31) << 2;
	case RVC_REG_P7: return (reg & 7) << 7;
	case RVC_REG_P2: return (reg & 7) << 2;
	}
	return 0;
}

static int64_t rvc_imm_decode(uint32_t kind, uint32_t word)
{
	uint64_t imm = (uint64_t)(int64_t)rvc_imms[kind].fixed;
	uint32_t sign_bits = rvc_imms[kind].sign_bits;

	for (int i = 0; i < 8 && rvc_imms[kind].part[i].count; i++)
		imm |= (uint64_t)(word >> rvc_imms[kind].part[i].from & ((1u << rvc_imms[kind].part[i].count) - 1))
		       << rvc_imms[kind].part[i].to;
	return sign_bits ? (int64_t)(imm << (64 - sign_bits)) >> (64 - sign_bits) : (int64_t)imm;
}

static uint32_t rvc_imm_encode(uint32_t kind, int64_t imm)
{
	uint32_t word = 0;

	for (int i = 0; i < 8 && rvc_imms[kind].part[i].count; i++)
		word |= ((uint32_t)(imm >> rvc_imms[kind].part[i].to) & ((1u << rvc_imms[kind].part[i].count) - 1))
			<< rvc_imms[kind].part[i].from;
	return word;
}

static bool reserved(const struct rvc_entry *e, uint32_t word, int64_t imm)
{
	uint32_t reg7 = word >> 7 & 31, reg2 = word >> 2 & 31;

	return ((e->reserved & RVC_R0) && reg7 == 0) || ((e->reserved & RVC_I0) && imm == 0) ||
	       ((e->reserved & RVC_R2) && reg7 == 2) || ((e->reserved & RVC_T0) && reg2 == 0);
}

bool rvc_decode(uint32_t word, uint64_t exts, struct rv_insn *out)
{
	uint32_t group = (word & 3) * 8 + (word >> 13);

	if ((word & 3) == 3 || !(exts & RV_BIT(C)))
		return false;
	for (uint32_t i = rvc_first[group]; i < RVC_OPS; i++) {
		const struct rvc_entry *e = &rvc_entries[i];
		if (((word ^ e->match) & 0xe003))
			return false;
		if ((word & e->mask) != e->match)
			continue;
		int64_t imm = rvc_imm_decode(e->imm, word);
		if (reserved(e, word, imm))
			continue;
		*out = (struct rv_insn){ .raw = word, .op = e->base, .compressed = (uint8_t)(i + 1), .len_bytes = 2,
					 .rd = reg_decode(e->rd, word), .rs1 = reg_decode(e->rs1, word),
					 .rs2 = reg_decode(e->rs2, word), .imm = imm };
		return (exts >> e->ext & 1) && (exts >> rv_entries[e->base].ext & 1);
	}
	return false;
}

uint32_t rvc_encode(const struct rv_insn *insn)
{
	const struct rvc_entry *e = &rvc_entries[insn->compressed - 1];

	return e->match | reg_encode(e->rd, insn->rd) | reg_encode(e->rs1, insn->rs1) |
	       reg_encode(e->rs2, insn->rs2) | rvc_imm_encode(e->imm, insn->imm);
}

const char *rvc_name(uint32_t rvc_op)
{
	return rvc_op < RVC_OPS ? rvc_entries[rvc_op].name : "";
}
