/* SPDX-License-Identifier: MIT */
/*
 * Writes that may come late (MT_REGION_LATE): KVM keeps them in a ring, and no vCPU comes out for them
 * (Documentation/virt/kvm/api.rst, 4.116). Who comes out for whatever does what is in the ring first, so that no access
 * of the guest is before one that it made earlier, and none is left when a vCPU stands still. A vCPU that sleeps or
 * computes does not come out by itself: a timer makes the first one.
 *
 * Easy to break: the ring is one for all vCPUs; writes leave it and are done under one lock, or two vCPUs would do them
 * in another order. A write is done by the view of whoever does it: the guest's own vCPU would have come out as late.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <util/error.h>

#include "kvm.h"

#define ZONES     16u                /* more regions only cost their speed */
#define PERIOD_NS 50000000ull

struct late {
	struct kvm_vcpu *first;
	struct kvm_coalesced_mmio_ring *ring;
	uint32_t ring_size;
	bool has_ports;
	struct mt_timer *timer;
	pthread_mutex_t lock;          /* of the ring, whose writes are done under it */
	/* by space: memory, ports. Under k->lock; the generations are read without it */
	_Atomic uint64_t generation[2];
	struct kvm_coalesced_mmio_zone zones[ZONES];   /* size 0: free */
};

static uint64_t now(const struct kvm *k)
{
	return k->clock->now_ns(k->inst, MT_CLOCK_HOST);
}

static bool has_writes(const struct late *late)
{
	return __atomic_load_n(&late->ring->last, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(&late->ring->first, __ATOMIC_RELAXED);
}

static void tick(void *self)
{
	struct kvm *k = self;

	if (has_writes(k->late))
		vcpu_nudge(k->late->first);
	k->clock->timer_arm(k->late->timer, now(k) + PERIOD_NS);
}

int late_open(struct kvm_vcpu *first, struct mt_error *err)
{
	struct kvm *k = first->kvm;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* the number of the ring's page in what the vCPU shares */
	size_t at = (size_t)vm_capability(k, KVM_CAP_COALESCED_MMIO) * page;
	struct late *late;

	if (!at || at + page > k->run_bytes)
		return 0;
	late = calloc(1, sizeof(*late));
	if (!late)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	late->first = first;
	late->ring = (void *)((uint8_t *)first->run + at);
	late->ring_size = (uint32_t)((page - sizeof(*late->ring)) / sizeof(late->ring->coalesced_mmio[0]));
	late->has_ports = vm_capability(k, KVM_CAP_COALESCED_PIO) > 0;
	late->timer = k->clock->timer_create(k->inst, MT_CLOCK_HOST, tick, k);
	pthread_mutex_init(&late->lock, NULL);
	k->late = late;
	return 0;
}

void late_close(struct kvm *k)
{
	if (!k->late)
		return;
	k->clock->timer_arm(k->late->timer, UINT64_MAX);
	pthread_mutex_destroy(&k->late->lock);
	free(k->late);
	k->late = NULL;
}

/* Zones */

static const struct mt_flat_range *range_at(const struct mt_flat_view *view, uint32_t i)
{
	return (const void *)((const char *)view->ranges + (size_t)i * view->stride);
}

static bool is_late(const struct mt_flat_range *r)
{
	return r->kind == MT_FLAT_IO && r->flags & MT_FLAT_LATE && r->len_bytes <= UINT32_MAX;
}

static bool is_zone(const struct kvm_coalesced_mmio_zone *z, const struct mt_flat_range *r, uint32_t pio)
{
	return z->size && z->pio == pio && z->addr == r->gpa && z->size == r->len_bytes;
}

/* What has gone and stays with KVM does no harm: its writes come late, and go where the view says. */
static void zones_drop(struct kvm *k, const struct mt_flat_view *view, uint32_t pio)
{
	for (uint32_t z = 0; z < ZONES; z++) {
		struct kvm_coalesced_mmio_zone *zone = &k->late->zones[z];
		bool stays = !zone->size || zone->pio != pio;

		for (uint32_t i = 0; !stays && i < view->count; i++)
			stays = is_late(range_at(view, i)) && is_zone(zone, range_at(view, i), pio);
		if (!stays) {
			vm_ioctl(k, KVM_UNREGISTER_COALESCED_MMIO, zone);
			zone->size = 0;
		}
	}
}

static void zone_add(struct kvm *k, const struct mt_flat_range *r, uint32_t pio)
{
	struct kvm_coalesced_mmio_zone *zone = NULL;

	for (uint32_t z = 0; z < ZONES; z++) {
		if (is_zone(&k->late->zones[z], r, pio))
			return;
		if (!zone && !k->late->zones[z].size)
			zone = &k->late->zones[z];
	}
	if (!zone)
		return;
	*zone = (struct kvm_coalesced_mmio_zone){ .addr = r->gpa, .size = (uint32_t)r->len_bytes, .pio = pio };
	if (vm_ioctl(k, KVM_REGISTER_COALESCED_MMIO, zone) < 0) {
		zone->size = 0;
		return;
	}
	kvm_log(k, MT_LOG_DEBUG, "KVM collects writes of %s 0x%llx", pio ? "port" : "register",
		(unsigned long long)r->gpa);
	k->clock->timer_arm(k->late->timer, now(k) + PERIOD_NS);
}

static void zones_follow(struct kvm *k, const struct mt_flat_view *view, uint32_t pio)
{
	_Atomic uint64_t *generation = &k->late->generation[pio];

	if (!view || atomic_load_explicit(generation, memory_order_acquire) >= view->generation)
		return;
	pthread_mutex_lock(&k->lock);
	if (atomic_load_explicit(generation, memory_order_relaxed) < view->generation) {
		zones_drop(k, view, pio);
		for (uint32_t i = 0; i < view->count; i++)
			if (is_late(range_at(view, i)))
				zone_add(k, range_at(view, i), pio);
		atomic_store_explicit(generation, view->generation, memory_order_release);
	}
	pthread_mutex_unlock(&k->lock);
}

void late_follow(struct kvm_vcpu *v)
{
	struct kvm *k = v->kvm;

	if (!k->late)
		return;
	zones_follow(k, v->view, 0);
	if (k->late->has_ports)
		zones_follow(k, v->ports, 1);
}

/* Writes */

void late_drain(struct kvm_vcpu *v)
{
	struct late *late = v->kvm->late;
	uint32_t first;

	if (!late || !has_writes(late))
		return;
	pthread_mutex_lock(&late->lock);
	while (has_writes(late)) {
		struct kvm_coalesced_mmio write;

		first = late->ring->first % late->ring_size;
		write = late->ring->coalesced_mmio[first];
		__atomic_store_n(&late->ring->first, (first + 1) % late->ring_size, __ATOMIC_RELEASE);
		if (write.len <= sizeof(write.data))
			access_write(v, write.pio ? v->ports : v->view, write.phys_addr, write.data, write.len);
	}
	pthread_mutex_unlock(&late->lock);
}
