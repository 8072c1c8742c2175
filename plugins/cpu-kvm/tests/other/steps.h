/* SPDX-License-Identifier: MIT */
/* Steps of the tests of other hosts: on the bench, with the tests' KVM below. */
#ifndef KVM_OTHER_STEPS_H
#define KVM_OTHER_STEPS_H

#include <errno.h>

#include "plain.h"
#include "shim.h"

static inline void up(void)
{
	int code = bench_up();

	ck_assert_msg(code == 0, "%s", b.err.message);
}

static inline int leave(struct shim_vcpu *v)
{
	(void)v;
	return -EINTR;
}

static inline int run_and_leave(uint32_t vcpu)
{
	shim.guest = leave;
	b.cls->kick(b.vcpu[vcpu]);
	return bench_run(vcpu);
}

/* Memory up to the last address runs, and a page more is refused. */
static inline void memory_ends_at(uint32_t bits)
{
	struct mt_flat_range r = { .gpa = (UINT64_C(1) << bits) - 4096, .len_bytes = 4096, .kind = MT_FLAT_RAM,
				   .hva = bench_ram };
	struct mt_flat_view view = { 10, 1, sizeof(r), &r };
	char words[32];

	shim.guest = leave;
	b.cls->kick(b.vcpu[0]);
	ck_assert_int_eq(bench_run_view(0, &view), 0);
	r.len_bytes += 4096;
	view.generation++;
	ck_assert_int_lt(bench_run_view(0, &view), 0);
	snprintf(words, sizeof(words), "beyond the %u bits", bits);
	ck_assert_has(b.exit.message, words);
}

static inline struct fake_state *saved(uint32_t vcpu)
{
	struct fake_state *s = fake_state_new();

	ck_assert_int_eq(b.state->save(b.vcpu[vcpu], fake_state_out(s), &fake_state_writer, &b.err), 0);
	return s;
}

static inline int loaded(uint32_t vcpu, struct fake_state *s)
{
	return b.state->load(b.vcpu[vcpu], fake_state_in(s), &fake_state_reader, 1, &b.err);
}

#endif
