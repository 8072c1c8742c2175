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

#define RV_ISA_DEFAULT "rv64imafdc_zicsr_zifencei_zicntr_zba_zbb_zbs_sstc_svinval_svadu"
#define RV_ISA_TEXT_BYTES 256u

/* "rv64imac_zicsr": the set into *exts, or MT_EINVAL with the reason and a hint. */
int rv_isa_parse(const char *text, uint64_t *exts, struct mt_error *err);
/* The set in canonical order: single letters, then _z and _s names. */
void rv_isa_text(uint64_t exts, char *buf, size_t buf_bytes);
/* An extension's name, as in riscv,isa-extensions. */
const char *rv_isa_name(enum rv_ext ext);
/* The misa register of a hart with these extensions, and S and U mode. */
uint64_t rv_isa_misa(uint64_t exts);

#endif
