// SPDX-License-Identifier: MIT
/* Lists of words as options have them: parts at single commas. */
#include "kernel/img/img.h"

GPtrArray *img_split(const char *text)
{
	GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
	GString *part = g_string_new(NULL);

	for (; *text; text++) {
		if (*text != ',' || text[1] == ',') {
			text += *text == ',';
			g_string_append_c(part, *text);
		} else {
			g_ptr_array_add(parts, g_strdup(part->str));
			g_string_truncate(part, 0);
		}
	}
	if (part->len)
		g_ptr_array_add(parts, g_strdup(part->str));
	g_string_free(part, TRUE);
	return parts;
}
