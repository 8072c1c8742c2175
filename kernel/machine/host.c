/* SPDX-License-Identifier: MIT */
/*
 * What the kernel offers to plugins: one table of interface ids. The same tables serve every machine of the
 * process: each call takes its instance, which knows its machine. [any], constant.
 */
#include <config.h>
#include <string.h>

#include "kernel/acpi/acpi.h"
#include "kernel/block/block.h"
#include "kernel/machine/clock.h"
#include "kernel/machine/dma.h"
#include "kernel/machine/irq.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/port.h"
#include "kernel/machine/services.h"
#include "kernel/machine/space.h"
#include "kernel/machine/sysreg.h"
#include "kernel/machine/vcpu.h"
#include "kernel/machine/vector.h"
#include "kernel/pci/pci.h"
#include "kernel/virtio/virtio.h"

/* Of the same file only: nobody else knows what it points to. */
static void *accelerator_self(struct mt_inst *inst)
{
	const struct mt_inst *cpu = inst->machine->cpu;

	return cpu && cpu->plugin == inst->plugin ? cpu->self : NULL;
}

static const struct mt_accelerator_host accelerator_host = { .self = accelerator_self };

static const struct mt_thread_check thread_check = {
	.current = inst_thread_current,
};

#define HOST_INTERFACES(I) \
	I(MT_IFACE_ACCELERATOR, &accelerator_host) \
	I(MT_IFACE_ACPI_HOST, &acpi_host) \
	I(MT_IFACE_BLOCK, &block_host) \
	I(MT_IFACE_BLOCK_CACHE, &block_cache_host) \
	I(MT_IFACE_BLOCK_NODE, &block_node_host) \
	I(MT_IFACE_BLOCK_SERVED, &block_served_host) \
	I(MT_IFACE_BOOT, &boot_host) \
	I(MT_IFACE_CHAR_HOST, &char_host) \
	I(MT_IFACE_CLOCK, &clock_host) \
	I(MT_IFACE_DMA, &dma_host) \
	I(MT_IFACE_IRQ, &irq_host) \
	I(MT_IFACE_KICK, &kick_host) \
	I(MT_IFACE_LOG, &log_host) \
	I(MT_IFACE_LOOP, &loop_host) \
	I(MT_IFACE_MMIO, &bus_mmio_host) \
	I(MT_IFACE_MSI_HOST, &msi_host) \
	I(MT_IFACE_NET_HOST, &net_host) \
	I(MT_IFACE_PCI, &pci_host) \
	I(MT_IFACE_PCI_BRIDGE, &pci_bridge_host) \
	I(MT_IFACE_PROPS, &props_host) \
	I(MT_IFACE_SYSREG_HOST, &sysreg_host) \
	I(MT_IFACE_THREAD_CHECK, &thread_check) \
	I(MT_IFACE_VCPU_HOST, &vcpu_host) \
	I(MT_IFACE_VECTOR_HOST, &vector_host) \
	I(MT_IFACE_VIRTIO_TRANSPORT, &virtio_transport_host) \
	I(MT_IFACE_VIRTQUEUE, &virtqueue_host) \
	I(MT_IFACE_WORKER, &worker_host)

#define HOST_ID(id, table) id,
const char *const host_interface_ids[] = { HOST_INTERFACES(HOST_ID) NULL };

#define HOST_ENTRY(id, table) { id, table },
static const struct {
	const char *id;
	const void *table;
} interfaces[] = { HOST_INTERFACES(HOST_ENTRY) };

static const void *host_get_interface(const struct mt_host *host, const char *id)
{
	(void)host;
	for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
		if (!strcmp(interfaces[i].id, id))
			return interfaces[i].table;
	}
	return NULL;
}

static const struct mt_host host = {
	.size = sizeof(host),
	.abi_major = MT_ABI_MAJOR,
	.version = PACKAGE_VERSION,
	.get_interface = host_get_interface,
};

const struct mt_host *host_get(void)
{
	return &host;
}
