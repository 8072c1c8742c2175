/* SPDX-License-Identifier: MIT */
/*
 * The pair of interrupt controllers against the 8259A's data sheet: initialization, priorities, each end of
 * interrupt, poll, masks, the cascade, edges and levels; as a source of another controller and for a vCPU; state.
 */
#include <fake/acpi.h>
#include <fake/check-run.h>
#include <fake/state.h>
#include <pthread.h>
#include <string.h>

#define FIRST  0
#define SECOND 1
#define ELCR   2
#define NONE   MT_VECTOR_NONE

static struct fake *f;

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-i8259");

	fake_prop(made, "vcpu", "0");
	return made;
}

static void put(uint32_t chip, uint64_t port, uint8_t value)
{
	ck_assert_uint_eq(fake_write(f, chip, port, 1, value), MT_BUS_OK);
}

static uint8_t get(uint32_t chip, uint64_t port)
{
	uint64_t value = 0;

	ck_assert_uint_eq(fake_read(f, chip, port, 1, &value), MT_BUS_OK);
	return (uint8_t)value;
}

static void init_chip(uint32_t chip, uint8_t icw1, uint8_t icw2, uint8_t icw3, uint8_t icw4)
{
	put(chip, 0, 0x10 | icw1);
	put(chip, 1, icw2);
	if (!(icw1 & 2))
		put(chip, 1, icw3);
	if (icw1 & 1)
		put(chip, 1, icw4);
}

/* As kernels do: vectors 0x20 and 0x28. */
static void init_pair(uint8_t icw4)
{
	init_chip(FIRST, 1, 0x20, 4, icw4 | 1);
	init_chip(SECOND, 1, 0x28, 2, 1);
}

static void start(void)
{
	f = make();
	fake_start(f);
	init_pair(0);
}

static void stop(void)
{
	fake_free(f);
}

static void again(void)
{
	stop();
	start();
}

static void line(uint32_t input, uint32_t level)
{
	fake_input(f, input, level);
}

static void pulse(uint32_t input)
{
	line(input, 1);
	line(input, 0);
}

static uint32_t wants(void)
{
	return fake_vector_request(f, 0);
}

static void takes(int32_t vector)
{
	ck_assert_uint_eq(wants(), vector != NONE);
	ck_assert_int_eq(fake_vector_acknowledge(f, 0), vector);
}

static uint8_t in_service(uint32_t chip)
{
	put(chip, 0, 0x0b);
	return get(chip, 0);
}

static uint8_t requests(uint32_t chip)
{
	put(chip, 0, 0x0a);
	return get(chip, 0);
}

static void eoi(uint32_t chip)
{
	put(chip, 0, 0x20);
}

/* Initialization */

START_TEST(nothing_before_the_words)
{
	fake_reset(f, MT_RESET_COLD, NULL);
	pulse(1);
	ck_assert_uint_eq(wants(), 0);
	put(FIRST, 0, 0x11);
	pulse(1);
	put(FIRST, 1, 0x40);
	put(FIRST, 1, 4);
	ck_assert_uint_eq(wants(), 0);
	put(FIRST, 1, 1);
	takes(0x41);
}
END_TEST

/* Sheet, "Initialization command word 1": mask, edges, priority, special mask, the register that is read. */
START_TEST(icw1_clears)
{
	line(3, 1);
	put(FIRST, 1, 0xf0);
	put(FIRST, 0, 0xc2);
	put(FIRST, 0, 0x68);
	put(FIRST, 0, 0x0b);
	init_chip(FIRST, 1, 0x60, 4, 1);
	ck_assert_uint_eq(get(FIRST, 1), 0);
	ck_assert_uint_eq(get(FIRST, 0), 0);
	/* the line is high still: another edge has to come */
	ck_assert_uint_eq(wants(), 0);
	line(3, 0);
	line(3, 1);
	ck_assert_uint_eq(get(FIRST, 0), 8);
	pulse(0);
	takes(0x60);
}
END_TEST

START_TEST(single_and_without_icw4)
{
	/* single: no ICW3; without ICW4 the 8080's vectors: the low byte of the address, 4 or 8 bytes apart */
	init_chip(FIRST, 0x02 | 0x04 | 0xa0, 0x12, 0, 0);
	pulse(5);
	takes(0xa0 | 5 << 2);
	init_chip(FIRST, 0x02 | 0x40, 0x12, 0, 0);
	pulse(5);
	takes(0x40 | 5 << 3);
	/* the next word at the odd port is a mask */
	put(FIRST, 1, 0x20);
	eoi(FIRST);
	pulse(5);
	ck_assert_uint_eq(wants(), 0);
}
END_TEST

/* Priorities and ends of interrupts */

START_TEST(fully_nested)
{
	pulse(4);
	takes(0x24);
	pulse(6);
	ck_assert_uint_eq(wants(), 0);
	pulse(4);
	ck_assert_uint_eq(wants(), 0);
	pulse(1);
	takes(0x21);
	ck_assert_uint_eq(in_service(FIRST), 0x12);
	ck_assert_uint_eq(requests(FIRST), 0x50);
	eoi(FIRST);
	ck_assert_uint_eq(in_service(FIRST), 0x10);
	ck_assert_uint_eq(wants(), 0);
	eoi(FIRST);
	takes(0x24);
	eoi(FIRST);
	takes(0x26);
	eoi(FIRST);
	takes(NONE);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 4), 2);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 1), 1);
}
END_TEST

START_TEST(specific_end)
{
	pulse(5);
	takes(0x25);
	pulse(3);
	takes(0x23);
	put(FIRST, 0, 0x65);
	ck_assert_uint_eq(in_service(FIRST), 0x08);
	/* what is not in service does not end */
	put(FIRST, 0, 0x61);
	ck_assert_uint_eq(in_service(FIRST), 0x08);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 1), 0);
	put(FIRST, 0, 0x40);           /* no operation */
	ck_assert_uint_eq(in_service(FIRST), 0x08);
}
END_TEST

START_TEST(automatic_end)
{
	init_pair(2);
	pulse(3);
	takes(0x23);
	ck_assert_uint_eq(in_service(FIRST), 0);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 3), 1);
	pulse(3);
	pulse(4);
	takes(0x23);
	takes(0x24);
	/* with rotation: whoever was served comes last */
	put(FIRST, 0, 0x80);
	pulse(3);
	pulse(4);
	takes(0x23);
	pulse(3);
	takes(0x24);
	takes(0x23);
	put(FIRST, 0, 0x00);
	pulse(3);
	pulse(4);
	takes(0x24);
	takes(0x23);
}
END_TEST

/* Sheet, figure "Rotation": after 4 was served, 5 has the highest priority. */
START_TEST(rotation)
{
	pulse(4);
	pulse(6);
	takes(0x24);
	put(FIRST, 0, 0xa0);
	pulse(3);
	takes(0x26);
	put(FIRST, 0, 0xe6);
	/* 6 is the lowest: 7 0 1 .. 6 */
	pulse(7);
	takes(0x27);
	ck_assert_uint_eq(wants(), 0);
	eoi(FIRST);
	takes(0x23);
	eoi(FIRST);
	put(FIRST, 0, 0xc1);           /* 1 is the lowest: 2 3 .. 0 1 */
	pulse(0);
	pulse(1);
	pulse(5);
	takes(0x25);
	eoi(FIRST);
	takes(0x20);
	eoi(FIRST);
	takes(0x21);
}
END_TEST

START_TEST(masks)
{
	put(FIRST, 1, 0x02);
	pulse(1);
	ck_assert_uint_eq(wants(), 0);
	ck_assert_uint_eq(requests(FIRST), 2);
	ck_assert_uint_eq(get(FIRST, 1), 2);
	put(FIRST, 1, 0);
	takes(0x21);
}
END_TEST

START_TEST(special_mask)
{
	pulse(3);
	takes(0x23);
	pulse(5);
	ck_assert_uint_eq(wants(), 0);
	put(FIRST, 1, 0x08);
	ck_assert_uint_eq(wants(), 0);
	put(FIRST, 0, 0x68);
	takes(0x25);
	/* the masked one in service is spared */
	eoi(FIRST);
	ck_assert_uint_eq(in_service(FIRST), 0x08);
	eoi(FIRST);
	ck_assert_uint_eq(in_service(FIRST), 0x08);
	put(FIRST, 0, 0x28);           /* no ESMM: nothing */
	pulse(6);
	takes(0x26);
	eoi(FIRST);
	put(FIRST, 0, 0x48);
	pulse(6);
	ck_assert_uint_eq(wants(), 0);
	put(FIRST, 0, 0x63);
	takes(0x26);
}
END_TEST

START_TEST(polled)
{
	put(FIRST, 0, 0x0c);
	ck_assert_uint_eq(get(FIRST, 0), 0);
	ck_assert_uint_eq(get(FIRST, 1), 0);
	pulse(4);
	pulse(6);
	put(FIRST, 0, 0x0c);
	ck_assert_uint_eq(get(FIRST, 1), 0x84);
	ck_assert_uint_eq(wants(), 0);
	ck_assert_uint_eq(in_service(FIRST), 0x10);
	eoi(FIRST);
	put(FIRST, 0, 0x0f);           /* poll goes before the read of a register */
	ck_assert_uint_eq(get(FIRST, 0), 0x86);
	ck_assert_uint_eq(get(FIRST, 0), 0x40);
	eoi(FIRST);
	/* both of the pair */
	pulse(10);
	put(FIRST, 0, 0x0c);
	ck_assert_uint_eq(get(FIRST, 0), 0x82);
	put(SECOND, 0, 0x0c);
	ck_assert_uint_eq(get(SECOND, 0), 0x82);
}
END_TEST

/* The pair */

START_TEST(cascade)
{
	pulse(14);
	takes(0x2e);
	ck_assert_uint_eq(in_service(FIRST), 0x04);
	ck_assert_uint_eq(in_service(SECOND), 0x40);
	/* 1 goes before all of the second chip, 3 after */
	pulse(1);
	takes(0x21);
	eoi(FIRST);
	pulse(3);
	ck_assert_uint_eq(wants(), 0);
	/* fully nested: the first chip's input is in service, higher ones of the second chip wait */
	pulse(8);
	ck_assert_uint_eq(wants(), 0);
	eoi(SECOND);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 14), 1);
	ck_assert_uint_eq(wants(), 0);
	eoi(FIRST);
	takes(0x28);
	eoi(SECOND);
	eoi(FIRST);
	takes(0x23);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 2), 0);
}
END_TEST

START_TEST(special_fully_nested)
{
	init_pair(0x10);
	pulse(14);
	takes(0x2e);
	pulse(3);
	ck_assert_uint_eq(wants(), 0);
	pulse(15);
	ck_assert_uint_eq(wants(), 0);
	pulse(8);
	takes(0x28);
	/* how the sheet wants it ended: the second chip, and the first when nothing is left there */
	eoi(SECOND);
	ck_assert_uint_eq(in_service(SECOND), 0x40);
	eoi(SECOND);
	eoi(FIRST);
	takes(0x2f);
}
END_TEST

/* The second chip's INT rises anew for each, although it never seemed to fall. */
START_TEST(second_with_automatic_end)
{
	init_chip(FIRST, 1, 0x20, 4, 3);
	init_chip(SECOND, 1, 0x28, 2, 3);
	pulse(8);
	pulse(12);
	pulse(15);
	takes(0x28);
	takes(0x2c);
	takes(0x2f);
	takes(NONE);
}
END_TEST

START_TEST(request_that_goes)
{
	/* behind the cascade nothing is left of it; with the default vector otherwise, which is not in service */
	pulse(9);
	ck_assert_uint_eq(wants(), 1);
	put(SECOND, 1, 2);
	takes(NONE);
	ck_assert_uint_eq(in_service(FIRST), 0);
	put(SECOND, 1, 0);
	takes(0x29);
}
END_TEST

START_TEST(wrong_numbers)
{
	/* the second chip does not know the number that it is called by: nobody drives the bus */
	init_chip(SECOND, 1, 0x28, 3, 1);
	pulse(9);
	takes(0xff);
	/* the first one does not know of the second */
	init_chip(FIRST, 1, 0x20, 0, 1);
	init_chip(SECOND, 1, 0x28, 2, 1);
	pulse(9);
	takes(0x22);
}
END_TEST

/* Edges and levels */

START_TEST(edges)
{
	line(5, 1);
	takes(0x25);
	eoi(FIRST);
	ck_assert_uint_eq(wants(), 0);
	line(5, 0);
	ck_assert_uint_eq(wants(), 0);
	/* kept, however short */
	pulse(5);
	takes(0x25);
	/* none is the cascade's, and none beyond */
	pulse(2);
	ck_assert_uint_eq(requests(FIRST), 0);
}
END_TEST

static void check_levels(uint32_t input, int32_t vector)
{
	line(input, 1);
	takes(vector);
	ck_assert_uint_eq(wants(), 0);
	if (input > 7)
		eoi(SECOND);
	eoi(FIRST);
	takes(vector);
	line(input, 0);
	if (input > 7)
		eoi(SECOND);
	eoi(FIRST);
	ck_assert_uint_eq(wants(), 0);
	line(input, 1);
	ck_assert_uint_eq(wants(), 1);
	line(input, 0);
	takes(NONE);
}

START_TEST(levels)
{
	put(ELCR, 0, 0xff);
	put(ELCR, 1, 0xff);
	ck_assert_uint_eq(get(ELCR, 0), 0xf8);
	ck_assert_uint_eq(get(ELCR, 1), 0xde);
	check_levels(5, 0x25);
	check_levels(11, 0x2b);
	/* an edge that was seen is none of a level's */
	put(ELCR, 0, 0);
	pulse(6);
	put(ELCR, 0, 0x40);
	ck_assert_uint_eq(wants(), 0);
	put(ELCR, 0, 0);
	ck_assert_uint_eq(wants(), 0);
	again();
	init_chip(FIRST, 0x09, 0x20, 4, 1);
	check_levels(0, 0x20);
	/* the second chip's INT is a level too */
	pulse(8);
	takes(0x28);
	ck_assert_uint_eq(wants(), 0);
}
END_TEST

/* A device that lowers its line when it is told of the end is not asked again. */
START_TEST(resampling_is_told)
{
	put(ELCR, 0, 0x20);
	line(5, 1);
	takes(0x25);
	eoi(FIRST);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 5), 1);
}
END_TEST

/* Attachment */

START_TEST(behind_another)
{
	stop();
	f = fake_new("dev-i8259");
	fake_start(f);
	init_pair(0);
	ck_assert_uint_eq(fake_vector_bound(f, 0), 0);
	pulse(1);
	takes(0x21);
	ck_assert_uint_eq(wants(), 0);
}
END_TEST

START_TEST(no_such_vcpu)
{
	struct mt_error err = { .size = sizeof(err) };

	stop();
	f = fake_new("dev-i8259");
	fake_prop(f, "vcpu", "3");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_ENOENT);
}
END_TEST

/* Lines move while the vCPU takes interrupts: none is lost, and the last level told is the chips'. */
static void *raiser(void *arg)
{
	const struct mt_irq_sink *sink = fake_role(f, MT_IFACE_IRQ_SINK);

	(void)arg;
	for (uint32_t i = 0; i < 4000; i++) {
		sink->input_set(fake_self(f), i & 1 ? 9 : 3, 1);
		sink->input_set(fake_self(f), i & 1 ? 9 : 3, 0);
	}
	return NULL;
}

START_TEST(threads)
{
	pthread_t thread;
	uint32_t taken = 0;

	ck_assert_int_eq(pthread_create(&thread, NULL, raiser, NULL), 0);
	for (uint32_t i = 0; i < 4000; i++) {
		int32_t vector = fake_vector_acknowledge(f, 0);

		ck_assert(vector == NONE || vector == 0x23 || vector == 0x29);
		taken += vector != NONE;
		eoi(SECOND);
		eoi(FIRST);
	}
	pthread_join(thread, NULL);
	while (wants()) {
		ck_assert_int_ne(fake_vector_acknowledge(f, 0), NONE);
		taken++;
		eoi(SECOND);
		eoi(FIRST);
	}
	ck_assert_uint_ge(taken, 2);
	takes(NONE);
	ck_assert_uint_eq(requests(FIRST) | requests(SECOND), 0);
}
END_TEST

/* State */

START_TEST(state)
{
	init_pair(0x10);
	put(ELCR, 0, 0x28);
	line(5, 1);
	line(9, 1);
	takes(0x29);
	pulse(12);
	pulse(8);
	put(SECOND, 0, 0xc3);
	put(FIRST, 1, 0x80);
	put(FIRST, 0, 0x68);
	put(FIRST, 0, 0x0b);
	put(SECOND, 0, 0x0c);
	fake_state_check(f, make);
	/* in the middle of the words, and after automatic rotation */
	put(SECOND, 0, 0x19);
	put(SECOND, 1, 0x70);
	put(FIRST, 0, 0x80);
	fake_state_check(f, make);
}
END_TEST

START_TEST(goes_on)
{
	struct fake_state *saved;

	pulse(14);
	pulse(1);
	takes(0x21);
	saved = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, saved, NULL), 0);
	fake_state_free(saved);
	ck_assert_uint_eq(wants(), 0);
	eoi(FIRST);
	takes(0x2e);
	saved = fake_save(f);
	eoi(SECOND);
	eoi(FIRST);
	pulse(3);
	ck_assert_uint_eq(wants(), 1);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, saved, NULL), 0);
	fake_state_free(saved);
	ck_assert_uint_eq(wants(), 0);
	ck_assert_uint_eq(in_service(SECOND), 0x40);
}
END_TEST

START_TEST(hostile_state)
{
	fake_state_refuses(f, make, "chips[0]/lowest", 0, 8, "chips");
	fake_state_refuses(f, make, "chips[0]/elcr", 0, 1, "chips");
	fake_state_refuses(f, make, "chips[1]/elcr", 0, 0x20, "chips");
	fake_state_refuses(f, make, "chips[1]/step", 0, 1, "chips");
	fake_state_refuses(f, make, "chips[1]/step", 0, 3, "chips");
	fake_state_refuses(f, make, "chips[0]/icw4", 0, 0x20, "chips");
}
END_TEST

START_TEST(acpi)
{
	struct mt_acpi said;

	ck_assert_str_eq(fake_acpi_text(f, &said), "pic\n");
}
END_TEST

START_TEST(random_accesses)
{
	fake_fuzz_region(f, 6, 30000);
}
END_TEST

int main(void)
{
	CHECK_RUN("i8259", start, stop, nothing_before_the_words, icw1_clears, single_and_without_icw4, fully_nested,
		  specific_end, automatic_end, rotation, masks, special_mask, polled, cascade, special_fully_nested,
		  second_with_automatic_end, request_that_goes, wrong_numbers, edges, levels, resampling_is_told,
		  behind_another, no_such_vcpu, threads, state, goes_on, hostile_state, acpi, random_accesses);
}
