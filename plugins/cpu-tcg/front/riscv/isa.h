/* SPDX-License-Identifier: MIT */
/*
 * Which extensions a machine has: the `isa` property as a set, and back as text. Pure functions.
 */
#ifndef RV_ISA_H
#define RV_ISA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mortise/error.h>

enum rv_ext {
#define RV_EXT(id, name, needs) RV_EXT_##id,
#include "isa.def"
#undef RV_EXT
	RV_EXTS
};
#define RV_BIT(id) (UINT64_C(1) << RV_EXT_##id)

/*
 * All that there is, but for Svade: hardware sets A and D, which costs guests no traps; and for Smaia and Ssaia, which
 * want an interrupt controller of their kind.
 */
#define RV_ISA_DEFAULT \
	"rv64imafdc_zic64b_zicbom_zicbop_zicboz_ziccamoa_ziccif_zicclsm_ziccrse_zicntr_zicond_zicsr_zifencei_" \
	"zihintntl_zihintpause_zihpm_za64rs_zacas_zawrs_zfh_zfhmin_zca_zcb_zcd_zba_zbb_zbs_zkt_" \
	"ssccptr_sscounterenw_sstc_sstvala_sstvecd_svadu_svbare_svinval_svnapot_svpbmt"
#define RV_ISA_TEXT_BYTES 512u

/*
 * "rv64imac_zicsr", or a profile's name ("rva22s64_zfh"), which stands for what it makes mandatory: the set into
 * *exts, or MT_EINVAL with the reason and a hint.
 */
int rv_isa_parse(const char *text, uint64_t *exts, struct mt_error *err);
/* Takes an extension out of the set, whether it is there or not; MT_EINVAL when there is none of this name. */
int rv_isa_remove(const char *name, uint64_t *exts, struct mt_error *err);
/* Every extension has those that it needs; else MT_EINVAL. */
int rv_isa_check(uint64_t exts, struct mt_error *err);
/* The set in canonical order: single letters, then _z and _s names. */
void rv_isa_text(uint64_t exts, char *buf, size_t buf_bytes);
/* An extension's name, as in riscv,isa-extensions. */
const char *rv_isa_name(enum rv_ext ext);
/* The misa register of a hart with these extensions, and S and U mode. */
uint64_t rv_isa_misa(uint64_t exts);

#endif
