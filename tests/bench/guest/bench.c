/* SPDX-License-Identifier: MIT */
/*
 * The guest side of the benchmark: six programs in one static binary, each of which prints its name, a
 * checksum that does not depend on the machine, and the seconds it took by the guest's monotonic clock:
 *   bench NAME [SCALE]
 * Small, without libraries, so that it measures the translator and not somebody's libc.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint64_t random_state = 88172645463325252u;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* --- branchy integer: shell sort, a hash table, bit tricks on data that a predictor cannot learn --- */

static void shell_sort(uint32_t *a, size_t n)
{
	for (size_t gap = n / 2; gap; gap /= 2)
		for (size_t i = gap; i < n; i++) {
			uint32_t x = a[i];
			size_t j = i;
			for (; j >= gap && a[j - gap] > x; j -= gap)
				a[j] = a[j - gap];
			a[j] = x;
		}
}

static uint64_t hash_words(const uint32_t *a, size_t n)
{
	static uint32_t table[4096];
	uint64_t sum = 0;
	memset(table, 0, sizeof(table));
	for (size_t i = 0; i < n; i++) {
		uint32_t h = a[i] * 2654435761u >> 20;
		while (table[h] && table[h] != a[i] && (h & 63) != 63)
			h++;
		if (table[h] == a[i])
			sum += h;
		table[h] = a[i];
		sum = (sum << 5 | sum >> 59) ^ h;
	}
	return sum;
}

static uint64_t branchy(unsigned scale)
{
	enum { N = 20000 };
	static uint32_t data[N];
	uint64_t sum = 0;
	for (unsigned round = 0; round < 60 * scale; round++) {
		for (size_t i = 0; i < N; i++)
			data[i] = (uint32_t)random64();
		sum += hash_words(data, N);
		shell_sort(data, N);
		for (size_t i = 0; i < N; i += 97)
			sum = sum * 31 + data[i];
	}
	return sum;
}

/* --- calls and indirect jumps: recursion, function pointers, a byte-code interpreter --- */

__attribute__((noinline)) static uint64_t fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

typedef uint64_t (*step_fn)(uint64_t);
__attribute__((noinline)) static uint64_t step0(uint64_t x) { return x * 3 + 1; }
__attribute__((noinline)) static uint64_t step1(uint64_t x) { return x ^ x >> 7; }
__attribute__((noinline)) static uint64_t step2(uint64_t x) { return x + (x << 3); }
__attribute__((noinline)) static uint64_t step3(uint64_t x) { return x - 12345; }
static step_fn volatile steps[4] = { step0, step1, step2, step3 };

static uint64_t run_bytecode(const uint8_t *code, size_t n, uint64_t x)
{
	static const void *const labels[] = { &&op_add, &&op_xor, &&op_shift, &&op_mul, &&op_end };
	const uint8_t *p = code;
	(void)n;
	goto *labels[*p++];
op_add:
	x += 0x9e3779b97f4a7c15u;
	goto *labels[*p++];
op_xor:
	x ^= x >> 11;
	goto *labels[*p++];
op_shift:
	x = x << 5 | x >> 59;
	goto *labels[*p++];
op_mul:
	x *= 0xff51afd7ed558ccdu;
	goto *labels[*p++];
op_end:
	return x;
}

static uint64_t calls(unsigned scale)
{
	static uint8_t code[4096];
	for (size_t i = 0; i + 1 < sizeof(code); i++)
		code[i] = random64() & 3;
	code[sizeof(code) - 1] = 4;
	uint64_t x = fib(27 + (scale > 1 ? 2 : 0));
	for (unsigned i = 0; i < 9000000 * scale; i++)
		x = steps[x >> 5 & 3](x);
	for (unsigned i = 0; i < 1000 * scale; i++)
		x = run_bytecode(code, sizeof(code), x);
	return x;
}

/* --- scalar floating point: n bodies and a Mandelbrot row --- */

struct body { double x[3], v[3], mass; };

static void advance(struct body *b, int n, double dt)
{
	for (int i = 0; i < n; i++)
		for (int j = i + 1; j < n; j++) {
			double d[3], dist2 = 1e-9;
			for (int k = 0; k < 3; k++) {
				d[k] = b[i].x[k] - b[j].x[k];
				dist2 += d[k] * d[k];
			}
			double mag = dt / (dist2 * __builtin_sqrt(dist2));
			for (int k = 0; k < 3; k++) {
				b[i].v[k] -= d[k] * b[j].mass * mag;
				b[j].v[k] += d[k] * b[i].mass * mag;
			}
		}
	for (int i = 0; i < n; i++)
		for (int k = 0; k < 3; k++)
			b[i].x[k] += dt * b[i].v[k];
}

static uint64_t mandelbrot(unsigned rows)
{
	uint64_t sum = 0;
	for (unsigned y = 0; y < rows; y++)
		for (unsigned x = 0; x < 200; x++) {
			double cr = x / 100.0 - 1.5, ci = y / 100.0 - 1.0, zr = 0, zi = 0;
			unsigned i = 0;
			for (; i < 100 && zr * zr + zi * zi < 4.0; i++) {
				double t = zr * zr - zi * zi + cr;
				zi = 2 * zr * zi + ci;
				zr = t;
			}
			sum = sum * 7 + i;
		}
	return sum;
}

static uint64_t fp(unsigned scale)
{
	struct body b[5];
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < 3; k++) {
			b[i].x[k] = (double)(i * 3 + k) * 0.37 - 1.0;
			b[i].v[k] = (double)(k - i) * 0.01;
		}
		b[i].mass = 1.0 / (1 + i);
	}
	for (unsigned i = 0; i < 240000 * scale; i++)
		advance(b, 5, 0.001);
	uint64_t bits, sum = mandelbrot(400 * scale);
	for (int i = 0; i < 5; i++) {
		memcpy(&bits, &b[i].x[0], 8);
		sum ^= bits;
	}
	return sum;
}

/* --- pointer chase over 64 MiB --- */

static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	return p;
}

static uint64_t chase(unsigned scale)
{
	const size_t count = (64u << 20) / 64;
	struct node { struct node *next; uint64_t value[7]; } *nodes = map(count * sizeof(*nodes));
	uint32_t *order = map(count * sizeof(*order));
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count - 1; i; i--) {
		size_t j = random64() % (i + 1);
		uint32_t t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < count; i++) {
		nodes[order[i]].next = &nodes[order[(i + 1) % count]];
		nodes[order[i]].value[0] = i;
	}
	uint64_t sum = 0;
	struct node *n = nodes;
	for (size_t i = 0; i < count * 2 * scale; i++) {
		sum = sum * 3 + n->value[0];
		n = n->next;
	}
	return sum;
}

/* --- sieve over memory --- */

static uint64_t sieve(unsigned scale)
{
	const size_t n = 8u << 20;
	uint8_t *composite = map(n);
	uint64_t sum = 0;
	for (unsigned round = 0; round < 4 * scale; round++) {
		memset(composite, 0, n);
		for (size_t i = 2; i * i < n; i++)
			if (!composite[i])
				for (size_t j = i * i; j < n; j += i)
					composite[j] = 1;
		for (size_t i = 2; i < n; i++)
			if (!composite[i])
				sum = sum * 5 + i;
	}
	return sum;
}

/* --- system calls and context switches --- */

static uint64_t ping_pong(unsigned rounds)
{
	int to[2], back[2];
	uint64_t sum = 0;
	if (pipe(to) || pipe(back))
		exit(1);
	pid_t child = fork();
	if (child == 0) {
		uint32_t x;
		close(to[1]);
		while (read(to[0], &x, 4) == 4) {
			x = x * 3 + 1;
			if (write(back[1], &x, 4) != 4)
				_exit(1);
		}
		_exit(0);
	}
	for (unsigned i = 1; i <= rounds; i++) {
		uint32_t x = i;
		if (write(to[1], &x, 4) != 4 || read(back[0], &x, 4) != 4)
			exit(1);
		sum += x;
	}
	close(to[1]);
	close(to[0]);
	close(back[0]);
	close(back[1]);
	waitpid(child, NULL, 0);
	return sum;
}

static uint64_t syscalls(unsigned scale)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < 200000 * scale; i++)
		sum += (uint64_t)syscall(SYS_getppid) != 0;
	sum += ping_pong(10000 * scale);
	for (unsigned i = 0; i < 50 * scale; i++) {
		pid_t child = fork();
		if (child == 0)
			_exit((int)(i & 63));
		int status;
		waitpid(child, &status, 0);
		sum = sum * 3 + (uint64_t)WEXITSTATUS(status);
	}
	return sum;
}

static const struct program {
	const char *name;
	uint64_t (*run)(unsigned scale);
} programs[] = {
	{ "branchy", branchy }, { "calls", calls }, { "fp", fp },
	{ "chase", chase }, { "sieve", sieve }, { "syscalls", syscalls },
};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
	unsigned scale = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (argc > 1 && strcmp(argv[1], "all") && strcmp(argv[1], programs[i].name))
			continue;
		random_state = 88172645463325252u;
		double start = now();
		uint64_t sum = programs[i].run(scale);
		printf("BENCH %s %016llx %.4f\n", programs[i].name, (unsigned long long)sum, now() - start);
		fflush(stdout);
	}
	return 0;
}
