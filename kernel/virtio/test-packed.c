/* SPDX-License-Identifier: MIT */
/*
 * Packed rings against a driver that follows the rules, one that breaks each of them, and random memory. The model of
 * `nothing_is_lost` lets either side run only when the other has told it to.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/virtio/model-packed.h"

/* An assertion for loops: libcheck writes a record of each of its own. */
#define MUST(condition) do { if (!(condition)) ck_abort_msg("%s", #condition); } while (0)

static struct model m;
static struct packed_model p;
static struct vring ring;
static struct vring_config config;

static void setup_with(uint32_t size, bool event_idx)
{
	model_init(&m, size, event_idx);
	packed_init(&p, &m, size, event_idx);
	config = packed_config(&p);
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

static const struct model_buf one = { MODEL_BASE + 0x40000, 16, true };

START_TEST(chain_and_back)
{
	const struct model_buf bufs[] = { { MODEL_BASE + 0x40000, 16, false }, { MODEL_BASE + 0x41000, 512, true },
					  { MODEL_BASE + 0x42000, 1, true } };
	struct mt_vq_elem *elems[64];
	uint32_t id, written;
	char text[16];

	memcpy(model_at(&m, bufs[0].gpa), "0123456789abcdef", 16);
	ck_assert(packed_offer(&p, 5, bufs, 3, 0));
	ck_assert(packed_kick(&p));
	ck_assert_uint_eq(pop(elems), 1);
	ck_assert_uint_eq(elems[0]->out_count, 1);
	ck_assert_uint_eq(elems[0]->in_count, 2);
	ck_assert_uint_eq(elems[0]->in_bytes, 513);
	ck_assert_uint_eq(vring_copy_out(elems[0], 2, text, sizeof(text)), 14);
	ck_assert_int_eq(memcmp(text, "23456789abcdef", 14), 0);
	ck_assert(!packed_take(&p, &id, &written));
	m.dirty_bytes = 0;
	push(elems[0], 513);
	ck_assert(packed_take(&p, &id, &written));
	ck_assert_uint_eq(id, 5);
	ck_assert_uint_eq(written, 513);
	ck_assert_uint_eq(m.dirty_bytes, 513 + 3 * 16);
	ck_assert_uint_eq(p.free_slots, 8);
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
	ck_assert(packed_offer(&p, 0, bufs, 40, MODEL_SECOND - 16 * 7 - 4));
	ck_assert_uint_eq(pop(elems), 1);
	ck_assert_uint_eq(elems[0]->out_count, 20);
	ck_assert_uint_eq(elems[0]->in_count, 21);
	ck_assert_ptr_eq(elems[0]->in[20].hva, m.block[1]);
	push(elems[0], 0);
}
END_TEST

/* A batch is seen as a whole: its first descriptor is stored last. */
START_TEST(a_batch_appears_at_once)
{
	struct mt_vq_elem *elems[64], *back[3];
	uint32_t written[3] = { 10, 11, 12 }, id, n;

	for (uint16_t i = 0; i < 3; i++)
		ck_assert(packed_offer(&p, i, &one, 1, 0));
	ck_assert_uint_eq(pop(elems), 3);
	for (int i = 0; i < 3; i++)
		back[i] = elems[2 - i];
	vring_push(&ring, back, written, 3);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert(packed_take(&p, &id, &n));
		ck_assert_uint_eq(id, 2 - i);
		ck_assert_uint_eq(n, 10 + i);
	}
	push(elems[0], 1);                             /* again: nothing happens */
	ck_assert(!packed_take(&p, &id, &n));
}
END_TEST

START_TEST(signals_by_flag)
{
	struct mt_vq_elem *elems[64];

	ck_assert(!vring_wants_signal(&ring));         /* nothing was pushed */
	for (uint16_t i = 0; i < 3; i++)
		packed_offer(&p, i, &one, 1, 0);
	ck_assert_uint_eq(pop(elems), 3);
	push(elems[0], 0);
	ck_assert(vring_wants_signal(&ring));
	ck_assert(!vring_wants_signal(&ring));
	packed_silence(&p);
	push(elems[1], 0);
	ck_assert(!vring_wants_signal(&ring));
	packed_event(&p, 100, true, 2);                /* a place, which was not agreed on: rather one too many */
	push(elems[2], 0);
	ck_assert(vring_wants_signal(&ring));
	ck_assert(!vring_kicks(&ring, false));
	packed_offer(&p, 3, &one, 1, 0);
	ck_assert(!packed_kick(&p));
	ck_assert(vring_kicks(&ring, true));
	packed_offer(&p, 4, &one, 1, 0);
	ck_assert(packed_kick(&p));
}
END_TEST

START_TEST(signals_by_place)
{
	struct mt_vq_elem *elems[64];

	teardown();
	setup_with(8, true);
	for (uint16_t i = 0; i < 6; i++)
		packed_offer(&p, i, &one, 1, 0);
	ck_assert(packed_kick(&p));
	packed_event(&p, 1, true, 2);                  /* at the second completion */
	ck_assert_uint_eq(pop(elems), 6);
	push(elems[0], 0);
	ck_assert(!vring_wants_signal(&ring));
	push(elems[1], 0);
	ck_assert(vring_wants_signal(&ring));
	push(elems[2], 0);
	ck_assert(!vring_wants_signal(&ring));
	packed_event(&p, 1, false, 2);                 /* of the next round */
	for (int i = 3; i < 6; i++)
		push(elems[i], 0);
	ck_assert(!vring_wants_signal(&ring));
	vring_kicks(&ring, false);
	packed_offer(&p, 6, &one, 1, 0);
	ck_assert(!packed_kick(&p));
	ck_assert(vring_kicks(&ring, true));
	ck_assert_uint_eq(pop(elems), 1);
	push(elems[0], 0);
	ck_assert(!vring_wants_signal(&ring));
	packed_offer(&p, 7, &one, 1, 0);
	ck_assert(packed_kick(&p));
	ck_assert_uint_eq(pop(elems), 1);
	push(elems[0], 0);                             /* the ring's last place; the round's end */
	ck_assert(!vring_wants_signal(&ring));
	packed_event(&p, 7, true, 2);                  /* has passed already, and was not told */
	ck_assert(!vring_wants_signal(&ring));
}
END_TEST

/* Both sides sleep until they are told; random lengths, orders and batches. */

struct world {
	uint64_t state;
	struct mt_vq_elem *held[MODEL_RING_MAX];
	uint32_t held_count, offered, taken, expect[MODEL_RING_MAX];
	bool device_awake, driver_awake;
};

static uint32_t random_below(struct world *w, uint32_t n)
{
	return (uint32_t)(model_random(&w->state) >> 33) % n;
}

/* Buffers with the id of their chain in the first bytes. */
static void driver_offers(struct world *w)
{
	uint16_t id = (uint16_t)random_below(w, p.size);
	struct model_buf bufs[5];
	uint32_t count = 1 + random_below(w, 5);
	uint64_t at = MODEL_BASE + 0x40000 + 0x400ull * id;

	if (p.slots[id])
		return;
	for (uint32_t i = 0; i < count; i++)
		bufs[i] = (struct model_buf){ at + 64 * i, 8 + random_below(w, 50), i > 0 };
	memcpy(model_at(&m, at), &id, sizeof(id));
	if (packed_offer(&p, id, bufs, count, random_below(w, 3) ? 0 : at + 0x200))
		w->offered++;
}

static void driver_runs(struct world *w)
{
	uint32_t id, written;

	packed_silence(&p);
	do {
		while (packed_take(&p, &id, &written)) {
			MUST(written == w->expect[id]);
			w->taken++;
		}
	} while (packed_listen(&p));
	for (uint32_t n = 1 + random_below(w, p.size); n; n--)
		driver_offers(w);
	if (packed_kick(&p))
		w->device_awake = true;
	w->driver_awake = false;
}

static void device_pushes(struct world *w)
{
	uint32_t n = 1 + random_below(w, w->held_count), written[MODEL_RING_MAX];
	uint16_t id;

	for (uint32_t i = 0; i < n; i++) {             /* any order */
		uint32_t other = i + random_below(w, w->held_count - i);
		struct mt_vq_elem *elem = w->held[other];

		w->held[other] = w->held[i];
		w->held[i] = elem;
		MUST(vring_copy_out(elem, 0, &id, sizeof(id)) == sizeof(id));
		written[i] = w->expect[id] = random_below(w, (uint32_t)elem->in_bytes + 1);
	}
	vring_push(&ring, w->held, written, n);
	w->held_count -= n;
	memmove(w->held, w->held + n, w->held_count * sizeof(w->held[0]));
	if (vring_wants_signal(&ring))
		w->driver_awake = true;
}

static void device_runs(struct world *w)
{
	uint32_t n, max;

	if (w->device_awake) {
		max = 1 + random_below(w, MODEL_RING_MAX - w->held_count - 1);
		n = vring_pop(&ring, w->held + w->held_count, max);
		w->device_awake = n == max;            /* fewer: the driver will kick */
		if (n && !random_below(w, 4)) {        /* some of them are not wanted now */
			uint32_t less = random_below(w, n + 1);

			n -= less;
			vring_unpop(&ring, w->held + w->held_count + n, less);
			w->device_awake |= less != 0;
		}
		w->held_count += n;
	}
	if (w->held_count)
		device_pushes(w);
}

static const uint32_t sizes[] = { 1, 2, 7, 8, 64, 200 };

START_TEST(nothing_is_lost)
{
	struct world w = { .state = 77 + (uint64_t)_i, .driver_awake = true };
	uint32_t rounds = getenv("MORTISE_LONG") ? 1000000 : 20000, idle = 0;

	teardown();
	setup_with(sizes[_i / 2], _i & 1);
	for (uint32_t i = 0; i < rounds; i++) {
		if (w.driver_awake && random_below(&w, 2))
			driver_runs(&w);
		if (random_below(&w, 2))
			device_runs(&w);
		MUST(!ring.broken);
		/* the driver may rest with nothing outstanding; else somebody is awake or holds something */
		idle = w.driver_awake || w.device_awake || w.held_count ? 0 : idle + 1;
		if (idle) {
			MUST(w.offered == w.taken);
			w.driver_awake = true;
		}
	}
	ck_assert_uint_gt(w.taken, rounds / 20);
	for (uint32_t n; w.held_count; w.held_count -= n) {
		uint32_t written[MODEL_RING_MAX] = { 0 };

		n = w.held_count;
		vring_push(&ring, w.held, written, n);
	}
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

static void offer_raw(uint64_t gpa, uint32_t len, uint16_t flags)
{
	packed_desc(&p, 0, gpa, len, 0, flags | packed_avail_bits(&p));
	broken_after();
}

START_TEST(hostile_descriptors)
{
	const struct model_buf wrong[2] = { { MODEL_BASE + 0x40000, 16, true }, { MODEL_BASE + 0x40000, 16, false } };

	switch (_i) {
	case 0:                                                                 /* a chain without end */
		for (uint32_t i = 0; i < 8; i++)
			packed_desc(&p, i, MODEL_BASE, 16, 0, 1 | packed_avail_bits(&p));
		broken_after();
		break;
	case 1: offer_raw(MODEL_HOLE, 16, 0); break;
	case 2: offer_raw(MODEL_HOLE - 8, 16, 0); break;
	case 3: offer_raw(UINT64_MAX - 4, 16, 0); break;
	case 4: offer_raw(MODEL_BASE, UINT32_MAX, 0); break;
	case 5: offer_raw(MODEL_ROM, 16, 2); break;                             /* writes to ROM */
	case 6: offer_raw(MODEL_BASE + 0x40000, 16, 4 | 1); break;              /* indirect with successor */
	case 7: offer_raw(MODEL_BASE + 0x40000, 24, 4); break;                  /* half a descriptor */
	case 8: offer_raw(MODEL_BASE + 0x40000, 0, 4); break;
	case 9: offer_raw(MODEL_HOLE, 32, 4); break;
	case 10: offer_raw(MODEL_BASE, 0x40000000, 4); break;                   /* a table of a whole gigabyte */
	case 11:                                                                /* indirect within a chain */
		packed_desc(&p, 0, MODEL_BASE, 16, 0, 1 | packed_avail_bits(&p));
		packed_desc(&p, 1, MODEL_BASE + 0x40000, 16, 0, 4 | packed_avail_bits(&p));
		broken_after();
		break;
	case 12:                                                                /* readable after writable */
		packed_offer(&p, 0, wrong, 2, 0);
		broken_after();
		break;
	case 13:                                                                /* the same in a table */
		packed_offer(&p, 0, wrong, 2, MODEL_BASE + 0x50000);
		broken_after();
		break;
	}
}
END_TEST

START_TEST(more_than_the_ring_holds)
{
	struct mt_vq_elem *elems[64];

	for (uint16_t i = 0; i < 8; i++)
		ck_assert(packed_offer(&p, i, &one, 1, 0));
	ck_assert_uint_eq(pop(elems), 8);
	/* nothing came back, and there is one more */
	packed_desc(&p, 0, one.gpa, one.len, 0, packed_avail_bits(&p));
	ck_assert_uint_eq(pop(elems + 8), 0);
	ck_assert_ptr_nonnull(ring.broken);
}
END_TEST

START_TEST(indirect_by_agreement_only)
{
	config.indirect = false;
	ck_assert(vring_start(&ring, &config));
	packed_offer(&p, 0, &one, 1, MODEL_BASE + 0x50000);
	broken_after();
}
END_TEST

START_TEST(illegal_configurations)
{
	struct vring_config bad;

	bad = config, bad.size = 0, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.size = 12, ck_assert(vring_start(&ring, &bad));
	bad = config, bad.size = 32769, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.desc += 8, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.driver += 2, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.device += 2, ck_assert(!vring_start(&ring, &bad));
	bad = config, bad.device = MODEL_ROM, ck_assert(vring_start(&ring, &bad));
	broken_after();
	bad = config, bad.desc = MODEL_ROM, ck_assert(vring_start(&ring, &bad));
	broken_after();
	bad = config, bad.desc = MODEL_SECOND - 16, ck_assert(vring_start(&ring, &bad));
	broken_after();                                /* a ring in two blocks is not served */
}
END_TEST

/* Random descriptors, mostly plausible: pieces must lie in memory, and everything must come back. */
static void fuzz_once(uint64_t *state)
{
	struct mt_vq_elem *elems[64];
	uint32_t n, zero = 0;

	for (uint32_t i = 0; i < 64; i++) {
		uint64_t r = model_random(state);
		uint64_t gpa = r & 7 ? MODEL_BASE + 0x30000 + (r >> 8 & 0x1dffff) : r >> 3;
		uint32_t len = (uint32_t)(r & 0x30 ? r >> 40 & 0xfff : r >> 32);
		uint16_t flags = (uint16_t)((r >> 16 & 7) | (r & 0x300 ? packed_avail_bits(&p) : r >> 48 & 0x8080));

		if (i < 16)
			packed_desc(&p, i, (r & 0x40) ? gpa & ~15ull : gpa, r & 0x80 ? len & ~15u : len,
				    (uint16_t)(r >> 24), flags);
		else
			memcpy(model_at(&m, MODEL_BASE + 0x40000 + (r & 0xfff0)), &r, 8);
	}
	packed_event(&p, (uint32_t)model_random(state) & 0x7fff, model_random(state) & 1, model_random(state) & 3);
	if (model_random(state) & 1)
		p.avail_wrap = !p.avail_wrap;
	n = vring_pop(&ring, elems, 64);
	MUST(n <= 16);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = 0; k < elems[i]->in_count; k++) {
			const struct mt_iov *piece = &elems[i]->in[k];

			piece->hva[0] = piece->hva[piece->len_bytes - 1] = 0x5a;
		}
		vring_push(&ring, &elems[i], &zero, 1);
	}
	vring_wants_signal(&ring);
	vring_kicks(&ring, model_random(state) & 1);
}

START_TEST(fuzz)
{
	uint64_t state = 5000 + (uint64_t)_i;
	uint32_t rounds = getenv("MORTISE_LONG") ? 200000 : 5000, sound = 0;

	teardown();
	setup_with(16, _i & 1);
	for (uint32_t i = 0; i < rounds; i++) {
		fuzz_once(&state);
		MUST(m.held == 0);
		sound += !ring.broken;
		if (ring.broken) {
			MUST(vring_start(&ring, &config));
			packed_init(&p, &m, 16, _i & 1);
		}
	}
	ck_assert_uint_gt(sound, 0);                   /* not all of it is refused at once */
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("packed");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, getenv("MORTISE_LONG") ? 3600 : 300);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, chain_and_back);
	tcase_add_test(tc, indirect_across_blocks);
	tcase_add_test(tc, a_batch_appears_at_once);
	tcase_add_test(tc, signals_by_flag);
	tcase_add_test(tc, signals_by_place);
	tcase_add_loop_test(tc, nothing_is_lost, 0, 12);
	tcase_add_loop_test(tc, hostile_descriptors, 0, 14);
	tcase_add_test(tc, more_than_the_ring_holds);
	tcase_add_test(tc, indirect_by_agreement_only);
	tcase_add_test(tc, illegal_configurations);
	tcase_add_loop_test(tc, fuzz, 0, 4);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
