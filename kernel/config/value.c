// SPDX-License-Identifier: MIT
/*
 * Values of a machine file, text to number. Own digits loop instead of strtoull: that one takes signs and
 * leading blanks and wraps silently. Pure functions, any thread.
 */
#include "kernel/config/value.h"

#include <glib.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool value_refuse(struct value_fault *fault, size_t at, size_t len, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static bool value_refuse(struct value_fault *fault, size_t at, size_t len, const char *format, ...)
{
	va_list args;

	if (!fault)
		return false;
	fault->at = at;
	fault->len = len ? len : 1;
	va_start(args, format);
	vsnprintf(fault->message, sizeof(fault->message), format, args);
	va_end(args);
	return false;
}

enum value_digits { DIGITS_OK, DIGITS_NONE, DIGITS_TOO_BIG };

/* Reads digits at *p and moves it behind them. */
static enum value_digits value_digits(const char **p, uint64_t *out)
{
	bool hex = (*p)[0] == '0' && ((*p)[1] == 'x' || (*p)[1] == 'X');
	uint64_t value = 0, base = hex ? 16 : 10;
	const char *s = *p + (hex ? 2 : 0), *start = s;

	for (; hex ? g_ascii_isxdigit(*s) : g_ascii_isdigit(*s); s++) {
		uint64_t digit = (uint64_t)g_ascii_xdigit_value(*s);

		if (value > (UINT64_MAX - digit) / base)
			return DIGITS_TOO_BIG;
		value = value * base + digit;
	}
	if (s == start)
		return DIGITS_NONE;
	*p = s;
	*out = value;
	return DIGITS_OK;
}

bool value_parse_bool(const char *text, bool *out, struct value_fault *fault)
{
	bool on = !strcmp(text, "on");

	if (!on && strcmp(text, "off"))
		return value_refuse(fault, 0, strlen(text), "'%.64s' is neither on nor off", text);
	*out = on;
	return true;
}

bool value_parse_int(const char *text, uint64_t *out, struct value_fault *fault)
{
	const char *p = text;
	uint64_t value = 0;
	enum value_digits result = value_digits(&p, &value);

	if (result == DIGITS_TOO_BIG)
		return value_refuse(fault, 0, strlen(text), "'%.64s' does not fit in 64 bits", text);
	if (result == DIGITS_NONE)
		return value_refuse(fault, 0, strlen(text), "'%.64s' is not a number", text);
	if (*p)
		return value_refuse(fault, (size_t)(p - text), strlen(p),
				    "'%.64s' is not a number: '%.32s' follows it", text, p);
	*out = value;
	return true;
}

static int value_size_shift(char unit)
{
	switch (unit) {
	case 'K': return 10;
	case 'M': return 20;
	case 'G': return 30;
	case 'T': return 40;
	default: return 0;
	}
}

bool value_parse_size(const char *text, uint64_t *out_bytes, struct value_fault *fault)
{
	const char *p = text;
	uint64_t value = 0;
	enum value_digits result = value_digits(&p, &value);
	int shift = result == DIGITS_OK ? value_size_shift(*p) : 0;

	if (result == DIGITS_TOO_BIG || (shift && value > UINT64_MAX >> shift))
		return value_refuse(fault, 0, strlen(text), "'%.64s' does not fit in 64 bits", text);
	if (result == DIGITS_NONE)
		return value_refuse(fault, 0, strlen(text), "'%.64s' is not a size", text);
	if (shift)
		p++;
	if (*p)
		return value_refuse(fault, (size_t)(p - text), strlen(p),
				    "'%.64s' is not a size: after the number only K, M, G or T", text);
	*out_bytes = value << shift;
	return true;
}

bool value_parse_duration(const char *text, uint64_t *out_ns, struct value_fault *fault)
{
	static const struct { const char *unit; uint64_t ns; } units[] = {
		{ "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 },
	};
	const char *p = text;
	uint64_t value = 0;
	enum value_digits result = value_digits(&p, &value);

	if (result == DIGITS_NONE)
		return value_refuse(fault, 0, strlen(text), "'%.64s' is not a duration", text);
	for (size_t i = 0; result == DIGITS_OK && i < G_N_ELEMENTS(units); i++) {
		if (strcmp(p, units[i].unit))
			continue;
		if (value > UINT64_MAX / units[i].ns)
			result = DIGITS_TOO_BIG;
		else
			return *out_ns = value * units[i].ns, true;
	}
	if (result == DIGITS_TOO_BIG)
		return value_refuse(fault, 0, strlen(text), "'%.64s' does not fit in 64 bits of nanoseconds", text);
	return value_refuse(fault, (size_t)(p - text), strlen(p),
			    "'%.64s' is not a duration: after the number comes ns, us, ms or s", text);
}

bool value_parse_mac(const char *text, uint8_t out[6], struct value_fault *fault)
{
	uint8_t mac[6];

	for (int i = 0; i < 6; i++) {
		const char *p = text + 3 * i;

		if (strlen(text) != 17 || !g_ascii_isxdigit(p[0]) || !g_ascii_isxdigit(p[1]) ||
		    (i < 5 && p[2] != ':'))
			return value_refuse(fault, 0, strlen(text),
					    "'%.64s' is not a MAC address (52:54:00:12:34:56)", text);
		mac[i] = (uint8_t)(g_ascii_xdigit_value(p[0]) << 4 | g_ascii_xdigit_value(p[1]));
	}
	if (mac[0] & 1)
		return value_refuse(fault, 0, 2, "'%.64s' is a multicast address", text);
	memcpy(out, mac, 6);
	return true;
}

bool value_parse_irq(const char *text, char id[64], uint64_t *input, struct value_fault *fault)
{
	const char *colon = strchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!len || len >= 64)
		return value_refuse(fault, 0, strlen(text), "'%.64s' is not an interrupt input (ID:NUMBER)", text);
	if (!value_parse_int(colon + 1, input, fault)) {
		size_t rest = strlen(colon + 1);

		return value_refuse(fault, rest ? len + 1 : len, rest, "'%.64s' has no number after the colon", text);
	}
	memcpy(id, text, len);
	id[len] = '\0';
	return true;
}

static bool value_range_side(const char *text, bool sizes, uint64_t *out)
{
	if (!*text)
		return true;
	return sizes ? value_parse_size(text, out, NULL) : value_parse_int(text, out, NULL);
}

bool value_parse_range(const char *text, bool sizes, uint64_t *min, uint64_t *max)
{
	const char *dots = strstr(text, "..");
	char left[32];

	*min = 0;
	*max = UINT64_MAX;
	if (!dots || (size_t)(dots - text) >= sizeof(left))
		return false;
	memcpy(left, text, (size_t)(dots - text));
	left[dots - text] = '\0';
	return value_range_side(left, sizes, min) && value_range_side(dots + 2, sizes, max) && *min <= *max;
}

/* Position of `word` among the parts of `list` between separators, or -1. */
static int value_word_index(const char *list, const char *word, char separator)
{
	size_t len = strlen(word);
	int index = 0;

	for (const char *p = list; len; index++) {
		const char *end = strchrnul(p, separator);

		if ((size_t)(end - p) == len && !memcmp(p, word, len))
			return index;
		if (!*end)
			return -1;
		p = end + 1;
	}
	return -1;
}

int value_enum_index(const char *range, const char *word)
{
	return strchr(word, '|') ? -1 : value_word_index(range, word, '|');
}

bool value_word_in(const char *list, const char *word)
{
	return !strchr(word, ' ') && value_word_index(list, word, ' ') >= 0;
}
