// SPDX-License-Identifier: MIT
/* Strings of JSON output. Everything else of JSON is printed by hand where it is made. */
#include "kernel/config/json.h"

#include <glib.h>

static void json_print_char(FILE *out, unsigned char c)
{
	switch (c) {
	case '"': fputs("\\\"", out); break;
	case '\\': fputs("\\\\", out); break;
	case '\n': fputs("\\n", out); break;
	case '\t': fputs("\\t", out); break;
	default:
		if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
}

void json_print_string(FILE *out, const char *text)
{
	if (!text) {
		fputs("null", out);
		return;
	}
	char *valid = g_utf8_make_valid(text, -1);

	putc('"', out);
	for (const char *p = valid; *p; p++)
		json_print_char(out, (unsigned char)*p);
	putc('"', out);
	g_free(valid);
}
