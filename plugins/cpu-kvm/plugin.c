/* SPDX-License-Identifier: MIT */
/*
 * cpu-kvm: Linux KVM as an accelerator. Attaches the VM, its vCPUs and the run loop to the cpu kind of the kernel; with
 * irqchip = kernel the class is an interrupt controller and a target of messages too; with split it is the target
 * alone, and with split and user it takes vectors of devices.
 * [main], but for what run.c and irqchip.c say of themselves. Creation has no side effect: /dev/kvm is opened in
 * realize.
 */
#include <stdlib.h>

#include "host.h"

#define MT_NOTE_NAME     "cpu-kvm"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "Linux KVM"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.vcpu-host/1 mortise.mmio/1 mortise.loop/1 mortise.msi-host/1 " \
			 "mortise.clock/1"
#define MT_NOTE_OPTIONAL "mortise.log/1"
#define MT_NOTE_CAPS     MT_CAP_FILES
#define MT_NOTE_CLASSES(C) \
	C(kvm, "cpu-kvm", MT_KIND_CPU, MT_CLASS_PARALLEL | MT_CLASS_NONDET, "Linux KVM", KVM_ROLES, KVM_PROPS)
#include <mortise/note-emit.h>

#include <util/error.h>

#include "arch.h"

static int kvm_probe(const struct mt_host *host, struct mt_error *err)
{
	(void)host;
	return vm_probe(err);
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
	k->clock = host->get_interface(host, MT_IFACE_CLOCK);
	k->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	arch_choose(k);
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
		       { MT_IFACE_CPU_DIRTY, &kvm_dirty },
		       { MT_IFACE_CPU_EVENTFD, &kvm_eventfd },
		       KVM_INTERFACES)
