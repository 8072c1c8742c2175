/* SPDX-License-Identifier: MIT */
/*
 * The one way to Linux KVM: everything that this plugin asks of the system goes through this table, so that a
 * test can stand in for the system, give any answer and fail any call. Results are 0 or more, or -errno.
 */
#ifndef KVM_OPS_H
#define KVM_OPS_H

#include <stddef.h>
#include <stdint.h>

struct kvm_ops {
	int (*open)(const char *path);
	/* `arg` is a pointer or a number, as the request wants it */
	int (*ioctl)(int fd, unsigned long request, uintptr_t arg);
	/* shared, read and write; NULL with -errno in *error */
	void *(*map)(int fd, size_t len_bytes, int *error);
	void (*unmap)(void *addr, size_t len_bytes);
	void (*close)(int fd);
};

extern const struct kvm_ops kvm_ops;

#endif
