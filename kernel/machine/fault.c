/* SPDX-License-Identifier: MIT */
/* Filling, locating and printing a struct mt_error. Any thread, no state. */
#include "kernel/machine/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/machine/inst.h"

int fault_set(struct mt_error *err, int code, const char *culprit, const char *hint, const char *format, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	g_strlcpy(err->culprit, culprit ? culprit : "", sizeof(err->culprit));
	g_strlcpy(err->hint, hint ? hint : "", sizeof(err->hint));
	va_start(args, format);
	vsnprintf(err->message, sizeof(err->message), format, args);
	va_end(args);
	return code;
}

/* The source line with a caret under the value, where all of it fits; control characters are not printed. */
static void quote_line(struct mt_error *err, const struct diag_pos *pos, size_t width)
{
	size_t used = strlen(err->message), start = (size_t)MAX(pos->column, 1) - 1, len = strlen(pos->text);
	GString *quote = g_string_new(NULL);

	g_string_append_printf(quote, "\n%5d | ", pos->line);
	for (const char *c = pos->text; *c; c++)
		g_string_append_c(quote, ((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f ? '?' : *c);
	g_string_append(quote, "\n      | ");
	for (size_t i = 0; i < MIN(start, len); i++)
		if ((pos->text[i] & 0xc0) != 0x80)
			g_string_append_c(quote, pos->text[i] == '\t' ? '\t' : ' ');
	g_string_append_c(quote, '^');
	for (size_t i = start + 1; i < MIN(start + width, len); i++)
		if ((pos->text[i] & 0xc0) != 0x80)
			g_string_append_c(quote, '~');
	if (used + quote->len < sizeof(err->message))
		memcpy(err->message + used, quote->str, quote->len + 1);
	g_string_free(quote, TRUE);
}

int fault_locate(struct mt_error *err, int code, const struct mt_inst *inst)
{
	const struct config_key *key;
	const struct diag_pos *pos;
	char text[sizeof(err->message)];

	if (code >= 0)
		code = MT_EINVAL;
	if (!err)
		return code;
	/* a plugin may fill less than it should, or more than its fields hold */
	err->culprit[sizeof(err->culprit) - 1] = 0;
	err->message[sizeof(err->message) - 1] = 0;
	err->hint[sizeof(err->hint) - 1] = 0;
	err->code = code;
	memcpy(text, err->message, sizeof(text));
	key = err->culprit[0] ? section_get(inst->section, err->culprit) : NULL;
	pos = key ? &key->value_pos : &inst->section->pos;
	g_snprintf(err->message, sizeof(err->message), "%s:%d:%d: error: [%s]: %s%s%s", pos->file ? pos->file : "?",
		   pos->line, pos->column, inst->section->label, key ? key->name : "", key ? ": " : "",
		   text[0] ? text : "failed and gives no reason");
	if (pos->text)
		quote_line(err, pos, !key ? strlen(inst->section->label) + 2 : key->verbatim ? strlen(key->value) : 1);
	return code;
}

int fault_exit_code(const struct mt_error *err)
{
	switch (err->code) {
	case MT_EHOST: case MT_EPERM:
		return 3;
	case MT_EINVAL: case MT_ENOENT: case MT_ERANGE: case MT_ENOTSUP:
		return 2;
	default:
		return 1;
	}
}

void fault_print(const struct mt_error *err)
{
	fprintf(stderr, "%s\n", err->message);
	if (err->hint[0])
		fprintf(stderr, "  %s\n", err->hint);
}
