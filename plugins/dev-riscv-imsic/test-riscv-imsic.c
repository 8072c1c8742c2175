/* SPDX-License-Identifier: MIT */
/*
 * dev-riscv-imsic on the fake host: messages, claims, the registers behind the window, refusals, the device
 * tree.
 */
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <pthread.h>
#include <string.h>
#include <util/error.h>

#include "imsic.h"

#define TOPEI     0x15cu
#define PAGE(h)   (0x1000u * (h))
#define REG(sel)  (UINT64_C(0x151) << 32 | (sel))
#define DELIVERY  0x70u
#define THRESHOLD 0x72u
#define EIP(k)    (0x80u + (k))
#define EIE(k)    (0xc0u + (k))
#define TOP(i)    ((uint64_t)(i) << 16 | (i))

static struct fake *f;

static struct fake *make(const char *level, const char *identities, uint32_t vcpus)
{
	struct fake *made = fake_new("dev-riscv-imsic");

	fake_vcpus(made, vcpus);
	fake_prop(made, "at", "0x28000000");
	fake_prop(made, "level", level);
	fake_prop(made, "identities", identities);
	return made;
}

static void start(void)
{
	f = make("supervisor", "127", 2);
	fake_start(f);
}

static void stop(void)
{
	fake_free(f);
}

static uint64_t get(uint32_t vcpu, uint64_t number)
{
	uint64_t value;

	ck_assert_uint_eq(fake_sysreg_read(f, vcpu, number, &value), MT_SYSREG_OK);
	return value;
}

static void put(uint32_t vcpu, uint64_t number, uint64_t value)
{
	ck_assert_uint_eq(fake_sysreg_write(f, vcpu, number, value), MT_SYSREG_OK);
}

static uint64_t claim(uint32_t vcpu)
{
	uint64_t old;

	ck_assert_uint_eq(fake_sysreg_modify(f, vcpu, TOPEI, 0, 0, &old), MT_SYSREG_OK);
	return old;
}

/* All identities enabled, delivery on. */
static void enable(uint32_t vcpu)
{
	put(vcpu, REG(DELIVERY), 1);
	put(vcpu, REG(EIE(0)), UINT64_MAX);
	put(vcpu, REG(EIE(2)), UINT64_MAX);
}

START_TEST(message_reaches_its_own_hart)
{
	enable(0);
	enable(1);
	fake_put(f, PAGE(1), 4, 70);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	ck_assert_uint_eq(get(1, TOPEI), TOP(70));
	ck_assert_uint_eq(get(1, REG(EIP(2))), 1u << 6);
	ck_assert_uint_eq(claim(1), TOP(70));
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	ck_assert_uint_eq(claim(1), 0);
	/* in big-endian order */
	fake_put(f, PAGE(0) + 4, 4, 0x05000000);
	ck_assert_uint_eq(claim(0), TOP(5));
}
END_TEST

START_TEST(lower_identities_come_first)
{
	enable(0);
	fake_put(f, PAGE(0), 4, 100);
	fake_put(f, PAGE(0), 4, 3);
	fake_put(f, PAGE(0), 4, 65);
	fake_put(f, PAGE(0), 4, 3);
	ck_assert_uint_eq(claim(0), TOP(3));
	ck_assert_uint_eq(claim(0), TOP(65));
	put(0, TOPEI, 0);
	ck_assert_uint_eq(get(0, TOPEI), 0);
	ck_assert_uint_eq(get(0, REG(EIP(2))), 0);
}
END_TEST

static void edges_count(void *arg, uint32_t level)
{
	*(uint32_t *)arg += level;
}

/* One more message is an edge, the same or another; one that is not enabled is none. */
START_TEST(each_message_is_an_edge)
{
	struct imsic_file file;
	uint32_t edges = 0;
	uint64_t old;

	imsic_init(&file, 127);
	file.output = edges_count;
	file.arg = &edges;
	ck_assert(imsic_modify(&file, DELIVERY, 0, 1, &old));
	ck_assert(imsic_modify(&file, EIE(0), 0, 6, &old));
	imsic_message(&file, 3);
	ck_assert_uint_eq(edges, 0);
	imsic_message(&file, 1);
	imsic_message(&file, 1);
	imsic_message(&file, 2);
	imsic_message(&file, 3);
	ck_assert_uint_eq(edges, 3);
	ck_assert_uint_eq(file.level, 1);
	imsic_claim(&file);
	ck_assert_uint_eq(file.level, 1);
	imsic_claim(&file);
	ck_assert_uint_eq(file.level, 0);
	ck_assert_uint_eq(edges, 3);
}
END_TEST

START_TEST(threshold_holds_back)
{
	enable(0);
	put(0, REG(THRESHOLD), 10);
	fake_put(f, PAGE(0), 4, 10);
	ck_assert_uint_eq(get(0, TOPEI), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	ck_assert_uint_eq(claim(0), 0);
	fake_put(f, PAGE(0), 4, 9);
	ck_assert_uint_eq(get(0, TOPEI), TOP(9));
	put(0, REG(THRESHOLD), 0);
	ck_assert_uint_eq(claim(0), TOP(9));
	ck_assert_uint_eq(claim(0), TOP(10));
	/* as many bits as the largest identity has */
	put(0, REG(THRESHOLD), UINT64_MAX);
	ck_assert_uint_eq(get(0, REG(THRESHOLD)), 127);
}
END_TEST

START_TEST(delivery_and_enables_gate_the_pin)
{
	fake_put(f, PAGE(0), 4, 1);
	ck_assert_uint_eq(get(0, TOPEI), 0);
	put(0, REG(EIE(0)), 2);
	ck_assert_uint_eq(get(0, TOPEI), TOP(1));
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	put(0, REG(DELIVERY), 1);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 1);
	/* not supported: keeps what it has */
	put(0, REG(DELIVERY), 0x40000000);
	ck_assert_uint_eq(get(0, REG(DELIVERY)), 1);
	put(0, REG(DELIVERY), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
}
END_TEST

START_TEST(arrays_take_sets_and_clears)
{
	uint64_t old, value;

	enable(0);
	ck_assert_uint_eq(fake_sysreg_modify(f, 0, REG(EIP(0)), UINT64_MAX, 0xff, &old), MT_SYSREG_OK);
	ck_assert_uint_eq(old, 0);
	ck_assert_uint_eq(get(0, REG(EIP(0))), 0xfe);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 1);
	ck_assert_uint_eq(fake_sysreg_modify(f, 0, REG(EIP(0)), ~UINT64_C(0xff), 0, &old), MT_SYSREG_OK);
	ck_assert_uint_eq(old, 0xfe);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	/* identity 0, and words beyond the last identity, are none */
	ck_assert_uint_eq(get(0, REG(EIE(0))), ~UINT64_C(1));
	put(0, REG(EIE(4)), UINT64_MAX);
	ck_assert_uint_eq(get(0, REG(EIE(4))), 0);
	fake_put(f, PAGE(0), 4, 0);
	fake_put(f, PAGE(0), 4, 128);
	fake_put(f, PAGE(0), 4, 0xffffffff);
	ck_assert_uint_eq(get(0, TOPEI), 0);
	/* odd registers do not exist in 64-bit harts; reserved ones are zero */
	ck_assert_uint_eq(fake_sysreg_read(f, 0, REG(EIP(1)), &value), MT_SYSREG_ILLEGAL);
	ck_assert_uint_eq(fake_sysreg_write(f, 0, REG(EIE(63)), 1), MT_SYSREG_ILLEGAL);
	put(0, REG(0x71), 5);
	put(0, REG(0x7f), 5);
	ck_assert_uint_eq(get(0, REG(0x71)) | get(0, REG(0x7f)), 0);
}
END_TEST

START_TEST(region)
{
	uint64_t value;

	enable(0);
	fake_put(f, PAGE(0), 4, 9);
	ck_assert_uint_eq(fake_get(f, PAGE(0), 4), 0);
	fake_put(f, PAGE(1) + 8, 4, 9);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 0);
	ck_assert_uint_eq(fake_write(f, 0, PAGE(2), 4, 1), MT_BUS_DECODE);
	ck_assert_uint_eq(fake_read(f, 0, PAGE(2), 4, &value), MT_BUS_DECODE);
	ck_assert_uint_eq(fake_write(f, 0, PAGE(0), 2, 1), MT_BUS_DEVICE);
}
END_TEST

START_TEST(reset_clears)
{
	enable(0);
	fake_put(f, PAGE(0), 4, 9);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	ck_assert_uint_eq(get(0, REG(EIP(0))) | get(0, REG(EIE(0))) | get(0, REG(DELIVERY)), 0);
}
END_TEST

START_TEST(machine_level_has_its_own_numbers)
{
	uint64_t old;

	fake_free(f);
	f = make("machine", "2047", 1);
	fake_start(f);
	ck_assert_uint_eq(fake_sysreg_read(f, 0, TOPEI, &old), MT_SYSREG_ILLEGAL);
	put(0, UINT64_C(0x351) << 32 | DELIVERY, 1);
	put(0, UINT64_C(0x351) << 32 | EIE(62), UINT64_MAX);
	fake_put(f, PAGE(0), 4, 2047);
	ck_assert_uint_eq(fake_pin(f, 0, "meip"), 1);
	ck_assert_uint_eq(fake_sysreg_modify(f, 0, 0x35c, UINT64_MAX, 0, &old), MT_SYSREG_OK);
	ck_assert_uint_eq(old, TOP(2047));
}
END_TEST

static void refused(struct fake *made, int code, const char *why)
{
	struct mt_error err;
	int got;

	mt_error_init(&err);
	got = fake_create(made, &err);
	if (got >= 0)
		got = fake_realize(made, &err);
	ck_assert_int_eq(got, code);
	ck_assert_msg(strstr(err.message, why) != NULL, "'%s' lacks '%s'", err.message, why);
	fake_free(made);
}

START_TEST(refusals)
{
	struct fake *odd = make("supervisor", "63", 3);

	refused(make("supervisor", "100", 1), MT_ERANGE, "one less than a multiple of 64");
	refused(make("supervisor", "63", 65), MT_ERANGE, "at most 64");
	/* three files want the alignment of four */
	fake_prop(odd, "at", "0x28002000");
	refused(odd, MT_EINVAL, "not a multiple of 0x4000");
}
END_TEST

START_TEST(window_and_device_tree)
{
	const struct mt_msi_target *target = fake_role(f, MT_IFACE_MSI_TARGET);
	struct mt_msi_window w = { .size = sizeof(w) };

	ck_assert_int_eq(target->window(fake_self(f), &w), 0);
	ck_assert_uint_eq(w.gpa, 0x28000000);
	ck_assert_uint_eq(w.len_bytes, 0x2000);
	ck_assert_uint_eq(w.stride_bytes, 0x1000);
	ck_assert_uint_eq(w.identities, 127);
	ck_assert_ptr_nonnull(strstr(fake_fdt(f), "imsics@28000000"));
	ck_assert_ptr_nonnull(strstr(fake_fdt(f), "compatible = \"riscv,imsics\""));
	ck_assert_ptr_nonnull(strstr(fake_fdt(f), "msi-controller"));
}
END_TEST

#define SENT 20000u

static void *send(void *arg)
{
	const struct mt_region_desc *r = fake_region(f, 0);
	struct mt_access a = { .width = 4, .vcpu = MT_VCPU_NONE };

	(void)arg;
	for (uint32_t i = 0; i < SENT; i++)
		r->ops->write(fake_self(f), &a, 1 + i % 127);
	return NULL;
}

/* Claims from one thread while another sends: every claim is of something sent, and nothing stays behind. */
START_TEST(messages_from_another_thread)
{
	uint32_t seen[128] = { 0 };
	pthread_t thread;
	uint64_t top;

	enable(0);
	ck_assert_int_eq(pthread_create(&thread, NULL, send, NULL), 0);
	for (uint32_t i = 0; i < SENT; i++)
		seen[claim(0) >> 16 & 127]++;
	pthread_join(thread, NULL);
	while ((top = claim(0)))
		seen[top >> 16 & 127]++;
	for (uint32_t i = 1; i < 128; i++)
		ck_assert_uint_ge(seen[i], 1);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
}
END_TEST

static struct fake *make_again(void)
{
	return make("supervisor", "127", 2);
}

START_TEST(state)
{
	struct fake_state *state;

	enable(0);
	enable(1);
	put(0, REG(THRESHOLD), 20);
	fake_put(f, PAGE(0), 4, 30);
	fake_put(f, PAGE(1), 4, 100);
	fake_put(f, PAGE(1), 4, 101);
	fake_state_check(f, make_again);
	state = fake_save(f);
	fake_free(f);
	f = make_again();
	ck_assert_int_eq(fake_load(f, state, NULL), 0);
	fake_state_free(state);
	ck_assert_uint_eq(fake_pin(f, 0, "seip"), 0);
	ck_assert_uint_eq(fake_pin(f, 1, "seip"), 1);
	ck_assert_uint_eq(claim(1), TOP(100));
	put(0, REG(THRESHOLD), 0);
	ck_assert_uint_eq(claim(0), TOP(30));
}
END_TEST

/* Bits of identities that are not there, or a file of another size. */
START_TEST(state_is_refused)
{
	static const struct { const char *path; uint32_t index; uint64_t value; } wrong[] = {
		{ "file[0]/pending", 0, 1 }, { "file[1]/enabled", 2, 1 }, { "file[1]/identities", 0, 191 },
		{ "file[0]/threshold", 0, 128 },
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct fake_state *state = fake_save(f);
		struct fake *fresh = make_again();
		uint32_t field = fake_state_find(state, wrong[i].path);

		ck_assert_uint_lt(field, fake_state_fields(state));
		fake_state_set(state, field, wrong[i].index, wrong[i].value);
		ck_assert_msg(fake_load(fresh, state, NULL) < 0, "%s", wrong[i].path);
		fake_free(fresh);
		fake_state_free(state);
	}
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 1, 200000);
}
END_TEST

int main(void)
{
	CHECK_RUN("riscv-imsic", start, stop, message_reaches_its_own_hart, lower_identities_come_first,
		  each_message_is_an_edge, threshold_holds_back, delivery_and_enables_gate_the_pin,
		  arrays_take_sets_and_clears, region, reset_clears, machine_level_has_its_own_numbers, refusals,
		  window_and_device_tree, messages_from_another_thread, state, state_is_refused, fuzz);
}
