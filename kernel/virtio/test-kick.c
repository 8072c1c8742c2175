/* SPDX-License-Identifier: MIT */
/* Kicks by eventfd: a write signals, the loop of the device serves the queue, and all of it goes with the device. */
#include <mortise/draft/mmio.h>

#include "kernel/machine/test-services.h"
#include "kernel/virtio/vdev.h"

static uint32_t kicked[2], transport_writes;       /* atomic */
static pthread_t served_by;

static void describe(void *self, struct mt_virtio_desc *out)
{
	(void)self;
	out->device_id = 2;
	out->queue_count = 2;
	out->queue_max[0] = out->queue_max[1] = 8;
}

static void config_read(void *self, uint32_t offset, void *buf, uint32_t len)
{
	(void)self, (void)offset, (void)buf, (void)len;
}

static void config_write(void *self, uint32_t offset, const void *buf, uint32_t len)
{
	(void)self, (void)offset, (void)buf, (void)len;
}

static void dev_start(void *self, uint64_t features) { (void)self, (void)features; }
static void dev_stop(void *self) { (void)self; }

static void notify(void *self, uint32_t queue)
{
	(void)self;
	served_by = pthread_self();
	__atomic_fetch_add(&kicked[queue], 1, __ATOMIC_SEQ_CST);
}

static void interrupt(void *self, uint32_t source) { (void)self, (void)source; }

static const struct mt_virtio_device device_role = { describe, config_read, config_write, dev_start, dev_stop, notify };
static const struct mt_virtio_bus bus_role = { interrupt };
const struct bench_role bench_roles[] = {
	{ "dev", MT_IFACE_VIRTIO_DEVICE, &device_role }, { "slot", MT_IFACE_VIRTIO_BUS, &bus_role }, { 0 },
};

static uint32_t reg_read(void *self, const struct mt_access *access, uint64_t *value)
{
	(void)self, (void)access;
	*value = 0;
	return MT_BUS_OK;
}

static uint32_t reg_write(void *self, const struct mt_access *access, uint64_t value)
{
	(void)self, (void)access, (void)value;
	transport_writes++;
	return MT_BUS_OK;
}

static const struct mt_region_ops reg_ops = { reg_read, reg_write };

static struct machine *m;
static struct mt_inst *slot, *dev;
static struct mt_vdev *vdev;
static struct mt_region *region;
static const struct mt_virtio_transport *const host = &virtio_transport_host;

static void setup(void)
{
	struct mt_region_desc desc = { .size = sizeof(desc), .name = "regs", .len_bytes = 64, .width_min = 1,
				       .width_max = 4, .ops = &reg_ops };

	m = bench_create();
	slot = bench_inst(m, "slot", "slot", MT_CLASS_PARALLEL, NULL, NULL);
	dev = bench_inst(m, "dev", "dev", 0, NULL, "bus", "slot", NULL);
	slot->refs_in = slot->refs_in ? slot->refs_in : g_ptr_array_new();
	g_ptr_array_add(slot->refs_in, dev);
	region = bus_mmio_host.region_add(slot, &desc, NULL);
	ck_assert_int_eq(bus_region_place(region, 0x1000, NULL), 0);
	vdev = host->device(slot);
	ck_assert_ptr_nonnull(vdev);
	transport_writes = kicked[0] = kicked[1] = 0;
}

static void teardown(void)
{
	bench_destroy(m);
}

static void write_at(uint64_t gpa, uint32_t width, uint64_t value)
{
	static const struct mt_access from = { .vcpu = 0 };
	const struct mt_flat_view *view = space_view_get(m->system);

	ck_assert_uint_eq(bus_write(view_find(view, gpa), gpa, width, &from, value), MT_BUS_OK);
	space_view_put(m->system, view);
}

static void driver_starts(void)
{
	host->set_status(vdev, MT_VIRTIO_ACKNOWLEDGE | MT_VIRTIO_DRIVER);
	host->set_driver_features(vdev, MT_VIRTIO_F_VERSION_1);
	host->set_status(vdev, MT_VIRTIO_ACKNOWLEDGE | MT_VIRTIO_DRIVER | MT_VIRTIO_FEATURES_OK);
	host->queue_set(vdev, 1, 8, 0x10000, 0x11000, 0x12000);
	host->queue_enable(vdev, 1, 1);
	host->set_status(vdev, MT_VIRTIO_ACKNOWLEDGE | MT_VIRTIO_DRIVER | MT_VIRTIO_FEATURES_OK | MT_VIRTIO_DRIVER_OK);
	ck_assert_uint_eq(host->status(vdev) & MT_VIRTIO_DRIVER_OK, MT_VIRTIO_DRIVER_OK);
}

START_TEST(the_loop_serves)
{
	ck_assert_int_eq(host->kick_by_eventfd(vdev, 0, region, 0x10, 4, 1, NULL), 0);
	ck_assert_int_eq(host->kick_by_eventfd(vdev, 1, region, 0x10, 4, 1, NULL), 0);
	/* before the driver is there it is heard, and means nothing */
	write_at(0x1010, 4, 1);
	loop_sync(m->loop);
	driver_starts();
	write_at(0x1010, 4, 1);
	ck_assert(bench_wait(&kicked[1], 1));
	ck_assert(!pthread_equal(served_by, pthread_self()));
	/* a queue that is not enabled, and none at all, which is the transport's again */
	write_at(0x1010, 4, 0);
	write_at(0x1010, 4, 7);
	loop_sync(m->loop);
	ck_assert_uint_eq(kicked[0], 0);
	ck_assert_uint_eq(transport_writes, 1);
}
END_TEST

START_TEST(each_once)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_int_eq(host->kick_by_eventfd(vdev, 1, region, 0x14, 2, 0, &err), 0);
	ck_assert_int_eq(host->kick_by_eventfd(vdev, 1, region, 0x14, 2, 0, &err), MT_EBUSY);
	ck_assert_int_eq(host->kick_by_eventfd(vdev, 0, region, 0x40, 2, 0, &err), MT_ERANGE);
	driver_starts();
	write_at(0x1014, 2, 99);
	ck_assert(bench_wait(&kicked[1], 1));
	ck_assert_uint_eq(transport_writes, 0);
	/* the device goes, the transport stays */
	inst_release_all(dev);
	write_at(0x1014, 2, 1);
	ck_assert_uint_eq(transport_writes, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("kick");
	TCase *tc = tcase_create("kick");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_loop_serves);
	tcase_add_test(tc, each_once);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
