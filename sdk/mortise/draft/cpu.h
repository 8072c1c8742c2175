/* SPDX-License-Identifier: MIT */
/*
 * The cpu kind: an accelerator runs the vCPUs of one [cpu] section. The kernel owns the vCPU threads and
 * calls `run`; the accelerator reaches RAM by its own pointers, from the flat view that `run` was given.
 *
 * Views: every `run` gets the newest view. When the map changes the kernel publishes a new view and kicks
 * all vCPUs; a vCPU that has left `run` and come back with the new view has acknowledged it; the change is
 * retired when all have. A vCPU that causes a change itself gets MT_BUS_LEAVE from its access and leaves
 * after that instruction. A view stays valid until the `run` that it was given to returns.
 */
#ifndef MORTISE_CPU_H
#define MORTISE_CPU_H

#include "mmio.h"
#include "ram.h"

#define MT_IFACE_CPU       "mortise.cpu/1"
#define MT_IFACE_CPU_PINS  "mortise.cpu.pins/1"
#define MT_IFACE_CPU_REGS  "mortise.cpu.regs/1"
#define MT_IFACE_VCPU_HOST "mortise.vcpu-host/1"
#define MT_IFACE_ACCELERATOR "mortise.accelerator/1"
#define MT_IFACE_KICK      "mortise.kick/1"

/* The kernel's handle of one vCPU. */
struct mt_vcpu;

/* Why `run` came back. The space is open: a kernel stops the machine on a reason that it does not know. */
#define MT_EXIT_KICKED   1u    /* kick, or a view to acknowledge; nothing to do */
#define MT_EXIT_HALT     2u    /* waits for an interrupt: sleep until kick, pin change or wake_ns */
#define MT_EXIT_DEADLINE 3u
#define MT_EXIT_BUDGET   4u
#define MT_EXIT_DEBUG    5u
#define MT_EXIT_ERROR    6u    /* cannot go on; `message` says why */

struct mt_run_params {
	uint32_t size;
	uint32_t flags;
	const struct mt_flat_view *view;   /* system space */
	uint64_t deadline_ns;              /* guest time to leave at; UINT64_MAX: none */
	uint64_t budget;                   /* instructions at most; 0: no bound. Not heeded by those that cannot count. */
	/*
	 * Space "io": what x86 in and out reach; a range's gpa is the port. Regions only. NULL or no `size` for it:
	 * none. The rules of `view` hold for it too.
	 */
	const struct mt_flat_view *ports;
};

struct mt_exit {
	uint32_t size;
	uint32_t reason;                   /* MT_EXIT_* */
	uint64_t wake_ns;                  /* HALT: guest time to wake at; UINT64_MAX: none */
	char message[256];                 /* ERROR */
};

struct mt_cpu_class {
	/* [main] Can this host run it? 0, or a negative code with the reason and remedy in `err`. */
	int (*probe)(const struct mt_host *host, struct mt_error *err);
	/* [main] no side effects; properties are readable */
	int (*create)(const struct mt_host *host, struct mt_inst *inst, uint32_t vcpu_count, void **self,
		      struct mt_error *err);
	/* [main] */
	int (*realize)(void *self, struct mt_error *err);
	void (*unrealize)(void *self);
	void (*destroy)(void *self);
	/* [main] after realize. `*vcpu` becomes the accelerator's own pointer of vCPU `index`. */
	int (*vcpu_create)(void *self, uint32_t index, struct mt_vcpu *handle, void **vcpu, struct mt_error *err);
	void (*vcpu_destroy)(void *vcpu);
	/* [main] while it does not run. MT_RESET_* kind. */
	void (*vcpu_reset)(void *vcpu, uint32_t kind);
	/* [vcpu] Always on the same thread between vcpu_create and vcpu_destroy. 0, or a negative code with
	 * MT_EXIT_ERROR filled. */
	int (*run)(void *vcpu, const struct mt_run_params *params, struct mt_exit *exit);
	/* [any] `run` returns soon: the one under way, or the next one at once. */
	void (*kick)(void *vcpu);
};

/* Role of an accelerator: interrupt pins. */
struct mt_cpu_pins {
	/* [main] number of the pin with this name, or MT_ENOENT */
	int32_t (*find)(void *self, const char *name);
	/* [any] Sets a pin; makes `run` notice (a halted vCPU is woken by the kernel). */
	void (*set)(void *vcpu, uint32_t pin, uint32_t level);
};

#define MT_REG_READONLY 1u

struct mt_reg_desc {
	uint32_t size;
	uint32_t number;           /* stable within the schema of the ISA */
	uint32_t width_bytes;
	uint32_t flags;
	char name[16];
	char group[16];            /* "general", "float", "csr" */
};

/* Role of an accelerator: registers. One schema an ISA over all accelerators. */
struct mt_cpu_regs {
	/* [main] describe(i) for i = 0 .. count-1 */
	uint32_t (*count)(void *self);
	int (*describe)(void *self, uint32_t index, struct mt_reg_desc *out);
	/* [main] while the vCPU does not run. Little-endian value of the register's width in 64-bit words. */
	int (*read)(void *vcpu, uint32_t number, uint64_t *value);
	int (*write)(void *vcpu, uint32_t number, uint64_t value);
};

/* What the kernel gives an accelerator. */
struct mt_vcpu_host {
	/* [vcpu] Access to an MT_FLAT_IO range (or write to ROM). `addr` is guest-physical, inside the range and
	 * not crossing its end. Returns MT_BUS_*, perhaps with MT_BUS_LEAVE. Splits as the region declares. */
	uint32_t (*read)(struct mt_vcpu *vcpu, const struct mt_flat_range *range, uint64_t addr, uint32_t width,
			 uint32_t privilege, uint64_t *value);
	uint32_t (*write)(struct mt_vcpu *vcpu, const struct mt_flat_range *range, uint64_t addr, uint32_t width,
			  uint32_t privilege, uint64_t value);
	/* [any] The view that the next `run` would get, for what must look at memory outside `run` (registers by
	 * virtual address, disassembly). Valid until the caller returns to the kernel. */
	const struct mt_flat_view *(*view)(struct mt_vcpu *vcpu);
};

/* Host service, for accelerators whose `run` spends its time in a system call that `kick` must end. */
struct mt_kick_host {
	/*
	 * [main] The signal that does, by pthread_kill. From this call on the process has a handler that does nothing:
	 * the call ends with EINTR, or begins again where the system does so (SA_RESTART; KVM_RUN ends). Threads of
	 * vCPUs have the signal unblocked, and other threads of the kernel do not.
	 */
	uint32_t (*signal)(void);
};

/* Host service, for classes of an accelerator's file that stand in for devices (mortise/note.h). */
struct mt_accelerator_host {
	/*
	 * [main] from create on: `self` of the machine's accelerator, which is created before any device, realized
	 * before, and destroyed after. NULL when it is of another file than the instance.
	 */
	void *(*self)(struct mt_inst *inst);
};

#endif
