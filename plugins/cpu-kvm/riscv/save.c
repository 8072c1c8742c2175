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

static int refuse_told(struct mt_error *err, const char *what, uint64_t failed, int error)
{
	return mt_error_set(err, MT_EIO, NULL, "KVM does not %s register 0x%llx: %s", what, (unsigned long long)failed,
			    strerror(-error));
}

/* A snapshot that is loaded and saved again before it runs has the time that was loaded. */
static void time_put_back(struct kvm_vcpu *v, uint8_t *values)
{
	struct arch_vm *vm = v->kvm->arch;
	uint8_t *place = one_regs_place(&v->arch->regs, values, RV_TIME);

	pthread_mutex_lock(&vm->lock);
	if (vm->time_held && place)
		memcpy(place, &vm->time, sizeof(vm->time));
	pthread_mutex_unlock(&vm->lock);
}

static int state_save(void *vcpu, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	uint8_t *values = calloc(1, a->regs.bytes + 1), pin = a->pin;
	uint64_t failed = 0;
	uint32_t state = 0;
	int code;

	if (!values)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = one_regs_read(v, &a->regs, values, &failed);
	if (code < 0) {
		free(values);
		return refuse_told(err, "tell", failed, code);
	}
	time_put_back(v, values);
	one_regs_save(&a->regs, values, out, w);
	free(values);
	code = run_state_get(v, &state);
	w->put(out, "run_state", MT_STATE_U32, 0, &state, 1);
	w->put(out, "seip", MT_STATE_U8, 0, &pin, 1);
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not tell whether a vCPU runs: %s", strerror(-code)) : 0;
}

/*
 * The time is set with the rest, so that KVM arms the timer for it, and again before the first run: it stands until
 * then.
 */
static int hart_set(struct kvm_vcpu *v, uint8_t *values, uint32_t state, uint64_t *failed)
{
	struct arch_vm *vm = v->kvm->arch;
	const uint8_t *time;
	int code = one_regs_write(v, &v->arch->regs, values, NULL, failed);

	if (code == 0)
		code = run_state_set(v, state);
	if (code < 0)
		return code;
	time = one_regs_place(&v->arch->regs, values, RV_TIME);
	pthread_mutex_lock(&vm->lock);
	vm->time_held = time != NULL;
	if (time)
		memcpy(&vm->time, time, sizeof(vm->time));
	pthread_mutex_unlock(&vm->lock);
	return 0;
}

static int state_load(void *vcpu, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		      struct mt_error *err)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	uint8_t *values = calloc(1, a->regs.bytes + 1), pin = 0;
	uint64_t failed = 0;
	uint32_t state = 0;
	int code, told;

	(void)version;
	if (!values)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	memcpy(values, a->first, a->regs.bytes);
	code = one_regs_load(&a->regs, values, in, r);
	if (code == 0)
		code = r->get(in, "run_state", MT_STATE_U32, &state, 1);
	if (code == 0)
		code = r->get(in, "seip", MT_STATE_U8, &pin, 1);
	if (code == 0 && state != KVM_MP_STATE_RUNNABLE && state != KVM_MP_STATE_STOPPED)
		code = r->refuse(in, "run_state", "is neither running nor stopped");
	if (code == 0 && pin > 1)
		code = r->refuse(in, "seip", "is neither 0 nor 1");
	told = code == 0 ? hart_set(v, values, state, &failed) : 0;
	free(values);
	if (code < 0)
		return code;
	a->pin = pin;
	a->pin_stale = true;
	a->reset_error = 0;
	return told < 0 ? refuse_told(err, "take", failed, told) : 0;
}

const struct mt_state_class arch_state = {
	.schema = "riscv64-kvm-hart", .version = 1, .version_min = 1, .save = state_save, .load = state_load,
};
