/* SPDX-License-Identifier: MIT */
/*
 * The file of one component: what is written is read, and a file that was cut, changed or made up is refused with
 * words. Also the checksum, the manifest and its limits.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"
#include "kernel/state/manifest.h"

static struct mt_error err;

static void setup(void)
{
	memset(&err, 0, sizeof(err));
	err.size = sizeof(err);
}

/* A file with every type, an array of groups, and something that may be passed over. */
static GByteArray *sample(void)
{
	static const uint16_t halves[] = { 1, 2, 0xffff };
	static const uint64_t big = 0x0123456789abcdef;
	struct mt_state_out *out = state_out_create("dev0", "chip", 3);
	GByteArray *bytes;

	state_writer.put(out, "byte", MT_STATE_U8, 0, "\x7f", 1);
	state_writer.put(out, "halves", MT_STATE_U16, 0, halves, 3);
	state_writer.put(out, "name", MT_STATE_STRING, 0, "caf\xc3\xa9", 5);
	state_writer.put(out, "nothing", MT_STATE_BYTES, 0, NULL, 0);
	for (uint32_t i = 0; i < 2; i++) {
		state_writer.begin(out, "queue", 0);
		state_writer.put(out, "index", MT_STATE_U32, 0, &i, 1);
		state_writer.begin(out, "inner", 0);
		state_writer.put(out, "big", MT_STATE_U64, 0, &big, 1);
		state_writer.end(out);
		state_writer.end(out);
	}
	state_writer.begin(out, "hint", MT_STATE_IGNORABLE);
	state_writer.put(out, "big", MT_STATE_U64, 0, &big, 1);
	state_writer.end(out);
	bytes = state_out_finish(out, &err);
	ck_assert_ptr_nonnull(bytes);
	state_out_destroy(out);
	return bytes;
}

static struct mt_state_in *open_fine(const GByteArray *bytes)
{
	struct mt_state_in *in = state_in_open("dev0", bytes->data, bytes->len, &err);

	ck_assert_msg(in != NULL, "%s", err.message);
	return in;
}

static void read_all(struct mt_state_in *in)
{
	uint16_t halves[3];
	uint8_t byte;
	char name[6];

	ck_assert_int_eq(state_reader.get(in, "byte", MT_STATE_U8, &byte, 1), 0);
	ck_assert_uint_eq(byte, 0x7f);
	ck_assert_int_eq(state_reader.get(in, "halves", MT_STATE_U16, halves, 3), 0);
	ck_assert_uint_eq(halves[2], 0xffff);
	ck_assert_int_eq(state_reader.get(in, "name", MT_STATE_STRING, name, 6), 0);
	ck_assert_str_eq(name, "caf\xc3\xa9");
	ck_assert_int_eq(state_reader.get(in, "nothing", MT_STATE_BYTES, NULL, 0), 0);
	for (uint32_t i = 0; i < 2; i++) {
		uint64_t big = 0;
		uint32_t index = 9;

		ck_assert_int_eq(state_reader.begin(in, "queue", i), 0);
		ck_assert_int_eq(state_reader.get(in, "index", MT_STATE_U32, &index, 1), 0);
		ck_assert_uint_eq(index, i);
		ck_assert_int_eq(state_reader.begin(in, "inner", 0), 0);
		ck_assert_int_eq(state_reader.get(in, "big", MT_STATE_U64, &big, 1), 0);
		ck_assert_uint_eq(big, 0x0123456789abcdef);
		state_reader.end(in);
		state_reader.end(in);
	}
}

START_TEST(checksum_is_castagnoli)
{
	uint8_t bytes[100 + 8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * i + 3);
	ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
	ck_assert_uint_eq(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	ck_assert_uint_eq(crc32c_by_table(0, "123456789", 9), 0xe3069283);
	for (size_t len = 0; len <= 100; len++)
		ck_assert_uint_eq(crc32c(77, bytes + len % 8, len), crc32c_by_table(77, bytes + len % 8, len));
}
END_TEST

START_TEST(what_is_written_is_read)
{
	GByteArray *bytes = sample(), *again = sample();
	struct mt_state_in *in = open_fine(bytes);
	uint32_t type, count;

	ck_assert_uint_eq(bytes->len, again->len);
	ck_assert_mem_eq(bytes->data, again->data, bytes->len);
	ck_assert_str_eq(state_in_schema(in), "chip");
	ck_assert_uint_eq(state_in_version(in), 3);
	ck_assert_int_eq(state_reader.find(in, "queue", &type, &count), 0);
	ck_assert_uint_eq(type, MT_STATE_GROUP);
	ck_assert_uint_eq(count, 2);
	ck_assert_int_eq(state_reader.find(in, "absent", &type, &count), MT_ENOENT);
	read_all(in);
	ck_assert_int_eq(state_in_verdict(in, 0, &err), 0);
	state_in_close(in);
	g_byte_array_unref(bytes);
	g_byte_array_unref(again);
}
END_TEST

/* One field is asked for in a way that does not fit; the words name it. */
static void expect_verdict(const char *name, uint32_t type, uint32_t count, int code, const char *words)
{
	GByteArray *bytes = sample();
	struct mt_state_in *in = open_fine(bytes);
	uint64_t room[8];

	err.message[0] = 0;
	ck_assert_int_eq(state_reader.get(in, name, type, room, count), code);
	ck_assert_int_eq(state_in_verdict(in, code, &err), code);
	ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
	ck_assert_str_eq(err.culprit, "dev0");
	state_in_close(in);
	g_byte_array_unref(bytes);
}

START_TEST(absent_type_and_length_are_told_apart)
{
	expect_verdict("absent", MT_STATE_U8, 1, MT_ENOENT, "absent is missing");
	expect_verdict("byte", MT_STATE_U16, 1, MT_EINVAL, "byte is u8 where u16 is wanted");
	expect_verdict("halves", MT_STATE_U16, 2, MT_ERANGE, "halves is u16[3] where u16[2] is wanted");
	expect_verdict("name", MT_STATE_STRING, 5, MT_ERANGE, "name is string[5]");
}
END_TEST

START_TEST(unknown_fields_are_refused_by_name)
{
	GByteArray *bytes = sample();
	struct mt_state_in *in = open_fine(bytes);
	uint8_t byte;

	ck_assert_int_eq(state_in_verdict(in, 0, &err), MT_EINVAL);
	ck_assert_msg(strstr(err.message, "not known: byte") != NULL, "%s", err.message);
	state_reader.get(in, "byte", MT_STATE_U8, &byte, 1);
	state_in_verdict(in, 0, &err);
	ck_assert_msg(strstr(err.message, "not known: halves") != NULL, "%s", err.message);
	state_in_close(in);
	g_byte_array_unref(bytes);
}
END_TEST

START_TEST(refusals_carry_the_path)
{
	GByteArray *bytes = sample();
	struct mt_state_in *in = open_fine(bytes);

	ck_assert_int_eq(state_reader.begin(in, "queue", 1), 0);
	ck_assert_int_eq(state_reader.begin(in, "inner", 0), 0);
	ck_assert_int_eq(state_reader.refuse(in, "big", "is too big"), MT_EINVAL);
	ck_assert_int_eq(state_in_verdict(in, MT_EINVAL, &err), MT_EINVAL);
	ck_assert_msg(strstr(err.message, "queue[1]/inner[0]/big is too big") != NULL, "%s", err.message);
	state_in_close(in);
	g_byte_array_unref(bytes);
}
END_TEST

/* Copies of the exact length, so that a read beyond the end is seen by the tools that look for it. */
static void expect_refused(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	struct mt_state_in *in;

	memcpy(copy, bytes, len);
	err.message[0] = 0;
	in = state_in_open("dev0", copy, len, &err);
	ck_assert_ptr_null(in);
	ck_assert_str_eq(err.culprit, "dev0");
	ck_assert(err.message[0]);
	free(copy);
}

START_TEST(cut_anywhere)
{
	GByteArray *bytes = sample();

	for (size_t len = 0; len < bytes->len; len++)
		expect_refused(bytes->data, len);
	g_byte_array_append(bytes, (const guint8 *)"\0\0\0\0", 4);
	expect_refused(bytes->data, bytes->len);
	g_byte_array_unref(bytes);
}
END_TEST

START_TEST(any_bit_flipped)
{
	GByteArray *bytes = sample();

	for (size_t bit = 0; bit < bytes->len * 8; bit++) {
		bytes->data[bit / 8] ^= (guint8)(1u << bit % 8);
		expect_refused(bytes->data, bytes->len);
		bytes->data[bit / 8] ^= (guint8)(1u << bit % 8);
	}
	g_byte_array_unref(bytes);
}
END_TEST

/* A sum can be made to match: then the shape still has to. Every byte of a record takes every value. */
START_TEST(made_up_with_right_sums)
{
	GByteArray *bytes = sample();
	unsigned opened = 0;

	for (size_t at = STATE_HEADER_BYTES, len; at < bytes->len; at += len) {
		memcpy(&len, bytes->data + at, 4);
		len &= UINT32_MAX;
		for (size_t i = 4; i < len - 4; i++) {
			uint8_t was = bytes->data[at + i];

			for (unsigned value = 0; value < 256; value++) {
				struct mt_state_in *in;
				uint32_t crc;

				bytes->data[at + i] = (guint8)value;
				crc = crc32c(0, bytes->data + at, len - 4);
				memcpy(bytes->data + at + len - 4, &crc, 4);
				in = state_in_open("dev0", bytes->data, bytes->len, &err);
				opened += in != NULL;
				if (in)
					state_in_close(in);
			}
			bytes->data[at + i] = was;
		}
		uint32_t crc = crc32c(0, bytes->data + at, len - 4);
		memcpy(bytes->data + at + len - 4, &crc, 4);
	}
	ck_assert_uint_gt(opened, 0);
	state_in_close(open_fine(bytes));
	g_byte_array_unref(bytes);
}
END_TEST

static void expect_unwritable(struct mt_state_out *out, const char *words)
{
	err.message[0] = 0;
	ck_assert_ptr_null(state_out_finish(out, &err));
	ck_assert_msg(strstr(err.message, words) != NULL, "%s", err.message);
	state_out_destroy(out);
}

START_TEST(what_a_class_does_wrong_fails_the_save)
{
	struct mt_state_out *out = state_out_create("dev0", "chip", 1);

	state_writer.put(out, "a", MT_STATE_U8, 0, "", 1);
	state_writer.put(out, "a", MT_STATE_U8, 0, "", 1);
	expect_unwritable(out, "'a' is written twice");
	out = state_out_create("dev0", "chip", 1);
	state_writer.put(out, "A b", MT_STATE_U8, 0, "", 1);
	expect_unwritable(out, "is no name");
	out = state_out_create("dev0", "chip", 1);
	state_writer.put(out, "a", 3, 0, "", 1);
	expect_unwritable(out, "unknown type");
	out = state_out_create("dev0", "chip", 1);
	state_writer.put(out, "a", MT_STATE_STRING, 0, "\xff", 1);
	expect_unwritable(out, "no UTF-8");
	out = state_out_create("dev0", "chip", 1);
	state_writer.begin(out, "a", 0);
	expect_unwritable(out, "has no end");
	out = state_out_create("dev0", "chip", 1);
	state_writer.end(out);
	expect_unwritable(out, "has no begin");
	out = state_out_create("dev0", "chip", 0);
	expect_unwritable(out, "version 0");
	out = state_out_create("dev0", "chip", 1);
	for (uint32_t i = 0; i <= MT_STATE_DEPTH_MAX; i++)
		state_writer.begin(out, "a", 0);
	expect_unwritable(out, "too many groups");
}
END_TEST

/* The manifest. */

static char *manifest_text(size_t *len_bytes)
{
	struct manifest *man = manifest_create();
	struct manifest_component *component = manifest_add(man, MANIFEST_INSTANCE, "uart0");
	struct manifest_memory *memory = manifest_add_memory(man, "ram");
	struct manifest_disk *disk = manifest_add_disk(man, "root", "file");
	char *text;
	FILE *out = open_memstream(&text, len_bytes);

	man->guest_ns = 123456789012345;
	man->vcpus = 4;
	component->cls = g_strdup("dev-\"x\"");
	component->schema = g_strdup("ns16550a");
	component->version = 2;
	component->file = (struct manifest_file){ 77, 0xdeadbeef };
	memory->gpa = 0x80000000;
	memory->len_bytes = 1 << 30;
	disk->path = g_strdup("/images/\"debian\".img");
	disk->inode = INT64_MAX;
	manifest_print(man, out);
	fclose(out);
	manifest_destroy(man);
	return text;
}

START_TEST(manifest_comes_back)
{
	size_t len;
	char *text = manifest_text(&len);
	struct manifest *man = manifest_parse(text, len, &err);
	const struct manifest_component *component;

	ck_assert_msg(man != NULL, "%s", err.message);
	ck_assert_uint_eq(man->guest_ns, 123456789012345);
	ck_assert_uint_eq(man->vcpus, 4);
	component = manifest_find(man, MANIFEST_INSTANCE, "uart0");
	ck_assert_str_eq(component->cls, "dev-\"x\"");
	ck_assert_uint_eq(component->file.crc, 0xdeadbeef);
	ck_assert_ptr_null(manifest_find(man, MANIFEST_VCPU, "uart0"));
	ck_assert_uint_eq(man->disks->len, 1);
	ck_assert_str_eq(((struct manifest_disk *)g_ptr_array_index(man->disks, 0))->path, "/images/\"debian\".img");
	ck_assert_uint_eq(((struct manifest_disk *)g_ptr_array_index(man->disks, 0))->inode, INT64_MAX);
	manifest_destroy(man);
	free(text);
}
END_TEST

/* Replaces a piece of the text, and wants the result refused. */
static void expect_bad_manifest(const char *from, const char *to)
{
	size_t len;
	char *text = manifest_text(&len), *at = strstr(text, from), *sum = g_strrstr(text, ",\n  \"crc32c\""), *body, *changed;

	ck_assert_msg(at != NULL && sum != NULL, "%s", from);
	*sum = 0;
	body = g_strdup_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	changed = g_strdup_printf("%s,\n  \"crc32c\": %u\n}\n", body, crc32c(0, body, strlen(body)));
	err.message[0] = 0;
	ck_assert_msg(!manifest_parse(changed, strlen(changed), &err), "%s", to);
	ck_assert_msg(strstr(err.message, MANIFEST_FILE) != NULL, "%s", err.message);
	ck_assert_msg(strstr(err.message, "checksum") == NULL, "%s", err.message);
	g_free(body);
	g_free(changed);
	free(text);
}

START_TEST(manifest_is_not_believed)
{
	size_t len;
	char *text = manifest_text(&len);

	for (size_t cut = 0; cut < len; cut++)
		ck_assert_ptr_null(manifest_parse(text, cut, &err));
	for (size_t bit = 0; bit < len * 8; bit++) {
		text[bit / 8] ^= (char)(1 << bit % 8);
		ck_assert_ptr_null(manifest_parse(text, len, &err));
		text[bit / 8] ^= (char)(1 << bit % 8);
	}
	free(text);
	expect_bad_manifest("instance-uart0.state", "../etc/passwd");
	expect_bad_manifest("memory-ram.bin", "/dev/zero");
	expect_bad_manifest("\"uart0\"", "\"../uart0\"");
	expect_bad_manifest("\"format\": 2", "\"format\": 3");
	expect_bad_manifest("\"vcpus\": 4", "\"vcpus\": 4, \"new\": 1");
	expect_bad_manifest("\"class\"", "\"new\": 1, \"class\"");
	expect_bad_manifest("\"inode\"", "\"new\": 1, \"inode\"");
	expect_bad_manifest("\"at\"", "\"new\": 1, \"at\"");
	expect_bad_manifest("memory-ram.sums", "memory-rom.sums");
	expect_bad_manifest("\"mtime-ns\": 0", "\"mtime-ns\": -1");
	expect_bad_manifest("\"vcpus\": 4", "\"vcpus\": -4");
	expect_bad_manifest("\"vcpus\": 4", "\"vcpus\": 4294967296");
	expect_bad_manifest("\"version\": 2", "\"version\": 0");
	expect_bad_manifest("\"bytes\": 77", "\"bytes\": 9999999999999");
	expect_bad_manifest("\"kind\": \"instance\"", "\"kind\": \"other\"");
	expect_bad_manifest("\"crc32c\": 3735928559", "\"crc32c\": \"x\"");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("state-file");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, checksum_is_castagnoli);
	tcase_add_test(tc, what_is_written_is_read);
	tcase_add_test(tc, absent_type_and_length_are_told_apart);
	tcase_add_test(tc, unknown_fields_are_refused_by_name);
	tcase_add_test(tc, refusals_carry_the_path);
	tcase_add_test(tc, cut_anywhere);
	tcase_add_test(tc, any_bit_flipped);
	tcase_add_test(tc, made_up_with_right_sums);
	tcase_add_test(tc, what_a_class_does_wrong_fails_the_save);
	tcase_add_test(tc, manifest_comes_back);
	tcase_add_test(tc, manifest_is_not_believed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
