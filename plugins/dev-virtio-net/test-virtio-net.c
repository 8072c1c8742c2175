/* SPDX-License-Identifier: MIT */
/* dev-virtio-net on the fake host: both directions, flow control, parts, filter, control queue, hostile requests. */
#include <check.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <stdlib.h>
#include <string.h>

#include "nic.h"

#define RX 0u
#define TX 1u
#define CTRL 2u

static struct fake *f;
static uint8_t frame[9000];

static void begin(uint64_t features)
{
	fake_start(f);
	fake_virtio_start(f, features);
}

static void setup(void)
{
	f = fake_new("dev-virtio-net");
	fake_prop(f, "bus", "bus1");
	fake_prop(f, "net", "net0");
	fake_net_room(f, UINT32_MAX);
	fake_net_info(f, &(struct mt_net_info){ .size = sizeof(struct mt_net_info), .flags = MT_NET_LINK, .queues = 2 });
	for (uint32_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 7 + i / 256);
	frame[0] = 2;
}

static void teardown(void)
{
	fake_virtio_stop(f);
	fake_free(f);
}

static void transmit(uint32_t len)
{
	uint8_t request[sizeof(frame) + 12] = { 0 };

	memcpy(request + 12, frame, len);
	fake_vq_offer(f, TX, request, len + 12, 0);
}

static void config(uint32_t offset, void *to, uint32_t len)
{
	const struct mt_virtio_device *d = fake_role(f, MT_IFACE_VIRTIO_DEVICE);

	d->config_read(fake_self(f), offset, to, len);
}

static uint8_t command(uint8_t class_, uint8_t cmd, const void *data, uint32_t len)
{
	uint8_t request[1024] = { class_, cmd };
	const uint8_t *ack;
	uint32_t written;

	memcpy(request + 2, data, len);
	fake_vq_offer(f, CTRL, request, len + 2, 1);
	fake_vq_kick(f, CTRL);
	ck_assert_uint_eq(fake_vq_used(f, CTRL, &ack, &written), 1);
	ck_assert_uint_eq(written, 1);
	return *ack;
}

START_TEST(sends)
{
	const uint8_t *sent, *in;
	uint32_t len, written;

	begin(0);
	transmit(60);
	transmit(1514);
	fake_vq_kick(f, TX);
	sent = fake_net_sent(f, &len);
	ck_assert_uint_eq(len, 60);
	ck_assert_int_eq(memcmp(sent, frame, 60), 0);
	sent = fake_net_sent(f, &len);
	ck_assert_uint_eq(len, 1514);
	ck_assert_int_eq(memcmp(sent, frame, 1514), 0);
	ck_assert_ptr_null(fake_net_sent(f, &len));
	ck_assert_uint_eq(fake_vq_used(f, TX, &in, &written), 1);
	ck_assert_uint_eq(fake_vq_used(f, TX, &in, &written), 1);
	ck_assert_uint_eq(fake_vq_signals(f, TX), 1);
}
END_TEST

START_TEST(waits_for_room)
{
	uint32_t len, total = 0;

	fake_net_room(f, 3);
	begin(0);
	for (uint32_t i = 0; i < 200; i++)
		transmit(60 + i);
	fake_vq_kick(f, TX);
	while (fake_net_sent(f, &len))
		ck_assert_uint_eq(len, 60 + total++);
	ck_assert_uint_eq(total, 3);
	ck_assert_uint_le(fake_vq_held(f, TX), NIC_BATCH);
	fake_net_room(f, 100);
	while (fake_net_sent(f, &len))
		ck_assert_uint_eq(len, 60 + total++);
	ck_assert_uint_eq(total, 103);
	fake_net_room(f, UINT32_MAX);
	while (fake_net_sent(f, &len))
		ck_assert_uint_eq(len, 60 + total++);
	ck_assert_uint_eq(total, 200);
	ck_assert_uint_eq(fake_vq_held(f, TX), 0);
}
END_TEST

/* A cable that leads nowhere takes everything. */
START_TEST(sends_into_nothing)
{
	const uint8_t *in;
	uint32_t written;
	uint16_t status;

	begin(F_STATUS);
	config(6, &status, 2);
	ck_assert_uint_eq(status, NIC_LINK_UP);
	fake_net_gone(f);
	config(6, &status, 2);
	ck_assert_uint_eq(status, 0);
	ck_assert_uint_eq(fake_config_changes(f), 1);
	transmit(60);
	fake_vq_kick(f, TX);
	ck_assert_uint_eq(fake_vq_used(f, TX, &in, &written), 1);
}
END_TEST

START_TEST(receives)
{
	const uint8_t *in;
	uint32_t written;

	begin(0);
	for (int i = 0; i < 20; i++)
		fake_vq_offer(f, RX, NULL, 0, 1526);
	fake_vq_kick(f, RX);
	fake_net_give(f, frame, 60);
	fake_net_give(f, frame, 1514);
	ck_assert_uint_eq(fake_vq_held(f, RX), 0);     /* an idle card holds no buffers */
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 1);
	ck_assert_uint_eq(written, 72);
	ck_assert_uint_eq(in[10], 1);                  /* num_buffers */
	ck_assert_int_eq(memcmp(in + 12, frame, 60), 0);
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 1);
	ck_assert_uint_eq(written, 1526);
	ck_assert_int_eq(memcmp(in + 12, frame, 1514), 0);
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 0);
}
END_TEST

START_TEST(waits_for_buffers)
{
	const uint8_t *in;
	uint32_t written, got = 0;

	begin(0);
	for (uint32_t i = 0; i < 300; i++)
		fake_net_give(f, frame, 60 + i);
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 0);
	for (uint32_t i = 0; i < 300; i++) {
		fake_vq_offer(f, RX, NULL, 0, 1526);
		if (i % 3 == 0)
			fake_vq_kick(f, RX);
	}
	fake_vq_kick(f, RX);
	while (fake_vq_used(f, RX, &in, &written))
		ck_assert_uint_eq(written, 72 + got++);
	ck_assert_uint_eq(got, 300);
}
END_TEST

START_TEST(receives_in_parts)
{
	const uint8_t *in;
	uint32_t written, at = 0;

	begin(F_MRG_RXBUF);
	ck_assert_uint_eq(fake_net_setup(f)->flags, MT_NET_PARTS);
	for (int i = 0; i < 4; i++)
		fake_vq_offer(f, RX, NULL, 0, 1000);
	fake_vq_kick(f, RX);
	fake_net_give(f, frame, 9000);                 /* takes ten */
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 0);
	ck_assert_uint_eq(fake_vq_held(f, RX), 0);
	for (int i = 0; i < 40; i++)
		fake_vq_offer(f, RX, NULL, 0, 1000);
	fake_vq_kick(f, RX);
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t skip = i ? 0 : 12;

		ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 1);
		if (!i)
			ck_assert_uint_eq(in[10], 10);
		ck_assert_uint_eq(written, i < 9 ? 1000 : 12);
		ck_assert_int_eq(memcmp(in + skip, frame + at, written - skip), 0);
		at += written - skip;
	}
	ck_assert_uint_eq(at, 9000);
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 0);
}
END_TEST

START_TEST(filters)
{
	static const uint8_t own[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
	static const uint8_t group[6] = { 0x33, 0x33, 0, 0, 0, 1 };
	uint8_t table[4 + 4 + 6] = { 0 }, off = 0;
	const uint8_t *in;
	uint32_t written, kept = 0;

	fake_prop(f, "mac", "02:11:22:33:44:55");
	begin(F_CTRL_VQ | F_CTRL_RX);
	for (int i = 0; i < 60; i++)
		fake_vq_offer(f, RX, NULL, 0, 1526);
	ck_assert_uint_eq(command(0, 0, &off, 1), 0);          /* not promiscuous */
	table[4] = 1;                                          /* no unicast, one multicast address */
	memcpy(table + 8, group, 6);
	ck_assert_uint_eq(command(1, 0, table, sizeof(table)), 0);
	for (uint32_t i = 0; i < 10; i++) {                    /* all of them in one go, some for others */
		memcpy(frame, i % 3 == 0 ? own : i % 3 == 1 ? group : (const uint8_t *)"\x02other", 6);
		frame[20] = (uint8_t)i;
		fake_net_give(f, frame, 100 + i);
	}
	fake_pump(f);
	for (uint32_t i = 0; i < 10; i++) {
		if (i % 3 == 2)
			continue;
		ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 1);
		ck_assert_uint_eq(written, 112 + i);
		ck_assert_uint_eq(in[12 + 20], i);
		ck_assert_uint_eq(in[10], 1);
		kept++;
	}
	ck_assert_uint_eq(kept, 7);
	ck_assert_uint_eq(fake_vq_used(f, RX, &in, &written), 0);
}
END_TEST

START_TEST(commands)
{
	static const uint8_t mac[6] = { 0x02, 9, 8, 7, 6, 5 };
	uint8_t read[6], big[1000] = { 0xff, 0xff, 0xff, 0x7f };
	uint16_t pairs = 2;

	fake_prop(f, "queues", "2");
	begin(F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC_ADDR);
	ck_assert_uint_eq(command(1, 1, mac, 6), 0);
	config(0, read, 6);
	ck_assert_int_eq(memcmp(read, mac, 6), 0);
	ck_assert_uint_eq(command(1, 1, mac, 5), 1);           /* short */
	ck_assert_uint_eq(command(1, 0, big, 100), 1);         /* a table longer than its bytes */
	ck_assert_uint_eq(command(0, 6, mac, 1), 1);           /* no such mode */
	ck_assert_uint_eq(command(4, 0, &pairs, 2), 1);        /* was not agreed on */
	ck_assert_uint_eq(command(77, 0, "", 0), 1);
	ck_assert_ptr_null(fake_broken(f));
}
END_TEST

/* With MQ the control queue follows the last pair. */
START_TEST(pairs)
{
	uint8_t request[4] = { 4, 0, 2, 0 };
	const uint8_t *ack;
	uint32_t written;

	fake_prop(f, "queues", "2");
	begin(F_CTRL_VQ | F_MQ);
	ck_assert_uint_eq(fake_net_setup(f)->queues, 1);
	for (uint8_t want = 0; want < 4; want++) {
		request[2] = want;
		fake_vq_offer(f, 4, request, 4, 1);
		fake_vq_kick(f, 4);
		ck_assert_uint_eq(fake_vq_used(f, 4, &ack, &written), 1);
		ck_assert_uint_eq(*ack, want == 0 || want > 2);
	}
	ck_assert_uint_eq(fake_net_setup(f)->queues, 2);
}
END_TEST

START_TEST(offloads)
{
	static const uint64_t less = F_GUEST_CSUM;
	uint8_t header[12 + 60] = { 0 };
	const uint8_t *sent;
	uint32_t len;

	fake_net_info(f, &(struct mt_net_info){ .size = sizeof(struct mt_net_info), .flags = MT_NET_LINK,
						.offloads = MT_NET_SEND_CSUM | MT_NET_SEND_TSO4 | MT_NET_RECEIVE_CSUM |
							    MT_NET_RECEIVE_TSO4 });
	begin(F_CSUM | F_HOST_TSO4 | F_GUEST_CSUM | F_GUEST_TSO4 | F_CTRL_VQ | F_CTRL_GUEST_OFFLOADS);
	ck_assert_uint_eq(fake_net_setup(f)->flags, MT_NET_HEADER);
	ck_assert_uint_eq(fake_net_setup(f)->offloads,
			  MT_NET_SEND_CSUM | MT_NET_SEND_TSO4 | MT_NET_RECEIVE_CSUM | MT_NET_RECEIVE_TSO4);
	header[0] = MT_NET_HDR_NEEDS_CSUM;
	fake_vq_offer(f, TX, header, sizeof(header), 0);
	fake_vq_kick(f, TX);
	sent = fake_net_sent(f, &len);
	ck_assert_uint_eq(len, 72);                            /* the header goes along */
	ck_assert_uint_eq(sent[0], MT_NET_HDR_NEEDS_CSUM);
	ck_assert_uint_eq(command(5, 0, &less, 8), 0);
	ck_assert_uint_eq(fake_net_setup(f)->offloads, MT_NET_SEND_CSUM | MT_NET_SEND_TSO4 | MT_NET_RECEIVE_CSUM);
}
END_TEST

START_TEST(hardware_address)
{
	uint8_t a[6], b[6];

	fake_start(f);
	config(0, a, 6);
	ck_assert_uint_eq(a[0] & 3, 2);                        /* local, and of one card */
	fake_free(f);
	setup();
	fake_net_info(f, &(struct mt_net_info){ .size = sizeof(struct mt_net_info), .flags = MT_NET_MAC,
						.mac = { 2, 1, 1, 1, 1, 1 } });
	fake_start(f);
	config(0, b, 6);
	ck_assert_uint_eq(b[5], 1);
	fake_free(f);
	setup();
	fake_prop(f, "mac", "01:00:5e:00:00:01");
	ck_assert_int_eq(fake_create(f, NULL), 0);
	ck_assert_int_eq(fake_realize(f, NULL), MT_EINVAL);
}
END_TEST

static struct fake *make(void)
{
	struct fake *other = fake_new("dev-virtio-net");

	fake_prop(other, "bus", "bus1");
	fake_prop(other, "net", "net0");
	fake_prop(other, "queues", "2");
	fake_net_info(other, &(struct mt_net_info){ .size = sizeof(struct mt_net_info), .queues = 2 });
	return other;
}

START_TEST(state)
{
	static const uint8_t mac[6] = { 0x02, 9, 8, 7, 6, 5 };
	uint8_t table[4 + 6 + 4 + 12] = { 1 }, on = 1;

	fake_free(f);
	f = make();
	begin(F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC_ADDR);
	table[10] = 2;
	memcpy(table + 4, mac, 6);
	ck_assert_uint_eq(command(1, 0, table, sizeof(table)), 0);
	ck_assert_uint_eq(command(1, 1, mac, 6), 0);
	ck_assert_uint_eq(command(0, 1, &on, 1), 0);
	fake_state_check(f, make);
}
END_TEST

/* As the kernel does it: load, start, resume. */
START_TEST(goes_on_from_a_state)
{
	static const uint64_t features = F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC_ADDR | F_MQ;
	static const uint8_t mac[6] = { 0x02, 9, 8, 7, 6, 5 };
	uint8_t two[4] = { 4, 0, 2, 0 }, set_mac[8] = { 1, 1 }, read[6];
	const struct mt_state_class *class_;
	struct fake_state *saved;

	fake_free(f);
	f = make();
	begin(features);
	memcpy(set_mac + 2, mac, 6);
	fake_vq_offer(f, 4, two, 4, 1);
	fake_vq_offer(f, 4, set_mac, 8, 1);
	fake_vq_kick(f, 4);
	saved = fake_save(f);
	fake_virtio_stop(f);
	fake_free(f);
	f = make();
	ck_assert_int_eq(fake_create(f, NULL), 0);
	ck_assert_int_eq(fake_realize(f, NULL), 0);
	class_ = fake_role(f, MT_IFACE_STATE);
	ck_assert_int_eq(class_->load(fake_self(f), fake_state_in(saved), &fake_state_reader, 1, NULL), 0);
	fake_virtio_start(f, features);
	ck_assert_uint_eq(fake_net_setup(f)->queues, 2);
	config(0, read, 6);
	ck_assert_int_eq(memcmp(read, mac, 6), 0);
	fake_state_free(saved);
}
END_TEST

/* What the back end did not take is in the ring again, and goes out afterwards. */
START_TEST(quiesce_holds_nothing)
{
	uint32_t len, total = 0;

	fake_net_room(f, 1);
	begin(0);
	for (uint32_t i = 0; i < 5; i++)
		transmit(60 + i);
	fake_vq_kick(f, TX);
	ck_assert_uint_gt(fake_vq_held(f, TX), 0);
	fake_state_free(fake_save(f));
	ck_assert_uint_eq(fake_vq_held(f, TX), 0);
	fake_net_room(f, UINT32_MAX);
	fake_pump(f);
	while (fake_net_sent(f, &len))
		ck_assert_uint_eq(len, 60 + total++);
	ck_assert_uint_eq(total, 5);
}
END_TEST

START_TEST(hostile)
{
	begin(0);
	switch (_i) {
	case 0:
		fake_vq_offer(f, TX, frame, 11, 0);
		fake_vq_kick(f, TX);
		break;
	case 1:
		fake_vq_offer(f, RX, NULL, 0, 12);
		fake_net_give(f, frame, 60);
		break;
	case 2:
		fake_vq_offer(f, TX, NULL, 0, 100);
		fake_vq_kick(f, TX);
		break;
	}
	ck_assert_ptr_nonnull(fake_broken(f));
}
END_TEST

static uint64_t seed_of(int i)
{
	return 900 + (uint64_t)i;
}

/* Requests of random shape on every queue, frames and room at random. */
START_TEST(fuzz)
{
	uint64_t state = seed_of(_i);
	uint32_t rounds = getenv("MORTISE_LONG") ? 200000 : 3000;

	begin(_i & 1 ? F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC_ADDR : 0);
	for (uint32_t i = 0; i < rounds; i++) {
		uint64_t r = fake_random(&state);
		uint8_t bytes[300];
		const uint8_t *in;
		uint32_t len;

		for (uint32_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)(fake_random(&state) % (k < 2 ? 6 : 256));
		fake_vq_offer(f, r % 3, bytes, (uint32_t)(r >> 8 & 0xff), (uint32_t)(r >> 16 & 0x7ff));
		if (r & 0x1000000)
			fake_vq_kick(f, (uint32_t)(r >> 32) % 4);
		if (r & 0x2000000)
			fake_net_give(f, bytes, 60);
		while (fake_net_sent(f, &len) || fake_vq_used(f, r % 3, &in, &len))
			;
		if (fake_broken(f)) {
			fake_virtio_stop(f);
			fake_virtio_start(f, _i & 1 ? F_MRG_RXBUF | F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC_ADDR : 0);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio-net");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sends);
	tcase_add_test(tc, waits_for_room);
	tcase_add_test(tc, sends_into_nothing);
	tcase_add_test(tc, receives);
	tcase_add_test(tc, waits_for_buffers);
	tcase_add_test(tc, receives_in_parts);
	tcase_add_test(tc, filters);
	tcase_add_test(tc, commands);
	tcase_add_test(tc, pairs);
	tcase_add_test(tc, offloads);
	tcase_add_test(tc, hardware_address);
	tcase_add_test(tc, state);
	tcase_add_test(tc, goes_on_from_a_state);
	tcase_add_test(tc, quiesce_holds_nothing);
	tcase_add_loop_test(tc, hostile, 0, 3);
	tcase_add_loop_test(tc, fuzz, 0, 2);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
