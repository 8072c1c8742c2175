/* SPDX-License-Identifier: MIT */
/*
 * What a debugger wants. The role's functions run on [main] while no vCPU runs; the rest on the vCPU's own
 * thread.
 *
 * A breakpoint costs nothing where there is none: no block holds its instruction but the one that begins
 * with it, and that one is never made: the run loop finds it missing and looks here. A step is a block of
 * one instruction that is never found again, run with all cached jumps forgotten. A page with a watched
 * byte is kept out of the TLBs; an access that a point watches is refused on the slow path, and its
 * instruction done again as a step with the points off, so that the stop is right behind it.
 */
#include <string.h>
#include <util/error.h>

#include "engine/engine.h"

/* --- points --- */

static bool touches(const struct tcg_point *p, uint64_t first, uint64_t last, uint32_t kind)
{
	return (p->kind & kind) && p->first <= last && p->last >= first;
}

static const struct tcg_point *find_point(const struct tcg *t, uint64_t first, uint64_t last, uint32_t kind)
{
	for (uint32_t i = 0; i < t->point_count; i++)
		if (touches(&t->points[i], first, last, kind))
			return &t->points[i];
	return NULL;
}

bool debug_break_at(const struct tcg *t, uint64_t pc)
{
	return t->break_count && find_point(t, pc, pc, MT_DEBUG_EXECUTE);
}

bool debug_page_watched(const struct tcg *t, uint64_t vaddr, uint32_t kind)
{
	uint64_t page = vaddr & TCG_PAGE_MASK;
	return t->watch_count && find_point(t, page, page + (TCG_PAGE_SIZE - 1), kind);
}

bool debug_met(struct tcg_vcpu *v, uint64_t vaddr, uint32_t width, uint32_t kind)
{
	const struct tcg *t = v->tcg;
	if (!t->watch_count || v->debug.passing)
		return false;
	uint64_t last = vaddr + (width - 1);
	const struct tcg_point *p = find_point(t, vaddr, last < vaddr ? UINT64_MAX : last, kind);
	if (!p)
		return false;
	v->debug.met = true;
	v->debug.stop = (struct mt_debug_stop){
		.size = sizeof(v->debug.stop), .cause = MT_DEBUG_STOP_WATCH, .access = p->kind,
		.vaddr = p->first > vaddr ? p->first : vaddr,
	};
	v->env->exit_reason = TCG_EXIT_POLL;
	return true;
}

/* --- the run loop --- */

bool debug_masks_irqs(const struct tcg_vcpu *v)
{
	return v->debug.passing || (v->debug.mode & MT_DEBUG_MASK_IRQS);
}

static bool stop(struct tcg_vcpu *v, uint32_t cause)
{
	struct tcg_debug *d = &v->debug;
	if (cause != MT_DEBUG_STOP_WATCH)
		d->stop = (struct mt_debug_stop){ .size = sizeof(d->stop), .cause = cause };
	d->stop.pc = v->env->pc;
	d->mode = 0;
	d->met = d->passing = false;
	d->stopped = true;
	return true;
}

enum tcg_exit debug_run_one(struct tcg_vcpu *v)
{
	struct tcg *t = v->tcg;
	struct tcg_env *env = v->env;
	struct tcg_block *b;
	uint64_t evictions;
	v->debug.single = true;
	env->link_patch = 0;
	/* new context numbers: no jump cache knows where to go on */
	tlb_forget_contexts(v);
	do {
		evictions = t->evictions;
		exec_leave(v);
		b = translate_block(v);
		exec_enter(v);
	} while (b && evictions != t->evictions);
	enum tcg_exit reason = b ? t->host->run(t->host_state, env, b->code) : env->exit_reason;
	env->link_patch = 0;
	v->debug.single = false;
	return reason;
}

bool debug_after(struct tcg_vcpu *v, enum tcg_exit reason)
{
	struct tcg_debug *d = &v->debug;
	if (reason == TCG_EXIT_DEBUG)
		return stop(v, MT_DEBUG_STOP_BREAK);
	if (d->met && !d->passing) {
		d->passing = true;
		return false;
	}
	/* a load-reserved that is to be done again once its page is watched (strict-lrsc) */
	if (v->watch_key != KEY_NONE)
		return false;
	/* the access was not made after all */
	if (d->passing && reason == TCG_EXIT_EXCEPTION)
		d->met = d->passing = false;
	if (d->passing)
		return stop(v, MT_DEBUG_STOP_WATCH);
	return (d->mode & MT_DEBUG_STEP) && stop(v, MT_DEBUG_STOP_STEP);
}

bool debug_trapped(struct tcg_vcpu *v)
{
	return (v->debug.mode & MT_DEBUG_STEP) && stop(v, MT_DEBUG_STOP_STEP);
}

/* --- the role --- */

static bool point_bounds(uint32_t kind, uint64_t vaddr, uint64_t len_bytes, struct tcg_point *p)
{
	uint64_t last = kind == MT_DEBUG_EXECUTE ? vaddr : vaddr + (len_bytes - 1);
	*p = (struct tcg_point){ vaddr, last, kind };
	return kind == MT_DEBUG_EXECUTE || (len_bytes && last >= vaddr);
}

static bool kind_known(uint32_t kind)
{
	return kind == MT_DEBUG_EXECUTE || (kind && !(kind & ~(MT_DEBUG_READ | MT_DEBUG_WRITE)));
}

static void count_points(struct tcg *t)
{
	t->break_count = 0;
	for (uint32_t i = 0; i < t->point_count; i++)
		t->break_count += t->points[i].kind == MT_DEBUG_EXECUTE;
	t->watch_count = t->point_count - t->break_count;
}

/* What was translated, or found by an address, without knowledge of the point. */
static void forget_before(struct tcg *t, const struct tcg_point *p)
{
	if (p->kind == MT_DEBUG_EXECUTE) {
		pthread_mutex_lock(&t->lock);
		cache_kill_at(t, p->first);
		pthread_mutex_unlock(&t->lock);
		return;
	}
	for (uint32_t i = 0; i < t->vcpu_count; i++)
		if (t->vcpus[i])
			tlb_flush(t->vcpus[i]);
}

static int point_add(void *self, uint32_t kind, uint64_t vaddr, uint64_t len_bytes)
{
	struct tcg *t = self;
	struct tcg_point p;
	if (!kind_known(kind))
		return MT_ENOTSUP;
	if (!point_bounds(kind, vaddr, len_bytes, &p))
		return MT_ERANGE;
	if (t->point_count == POINTS_MAX)
		return MT_EBUSY;
	t->points[t->point_count++] = p;
	count_points(t);
	forget_before(t, &p);
	return 0;
}

/* A block that ended before the point goes on being used, only shorter than it could be. */
static int point_remove(void *self, uint32_t kind, uint64_t vaddr, uint64_t len_bytes)
{
	struct tcg *t = self;
	struct tcg_point p;
	point_bounds(kind, vaddr, len_bytes, &p);
	for (uint32_t i = 0; i < t->point_count; i++) {
		const struct tcg_point *have = &t->points[i];
		if (have->kind != kind || have->first != p.first || have->last != p.last)
			continue;
		t->points[i] = t->points[--t->point_count];
		count_points(t);
		return 0;
	}
	return MT_ENOENT;
}

static int set_mode(void *vcpu, uint32_t mode)
{
	struct tcg_vcpu *v = vcpu;
	if (mode & ~(MT_DEBUG_STEP | MT_DEBUG_MASK_IRQS))
		return MT_ENOTSUP;
	v->debug.mode = mode & MT_DEBUG_STEP ? mode : 0;
	v->debug.met = v->debug.passing = false;
	return 0;
}

static int last_stop(void *vcpu, struct mt_debug_stop *out)
{
	const struct tcg_vcpu *v = vcpu;
	uint32_t size = out->size && out->size < sizeof(*out) ? out->size : sizeof(*out);
	if (!v->debug.stopped)
		return MT_ENOENT;
	memcpy(out, &v->debug.stop, size);
	out->size = size;
	return 0;
}

static int translate(void *vcpu, uint64_t vaddr, uint64_t *gpa, uint64_t *len_bytes)
{
	struct tcg_vcpu *v = vcpu;
	struct tcg_walk w;
	mem_set_view(v, v->tcg->services.vcpu->view(v->handle));
	if (!v->tcg->front->look(v->env, vaddr, &w))
		return MT_ENOENT;
	*gpa = w.phys;
	*len_bytes = TCG_PAGE_SIZE - (vaddr & (TCG_PAGE_SIZE - 1));
	return 0;
}

static uint64_t description(void *self, char *text, uint64_t text_bytes)
{
	struct tcg *t = self;
	return t->front->gdb_xml(t->config, text, text_bytes);
}

const struct mt_cpu_debug debug_class = {
	.point_add = point_add,
	.point_remove = point_remove,
	.set_mode = set_mode,
	.stop = last_stop,
	.translate = translate,
	.description = description,
};
