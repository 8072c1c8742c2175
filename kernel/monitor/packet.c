// SPDX-License-Identifier: MIT
/* Framing and numbers: GDB manual, "Remote Protocol", "Overview". */
#include "kernel/monitor/packet.h"

#include <string.h>

static void begin(struct packet_reader *r)
{
	r->state = PACKET_BODY;
	r->sum = 0;
	r->broken = false;
	r->len = 0;
}

static void keep(struct packet_reader *r, uint8_t byte)
{
	if (r->len < PACKET_BYTES)
		r->data[r->len++] = (char)byte;
	else
		r->broken = true;
}

static enum packet_event idle(struct packet_reader *r, uint8_t byte)
{
	switch (byte) {
	case '$': begin(r); return PACKET_NONE;
	case '+': return PACKET_ACK;
	case '-': return PACKET_NAK;
	case 3:   return PACKET_INTERRUPT;
	default:  return PACKET_NONE;
	}
}

static void body(struct packet_reader *r, uint8_t byte)
{
	if (byte == '#') {
		r->state = PACKET_SUM_HIGH;
		return;
	}
	/* the end of the one before was lost */
	if (byte == '$') {
		begin(r);
		return;
	}
	r->sum = (uint8_t)(r->sum + byte);
	if (byte == '}')
		r->state = PACKET_ESCAPE;
	else
		keep(r, byte);
}

static void sum_digit(struct packet_reader *r, uint8_t byte)
{
	if (!g_ascii_isxdigit(byte))
		r->broken = true;
	else
		r->wanted = (uint8_t)(r->wanted << 4 | g_ascii_xdigit_value((char)byte));
}

enum packet_event packet_feed(struct packet_reader *r, uint8_t byte)
{
	switch (r->state) {
	case PACKET_IDLE:
		return idle(r, byte);
	case PACKET_BODY:
		body(r, byte);
		return PACKET_NONE;
	case PACKET_ESCAPE:
		r->sum = (uint8_t)(r->sum + byte);
		keep(r, byte ^ 0x20);
		r->state = PACKET_BODY;
		return PACKET_NONE;
	case PACKET_SUM_HIGH:
		r->wanted = 0;
		sum_digit(r, byte);
		r->state = PACKET_SUM_LOW;
		return PACKET_NONE;
	default:
		sum_digit(r, byte);
		r->state = PACKET_IDLE;
		r->data[r->len] = 0;
		return r->broken || r->sum != r->wanted ? PACKET_BAD : PACKET_DATA;
	}
}

void packet_put(GString *out, const char *data, size_t len)
{
	uint8_t sum = 0;
	size_t start;

	g_string_append_c(out, '$');
	start = out->len;
	for (size_t i = 0; i < len; i++) {
		if (strchr("}#$*", data[i]) && data[i]) {
			g_string_append_c(out, '}');
			g_string_append_c(out, (char)(data[i] ^ 0x20));
		} else {
			g_string_append_c(out, data[i]);
		}
	}
	for (size_t i = start; i < out->len; i++)
		sum = (uint8_t)(sum + (uint8_t)out->str[i]);
	g_string_append_printf(out, "#%02x", sum);
}

void packet_put_hex(GString *out, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++) {
		g_string_append_c(out, digits[p[i] >> 4]);
		g_string_append_c(out, digits[p[i] & 15]);
	}
}

bool packet_take_hex(const char **p, void *bytes, size_t len)
{
	uint8_t *out = bytes;

	for (size_t i = 0; i < len; i++) {
		/* the second is looked at only when the first is no end */
		if (!g_ascii_isxdigit((*p)[0]) || !g_ascii_isxdigit((*p)[1]))
			return false;
		out[i] = (uint8_t)(g_ascii_xdigit_value((*p)[0]) << 4 | g_ascii_xdigit_value((*p)[1]));
		*p += 2;
	}
	return true;
}

bool packet_take_number(const char **p, uint64_t *out)
{
	const char *start = *p;

	*out = 0;
	for (; g_ascii_isxdigit(**p); (*p)++) {
		if (*out >> 60)
			return false;
		*out = *out << 4 | (uint64_t)g_ascii_xdigit_value(**p);
	}
	return *p > start;
}

bool packet_take(const char **p, char c)
{
	if (**p != c)
		return false;
	(*p)++;
	return true;
}
