/* SPDX-License-Identifier: MIT */
/*
 * KVM's GICv3: distributor, a redistributor for each vCPU, and their CPU interfaces. [main].
 * Its registers are read and written as Documentation/virt/kvm/devices/arm-vgic-v3.rst says; their layout is that of
 * the GIC architecture (Arm IHI 0069, chapter 12).
 *
 * Easy to break: registers that set bits by ones (enables, actives) need the ones that clear them written first; those
 * of pending interrupts are written as they are.
 */
#include <errno.h>
#include <stdlib.h>
#include <util/error.h>

#include "arm64.h"

/* Distributor, and the redistributor's second frame */
#define CTLR       0x0000u
#define IGROUPR    0x0080u
#define ISENABLER  0x0100u
#define ICENABLER  0x0180u
#define ISPENDR    0x0200u
#define ISACTIVER  0x0300u
#define ICACTIVER  0x0380u
#define IPRIORITYR 0x0400u
#define ICFGR      0x0c00u
#define IROUTER    0x6000u
#define WAKER      0x0014u
#define SGI_FRAME  0x10000u

/* One that is moved. */
struct gic_reg {
	uint32_t group;
	uint64_t attr;
	uint64_t clear;                /* written with ones before; 0: none */
};

/* Where a list of registers goes to: NULL counts them. */
struct gic_list {
	struct gic_reg *regs;
	uint32_t count;
};

static void add(struct gic_list *list, uint32_t group, uint64_t attr, uint64_t clear)
{
	if (list->regs)
		list->regs[list->count] = (struct gic_reg){ group, attr, clear };
	list->count++;
}

/* The 32 interrupts from `first` on, whose registers begin at `base`: of the distributor, or of a vCPU. */
static void add_block(struct gic_list *list, uint32_t group, uint64_t base, uint32_t first)
{
	uint64_t bits = base + first / 8;

	add(list, group, bits + IGROUPR, 0);
	for (uint32_t i = 0; i < 8; i++)
		add(list, group, base + IPRIORITYR + first + i * 4, 0);
	/* how SGIs trigger is fixed */
	if (first)
		add(list, group, base + ICFGR + first / 4, 0);
	add(list, group, base + ICFGR + first / 4 + 4, 0);
	add(list, group, bits + ISENABLER, bits + ICENABLER);
	add(list, group, bits + ISPENDR, 0);
	add(list, group, bits + ISACTIVER, bits + ICACTIVER);
}

static uint64_t cpu_of(uint64_t mpidr)
{
	uint64_t affinity = (mpidr & 0xffffff) | (mpidr >> 8 & 0xff000000);

	return affinity << KVM_DEV_ARM_VGIC_V3_MPIDR_SHIFT;
}

static uint64_t level_of(uint32_t first)
{
	return (uint64_t)VGIC_LEVEL_INFO_LINE_LEVEL << KVM_DEV_ARM_VGIC_LINE_LEVEL_INFO_SHIFT | first;
}

#define SYSREG(op0, op1, crn, crm, op2) ((op0) << 14 | (op1) << 11 | (crn) << 7 | (crm) << 3 | (op2))

/* ICC_SRE, CTLR, PMR, BPR0, BPR1, AP0R0, AP1R0, IGRPEN0, IGRPEN1, all _EL1 */
static const uint32_t interface[] = {
	SYSREG(3, 0, 12, 12, 5), SYSREG(3, 0, 12, 12, 4), SYSREG(3, 0, 4, 6, 0), SYSREG(3, 0, 12, 8, 3),
	SYSREG(3, 0, 12, 12, 3), SYSREG(3, 0, 12, 8, 4), SYSREG(3, 0, 12, 9, 0), SYSREG(3, 0, 12, 12, 6),
	SYSREG(3, 0, 12, 12, 7),
};

static void add_vcpu(struct gic_list *list, uint64_t mpidr)
{
	uint64_t cpu = cpu_of(mpidr);

	add(list, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, cpu | WAKER, 0);
	add_block(list, KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, cpu | SGI_FRAME, 0);
	add(list, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, cpu | level_of(0), 0);
	for (uint32_t i = 0; i < sizeof(interface) / sizeof(interface[0]); i++)
		add(list, KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, cpu | interface[i], 0);
}

static void list_all(const struct kvm *k, struct gic_list *list)
{
	const struct arch_vm *a = k->arch;
	uint32_t spis = gic_spis(k->gic);

	add(list, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, CTLR, 0);
	for (uint32_t first = GIC_PRIVATE; first < GIC_PRIVATE + spis; first += 32) {
		add_block(list, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0, first);
		for (uint32_t i = first; i < first + 32; i++) {
			add(list, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, IROUTER + i * 8, 0);
			add(list, KVM_DEV_ARM_VGIC_GRP_DIST_REGS, IROUTER + i * 8 + 4, 0);
		}
		add(list, KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, level_of(first), 0);
	}
	for (uint32_t i = 0; i < a->vcpus; i++)
		add_vcpu(list, a->mpidr[i]);
}

static int attr(const struct kvm *k, unsigned long request, uint32_t group, uint64_t number, void *value)
{
	struct kvm_device_attr a = { .group = group, .attr = number, .addr = (uintptr_t)value };
	int code = kvm_ops.ioctl(k->arch->gic_fd, request, (uintptr_t)&a);

	return code < 0 ? code : 0;
}

/* Registers of the CPU interface have 8 bytes, all others 4. */
static int reg_move(const struct kvm *k, unsigned long request, uint32_t group, uint64_t number, uint64_t *value)
{
	uint32_t word = (uint32_t)*value;
	int code;

	if (group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS)
		return attr(k, request, group, number, value);
	code = attr(k, request, group, number, &word);
	*value = word;
	return code;
}

static int reg_set(const struct kvm *k, const struct gic_reg *r, uint64_t value)
{
	uint64_t ones = UINT32_MAX;
	int code = r->clear ? reg_move(k, KVM_SET_DEVICE_ATTR, r->group, r->clear, &ones) : 0;

	return code < 0 ? code : reg_move(k, KVM_SET_DEVICE_ATTR, r->group, r->attr, &value);
}

uint32_t gic_count(const struct kvm *k)
{
	struct gic_list list = { 0 };

	list_all(k, &list);
	return list.count;
}

static struct gic_reg *list_new(const struct kvm *k, uint32_t *count)
{
	struct gic_list list = { .regs = calloc(gic_count(k), sizeof(*list.regs)) };

	if (list.regs)
		list_all(k, &list);
	*count = list.count;
	return list.regs;
}

int gic_get(const struct kvm *k, uint64_t *values)
{
	uint32_t count;
	struct gic_reg *regs = list_new(k, &count);
	int code = regs ? 0 : -ENOMEM;

	for (uint32_t i = 0; code == 0 && i < count; i++) {
		values[i] = 0;
		code = reg_move(k, KVM_GET_DEVICE_ATTR, regs[i].group, regs[i].attr, &values[i]);
	}
	free(regs);
	return code;
}

static int all_set(const struct kvm *k, const uint64_t *values, bool with_levels)
{
	uint32_t count;
	struct gic_reg *regs = list_new(k, &count);
	int code = regs ? 0 : -ENOMEM;

	for (uint32_t i = 0; code == 0 && i < count; i++)
		if (with_levels || regs[i].group != KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO)
			code = reg_set(k, &regs[i], values[i]);
	free(regs);
	return code;
}

int gic_set(const struct kvm *k, const uint64_t *values)
{
	return all_set(k, values, true);
}

int gic_reset(const struct kvm *k)
{
	return all_set(k, k->arch->first, false);
}

/* Life */

int gic_create(struct kvm *k, struct mt_error *err)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	int code;

	if (!k->gic) {
		mt_error_set(err, MT_EINVAL, "irqchip", "KVM's timers need its interrupt controller, and the file has none");
		return mt_error_hint(err, "add a [device gic] with plugin = dev-arm-gicv3"), MT_EINVAL;
	}
	code = vm_ioctl(k, KVM_CREATE_DEVICE, &device);
	if (code < 0) {
		mt_error_set(err, MT_EHOST, "plugin", "KVM of this host has no GICv3");
		return mt_error_hint(err, "the host's own interrupt controller must be a GICv3 or later"), MT_EHOST;
	}
	k->arch->gic_fd = (int)device.fd;
	return 0;
}

int gic_start(struct kvm *k, struct mt_error *err)
{
	const struct gic *gic = k->gic;
	uint64_t distributor = gic->props->get_u64(gic->inst, "at");
	/* all redistributors in one region, number 0 */
	uint64_t region = gic->props->get_u64(gic->inst, "redist-at") | (uint64_t)k->vcpu_count << 52;
	uint32_t interrupts = GIC_PRIVATE + gic_spis(gic);
	int code = attr(k, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &interrupts);

	if (code == 0)
		code = attr(k, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &distributor);
	if (code == 0)
		code = attr(k, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION,
			    &region);
	if (code == 0)
		code = attr(k, KVM_SET_DEVICE_ATTR, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
	if (code < 0)
		return vm_refuse(err, "plugin", "set up the interrupt controller", code);
	k->arch->first = calloc(gic_count(k), sizeof(*k->arch->first));
	if (!k->arch->first)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = gic_get(k, k->arch->first);
	return code < 0 ? vm_refuse(err, "plugin", "learn the state of the interrupt controller", code) : 0;
}

void gic_close(struct kvm *k)
{
	if (k->arch->gic_fd >= 0)
		kvm_ops.close(k->arch->gic_fd);
	k->arch->gic_fd = -1;
	free(k->arch->first);
	k->arch->first = NULL;
}
