/* SPDX-License-Identifier: MIT */
/* Virtio in the kernel: the services of <mortise/draft/virtio.h>, for host.c. */
#ifndef KERNEL_VIRTIO_VIRTIO_H
#define KERNEL_VIRTIO_VIRTIO_H

#include <mortise/draft/virtio.h>

extern const struct mt_virtqueue_host virtqueue_host;              /* MT_IFACE_VIRTQUEUE */
extern const struct mt_virtio_transport virtio_transport_host;     /* MT_IFACE_VIRTIO_TRANSPORT */

#endif
