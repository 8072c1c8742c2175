/* SPDX-License-Identifier: MIT */
/*
 * The terminal guard: a raw terminal that comes back whatever happens to this process.
 *
 * Before the terminal goes raw a child is forked that keeps the saved settings and waits for the end of this
 * process (a pipe that closes, a descriptor of the process that becomes ready). It blocks all signals and has
 * a session of its own, so that neither Ctrl-C nor a kill of the process group takes it first.
 * The rule that is easy to break: the child runs in a copy of a process with threads, so between fork and _exit
 * it may only make async-signal-safe calls. Called from [main].
 */
#ifndef STDIO_GUARD_H
#define STDIO_GUARD_H

#include <sys/types.h>
#include <termios.h>

struct guard {
	int tty_fd;
	int pipe_fd;             /* write end; one byte says "restored already" */
	pid_t child;
	struct termios saved;
};

/* Saves the settings of `tty_fd`, starts the child, goes raw. 0 or -errno; then nothing has changed. */
int guard_start(struct guard *g, int tty_fd);
/* Restores the settings and ends the child. Harmless when never started. */
void guard_stop(struct guard *g);

#endif
