/* SPDX-License-Identifier: MIT */
/* See chips.h: what the classes share. */
#include "chips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

static const char *const names[CHIPS] = { "dev-lapic", "dev-ioapic", "dev-i8259", "dev-i8254" };

int chip_create(const struct mt_host *host, struct mt_inst *inst, uint32_t which, void **self, struct mt_error *err)
{
	const struct mt_accelerator_host *accelerator = host->get_interface(host, MT_IFACE_ACCELERATOR);
	struct kvm *k = accelerator->self(inst);
	struct chip *c = calloc(1, sizeof(*c));

	if (!c)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (!k || k->chips[which]) {
		free(c);
		return k ? mt_error_set(err, MT_EBUSY, "plugin", "KVM has one %s in a machine", names[which]) :
			   mt_error_set(err, MT_EINVAL, "plugin", "KVM is not the accelerator of this machine");
	}
	c->which = which;
	c->k = k;
	c->inst = inst;
	c->mmio = host->get_interface(host, MT_IFACE_MMIO);
	c->irq = host->get_interface(host, MT_IFACE_IRQ);
	c->props = host->get_interface(host, MT_IFACE_PROPS);
	c->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	c->clock = host->get_interface(host, MT_IFACE_CLOCK);
	c->vectors = host->get_interface(host, MT_IFACE_VECTOR_HOST);
	c->to_ioapic = c->to_pic = -1;
	k->chips[which] = c;
	*self = c;
	return 0;
}

void chip_destroy(void *self)
{
	struct chip *c = self;

	c->k->chips[c->which] = NULL;
	free(c);
}

int chip_check_fixed(const struct chip *c, const struct chip_fixed *fixed, struct mt_error *err)
{
	for (; fixed->prop; fixed++) {
		if (c->props->get_u64(c->inst, fixed->prop) == fixed->value)
			continue;
		mt_error_set(err, MT_ENOTSUP, fixed->prop, "KVM has its %s at 0x%llx only", names[c->which],
			     (unsigned long long)fixed->value);
		mt_error_hint(err, "set irqchip = user in [cpu], or leave '%s' out", fixed->prop);
		return MT_ENOTSUP;
	}
	return 0;
}

int32_t chip_input_named(const struct chip *c, const char *element)
{
	const char *id = c->props->id(c->inst);
	size_t len = strlen(id);

	if (!element || strncmp(element, id, len) || element[len] != ':')
		return -1;
	return (int32_t)strtol(element + len + 1, NULL, 0);
}

uint64_t chip_guest_ns(const struct chip *c)
{
	return c->clock->now_ns(c->inst, MT_CLOCK_GUEST);
}

/* The accelerator's side */

/* Without what KVM makes all the same the guest would have controllers that the file does not name. */
static int whole_set_check(const struct kvm *k, struct mt_error *err)
{
	char lacking[64] = "";
	size_t used = 0;

	for (uint32_t i = 0; i <= CHIP_PIC; i++)
		if (!k->chips[i])
			used += (size_t)snprintf(lacking + used, sizeof(lacking) - used, "%s%s", used ? ", " : "", names[i]);
	if (!used)
		return 0;
	mt_error_set(err, MT_EINVAL, "irqchip", "KVM serves local APICs, I/O APIC and 8259A together, and the file lacks %s",
		     lacking);
	mt_error_hint(err, "add what is lacking, or set irqchip = split or user");
	return MT_EINVAL;
}

int chips_choose(struct kvm *k, struct mt_error *err)
{
	const char *irqchip = k->props->get_str(k->inst, "irqchip");
	bool any = false;

	for (uint32_t i = 0; i < CHIPS; i++)
		any |= k->chips[i] != NULL;
	k->irqchip = !strcmp(irqchip, "kernel") && any;
	k->lapics = k->chips[CHIP_LAPIC] != NULL;
	k->devices = !strcmp(irqchip, "split") || !strcmp(irqchip, "user");
	if (k->irqchip)
		return whole_set_check(k, err);
	if (k->devices || k->vcpu_count == 1)
		return 0;
	mt_error_set(err, MT_EINVAL, "count", "%u vCPUs have no way to start each other without local APICs", k->vcpu_count);
	mt_error_hint(err, "add a dev-lapic and the other interrupt controllers, or set count = 1");
	return MT_EINVAL;
}

/* Classes */

static const struct { const struct mt_role *roles; const size_t *count; } classes[CHIPS] = {
	{ chip_lapic_roles, &chip_lapic_role_count }, { chip_ioapic_roles, &chip_ioapic_role_count },
	{ chip_pic_roles, &chip_pic_role_count }, { chip_pit_roles, &chip_pit_role_count },
};

const void *arch_role(const char *class_name, const char *id)
{
	for (uint32_t i = 0; i < CHIPS; i++)
		if (!strcmp(class_name, names[i]))
			return mt_role_find(classes[i].roles, *classes[i].count, id);
	return NULL;
}
