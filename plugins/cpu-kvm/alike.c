/* SPDX-License-Identifier: MIT */
/* See alike.h. */
#include "alike.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>

/* The run state */

int run_state_get(const struct kvm_vcpu *v, uint32_t *state)
{
	struct kvm_mp_state mp = { 0 };
	int code = vcpu_ioctl(v, KVM_GET_MP_STATE, &mp);

	*state = mp.mp_state;
	return code < 0 ? code : 0;
}

int run_state_set(const struct kvm_vcpu *v, uint32_t state)
{
	struct kvm_mp_state mp = { .mp_state = state };
	int code = vcpu_ioctl(v, KVM_SET_MP_STATE, &mp);

	return code < 0 ? code : 0;
}

int run_state_load(uint32_t *state, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = r->get(in, "run_state", MT_STATE_U32, state, 1);

	if (code == 0 && *state != KVM_MP_STATE_RUNNABLE && *state != KVM_MP_STATE_STOPPED)
		code = r->refuse(in, "run_state", "is neither running nor stopped");
	return code;
}

/* Registers */

static int refuse_told(struct mt_error *err, const char *what, uint64_t failed, int error)
{
	return mt_error_set(err, MT_EIO, NULL, "KVM does not %s register 0x%llx of a vCPU: %s", what,
			    (unsigned long long)failed, strerror(-error));
}

int whole_first(struct kvm_vcpu *v, struct whole_vcpu *w, struct mt_error *err)
{
	uint64_t failed = 0;
	int code;

	w->first = calloc(1, w->regs.bytes + 1);
	if (!w->first)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = one_regs_read(v, &w->regs, w->first, &failed);
	return code < 0 ? refuse_told(err, "tell", failed, code) : 0;
}

void whole_forget(struct whole_vcpu *w)
{
	one_regs_forget(&w->regs);
	free(w->first);
}

/* A snapshot that is loaded and saved again before it runs has the time that was loaded. */
static void counter_put_back(struct counter *c, uint8_t *place)
{
	pthread_mutex_lock(&c->lock);
	if (c->held && place)
		memcpy(place, &c->time, sizeof(c->time));
	pthread_mutex_unlock(&c->lock);
}

static void counter_hold(struct counter *c, const uint8_t *place)
{
	pthread_mutex_lock(&c->lock);
	c->held = place != NULL;
	if (place)
		memcpy(&c->time, place, sizeof(c->time));
	pthread_mutex_unlock(&c->lock);
}

int counter_tell(struct kvm_vcpu *v, struct counter *c, uint64_t counter_id)
{
	int code = 0;

	pthread_mutex_lock(&c->lock);
	if (c->held)
		code = one_reg_set(v, counter_id, c->time);
	if (code == 0)
		c->held = false;
	pthread_mutex_unlock(&c->lock);
	return code;
}

int whole_save(struct kvm_vcpu *v, struct whole_vcpu *w, struct counter *c, uint64_t counter_id,
	       struct mt_state_out *out, const struct mt_state_writer *writer, struct mt_error *err)
{
	uint8_t *values = calloc(1, w->regs.bytes + 1);
	uint64_t failed = 0;
	int code;

	if (!values)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	code = one_regs_read(v, &w->regs, values, &failed);
	if (code == 0) {
		counter_put_back(c, one_regs_place(&w->regs, values, counter_id));
		one_regs_save(&w->regs, values, out, writer);
	}
	free(values);
	return code < 0 ? refuse_told(err, "tell", failed, code) : 0;
}

int whole_load(const struct whole_vcpu *w, uint8_t **values, struct mt_state_in *in, const struct mt_state_reader *r,
	       struct mt_error *err)
{
	*values = malloc(w->regs.bytes + 1);
	if (!*values)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	memcpy(*values, w->first, w->regs.bytes);
	return one_regs_load(&w->regs, *values, in, r);
}

/* The counter is set with the rest, so that KVM arms timers for it, and before the first run: it stands till then. */
int whole_set(struct kvm_vcpu *v, struct whole_vcpu *w, uint8_t *values, struct counter *c, uint64_t counter_id,
	      struct mt_error *err)
{
	uint64_t failed = 0;
	int code = one_regs_write(v, &w->regs, values, NULL, &failed);

	if (code < 0)
		return refuse_told(err, "take", failed, code);
	counter_hold(c, one_regs_place(&w->regs, values, counter_id));
	w->reset_error = 0;
	return 0;
}

/* Exits */

uint64_t one_reg_shown(const struct kvm_vcpu *v, uint64_t id, bool *fine)
{
	uint64_t value = 0;

	if (one_reg_get(v, id, &value) < 0)
		*fine = false;
	return value;
}

int serve_system(struct kvm_vcpu *v, bool failed, struct mt_exit *exit)
{
	const struct mt_loop_host *loop = v->kvm->loop;

	exit->reason = MT_EXIT_HALT;
	exit->wake_ns = UINT64_MAX;
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		loop->machine_request(v->kvm->inst, failed ? MT_REQUEST_PANIC : MT_REQUEST_POWEROFF, failed);
		return SERVED_OUT;
	case KVM_SYSTEM_EVENT_RESET:
		loop->machine_request(v->kvm->inst, MT_REQUEST_RESET, 0);
		return SERVED_OUT;
	case KVM_SYSTEM_EVENT_CRASH:
		loop->machine_request(v->kvm->inst, MT_REQUEST_PANIC, 1);
		return SERVED_OUT;
	default:
		return run_fail(exit, "KVM reports an event of the system that is not known here (%u)",
				v->run->system_event.type);
	}
}

/* Messages: no controller of these hosts takes any from KVM. */

int arch_messages_take(void *self, const struct mt_message *messages, uint32_t count)
{
	(void)self, (void)messages, (void)count;
	return MT_ENOTSUP;
}

void arch_messages_give(void *self, const struct mt_message *messages, uint32_t count)
{
	(void)self, (void)messages, (void)count;
}
