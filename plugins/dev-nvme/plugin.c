/* SPDX-License-Identifier: MIT */
/*
 * dev-nvme: an NVMe controller with one namespace as a PCI function. Attaches the chip (nvme.h) to bus and disk. All
 * under the instance lock: registers [vcpu], completions and what was left over of a long queue [io].
 */
#define MT_NOTE_NAME     "dev-nvme"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "NVMe disk"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.pci/1 mortise.dma/1 mortise.block/1 mortise.loop/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define NVME_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.pci-bus/1", "", MT_PROPF_REQUIRED, "PCI host bridge") \
	P(c, slot, "slot", MT_PROP_INT, "", "0..31", "", 0, "slot on the bus; the first free one if none is given") \
	P(c, function, "function", MT_PROP_INT, "", "0..7", "", 0, "function of the slot") \
	P(c, block, "block", MT_PROP_REF, "", "mortise.block-format/1", "", MT_PROPF_REQUIRED, \
	  "the disk's contents") \
	MT_BLOCK_FRONT_PROPS(P, c) \
	P(c, serial, "serial", MT_PROP_STRING, "", "", "", 0, "serial number that the guest reads, up to 20 bytes") \
	P(c, queues, "queues", MT_PROP_INT, "8", "1..64", "", 0, "largest number of I/O queues") \
	P(c, queue_size, "queue-size", MT_PROP_INT, "1024", "2..4096", "", 0, "largest number of entries of a queue") \
	P(c, vendor_id, "vendor-id", MT_PROP_INT, "0x1af4", "0x0001..0xfffe", "", 0, "PCI vendor") \
	P(c, device_id, "device-id", MT_PROP_INT, "0x10f0", "0x0000..0xffff", "", 0, "PCI device of that vendor")
#define MT_NOTE_CLASSES(C) \
	C(nvme, "dev-nvme", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "mortise.pci-function/1 mortise.state/1", \
	  NVME_PROPS)

#include <mortise/draft/block.h>
#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>

#include "nvme.h"

/* Drivers go by this. The default ids are of a range that its owner leaves to devices without a number of their own. */
#define CLASS_NVME 0x010802u
#define BAR_REGISTERS 0u
#define BAR_MSIX   4u

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	*value = nvme_read(self, (uint32_t)a->offset, a->width);
	return MT_BUS_OK;
}

static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	nvme_write(self, (uint32_t)a->offset, a->width, value);
	return MT_BUS_OK;
}

/* The disk */

static void disk_ready(void *self)
{
	nvme_reap(self);
	nvme_serve(self);
}

static void disk_changed(void *self)
{
	struct nvme *n = self;
	struct mt_block_info before = n->info;

	n->blocks->info(n->block, &n->info);
	if (n->info.disk_bytes == before.disk_bytes && n->info.flags == before.flags)
		return;                        /* it was asked to change, and could not */
	n->namespace_changed = 1;
	if (n->features[NVME_FEATURE_EVENTS] & 1u << 8)
		nvme_event(n, NVME_EVENT_NOTICE, 0);
}

static void serve_more(void *arg)
{
	nvme_serve(arg);
}

static const struct mt_block_front disk_front = { .ready = disk_ready, .changed = disk_changed };

/* Life */

static int device_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	const struct mt_props_host *props = host->get_interface(host, MT_IFACE_PROPS);
	struct nvme *n = calloc(1, sizeof(*n));
	const char *serial;

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->pci_host = host->get_interface(host, MT_IFACE_PCI);
	n->dma_host = host->get_interface(host, MT_IFACE_DMA);
	n->blocks = host->get_interface(host, MT_IFACE_BLOCK);
	n->loop = host->get_interface(host, MT_IFACE_LOOP);
	n->log = host->get_interface(host, MT_IFACE_LOG);
	n->queue_max = (uint32_t)props->get_u64(inst, "queues");
	n->size_max = (uint32_t)props->get_u64(inst, "queue-size");
	n->vendor_id = (uint16_t)props->get_u64(inst, "vendor-id");
	n->device_id = (uint16_t)props->get_u64(inst, "device-id");
	serial = props->present(inst, "serial") ? props->get_str(inst, "serial") : props->id(inst);
	if (props->present(inst, "serial") && strlen(serial) > NVME_SERIAL_BYTES) {
		free(n);
		return mt_error_set(err, MT_ERANGE, "serial", "a serial number has up to %u bytes",
				    NVME_SERIAL_BYTES);
	}
	memcpy(n->serial, serial, strnlen(serial, NVME_SERIAL_BYTES));
	*self = n;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int function_attach(struct nvme *n, struct mt_error *err)
{
	static const struct mt_region_desc region = {
		.size = sizeof(region), .name = "nvme", .len_bytes = NVME_BAR_BYTES,
		.width_min = 4, .width_max = 8, .ops = &region_ops,
	};
	struct mt_pci_desc desc = {
		.size = sizeof(desc), .flags = MT_PCI_INTX | MT_PCI_FLR, .vendor_id = n->vendor_id,
		.device_id = n->device_id, .subsystem_vendor_id = n->vendor_id, .subsystem_id = 1,
		.class_code = CLASS_NVME, .revision = 1, .vectors = n->queue_max + 1, .msix_bar = BAR_MSIX,
	};

	n->pci = n->pci_host->attach(n->inst, &desc, err);
	if (!n->pci || n->pci_host->bar_add(n->pci, BAR_REGISTERS, MT_PCI_BAR_64, &region, err) < 0)
		return err && err->code ? err->code : MT_EINVAL;
	n->dma = n->dma_host->get(n->inst);
	return 0;
}

static int device_realize(void *self, struct mt_error *err)
{
	struct nvme *n = self;
	int code = function_attach(n, err);

	if (code < 0)
		return code;
	n->more = n->loop->deferred_create(n->inst, serve_more, n);
	if (!n->more)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->block = n->blocks->open(n->inst, "block", 1, &disk_front, n, err);
	if (!n->block)
		return err && err->code ? err->code : MT_EIO;
	n->info.size = sizeof(n->info);
	n->blocks->info(n->block, &n->info);
	return 0;
}

static int device_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)kind, (void)err;
	if (phase == MT_RESET_ENTER)
		nvme_reset(self);
	return 0;
}

/* Everything in flight ends and is answered; the queues are as the guest will find them. */
static void device_quiesce(void *self)
{
	nvme_drain(self);
	nvme_interrupt(self);
}

/* The pin follows from the queues; commands that were not taken are looked at when all run again. */
static void device_resume(void *self)
{
	struct nvme *n = self;

	nvme_kept_retry(n);
	nvme_interrupt(n);
	n->loop->deferred_post(n->more);
}

static int device_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	(void)err;
	nvme_save(self, out, w);
	return 0;
}

static int device_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		       struct mt_error *err)
{
	return nvme_load(self, in, r, version, err);
}

static const struct mt_state_class state = {
	.schema = "nvme", .version = 2, .version_min = 1, .save = device_save, .load = device_load,
};

static void device_unrealize(void *self)
{
	struct nvme *n = self;

	n->csts = 0;
	nvme_finish(n);
}

static void device_destroy(void *self)
{
	nvme_requests_free(self);
	free(self);
}

static void function_reset(void *self)
{
	nvme_reset(self);
}

static const struct mt_pci_function function = { .reset = function_reset };

static const struct mt_device_class device = {
	.create = device_create,
	.realize = device_realize,
	.reset = device_reset,
	.quiesce = device_quiesce,
	.resume = device_resume,
	.unrealize = device_unrealize,
	.destroy = device_destroy,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device },
		       { MT_IFACE_PCI_FUNCTION, &function },
		       { MT_IFACE_STATE, &state })
