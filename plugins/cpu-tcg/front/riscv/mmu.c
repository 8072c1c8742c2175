/* SPDX-License-Identifier: MIT */
/*
 * Address translation: Sv39, Sv48 and Sv57 with Svade or Svadu, Svnapot and Svpbmt, then PMP. Privileged ISA,
 * "Virtual Address Translation Process". Regimes (env->mmu) name the privilege of loads and stores, so that MPRV
 * and SUM need no look here; a fetch has the privilege of the hart, whatever MPRV says.
 */
#include "pmp.h"
#include "state.h"

#define PTE_V (UINT64_C(1) << 0)
#define PTE_R (UINT64_C(1) << 1)
#define PTE_W (UINT64_C(1) << 2)
#define PTE_X (UINT64_C(1) << 3)
#define PTE_U (UINT64_C(1) << 4)
#define PTE_A (UINT64_C(1) << 6)
#define PTE_D (UINT64_C(1) << 7)
#define PTE_PPN(pte) ((pte) >> 10 & ((UINT64_C(1) << 44) - 1))
#define PTE_RESERVED (UINT64_C(0x7f) << 54)     /* must be 0 */
#define PTE_PBMT (UINT64_C(3) << 61)
#define PTE_N (UINT64_C(1) << 63)
#define NAPOT_BYTES UINT64_C(0x10000)           /* the one size that there is: its PPN ends in 1000 */

struct walk {
	struct tcg_env *env;
	struct rv_state *s;
	uint64_t vaddr;
	enum tcg_access access;
	uint32_t priv;
	bool sum;
	bool look;      /* for a debugger: no permissions, no effects, no exception */
};

static bool page_fault(const struct walk *w)
{
	static const uint8_t cause[] = { RV_LOAD_PAGE, RV_STORE_PAGE, RV_INSN_PAGE };
	if (!w->look)
		tcg_raise(w->env, cause[w->access], w->vaddr);
	return false;
}

static bool access_fault(const struct walk *w)
{
	static const uint8_t cause[] = { RV_LOAD_ACCESS, RV_STORE_ACCESS, RV_INSN_ACCESS };
	if (!w->look)
		tcg_raise(w->env, cause[w->access], w->vaddr);
	return false;
}

/* The rights that a leaf gives to this privilege, as PMP_R | PMP_W | PMP_X. */
static uint32_t leaf_rights(const struct walk *w, uint64_t pte)
{
	bool user = pte & PTE_U;
	uint32_t rights = 0;
	if (w->priv == RV_U ? !user : user && !w->sum && w->access != TCG_FETCH)
		return 0;
	if ((pte & PTE_R) || ((pte & PTE_X) && (w->s->mstatus & MSTATUS_MXR)))
		rights |= PMP_R;
	if (pte & PTE_W)
		rights |= PMP_W;
	/* S-mode never executes a user page */
	if ((pte & PTE_X) && (w->priv == RV_U) == user)
		rights |= PMP_X;
	return rights;
}

static uint32_t needed(enum tcg_access access)
{
	return access == TCG_LOAD ? PMP_R : access == TCG_STORE ? PMP_W : PMP_X;
}

static bool read_pte(const struct walk *w, uint64_t addr, uint64_t *pte)
{
	uint32_t perms;
	bool whole;
	return rv_pmp_check(&w->s->pmp, RV_S, addr, 8, TCG_LOAD, &perms, &whole) &&
	       tcg_phys_read(w->env, addr, 8, pte);
}

enum update { UPDATED, CHANGED, FAULT };

/* Sets A and D in place (Svadu); the entry may have changed since it was read: then the walk starts over. */
static enum update update_pte(const struct walk *w, uint64_t addr, uint64_t pte, uint64_t want)
{
	uint32_t perms;
	bool whole, bus_error;
	if (!rv_pmp_check(&w->s->pmp, RV_S, addr, 8, TCG_STORE, &perms, &whole))
		return FAULT;
	if (tcg_phys_cas64(w->env, addr, pte, pte | want, &bus_error))
		return UPDATED;
	return bus_error ? FAULT : CHANGED;
}

/*
 * Bits that leaves may have and pointers not. Memory types change nothing here: all of memory is coherent, and devices
 * are not cached. 3 is reserved ("Svpbmt"), and the field where it is off.
 */
static bool high_bits_legal(const struct walk *w, uint64_t pte, int level)
{
	bool is_leaf = pte & (PTE_R | PTE_X);

	if (pte & PTE_RESERVED)
		return false;
	if ((pte & PTE_PBMT) && (!is_leaf || (pte & PTE_PBMT) == PTE_PBMT || !(w->s->menvcfg & MENVCFG_PBMTE)))
		return false;
	return !(pte & PTE_N) || (rv_has(w->s, RV_EXT_SVNAPOT) && is_leaf && level == 0 && (PTE_PPN(pte) & 15) == 8);
}

static bool leaf(const struct walk *w, uint64_t addr, uint64_t *pte, int level, bool *again)
{
	uint32_t rights = leaf_rights(w, *pte);
	if (!w->look && !(rights & needed(w->access)))
		return page_fault(w);
	if (PTE_PPN(*pte) & ((UINT64_C(1) << (9 * level)) - 1))
		return page_fault(w);   /* misaligned superpage */
	uint64_t want = PTE_A | (w->access == TCG_STORE ? PTE_D : 0);
	if (w->look || (*pte & want) == want)
		return true;
	if (!rv_has(w->s, RV_EXT_SVADU) || !(w->s->menvcfg & MENVCFG_ADUE))
		return page_fault(w);
	enum update result = update_pte(w, addr, *pte, want);
	if (result == FAULT)
		return access_fault(w);
	*again = result == CHANGED;
	*pte |= want;
	return true;
}

/* Walks the table once; *again when an entry changed under us. */
static bool walk_table(const struct walk *w, int levels, struct tcg_walk *out, bool *again)
{
	uint64_t table = SATP_PPN(w->s->satp) << 12;
	for (int level = levels - 1; level >= 0; level--) {
		uint64_t addr = table + ((w->vaddr >> (12 + 9 * level)) & 511) * 8;
		uint64_t pte;
		if (!read_pte(w, addr, &pte))
			return access_fault(w);
		if (!(pte & PTE_V) || ((pte & (PTE_R | PTE_W)) == PTE_W) || !high_bits_legal(w, pte, level))
			return page_fault(w);
		if (!(pte & (PTE_R | PTE_X))) {
			if (pte & (PTE_A | PTE_D | PTE_U))
				return page_fault(w);
			table = PTE_PPN(pte) << 12;
			continue;
		}
		if (!leaf(w, addr, &pte, level, again))
			return false;
		uint64_t size = pte & PTE_N ? NAPOT_BYTES : UINT64_C(1) << (12 + 9 * level);
		uint32_t rights = leaf_rights(w, pte);
		out->phys = ((PTE_PPN(pte) << 12) & ~(size - 1)) | (w->vaddr & (size - 1));
		out->page_bytes = size;
		out->readable = !!(rights & PMP_R);
		out->writable = (rights & PMP_W) && (pte & PTE_D);
		out->executable = !!(rights & PMP_X);
		return true;
	}
	return page_fault(w);
}

/* Physical protection of the result; narrows what may be cached. */
static bool protect(const struct walk *w, uint32_t width, struct tcg_walk *out)
{
	uint32_t perms;
	bool whole;
	if (w->look)
		return true;
	if (!rv_pmp_check(&w->s->pmp, w->priv, out->phys, width, w->access, &perms, &whole))
		return access_fault(w);
	out->readable &= !!(perms & PMP_R);
	out->writable &= !!(perms & PMP_W);
	out->executable &= !!(perms & PMP_X);
	out->partial = !whole;
	return true;
}

static bool walk(const struct walk *w, uint32_t width, struct tcg_walk *out)
{
	uint32_t mode = SATP_MODE(w->s->satp);
	*out = (struct tcg_walk){ w->vaddr, TCG_PAGE_SIZE, 1, 1, 1, 0 };
	if (w->priv == RV_M || mode == SATP_BARE)
		return protect(w, width, out);
	int levels = 3 + (int)(mode - SATP_SV39);
	int sign = 64 - (12 + 9 * levels);
	if ((uint64_t)((int64_t)(w->vaddr << sign) >> sign) != w->vaddr)
		return page_fault(w);
	bool again;
	do {
		again = false;
		if (!walk_table(w, levels, out, &again))
			return false;
	} while (again);
	return protect(w, width, out);
}

static uint32_t data_privilege(uint32_t mmu)
{
	return mmu == RV_MMU_M ? RV_M : mmu == RV_MMU_U ? RV_U : RV_S;
}

bool rv_walk(struct tcg_env *env, uint64_t vaddr, enum tcg_access access, uint32_t mmu, uint32_t width,
	     struct tcg_walk *out)
{
	struct rv_state *s = rv_state(env);
	uint32_t priv = access == TCG_FETCH ? s->priv : data_privilege(mmu);
	struct walk w = { env, s, vaddr, access, priv, mmu == RV_MMU_S_SUM, false };
	return walk(&w, width, out);
}

bool rv_look(struct tcg_env *env, uint64_t vaddr, struct tcg_walk *out)
{
	struct walk w = { env, rv_state(env), vaddr, TCG_LOAD, data_privilege(env->mmu), true, true };
	return walk(&w, 1, out);
}
