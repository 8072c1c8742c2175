/* SPDX-License-Identifier: MIT */
/*
 * The IR interpreter: the oracle of every other back end, and the one for hosts that have none. A block's
 * code is a header and a copy of its ops; values live in the environment (globals) and in an array on the
 * stack (temporaries). It touches nothing between an op that may fault and the fault, so that state is
 * precise by itself. FP is done on integers (softfp), so that the host's FP environment does not matter.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/host.h"
#include "fp/softfp.h"
#include "ir/alu.h"

struct tcg_host_state {
	const struct ir_global *globals;
	uint32_t global_count;
};

/* What `code` points at. Labels have been resolved: aux of a branch is the index of the op to go to. */
struct program {
	uint32_t op_count, mmu;
	const struct ir_helper *helpers;
	struct ir_op ops[];
};

struct frame {
	struct tcg_env *env;
	const struct tcg_host_state *state;
	const struct program *program;
	uint64_t pc;            /* of the instruction under way */
	uint32_t pc_next;       /* its length */
	uint64_t temps[IR_MAX_TEMPS];
};

static bool interp_usable(void)
{
	return true;
}

static size_t interp_init(struct tcg_host_state **state, const struct ir_global *globals, uint32_t global_count,
			  const struct tcg_code_space *space)
{
	(void)space;
	*state = calloc(1, sizeof(**state));
	if (!*state)
		return 0;
	(*state)->globals = globals;
	(*state)->global_count = global_count;
	return 64;
}

static void interp_fini(struct tcg_host_state *state)
{
	free(state);
}

static size_t interp_lower(struct tcg_host_state *state, const struct ir_block *b, struct tcg_block *block,
			   const struct tcg_code_space *space)
{
	(void)state;
	size_t bytes = sizeof(struct program) + b->op_count * sizeof(struct ir_op);
	bytes = (bytes + 63) & ~(size_t)63;
	if (bytes > space->free_bytes)
		return 0;
	struct program *p = (struct program *)(void *)space->rw;
	p->op_count = b->op_count;
	p->mmu = b->mmu;
	p->helpers = b->helpers;
	memcpy(p->ops, b->ops, b->op_count * sizeof(struct ir_op));
	uint16_t where[IR_MAX_LABELS] = { 0 };
	for (uint32_t i = 0; i < b->op_count; i++)
		if (b->ops[i].opcode == IR_label)
			where[b->ops[i].aux] = (uint16_t)i;
	for (uint32_t i = 0; i < b->op_count; i++)
		if (b->ops[i].opcode == IR_br || b->ops[i].opcode == IR_brc)
			p->ops[i].aux = where[b->ops[i].aux];
	block->code = space->rx;
	block->code_bytes = (uint32_t)bytes;
	memset(block->links, 0, sizeof(block->links));
	return bytes;
}

static void interp_link(struct tcg_host_state *state, struct tcg_link *link, const uint8_t *to, ptrdiff_t rw_delta)
{
	(void)state, (void)link, (void)to, (void)rw_delta;   /* no linkable exits */
}

static uint64_t *global_at(const struct frame *f, ir_val v)
{
	return (uint64_t *)(void *)((uint8_t *)f->env + f->state->globals[v - 1].env_offset);
}

static uint64_t get(const struct frame *f, ir_val v)
{
	if (IR_IS_TEMP(v))
		return f->temps[v - IR_TEMP_FIRST];
	return v == IR_NONE ? 0 : *global_at(f, v);
}

static void set(struct frame *f, ir_val v, uint64_t value)
{
	if (IR_IS_TEMP(v))
		f->temps[v - IR_TEMP_FIRST] = value;
	else if (v != IR_NONE)
		*global_at(f, v) = value;
}

static uint64_t get_b(const struct frame *f, const struct ir_op *op)
{
	return op->b_is_imm ? (uint64_t)op->imm : get(f, op->b);
}

static uint64_t env_load(const struct tcg_env *env, uint64_t offset, uint32_t mem)
{
	uint64_t value = 0;
	memcpy(&value, (const uint8_t *)env + offset, (size_t)1 << IRM_SIZE(mem));
	return alu_extend(value, mem);
}

/* --- guest memory --- */

static bool tlb_hit(const struct frame *f, uint64_t addr, uint32_t mem, unsigned kind, uint8_t **hva)
{
	uint64_t last = addr + ((uint64_t)1 << IRM_SIZE(mem)) - 1;
	const struct tlb_entry *e = &f->env->tlb[f->program->mmu][kind][addr >> TCG_PAGE_BITS & (TLB_SIZE - 1)];
	if ((addr & TCG_PAGE_MASK) != e->tag || (last & TCG_PAGE_MASK) != e->tag)
		return false;
	if ((mem & IRM_ALIGN) && (addr & (last - addr)))
		return false;
	*hva = (uint8_t *)(uintptr_t)(addr + e->addend);
	return true;
}

/* Atomic for natural alignment, so that other vCPUs never see halves. */
static uint64_t host_load(const uint8_t *hva, uint32_t mem)
{
	uint64_t value = 0;
	uint32_t size = 1u << IRM_SIZE(mem);
	if (((uintptr_t)hva & (size - 1)) == 0) {
		switch (IRM_SIZE(mem)) {
		case IRM_8:  return alu_extend(__atomic_load_n(hva, __ATOMIC_ACQUIRE), mem);
		case IRM_16: return alu_extend(__atomic_load_n((const uint16_t *)(const void *)hva, __ATOMIC_ACQUIRE), mem);
		case IRM_32: return alu_extend(__atomic_load_n((const uint32_t *)(const void *)hva, __ATOMIC_ACQUIRE), mem);
		default:     return __atomic_load_n((const uint64_t *)(const void *)hva, __ATOMIC_ACQUIRE);
		}
	}
	memcpy(&value, hva, size);
	return alu_extend(value, mem);
}

static void host_store(uint8_t *hva, uint64_t value, uint32_t mem)
{
	uint32_t size = 1u << IRM_SIZE(mem);
	if ((uintptr_t)hva & (size - 1)) {
		memcpy(hva, &value, size);
		return;
	}
	switch (IRM_SIZE(mem)) {
	case IRM_8:  __atomic_store_n(hva, (uint8_t)value, __ATOMIC_RELEASE); break;
	case IRM_16: __atomic_store_n((uint16_t *)(void *)hva, (uint16_t)value, __ATOMIC_RELEASE); break;
	case IRM_32: __atomic_store_n((uint32_t *)(void *)hva, (uint32_t)value, __ATOMIC_RELEASE); break;
	default:     __atomic_store_n((uint64_t *)(void *)hva, value, __ATOMIC_RELEASE); break;
	}
}

/* Each returns the reason to leave, TCG_EXIT_NONE to go on. */
static uint32_t op_ld(struct frame *f, const struct ir_op *op)
{
	uint64_t addr = get(f, op->a) + (uint64_t)op->imm;
	uint8_t *hva;
	if (tlb_hit(f, addr, op->field, 0, &hva)) {
		set(f, op->d, host_load(hva, op->field));
		return TCG_EXIT_NONE;
	}
	uint32_t exit = TCG_EXIT_NONE;
	f->env->pc = f->pc;
	uint64_t value = tcg_slow_load(f->env, addr, op->field, &exit);
	if (exit == TCG_EXIT_NONE || exit == TCG_EXIT_LEAVE)
		set(f, op->d, alu_extend(value, op->field));
	return exit;
}

static uint32_t op_st(struct frame *f, const struct ir_op *op)
{
	uint64_t addr = get(f, op->a) + (uint64_t)op->imm;
	uint64_t value = get(f, op->b);
	uint8_t *hva;
	if (tlb_hit(f, addr, op->field, 1, &hva)) {
		host_store(hva, value, op->field);
		return TCG_EXIT_NONE;
	}
	f->env->pc = f->pc;
	return tcg_slow_store(f->env, addr, value, op->field);
}

static uint32_t op_zero(struct frame *f, const struct ir_op *op)
{
	uint64_t addr = get(f, op->a) & ~(uint64_t)(IR_ZERO_BYTES - 1);
	uint8_t *hva;
	if (tlb_hit(f, addr, IRM_64, 1, &hva)) {
		memset(hva, 0, IR_ZERO_BYTES);
		return TCG_EXIT_NONE;
	}
	f->env->pc = f->pc;
	return tcg_slow_zero(f->env, addr);
}

static uint32_t op_atomic(struct frame *f, const struct ir_op *op)
{
	uint32_t exit = TCG_EXIT_NONE, mem_amo = op->field | (uint32_t)op->aux << 8;
	uint64_t addr = get(f, op->a), value;
	uint8_t *hva;
	bool hit = tlb_hit(f, addr, op->field | IRM_ALIGN, 1, &hva);
	if (!hit)
		f->env->pc = f->pc;
	if (op->opcode == IR_amo && hit)
		value = tcg_amo_at(f->env, hva, get(f, op->b), mem_amo);
	else if (hit)
		value = tcg_cas_at(f->env, hva, get(f, op->b), get(f, op->c), op->field);
	else if (op->opcode == IR_amo)
		value = tcg_slow_amo(f->env, addr, get(f, op->b), mem_amo, &exit);
	else
		value = tcg_slow_cas(f->env, addr, get(f, op->b), get(f, op->c), op->field, &exit);
	if (exit != TCG_EXIT_EXCEPTION)
		set(f, op->d, alu_extend(value, op->field));
	return exit;
}

static uint32_t op_call(struct frame *f, const struct ir_op *op)
{
	const struct ir_helper *h = &f->program->helpers[op->aux];
	struct tcg_env *env = f->env;
	if (h->flags & IRH_MAY_EXIT) {
		env->pc = f->pc;
		env->exit_reason = TCG_EXIT_NONE;
	}
	uint64_t result = h->fn(env, get(f, op->a), get(f, op->b), get(f, op->c));
	if ((h->flags & IRH_MAY_EXIT) && env->exit_reason != TCG_EXIT_NONE)
		return env->exit_reason;
	set(f, op->d, result);
	return TCG_EXIT_NONE;
}

/* --- FP --- */

static uint64_t fp_s(const struct ir_op *op, uint32_t a, uint32_t b, uint32_t c, uint32_t rm, uint32_t *fl)
{
	switch (op->opcode) {
	case IR_fadd_s: return sf_add_s(a, b, rm, fl);
	case IR_fsub_s: return sf_sub_s(a, b, rm, fl);
	case IR_fmul_s: return sf_mul_s(a, b, rm, fl);
	case IR_fdiv_s: return sf_div_s(a, b, rm, fl);
	case IR_fsqrt_s: return sf_sqrt_s(a, rm, fl);
	case IR_fma_s: return sf_fma_s(a, b, c, op->aux, rm, fl);
	case IR_fmin_s: return sf_min_s(a, b, fl);
	case IR_fmax_s: return sf_max_s(a, b, fl);
	case IR_fcmp_s: return sf_cmp_s(a, b, op->aux, fl);
	case IR_fcvt_i_s: return sf_to_int_s(a, op->aux, rm, fl);
	default: return sf_s_to_d(a, fl);
	}
}

static uint64_t fp_d(const struct ir_op *op, uint64_t a, uint64_t b, uint64_t c, uint32_t rm, uint32_t *fl)
{
	switch (op->opcode) {
	case IR_fadd_d: return sf_add_d(a, b, rm, fl);
	case IR_fsub_d: return sf_sub_d(a, b, rm, fl);
	case IR_fmul_d: return sf_mul_d(a, b, rm, fl);
	case IR_fdiv_d: return sf_div_d(a, b, rm, fl);
	case IR_fsqrt_d: return sf_sqrt_d(a, rm, fl);
	case IR_fma_d: return sf_fma_d(a, b, c, op->aux, rm, fl);
	case IR_fmin_d: return sf_min_d(a, b, fl);
	case IR_fmax_d: return sf_max_d(a, b, fl);
	case IR_fcmp_d: return sf_cmp_d(a, b, op->aux, fl);
	case IR_fcvt_i_d: return sf_to_int_d(a, op->aux, rm, fl);
	case IR_fcvt_s_i: return sf_from_int_s(a, op->aux, rm, fl);
	case IR_fcvt_d_i: return sf_from_int_d(a, op->aux, rm, fl);
	default: return sf_d_to_s(a, rm, fl);
	}
}

static bool is_single(const struct ir_op *op)
{
	return (op->opcode >= IR_fadd_s && op->opcode <= IR_fcmp_s) || op->opcode == IR_fcvt_i_s ||
	       op->opcode == IR_fcvt_d_s;
}

static void op_fp(struct frame *f, const struct ir_op *op)
{
	uint32_t rm = op->field == IR_RM_DYN ? f->env->frm : op->field;
	uint64_t a = get(f, op->a), b = get(f, op->b), c = get(f, op->c);
	uint32_t *fl = &f->env->fflags;
	set(f, op->d, is_single(op) ? fp_s(op, (uint32_t)a, (uint32_t)b, (uint32_t)c, rm, fl)
				    : fp_d(op, a, b, c, rm, fl));
}

/* --- the loop --- */

static void op_pure(struct frame *f, const struct ir_op *op)
{
	switch (op->opcode) {
	case IR_movi:   set(f, op->d, (uint64_t)op->imm); break;
	case IR_ldenv:  set(f, op->d, env_load(f->env, (uint64_t)op->imm, op->field)); break;
	case IR_setc:   set(f, op->d, alu_cond(op->field, get(f, op->a), get_b(f, op))); break;
	case IR_movc:
		if (alu_cond(op->field, get(f, op->a), get_b(f, op)))
			set(f, op->d, get(f, op->c));
		break;
	default:        set(f, op->d, alu_op(op->opcode, get(f, op->a), get_b(f, op), (uint64_t)op->imm)); break;
	}
}

static uint32_t op_memory(struct frame *f, const struct ir_op *op)
{
	switch (op->opcode) {
	case IR_ld: return op_ld(f, op);
	case IR_st: return op_st(f, op);
	case IR_zero: return op_zero(f, op);
	default:    return op_atomic(f, op);
	}
}

static uint32_t op_side(struct frame *f, const struct ir_op *op)
{
	switch (op->opcode) {
	case IR_insn:
		f->pc = (uint64_t)op->imm;
		f->pc_next = op->aux;
		break;
	case IR_stenv: {
		uint64_t value = get(f, op->a);
		memcpy((uint8_t *)f->env + op->imm, &value, (size_t)1 << IRM_SIZE(op->field));
		break;
	}
	case IR_fence:
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		break;
	case IR_ldflags:
		set(f, op->d, f->env->fflags & 31u);
		break;
	case IR_stflags:
		f->env->fflags = (uint32_t)get(f, op->a) & 31u;
		break;
	case IR_call:
		return op_call(f, op);
	case IR_poll:
		if (__atomic_load_n(&f->env->poll, __ATOMIC_RELAXED)) {
			f->env->pc = (uint64_t)op->imm;
			return TCG_EXIT_POLL;
		}
		break;
	}
	return TCG_EXIT_NONE;
}

/* Ends the block: sets env->pc, and says whether to look the next block up or to leave. */
static uint32_t op_end(struct frame *f, const struct ir_op *op)
{
	struct tcg_env *env = f->env;
	if (op->opcode == IR_exit_reg)
		env->pc = get(f, op->a);
	else if (op->opcode != IR_exit_env)
		env->pc = (uint64_t)op->imm;
	bool polls = op->opcode == IR_exit_reg || op->opcode == IR_exit_env;
	if (polls && __atomic_load_n(&env->poll, __ATOMIC_RELAXED))
		return TCG_EXIT_POLL;
	return TCG_EXIT_LOOKUP;
}

/* One block. TCG_EXIT_LOOKUP: ended normally, env->pc is next. */
static uint32_t run_block(struct frame *f)
{
	const struct program *p = f->program;
	for (uint32_t i = 0; i < p->op_count; i++) {
		const struct ir_op *op = &p->ops[i];
		uint32_t exit = TCG_EXIT_NONE;
		switch (ir_opinfo[op->opcode].flags) {
		case IRF_C: op_pure(f, op); break;
		case IRF_F: op_fp(f, op); break;
		case IRF_M: exit = op_memory(f, op); break;
		case IRF_S: exit = op_side(f, op); break;
		case IRF_E: return op_end(f, op);
		case IRF_B:
			if (op->opcode == IR_br ||
			    (op->opcode == IR_brc && alu_cond(op->field, get(f, op->a), get_b(f, op))))
				i = op->aux;
			break;
		}
		if (exit == TCG_EXIT_LEAVE && (ir_opinfo[op->opcode].flags & IRF_M))
			exit = TCG_EXIT_NONE;   /* the access is done; env->poll makes the block's end leave */
		if (exit != TCG_EXIT_NONE)
			return exit;
	}
	f->env->error = "control fell out of a block";
	return TCG_EXIT_ERROR;
}

static enum tcg_exit interp_run(struct tcg_host_state *state, struct tcg_env *env, const uint8_t *code)
{
	struct frame f;
	f.pc = env->pc;
	f.env = env;
	f.state = state;
	env->link_patch = 0;
	for (;;) {
		f.program = (const struct program *)(const void *)code;
		uint32_t exit = run_block(&f);
		if (exit != TCG_EXIT_LOOKUP)
			return exit;
		code = tcg_find_code(env, env->pc);
		if (!code)
			return env->exit_reason;
	}
}

const struct tcg_host host_interp = {
	.name = "interp",
	.needs_exec = false,
	.usable = interp_usable,
	.init = interp_init,
	.fini = interp_fini,
	.lower = interp_lower,
	.run = interp_run,
	.link = interp_link,
};
