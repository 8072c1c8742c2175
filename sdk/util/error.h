/* SPDX-License-Identifier: MIT */
/*
 * Filling a struct mt_error. Each function returns the code, so that a caller may say
 * `return mt_error_set(err, MT_EINVAL, "sources", "%u sources are too many", n);`. A NULL `err` is legal.
 * Any thread; the struct belongs to the caller.
 */
#ifndef MORTISE_UTIL_ERROR_H
#define MORTISE_UTIL_ERROR_H

#include <mortise/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>


/* The owner's first step. */
static inline void mt_error_init(struct mt_error *err)
{
	memset(err, 0, sizeof(*err));
	err->size = sizeof(*err);
}

/* `culprit`: property, file or field at fault; NULL: none. The words are one line, lower case, no final dot. */
__attribute__((format(printf, 4, 5)))
static inline int mt_error_set(struct mt_error *err, int code, const char *culprit, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->size < sizeof(*err))
		return code;
	err->code = code;
	snprintf(err->culprit, sizeof(err->culprit), "%s", culprit ? culprit : "");
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	err->hint[0] = 0;
	return code;
}

/* What to do about it; after mt_error_set. */
__attribute__((format(printf, 2, 3)))
static inline int mt_error_hint(struct mt_error *err, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->size < sizeof(*err))
		return err ? err->code : MT_EINVAL;
	va_start(ap, fmt);
	vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
	return err->code;
}

#endif
