/* SPDX-License-Identifier: MIT */
/* Saved state from tables: what is saved is loaded, and what the struct cannot hold is refused and changes nothing. */
#include <fake/check-run.h>
#include <fake/state.h>
#include <string.h>
#include <util/state.h>

struct channel {
	uint8_t gain;
	uint16_t level[3];
};

struct chip {
	uint32_t control;
	uint64_t deadline_ns;
	int32_t offset;
	uint32_t newer;
	void *other;
	uint8_t buffer[5];
	struct channel channel[2];
	struct channel reference;
};

static const struct mt_state_field channel_fields[] = {
	MT_STATE_RANGE(struct channel, gain, 1, 7),
	MT_STATE_ARRAY(struct channel, level, 4095),
};
static const struct mt_state_table channel_table = MT_STATE_TABLE(struct channel, channel_fields);

static const struct mt_state_field chip_fields[] = {
	MT_STATE_VAR(struct chip, control, 0xff),
	MT_STATE_VAR(struct chip, deadline_ns, UINT64_MAX),
	MT_STATE_VAR(struct chip, offset, UINT32_MAX),
	MT_STATE_SINCE(struct chip, newer, 2, 9),
	MT_STATE_DATA(struct chip, buffer),
	MT_STATE_STRUCTS(struct chip, channel, &channel_table),
	MT_STATE_STRUCT(struct chip, reference, &channel_table),
};
static const struct mt_state_table chip_table = MT_STATE_TABLE(struct chip, chip_fields);

static const struct chip saved = {
	.control = 0x5a, .deadline_ns = UINT64_MAX, .offset = -3, .newer = 9, .buffer = "abcd",
	.channel = { { 1, { 1, 2, 4095 } }, { 7, { 4, 5, 6 } } }, .reference = { 3, { 7, 8, 9 } },
};
static struct chip loaded;
static struct fake_state *state;

static void start(void)
{
	memset(&loaded, 0x11, sizeof(loaded));
	loaded.other = &loaded;
	state = fake_state_new();
	mt_state_save(fake_state_out(state), &fake_state_writer, &chip_table, &saved);
}

static void stop(void)
{
	fake_state_free(state);
}

static int load(uint32_t version)
{
	return mt_state_load(fake_state_in(state), &fake_state_reader, &chip_table, version, &loaded);
}

static void expect_refused(int code, const char *words)
{
	struct chip before = loaded;

	ck_assert_int_eq(load(2), code);
	ck_assert_ptr_nonnull(strstr(fake_state_refused(state), words));
	ck_assert_mem_eq(&before, &loaded, sizeof(before));
}

START_TEST(what_is_saved_is_loaded)
{
	struct fake_state *again = fake_state_new();

	ck_assert_int_eq(load(2), 0);
	ck_assert_ptr_null(fake_state_left(state));
	ck_assert_ptr_eq(loaded.other, &loaded);
	ck_assert_int_eq(loaded.offset, -3);
	ck_assert_uint_eq(loaded.channel[0].level[2], 4095);
	ck_assert_uint_eq(loaded.reference.level[0], 7);
	mt_state_save(fake_state_out(again), &fake_state_writer, &chip_table, &loaded);
	ck_assert_ptr_null(fake_state_differs(state, again));
	fake_state_set(again, fake_state_find(again, "channel[1]/level"), 1, 99);
	ck_assert_str_eq(fake_state_differs(state, again), "channel[1]/level");
	fake_state_free(again);
}
END_TEST

START_TEST(older_version_lacks_what_is_newer)
{
	fake_state_remove(state, fake_state_find(state, "newer"));
	expect_refused(MT_ENOENT, "newer: is missing");
	ck_assert_int_eq(load(1), 0);
	ck_assert_uint_eq(loaded.newer, 0);
	ck_assert_uint_eq(loaded.control, 0x5a);
}
END_TEST

START_TEST(outside_of_the_range)
{
	fake_state_set(state, fake_state_find(state, "control"), 0, 0x100);
	expect_refused(MT_EINVAL, "control: is 0x100, outside of 0x0..0xff");
	fake_state_set(state, fake_state_find(state, "control"), 0, 0xff);
	fake_state_set(state, fake_state_find(state, "channel[0]/gain"), 0, 0);
	expect_refused(MT_EINVAL, "channel[0]/gain: is 0x0, outside of 0x1..0x7");
	fake_state_set(state, fake_state_find(state, "channel[0]/gain"), 0, 1);
	fake_state_set(state, fake_state_find(state, "reference[0]/level"), 2, 4096);
	expect_refused(MT_EINVAL, "reference[0]/level: is 0x1000");
}
END_TEST

START_TEST(of_another_shape)
{
	fake_state_resize(state, fake_state_find(state, "buffer"), 6);
	expect_refused(MT_ERANGE, "buffer: is of another length");
	fake_state_resize(state, fake_state_find(state, "buffer"), 5);
	fake_state_remove(state, fake_state_find(state, "channel[1]"));
	expect_refused(MT_EINVAL, "channel: is there in another number");
}
END_TEST

START_TEST(of_another_type)
{
	uint32_t value = 1;

	fake_state_remove(state, fake_state_find(state, "deadline_ns"));
	fake_state_writer.put(fake_state_out(state), "deadline_ns", MT_STATE_U32, 0, &value, 1);
	expect_refused(MT_EINVAL, "deadline_ns: is of another type");
}
END_TEST

START_TEST(unknown_fields)
{
	uint8_t value = 1;

	fake_state_writer.put(fake_state_out(state), "hint", MT_STATE_U8, MT_STATE_IGNORABLE, &value, 1);
	fake_state_writer.begin(fake_state_out(state), "more", MT_STATE_IGNORABLE);
	fake_state_writer.put(fake_state_out(state), "inner", MT_STATE_STRING, 0, "text", 4);
	fake_state_writer.end(fake_state_out(state));
	ck_assert_int_eq(load(2), 0);
	ck_assert_ptr_null(fake_state_left(state));
	fake_state_writer.put(fake_state_out(state), "secret", MT_STATE_U8, 0, &value, 1);
	ck_assert_int_eq(load(2), 0);
	ck_assert_str_eq(fake_state_left(state), "secret");
}
END_TEST

START_TEST(strings)
{
	struct mt_state_in *in;
	char text[5] = "";

	fake_state_writer.put(fake_state_out(state), "name", MT_STATE_STRING, 0, "four", 4);
	in = fake_state_in(state);
	ck_assert_int_eq(fake_state_reader.get(in, "name", MT_STATE_STRING, text, 4), MT_ERANGE);
	ck_assert_int_eq(fake_state_reader.get(in, "name", MT_STATE_STRING, text, 5), 0);
	ck_assert_str_eq(text, "four");
}
END_TEST

int main(void)
{
	CHECK_RUN("state", start, stop, what_is_saved_is_loaded, older_version_lacks_what_is_newer,
		  outside_of_the_range, of_another_shape, of_another_type, unknown_fields, strings);
}
