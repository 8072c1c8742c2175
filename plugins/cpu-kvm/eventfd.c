/* SPDX-License-Identifier: MIT */
/*
 * Bindings to eventfds that KVM takes over from the kernel: writes (ioeventfd) on each host and with each
 * irqchip, and lines and messages (irqfd) where KVM serves the interrupt controllers. [any]: the calls are KVM's, which
 * has its own locks.
 *
 * Whatever KVM refuses is refused here: the kernel serves it then, so that a limit (it has a thousand places
 * on a bus) or an old kernel costs speed and nothing else. Giving back waits in KVM for vCPUs that are in the
 * middle of a write, and not for any to come out.
 */
#include "arch.h"

static int code_of(const struct kvm *k, const char *what, uint64_t where, int error)
{
	if (error < 0)
		kvm_log(k, MT_LOG_DEBUG, "KVM does not take %s 0x%llx over: error %d", what, (unsigned long long)where,
			-error);
	else
		kvm_log(k, MT_LOG_DEBUG, "KVM serves %s 0x%llx by an eventfd", what, (unsigned long long)where);
	return error < 0 ? MT_EHOST : 0;
}

/* Writes */

static int write_move(const struct kvm *k, const struct mt_write_match *match, int fd, uint32_t flags)
{
	struct kvm_ioeventfd e = { .datamatch = match->value, .addr = match->gpa, .len = match->width, .fd = fd,
				   .flags = flags };

	if (match->flags & MT_WRITE_VALUE)
		e.flags |= KVM_IOEVENTFD_FLAG_DATAMATCH;
	if (match->flags & MT_WRITE_PORT)
		e.flags |= KVM_IOEVENTFD_FLAG_PIO;
	return vm_ioctl(k, KVM_IOEVENTFD, &e);
}

static int write_take(void *self, const struct mt_write_match *match, int fd)
{
	const struct kvm *k = self;

	if (k->vm_fd < 0 || match->flags & ~(MT_WRITE_VALUE | MT_WRITE_PORT))
		return MT_ENOTSUP;
	return code_of(k, match->flags & MT_WRITE_PORT ? "port" : "register", match->gpa, write_move(k, match, fd, 0));
}

static void write_give(void *self, const struct mt_write_match *match, int fd)
{
	write_move(self, match, fd, KVM_IOEVENTFD_FLAG_DEASSIGN);
}

/* Lines of KVM's interrupt controllers, which are instances of their own (x86/chip-*.c, arm64/chip.c). */

int irqfd_take(const struct kvm *k, uint32_t gsi, int fd, int resample_fd)
{
	struct kvm_irqfd e = { .fd = (uint32_t)fd, .gsi = gsi };

	if (k->vm_fd < 0)
		return MT_ENOTSUP;
	if (resample_fd >= 0) {
		e.flags = KVM_IRQFD_FLAG_RESAMPLE;
		e.resamplefd = (uint32_t)resample_fd;
	}
	return code_of(k, "interrupt", gsi, vm_ioctl(k, KVM_IRQFD, &e));
}

void irqfd_give(const struct kvm *k, uint32_t gsi, int fd)
{
	struct kvm_irqfd e = { .fd = (uint32_t)fd, .gsi = gsi, .flags = KVM_IRQFD_FLAG_DEASSIGN };

	vm_ioctl(k, KVM_IRQFD, &e);
}

const struct mt_cpu_eventfd kvm_eventfd = {
	.write_take = write_take, .write_give = write_give,
	.messages_take = arch_messages_take, .messages_give = arch_messages_give,
};
