/* SPDX-License-Identifier: MIT */
/* Who serves bindings: an accelerator that takes writes and lines over, refuses them, and gets them back. */
#include <sys/eventfd.h>

#include <mortise/draft/cpu-eventfd.h>

#include "kernel/machine/irq.h"
#include "kernel/machine/region.h"
#include "kernel/machine/test-services.h"

#define FD 1000                        /* nothing is signalled by it here */
#define INPUTS 8u

/* What the accelerator has, as text: "w2@1000=5 l3 r4 " */
static char has[256];
static bool refuses;
static uint32_t level[INPUTS];

static void name_write(const struct mt_write_match *match, char *text, size_t bytes)
{
	int n = snprintf(text, bytes, "%s%u@%llx", match->flags & MT_WRITE_PORT ? "p" : "w", match->width,
			 (unsigned long long)match->gpa);

	if (match->flags & MT_WRITE_VALUE)
		n += snprintf(text + n, bytes - (size_t)n, "=%llx", (unsigned long long)match->value);
	snprintf(text + n, bytes - (size_t)n, " ");
}

static int take(const char *text)
{
	if (refuses)
		return MT_ENOTSUP;
	ck_assert_ptr_null(strstr(has, text));
	strcat(has, text);
	return 0;
}

static void give(const char *text)
{
	char *at = strstr(has, text);

	ck_assert_ptr_nonnull(at);
	memmove(at, at + strlen(text), strlen(at + strlen(text)) + 1);
}

static int write_take(void *self, const struct mt_write_match *match, int fd)
{
	char text[64];

	(void)self;
	ck_assert_int_ge(fd, 0);
	name_write(match, text, sizeof(text));
	return take(text);
}

static void write_give(void *self, const struct mt_write_match *match, int fd)
{
	char text[64];

	(void)self;
	ck_assert_int_ge(fd, 0);
	name_write(match, text, sizeof(text));
	give(text);
}

static int line_take(void *self, uint32_t input, int fd, int resample_fd)
{
	char text[16];

	(void)self, (void)fd;
	snprintf(text, sizeof(text), "%s%u ", resample_fd >= 0 ? "r" : "l", input);
	return take(text);
}

static void line_give(void *self, uint32_t input, int fd, int resample_fd)
{
	char text[16];

	(void)self, (void)fd;
	snprintf(text, sizeof(text), "%s%u ", resample_fd >= 0 ? "r" : "l", input);
	give(text);
}

static uint32_t sink_count(void *self)
{
	(void)self;
	return INPUTS;
}

static void sink_set(void *self, uint32_t input, uint32_t to)
{
	(void)self;
	__atomic_store_n(&level[input], to, __ATOMIC_SEQ_CST);
}

static const struct mt_cpu_eventfd role = {
	.write_take = write_take, .write_give = write_give, .line_take = line_take, .line_give = line_give,
};
static const struct mt_irq_sink sink_role = { .input_count = sink_count, .input_set = sink_set };
const struct bench_role bench_roles[] = {
	{ "cpu", MT_IFACE_CPU_EVENTFD, &role }, { "cpu", MT_IFACE_IRQ_SINK, &sink_role },
	{ "pic", MT_IFACE_IRQ_SINK, &sink_role }, { 0 },
};

static uint32_t writes;

static uint32_t dev_read(void *self, const struct mt_access *access, uint64_t *value)
{
	(void)self, (void)access;
	*value = 0;
	return MT_BUS_OK;
}

static uint32_t dev_write(void *self, const struct mt_access *access, uint64_t value)
{
	(void)self, (void)access, (void)value;
	writes++;
	return MT_BUS_OK;
}

static const struct mt_region_ops dev_ops = { dev_read, dev_write };

static struct machine *m;

static void setup(void)
{
	m = bench_create();
	m->cpu = bench_inst(m, "cpu", "cpu", MT_CLASS_PARALLEL, NULL, NULL);
	has[0] = 0;
	refuses = false;
	writes = 0;
	memset(level, 0, sizeof(level));
}

static void teardown(void)
{
	bench_destroy(m);
}

static struct mt_region *region_new(uint64_t at)
{
	struct mt_region_desc desc = { .size = sizeof(desc), .name = "regs", .len_bytes = 64, .width_min = 1,
				       .width_max = 4, .ops = &dev_ops };
	struct mt_region *region = bus_mmio_host.region_add(bench_inst(m, "dev", "dev", 0, NULL, NULL), &desc, NULL);

	ck_assert_ptr_nonnull(region);
	if (at)
		ck_assert_int_eq(bus_region_place(region, at, NULL), 0);
	return region;
}

static int bind(struct mt_region *region, uint64_t offset, uint32_t match, uint64_t value, int fd)
{
	return bus_mmio_host.bind_eventfd(region, offset, 2, match, value, fd, NULL);
}

START_TEST(writes_go_with_the_region)
{
	struct mt_region *region = region_new(0);

	ck_assert_int_eq(bind(region, 8, 0, 0, FD), 0);
	ck_assert_str_eq(has, "");
	ck_assert_int_eq(bus_region_place(region, 0x1000, NULL), 0);
	ck_assert_str_eq(has, "w2@1008 ");
	ck_assert_int_eq(bind(region, 12, 1, 5, FD), 0);
	ck_assert_str_eq(has, "w2@1008 w2@100c=5 ");
	ck_assert_int_eq(bus_region_place(region, 0x5000, NULL), 0);
	ck_assert_str_eq(has, "w2@5008 w2@500c=5 ");
	bus_region_unplace(region);
	ck_assert_str_eq(has, "");
	ck_assert_int_eq(bus_region_place(region, 0x1000, NULL), 0);
	ck_assert_int_eq(bind(region, 8, 0, 0, -1), 0);
	ck_assert_str_eq(has, "w2@100c=5 ");
	ck_assert_int_eq(bind(region, 12, 1, 5, -1), 0);
	ck_assert_str_eq(has, "");
}
END_TEST

/* A vCPU that comes out with a write that was taken over is served all the same, as one that was not. */
START_TEST(what_comes_out_is_served)
{
	static const struct mt_access from = { .vcpu = 0 };
	struct mt_region *region = region_new(0x1000);
	const struct mt_flat_view *view = space_view_get(m->system);
	const struct mt_flat_range *range = view_find(view, 0x1000);
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t count = 0;

	ck_assert_int_eq(bind(region, 8, 0, 0, fd), 0);
	refuses = true;
	ck_assert_int_eq(bind(region, 12, 0, 0, fd), 0);
	ck_assert_str_eq(has, "w2@1008 ");
	ck_assert_uint_eq(bus_write(range, 0x1008, 2, &from, 1), MT_BUS_OK);
	ck_assert_uint_eq(bus_write(range, 0x100c, 2, &from, 1), MT_BUS_OK);
	ck_assert_uint_eq(bus_write(range, 0x100c, 4, &from, 1), MT_BUS_OK);
	ck_assert_uint_eq(writes, 1);
	ck_assert_int_eq(eventfd_read(fd, &count), 0);
	ck_assert_uint_eq(count, 2);
	/* what it refused is no question when it goes */
	ck_assert_int_eq(bind(region, 12, 0, 0, -1), 0);
	ck_assert_int_eq(bind(region, 8, 0, 0, -1), 0);
	ck_assert_str_eq(has, "");
	space_view_put(m->system, view);
	close(fd);
}
END_TEST

START_TEST(nothing_without_an_accelerator)
{
	struct mt_region *region = region_new(0x1000);

	m->cpu->state = INST_UNREALIZED;
	ck_assert_int_eq(bind(region, 8, 0, 0, FD), 0);
	ck_assert_str_eq(has, "");
	m->cpu->state = INST_REALIZED;
	/* it has come too late for this one, and not for the place */
	ck_assert_int_eq(bus_region_place(region, 0x2000, NULL), 0);
	ck_assert_str_eq(has, "w2@2008 ");
	ck_assert_int_eq(bind(region, 8, 0, 0, -1), 0);
}
END_TEST

START_TEST(lines_of_the_accelerator)
{
	struct mt_inst *dev = bench_inst(m, "dev", "dev", 0, NULL, "irq", "cpu:2, cpu:3, pic:2", NULL);
	struct mt_line *pulse, *held, *other;

	bench_inst(m, "pic", "pic", MT_CLASS_PARALLEL, NULL, NULL);
	pulse = irq_host.line_get(dev, "irq", 0);
	held = irq_host.line_get(dev, "irq", 1);
	other = irq_host.line_get(dev, "irq", 2);
	ck_assert_int_eq(irq_host.line_bind_eventfd(pulse, FD, -1, NULL), 0);
	ck_assert_int_eq(irq_host.line_bind_eventfd(held, FD, FD, NULL), 0);
	ck_assert_str_eq(has, "l2 r3 ");
	ck_assert_int_eq(irq_host.line_bind_eventfd(held, FD, FD, NULL), MT_EBUSY);
	/* not of its inputs: a descriptor that is none is refused by the loop */
	ck_assert_int_eq(irq_host.line_bind_eventfd(other, 100000, -1, NULL), MT_EINVAL);
	ck_assert_int_eq(irq_host.line_bind_eventfd(pulse, -1, -1, NULL), 0);
	ck_assert_str_eq(has, "r3 ");
	inst_release_all(dev);
	ck_assert_str_eq(has, "");
}
END_TEST

/* A pulse of KVM's would lower the input while another source holds it high. */
START_TEST(pulses_of_a_shared_input)
{
	struct mt_inst *dev = bench_inst(m, "dev", "dev", 0, NULL, "irq", "cpu:2", NULL);
	struct mt_inst *more = bench_inst(m, "more", "dev", 0, NULL, "irq", "cpu:2", NULL);
	struct mt_line *line = irq_host.line_get(dev, "irq", 0), *second;
	int fd = eventfd(0, EFD_NONBLOCK);

	ck_assert_int_eq(irq_host.line_bind_eventfd(line, fd, -1, NULL), 0);
	ck_assert_str_eq(has, "l2 ");
	second = irq_host.line_get(more, "irq", 0);
	ck_assert_str_eq(has, "");
	irq_host.line_set(second, 1);
	eventfd_write(fd, 1);
	loop_sync(m->loop);
	ck_assert_uint_eq(level[2], 1);
	irq_host.line_set(second, 0);
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, -1, -1, NULL), 0);
	/* and from the start */
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, fd, -1, NULL), 0);
	ck_assert_str_eq(has, "");
	/* with word of the end it is or-ed there */
	ck_assert_int_eq(irq_host.line_bind_eventfd(second, fd, FD, NULL), 0);
	ck_assert_str_eq(has, "r2 ");
	inst_release_all(more);
	inst_release_all(dev);
	ck_assert_str_eq(has, "");
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bind");
	TCase *tc = tcase_create("bind");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, writes_go_with_the_region);
	tcase_add_test(tc, what_comes_out_is_served);
	tcase_add_test(tc, nothing_without_an_accelerator);
	tcase_add_test(tc, lines_of_the_accelerator);
	tcase_add_test(tc, pulses_of_a_shared_input);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
