/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers outside of KVM: "mortise.cpu.vector/1". The controller asks on any thread; the vCPU's own
 * thread, before it enters the guest, fetches the vector and gives it to KVM, or asks KVM to come out when the guest
 * can take one. INIT, start-up and HLT, which KVM leaves to its caller without a local APIC of its own, are done here.
 * With local APICs of its own (split) KVM_INTERRUPT does not deliver a vector but lays it down until LINT0 takes it, in
 * a place that is in no state, and that a reset does not clear. So there a vector is given as an event of the vCPU: an
 * interrupt that has been taken and has yet to be delivered, as KVM itself makes of one in every mode.
 *
 * Whoever asks writes the wish first, and then makes KVM come out (vcpu_nudge); the loop clears immediate_exit first
 * and then looks for wishes: none is lost.
 * Easy to break: an access that is not finished, or registers that KVM has been given since it last ran, make what it
 * said of the guest's readiness stale. KVM is then entered with immediate_exit set, and says it anew.
 *
 * IA32_APIC_BASE is KVM's. It comes out when the guest writes it (a filter of MSRs), and a KVM that has no filter says
 * at each exit what it is.
 */
#include <string.h>
#include <util/error.h>

#include "x86.h"

#define APIC_BASE   0xfee00000u
#define APIC_FIRST  (1u << 8)      /* IA32_APIC_BASE: BSP */
#define APIC_ENABLE (1u << 11)
#define APIC_X2APIC (1u << 10)
#define MSR_APIC_BASE 0x1bu
#define RFLAGS_IF   (1u << 9)

#define EVENT(number) (1u << (number))

/* Binding. [main] */

/* KVM shows a local APIC in CPUID as long as this register enables one. */
void vector_apic_base(struct kvm_vcpu *v)
{
	bool lapic = v->arch->vector_ops && v->arch->vector_ops->priority;

	if (!v->kvm->lapics)
		v->arch->first->sregs.apic_base = APIC_BASE | (v->index ? 0 : APIC_FIRST) | (lapic ? APIC_ENABLE : 0);
}

/* On and off is the controller's; where it is no controller can follow, for its region is all vCPUs'. */
static void base_follow(struct kvm_vcpu *v, uint64_t base)
{
	struct arch_vcpu *a = v->arch;
	uint64_t changed = base ^ a->apic_base;

	a->apic_base = base;
	if (v->kvm->lapics || !a->vector_ops || !a->vector_ops->priority)
		return;
	if (changed & APIC_ENABLE && a->vector_ops->set_enabled)
		a->vector_ops->set_enabled(a->vector_arg, !!(base & APIC_ENABLE));
	if ((base ^ APIC_BASE) >> 12 && base & APIC_ENABLE && !a->place_told) {
		a->place_told = true;
		kvm_log(v->kvm, MT_LOG_WARN, "vcpu%u: the guest moves its local APIC to 0x%llx; one of devices stays where it is",
			v->index, (unsigned long long)(base & ~UINT64_C(0xfff)));
	}
}

/* Linux 5.10 and later. */
void vector_watch(struct kvm *k)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { KVM_MSR_EXIT_REASON_FILTER } };
	uint64_t none = 0;
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
		.ranges = { { .flags = KVM_MSR_FILTER_WRITE, .nmsrs = 1, .base = MSR_APIC_BASE, .bitmap = (uint8_t *)&none } },
	};

	if (vm_capability(k, KVM_CAP_X86_USER_SPACE_MSR) && vm_capability(k, KVM_CAP_X86_MSR_FILTER) &&
	    vm_ioctl(k, KVM_ENABLE_CAP, &cap) >= 0 && vm_ioctl(k, KVM_X86_SET_MSR_FILTER, &filter) >= 0)
		return;
	kvm_log(k, MT_LOG_INFO, "KVM tells writes of IA32_APIC_BASE only when it comes out for another reason");
}

/* KVM knows what may be written; what may not is a general protection fault. */
int vector_msr(struct kvm_vcpu *v)
{
	struct kvm_run *run = v->run;

	v->unfinished = true;
	run->msr.error = run->msr.index != MSR_APIC_BASE || msr_write(v, MSR_APIC_BASE, run->msr.data) < 0;
	if (!run->msr.error)
		base_follow(v, run->msr.data);
	else if (run->msr.index == MSR_APIC_BASE && run->msr.data & APIC_X2APIC)
		kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: the guest asks for x2APIC mode, which local APICs of devices do not have",
			v->index);
	return SERVED_GO_ON;
}

static int vector_bind(void *vcpu, const struct mt_vector_ops *ops, void *arg, struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;

	if (!v->kvm->devices) {
		mt_error_set(err, MT_ENOTSUP, NULL, "%s", v->kvm->irqchip ?
			     "KVM serves the interrupt controllers of this machine" :
			     "the machine's CPUs have no interrupt controllers");
		mt_error_hint(err, "set irqchip = user in [cpu]");
		return MT_ENOTSUP;
	}
	if (v->kvm->lapics && ops->priority) {
		mt_error_set(err, MT_ENOTSUP, NULL, "KVM serves the local APICs of this machine");
		mt_error_hint(err, "set irqchip = user in [cpu], or leave this one out");
		return MT_ENOTSUP;
	}
	if (v->arch->vector_ops)
		return mt_error_set(err, MT_EBUSY, NULL, "vCPU %u has an interrupt controller already", v->index);
	v->arch->vector_ops = ops;
	v->arch->vector_arg = arg;
	vector_apic_base(v);
	v->arch->apic_base = v->arch->first->sregs.apic_base;
	return 0;
}

static void vector_unbind(void *vcpu)
{
	struct kvm_vcpu *v = vcpu;

	v->arch->vector_ops = NULL;
	atomic_store(&v->arch->requested, 0);
	atomic_store(&v->arch->events, 0);
	vector_apic_base(v);
}

/* Wishes. [any] */

static void vector_request(void *vcpu, uint32_t level)
{
	struct kvm_vcpu *v = vcpu;

	atomic_store(&v->arch->requested, level);
	if (level)
		vcpu_nudge(v);
}

static void vector_event(void *vcpu, uint32_t event, uint32_t value)
{
	struct kvm_vcpu *v = vcpu;

	/* KVM's local APICs start vCPUs themselves */
	if (event != MT_VCPU_EVENT_NMI && (v->kvm->lapics || (event != MT_VCPU_EVENT_INIT && event != MT_VCPU_EVENT_STARTUP)))
		return;
	if (event == MT_VCPU_EVENT_STARTUP)
		atomic_store(&v->arch->start_page, value & 0xff);
	atomic_fetch_or(&v->arch->events, EVENT(event));
	vcpu_nudge(v);
}

const struct mt_cpu_vector arch_vector = {
	.bind = vector_bind, .unbind = vector_unbind, .request = vector_request, .event = vector_event,
};

/* Registers that a debugger or a snapshot has set. [main] while it does not run. */
void vector_changed(struct kvm_vcpu *v, uint64_t cr8)
{
	struct arch_vcpu *a = v->arch;

	a->stale = true;
	if (v->run->cr8 != (cr8 & 15) && a->vector_ops && a->vector_ops->set_priority)
		a->vector_ops->set_priority(a->vector_arg, (uint32_t)cr8 & 15);
	v->run->cr8 = cr8 & 15;
}

/* Events. [vcpu], or [main] while it does not run; no access is unfinished. 0 or -errno. */

/* Only the first CPU goes on by itself (Intel SDM volume 3, "MP Initialization Protocol"). */
void vector_reset(struct kvm_vcpu *v)
{
	v->arch->waiting = v->kvm->devices && !v->kvm->lapics && v->index;
	v->arch->halted = false;
	v->arch->stale = true;
	atomic_store(&v->arch->events, 0);
	v->run->cr8 = 0;
	extint_drop(v);
	base_follow(v, v->arch->first->sregs.apic_base);
}

/* What a snapshot says that is not KVM's while devices serve the local APICs; theirs come with them. */
void vector_load(struct kvm_vcpu *v, const struct whole *w)
{
	const bool devices = v->kvm->devices && !v->kvm->lapics;
	const uint32_t state = w->mp.mp_state;

	atomic_store(&v->arch->start_page, w->events.sipi_vector & 0xff);
	atomic_store(&v->arch->events, devices && state == KVM_MP_STATE_SIPI_RECEIVED ? EVENT(MT_VCPU_EVENT_STARTUP) : 0);
	v->arch->stale = true;
	v->arch->halted = !v->kvm->lapics && state == KVM_MP_STATE_HALTED;
	v->arch->waiting = devices && (state == KVM_MP_STATE_INIT_RECEIVED || state == KVM_MP_STATE_UNINITIALIZED ||
				       state == KVM_MP_STATE_SIPI_RECEIVED);
	v->run->cr8 = w->sregs.cr8 & 15;
	base_follow(v, w->sregs.apic_base);
}

static int init_take(struct kvm_vcpu *v, const char **what)
{
	v->arch->waiting = v->index;
	v->arch->halted = false;
	v->arch->stale = true;
	v->run->cr8 = 0;
	return whole_init(v, what);
}

/* From the beginning of a page in real mode. */
static int start_take(struct kvm_vcpu *v, const char **what)
{
	uint32_t page = atomic_load(&v->arch->start_page);
	struct kvm_regs regs = v->arch->first->regs;
	struct kvm_sregs sregs;
	int code = vcpu_ioctl(v, KVM_GET_SREGS, &sregs);

	*what = "its start";
	sregs.cs.selector = (uint16_t)(page << 8);
	sregs.cs.base = (uint64_t)page << 12;
	regs.rip = 0;
	if (code >= 0)
		code = vcpu_ioctl(v, KVM_SET_SREGS, &sregs);
	if (code >= 0)
		code = vcpu_ioctl(v, KVM_SET_REGS, &regs);
	v->arch->waiting = false;
	v->arch->stale = true;
	return code < 0 ? code : 0;
}

int vector_events(struct kvm_vcpu *v, const char **what)
{
	uint32_t events = atomic_exchange(&v->arch->events, 0);
	int code = 0;

	if (events & EVENT(MT_VCPU_EVENT_INIT))
		code = init_take(v, what);
	if (code >= 0 && events & EVENT(MT_VCPU_EVENT_STARTUP) && v->arch->waiting)
		code = start_take(v, what);
	if (code >= 0 && events & EVENT(MT_VCPU_EVENT_NMI)) {
		*what = "an NMI";
		code = vcpu_ioctl(v, KVM_NMI, NULL);
		v->arch->halted = false;
	}
	v->arch->known &= !events;
	return code;
}

/* Entering and leaving the guest. [vcpu] */

bool vector_wakes(const struct kvm_vcpu_events *e)
{
	return e->exception.injected || e->exception.pending || e->interrupt.injected || e->nmi.injected ||
	       (e->nmi.pending && !e->nmi.masked) || (e->smi.pending && !e->smi.smm);
}

/* What KVM has of a vCPU with a local APIC of its own, as far as an interrupt changes it. */
struct taking {
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_vcpu_events events;
};

/*
 * With KVM's local APICs: 1 when the guest stands where it can take an interrupt, 0 or -errno. Readiness is of the last
 * exit, and asking for the run state makes KVM do an INIT that has come since: that comes first.
 */
static int taking_look(struct kvm_vcpu *v, struct taking *t)
{
	int code = vcpu_ioctl(v, KVM_GET_MP_STATE, &t->mp);

	if (code >= 0)
		code = vcpu_ioctl(v, KVM_GET_REGS, &t->regs);
	if (code >= 0)
		code = vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &t->events);
	if (code < 0)
		return code;
	if (t->mp.mp_state != KVM_MP_STATE_RUNNABLE && t->mp.mp_state != KVM_MP_STATE_HALTED)
		return 0;
	return t->regs.rflags & RFLAGS_IF && !t->events.interrupt.shadow && !t->events.exception.injected &&
	       !t->events.exception.pending && !t->events.interrupt.injected && !t->events.nmi.injected;
}

/*
 * As an event. Without any flag KVM keeps what may come from other threads meanwhile: NMI, INIT, SMI. What halts is not
 * looked at for an event that has been taken already.
 */
static int taking_give(struct kvm_vcpu *v, struct taking *t, uint32_t vector)
{
	struct kvm_mp_state runnable = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int code;

	t->events.flags = 0;
	t->events.interrupt.injected = 1;
	t->events.interrupt.nr = (uint8_t)vector;
	t->events.interrupt.soft = 0;
	code = vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &t->events);
	if (code >= 0 && t->mp.mp_state == KVM_MP_STATE_HALTED)
		code = vcpu_ioctl(v, KVM_SET_MP_STATE, &runnable);
	return code < 0 ? code : 0;
}

static int vector_give(struct kvm_vcpu *v, struct taking *t, uint32_t vector)
{
	struct kvm_interrupt interrupt = { .irq = vector };
	int code = v->kvm->lapics ? taking_give(v, t, vector) : vcpu_ioctl(v, KVM_INTERRUPT, &interrupt);

	return code < 0 ? code : 0;
}

/* Fetches a vector, when the guest can take it. Sets whether KVM shall come out as soon as it can. */
static int interrupt_take(struct kvm_vcpu *v, const char **what)
{
	struct arch_vcpu *a = v->arch;
	struct taking taking;
	int32_t vector;
	int ready = v->run->ready_for_interrupt_injection;

	*what = "an interrupt";
	if (ready && v->kvm->lapics)
		ready = taking_look(v, &taking);
	v->run->request_interrupt_window = !ready;
	if (ready <= 0)
		return ready;
	vector = a->vector_ops->acknowledge(a->vector_arg);
	if (vector == MT_VECTOR_NONE)
		return 0;
	a->halted = false;
	v->run->ready_for_interrupt_injection = 0;
	v->run->request_interrupt_window = atomic_load(&a->requested) != 0;
	return vector_give(v, &taking, (uint32_t)vector);
}

int vector_offer(struct kvm_vcpu *v, const struct mt_vector_source *source, void *self)
{
	struct taking taking;
	int32_t vector;
	int code = taking_look(v, &taking);

	if (code <= 0)
		return code;
	vector = source->acknowledge(self);
	if (vector == MT_VECTOR_NONE)
		return 1;
	v->run->ready_for_interrupt_injection = 0;
	code = taking_give(v, &taking, (uint32_t)vector);
	return code < 0 ? code : 1;
}

/* By a debugger that steps. What halts goes on only by an interrupt. */
static bool is_masked(const struct arch_vcpu *a)
{
	return a->debug_mode & MT_DEBUG_MASK_IRQS && !a->halted;
}

static int wishes_serve(struct kvm_vcpu *v, struct mt_exit *exit)
{
	struct arch_vcpu *a = v->arch;
	bool wanted = a->vector_ops && atomic_load(&a->requested) && !is_masked(a), look = false;
	bool extint = extint_wanted(v) && !is_masked(a);
	const char *what = "";
	int code = 0;

	v->run->request_interrupt_window = 0;
	if (v->unfinished)
		look = wanted || extint || atomic_load(&a->events);
	else if (atomic_load(&a->events))
		code = vector_events(v, &what);
	if (code >= 0 && !v->unfinished && extint)
		code = extint_serve(v, &what);
	if (code >= 0 && !v->unfinished && wanted && !a->waiting) {
		look = a->stale;
		code = look ? 0 : interrupt_take(v, &what);
	}
	if (code < 0)
		return run_fail(exit, "KVM does not take %s for the vCPU: %s", what, strerror(-code));
	if (look)
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (look || v->unfinished || (!a->waiting && !a->halted))
		return SERVED_GO_ON;
	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	return SERVED_OUT;
}

int arch_enter(struct kvm_vcpu *v, struct mt_exit *exit)
{
	struct arch_vcpu *a = v->arch;
	int served;

	if (v->kvm->irqchip)
		return SERVED_GO_ON;
	if (v->kvm->lapics)
		split_settle(v->kvm);
	served = wishes_serve(v, exit);
	if (a->vector_ops && a->vector_ops->priority)
		v->run->cr8 = a->vector_ops->priority(a->vector_arg) & 15;
	a->cr8 = v->run->cr8;
	return served;
}

void arch_left(struct kvm_vcpu *v)
{
	struct arch_vcpu *a = v->arch;

	if (v->kvm->irqchip)
		return;
	a->stale = false;
	if (v->run->apic_base != a->apic_base)
		base_follow(v, v->run->apic_base);
	if (v->run->cr8 != a->cr8 && a->vector_ops && a->vector_ops->set_priority)
		a->vector_ops->set_priority(a->vector_arg, (uint32_t)v->run->cr8 & 15);
}
