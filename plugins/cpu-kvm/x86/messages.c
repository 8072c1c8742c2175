/* SPDX-License-Identifier: MIT */
/*
 * Messages that signals of eventfds send, without a way through this program: each has a number (GSI) of its own in
 * KVM's table, and an irqfd for it. Of the messages to KVM's local APICs; those of levels are the kernel's with split,
 * for the end of one has to come out (split.c).
 *
 * A number that is given back keeps its message in the table: a vector that a guest masks and opens again costs no new
 * table. Any thread; the lock of the split table is around it.
 */
#include <errno.h>
#include <stdlib.h>

#include "chips.h"

#define WINDOW       0xfee00000u
#define WINDOW_BYTES 0x100000u
#define MSI_LEVEL    (1u << 15)

static bool is_ours(const struct kvm *k, const struct mt_message *m)
{
	return m->addr - WINDOW < WINDOW_BYTES && m->fd >= 0 && !(is_split(k) && m->data & MSI_LEVEL);
}

static bool has_message(const struct route *r, const struct mt_message *m)
{
	return r->address == m->addr && r->data == m->data;
}

/* A free number, one that has this message already before one that was never used; *changes: the table does. */
static struct route *route_take(struct messages *all, const struct mt_message *m, bool *changes)
{
	struct route *best = NULL;

	for (struct route *r = all->route; r < all->route + all->count; r++) {
		if (r->fd >= 0)
			continue;
		best = r;
		if (has_message(r, m))
			break;
	}
	if (best && has_message(best, m)) {
		best->fd = m->fd;
		return best;
	}
	if (all->count < MESSAGES_MAX)
		best = &all->route[all->count++];
	if (best) {
		*best = (struct route){ (uint32_t)m->addr, m->data, m->fd };
		*changes = true;
	}
	return best;
}

static struct route *route_find(struct messages *all, int fd)
{
	for (struct route *r = all->route; r < all->route + all->count; r++)
		if (r->fd == fd)
			return r;
	return NULL;
}

static uint32_t gsi_of(const struct messages *all, const struct route *r)
{
	return MESSAGES_GSI + (uint32_t)(r - all->route);
}

/* Those of the first `irqfds` have an irqfd. */
static void routes_free(const struct kvm *k, const struct mt_message *m, uint32_t count, uint32_t irqfds)
{
	struct messages *all = k->arch->messages;

	for (uint32_t i = 0; i < count; i++) {
		struct route *r = route_find(all, m[i].fd);

		if (!r)
			continue;
		if (i < irqfds)
			irqfd_give(k, gsi_of(all, r), r->fd);
		r->fd = -1;
	}
}

/* All or none. 0 or a negative code. */
static int take_locked(struct kvm *k, const struct mt_message *m, uint32_t count)
{
	struct messages *all = k->arch->messages;
	bool changes = false;
	uint32_t i;
	int code;

	for (i = 0; i < count && route_take(all, &m[i], &changes); i++)
		;
	code = i < count ? -ENOSPC : changes ? routes_give_locked(k) : 0;
	if (code < 0) {
		routes_free(k, m, i, 0);
		return MT_EHOST;
	}
	for (i = 0; i < count && code == 0; i++)
		code = irqfd_take(k, gsi_of(all, route_find(all, m[i].fd)), m[i].fd, -1);
	if (code < 0)
		routes_free(k, m, count, i - 1);
	return code;
}

int arch_messages_take(void *self, const struct mt_message *messages, uint32_t count)
{
	struct kvm *k = self;
	int code = 0;

	if (k->vm_fd < 0 || !k->lapics)
		return MT_ENOTSUP;
	for (uint32_t i = 0; i < count; i++)
		if (!is_ours(k, &messages[i]))
			return MT_ENOTSUP;
	pthread_mutex_lock(&k->arch->split.lock);
	if (!k->arch->messages)
		k->arch->messages = calloc(1, sizeof(*k->arch->messages));
	code = k->arch->messages ? take_locked(k, messages, count) : MT_ENOMEM;
	pthread_mutex_unlock(&k->arch->split.lock);
	return code;
}

void arch_messages_give(void *self, const struct mt_message *messages, uint32_t count)
{
	struct kvm *k = self;

	pthread_mutex_lock(&k->arch->split.lock);
	routes_free(k, messages, count, count);
	pthread_mutex_unlock(&k->arch->split.lock);
}
