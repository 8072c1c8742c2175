/* SPDX-License-Identifier: MIT */
/* The system's side of ops.h. [any]. */
#include "ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int host_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int host_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	int result = ioctl(fd, request, arg);

	return result < 0 ? -errno : result;
}

static void *host_map(int fd, size_t len_bytes, int *error)
{
	void *map = mmap(NULL, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	*error = map == MAP_FAILED ? -errno : 0;
	return map == MAP_FAILED ? NULL : map;
}

static void host_unmap(void *addr, size_t len_bytes)
{
	munmap(addr, len_bytes);
}

static void host_close(int fd)
{
	close(fd);
}

const struct kvm_ops kvm_ops = {
	.open = host_open,
	.ioctl = host_ioctl,
	.map = host_map,
	.unmap = host_unmap,
	.close = host_close,
};
