/* SPDX-License-Identifier: MIT */
/*
 * The few words of libcheck that the tests of other hosts use, for there is no libcheck of those architectures: the
 * first failure ends the program.
 */
#ifndef KVM_PLAIN_H
#define KVM_PLAIN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_TEST(name) static void name(void)
#define END_TEST

#define ck_assert_msg(condition, ...) do { \
	if (!(condition)) { \
		fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition); \
		fprintf(stderr, __VA_ARGS__); \
		fprintf(stderr, "\n"); \
		exit(EXIT_FAILURE); \
	} \
} while (0)

#define ck_assert(condition) ck_assert_msg(condition, "no")
#define ck_assert_int_eq(a, b) \
	ck_assert_msg((long long)(a) == (long long)(b), "%lld and %lld", (long long)(a), (long long)(b))
#define ck_assert_int_lt(a, b) \
	ck_assert_msg((long long)(a) < (long long)(b), "%lld and %lld", (long long)(a), (long long)(b))
#define ck_assert_uint_eq(a, b) \
	ck_assert_msg((unsigned long long)(a) == (unsigned long long)(b), "0x%llx and 0x%llx", \
		      (unsigned long long)(a), (unsigned long long)(b))
#define ck_assert_has(text, part) ck_assert_msg(strstr(text, part), "'%s' in '%s'", part, text)

struct plain_test {
	const char *name;
	void (*run)(void);
};

/* The exit status. */
static inline int plain_run(void (*setup)(void), void (*teardown)(void), const struct plain_test *tests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		fprintf(stderr, "%s\n", tests[i].name);
		setup();
		tests[i].run();
		teardown();
	}
	return EXIT_SUCCESS;
}

#define TEST(name) { #name, name }

#endif
