/* SPDX-License-Identifier: MIT */
/*
 * cpu-kvm: Linux KVM as an accelerator. Attaches the VM, its vCPUs and the run loop to the cpu kind of the kernel; with
 * irqchip = kernel the class is an interrupt controller and a target of messages too; with split it is the target
 * alone, and with split and user it takes vectors of devices.
 * [main], but for what run.c and irqchip.c say of themselves. Creation has no side effect: /dev/kvm is opened in
 * realize.
 */
#include <stdlib.h>
#include <string.h>

#define MT_NOTE_NAME     "cpu-kvm"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "Linux KVM"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.vcpu-host/1 mortise.mmio/1 mortise.loop/1 mortise.msi-host/1"
#define MT_NOTE_OPTIONAL "mortise.log/1"
#define MT_NOTE_CAPS     MT_CAP_FILES
#define MT_NOTE_CLASSES(C) \
	C(kvm, "cpu-kvm", MT_KIND_CPU, MT_CLASS_PARALLEL | MT_CLASS_NONDET, "Linux KVM", \
	  "arch/x86_64 mortise.irq-sink/1 mortise.msi-target/1", KVM_PROPS)
#define KVM_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..1024", "", 0, "number of vCPUs") \
	P(c, model, "model", MT_PROP_ENUM, "host", "host|base|x86-64-v2|x86-64-v3|x86-64-v4", "", 0, \
	  "what CPU the guest sees: all that the host has, or a level of the x86-64 psABI") \
	P(c, features, "features", MT_PROP_LIST, "", "", "", 0, "features to add to the model") \
	P(c, features_off, "features-off", MT_PROP_LIST, "", "", "", 0, "features to take from the model") \
	P(c, irqchip, "irqchip", MT_PROP_ENUM, "kernel", "off|user|split|kernel", "", 0, \
	  "who serves the interrupt controllers and the timer: KVM, devices of the machine (user), KVM the local APICs " \
	  "and devices the rest (split), or nobody") \
	P(c, lapic_at, "lapic-at", MT_PROP_ADDR, "0xfee00000", "0x100000", "", 0, \
	  "where messages of devices go to; CPUs have it fixed") \
	P(c, tsc_khz, "tsc-khz", MT_PROP_INT, "0", "0..100000000", "kHz", 0, \
	  "rate of the time-stamp counter; 0: the host's") \
	P(c, triple_fault, "triple-fault", MT_PROP_ENUM, "stop", "stop|reset", "", 0, \
	  "what a triple fault does to the machine")
#include <mortise/note-emit.h>

#include <util/error.h>

#include "arch.h"

static int kvm_probe(const struct mt_host *host, struct mt_error *err)
{
	(void)host;
	return vm_probe(err);
}

static void irqchip_choose(struct kvm *k)
{
	const char *irqchip = k->props->get_str(k->inst, "irqchip");

	k->irqchip = !strcmp(irqchip, "kernel");
	k->lapics = k->irqchip || !strcmp(irqchip, "split");
	k->devices = !strcmp(irqchip, "split") || !strcmp(irqchip, "user");
}

static int kvm_create(const struct mt_host *host, struct mt_inst *inst, uint32_t vcpu_count, void **self,
		      struct mt_error *err)
{
	struct kvm *k = calloc(1, sizeof(*k));

	if (!k)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	k->inst = inst;
	k->vcpu_count = vcpu_count;
	k->props = host->get_interface(host, MT_IFACE_PROPS);
	k->host = host->get_interface(host, MT_IFACE_VCPU_HOST);
	k->mmio = host->get_interface(host, MT_IFACE_MMIO);
	k->loop = host->get_interface(host, MT_IFACE_LOOP);
	k->log = host->get_interface(host, MT_IFACE_LOG);
	k->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	irqchip_choose(k);
	k->sys_fd = k->vm_fd = -1;
	pthread_mutex_init(&k->lock, NULL);
	*self = k;
	return 0;
}

static void kvm_unrealize(void *self)
{
	vm_close(self);
}

static int kvm_realize(void *self, struct mt_error *err)
{
	int code = vm_open(self, err);

	if (code < 0)
		vm_close(self);
	return code;
}

static void kvm_destroy(void *self)
{
	struct kvm *k = self;

	vm_close(k);
	pthread_mutex_destroy(&k->lock);
	free(k);
}

static void kvm_vcpu_destroy(void *vcpu)
{
	struct kvm_vcpu *v = vcpu;

	vcpu_close(v);
	free(v);
}

static int kvm_vcpu_create(void *self, uint32_t index, struct mt_vcpu *handle, void **vcpu, struct mt_error *err)
{
	struct kvm_vcpu *v = calloc(1, sizeof(*v));
	int code;

	if (!v)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	v->kvm = self;
	v->handle = handle;
	v->index = index;
	v->fd = -1;
	code = vcpu_open(v, err);
	if (code < 0) {
		kvm_vcpu_destroy(v);
		return code;
	}
	*vcpu = v;
	return 0;
}

static void kvm_vcpu_reset(void *vcpu, uint32_t kind)
{
	struct kvm_vcpu *v = vcpu;

	v->stopped = false;
	arch_vcpu_reset(v, kind);
}

static const struct mt_cpu_class kvm_class = {
	.probe = kvm_probe,
	.create = kvm_create,
	.realize = kvm_realize,
	.unrealize = kvm_unrealize,
	.destroy = kvm_destroy,
	.vcpu_create = kvm_vcpu_create,
	.vcpu_destroy = kvm_vcpu_destroy,
	.vcpu_reset = kvm_vcpu_reset,
	.run = vcpu_run,
	.kick = vcpu_kick,
};

#include <util/entry.h>

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_CPU, &kvm_class },
		       { MT_IFACE_CPU_REGS, &arch_regs },
		       { MT_IFACE_CPU_DEBUG, &arch_debug },
		       { MT_IFACE_CPU_DIRTY, &kvm_dirty },
		       { MT_IFACE_CPU_EVENTFD, &kvm_eventfd },
		       { MT_IFACE_CPU_STATE, &arch_state },
		       { MT_IFACE_CPU_VECTOR, &arch_vector },
		       { MT_IFACE_ACPI_NODE, &arch_acpi },
		       { MT_IFACE_IRQ_SINK, &arch_irq_sink },
		       { MT_IFACE_MSI_TARGET, &arch_msi_target })
