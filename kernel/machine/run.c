/* SPDX-License-Identifier: MIT */
/*
 * Running a machine: requests come from any thread and are served on [main], which sleeps in poll meanwhile.
 * Easy to break: machine_request is called by vCPUs inside `run`, so it only notes the request and tells the
 * vCPUs to leave; and every thread must have SIGINT, SIGTERM and SIGHUP blocked, or the signalfd misses them.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/services.h"
#include "kernel/machine/vcpu.h"
#include "kernel/state/state.h"

#define GOING_ON (-1)

/* A request that ends the machine is kept against all that come later; a reset gives way to an end. */
void machine_request(struct machine *m, uint32_t request, uint32_t code)
{
	uint64_t one = 1;

	pthread_mutex_lock(&m->ask.lock);
	if (m->ask.request == 0 || m->ask.request == MT_REQUEST_RESET) {
		m->ask.request = request;
		m->ask.code = code;
	}
	/* under the lock: a hold after main has served the request would hold the vCPUs for ever */
	if (m->vcpus)
		vcpus_hold(m->vcpus);
	pthread_mutex_unlock(&m->ask.lock);
	if (write(m->ask.event_fd, &one, sizeof(one)) < 0)
		return;   /* the counter is full: main is being woken already */
}

void machine_notice(struct machine *m, uint32_t event)
{
	uint64_t one = 1;

	pthread_mutex_lock(&m->ask.lock);
	m->ask.notices |= event;
	if (m->vcpus && event == MACHINE_EVENT_DEBUG)
		vcpus_hold(m->vcpus);
	pthread_mutex_unlock(&m->ask.lock);
	if (write(m->ask.event_fd, &one, sizeof(one)) < 0)
		return;   /* as above */
}

static uint32_t request_take(struct machine *m, uint32_t *code, uint32_t *notices)
{
	uint64_t count;
	uint32_t request;

	*notices = 0;

	if (read(m->ask.event_fd, &count, sizeof(count)) < 0)
		return 0;
	pthread_mutex_lock(&m->ask.lock);
	request = m->ask.request;
	*code = m->ask.code;
	*notices = m->ask.notices;
	m->ask.request = m->ask.code = m->ask.notices = 0;
	pthread_mutex_unlock(&m->ask.lock);
	return request;
}

static void tell(struct machine *m, uint32_t event)
{
	if (m->watcher.event)
		m->watcher.event(m->watcher.arg, event);
}

/* What was paused meanwhile for another reason: whoever did it has seen what there was to see. */
static void serve_stop(struct machine *m, uint32_t event)
{
	if (m->state != INST_RUNNING)
		return;
	machine_pause(m);
	tell(m, event);
}

static void serve_notices(struct machine *m, uint32_t notices)
{
	if (notices & MACHINE_EVENT_DISK)
		tell(m, MACHINE_EVENT_DISK);
	if (notices & MACHINE_EVENT_DEBUG)
		serve_stop(m, MACHINE_EVENT_DEBUG);
	if (notices & MACHINE_EVENT_STOP)
		serve_stop(m, MACHINE_EVENT_STOP);
}

static int serve_reset(struct machine *m)
{
	struct mt_error err = { .size = sizeof(err) };
	bool running = m->state == INST_RUNNING;

	machine_pause(m);
	if (machine_reset(m, MT_RESET_WARM, &err) < 0) {
		fault_print(&err);
		return 1;
	}
	tell(m, MACHINE_EVENT_RESET);
	if (running)
		machine_start(m);
	return GOING_ON;
}

static int poweroff_code(uint32_t code)
{
	/* a guest's code must not become 0 by being cut to what a process can return */
	return code == 0 ? 0 : code & 0xff ? (int)(code & 0xff) : 1;
}

static int serve_request(struct machine *m, uint32_t *request)
{
	uint32_t code = 0;
	uint32_t notices;

	*request = request_take(m, &code, &notices);
	serve_notices(m, notices);
	switch (*request) {
	case 0:
		return GOING_ON;
	case MT_REQUEST_RESET:
		return serve_reset(m);
	case MT_REQUEST_POWEROFF:
		return poweroff_code(code);
	case MT_REQUEST_QUIT:
		return 0;
	case MT_REQUEST_PANIC:
		log_message(m, NULL, MT_LOG_ERROR, "the guest reports its own failure, code %u", code);
		return 4;
	case MACHINE_REQUEST_FAIL:
		return (int)code;
	default:
		log_message(m, NULL, MT_LOG_ERROR, "unknown request %u to the machine", *request);
		return 1;
	}
}

/* A second SIGINT ends the process, however long the tidy end takes. */
static void sigint_release(void)
{
	sigset_t set;

	signal(SIGINT, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int serve_signal(struct machine *m)
{
	struct signalfd_siginfo info;

	if (read(m->signal_fd, &info, sizeof(info)) != sizeof(info))
		return GOING_ON;
	if (info.ssi_signo == SIGINT)
		sigint_release();
	return 0;
}

int machine_run(struct machine *m)
{
	struct pollfd fds[3] = { { m->ask.event_fd, POLLIN, 0 }, { m->signal_fd, POLLIN, 0 },
				 { m->watcher.fd, POLLIN, 0 } };
	uint32_t request = 0;
	int code = GOING_ON;

	while (code == GOING_ON) {
		/* a negative descriptor is passed over */
		if (poll(fds, 3, -1) < 0 && errno != EINTR && errno != EAGAIN)
			return 1;
		if (fds[0].revents)
			code = serve_request(m, &request);
		if (code == GOING_ON && fds[1].revents)
			code = serve_signal(m);
		if (code == GOING_ON && fds[2].revents)
			m->watcher.serve(m->watcher.arg);
	}
	machine_pause(m);
	if (m->watcher.end)
		m->watcher.end(m->watcher.arg, request ? request : MT_REQUEST_QUIT, code);
	return code;
}

/* The command. */

static sigset_t signals_set(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

static int signals_take(sigset_t *before)
{
	sigset_t set = signals_set();

	/* before any thread is made: they inherit it */
	pthread_sigmask(SIG_BLOCK, &set, before);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What came during the end must not end the process again, with a signal in place of its exit code. */
static void signals_give(int signal_fd, const sigset_t *before)
{
	const struct timespec now = { 0, 0 };
	sigset_t set = signals_set();

	while (sigtimedwait(&set, NULL, &now) > 0)
		;
	if (signal_fd >= 0)
		close(signal_fd);
	pthread_sigmask(SIG_SETMASK, before, NULL);
}

static int fail(struct machine *m, const struct mt_error *err)
{
	fault_print(err);
	machine_destroy(m);
	return fault_exit_code(err);
}

static void options_apply(struct machine *m, const struct run_options *options)
{
	if (!options)
		return;
	m->log.guest = options->guest_errors;
	if (options->quiet)
		m->log.level = MT_LOG_WARN;
	if (options->verbose)
		m->log.level = MT_LOG_DEBUG;
}

/* Up to where it can start: reset, or with the state of a snapshot. */
static int bring_up(struct machine *m, struct snapshot *restore, struct mt_error *err)
{
	int code = restore ? snapshot_bind(restore, m, err) : 0;

	if (code == 0)
		code = machine_realize(m, err);
	if (code == 0)
		code = restore ? snapshot_load(restore, m, err) : machine_reset(m, MT_RESET_COLD, err);
	return code;
}

static int run_machine(struct config *config, struct registry *registry, const struct run_options *options,
		       int signal_fd)
{
	struct mt_error err = { .size = sizeof(err) };
	struct machine *m = machine_create(config, registry, &err);
	bool start = true;
	int code;

	if (!m)
		return fail(NULL, &err);
	if (!m->cpu) {
		fault_set(&err, MT_EINVAL, NULL, "add [cpu] with plugin =; see: mortise plugins",
			  "%s: error: nothing runs in this machine: it has no [cpu]", config_file(config));
		return fail(m, &err);
	}
	options_apply(m, options);
	m->signal_fd = signal_fd;
	if (bring_up(m, options ? options->restore : NULL, &err) < 0)
		return fail(m, &err);
	if (options && options->attach && options->attach(m, options, &start, &err) < 0)
		return fail(m, &err);
	if (start)
		machine_start(m);
	code = machine_run(m);
	machine_destroy(m);
	return code;
}

int machine_main_run(struct config *config, struct registry *registry, const struct run_options *options)
{
	sigset_t before;
	int signal_fd = signals_take(&before), code;

	code = run_machine(config, registry, options, signal_fd);
	signals_give(signal_fd, &before);
	return code;
}

int machine_main_dts(struct config *config, struct registry *registry, FILE *out)
{
	struct mt_error err = { .size = sizeof(err) };
	struct fdt_request request = { 0 };
	struct machine *m = machine_create(config, registry, &err);
	const void *blob;
	uint64_t len_bytes;
	bool fine;

	if (!m || fdt_build(m, &request, &blob, &len_bytes, &err) < 0)
		return fail(m, &err);
	fine = dts_print(blob, out);
	machine_destroy(m);
	return fine ? 0 : 1;
}
