/* SPDX-License-Identifier: MIT */
/* Bindings that KVM takes over: what it is asked for, and that what it refuses is left to the kernel. */
#include <errno.h>
#include <fake/check-run.h>

#include "steps.h"

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

/* Messages */

#define MESSAGE(n) { 0xfee01000u, 0x40u + (n), 30 + (n) }

static int take(const struct mt_message *messages, uint32_t count)
{
	return eventfd->messages_take(b.self, messages, count);
}

/* The number that KVM's table has for a message; 0: none. */
static uint32_t gsi_of(const struct mt_message *m)
{
	for (uint32_t i = 0; i < shim.route_count; i++)
		if (shim.routes[i].type == KVM_IRQ_ROUTING_MSI && shim.routes[i].gsi >= MESSAGES_GSI &&
		    shim.routes[i].u.msi.address_lo == m->addr && !shim.routes[i].u.msi.address_hi &&
		    shim.routes[i].u.msi.data == m->data)
			return shim.routes[i].gsi;
	return 0;
}

/* Many are one table; what comes again needs none; what is new takes a free place. The inputs stay where they are. */
static void messages_of(const char *irqchip, uint32_t inputs)
{
	const struct mt_message list[] = { MESSAGE(0), MESSAGE(1), MESSAGE(2) }, other = MESSAGE(3);
	uint32_t changes;

	stop();
	start_with(irqchip);
	changes = shim.route_changes;
	ck_assert_int_eq(take(list, 3), 0);
	ck_assert_uint_eq(shim.route_changes, changes + 1);
	ck_assert_uint_eq(shim.route_count, inputs + 3);
	ck_assert_int_eq(shim.irqfds, 3);
	ck_assert_uint_eq(shim.irqfd.fd, 32);
	ck_assert_uint_eq(shim.irqfd.flags, 0);
	ck_assert_uint_eq(shim.irqfd.gsi, gsi_of(&list[2]));
	ck_assert(gsi_of(&list[0]) && gsi_of(&list[1]) && gsi_of(&list[0]) != gsi_of(&list[1]));
	eventfd->messages_give(b.self, list + 1, 2);
	ck_assert_int_eq(shim.irqfds, 1);
	ck_assert_uint_eq(shim.irqfd.flags, KVM_IRQFD_FLAG_DEASSIGN);
	ck_assert_uint_eq(shim.irqfd.fd, 32);
	ck_assert_uint_eq(shim.irqfd.gsi, gsi_of(&list[2]));
	ck_assert_int_eq(take(list + 1, 1), 0);
	ck_assert_uint_eq(shim.irqfd.gsi, gsi_of(&list[1]));
	ck_assert_uint_eq(shim.route_changes, changes + 1);
	ck_assert_int_eq(take(&other, 1), 0);
	ck_assert_uint_eq(shim.route_changes, changes + 2);
	ck_assert_uint_eq(shim.irqfd.gsi, gsi_of(&other));
	ck_assert_int_eq(shim.irqfds, 3);
}

START_TEST(messages)
{
	/* 24 inputs of the I/O APIC and 15 of the 8259A; the timer's number is twice in the table */
	messages_of("kernel", 24 + 15 + 2);
	messages_of("split", 0);
}
END_TEST

/* All or none: nothing is left behind, and the next time it works. */
START_TEST(messages_refused)
{
	const struct mt_message list[] = { MESSAGE(0), MESSAGE(1) }, elsewhere = { 0xfed00000, 0x40, 30 };
	const struct mt_message high = { 0x1fee00000, 0x40, 30 }, level = { 0xfee00000, 0x8040, 30 };
	static struct mt_message many[MESSAGES_MAX + 1];

	stop();
	start_with("split");
	ck_assert_int_eq(take(&elsewhere, 1), MT_ENOTSUP);
	ck_assert_int_eq(take(&high, 1), MT_ENOTSUP);
	ck_assert_int_eq(take(&level, 1), MT_ENOTSUP);         /* its end has to come out */
	shim.fail_error = -ENOMEM;
	shim.fail_request = KVM_SET_GSI_ROUTING;
	ck_assert_int_eq(take(list, 2), MT_EHOST);
	ck_assert_int_eq(shim.irqfds, 0);
	for (uint32_t i = 0; i < 2; i++) {
		/* the first, then the second */
		shim.fail_error = -EBUSY;
		shim.fail_request = i ? 0 : KVM_IRQFD;
		shim.fail_at = i ? shim.calls + 2 : 0;
		ck_assert_int_eq(take(list, 2), MT_EHOST);
		ck_assert_int_eq(shim.irqfds, 0);
		ck_assert_uint_eq(shim.failed, KVM_IRQFD);
	}
	shim.fail_at = 0;
	for (uint32_t i = 0; i <= MESSAGES_MAX; i++)
		many[i] = (struct mt_message){ 0xfee00000, 0x100 + i, (int)i };
	ck_assert_int_eq(take(many, MESSAGES_MAX + 1), MT_EHOST);
	ck_assert_int_eq(take(many, MESSAGES_MAX), 0);
	ck_assert_int_eq(shim.irqfds, (int)MESSAGES_MAX);
	ck_assert_int_eq(take(&many[MESSAGES_MAX], 1), MT_EHOST);
	stop();
	/* without KVM's local APICs */
	start_with("user");
	ck_assert_int_eq(take(list, 2), MT_ENOTSUP);
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
	const struct mt_message message = MESSAGE(0);

	b.cls->vcpu_destroy(b.vcpu[0]);
	b.vcpu[0] = NULL;
	b.cls->unrealize(b.self);
	ck_assert_int_eq(eventfd->write_take(b.self, &match, 20), MT_ENOTSUP);
	ck_assert_int_eq(line_take(20, 20, -1), MT_ENOTSUP);
	ck_assert_int_eq(take(&message, 1), MT_ENOTSUP);
	ck_assert_int_eq(shim.ioeventfds + shim.irqfds, 0);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-eventfd", start, stop, writes, lines, messages, messages_refused,
		  writes_with_controllers_of_devices, refusals, without_a_machine);
}
