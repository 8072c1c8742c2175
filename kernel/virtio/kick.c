/* SPDX-License-Identifier: MIT */
/*
 * Kicks by eventfd: the write of the driver signals a descriptor, and the device's own loop serves the queue,
 * in place of the vCPU that wrote. A kick is made on [main] and goes with the device; it is served [io] under
 * the device's lock. What was signalled and not served when the machine pauses needs no state: all queues are
 * looked at when it goes on.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/bind/bind.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/virtio/vdev.h"

struct kick {
	struct mt_vdev *vdev;
	struct mt_region *region;
	uint64_t offset;
	uint32_t queue, width, match_value;
	int fd;
	struct loop_watch *watch;
};

static void kicked(void *arg, uint32_t events)
{
	const struct kick *kick = arg;
	eventfd_t count;

	(void)events;
	if (eventfd_read(kick->fd, &count) == 0)
		vdev_notify(kick->vdev, kick->queue);
}

/* First no vCPU signals it, then no thread waits for it. */
static void kick_release(void *arg)
{
	struct kick *kick = arg;

	bindings_bind(kick->region, kick->offset, kick->width, kick->match_value, kick->queue, -1, NULL);
	loop_watch_remove(kick->watch);
	close(kick->fd);
	g_free(kick);
}

static int kick_refuse(int fd, int code, const char *what, struct mt_error *err)
{
	if (fd >= 0)
		close(fd);
	return fault_set(err, code, NULL, "raise the limit of open files (ulimit -n)", "no %s for kicks by eventfd",
			 what);
}

int vdev_kick_by_eventfd(struct mt_vdev *vdev, uint32_t queue, struct mt_region *region, uint64_t offset,
			 uint32_t width, uint32_t match_queue, struct mt_error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), code;
	struct kick *kick;

	if (fd < 0)
		return kick_refuse(fd, MT_ENOMEM, "descriptor", err);
	kick = g_new0(struct kick, 1);
	*kick = (struct kick){ vdev, region, offset, queue, width, match_queue, fd, NULL };
	kick->watch = loop_watch_add(vdev->dev->loop, fd, MT_FD_READ, kicked, kick);
	if (!kick->watch) {
		g_free(kick);
		return kick_refuse(fd, MT_ENOMEM, "watch", err);
	}
	code = bindings_bind(region, offset, width, match_queue, queue, fd, err);
	if (code < 0) {
		loop_watch_remove(kick->watch);
		close(fd);
		g_free(kick);
		return code;
	}
	inst_own(vdev->dev, kick_release, kick);
	return 0;
}
