/* SPDX-License-Identifier: MIT */
/*
 * cpu-kvm inside. What is of every host: the VM (vm.c), its memory slots (slots.c), the run loop (run.c), and
 * the attachment (plugin.c), eventfds (eventfd.c), what vCPUs write (dirty.c). What is of one host's CPU is
 * behind arch.h, in a folder of its own.
 */
#ifndef KVM_H
#define KVM_H

#include <linux/kvm.h>
#include <mortise/draft/acpi.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/cpu-debug.h>
#include <mortise/draft/cpu-dirty.h>
#include <mortise/draft/cpu-eventfd.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/msi.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ops.h"

struct arch_vm;
struct chip;
struct gic;

/* Classes of this plugin that stand in for devices. */
enum { CHIP_LAPIC, CHIP_IOAPIC, CHIP_PIC, CHIP_PIT, CHIPS };

struct arch_vcpu;
struct late;

/* One slot of guest memory that KVM has been given. */
struct slot {
	uint64_t gpa, len_bytes;       /* len_bytes 0: free */
	uint8_t *hva;
	uint32_t flags;                /* KVM_MEM_* */
	struct mt_ram *ram;            /* NULL: of no RAM object, and not logged */
	uint64_t ram_offset;
	bool wanted;                   /* slots.c, while it compares */
};

struct kvm {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_vcpu_host *host;
	const struct mt_log_host *log;
	const struct mt_clock_host *clock;
	const struct mt_loop_host *loop;
	const struct mt_msi_host *msi;
	const struct mt_kick_host *kick;
	uint32_t vcpu_count;
	int kick_signal;
	int sys_fd, vm_fd;             /* -1: none */
	size_t run_bytes;              /* of a vCPU's shared page */
	struct chip *chips[CHIPS];     /* those that the machine file names and KVM serves; NULL: not */
	struct gic *gic;               /* arm64: the one that the machine file names; NULL: none */
	bool irqchip;                  /* KVM serves the interrupt controllers, all of them */
	bool lapics;                   /* the local APICs at least */
	bool devices;                  /* devices serve those that KVM does not */
	struct kvm_vcpu **vcpus;       /* by number; NULL: not made */

	pthread_mutex_t lock;          /* of the slots */
	_Atomic uint64_t generation;   /* of the view that the slots show; written under the lock */
	struct slot *slots;
	uint32_t slot_count, slot_max; /* allocated; what KVM can have */
	uint32_t address_bits;         /* of a guest-physical address; 0: not known */
	bool logging;                  /* what vCPUs write */
	struct late *late;             /* late.c */
	struct arch_vm *arch;
};

struct kvm_vcpu {
	struct kvm *kvm;
	struct mt_vcpu *handle;
	uint32_t index;
	int fd;                        /* -1: none */
	struct kvm_run *run;           /* shared with KVM; NULL: none */
	/* the kick: run.c */
	pthread_t thread;
	_Atomic uint32_t kicked;
	_Atomic uint32_t inside;       /* `thread` is set and in KVM, or about to be */
	bool unfinished;               /* own thread: KVM has an access that it finishes when it is entered */
	bool leave;                    /* own thread: after this instruction */
	/* of the `run` under way */
	const struct mt_flat_view *view, *ports;
	const struct mt_flat_range *last;      /* in `view`: where the last access went */
	struct mt_debug_stop stop;
	bool stopped;                  /* `stop` holds */
	struct arch_vcpu *arch;
};

/* What to do after an exit was served. */
#define SERVED_GO_ON 0             /* back into the guest */
#define SERVED_OUT   1             /* `exit` is filled: leave `run` */

/* vm.c. [main] */
int vm_probe(struct mt_error *err);
int vm_open(struct kvm *k, struct mt_error *err);
void vm_close(struct kvm *k);
/* A capability of the VM: 0 is none. */
int vm_capability(const struct kvm *k, unsigned long capability);
/* Says which call failed, why, and what to do. Returns the code. */
int vm_refuse(struct mt_error *err, const char *culprit, const char *what, int error);
int vcpu_open(struct kvm_vcpu *v, struct mt_error *err);
void vcpu_close(struct kvm_vcpu *v);

/*
 * slots.c. [vcpu] Gives KVM the memory of this view unless it has it or a later one. 0 or -errno with *failed:
 * -ERANGE: it is beyond the addresses of the guest's CPU; -ENOSPC: these are more pieces than KVM can have.
 */
int slots_follow(struct kvm *k, const struct mt_flat_view *view, struct slot *failed);
/* Under k->lock: tells KVM of a slot; 0 bytes take it away. 0 or -errno. */
int slot_tell(struct kvm *k, uint32_t index, uint64_t len_bytes);

/* dirty.c. slot_written, under k->lock: any page of the slot may have been written. */
extern const struct mt_cpu_dirty kvm_dirty;
void slot_written(const struct slot *s);

/*
 * late.c: writes that KVM keeps until a vCPU comes out. open [main] with the first vCPU, close [main]; follow and drain
 * [vcpu]. Where KVM has no such thing they do nothing.
 */
int late_open(struct kvm_vcpu *first, struct mt_error *err);
void late_close(struct kvm *k);
void late_follow(struct kvm_vcpu *v);
void late_drain(struct kvm_vcpu *v);

/* eventfd.c. An eventfd raises KVM's interrupt `gsi`. 0 or a negative code. */
extern const struct mt_cpu_eventfd kvm_eventfd;
int irqfd_take(const struct kvm *k, uint32_t gsi, int fd, int resample_fd);
void irqfd_give(const struct kvm *k, uint32_t gsi, int fd);

/* run.c */
int vcpu_run(void *vcpu, const struct mt_run_params *params, struct mt_exit *exit);
void vcpu_kick(void *vcpu);
/* [any] KVM comes out soon, or is not entered: the loop looks at what has been asked of it. */
void vcpu_nudge(struct kvm_vcpu *v);
/* [main] while it does not run. KVM does what it does before it enters a guest, and comes out. 0 or -errno. */
int vcpu_look(struct kvm_vcpu *v);
/* [vcpu] One access of the guest to what is no memory of KVM's. Nothing there reads as ones. */
void access_read(struct kvm_vcpu *v, const struct mt_flat_view *view, uint64_t addr, uint8_t *data, uint32_t width);
void access_write(struct kvm_vcpu *v, const struct mt_flat_view *view, uint64_t addr, const uint8_t *data,
		  uint32_t width);
/* [vcpu] Memory of the guest at this address, and how much of it in one piece; NULL: there is none. */
const uint8_t *access_memory(struct kvm_vcpu *v, uint64_t gpa, uint64_t *len_bytes);
/* [vcpu] fills `exit` with an error; returns SERVED_OUT. The second one says where the vCPU is, too. */
int run_fail(struct mt_exit *exit, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int run_fail_at(struct kvm_vcpu *v, struct mt_exit *exit, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* [vcpu] an exit that nothing here serves */
int run_fail_unknown(struct kvm_vcpu *v, struct mt_exit *exit);

/* log, as printf */
void kvm_log(const struct kvm *k, uint32_t level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static inline int vcpu_ioctl(const struct kvm_vcpu *v, unsigned long request, const void *arg)
{
	return kvm_ops.ioctl(v->fd, request, (uintptr_t)arg);
}

static inline int vm_ioctl(const struct kvm *k, unsigned long request, const void *arg)
{
	return kvm_ops.ioctl(k->vm_fd, request, (uintptr_t)arg);
}

#endif
