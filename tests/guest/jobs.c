/* SPDX-License-Identifier: MIT */
/*
 * In the guest: writes to a disk, step by step as a seed has it, and reads again what it wrote. A block holds its
 * number and its version, or zeros. The host knows the steps too: whenever the machine is killed, it can tell what the
 * disk may hold. jobs DEVICE SEED BLOCKS STOP-FILE; says after each flush how many steps it has done.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BLOCK   4096u
#define RUN_MAX 24u
#define FLUSH   64u

static uint64_t state;
static uint32_t *versions;
static uint8_t *data;
static const char *device;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static void fill(uint8_t *at, uint64_t block, uint64_t version)
{
	uint64_t words[BLOCK / 8] = { block, version };

	for (uint32_t i = 2; version && i < BLOCK / 8; i++)
		words[i] = (block * 0x9e3779b97f4a7c15u) ^ (version << 40);
	memset(at, 0, BLOCK);
	if (version)
		memcpy(at, words, BLOCK);
}

static void fail(const char *why, uint64_t block)
{
	printf("MORTISE-TEST: %s FAIL %s, block %llu\n", device, why, (unsigned long long)block);
	exit(1);
}

static void verify(int fd, uint64_t block, uint64_t count)
{
	uint8_t wanted[BLOCK];

	if (pread(fd, data, count * BLOCK, (off_t)(block * BLOCK)) != (ssize_t)(count * BLOCK))
		fail("cannot be read", block);
	for (uint64_t i = 0; i < count; i++) {
		fill(wanted, block + i, versions[block + i]);
		if (memcmp(wanted, data + i * BLOCK, BLOCK))
			fail("wrong data", block + i);
	}
}

/* Zeros, or the next versions. */
static void change(int fd, uint64_t block, uint64_t count, int zero, uint32_t step)
{
	uint64_t range[2] = { block * BLOCK, count * BLOCK };

	for (uint64_t i = 0; i < count; i++) {
		versions[block + i] = zero ? 0 : step + 2;
		fill(data + i * BLOCK, block + i, versions[block + i]);
	}
	if (zero ? ioctl(fd, BLKZEROOUT, range) < 0 :
	    pwrite(fd, data, count * BLOCK, (off_t)(block * BLOCK)) != (ssize_t)(count * BLOCK))
		fail("cannot be written", block);
}

int main(int argc, char **argv)
{
	uint64_t blocks = argc == 5 ? strtoull(argv[3], NULL, 10) : 0;
	int fd = argc == 5 ? open(argv[1], O_RDWR | O_DIRECT) : -1;
	uint32_t step = 0;

	device = argc == 5 ? argv[1] + strlen("/dev/") : "";
	versions = calloc(blocks + 1, sizeof(*versions));
	if (fd < 0 || !versions || posix_memalign((void **)&data, BLOCK, RUN_MAX * BLOCK))
		fail("cannot be used", 0);
	state = strtoull(argv[2], NULL, 10);
	for (uint64_t i = 0; i < blocks; i++)
		versions[i] = i % 48 < 24 && i < blocks / 2;
	while (step % FLUSH || access(argv[4], F_OK) < 0) {
		uint64_t r = next(), count = 1 + (r >> 8) % RUN_MAX, block = (r >> 16) % (blocks - RUN_MAX);

		verify(fd, block, count);
		change(fd, block, count, r % 8 == 0, step);
		if (++step % FLUSH)
			continue;
		if (fsync(fd) < 0)
			fail("cannot be flushed", 0);
		printf("MORTISE-STEP: %s %u\n", device, step);
		fflush(stdout);
	}
	for (uint64_t i = 0; i + RUN_MAX <= blocks; i += RUN_MAX)
		verify(fd, i, RUN_MAX);
	printf("MORTISE-TEST: %s ok %u\n", device, step);
	return 0;
}
