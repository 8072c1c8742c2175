// SPDX-License-Identifier: MIT
/*
 * The guard over plugin loading. Handlers stand only while `run` runs, or are held over several runs, on a stack of
 * their own, so that a constructor that eats the stack is caught too. A fault of another thread is not ours: it gets
 * the default action. Signal handlers and exit are per process, hence the static state; guarded runs do not nest.
 */
#include "kernel/load/guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define GUARD_STACK_BYTES (128u << 10)

static const int guard_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS };
#define GUARD_SIGNALS (sizeof(guard_signals) / sizeof(guard_signals[0]))

static struct {
	sigjmp_buf env;
	pthread_t thread;
	const char *what;              /* NULL: no guarded run */
	bool exit_hook;
	bool held;
	struct sigaction old[GUARD_SIGNALS];
	stack_t stack, old_stack;
} guard;

static void guard_caught(int signal)
{
	struct sigaction plain = { .sa_handler = SIG_DFL };

	if (guard.what && pthread_equal(pthread_self(), guard.thread))
		siglongjmp(guard.env, signal);
	sigaction(signal, &plain, NULL);
	raise(signal);
}

/* A constructor that calls exit would end mortise with whatever status it likes, and not a word. */
static void guard_exit_hook(void)
{
	const char *parts[] = { "mortise: error: ", guard.what, ": called exit while it was loaded\n" };

	if (!guard.what)
		return;
	for (int i = 0; i < 3; i++)
		if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
			break;
	_exit(2);
}

void guard_hold(void)
{
	struct sigaction action = { .sa_handler = guard_caught, .sa_flags = SA_ONSTACK | SA_NODEFER };
	stack_t stack = { .ss_size = GUARD_STACK_BYTES };

	if (guard.held)
		return;
	guard.held = true;
	stack.ss_sp = mmap(NULL, GUARD_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack.ss_sp != MAP_FAILED)
		sigaltstack(&stack, &guard.old_stack);
	guard.stack = stack;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < GUARD_SIGNALS; i++)
		sigaction(guard_signals[i], &action, &guard.old[i]);
	if (!guard.exit_hook)
		guard.exit_hook = atexit(guard_exit_hook) == 0;
}

void guard_release(void)
{
	if (!guard.held)
		return;
	guard.held = false;
	for (size_t i = 0; i < GUARD_SIGNALS; i++)
		sigaction(guard_signals[i], &guard.old[i], NULL);
	if (guard.stack.ss_sp == MAP_FAILED)
		return;
	sigaltstack(&guard.old_stack, NULL);
	munmap(guard.stack.ss_sp, GUARD_STACK_BYTES);
}

int guard_run(const char *what, void (*run)(void *data), void *data)
{
	bool held = guard.held;
	int signal;

	guard_hold();
	guard.thread = pthread_self();
	signal = sigsetjmp(guard.env, 1);
	if (!signal) {
		guard.what = what;
		run(data);
	}
	guard.what = NULL;
	if (!held)
		guard_release();
	return signal;
}
