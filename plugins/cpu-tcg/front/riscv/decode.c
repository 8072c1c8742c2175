/* SPDX-License-Identifier: MIT */
/*
 * The decoder and encoder of 32-bit words. A word's major opcode (bits 6..2) and a few more bits (funct3; in
 * OP-FP funct5, for there funct3 is often the rounding mode) select a short list of table lines, which are
 * tried in order. The index is built once, under pthread_once, and constant afterwards.
 */
#include "decode.h"

#include <pthread.h>

#include "isa.h"

static const uint8_t format_imm[] = {
#define RV_FORMAT(id, imm, operands) [RV_FORMAT_##id] = RV_IMM_##imm,
#include "formats.def"
#undef RV_FORMAT
};

static const char *const format_operands[] = {
#define RV_FORMAT(id, imm, operands) [RV_FORMAT_##id] = operands,
#include "formats.def"
#undef RV_FORMAT
};

const struct rv_entry rv_entries[RV_OPS] = {
#define RV(id, name, format, match, mask, ext, handler, arg) \
	[RV_##id] = { name, match, mask, RV_FORMAT_##format, RV_EXT_##ext },
#include "rv.def"
#undef RV
};

#define MAJORS        32u
#define MAJOR_OP_FP   0x14u
#define SLOTS         32u       /* of a major opcode: funct3 uses 8 of them */
#define POOL_BYTES    1024u

static struct {
	uint16_t first[MAJORS * SLOTS + 1];
	uint8_t pool[POOL_BYTES];
} decode_index;

static uint32_t word_slot(uint32_t word)
{
	uint32_t major = word >> 2 & 31;

	return major * SLOTS + (major == MAJOR_OP_FP ? word >> 27 : word >> 12 & 7);
}

/* Some word of this line lies in the slot: the line's fixed bits of the slot's key agree. */
static bool entry_in_slot(const struct rv_entry *e, uint32_t slot)
{
	uint32_t major = slot / SLOTS, sub = slot % SLOTS;
	uint32_t key = major << 2 | (major == MAJOR_OP_FP ? sub << 27 : sub << 12);
	uint32_t bits = 31u << 2 | (major == MAJOR_OP_FP ? 31u << 27 : 7u << 12);

	return ((e->match ^ key) & e->mask & bits) == 0;
}

static void index_build(void)
{
	uint32_t used = 0;

	for (uint32_t slot = 0; slot < MAJORS * SLOTS; slot++) {
		decode_index.first[slot] = (uint16_t)used;
		if (slot / SLOTS != MAJOR_OP_FP && slot % SLOTS > 7)
			continue;
		for (uint32_t op = 0; op < RV_OPS && used < POOL_BYTES; op++)
			if (entry_in_slot(&rv_entries[op], slot))
				decode_index.pool[used++] = (uint8_t)op;
	}
	decode_index.first[MAJORS * SLOTS] = (uint16_t)used;
}

void rv_decode_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, index_build);
}

static int64_t field_signed(uint32_t word, uint32_t low, uint32_t bits)
{
	return (int64_t)((uint64_t)word << (64 - low - bits)) >> (64 - bits);
}

static int64_t imm_decode(uint32_t kind, uint32_t w)
{
	switch (kind) {
	case RV_IMM_I:     return field_signed(w, 20, 12);
	/* products, for a negative number must not be shifted */
	case RV_IMM_S:     return field_signed(w, 25, 7) * 32 + (w >> 7 & 31);
	case RV_IMM_B:     return field_signed(w, 31, 1) * 4096 + ((w >> 7 & 1) << 11 | (w >> 25 & 63) << 5 |
								   (w >> 8 & 15) << 1);
	case RV_IMM_U:     return (int32_t)(w & 0xfffff000u);
	case RV_IMM_J:     return field_signed(w, 31, 1) * 1048576 + ((w >> 12 & 255) << 12 |
								      (w >> 20 & 1) << 11 | (w >> 21 & 1023) << 1);
	case RV_IMM_SH6:   return w >> 20 & 63;
	case RV_IMM_SH5:   return w >> 20 & 31;
	case RV_IMM_CSR:
	case RV_IMM_FENCE: return w >> 20;
	case RV_IMM_AQRL:  return w >> 25 & 3;
	}
	return 0;
}

static uint32_t imm_encode(uint32_t kind, int64_t imm)
{
	uint32_t v = (uint32_t)imm;

	switch (kind) {
	case RV_IMM_I:
	case RV_IMM_CSR:
	case RV_IMM_FENCE: return v << 20;
	case RV_IMM_S:     return (v >> 5 & 127) << 25 | (v & 31) << 7;
	case RV_IMM_B:     return (v >> 12 & 1) << 31 | (v >> 5 & 63) << 25 | (v >> 1 & 15) << 8 |
			(v >> 11 & 1) << 7;
	case RV_IMM_U:     return v & 0xfffff000u;
	case RV_IMM_J:     return (v >> 20 & 1) << 31 | (v >> 1 & 1023) << 21 | (v >> 11 & 1) << 20 |
				  (v >> 12 & 255) << 12;
	case RV_IMM_SH6:   return (v & 63) << 20;
	case RV_IMM_SH5:   return (v & 31) << 20;
	case RV_IMM_AQRL:  return (v & 3) << 25;
	}
	return 0;
}

static void fields_decode(uint32_t word, uint32_t op, struct rv_insn *out)
{
	out->raw = word;
	out->op = (uint8_t)op;
	out->compressed = 0;
	out->len_bytes = 4;
	out->rd = word >> 7 & 31;
	out->rs1 = word >> 15 & 31;
	out->rs2 = word >> 20 & 31;
	out->rs3 = (uint8_t)(word >> 27);
	out->rm = word >> 12 & 7;
	out->imm = imm_decode(format_imm[rv_entries[op].format], word);
}

bool rv_decode(uint32_t raw, uint64_t exts, struct rv_insn *out)
{
	if ((raw & 3) != 3)
		return rvc_decode(raw & 0xffff, exts, out);
	uint32_t slot = word_slot(raw);
	/* bits 4..2 all ones: a longer encoding, none of which exists here */
	for (uint32_t i = decode_index.first[slot]; i < decode_index.first[slot + 1]; i++) {
		const struct rv_entry *e = &rv_entries[decode_index.pool[i]];
		if ((raw & e->mask) == e->match) {
			fields_decode(raw, decode_index.pool[i], out);
			return exts >> e->ext & 1;
		}
	}
	return false;
}

/* The word's bits of one operand letter of formats.def. */
static uint32_t operand_bits(char letter)
{
	switch (letter) {
	case 'd': case 'D':           return 31u << 7;
	case 's': case 'S': case 'z': return 31u << 15;
	case 't': case 'T':           return 31u << 20;
	case 'R':                     return 31u << 27;
	case 'm':                     return 7u << 12;
	}
	return 0;
}

uint32_t rv_meaning_mask(uint32_t op)
{
	const struct rv_entry *e = &rv_entries[op];
	uint32_t mask = e->mask | imm_encode(format_imm[e->format], -1);

	for (const char *p = format_operands[e->format]; *p; p++)
		mask |= operand_bits(*p);
	return mask;
}

uint32_t rv_encode(const struct rv_insn *insn)
{
	const struct rv_entry *e = &rv_entries[insn->op];
	uint32_t fields = (insn->rd & 31u) << 7 | (insn->rs1 & 31u) << 15, used = 0;

	if (insn->compressed)
		return rvc_encode(insn);
	for (const char *p = format_operands[e->format]; *p; p++)
		used |= operand_bits(*p);
	/* rs2, rs3 and rm lie where other formats have immediates: only those that the format names */
	if (used & operand_bits('t'))
		fields |= (insn->rs2 & 31u) << 20;
	if (used & operand_bits('R'))
		fields |= (insn->rs3 & 31u) << 27;
	if (used & operand_bits('m'))
		fields |= (insn->rm & 7u) << 12;
	return e->match | (fields & used) | imm_encode(format_imm[e->format], insn->imm);
}
