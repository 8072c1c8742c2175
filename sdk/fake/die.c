/* SPDX-License-Identifier: MIT */
/* The end of a test that does what a plugin or its test must not; apart, for what uses no instance. */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void fake_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("fake host: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}
