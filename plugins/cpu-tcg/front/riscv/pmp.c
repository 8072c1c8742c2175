/* SPDX-License-Identifier: MIT */
/* Privileged ISA, "Physical Memory Protection": 16 entries, granularity 4 bytes, the lowest match decides. */
#include "pmp.h"

static void set_range(struct rv_pmp *pmp, uint32_t i, uint64_t first, uint64_t end)
{
	pmp->first[i] = first;
	pmp->last[i] = end - 1;
	if (first >= end) {
		pmp->first[i] = 1;
		pmp->last[i] = 0;
	}
}

/* NAPOT: the number of low ones of addr gives the size, 8 bytes and up; all ones: everything. */
static void set_napot(struct rv_pmp *pmp, uint32_t i)
{
	uint64_t addr = pmp->addr[i];
	uint32_t ones = ~addr ? (uint32_t)__builtin_ctzll(~addr) : 64;
	if (ones >= 54) {
		pmp->first[i] = 0;
		pmp->last[i] = UINT64_MAX;
		return;
	}
	uint64_t size = UINT64_C(8) << ones;
	uint64_t first = (addr & ~((UINT64_C(1) << ones) - 1)) << 2;
	set_range(pmp, i, first, first + size);
}

void rv_pmp_update(struct rv_pmp *pmp)
{
	pmp->used = 0;
	for (uint32_t i = 0; i < RV_PMP_ENTRIES; i++) {
		uint64_t addr = pmp->addr[i] << 2;
		switch (pmp->cfg[i] & PMP_A) {
		case PMP_A_OFF:
			set_range(pmp, i, 1, 0);
			continue;
		case PMP_A_TOR:
			set_range(pmp, i, i ? pmp->addr[i - 1] << 2 : 0, addr);
			break;
		case PMP_A_NA4:
			set_range(pmp, i, addr, addr + 4);
			break;
		default:
			set_napot(pmp, i);
		}
		pmp->used = i + 1;
	}
}

static uint32_t rights(const struct rv_pmp *pmp, uint32_t i, uint32_t priv)
{
	uint8_t cfg = pmp->cfg[i];
	if (priv == RV_M && !(cfg & PMP_L))
		return PMP_R | PMP_W | PMP_X;
	return cfg & (PMP_R | PMP_W | PMP_X);
}

static uint32_t needed(enum tcg_access access)
{
	return access == TCG_LOAD ? PMP_R : access == TCG_STORE ? PMP_W : PMP_X;
}

/* No entry cuts the page, or begins before the one that decides: then the page is all alike. */
static bool page_alike(const struct rv_pmp *pmp, uint32_t upto, uint64_t phys)
{
	uint64_t first = phys & TCG_PAGE_MASK, last = first + TCG_PAGE_SIZE - 1;
	for (uint32_t i = 0; i < upto; i++) {
		bool apart = pmp->last[i] < first || pmp->first[i] > last || pmp->first[i] > pmp->last[i];
		bool covers = pmp->first[i] <= first && pmp->last[i] >= last;
		if (!apart && !covers)
			return false;
	}
	return true;
}

bool rv_pmp_check(const struct rv_pmp *pmp, uint32_t priv, uint64_t phys, uint32_t width,
		  enum tcg_access access,
		  uint32_t *perms, bool *whole_page)
{
	uint64_t last = phys + width - 1;
	for (uint32_t i = 0; i < pmp->used; i++) {
		if (pmp->first[i] > pmp->last[i] || last < pmp->first[i] || phys > pmp->last[i])
			continue;
		*whole_page = page_alike(pmp, i + 1, phys);
		/* an access that matches in part fails, whatever the rights */
		bool inside = phys >= pmp->first[i] && last <= pmp->last[i];
		*perms = inside ? rights(pmp, i, priv) : 0;
		return *perms & needed(access);
	}
	*whole_page = page_alike(pmp, pmp->used, phys);
	/* no match: M may, the others may not, since entries are implemented */
	*perms = priv == RV_M ? PMP_R | PMP_W | PMP_X : 0;
	return *perms & needed(access);
}
