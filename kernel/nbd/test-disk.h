/* SPDX-License-Identifier: MIT */
/* A disk for tests of the server: one file of no name, all of it mapped in place, and a thread that serves it. */
#ifndef KERNEL_NBD_TEST_DISK_H
#define KERNEL_NBD_TEST_DISK_H

#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/block/request.h"
#include "kernel/nbd/nbd.h"
#include "kernel/nbd/proto.h"

struct test_disk {
	struct bnode node;
	struct nbd_export export;
	uint64_t bytes;
};

struct test_server {
	struct test_disk *disk;
	struct mt_block *block;
	pthread_t thread;
	int fd, peer;                    /* `fd` is the client's */
	bool served;
};

static void disk_info(void *self, struct mt_block_info *out)
{
	out->disk_bytes = ((struct test_disk *)self)->bytes;
}

static int32_t disk_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	const struct test_disk *disk = self;

	(void)len_bytes, (void)purpose, (void)max;
	extents[0] = (struct mt_block_extent){ .len_bytes = disk->bytes - offset, .child_offset = offset,
		.kind = MT_BLOCK_EXT_DATA, .flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED };
	return 1;
}

static const struct mt_block_format disk_format = { .info = disk_info, .map = disk_map };

static inline struct file *disk_file(uint64_t bytes)
{
	struct file_options options = { .discard = true, .engine = FILE_ENGINE_THREADS };
	struct mt_error err = { .size = sizeof(err) };
	struct file *file = NULL;
	char *path = NULL;

	options.fd = g_file_open_tmp("mortise-nbd.XXXXXX", &path, NULL);
	if (options.fd >= 0 && ftruncate(options.fd, (off_t)bytes) == 0)
		file = file_open(path, &options, &err);
	close(options.fd);
	unlink(path);
	g_free(path);
	return file;
}

static inline struct test_disk *disk_open(uint64_t bytes)
{
	struct test_disk *disk = g_new0(struct test_disk, 1);

	disk->bytes = bytes;
	disk->node = (struct bnode){ .format = &disk_format, .self = disk, .engine = FILE_ENGINE_THREADS,
				     .children = g_new0(struct bchild, 1), .child_count = 1 };
	node_init(&disk->node);
	disk->node.info.disk_bytes = bytes;
	disk->node.info.block_bytes = 512;
	disk->node.children[0].file = disk_file(bytes);
	disk->export = (struct nbd_export){ .name = "disk", .description = "a disk", .node = &disk->node,
					    .len_bytes = bytes, .preferred_bytes = 4096, .trim = true, .multi = true };
	if (!disk->node.children[0].file)
		abort();
	return disk;
}

static inline void disk_close(struct test_disk *disk)
{
	node_fini(&disk->node);
	file_close(disk->node.children[0].file);
	g_free(disk->node.children);
	g_free(disk);
}

static void *server_thread(void *arg)
{
	struct test_server *server = arg;

	server->served = nbd_serve(server->peer, &server->disk->export, server->block);
	shutdown(server->peer, SHUT_RDWR);
	return NULL;
}

static inline void server_start(struct test_server *server, struct test_disk *disk)
{
	struct mt_error err = { .size = sizeof(err) };
	int fds[2];

	*server = (struct test_server){ .disk = disk };
	server->block = request_open(&disk->node, !disk->export.readonly, &err);
	if (!server->block || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
		abort();
	server->fd = fds[0];
	server->peer = fds[1];
	if (pthread_create(&server->thread, NULL, server_thread, server))
		abort();
}

/* The client is gone; so is the server, after a while. */
static inline void server_stop(struct test_server *server)
{
	close(server->fd);
	pthread_join(server->thread, NULL);
	close(server->peer);
	request_close(server->block);
}

#endif
