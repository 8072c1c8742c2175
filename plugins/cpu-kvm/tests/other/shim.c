/* SPDX-License-Identifier: MIT */
/* See shim.h. Descriptors: 100 the system, 101 the VM, 102 and up its devices, 110 and up the vCPUs. */
#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYS_FD    100
#define VM_FD     101
#define DEVICE_FD 102
#define VCPU_FD   110

struct shim shim;

void shim_start(void)
{
	memset(&shim, 0, sizeof(shim));
	shim.max_vcpus = SHIM_VCPUS;
	shim.address_bits = 41;
}

void shim_stop(void)
{
	for (uint32_t i = 0; i < SHIM_VCPUS; i++)
		free(shim.vcpus[i].run);
}

int shim_device_fd(uint32_t device)
{
	shim.open_fds++;
	return DEVICE_FD + (int)device;
}

static int fails(unsigned long request)
{
	shim.calls++;
	if (shim.calls != shim.fail_at && request != shim.fail_request)
		return 0;
	shim.fail_request = 0;
	shim.failed = request;
	return shim.fail_error;
}

/* The system and the VM */

static int capability(unsigned long n)
{
	for (uint32_t i = 0; i < 4; i++)
		if (shim.missing[i] == n + 1)
			return 0;
	if (n == KVM_CAP_VM_GPA_BITS || n == KVM_CAP_ARM_VM_IPA_SIZE)
		return shim.address_bits;
	return n == KVM_CAP_MAX_VCPUS ? shim.max_vcpus : n == KVM_CAP_NR_MEMSLOTS ? (int)SHIM_SLOTS : 1;
}

static int sys_call(unsigned long request, uintptr_t arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return capability(arg);
	case KVM_GET_API_VERSION:
		return 12;
	case KVM_CREATE_VM:
		shim.vm_type = arg;
		shim.open_fds++;
		return VM_FD;
	case KVM_GET_VCPU_MMAP_SIZE:
		return SHIM_RUN_BYTES;
	default:
		return shim_host.system ? shim_host.system(request, arg) : -ENOTTY;
	}
}

static int vcpu_make(uintptr_t index)
{
	struct shim_vcpu *v = &shim.vcpus[index % SHIM_VCPUS];

	if (index >= SHIM_VCPUS || v->open)
		return -EINVAL;
	memset(v, 0, sizeof(*v));
	v->index = (uint32_t)index;
	v->open = true;
	v->mp = index ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE;
	v->run = calloc(1, SHIM_RUN_BYTES);
	shim_host.first(v);
	shim.open_fds++;
	return VCPU_FD + (int)index;
}

static int vm_call(unsigned long request, uintptr_t arg)
{
	const struct kvm_userspace_memory_region *r = (void *)arg;

	switch (request) {
	case KVM_CHECK_EXTENSION:
		return capability(arg);
	case KVM_CREATE_VCPU:
		return vcpu_make(arg);
	case KVM_SET_USER_MEMORY_REGION:
		shim.slots[r->slot % SHIM_SLOTS] = *r;
		return 0;
	default:
		return shim_host.vm ? shim_host.vm(request, arg) : -ENOTTY;
	}
}

/* vCPUs */

void shim_reg_add(struct shim_vcpu *v, uint64_t id, uint64_t value)
{
	if (v->reg_count == SHIM_REGS)
		abort();
	v->regs[v->reg_count++] = (struct shim_reg){ .id = id, .value = { value } };
}

struct shim_reg *shim_reg(struct shim_vcpu *v, uint64_t id)
{
	for (uint32_t i = 0; i < v->reg_count; i++)
		if (v->regs[i].id == id)
			return &v->regs[i];
	return NULL;
}

static int list_get(const struct shim_vcpu *v, struct kvm_reg_list *list)
{
	uint64_t room = list->n;

	if (shim.no_list)
		return -ENOTTY;
	list->n = v->reg_count;
	for (uint32_t i = 0; room >= v->reg_count && i < v->reg_count; i++)
		list->reg[i] = v->regs[i].id;
	return room < v->reg_count ? -E2BIG : 0;
}

static int reg_move(struct shim_vcpu *v, const struct kvm_one_reg *one, bool set)
{
	struct shim_reg *r = shim_reg(v, one->id);
	void *value = (void *)(uintptr_t)one->addr;

	if (!r)
		return -ENOENT;
	if (set && r->is_fixed)
		return memcmp(r->value, value, one_reg_bytes(r->id)) ? -EINVAL : 0;
	memcpy(set ? (void *)r->value : value, set ? value : (void *)r->value, one_reg_bytes(r->id));
	return 0;
}

static int run_vcpu(struct shim_vcpu *v)
{
	v->entries++;
	if (__atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST))
		return -EINTR;
	v->run->exit_reason = KVM_EXIT_UNKNOWN;
	return shim.guest ? shim.guest(v) : -EINTR;
}

static int vcpu_call(struct shim_vcpu *v, unsigned long request, uintptr_t arg)
{
	void *p = (void *)arg;

	switch (request) {
	case KVM_RUN:
		return run_vcpu(v);
	case KVM_GET_REG_LIST:
		return list_get(v, p);
	case KVM_GET_ONE_REG:
		return reg_move(v, p, false);
	case KVM_SET_ONE_REG:
		return reg_move(v, p, true);
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)p)->mp_state = v->mp;
		return 0;
	case KVM_SET_MP_STATE:
		v->mp = ((struct kvm_mp_state *)p)->mp_state;
		return 0;
	case KVM_INTERRUPT:
		v->interrupts++;
		v->interrupt = ((struct kvm_interrupt *)p)->irq;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		v->debug = *(struct kvm_guest_debug *)p;
		return 0;
	default:
		return shim_host.vcpu ? shim_host.vcpu(v, request, arg) : -ENOTTY;
	}
}

/* The table */

static int shim_open(const char *path)
{
	int error = fails(0);

	if (error || strcmp(path, "/dev/kvm"))
		return error ? error : -ENOENT;
	shim.open_fds++;
	return SYS_FD;
}

static int shim_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	/* capabilities are asked, not done: a kernel that fails there has none */
	int error = request == KVM_CHECK_EXTENSION || request == KVM_RUN ? 0 : fails(request);

	if (error)
		return error;
	if (fd == SYS_FD)
		return sys_call(request, arg);
	if (fd == VM_FD)
		return vm_call(request, arg);
	if (fd >= DEVICE_FD && fd < DEVICE_FD + (int)SHIM_DEVICES)
		return shim_host.device ? shim_host.device((uint32_t)(fd - DEVICE_FD), request, arg) : -ENOTTY;
	return fd < VCPU_FD ? -EBADF : vcpu_call(&shim.vcpus[fd - VCPU_FD], request, arg);
}

static void *shim_map(int fd, size_t len_bytes, int *error)
{
	*error = fails(1);
	return *error || len_bytes != SHIM_RUN_BYTES ? NULL : shim.vcpus[fd - VCPU_FD].run;
}

static void shim_unmap(void *addr, size_t len_bytes)
{
	(void)addr, (void)len_bytes;
}

static void shim_close(int fd)
{
	shim.open_fds--;
	if (fd < VCPU_FD)
		return;
	free(shim.vcpus[fd - VCPU_FD].run);
	memset(&shim.vcpus[fd - VCPU_FD], 0, sizeof(shim.vcpus[0]));
}

const struct kvm_ops kvm_ops = {
	.open = shim_open, .ioctl = shim_ioctl, .map = shim_map, .unmap = shim_unmap, .close = shim_close,
};
