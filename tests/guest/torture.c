/* SPDX-License-Identifier: MIT */
/*
 * In the guest: what an emulator of a whole machine gets wrong first. Code that changes, also through other mappings
 * and by other threads; atomics and fences between threads; faults at exact places; memory that is mapped anew;
 * floating-point state over context switches; interrupts in tight loops. One marker a test. torture [SCALE [NAME]]
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096u
#define THREADS 4

#ifndef SCALE
#define SCALE 1
#endif

static unsigned scale = SCALE;
static char why[160];

#define WANT(condition) do { \
	if (!(condition)) { \
		snprintf(why, sizeof(why), "line %d: %s", __LINE__, #condition); \
		return false; \
	} \
} while (0)

static uint8_t *map(size_t bytes, int protection)
{
	void *p = mmap(NULL, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* every thread of the process executes fence.i */
static void flush_code(void *from, size_t bytes)
{
	syscall(SYS_riscv_flush_icache, from, (char *)from + bytes, 0);
}

static void fence_i(void)
{
	__asm__ volatile("fence.i" ::: "memory");
}

static bool run_threads(void *(*body)(void *), int count)
{
	pthread_t threads[16];
	bool ok = true;

	for (intptr_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, body, (void *)i))
			return false;
	for (int i = 0; i < count; i++) {
		void *result;
		pthread_join(threads[i], &result);
		ok &= result == NULL;
	}
	return ok;
}

/* --- code that changes --- */

typedef int (*code_fn)(void);

/* addi a0, zero, value; ret */
static void write_return(void *at, int value)
{
	volatile uint32_t *code = at;
	code[0] = (uint32_t)value << 20 | 0x00000513;
	code[1] = 0x00008067;
}

static bool code_rewritten(void)
{
	uint8_t *page = map(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);

	WANT(page);
	for (int i = 0; i < 20000 * (int)scale; i++) {
		/* at changing places of the page, so that lines with and without code are written */
		uint8_t *at = page + (unsigned)i * 24 % (PAGE - 8) / 4 * 4;
		write_return(at, i & 1023);
		fence_i();
		WANT(((code_fn)(void *)at)() == (i & 1023));
	}
	munmap(page, PAGE);
	return true;
}

/* A function that patches its own next instructions, in the block that runs. */
static bool code_patches_itself(void)
{
	static const uint32_t text[] = {
		0x00c5a023,     /* sw a2, 0(a1): a1 is the address of the addi below */
		0x0000100f,     /* fence.i */
		0x00000513,     /* addi a0, zero, 0 */
		0x00008067,     /* ret */
	};
	uint32_t *code = (void *)map(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);

	WANT(code);
	memcpy(code, text, sizeof(text));
	flush_code(code, PAGE);
	for (int i = 0; i < 5000; i++) {
		long (*run)(long, long, long) = (long (*)(long, long, long))(void *)code;
		long got = run(0, (long)(code + 2), (long)(i & 1023) << 20 | 0x513);
		WANT(got == (i & 1023));
	}
	munmap(code, PAGE);
	return true;
}

static bool code_behind_alias(void)
{
	int fd = memfd_create("code", 0);
	WANT(fd >= 0 && !ftruncate(fd, PAGE));
	uint8_t *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	uint8_t *executable = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	WANT(writable != MAP_FAILED && executable != MAP_FAILED);
	for (int i = 0; i < 5000 * (int)scale; i++) {
		if (i & 1) {
			write_return(writable, i & 1023);
		} else {
			/* by the kernel's copy */
			uint32_t code[2];
			write_return(code, i & 1023);
			WANT(pwrite(fd, code, sizeof(code), 0) == sizeof(code));
		}
		flush_code(executable, 8);
		WANT(((code_fn)(void *)executable)() == (i & 1023));
	}
	munmap(writable, PAGE);
	munmap(executable, PAGE);
	close(fd);
	return true;
}

static uint8_t *shared_code;
static volatile int code_version, code_stop;

static void *code_caller(void *arg)
{
	(void)arg;
	while (!code_stop) {
		int least = code_version;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		int got = ((code_fn)(void *)shared_code)();
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		/* one more than published may be there already */
		int most = code_version + 1;
		if (got < least || got > most) {
			printf("called %d, published were %d before and %d after\n", got, least, most - 1);
			return (void *)1;
		}
	}
	return NULL;
}

static bool code_of_other_threads(void)
{
	pthread_t callers[2];
	void *results[2];

	shared_code = map(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	WANT(shared_code);
	write_return(shared_code, 0);
	flush_code(shared_code, 8);
	code_version = code_stop = 0;
	for (int i = 0; i < 2; i++)
		WANT(!pthread_create(&callers[i], NULL, code_caller, NULL));
	for (int i = 1; i < 1000; i++) {
		/* one aligned word: the callers see the old or the new instruction */
		*(volatile uint32_t *)shared_code = (uint32_t)i << 20 | 0x513;
		flush_code(shared_code, 8);
		code_version = i;
		if (!(i & 31))
			usleep(1000);
	}
	code_stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(callers[i], &results[i]);
	WANT(!results[0] && !results[1]);
	munmap(shared_code, PAGE);
	return true;
}

/* Code pages that come, go and come back elsewhere with other contents. */
static bool code_remapped(void)
{
	for (int i = 0; i < 1000 * (int)scale; i++) {
		uint8_t *page = map(2 * PAGE, PROT_READ | PROT_WRITE);
		WANT(page);
		/* half of the code on each page */
		write_return(page + PAGE - 4, i & 1023);
		WANT(!mprotect(page, 2 * PAGE, PROT_READ | PROT_EXEC));
		flush_code(page, 2 * PAGE);
		WANT(((code_fn)(void *)(page + PAGE - 4))() == (i & 1023));
		munmap(page, 2 * PAGE);
	}
	return true;
}

/* --- between threads --- */

#define ROUNDS (50000 * (int)scale)
static uint64_t sum64, sum_cas, in_lock, largest;
static uint32_t sum32, lock_word;
static uint8_t bytes_together[8];

static void lock(void)
{
	while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE))
		while (__atomic_load_n(&lock_word, __ATOMIC_RELAXED))
			sched_yield();
}

static void *add_all(void *arg)
{
	uint8_t me = (uint8_t)(intptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t old = __atomic_load_n(&sum_cas, __ATOMIC_RELAXED);
		__atomic_fetch_add(&sum64, 3, __ATOMIC_RELAXED);
		__atomic_fetch_add(&sum32, 5, __ATOMIC_SEQ_CST);
		while (!__atomic_compare_exchange_n(&sum_cas, &old, old + 7, true, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
			;
		/* neighbours in one word: a byte store must not touch them */
		bytes_together[me]++;
		if (!(i & 7)) {
			lock();
			in_lock++;
			__atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
		}
		uint64_t mine = (uint64_t)i * THREADS + me, was;
		__asm__ volatile("amomaxu.d %0, %2, %1" : "=r"(was), "+A"(largest) : "r"(mine) : "memory");
	}
	return NULL;
}

static bool atomics(void)
{
	WANT(run_threads(add_all, THREADS));
	WANT(sum64 == 3ull * THREADS * ROUNDS);
	WANT(sum32 == (uint32_t)(5ull * THREADS * ROUNDS));
	WANT(sum_cas == 7ull * THREADS * ROUNDS);
	WANT(in_lock == THREADS * (uint64_t)((ROUNDS + 7) / 8));
	WANT(largest == (uint64_t)THREADS * ROUNDS - 1);
	for (int i = 0; i < THREADS; i++)
		WANT(bytes_together[i] == (uint8_t)ROUNDS);
	return true;
}

static pthread_barrier_t gate;
static volatile int flag[2][16], seen[2], message, ready;

/* store buffering: with full fences at least one sees the other's store */
static void *store_buffering(void *arg)
{
	int me = (int)(intptr_t)arg;
	for (int i = 0; i < 2000 * (int)scale; i++) {
		flag[me][0] = 0;
		pthread_barrier_wait(&gate);
		flag[me][0] = 1;
		__asm__ volatile("fence rw, rw" ::: "memory");
		seen[me] = flag[!me][0];
		pthread_barrier_wait(&gate);
		if (!seen[0] && !seen[1])
			return (void *)1;
		pthread_barrier_wait(&gate);
	}
	return NULL;
}

static void *message_passing(void *arg)
{
	for (int i = 1; i < 200000 * (int)scale; i++) {
		if (arg) {
			message = i;
			__asm__ volatile("fence w, w" ::: "memory");
			ready = i;
		} else {
			int r = ready;
			__asm__ volatile("fence r, r" ::: "memory");
			if (message < r)
				return (void *)1;
		}
	}
	return NULL;
}

static bool fences(void)
{
	pthread_barrier_init(&gate, NULL, 2);
	WANT(run_threads(store_buffering, 2));
	WANT(run_threads(message_passing, 2));
	return true;
}

/* --- floating-point state --- */

/* Threads with modes of their own: each quotient is rounded by the thread's mode, flags do not leak. */
static void *own_rounding(void *arg)
{
	static const int modes[4] = { FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD };
	int me = (int)(intptr_t)arg;
	volatile double one = 1, three = 3, two = 2;
	volatile double kept = me + 0.5;

	fesetround(modes[me & 3]);
	double want = one / three;
	for (int i = 0; i < 300 * (int)scale; i++) {
		feclearexcept(FE_ALL_EXCEPT);
		for (int k = 0; k < 200; k++)
			if (two / one != 2)
				return (void *)1;
		if (fetestexcept(FE_ALL_EXCEPT))
			return (void *)2;
		if (i % 3 == 0)
			sched_yield();
		if (one / three != want || !fetestexcept(FE_INEXACT) || fegetround() != modes[me & 3])
			return (void *)3;
		if (fetestexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW) || kept != me + 0.5)
			return (void *)4;
	}
	return NULL;
}

static bool fp_state(void)
{
	WANT(run_threads(own_rounding, 8));
	return true;
}

/* --- faults --- */

static volatile uintptr_t fault_address, fault_pc, fault_a3;
static volatile int fault_signal, fault_skip;

static void on_fault(int number, siginfo_t *info, void *context)
{
	ucontext_t *u = context;

	fault_signal = number;
	fault_address = (uintptr_t)info->si_addr;
	fault_pc = (uintptr_t)u->uc_mcontext.__gregs[REG_PC];
	fault_a3 = (uintptr_t)u->uc_mcontext.__gregs[13];
	u->uc_mcontext.__gregs[REG_PC] += (unsigned long)fault_skip;
}

static void catch(int number)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	sigaction(number, &action, NULL);
}

/* a3 has been counted up to the faulting load exactly, and not beyond */
static bool faults_are_precise(void)
{
	uint8_t *page = map(2 * PAGE, PROT_READ | PROT_WRITE);

	WANT(page && !mprotect(page + PAGE, PAGE, PROT_NONE));
	catch(SIGSEGV);
	fault_skip = 4;
	for (uintptr_t back = 1; back < 64; back++) {
		uint8_t *from = page + PAGE - 8 * back;
		uintptr_t count = 0, pc, end;
		fault_signal = 0;
		__asm__ volatile(".option push\n\t.option norvc\n\tla %1, 2f\n\tmv a4, %3\n\tli a3, 0\n"
				 "1:\taddi a3, a3, 1\n"
				 "2:\tld a5, 0(a4)\n\taddi a4, a4, 8\n\taddi %0, a3, 100\n\tlw a5, %4\n\tbeqz a5, 1b\n\tmv %2, a4\n"
				 "\t.option pop"
				 : "=&r"(count), "=&r"(pc), "=&r"(end) : "r"(from), "m"(fault_signal)
				 : "a3", "a4", "a5", "memory");
		WANT(fault_signal == SIGSEGV && fault_pc == pc && fault_a3 == back + 1);
		WANT(fault_address == (uintptr_t)page + PAGE && count == back + 101 && end == (uintptr_t)page + PAGE + 8);
	}
	munmap(page, 2 * PAGE);
	signal(SIGSEGV, SIG_DFL);
	return true;
}

static bool other_faults(void)
{
	uintptr_t pc;

	catch(SIGILL);
	catch(SIGTRAP);
	fault_skip = 4;
	fault_signal = 0;
	__asm__ volatile("la %0, 1f\n\t.balign 4\n1:\t.word 0x0000007b\n" : "=&r"(pc) :: "memory");
	WANT(fault_signal == SIGILL && fault_pc == pc);
	/* mstatus, and an addition with a rounding mode that is none */
	fault_signal = 0;
	__asm__ volatile("la %0, 1f\n\t.balign 4\n1:\t.word 0x30002573\n" : "=&r"(pc) :: "a0", "memory");
	WANT(fault_signal == SIGILL && fault_pc == pc);
	fault_signal = 0;
	__asm__ volatile("la %0, 1f\n\t.balign 4\n1:\t.word 0x0220e053\n" : "=&r"(pc) :: "ft0", "memory");
	WANT(fault_signal == SIGILL && fault_pc == pc);
	fault_signal = 0;
	__asm__ volatile("la %0, 1f\n\t.balign 4\n\t.option push\n\t.option norvc\n1:\tebreak\n\t.option pop\n"
			 : "=&r"(pc) :: "memory");
	WANT(fault_signal == SIGTRAP && fault_pc == pc);
	signal(SIGILL, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
	return true;
}

/* All widths at all distances from a page's end. */
static bool misaligned(void)
{
	uint8_t *page = map(2 * PAGE, PROT_READ | PROT_WRITE);

	WANT(page);
	for (unsigned i = 0; i < 2 * PAGE; i++)
		page[i] = (uint8_t)(i * 7 + (i >> 8));
	for (unsigned off = PAGE - 24; off < PAGE + 16; off++) {
		uint64_t want, got, half;
		uint32_t word;
		memcpy(&want, page + off, 8);
		__asm__ volatile("ld %0, 0(%1)" : "=r"(got) : "r"(page + off));
		WANT(got == want);
		__asm__ volatile("lwu %0, 0(%1)" : "=r"(got) : "r"(page + off));
		WANT(got == (uint32_t)want);
		__asm__ volatile("lhu %0, 0(%1)" : "=r"(half) : "r"(page + off));
		WANT(half == (uint16_t)want);
		__asm__ volatile("sd %0, 0(%1)" :: "r"(~want), "r"(page + off) : "memory");
		memcpy(&got, page + off, 8);
		WANT(got == ~want);
		__asm__ volatile("sw %0, 0(%1)" :: "r"(want), "r"(page + off) : "memory");
		memcpy(&word, page + off, 4);
		WANT(word == (uint32_t)want);
		memcpy(page + off, &want, 8);
	}
	munmap(page, 2 * PAGE);
	return true;
}

/* --- memory that is mapped anew --- */

static bool remapping(void)
{
	uint8_t *window = map(16 * PAGE, PROT_NONE);

	WANT(window);
	for (unsigned i = 0; i < 500 * scale; i++) {
		uint8_t *at = window + i % 16 * PAGE;
		WANT(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		WANT(*(volatile uint64_t *)at == 0);
		*(volatile uint64_t *)at = i;
		WANT(!mprotect(at, PAGE, PROT_READ));
		WANT(*(volatile uint64_t *)at == i);
	}
	munmap(window, 16 * PAGE);
	return true;
}

static bool copy_on_write(void)
{
	volatile uint32_t *page = (void *)map(8 * PAGE, PROT_READ | PROT_WRITE);

	WANT(page);
	for (unsigned i = 0; i < 50 * scale; i++) {
		int status;
		for (unsigned p = 0; p < 8; p++)
			page[p * PAGE / 4] = i * 8 + p;
		pid_t child = fork();
		if (child == 0) {
			for (unsigned p = 0; p < 8; p++) {
				if (page[p * PAGE / 4] != i * 8 + p)
					_exit(1);
				page[p * PAGE / 4] = ~0u;
			}
			_exit(0);
		}
		for (unsigned p = 0; p < 8; p++)
			page[p * PAGE / 4] += 1000;
		WANT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
		for (unsigned p = 0; p < 8; p++)
			WANT(page[p * PAGE / 4] == i * 8 + p + 1000);
	}
	return true;
}

/* --- time --- */

static volatile int ticks;

static void on_tick(int number)
{
	(void)number;
	ticks++;
}

/* A loop without a call is interrupted, and what it computes is not disturbed. */
static bool interrupts(void)
{
	struct itimerval every = { { 0, 5000 }, { 0, 5000 } }, off = { { 0, 0 }, { 0, 0 } };
	uint64_t a = 0, rounds = 0;

	ticks = 0;
	signal(SIGALRM, on_tick);
	setitimer(ITIMER_REAL, &every, NULL);
	while (ticks < 40 && rounds < 1u << 31) {
		uint64_t was = rounds;
		for (int i = 0; i < 100; i++) {
			rounds++;
			a += rounds * rounds;
		}
		if (rounds != was + 100)
			break;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	WANT(ticks >= 40);
	uint64_t n = rounds;
	unsigned __int128 product = (unsigned __int128)n * (n + 1) * (2 * n + 1);
	WANT(a == (uint64_t)(product / 6));
	return true;
}

static void *clock_grows(void *arg)
{
	static uint64_t latest;

	(void)arg;
	for (int i = 0; i < 20000; i++) {
		uint64_t before = __atomic_load_n(&latest, __ATOMIC_SEQ_CST), now, old;
		__asm__ volatile("fence\n\trdtime %0\n\tfence" : "=r"(now) :: "memory");
		if (now < before)
			return (void *)1;
		__asm__ volatile("amomaxu.d.aqrl %0, %2, %1" : "=r"(old), "+A"(latest) : "r"(now) : "memory");
	}
	return NULL;
}

static bool clocks(void)
{
	WANT(run_threads(clock_grows, THREADS));
	return true;
}

static const struct test {
	const char *name;
	bool (*run)(void);
} tests[] = {
	{ "code-rewritten", code_rewritten }, { "code-patches-itself", code_patches_itself },
	{ "code-behind-alias", code_behind_alias }, { "code-of-other-threads", code_of_other_threads },
	{ "code-remapped", code_remapped }, { "atomics", atomics }, { "fences", fences }, { "fp-state", fp_state },
	{ "faults-are-precise", faults_are_precise }, { "other-faults", other_faults }, { "misaligned", misaligned },
	{ "remapping", remapping }, { "copy-on-write", copy_on_write }, { "interrupts", interrupts }, { "clocks", clocks },
};

int main(int argc, char **argv)
{
	int failed = 0;

	scale = argc > 1 ? (unsigned)atoi(argv[1]) : SCALE;
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) {
		if (argc > 2 && strcmp(argv[2], tests[i].name))
			continue;
		bool ok = tests[i].run();
		printf("MORTISE-TEST: %s %s%s\n", tests[i].name, ok ? "ok" : "FAIL ", ok ? "" : why);
		fflush(stdout);
		failed += !ok;
	}
	printf("MORTISE-TEST: torture %s\n", failed ? "FAIL" : "ok");
	return failed;
}
