/* SPDX-License-Identifier: MIT */
/*
 * Filling a struct mt_error where the cause is known:
 *   return mt_fail(err, MT_EINVAL, "path", "give a file", "cannot use %s", name);
 * `err` may be NULL. Any thread.
 */
#ifndef MORTISE_UTIL_FAIL_H
#define MORTISE_UTIL_FAIL_H

#include <mortise/error.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

__attribute__((format(printf, 5, 6)))
static inline int mt_fail(struct mt_error *err, int32_t code, const char *culprit, const char *hint,
			  const char *format, ...)
{
	va_list ap;

	if (!err)
		return code;
	err->code = code;
	snprintf(err->culprit, sizeof(err->culprit), "%s", culprit ? culprit : "");
	snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
	va_start(ap, format);
	vsnprintf(err->message, sizeof(err->message), format, ap);
	va_end(ap);
	return code;
}

#endif
