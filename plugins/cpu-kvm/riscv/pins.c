/* SPDX-License-Identifier: MIT */
/*
 * The pin of a vCPU: "seip", the supervisor's external interrupt, which an interrupt controller drives. [any].
 * There is none of machine mode, and timers and messages between harts are KVM's: a controller that asks for those
 * pins is told that there are none.
 */
#include <string.h>
#include <util/error.h>

#include "riscv.h"

#define PIN_SEIP 9

static int32_t pin_find(void *self, const char *name)
{
	(void)self;
	return strcmp(name, "seip") ? MT_ENOENT : PIN_SEIP;
}

int pin_tell(struct kvm_vcpu *v)
{
	struct kvm_interrupt interrupt;
	int code;

	pthread_mutex_lock(&v->arch->lock);
	interrupt.irq = v->arch->pin ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET;
	code = vcpu_ioctl(v, KVM_INTERRUPT, &interrupt);
	v->arch->pin_stale = code < 0;
	pthread_mutex_unlock(&v->arch->lock);
	return code < 0 ? code : 0;
}

/* KVM wakes a vCPU that waits, and takes it out of the guest for it. */
static void pin_set(void *vcpu, uint32_t pin, uint32_t level)
{
	struct kvm_vcpu *v = vcpu;
	struct kvm_interrupt interrupt = { .irq = level ? KVM_INTERRUPT_SET : KVM_INTERRUPT_UNSET };

	if (pin != PIN_SEIP)
		return;
	pthread_mutex_lock(&v->arch->lock);
	v->arch->pin = level != 0;
	if (vcpu_ioctl(v, KVM_INTERRUPT, &interrupt) < 0)
		v->arch->pin_stale = true;
	pthread_mutex_unlock(&v->arch->lock);
}

const struct mt_cpu_pins arch_pins = { .find = pin_find, .set = pin_set };
