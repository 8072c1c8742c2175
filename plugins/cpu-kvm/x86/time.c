/* SPDX-License-Identifier: MIT */
/*
 * Time that KVM keeps for the guest: each vCPU's time-stamp counter, and the clock of the whole machine ("kvm-clock",
 * Linux, Documentation/virt/kvm/x86/msr.rst). Once saved or loaded both stand until the machine runs, or a guest that
 * reads one by the other would see them part, and a new machine's clock would begin at 0.
 *
 * Easy to break: the vCPU that runs first sets the clock, and no other one runs before it is set.
 */
#include "x86.h"

void times_init(struct times *t)
{
	pthread_mutex_init(&t->lock, NULL);
}

void times_fini(struct times *t)
{
	pthread_mutex_destroy(&t->lock);
}

int clock_hold(struct kvm *k, uint64_t *ns)
{
	struct times *t = &k->arch->times;
	struct kvm_clock_data now = { 0 };
	int code = t->has_clock && !t->held ? vm_ioctl(k, KVM_GET_CLOCK, &now) : 0;

	if (code < 0)
		return code;
	if (t->has_clock && !t->held)
		clock_load(k, now.clock);
	*ns = t->held ? t->clock_ns : 0;
	return 0;
}

void clock_load(struct kvm *k, uint64_t ns)
{
	struct times *t = &k->arch->times;

	t->clock_ns = ns;
	atomic_store(&t->held, t->has_clock);
}

static int clock_go_on(struct kvm *k)
{
	struct times *t = &k->arch->times;
	int code = 0;

	if (!atomic_load(&t->held))
		return 0;
	pthread_mutex_lock(&t->lock);
	if (atomic_load(&t->held)) {
		struct kvm_clock_data then = { .clock = t->clock_ns };

		code = vm_ioctl(k, KVM_SET_CLOCK, &then);
		if (code >= 0)
			atomic_store(&t->held, false);
	}
	pthread_mutex_unlock(&t->lock);
	return code < 0 ? code : 0;
}

/* The kernel's offset is another one after each pause. */
static int64_t offset_now(const struct kvm *k)
{
	return __atomic_load_n(&k->clock->guest_time(k->inst)->offset_ns, __ATOMIC_ACQUIRE);
}

int times_go_on(struct kvm_vcpu *v, const char **what)
{
	struct arch_vcpu *a = v->arch;
	int64_t offset = offset_now(v->kvm);
	int code;

	*what = "the clock";
	code = clock_go_on(v->kvm);
	if (code == 0 && a->tsc_held) {
		*what = "the time-stamp counter";
		code = tsc_write(v, a->tsc);
	}
	if (code < 0)
		return code;
	a->tsc_held = false;
	/* so that its watchdogs do not take the pause for a CPU that hangs; refused where the guest does not use the clock */
	if (a->has_run && offset != a->offset_ns)
		vcpu_ioctl(v, KVM_KVMCLOCK_CTRL, NULL);
	a->has_run = true;
	a->offset_ns = offset;
	return 0;
}
