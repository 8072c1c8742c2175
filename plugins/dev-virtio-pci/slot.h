/* SPDX-License-Identifier: MIT */
/*
 * A slot: registers (plugin.c), interrupts (interrupt.c). `lock` covers the interrupt status together with the level of
 * the pin, the vectors and the selectors.
 */
#ifndef VIRTIO_PCI_SLOT_H
#define VIRTIO_PCI_SLOT_H

#include <mortise/draft/pci.h>
#include <mortise/draft/props.h>
#include <mortise/draft/virtio.h>
#include <pthread.h>
#include <stdbool.h>

#define NO_VECTOR      0xffffu
#define VECTORS        (MT_VIRTIO_QUEUES_MAX + 1)
#define SOURCES        (MT_VIRTIO_QUEUES_MAX + 1)     /* of interrupts: queues and the configuration */
#define SOURCE_CONFIG  MT_VIRTIO_QUEUES_MAX
#define ISR_RING       1u
#define ISR_CONFIG     2u

struct ring {
	uint32_t size, vector;
	uint64_t desc, driver, device;
};

struct slot {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_pci_host *pci_host;
	const struct mt_virtio_transport *virtio;
	struct mt_pci *pci;
	struct mt_vdev *vdev;              /* NULL: empty */
	pthread_mutex_t lock;
	uint32_t isr, config_vector;
	uint32_t features_sel, driver_features_sel, queue_sel;
	uint64_t driver_features;
	struct ring rings[MT_VIRTIO_QUEUES_MAX];
	uint32_t kicks_bound;              /* queues that are kicked by eventfd, from 0 on */
	int signals[SOURCES];              /* eventfds; -1: none, messages are calls */
	bool loaded;                       /* and not resumed: what was signalled is in no snapshot */
	uint32_t window;                   /* number of the capability that is a window into the BAR */
};

/* [any] as mt_virtio_bus.interrupt */
void slot_interrupt(void *self, uint32_t source);
/* [vcpu] Reads and clears the interrupt status; lowers the pin. */
uint32_t slot_isr_take(struct slot *s);
/* [any] With the lock: after a change of the source's vector. `source`: a queue, or SOURCE_CONFIG. */
void slot_signal_bind(struct slot *s, uint32_t source);
/* [main] Eventfds of all sources where the file wants them, made once: 0, or a negative code. Closed at the end. */
int slot_signals_make(struct slot *s, struct mt_error *err);
void slot_signals_close(struct slot *s);
/* [main] as mt_device_class.resume */
void slot_resume(void *self);

#endif
