/* SPDX-License-Identifier: MIT */
/* Views of a space: placing, holes, overlaps, transactions, and retiring under readers. */
#include "kernel/machine/test-services.h"

const struct bench_role bench_roles[] = { { 0 } };

static uint32_t op_read(void *self, const struct mt_access *access, uint64_t *value)
{
	(void)self;
	*value = access->offset;
	return MT_BUS_OK;
}

static uint32_t op_write(void *self, const struct mt_access *access, uint64_t value)
{
	(void)self, (void)access, (void)value;
	return MT_BUS_OK;
}

static const struct mt_region_ops ops = { op_read, op_write };

static struct mt_region *region(struct mt_inst *inst, const char *name, const char *at_prop,
				uint64_t len_bytes, struct mt_error *err)
{
	struct mt_region_desc desc = { .size = sizeof(desc), .name = name, .at_prop = at_prop,
				       .len_bytes = len_bytes, .width_min = 1, .width_max = 4, .ops = &ops };

	return bus_mmio_host.region_add(inst, &desc, err);
}

START_TEST(view_has_holes_and_parts_of_pages)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	const struct mt_flat_view *view;
	struct mt_region *r[100];
	struct mt_ram *ram;

	space_begin(m->system);
	for (unsigned i = 0; i < 100; i++) {
		r[i] = region(inst, "r", NULL, 0x10, NULL);
		/* from the top down: the view sorts; 0x10 long, every 0x20: many to a page, with holes */
		ck_assert_int_eq(bus_region_place(r[i], 0x1000 + (99 - i) * 0x20, NULL), 0);
	}
	ram = ram_create(m->system, "ram", 0x4000, true, NULL);
	ck_assert_int_eq(space_add_ram(m->system, ram, 0x80000000, NULL), 0);
	space_commit(m->system);
	view = space_view_get(m->system);
	ck_assert_uint_eq(view->count, 101);
	ck_assert_uint_eq(view->stride, sizeof(struct mt_flat_range));
	for (unsigned i = 0; i < 100; i++) {
		uint64_t at = 0x1000 + i * 0x20;

		ck_assert_ptr_null(view_find(view, at - 1));
		ck_assert_ptr_eq(view_find(view, at)->region, r[99 - i]);
		ck_assert_ptr_eq(view_find(view, at + 0xf)->region, r[99 - i]);
		ck_assert_ptr_null(view_find(view, at + 0x10));
	}
	ck_assert_ptr_null(view_find(view, 0));
	ck_assert_ptr_null(view_find(view, UINT64_MAX));
	ck_assert_uint_eq(view_find(view, 0x80003fff)->kind, MT_FLAT_RAM);
	ck_assert_ptr_null(view_find(view, 0x80004000));
	space_view_put(m->system, view);
	bench_destroy(m);
}
END_TEST

START_TEST(overlap_names_both)
{
	struct machine *m = bench_create();
	struct mt_inst *a = bench_inst(m, "uart0", "dev", 0, NULL, "at", "0x1000", NULL);
	struct mt_inst *b = bench_inst(m, "rtc0", "dev", 0, NULL, "at", "0x10ff", NULL);
	struct mt_inst *c = bench_inst(m, "rtc1", "dev", 0, NULL, "at", "0x1100", NULL);
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_ptr_nonnull(region(a, "regs", "at", 0x100, &err));
	ck_assert_ptr_null(region(b, "regs", "at", 0x100, &err));
	ck_assert_int_eq(err.code, MT_EINVAL);
	ck_assert_str_eq(err.culprit, "at");
	ck_assert_ptr_nonnull(strstr(err.message, "uart0.regs"));
	ck_assert_ptr_nonnull(strstr(err.message, "rtc0.regs"));
	ck_assert_ptr_nonnull(region(c, "regs", "at", 0x100, &err));
	bench_destroy(m);
}
END_TEST

START_TEST(ends_of_the_space)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct mt_region *last = region(inst, "last", NULL, 0x10, NULL);
	struct mt_region *wrap = region(inst, "wrap", NULL, 0x11, NULL);
	const struct mt_flat_view *view;

	ck_assert_int_eq(bus_region_place(last, 0ull - 0x10, NULL), 0);
	ck_assert_int_eq(bus_region_place(wrap, 0ull - 0x10, NULL), MT_EINVAL);
	ck_assert_int_eq(bus_region_place(wrap, 0, NULL), 0);
	view = space_view_get(m->system);
	ck_assert_ptr_eq(view_find(view, UINT64_MAX)->region, last);
	ck_assert_ptr_eq(view_find(view, 0)->region, wrap);
	space_view_put(m->system, view);
	bench_destroy(m);
}
END_TEST

START_TEST(ram_is_checked)
{
	struct machine *m = bench_create();
	struct mt_error err = { .size = sizeof(err) };
	struct mt_ram *ram;
	uint64_t gpa, len_bytes;

	ck_assert_ptr_null(ram_create(m->system, "ram", 0, true, &err));
	ck_assert_ptr_null(ram_create(m->system, "ram", 4097, true, &err));
	ck_assert_ptr_null(ram_create(m->system, "ram", 1ull << 60, true, &err));
	ck_assert_int_eq(err.code, MT_EINVAL);
	/* far more than the host has: nothing is touched */
	ram = ram_create(m->system, "ram", 1ull << 36, true, &err);
	ck_assert_ptr_nonnull(ram);
	ck_assert_int_lt(ftruncate(ram->fd, 4096), 0);
	ck_assert_int_eq(space_add_ram(m->system, ram, 0x800, &err), MT_EINVAL);
	ck_assert_int_eq(space_add_ram(m->system, ram, 0x1000, &err), 0);
	ck_assert(space_ram_block(m->system, 0, &gpa, &len_bytes));
	ck_assert_uint_eq(gpa, 0x1000);
	ck_assert_uint_eq(len_bytes, 1ull << 36);
	ck_assert(!space_ram_block(m->system, 1, &gpa, &len_bytes));
	bench_destroy(m);
}
END_TEST

static uint32_t published;

static void count_published(void *arg)
{
	(void)arg;
	published++;
}

START_TEST(transaction_is_one_view)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct mt_region *a = region(inst, "a", NULL, 0x10, NULL), *b = region(inst, "b", NULL, 0x10, NULL);
	const struct mt_flat_view *before = space_view_get(m->system), *after;

	space_set_listener(m->system, count_published, NULL);
	published = 0;
	space_begin(m->system);
	bus_region_place(a, 0x1000, NULL);
	bus_region_place(b, 0x2000, NULL);
	ck_assert_uint_eq(published, 0);
	after = space_view_get(m->system);
	ck_assert_ptr_eq(before, after);
	space_view_put(m->system, after);
	space_commit(m->system);
	ck_assert_uint_eq(published, 1);
	after = space_view_get(m->system);
	ck_assert_uint_ne(before->generation, after->generation);
	ck_assert_uint_eq(before->count, 0);
	ck_assert_uint_eq(after->count, 2);
	space_view_put(m->system, before);
	space_view_put(m->system, after);
	/* nothing changed, nothing published */
	space_begin(m->system);
	space_commit(m->system);
	ck_assert_uint_eq(published, 1);
	bench_destroy(m);
}
END_TEST

static char order[16];

static void note(void *arg)
{
	strncat(order, arg, 1);
}

START_TEST(retired_waits_for_all_older_views)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct mt_region *a = region(inst, "a", NULL, 0x10, NULL);
	const struct mt_flat_view *first, *second;

	order[0] = 0;
	space_on_retired(m->system, note, "0");
	ck_assert_str_eq(order, "0");
	first = space_view_get(m->system);
	space_begin(m->system);
	bus_region_place(a, 0x1000, NULL);
	space_on_retired(m->system, note, "1");
	space_commit(m->system);
	second = space_view_get(m->system);
	space_begin(m->system);
	bus_region_place(a, 0x2000, NULL);
	space_on_retired(m->system, note, "2");
	space_commit(m->system);
	ck_assert_str_eq(order, "0");
	/* the younger one goes first, but what waits for it waits for the older one too */
	space_view_put(m->system, second);
	ck_assert_str_eq(order, "0");
	space_view_put(m->system, first);
	ck_assert_str_eq(order, "012");
	bench_destroy(m);
}
END_TEST

/* Readers take and drop views while main publishes; what is retired must be in nobody's view. */
struct token {
	struct mt_region *region;
	uint32_t retired;
};

static struct token tokens[2000];
static uint32_t readers_stop, retired_count, out_of_order;

static void token_retired(void *arg)
{
	struct token *token = arg;

	if (__atomic_fetch_add(&retired_count, 1, __ATOMIC_SEQ_CST) != (uint32_t)(token - tokens))
		__atomic_store_n(&out_of_order, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&token->retired, 1, __ATOMIC_SEQ_CST);
}

static void *reader(void *arg)
{
	struct space *space = arg;
	uintptr_t bad = 0;
	uint64_t last = 0;

	while (!__atomic_load_n(&readers_stop, __ATOMIC_ACQUIRE)) {
		const struct mt_flat_view *view = space_view_get(space);
		uint64_t number = view->count == 1 ? view->ranges[0].gpa / 0x1000 : 0;

		bad += view->generation < last || view->count != 1;
		last = view->generation;
		for (int i = 0; i < 3; i++)
			bad += __atomic_load_n(&tokens[number].retired, __ATOMIC_SEQ_CST);
		space_view_put(space, view);
	}
	return (void *)bad;
}

START_TEST(readers_hold_views)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct mt_region *a = region(inst, "a", NULL, 0x10, NULL);
	pthread_t threads[4];

	bus_region_place(a, 0, NULL);
	for (unsigned i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, reader, m->system);
	for (unsigned i = 0; i + 1 < 2000; i++) {
		space_begin(m->system);
		bus_region_place(a, (i + 1) * 0x1000ull, NULL);
		/* the view with number i is old from here on */
		space_on_retired(m->system, token_retired, &tokens[i]);
		space_commit(m->system);
	}
	__atomic_store_n(&readers_stop, 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < 4; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		ck_assert_ptr_null(bad);
	}
	ck_assert_uint_eq(retired_count, 1999);
	ck_assert_uint_eq(out_of_order, 0);
	bench_destroy(m);
}
END_TEST

/* As fast as it goes: a view is taken while its last holder drops it, and its header is used again. */
static void *grab(void *arg)
{
	struct space *space = arg;

	while (!__atomic_load_n(&readers_stop, __ATOMIC_RELAXED))
		space_view_put(space, space_view_get(space));
	return NULL;
}

START_TEST(headers_are_recycled)
{
	struct machine *m = bench_create();
	struct mt_inst *inst = bench_inst(m, "dev", "dev", 0, NULL, NULL);
	struct mt_region *a = region(inst, "a", NULL, 0x10, NULL);
	const struct mt_flat_view *view;
	pthread_t threads[3];

	for (unsigned i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, grab, m->system);
	for (unsigned i = 0; i < 200000; i++)
		bus_region_place(a, i * 0x1000ull, NULL);
	__atomic_store_n(&readers_stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	view = space_view_get(m->system);
	ck_assert_uint_eq(view->count, 1);
	ck_assert_uint_eq(view->ranges[0].gpa, 199999 * 0x1000ull);
	space_view_put(m->system, view);
	bench_destroy(m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("space");
	TCase *tc = tcase_create("space");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, view_has_holes_and_parts_of_pages);
	tcase_add_test(tc, overlap_names_both);
	tcase_add_test(tc, ends_of_the_space);
	tcase_add_test(tc, ram_is_checked);
	tcase_add_test(tc, transaction_is_one_view);
	tcase_add_test(tc, retired_waits_for_all_older_views);
	tcase_add_test(tc, readers_hold_views);
	tcase_add_test(tc, headers_are_recycled);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
