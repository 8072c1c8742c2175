// SPDX-License-Identifier: MIT
/*
 * Edit distance with transpositions, bounded: words further apart than a third of their length are no
 * suggestion, because a wrong hint costs the reader more than none.
 */
#include "kernel/config/suggest.h"

#include <glib.h>
#include <stdio.h>
#include <string.h>

#define SUGGEST_LEN_MAX 63

static unsigned suggest_limit(const char *wanted)
{
	size_t len = strlen(wanted);

	return len <= 2 ? 1 : len <= 8 ? 2 : (unsigned)(len / 4 + 1);
}

static unsigned suggest_distance(const char *a, const char *b)
{
	unsigned rows[3][SUGGEST_LEN_MAX + 1];
	size_t la = strlen(a), lb = strlen(b);

	if (la > SUGGEST_LEN_MAX || lb > SUGGEST_LEN_MAX)
		return G_MAXUINT;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

			best = MIN(best, MIN(up[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, up2[j - 2] + 1);
			row[j] = best;
		}
	}
	return rows[la % 3][lb];
}

void suggest_init(struct suggest *s, const char *wanted)
{
	s->wanted = wanted;
	s->best = NULL;
	s->distance = suggest_limit(wanted) + 1;
}

void suggest_add(struct suggest *s, const char *word)
{
	unsigned distance = suggest_distance(s->wanted, word);

	/* A hint that shares nothing with the word ("at" for "id") is noise. */
	if (distance < s->distance && distance < strlen(s->wanted) && distance < strlen(word)) {
		s->distance = distance;
		s->best = word;
	}
}

const char *suggest_hint(const struct suggest *s, char buf[160])
{
	if (!s->best)
		return NULL;
	snprintf(buf, 160, "did you mean '%s'?", s->best);
	return buf;
}
