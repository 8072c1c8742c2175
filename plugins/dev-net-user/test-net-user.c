/* SPDX-License-Identifier: MIT */
/* dev-net-user against a fake card: addresses, DHCP, ARP, UDP out and in over loopback, forwards, errors. */
#include <check.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <util/error.h>

#include "user.h"

static struct fake *f;
static const uint8_t guest_mac[6] = { 0x02, 1, 2, 3, 4, 5 };
static uint8_t reply[65536];

static void setup(void)
{
	f = fake_new("dev-net-user");
	fake_net_connect(f);
}

static void teardown(void)
{
	fake_free(f);
}

static void begin(void)
{
	fake_start(f);
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 1), 0);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value & 0xffff);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

static void checksum(uint8_t *at, uint32_t len, uint32_t field)
{
	uint32_t sum = 0;

	put16(at + field, 0);
	for (uint32_t i = 0; i < len; i += 2)
		sum += get16(at + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(at + field, ~sum & 0xffff);
}

/* An Ethernet frame with IPv4 and UDP around `data`. */
static void send_udp(uint32_t from, uint32_t to, uint32_t from_port, uint32_t to_port, const void *data, uint32_t len)
{
	uint8_t frame[2000] = { 0 }, *ip = frame + 14, *udp = ip + 20;

	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, 28 + len);
	ip[8] = 64;
	ip[9] = 17;
	put32(ip + 12, from);
	put32(ip + 16, to);
	checksum(ip, 20, 10);
	put16(udp, from_port);
	put16(udp + 2, to_port);
	put16(udp + 4, 8 + len);
	memcpy(udp + 8, data, len);
	ck_assert_int_eq(fake_net_front_send(f, 0, frame, 42 + len), 1);
}

/* The next frame, up to two seconds later; 0: none. */
static uint32_t next_frame(void)
{
	uint32_t waiting;
	int64_t len = 0;

	for (int i = 0; i < 200 && !len; i++) {
		fake_pump(f);
		len = fake_net_front_receive(f, 0, reply, sizeof(reply), &waiting);
		ck_assert_int_ge(len, 0);
		if (!len) {
			poll(NULL, 0, 10);
			fake_advance(f, 10000000);
		}
	}
	return (uint32_t)len;
}

/* The next frame of UDP; its payload. */
static const uint8_t *next_udp(uint32_t *from_port, uint32_t *len)
{
	uint32_t got;

	while ((got = next_frame())) {
		if (got >= 42 && get16(reply + 12) == 0x0800 && reply[14 + 9] == 17) {
			*from_port = get16(reply + 34);
			*len = get16(reply + 38) - 8u;
			return reply + 42;
		}
	}
	return NULL;
}

static void dhcp(uint8_t type)
{
	uint8_t m[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };

	memcpy(m + 28, guest_mac, 6);
	put32(m + 236, 0x63825363);
	m[240] = 53, m[241] = 1, m[242] = type, m[243] = 255;
	send_udp(0, 0xffffffff, 68, 67, m, sizeof(m));
}

static const uint8_t *option(const uint8_t *m, uint32_t len, uint8_t code)
{
	for (uint32_t at = 240; at + 1 < len && m[at] != 255; at += m[at] ? 2u + m[at + 1] : 1) {
		if (m[at] == code)
			return m + at + 2;
	}
	return NULL;
}

START_TEST(discover_and_offer)
{
	const uint8_t *m;
	uint32_t port, len;

	fake_prop(f, "network", "192.168.77.0/24");
	fake_prop(f, "hostname", "tenon");
	begin();
	dhcp(1);
	m = next_udp(&port, &len);
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(port, 67);
	ck_assert_uint_eq(m[0], 2);
	ck_assert_uint_eq(get32(m + 4), 0x12345678);
	ck_assert_uint_eq(get32(m + 16), 0xc0a84d0f);                  /* .15 */
	ck_assert_ptr_nonnull(option(m, len, 53));
	ck_assert_uint_eq(option(m, len, 53)[0], 2);                   /* an offer */
	ck_assert_uint_eq(get32(option(m, len, 3)), 0xc0a84d02);       /* router */
	ck_assert_uint_eq(get32(option(m, len, 6)), 0xc0a84d03);       /* name server */
	ck_assert_uint_eq(get32(option(m, len, 1)), 0xffffff00);
	ck_assert_int_eq(memcmp(option(m, len, 12), "tenon", 5), 0);
	ck_assert_uint_ge(fake_net_receivables(f), 1);
}
END_TEST

START_TEST(arp)
{
	uint8_t frame[60] = { 0 }, *a = frame + 14;

	begin();
	memset(frame, 0xff, 6);
	memcpy(frame + 6, guest_mac, 6);
	put16(frame + 12, 0x0806);
	put16(a, 1), put16(a + 2, 0x0800), a[4] = 6, a[5] = 4, put16(a + 6, 1);
	memcpy(a + 8, guest_mac, 6);
	put32(a + 14, 0x0a00020f);
	put32(a + 24, 0x0a000202);
	ck_assert_int_eq(fake_net_front_send(f, 0, frame, sizeof(frame)), 1);
	do
		ck_assert_uint_gt(next_frame(), 0);
	while (get16(reply + 12) != 0x0806);
	ck_assert_uint_eq(get16(reply + 20), 2);                       /* a reply */
	ck_assert_uint_eq(get32(reply + 28), 0x0a000202);
	ck_assert_int_eq(memcmp(reply, guest_mac, 6), 0);
}
END_TEST

/* Against the plain sum of 16-bit words, at every length and place. */
START_TEST(checksums)
{
	uint8_t frame[12 + 80], want[80];
	struct mt_net_header h = { .flags = MT_NET_HDR_NEEDS_CSUM };

	for (uint32_t len = 20; len < 80; len++) {
		memcpy(frame, &h, 12);
		for (uint32_t i = 0; i < 80; i++)
			frame[12 + i] = want[i] = (uint8_t)(i < len ? i * 41 + len : 0);
		h.csum_start = (uint16_t)(len % 9 * 2);
		h.csum_offset = 2;
		memcpy(frame, &h, 12);
		memset(frame + 12 + h.csum_start + 2, 0, 2);
		checksum(want + h.csum_start, len - h.csum_start, 2);
		ck_assert_int_eq(user_frame_finish(frame, 12 + len), 1);
		ck_assert_int_eq(memcmp(frame + 12, want, len), 0);
	}
	h.csum_start = 60;
	memcpy(frame, &h, 12);
	ck_assert_int_eq(user_frame_finish(frame, 12 + 60), 0);       /* behind the end */
	ck_assert_int_eq(user_frame_finish(frame, 12 + 63), 0);
	ck_assert_int_eq(user_frame_finish(frame, 11), 0);
	h.csum_start = 0xffff, h.csum_offset = 0xffff;
	memcpy(frame, &h, 12);
	ck_assert_int_eq(user_frame_finish(frame, 12 + 60), 0);
	h.flags = 0, h.gso_type = MT_NET_GSO_UDP;                      /* was not offered */
	memcpy(frame, &h, 12);
	ck_assert_int_eq(user_frame_finish(frame, 12 + 60), 0);
}
END_TEST

static int udp_server(uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

/* The address `host` of the guest's network is the host's loopback. */
START_TEST(udp_out_and_back)
{
	struct sockaddr_in peer;
	socklen_t peer_bytes = sizeof(peer);
	const uint8_t *data;
	uint32_t from, len;
	uint16_t port;
	char text[100];
	int fd = udp_server(&port);
	struct pollfd ready = { fd, POLLIN, 0 };

	begin();
	dhcp(1);
	ck_assert_ptr_nonnull(next_udp(&from, &len));
	send_udp(0x0a00020f, 0x0a000202, 5000, port, "over there", 10);
	ck_assert_int_eq(poll(&ready, 1, 5000), 1);
	ck_assert_int_eq(recvfrom(fd, text, sizeof(text), 0, (struct sockaddr *)&peer, &peer_bytes), 10);
	ck_assert_int_eq(memcmp(text, "over there", 10), 0);
	ck_assert_int_eq(sendto(fd, "and back", 8, 0, (struct sockaddr *)&peer, peer_bytes), 8);
	data = next_udp(&from, &len);
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(from, port);
	ck_assert_uint_eq(len, 8);
	ck_assert_int_eq(memcmp(data, "and back", 8), 0);
	close(fd);
}
END_TEST

START_TEST(forward_in)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const uint8_t *data;
	uint32_t from, len;
	uint16_t port;
	char text[64];
	int fd = udp_server(&port), client = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	close(fd);                                                     /* a port that is free now */
	snprintf(text, sizeof(text), "udp::%u-:7", port);
	fake_prop(f, "hostfwd", text);
	begin();
	dhcp(1);
	ck_assert_ptr_nonnull(next_udp(&from, &len));
	in.sin_port = htons(port);
	ck_assert_int_eq(sendto(client, "knock", 5, 0, (struct sockaddr *)&in, sizeof(in)), 5);
	/* it may ask for our hardware address first */
	send_udp(0x0a00020f, 0x0a000202, 1, 1, "", 0);
	data = next_udp(&from, &len);
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(get16(reply + 36), 7);
	ck_assert_uint_eq(len, 5);
	ck_assert_int_eq(memcmp(data, "knock", 5), 0);
	close(client);
}
END_TEST

START_TEST(port_in_use)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct mt_error err = { .size = sizeof(err) };
	socklen_t bytes = sizeof(in);
	char text[64];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&in, &bytes), 0);
	snprintf(text, sizeof(text), "tcp:127.0.0.1:%u-:22", ntohs(in.sin_port));
	fake_prop(f, "hostfwd", text);
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_EBUSY);
	ck_assert_str_eq(err.culprit, "hostfwd");
	ck_assert_ptr_nonnull(strstr(err.message, text));
	close(fd);
}
END_TEST

static const struct { const char *text, *host, *guest; uint32_t udp; } forwards[] = {
	{ "tcp:127.0.0.1:2222-:22", "127.0.0.1:2222", "0.0.0.0:22", 0 },
	{ "tcp::80-10.0.2.15:8080", "127.0.0.1:80", "10.0.2.15:8080", 0 },
	{ "udp:0.0.0.0:53-:53", "0.0.0.0:53", "0.0.0.0:53", 1 },
	{ "tcp:[::1]:5000-[fec0::15]:22", "::1:5000", "fec0::15:22", 0 },
};

static void end_text(const struct sockaddr_storage *s, char *text)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)s;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)s;
	int six = s->ss_family == AF_INET6;

	inet_ntop(s->ss_family, six ? (const void *)&in6->sin6_addr : &in->sin_addr, text, 64);
	sprintf(text + strlen(text), ":%u", ntohs(six ? in6->sin6_port : in->sin_port));
}

START_TEST(forwards_are_read)
{
	struct user_forward fwd;
	char text[80];

	ck_assert_ptr_null(user_forward_parse(forwards[_i].text, &fwd));
	ck_assert_uint_eq(fwd.udp, forwards[_i].udp);
	end_text(&fwd.host, text);
	ck_assert_str_eq(text, forwards[_i].host);
	end_text(&fwd.guest, text);
	ck_assert_str_eq(text, forwards[_i].guest);
}
END_TEST

static const char *const wrong_forwards[] = {
	"", "tcp", "tcp:", "sctp::1-:1", "tcp:1:2", "tcp::0-:22", "tcp::65536-:22", "tcp::22", "tcp::22-", "tcp::22-22",
	"tcp::22-:22x", "tcp:[::1:22-:22", "tcp:127.0.0.1:22-[fec0::1]:22", "tcp:localhost:22-:22", "tcp::-1-:22",
	"tcp:[127.0.0.1]:22-[::1]:22",
	"tcp:11111111111111111111111111111111111111111111111111111111111111111111111111111111:22-:22",
};

START_TEST(wrong_forwards_are_refused)
{
	struct user_forward fwd;

	ck_assert_ptr_nonnull(user_forward_parse(wrong_forwards[_i], &fwd));
}
END_TEST

static const struct { const char *prop, *value; } wrong_addresses[] = {
	{ "network", "10.0.2.0" }, { "network", "10.0.2.0/33" }, { "network", "10.0.2/24" }, { "host", "10.0.3.2" },
	{ "dns", "x" }, { "dhcp-start", "10.0.2.2" }, { "network6", "fec0::/48" }, { "host6", "fec1::2" },
	{ "dns6", "1.2.3.4" },
};

START_TEST(wrong_addresses_are_refused)
{
	struct mt_error err = { .size = sizeof(err) };

	fake_prop(f, wrong_addresses[_i].prop, wrong_addresses[_i].value);
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_str_ne(err.culprit, "");
}
END_TEST

/* Nothing is kept, and a network that comes to life from that works. */
START_TEST(state)
{
	struct mt_error err = { .size = sizeof(err) };
	struct fake_state *saved;
	uint32_t port, len;

	begin();
	dhcp(1);
	saved = fake_save(f);
	ck_assert_uint_eq(fake_state_fields(saved), 0);
	fake_free(f);
	setup();
	ck_assert_int_eq(fake_load(f, saved, &err), 0);
	fake_state_free(saved);
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 1), 0);
	dhcp(1);
	ck_assert_ptr_nonnull(next_udp(&port, &len));
}
END_TEST

/* Frames of a hostile guest, and one that fetches nothing: bounded, and no crash. */
START_TEST(hostile_frames)
{
	uint64_t state = 4711;
	uint8_t frame[300];
	uint32_t waiting;

	begin();
	for (int i = 0; i < 3000; i++) {
		uint32_t len = (uint32_t)(fake_random(&state) % sizeof(frame));

		for (uint32_t k = 0; k < sizeof(frame); k++)
			frame[k] = (uint8_t)fake_random(&state);
		put16(frame + 12, i % 4 == 0 ? 0x0806 : i % 4 == 1 ? 0x86dd : 0x0800);
		frame[14] = i % 4 == 1 ? 0x60 : 0x45;
		/* to addresses of its own network only: nothing leaves the host */
		put32(frame + 14 + 16, 0x0a000202);
		frame[14 + 9] = (uint8_t)(i % 3 ? 1 : 2);
		fake_net_front_send(f, 0, frame, len);
		dhcp(1);
	}
	ck_assert_uint_le(fake_net_receivables(f), 1);
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 0), 0);               /* the card stops: what waited is dropped */
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 1), 0);
	ck_assert_int_eq(fake_net_front_receive(f, 0, reply, sizeof(reply), &waiting), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-user");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, discover_and_offer);
	tcase_add_test(tc, arp);
	tcase_add_test(tc, checksums);
	tcase_add_test(tc, udp_out_and_back);
	tcase_add_test(tc, forward_in);
	tcase_add_test(tc, port_in_use);
	tcase_add_loop_test(tc, forwards_are_read, 0, (int)(sizeof(forwards) / sizeof(forwards[0])));
	tcase_add_loop_test(tc, wrong_forwards_are_refused, 0,
			    (int)(sizeof(wrong_forwards) / sizeof(wrong_forwards[0])));
	tcase_add_loop_test(tc, wrong_addresses_are_refused, 0,
			    (int)(sizeof(wrong_addresses) / sizeof(wrong_addresses[0])));
	tcase_add_test(tc, state);
	tcase_add_test(tc, hostile_frames);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
