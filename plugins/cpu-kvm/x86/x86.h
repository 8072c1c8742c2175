/* SPDX-License-Identifier: MIT */
/*
 * The x86-64 part of cpu-kvm: CPU models (cpuid.c, features.c), the vCPU's registers by name (regs.c), everything of
 * it as one value (whole.c) and in a snapshot (save.c), KVM's interrupt controllers (irqchip.c) as devices of the
 * machine (chips.h), where lines go in them (routes.c), those outside of it (vector.c), local APICs in KVM with the
 * others outside (split.c), messages by eventfds (messages.c), time (time.c), debugging (debug.c), exits (exit.c) and
 * what ties them to arch.h (arch.c).
 */
#ifndef KVM_X86_H
#define KVM_X86_H

#include "../arch.h"
#include "split.h"

#define MSRS_MAX     512u          /* that KVM lists for saving; more are left out */
#define MSRS_HELD    16u
#define CPUID_MAX    256u
#define XSAVE_MAX    (64u << 10)

/* KVM's requests of variable length, with room: kvm_msr_list, kvm_msrs and kvm_cpuid2. */
struct msr_list {
	uint32_t nmsrs;
	uint32_t index[MSRS_MAX];
};

struct msr_values {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry[MSRS_MAX];
};

struct msr_value {
	uint32_t nmsrs, pad;
	struct kvm_msr_entry entry;
};

struct cpuid {
	uint32_t nent, padding;
	struct kvm_cpuid_entry2 entry[CPUID_MAX];
};

/* All that a vCPU is, as KVM tells it. */
struct whole {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_lapic_state lapic;  /* with k->lapics */
	uint32_t msr_count;
	struct kvm_msr_entry msr[MSRS_MAX];
	uint8_t xsave[];               /* arch_vm.xsave_bytes */
};

/* What KVM's interrupt controllers and timer are. */
struct chips {
	struct kvm_irqchip pic[2], ioapic;
	struct kvm_pit_state2 pit;
};

/* A message that a signal of `fd` sends; -1: it is free. */
struct route {
	uint32_t address, data;
	int fd;
};

#define MESSAGES_MAX 1024u
#define MESSAGES_GSI 256u          /* KVM's numbers of them, from here on: above all others */

struct messages {
	uint32_t count;
	struct route route[MESSAGES_MAX];
};

/* time.c */
struct times {
	pthread_mutex_t lock;          /* of who sets the clock */
	bool has_clock;                /* that can be read and set */
	_Atomic bool held;             /* the clock stands at clock_ns until the machine runs */
	uint64_t clock_ns;
};

struct arch_vm {
	uint32_t xsave_bytes;
	bool xcrs, debugregs;
	uint32_t debug_flags;          /* KVM_GUESTDBG_* that the host has */
	bool sync_regs;                /* registers come with an exit */
	bool reset_on_triple_fault;
	struct msr_list msrs;
	struct cpuid cpuid;            /* of every vCPU, but for its own number */
	struct chips first;            /* at power on */
	struct split split;
	struct times times;
	struct messages *messages;     /* messages.c; NULL: none yet */
	/* debug.c */
	struct point { uint32_t kind, len_bytes; uint64_t vaddr; } points[4];
	uint32_t points_version;       /* counts changes of them */
};

/* Messages that KVM's local APICs do not take (extint.c). Written on any thread but for `waits`. */
#define EXTINT_PHYSICAL 1u
#define EXTINT_LOGICAL  2u

struct extint {
	_Atomic uint32_t asked;        /* EXTINT_*: messages that may be for this vCPU */
	_Atomic uint64_t logical[4];   /* their logical destinations, a bit each */
	_Atomic bool waits;            /* one is, and its vector has not been fetched */
};

struct arch_vcpu {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	bool known;                    /* regs and sregs are the vCPU's; only while it stands */
	bool regs_changed, sregs_changed;
	int reset_error;               /* -errno of a reset that failed: told by `run` */
	uint32_t debug_mode;           /* MT_DEBUG_* */
	uint32_t points_told;          /* the version that KVM has */
	bool debug_changed;
	/* saved or loaded and not run since: what the time-stamp counter shall show then */
	bool tsc_held;
	uint64_t tsc;
	struct kvm_msr_entry held[MSRS_HELD];  /* msrs.c: that go to KVM when it has the guest's memory */
	uint32_t held_count;
	bool has_run;
	int64_t offset_ns;             /* the kernel's of guest time when it did */
	struct whole *first;           /* at power on */
	struct kvm_lapic_state lapic;  /* that was loaded, for when the registers are */
	struct extint extint;          /* with split */
	/* vector.c: the controller outside of KVM, NULL: none; and what it asks for, written on any thread */
	const struct mt_vector_ops *vector_ops;
	void *vector_arg;
	_Atomic uint32_t requested, events, start_page;
	uint64_t apic_base;            /* as the controller was told */
	bool place_told;               /* that the guest has moved its local APIC */
	bool waiting, halted;          /* for a start-up message; for an interrupt. Not with KVM's local APICs. */
	bool stale;                    /* kvm_run.ready_for_interrupt_injection is */
	uint64_t cr8;                  /* as KVM was told at the last entry */
};

/* cpuid.c, features.c. [main] */
int cpuid_choose(struct kvm *k, struct mt_error *err);
int cpuid_set(struct kvm_vcpu *v, struct mt_error *err);

/* One feature that a model has, or that the file turns on and off. */
struct feature {
	const char *name;
	uint32_t leaf, subleaf;
	uint8_t reg;                   /* 0 eax .. 3 edx */
	uint8_t bit;
	uint8_t level;                 /* x86-64-vN that brings it; 0: none */
};

#define FEATURE_PLATFORM 9u        /* level of what every model has when the host has it */

extern const struct feature features[];
extern const uint32_t feature_count;
const struct feature *feature_find(const char *name);
/* The words of arch_remedy(), for a CPU of a vendor that shows VMX, SVM or neither. */
const char *remedy_of(const char vendor[12], bool vmx, bool svm);

/* whole.c. [main], or [vcpu] outside of KVM. 0 or -errno; `*what` names what failed. */
size_t whole_bytes(const struct kvm *k);
int whole_get(struct kvm_vcpu *v, struct whole *w, const char **what);
int whole_set(struct kvm_vcpu *v, const struct whole *w, const char **what);
/* INIT: what the architecture resets then, and nothing else. */
int whole_init(struct kvm_vcpu *v, const char **what);

/* msrs.c. The same. */
int msrs_get(struct kvm_vcpu *v, struct whole *w);
int msrs_set(struct kvm_vcpu *v, const struct whole *w);
/* [vcpu] before it runs: what was held until KVM has the guest's memory */
int msrs_go_on(struct kvm_vcpu *v, const char **what);
/* The time-stamp counter in `w`, or NULL. */
struct kvm_msr_entry *whole_tsc(struct whole *w);
int msr_write(struct kvm_vcpu *v, uint32_t index, uint64_t value);
int tsc_write(struct kvm_vcpu *v, uint64_t value);

/* arch.c. [vcpu], or [main] while it does not run: gives KVM what was changed, and no time. 0 or -errno. */
int changes_tell(struct kvm_vcpu *v, const char **what);

/* time.c. clock_hold, clock_load: [main] while no vCPU runs. times_go_on: [vcpu] before it runs. 0 or -errno. */
void times_init(struct times *t);
void times_fini(struct times *t);
/* The clock stands from here on; *ns is it, 0 where KVM does not tell. */
int clock_hold(struct kvm *k, uint64_t *ns);
void clock_load(struct kvm *k, uint64_t ns);
int times_go_on(struct kvm_vcpu *v, const char **what);

/* irqchip.c. [main] */
int irqchip_create(struct kvm *k, struct mt_error *err);
int chips_get(struct kvm *k, struct chips *chips);
int chips_set(struct kvm *k, const struct chips *chips);

/* chips.c: who serves what, by the setting and by what the machine file has */
int chips_choose(struct kvm *k, struct mt_error *err);

/* routes.c. [any] Gives KVM its table of interrupts; the second under the lock of arch_vm.split. 0 or -errno. */
int routes_give(struct kvm *k);
int routes_give_locked(struct kvm *k);

/* KVM's numbers with irqchip = kernel. 0 is the timer's. */
static inline uint32_t routes_gsi_ioapic(uint32_t input)
{
	return input ? input : 24;
}

static inline uint32_t routes_gsi_pic(uint32_t input)
{
	return 32 + input;
}

/* vector.c */
void vector_apic_base(struct kvm_vcpu *v);
void vector_reset(struct kvm_vcpu *v);
void vector_load(struct kvm_vcpu *v, const struct whole *w);
void vector_changed(struct kvm_vcpu *v, uint64_t cr8);
int vector_events(struct kvm_vcpu *v, const char **what);
/* [main] With local APICs of devices: has KVM come out for writes of IA32_APIC_BASE, where it can. */
void vector_watch(struct kvm *k);
/* [vcpu] KVM_EXIT_X86_WRMSR */
int vector_msr(struct kvm_vcpu *v);
/* KVM's own: something is due that ends a halt, whoever serves the interrupt controllers. */
bool vector_wakes(const struct kvm_vcpu_events *e);

/*
 * With KVM's local APICs. [vcpu] 1: the guest can take a vector, and has been given the source's, if it had one; 0: it
 * cannot; or -errno.
 */
int vector_offer(struct kvm_vcpu *v, const struct mt_vector_source *source, void *self);

/* extint.c: messages whose vector is the 8259A's, with split. [any] */
void extint_send(struct kvm *k, uint32_t address);
/* [vcpu], or [main] while it does not run: with the page of its local APIC, whether one is for it. */
void extint_look(struct kvm_vcpu *v, const struct kvm_lapic_state *page);
void extint_drop(struct kvm_vcpu *v);
bool extint_wanted(const struct kvm_vcpu *v);
/* [vcpu] 0 or -errno; `*what` names what failed */
int extint_serve(struct kvm_vcpu *v, const char **what);

/* regs.c: makes arch_vcpu.regs and .sregs known. 0 or -errno. */
int regs_know(struct kvm_vcpu *v);
uint64_t regs_description(void *self, char *text, uint64_t text_bytes);

/* debug.c: gives KVM points and steps, and a debug exception to the guest. 0 or -errno. */
int debug_tell(struct kvm_vcpu *v, bool guests_own);

#endif
