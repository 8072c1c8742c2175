/* SPDX-License-Identifier: MIT */
/* The registers of a virtio slot on the fake host, with a transport service that notes what it was told. */
#include <check.h>
#include <fake/fake.h>
#include <mortise/draft/virtio.h>
#include <stdlib.h>
#include <string.h>

static struct fake *f;
static const void *(*real_get)(const struct mt_host *host, const char *id);
static struct mt_host host;
static int empty;
static struct {
	uint64_t driver_features, desc, driver, device, config, withheld;
	uint32_t queue, size, enabled, notified, config_offset, resets;
	uint8_t status;
	uint32_t bindings;                 /* kicks by eventfd */
} told;

static struct mt_vdev *t_device(struct mt_inst *bus)
{
	return empty ? NULL : (struct mt_vdev *)(void *)bus;
}

static uint32_t t_device_id(struct mt_vdev *v) { (void)v; return 2; }
static uint64_t t_features(struct mt_vdev *v) { (void)v; return 0x123456789abcdef0ull; }
static void t_set_features(struct mt_vdev *v, uint64_t bits) { (void)v; told.driver_features = bits; }
static uint8_t t_status(struct mt_vdev *v) { (void)v; return told.status; }
static uint32_t t_generation(struct mt_vdev *v) { (void)v; return 7; }
static uint32_t t_queue_count(struct mt_vdev *v) { (void)v; return 2; }
static uint32_t t_queue_max(struct mt_vdev *v, uint32_t queue) { (void)v; return queue < 2 ? 256 : 0; }
static uint32_t t_enabled(struct mt_vdev *v, uint32_t queue) { (void)v; return told.enabled >> (queue & 31) & 1; }
static void t_withhold(struct mt_vdev *v, uint64_t features) { (void)v; told.withheld = features; }
static void t_notify(struct mt_vdev *v, uint32_t queue) { (void)v; told.notified = queue; }

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
	ck_assert(queue == told.bindings && offset == 0x50 && width == 4 && match == 1);
	told.bindings++;
	return 0;
}

static const struct mt_virtio_transport transport = {
	t_device, t_device_id, t_features, t_set_features, t_status, t_set_status, t_generation, t_config_read,
	t_config_write, t_queue_count, t_queue_max, t_queue_set, t_enable, t_enabled, t_notify, t_withhold,
	t_kick,
};

static const void *get(const struct mt_host *h, const char *id)
{
	(void)h;
	return strcmp(id, MT_IFACE_VIRTIO_TRANSPORT) == 0 ? &transport : real_get(fake_host(f), id);
}

static const char *kicks = "vcpu";

/* `off` and `off2`: properties to switch off, or NULL. */
static void start(const char *off, const char *off2)
{
	memset(&told, 0, sizeof(told));
	f = fake_new("dev-virtio-mmio");
	host = *fake_host(f);
	real_get = host.get_interface;
	((struct mt_host *)(uintptr_t)fake_host(f))->get_interface = get;
	fake_prop(f, "at", "0x10001000");
	fake_prop(f, "irq", "plic:1");
	fake_prop(f, "kicks", kicks);
	if (off)
		fake_prop(f, off, "off");
	if (off2)
		fake_prop(f, off2, "off");
	fake_start(f);
}

static void setup(void)
{
	empty = 0;
	start(NULL, NULL);
}

static void teardown(void)
{
	((struct mt_host *)(uintptr_t)fake_host(f))->get_interface = real_get;
	fake_free(f);
}

START_TEST(identity)
{
	ck_assert_uint_eq(fake_get(f, 0x000, 4), 0x74726976);
	ck_assert_uint_eq(fake_get(f, 0x004, 4), 2);
	ck_assert_uint_eq(fake_get(f, 0x008, 4), 2);
	ck_assert_uint_eq(fake_get(f, 0x0fc, 4), 7);
	ck_assert_uint_eq(fake_get(f, 0x0b0, 4), 0xffffffff);          /* no shared memory */
	ck_assert_uint_eq(fake_get(f, 0x102, 2), 0x202);
	ck_assert_uint_eq(fake_get(f, 0x000, 1), 0);                   /* 32 bits only */
	fake_put(f, 0x120, 1, 1);
	ck_assert_uint_eq(told.config_offset, 0x20);
	ck_assert_ptr_nonnull(strstr(fake_fdt(f), "virtio,mmio"));
}
END_TEST

START_TEST(empty_slot)
{
	teardown();
	empty = 1;
	start(NULL, NULL);
	ck_assert_uint_eq(fake_get(f, 0x000, 4), 0x74726976);
	ck_assert_uint_eq(fake_get(f, 0x008, 4), 0);
	for (uint64_t at = 0; at < 0x200; at += 4) {
		fake_put(f, at, 4, 1);
		if (at > 0x0c)
			ck_assert_uint_eq(fake_get(f, at, 4), 0);
	}
}
END_TEST

START_TEST(features_by_halves)
{
	ck_assert_uint_eq(fake_get(f, 0x010, 4), 0x9abcdef0);
	fake_put(f, 0x014, 4, 1);
	ck_assert_uint_eq(fake_get(f, 0x010, 4), 0x12345678);
	fake_put(f, 0x014, 4, 2);
	ck_assert_uint_eq(fake_get(f, 0x010, 4), 0);
	fake_put(f, 0x024, 4, 1);
	fake_put(f, 0x020, 4, 0xaaaa);
	fake_put(f, 0x024, 4, 0);
	fake_put(f, 0x020, 4, 0xbbbb);
	ck_assert_uint_eq(told.driver_features, 0xaaaa0000bbbbull);
	fake_put(f, 0x024, 4, 9);
	fake_put(f, 0x020, 4, 1);
	ck_assert_uint_eq(told.driver_features, 0xaaaa0000bbbbull);
}
END_TEST

START_TEST(rings_as_the_file_says)
{
	ck_assert_uint_eq(told.withheld, 0);
	teardown();
	start("packed", "event-index");
	ck_assert_uint_eq(told.withheld, MT_VIRTIO_F_RING_PACKED | MT_VIRTIO_F_EVENT_IDX);
}
END_TEST

START_TEST(queues)
{
	static const uint32_t at[] = { 0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4 };

	fake_put(f, 0x030, 4, 1);
	ck_assert_uint_eq(fake_get(f, 0x034, 4), 256);
	fake_put(f, 0x038, 4, 128);
	for (uint32_t i = 0; i < 6; i++)
		fake_put(f, at[i], 4, 0x10 + i);
	fake_put(f, 0x030, 4, 0);              /* each queue keeps its own */
	fake_put(f, 0x080, 4, 0x999);
	fake_put(f, 0x030, 4, 1);
	fake_put(f, 0x044, 4, 1);
	ck_assert_uint_eq(told.queue, 1);
	ck_assert_uint_eq(told.size, 128);
	ck_assert_uint_eq(told.desc, 0x1100000010ull);
	ck_assert_uint_eq(told.driver, 0x1300000012ull);
	ck_assert_uint_eq(told.device, 0x1500000014ull);
	ck_assert_uint_eq(fake_get(f, 0x044, 4), 1);
	fake_put(f, 0x044, 4, 0);
	ck_assert_uint_eq(fake_get(f, 0x044, 4), 0);
	fake_put(f, 0x050, 4, 5);
	ck_assert_uint_eq(told.notified, 5);
	fake_put(f, 0x030, 4, 0xffffffff);     /* no such queue */
	ck_assert_uint_eq(fake_get(f, 0x034, 4), 0);
	fake_put(f, 0x080, 4, 1);
	fake_put(f, 0x044, 4, 1);
}
END_TEST

START_TEST(interrupts)
{
	const struct mt_virtio_bus *bus = fake_role(f, MT_IFACE_VIRTIO_BUS);

	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	bus->interrupt(fake_self(f), 0);
	bus->interrupt(fake_self(f), MT_VIRTIO_CONFIG);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	ck_assert_uint_eq(fake_get(f, 0x060, 4), 3);
	fake_put(f, 0x064, 4, 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 1);
	fake_put(f, 0x064, 4, 2);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
	bus->interrupt(fake_self(f), 1);
	told.resets = 0;
	fake_put(f, 0x070, 4, 0);              /* a reset lowers the line */
	ck_assert_uint_eq(told.resets, 1);
	ck_assert_uint_eq(fake_line(f, "irq", 0), 0);
}
END_TEST

START_TEST(kicks_by_eventfd)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_uint_eq(told.bindings, 0);
	teardown();
	kicks = "thread";
	start(NULL, NULL);
	kicks = "vcpu";
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	ck_assert_uint_eq(told.bindings, 2);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 99, getenv("MORTISE_LONG") ? 1000000 : 50000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio-mmio");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, identity);
	tcase_add_test(tc, empty_slot);
	tcase_add_test(tc, features_by_halves);
	tcase_add_test(tc, rings_as_the_file_says);
	tcase_add_test(tc, queues);
	tcase_add_test(tc, interrupts);
	tcase_add_test(tc, kicks_by_eventfd);
	tcase_add_test(tc, fuzz);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
