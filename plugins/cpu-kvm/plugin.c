/* SPDX-License-Identifier: MIT */
/*
 * cpu-kvm: Linux KVM as an accelerator. Attaches the VM, its vCPUs and the run loop to the cpu kind of the kernel; and
 * the classes that stand in for devices which this host's KVM can serve.
 * [main], but for what run.c says of itself. Creation has no side effect: /dev/kvm is opened in
 * realize.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"

#define MT_NOTE_NAME     "cpu-kvm"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "Linux KVM"
#define MT_NOTE_REQUIRES \
	"mortise.accelerator/1 mortise.clock/1 mortise.irq/1 mortise.kick/1 mortise.loop/1 mortise.mmio/1 " \
	"mortise.msi-host/1 mortise.props/1 mortise.vcpu-host/1 mortise.vector-host/1"
#define MT_NOTE_OPTIONAL "mortise.log/1"
#define MT_NOTE_CAPS     MT_CAP_FILES
#define MT_NOTE_CLASSES(C) \
	C(kvm, "cpu-kvm", MT_KIND_CPU, MT_CLASS_PARALLEL | MT_CLASS_NONDET, "Linux KVM", KVM_ROLES, KVM_PROPS) \
	KVM_STAND_INS(C)
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

	if (k)
		k->vcpus = calloc(vcpu_count, sizeof(struct kvm_vcpu *));
	if (!k || !k->vcpus) {
		free(k);
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	k->inst = inst;
	k->vcpu_count = vcpu_count;
	k->props = host->get_interface(host, MT_IFACE_PROPS);
	k->host = host->get_interface(host, MT_IFACE_VCPU_HOST);
	k->loop = host->get_interface(host, MT_IFACE_LOOP);
	k->log = host->get_interface(host, MT_IFACE_LOG);
	k->clock = host->get_interface(host, MT_IFACE_CLOCK);
	k->msi = host->get_interface(host, MT_IFACE_MSI_HOST);
	k->kick = host->get_interface(host, MT_IFACE_KICK);
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
	struct kvm *k = self;
	int code = vm_open(k, err);

	if (code < 0)
		vm_close(k);
	else
		k->kick_signal = (int)k->kick->signal();
	return code;
}

static void kvm_destroy(void *self)
{
	struct kvm *k = self;

	vm_close(k);
	pthread_mutex_destroy(&k->lock);
	free(k->vcpus);
	free(k);
}

static void kvm_vcpu_destroy(void *vcpu)
{
	struct kvm_vcpu *v = vcpu;

	vcpu_close(v);
	v->kvm->vcpus[v->index] = NULL;
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
	v->kvm->vcpus[index] = v;
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

static const struct mt_role kvm_roles[] = {
	{ MT_IFACE_CPU, &kvm_class },
	{ MT_IFACE_CPU_DIRTY, &kvm_dirty },
	{ MT_IFACE_CPU_EVENTFD, &kvm_eventfd },
	KVM_INTERFACES
};

static const void *get_class(const char *class_name, const char *id)
{
	if (strcmp(class_name, MT_NOTE_NAME))
		return arch_role(class_name, id);
	return mt_role_find(kvm_roles, sizeof(kvm_roles) / sizeof(kvm_roles[0]), id);
}

static const struct mt_plugin plugin = { sizeof(plugin), MT_ABI_MAJOR, get_class };

const struct mt_plugin *mortise_plugin_entry(const struct mt_host *host, struct mt_error *err)
{
	(void)host, (void)err;
	return &plugin;
}
