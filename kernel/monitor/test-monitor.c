// SPDX-License-Identifier: MIT
/*
 * What comes over the monitor's sockets: JSON and GDB's packets, right, wrong and random. Random bytes and mutations of
 * right ones must do no harm (the sanitizer build looks on), and what is accepted must come out again as it went in.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/monitor/json.h"
#include "kernel/monitor/packet.h"

#define FUZZ_ROUNDS 20000
#define FUZZ_SEED 20240229u

static char fault[JSON_ERROR_BYTES];

static char *printed(const struct json *v)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	json_print(out, v);
	fclose(out);
	return text;
}

static void goes_round(const char *from, const char *to)
{
	struct json *v = json_parse(from, strlen(from), fault);
	char *text;

	ck_assert_msg(v != NULL, "%s: %s", from, fault);
	text = printed(v);
	ck_assert_str_eq(text, to);
	free(text);
	json_free(v);
}

START_TEST(json_values_go_round)
{
	goes_round("null", "null");
	goes_round(" [ true,false , 1 ] ", "[true, false, 1]");
	goes_round("{\"a\":{\"b\":[]},\"c\":\"d\"}", "{\"a\": {\"b\": []}, \"c\": \"d\"}");
	goes_round("-12.5e+3", "-12.5e+3");
	goes_round("\"\\u0041\\n\\\"\\/\"", "\"A\\n\\\"/\"");
	goes_round("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"");
}
END_TEST

static void refused(const char *text, size_t len, const char *why)
{
	struct json *v = json_parse(text, len, fault);

	ck_assert_msg(v == NULL, "'%s' was accepted", text);
	ck_assert_msg(strstr(fault, why) != NULL, "'%s': '%s' does not say '%s'", text, fault, why);
}

START_TEST(json_faults_are_told)
{
	static const struct { const char *text, *why; } cases[] = {
		{ "", "a value is missing" }, { "  ", "a value is missing" }, { "nul", "no value" }, { "1 2", "behind" },
		{ "[1,]", "no value" }, { "[1 2]", "']' is missing" }, { "{\"a\" 1}", "':' is missing" },
		{ "{a:1}", "in quotes" }, { "{\"a\":1,\"a\":2}", "before" }, { "\"abc", "without its end" },
		{ "\"\\x\"", "escape" }, { "\"\\u12\"", "escape" }, { "\"\\ud800\"", "escape" }, { "\"\\udc00\"", "escape" },
		{ "\"\\u0000\"", "escape" }, { "\"\xff\"", "UTF-8" }, { "\"\x01\"", "control" }, { "-", "digit" },
		{ "1.", "digit" }, { "1e", "digit" }, { "01", "behind" }, { "\"\\", "escape" },
	};
	char deep[JSON_DEPTH + 2];

	for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
		refused(cases[i].text, strlen(cases[i].text), cases[i].why);
	memset(deep, '[', sizeof(deep));
	refused(deep, sizeof(deep), "too deeply");
	refused("[]\0", 3, "behind");
}
END_TEST

START_TEST(json_objects_are_bounded)
{
	GString *text = g_string_new("{");

	for (unsigned i = 0; i <= JSON_MEMBERS; i++)
		g_string_append_printf(text, "%s\"%u\":1", i ? "," : "", i);
	g_string_append_c(text, '}');
	refused(text->str, text->len, "too many");
	g_string_free(text, TRUE);
}
END_TEST

START_TEST(json_members_are_found)
{
	static const char text[] = "{\"n\": 12, \"big\": 9223372036854775808, \"s\": \"x\", \"neg\": -1}";
	struct json *v = json_parse(text, strlen(text), fault);
	uint64_t number = 7;

	ck_assert(json_uint(json_get(v, "n"), &number) && number == 12);
	ck_assert(!json_uint(json_get(v, "big"), &number));
	ck_assert(!json_uint(json_get(v, "neg"), &number));
	ck_assert(!json_uint(json_get(v, "s"), &number));
	ck_assert_str_eq(json_text(json_get(v, "s")), "x");
	ck_assert_ptr_null(json_text(json_get(v, "n")));
	ck_assert_ptr_null(json_get(v, "none"));
	ck_assert_ptr_null(json_get(json_get(v, "n"), "x"));
	ck_assert_ptr_null(json_get(NULL, "x"));
	json_free(v);
}
END_TEST

static void mutate(GRand *rand, char *text, size_t len)
{
	for (int i = g_rand_int_range(rand, 1, 4); i > 0; i--)
		text[g_rand_int_range(rand, 0, (gint32)len)] = (char)g_rand_int_range(rand, 0, 256);
}

START_TEST(json_fuzz)
{
	static const char right[] = "{\"execute\": \"x\", \"arguments\": {\"a\": [1, -2.5e3, null, true]}, "
				    "\"id\": \"\\u00e9\\n\"}";
	GRand *rand = g_rand_new_with_seed(FUZZ_SEED);
	unsigned accepted = 0;

	for (int i = 0; i < FUZZ_ROUNDS; i++) {
		/* on the heap, without an end: a step too far shows */
		size_t len = strlen(right);
		char *text = g_memdup2(right, len);
		struct json *v;

		mutate(rand, text, len);
		v = json_parse(text, len, fault);
		if (v) {
			char *once = printed(v), *twice;
			struct json *again = json_parse(once, strlen(once), fault);

			ck_assert_msg(again != NULL, "%s: %s", once, fault);
			twice = printed(again);
			ck_assert_str_eq(once, twice);
			accepted++;
			free(once);
			free(twice);
			json_free(again);
		}
		json_free(v);
		g_free(text);
	}
	ck_assert_uint_gt(accepted, FUZZ_ROUNDS / 100);
	ck_assert_uint_lt(accepted, FUZZ_ROUNDS);
	g_rand_free(rand);
}
END_TEST

/* Packets */

static struct packet_reader reader;

static enum packet_event feed(const char *bytes, size_t len)
{
	enum packet_event last = PACKET_NONE;

	for (size_t i = 0; i < len; i++)
		last = packet_feed(&reader, (uint8_t)bytes[i]);
	return last;
}

START_TEST(packets_go_round)
{
	static const char data[] = "m}#$*\x03\x00z";
	GString *out = g_string_new(NULL);

	packet_put(out, data, sizeof(data) - 1);
	ck_assert_int_eq(out->str[0], '$');
	ck_assert_int_eq(feed(out->str, out->len), PACKET_DATA);
	ck_assert_uint_eq(reader.len, sizeof(data) - 1);
	ck_assert_mem_eq(reader.data, data, sizeof(data));
	g_string_free(out, TRUE);
}
END_TEST

START_TEST(packets_are_told_apart)
{
	ck_assert_int_eq(feed("+", 1), PACKET_ACK);
	ck_assert_int_eq(feed("-", 1), PACKET_NAK);
	ck_assert_int_eq(feed("\x03", 1), PACKET_INTERRUPT);
	ck_assert_int_eq(feed("x#00", 4), PACKET_NONE);
	ck_assert_int_eq(feed("$g#67", 5), PACKET_DATA);
	ck_assert_str_eq(reader.data, "g");
	ck_assert_int_eq(feed("$g#68", 5), PACKET_BAD);
	ck_assert_int_eq(feed("$g#6x", 5), PACKET_BAD);
	/* one that was cut off: the next one counts */
	ck_assert_int_eq(feed("$abc$g#67", 9), PACKET_DATA);
	ck_assert_str_eq(reader.data, "g");
	ck_assert_int_eq(feed("$#00", 4), PACKET_DATA);
	ck_assert_uint_eq(reader.len, 0);
}
END_TEST

START_TEST(packets_are_bounded)
{
	packet_feed(&reader, '$');
	for (unsigned i = 0; i < PACKET_BYTES + 100; i++)
		ck_assert_int_eq(packet_feed(&reader, 'a'), PACKET_NONE);
	ck_assert_uint_eq(reader.len, PACKET_BYTES);
	ck_assert_int_eq(feed("#00", 3), PACKET_BAD);
	ck_assert_int_eq(feed("$g#67", 5), PACKET_DATA);
}
END_TEST

START_TEST(packet_words_parse)
{
	const char *p = "1f,deadBEEF00000001:0a0B", *q = "zz", *big = "10000000000000000", *odd = "abc";
	uint64_t number;
	uint8_t bytes[2];

	ck_assert(packet_take_number(&p, &number) && number == 0x1f);
	ck_assert(!packet_take(&p, ':') && packet_take(&p, ','));
	ck_assert(packet_take_number(&p, &number) && number == 0xdeadbeef00000001);
	ck_assert(packet_take(&p, ':') && packet_take_hex(&p, bytes, 2) && bytes[0] == 0x0a && bytes[1] == 0x0b);
	ck_assert_int_eq(*p, 0);
	ck_assert(!packet_take_hex(&p, bytes, 1) && packet_take_hex(&p, bytes, 0));
	ck_assert(!packet_take_number(&q, &number));
	ck_assert(!packet_take_number(&big, &number));
	ck_assert(!packet_take_hex(&odd, bytes, 2));
}
END_TEST

START_TEST(packet_fuzz)
{
	GRand *rand = g_rand_new_with_seed(FUZZ_SEED);
	unsigned counts[PACKET_INTERRUPT + 1] = { 0 };

	for (int i = 0; i < FUZZ_ROUNDS; i++) {
		char text[] = "+$vCont;s:1;c#a2";

		mutate(rand, text, sizeof(text) - 1);
		for (size_t n = 0; n < sizeof(text) - 1; n++) {
			enum packet_event e = packet_feed(&reader, (uint8_t)text[n]);

			counts[e]++;
			ck_assert_uint_le(reader.len, PACKET_BYTES);
			if (e == PACKET_DATA)
				ck_assert_int_eq(reader.data[reader.len], 0);
		}
	}
	ck_assert_uint_gt(counts[PACKET_DATA], 0);
	ck_assert_uint_gt(counts[PACKET_BAD], 0);
	g_rand_free(rand);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor");
	TCase *tcase = tcase_create("monitor");
	SRunner *runner;

	tcase_set_timeout(tcase, 3600);
	tcase_add_test(tcase, json_values_go_round);
	tcase_add_test(tcase, json_faults_are_told);
	tcase_add_test(tcase, json_objects_are_bounded);
	tcase_add_test(tcase, json_members_are_found);
	tcase_add_test(tcase, json_fuzz);
	tcase_add_test(tcase, packets_go_round);
	tcase_add_test(tcase, packets_are_told_apart);
	tcase_add_test(tcase, packets_are_bounded);
	tcase_add_test(tcase, packet_words_parse);
	tcase_add_test(tcase, packet_fuzz);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed != 0;
}
