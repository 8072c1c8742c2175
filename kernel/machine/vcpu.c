/* SPDX-License-Identifier: MIT */
/*
 * The vCPU threads. vcpu_create runs on [main], `run` always on the vCPU's own thread; pins and kicks come
 * from any thread and take no lock.
 *
 * No wake-up is lost: `events` counts kicks and pin changes. The thread reads it before `run` and sleeps only
 * while it is unchanged, so what happens between the decision to halt (inside `run`) and the futex call makes
 * the call return at once. Whoever changes something does so before it counts.
 */
#include "kernel/machine/vcpu.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/machine/clock.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/machine/space.h"

#define VCPU_STACK_BYTES (1u << 20)
#define KICK_SIGNAL      SIGUSR1   /* no real-time one: those queue */

struct mt_vcpu {
	struct vcpus *vcpus;
	uint32_t index;
	void *self;                         /* the accelerator's */
	pthread_t thread;
	bool started;
	bool failed;                        /* own thread; [main] while parked */
	bool kept;                          /* [main] while parked: stays so when the others go on */
	bool debugged;                      /* own thread; [main] while parked: left `run` for the debugger */
	_Alignas(64) _Atomic uint32_t events;
	_Atomic uint32_t sleeping;
	GPtrArray *views;                   /* held for mt_vcpu_host.view; under vcpus->lock */
};

struct vcpus {
	struct machine *machine;
	const struct mt_cpu_class *cls;
	const struct mt_cpu_pins *pins;     /* NULL: no pins */
	const struct mt_cpu_regs *regs;     /* NULL: no registers */
	const struct mt_cpu_debug *debug;   /* NULL: no debugging */
	GHashTable *reg_numbers;            /* name -> number + 1 */
	uint32_t count;
	struct mt_vcpu *vcpu;
	pthread_mutex_t lock;
	pthread_cond_t changed;             /* of what follows */
	_Atomic uint32_t held;              /* written under the lock; read without it by the run loops */
	bool quit;
	uint32_t running;                   /* threads that are not parked */
};

/* Sleeping and waking. */

static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t host_ns)
{
	struct timespec until = { (time_t)(host_ns / 1000000000u), (long)(host_ns % 1000000000u) };

	/* an absolute time on CLOCK_MONOTONIC */
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, host_ns == UINT64_MAX ? NULL : &until,
		NULL, FUTEX_BITSET_MATCH_ANY);
}

static void vcpu_notice(struct mt_vcpu *vcpu)
{
	/* sequentially consistent with vcpu_sleep: either it sees the count or this sees the sleeper */
	atomic_fetch_add(&vcpu->events, 1);
	if (atomic_load(&vcpu->sleeping))
		syscall(SYS_futex, &vcpu->events, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void vcpu_sleep(struct mt_vcpu *vcpu, uint32_t seen, uint64_t wake_ns)
{
	struct machine *m = vcpu->vcpus->machine;
	uint64_t until = wake_ns == UINT64_MAX ? UINT64_MAX : clock_host_deadline(m->clock, wake_ns);

	atomic_store(&vcpu->sleeping, 1);
	if (atomic_load(&vcpu->events) == seen)
		futex_wait(&vcpu->events, seen, until);
	atomic_store(&vcpu->sleeping, 0);
}

static void vcpu_kick(struct mt_vcpu *vcpu)
{
	if (vcpu->self)
		vcpu->vcpus->cls->kick(vcpu->self);
	vcpu_notice(vcpu);
}

/* The run loop. */

static void vcpu_fail(struct mt_vcpu *vcpu, const char *text)
{
	struct machine *m = vcpu->vcpus->machine;

	vcpu->failed = true;
	log_message(m, m->cpu, MT_LOG_ERROR, "vcpu%u: %s", vcpu->index, text);
	machine_request(m, MACHINE_REQUEST_FAIL, 1);
}

static void vcpu_after_run(struct mt_vcpu *vcpu, int code, struct mt_exit *exit, uint32_t seen)
{
	char text[64];

	exit->message[sizeof(exit->message) - 1] = 0;
	if (code < 0 || exit->reason == MT_EXIT_ERROR) {
		vcpu_fail(vcpu, exit->message[0] ? exit->message : "stopped and gives no reason");
		return;
	}
	switch (exit->reason) {
	case MT_EXIT_HALT:
		vcpu_sleep(vcpu, seen, exit->wake_ns);
		break;
	case MT_EXIT_KICKED: case MT_EXIT_DEADLINE: case MT_EXIT_BUDGET:
		break;
	case MT_EXIT_DEBUG:
		vcpu->debugged = true;
		machine_notice(vcpu->vcpus->machine, MACHINE_EVENT_DEBUG);
		break;
	default:
		snprintf(text, sizeof(text), "unknown reason %u to stop", exit->reason);
		vcpu_fail(vcpu, text);
	}
}

static void vcpu_run_once(struct mt_vcpu *vcpu)
{
	struct vcpus *v = vcpu->vcpus;
	struct mt_run_params params = { .size = sizeof(params), .deadline_ns = UINT64_MAX };
	struct mt_exit exit;
	uint32_t seen = atomic_load(&vcpu->events);
	int code;

	exit.size = sizeof(exit);
	exit.reason = MT_EXIT_KICKED;
	exit.wake_ns = UINT64_MAX;
	exit.message[0] = 0;
	params.view = space_view_get(v->machine->system);
	params.ports = space_view_get(v->machine->ports);
	code = v->cls->run(vcpu->self, &params, &exit);
	space_view_put(v->machine->ports, params.ports);
	space_view_put(v->machine->system, params.view);
	vcpu_after_run(vcpu, code, &exit, seen);
}

/* The views that somebody looked at from outside: the vCPU stood still meanwhile, and now it goes on. */
static void views_drop(struct mt_vcpu *vcpu)
{
	for (unsigned i = 0; i < vcpu->views->len; i++)
		space_view_put(vcpu->vcpus->machine->system, g_ptr_array_index(vcpu->views, i));
	g_ptr_array_set_size(vcpu->views, 0);
}

/* Parks until the machine runs. False: the thread shall end. */
static bool vcpu_park(struct mt_vcpu *vcpu)
{
	struct vcpus *v = vcpu->vcpus;
	bool go;

	pthread_mutex_lock(&v->lock);
	v->running--;
	pthread_cond_broadcast(&v->changed);
	while ((atomic_load(&v->held) || vcpu->failed || vcpu->kept) && !v->quit)
		pthread_cond_wait(&v->changed, &v->lock);
	v->running++;
	go = !v->quit;
	views_drop(vcpu);
	if (!go) {
		v->running--;
		pthread_cond_broadcast(&v->changed);
	}
	pthread_mutex_unlock(&v->lock);
	return go;
}

static void *vcpu_thread(void *arg)
{
	struct mt_vcpu *vcpu = arg;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->index);
	prctl(PR_SET_NAME, name);
	/* a halted guest's timer is as exact as the host allows */
	prctl(PR_SET_TIMERSLACK, 1000ul);
	inst_thread_set(MT_THREAD_VCPU);
	while (vcpu_park(vcpu)) {
		while (!atomic_load_explicit(&vcpu->vcpus->held, memory_order_acquire) && !vcpu->failed)
			vcpu_run_once(vcpu);
	}
	return NULL;
}

/* Stopping and going on. */

void vcpus_hold(struct vcpus *v)
{
	/* no lock: the caller may be a vCPU inside `run`; the store precedes the kicks */
	atomic_store(&v->held, 1);
	vcpus_kick_all(v);
}

void vcpus_pause(struct vcpus *v)
{
	vcpus_hold(v);
	pthread_mutex_lock(&v->lock);
	while (v->running)
		pthread_cond_wait(&v->changed, &v->lock);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_resume(struct vcpus *v)
{
	pthread_mutex_lock(&v->lock);
	atomic_store(&v->held, 0);
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
}

void vcpus_kick_all(struct vcpus *v)
{
	for (uint32_t i = 0; i < v->count; i++)
		vcpu_kick(&v->vcpu[i]);
}

void vcpus_reset(struct vcpus *v, uint32_t kind)
{
	for (uint32_t i = 0; i < v->count; i++) {
		v->vcpu[i].failed = v->vcpu[i].debugged = false;
		v->cls->vcpu_reset(v->vcpu[i].self, kind);
	}
}

/* Pins and registers. */

void vcpus_pin_set(struct vcpus *v, uint32_t index, uint32_t pin, uint32_t level)
{
	if (!v || index >= v->count || !v->pins)
		return;
	v->pins->set(v->vcpu[index].self, pin, level);
	vcpu_notice(&v->vcpu[index]);
}

void vcpus_wake(struct vcpus *v, uint32_t index)
{
	vcpu_notice(&v->vcpu[index]);
}

int32_t vcpus_pin_find(struct vcpus *v, const char *name)
{
	return v && v->pins ? v->pins->find(v->machine->cpu->self, name) : MT_ENOENT;
}

static void regs_read_names(struct vcpus *v)
{
	void *self = v->machine->cpu->self;
	uint32_t count = v->regs ? v->regs->count(self) : 0;

	for (uint32_t i = 0; i < count; i++) {
		struct mt_reg_desc desc = { .size = sizeof(desc) };

		if (v->regs->describe(self, i, &desc) != 0)
			continue;
		desc.name[sizeof(desc.name) - 1] = 0;
		g_hash_table_insert(v->reg_numbers, g_strdup(desc.name), GUINT_TO_POINTER(desc.number + 1));
	}
}

/* The register's number, or MT_ENOENT. */
static int64_t reg_find(struct vcpus *v, uint32_t index, const char *reg)
{
	if (index >= v->count || !v->regs)
		return MT_ENOENT;
	if (!g_hash_table_size(v->reg_numbers))
		regs_read_names(v);
	return (int64_t)GPOINTER_TO_UINT(g_hash_table_lookup(v->reg_numbers, reg)) - 1;
}

int vcpus_reg_set(struct vcpus *v, uint32_t index, const char *reg, uint64_t value)
{
	int64_t number = reg_find(v, index, reg);

	return number < 0 ? MT_ENOENT : v->regs->write(v->vcpu[index].self, (uint32_t)number, value);
}

int vcpus_reg_get(struct vcpus *v, uint32_t index, const char *reg, uint64_t *value)
{
	int64_t number = reg_find(v, index, reg);

	return number < 0 ? MT_ENOENT : v->regs->read(v->vcpu[index].self, (uint32_t)number, value);
}

/* Debugging. */

const struct mt_cpu_regs *vcpus_regs(const struct vcpus *v)
{
	return v->regs;
}

const struct mt_cpu_debug *vcpus_debug(const struct vcpus *v)
{
	return v->debug;
}

struct mt_vcpu *vcpus_handle(const struct vcpus *v, uint32_t index)
{
	return &v->vcpu[index];
}

void *vcpus_accel(const struct vcpus *v, uint32_t index)
{
	return v->vcpu[index].self;
}

void vcpus_keep(struct vcpus *v, uint32_t index, bool keep)
{
	v->vcpu[index].kept = keep;
}

bool vcpus_debugged(struct vcpus *v, uint32_t index)
{
	bool was = v->vcpu[index].debugged;

	v->vcpu[index].debugged = false;
	return was;
}

uint32_t vcpus_count(const struct vcpus *v)
{
	return v->count;
}

void *vcpus_self(const struct vcpus *v, uint32_t index)
{
	return v->vcpu[index].self;
}

/* Making and ending. */

static int vcpu_start(struct mt_vcpu *vcpu, struct mt_error *err)
{
	struct vcpus *v = vcpu->vcpus;
	sigset_t all, before;
	pthread_attr_t attr;
	int code;

	code = v->cls->vcpu_create(v->machine->cpu->self, vcpu->index, vcpu, &vcpu->self, err);
	if (code < 0)
		return code;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, VCPU_STACK_BYTES);
	/* signals of the process are main's; faults of the thread itself are delivered even so */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&vcpu->thread, &attr, vcpu_thread, vcpu);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (code)
		return fault_set(err, MT_ENOMEM, NULL, NULL, "cannot start a thread: %s", strerror(code));
	vcpu->started = true;
	return 0;
}

static struct mt_vcpu *vcpu_array(uint32_t count)
{
	struct mt_vcpu *vcpu = aligned_alloc(_Alignof(struct mt_vcpu), count * sizeof(*vcpu));

	if (!vcpu)
		g_error("no memory for %u vCPUs", count);
	memset(vcpu, 0, count * sizeof(*vcpu));
	return vcpu;
}

static struct vcpus *vcpus_new(struct machine *m, uint32_t count)
{
	struct vcpus *v = g_new0(struct vcpus, 1);

	v->machine = m;
	v->cls = inst_role(m->cpu, MT_IFACE_CPU);
	v->pins = inst_role(m->cpu, MT_IFACE_CPU_PINS);
	v->regs = inst_role(m->cpu, MT_IFACE_CPU_REGS);
	v->debug = inst_role(m->cpu, MT_IFACE_CPU_DEBUG);
	v->reg_numbers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	v->vcpu = vcpu_array(count);
	v->count = count;
	v->running = count;
	atomic_store(&v->held, 1);
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->changed, NULL);
	for (uint32_t i = 0; i < count; i++) {
		v->vcpu[i].vcpus = v;
		v->vcpu[i].index = i;
		v->vcpu[i].views = g_ptr_array_new();
	}
	return v;
}

static void kick_all(void *arg)
{
	vcpus_kick_all(arg);
}

struct vcpus *vcpus_create(struct machine *m, uint32_t count, struct mt_error *err)
{
	struct vcpus *v = vcpus_new(m, count);

	for (uint32_t i = 0; i < count; i++) {
		if (vcpu_start(&v->vcpu[i], err) < 0) {
			vcpus_destroy(v);
			return NULL;
		}
	}
	space_set_listener(m->system, kick_all, v);
	space_set_listener(m->ports, kick_all, v);
	return v;
}

void vcpus_destroy(struct vcpus *v)
{
	if (!v)
		return;
	space_set_listener(v->machine->ports, NULL, NULL);
	space_set_listener(v->machine->system, NULL, NULL);
	vcpus_hold(v);
	pthread_mutex_lock(&v->lock);
	v->quit = true;
	pthread_cond_broadcast(&v->changed);
	pthread_mutex_unlock(&v->lock);
	for (uint32_t i = 0; i < v->count; i++) {
		if (v->vcpu[i].started)
			pthread_join(v->vcpu[i].thread, NULL);
		if (v->vcpu[i].self)
			v->cls->vcpu_destroy(v->vcpu[i].self);
		views_drop(&v->vcpu[i]);
		g_ptr_array_unref(v->vcpu[i].views);
	}
	pthread_cond_destroy(&v->changed);
	pthread_mutex_destroy(&v->lock);
	g_hash_table_unref(v->reg_numbers);
	free(v->vcpu);
	g_free(v);
}

/* mortise.vcpu-host/1 */

static struct mt_access access_of(const struct mt_vcpu *vcpu, uint32_t privilege)
{
	return (struct mt_access) {
		.vcpu = vcpu->index, .requester = MT_REQUESTER_VCPU, .privilege = privilege,
	};
}

static uint32_t vcpu_host_read(struct mt_vcpu *vcpu, const struct mt_flat_range *range, uint64_t addr,
			       uint32_t width, uint32_t privilege, uint64_t *value)
{
	struct mt_access from = access_of(vcpu, privilege);

	return bus_read(range, addr, width, &from, value);
}

static uint32_t vcpu_host_write(struct mt_vcpu *vcpu, const struct mt_flat_range *range, uint64_t addr,
				uint32_t width, uint32_t privilege, uint64_t value)
{
	struct mt_access from = access_of(vcpu, privilege);

	return bus_write(range, addr, width, &from, value);
}

/* Held until the vCPU runs again: nobody looks at it from outside then. */
static const struct mt_flat_view *vcpu_host_view(struct mt_vcpu *vcpu)
{
	struct vcpus *v = vcpu->vcpus;
	const struct mt_flat_view *view = space_view_get(v->machine->system);

	pthread_mutex_lock(&v->lock);
	if (vcpu->views->len && g_ptr_array_index(vcpu->views, vcpu->views->len - 1) == view)
		space_view_put(v->machine->system, view);
	else
		g_ptr_array_add(vcpu->views, (void *)view);
	pthread_mutex_unlock(&v->lock);
	return view;
}

const struct mt_vcpu_host vcpu_host = {
	.read = vcpu_host_read,
	.write = vcpu_host_write,
	.view = vcpu_host_view,
};

/* mortise.kick/1 */

static void kick_caught(int signal)
{
	(void)signal;
}

static uint32_t kick_signal(void)
{
	const struct sigaction action = { .sa_handler = kick_caught, .sa_flags = SA_RESTART };

	sigaction(KICK_SIGNAL, &action, NULL);
	return KICK_SIGNAL;
}

const struct mt_kick_host kick_host = { .signal = kick_signal };
