/* SPDX-License-Identifier: MIT */
/* DMA: transfers over blocks and into holes, mappings, atomic accesses, dirty bitmaps and their races. */
#include "kernel/machine/dma.h"
#include "kernel/machine/test-services.h"

const struct bench_role bench_roles[] = { { 0 } };

#define BLOCK 0x10000u

/* Two blocks side by side, a hole, a block that cannot be written. */
struct board {
	struct machine *m;
	struct mt_ram *low, *high, *rom;
	struct mt_dma *dma;
};

static struct board board_create(void)
{
	struct board b = { .m = bench_create() };

	b.low = ram_create(b.m->system, "low", BLOCK, true, NULL);
	b.high = ram_create(b.m->system, "high", BLOCK, true, NULL);
	b.rom = ram_create(b.m->system, "rom", BLOCK, true, NULL);
	b.rom->flags |= MT_RAM_READONLY;
	space_add_ram(b.m->system, b.high, 0x80000000u + BLOCK, NULL);
	space_add_ram(b.m->system, b.low, 0x80000000u, NULL);
	space_add_ram(b.m->system, b.rom, 0x90000000u, NULL);
	b.dma = dma_host.get(bench_inst(b.m, "dev", "dev", 0, NULL, NULL));
	return b;
}

START_TEST(transfer_crosses_blocks)
{
	struct board b = board_create();
	uint8_t out[8192], in[8192];

	for (unsigned i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7 + 1);
	ck_assert_uint_eq(dma_host.write(b.dma, 0x80000000u + BLOCK - 4000, out, sizeof(out)), MT_BUS_OK);
	ck_assert_mem_eq(b.low->hva + BLOCK - 4000, out, 4000);
	ck_assert_mem_eq(b.high->hva, out + 4000, sizeof(out) - 4000);
	ck_assert_uint_eq(dma_host.read(b.dma, 0x80000000u + BLOCK - 4000, in, sizeof(in)), MT_BUS_OK);
	ck_assert_mem_eq(in, out, sizeof(in));
	ck_assert_uint_eq(dma_host.fill(b.dma, 0x80000000u + BLOCK - 2, 0xee, 4), MT_BUS_OK);
	ck_assert_uint_eq(b.low->hva[BLOCK - 1], 0xee);
	ck_assert_uint_eq(b.high->hva[1], 0xee);
	ck_assert_uint_ne(b.high->hva[2], 0xee);
	bench_destroy(b.m);
}
END_TEST

START_TEST(transfer_into_a_hole_moves_the_part_before)
{
	struct board b = board_create();
	uint8_t buf[16];

	memset(buf, 0x55, sizeof(buf));
	ck_assert_uint_eq(dma_host.write(b.dma, 0x80000000u + 2 * BLOCK - 8, buf, 16), MT_BUS_DECODE);
	ck_assert_uint_eq(b.high->hva[BLOCK - 8], 0x55);
	ck_assert_uint_eq(b.high->hva[BLOCK - 1], 0x55);
	ck_assert_uint_eq(dma_host.read(b.dma, 0, buf, 1), MT_BUS_DECODE);
	ck_assert_uint_eq(dma_host.read(b.dma, UINT64_MAX, buf, 2), MT_BUS_DECODE);
	ck_assert_uint_eq(dma_host.read(b.dma, 0, buf, 0), MT_BUS_OK);
	ck_assert_uint_eq(dma_host.fill(b.dma, 0x80000000u, 1, UINT64_MAX), MT_BUS_DECODE);
	bench_destroy(b.m);
}
END_TEST

START_TEST(rom_is_read_only)
{
	struct board b = board_create();
	struct mt_iov iov;
	uint64_t mapped;
	uint32_t word = 1;

	ck_assert_uint_eq(dma_host.read(b.dma, 0x90000000u, &word, 4), MT_BUS_OK);
	ck_assert_uint_eq(word, 0);
	word = 7;
	ck_assert_uint_eq(dma_host.write(b.dma, 0x90000000u, &word, 4), MT_BUS_DECODE);
	ck_assert_uint_eq(b.rom->hva[0], 0);
	ck_assert_uint_eq(dma_host.map(b.dma, 0x90000000u, 4, MT_DMA_FROM_DEVICE, &iov, 1, &mapped), 0);
	ck_assert_uint_eq(mapped, 0);
	ck_assert_uint_eq(dma_host.map(b.dma, 0x90000000u, 4, MT_DMA_TO_DEVICE, &iov, 1, &mapped), 1);
	dma_host.unmap(b.dma, &iov, 1, MT_DMA_TO_DEVICE, 0);
	bench_destroy(b.m);
}
END_TEST

START_TEST(loader_fills_rom)
{
	struct board b = board_create();
	struct mt_inst *loader = bench_inst(b.m, "boot", "boot", 0, NULL, NULL);
	struct mt_dma *dma;
	struct mt_iov iov;
	uint64_t mapped;
	uint32_t word = 7;

	((struct note_class *)loader->cls)->kind = MT_KIND_BOOT;
	dma = dma_host.get(loader);
	ck_assert_uint_eq(dma_host.write(dma, 0x90000000u, &word, 4), MT_BUS_OK);
	ck_assert_uint_eq(b.rom->hva[0], 7);
	ck_assert_uint_eq(dma_host.write(dma, 0x90000000u + BLOCK, &word, 4), MT_BUS_DECODE);
	ck_assert_uint_eq(dma_host.map(dma, 0x90000000u, 4, MT_DMA_FROM_DEVICE, &iov, 1, &mapped), 1);
	ck_assert_ptr_eq(iov.hva, b.rom->hva);
	dma_host.unmap(dma, &iov, 1, MT_DMA_FROM_DEVICE, 4);
	bench_destroy(b.m);
}
END_TEST

static void set_flag(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(mapping_comes_in_pieces_and_keeps_the_view)
{
	struct board b = board_create();
	struct mt_iov iov[3], same[1];
	uint64_t mapped, across = 0x80000000u + BLOCK - 100;
	bool retired = false;

	ck_assert_uint_eq(dma_host.map(b.dma, across, 200, MT_DMA_FROM_DEVICE, iov, 3, &mapped), 2);
	ck_assert_uint_eq(mapped, 200);
	ck_assert_ptr_eq(iov[0].hva, b.low->hva + BLOCK - 100);
	ck_assert_uint_eq(iov[0].len_bytes, 100);
	ck_assert_ptr_eq(iov[1].ram, b.high);
	ck_assert_uint_eq(iov[1].ram_offset, 0);
	/* a second one of the same place, in the next view */
	space_begin(b.m->system);
	space_add_ram(b.m->system, ram_create(b.m->system, "more", BLOCK, true, NULL), 0xa0000000u, NULL);
	space_on_retired(b.m->system, set_flag, &retired);
	space_commit(b.m->system);
	ck_assert_uint_eq(dma_host.map(b.dma, across, 200, MT_DMA_TO_DEVICE, same, 1, &mapped), 1);
	ck_assert_uint_eq(mapped, 100);
	ck_assert(!retired);
	dma_host.unmap(b.dma, same, 1, MT_DMA_TO_DEVICE, 0);
	dma_host.unmap(b.dma, iov, 2, MT_DMA_FROM_DEVICE, 101);
	ck_assert(retired);
	/* 101 bytes: the end of the first block and the beginning of the second */
	ck_assert_uint_eq(b.low->dirty[MT_DIRTY_CODE][0], 1ull << (BLOCK / 4096 - 1));
	ck_assert_uint_eq(b.high->dirty[MT_DIRTY_CODE][0], 1);
	/* and what the guest made up */
	ck_assert_uint_eq(dma_host.map(b.dma, across + 100 + BLOCK, 1, MT_DMA_TO_DEVICE, iov, 3, &mapped), 0);
	ck_assert_uint_eq(dma_host.map(b.dma, 0x80000000u, UINT64_MAX, MT_DMA_TO_DEVICE, iov, 3, &mapped), 2);
	ck_assert_uint_eq(mapped, 2 * BLOCK);
	/* not unmapped: it goes with the instance */
	bench_destroy(b.m);
}
END_TEST

START_TEST(dirty_bits_follow_the_code_pages)
{
	struct board b = board_create();
	uint64_t code[4] = { 0 }, *dirty = b.low->dirty[MT_DIRTY_CODE];

	b.low->code_pages = code;
	dma_host.fill(b.dma, 0x80000000u, 1, BLOCK);
	ck_assert_uint_eq(dirty[0], 0);
	ck_assert_uint_eq(b.low->dirty_epoch[MT_DIRTY_CODE], 0);
	code[0] = 1ull << 3 | 1ull << 5;
	dma_host.fill(b.dma, 0x80000000u + 4 * 4096, 1, 4096);
	ck_assert_uint_eq(dirty[0], 0);
	/* the last byte of page 3 and the first of page 4 */
	dma_host.fill(b.dma, 0x80000000u + 4 * 4096 - 1, 1, 2);
	ck_assert_uint_eq(dirty[0], 1ull << 3);
	ck_assert_uint_ne(b.low->dirty_epoch[MT_DIRTY_CODE], 0);
	dma_host.fill(b.dma, 0x80000000u, 1, BLOCK);
	ck_assert_uint_eq(dirty[0], 1ull << 3 | 1ull << 5);
	b.low->code_pages = NULL;
	bench_destroy(b.m);
}
END_TEST

START_TEST(dirty_ranges_cross_words)
{
	struct machine *m = bench_create();
	struct mt_ram *ram = ram_create(m->system, "ram", 200 * 4096, true, NULL);
	uint64_t *dirty = ram->dirty[MT_DIRTY_CODE];

	ram_mark_dirty(ram, 63 * 4096 + 4095, 66 * 4096);
	ck_assert_uint_eq(dirty[0], 1ull << 63);
	ck_assert_uint_eq(dirty[1], UINT64_MAX);
	ck_assert_uint_eq(dirty[2], 3);
	ram_mark_dirty(ram, 199 * 4096, UINT64_MAX);
	ck_assert_uint_eq(dirty[3], 1ull << 7);
	ram_mark_dirty(ram, 200 * 4096, 1);
	ram_mark_dirty(ram, 0, 0);
	ck_assert_uint_eq(dirty[0], 1ull << 63);
	bench_destroy(m);
}
END_TEST

/* The halves of an aligned word are never seen apart. */
static uint32_t stop;

static void *flip(void *arg)
{
	struct board *b = arg;
	uint64_t word = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		dma_host.write(b->dma, 0x80000100u, &word, 8);
		word = ~word;
	}
	return NULL;
}

START_TEST(aligned_words_are_whole)
{
	struct board b = board_create();
	pthread_t thread;
	uint64_t word;

	stop = 0;
	pthread_create(&thread, NULL, flip, &b);
	for (int i = 0; i < 200000; i++) {
		dma_host.read(b.dma, 0x80000100u, &word, 8);
		ck_assert(word == 0 || word == UINT64_MAX);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	bench_destroy(b.m);
}
END_TEST

/*
 * The translator's side: it consumes bits when the epoch moved. Two writers write the same page, each then
 * "interrupts"; at that moment the epoch must have moved past what the consumer saw before the write.
 */
static uint64_t wire[2];               /* what writer i has announced */

static void *writer(void *arg)
{
	struct board *b = ((void **)arg)[0];
	uintptr_t who = (uintptr_t)((void **)arg)[1];

	for (uint64_t i = 1; i <= 20000; i++) {
		dma_host.write(b->dma, 0x80000000u + who * 8, &i, 8);
		__atomic_store_n(&wire[who], i, __ATOMIC_RELEASE);
	}
	return NULL;
}

START_TEST(consumer_misses_no_write)
{
	struct board b = board_create();
	uint64_t *word, *dirty = b.low->dirty[MT_DIRTY_CODE];
	uint64_t code = 1, seen_epoch = 0, cached[2] = { 0 }, announced[2] = { 0 };
	void *args[2][2] = { { &b, (void *)0 }, { &b, (void *)1 } };
	pthread_t threads[2];

	word = (uint64_t *)(void *)b.low->hva;
	b.low->code_pages = &code;
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, writer, args[i]);
	while (announced[0] < 20000 || announced[1] < 20000) {
		uint64_t epoch;

		for (int i = 0; i < 2; i++)
			announced[i] = __atomic_load_n(&wire[i], __ATOMIC_ACQUIRE);
		epoch = __atomic_load_n(&b.low->dirty_epoch[MT_DIRTY_CODE], __ATOMIC_ACQUIRE);
		if (epoch != seen_epoch && __atomic_exchange_n(dirty, 0, __ATOMIC_ACQ_REL)) {
			for (int i = 0; i < 2; i++)
				cached[i] = __atomic_load_n(word + i, __ATOMIC_ACQUIRE);
		}
		seen_epoch = epoch;
		/* what was announced before the check is in the cache after it */
		ck_assert_uint_ge(cached[0], announced[0]);
		ck_assert_uint_ge(cached[1], announced[1]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	b.low->code_pages = NULL;
	bench_destroy(b.m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dma");
	TCase *tc = tcase_create("dma");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, transfer_crosses_blocks);
	tcase_add_test(tc, transfer_into_a_hole_moves_the_part_before);
	tcase_add_test(tc, rom_is_read_only);
	tcase_add_test(tc, loader_fills_rom);
	tcase_add_test(tc, mapping_comes_in_pieces_and_keeps_the_view);
	tcase_add_test(tc, dirty_bits_follow_the_code_pages);
	tcase_add_test(tc, dirty_ranges_cross_words);
	tcase_add_test(tc, aligned_words_are_whole);
	tcase_add_test(tc, consumer_misses_no_write);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
