/* SPDX-License-Identifier: MIT */
/*
 * In the guest: work that a snapshot is taken in the middle of. Threads compute; others write, sync and read files of
 * a disk; others exchange datagrams and streams with a server of the host, and begin a stream anew when it breaks.
 * Every byte is checked, and all of it comes to one sum, which is the same however often the machine was restored.
 * work UDP-PORT TCP-PORT ROUNDS; listens on port 7 and sends back what comes.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define HOST       "10.0.2.2"
#define WORKERS    2
#define FILE_BYTES 262144u
#define PIECE      4096u
#define DATAGRAM   600u

static unsigned rounds;
static uint16_t udp_port, tcp_port;
static unsigned progress[3 * WORKERS];         /* rounds done, of each thread */
static unsigned streams;                       /* times that a stream was begun */

static void mark(const char *name, bool fine, const char *more)
{
	printf("MORTISE-TEST: %s %s %s\n", name, fine ? "ok" : "FAIL", more);
	fflush(stdout);
}

static void fail(const char *why)
{
	mark("work", false, why);
	sync();
	exit(1);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdu;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

static void fill(uint8_t *data, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t word = mix(seed + i);

		memcpy(data + i, &word, len - i < 8 ? len - i : 8);
	}
}

static uint64_t sum_of(const uint8_t *data, size_t len, uint64_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum = (sum ^ data[i]) * 0x100000001b3u;
	return sum;
}

struct worker {
	unsigned number;
	uint64_t sum;
};

/* Sorts, sums and floating point over memory of its own. */
static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void *compute(void *arg)
{
	static uint64_t tables[WORKERS][8192];
	struct worker *w = arg;
	uint64_t *table = tables[w->number];
	double series = 1;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < 8192; i++)
			table[i] = mix(round * 8192u + i);
		qsort(table, 8192, sizeof(*table), by_value);
		for (unsigned i = 1; i < 8192; i++) {
			if (table[i] < table[i - 1])
				fail("a table is not sorted");
			series += 1.0 / (double)(table[i] >> 11 | 1) * (double)i;
		}
		w->sum = sum_of((uint8_t *)table, sizeof(tables[0]), w->sum);
		progress[w->number] = round + 1;
	}
	w->sum = sum_of((uint8_t *)&series, sizeof(series), w->sum);
	return NULL;
}

/* A file is written, made durable, read from the disk and replaced; each holds what its round gives. */
static void file_check(const char *path, const uint8_t *wanted)
{
	static __thread uint8_t data[FILE_BYTES];
	int fd = open(path, O_RDONLY);

	if (fd < 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0 ||
	    read(fd, data, FILE_BYTES) != (ssize_t)FILE_BYTES || memcmp(data, wanted, FILE_BYTES) != 0)
		fail("a file is not what was written");
	close(fd);
}

static void *store(void *arg)
{
	static uint8_t all[WORKERS][FILE_BYTES];
	struct worker *w = arg;
	uint8_t *data = all[w->number];
	char path[64];

	for (unsigned round = 0; round < rounds; round++) {
		int fd;

		snprintf(path, sizeof(path), "/mnt/%u.%u", w->number, round % 8);
		fill(data, FILE_BYTES, (uint64_t)w->number << 56 | (uint64_t)round << 32);
		fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);
		for (size_t at = 0; fd >= 0 && at < FILE_BYTES; at += PIECE)
			if (write(fd, data + at, PIECE) != (ssize_t)PIECE)
				fail("a file cannot be written");
		if (fd < 0 || fsync(fd) != 0 || close(fd) != 0)
			fail("a file cannot be made durable");
		file_check(path, data);
		w->sum = sum_of(data, FILE_BYTES, w->sum);
		progress[WORKERS + w->number] = round + 1;
	}
	return NULL;
}

static int connect_to(int kind, uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval patience = { .tv_usec = kind == SOCK_DGRAM ? 300000 : 0, .tv_sec = kind == SOCK_DGRAM ? 0 : 3 };
	int s = socket(AF_INET, kind, 0);

	inet_pton(AF_INET, HOST, &to.sin_addr);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(s, (struct sockaddr *)&to, sizeof(to)) == 0)
		return s;
	close(s);
	return -1;
}

/* The network's share is done with the disk's, not long before it. */
static void keep_pace(unsigned round)
{
	while (__atomic_load_n(&progress[WORKERS], __ATOMIC_RELAXED) < round &&
	       __atomic_load_n(&progress[WORKERS + 1], __ATOMIC_RELAXED) < round)
		usleep(2000);
}

/* Sent until the answer comes; late answers of earlier rounds are passed over. */
static void *datagrams(void *arg)
{
	struct worker *w = arg;
	uint8_t out[DATAGRAM], in[DATAGRAM];
	int s = connect_to(SOCK_DGRAM, udp_port);

	for (unsigned round = 0; round < rounds; round++) {
		unsigned tries = 0;

		keep_pace(round);
		fill(out, sizeof(out), (uint64_t)7 << 60 | (uint64_t)round << 32);
		memcpy(out, &round, sizeof(round));
		do {
			if (tries++ == 200)
				fail("no answer to a datagram");
			if (send(s, out, sizeof(out), 0) < 0)
				usleep(100000);
		} while (recv(s, in, sizeof(in), 0) != (ssize_t)sizeof(in) || memcmp(in, out, sizeof(round)) != 0);
		if (memcmp(in, out, sizeof(out)) != 0)
			fail("a datagram came back changed");
		w->sum = sum_of(in, sizeof(in), w->sum);
		progress[2 * WORKERS] = round + 1;
	}
	return NULL;
}

/* False: the stream is broken. */
static bool there_and_back(int s, const uint8_t *out, uint8_t *in, size_t len)
{
	for (size_t sent = 0; sent < len;) {
		ssize_t n = send(s, out + sent, len - sent, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		sent += (size_t)n;
	}
	for (size_t got = 0; got < len;) {
		ssize_t n = recv(s, in + got, len - got, 0);

		if (n <= 0)
			return false;
		got += (size_t)n;
	}
	return true;
}

static void *stream(void *arg)
{
	static uint8_t out[16384], in[16384];
	struct worker *w = arg;
	int s = -1;

	for (unsigned round = 0; round < rounds;) {
		if (s < 0) {
			if (++streams > 100)
				fail("streams break for ever");
			s = connect_to(SOCK_STREAM, tcp_port);
			if (s < 0)
				usleep(100000);
			continue;
		}
		keep_pace(round);
		fill(out, sizeof(out), (uint64_t)9 << 60 | (uint64_t)round << 32);
		if (!there_and_back(s, out, in, sizeof(out))) {
			close(s);
			s = -1;
			continue;
		}
		if (memcmp(in, out, sizeof(out)) != 0)
			fail("a stream came back changed");
		w->sum = sum_of(in, sizeof(in), w->sum);
		progress[2 * WORKERS + 1] = ++round;
	}
	close(s);
	return NULL;
}

static void *echo(void *arg)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(7) };
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
	uint8_t data[4096];

	(void)arg;
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, (struct sockaddr *)&here, sizeof(here)) != 0 || listen(s, 4) != 0)
		fail("no server");
	for (;;) {
		int peer = accept(s, NULL, NULL);
		ssize_t n;

		while (peer >= 0 && (n = recv(peer, data, sizeof(data), 0)) > 0)
			if (send(peer, data, (size_t)n, MSG_NOSIGNAL) != n)
				break;
		close(peer);
	}
	return NULL;
}

/* Says when every worker is on its way, and every one still has much to do. */
static void wait_half(void)
{
	for (bool all = false; !all; usleep(5000)) {
		all = true;
		for (unsigned i = 0; i < 3 * WORKERS; i++)
			all = all && __atomic_load_n(&progress[i], __ATOMIC_RELAXED) >= rounds / 8;
	}
	mark("half", true, "");
}

/* All files that are left, from the disk. */
static void verify_all(void)
{
	static uint8_t data[FILE_BYTES];
	char path[64];

	if (system("umount /mnt && mount -t ext4 /dev/vda /mnt") != 0)
		fail("the file system cannot be mounted again");
	for (unsigned number = 0; number < WORKERS; number++)
		for (unsigned round = rounds - 8; round < rounds; round++) {
			snprintf(path, sizeof(path), "/mnt/%u.%u", number, round % 8);
			fill(data, FILE_BYTES, (uint64_t)number << 56 | (uint64_t)round << 32);
			file_check(path, data);
		}
}

static bool prepare(void)
{
	return system("ip link set lo up; ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 &&"
		      "/usr/sbin/mke2fs -q -F -t ext4 /dev/vda >/dev/null 2>&1 && mkdir -p /mnt && mount -t ext4 /dev/vda /mnt") == 0;
}

int main(int count, char **words)
{
	void *(*const bodies[])(void *) = { compute, store, datagrams, stream };
	struct worker workers[6] = { { .number = 0 } };
	pthread_t threads[6], server;
	uint64_t sum = 0;
	char text[64];

	if (count != 4 || !prepare())
		fail("no disk or no network");
	udp_port = (uint16_t)atoi(words[1]);
	tcp_port = (uint16_t)atoi(words[2]);
	rounds = (unsigned)atoi(words[3]);
	pthread_create(&server, NULL, echo, NULL);
	for (unsigned i = 0; i < 6; i++) {
		workers[i].number = i % WORKERS;
		pthread_create(&threads[i], NULL, bodies[i < 4 ? i / 2 : i - 2], &workers[i]);
	}
	wait_half();
	for (unsigned i = 0; i < 6; i++) {
		pthread_join(threads[i], NULL);
		sum = sum_of((uint8_t *)&workers[i].sum, sizeof(sum), sum);
	}
	verify_all();
	snprintf(text, sizeof(text), "%016llx streams %u", (unsigned long long)sum, streams);
	mark("work", true, text);
	return 0;
}
