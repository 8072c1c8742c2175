/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of a slot, Virtio 1.2 sections 4.1.4.5.1 and 4.1.5.1.3: the status and the pin, or a message of the vector
 * that the driver chose for a queue or for the configuration. A message is a call, or a signal of the source's eventfd,
 * which is bound to that vector.
 */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <util/error.h>

#include "slot.h"

/* With the lock, as the next two. */
static uint32_t vector_of(const struct slot *s, uint32_t source)
{
	return source == SOURCE_CONFIG ? s->config_vector : s->rings[source].vector;
}

static void message(struct slot *s, uint32_t source)
{
	uint32_t vector = vector_of(s, source);

	if (vector == NO_VECTOR)
		return;
	if (s->signals[source] >= 0)
		eventfd_write(s->signals[source], 1);
	else
		s->pci_host->message(s->pci, vector);
}

void slot_signal_bind(struct slot *s, uint32_t source)
{
	uint32_t vector = vector_of(s, source);

	if (s->signals[source] >= 0)
		s->pci_host->bind_eventfd(s->pci, vector == NO_VECTOR ? MT_PCI_NO_VECTOR : vector, s->signals[source], NULL);
}

void slot_interrupt(void *self, uint32_t source)
{
	struct slot *s = self;
	uint32_t config = source == MT_VIRTIO_CONFIG;

	pthread_mutex_lock(&s->lock);
	if (s->pci_host->msix_enabled(s->pci)) {
		s->isr |= config ? ISR_CONFIG : 0;
		message(s, config ? SOURCE_CONFIG : source % MT_VIRTIO_QUEUES_MAX);
	} else {
		s->isr |= config ? ISR_CONFIG : ISR_RING;
		s->pci_host->intx(s->pci, 1);
	}
	pthread_mutex_unlock(&s->lock);
}

uint32_t slot_isr_take(struct slot *s)
{
	uint32_t isr;

	pthread_mutex_lock(&s->lock);
	isr = s->isr;
	s->isr = 0;
	s->pci_host->intx(s->pci, 0);
	pthread_mutex_unlock(&s->lock);
	return isr;
}

/* Eventfds */

static int signal_make(struct slot *s, uint32_t source, struct mt_error *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), code;

	if (fd < 0) {
		mt_error_set(err, MT_ENOMEM, "messages", "no descriptor for messages by eventfd");
		mt_error_hint(err, "raise the limit of open files (ulimit -n)");
		return MT_ENOMEM;
	}
	code = s->pci_host->bind_eventfd(s->pci, MT_PCI_NO_VECTOR, fd, err);
	if (code < 0)
		close(fd);
	else
		s->signals[source] = fd;
	return code;
}

int slot_signals_make(struct slot *s, struct mt_error *err)
{
	uint32_t queues = s->virtio->queue_count(s->vdev);
	int code = 0;

	if (strcmp(s->props->get_str(s->inst, "messages"), "eventfd"))
		return 0;
	for (uint32_t i = 0; i < SOURCES && code == 0; i++)
		if (s->signals[i] < 0 && (i < queues || i == SOURCE_CONFIG))
			code = signal_make(s, i, err);
	return code;
}

void slot_signals_close(struct slot *s)
{
	for (uint32_t i = 0; i < SOURCES; i++)
		if (s->signals[i] >= 0)
			close(s->signals[i]);
}

/* A signal that nobody had read is in no snapshot: drivers bear an interrupt without a cause. */
void slot_resume(void *self)
{
	struct slot *s = self;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; s->loaded && i < SOURCES; i++)
		if (s->signals[i] >= 0)
			message(s, i);
	s->loaded = false;
	pthread_mutex_unlock(&s->lock);
}
