// SPDX-License-Identifier: MIT
/* JSON on standard output, and sizes; see out.h. */
#include "kernel/img/out.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "kernel/config/json.h"

static void begin(struct out *out, const char *key)
{
	if (out->depth)
		printf("%s\n%*s", out->some ? "," : "", (int)(4 * out->depth), "");
	out->some = true;
	if (key) {
		json_print_string(stdout, key);
		fputs(": ", stdout);
	}
}

void out_open(struct out *out, const char *key, char bracket)
{
	begin(out, key);
	putchar(bracket);
	out->depth++;
	out->some = false;
}

void out_close(struct out *out, char bracket)
{
	out->depth--;
	printf("\n%*s%c", (int)(4 * out->depth), "", bracket);
	out->some = true;
	if (!out->depth)
		putchar('\n');
}

void out_string(struct out *out, const char *key, const char *value)
{
	begin(out, key);
	json_print_string(stdout, value);
}

void out_number(struct out *out, const char *key, uint64_t value)
{
	begin(out, key);
	printf("%" PRIu64, value);
}

void out_bool(struct out *out, const char *key, bool value)
{
	begin(out, key);
	fputs(value ? "true" : "false", stdout);
}

/* Three digits: the unit changes at 1000, not at 1024. */
const char *out_size(char text[32], uint64_t bytes)
{
	static const char *const units[] = { "", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	double value = (double)bytes;
	unsigned unit = 0;

	for (; value >= 1000 && unit < 6; unit++)
		value /= 1024;
	snprintf(text, 32, "%.3g %sB", value, units[unit]);
	return text;
}
