/* SPDX-License-Identifier: MIT */
/* Fuzz target: what a client sends to the server of a small disk, from its first byte on; answers go nowhere. */
#include <fake/replay.h>
#include <string.h>

#include "kernel/nbd/test-disk.h"

#define INPUT_MAX 65536u                 /* of a socket's buffer, so that it can be sent at once */

static void *drain(void *arg)
{
	uint8_t buf[4096];

	while (recv(*(int *)arg, buf, sizeof(buf), 0) > 0)
		;
	return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct test_disk *disk = disk_open(1u << 20);
	struct test_server server;
	pthread_t reader;

	disk->export.depth = true;
	server_start(&server, disk);
	if (pthread_create(&reader, NULL, drain, &server.fd))
		abort();
	(void)!send(server.fd, data, MIN(size, INPUT_MAX), MSG_NOSIGNAL);
	shutdown(server.fd, SHUT_WR);
	pthread_join(server.thread, NULL);
	pthread_join(reader, NULL);
	close(server.fd);
	close(server.peer);
	request_close(server.block);
	disk_close(disk);
	return 0;
}

FUZZ_REPLAY("kernel/nbd/corpus", 150)
