/* SPDX-License-Identifier: MIT */
/* Bindings that KVM takes over: what it is asked for, and that what it refuses is left to the kernel. */
#include <errno.h>
#include <fake/check-run.h>

#include "shim.h"

static const struct mt_cpu_eventfd *eventfd, *ioapic, *pic;

static void start_with(const char *irqchip)
{
	shim_start();
	bench_new(1);
	fake_prop(b.f, "irqchip", irqchip);
	eventfd = fake_role(b.f, MT_IFACE_CPU_EVENTFD);
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	if (!bench_chips[CHIP_IOAPIC])
		return;
	ioapic = fake_role(bench_chips[CHIP_IOAPIC], MT_IFACE_CPU_EVENTFD);
	pic = fake_role(bench_chips[CHIP_PIC], MT_IFACE_CPU_EVENTFD);
	ck_assert_ptr_null(ioapic->write_take);
}

static int line_take(uint32_t input, int fd, int resample_fd)
{
	return ioapic->line_take(chip_self(CHIP_IOAPIC), input, fd, resample_fd);
}

static void start(void)
{
	start_with("kernel");
}

static void stop(void)
{
	bench_down();
	ck_assert_uint_eq(shim.open_fds, 0);
	shim_stop();
}

START_TEST(writes)
{
	struct mt_write_match match = { .size = sizeof(match), .gpa = 0x40003004, .width = 2 };

	ck_assert_int_eq(eventfd->write_take(b.self, &match, 20), 0);
	ck_assert_uint_eq(shim.ioeventfd.addr, 0x40003004);
	ck_assert_uint_eq(shim.ioeventfd.len, 2);
	ck_assert_int_eq(shim.ioeventfd.fd, 20);
	ck_assert_uint_eq(shim.ioeventfd.flags, 0);
	match.gpa = 0x510;
	match.value = 3;
	match.flags = MT_WRITE_PORT | MT_WRITE_VALUE;
	ck_assert_int_eq(eventfd->write_take(b.self, &match, 21), 0);
	ck_assert_uint_eq(shim.ioeventfd.flags, KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH);
	ck_assert_uint_eq(shim.ioeventfd.datamatch, 3);
	ck_assert_int_eq(shim.ioeventfds, 2);
	eventfd->write_give(b.self, &match, 21);
	ck_assert_uint_eq(shim.ioeventfd.flags,
			  KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_DEASSIGN);
	ck_assert_int_eq(shim.ioeventfd.fd, 21);
	ck_assert_int_eq(shim.ioeventfds, 1);
	/* what a later kernel may ask for */
	match.flags = 4;
	ck_assert_int_eq(eventfd->write_take(b.self, &match, 21), MT_ENOTSUP);
	ck_assert_int_eq(shim.ioeventfds, 1);
}
END_TEST

START_TEST(lines)
{
	ck_assert_int_eq(line_take(16, 20, -1), 0);
	ck_assert_uint_eq(shim.irqfd.fd, 20);
	ck_assert_uint_eq(shim.irqfd.gsi, routes_gsi_ioapic(16));
	ck_assert_uint_eq(shim.irqfd.flags, 0);
	ck_assert_int_eq(line_take(17, 22, 23), 0);
	ck_assert_uint_eq(shim.irqfd.flags, KVM_IRQFD_FLAG_RESAMPLE);
	ck_assert_uint_eq(shim.irqfd.resamplefd, 23);
	ck_assert_int_eq(shim.irqfds, 2);
	ioapic->line_give(chip_self(CHIP_IOAPIC), 17, 22, 23);
	ck_assert_uint_eq(shim.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
	ck_assert_uint_eq(shim.irqfd.gsi, routes_gsi_ioapic(17));
	ck_assert_int_eq(shim.irqfds, 1);
	/* the 8259A follows the inputs of the ISA bus, which KVM does not know */
	ck_assert_int_eq(line_take(5, 24, -1), MT_ENOTSUP);
	ck_assert_int_eq(pic->line_take(chip_self(CHIP_PIC), 5, 24, -1), 0);
	ck_assert_uint_eq(shim.irqfd.gsi, routes_gsi_pic(5));
	pic->line_give(chip_self(CHIP_PIC), 5, 24, -1);
	ck_assert_uint_eq(shim.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
	ck_assert_int_eq(shim.irqfds, 1);
}
END_TEST

START_TEST(writes_with_controllers_of_devices)
{
	struct mt_write_match match = { .size = sizeof(match), .gpa = 0x40003004, .width = 4 };

	stop();
	start_with("user");
	ck_assert_int_eq(eventfd->write_take(b.self, &match, 20), 0);
}
END_TEST

/* No room, no such thing in this kernel, and no descriptor: the kernel serves it. */
START_TEST(refusals)
{
	static const int errors[] = { -ENOSPC, -ENOTTY, -EBADF, -EEXIST, -ENOMEM };
	struct mt_write_match match = { .size = sizeof(match), .gpa = 0x40003004, .width = 4 };

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		shim.fail_error = errors[i];
		shim.fail_request = KVM_IOEVENTFD;
		ck_assert_int_eq(eventfd->write_take(b.self, &match, 20), MT_EHOST);
		shim.fail_request = KVM_IRQFD;
		ck_assert_int_eq(line_take(20, 20, -1), MT_EHOST);
	}
	ck_assert_int_eq(shim.ioeventfds + shim.irqfds, 0);
}
END_TEST

/* The machine is being taken down: there is nothing to ask. */
START_TEST(without_a_machine)
{
	struct mt_write_match match = { .size = sizeof(match), .gpa = 0x40003004, .width = 4 };

	b.cls->vcpu_destroy(b.vcpu[0]);
	b.vcpu[0] = NULL;
	b.cls->unrealize(b.self);
	ck_assert_int_eq(eventfd->write_take(b.self, &match, 20), MT_ENOTSUP);
	ck_assert_int_eq(line_take(20, 20, -1), MT_ENOTSUP);
	ck_assert_int_eq(shim.ioeventfds + shim.irqfds, 0);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-eventfd", start, stop, writes, lines, writes_with_controllers_of_devices, refusals, without_a_machine);
}
