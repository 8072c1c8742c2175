/* SPDX-License-Identifier: MIT */
/*
 * The run loop: into the guest, and what it comes out for. [vcpu], but for the kick.
 *
 * The kick: whoever kicks sets `kicked`, then immediate_exit, then signals the thread if it is inside. The loop
 * clears immediate_exit before it looks at `kicked`; so a kick that comes between finds its mark kept. The signal only
 * ends KVM_RUN: one that comes before KVM has been entered finds immediate_exit set, and one that comes behind it does
 * nothing. KVM_SET_SIGNAL_MASK would do without a handler, but each entry would set the mask.
 *
 * Easy to break: an access that made KVM come out is not finished until KVM has been entered again. So `run` never
 * returns straight after one: it goes in once more with immediate_exit set, and leaves on EINTR. Whoever looks at the
 * vCPU from outside then finds it between two instructions.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "arch.h"

/* Accesses */

static const struct mt_flat_range *range_find(const struct mt_flat_view *view, uint64_t addr)
{
	uint32_t low = 0, high = view ? view->count : 0;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct mt_flat_range *r =
			(const void *)((const char *)view->ranges + (size_t)mid * view->stride);

		if (addr < r->gpa)
			high = mid;
		else if (addr - r->gpa >= r->len_bytes)
			low = mid + 1;
		else
			return r;
	}
	return NULL;
}

static const struct mt_flat_range *range_of(struct kvm_vcpu *v, const struct mt_flat_view *view, uint64_t addr)
{
	const struct mt_flat_range *last = v->last;

	if (view == v->view && last && addr - last->gpa < last->len_bytes)
		return last;
	last = range_find(view, addr);
	if (view == v->view)
		v->last = last;
	return last;
}

/* How much of an access one call takes: all of it, or a byte where it crosses an end or has a strange length. */
static uint32_t step_of(const struct mt_flat_range *r, uint64_t addr, uint32_t width)
{
	bool whole = r && width <= 8 && !(width & (width - 1)) && width <= r->len_bytes - (addr - r->gpa);

	return whole ? width : 1;
}

static bool is_ok(struct kvm_vcpu *v, uint32_t result)
{
	v->leave |= (result & MT_BUS_LEAVE) != 0;
	return (result & MT_BUS_RESULT) == MT_BUS_OK;
}

void access_read(struct kvm_vcpu *v, const struct mt_flat_view *view, uint64_t addr, uint8_t *data, uint32_t width)
{
	while (width) {
		const struct mt_flat_range *r = range_of(v, view, addr);
		uint32_t step = step_of(r, addr, width);
		uint64_t value = 0;

		if (!r || !is_ok(v, v->kvm->host->read(v->handle, r, addr, step, 0, &value)))
			value = UINT64_MAX;
		memcpy(data, &value, step);
		data += step;
		addr += step;
		width -= step;
	}
}

void access_write(struct kvm_vcpu *v, const struct mt_flat_view *view, uint64_t addr, const uint8_t *data,
		  uint32_t width)
{
	while (width) {
		const struct mt_flat_range *r = range_of(v, view, addr);
		uint32_t step = step_of(r, addr, width);
		uint64_t value = 0;

		memcpy(&value, data, step);
		if (r)
			is_ok(v, v->kvm->host->write(v->handle, r, addr, step, 0, value));
		data += step;
		addr += step;
		width -= step;
	}
}

const uint8_t *access_memory(struct kvm_vcpu *v, uint64_t gpa, uint64_t *len_bytes)
{
	const struct mt_flat_range *r = range_find(v->view, gpa);

	if (!r || !r->hva)
		return NULL;
	*len_bytes = r->len_bytes - (gpa - r->gpa);
	return r->hva + (gpa - r->gpa);
}

/* Exits */

static void message_set(struct mt_exit *exit, const char *fmt, va_list ap)
{
	exit->reason = MT_EXIT_ERROR;
	vsnprintf(exit->message, sizeof(exit->message), fmt, ap);
}

int run_fail(struct mt_exit *exit, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	message_set(exit, fmt, ap);
	va_end(ap);
	return SERVED_OUT;
}

int run_fail_at(struct kvm_vcpu *v, struct mt_exit *exit, const char *fmt, ...)
{
	char place[192];
	size_t used;
	va_list ap;

	va_start(ap, fmt);
	message_set(exit, fmt, ap);
	va_end(ap);
	arch_place(v, place, sizeof(place));
	used = strlen(exit->message);
	snprintf(exit->message + used, sizeof(exit->message) - used, ": %s", place);
	return SERVED_OUT;
}

int run_fail_unknown(struct kvm_vcpu *v, struct mt_exit *exit)
{
	if (v->run->exit_reason == KVM_EXIT_UNKNOWN)
		return run_fail_at(v, exit, "the CPU left the guest for a reason that KVM does not know (0x%llx)",
				   (unsigned long long)v->run->hw.hardware_exit_reason);
	return run_fail_at(v, exit, "KVM left the guest for a reason that is not known here (%u)", v->run->exit_reason);
}

static int serve_mmio(struct kvm_vcpu *v, struct mt_exit *exit)
{
	struct kvm_run *run = v->run;

	v->unfinished = true;
	/* the kernel never says more, but the array has no room for it */
	if (run->mmio.len > sizeof(run->mmio.data))
		return run_fail(exit, "KVM reports an access of %u bytes", run->mmio.len);
	if (run->mmio.is_write)
		access_write(v, v->view, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		access_read(v, v->view, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	return SERVED_GO_ON;
}

static int serve_debug(struct kvm_vcpu *v, struct mt_exit *exit)
{
	int code = arch_debug_exit(v);

	if (code < 0)
		return run_fail(exit, "KVM does not take a debug exception of the guest's own: %s", strerror(-code));
	if (!code)
		return SERVED_GO_ON;
	v->stopped = true;
	exit->reason = MT_EXIT_DEBUG;
	return SERVED_OUT;
}

static int serve_internal(struct kvm_vcpu *v, struct mt_exit *exit)
{
	const struct kvm_run *run = v->run;

	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
		kvm_log(v->kvm, MT_LOG_INFO, "vcpu%u: KVM interprets what the CPU does not run by itself, on some virtual "
			"hosts all but ring 3, and does not know all instructions: mortise-cpu-kvm(7), LIMITS", v->index);
		return run_fail_at(v, exit, "KVM cannot emulate an instruction");
	}
	return run_fail_at(v, exit, "internal error %u of KVM (data 0x%llx 0x%llx)", run->internal.suberror,
			   (unsigned long long)run->internal.data[0], (unsigned long long)run->internal.data[1]);
}

static int serve_fail_entry(struct kvm_vcpu *v, struct mt_exit *exit)
{
	return run_fail_at(v, exit, "the CPU refuses to enter the guest (reason 0x%llx): its state is not legal",
			   (unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
}

static int serve_exit(struct kvm_vcpu *v, struct mt_exit *exit)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_MMIO:
		return serve_mmio(v, exit);
	case KVM_EXIT_INTR: case KVM_EXIT_IRQ_WINDOW_OPEN:
		return SERVED_GO_ON;
	case KVM_EXIT_DEBUG:
		return serve_debug(v, exit);
	case KVM_EXIT_INTERNAL_ERROR:
		return serve_internal(v, exit);
	case KVM_EXIT_FAIL_ENTRY:
		return serve_fail_entry(v, exit);
	default:
		return arch_exit(v, exit);
	}
}

/* The kick */

void vcpu_nudge(struct kvm_vcpu *v)
{
	__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (atomic_load_explicit(&v->inside, memory_order_acquire))
		pthread_kill(v->thread, v->kvm->kick_signal);
}

void vcpu_kick(void *vcpu)
{
	struct kvm_vcpu *v = vcpu;

	atomic_store(&v->kicked, 1);
	vcpu_nudge(v);
}

/*
 * For one entry, as this thread's but that the signal comes in; or not at all. struct kvm_signal_mask; its set is the 8
 * bytes of the system call's, not the C library's.
 */
static int mask_give(struct kvm_vcpu *v)
{
	struct {
		uint32_t len;
		uint8_t set[8];
	} mask = { .len = 8 };
	uint64_t was = 0;
	sigset_t set;

	pthread_sigmask(SIG_BLOCK, NULL, &set);
	for (int n = 1; n <= 64; n++)
		was |= sigismember(&set, n) > 0 ? 1ull << (n - 1) : 0;
	was &= ~(1ull << (v->kvm->kick_signal - 1));
	memcpy(mask.set, &was, sizeof(was));
	return vcpu_ioctl(v, KVM_SET_SIGNAL_MASK, &mask);
}

/* The signal waits at the entry. A kick is marked before immediate_exit is set: none is lost. */
int vcpu_look(struct kvm_vcpu *v)
{
	static const struct timespec now;
	int code, immediate = __atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST);
	sigset_t set, was;

	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	sigemptyset(&set);
	sigaddset(&set, v->kvm->kick_signal);
	pthread_sigmask(SIG_BLOCK, &set, &was);
	code = mask_give(v);
	if (code >= 0) {
		pthread_kill(pthread_self(), v->kvm->kick_signal);
		code = vcpu_ioctl(v, KVM_RUN, NULL);
		sigtimedwait(&set, NULL, &now);
		vcpu_ioctl(v, KVM_SET_SIGNAL_MASK, NULL);
	}
	if (immediate || atomic_load(&v->kicked))
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return code == -EINTR ? 0 : code;
}

/* True: the guest is to be left, and stands between two instructions. */
static bool is_called_out(struct kvm_vcpu *v)
{
	bool kicked;

	__atomic_store_n(&v->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	kicked = atomic_exchange(&v->kicked, 0);
	return kicked || v->leave;
}

/* The loop */

/* KVM_EXIT_MEMORY_FAULT of Linux 6.8, which older headers lack: struct memory_fault of kvm_run. */
#define EXIT_MEMORY_FAULT 39u

struct memory_fault {
	uint64_t flags, gpa, size;
};

static int enter_fail(struct kvm_vcpu *v, struct mt_exit *exit, int code)
{
	struct memory_fault fault;

	memcpy(&fault, &v->run->hw, sizeof(fault));
	if (code == -EFAULT && v->run->exit_reason == EXIT_MEMORY_FAULT)
		return run_fail_at(v, exit, "KVM cannot reach the guest's memory at 0x%llx (host out of memory?)",
				   (unsigned long long)fault.gpa);
	if (code == -EFAULT)
		return run_fail_at(v, exit, "KVM cannot reach memory of the guest (host out of memory?)");
	return run_fail_at(v, exit, "KVM does not run the guest: %s", strerror(-code));
}

static int enter(struct kvm_vcpu *v)
{
	int code;

	atomic_store_explicit(&v->inside, 1, memory_order_release);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	code = vcpu_ioctl(v, KVM_RUN, NULL);
	atomic_store_explicit(&v->inside, 0, memory_order_relaxed);
	return code;
}

static int run_once(struct kvm_vcpu *v, struct mt_exit *exit)
{
	int code;

	if (arch_enter(v, exit) == SERVED_OUT)
		return SERVED_OUT;
	if (v->leave)
		__atomic_store_n(&v->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	code = enter(v);
	v->unfinished = false;
	arch_left(v);
	late_drain(v);
	if (code >= 0)
		return serve_exit(v, exit);
	/* EAGAIN: a vCPU that waited to be started has got its start */
	if (code != -EINTR && code != -EAGAIN)
		return enter_fail(v, exit, code);
	if (!is_called_out(v))
		return SERVED_GO_ON;
	exit->reason = MT_EXIT_KICKED;
	return SERVED_OUT;
}

static int slots_fail(const struct kvm *k, struct mt_exit *exit, const struct slot *failed, int code)
{
	unsigned long long gpa = failed->gpa, bytes = failed->len_bytes;

	if (code == -ERANGE)
		return run_fail(exit, "memory of 0x%llx bytes at 0x%llx ends beyond the %u bits of a guest's addresses that this "
				"host has", bytes, gpa, k->address_bits);
	if (code == -ENOSPC)
		return run_fail(exit, "KVM of this host takes %u pieces of memory, and the one at 0x%llx is too many",
				k->slot_max, gpa);
	return run_fail(exit, "KVM does not take memory of 0x%llx bytes at 0x%llx: %s", bytes, gpa, strerror(-code));
}

static int run_prepare(struct kvm_vcpu *v, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct slot failed = { 0 };
	const char *what = "";
	int code;

	v->thread = pthread_self();
	code = slots_follow(v->kvm, params->view, &failed);
	if (code < 0)
		return slots_fail(v->kvm, exit, &failed, code);
	late_follow(v);
	code = arch_before_run(v, &what);
	return code < 0 ? run_fail(exit, "KVM does not take %s of the vCPU: %s", what, strerror(-code)) : SERVED_GO_ON;
}

int vcpu_run(void *vcpu, const struct mt_run_params *params, struct mt_exit *exit)
{
	struct kvm_vcpu *v = vcpu;
	int served;

	v->view = params->view;
	v->ports = params->size > offsetof(struct mt_run_params, ports) ? params->ports : NULL;
	v->last = NULL;
	v->leave = v->stopped = false;
	served = run_prepare(v, params, exit);
	while (served == SERVED_GO_ON)
		served = run_once(v, exit);
	return exit->reason == MT_EXIT_ERROR ? MT_EIO : 0;
}
