/* SPDX-License-Identifier: MIT */
/*
 * A vCPU in a snapshot: schema "x86-64-cpu". [main], while it stands. Interrupt controllers are saved by their own
 * instances, whoever serves them; a local APIC of KVM's that was loaded waits in arch_vcpu for the registers.
 *
 * The schema is the CPU's and not KVM's: registers by their architectural names and layouts (XSAVE area, attributes of
 * segments as in VMX).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>
#include <util/state.h>

#include "x86.h"

#define APIC_BASE_X2APIC (1u << 10)        /* IA32_APIC_BASE: EXTD */

struct saved_segment {
	uint64_t base;
	uint32_t limit;
	uint16_t selector;
	uint8_t type, present, dpl, db, s, l, g, avl, unusable;
};

struct saved {
	uint64_t gpr[16];              /* rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15 */
	uint64_t rip, rflags, cr0, cr2, cr3, cr4, cr8, efer, apic_base, xcr0, gdt_base, idt_base;
	uint16_t gdt_limit, idt_limit;
	struct saved_segment segment[8];       /* cs ds es fs gs ss tr ldt */
	uint64_t pending_vector[4];    /* an interrupt that was taken and not yet delivered: a bit each */
	uint64_t dr[4], dr6, dr7;
	uint32_t run_state;            /* KVM_MP_STATE_* */
	uint8_t exception, exception_nr, exception_has_code, exception_pending;
	uint32_t exception_code;
	uint64_t exception_payload;
	uint8_t exception_has_payload, interrupt, interrupt_nr, interrupt_soft, shadow;
	uint8_t nmi, nmi_pending, nmi_masked, smm, smm_pending, smm_inside_nmi, smi_latched_init, triple_fault;
	uint32_t sipi_vector, event_flags;
	uint64_t kvm_clock_ns;         /* the machine's: each vCPU has it, the first one's is loaded; 0: unknown */
};

static const struct mt_state_field segment_fields[] = {
	MT_STATE_VAR(struct saved_segment, base, UINT64_MAX),
	MT_STATE_VAR(struct saved_segment, limit, UINT32_MAX),
	MT_STATE_VAR(struct saved_segment, selector, UINT16_MAX),
	MT_STATE_VAR(struct saved_segment, type, 15),
	MT_STATE_VAR(struct saved_segment, present, 1),
	MT_STATE_VAR(struct saved_segment, dpl, 3),
	MT_STATE_VAR(struct saved_segment, db, 1),
	MT_STATE_VAR(struct saved_segment, s, 1),
	MT_STATE_VAR(struct saved_segment, l, 1),
	MT_STATE_VAR(struct saved_segment, g, 1),
	MT_STATE_VAR(struct saved_segment, avl, 1),
	MT_STATE_VAR(struct saved_segment, unusable, 1),
};
static const struct mt_state_table segment_table = MT_STATE_TABLE(struct saved_segment, segment_fields);

#define WORD(member) MT_STATE_VAR(struct saved, member, UINT64_MAX)
#define FLAG(member) MT_STATE_VAR(struct saved, member, 1)
#define BYTE(member) MT_STATE_VAR(struct saved, member, UINT8_MAX)

static const struct mt_state_field saved_fields[] = {
	MT_STATE_ARRAY(struct saved, gpr, UINT64_MAX),
	WORD(rip), WORD(rflags), WORD(cr0), WORD(cr2), WORD(cr3), WORD(cr4), MT_STATE_VAR(struct saved, cr8, 15),
	WORD(efer), WORD(apic_base), WORD(xcr0), WORD(gdt_base), WORD(idt_base),
	MT_STATE_VAR(struct saved, gdt_limit, UINT16_MAX), MT_STATE_VAR(struct saved, idt_limit, UINT16_MAX),
	MT_STATE_STRUCTS(struct saved, segment, &segment_table),
	MT_STATE_ARRAY(struct saved, pending_vector, UINT64_MAX),
	MT_STATE_ARRAY(struct saved, dr, UINT64_MAX), WORD(dr6), WORD(dr7),
	MT_STATE_VAR(struct saved, run_state, KVM_MP_STATE_SIPI_RECEIVED),
	FLAG(exception), BYTE(exception_nr), FLAG(exception_has_code), FLAG(exception_pending),
	MT_STATE_VAR(struct saved, exception_code, UINT32_MAX), WORD(exception_payload), FLAG(exception_has_payload),
	FLAG(interrupt), BYTE(interrupt_nr), FLAG(interrupt_soft), MT_STATE_VAR(struct saved, shadow, 3),
	FLAG(nmi), FLAG(nmi_pending), FLAG(nmi_masked), FLAG(smm), FLAG(smm_pending), FLAG(smm_inside_nmi),
	FLAG(smi_latched_init), FLAG(triple_fault),
	MT_STATE_VAR(struct saved, sipi_vector, UINT32_MAX), MT_STATE_VAR(struct saved, event_flags, 0x3f),
	MT_STATE_SINCE(struct saved, kvm_clock_ns, 4, INT64_MAX),
};
static const struct mt_state_table saved_table = MT_STATE_TABLE(struct saved, saved_fields);

/* Between KVM's structures and the schema, both ways by one list: neither forgets what the other has. */

#define MOVE(to_kvm, kvm, own) do { if (to_kvm) (kvm) = (own); else (own) = (kvm); } while (0)

static void move_segment(bool in, struct kvm_segment *k, struct saved_segment *s)
{
	MOVE(in, k->base, s->base);
	MOVE(in, k->limit, s->limit);
	MOVE(in, k->selector, s->selector);
	MOVE(in, k->type, s->type);
	MOVE(in, k->present, s->present);
	MOVE(in, k->dpl, s->dpl);
	MOVE(in, k->db, s->db);
	MOVE(in, k->s, s->s);
	MOVE(in, k->l, s->l);
	MOVE(in, k->g, s->g);
	MOVE(in, k->avl, s->avl);
	MOVE(in, k->unusable, s->unusable);
}

static void move_regs(bool in, struct kvm_regs *k, struct saved *s)
{
	uint64_t *const gpr[16] = {
		(uint64_t *)&k->rax, (uint64_t *)&k->rbx, (uint64_t *)&k->rcx, (uint64_t *)&k->rdx, (uint64_t *)&k->rsi,
		(uint64_t *)&k->rdi, (uint64_t *)&k->rbp, (uint64_t *)&k->rsp, (uint64_t *)&k->r8, (uint64_t *)&k->r9,
		(uint64_t *)&k->r10, (uint64_t *)&k->r11, (uint64_t *)&k->r12, (uint64_t *)&k->r13, (uint64_t *)&k->r14,
		(uint64_t *)&k->r15,
	};

	for (int i = 0; i < 16; i++)
		MOVE(in, *gpr[i], s->gpr[i]);
	MOVE(in, k->rip, s->rip);
	MOVE(in, k->rflags, s->rflags);
}

static void move_sregs(bool in, struct kvm_sregs *k, struct saved *s)
{
	struct kvm_segment *const segment[8] = { &k->cs, &k->ds, &k->es, &k->fs, &k->gs, &k->ss, &k->tr, &k->ldt };

	for (int i = 0; i < 8; i++)
		move_segment(in, segment[i], &s->segment[i]);
	MOVE(in, k->gdt.base, s->gdt_base);
	MOVE(in, k->gdt.limit, s->gdt_limit);
	MOVE(in, k->idt.base, s->idt_base);
	MOVE(in, k->idt.limit, s->idt_limit);
	MOVE(in, k->cr0, s->cr0);
	MOVE(in, k->cr2, s->cr2);
	MOVE(in, k->cr3, s->cr3);
	MOVE(in, k->cr4, s->cr4);
	MOVE(in, k->cr8, s->cr8);
	MOVE(in, k->efer, s->efer);
	MOVE(in, k->apic_base, s->apic_base);
	for (int i = 0; i < 4; i++)
		MOVE(in, k->interrupt_bitmap[i], s->pending_vector[i]);
}

static void move_events(bool in, struct kvm_vcpu_events *k, struct saved *s)
{
	MOVE(in, k->exception.injected, s->exception);
	MOVE(in, k->exception.nr, s->exception_nr);
	MOVE(in, k->exception.has_error_code, s->exception_has_code);
	MOVE(in, k->exception.pending, s->exception_pending);
	MOVE(in, k->exception.error_code, s->exception_code);
	MOVE(in, k->exception_has_payload, s->exception_has_payload);
	MOVE(in, k->exception_payload, s->exception_payload);
	MOVE(in, k->interrupt.injected, s->interrupt);
	MOVE(in, k->interrupt.nr, s->interrupt_nr);
	MOVE(in, k->interrupt.soft, s->interrupt_soft);
	MOVE(in, k->interrupt.shadow, s->shadow);
	MOVE(in, k->nmi.injected, s->nmi);
	MOVE(in, k->nmi.pending, s->nmi_pending);
	MOVE(in, k->nmi.masked, s->nmi_masked);
	MOVE(in, k->sipi_vector, s->sipi_vector);
	MOVE(in, k->flags, s->event_flags);
	MOVE(in, k->smi.smm, s->smm);
	MOVE(in, k->smi.pending, s->smm_pending);
	MOVE(in, k->smi.smm_inside_nmi, s->smm_inside_nmi);
	MOVE(in, k->smi.latched_init, s->smi_latched_init);
	MOVE(in, k->triple_fault.pending, s->triple_fault);
}

static void move(bool in, struct whole *w, struct saved *s)
{
	move_regs(in, &w->regs, s);
	move_sregs(in, &w->sregs, s);
	move_events(in, &w->events, s);
	for (int i = 0; i < 4; i++)
		MOVE(in, w->debug.db[i], s->dr[i]);
	MOVE(in, w->debug.dr6, s->dr6);
	MOVE(in, w->debug.dr7, s->dr7);
	MOVE(in, w->mp.mp_state, s->run_state);
	MOVE(in, w->xcrs.xcrs[0].value, s->xcr0);
	if (!in)
		return;
	w->xcrs.nr_xcrs = 1;
	w->xcrs.xcrs[0].xcr = 0;
}

/* Saving */

static void msrs_save(const struct whole *w, struct mt_state_out *out, const struct mt_state_writer *wr)
{
	uint32_t index[MSRS_MAX];
	uint64_t value[MSRS_MAX];

	for (uint32_t i = 0; i < w->msr_count; i++) {
		index[i] = w->msr[i].index;
		value[i] = w->msr[i].data;
	}
	wr->put(out, "msr.index", MT_STATE_U32, 0, index, w->msr_count);
	wr->put(out, "msr.value", MT_STATE_U64, 0, value, w->msr_count);
}

static int whole_know(struct kvm_vcpu *v, struct whole *w, struct mt_error *err)
{
	const char *what = "changed registers";
	struct kvm_msr_entry *tsc;
	int code = changes_tell(v, &what);

	if (code == 0)
		code = whole_get(v, w, &what);
	if (!v->kvm->lapics)
		w->mp.mp_state = v->arch->waiting ? KVM_MP_STATE_INIT_RECEIVED :
				 v->arch->halted ? KVM_MP_STATE_HALTED : KVM_MP_STATE_RUNNABLE;
	/* the host's counter goes on meanwhile; the guest's stands from the first save to the next run */
	tsc = code < 0 ? NULL : whole_tsc(w);
	if (tsc && !v->arch->tsc_held)
		v->arch->tsc = tsc->data;
	if (tsc)
		tsc->data = v->arch->tsc;
	v->arch->tsc_held = tsc != NULL;
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not tell the %s of vCPU %u: %s", what, v->index,
				       strerror(-code)) : 0;
}

static int state_save(void *vcpu, struct mt_state_out *out, const struct mt_state_writer *wr, struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct kvm *k = v->kvm;
	struct whole *w = calloc(1, whole_bytes(k));
	struct saved saved = { 0 };
	int code;

	if (!w)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = whole_know(v, w, err);
	if (code == 0 && clock_hold(k, &saved.kvm_clock_ns) < 0)
		code = mt_error_set(err, MT_EIO, NULL, "KVM does not tell its clock");
	if (code == 0) {
		move(false, w, &saved);
		mt_state_save(out, wr, &saved_table, &saved);
		wr->put(out, "xsave", MT_STATE_BYTES, 0, w->xsave, k->arch->xsave_bytes);
		msrs_save(w, out, wr);
	}
	free(w);
	return code;
}

/* Loading */

static bool msr_is_known(const struct kvm *k, uint32_t index)
{
	for (uint32_t i = 0; i < k->arch->msrs.nmsrs; i++)
		if (k->arch->msrs.index[i] == index)
			return true;
	return false;
}

static int msrs_load(struct kvm *k, struct whole *w, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t index[MSRS_MAX], type = 0, count = 0;
	uint64_t value[MSRS_MAX];
	int code = r->find(in, "msr.index", &type, &count);

	if (code == 0 && count > MSRS_MAX)
		return r->refuse(in, "msr.index", "is longer than any CPU's list");
	code = r->get(in, "msr.index", MT_STATE_U32, index, count);
	if (code == 0)
		code = r->get(in, "msr.value", MT_STATE_U64, value, count);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		if (!msr_is_known(k, index[i]))
			return r->refuse(in, "msr.index", "has one that the CPU of this host lacks");
		w->msr[i] = (struct kvm_msr_entry){ .index = index[i], .data = value[i] };
	}
	w->msr_count = count;
	return code;
}

/* A larger area with more state is refused: what is in it could not be given to the guest. */
static int xsave_load(struct kvm *k, struct whole *w, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t type = 0, count = 0;
	int code = r->find(in, "xsave", &type, &count);

	if (code == 0 && (count > k->arch->xsave_bytes || count < 576))
		return r->refuse(in, "xsave", "has a size that the CPU of this host cannot have");
	return r->get(in, "xsave", MT_STATE_BYTES, w->xsave, count);
}

/* Before version 5: the vector of an 8259A that KVM may or may not have delivered, plus 1. */
static int laid_load(struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t extint = 0;
	int code = r->get(in, "extint", MT_STATE_U32, &extint, 1);

	return code == 0 && extint ? r->refuse(in, "extint", "has a vector of which it is not known whether it was delivered: "
					       "save the machine once more, a moment later") : code;
}

static int whole_load(struct kvm_vcpu *v, struct whole *w, struct mt_state_in *in, const struct mt_state_reader *r,
		      uint32_t version)
{
	struct kvm *k = v->kvm;
	struct saved saved;
	int code = mt_state_load(in, r, &saved_table, version, &saved);

	if (code == 0 && version < 5)
		code = laid_load(in, r);
	if (code == 0 && !k->lapics && saved.apic_base & APIC_BASE_X2APIC)
		code = r->refuse(in, "apic_base", "is in x2APIC mode, which the local APICs of devices do not have");
	if (code == 0)
		code = xsave_load(k, w, in, r);
	if (code == 0)
		code = msrs_load(k, w, in, r);
	if (code == 0)
		move(true, w, &saved);
	if (code == 0 && !v->index && saved.kvm_clock_ns)
		clock_load(k, saved.kvm_clock_ns);
	if (w->mp.mp_state == KVM_MP_STATE_HALTED && vector_wakes(&w->events))
		w->mp.mp_state = KVM_MP_STATE_RUNNABLE;
	w->lapic = v->arch->lapic;
	return code;
}

static int state_load(void *vcpu, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		      struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct whole *w = calloc(1, whole_bytes(v->kvm));
	struct kvm_msr_entry *tsc;
	const char *what = "";
	int code, told = 0;

	if (!w)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = whole_load(v, w, in, r, version);
	if (code == 0)
		told = whole_set(v, w, &what);
	if (code == 0 && told == 0 && is_split(v->kvm))
		told = split_load(v, &w->lapic, &what);
	if (code == 0)
		vector_load(v, w);
	tsc = whole_tsc(w);
	v->arch->tsc_held = tsc != NULL;
	v->arch->tsc = tsc ? tsc->data : 0;
	if (code == 0 && told < 0)
		code = mt_error_set(err, MT_EINVAL, NULL, "KVM does not take the %s of the snapshot: %s", what,
				    strerror(-told));
	v->arch->known = v->arch->regs_changed = v->arch->sregs_changed = false;
	v->arch->reset_error = 0;
	free(w);
	return code;
}

const struct mt_state_class arch_state = {
	.schema = "x86-64-cpu", .version = 5, .version_min = 3, .save = state_save, .load = state_load,
};
