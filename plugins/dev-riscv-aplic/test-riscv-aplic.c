/* SPDX-License-Identifier: MIT */
/*
 * dev-riscv-aplic on the fake host: delegation, source modes, both ways of delivery, refusals, the device
 * tree.
 */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <pthread.h>
#include <string.h>
#include <util/error.h>

#define ROOT  0u
#define CHILD 1u

#define DOMAINCFG    0x0u
#define SOURCECFG(s) (4u * (s))
#define MMSIADDRCFGH 0x1bc4u
#define SETIP(w)     (0x1c00u + 4 * (w))
#define SETIPNUM     0x1cdcu
#define IN_CLRIP(w)  (0x1d00u + 4 * (w))
#define CLRIPNUM     0x1ddcu
#define SETIE(w)     (0x1e00u + 4 * (w))
#define SETIENUM     0x1edcu
#define CLRIENUM     0x1fdcu
#define SETIPNUM_LE  0x2000u
#define SETIPNUM_BE  0x2004u
#define GENMSI       0x3000u
#define TARGET(s)    (0x3000u + 4 * (s))
#define IDC(h)       (0x4000u + 32 * (h))
#define IDELIVERY    0x0u
#define IFORCE       0x4u
#define ITHRESHOLD   0x8u
#define TOPI         0x18u
#define CLAIMI       0x1cu

#define DELEGATE 0x400u
#define DETACHED 1u
#define EDGE1    4u
#define EDGE0    5u
#define LEVEL1   6u
#define LEVEL0   7u
#define TO(hart, low) ((uint32_t)(hart) << 18 | (low))

#define MACHINE_FILES    0x24000000u
#define SUPERVISOR_FILES 0x28000000u

static struct fake *f;

static uint32_t get(uint32_t domain, uint32_t offset)
{
	uint64_t value = 0;

	ck_assert_uint_eq(fake_read(f, domain, offset, 4, &value), MT_BUS_OK);
	return (uint32_t)value;
}

static void put(uint32_t domain, uint32_t offset, uint32_t value)
{
	ck_assert_uint_eq(fake_write(f, domain, offset, 4, value), MT_BUS_OK);
}

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-riscv-aplic");

	fake_vcpus(made, 2);
	fake_prop(made, "at", "0x0c000000");
	fake_prop(made, "supervisor-at", "0x0d000000");
	return made;
}

static void start_direct(void)
{
	f = make();
	fake_start(f);
}

static void messages_to(struct fake *made, const char *prop, uint64_t gpa)
{
	struct mt_msi_window w = { .size = sizeof(w), .gpa = gpa, .len_bytes = 0x2000, .stride_bytes = 0x1000,
				   .identities = 255 };

	fake_msi_target(made, prop, &w);
}

static struct fake *make_messages(void)
{
	struct fake *made = make();

	messages_to(made, "msi", MACHINE_FILES);
	messages_to(made, "supervisor-msi", SUPERVISOR_FILES);
	return made;
}

static void start_messages(void)
{
	f = make_messages();
	fake_start(f);
}

static void stop(void)
{
	fake_free(f);
}

/* A source of the supervisor's domain, enabled, as firmware and system would do it. */
static void hand_down(uint32_t source, uint32_t mode, uint32_t target)
{
	put(ROOT, SOURCECFG(source), DELEGATE);
	put(CHILD, SOURCECFG(source), mode);
	put(CHILD, TARGET(source), target);
	put(CHILD, SETIENUM, source);
	put(CHILD, DOMAINCFG, 0x100);
}

static void want_message(uint32_t count, uint64_t addr, uint32_t data)
{
	uint64_t to;

	ck_assert_uint_eq(fake_messages(f), count);
	ck_assert_uint_eq(fake_message(f, count - 1, &to), data);
	ck_assert_uint_eq(to, addr);
}

/* --- both ways of delivery --- */

START_TEST(a_source_lives_in_one_domain)
{
	put(CHILD, SOURCECFG(5), LEVEL1);
	ck_assert_uint_eq(get(CHILD, SOURCECFG(5)), 0);
	put(ROOT, SOURCECFG(5), DELEGATE | 7);
	ck_assert_uint_eq(get(ROOT, SOURCECFG(5)), DELEGATE);
	put(CHILD, SOURCECFG(5), LEVEL1);
	put(CHILD, SETIENUM, 5);
	put(CHILD, TARGET(5), TO(1, 3));
	ck_assert_uint_eq(get(CHILD, SOURCECFG(5)), LEVEL1);
	ck_assert_uint_eq(get(CHILD, SETIE(0)), 1u << 5);
	put(ROOT, SETIENUM, 5);
	put(ROOT, TARGET(5), 1);
	ck_assert_uint_eq(get(ROOT, SETIE(0)) | get(ROOT, TARGET(5)), 0);
	/* a leaf cannot delegate; reserved modes are none */
	put(CHILD, SOURCECFG(5), DELEGATE);
	ck_assert_uint_eq(get(CHILD, SOURCECFG(5)), 0);
	put(CHILD, SOURCECFG(5), 2);
	ck_assert_uint_eq(get(CHILD, SOURCECFG(5)), 0);
	/* taken back */
	put(CHILD, SOURCECFG(5), EDGE1);
	put(CHILD, SETIENUM, 5);
	put(ROOT, SOURCECFG(5), 0);
	ck_assert_uint_eq(get(CHILD, SOURCECFG(5)) | get(CHILD, SETIE(0)) | get(CHILD, TARGET(5)), 0);
	put(ROOT, SOURCECFG(97), LEVEL1);
	ck_assert_uint_eq(get(ROOT, SOURCECFG(97)), 0);
}
END_TEST

START_TEST(rectified_inputs)
{
	static const struct { uint32_t mode, low, high; } modes[] = {
		{ DETACHED, 0, 0 }, { EDGE1, 0, 1 }, { EDGE0, 1, 0 }, { LEVEL1, 0, 1 }, { LEVEL0, 1, 0 },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		put(ROOT, SOURCECFG(33), modes[i].mode);
		ck_assert_uint_eq(get(ROOT, IN_CLRIP(1)), modes[i].low << 1);
		fake_input(f, 33, 1);
		ck_assert_uint_eq(get(ROOT, IN_CLRIP(1)), modes[i].high << 1);
		fake_input(f, 33, 0);
	}
}
END_TEST

START_TEST(region_is_strict_and_zero_elsewhere)
{
	uint64_t value;

	ck_assert_uint_eq(fake_read(f, ROOT, 0, 8, &value), MT_BUS_DEVICE);
	ck_assert_uint_eq(fake_write(f, ROOT, 1, 1, 0), MT_BUS_DEVICE);
	for (uint32_t offset = 0x1000; offset < 0x1bc0; offset += 4) {
		put(ROOT, offset, UINT32_MAX);
		ck_assert_uint_eq(get(ROOT, offset), 0);
	}
	put(ROOT, 0x2ffc, UINT32_MAX);
	put(ROOT, 0x7ffc, UINT32_MAX);
	ck_assert_uint_eq(get(ROOT, 0x2ffc) | get(ROOT, 0x7ffc) | get(CHILD, MMSIADDRCFGH), 0);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 1, 200000);
}
END_TEST

/* --- direct delivery --- */

START_TEST(direct_level_follows_the_wire)
{
	hand_down(10, LEVEL1, TO(1, 4));
	put(CHILD, IDC(1) + IDELIVERY, 1);
	fake_input(f, 10, 1);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "seip") | fake_pin(f, 1, "meip"), 0);
	ck_assert_uint_eq(get(CHILD, IDC(1) + TOPI), 10 << 16 | 4);
	/* neither a claim nor software changes what the wire says */
	ck_assert_uint_eq(get(CHILD, IDC(1) + CLAIMI), 10 << 16 | 4);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 10), 1);
	put(CHILD, CLRIPNUM, 10);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	fake_input(f, 10, 0);
	put(CHILD, SETIPNUM, 10);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	ck_assert_uint_eq(get(CHILD, IDC(1) + CLAIMI), 0);
}
END_TEST

START_TEST(direct_edge_is_claimed_once)
{
	put(ROOT, SOURCECFG(1), EDGE0);
	put(ROOT, SETIENUM, 1);
	put(ROOT, DOMAINCFG, 0x100);
	put(ROOT, IDC(0) + IDELIVERY, 1);
	fake_input(f, 1, 1);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	fake_input(f, 1, 0);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
	ck_assert_uint_eq(get(ROOT, IDC(0) + CLAIMI), 1 << 16 | 1);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 1), 0);
	put(ROOT, SETIPNUM, 1);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
	put(ROOT, IN_CLRIP(0), 2);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 0);
}
END_TEST

START_TEST(direct_priorities_and_threshold)
{
	for (uint32_t s = 1; s <= 4; s++) {
		hand_down(s, DETACHED, TO(0, s == 3 ? 2 : 5));
		put(CHILD, SETIPNUM_LE, s);
	}
	put(CHILD, IDC(0) + IDELIVERY, 1);
	ck_assert_uint_eq(get(CHILD, IDC(0) + CLAIMI), 3 << 16 | 2);
	ck_assert_uint_eq(get(CHILD, IDC(0) + CLAIMI), 1 << 16 | 5);
	put(CHILD, IDC(0) + ITHRESHOLD, 5);
	ck_assert_uint_eq(get(CHILD, IDC(0) + TOPI), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	put(CHILD, IDC(0) + ITHRESHOLD, 6);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 1);
	put(CHILD, CLRIENUM, 2);
	put(CHILD, TARGET(4), TO(1, 0));
	ck_assert_uint_eq(get(CHILD, TARGET(4)), TO(1, 1));
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	put(CHILD, IDC(1) + IDELIVERY, 1);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	put(CHILD, DOMAINCFG, 0);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
}
END_TEST

START_TEST(direct_force_is_spurious_once)
{
	put(ROOT, DOMAINCFG, 0xffffffff);
	ck_assert_uint_eq(get(ROOT, DOMAINCFG), 0x80000100);
	put(ROOT, IDC(1) + IDELIVERY, 1);
	put(ROOT, IDC(1) + IFORCE, 1);
	ck_assert_uint_eq(fake_pin(f, 1, "meip"), 1);
	ck_assert_uint_eq(get(ROOT, IDC(1) + CLAIMI), 0);
	ck_assert_uint_eq(fake_pin(f, 1, "meip"), 0);
	put(ROOT, GENMSI, TO(0, 5));
	ck_assert_uint_eq(get(ROOT, GENMSI) | fake_messages(f), 0);
}
END_TEST

START_TEST(direct_reset)
{
	hand_down(10, LEVEL1, TO(1, 4));
	put(CHILD, IDC(1) + IDELIVERY, 1);
	fake_input(f, 10, 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	/* the wire is still high */
	hand_down(10, LEVEL1, TO(1, 4));
	put(CHILD, IDC(1) + IDELIVERY, 1);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
}
END_TEST

START_TEST(direct_state)
{
	struct fake_state *state;

	hand_down(10, LEVEL1, TO(1, 4));
	hand_down(11, EDGE1, TO(0, 2));
	put(ROOT, SOURCECFG(12), LEVEL0);
	put(CHILD, IDC(1) + IDELIVERY, 1);
	put(CHILD, IDC(0) + ITHRESHOLD, 2);
	fake_input(f, 10, 1);
	fake_input(f, 11, 1);
	fake_state_check(f, make);
	state = fake_save(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	ck_assert_uint_eq(get(CHILD, IDC(1) + CLAIMI), 10 << 16 | 4);
	fake_input(f, 10, 0);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	put(CHILD, IDC(0) + ITHRESHOLD, 0);
	ck_assert_uint_eq(get(CHILD, IDC(0) + CLAIMI), 11 << 16 | 2);
}
END_TEST

/* What registers cannot have come to. */
START_TEST(direct_state_is_refused)
{
	static const struct { const char *path; uint32_t index; uint64_t value; } wrong[] = {
		{ "wire", 0, 1 }, { "domain[0]/source", 5, 2 }, { "domain[1]/source", 5, LEVEL1 },
		{ "domain[0]/target", 5, 1 }, { "domain[1]/target", 10, TO(1, 0) }, { "domain[1]/target", 10, 0x100 },
		{ "domain[1]/pending", 0, 1u << 11 }, { "domain[1]/pending", 0, 1u << 10 }, { "domain[0]/genmsi", 0, 1 },
		{ "domain[0]/msi", 0, 1 }, { "domain[1]/enabled", 3, 2 }, { "domain[1]/idc[1]/force", 0, 2 },
	};

	hand_down(10, LEVEL1, TO(1, 4));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fake_state *state = fake_save(f);
		struct fake *fresh = make();
		uint32_t field = fake_state_find(state, wrong[i].path);

		ck_assert_msg(field < fake_state_fields(state), "no %s", wrong[i].path);
		fake_state_set(state, field, wrong[i].index, wrong[i].value);
		ck_assert_msg(fake_load(fresh, state, NULL) < 0, "%s[%u]", wrong[i].path, wrong[i].index);
		fake_free(fresh);
		fake_state_free(state);
	}
}
END_TEST

/* --- delivery by messages --- */

START_TEST(message_of_a_level_is_sent_once)
{
	hand_down(10, LEVEL1, TO(1, 77));
	ck_assert_uint_eq(get(CHILD, DOMAINCFG), 0x80000104);
	ck_assert_uint_eq(fake_messages(f), 0);
	fake_input(f, 10, 1);
	want_message(1, SUPERVISOR_FILES + 0x1000, 77);
	ck_assert_uint_eq(get(CHILD, SETIP(0)), 0);
	/* still high when the handler is through: it asks again, and is told again */
	put(CHILD, SETIPNUM_LE, 10);
	want_message(2, SUPERVISOR_FILES + 0x1000, 77);
	ck_assert_uint_eq(fake_ends_of_interrupt(f, 10), 1);
	fake_input(f, 10, 0);
	put(CHILD, SETIPNUM_LE, 10);
	ck_assert_uint_eq(fake_messages(f), 2);
	fake_input(f, 10, 1);
	ck_assert_uint_eq(fake_messages(f), 3);
}
END_TEST

START_TEST(messages_wait_for_enables)
{
	put(ROOT, SOURCECFG(2), EDGE1);
	put(ROOT, TARGET(2), TO(0, 9));
	fake_input(f, 2, 1);
	ck_assert_uint_eq(get(ROOT, SETIP(0)), 4);
	put(ROOT, SETIENUM, 2);
	ck_assert_uint_eq(fake_messages(f), 0);
	put(ROOT, DOMAINCFG, 0x100);
	want_message(1, MACHINE_FILES, 9);
	ck_assert_uint_eq(get(ROOT, SETIP(0)), 0);
	put(ROOT, SETIPNUM_BE, 0x02000000);
	ck_assert_uint_eq(fake_messages(f), 2);
	/* a level that falls before it could be sent is gone */
	put(ROOT, SOURCECFG(3), LEVEL1);
	fake_input(f, 3, 1);
	ck_assert_uint_eq(get(ROOT, SETIP(0)), 8);
	fake_input(f, 3, 0);
	ck_assert_uint_eq(get(ROOT, SETIP(0)), 0);
	/* one that is high when the source is configured counts */
	fake_input(f, 4, 1);
	put(ROOT, SOURCECFG(4), LEVEL1);
	ck_assert_uint_eq(get(ROOT, SETIP(0)), 16);
}
END_TEST

START_TEST(extempore_messages)
{
	put(CHILD, GENMSI, TO(1, 0x7ff) | 0x1000);
	want_message(1, SUPERVISOR_FILES + 0x1000, 0x7ff);
	ck_assert_uint_eq(get(CHILD, GENMSI), TO(1, 0x7ff));
	/* no such hart */
	put(CHILD, GENMSI, TO(2, 1));
	put(CHILD, GENMSI, 0xffffffff);
	ck_assert_uint_eq(fake_messages(f), 1);
}
END_TEST

START_TEST(addresses_are_locked)
{
	put(ROOT, MMSIADDRCFGH, 0x12345678);
	put(ROOT, MMSIADDRCFGH - 4, 0x12345678);
	put(ROOT, MMSIADDRCFGH + 4, 0x12345678);
	ck_assert_uint_eq(get(ROOT, MMSIADDRCFGH), 0x80000000);
	ck_assert_uint_eq(get(ROOT, MMSIADDRCFGH - 4) | get(ROOT, MMSIADDRCFGH + 4) | get(CHILD, MMSIADDRCFGH), 0);
	/* no structures of direct delivery either */
	put(ROOT, IDC(0) + IDELIVERY, 1);
	ck_assert_uint_eq(get(ROOT, IDC(0) + IDELIVERY), 0);
}
END_TEST

static void *wiggle(void *arg)
{
	for (uint32_t i = 0; i < 40000; i++)
		((const struct mt_irq_sink *)arg)->input_set(fake_self(f), 1 + i / 2 % 8, ~i & 1);
	return NULL;
}

/* A device's thread moves wires while a hart works on the registers. */
START_TEST(inputs_from_another_thread)
{
	pthread_t thread;

	for (uint32_t s = 1; s <= 8; s++)
		hand_down(s, LEVEL1, TO(s & 1, s));
	ck_assert_int_eq(pthread_create(&thread, NULL, wiggle, (void *)(uintptr_t)fake_role(f, MT_IFACE_IRQ_SINK)), 0);
	for (uint32_t i = 0; i < 20000; i++)
		put(CHILD, i & 1 ? SETIPNUM_LE : CLRIPNUM, 1 + i % 8);
	pthread_join(thread, NULL);
	ck_assert_uint_ge(fake_messages(f), 20000);
	ck_assert_uint_eq(get(CHILD, SETIP(0)), 0);
}
END_TEST

START_TEST(message_state)
{
	struct fake_state *state;

	hand_down(10, LEVEL1, TO(1, 77));
	put(CHILD, GENMSI, TO(1, 5));
	put(CHILD, DOMAINCFG, 0);
	fake_input(f, 10, 1);
	fake_state_check(f, make_messages);
	state = fake_save(f);
	fake_free(f);
	f = make_messages();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
	ck_assert_uint_eq(fake_messages(f), 0);
	put(CHILD, DOMAINCFG, 0x100);
	want_message(1, SUPERVISOR_FILES + 0x1000, 77);
}
END_TEST

START_TEST(device_tree)
{
	const struct mt_irq_sink *sink = fake_role(f, MT_IFACE_IRQ_SINK);
	const char *text = fake_fdt(f);
	uint32_t cells[4];

	ck_assert_ptr_nonnull(strstr(text, "aplic@c000000"));
	ck_assert_ptr_nonnull(strstr(text, "aplic@d000000"));
	ck_assert_ptr_nonnull(strstr(text, "riscv,children"));
	ck_assert_ptr_nonnull(strstr(text, "riscv,delegate"));
	ck_assert_ptr_nonnull(strstr(text, "msi-parent"));
	ck_assert_uint_eq(sink->fdt_cells(fake_self(f), 10, cells), 2);
	ck_assert_uint_eq(cells[0], 10);
	ck_assert_uint_eq(cells[1], 4);
	ck_assert_uint_eq(sink->fdt_cells(fake_self(f), 0, cells), 0);
	ck_assert_uint_eq(sink->input_count(fake_self(f)), 97);
}
END_TEST

START_TEST(refusal_of_a_target_without_domain)
{
	struct fake *made = fake_new("dev-riscv-aplic");
	struct mt_error err;

	mt_error_init(&err);
	fake_prop(made, "at", "0x0c000000");
	messages_to(made, "supervisor-msi", SUPERVISOR_FILES);
	ck_assert_int_eq(fake_create(made, &err), MT_EINVAL);
	ck_assert_ptr_nonnull(strstr(err.message, "no supervisor-level domain"));
	fake_free(made);
}
END_TEST

static void add(Suite *suite, const char *name, void (*setup)(void), const TTest *const *tests)
{
	TCase *tc = tcase_create(name);

	tcase_add_checked_fixture(tc, setup, stop);
	tcase_set_timeout(tc, 60);
	for (; *tests; tests++)
		tcase_add_test(tc, *tests);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	const TTest *const direct[] = {
		a_source_lives_in_one_domain, rectified_inputs, region_is_strict_and_zero_elsewhere,
		direct_level_follows_the_wire, direct_edge_is_claimed_once, direct_priorities_and_threshold,
		direct_force_is_spurious_once, direct_reset,
		direct_state, direct_state_is_refused, fuzz, NULL,
	};
	const TTest *const messages[] = {
		a_source_lives_in_one_domain, rectified_inputs, message_of_a_level_is_sent_once, messages_wait_for_enables,
		extempore_messages, addresses_are_locked, inputs_from_another_thread, message_state, device_tree,
		refusal_of_a_target_without_domain, fuzz, NULL,
	};
	Suite *suite = suite_create("riscv-aplic");
	SRunner *runner = srunner_create(suite);
	int failed;

	add(suite, "direct", start_direct, direct);
	add(suite, "messages", start_messages, messages);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
