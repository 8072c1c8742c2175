/* SPDX-License-Identifier: MIT */
/*
 * dev-net-tap in a network namespace of the test's own: the host's kernel answers ARP, sends datagrams and segments.
 * Skips where the host allows neither namespaces nor /dev/net/tun.
 */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fake/fake.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <util/error.h>

#include "tap.h"

static struct fake *f;
static uint8_t reply[70000];
static const uint8_t mac[6] = { 0x02, 1, 2, 3, 4, 5 };

static void write_file(const char *path, const char *format, unsigned value)
{
	char text[64];
	int fd = open(path, O_WRONLY | O_CLOEXEC), len = snprintf(text, sizeof(text), format, value);

	if (fd >= 0) {
		if (write(fd, text, (size_t)len) < 0)
			perror(path);
		close(fd);
	}
}

/* False: the host does not allow it. */
static int namespace_enter(void)
{
	unsigned uid = getuid(), gid = getgid();
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return 0;
	write_file("/proc/self/setgroups", "deny", 0);
	write_file("/proc/self/uid_map", "0 %u 1", uid);
	write_file("/proc/self/gid_map", "0 %u 1", gid);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return 0;
	close(fd);
	return 1;
}

static void interface_up(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, "10.9.0.1", &in->sin_addr);
	ck_assert_int_eq(ioctl(fd, SIOCSIFADDR, &ifr), 0);
	inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
	ck_assert_int_eq(ioctl(fd, SIOCSIFNETMASK, &ifr), 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	ck_assert_int_eq(ioctl(fd, SIOCSIFFLAGS, &ifr), 0);
	close(fd);
}

static void setup(void)
{
	f = fake_new("dev-net-tap");
	fake_net_connect(f);
}

static void teardown(void)
{
	fake_free(f);
}

/* `name`: of the interface; those that outlive a test are not used by another. */
static void begin_at(const char *name, uint32_t flags, uint32_t offloads)
{
	fake_prop(f, "ifname", name);
	fake_start(f);
	interface_up(name);
	ck_assert_int_eq(fake_net_agree(f, flags, offloads, 1), 0);
}

static void begin(uint32_t flags, uint32_t offloads)
{
	begin_at("mt0", flags, offloads);
}

/* The next frame of this type (behind `header` bytes), up to five seconds later; its length, 0: none. */
static uint32_t next_frame(uint32_t header, uint32_t type)
{
	uint32_t waiting;
	int64_t len;

	for (int i = 0; i < 500; i++) {
		fake_pump(f);
		while ((len = fake_net_front_receive(f, 0, reply, sizeof(reply), &waiting)) > 0) {
			if (len >= header + 14 && reply[header + 12] == type >> 8 && reply[header + 13] == (type & 0xff))
				return (uint32_t)len;
		}
		ck_assert_int_eq(len, 0);
		poll(NULL, 0, 10);
	}
	return 0;
}

/* Who has 10.9.0.1? Or, as an answer: 10.9.0.2 is at our address. */
static void send_arp(uint32_t header, uint8_t operation)
{
	static const uint8_t arp[] = { 0, 1, 8, 0, 6, 4, 0 };
	uint8_t frame[80] = { 0 }, *at = frame + header;

	memset(at, 0xff, 6);
	memcpy(at + 6, mac, 6);
	at[12] = 8, at[13] = 6;
	memcpy(at + 14, arp, sizeof(arp));
	at[21] = operation;
	memcpy(at + 22, mac, 6);
	memcpy(at + 28, "\x0a\x09\x00\x02", 4);
	memcpy(at + 38, "\x0a\x09\x00\x01", 4);
	ck_assert_int_eq(fake_net_front_send(f, 0, frame, header + 60), 1);
}

START_TEST(the_kernel_answers)
{
	uint32_t header = _i ? TAP_HEADER_BYTES : 0;

	begin(_i ? MT_NET_HEADER : 0, 0);
	send_arp(header, 1);
	ck_assert_uint_ge(next_frame(header, 0x0806), header + 42);
	ck_assert_uint_eq(reply[header + 21], 2);
	ck_assert_int_eq(memcmp(reply + header, mac, 6), 0);
	ck_assert_int_eq(memcmp(reply + header + 28, "\x0a\x09\x00\x01", 4), 0);
}
END_TEST

static void host_sends(int fd, uint32_t len)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(9) };
	static uint8_t data[1400];

	for (uint32_t i = 0; i < len; i++)
		data[i] = (uint8_t)(i * 3);
	inet_pton(AF_INET, "10.9.0.2", &in.sin_addr);
	ck_assert_int_eq(sendto(fd, data, len, 0, (struct sockaddr *)&in, sizeof(in)), len);
}

/* A frame that is longer than the buffer it meets waits for a longer one. */
START_TEST(no_frame_is_cut)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t small[100];
	uint32_t waiting = 0;
	int64_t got = 0;

	begin(0, 0);
	send_arp(0, 1);
	ck_assert_uint_gt(next_frame(0, 0x0806), 0);
	host_sends(fd, 1400);
	for (int i = 0; i < 500 && !waiting; i++) {
		fake_pump(f);
		got = fake_net_front_receive(f, 0, small, sizeof(small), &waiting);
		if (!got)
			poll(NULL, 0, 10);
	}
	ck_assert_uint_eq(waiting, 1);
	ck_assert_int_eq(got, 0);
	ck_assert_uint_eq(next_frame(0, 0x0800), 1400 + 42);
	for (uint32_t i = 0; i < 1400; i++)
		ck_assert_uint_eq(reply[42 + i], (uint8_t)(i * 3));
	close(fd);
}
END_TEST

/* With the offload agreed on the kernel leaves the checksum to us, and says so in the header. */
START_TEST(checksums_are_left_to_the_guest)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	begin(MT_NET_HEADER, MT_NET_RECEIVE_CSUM);
	send_arp(TAP_HEADER_BYTES, 1);
	ck_assert_uint_gt(next_frame(TAP_HEADER_BYTES, 0x0806), 0);
	host_sends(fd, 100);
	ck_assert_uint_eq(next_frame(TAP_HEADER_BYTES, 0x0800), 142 + TAP_HEADER_BYTES);
	ck_assert_uint_eq(reply[0] & MT_NET_HDR_NEEDS_CSUM, MT_NET_HDR_NEEDS_CSUM);
	ck_assert_uint_eq(reply[6] | reply[7] << 8, 34);       /* csum_start: behind Ethernet and IP */
	close(fd);
}
END_TEST

START_TEST(queues)
{
	fake_prop(f, "queues", "4");
	begin(0, 0);
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 4), 0);
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 5), MT_ENOTSUP);
	ck_assert_int_eq(fake_net_agree(f, 0, 0, 1), 0);
	send_arp(0, 1);
	ck_assert_uint_gt(next_frame(0, 0x0806), 0);
}
END_TEST

static int persistent_tap(const char *name, short flags)
{
	struct ifreq ifr = { .ifr_flags = flags };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ck_assert_int_eq(ioctl(fd, TUNSETIFF, &ifr), 0);
	ck_assert_int_eq(ioctl(fd, TUNSETPERSIST, 1), 0);
	return fd;
}

START_TEST(attaches_to_one_that_is_there)
{
	close(persistent_tap("mt1", IFF_TAP | IFF_NO_PI));
	begin_at("mt1", 0, 0);
	send_arp(0, 1);
	ck_assert_uint_gt(next_frame(0, 0x0806), 0);
}
END_TEST

static void refused(const char *hint)
{
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_str_eq(err.culprit, "ifname");
	ck_assert_ptr_nonnull(strstr(err.hint, hint));
}

START_TEST(errors_name_the_remedy)
{
	static const char *const names[] = { "mt2", "mt3", "much-too-long-a-name" };
	int fd = -1;

	fake_prop(f, "ifname", names[_i]);
	if (_i == 0)
		fd = persistent_tap(names[_i], IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	if (_i == 1)
		close(persistent_tap(names[_i], IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE));
	refused(_i == 0 ? "opened" : _i == 1 ? "queues" : "");
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net-tap");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	if (!namespace_enter()) {
		puts("no network namespace with /dev/net/tun can be made here");
		return 77;
	}
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, the_kernel_answers, 0, 2);
	tcase_add_test(tc, no_frame_is_cut);
	tcase_add_test(tc, checksums_are_left_to_the_guest);
	tcase_add_test(tc, queues);
	tcase_add_test(tc, attaches_to_one_that_is_there);
	tcase_add_loop_test(tc, errors_name_the_remedy, 0, 3);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
