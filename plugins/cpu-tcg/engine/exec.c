/* SPDX-License-Identifier: MIT */
/*
 * The run loop of a vCPU, and the gate between "in" (may execute translated code) and exclusive sections.
 * A vCPU goes in by exec_enter and out by exec_leave; an exclusive section begins when all others are out.
 * `in` and `exclusive` are each written, then the other is read, sequentially consistent on both sides.
 */
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"

void exec_enter(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	for (;;) {
		__atomic_store_n(&v->in, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&t->exclusive, __ATOMIC_SEQ_CST))
			return;
		pthread_mutex_lock(&t->gate);
		__atomic_store_n(&v->in, 0, __ATOMIC_SEQ_CST);
		pthread_cond_broadcast(&t->gate_changed);
		while (t->exclusive)
			pthread_cond_wait(&t->gate_changed, &t->gate);
		pthread_mutex_unlock(&t->gate);
	}
}

void exec_leave(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	__atomic_store_n(&v->in, 0, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&t->exclusive, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&t->gate);
	pthread_cond_broadcast(&t->gate_changed);
	pthread_mutex_unlock(&t->gate);
}

static bool others_in(const struct tcg_vcpu *v)
{
	const struct tcg *t = v->tcg;
	for (uint32_t i = 0; i < t->vcpu_count; i++)
		if (t->vcpus[i] && t->vcpus[i] != v && __atomic_load_n(&t->vcpus[i]->in, __ATOMIC_SEQ_CST))
			return true;
	return false;
}

void exec_exclusive_begin(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	pthread_mutex_lock(&t->gate);
	while (t->exclusive)
		pthread_cond_wait(&t->gate_changed, &t->gate);
	__atomic_store_n(&t->exclusive, 1, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < t->vcpu_count; i++)
		if (t->vcpus[i] && t->vcpus[i] != v)
			tcg_poll_request(t->vcpus[i]->env);
	while (others_in(v))
		pthread_cond_wait(&t->gate_changed, &t->gate);
	pthread_mutex_unlock(&t->gate);
}

void exec_exclusive_end(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	pthread_mutex_lock(&t->gate);
	__atomic_store_n(&t->exclusive, 0, __ATOMIC_SEQ_CST);
	pthread_cond_broadcast(&t->gate_changed);
	pthread_mutex_unlock(&t->gate);
}

void tcg_poll_request(struct tcg_env *env)
{
	__atomic_store_n(&env->poll, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&env->vcpu->sleeping, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &env->poll, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void tcg_rouse(struct tcg_env *env)
{
	__atomic_add_fetch(&env->roused, 1, __ATOMIC_SEQ_CST);
	tcg_poll_request(env);
	if (__atomic_load_n(&env->vcpu->pausing, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &env->roused, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/*
 * Waits for another vCPU to write memory, or for a poll request, out. A write cannot be waited for: it is looked
 * for, at once for as long as a lock is usually held, then seldom enough to leave the processor to others.
 */
#define STALL_LOOKS 400u
#define STALL_FIRST_NS 20000
#define STALL_LAST_NS 500000

static bool stalled(struct tcg_vcpu *v)
{
	return !__atomic_load_n(&v->env->poll, __ATOMIC_RELAXED) && v->tcg->front->stalled(v->env);
}

/* The flag, then the word (in the system call); who changes the word looks at the flag after. */
static void sleep_while(uint32_t *word, uint32_t value, uint32_t *flag, long ns)
{
	struct timespec limit = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	__atomic_store_n(flag, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &limit, NULL, 0);
	__atomic_store_n(flag, 0, __ATOMIC_RELAXED);
}

static void exec_stall(struct tcg_vcpu *v)
{
	bool on = stalled(v);
	exec_leave(v);
	for (uint32_t i = 0; i < STALL_LOOKS && on; i++) {
		tcg_pause();
		on = stalled(v);
	}
	for (long ns = STALL_FIRST_NS; on; ns = ns < STALL_LAST_NS / 2 ? ns * 2 : STALL_LAST_NS) {
		sleep_while(&v->env->poll, 0, &v->sleeping, ns);
		on = stalled(v);
	}
	exec_enter(v);
}

/*
 * A pin that rises ends it, and nothing that the engine asks of the vCPU: other vCPUs ask whenever they come to new
 * code, and one that looks then sees them between two stores that belong together. What comes in another way waits for
 * as long as a person does not notice, or about as long again as the vCPU has waited.
 */
#define PAUSE_FIRST_NS 20000000L
#define PAUSE_DOUBLINGS 7u

static void exec_pause(struct tcg_vcpu *v)
{
	struct tcg_env *env = v->env;
	uint32_t doublings = env->pauses < PAUSE_DOUBLINGS ? env->pauses : PAUSE_DOUBLINGS;
	exec_leave(v);
	sleep_while(&env->roused, env->pause_roused, &v->pausing, PAUSE_FIRST_NS << doublings);
	exec_enter(v);
}

/* The second page of a block that straddles two may have been remapped since: look again. */
static bool tail_right(struct tcg_vcpu *v, const struct tcg_block *b)
{
	if (b->phys_page[1] == KEY_NONE)
		return true;
	const struct fetch_entry *e = mem_fetch(v, (b->pc & TCG_PAGE_MASK) + TCG_PAGE_SIZE);
	v->env->exit_reason = TCG_EXIT_NONE;    /* a fault there is for the translator to find */
	return e && e->key == b->phys_page[1];
}

/* A stale straddling block is replaced. In: its memory is not reused meanwhile. */
static void drop_block(struct tcg *t, struct tcg_block *b)
{
	pthread_mutex_lock(&t->lock);
	cache_kill(t, b);
	pthread_mutex_unlock(&t->lock);
}

/* The block for env->pc if there is one; *fault: env->exit_reason says why not. In. */
static struct tcg_block *known_block(struct tcg_vcpu *v, bool *fault)
{
	struct tcg_env *env = v->env;
	const struct fetch_entry *e = mem_fetch(v, env->pc);
	*fault = !e;
	if (!e) {
		env->exit_reason = TCG_EXIT_EXCEPTION;
		return NULL;
	}
	uint64_t key = e->key | (env->pc & (TCG_PAGE_SIZE - 1));
	bool partial = e->partial;
	struct tcg_block *b = cache_find(v->tcg, key, env->pc, env->flags);
	if (!b || (tail_right(v, b) && (!partial || b->checked == tlb_check_number(v))))
		return b;
	drop_block(v->tcg, b);
	return NULL;
}

/*
 * Block for env->pc, NULL with env->exit_reason. In on entry and exit. While out, others may kill the new block, and
 * evict so many segments that another one lies in its place: then it is looked up like any other.
 */
static struct tcg_block *find_block(struct tcg_vcpu *v)
{
	const struct tcg *t = v->tcg;
	for (;;) {
		bool fault;
		struct tcg_block *b = known_block(v, &fault);
		if (b || fault)
			return b;
		uint64_t evictions = t->evictions;
		exec_leave(v);
		b = translate_block(v);
		exec_enter(v);
		if (!b)
			return NULL;
		if (evictions == t->evictions && __atomic_load_n(&b->state, __ATOMIC_ACQUIRE) == BLOCK_LIVE)
			return b;
	}
}

static uint32_t jump_page_bit(uint64_t vaddr)
{
	uint64_t page = vaddr >> TCG_PAGE_BITS;
	return (uint32_t)(page ^ page >> 12 ^ page >> 24) & (JUMP_PAGE_BITS - 1);
}

/* Jumps to code of this page are cached. */
static void note_jump_page(struct tcg_vcpu *v, uint64_t vaddr)
{
	uint32_t bit = jump_page_bit(vaddr);
	v->jump_pages[bit / 64] |= (uint64_t)1 << (bit % 64);
}

const void *tcg_find_code(struct tcg_env *env, uint64_t pc)
{
	struct tcg_vcpu *v = env->vcpu;
	env->pc = pc;
	if (v->debug.single) {
		env->exit_reason = TCG_EXIT_LOOKUP;
		return NULL;
	}
	if (__atomic_load_n(&v->jump_flush, __ATOMIC_ACQUIRE))
		tlb_drop_jumps(v);
	struct tcg_block *b = find_block(v);
	if (!b)
		return NULL;
	struct jc_entry *slot = &env->jump_cache[tcg_jc_index(pc)];
	slot->key = pc ^ env->context;
	slot->code = b->code;
	note_jump_page(v, pc);
	/* a block that goes on in a second page is stale when that one is remapped, too */
	if (b->phys_page[1] != KEY_NONE)
		note_jump_page(v, pc + TCG_PAGE_SIZE);
	return b->code;
}

bool exec_page_has_jumps(const struct tcg_vcpu *v, uint64_t vaddr)
{
	uint32_t bit = jump_page_bit(vaddr);
	return v->jump_pages[bit / 64] >> (bit % 64) & 1;
}

/* --- the loop --- */

static void arm_timer(struct tcg_vcpu *v)
{
	uint64_t at = v->tcg->front->next_wakeup_ns(v->env);
	/* the loop's thread forgets it when it has fired */
	if (at == __atomic_load_n(&v->timer_ns, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&v->timer_ns, at, __ATOMIC_RELAXED);
	v->tcg->services.clock->timer_arm(v->timer, at);
}

/* What asked for the poll. True: leave `run`. */
static bool serve_poll(struct tcg_vcpu *v)
{
	struct tcg_env *env = v->env;
	/* first take the flag, then look for reasons: a reason that comes after sets it again */
	__atomic_exchange_n(&env->poll, 0, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->tcg->exclusive, __ATOMIC_SEQ_CST) || v->watch_key != KEY_NONE) {
		env->link_patch = 0;    /* what it points to may be evicted now */
		exec_leave(v);
		if (v->watch_key != KEY_NONE)
			pages_watch(v, v->watch_key);
		v->watch_key = KEY_NONE;
		exec_enter(v);
	}
	if (__atomic_load_n(&v->jump_flush, __ATOMIC_ACQUIRE))
		tlb_drop_jumps(v);
	arm_timer(v);
	if (__atomic_exchange_n(&v->kick, 0, __ATOMIC_SEQ_CST) || v->leave) {
		v->leave = 0;
		return true;
	}
	if (debug_masks_irqs(v) || !v->tcg->front->take_interrupt(env))
		return false;
	pages_consume_dma(v);
	return debug_trapped(v);
}

static int fail(struct mt_exit *exit, const char *why)
{
	exit->reason = MT_EXIT_ERROR;
	strncpy(exit->message, why ? why : "internal error", sizeof(exit->message) - 1);
	return MT_EIO;
}

/* The link through which translated code left is made, now that its target is known. */
static void link_to(struct tcg_vcpu *v, struct tcg_block *b)
{
	struct tcg_link *link = (struct tcg_link *)(uintptr_t)v->env->link_patch;
	v->env->link_patch = 0;
	if (!link)
		return;
	/* written by whichever vCPU translated it; this one came here by code alone */
	pthread_mutex_lock(&v->tcg->lock);
	if (link->target_pc == b->pc)
		cache_link(v->tcg, link, b);
	pthread_mutex_unlock(&v->tcg->lock);
}

/* Runs from env->pc until something is to be decided. */
static enum tcg_exit run_once(struct tcg_vcpu *v)
{
	struct tcg_env *env = v->env;
	uint64_t evictions = v->tcg->evictions;
	if (v->debug.mode || v->debug.passing)
		return debug_run_one(v);
	struct tcg_block *b = find_block(v);
	if (!b)
		return env->exit_reason;
	if (env->link_patch && evictions == v->tcg->evictions)
		link_to(v, b);
	env->link_patch = 0;
	return v->tcg->host->run(v->tcg->host_state, env, b->code);
}

static bool debug_wanted(const struct tcg_vcpu *v, enum tcg_exit reason)
{
	return v->debug.mode || v->debug.met || reason == TCG_EXIT_DEBUG;
}

/* What translated code came back for. False: leave `run`, perhaps with *rc. */
static bool act(struct tcg_vcpu *v, enum tcg_exit reason, struct mt_exit *exit, int *rc)
{
	struct tcg_env *env = v->env;
	const struct tcg_front *front = v->tcg->front;
	bool on;
	switch (reason) {
	case TCG_EXIT_NONE:
	case TCG_EXIT_LOOKUP:
	case TCG_EXIT_POLL:
	case TCG_EXIT_DEBUG:
		return true;
	case TCG_EXIT_EXCEPTION:
		front->take_exception(env);
		return true;
	case TCG_EXIT_PAUSE:
		exec_pause(v);
		return true;
	case TCG_EXIT_STALL:
		exec_stall(v);
		return true;
	case TCG_EXIT_LEAVE:
		v->leave = 0;
		return false;
	case TCG_EXIT_HALT:
		exit->wake_ns = front->next_wakeup_ns(env);
		on = front->wakeup_pending(env);
		exit->reason = on ? MT_EXIT_KICKED : MT_EXIT_HALT;
		return on;
	default:
		*rc = fail(exit, env->error);
		return false;
	}
}

int exec_run(struct tcg_vcpu *v, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct tcg_env *env = v->env;
	mem_set_view(v, params->view);
	tcg_poll_request(env);
	exit->reason = MT_EXIT_KICKED;
	exit->wake_ns = UINT64_MAX;
	v->debug.stopped = false;
	exec_enter(v);
	/* what was written while the vCPU stood still: by a debugger, from a saved state */
	pages_consume_dma(v);
	int rc = 0;
	for (bool on = true; on;) {
		if (__atomic_load_n(&env->poll, __ATOMIC_RELAXED) && serve_poll(v))
			break;
		enum tcg_exit reason = run_once(v);
		on = act(v, reason, exit, &rc);
		if (debug_wanted(v, reason) && rc == 0 && debug_after(v, reason))
			break;
	}
	exec_leave(v);
	if (v->debug.stopped && rc == 0)
		exit->reason = MT_EXIT_DEBUG;
	return rc;
}
