/* SPDX-License-Identifier: MIT */
/*
 * A vCPU in a snapshot: schema "arm64-kvm-cpu", all of KVM's registers by their numbers, its run state and what waits
 * for it. [main], while it stands.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "arm64.h"

/* struct kvm_vcpu_events */
struct saved {
	uint32_t run_state;
	uint8_t serror, serror_has_syndrome, abort;
	uint64_t serror_syndrome;
};

static int rest_save(struct kvm_vcpu *v, struct mt_state_out *out, const struct mt_state_writer *w,
		     struct mt_error *err)
{
	struct kvm_vcpu_events events = { 0 };
	uint32_t state = 0;
	uint64_t syndrome;
	int code = run_state_get(v, &state);

	if (code == 0)
		code = vcpu_ioctl(v, KVM_GET_VCPU_EVENTS, &events);
	if (code < 0)
		return mt_error_set(err, MT_EIO, NULL, "KVM does not tell what waits for a vCPU: %s", strerror(-code));
	syndrome = events.exception.serror_esr;
	w->put(out, "run_state", MT_STATE_U32, 0, &state, 1);
	w->put(out, "serror", MT_STATE_U8, 0, &events.exception.serror_pending, 1);
	w->put(out, "serror_has_syndrome", MT_STATE_U8, 0, &events.exception.serror_has_esr, 1);
	w->put(out, "serror_syndrome", MT_STATE_U64, 0, &syndrome, 1);
	w->put(out, "abort", MT_STATE_U8, 0, &events.exception.ext_dabt_pending, 1);
	return 0;
}

static int state_save(void *vcpu, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	int code = whole_save(v, &v->arch->whole, &v->kvm->arch->time, KVM_REG_ARM_TIMER_CNT, out, w, err);

	return code ? code : rest_save(v, out, w, err);
}

/* Loading */

static int saved_load(struct saved *s, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = run_state_load(&s->run_state, in, r);

	if (code == 0)
		code = r->get(in, "serror", MT_STATE_U8, &s->serror, 1);
	if (code == 0)
		code = r->get(in, "serror_has_syndrome", MT_STATE_U8, &s->serror_has_syndrome, 1);
	if (code == 0)
		code = r->get(in, "serror_syndrome", MT_STATE_U64, &s->serror_syndrome, 1);
	if (code == 0)
		code = r->get(in, "abort", MT_STATE_U8, &s->abort, 1);
	if (code == 0 && (s->serror > 1 || s->serror_has_syndrome > 1 || s->abort > 1))
		code = r->refuse(in, "serror", "or one beside it is neither 0 nor 1");
	return code;
}

static int rest_set(struct kvm_vcpu *v, const struct saved *s, struct mt_error *err)
{
	struct kvm_vcpu_events events = {
		.exception = { .serror_pending = s->serror, .serror_has_esr = s->serror_has_syndrome,
			       .ext_dabt_pending = s->abort, .serror_esr = s->serror_syndrome },
	};
	int code = vcpu_ioctl(v, KVM_SET_VCPU_EVENTS, &events);

	if (code >= 0)
		code = run_state_set(v, s->run_state);
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not take the state of a vCPU: %s", strerror(-code)) : 0;
}

static int state_load(void *vcpu, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		      struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	struct saved s = { 0 };
	uint8_t *values;
	int code = whole_load(&a->whole, &values, in, r, err);

	(void)version;
	if (code == 0)
		code = saved_load(&s, in, r);
	if (code == 0)
		code = whole_set(v, &a->whole, values, &v->kvm->arch->time, KVM_REG_ARM_TIMER_CNT, err);
	if (code == 0)
		code = rest_set(v, &s, err);
	free(values);
	return code;
}

const struct mt_state_class arch_state = {
	.schema = "arm64-kvm-cpu", .version = 1, .version_min = 1, .save = state_save, .load = state_load,
};
