/* SPDX-License-Identifier: MIT */
/* The main program of a libcheck test: one suite, one case, a fixture around every test. */
#ifndef MTSDK_CHECK_RUN_H
#define MTSDK_CHECK_RUN_H

#include <check.h>
#include <stdlib.h>

/* `setup` and `teardown` may be NULL. The exit status. With MORTISE_LONG=1 (full counts) a test may take an hour. */
static inline int check_run(const char *name, void (*setup)(void), void (*teardown)(void),
			    const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, getenv("MORTISE_LONG") ? 3600 : 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* int main(void) { CHECK_RUN("uart", start, stop, first_test, second_test); } */
#define CHECK_RUN(name, setup, teardown, ...) do { \
	const TTest *const tests_[] = { __VA_ARGS__ }; \
	return check_run(name, setup, teardown, tests_, sizeof(tests_) / sizeof(tests_[0])); \
} while (0)

#endif
