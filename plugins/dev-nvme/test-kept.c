/* SPDX-License-Identifier: MIT */
/* Requests that fail: what is ignored, and what is kept until the machine goes on, is saved, and goes with a reset. */
#include "test-nvme.h"

START_TEST(an_error_is_ignored)
{
	enable();
	make_queues(1);
	disk.fail = 1;
	disk.policy = MT_BLOCK_FAILED_IGNORE;
	ck_assert_uint_eq(COMMAND(1, .opcode = 1, .nsid = 1, .prp1 = DATA), 0);
	ck_assert_uint_eq(disk.failed, 1);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
}
END_TEST

/* Two writes fail and are kept; no answer before the disk is well again. */
static void keep_two(void)
{
	struct nvme_completion done;

	enable();
	make_queues(1);
	memset(fake_ram_at(f, DATA), 0x5a, 0x2000);
	disk.fail = 1;
	disk.policy = MT_BLOCK_FAILED_KEEP;
	for (uint32_t i = 0; i < 2; i++)
		post(1, (struct nvme_command){ .opcode = 1, .nsid = 1, .prp1 = DATA + i * 0x1000, .cid = (uint16_t)(70 + i),
					       .cdw10 = 8 * i, .cdw12 = 7 });
	ring(1);
	ck_assert_uint_eq(disk.failed, 2);
	ck_assert_uint_eq(take(1, &done), 0);
}

static void both_are_answered(void)
{
	struct nvme_completion done;

	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(take(1, &done), 1);
		ck_assert_uint_eq(done.cid, 70 + i);
		ck_assert_uint_eq(done.status >> 1, 0);
		take_done(1);
	}
	ck_assert_uint_eq(take(1, &done), 0);
	for (uint32_t i = 0; i < 16 * 512; i++)
		ck_assert_uint_eq(disk.bytes[i], 0x5a);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
}

START_TEST(what_is_kept_is_tried_again)
{
	const struct mt_device_class *device = fake_role(f, MT_IFACE_DEVICE);

	keep_two();
	device->quiesce(fake_self(f));
	device->resume(fake_self(f));
	ck_assert_uint_eq(disk.failed, 4);                     /* still ill: kept again */
	device->quiesce(fake_self(f));
	disk.fail = 0;
	device->resume(fake_self(f));
	both_are_answered();
}
END_TEST

/* A command belongs to a queue that there is. */
START_TEST(kept_commands_are_looked_at)
{
	static const uint64_t bad[] = { 0, 2, 5, UINT32_MAX };
	struct fake_state *state;
	uint32_t field;

	keep_two();
	state = fake_save(f);
	field = fake_state_find(state, "kept[1]/sqid");
	ck_assert_uint_lt(field, fake_state_fields(state));
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fake *other = make();
		struct mt_error err;

		mt_error_init(&err);
		fake_state_set(state, field, 0, bad[i]);
		ck_assert_int_lt(fake_load(other, state, &err), 0);
		fake_free(other);
	}
	fake_state_free(state);
}
END_TEST

START_TEST(a_reset_drops_what_is_kept)
{
	keep_two();
	fake_put(f, 0x14, 4, 0);
	ck_assert_uint_eq(fake_get(f, 0x1c, 4), 0);
	ck_assert_uint_eq(fake_ram_mapped(f), 0);
	disk.fail = disk.failed = 0;
	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->resume(fake_self(f));
	ck_assert_uint_eq(disk.bytes[0], 0);
}
END_TEST

int main(void)
{
	CHECK_RUN("nvme-kept", setup, teardown, an_error_is_ignored, what_is_kept_is_tried_again, kept_commands_are_looked_at,
		  a_reset_drops_what_is_kept);
}
