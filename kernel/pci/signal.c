/* SPDX-License-Identifier: MIT */
/*
 * Messages of a function by eventfds: whoever signals one sends the message of its vector. While the vector is open the
 * accelerator may do it (mortise.cpu.eventfd/1); else the device's loop reads the descriptor, and sends the message or
 * notes that it is pending.
 *
 * The rule that is easy to break: all of it changes under the function's lock, so that no message comes of a vector
 * that the guest has masked. A watch whose vector the accelerator has is parked, not removed: removing it would wait
 * for its handler, which may wait for this lock. A handler that has read the descriptor before sends what it has read.
 */
#include <sys/eventfd.h>

#include "kernel/bind/bind.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"
#include "kernel/pci/function.h"

struct pci_signal {
	struct mt_pci *f;
	int fd;
	uint32_t vector;               /* function lock, as what follows; none of the function's: of none */
	bool taken;                    /* the accelerator sends `message` */
	struct mt_message message;
	struct loop_watch *watch;      /* polled while the kernel serves the descriptor */
	struct pci_signal *next;
};

/* [io] */
static void signalled(void *arg, uint32_t events)
{
	const struct pci_signal *s = arg;
	eventfd_t count;

	(void)events;
	if (eventfd_read(s->fd, &count) < 0)
		return;
	pthread_mutex_lock(&s->f->lock);
	msix_send(s->f, s->vector);
	pthread_mutex_unlock(&s->f->lock);
}

/* Who sends. With the lock. */

static void taken_set(struct pci_signal *s, bool taken)
{
	s->taken = taken;
	loop_watch_set(s->watch, taken ? 0 : MT_FD_READ);
}

/* What the accelerator would send for it; false: nothing now. */
static bool message_of(const struct pci_signal *s, struct mt_message *message)
{
	const struct mt_pci *f = s->f;

	if (s->vector >= f->vectors || !msix_is_open(f, s->vector))
		return false;
	*message = (struct mt_message){ f->table[s->vector].addr, f->table[s->vector].data, s->fd };
	return true;
}

static bool is_stale(const struct pci_signal *s)
{
	struct mt_message now;

	return !message_of(s, &now) || now.addr != s->message.addr || now.data != s->message.data;
}

static void stale_give(struct mt_pci *f, struct mt_message *list)
{
	uint32_t count = 0;

	for (struct pci_signal *s = f->signals; s; s = s->next)
		if (s->taken && is_stale(s))
			list[count++] = s->message;
	if (!count)
		return;
	bind_messages_give(f->inst->machine, list, count);
	for (struct pci_signal *s = f->signals; s; s = s->next)
		if (s->taken && is_stale(s))
			taken_set(s, false);
}

/* All at once, or, when that is refused, those for which there is room. */
static void open_offer(struct mt_pci *f, struct mt_message *list)
{
	uint32_t count = 0;
	bool all;

	for (struct pci_signal *s = f->signals; s; s = s->next)
		if (!s->taken && message_of(s, &s->message))
			list[count++] = s->message;
	if (!count)
		return;
	all = bind_messages_take(f->inst->machine, list, count);
	for (struct pci_signal *s = f->signals; s; s = s->next) {
		if (s->taken || !message_of(s, &s->message))
			continue;
		if (all || (count > 1 && bind_messages_take(f->inst->machine, &s->message, 1)))
			taken_set(s, true);
	}
}

void signals_settle(struct mt_pci *f)
{
	struct mt_message *list;

	if (!f->signals)
		return;
	list = g_new(struct mt_message, f->signal_count);
	stale_give(f, list);
	open_offer(f, list);
	g_free(list);
}

/* Binding */

static void vector_set(struct pci_signal *s, uint32_t vector)
{
	eventfd_t count;

	s->vector = vector;
	signals_settle(s->f);
	if (vector >= s->f->vectors)
		eventfd_read(s->fd, &count);
}

static struct pci_signal *signal_find(const struct mt_pci *f, int fd)
{
	struct pci_signal *s = f->signals;

	while (s && s->fd != fd)
		s = s->next;
	return s;
}

static struct pci_signal *signal_add(struct mt_pci *f, int fd)
{
	struct pci_signal *s = g_new0(struct pci_signal, 1);

	*s = (struct pci_signal){ .f = f, .fd = fd, .vector = MT_PCI_NO_VECTOR, .next = f->signals };
	s->watch = loop_watch_add(f->inst->loop, fd, MT_FD_READ, signalled, s);
	if (!s->watch) {
		g_free(s);
		return NULL;
	}
	f->signals = s;
	f->signal_count++;
	return s;
}

int signal_bind(struct mt_pci *f, uint32_t vector, int fd, struct mt_error *err)
{
	struct pci_signal *s;

	if (vector >= f->vectors && vector != MT_PCI_NO_VECTOR)
		return fault_set(err, MT_ERANGE, NULL, NULL, "the function has no vector %u to bind", vector);
	pthread_mutex_lock(&f->lock);
	s = signal_find(f, fd);
	if (!s)
		s = signal_add(f, fd);
	if (s)
		vector_set(s, vector);
	pthread_mutex_unlock(&f->lock);
	return s ? 0 : fault_set(err, MT_EINVAL, NULL, NULL, "descriptor %d cannot be watched", fd);
}

void signals_end(struct mt_pci *f)
{
	struct pci_signal *s, *next;

	pthread_mutex_lock(&f->lock);
	for (s = f->signals; s; s = s->next)
		s->vector = MT_PCI_NO_VECTOR;
	signals_settle(f);
	s = f->signals;
	f->signals = NULL;
	f->signal_count = 0;
	pthread_mutex_unlock(&f->lock);
	for (; s; s = next) {
		next = s->next;
		loop_watch_remove(s->watch);
		g_free(s);
	}
}
