/* SPDX-License-Identifier: MIT */
/* cpu-kvm's GICv3 of arm64 hosts, and the device tree's nodes, against the tests' KVM: see test-arm64.c. */
#include "arm64-kvm.h"
#include "steps.h"
#include "tree.h"

/* Addresses of the architecture (IHI 0069, chapter 12): the first and the last of each kind. */
START_TEST(registers_of_the_gic)
{
	static const struct { uint32_t group; uint64_t number; } all[] = {
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x84 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x88 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x108 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x208 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x308 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x420 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x45c }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc08 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc14 }, { KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x6100 },
		{ KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0x62fc },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 0x14 }, { KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10080 },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10100 },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x1041c },
		{ KVM_DEV_ARM_VGIC_GRP_REDIST_REGS, 1ull << 32 | 0x10c04 },
		{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 0 }, { KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 1ull << 32 },
		{ KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 32 }, { KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO, 64 },
		{ KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 0xc230 }, { KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS, 1ull << 32 | 0xc667 },
	};
	uint32_t count;

	up();
	count = vm.count;
	for (uint32_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		gic_reg(all[i].group, all[i].number);
		ck_assert_msg(vm.count == count, "group %u, 0x%llx was not read", all[i].group,
			      (unsigned long long)all[i].number);
	}
	/* ctlr; 2 blocks of 14 with 64 routes and levels; 2 vCPUs with their block of 13, waker, levels and interface */
	ck_assert_uint_eq(count, 1 + 2 * (14 + 64 + 1) + 2 * (13 + 1 + 1 + 9));
}
END_TEST

START_TEST(machines_without_a_gic_or_with_a_wrong_one)
{
	fake_prop(gic, "spis", "33");
	ck_assert_int_eq(bench_up(), MT_ERANGE);
	ck_assert_has(b.err.message, "multiple of 32");
	stop();
	start();
	devices_end();
	ck_assert_int_eq(bench_up(), MT_EINVAL);
	ck_assert_has(b.err.hint, "dev-arm-gicv3");
}
END_TEST

START_TEST(one_gic_of_this_accelerator)
{
	struct fake *second = fake_new("dev-arm-gicv3");

	ck_assert_int_eq(fake_create(second, &b.err), MT_EINVAL);
	ck_assert_has(b.err.message, "not the accelerator");
	fake_free(second);
	up();
	second = fake_new("dev-arm-gicv3");
	fake_accelerator(second, b.self);
	ck_assert_int_eq(fake_create(second, &b.err), MT_EBUSY);
	fake_free(second);
}
END_TEST

START_TEST(reset_is_power_on_but_for_the_wires)
{
	uint32_t group = KVM_DEV_ARM_VGIC_GRP_DIST_REGS, levels = KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO;

	up();
	*gic_reg(group, 0) = 7;
	*gic_reg(group, 0x104) = 0xff;         /* enabled */
	*gic_reg(group, 0x204) = 0xff;         /* pending */
	*gic_reg(group, 0x304) = 0xff;         /* active */
	*gic_reg(levels, 32) = 0x10;
	ck_assert_int_eq(fake_reset(gic, MT_RESET_WARM, &b.err), 0);
	ck_assert_uint_eq(*gic_reg(group, 0), 0);
	ck_assert_uint_eq(*gic_reg(group, 0x104), 0);
	ck_assert_uint_eq(*gic_reg(group, 0x204), 0);
	ck_assert_uint_eq(*gic_reg(group, 0x304), 0);
	/* what devices hold high stays so */
	ck_assert_uint_eq(*gic_reg(levels, 32), 0x10);
	shim.fail_request = KVM_SET_DEVICE_ATTR;
	shim.fail_error = -EIO;
	ck_assert_int_lt(fake_reset(gic, MT_RESET_WARM, &b.err), 0);
	ck_assert_has(b.err.message, "reset the interrupt controller");
}
END_TEST

START_TEST(lines)
{
	const struct mt_irq_sink *sink = fake_role(gic, MT_IFACE_IRQ_SINK);
	uint32_t cells[4];

	up();
	ck_assert_uint_eq(sink->input_count(fake_self(gic)), 64);
	sink->input_set(fake_self(gic), 4, 1);
	ck_assert_uint_eq(vm.line, 1u << 24 | 36);
	ck_assert_uint_eq(vm.level, 1);
	sink->input_set(fake_self(gic), 4, 0);
	ck_assert_uint_eq(vm.level, 0);
	ck_assert_uint_eq(sink->fdt_cells(fake_self(gic), 4, cells), 3);
	ck_assert(cells[0] == 0 && cells[1] == 4 && cells[2] == 4);
}
END_TEST

START_TEST(lines_by_eventfds)
{
	const struct mt_cpu_eventfd *role = fake_role(gic, MT_IFACE_CPU_EVENTFD);

	up();
	ck_assert_int_eq(role->line_take(fake_self(gic), 4, 20, 21), 0);
	ck_assert(vm.irqfd.fd == 20 && vm.irqfd.gsi == 4 && vm.irqfd.resamplefd == 21);
	ck_assert_uint_eq(vm.irqfd.flags, KVM_IRQFD_FLAG_RESAMPLE);
	role->line_give(fake_self(gic), 4, 20, 21);
	ck_assert_uint_eq(vm.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
	shim.fail_request = KVM_IRQFD;
	shim.fail_error = -EINVAL;
	ck_assert_int_eq(role->line_take(fake_self(gic), 4, 20, -1), MT_EHOST);
}
END_TEST

/* The device tree */

static const char *tree_of(const struct mt_fdt_node *node, void *self)
{
	tree[0] = 0;
	ck_assert_int_eq(node->describe(self, NULL, &tree_writer, &b.err), 0);
	return tree;
}

START_TEST(device_tree)
{
	up();
	ck_assert(!strcmp(tree_of(fake_role(b.f, MT_IFACE_FDT_NODE), b.self),
			  "node=cpu@0\nphandle=100\ndevice_type=cpu\nreg=0\ncompatible=arm,armv8\nenable-method=psci\nnode=\n"
			  "node=cpu@1\nphandle=101\ndevice_type=cpu\nreg=1\ncompatible=arm,armv8\nenable-method=psci\nnode=\n"));
	ck_assert(!strcmp(tree_of(fake_role(b.f, MT_IFACE_FDT_SYSTEM), b.self),
			  "node=psci\ncompatible=arm,psci-1.0\ncompatible=arm,psci-0.2\nmethod=hvc\nnode=\n"));
	tree_of(fake_role(gic, MT_IFACE_FDT_NODE), fake_self(gic));
	ck_assert_has(tree, "node=interrupt-controller@8000000\nphandle=300\ncompatible=arm,gic-v3\n");
	/* distributor, and 128 KiB for each of two vCPUs */
	ck_assert_has(tree, "reg=0\nreg=134217728\nreg=0\nreg=65536\nreg=0\nreg=167772160\nreg=0\nreg=262144\n");
	ck_assert_has(tree, "interrupt-controller=\n#interrupt-cells=3\n");
	ck_assert_has(tree, "node=timer\ncompatible=arm,armv8-timer\ninterrupts-extended=300\ninterrupts-extended=1\n"
		      "interrupts-extended=13\ninterrupts-extended=4\n");
	ck_assert_has(tree, "interrupts-extended=11\ninterrupts-extended=4\ninterrupts-extended=300\n");
}
END_TEST

START_TEST(no_device_tree_before_there_is_a_cpu)
{
	const struct mt_fdt_node *node = fake_role(b.f, MT_IFACE_FDT_NODE);

	shim.max_vcpus = 1;
	ck_assert_int_lt(bench_up(), 0);
	ck_assert_int_eq(node->describe(b.self, NULL, &tree_writer, &b.err), MT_ENOTSUP);
}
END_TEST

/* State */

static struct fake_state *gic_saved(void)
{
	const struct mt_state_class *cls = fake_role(gic, MT_IFACE_STATE);
	struct fake_state *s = fake_state_new();

	ck_assert_int_eq(cls->save(fake_self(gic), fake_state_out(s), &fake_state_writer, &b.err), 0);
	return s;
}

static int gic_loaded(struct fake_state *s)
{
	const struct mt_state_class *cls = fake_role(gic, MT_IFACE_STATE);

	return cls->load(fake_self(gic), fake_state_in(s), &fake_state_reader, 1, &b.err);
}

START_TEST(state_of_the_gic_goes_round)
{
	struct fake_state *s, *again;

	up();
	for (uint32_t i = 0; i < vm.count; i++)
		vm.regs[i].value = i * 3 + 1;
	s = gic_saved();
	stop();
	start();
	up();
	/* what was set before must go */
	for (uint32_t i = 0; i < vm.count; i++)
		vm.regs[i].value = UINT32_MAX;
	ck_assert_int_eq(gic_loaded(s), 0);
	ck_assert(!fake_state_left(s));
	again = gic_saved();
	ck_assert_msg(!fake_state_differs(s, again), "%s", fake_state_differs(s, again));
	shim.fail_request = KVM_SET_DEVICE_ATTR;
	shim.fail_error = -EIO;
	ck_assert_int_lt(gic_loaded(again), 0);
	ck_assert_has(b.err.message, "does not take the state of its interrupt controller");
	fake_state_free(s);
	fake_state_free(again);
}
END_TEST

START_TEST(states_that_cannot_be)
{
	const struct mt_state_class *cls = fake_role(gic, MT_IFACE_STATE);
	struct fake_state *s;

	up();
	s = gic_saved();
	fake_state_resize(s, fake_state_find(s, "registers"), 7);
	ck_assert_int_lt(gic_loaded(s), 0);
	fake_state_free(s);
	s = fake_state_new();
	shim.fail_request = KVM_GET_DEVICE_ATTR;
	shim.fail_error = -EIO;
	ck_assert_int_lt(cls->save(fake_self(gic), fake_state_out(s), &fake_state_writer, &b.err), 0);
	ck_assert_has(b.err.message, "its interrupt controller");
	fake_state_free(s);
}
END_TEST

int main(void)
{
	static const struct plain_test tests[] = {
		TEST(registers_of_the_gic), TEST(machines_without_a_gic_or_with_a_wrong_one), TEST(one_gic_of_this_accelerator),
		TEST(reset_is_power_on_but_for_the_wires), TEST(lines), TEST(lines_by_eventfds), TEST(device_tree),
		TEST(no_device_tree_before_there_is_a_cpu), TEST(state_of_the_gic_goes_round), TEST(states_that_cannot_be),
	};

	return plain_run(start, stop, tests, sizeof(tests) / sizeof(tests[0]));
}
