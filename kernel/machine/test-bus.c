/* SPDX-License-Identifier: MIT */
/* Accesses to regions: splitting and widening, refusals, re-entrancy, eventfds, messages, leaving. */
#include <sys/eventfd.h>

#include "kernel/machine/irq.h"
#include "kernel/machine/test-services.h"

/* "dev" takes messages, "registers" does not. */
static const int msi_target;
const struct bench_role bench_roles[] = { { "dev", "mortise.msi-target/1", &msi_target }, { 0 } };

/* A device of 64 bytes, byte n reading as n, that writes down what it is asked. */
struct dev {
	struct mt_inst *inst;
	struct mt_region *region;
	char trace[256];
	uint32_t answer;
	int (*hook)(struct dev *dev);
};

static uint32_t dev_read(void *self, const struct mt_access *access, uint64_t *value)
{
	struct dev *dev = self;
	size_t used = strlen(dev->trace);

	snprintf(dev->trace + used, sizeof(dev->trace) - used, "r%u@%llx ", access->width,
		 (unsigned long long)access->offset);
	*value = ~0ull << 32 << 24;            /* more than was asked for: the kernel cuts it off */
	for (unsigned i = 0; i < access->width; i++)
		*value = (*value & ~(0xffull << 8 * i)) | (access->offset + i) << 8 * i;
	if (dev->hook)
		dev->hook(dev);
	return dev->answer;
}

static uint32_t dev_write(void *self, const struct mt_access *access, uint64_t value)
{
	struct dev *dev = self;
	size_t used = strlen(dev->trace);

	snprintf(dev->trace + used, sizeof(dev->trace) - used, "w%u@%llx=%llx ", access->width,
		 (unsigned long long)access->offset, (unsigned long long)value);
	if (dev->hook)
		dev->hook(dev);
	return dev->answer;
}

static const struct mt_region_ops dev_ops = { dev_read, dev_write };
static const struct mt_access from = { .vcpu = 0 };

static struct dev *dev_create_of(struct machine *m, const char *id, const char *class_name, uint32_t class_flags,
				 uint64_t at, uint32_t flags, uint32_t width_min, uint32_t width_max)
{
	struct mt_region_desc desc = { .size = sizeof(desc), .flags = flags, .name = "regs", .len_bytes = 64,
				       .width_min = width_min, .width_max = width_max, .ops = &dev_ops };
	struct dev *dev = calloc(1, sizeof(*dev));

	dev->inst = bench_inst(m, id, class_name, class_flags, dev, NULL);
	inst_own(dev->inst, free, dev);
	dev->region = bus_mmio_host.region_add(dev->inst, &desc, NULL);
	ck_assert_ptr_nonnull(dev->region);
	ck_assert_int_eq(bus_region_place(dev->region, at, NULL), 0);
	return dev;
}

static struct dev *dev_create(struct machine *m, const char *id, uint32_t class_flags, uint64_t at,
			      uint32_t flags, uint32_t width_min, uint32_t width_max)
{
	return dev_create_of(m, id, "dev", class_flags, at, flags, width_min, width_max);
}

static uint32_t read_at(struct machine *m, uint64_t addr, uint32_t width, uint64_t *value)
{
	const struct mt_flat_view *view = space_view_get(m->system);
	uint32_t result = bus_read(view_find(view, addr), addr, width, &from, value);

	space_view_put(m->system, view);
	return result;
}

static uint32_t write_at(struct machine *m, uint64_t addr, uint32_t width, uint64_t value)
{
	const struct mt_flat_view *view = space_view_get(m->system);
	uint32_t result = bus_write(view_find(view, addr), addr, width, &from, value);

	space_view_put(m->system, view);
	return result;
}

static const struct {
	uint32_t flags, width_min, width_max, offset, width, result;
	const char *reads;
	uint32_t write_result;
	const char *writes;
} splits[] = {
	/* declared widths go through */
	{ 0, 1, 4, 4, 1, MT_BUS_OK, "r1@4 ", MT_BUS_OK, "w1@4=88 " },
	{ 0, 1, 4, 4, 4, MT_BUS_OK, "r4@4 ", MT_BUS_OK, "w4@4=55667788 " },
	{ 0, 8, 8, 8, 8, MT_BUS_OK, "r8@8 ", MT_BUS_OK, "w8@8=1122334455667788 " },
	/* wide ones are split, low address first */
	{ 0, 1, 4, 8, 8, MT_BUS_OK, "r4@8 r4@c ", MT_BUS_OK, "w4@8=55667788 w4@c=11223344 " },
	{ 0, 1, 1, 2, 4, MT_BUS_OK, "r1@2 r1@3 r1@4 r1@5 ", MT_BUS_OK, "w1@2=88 w1@3=77 w1@4=66 w1@5=55 " },
	/* misaligned ones into aligned parts */
	{ 0, 1, 4, 1, 4, MT_BUS_OK, "r1@1 r2@2 r1@4 ", MT_BUS_OK, "w1@1=88 w2@2=6677 w1@4=55 " },
	{ 0, 1, 8, 4, 8, MT_BUS_OK, "r4@4 r4@8 ", MT_BUS_OK, "w4@4=55667788 w4@8=11223344 " },
	{ MT_REGION_UNALIGNED, 1, 8, 3, 8, MT_BUS_OK, "r8@3 ", MT_BUS_OK, "w8@3=1122334455667788 " },
	{ MT_REGION_UNALIGNED, 1, 4, 3, 8, MT_BUS_OK, "r4@3 r4@7 ", MT_BUS_OK,
	  "w4@3=55667788 w4@7=11223344 " },
	/* narrow reads take the whole register, narrow writes have no wider form */
	{ 0, 4, 4, 6, 1, MT_BUS_OK, "r4@4 ", MT_BUS_DEVICE, "" },
	{ 0, 4, 4, 6, 2, MT_BUS_OK, "r4@4 ", MT_BUS_DEVICE, "" },
	{ 0, 4, 4, 2, 4, MT_BUS_OK, "r4@0 r4@4 ", MT_BUS_DEVICE, "" },
	{ 0, 4, 4, 2, 8, MT_BUS_OK, "r4@0 r4@4 r4@8 ", MT_BUS_DEVICE, "" },
	{ 0, 8, 8, 63, 1, MT_BUS_OK, "r8@38 ", MT_BUS_DEVICE, "" },
	/* strict regions refuse all that */
	{ MT_REGION_STRICT, 4, 4, 4, 4, MT_BUS_OK, "r4@4 ", MT_BUS_OK, "w4@4=55667788 " },
	{ MT_REGION_STRICT, 4, 4, 4, 8, MT_BUS_DEVICE, "", MT_BUS_DEVICE, "" },
	{ MT_REGION_STRICT, 4, 4, 4, 1, MT_BUS_DEVICE, "", MT_BUS_DEVICE, "" },
	{ MT_REGION_STRICT, 1, 4, 5, 4, MT_BUS_DEVICE, "", MT_BUS_DEVICE, "" },
	/* the end, and widths that are none */
	{ 0, 1, 4, 63, 2, MT_BUS_DECODE, "", MT_BUS_DECODE, "" },
	{ 0, 1, 4, 60, 8, MT_BUS_DECODE, "", MT_BUS_DECODE, "" },
	{ 0, 1, 4, 0, 3, MT_BUS_DECODE, "", MT_BUS_DECODE, "" },
	{ 0, 1, 4, 0, 0, MT_BUS_DECODE, "", MT_BUS_DECODE, "" },
	{ 0, 1, 4, 0, 16, MT_BUS_DECODE, "", MT_BUS_DECODE, "" },
};

START_TEST(access_is_normalised)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x1000, splits[_i].flags, splits[_i].width_min,
				     splits[_i].width_max);
	uint64_t value, expected = 0;

	for (unsigned i = 0; i < splits[_i].width && i < 8; i++)
		expected |= (uint64_t)(splits[_i].offset + i) << 8 * i;
	ck_assert_uint_eq(read_at(m, 0x1000 + splits[_i].offset, splits[_i].width, &value),
			  splits[_i].result);
	ck_assert_str_eq(dev->trace, splits[_i].reads);
	ck_assert_uint_eq(value, splits[_i].result == MT_BUS_OK ? expected : 0);
	dev->trace[0] = 0;
	ck_assert_uint_eq(write_at(m, 0x1000 + splits[_i].offset, splits[_i].width, 0x1122334455667788),
			  splits[_i].write_result);
	ck_assert_str_eq(dev->trace, splits[_i].writes);
	bench_destroy(m);
}
END_TEST

START_TEST(split_stops_at_an_error)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x1000, 0, 1, 4);
	uint64_t value = 1;

	dev->answer = MT_BUS_DEVICE;
	ck_assert_uint_eq(read_at(m, 0x1000, 8, &value), MT_BUS_DEVICE);
	ck_assert_uint_eq(value, 0);
	ck_assert_str_eq(dev->trace, "r4@0 ");
	dev->answer = MT_BUS_OK | MT_BUS_LEAVE;
	ck_assert_uint_eq(read_at(m, 0x1000, 8, &value), MT_BUS_OK | MT_BUS_LEAVE);
	bench_destroy(m);
}
END_TEST

START_TEST(gone_answers_gone)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x1000, 0, 1, 4);
	uint64_t value;

	dev->inst->state = INST_GONE;
	ck_assert_uint_eq(read_at(m, 0x1000, 4, &value), MT_BUS_GONE);
	ck_assert_uint_eq(write_at(m, 0x1000, 4, 0), MT_BUS_GONE);
	ck_assert_str_eq(dev->trace, "");
	dev->inst->state = INST_REALIZED;
	bench_destroy(m);
}
END_TEST

static uint32_t hook_result;

static int send_to_self(struct dev *dev)
{
	hook_result = bus_message(dev->inst, 0x1000, 1);
	return 0;
}

static int send_to_other(struct dev *dev)
{
	hook_result = bus_message(dev->inst, 0x2000, 0x1234);
	return 0;
}

START_TEST(device_is_not_entered_twice)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", MT_CLASS_PARALLEL, 0x1000, 0, 1, 4);

	dev->hook = send_to_self;
	ck_assert_uint_eq(write_at(m, 0x1000, 4, 7), MT_BUS_OK);
	ck_assert_uint_eq(hook_result, MT_BUS_DEVICE);
	ck_assert_str_eq(dev->trace, "w4@0=7 ");
	/* and round a corner: first -> second -> first */
	dev->hook = send_to_other;
	dev_create(m, "second", MT_CLASS_PARALLEL, 0x2000, 0, 1, 4)->hook = send_to_self;
	ck_assert_uint_eq(write_at(m, 0x1000, 4, 8), MT_BUS_OK);
	ck_assert_uint_eq(hook_result, MT_BUS_OK);
	ck_assert_str_eq(dev->trace, "w4@0=7 w4@0=8 ");
	bench_destroy(m);
}
END_TEST

static void send_vector(void *arg, uint32_t vector)
{
	hook_result = bus_message(arg, 0x1000, vector);
}

static int tell_end(struct dev *dev)
{
	dev->hook = send_to_self;
	msi_host.eoi(dev->inst, 9);
	return 0;
}

/* An I/O APIC's level that is still up when a vCPU ends its interrupt by a register of the target. */
START_TEST(end_of_a_message_brings_the_next)
{
	struct machine *m = bench_create();
	struct dev *target = dev_create(m, "target", MT_CLASS_PARALLEL, 0x1000, 0, 4, 4);
	struct mt_inst *sender = bench_inst(m, "sender", "dev", 0, NULL, "msi", "target", NULL);

	ck_assert_int_eq(msi_host.eoi_listen(sender, "msi", send_vector, sender, NULL), 0);
	target->hook = tell_end;
	ck_assert_uint_eq(write_at(m, 0x1000, 4, 7), MT_BUS_OK);
	ck_assert_uint_eq(hook_result, MT_BUS_OK);
	ck_assert_str_eq(target->trace, "w4@0=7 w4@0=9 ");
	/* and is inside again */
	ck_assert_uint_eq(write_at(m, 0x1000, 4, 8), MT_BUS_OK);
	ck_assert_uint_eq(hook_result, MT_BUS_DEVICE);
	bench_destroy(m);
}
END_TEST

START_TEST(message_reaches_targets_and_memory)
{
	struct machine *m = bench_create();
	struct mt_inst *sender = bench_inst(m, "sender", "dev", 0, NULL, NULL);
	struct dev *sink = dev_create(m, "sink", MT_CLASS_PARALLEL, 0x1000, 0, 4, 4);
	struct dev *plain = dev_create(m, "plain", 0, 0x2000, 0, 4, 4);
	struct dev *registers = dev_create_of(m, "registers", "registers", MT_CLASS_PARALLEL, 0x4000, 0, 4, 4);
	struct mt_ram *ram = ram_create(m->system, "ram", 0x1000, true, NULL);

	space_add_ram(m->system, ram, 0x80000000, NULL);
	ck_assert_uint_eq(bus_message(sender, 0x1008, 0xabcd), MT_BUS_OK);
	ck_assert_str_eq(sink->trace, "w4@8=abcd ");
	/* it may hold its own lock while it waits for this one's */
	ck_assert_uint_eq(bus_message(sender, 0x2008, 0xabcd), MT_BUS_DECODE);
	ck_assert_str_eq(plain->trace, "");
	/* its registers may want what the sender holds */
	ck_assert_uint_eq(bus_message(sender, 0x4000, 0xabcd), MT_BUS_DECODE);
	ck_assert_str_eq(registers->trace, "");
	ck_assert_uint_eq(bus_message(sender, 0x80000004, 0x11223344), MT_BUS_OK);
	ck_assert_uint_eq(ram->hva[7], 0x11);
	ck_assert_uint_eq(ram->dirty[MT_DIRTY_CODE][0], 1);
	ck_assert_uint_eq(bus_message(sender, 0x3000, 1), MT_BUS_DECODE);
	bench_destroy(m);
}
END_TEST

static int move_self(struct dev *dev)
{
	return bus_region_place(dev->region, 0x5000, NULL);
}

START_TEST(map_change_makes_the_vcpu_leave)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x1000, 0, 1, 4);

	dev->hook = move_self;
	ck_assert_uint_eq(write_at(m, 0x1000, 4, 1), MT_BUS_OK | MT_BUS_LEAVE);
	dev->hook = NULL;
	ck_assert_uint_eq(write_at(m, 0x5000, 4, 1), MT_BUS_OK);
	bench_destroy(m);
}
END_TEST

static uint64_t signals(int fd)
{
	eventfd_t count = 0;

	return eventfd_read(fd, &count) == 0 ? count : 0;
}

START_TEST(write_signals_an_eventfd)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x1000, 0, 1, 4);
	int any = eventfd(0, EFD_NONBLOCK), five = eventfd(0, EFD_NONBLOCK);
	const struct mt_mmio_host *host = &bus_mmio_host;

	ck_assert_int_eq(host->bind_eventfd(dev->region, 0x10, 4, 0, 0, any, NULL), 0);
	ck_assert_int_eq(host->bind_eventfd(dev->region, 0x20, 4, 1, 5, five, NULL), 0);
	ck_assert_int_eq(host->bind_eventfd(dev->region, 0x20, 4, 1, 5, any, NULL), MT_EBUSY);
	ck_assert_int_eq(host->bind_eventfd(dev->region, 0x40, 4, 0, 0, any, NULL), MT_ERANGE);
	ck_assert_int_eq(host->bind_eventfd(dev->region, 0x30, 4, 0, 0, -1, NULL), MT_ENOENT);
	write_at(m, 0x1010, 4, 99);
	write_at(m, 0x1010, 4, 98);
	write_at(m, 0x1020, 4, 5);
	ck_assert_str_eq(dev->trace, "");
	ck_assert_uint_eq(signals(any), 2);
	ck_assert_uint_eq(signals(five), 1);
	/* another value, another width */
	write_at(m, 0x1020, 4, 6);
	write_at(m, 0x1010, 2, 1);
	ck_assert_str_eq(dev->trace, "w4@20=6 w2@10=1 ");
	ck_assert_int_eq(host->bind_eventfd(dev->region, 0x10, 4, 0, 0, -1, NULL), 0);
	dev->trace[0] = 0;
	write_at(m, 0x1010, 4, 1);
	ck_assert_str_eq(dev->trace, "w4@10=1 ");
	ck_assert_uint_eq(signals(any) + signals(five), 0);
	close(any);
	close(five);
	bench_destroy(m);
}
END_TEST

START_TEST(description_is_checked)
{
	struct {
		struct mt_region_desc desc;
		uint64_t later;
	} big = { .desc = { .size = sizeof(big), .name = "regs", .len_bytes = 64, .width_min = 1,
			    .width_max = 8, .ops = &dev_ops } };
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct mt_region_desc desc;

	ck_assert_ptr_nonnull(bus_mmio_host.region_add(inst, &big.desc, NULL));
	big.later = 1;
	ck_assert_ptr_null(bus_mmio_host.region_add(inst, &big.desc, NULL));
	for (unsigned i = 0; i < 7; i++) {
		desc = big.desc;
		desc.size = sizeof(desc);
		desc.width_min = i == 0 ? 3 : i == 1 ? 16 : desc.width_min;
		desc.width_max = i == 2 ? 0 : desc.width_max;
		desc.len_bytes = i == 3 ? 0 : desc.len_bytes;
		desc.flags = i == 4 ? 8 : 0;
		desc.name = i == 5 ? NULL : desc.name;
		desc.at_prop = i == 6 ? "at" : NULL;   /* and the section does not say where */
		ck_assert_ptr_null(bus_mmio_host.region_add(inst, &desc, NULL));
	}
	bench_destroy(m);
}
END_TEST

/* Two vCPUs hammer an ordinary device: its lock keeps the halves of a split access together. */
static void *hammer(void *arg)
{
	struct machine *m = arg;
	uint64_t value;

	for (int i = 0; i < 5000; i++)
		write_at(m, 0x1000, 8, 0), read_at(m, 0x1000, 8, &value);
	return NULL;
}

static int count_inside(struct dev *dev)
{
	static unsigned half;

	(void)dev;
	half ^= 1;                             /* plain: a race shows in the end */
	hook_result = half;
	dev->trace[0] = 0;
	return 0;
}

START_TEST(lock_holds_over_a_split)
{
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x1000, 0, 1, 4);
	pthread_t other;

	dev->hook = count_inside;
	pthread_create(&other, NULL, hammer, m);
	hammer(m);
	pthread_join(other, NULL);
	ck_assert_uint_eq(hook_result, 0);
	bench_destroy(m);
}
END_TEST

/* The unit of the property that places a region says in which space: the same number is another place there. */
START_TEST(ports_are_a_space_of_their_own)
{
	static const struct note_prop props[] = {
		{ .name = "port", .deflt = "", .range = "8", .unit = "io", .help = "", .type = MT_PROP_ADDR },
	};
	struct machine *m = bench_create();
	struct dev *dev = dev_create(m, "dev", 0, 0x3f8, 0, 1, 8), *port = calloc(1, sizeof(*port));
	struct mt_region_desc desc = { .size = sizeof(desc), .name = "regs", .at_prop = "port", .len_bytes = 8,
				       .width_min = 1, .width_max = 4, .ops = &dev_ops };
	const struct mt_flat_view *view;
	uint64_t value;

	port->inst = bench_inst(m, "port", "dev", 0, port, "port", "0x3f8", NULL);
	((struct note_class *)port->inst->cls)->props = props;
	((struct note_class *)port->inst->cls)->prop_count = 1;
	inst_own(port->inst, free, port);
	ck_assert_ptr_nonnull(bus_mmio_host.region_add(port->inst, &desc, NULL));
	view = space_view_get(m->ports);
	ck_assert_uint_eq(view->count, 1);
	ck_assert_uint_eq(view->ranges[0].gpa, 0x3f8);
	ck_assert_uint_eq(bus_read(view_find(view, 0x3fc), 0x3fc, 2, &from, &value), MT_BUS_OK);
	space_view_put(m->ports, view);
	ck_assert_str_eq(port->trace, "r2@4 ");
	ck_assert_str_eq(dev->trace, "");
	ck_assert_uint_eq(read_at(m, 0x3f8, 1, &value), MT_BUS_OK);
	ck_assert_str_eq(dev->trace, "r1@0 ");
	bench_destroy(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bus");
	TCase *tc = tcase_create("bus");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, access_is_normalised, 0, G_N_ELEMENTS(splits));
	tcase_add_test(tc, split_stops_at_an_error);
	tcase_add_test(tc, gone_answers_gone);
	tcase_add_test(tc, device_is_not_entered_twice);
	tcase_add_test(tc, end_of_a_message_brings_the_next);
	tcase_add_test(tc, message_reaches_targets_and_memory);
	tcase_add_test(tc, map_change_makes_the_vcpu_leave);
	tcase_add_test(tc, write_signals_an_eventfd);
	tcase_add_test(tc, description_is_checked);
	tcase_add_test(tc, lock_holds_over_a_split);
	tcase_add_test(tc, ports_are_a_space_of_their_own);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
