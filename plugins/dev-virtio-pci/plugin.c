/* SPDX-License-Identifier: MIT */
/*
 * dev-virtio-pci: a slot for one virtio device as a PCI function, Virtio 1.2 section 4.1, no legacy interface.
 * Rings and the device's state are the kernel's (mortise.virtio-transport/1), configuration space and MSI-X too
 * (mortise.pci/1); here are the registers of one BAR.
 * The class is parallel. No call into the transport service is made under the slot's lock, for that calls back with
 * interrupts (interrupt.c).
 */
#define MT_NOTE_NAME     "dev-virtio-pci"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "virtio transport on PCI, a slot for one device"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.pci/1 mortise.virtio-transport/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define SLOT_PROPS(P, c) \
	P(c, bus, "bus", MT_PROP_REF, "", "mortise.pci-bus/1", "", MT_PROPF_REQUIRED, "PCI host bridge") \
	P(c, slot, "slot", MT_PROP_INT, "", "0..31", "", 0, "slot on the bus; the first free one if none is given") \
	P(c, function, "function", MT_PROP_INT, "", "0..7", "", 0, "function of the slot") \
	P(c, packed, "packed", MT_PROP_BOOL, "on", "", "", 0, "offer packed rings") \
	P(c, indirect, "indirect", MT_PROP_BOOL, "on", "", "", 0, "offer indirect descriptors") \
	P(c, event_index, "event-index", MT_PROP_BOOL, "on", "", "", 0, \
	  "offer to name the next event of interest, for fewer kicks and interrupts") \
	P(c, kicks, "kicks", MT_PROP_ENUM, "vcpu", "vcpu|thread", "", 0, \
	  "who serves a kick: the vCPU that gives it, or the device's thread, by an eventfd") \
	P(c, messages, "messages", MT_PROP_ENUM, "call", "call|eventfd", "", 0, \
	  "how messages leave: by a call, or by an eventfd, which the accelerator may turn into the message")
#define MT_NOTE_CLASSES(C) \
	C(slot, "dev-virtio-pci", MT_KIND_DEVICE, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.virtio-bus/1 mortise.pci-function/1", SLOT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "slot.h"

#define VENDOR_VIRTIO  0x1af4u
#define DEVICE_VIRTIO  0x1040u         /* and the device's number, 4.1.2 */
#define SUBSYSTEM      0x1100u         /* 4.1.2.1: 0x40 or more */
#define NOBODY         0xffffu

/* The BAR with the registers, and where its parts begin. */
#define BAR_REGISTERS  0u
#define BAR_MSIX       4u
enum {
	PART_COMMON = 0x0000, PART_ISR = 0x1000, PART_DEVICE = 0x2000, PART_NOTIFY = 0x3000,
	PART_BYTES = 0x1000, REGION_BYTES = 0x4000, NOTIFY_MULTIPLIER = 4,
};

/* Common configuration, 4.1.4.3 */
enum {
	R_FEATURES_SEL = 0x00, R_FEATURES = 0x04, R_DRIVER_FEATURES_SEL = 0x08, R_DRIVER_FEATURES = 0x0c,
	R_CONFIG_VECTOR = 0x10, R_NUM_QUEUES = 0x12, R_STATUS = 0x14, R_GENERATION = 0x15, R_QUEUE_SEL = 0x16,
	R_QUEUE_SIZE = 0x18, R_QUEUE_VECTOR = 0x1a, R_QUEUE_ENABLE = 0x1c, R_NOTIFY_OFF = 0x1e,
	R_DESC = 0x20, R_DRIVER = 0x28, R_DEVICE = 0x30, COMMON_BYTES = 0x38,
};

/* Capabilities, 4.1.4: after the id and the pointer */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };
enum { C_LEN = 0, C_TYPE = 1, C_BAR = 2, C_OFFSET = 6, C_LENGTH = 10, C_MORE = 14, C_BYTES = 18 };

/* The sizes of rings are the largest ones until a driver chooses. */
static void forget_driver(struct slot *s)
{
	uint32_t sizes[MT_VIRTIO_QUEUES_MAX] = { 0 };

	for (uint32_t i = 0; s->vdev && i < MT_VIRTIO_QUEUES_MAX; i++)
		sizes[i] = s->virtio->queue_max(s->vdev, i);
	pthread_mutex_lock(&s->lock);
	s->features_sel = s->driver_features_sel = s->queue_sel = 0;
	s->driver_features = 0;
	s->config_vector = NO_VECTOR;
	for (uint32_t i = 0; i < MT_VIRTIO_QUEUES_MAX; i++)
		s->rings[i] = (struct ring){ .size = sizes[i], .vector = NO_VECTOR };
	for (uint32_t i = 0; i < SOURCES; i++)
		slot_signal_bind(s, i);
	s->isr = 0;
	s->pci_host->intx(s->pci, 0);
	pthread_mutex_unlock(&s->lock);
}

/* Reads of the common configuration, by words of 32 bits */

/* What the driver has written. */
struct selected {
	uint32_t features_sel, driver_features_sel, queue_sel, config_vector;
	uint64_t driver_features;
	struct ring ring;
};

static struct selected selected(struct slot *s)
{
	struct selected now = { 0 };

	pthread_mutex_lock(&s->lock);
	now.features_sel = s->features_sel;
	now.driver_features_sel = s->driver_features_sel;
	now.queue_sel = s->queue_sel;
	now.config_vector = s->config_vector;
	now.driver_features = s->driver_features;
	if (s->queue_sel < MT_VIRTIO_QUEUES_MAX)
		now.ring = s->rings[s->queue_sel];
	pthread_mutex_unlock(&s->lock);
	return now;
}

static uint32_t half_of(uint64_t bits, uint32_t sel)
{
	return sel < 2 ? (uint32_t)(bits >> (32 * sel)) : 0;
}

static uint32_t read_queue(struct slot *s, const struct selected *now, uint32_t word)
{
	/* 4.1.4.3.2: a queue that is not there has size 0 */
	if (now->queue_sel >= s->virtio->queue_count(s->vdev))
		return 0;
	switch (word) {
	case R_QUEUE_SIZE:
		return now->ring.size | now->ring.vector << 16;
	case R_QUEUE_ENABLE:
		return s->virtio->queue_enabled(s->vdev, now->queue_sel) | now->queue_sel << 16;
	case R_DESC: case R_DESC + 4:
		return half_of(now->ring.desc, (word - R_DESC) / 4);
	case R_DRIVER: case R_DRIVER + 4:
		return half_of(now->ring.driver, (word - R_DRIVER) / 4);
	default:
		return half_of(now->ring.device, (word - R_DEVICE) / 4);
	}
}

static uint32_t read_common(struct slot *s, uint32_t word)
{
	struct selected now = selected(s);

	switch (word) {
	case R_FEATURES_SEL:
		return now.features_sel;
	case R_FEATURES:
		return half_of(s->virtio->features(s->vdev), now.features_sel);
	case R_DRIVER_FEATURES_SEL:
		return now.driver_features_sel;
	case R_DRIVER_FEATURES:
		return half_of(now.driver_features, now.driver_features_sel);
	case R_CONFIG_VECTOR:
		return now.config_vector | s->virtio->queue_count(s->vdev) << 16;
	case R_STATUS:
		return s->virtio->status(s->vdev) | (s->virtio->config_generation(s->vdev) & 0xff) << 8 |
		       now.queue_sel << 16;
	}
	return word < COMMON_BYTES ? read_queue(s, &now, word) : 0;
}

static uint32_t slot_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct slot *s = self;
	uint32_t offset = (uint32_t)a->offset;

	*value = 0;
	if (!s->vdev)
		return MT_BUS_OK;
	if (offset < PART_ISR)
		*value = read_common(s, offset & ~3u) >> 8 * (offset & 3);
	else if (offset == PART_ISR)
		*value = slot_isr_take(s);
	else if (offset >= PART_DEVICE && offset < PART_NOTIFY)
		s->virtio->config_read(s->vdev, offset - PART_DEVICE, a->width, value);
	return MT_BUS_OK;
}

/* Writes: 4.1.3.1 has the driver write each field by its own width, and addresses by halves */

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

static void set_half(uint64_t *address, uint32_t offset, uint32_t value)
{
	uint32_t shift = offset & 4 ? 32 : 0;

	*address = (*address & ~(0xffffffffull << shift)) | (uint64_t)value << shift;
}

/* With the lock. */
static void write_ring(struct ring *ring, uint32_t offset, uint32_t value)
{
	switch (offset & ~4u) {
	case R_DESC:
		set_half(&ring->desc, offset, value);
		break;
	case R_DRIVER:
		set_half(&ring->driver, offset, value);
		break;
	case R_DEVICE:
		set_half(&ring->device, offset, value);
		break;
	}
}

static void write_long(struct slot *s, uint32_t offset, uint32_t value)
{
	if (offset == R_DRIVER_FEATURES) {
		write_driver_features(s, value);
		return;
	}
	pthread_mutex_lock(&s->lock);
	if (offset == R_FEATURES_SEL)
		s->features_sel = value;
	else if (offset == R_DRIVER_FEATURES_SEL)
		s->driver_features_sel = value;
	else if (s->queue_sel < MT_VIRTIO_QUEUES_MAX)
		write_ring(&s->rings[s->queue_sel], offset, value);
	pthread_mutex_unlock(&s->lock);
}

static void write_enable(struct slot *s, uint32_t value)
{
	struct selected now = selected(s);

	/* 4.1.4.3.2: it cannot be taken back but by a reset */
	if (value != 1)
		return;
	s->virtio->queue_set(s->vdev, now.queue_sel, now.ring.size, now.ring.desc, now.ring.driver, now.ring.device);
	s->virtio->queue_enable(s->vdev, now.queue_sel, 1);
}

/* With the lock. */
static void write_vector(struct slot *s, uint32_t source, uint32_t *vector, uint32_t value)
{
	*vector = value < VECTORS ? value : NO_VECTOR;
	slot_signal_bind(s, source);
}

static void write_short(struct slot *s, uint32_t offset, uint32_t value)
{
	struct ring none, *ring;

	if (offset == R_QUEUE_ENABLE) {
		write_enable(s, value);
		return;
	}
	pthread_mutex_lock(&s->lock);
	ring = s->queue_sel < MT_VIRTIO_QUEUES_MAX ? &s->rings[s->queue_sel] : &none;
	if (offset == R_CONFIG_VECTOR)
		write_vector(s, SOURCE_CONFIG, &s->config_vector, value);
	else if (offset == R_QUEUE_SEL)
		s->queue_sel = value;
	else if (offset == R_QUEUE_SIZE)
		ring->size = value;
	else if (offset == R_QUEUE_VECTOR && ring != &none)
		write_vector(s, s->queue_sel, &ring->vector, value);
	pthread_mutex_unlock(&s->lock);
}

static void write_status(struct slot *s, uint32_t value)
{
	s->virtio->set_status(s->vdev, (uint8_t)value);
	if (value == 0)
		forget_driver(s);
}

static uint32_t slot_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct slot *s = self;
	uint32_t offset = (uint32_t)a->offset;

	if (!s->vdev)
		return MT_BUS_OK;
	if (offset >= PART_NOTIFY)
		s->virtio->notify(s->vdev, (offset - PART_NOTIFY) / NOTIFY_MULTIPLIER);
	else if (offset >= PART_DEVICE)
		s->virtio->config_write(s->vdev, offset - PART_DEVICE, a->width, value);
	else if (offset == R_STATUS && a->width == 1)
		write_status(s, (uint32_t)value);
	else if (offset < COMMON_BYTES && a->width == 2)
		write_short(s, offset, (uint32_t)value);
	else if (offset < COMMON_BYTES && a->width == 4)
		write_long(s, offset, (uint32_t)value);
	return MT_BUS_OK;
}

/* The window into the BAR that needs no BAR, 4.1.4.9 */

static uint32_t load32(const uint8_t *at)
{
	return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* 1: `*a` is a legal access to the registers. */
static uint32_t window_access(struct slot *s, struct mt_access *a)
{
	uint8_t bytes[C_MORE];
	uint32_t width;

	s->pci_host->cap_get(s->pci, s->window, 0, bytes, sizeof(bytes));
	width = load32(bytes + C_LENGTH);
	*a = (struct mt_access){ .offset = load32(bytes + C_OFFSET), .width = width };
	return bytes[C_BAR] == BAR_REGISTERS && (width == 1 || width == 2 || width == 4) && a->offset % width == 0 &&
	       a->offset < REGION_BYTES;
}

static uint32_t slot_cap_read(void *self, uint32_t cap, uint32_t offset, uint32_t width)
{
	struct slot *s = self;
	struct mt_access a;
	uint64_t value = 0;

	if (cap == s->window && offset == 0 && window_access(s, &a) && width >= a.width) {
		slot_read(s, &a, &value);
		value &= a.width == 4 ? 0xffffffffu : (1u << 8 * a.width) - 1;
	}
	return (uint32_t)value;
}

static void slot_cap_write(void *self, uint32_t cap, uint32_t offset, uint32_t width, uint32_t value)
{
	struct slot *s = self;
	struct mt_access a;

	if (cap == s->window && offset == 0 && window_access(s, &a) && width >= a.width)
		slot_write(s, &a, a.width == 4 ? value : value & ((1u << 8 * a.width) - 1));
}

/* Life */

static int slot_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct slot *s = calloc(1, sizeof(*s));

	if (!s)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	s->inst = inst;
	s->props = host->get_interface(host, MT_IFACE_PROPS);
	s->pci_host = host->get_interface(host, MT_IFACE_PCI);
	s->virtio = host->get_interface(host, MT_IFACE_VIRTIO_TRANSPORT);
	pthread_mutex_init(&s->lock, NULL);
	for (uint32_t i = 0; i < SOURCES; i++)
		s->signals[i] = -1;
	*self = s;
	return 0;
}

static int cap_add(struct slot *s, uint8_t type, uint32_t offset, uint32_t len_bytes, struct mt_error *err)
{
	static const uint8_t writable[C_BYTES] = {
		[C_BAR] = 0xff,
		[C_OFFSET] = 0xff, 0xff, 0xff, 0xff,
		[C_LENGTH] = 0xff, 0xff, 0xff, 0xff,
	};
	uint32_t more = type == CAP_NOTIFY || type == CAP_WINDOW ? 4 : 0;
	uint8_t bytes[C_BYTES] = { [C_LEN] = (uint8_t)(16 + more), [C_TYPE] = type, [C_BAR] = BAR_REGISTERS };
	struct mt_pci_cap cap = { .size = sizeof(cap), .id = 0x09, .len_bytes = C_MORE + more, .bytes = bytes };

	bytes[C_OFFSET + 1] = (uint8_t)(offset >> 8);
	bytes[C_LENGTH] = (uint8_t)len_bytes;
	bytes[C_LENGTH + 1] = (uint8_t)(len_bytes >> 8);
	if (type == CAP_NOTIFY)
		bytes[C_MORE] = NOTIFY_MULTIPLIER;
	if (type == CAP_WINDOW) {
		cap.writable = writable;
		cap.live_offset = C_MORE;
		cap.live_bytes = 4;
	}
	return s->pci_host->cap_add(s->pci, &cap, err);
}

static int caps_add(struct slot *s, struct mt_error *err)
{
	int code = cap_add(s, CAP_COMMON, PART_COMMON, COMMON_BYTES, err);

	if (code >= 0)
		code = cap_add(s, CAP_NOTIFY, PART_NOTIFY, MT_VIRTIO_QUEUES_MAX * NOTIFY_MULTIPLIER, err);
	if (code >= 0)
		code = cap_add(s, CAP_ISR, PART_ISR, 1, err);
	if (code >= 0)
		code = cap_add(s, CAP_DEVICE, PART_DEVICE, PART_BYTES, err);
	if (code >= 0)
		code = cap_add(s, CAP_WINDOW, 0, 0, err);
	s->window = code < 0 ? 0 : (uint32_t)code;
	return code;
}

static const struct mt_region_ops slot_ops = { .read = slot_read, .write = slot_write };

static int slot_realize(void *self, struct mt_error *err)
{
	static const struct mt_pci_desc desc = {
		.size = sizeof(desc), .flags = MT_PCI_INTX | MT_PCI_FLR, .vendor_id = NOBODY,
		.vectors = VECTORS, .msix_bar = BAR_MSIX,
	};
	static const struct mt_region_desc region = {
		.size = sizeof(region), .name = "virtio-pci", .len_bytes = REGION_BYTES,
		.width_min = 1, .width_max = 4, .ops = &slot_ops,
	};
	struct slot *s = self;
	int code;

	s->pci = s->pci_host->attach(s->inst, &desc, err);
	if (!s->pci)
		return err && err->code ? err->code : MT_EINVAL;
	code = s->pci_host->bar_add(s->pci, BAR_REGISTERS, MT_PCI_BAR_64, &region, err);
	if (code >= 0)
		code = caps_add(s, err);
	return code < 0 ? code : 0;
}

/* Of the devices that drivers look for by their class; the others are of none. */
static uint32_t class_of(uint32_t device_id)
{
	static const uint32_t classes[] = { [1] = 0x020000, [2] = 0x010000, [3] = 0x078000, [8] = 0x010000,
					    [16] = 0x038000, [18] = 0x090000, [25] = 0x040100 };
	uint32_t class_code = device_id < sizeof(classes) / sizeof(classes[0]) ? classes[device_id] : 0;

	return class_code ? class_code : 0x00ff00;
}

/* Features of rings that the file switches off. */
static uint64_t unwanted(struct slot *s)
{
	return (s->props->get_u64(s->inst, "packed") ? 0 : MT_VIRTIO_F_RING_PACKED) |
	       (s->props->get_u64(s->inst, "indirect") ? 0 : MT_VIRTIO_F_INDIRECT_DESC) |
	       (s->props->get_u64(s->inst, "event-index") ? 0 : MT_VIRTIO_F_EVENT_IDX);
}

/* The driver writes 16 bits there, 4.1.5.2; what is wider or narrower comes to slot_write. */
static int kicks_bind(struct slot *s, struct mt_error *err)
{
	struct mt_region *region = s->pci_host->bar_region(s->pci, BAR_REGISTERS);
	uint32_t queues = s->virtio->queue_count(s->vdev);
	int code = 0;

	if (strcmp(s->props->get_str(s->inst, "kicks"), "thread"))
		return 0;
	while (s->kicks_bound < queues && code == 0) {
		code = s->virtio->kick_by_eventfd(s->vdev, s->kicks_bound, region,
						  PART_NOTIFY + s->kicks_bound * NOTIFY_MULTIPLIER, 2, 0, err);
		s->kicks_bound += code == 0;
	}
	return code;
}

/* Which device is in the slot is known now, after all have been realized. */
static int identify(struct slot *s, struct mt_error *err)
{
	struct mt_pci_desc desc = { .size = sizeof(desc), .vendor_id = NOBODY, .device_id = NOBODY };
	int code;

	s->vdev = s->virtio->device(s->inst);
	if (s->vdev) {
		s->virtio->withhold(s->vdev, unwanted(s));
		desc.vendor_id = desc.subsystem_vendor_id = VENDOR_VIRTIO;
		desc.device_id = (uint16_t)(DEVICE_VIRTIO + s->virtio->device_id(s->vdev));
		desc.subsystem_id = SUBSYSTEM;
		desc.class_code = class_of(s->virtio->device_id(s->vdev));
		desc.revision = 1;
	}
	s->pci_host->identify(s->pci, &desc);
	code = s->vdev ? kicks_bind(s, err) : 0;
	return s->vdev && code == 0 ? slot_signals_make(s, err) : code;
}

/* The driver is gone, whatever it had begun. */
static void slot_forget(void *self)
{
	struct slot *s = self;

	if (s->vdev)
		s->virtio->set_status(s->vdev, 0);
	forget_driver(s);
}

/* Kicks that came while the function could not reach memory found nothing to pop. */
static void slot_bus_master(void *self, uint32_t enabled)
{
	struct slot *s = self;

	for (uint32_t i = 0; enabled && s->vdev && i < s->virtio->queue_count(s->vdev); i++)
		s->virtio->notify(s->vdev, i);
}

static int slot_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct slot *s = self;
	int code;

	(void)kind;
	if (phase != MT_RESET_HOLD)
		return 0;
	code = identify(s, err);
	slot_forget(s);
	return code;
}

static const struct mt_state_field ring_fields[] = {
	MT_STATE_VAR(struct ring, size, UINT32_MAX),
	MT_STATE_VAR(struct ring, vector, UINT16_MAX),
	MT_STATE_VAR(struct ring, desc, UINT64_MAX),
	MT_STATE_VAR(struct ring, driver, UINT64_MAX),
	MT_STATE_VAR(struct ring, device, UINT64_MAX),
};
static const struct mt_state_table ring_table = MT_STATE_TABLE(struct ring, ring_fields);

static const struct mt_state_field slot_fields[] = {
	MT_STATE_VAR(struct slot, isr, ISR_RING | ISR_CONFIG),
	MT_STATE_VAR(struct slot, config_vector, UINT16_MAX),
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

static int vector_refuse(uint32_t vector, const char *field, struct mt_state_in *in, const struct mt_state_reader *r)
{
	return vector < VECTORS || vector == NO_VECTOR ? 0 : r->refuse(in, field, "is none of the function's vectors");
}

static int vectors_check(const struct slot *s, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = vector_refuse(s->config_vector, "config_vector", in, r);

	for (uint32_t i = 0; !code && i < MT_VIRTIO_QUEUES_MAX; i++)
		code = vector_refuse(s->rings[i].vector, "rings", in, r);
	return code;
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
	if (!code)
		code = vectors_check(s, in, r);
	for (uint32_t i = 0; !code && i < SOURCES; i++)
		slot_signal_bind(s, i);
	s->loaded = !code;
	pthread_mutex_unlock(&s->lock);
	return code;
}

static const struct mt_state_class state_class = {
	.schema = "virtio-pci", .version = 1, .version_min = 1, .save = slot_save, .load = slot_load,
};

static void slot_unrealize(void *self)
{
	struct slot *s = self;

	s->vdev = NULL;
}

static void slot_destroy(void *self)
{
	struct slot *s = self;

	slot_signals_close(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static const struct mt_virtio_bus slot_bus = { .interrupt = slot_interrupt };

static const struct mt_pci_function slot_function = {
	.bus_master = slot_bus_master,
	.reset = slot_forget,
	.cap_read = slot_cap_read,
	.cap_write = slot_cap_write,
};

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
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_PCI_FUNCTION, &slot_function })
