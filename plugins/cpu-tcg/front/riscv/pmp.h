/* SPDX-License-Identifier: MIT */
/* Physical memory protection: matching only; the registers are in csr.c. Pure functions. */
#ifndef RV_PMP_H
#define RV_PMP_H

#include "state.h"

/* Recomputes the derived ranges after cfg or addr changed. */
void rv_pmp_update(struct rv_pmp *pmp);
/*
 * May `priv` do `access` on `width` bytes at phys? *whole_page: the answer holds for all of phys's 4 KiB
 * page, and *perms (PMP_R | PMP_W | PMP_X) are the rights there.
 */
bool rv_pmp_check(const struct rv_pmp *pmp, uint32_t priv, uint64_t phys, uint32_t width,
		  enum tcg_access access,
		  uint32_t *perms, bool *whole_page);

#endif
