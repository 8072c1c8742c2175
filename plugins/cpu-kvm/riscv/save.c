/* SPDX-License-Identifier: MIT */
/*
 * A vCPU in a snapshot: schema "riscv64-kvm-hart", all of KVM's registers by their numbers, its run state and the level
 * of its pin. [main], while it stands. It is not the translator's "riscv64-hart": KVM's hart has no machine mode.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "riscv.h"

static int state_save(void *vcpu, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	uint8_t pin = a->pin;
	uint32_t state = 0;
	int code = whole_save(v, &a->whole, &v->kvm->arch->time, RV_TIME, out, w, err);

	if (code < 0)
		return code;
	code = run_state_get(v, &state);
	w->put(out, "run_state", MT_STATE_U32, 0, &state, 1);
	w->put(out, "seip", MT_STATE_U8, 0, &pin, 1);
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not tell whether a vCPU runs: %s", strerror(-code)) : 0;
}

static int rest_load(struct mt_state_in *in, const struct mt_state_reader *r, uint32_t *state, uint8_t *pin)
{
	int code = run_state_load(state, in, r);

	if (code == 0)
		code = r->get(in, "seip", MT_STATE_U8, pin, 1);
	return code == 0 && *pin > 1 ? r->refuse(in, "seip", "is neither 0 nor 1") : code;
}

static int state_load(void *vcpu, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		      struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	uint8_t *values, pin = 0;
	uint32_t state = 0;
	int code = whole_load(&a->whole, &values, in, r, err);

	(void)version;
	if (code == 0)
		code = rest_load(in, r, &state, &pin);
	if (code == 0)
		code = whole_set(v, &a->whole, values, &v->kvm->arch->time, RV_TIME, err);
	free(values);
	if (code < 0)
		return code;
	a->pin = pin;
	a->pin_stale = true;
	code = run_state_set(v, state);
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not take whether a vCPU runs: %s", strerror(-code)) : 0;
}

const struct mt_state_class arch_state = {
	.schema = "riscv64-kvm-hart", .version = 1, .version_min = 1, .save = state_save, .load = state_load,
};
