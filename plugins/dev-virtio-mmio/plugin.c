/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-mmio: a slot for one virtio device on memory-mapped registers, Virtio 1.2 section 4.2, version 2.
 * Rings and the device's state are the kernel's (mortise.virtio-transport/1); here are registers only: the
 * selectors, the addresses of a ring until it is enabled, and the interrupt status.
 * The class is parallel, so that acknowledging an interrupt never waits for a request that is being submitted.
 * `lock` covers the interrupt status together with the level of the line (else an acknowledgement on one thread
 * could lower the line after an interrupt on another raised it), and the selectors; no call into the transport
 * service is made under it.
 */
#define MT_NOTE_NAME     "dev-virtio-mmio"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "virtio transport on memory-mapped registers, a slot for one device"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.mmio/1 mortise.irq/1 mortise.virtio-transport/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define SLOT_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x200", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", MT_PROPF_REQUIRED, "interrupt of the slot") \
	P(c, packed, "packed", MT_PROP_BOOL, "on", "", "", 0, "offer packed rings") \
	P(c, indirect, "indirect", MT_PROP_BOOL, "on", "", "", 0, "offer indirect descriptors") \
	P(c, event_index, "event-index", MT_PROP_BOOL, "on", "", "", 0, \
	  "offer to name the next event of interest, for fewer kicks and interrupts") \
	P(c, kicks, "kicks", MT_PROP_ENUM, "vcpu", "vcpu|thread", "", 0, \
	  "who serves a kick: the vCPU that gives it, or the device's thread, by an eventfd")
#define MT_NOTE_CLASSES(C) \
	C(slot, "dev-virtio-mmio", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.virtio-bus/1 mortise.fdt-node/1", SLOT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/draft/virtio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#define MAGIC     0x74726976u
#define VERSION_2 2u
#define VENDOR    0x544f4d00u      /* of no meaning to drivers */
#define IRQ_RING   1u
#define IRQ_CONFIG 2u

/* Registers, table 4.1. */
enum {
	R_MAGIC = 0x000, R_VERSION = 0x004, R_DEVICE = 0x008, R_VENDOR = 0x00c, R_FEATURES = 0x010,
	R_FEATURES_SEL = 0x014, R_DRIVER_FEATURES = 0x020, R_DRIVER_FEATURES_SEL = 0x024, R_QUEUE_SEL = 0x030,
	R_QUEUE_MAX = 0x034, R_QUEUE_SIZE = 0x038, R_QUEUE_READY = 0x044, R_QUEUE_NOTIFY = 0x050,
	R_IRQ_STATUS = 0x060, R_IRQ_ACK = 0x064, R_STATUS = 0x070, R_DESC = 0x080, R_DRIVER = 0x090,
	R_DEVICE_RING = 0x0a0, R_SHM_FIRST = 0x0b0, R_SHM_LAST = 0x0bc, R_GENERATION = 0x0fc, R_CONFIG = 0x100,
	REGION_BYTES = 0x200,
};

struct ring {
	uint32_t size;
	uint64_t desc, driver, device;
};

struct slot {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_mmio_host *mmio;
	const struct mt_irq_host *irq;
	const struct mt_virtio_transport *virtio;
	struct mt_region *region;
	struct mt_line *line;
	struct mt_vdev *vdev;              /* NULL: empty */
	uint32_t kicks_bound;              /* queues that are kicked by eventfd, from 0 on */
	pthread_mutex_t lock;
	uint32_t irq_status;
	uint32_t features_sel, driver_features_sel, queue_sel;
	uint64_t driver_features;
	struct ring rings[MT_VIRTIO_QUEUES_MAX];
};

static void irq_change(struct slot *s, uint32_t set, uint32_t clear)
{
	pthread_mutex_lock(&s->lock);
	s->irq_status = (s->irq_status | set) & ~clear;
	s->irq->line_set(s->line, s->irq_status != 0);
	pthread_mutex_unlock(&s->lock);
}

static void slot_interrupt(void *self, uint32_t source)
{
	irq_change(self, source == MT_VIRTIO_CONFIG ? IRQ_CONFIG : IRQ_RING, 0);
}

static uint32_t selected(struct slot *s, const uint32_t *selector)
{
	uint32_t value;

	pthread_mutex_lock(&s->lock);
	value = *selector;
	pthread_mutex_unlock(&s->lock);
	return value;
}

static void forget_driver(struct slot *s)
{
	pthread_mutex_lock(&s->lock);
	s->features_sel = s->driver_features_sel = s->queue_sel = 0;
	s->driver_features = 0;
	memset(s->rings, 0, sizeof(s->rings));
	s->irq_status = 0;
	s->irq->line_set(s->line, 0);
	pthread_mutex_unlock(&s->lock);
}

/* Reads */

static uint32_t read_features(struct slot *s)
{
	uint32_t sel = selected(s, &s->features_sel);

	return sel < 2 ? (uint32_t)(s->virtio->features(s->vdev) >> (32 * sel)) : 0;
}

static uint32_t read_queue(struct slot *s, uint64_t offset)
{
	uint32_t queue = selected(s, &s->queue_sel);

	if (offset == R_QUEUE_MAX)
		return s->virtio->queue_max(s->vdev, queue);
	return s->virtio->queue_enabled(s->vdev, queue);
}

static uint32_t read_control(struct slot *s, uint64_t offset)
{
	switch (offset) {
	case R_FEATURES:
		return read_features(s);
	case R_QUEUE_MAX: case R_QUEUE_READY:
		return read_queue(s, offset);
	case R_IRQ_STATUS:
		return selected(s, &s->irq_status);
	case R_STATUS:
		return s->virtio->status(s->vdev);
	case R_GENERATION:
		return s->virtio->config_generation(s->vdev);
	}
	return offset >= R_SHM_FIRST && offset <= R_SHM_LAST ? UINT32_MAX : 0;     /* no shared memory: -1 */
}

static uint32_t read_identity(struct slot *s, uint64_t offset)
{
	switch (offset) {
	case R_MAGIC: return MAGIC;
	case R_VERSION: return VERSION_2;
	case R_DEVICE: return s->vdev ? s->virtio->device_id(s->vdev) : 0;
	}
	return VENDOR;
}

static uint32_t slot_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct slot *s = self;

	*value = 0;
	if (a->offset >= R_CONFIG) {
		if (s->vdev)
			s->virtio->config_read(s->vdev, (uint32_t)a->offset - R_CONFIG, a->width, value);
		return MT_BUS_OK;
	}
	if (a->width != 4 || a->offset & 3)
		return MT_BUS_OK;      /* section 4.2.2.2: the driver must use 32 bits here */
	if (a->offset <= R_VENDOR)
		*value = read_identity(s, a->offset);
	else if (s->vdev)
		*value = read_control(s, a->offset);
	return MT_BUS_OK;
}

/* Writes */

static void write_driver_features(struct slot *s, uint32_t value)
{
	uint64_t features;
	uint32_t shift;

	pthread_mutex_lock(&s->lock);
	shift = 32 * (s->driver_features_sel & 1);
	if (s->driver_features_sel < 2)
		s->driver_features = (s->driver_features & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
	features = s->driver_features;
	pthread_mutex_unlock(&s->lock);
	s->virtio->set_driver_features(s->vdev, features);
}

static void set_half(uint64_t *address, uint64_t offset, uint32_t value)
{
	uint32_t shift = offset & 4 ? 32 : 0;

	*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

static void write_ring(struct slot *s, uint64_t offset, uint32_t value)
{
	struct ring *ring;

	pthread_mutex_lock(&s->lock);
	if (s->queue_sel < MT_VIRTIO_QUEUES_MAX) {
		ring = &s->rings[s->queue_sel];
		if (offset == R_QUEUE_SIZE)
			ring->size = value;
		else if ((offset & ~4ull) == R_DESC)
			set_half(&ring->desc, offset, value);
		else if ((offset & ~4ull) == R_DRIVER)
			set_half(&ring->driver, offset, value);
		else
			set_half(&ring->device, offset, value);
	}
	pthread_mutex_unlock(&s->lock);
}

static void write_ready(struct slot *s, uint32_t value)
{
	struct ring ring = { 0 };
	uint32_t queue;

	pthread_mutex_lock(&s->lock);
	queue = s->queue_sel;
	if (queue < MT_VIRTIO_QUEUES_MAX)
		ring = s->rings[queue];
	pthread_mutex_unlock(&s->lock);
	if (value & 1)
		s->virtio->queue_set(s->vdev, queue, ring.size, ring.desc, ring.driver, ring.device);
	s->virtio->queue_enable(s->vdev, queue, value & 1);
}

static void write_status(struct slot *s, uint32_t value)
{
	s->virtio->set_status(s->vdev, (uint8_t)value);
	if ((uint8_t)value == 0)
		forget_driver(s);
}

static void write_selector(struct slot *s, uint32_t *selector, uint32_t value)
{
	pthread_mutex_lock(&s->lock);
	*selector = value;
	pthread_mutex_unlock(&s->lock);
}

static void write_control(struct slot *s, uint64_t offset, uint32_t value)
{
	switch (offset) {
	case R_FEATURES_SEL:
		write_selector(s, &s->features_sel, value);
		break;
	case R_DRIVER_FEATURES_SEL:
		write_selector(s, &s->driver_features_sel, value);
		break;
	case R_QUEUE_SEL:
		write_selector(s, &s->queue_sel, value);
		break;
	case R_DRIVER_FEATURES:
		write_driver_features(s, value);
		break;
	case R_QUEUE_SIZE: case R_DESC: case R_DESC + 4: case R_DRIVER: case R_DRIVER + 4:
	case R_DEVICE_RING: case R_DEVICE_RING + 4:
		write_ring(s, offset, value);
		break;
	case R_QUEUE_READY:
		write_ready(s, value);
		break;
	case R_IRQ_ACK:
		irq_change(s, 0, value);
		break;
	case R_STATUS:
		write_status(s, value);
		break;
	}
}

static uint32_t slot_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct slot *s = self;

	if (!s->vdev)
		return MT_BUS_OK;
	if (a->offset == R_QUEUE_NOTIFY)       /* without VIRTIO_F_NOTIFICATION_DATA the value is the queue */
		s->virtio->notify(s->vdev, (uint32_t)value);
	else if (a->offset >= R_CONFIG)
		s->virtio->config_write(s->vdev, (uint32_t)a->offset - R_CONFIG, a->width, value);
	else if (a->width == 4)
		write_control(s, a->offset, (uint32_t)value);
	return MT_BUS_OK;
}

/* Life */

static int slot_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct slot *s = calloc(1, sizeof(*s));

	if (!s)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	s->inst = inst;
	s->props = host->get_interface(host, MT_IFACE_PROPS);
	s->mmio = host->get_interface(host, MT_IFACE_MMIO);
	s->irq = host->get_interface(host, MT_IFACE_IRQ);
	s->virtio = host->get_interface(host, MT_IFACE_VIRTIO_TRANSPORT);
	pthread_mutex_init(&s->lock, NULL);
	*self = s;
	return 0;
}

static const struct mt_region_ops slot_ops = { .read = slot_read, .write = slot_write };

static int slot_realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "virtio-mmio", .at_prop = "at", .len_bytes = REGION_BYTES,
		.width_min = 1, .width_max = 4, .ops = &slot_ops,
	};
	struct slot *s = self;

	s->line = s->irq->line_get(s->inst, "irq", 0);
	s->region = s->mmio->region_add(s->inst, &desc, err);
	return s->region ? 0 : MT_EINVAL;
}

/* Features of rings that the file switches off. */
static uint64_t unwanted(struct slot *s)
{
	return (s->props->get_u64(s->inst, "packed") ? 0 : MT_VIRTIO_F_RING_PACKED) |
	       (s->props->get_u64(s->inst, "indirect") ? 0 : MT_VIRTIO_F_INDIRECT_DESC) |
	       (s->props->get_u64(s->inst, "event-index") ? 0 : MT_VIRTIO_F_EVENT_IDX);
}

/* All queues have one register, and the value is the queue. */
static int kicks_bind(struct slot *s, struct mt_error *err)
{
	uint32_t queues = s->virtio->queue_count(s->vdev);
	int code = 0;

	if (strcmp(s->props->get_str(s->inst, "kicks"), "thread"))
		return 0;
	while (s->kicks_bound < queues && code == 0) {
		code = s->virtio->kick_by_eventfd(s->vdev, s->kicks_bound, s->region, R_QUEUE_NOTIFY, 4, 1, err);
		s->kicks_bound += code == 0;
	}
	return code;
}

/* Which device is in the slot is known now, after all have been realized. */
static int identify(struct slot *s, struct mt_error *err)
{
	s->vdev = s->virtio->device(s->inst);
	if (!s->vdev)
		return 0;
	s->virtio->withhold(s->vdev, unwanted(s));
	return kicks_bind(s, err);
}

static int slot_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct slot *s = self;
	int code;

	(void)kind;
	if (phase != MT_RESET_HOLD)
		return 0;
	code = identify(s, err);
	if (s->vdev)
		s->virtio->set_status(s->vdev, 0);
	forget_driver(s);
	return code;
}

static void slot_resume(void *self)
{
	irq_change(self, 0, 0);
}

static const struct mt_state_field ring_fields[] = {
	MT_STATE_VAR(struct ring, size, UINT32_MAX),
	MT_STATE_VAR(struct ring, desc, UINT64_MAX),
	MT_STATE_VAR(struct ring, driver, UINT64_MAX),
	MT_STATE_VAR(struct ring, device, UINT64_MAX),
};
static const struct mt_state_table ring_table = MT_STATE_TABLE(struct ring, ring_fields);

static const struct mt_state_field slot_fields[] = {
	MT_STATE_VAR(struct slot, irq_status, IRQ_RING | IRQ_CONFIG),
	MT_STATE_VAR(struct slot, features_sel, UINT32_MAX),
	MT_STATE_VAR(struct slot, driver_features_sel, UINT32_MAX),
	MT_STATE_VAR(struct slot, queue_sel, UINT32_MAX),
	MT_STATE_VAR(struct slot, driver_features, UINT64_MAX),
	MT_STATE_STRUCTS(struct slot, rings, &ring_table),
};
static const struct mt_state_table slot_table = MT_STATE_TABLE(struct slot, slot_fields);

static int slot_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct slot *s = self;

	(void)err;
	pthread_mutex_lock(&s->lock);
	mt_state_save(out, w, &slot_table, s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int slot_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		     struct mt_error *err)
{
	struct slot *s = self;
	int code = identify(s, err);

	if (code < 0)
		return code;
	pthread_mutex_lock(&s->lock);
	code = mt_state_load(in, r, &slot_table, version, s);
	pthread_mutex_unlock(&s->lock);
	return code;
}

static const struct mt_state_class state_class = {
	.schema = "virtio-mmio", .version = 1, .version_min = 1, .save = slot_save, .load = slot_load,
};

static void slot_unrealize(void *self)
{
	struct slot *s = self;

	s->vdev = NULL;
}

static void slot_destroy(void *self)
{
	struct slot *s = self;

	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int slot_describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	(void)self, (void)err;
	w->begin(fdt, "virtio_mmio", "at");
	w->str(fdt, "compatible", "virtio,mmio");
	w->empty(fdt, "dma-coherent");
	w->irqs(fdt, "irq");
	w->end(fdt);
	return 0;
}

static const struct mt_fdt_node slot_fdt = { .describe = slot_describe };
static const struct mt_virtio_bus slot_bus = { .interrupt = slot_interrupt };

static const struct mt_device_class slot_device = {
	.create = slot_create,
	.realize = slot_realize,
	.reset = slot_reset,
	.resume = slot_resume,
	.unrealize = slot_unrealize,
	.destroy = slot_destroy,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &slot_device },
		       { MT_IFACE_VIRTIO_BUS, &slot_bus },
		       { MT_IFACE_FDT_NODE, &slot_fdt },
		       { MT_IFACE_STATE, &state_class })
