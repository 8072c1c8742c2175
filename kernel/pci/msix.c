/* SPDX-License-Identifier: MIT */
/*
 * Interrupts of a function: the MSI-X table and its pending bits (PCI Express 4.0, 6.1.4 and 7.7.2), and the pin.
 * Messages come from any thread; the table is written by vCPUs.
 *
 * The rule that is easy to break: a message goes out under the function's lock. A guest that has masked a vector,
 * and read the mask back, may rely on it that no message of the vector comes any more.
 */
#include "kernel/machine/irq.h"
#include "kernel/pci/function.h"

#define VECTOR_BYTES 16u
#define VECTOR_MASKED 1u

/* The table is the lower half, the pending bits begin in the middle. */
uint64_t msix_bar_bytes(uint32_t vectors)
{
	uint64_t half = 2048;

	while (half < (uint64_t)vectors * VECTOR_BYTES)
		half *= 2;
	return half * 2;
}

bool msix_init(struct mt_pci *f, uint32_t vectors)
{
	f->table = g_try_new0(struct pci_vector, vectors + 1);
	f->pending = g_try_new0(uint64_t, vectors / 64 + 1);
	if (!f->table || !f->pending)
		return false;
	f->vectors = vectors;
	msix_reset(f);
	return true;
}

void msix_fini(struct mt_pci *f)
{
	g_free(f->table);
	g_free(f->pending);
}

/* Sending, with the lock */

static void vector_send(struct mt_pci *f, uint32_t vector)
{
	const struct pci_vector *v = &f->table[vector];

	f->pending[vector / 64] &= ~(1ull << vector % 64);
	irq_host.message_send(f->inst, v->addr, v->data);
}

bool msix_is_open(const struct mt_pci *f, uint32_t vector)
{
	return f->msix_on && !f->msix_masked && !(f->table[vector].control & VECTOR_MASKED) &&
	       __atomic_load_n(&f->gate.open, __ATOMIC_RELAXED);
}

static void pending_send(struct mt_pci *f)
{
	for (uint32_t i = 0; i < f->vectors; i++) {
		if (f->pending[i / 64] >> i % 64 & 1 && msix_is_open(f, i))
			vector_send(f, i);
	}
}

static void pending_clear(struct mt_pci *f)
{
	for (uint32_t i = 0; i < f->vectors; i += 64)
		f->pending[i / 64] = 0;
}

/* With bus mastering off a message is as good as masked: it is sent when the guest opens the bus. */
void msix_send(struct mt_pci *f, uint32_t vector)
{
	if (vector >= f->vectors)
		return;
	if (msix_is_open(f, vector))
		vector_send(f, vector);
	else if (f->msix_on)
		f->pending[vector / 64] |= 1ull << vector % 64;
}

void msix_message(struct mt_pci *f, uint32_t vector)
{
	pthread_mutex_lock(&f->lock);
	msix_send(f, vector);
	pthread_mutex_unlock(&f->lock);
}

/* The table as registers. 32 bits at a time: the bus splits what is wider. */

static uint32_t table_read(const struct mt_pci *f, uint64_t offset)
{
	const struct pci_vector *v = &f->table[offset / VECTOR_BYTES];

	switch (offset % VECTOR_BYTES / 4) {
	case 2:
		return v->data;
	case 3:
		return v->control;
	default:
		return (uint32_t)(v->addr >> offset % 8 * 8);
	}
}

static uint32_t msix_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct mt_pci *f = self;
	uint64_t pba = msix_bar_bytes(f->vectors) / 2;

	*value = 0;
	pthread_mutex_lock(&f->lock);
	if (a->offset / VECTOR_BYTES < f->vectors)
		*value = table_read(f, a->offset);
	else if (a->offset >= pba && (a->offset - pba) / 8 <= (f->vectors - 1) / 64)
		*value = (uint32_t)(f->pending[(a->offset - pba) / 8] >> a->offset % 8 * 8);
	pthread_mutex_unlock(&f->lock);
	return MT_BUS_OK;
}

static void table_write(struct mt_pci *f, uint64_t offset, uint32_t value)
{
	struct pci_vector *v = &f->table[offset / VECTOR_BYTES];
	uint32_t shift = offset % 8 * 8;

	switch (offset % VECTOR_BYTES / 4) {
	case 0:
		value &= ~3u;                  /* 7.7.2.7: the lowest two bits are 0 */
		/* fallthrough */
	case 1:
		v->addr = (v->addr & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
		break;
	case 2:
		v->data = value;
		break;
	case 3:
		v->control = value & VECTOR_MASKED;
		break;
	}
}

static uint32_t msix_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct mt_pci *f = self;
	uint32_t vector = (uint32_t)(a->offset / VECTOR_BYTES);

	pthread_mutex_lock(&f->lock);
	if (vector < f->vectors) {
		table_write(f, a->offset, (uint32_t)value);
		if (f->pending[vector / 64] >> vector % 64 & 1 && msix_is_open(f, vector))
			vector_send(f, vector);
		signals_settle(f);
	}
	pthread_mutex_unlock(&f->lock);
	return MT_BUS_OK;
}

const struct mt_region_ops msix_ops = { .read = msix_read, .write = msix_write };

/* The pin, with the lock */

static void intx_show(struct mt_pci *f)
{
	bool shown = f->intx_level && !f->intx_off && !f->msix_on;

	if (shown == f->intx_shown)
		return;
	f->intx_shown = shown;
	pcibus_intx(f, shown);
}

void intx_set(struct mt_pci *f, uint32_t level)
{
	pthread_mutex_lock(&f->lock);
	f->intx_level = level != 0 && f->flags & MT_PCI_INTX;
	intx_show(f);
	pthread_mutex_unlock(&f->lock);
}

void intx_control(struct mt_pci *f, bool off)
{
	pthread_mutex_lock(&f->lock);
	f->intx_off = off;
	intx_show(f);
	/* the same register has bus mastering, which holds messages back */
	pending_send(f);
	signals_settle(f);
	pthread_mutex_unlock(&f->lock);
}

/* 7.5.1.1.4: Interrupt Status, whether the pin is disabled or not. */
bool intx_pending(struct mt_pci *f)
{
	bool pending;

	pthread_mutex_lock(&f->lock);
	pending = f->intx_level && !f->msix_on;
	pthread_mutex_unlock(&f->lock);
	return pending;
}

void msix_control(struct mt_pci *f, bool on, bool masked)
{
	pthread_mutex_lock(&f->lock);
	__atomic_store_n(&f->msix_on, on, __ATOMIC_RELEASE);
	f->msix_masked = masked;
	if (!on)
		pending_clear(f);
	intx_show(f);
	pending_send(f);
	signals_settle(f);
	pthread_mutex_unlock(&f->lock);
}

void msix_reset(struct mt_pci *f)
{
	pthread_mutex_lock(&f->lock);
	for (uint32_t i = 0; i < f->vectors; i++)
		f->table[i] = (struct pci_vector){ .control = VECTOR_MASKED };
	pending_clear(f);
	__atomic_store_n(&f->msix_on, 0, __ATOMIC_RELEASE);
	f->msix_masked = f->intx_off = false;
	signals_settle(f);
	intx_show(f);
	pthread_mutex_unlock(&f->lock);
}
