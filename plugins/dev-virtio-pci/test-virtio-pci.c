/* SPDX-License-Identifier: MIT */
/* The registers of a virtio slot on PCI on the fake host, with a transport service that notes what it was told. */
#include <check.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <mortise/draft/virtio.h>
#include <stdlib.h>
#include <string.h>

#define NO_VECTOR 0xffffu

static struct fake *f;
static const void *(*real_get)(const struct mt_host *host, const char *id);
static int empty;
static struct {
	uint64_t driver_features, desc, driver, device, config, withheld;
	uint32_t queue, size, enabled, notified, kicks, config_offset, resets;
	uint8_t status;
	uint64_t bound[4];                 /* offsets of kicks by eventfd */
	uint32_t bindings, bound_width, bound_match, bind_fails;
} told;

static struct mt_vdev *t_device(struct mt_inst *bus)
{
	return empty ? NULL : (struct mt_vdev *)(void *)bus;
}

static uint32_t t_device_id(struct mt_vdev *v) { (void)v; return 2; }
static uint64_t t_features(struct mt_vdev *v) { (void)v; return 0x123456789abcdef0ull; }
static void t_set_features(struct mt_vdev *v, uint64_t bits) { (void)v; told.driver_features = bits; }
static uint8_t t_status(struct mt_vdev *v) { (void)v; return told.status; }
static uint32_t t_generation(struct mt_vdev *v) { (void)v; return 0x107; }
static uint32_t t_queue_count(struct mt_vdev *v) { (void)v; return 2; }
static uint32_t t_queue_max(struct mt_vdev *v, uint32_t queue) { (void)v; return queue < 2 ? 256 : 0; }
static uint32_t t_enabled(struct mt_vdev *v, uint32_t queue) { (void)v; return told.enabled >> (queue & 31) & 1; }
static void t_withhold(struct mt_vdev *v, uint64_t bits) { (void)v; told.withheld = bits; }

static void t_notify(struct mt_vdev *v, uint32_t queue)
{
	(void)v;
	told.notified = queue;
	told.kicks++;
}

static void t_set_status(struct mt_vdev *v, uint8_t status)
{
	(void)v;
	told.status = status;
	told.resets += status == 0;
}

static uint32_t t_config_read(struct mt_vdev *v, uint32_t offset, uint32_t width, uint64_t *value)
{
	(void)v;
	*value = offset + 0x100 * width;
	return offset < 60 ? MT_BUS_OK : MT_BUS_DEVICE;
}

static uint32_t t_config_write(struct mt_vdev *v, uint32_t offset, uint32_t width, uint64_t value)
{
	(void)v, (void)width;
	told.config_offset = offset;
	told.config = value;
	return MT_BUS_OK;
}

static void t_queue_set(struct mt_vdev *v, uint32_t queue, uint32_t size, uint64_t desc, uint64_t driver,
			uint64_t device)
{
	(void)v;
	told.queue = queue;
	told.size = size;
	told.desc = desc;
	told.driver = driver;
	told.device = device;
}

static void t_enable(struct mt_vdev *v, uint32_t queue, uint32_t enable)
{
	(void)v;
	if (queue < 32)
		told.enabled = (told.enabled & ~(1u << queue)) | enable << queue;
}

static int t_kick(struct mt_vdev *v, uint32_t queue, struct mt_region *region, uint64_t offset, uint32_t width,
		  uint32_t match, struct mt_error *err)
{
	(void)v, (void)err;
	ck_assert_ptr_nonnull(region);
	ck_assert_uint_eq(queue, told.bindings);
	if (told.bind_fails == queue + 1)
		return MT_ENOMEM;
	told.bound[told.bindings++] = offset;
	told.bound_width = width;
	told.bound_match = match;
	return 0;
}

static const struct mt_virtio_transport transport = {
	.device = t_device, .device_id = t_device_id, .features = t_features, .set_driver_features = t_set_features,
	.status = t_status, .set_status = t_set_status, .config_generation = t_generation,
	.config_read = t_config_read, .config_write = t_config_write, .queue_count = t_queue_count,
	.queue_max = t_queue_max, .queue_set = t_queue_set, .queue_enable = t_enable, .queue_enabled = t_enabled,
	.notify = t_notify, .withhold = t_withhold, .kick_by_eventfd = t_kick,
};

static const void *get(const struct mt_host *h, const char *id)
{
	return strcmp(id, MT_IFACE_VIRTIO_TRANSPORT) == 0 ? &transport : real_get(h, id);
}

/* Not started. */
static struct fake *make(void)
{
	struct fake *made = fake_new("dev-virtio-pci");
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(made);

	real_get = host->get_interface;
	host->get_interface = get;
	fake_prop(made, "bus", "pci");
	return made;
}

static void start_with(const char *property)
{
	memset(&told, 0, sizeof(told));
	f = make();
	if (property)
		fake_prop(f, property, "off");
	fake_start(f);
	fake_pci_master(f, 1);
}

static void start(void)
{
	start_with(NULL);
}

static void setup(void)
{
	empty = 0;
	start();
}

static void teardown(void)
{
	fake_free(f);
}

/* Where the capability of this type says that its part begins. */
static uint32_t part(uint32_t type, uint32_t *len)
{
	for (uint32_t i = 0; fake_pci_cap(f, i); i++) {
		if (fake_pci_cap_read(f, i, 1, 1) != type)
			continue;
		ck_assert_uint_eq(fake_pci_cap(f, i)->id, 9);
		ck_assert_uint_eq(fake_pci_cap_read(f, i, 0, 1), fake_pci_cap(f, i)->len_bytes + 2);
		ck_assert_uint_eq(fake_pci_cap_read(f, i, 2, 1), 0);
		if (len)
			*len = fake_pci_cap_read(f, i, 10, 4);
		return fake_pci_cap_read(f, i, 6, 4);
	}
	ck_abort_msg("no capability of type %u", type);
}

START_TEST(identity)
{
	uint32_t len;

	ck_assert_uint_eq(fake_pci(f)->vendor_id, 0x1af4);
	ck_assert_uint_eq(fake_pci(f)->device_id, 0x1042);
	ck_assert_uint_eq(fake_pci(f)->class_code, 0x010000);
	ck_assert_uint_eq(part(1, &len), 0);
	ck_assert_uint_eq(len, 0x38);
	ck_assert_uint_eq(part(3, &len) & 3, 0);
	ck_assert_uint_ge(len, 1);
	ck_assert_uint_ge(part(2, &len), 0x38);
	ck_assert_uint_eq(len, 256);
	ck_assert_uint_eq(fake_pci_cap_read(f, 1, 14, 4), 4);  /* notify_off_multiplier */
	ck_assert_uint_eq(fake_get(f, part(4, NULL) + 2, 2), 0x202);
	fake_put(f, part(4, NULL) + 0x20, 1, 1);
	ck_assert_uint_eq(told.config_offset, 0x20);
}
END_TEST

START_TEST(empty_slot)
{
	teardown();
	empty = 1;
	start();
	ck_assert_uint_eq(fake_pci(f)->vendor_id, 0xffff);
	for (uint64_t at = 0; at < 0x4000; at += 4) {
		fake_put(f, at, 4, 1);
		ck_assert_uint_eq(fake_get(f, at, 4), 0);
	}
	fake_pci_reset(f);
}
END_TEST

START_TEST(features_by_halves)
{
	ck_assert_uint_eq(fake_get(f, 0x04, 4), 0x9abcdef0);
	fake_put(f, 0x00, 4, 1);
	ck_assert_uint_eq(fake_get(f, 0x00, 4), 1);
	ck_assert_uint_eq(fake_get(f, 0x04, 4), 0x12345678);
	fake_put(f, 0x00, 4, 2);
	ck_assert_uint_eq(fake_get(f, 0x04, 4), 0);
	fake_put(f, 0x08, 4, 1);
	fake_put(f, 0x0c, 4, 0xaaaa);
	fake_put(f, 0x08, 4, 0);
	fake_put(f, 0x0c, 4, 0xbbbb);
	ck_assert_uint_eq(told.driver_features, 0xaaaa0000bbbbull);
	ck_assert_uint_eq(fake_get(f, 0x0c, 4), 0xbbbb);
	fake_put(f, 0x08, 4, 9);
	fake_put(f, 0x0c, 4, 1);
	ck_assert_uint_eq(told.driver_features, 0xaaaa0000bbbbull);
}
END_TEST

START_TEST(status)
{
	fake_put(f, 0x14, 1, 3);
	ck_assert_uint_eq(fake_get(f, 0x14, 1), 3);
	ck_assert_uint_eq(fake_get(f, 0x15, 1), 7);
	ck_assert_uint_eq(fake_get(f, 0x12, 2), 2);
	ck_assert_uint_eq(fake_get(f, 0x14, 2), 0x703);
	fake_put(f, 0x14, 4, 0x0f);            /* not by its own width */
	ck_assert_uint_eq(told.status, 3);
}
END_TEST

START_TEST(queues)
{
	static const uint32_t at[] = { 0x20, 0x24, 0x28, 0x2c, 0x30, 0x34 };

	fake_put(f, 0x16, 2, 1);
	ck_assert_uint_eq(fake_get(f, 0x18, 2), 256);
	ck_assert_uint_eq(fake_get(f, 0x1e, 2), 1);
	fake_put(f, 0x18, 2, 128);
	for (uint32_t i = 0; i < 6; i++)
		fake_put(f, at[i], 4, 0x10 + i);
	fake_put(f, 0x16, 2, 0);               /* each queue keeps its own */
	fake_put(f, 0x20, 4, 0x999);
	fake_put(f, 0x16, 2, 1);
	ck_assert_uint_eq(fake_get(f, 0x20, 8), 0x1100000010ull);
	ck_assert_uint_eq(fake_get(f, 0x2c, 4), 0x13);
	fake_put(f, 0x1c, 2, 1);
	ck_assert_uint_eq(told.queue, 1);
	ck_assert_uint_eq(told.size, 128);
	ck_assert_uint_eq(told.desc, 0x1100000010ull);
	ck_assert_uint_eq(told.driver, 0x1300000012ull);
	ck_assert_uint_eq(told.device, 0x1500000014ull);
	ck_assert_uint_eq(fake_get(f, 0x1c, 2), 1);
	fake_put(f, 0x1c, 2, 0);
	ck_assert_uint_eq(fake_get(f, 0x1c, 2), 1);
	fake_put(f, part(2, NULL) + 4 * 1, 2, 1);
	ck_assert_uint_eq(told.notified, 1);
	fake_put(f, part(2, NULL) + 4 * 63, 4, 0);
	ck_assert_uint_eq(told.notified, 63);
	fake_put(f, 0x16, 2, 0xffff);          /* no such queue */
	for (uint32_t reg = 0x18; reg < 0x38; reg += 2) {
		ck_assert_uint_eq(fake_get(f, reg, 2), 0);
		fake_put(f, reg, 2, 1);
	}
	fake_put(f, 0x16, 2, 0);
	ck_assert_uint_eq(fake_get(f, 0x20, 4), 0x999);
}
END_TEST

START_TEST(pin)
{
	const struct mt_virtio_bus *bus = fake_role(f, MT_IFACE_VIRTIO_BUS);
	uint32_t isr = part(3, NULL);

	bus->interrupt(fake_self(f), 0);
	bus->interrupt(fake_self(f), MT_VIRTIO_CONFIG);
	ck_assert_uint_eq(fake_pci_intx(f), 1);
	ck_assert_uint_eq(fake_get(f, isr, 1), 3);     /* reading it takes it */
	ck_assert_uint_eq(fake_pci_intx(f), 0);
	ck_assert_uint_eq(fake_get(f, isr, 1), 0);
	bus->interrupt(fake_self(f), 1);
	ck_assert_uint_eq(fake_pci_intx(f), 1);
	fake_put(f, 0x14, 1, 0);
	ck_assert_uint_eq(fake_pci_intx(f), 0);
	bus->interrupt(fake_self(f), 1);
	told.resets = 0;
	fake_pci_reset(f);
	ck_assert_uint_eq(told.resets, 1);
	ck_assert_uint_eq(fake_pci_intx(f), 0);
}
END_TEST

START_TEST(messages)
{
	const struct mt_virtio_bus *bus = fake_role(f, MT_IFACE_VIRTIO_BUS);

	ck_assert_uint_eq(fake_pci(f)->vectors, 65);
	ck_assert_uint_eq(fake_get(f, 0x10, 2), NO_VECTOR);
	fake_pci_msix(f, 1);
	bus->interrupt(fake_self(f), 0);               /* has no vector */
	fake_put(f, 0x10, 2, 64);
	ck_assert_uint_eq(fake_get(f, 0x10, 2), 64);
	fake_put(f, 0x16, 2, 1);
	fake_put(f, 0x1a, 2, 5);
	ck_assert_uint_eq(fake_get(f, 0x1a, 2), 5);
	fake_put(f, 0x16, 2, 0);
	ck_assert_uint_eq(fake_get(f, 0x1a, 2), NO_VECTOR);
	fake_put(f, 0x1a, 2, 65);                      /* no such vector */
	ck_assert_uint_eq(fake_get(f, 0x1a, 2), NO_VECTOR);
	bus->interrupt(fake_self(f), 1);
	bus->interrupt(fake_self(f), MT_VIRTIO_CONFIG);
	bus->interrupt(fake_self(f), MT_VIRTIO_CONFIG);
	ck_assert_uint_eq(fake_pci_messages(f, 5), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 64), 2);
	ck_assert_uint_eq(fake_pci_messages(f, 0), 0);
	ck_assert_uint_eq(fake_get(f, part(3, NULL), 1), 2);   /* of queues the vector tells */
	fake_put(f, 0x14, 1, 0);
	ck_assert_uint_eq(fake_get(f, 0x10, 2), NO_VECTOR);
}
END_TEST

START_TEST(rings_to_choose_from)
{
	static const struct { const char *property; uint64_t feature; } offers[] = {
		{ "packed", MT_VIRTIO_F_RING_PACKED },
		{ "indirect", MT_VIRTIO_F_INDIRECT_DESC },
		{ "event-index", MT_VIRTIO_F_EVENT_IDX },
	};

	ck_assert_uint_eq(told.withheld, 0);
	for (uint32_t i = 0; i < 3; i++) {
		teardown();
		start_with(offers[i].property);
		ck_assert_uint_eq(told.withheld, offers[i].feature);
	}
}
END_TEST

/* What was kicked in vain while the function was no bus master is looked at when it is one. */
START_TEST(mastering)
{
	told.kicks = 0;
	fake_pci_master(f, 0);
	ck_assert_uint_eq(told.kicks, 0);
	fake_pci_master(f, 1);
	ck_assert_uint_eq(told.kicks, 2);
}
END_TEST

/* Where the driver writes 16 bits for each queue (4.1.4.4), once and not at each reset. */
START_TEST(kicks_by_eventfd)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_uint_eq(told.bindings, 0);
	fake_free(f);
	f = make();
	fake_prop(f, "kicks", "thread");
	fake_start(f);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(told.bindings, 2);
	ck_assert_uint_eq(told.bound[0], part(2, NULL));
	ck_assert_uint_eq(told.bound[1], part(2, NULL) + 4);
	ck_assert_uint_eq(told.bound_width, 2);
	ck_assert_uint_eq(told.bound_match, 0);
	/* a machine that lacks a descriptor does not start */
	fake_free(f);
	told.bindings = 0;
	told.bind_fails = 2;
	f = make();
	fake_prop(f, "kicks", "thread");
	ck_assert(fake_create(f, &err) == 0 && fake_realize(f, &err) == 0);
	ck_assert_int_eq(fake_reset(f, MT_RESET_COLD, &err), MT_ENOMEM);
}
END_TEST

/* The same messages by eventfds; what was signalled before a reset is forgotten; a load says all again. */
START_TEST(messages_by_eventfd)
{
	const struct mt_virtio_bus *bus;
	struct fake_state *saved;
	struct mt_error err = { .size = sizeof(err) };

	fake_free(f);
	f = make();
	fake_prop(f, "messages", "eventfd");
	fake_start(f);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	fake_pci_master(f, 1);
	fake_pci_msix(f, 1);
	bus = fake_role(f, MT_IFACE_VIRTIO_BUS);
	bus->interrupt(fake_self(f), 1);               /* has no vector */
	fake_put(f, 0x10, 2, 64);
	fake_put(f, 0x16, 2, 1);
	fake_put(f, 0x1a, 2, 5);
	bus->interrupt(fake_self(f), 1);
	bus->interrupt(fake_self(f), MT_VIRTIO_CONFIG);
	ck_assert_uint_eq(fake_pci_messages(f, 5), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 64), 1);
	fake_put(f, 0x1a, 2, 6);
	bus->interrupt(fake_self(f), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 5), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 6), 1);
	fake_put(f, 0x16, 2, 64);                      /* no such queue */
	fake_put(f, 0x1a, 2, 7);
	bus->interrupt(fake_self(f), MT_VIRTIO_CONFIG);
	ck_assert_uint_eq(fake_pci_messages(f, 64), 2);
	saved = fake_save(f);
	bus->interrupt(fake_self(f), 1);
	fake_put(f, 0x14, 1, 0);
	fake_put(f, 0x16, 2, 1);
	fake_put(f, 0x1a, 2, 6);
	ck_assert_uint_eq(fake_pci_messages(f, 6), 1);
	/* the pin is as ever */
	fake_pci_msix(f, 0);
	bus->interrupt(fake_self(f), 1);
	ck_assert_uint_eq(fake_pci_intx(f), 1);
	/* whether anything waited is not known after a load */
	fake_free(f);
	f = make();
	fake_prop(f, "messages", "eventfd");
	ck_assert_int_eq(fake_load(f, saved, &err), 0);
	fake_pci_msix(f, 1);
	ck_assert_uint_eq(fake_pci_messages(f, 6), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 64), 1);
	ck_assert_uint_eq(fake_pci_messages(f, 0), 0);
	fake_state_free(saved);
}
END_TEST

/* Registers through configuration space, 4.1.4.9 */
START_TEST(window)
{
	uint32_t cap = 4;

	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 1, 1), 5);
	fake_pci_cap_write(f, cap, 2, 1, 0);
	fake_pci_cap_write(f, cap, 6, 4, 0x14);
	fake_pci_cap_write(f, cap, 10, 4, 1);
	fake_pci_cap_write(f, cap, 14, 1, 3);
	ck_assert_uint_eq(told.status, 3);
	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 14, 4), 3);
	fake_pci_cap_write(f, cap, 6, 4, 0x04);
	fake_pci_cap_write(f, cap, 10, 4, 4);
	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 14, 4), 0x9abcdef0);
	/* outside, misaligned, of no legal width, of another BAR: nothing */
	fake_pci_cap_write(f, cap, 6, 4, 0x4000);
	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 14, 4), 0);
	fake_pci_cap_write(f, cap, 6, 4, 0x06);
	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 14, 4), 0);
	fake_pci_cap_write(f, cap, 6, 4, 0);
	fake_pci_cap_write(f, cap, 10, 4, 0xffffffff);
	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 14, 4), 0);
	fake_pci_cap_write(f, cap, 10, 4, 0);
	ck_assert_uint_eq(fake_pci_cap_read(f, cap, 14, 4), 0);
	fake_pci_cap_write(f, cap, 10, 4, 4);
	fake_pci_cap_write(f, cap, 2, 1, 4);
	fake_pci_cap_write(f, cap, 14, 4, 1);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0);
}
END_TEST

static int load_changed(const char *field, uint64_t value)
{
	struct fake_state *state = fake_save(f);
	struct fake *fresh = make();
	uint32_t at = fake_state_find(state, field);
	int code;

	ck_assert_msg(at < fake_state_fields(state), "%s", field);
	fake_state_set(state, at, 0, value);
	code = fake_load(fresh, state, NULL);
	fake_free(fresh);
	fake_state_free(state);
	return code;
}

/* fake_state_check tries every field, and 64 rings have many of a kind. */
static void comes_back(void)
{
	struct fake_state *state = fake_save(f), *again;
	struct fake *fresh = make();
	const char *what;

	ck_assert_int_eq(fake_load(fresh, state, NULL), 0);
	again = fake_save(fresh);
	what = fake_state_differs(state, again);
	ck_assert_msg(!what, "%s", what);
	fake_free(fresh);
	fake_state_free(state);
	fake_state_free(again);
}

START_TEST(state)
{
	fake_put(f, 0x10, 2, 64);
	fake_put(f, 0x16, 2, 1);
	fake_put(f, 0x1a, 2, 5);
	fake_put(f, 0x20, 4, 0x1234000);
	comes_back();
	/* a vector above the table of the function, which the chip never holds */
	ck_assert_int_eq(load_changed("config_vector", 3), 0);
	ck_assert_int_eq(load_changed("config_vector", NO_VECTOR), 0);
	ck_assert_int_lt(load_changed("config_vector", 65), 0);
	ck_assert_int_eq(load_changed("rings[1]/vector", 64), 0);
	ck_assert_int_lt(load_changed("rings[1]/vector", 65), 0);
	ck_assert_int_lt(load_changed("rings[1]/vector", NO_VECTOR - 1), 0);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 99, getenv("MORTISE_LONG") ? 1000000 : 50000);
}
END_TEST

int main(void)
{
	CHECK_RUN("virtio-pci", setup, teardown, identity, empty_slot, features_by_halves, status, queues, pin, messages,
		  rings_to_choose_from, mastering, kicks_by_eventfd, messages_by_eventfd, window, state, fuzz);
}
