/* SPDX-License-Identifier: MIT */
/*
 * The riscv64 part of cpu-kvm: what the CPU is (isa.c) and the device tree's words for it (fdt.c), registers by name
 * (regs.c), interrupt pins (pins.c), exits (exit.c), snapshots (save.c) and what ties them to arch.h (arch.c).
 *
 * KVM is the guest's machine mode: a hart starts in S-mode, and KVM serves the SBI's timer, interrupts between harts,
 * HSM and reset calls, and WFI. Interrupt controllers are devices, which drive a pin.
 */
#ifndef KVM_RISCV_H
#define KVM_RISCV_H

#include "../alike.h"

/*
 * Numbers of KVM's registers (Documentation/virt/kvm/api.rst, 4.68), by their own words: the headers of Linux that a
 * plugin is built with may be older than the host's.
 */
#define RV_U32(type, n) (UINT64_C(0x8020000000000000) | (uint64_t)(type) << 24 | (n))
#define RV_U64(type, n) (UINT64_C(0x8030000000000000) | (uint64_t)(type) << 24 | (n))
#define RV_TYPE(id)     ((uint32_t)((id) >> 24) & 0xff)

#define TYPE_CONFIG 1u
#define TYPE_CORE   2u
#define TYPE_CSR    3u
#define TYPE_TIMER  4u
#define TYPE_F      5u
#define TYPE_D      6u
#define TYPE_ISA    7u
#define TYPE_SBI    8u

#define RV_CBOM_BYTES  RV_U64(TYPE_CONFIG, 1)
#define RV_CBOZ_BYTES  RV_U64(TYPE_CONFIG, 5)
#define RV_SATP_MODE   RV_U64(TYPE_CONFIG, 6)
#define RV_PC          RV_U64(TYPE_CORE, 0)
#define RV_X(n)        RV_U64(TYPE_CORE, n)      /* x1 to x31 */
#define RV_MODE        RV_U64(TYPE_CORE, 32)
#define RV_CSR(n)      RV_U64(TYPE_CSR, n)       /* in the order of struct kvm_riscv_csr */
#define RV_STVEC       RV_CSR(2)
#define RV_SEPC        RV_CSR(4)
#define RV_SCAUSE      RV_CSR(5)
#define RV_STVAL       RV_CSR(6)
#define RV_SATP        RV_CSR(8)
#define RV_FREQUENCY   RV_U64(TYPE_TIMER, 0)
#define RV_TIME        RV_U64(TYPE_TIMER, 1)
#define RV_COMPARE     RV_U64(TYPE_TIMER, 2)
#define RV_D(n)        RV_U64(TYPE_D, n)
#define RV_FCSR        RV_U32(TYPE_D, 32)
#define RV_ISA(n)      RV_U64(TYPE_ISA, n)

#define ISA_MAX 64u                /* extensions that have a number of KVM's; those of isa.c are fewer */

/* What the CPU is, as the guest is told. */
struct isa {
	bool has[ISA_MAX];
	uint64_t cbom_bytes, cboz_bytes;       /* 0: not told */
	uint64_t satp_mode;                    /* the largest; 0: not told */
};

struct arch_vm {
	bool known;                    /* `isa` is */
	struct isa isa;
	struct counter time;
};

struct arch_vcpu {
	struct whole_vcpu whole;
	pthread_mutex_t lock;          /* of the pin: its level goes to KVM in order */
	bool pin;
	_Atomic bool pin_stale;        /* KVM may have another level */
};

/* isa.c. [main] with a vCPU open */
int isa_learn(struct kvm_vcpu *v, struct mt_error *err);
/* NULL: none that a guest is told of */
const char *isa_name(uint32_t number);
/* "rv64imafdc_zicsr": as snprintf */
uint32_t isa_text(const struct isa *isa, char *text, uint32_t bytes);

/* pins.c. 0 or -errno */
int pin_tell(struct kvm_vcpu *v);

#endif
