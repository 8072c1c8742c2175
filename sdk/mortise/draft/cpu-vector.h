/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers whose interrupts have a vector that the CPU fetches when it takes one: the 8259A (two
 * INTA cycles) and the local APIC. The device binds its handlers for each vCPU in realize by
 * "mortise.vector-host/1"; the kernel hands them to the accelerator by its role "mortise.cpu.vector/1", which
 * calls them straight from its run loop. A controller that stands behind another one (the 8259A pair on a local
 * APIC's LINT0) binds no vCPU: it has the role "mortise.vector-source/1", and the other takes it by a REF property.
 *
 * Handlers run without any lock, beside lines and messages that reach the same device from other threads: only
 * MT_CLASS_PARALLEL classes may bind, take or be taken. They call irq, pin, timer services and this one only.
 *
 * Easy to break: `acknowledge` lowers a request, so that it may end in `request`, and that in `changed` of the
 * controller in front. Hold no lock of your own that the other way takes: call `request` without the one of
 * `acknowledge`, and a source's `acknowledge` without the one of `changed`.
 *
 * Sources: Intel 8259A data sheet (231468), "Interrupt sequence"; Intel SDM volume 3, chapter "APIC", and
 * "Multiple-processor management" for INIT and start-up.
 */
#ifndef MORTISE_CPU_VECTOR_H
#define MORTISE_CPU_VECTOR_H

#include "../plugin.h"

#define MT_IFACE_VECTOR_HOST   "mortise.vector-host/1"
#define MT_IFACE_VECTOR_SOURCE "mortise.vector-source/1"
#define MT_IFACE_CPU_VECTOR    "mortise.cpu.vector/1"

#define MT_VECTOR_NONE (-1)        /* the request has gone: no interrupt is taken */

/*
 * What a controller does to a vCPU beside asking for interrupts. The space is open: an accelerator drops what it
 * does not know.
 */
#define MT_VCPU_EVENT_NMI     1u
#define MT_VCPU_EVENT_INIT    2u   /* the vCPU is reset and, unless it is the first, waits for its start-up */
#define MT_VCPU_EVENT_STARTUP 3u   /* `value`: number of the page that it starts at, 0 to 255; heeded after INIT only */
#define MT_VCPU_EVENT_SMI     4u

struct mt_vector_ops {
	uint32_t size;
	uint32_t flags;                    /* none yet: 0 */
	/*
	 * [vcpu] The vCPU takes an interrupt: its vector, 0 to 255, which is in service from now on, or
	 * MT_VECTOR_NONE. The accelerator has made sure that the vCPU can take one.
	 */
	int32_t (*acknowledge)(void *arg);
	/*
	 * [vcpu], or [main] while it does not run. The task priority as CR8 shows it (4 bits): read, and written
	 * when the guest writes CR8. Both or neither; NULL: the controller has none, and is no local APIC.
	 */
	uint32_t (*priority)(void *arg);
	void (*set_priority)(void *arg, uint32_t level);
	/*
	 * [vcpu], or [main] while it does not run. The vCPU's local APIC is on (1) or off (0) by IA32_APIC_BASE, at
	 * each change by the guest, a reset or a snapshot; at first it is on. Off, the vCPU has none: LINT0 is its interrupt
	 * pin, LINT1 that of NMI, and the registers are as after a reset when it is on again (Intel SDM volume 3, "Enabling or
	 * Disabling the Local APIC"). NULL: it stays on.
	 */
	void (*set_enabled)(void *arg, uint32_t enabled);
};

/* Role of a controller that stands behind another one. `self`: as of the device kind. */
struct mt_vector_source {
	/* [vcpu] as mt_vector_ops.acknowledge */
	int32_t (*acknowledge)(void *self);
};

/* Host service, for controllers. */
struct mt_vector_host {
	/*
	 * [main] in realize: the instance is the controller of vCPU `vcpu` until it is unrealized. `ops` is
	 * copied. MT_ENOENT: no such vCPU; MT_ENOTSUP: the accelerator takes no vectors from devices, or not as
	 * its section is set; MT_EBUSY: the vCPU has another controller, or the instance stands behind one;
	 * MT_EINVAL: plugin fault. `err` says why and what to do.
	 */
	int (*bind)(struct mt_inst *inst, uint32_t vcpu, const struct mt_vector_ops *ops, void *arg,
		    struct mt_error *err);
	/*
	 * [main] in realize: the controller that the REF property `prop` names stands behind this instance until
	 * this one is unrealized: `*source` and `*self` are how its vectors are fetched; what it requests of vCPU 0
	 * comes as `changed`, [any]. MT_ENOENT: the property is absent; MT_EINVAL: what it names is no such
	 * source; MT_EBUSY: it serves a vCPU, or stands behind another one already.
	 */
	int (*take)(struct mt_inst *inst, const char *prop, void (*changed)(void *arg, uint32_t level), void *arg,
		    const struct mt_vector_source **source, void **self, struct mt_error *err);
	/*
	 * [any] 1: an interrupt waits to be acknowledged; 0: none. A vCPU that halts is woken. From an instance
	 * that neither bound `vcpu` nor was taken: nothing happens.
	 */
	void (*request)(struct mt_inst *inst, uint32_t vcpu, uint32_t level);
	/* [any] An event, MT_VCPU_EVENT_*, for a vCPU that the instance has bound. Each of a kind is kept until the
	 * vCPU has noticed; two before that are one. */
	void (*event)(struct mt_inst *inst, uint32_t vcpu, uint32_t event, uint32_t value);
};

/* Role of an accelerator. A vCPU that halts is woken by the kernel, after `request` and `event`. */
struct mt_cpu_vector {
	/* [main] while the vCPU does not run; the kernel has checked the form of `ops` and keeps it valid. `err` has
	 * MT_ENOTSUP, MT_EBUSY as above. */
	int (*bind)(void *vcpu, const struct mt_vector_ops *ops, void *arg, struct mt_error *err);
	/* [main] while the vCPU does not run: no request and no event is left of the one that was bound. */
	void (*unbind)(void *vcpu);
	/* [any] as of the host; makes `run` notice. A reset of the vCPU drops events, and no request. */
	void (*request)(void *vcpu, uint32_t level);
	void (*event)(void *vcpu, uint32_t event, uint32_t value);
};

#endif
