/* SPDX-License-Identifier: MIT */
/*
 * From guest code to a block: protect the page, read, build, optimise, lower, publish. The bytes are read
 * without a lock; a store that hits the page in between shows in its version, and the block is built again.
 */
#include <string.h>

#include "engine/engine.h"

/* The page of code that vaddr lies in, protected, among the at most two of this block. */
static const struct fetch_page *fetch_page(struct tcg_vcpu *v, uint64_t vaddr)
{
	uint64_t vpage = vaddr & TCG_PAGE_MASK;
	for (uint32_t i = 0; i < v->fetch_count; i++)
		if (v->fetch[i].vpage == vpage)
			return &v->fetch[i];
	if (v->fetch_count == 2)
		return NULL;
	const struct fetch_entry *e = mem_fetch(v, vaddr);
	if (!e)
		return NULL;
	struct fetch_page *p = &v->fetch[v->fetch_count];
	*p = (struct fetch_page){ vpage, e->key, e->hva, 0, e->partial };
	if (!pages_protect(v, p->key, &p->version)) {
		tcg_leave(v->env, TCG_EXIT_ERROR);
		v->env->error = "out of memory";
		return NULL;
	}
	v->fetch_count++;
	return p;
}

bool tcg_break_at(const struct tcg_env *env, uint64_t pc)
{
	return debug_break_at(env->vcpu->tcg, pc);
}

bool tcg_fetch16(struct tcg_env *env, uint64_t vaddr, uint16_t *parcel)
{
	const struct fetch_page *p = fetch_page(env->vcpu, vaddr);
	if (!p || (p->partial && !mem_fetch(env->vcpu, vaddr)))
		return false;
	const uint16_t *at = (const uint16_t *)(const void *)(p->hva + (vaddr & (TCG_PAGE_SIZE - 1)));
	*parcel = __atomic_load_n(at, __ATOMIC_RELAXED);
	return true;
}

bool tcg_fetch32(struct tcg_env *env, uint64_t vaddr, uint32_t *word)
{
	const struct fetch_page *p = fetch_page(env->vcpu, vaddr);
	if (!p || (p->partial && !mem_fetch(env->vcpu, vaddr)))
		return false;
	const uint32_t *at = (const uint32_t *)(const void *)(p->hva + (vaddr & (TCG_PAGE_SIZE - 1)));
	*word = __atomic_load_n(at, __ATOMIC_RELAXED);
	return true;
}

static bool build(struct tcg_vcpu *v, uint32_t max_insns)
{
	struct tcg_env *env = v->env;
	struct ir_block *b = v->ir;
	v->fetch_count = 0;
	ir_begin(b, env->pc, env->flags);
	b->mmu = env->mmu;
	b->max_insns = max_insns;
	b->globals = v->tcg->front->globals;
	b->global_count = v->tcg->front->global_count;
	b->helpers = v->tcg->front->helpers;
	b->helper_count = v->tcg->front->helper_count;
	env->exit_reason = TCG_EXIT_NONE;
	if (!v->tcg->front->translate(env, b)) {
		if (env->exit_reason == TCG_EXIT_NONE)
			env->exit_reason = TCG_EXIT_EXCEPTION;
		return false;
	}
	return true;
}

#ifdef MORTISE_DEBUG
static bool verified(struct tcg_vcpu *v, const char *when)
{
	static __thread char text[512];
	uint32_t at;
	const char *wrong = ir_verify(v->ir, &at);
	if (!wrong)
		return true;
	size_t n = 0;
	while (n < sizeof(text) - 256 && when[n]) {
		text[n] = when[n];
		n++;
	}
	text[n++] = ' ';
	strncpy(text + n, wrong, 100);
	n = strlen(text);
	text[n++] = ':';
	ir_print_op(v->ir, &v->ir->ops[at], text + n, sizeof(text) - n);
	v->env->error = text;
	v->env->exit_reason = TCG_EXIT_ERROR;
	return false;
}
#else
static bool verified(struct tcg_vcpu *v, const char *when)
{
	(void)v, (void)when;
	return true;
}
#endif

static bool still_right(struct tcg_vcpu *v)
{
	for (uint32_t i = 0; i < v->fetch_count; i++) {
		const struct code_page *page = pages_get(v->tcg, v->fetch[i].key);
		if (!page->has_code || __atomic_load_n(&page->version, __ATOMIC_SEQ_CST) != v->fetch[i].version)
			return false;
	}
	return true;
}

static void describe(struct tcg_vcpu *v, struct tcg_block *b)
{
	const struct ir_block *ir = v->ir;
	uint32_t offset = (uint32_t)(ir->pc & (TCG_PAGE_SIZE - 1));
	b->phys = v->fetch[0].key | offset;
	b->pc = ir->pc;
	b->flags = ir->flags;
	b->guest_bytes = ir->guest_bytes ? ir->guest_bytes : 2;
	b->insn_count = ir->insn_count;
	b->phys_page[0] = v->fetch[0].key;
	/* of one vCPU, until it forgets its translations */
	if (v->fetch[0].partial || (v->fetch_count > 1 && v->fetch[1].partial))
		b->checked = tlb_check_number(v);
	b->phys_page[1] = offset + b->guest_bytes > TCG_PAGE_SIZE && v->fetch_count > 1 ? v->fetch[1].key : KEY_NONE;
}

enum outcome { DONE, FULL, STALE };

/* Under tcg.lock. */
static enum outcome publish(struct tcg_vcpu *v, struct tcg_block **out)
{
	struct tcg *t = v->tcg;
	if (!still_right(v))
		return STALE;
	struct tcg_code_space space;
	bool full;
	struct tcg_block *b = cache_space(t, &space, &full);
	if (full)
		return FULL;
	describe(v, b);
	size_t used = t->host->lower(t->host_state, v->ir, b, &space);
	if (!used)
		return FULL;
	for (unsigned i = 0; i < BLOCK_LINKS; i++)
		b->links[i].from = b;
	t->segment_used = (size_t)(space.rw - t->code_rw) - t->stub_bytes - t->segment * t->segment_bytes + used;
	t->segment_used = (t->segment_used + 63) & ~(size_t)63;
	t->host_insn_bytes += b->code_bytes;
	t->guest_insns += b->insn_count;
	b->segment_next = t->segment_blocks[t->segment];
	t->segment_blocks[t->segment] = b;
	if (v->debug.single) {
		b->state = BLOCK_DEAD;
		*out = b;
		return DONE;
	}
	cache_insert(t, b);
	pages_add_lines(t, b);
	/*
	 * Once more: a store counts the page's version up, then looks at its lines. One that looked before the
	 * lines of this block were there has changed the version by now.
	 */
	if (!still_right(v)) {
		cache_kill(t, b);
		return STALE;
	}
	*out = b;
	return DONE;
}

static void make_room(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	exec_exclusive_begin(v);
	pthread_mutex_lock(&t->lock);
	cache_next_segment(t);
	pthread_mutex_unlock(&t->lock);
	exec_exclusive_end(v);
}

struct tcg_block *translate_block(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	uint32_t max_insns = v->debug.single ? 1 : BLOCK_MAX_INSNS;
	bool fresh = false;
	if (!v->debug.single && debug_break_at(t, v->env->pc)) {
		v->env->exit_reason = TCG_EXIT_DEBUG;
		return NULL;
	}
	for (;;) {
		if (!build(v, max_insns))
			return NULL;
		if (v->ir->overflow) {
			max_insns = max_insns > 1 ? max_insns / 2 : 1;
			continue;
		}
		if (!verified(v, "front end"))
			return NULL;
		ir_optimise(v->ir);
		if (!verified(v, "optimiser"))
			return NULL;
		struct tcg_block *b = NULL;
		pthread_mutex_lock(&t->lock);
		enum outcome outcome = publish(v, &b);
		pthread_mutex_unlock(&t->lock);
		if (outcome == DONE)
			return b;
		if (outcome == FULL) {
			if (fresh)
				max_insns = max_insns > 1 ? max_insns / 2 : 1;
			make_room(v);
			fresh = true;
		}
	}
}
