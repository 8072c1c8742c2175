/* SPDX-License-Identifier: MIT */
/* Steps that tests on the shim share. */
#ifndef KVM_TESTS_STEPS_H
#define KVM_TESTS_STEPS_H

#include <check.h>
#include <errno.h>

#include "shim.h"

/* The end of each test: nothing is left open. */
static inline void stop(void)
{
	bench_down();
	ck_assert_uint_eq(shim.open_fds, 0);
	shim_stop();
}

static inline void up(void)
{
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
}

/* A guest that comes out at once, and for good. */
static inline int leave(struct shim_vcpu *v)
{
	b.cls->kick(b.vcpu[v->index]);
	return -EINTR;
}

static inline void run_to(uint32_t vcpu, uint32_t reason)
{
	ck_assert_msg(bench_run(vcpu) == 0, "%s", b.exit.message);
	ck_assert_uint_eq(b.exit.reason, reason);
}

#endif
