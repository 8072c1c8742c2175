/* SPDX-License-Identifier: MIT */
/* The decoder, the encoder and the disassembler of the RISC-V front end, and the isa string. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "front/riscv/decode.h"
#include "front/riscv/isa.h"
#include "rvfake.h"

#define ALL (UINT64_MAX >> (64 - RV_EXTS))

/* No word is matched by two lines of the table. */
START_TEST(no_overlap)
{
	for (uint32_t a = 0; a < RV_OPS; a++) {
		const struct rv_entry *x = &rv_entries[a];
		ck_assert_msg((x->match & ~x->mask) == 0 && (x->match & 3) == 3, "%s", x->name);
		for (uint32_t b = a + 1; b < RV_OPS; b++) {
			const struct rv_entry *y = &rv_entries[b];
			ck_assert_msg((x->match ^ y->match) & x->mask & y->mask, "%s and %s", x->name, y->name);
		}
	}
}
END_TEST

/* Any operands: decoded as the line that they were made from, and encoded to the same word. */
START_TEST(round_trip)
{
	uint64_t rng = 1;

	for (uint32_t op = 0; op < RV_OPS; op++) {
		uint32_t meaning = rv_meaning_mask(op);
		for (int i = 0; i < 2000; i++) {
			uint32_t word = rv_entries[op].match |
					((uint32_t)rv_fake_random(&rng) & ~rv_entries[op].mask);
			struct rv_insn insn, again;
			ck_assert_msg(rv_decode(word, ALL, &insn), "%s %08x", rv_entries[op].name, word);
			ck_assert_msg(insn.op == op, "%08x: %s, not %s", word, rv_mnemonic(&insn), rv_entries[op].name);
			ck_assert_msg((rv_encode(&insn) & meaning) == (word & meaning), "%s %08x %08x",
				      rv_entries[op].name, word, rv_encode(&insn));
			ck_assert(rv_decode(rv_encode(&insn), ALL, &again) && again.op == op);
			ck_assert_int_eq(again.imm, insn.imm);
		}
	}
}
END_TEST

/* All 16-bit words: those that are instructions encode to themselves; the count is the specification's. */
START_TEST(compressed)
{
	uint32_t legal = 0;

	for (uint32_t word = 0; word < 0x10000; word++) {
		struct rv_insn insn;
		if ((word & 3) == 3 || !rv_decode(word, ALL, &insn))
			continue;
		legal++;
		ck_assert_msg(rv_encode(&insn) == word, "%s %04x %04x", rvc_name(insn.compressed - 1u), word,
			      rv_encode(&insn));
		ck_assert_uint_eq(insn.len_bytes, 2);
		/* what it stands for is itself an instruction with these operands */
		insn.compressed = 0;
		struct rv_insn base;
		ck_assert(rv_decode(rv_encode(&insn), ALL, &base));
		ck_assert(base.op == insn.op && base.imm == insn.imm);
	}
	/* 49152 words less: addi4spn 0 (8), quadrant 0 funct3 4 beyond Zcb's 896 (1152), addiw x0 (64), lui and
	 * addi16sp 0 (32), funct 100111 with bits 6..2 = 24 + 6, 7 (16), lwsp x0 (64), ldsp x0 (64), jr x0 (1) */
	ck_assert_uint_eq(legal, 49152 - 8 - 1152 - 64 - 32 - 16 - 64 - 64 - 1);
}
END_TEST

static const char *text_of(uint32_t word)
{
	static char buf[80];
	struct rv_insn insn;

	if (!rv_decode(word, ALL, &insn))
		return "illegal";
	rv_disassemble(&insn, 0x1000, buf, sizeof(buf));
	return buf;
}

/* Words of an assembler, so that the table is not held against itself. */
START_TEST(known_words)
{
	static const struct { uint32_t word; const char *text; } known[] = {
		{ 0x00a58513, "addi a0,a1,10" }, { 0xfff00293, "addi t0,zero,-1" }, { 0x12345537, "lui a0,0x12345" },
		{ 0xfffff597, "auipc a1,0xfffff" }, { 0x40b50533, "sub a0,a0,a1" }, { 0x4050d09b, "sraiw ra,ra,5" },
		{ 0x43f0d093, "srai ra,ra,63" }, { 0x0085b503, "ld a0,8(a1)" }, { 0xfea5bc23, "sd a0,-8(a1)" },
		{ 0x00b50463, "beq a0,a1,0x1008" }, { 0xfe000ee3, "beq zero,zero,0xffc" }, { 0x010000ef, "jal ra,0x1010" },
		{ 0x00008067, "jalr zero,0(ra)" }, { 0x0ff0000f, "fence iorw,iorw" }, { 0x0100000f, "fence w,0" },
		{ 0x0000100f, "fence.i" }, { 0x02c5f533, "remu a0,a1,a2" }, { 0x06c5a52f, "amoadd.w.aqrl a0,a2,(a1)" },
		{ 0x1405b52f, "lr.d.aq a0,(a1)" }, { 0x18c5b52f, "sc.d a0,a2,(a1)" }, { 0x00c5f553, "fadd.s fa0,fa1,fa2" },
		{ 0x02c59553, "fadd.d fa0,fa1,fa2,rtz" }, { 0x6ac5f543, "fmadd.d fa0,fa1,fa2,fa3" },
		{ 0xc2259553, "fcvt.l.d a0,fa1,rtz" }, { 0xe2050553, "fmv.x.d a0,fa0" }, { 0xa2b52553, "feq.d a0,fa0,fa1" },
		{ 0x20c5a533, "sh1add a0,a1,a2" }, { 0x0805853b, "add.uw a0,a1,zero" }, { 0x6b85d513, "rev8 a0,a1" },
		{ 0x2875d513, "orc.b a0,a1" }, { 0x60459513, "sext.b a0,a1" }, { 0x0805c53b, "zext.h a0,a1" },
		{ 0x4bf59513, "bclri a0,a1,63" }, { 0x30559073, "csrrw zero,0x305,a1" }, { 0x10017073,
				"csrrci zero,0x100,2" },
		{ 0x30200073, "mret" }, { 0x10500073, "wfi" }, { 0x12b50073, "sfence.vma a0,a1" },
		{ 0x16b50073, "sinval.vma a0,a1" }, { 0x4515, "addi a0,zero,5" }, { 0x8082, "jalr zero,0(ra)" },
		{ 0x6141, "addi sp,sp,16" }, { 0x9002, "ebreak" }, { 0xe406, "sd ra,8(sp)" },
		{ 0x0ec5d533, "czero.eqz a0,a1,a2" }, { 0x0ec5f533, "czero.nez a0,a1,a2" }, { 0x0005200f,
				"cbo.inval (a0)" },
		{ 0x0015200f, "cbo.clean (a0)" }, { 0x0025200f, "cbo.flush (a0)" }, { 0x0045200f, "cbo.zero (a0)" },
		{ 0x00d00073, "wrs.nto" }, { 0x01d00073, "wrs.sto" },
		/* prefetch.r 32(a0), pause, ntl.p1 and c.ntl.all are hints */
		{ 0x02156013, "ori zero,a0,33" }, { 0x0100000f, "fence w,0" }, { 0x00200033, "add zero,zero,sp" },
		{ 0x9016, "add zero,zero,t0" },
		{ 0x28c5a52f, "amocas.w a0,a2,(a1)" }, { 0x2ec5b52f, "amocas.d.aqrl a0,a2,(a1)" },
		{ 0x2cc5c52f, "amocas.q.aq a0,a2,(a1)" },
		/* Zfh */
		{ 0x04c5f553, "fadd.h fa0,fa1,fa2" }, { 0x6cc59543, "fmadd.h fa0,fa1,fa2,fa3,rtz" },
		{ 0x40258553, "fcvt.s.h fa0,fa1,rne" }, { 0x4405f553, "fcvt.h.s fa0,fa1" }, { 0xc4259553, "fcvt.l.h a0,fa1,rtz" },
		{ 0xe4058553, "fmv.x.h a0,fa1" }, { 0x00259507, "flh fa0,2(a1)" }, { 0x00a59127, "fsh fa0,2(a1)" },
		/* Zcb */
		{ 0x8148, "lbu a0,1(a0)" }, { 0x8128, "lbu a0,2(a0)" }, { 0x85ac, "lhu a1,2(a1)" },
		{ 0x85cc, "lh a1,0(a1)" }, { 0x8968, "sb a0,3(a0)" }, { 0x8d28, "sh a0,2(a0)" },
		{ 0x9d61, "andi a0,a0,255" }, { 0x9d65, "sext.b a0,a0" },
		{ 0x9d69, "zext.h a0,a0" }, { 0x9d6d, "sext.h a0,a0" }, { 0x9d71, "add.uw a0,a0,zero" },
		{ 0x9d75, "xori a0,a0,-1" }, { 0x9d4d, "mul a0,a0,a1" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ck_assert_str_eq(text_of(known[i].word), known[i].text);
}
END_TEST

START_TEST(reserved_is_illegal)
{
	static const uint32_t words[] = {
		0x00000000, 0xffffffff, 0x0000, 0x0000001f, 0x00007063 & ~0x4000u, 0x00002063, 0x0000700f, 0x00007003,
		0x00004023, 0x02001013 | 1u << 27, 0x0200101b, 0x04000033, 0xfe000033, 0x0000102f, 0x3000202f,
		0x7c001073 & ~0x7000u, 0x30300073, 0x00200073, 0x10400073, 0x12000f73, 0x2001, 0x6101, 0x8002, 0x4002,
		0x9c79, 0x8c40, 0x0030200f, 0x0040208f, 0x00e00073, 0x06000053, 0xd0400053, 0xc0401053, 0x30059013,
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		ck_assert_msg(!strcmp(text_of(words[i]), "illegal"), "%08x is %s", words[i], text_of(words[i]));
}
END_TEST

START_TEST(random_words)
{
	uint64_t rng = 2;

	for (int i = 0; i < 1000000; i++)
		text_of((uint32_t)rv_fake_random(&rng) | (i & 3));
	char small[8];
	struct rv_insn insn;
	ck_assert(rv_decode(0x06c5a52f, ALL, &insn));
	rv_disassemble(&insn, 0, small, sizeof(small));
	ck_assert_str_eq(small, "amoadd.");
}
END_TEST

/* Each extension's instructions are illegal without it. */
START_TEST(extensions_gate)
{
	for (uint32_t op = 0; op < RV_OPS; op++) {
		struct rv_insn insn;
		ck_assert(!rv_decode(rv_entries[op].match, ALL & ~(UINT64_C(1) << rv_entries[op].ext), &insn));
	}
	struct rv_insn insn;
	ck_assert(!rv_decode(0x4515, ALL & ~RV_BIT(C), &insn));
	ck_assert(rv_decode(0x2000, ALL, &insn));               /* c.fld */
	ck_assert(!rv_decode(0x2000, ALL & ~RV_BIT(D), &insn));
	/* a compressed form is there when both its own extension and that of what it stands for are */
	ck_assert(!rv_decode(0x9d4d, ALL & ~RV_BIT(M), &insn));
	ck_assert(!rv_decode(0x9d65, ALL & ~RV_BIT(ZBB), &insn));
	ck_assert(!rv_decode(0x9d71, ALL & ~RV_BIT(ZBA), &insn));
	ck_assert(rv_decode(0x9d61, ALL & ~RV_BIT(ZBA) & ~RV_BIT(ZBB) & ~RV_BIT(M), &insn));
	ck_assert(!rv_decode(0x9d61, ALL & ~RV_BIT(ZCB), &insn));
}
END_TEST

static int parse(const char *text, uint64_t *exts, struct mt_error *err)
{
	mt_error_init(err);
	return rv_isa_parse(text, exts, err);
}

START_TEST(isa_strings)
{
	struct mt_error err;
	uint64_t exts;
	char text[RV_ISA_TEXT_BYTES];

	ck_assert_int_eq(parse(RV_ISA_DEFAULT, &exts, &err), 0);
	rv_isa_text(exts, text, sizeof(text));
	ck_assert_str_eq(text, RV_ISA_DEFAULT);
	ck_assert_uint_eq(rv_isa_misa(exts), 0x800000000014112d);
	ck_assert_int_eq(parse("rv64gc", &exts, &err), 0);
	ck_assert_uint_eq(exts, RV_BIT(I) | RV_BIT(M) | RV_BIT(A) | RV_BIT(F) | RV_BIT(D) | RV_BIT(C) |
				RV_BIT(ZICSR) | RV_BIT(ZIFENCEI));
	ck_assert_int_eq(parse("rv64i_zicsr", &exts, &err), 0);
	ck_assert_int_eq(parse("rv64izicsr_zba", &exts, &err), 0);
	ck_assert_uint_eq(exts, RV_BIT(I) | RV_BIT(ZICSR) | RV_BIT(ZBA));
	rv_isa_text(~UINT64_C(0), text, sizeof(text));
	ck_assert_uint_lt(strlen(text), sizeof(text));
}
END_TEST

START_TEST(isa_profiles)
{
	struct mt_error err;
	uint64_t user, all, exts;

	ck_assert_int_eq(parse("rva22u64", &user, &err), 0);
	ck_assert_int_eq(parse("rva22s64", &all, &err), 0);
	ck_assert_uint_eq(user & ~all, 0);
	ck_assert(all & RV_BIT(SVADE) && !(all & RV_BIT(SVADU)));
	ck_assert_int_eq(parse("rva22s64_zicond_svadu", &exts, &err), 0);
	ck_assert_uint_eq(exts, all | RV_BIT(ZICOND) | RV_BIT(SVADU));
	/* the default, and more */
	ck_assert_int_eq(parse(RV_ISA_DEFAULT, &user, &err), 0);
	ck_assert_int_eq(parse("default", &exts, &err), 0);
	ck_assert_uint_eq(exts, user);
	ck_assert_int_eq(parse("default_smaia_ssaia", &exts, &err), 0);
	ck_assert_uint_eq(exts, user | RV_BIT(SMAIA) | RV_BIT(SSAIA));
	ck_assert_int_eq(parse("defaults", &exts, &err), MT_EINVAL);
	ck_assert_int_eq(parse("rva22s64x", &exts, &err), MT_EINVAL);
	ck_assert_int_eq(parse("rva22s64_zba", &exts, &err), MT_EINVAL);        /* named twice */
	/* what is left out */
	mt_error_init(&err);
	ck_assert_int_eq(rv_isa_remove("zbb", &all, &err), 0);
	ck_assert(!(all & RV_BIT(ZBB)));
	ck_assert_int_eq(rv_isa_remove("zbb", &all, &err), 0);
	ck_assert_int_eq(rv_isa_check(all, &err), 0);
	ck_assert_int_eq(rv_isa_remove("zbbb", &all, &err), MT_EINVAL);
	ck_assert_str_eq(err.culprit, "ext-off");
	ck_assert_str_eq(err.hint, "did you mean 'zbb'?");
	ck_assert_int_eq(rv_isa_remove("f", &all, &err), 0);
	ck_assert_int_eq(rv_isa_check(all, &err), MT_EINVAL);                   /* d needs f */
}
END_TEST

START_TEST(isa_errors)
{
	static const struct { const char *text, *message, *hint; } bad[] = {
		{ "rv32imac", "does not begin with rv64", "for instance" },
		{ "", "does not begin with rv64", "" }, { "rv6", "does not begin with rv64", "" },
		{ "rv64imaq_zicsr", "unknown extension 'q'", "" },
		{ "rv64ima_zicsrr", "unknown extension 'zicsrr'", "did you mean 'zicsr'?" },
		{ "rv64ima_zicsr_sstcc", "unknown extension 'sstcc'", "did you mean 'sstc'?" },
		{ "rv64iv_zicsr", "unknown extension 'v'", "" }, { "rv64imm_zicsr", "named twice", "" },
		{ "rv64id_zicsr", "'d' needs 'f'", "" }, { "rv64ima", "'zicsr' is missing", "_zicsr" },
		{ "rv64m_zicsr", "base 'i' is missing", "" }, { "rv64i__zicsr", "empty", "" },
		{ "rv64i_zicsr_", "empty", "" }, { "rv64ia_zicsr_zba_zba", "named twice", "" },
		{ "rv64i_zicsr_zverylongnamethatnobodyhasdefined", "too long", "" },
	};
	struct mt_error err;
	uint64_t exts;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_int_eq(parse(bad[i].text, &exts, &err), MT_EINVAL);
		ck_assert_msg(strstr(err.message, bad[i].message), "%s: %s", bad[i].text, err.message);
		ck_assert_msg(strstr(err.hint, bad[i].hint), "%s: %s", bad[i].text, err.hint);
		ck_assert_str_eq(err.culprit, "isa");
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rv-decode");
	TCase *tc = tcase_create("all");

	rv_decode_init();
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, no_overlap);
	tcase_add_test(tc, round_trip);
	tcase_add_test(tc, compressed);
	tcase_add_test(tc, known_words);
	tcase_add_test(tc, reserved_is_illegal);
	tcase_add_test(tc, random_words);
	tcase_add_test(tc, extensions_gate);
	tcase_add_test(tc, isa_strings);
	tcase_add_test(tc, isa_profiles);
	tcase_add_test(tc, isa_errors);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
