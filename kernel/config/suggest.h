/* SPDX-License-Identifier: MIT */
/* "Did you mean": the closest of a set of words, where one is close enough to be worth saying. Pure. */
#ifndef KERNEL_CONFIG_SUGGEST_H
#define KERNEL_CONFIG_SUGGEST_H

struct suggest {
	const char *wanted;
	const char *best;      /* NULL: nothing close yet */
	unsigned distance;
};

void suggest_init(struct suggest *s, const char *wanted);
/* Considers `word`, which must live as long as the search. */
void suggest_add(struct suggest *s, const char *word);
/* "did you mean 'x'?" in a static-size buffer, or NULL when nothing is close. */
const char *suggest_hint(const struct suggest *s, char buf[160]);

#endif
