/* SPDX-License-Identifier: MIT */
/*
 * irqchip = split: local APICs in KVM, the other controllers outside of it. Level-triggered messages and their ends.
 *
 * KVM comes out at the end of an interrupt only for vectors that its routing table has as level-triggered, among the
 * pins that were set aside when the local APICs were made (Documentation/virt/kvm/api.rst, KVM_CAP_SPLIT_IRQCHIP). So
 * each such message is entered into the table before it is sent the first time. The pins are no I/O APIC's: when all
 * are taken, the message that was sent least recently gives way, one that has ended before one that has not.
 *
 * Messages come on any thread, ends on the vCPUs'. `lock` is around the table and its way to KVM, and around sending,
 * so that nobody takes the place of a message that is on its way. Easy to break: an end may send messages, so it is
 * told without the lock.
 */
#include "chips.h"

#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#define MSI_BASE   0xfee00000u
#define MSI_LEVEL  (1u << 15)      /* of the data: Intel SDM volume 3, "Message Data Register Format" */
#define MSI_VECTOR 0xffu
#define VECTORS    256u
/* banks of 256 bits in the local APIC's page, 32 in each 16 bytes */
#define APIC_ISR   0x100u
#define APIC_TMR   0x180u
#define APIC_IRR   0x200u

int split_create(struct kvm *k, struct mt_error *err)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { SPLIT_PINS } };
	int code;

	if (!vm_capability(k, KVM_CAP_SPLIT_IRQCHIP) || !vm_capability(k, KVM_CAP_IRQ_ROUTING)) {
		mt_error_set(err, MT_EHOST, "irqchip", "KVM of this host has no local APICs without the other controllers");
		mt_error_hint(err, "use Linux 4.5 or later, or set irqchip = kernel or user");
		return MT_EHOST;
	}
	code = vm_ioctl(k, KVM_ENABLE_CAP, &cap);
	return code < 0 ? vm_refuse(err, "irqchip", "make the local APICs", code) : 0;
}

void split_init(struct split *s)
{
	pthread_mutex_init(&s->lock, NULL);
}

void split_fini(struct split *s)
{
	pthread_mutex_destroy(&s->lock);
}

void split_reset(struct split *s)
{
	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->count; i++)
		s->pin[i].under_way = false;
	pthread_mutex_unlock(&s->lock);
}

/* The table, under the lock */

static struct split_pin *pin_find(struct split *s, uint32_t address, uint32_t data)
{
	for (uint32_t i = 0; i < s->count; i++)
		if (s->pin[i].address == address && s->pin[i].data == data)
			return &s->pin[i];
	return NULL;
}

/* A free one, or the one that is missed least. */
static struct split_pin *pin_take(struct split *s)
{
	struct split_pin *best = s->pin;

	if (s->count < SPLIT_PINS)
		return &s->pin[s->count++];
	for (struct split_pin *p = s->pin + 1; p < s->pin + SPLIT_PINS; p++)
		if (p->under_way < best->under_way || (p->under_way == best->under_way && p->sent < best->sent))
			best = p;
	return best;
}

/* Marks it as under way. 0 or -errno; then nothing has changed. */
static int pin_enter(struct kvm *k, uint32_t address, uint32_t data)
{
	struct split *s = &k->arch->split;
	struct split_pin *p = pin_find(s, address, data), was;
	uint32_t count = s->count;
	int code = 0;

	if (!p) {
		p = pin_take(s);
		was = *p;
		*p = (struct split_pin){ .address = address, .data = data };
		code = routes_give_locked(k);
		if (code < 0) {
			*p = was;
			s->count = count;
			return code;
		}
	}
	p->under_way = true;
	p->sent = ++s->messages;
	return 0;
}

/* What comes and goes */

int split_send(struct kvm *k, const struct kvm_msi *msi)
{
	struct split *s = &k->arch->split;
	int code;

	if (!is_split(k) || !(msi->data & MSI_LEVEL))
		return vm_ioctl(k, KVM_SIGNAL_MSI, msi);
	pthread_mutex_lock(&s->lock);
	code = pin_enter(k, msi->address_lo, msi->data);
	if (code >= 0)
		code = vm_ioctl(k, KVM_SIGNAL_MSI, msi);
	pthread_mutex_unlock(&s->lock);
	return code;
}

static void eoi_tell(const struct kvm *k, uint32_t vector)
{
	k->msi->eoi(k->chips[CHIP_LAPIC]->inst, vector);
}

/* One CPU's end is all CPUs': an I/O APIC looks at the vector alone. */
void split_ended(struct kvm *k, uint32_t vector)
{
	struct split *s = &k->arch->split;

	pthread_mutex_lock(&s->lock);
	for (uint32_t i = 0; i < s->count; i++)
		if ((s->pin[i].data & MSI_VECTOR) == vector)
			s->pin[i].under_way = false;
	pthread_mutex_unlock(&s->lock);
	eoi_tell(k, vector);
}

/* Snapshots */

static bool bank_has(const struct kvm_lapic_state *apic, uint32_t bank, uint32_t vector)
{
	uint32_t word;

	memcpy(&word, apic->regs + bank + vector / 32 * 16, sizeof(word));
	return word >> vector % 32 & 1;
}

/*
 * Levels that wait or are served in a loaded local APIC: their ends have to come out too. By which message they came is
 * in no state; one to this CPU's number makes KVM look at it just as well.
 */
int split_load(struct kvm_vcpu *v, const struct kvm_lapic_state *apic, const char **what)
{
	struct split *s = &v->kvm->arch->split;
	int code = 0;

	*what = "level-triggered interrupts";
	pthread_mutex_lock(&s->lock);
	for (uint32_t n = 0; code >= 0 && n < VECTORS; n++)
		if (bank_has(apic, APIC_TMR, n) && (bank_has(apic, APIC_ISR, n) || bank_has(apic, APIC_IRR, n)))
			code = pin_enter(v->kvm, MSI_BASE | (v->index & 0xff) << 12, MSI_LEVEL | n);
	atomic_store(&s->loaded, true);
	pthread_mutex_unlock(&s->lock);
	return code;
}

static void ends_missed(const struct split *s, bool missed[VECTORS])
{
	memset(missed, 1, VECTORS);
	for (uint32_t i = 0; i < s->count; i++)
		if (s->pin[i].under_way)
			missed[s->pin[i].data & MSI_VECTOR] = false;
}

/*
 * [vcpu] An end that the guest had told KVM, and that had not come out when the vCPU was stopped, is in no state. So
 * after a load everything that no local APIC has any more is told as ended.
 */
void split_settle(struct kvm *k)
{
	struct split *s = &k->arch->split;
	bool missed[VECTORS];

	/* the usual way: nothing was loaded */
	if (!atomic_load_explicit(&s->loaded, memory_order_relaxed) || !atomic_exchange(&s->loaded, false))
		return;
	pthread_mutex_lock(&s->lock);
	ends_missed(s, missed);
	pthread_mutex_unlock(&s->lock);
	for (uint32_t n = 0; n < VECTORS; n++)
		if (missed[n])
			eoi_tell(k, n);
}
