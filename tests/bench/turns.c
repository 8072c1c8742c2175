/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into programs that run guest/exits.c on one vCPU of KVM, so that they take turns: each stops before it
 * enters the guest, waits until the turn is its own, lets the guest come out for the same thing some dozens of
 * times, and gives the turn to the next one. All are measured within some milliseconds of one another on the same
 * processor, and what disturbs the host disturbs all alike.
 *
 * TURNS names a file of a struct turns, all zeros, that they share; TURNS_SELF is the program's number in it, and
 * TURNS_COUNT says how many there are. turns.py reads it; PROGRAMS, TURNS, WARM_EXITS, TURN_EXITS and STREAK, which
 * this is compiled with, are explained there.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#define KINDS   4                  /* read and write of a port, of a register */
#define NOTHING KINDS
#define SCRATCH 0x3ffu             /* the guest's port, which firmware leaves alone */

struct turns {
	_Atomic uint32_t given[KINDS]; /* turns that have ended */
	uint32_t ticks[KINDS][PROGRAMS][TURNS];        /* of TURN_EXITS exits */
};

static struct turns *turns;
static uint32_t self, count;
static struct kvm_run *run;

/* What the guest has come out for; registers only after the ports. One vCPU: one thread. */
static uint32_t kind = NOTHING, streak, exits, ended[KINDS];
static uint64_t place, begin;
static bool came_out;

static uint32_t number(const char *name)
{
	const char *value = getenv(name);

	return value ? (uint32_t)strtoul(value, NULL, 10) : 0;
}

static void join(int fd)
{
	const char *path = getenv("TURNS");
	int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

	self = number("TURNS_SELF");
	count = number("TURNS_COUNT");
	turns = mmap(NULL, sizeof(*turns), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	run = mmap(NULL, sizeof(*run), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (turns == MAP_FAILED || run == MAP_FAILED || self >= PROGRAMS) {
		perror("turns");
		_exit(1);
	}
	close(file);
}

static void turn_take(void)
{
	uint32_t own = ended[kind] * count + self, given;

	while ((given = atomic_load(&turns->given[kind])) != own)
		syscall(SYS_futex, &turns->given[kind], FUTEX_WAIT, given, NULL, NULL, 0);
	exits = 0;
}

static void turn_give(void)
{
	turns->ticks[kind][self][ended[kind]++] = (uint32_t)(__rdtsc() - begin);
	atomic_fetch_add(&turns->given[kind], 1);
	syscall(SYS_futex, &turns->given[kind], FUTEX_WAKE, PROGRAMS, NULL, NULL, 0);
}

static void before_entry(void)
{
	if (kind == NOTHING || ended[kind] == TURNS || streak < STREAK)
		return;
	if (streak == STREAK) {
		turn_take();
	} else if (++exits == WARM_EXITS) {
		begin = __rdtsc();
	} else if (exits == WARM_EXITS + TURN_EXITS) {
		turn_give();
		if (ended[kind] < TURNS)
			turn_take();
	}
}

static void after_exit(void)
{
	uint32_t was = kind;
	uint64_t was_place = place;

	kind = NOTHING;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == SCRATCH) {
		kind = run->io.direction == KVM_EXIT_IO_OUT;
		place = run->io.port;
	} else if (run->exit_reason == KVM_EXIT_MMIO && ended[1] == TURNS) {
		kind = 2 + run->mmio.is_write;
		place = run->mmio.phys_addr;
	}
	streak = kind == was && place == was_place ? streak + 1 : 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int result;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request != KVM_RUN)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	if (!turns)
		join(fd);
	if (came_out)
		before_entry();
	result = (int)syscall(SYS_ioctl, fd, request, arg);
	came_out = result >= 0;
	if (came_out)
		after_exit();
	return result;
}
