/* SPDX-License-Identifier: MIT */
/*
 * The guest side of net.py: streams from and to the host, and requests of one byte with answers, through the user
 * network. Prints what each took by the guest's monotonic clock:
 *   net down|up|rr PORT COUNT          COUNT: bytes, or requests
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char buf[1 << 17];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int host(const char *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	inet_pton(AF_INET, "10.0.2.2", &in.sin_addr);
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* The number of bytes moved. */
static uint64_t down(int fd, uint64_t count)
{
	uint64_t got = 0;
	ssize_t n;

	while (got < count && (n = read(fd, buf, sizeof(buf))) > 0)
		got += (uint64_t)n;
	return got;
}

static uint64_t up(int fd, uint64_t count)
{
	uint64_t sent = 0;
	ssize_t n;

	while (sent < count && (n = write(fd, buf, sizeof(buf) < count - sent ? sizeof(buf) : count - sent)) > 0)
		sent += (uint64_t)n;
	shutdown(fd, SHUT_WR);
	return read(fd, buf, 1) == 1 ? sent : 0;       /* the host has all of it */
}

static uint64_t requests(int fd, uint64_t count)
{
	uint64_t done = 0;

	while (done < count && write(fd, "?", 1) == 1 && read(fd, buf, 1) == 1)
		done++;
	return done;
}

int main(int argc, char **argv)
{
	uint64_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0, moved;
	int fd = argc > 3 ? host(argv[2]) : -1;
	double start = now();

	if (fd < 0) {
		fprintf(stderr, "net: no connection\n");
		return 1;
	}
	moved = !strcmp(argv[1], "down") ? down(fd, count) : !strcmp(argv[1], "up") ? up(fd, count) : requests(fd, count);
	printf("BENCH %s %llu %.6f\n", argv[1], (unsigned long long)moved, now() - start);
	return moved == count ? 0 : 1;
}
