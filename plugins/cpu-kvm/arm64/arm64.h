/* SPDX-License-Identifier: MIT */
/*
 * The arm64 part of cpu-kvm: KVM's GICv3 (gic.c) as the class "dev-arm-gicv3" (chip.c), registers by name (regs.c),
 * the device tree's nodes of CPUs and PSCI (fdt.c), exits (exit.c), snapshots (save.c) and what ties them to arch.h
 * (arch.c). KVM serves PSCI, the timers and the interrupt controller.
 */
#ifndef KVM_ARM64_H
#define KVM_ARM64_H

#include <util/entry.h>

#include "../alike.h"

#define ARM_CORE(name) (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(name))
#define ARM_X(n)       (ARM_CORE(regs.regs[0]) + (uint64_t)(n) * 2)
#define ARM_SP         ARM_CORE(regs.sp)
#define ARM_SP_EL1     ARM_CORE(sp_el1)
#define ARM_PC         ARM_CORE(regs.pc)
#define ARM_PSTATE     ARM_CORE(regs.pstate)
#define ARM_MPIDR      ARM64_SYS_REG(3, 0, 0, 0, 5)
#define ARM_ESR_EL1    ARM64_SYS_REG(3, 0, 5, 2, 0)
#define ARM_FAR_EL1    ARM64_SYS_REG(3, 0, 6, 0, 0)

#define GIC_PRIVATE 32u            /* interrupts of each vCPU alone, below the shared ones */

struct arch_vm {
	struct kvm_vcpu_init init;     /* of each vCPU, but for its being off at first */
	int gic_fd;                    /* -1: none */
	uint64_t mpidr[512];           /* of the vCPUs that there are */
	uint32_t vcpus;
	uint64_t *first;               /* of the GIC, at power on: gic_count values */
	struct counter time;
};

struct arch_vcpu {
	struct whole_vcpu whole;
};

/* The instance of "dev-arm-gicv3". */
struct gic {
	struct kvm *k;
	struct mt_inst *inst;
	const struct mt_props_host *props;
};

/* chip.c */
extern const struct mt_role gic_roles[];
extern const size_t gic_role_count;
/* [any] The number of its inputs. */
uint32_t gic_spis(const struct gic *gic);

/* gic.c. [main]. gic_create refuses a machine file that names none; gic_start: when all vCPUs are there. */
int gic_create(struct kvm *k, struct mt_error *err);
int gic_start(struct kvm *k, struct mt_error *err);
void gic_close(struct kvm *k);
/* All of its registers as values in a fixed order, which depends on numbers of vCPUs and inputs alone. 0 or -errno. */
uint32_t gic_count(const struct kvm *k);
int gic_get(const struct kvm *k, uint64_t *values);
int gic_set(const struct kvm *k, const uint64_t *values);
/* Back to power on, but for the levels of its inputs, which are the devices'. */
int gic_reset(const struct kvm *k);

#endif
