/* SPDX-License-Identifier: MIT */
/*
 * KVM's table of interrupts (GSIs): what each number raises. It is given as a whole (KVM_SET_GSI_ROUTING), so that
 * one place makes it. Each input of a controller has a number of its own, so that the file says which lines go to
 * two of them; but the timer's output is number 0 for ever, and may go to both. A message by eventfd has one of its
 * own too. Under the lock of the split table.
 *
 * Easy to break: KVM tells the end of an interrupt (of the timer, of resampled eventfds) by the last number that
 * names an input, so the timer's comes last.
 */
#include "chips.h"

#include <errno.h>
#include <stdlib.h>

#define ENTRIES_MAX (IOAPIC_INPUTS + PIC_INPUTS + 2u + SPLIT_PINS + MESSAGES_MAX)

struct table {
	uint32_t nr, flags;
	struct kvm_irq_routing_entry entry[ENTRIES_MAX];
};

static void input_add(struct table *t, uint32_t gsi, uint32_t irqchip, uint32_t pin)
{
	t->entry[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { .irqchip = irqchip, .pin = pin },
	};
}

static void pic_add(struct table *t, uint32_t gsi, uint32_t input)
{
	input_add(t, gsi, input < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE, input % 8);
}

static void chips_add(const struct kvm *k, struct table *t)
{
	const struct chip *pit = k->chips[CHIP_PIT];

	for (uint32_t i = 0; i < IOAPIC_INPUTS; i++)
		input_add(t, routes_gsi_ioapic(i), KVM_IRQCHIP_IOAPIC, i);
	for (uint32_t i = 0; i < PIC_INPUTS; i++)
		if (i != CASCADE_INPUT)
			pic_add(t, routes_gsi_pic(i), i);
	if (pit && pit->to_ioapic >= 0)
		input_add(t, 0, KVM_IRQCHIP_IOAPIC, (uint32_t)pit->to_ioapic);
	if (pit && pit->to_pic >= 0)
		pic_add(t, 0, (uint32_t)pit->to_pic);
}

static void message_add(struct table *t, uint32_t gsi, uint32_t address, uint32_t data)
{
	t->entry[t->nr++] = (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = address, .data = data },
	};
}

static void levels_add(const struct split *s, struct table *t)
{
	for (uint32_t i = 0; i < s->count; i++)
		message_add(t, i, s->pin[i].address, s->pin[i].data);
}

static void messages_add(const struct messages *all, struct table *t)
{
	for (uint32_t i = 0; all && i < all->count; i++)
		message_add(t, MESSAGES_GSI + i, all->route[i].address, all->route[i].data);
}

int routes_give_locked(struct kvm *k)
{
	struct table *t = calloc(1, sizeof(*t));
	int code;

	if (!t)
		return -ENOMEM;
	if (k->irqchip)
		chips_add(k, t);
	else
		levels_add(&k->arch->split, t);
	messages_add(k->arch->messages, t);
	code = vm_ioctl(k, KVM_SET_GSI_ROUTING, t);
	free(t);
	return code < 0 ? code : 0;
}

int routes_give(struct kvm *k)
{
	struct split *s = &k->arch->split;
	int code;

	pthread_mutex_lock(&s->lock);
	code = routes_give_locked(k);
	pthread_mutex_unlock(&s->lock);
	return code;
}
