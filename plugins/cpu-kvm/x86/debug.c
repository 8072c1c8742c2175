/* SPDX-License-Identifier: MIT */
/*
 * Debugging by the CPU's debug registers (KVM_SET_GUEST_DEBUG): four points, steps, and addresses. [main] while no
 * vCPU runs. Nothing is written into guest memory.
 *
 * While a vCPU steps, points of execution are off: the one that it stands at would stop it before the step.
 *
 * As long as there are points or steps, KVM comes out for each debug exception, also for those that the guest makes
 * itself: by TF, by INT1, by general detection. What no point and no step explains is the guest's, and is given back.
 * Its own debug registers do nothing meanwhile: the CPU has the debugger's points in them.
 */
#include <string.h>

#include "x86.h"

#define POINTS 4u
#define DR6_DETECT (1ull << 13)
#define DR6_STEP (1ull << 14)
#define VECTOR_DEBUG 1u

/* DR7's type and length of a point (Intel SDM volume 3, "Debug Control Register"). */
static uint64_t control_of(const struct point *p, uint32_t index)
{
	uint64_t type = p->kind == MT_DEBUG_EXECUTE ? 0 : p->kind & MT_DEBUG_READ ? 3 : 1;
	uint64_t length = p->kind == MT_DEBUG_EXECUTE || p->len_bytes == 1 ? 0 : p->len_bytes == 2 ? 1 :
			  p->len_bytes == 4 ? 3 : 2;

	return 2ull << (index * 2) | (type | length << 2) << (16 + index * 4);
}

static bool is_on(const struct kvm_vcpu *v, const struct point *p)
{
	return p->kind && !(v->arch->debug_mode & MT_DEBUG_STEP && p->kind == MT_DEBUG_EXECUTE);
}

/* Not an atomic step with `run`: the vCPU stands. */
int debug_tell(struct kvm_vcpu *v, bool guests_own)
{
	const struct arch_vm *vm = v->kvm->arch;
	struct kvm_guest_debug request = { 0 };
	bool step = v->arch->debug_mode & MT_DEBUG_STEP;
	uint64_t control = 0;

	for (uint32_t i = 0; i < POINTS; i++) {
		const struct point *p = &vm->points[i];

		if (!is_on(v, p))
			continue;
		request.arch.debugreg[i] = p->vaddr;
		control |= control_of(p, i);
	}
	if (control)
		request.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP;
	if (step)
		request.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP;
	if (step && v->arch->debug_mode & MT_DEBUG_MASK_IRQS)
		request.control |= vm->debug_flags & KVM_GUESTDBG_BLOCKIRQ;
	/* a debugger reads registers at each stop, and nobody at other exits: they come without a call then */
	v->run->kvm_valid_regs = request.control && vm->sync_regs ? KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS : 0;
	if (guests_own)
		request.control |= KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB;
	request.arch.debugreg[7] = control ? control | 0x600 : 0;       /* bit 10 is always 1; exact */
	return vcpu_ioctl(v, KVM_SET_GUEST_DEBUG, &request);
}

/* KVM leaves DR6 to whoever gives the exception: bits of what it was stay, as in a CPU's. */
static int give_back(struct kvm_vcpu *v, uint64_t dr6)
{
	struct kvm_debugregs regs;
	int code = v->kvm->arch->debugregs ? vcpu_ioctl(v, KVM_GET_DEBUGREGS, &regs) : 0;

	if (code >= 0 && v->kvm->arch->debugregs) {
		regs.dr6 |= dr6 & (DR6_STEP | DR6_DETECT);
		code = vcpu_ioctl(v, KVM_SET_DEBUGREGS, &regs);
	}
	if (code >= 0)
		code = debug_tell(v, true);
	/* the exception comes before any interrupt that the exit said could be taken */
	v->arch->stale = true;
	return code < 0 ? code : 0;
}

static bool is_guests_own(const struct kvm_vcpu *v)
{
	const struct kvm_debug_exit_arch *e = &v->run->debug.arch;
	const struct arch_vm *vm = v->kvm->arch;

	if (e->exception != VECTOR_DEBUG || v->arch->debug_mode & MT_DEBUG_STEP)
		return false;
	for (uint32_t i = 0; i < POINTS; i++)
		if (e->dr6 >> i & 1 && is_on(v, &vm->points[i]))
			return false;
	return true;
}

static void registers_keep(struct kvm_vcpu *v)
{
	if (!v->run->kvm_valid_regs)
		return;
	v->arch->regs = v->run->s.regs.regs;
	v->arch->sregs = v->run->s.regs.sregs;
	v->arch->known = true;
}

int arch_debug_exit(struct kvm_vcpu *v)
{
	const struct kvm_debug_exit_arch *e = &v->run->debug.arch;
	const struct arch_vm *vm = v->kvm->arch;
	struct mt_debug_stop *stop = &v->stop;

	if (is_guests_own(v))
		return give_back(v, e->dr6);
	registers_keep(v);
	*stop = (struct mt_debug_stop){ .size = sizeof(*stop), .cause = MT_DEBUG_STOP_BREAK, .pc = e->pc };
	if (e->dr6 & DR6_STEP)
		stop->cause = MT_DEBUG_STOP_STEP;
	for (uint32_t i = 0; i < POINTS; i++) {
		const struct point *p = &vm->points[i];

		if (!(e->dr6 >> i & 1) || !p->kind || p->kind == MT_DEBUG_EXECUTE)
			continue;
		stop->cause = MT_DEBUG_STOP_WATCH;
		stop->access = p->kind;
		stop->vaddr = p->vaddr;
	}
	if (v->arch->debug_mode) {
		v->arch->debug_mode = 0;
		v->arch->debug_changed = true;
	}
	return 1;
}

/* Points */

static void tell_all_later(struct kvm *k)
{
	/* each vCPU compares when it runs next */
	k->arch->points_version++;
}

static bool is_shape(uint32_t kind, uint64_t vaddr, uint64_t len_bytes)
{
	if (kind == MT_DEBUG_EXECUTE)
		return true;
	return len_bytes <= 8 && !(len_bytes & (len_bytes - 1)) && !(vaddr & (len_bytes - 1));
}

static int point_add(void *self, uint32_t kind, uint64_t vaddr, uint64_t len_bytes)
{
	struct kvm *k = self;

	if (kind == MT_DEBUG_READ || !kind || kind & ~7u || (kind & MT_DEBUG_EXECUTE && kind != MT_DEBUG_EXECUTE))
		return MT_ENOTSUP;     /* the CPU has no point for reads alone */
	if (kind != MT_DEBUG_EXECUTE && (!len_bytes || vaddr + (len_bytes - 1) < vaddr))
		return MT_ERANGE;
	if (!is_shape(kind, vaddr, len_bytes))
		return MT_ENOTSUP;
	for (uint32_t i = 0; i < POINTS; i++) {
		if (k->arch->points[i].kind)
			continue;
		k->arch->points[i] = (struct point){ kind, (uint32_t)len_bytes, vaddr };
		tell_all_later(k);
		return 0;
	}
	return MT_EBUSY;
}

static int point_remove(void *self, uint32_t kind, uint64_t vaddr, uint64_t len_bytes)
{
	struct kvm *k = self;

	for (uint32_t i = 0; i < POINTS; i++) {
		struct point *p = &k->arch->points[i];

		if (p->kind != kind || p->vaddr != vaddr ||
		    (kind != MT_DEBUG_EXECUTE && p->len_bytes != (uint32_t)len_bytes))
			continue;
		p->kind = 0;
		tell_all_later(k);
		return 0;
	}
	return MT_ENOENT;
}

static int set_mode(void *vcpu, uint32_t mode)
{
	struct kvm_vcpu *v = vcpu;

	if (mode & ~(MT_DEBUG_STEP | MT_DEBUG_MASK_IRQS))
		return MT_ENOTSUP;
	v->arch->debug_changed |= v->arch->debug_mode != mode;
	v->arch->debug_mode = mode;
	return 0;
}

static int stop_of(void *vcpu, struct mt_debug_stop *out)
{
	struct kvm_vcpu *v = vcpu;
	uint32_t size = out->size < sizeof(*out) ? out->size : (uint32_t)sizeof(*out);

	if (!v->stopped)
		return MT_ENOENT;
	memcpy(out, &v->stop, size);
	out->size = size;
	return 0;
}

static int translate(void *vcpu, uint64_t vaddr, uint64_t *gpa, uint64_t *len_bytes)
{
	struct kvm_vcpu *v = vcpu;
	struct kvm_translation t = { .linear_address = vaddr };

	/* paging may have been changed from outside */
	if (v->arch->sregs_changed && vcpu_ioctl(v, KVM_SET_SREGS, &v->arch->sregs) >= 0)
		v->arch->sregs_changed = false;
	if (vcpu_ioctl(v, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return MT_ENOENT;
	*gpa = t.physical_address;
	*len_bytes = 4096 - (vaddr & 4095);
	return 0;
}

const struct mt_cpu_debug arch_debug = {
	.point_add = point_add,
	.point_remove = point_remove,
	.set_mode = set_mode,
	.stop = stop_of,
	.translate = translate,
	.description = regs_description,
};
