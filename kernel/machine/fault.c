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
	pos = key ? &key->pos : &inst->section->pos;
	g_snprintf(err->message, sizeof(err->message), "%s:%d: error: [%s]: %s", pos->file ? pos->file : "?",
		   pos->line, inst->section->label, text[0] ? text : "failed and gives no reason");
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
