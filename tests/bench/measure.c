/* SPDX-License-Identifier: MIT */
/*
 * measure COMMAND...: runs a command once, without input and output, and prints its wall time from fork to the
 * end, user and system CPU time in seconds, its peak resident memory in KiB, and its exit status (-1: a signal).
 * A program of its own, because the peak of a process starts with what its parent had: this one is small.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double seconds(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static void __attribute__((noreturn)) child(char **argv)
{
	int null = open("/dev/null", O_RDWR);

	/* whoever ends the measuring ends the measured */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	execvp(argv[0], argv);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct rusage usage;
	int status;

	if (argc < 2)
		return 2;
	double start = now();
	pid_t pid = fork();
	if (pid == 0)
		child(argv + 1);
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		return 1;
	printf("%.6f %.6f %.6f %ld %d\n", now() - start, seconds(usage.ru_utime), seconds(usage.ru_stime), usage.ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}
