/* SPDX-License-Identifier: MIT */
/* Split rings against a driver that follows the rules, one that breaks each of them, and random memory. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/virtio/model.h"

static struct model m;
static struct vring ring;
static struct vring_config config;

static void setup_with(uint32_t size, bool event_idx)
{
	model_init(&m, size, event_idx);
	config = model_config(&m);
	vring_init(&ring, &m.mem);
	ck_assert(vring_start(&ring, &config));
}

static void setup(void)
{
	setup_with(8, false);
}

static void teardown(void)
{
	vring_fini(&ring);
	ck_assert_int_eq(m.held, 0);           /* no view is kept */
	model_fini(&m);
}

static uint32_t pop(struct mt_vq_elem **elems)
{
	return vring_pop(&ring, elems, 64);
}

static void push(struct mt_vq_elem *elem, uint32_t written)
{
	vring_push(&ring, &elem, &written, 1);
}

START_TEST(chain_and_back)
{
	struct model_buf bufs[] = { { MODEL_BASE + 0x40000, 16, false }, { MODEL_BASE + 0x41000, 512, true },
				    { MODEL_BASE + 0x42000, 1, true } };
	struct mt_vq_elem *elems[64];
	uint32_t head, written;
	char text[16];

	memcpy(model_at(&m, bufs[0].gpa), "0123456789abcdef", 16);
	model_chain(&m, 3, bufs, 3);
	model_offer(&m, 3);
	ck_assert_uint_eq(pop(elems), 1);
	ck_assert_uint_eq(elems[0]->out_count, 1);
	ck_assert_uint_eq(elems[0]->in_count, 2);
	ck_assert_uint_eq(elems[0]->out_bytes, 16);
	ck_assert_uint_eq(elems[0]->in_bytes, 513);
	ck_assert_uint_eq(vring_copy_out(elems[0], 2, text, sizeof(text)), 14);
	ck_assert_int_eq(memcmp(text, "23456789abcdef", 14), 0);
	ck_assert_uint_eq(vring_copy_in(elems[0], 511, "xyz", 3), 2);
	ck_assert_int_eq(*(char *)model_at(&m, bufs[2].gpa), 'y');
	ck_assert(!model_take(&m, &head, &written));
	m.dirty_bytes = 0;
	push(elems[0], 513);
	ck_assert(model_take(&m, &head, &written));
	ck_assert_uint_eq(head, 3);
	ck_assert_uint_eq(written, 513);
	ck_assert_uint_eq(m.dirty_bytes, 513 + 8 + 2);
	ck_assert_int_eq(m.held, 0);
	ck_assert_ptr_null(ring.broken);
}
END_TEST

START_TEST(indirect_across_blocks)
{
	struct model_buf bufs[40];
	struct mt_vq_elem *elems[64];

	for (int i = 0; i < 40; i++)
		bufs[i] = (struct model_buf){ MODEL_BASE + 0x40000 + 64ull * (uint64_t)i, 64, i >= 20 };
	bufs[39] = (struct model_buf){ MODEL_SECOND - 100, 300, true };        /* two pieces */
	model_indirect(&m, 0, MODEL_SECOND - 16 * 7 - 4, bufs, 40);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 1);
	ck_assert_uint_eq(elems[0]->out_count, 20);
	ck_assert_uint_eq(elems[0]->in_count, 21);
	ck_assert_ptr_eq(elems[0]->in[20].hva, m.block[1]);
	ck_assert_uint_eq(elems[0]->in[20].len_bytes, 200);
	push(elems[0], 0);
}
END_TEST

START_TEST(wraps_around)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, false };
	struct mt_vq_elem *elems[64];
	uint32_t head, written;

	for (uint32_t i = 0; i < 70000; i++) {
		uint16_t at = (uint16_t)(i % 8);

		model_chain(&m, at, &buf, 1);
		model_offer(&m, at);
		ck_assert_uint_eq(pop(elems), 1);
		push(elems[0], i);
		ck_assert(model_take(&m, &head, &written));
		ck_assert_uint_eq(head, at);
		ck_assert_uint_eq(written, i);
	}
	ck_assert_uint_le(ring.pool_count, 2);         /* elements are used again */
}
END_TEST

START_TEST(out_of_order)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];
	uint32_t head, written;

	for (uint16_t i = 0; i < 8; i++) {
		model_chain(&m, i, &buf, 1);
		model_offer(&m, i);
	}
	ck_assert_uint_eq(pop(elems), 8);
	for (int i = 7; i >= 0; i--)
		push(elems[i], (uint32_t)i);
	for (int i = 7; i >= 0; i--) {
		ck_assert(model_take(&m, &head, &written));
		ck_assert_uint_eq(head, (uint32_t)i);
	}
	push(elems[0], 1);                             /* again: nothing happens */
	ck_assert(!model_take(&m, &head, &written));
}
END_TEST

START_TEST(put_back)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];
	uint32_t head, written;

	for (uint16_t i = 0; i < 6; i++) {
		model_chain(&m, i, &buf, 1);
		model_offer(&m, i);
	}
	ck_assert_uint_eq(pop(elems), 6);
	vring_unpop(&ring, elems + 2, 4);
	push(elems[0], 0);
	push(elems[1], 0);
	ck_assert_int_eq(m.held, 0);
	ck_assert_uint_eq(pop(elems), 4);
	for (uint32_t i = 0; i < 4; i++)
		push(elems[i], 10 + i);
	for (uint32_t i = 0; i < 6; i++) {
		ck_assert(model_take(&m, &head, &written));
		ck_assert_uint_eq(head, i);
		ck_assert_uint_eq(written, i < 2 ? 0 : 8 + i);
	}
	ck_assert_int_eq(m.held, 0);
}
END_TEST

START_TEST(view_changes)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];
	uint32_t head, written;

	model_chain(&m, 0, &buf, 1);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 1);
	ck_assert_int_gt(m.held, 0);                   /* a piece in use keeps its view */
	model_remap(&m);
	model_chain(&m, 1, &buf, 1);
	model_offer(&m, 1);
	ck_assert_uint_eq(pop(elems + 1), 1);
	push(elems[0], 1);
	push(elems[1], 2);
	ck_assert(model_take(&m, &head, &written) && model_take(&m, &head, &written));
	ck_assert_int_eq(m.held, 0);
}
END_TEST

START_TEST(forgotten_at_stop)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];
	uint32_t head, written;

	model_chain(&m, 0, &buf, 1);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 1);
	vring_stop(&ring);
	push(elems[0], 1);
	ck_assert(!model_take(&m, &head, &written));
	ck_assert_uint_eq(pop(elems), 0);
}
END_TEST

START_TEST(signals_by_flag)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];

	ck_assert(!vring_wants_signal(&ring));         /* nothing was pushed */
	for (uint16_t i = 0; i < 3; i++) {
		model_chain(&m, i, &buf, 1);
		model_offer(&m, i);
	}
	ck_assert_uint_eq(pop(elems), 3);
	push(elems[0], 0);
	ck_assert(vring_wants_signal(&ring));
	ck_assert(!vring_wants_signal(&ring));
	model_set_no_interrupt(&m, true);
	push(elems[1], 0);
	ck_assert(!vring_wants_signal(&ring));
	model_set_no_interrupt(&m, false);
	push(elems[2], 0);
	ck_assert(vring_wants_signal(&ring));
	ck_assert(!vring_kicks(&ring, false));
	ck_assert_uint_eq(*(uint16_t *)model_at(&m, m.used), 1);
	model_offer(&m, 0);
	ck_assert(vring_kicks(&ring, true));
	ck_assert_uint_eq(*(uint16_t *)model_at(&m, m.used), 0);
}
END_TEST

START_TEST(signals_by_event_index)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];

	teardown();
	setup_with(8, true);
	for (uint16_t i = 0; i < 4; i++) {
		model_chain(&m, i, &buf, 1);
		model_offer(&m, i);
	}
	model_set_used_event(&m, 1);                   /* at the second completion */
	ck_assert_uint_eq(pop(elems), 4);
	ck_assert_uint_eq(model_avail_event(&m), 4);   /* a kick at the fifth request */
	push(elems[0], 0);
	ck_assert(!vring_wants_signal(&ring));
	push(elems[1], 0);
	ck_assert(vring_wants_signal(&ring));
	push(elems[2], 0);
	ck_assert(!vring_wants_signal(&ring));
	model_set_used_event(&m, 3);
	push(elems[3], 0);
	ck_assert(vring_wants_signal(&ring));
	vring_kicks(&ring, false);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 1);
	ck_assert_uint_eq(model_avail_event(&m), 4);   /* quiet: not moved */
	model_offer(&m, 0);
	ck_assert(vring_kicks(&ring, true));
	push(elems[0], 0);
}
END_TEST

/* Without memory nothing begins and nothing breaks; what was begun ends. */
START_TEST(out_of_reach)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];

	model_chain(&m, 0, &buf, 1);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 1);
	model_chain(&m, 1, &buf, 1);
	model_offer(&m, 1);
	m.out_of_reach = true;
	ck_assert_uint_eq(pop(elems + 1), 0);
	push(elems[0], 16);
	ck_assert(!vring_wants_signal(&ring));
	ck_assert(!vring_kicks(&ring, true));
	ck_assert_uint_eq(pop(elems), 0);
	ck_assert_ptr_null(ring.broken);
	ck_assert_int_eq(m.held, 0);
	m.out_of_reach = false;
	ck_assert_uint_eq(pop(elems), 1);
	push(elems[0], 16);
	ck_assert(vring_wants_signal(&ring));
}
END_TEST

/* Each breaks one rule; the queue breaks, and stays so. */
static void broken_after(void)
{
	struct mt_vq_elem *elems[64];

	ck_assert_uint_eq(pop(elems), 0);
	ck_assert_ptr_nonnull(ring.broken);
	ck_assert_uint_eq(pop(elems), 0);
	ck_assert_int_eq(m.held, 0);
}

static void offer_raw(uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	model_desc(&m, 0, gpa, len, flags, next);
	model_offer(&m, 0);
	broken_after();
}

START_TEST(hostile_descriptors)
{
	struct model_buf loop[2] = { { MODEL_BASE + 0x40000, 16, false }, { MODEL_BASE + 0x40000, 16, false } };

	switch (_i) {
	case 0: offer_raw(MODEL_BASE + 0x40000, 16, 1, 0); break;              /* its own successor */
	case 1: offer_raw(MODEL_BASE + 0x40000, 16, 1, 8); break;              /* beyond the table */
	case 2: offer_raw(MODEL_HOLE, 16, 0, 0); break;
	case 3: offer_raw(MODEL_HOLE - 8, 16, 0, 0); break;
	case 4: offer_raw(UINT64_MAX - 4, 16, 0, 0); break;
	case 5: offer_raw(MODEL_BASE, UINT32_MAX, 0, 0); break;
	case 6: offer_raw(MODEL_ROM, 16, 2, 0); break;                         /* writes to ROM */
	case 7: offer_raw(MODEL_BASE + 0x40000, 16, 4 | 1, 1); break;          /* indirect with successor */
	case 8: offer_raw(MODEL_BASE + 0x40000, 24, 4, 0); break;              /* half a descriptor */
	case 9: offer_raw(MODEL_BASE + 0x40000, 0, 4, 0); break;
	case 10: offer_raw(MODEL_HOLE, 32, 4, 0); break;
	case 11:                                                                /* indirect in indirect */
		model_indirect(&m, 0, MODEL_BASE + 0x50000, loop, 1);
		((uint8_t *)model_at(&m, MODEL_BASE + 0x5000c))[0] = 4;
		model_offer(&m, 0);
		broken_after();
		break;
	case 12:                                                                /* a loop in an indirect table */
		model_indirect(&m, 0, MODEL_BASE + 0x50000, loop, 2);
		((uint8_t *)model_at(&m, MODEL_BASE + 0x5001c))[0] = 1;
		((uint8_t *)model_at(&m, MODEL_BASE + 0x5001e))[0] = 0;
		((uint8_t *)model_at(&m, MODEL_BASE + 0x5001e))[1] = 0;
		model_offer(&m, 0);
		broken_after();
		break;
	case 13:                                                                /* readable after writable */
		loop[0].write = true;
		model_chain(&m, 0, loop, 2);
		model_offer(&m, 0);
		broken_after();
		break;
	case 14:                                                                /* head beyond the table */
		model_offer(&m, 8);
		broken_after();
		break;
	case 15:                                                                /* the index jumps */
		m.next_avail = 100;
		model_offer(&m, 0);
		broken_after();
		break;
	case 16:                                                                /* a table of a whole gigabyte */
		offer_raw(MODEL_BASE, 0x40000000, 4, 0);
		break;
	}
}
END_TEST

START_TEST(long_indirect_is_refused)
{
	struct mt_vq_elem *elems[64];

	for (uint32_t i = 0; i < 5000; i++) {          /* all hops are legal, there are too many */
		uint8_t *at = model_at(&m, MODEL_BASE + 0x40000 + 16ull * i);
		uint64_t gpa = MODEL_BASE + 0x30000;
		uint32_t len = 1;
		uint16_t flags = 1, next = (uint16_t)(i + 1);

		memcpy(at, &gpa, 8);
		memcpy(at + 8, &len, 4);
		memcpy(at + 12, &flags, 2);
		memcpy(at + 14, &next, 2);
	}
	model_desc(&m, 0, MODEL_BASE + 0x40000, 16 * 5000, 4, 0);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 0);
	ck_assert_ptr_nonnull(ring.broken);
}
END_TEST

START_TEST(more_than_the_ring_holds)
{
	struct model_buf buf = { MODEL_BASE + 0x40000, 16, true };
	struct mt_vq_elem *elems[64];

	model_chain(&m, 0, &buf, 1);
	for (int i = 0; i < 8; i++)
		model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems), 8);
	model_offer(&m, 0);
	ck_assert_uint_eq(pop(elems + 8), 0);
	ck_assert_ptr_nonnull(ring.broken);
}
END_TEST

START_TEST(quota_makes_it_wait)
{
	static struct model_buf bufs[1000];
	static struct mt_vq_elem *elems[256];
	uint32_t n = 0, got, zero = 0;

	teardown();
	setup_with(256, false);
	for (int i = 0; i < 1000; i++)
		bufs[i] = (struct model_buf){ MODEL_BASE + 0x80000, 1, true };
	model_indirect(&m, 0, MODEL_BASE + 0x40000, bufs, 1000);
	for (uint16_t i = 1; i < 256; i++)
		memcpy(model_at(&m, m.desc + 16ull * i), model_at(&m, m.desc), 16);
	for (uint16_t i = 0; i < 256; i++)
		model_offer(&m, i);
	while ((got = vring_pop(&ring, elems + n, 64)))
		n += got;
	ck_assert_uint_lt(n, 256);
	ck_assert(ring.starved);
	ck_assert_ptr_null(ring.broken);
	for (uint32_t i = 0; i < n; i++)
		vring_push(&ring, &elems[i], &zero, 1);
	ck_assert_uint_gt(vring_pop(&ring, elems, 64), 0);
}
END_TEST

START_TEST(illegal_configurations)
{
	struct vring_config bad;

	bad = config, bad.size = 0, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.size = 12, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.size = 65536, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.desc += 8, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.driver += 1, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.device += 2, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.device = MODEL_ROM, ck_assert(vring_start(&ring, &bad));
	broken_after();
	bad = config, bad.desc = MODEL_SECOND - 16, ck_assert(vring_start(&ring, &bad));
	broken_after();                                /* a ring in two blocks is not served */
}
END_TEST

/* Random rings and descriptors, mostly plausible: pieces must lie in memory, and everything must come back. */
static void fuzz_once(uint64_t *state)
{
	struct mt_vq_elem *elems[64];
	uint32_t n, zero = 0;

	for (int i = 0; i < 64; i++) {
		uint64_t r = model_random(state);
		uint64_t gpa = r & 7 ? MODEL_BASE + (r >> 8 & 0x1fffff) : r >> 3;
		uint32_t len = (uint32_t)(r & 0x30 ? r >> 40 & 0xfff : r >> 32);
		uint16_t next = (uint16_t)(r >> 20 & 0x1f);

		if (i < 16)
			model_desc(&m, (uint16_t)i, (r & 0x40) ? gpa & ~15ull : gpa, r & 0x80 ? len & ~15u : len,
				   (uint16_t)(r >> 16 & 7), next & 15);
		else
			memcpy(model_at(&m, MODEL_BASE + 0x40000 + (r & 0xfff0)), &r, 8);
	}
	for (int i = 0; i < 4; i++)
		model_offer(&m, (uint16_t)(model_random(state) % 17));
	n = vring_pop(&ring, elems, 64);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t bytes = 0;

		for (uint32_t k = 0; k < elems[i]->in_count; k++) {
			memset(elems[i]->in[k].hva, 0x5a, elems[i]->in[k].len_bytes);
			bytes += elems[i]->in[k].len_bytes;
		}
		ck_assert_uint_eq(bytes, elems[i]->in_bytes);
		vring_push(&ring, &elems[i], &zero, 1);
	}
	vring_wants_signal(&ring);
}

START_TEST(fuzz)
{
	uint64_t state = 1000 + (uint64_t)_i;
	uint32_t rounds = getenv("MORTISE_LONG") ? 200000 : 5000;

	teardown();
	setup_with(16, _i & 1);
	for (uint32_t i = 0; i < rounds; i++) {
		fuzz_once(&state);
		if (ring.broken || i % 16 == 0) {
			ck_assert_int_eq(m.held, 0);
			ck_assert(vring_start(&ring, &config));
			m.next_avail = 0;
			memset(model_at(&m, m.avail), 0, 256);
			memset(model_at(&m, m.used), 0, 256);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vring");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, getenv("MORTISE_LONG") ? 3600 : 300);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, chain_and_back);
	tcase_add_test(tc, indirect_across_blocks);
	tcase_add_test(tc, wraps_around);
	tcase_add_test(tc, out_of_order);
	tcase_add_test(tc, put_back);
	tcase_add_test(tc, view_changes);
	tcase_add_test(tc, out_of_reach);
	tcase_add_test(tc, forgotten_at_stop);
	tcase_add_test(tc, signals_by_flag);
	tcase_add_test(tc, signals_by_event_index);
	tcase_add_loop_test(tc, hostile_descriptors, 0, 17);
	tcase_add_test(tc, long_indirect_is_refused);
	tcase_add_test(tc, more_than_the_ring_holds);
	tcase_add_test(tc, quota_makes_it_wait);
	tcase_add_test(tc, illegal_configurations);
	tcase_add_loop_test(tc, fuzz, 0, 4);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
