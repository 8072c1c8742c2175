/* SPDX-License-Identifier: MIT */
/* Lines: or-ed sources, also from several threads at once, eventfd bindings and resampling. */
#include <sys/eventfd.h>

#include "kernel/machine/irq.h"
#include "kernel/machine/test-services.h"

#define INPUTS 8u

struct sink {
	uint32_t level[INPUTS], changes[INPUTS];
	uint32_t inside[INPUTS], clashes;
};

static uint32_t sink_count(void *self)
{
	(void)self;
	return INPUTS;
}

static void sink_set(void *self, uint32_t input, uint32_t level)
{
	struct sink *sink = self;

	if (__atomic_exchange_n(&sink->inside[input], 1, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&sink->clashes, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&sink->level[input], level, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&sink->changes[input], 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&sink->inside[input], 0, __ATOMIC_SEQ_CST);
}

static const struct mt_irq_sink sink_role = { sink_count, sink_set, NULL };

static int target_window(void *self, struct mt_msi_window *out)
{
	*out = *(const struct mt_msi_window *)self;
	return out->stride_bytes ? 0 : MT_EINVAL;
}

static const struct mt_msi_target target_role = { target_window };

const struct bench_role bench_roles[] = {
	{ "sink", MT_IFACE_IRQ_SINK, &sink_role }, { "target", MT_IFACE_MSI_TARGET, &target_role }, { 0 },
};

START_TEST(targets_of_messages)
{
	struct machine *m = bench_create();
	struct mt_msi_window window = { .size = sizeof(window), .gpa = 0x28000000, .stride_bytes = 0x1000, .identities = 63 };
	struct mt_msi_window out = { .size = 24, .identities = 5 };
	struct mt_error err = { .size = sizeof(err) };
	struct mt_inst *bus;

	bench_inst(m, "files", "target", MT_CLASS_PARALLEL, &window, NULL);
	bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, NULL, NULL);
	bus = bench_inst(m, "bus", "dev", 0, NULL, "msi", "files", "wrong", "plic", NULL);
	ck_assert_int_eq(msi_host.window(bus, "msi", &out, &err), 0);
	ck_assert_uint_eq(out.gpa, 0x28000000);
	/* no more than the caller has room for */
	ck_assert_uint_eq(out.size, 24);
	ck_assert_uint_eq(out.identities, 5);
	ck_assert_int_eq(msi_host.window(bus, "wrong", &out, &err), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "takes no messages"));
	ck_assert_int_eq(msi_host.window(bus, "absent", &out, &err), MT_ENOENT);
	window.stride_bytes = 0;
	ck_assert_int_eq(msi_host.window(bus, "msi", &out, &err), MT_EINVAL);
	bench_destroy(m);
}
END_TEST

static void ended(void *arg, uint32_t vector)
{
	*(uint32_t *)arg = *(uint32_t *)arg * 256 + vector;
}

START_TEST(ends_of_messages)
{
	struct machine *m = bench_create();
	struct mt_error err = { .size = sizeof(err) };
	struct mt_inst *target = bench_inst(m, "lapics", "target", MT_CLASS_PARALLEL, NULL, NULL);
	uint32_t first = 0, second = 0;
	struct mt_inst *a, *b;

	bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, NULL, NULL);
	a = bench_inst(m, "a", "dev", 0, NULL, "msi", "lapics", "wrong", "plic", NULL);
	b = bench_inst(m, "b", "dev", 0, NULL, "msi", "lapics", NULL);
	ck_assert_int_eq(msi_host.eoi_listen(a, "msi", ended, &first, &err), 0);
	ck_assert_int_eq(msi_host.eoi_listen(b, "msi", ended, &second, &err), 0);
	ck_assert_int_eq(msi_host.eoi_listen(a, "wrong", ended, &first, &err), MT_EINVAL);
	ck_assert_int_eq(msi_host.eoi_listen(b, "absent", ended, &first, &err), MT_ENOENT);
	msi_host.eoi(target, 0x41);
	msi_host.eoi(a, 0x99);
	ck_assert_uint_eq(first, 0x41);
	ck_assert_uint_eq(second, 0x41);
	inst_release_all(a);
	msi_host.eoi(target, 0x42);
	ck_assert_uint_eq(first, 0x41);
	ck_assert_uint_eq(second, 0x4142);
	bench_destroy(m);
}
END_TEST

START_TEST(sources_are_or_ed)
{
	struct machine *m = bench_create();
	struct sink sink = { 0 };
	struct mt_line *a, *b, *c;

	bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, &sink, NULL);
	a = irq_host.line_get(bench_inst(m, "a", "dev", 0, NULL, "irq", "plic:3", NULL), "irq", 0);
	b = irq_host.line_get(bench_inst(m, "b", "dev", 0, NULL, "irq", "plic:3", NULL), "irq", 0);
	c = irq_host.line_get(bench_inst(m, "c", "dev", 0, NULL, "irq", "plic:1,plic:4", NULL), "irq", 1);
	irq_host.line_set(a, 1);
	irq_host.line_set(a, 1);
	irq_host.line_set(b, 7);
	ck_assert_uint_eq(sink.level[3], 1);
	ck_assert_uint_eq(sink.changes[3], 1);
	irq_host.line_set(a, 0);
	ck_assert_uint_eq(sink.level[3], 1);
	irq_host.line_set(b, 0);
	ck_assert_uint_eq(sink.level[3], 0);
	ck_assert_uint_eq(sink.changes[3], 2);
	irq_host.line_set(c, 1);
	ck_assert_uint_eq(sink.level[4], 1);
	irq_host.line_set(NULL, 1);
	bench_destroy(m);
	/* a source that goes lowers its line */
	ck_assert_uint_eq(sink.level[4], 0);
}
END_TEST

START_TEST(absent_and_wrong_lines)
{
	struct machine *m = bench_create();
	struct sink sink = { 0 };
	struct mt_inst *dev;

	bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, &sink, NULL);
	dev = bench_inst(m, "dev", "dev", 0, NULL, "one", "plic:8", "two", "nobody:1", "three", "dev:0",
			 NULL);
	ck_assert_ptr_null(irq_host.line_get(dev, "irq", 0));
	ck_assert_int_eq(dev->fault.code, 0);
	ck_assert_ptr_null(irq_host.line_get(dev, "one", 0));
	ck_assert_int_eq(dev->fault.code, MT_EINVAL);
	ck_assert_str_eq(dev->fault.culprit, "one");
	ck_assert_str_eq(dev->fault.message, "interrupt plic:8 leads nowhere: no such input");
	ck_assert_ptr_null(irq_host.line_get(dev, "one", 1));
	ck_assert_ptr_null(irq_host.line_get(dev, "two", 0));
	ck_assert_ptr_null(irq_host.line_get(dev, "three", 0));
	ck_assert_ptr_null(irq_host.vcpu_pin(dev, 0, "meip"));
	bench_destroy(m);
}
END_TEST

#define THREADS 4
#define ROUNDS 20000

struct toggler {
	struct mt_line *line;
	pthread_barrier_t *barrier;
	uint32_t last;
};

static void *toggle(void *arg)
{
	struct toggler *t = arg;

	pthread_barrier_wait(t->barrier);
	for (unsigned i = 0; i < ROUNDS; i++)
		irq_host.line_set(t->line, i & 1);
	irq_host.line_set(t->line, t->last);
	return NULL;
}

/* Whatever the threads did in between, the sink ends with the or of what each said last. */
START_TEST(threads_end_with_the_or)
{
	struct machine *m = bench_create();
	struct sink sink = { 0 };
	struct toggler togglers[THREADS];
	char id[THREADS][8];
	struct mt_inst *dev;

	bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, &sink, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		snprintf(id[i], sizeof(id[i]), "dev%u", i);
		dev = bench_inst(m, id[i], "dev", 0, NULL, "irq", "plic:2", NULL);
		togglers[i].line = irq_host.line_get(dev, "irq", 0);
	}
	for (unsigned round = 0; round < 8; round++) {
		pthread_barrier_t barrier;
		pthread_t threads[THREADS];
		uint32_t all = 0;

		pthread_barrier_init(&barrier, NULL, THREADS);
		for (unsigned i = 0; i < THREADS; i++) {
			togglers[i].barrier = &barrier;
			togglers[i].last = round == 0 ? 0 : round == i + 1;
			all |= togglers[i].last;
			pthread_create(&threads[i], NULL, toggle, &togglers[i]);
		}
		for (unsigned i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		pthread_barrier_destroy(&barrier);
		ck_assert_uint_eq(sink.level[2], all);
	}
	ck_assert_uint_eq(sink.clashes, 0);
	bench_destroy(m);
}
END_TEST

START_TEST(eventfd_is_an_edge)
{
	struct machine *m = bench_create();
	struct sink sink = { 0 };
	struct mt_line *line;
	int fd = eventfd(0, EFD_NONBLOCK);

	bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, &sink, NULL);
	line = irq_host.line_get(bench_inst(m, "dev", "dev", 0, NULL, "irq", "plic:2", NULL), "irq", 0);
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, fd, -1, NULL), 0);
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, fd, -1, NULL), MT_EBUSY);
	eventfd_write(fd, 1);
	ck_assert(bench_wait(&sink.changes[2], 2));
	ck_assert_uint_eq(sink.level[2], 0);
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, -1, -1, NULL), 0);
	eventfd_write(fd, 1);
	loop_sync(m->loop);
	bench_sleep_ns(5000000);
	ck_assert_uint_eq(sink.changes[2], 2);
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, 100000, -1, NULL), MT_EINVAL);
	close(fd);
	bench_destroy(m);
}
END_TEST

START_TEST(eventfd_with_resample_holds_the_level)
{
	struct machine *m = bench_create();
	struct sink sink = { 0 };
	struct mt_inst *plic = bench_inst(m, "plic", "sink", MT_CLASS_PARALLEL, &sink, NULL);
	struct mt_line *line;
	int fd = eventfd(0, EFD_NONBLOCK), resample = eventfd(0, EFD_NONBLOCK);
	eventfd_t count = 0;

	line = irq_host.line_get(bench_inst(m, "dev", "dev", 0, NULL, "irq", "plic:2", NULL), "irq", 0);
	irq_host.end_of_interrupt(plic, 2);
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, fd, resample, NULL), 0);
	eventfd_write(fd, 1);
	ck_assert(bench_wait(&sink.changes[2], 1));
	loop_sync(m->loop);
	ck_assert_uint_eq(sink.level[2], 1);
	irq_host.end_of_interrupt(plic, 3);
	ck_assert_uint_eq(sink.level[2], 1);
	irq_host.end_of_interrupt(plic, 2);
	ck_assert_uint_eq(sink.level[2], 0);
	ck_assert_int_eq(eventfd_read(resample, &count), 0);
	ck_assert_uint_eq(count, 1);
	/* none pending: nothing to say */
	irq_host.end_of_interrupt(plic, 2);
	ck_assert_int_lt(eventfd_read(resample, &count), 0);
	eventfd_write(fd, 1);
	ck_assert(bench_wait(&sink.changes[2], 3));
	ck_assert_int_eq(irq_host.line_bind_eventfd(line, -1, -1, NULL), 0);
	ck_assert_uint_eq(sink.level[2], 0);
	close(fd);
	close(resample);
	bench_destroy(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irq");
	TCase *tc = tcase_create("irq");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, sources_are_or_ed);
	tcase_add_test(tc, targets_of_messages);
	tcase_add_test(tc, ends_of_messages);
	tcase_add_test(tc, absent_and_wrong_lines);
	tcase_add_test(tc, threads_end_with_the_or);
	tcase_add_test(tc, eventfd_is_an_edge);
	tcase_add_test(tc, eventfd_with_resample_holds_the_level);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
