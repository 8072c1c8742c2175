/* SPDX-License-Identifier: MIT */
/*
 * The virtual machine and its vCPUs as KVM objects: opening, what the host can do, closing, and the words for what
 * goes wrong. [main]. Every descriptor is -1 when it is not open, so that closing may follow at any point.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "arch.h"

#define DEVICE "/dev/kvm"
#define KVM_API 12

/* What the plugin cannot do without, and since when Linux has it. */
static const struct {
	unsigned long capability;
	const char *name;
} needed[] = {
	{ KVM_CAP_USER_MEMORY, "memory slots" },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "removal of memory slots" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit" },
	{ KVM_CAP_READONLY_MEM, "read-only memory" },
};

void kvm_log(const struct kvm *k, uint32_t level, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (k->log)
		k->log->message(k->inst, level, text);
}

static int code_of(int error)
{
	switch (-error) {
	case EACCES: case EPERM:
		return MT_EPERM;
	case ENOMEM: case EAGAIN: case EMFILE: case ENFILE:
		return MT_ENOMEM;
	case EIO: case EFAULT:
		return MT_EIO;
	default:
		return MT_EHOST;
	}
}

int vm_refuse(struct mt_error *err, const char *culprit, const char *what, int error)
{
	int code = code_of(error);

	mt_error_set(err, code, culprit, "KVM: cannot %s: %s", what, strerror(-error));
	if (code == MT_ENOMEM)
		mt_error_hint(err, "free memory, or raise the limits of this process (ulimit -a)");
	return code;
}

static int refuse_device(struct mt_error *err, int error)
{
	mt_error_set(err, error == -EACCES || error == -EPERM ? MT_EPERM : MT_EHOST, "plugin", "%s: %s", DEVICE,
		     strerror(-error));
	switch (-error) {
	case EACCES: case EPERM:
		mt_error_hint(err, "become a member of the device's group (often: kvm), or run as a user who is");
		break;
	case ENOENT:
		mt_error_hint(err, "%s; in a container: pass the device on", arch_remedy());
		break;
	case ENODEV: case ENXIO:
		mt_error_hint(err, "what serves it is missing: %s", arch_remedy());
		break;
	case EBUSY:
		mt_error_hint(err, "another hypervisor of this host uses the CPU's virtualization: end it first");
		break;
	}
	return error == -EACCES || error == -EPERM ? MT_EPERM : MT_EHOST;
}

static int device_open(struct mt_error *err)
{
	int fd = kvm_ops.open(DEVICE), version;

	if (fd < 0)
		return refuse_device(err, fd);
	version = kvm_ops.ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version == KVM_API)
		return fd;
	kvm_ops.close(fd);
	if (version < 0)
		return vm_refuse(err, "plugin", "ask for the version of " DEVICE, version);
	return mt_error_set(err, MT_EHOST, "plugin", "%s speaks version %d, and not %d", DEVICE, version, KVM_API);
}

int vm_probe(struct mt_error *err)
{
	int fd = device_open(err);

	if (fd < 0)
		return fd;
	kvm_ops.close(fd);
	return 0;
}

int vm_capability(const struct kvm *k, unsigned long capability)
{
	int value = kvm_ops.ioctl(k->vm_fd, KVM_CHECK_EXTENSION, capability);

	return value < 0 ? 0 : value;
}

static int capabilities_check(struct kvm *k, struct mt_error *err)
{
	int vcpus = vm_capability(k, KVM_CAP_MAX_VCPUS), slots = vm_capability(k, KVM_CAP_NR_MEMSLOTS);

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (vm_capability(k, needed[i].capability))
			continue;
		mt_error_set(err, MT_EHOST, "plugin", "KVM of this host has no %s", needed[i].name);
		mt_error_hint(err, "use Linux 4.12 or later");
		return MT_EHOST;
	}
	/* a kernel without the capability has at least this many (Documentation/virt/kvm/api.rst, 4.4 and 4.7) */
	vcpus = vcpus ? vcpus : 4;
	k->slot_max = slots ? (uint32_t)slots : 32;
	if (k->vcpu_count <= (uint32_t)vcpus)
		return 0;
	mt_error_set(err, MT_EHOST, "count", "KVM of this host runs at most %d vCPUs in a machine, not %u", vcpus,
		     k->vcpu_count);
	mt_error_hint(err, "set count = %d or less", vcpus);
	return MT_EHOST;
}

/* A signal may come while the kernel makes it. */
static int vm_create(struct kvm *k)
{
	unsigned long type = arch_vm_type(k);
	int fd;

	do
		fd = kvm_ops.ioctl(k->sys_fd, KVM_CREATE_VM, type);
	while (fd == -EINTR);
	return fd;
}

int vm_open(struct kvm *k, struct mt_error *err)
{
	int bytes, code;

	k->sys_fd = device_open(err);
	if (k->sys_fd < 0)
		return k->sys_fd;
	k->vm_fd = vm_create(k);
	if (k->vm_fd < 0)
		return vm_refuse(err, "plugin", "make a virtual machine", k->vm_fd);
	bytes = kvm_ops.ioctl(k->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (bytes < (int)sizeof(struct kvm_run))
		return vm_refuse(err, "plugin", "learn the size of a vCPU", bytes < 0 ? bytes : -EIO);
	k->run_bytes = (size_t)bytes;
	code = capabilities_check(k, err);
	return code < 0 ? code : arch_vm_init(k, err);
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		kvm_ops.close(*fd);
	*fd = -1;
}

void vm_close(struct kvm *k)
{
	arch_vm_fini(k);
	fd_close(&k->vm_fd);
	fd_close(&k->sys_fd);
	free(k->slots);
	k->slots = NULL;
	k->slot_count = 0;
	atomic_store(&k->generation, 0);
}

int vcpu_open(struct kvm_vcpu *v, struct mt_error *err)
{
	struct kvm *k = v->kvm;
	int error;

	v->fd = kvm_ops.ioctl(k->vm_fd, KVM_CREATE_VCPU, v->index);
	if (v->fd < 0)
		return vm_refuse(err, "count", "make a vCPU", v->fd);
	v->run = kvm_ops.map(v->fd, k->run_bytes, &error);
	if (!v->run)
		return vm_refuse(err, NULL, "share memory with a vCPU", error);
	if (!v->index && late_open(v, err) < 0)
		return MT_ENOMEM;
	return arch_vcpu_init(v, err);
}

void vcpu_close(struct kvm_vcpu *v)
{
	arch_vcpu_fini(v);
	if (!v->index)
		late_close(v->kvm);
	if (v->run)
		kvm_ops.unmap(v->run, v->kvm->run_bytes);
	v->run = NULL;
	fd_close(&v->fd);
}
