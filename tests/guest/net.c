/* SPDX-License-Identifier: MIT */
/*
 * For net.py, in the guest: an address by DHCP, then TCP and UDP with the host behind the user network, both ways, each
 * byte checked. Prints markers as the scripts of the initramfs do. Ports come on the kernel's command line.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOST "10.0.2.2"
#define CHUNK 65536u

static uint8_t buf[CHUNK], want[CHUNK];

static void mark(const char *name, int ok, const char *why)
{
	printf("MORTISE-TEST: %s %s %s\n", name, ok ? "ok" : "FAIL", ok ? "" : why);
	fflush(stdout);
	if (!ok)
		exit(1);
}

/* The bytes of a stream: the same generator as in net.py. */
static void pattern(uint8_t *to, uint64_t at, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint64_t n = at + i;

		to[i] = (uint8_t)((n * 167 + (n >> 8) * 13 + (n >> 16) * 7) & 0xff);
	}
}

static uint32_t word(const char *name)
{
	static char line[4096];
	FILE *f = fopen("/proc/cmdline", "r");
	const char *at;

	if (!f || !fgets(line, sizeof(line), f))
		mark("net-cmdline", 0, "no command line");
	fclose(f);
	at = strstr(line, name);
	return at ? (uint32_t)strtoul(at + strlen(name), NULL, 10) : 0;
}

static struct sockaddr_in address(const char *host, uint32_t port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, host, &in.sin_addr);
	return in;
}

static int tcp_connect(const char *name, uint32_t port)
{
	struct sockaddr_in in = address(HOST, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		mark(name, 0, "no connection");
	return fd;
}

static void download(uint32_t port, uint64_t bytes)
{
	int fd = tcp_connect("net-download", port);
	uint64_t at = 0;
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		pattern(want, at, (uint32_t)n);
		if (memcmp(buf, want, (size_t)n))
			mark("net-download", 0, "wrong bytes");
		at += (uint64_t)n;
	}
	close(fd);
	mark("net-download", at == bytes, "wrong length");
}

/* The host answers with the number of right bytes. */
static void upload(uint32_t port, uint64_t bytes)
{
	int fd = tcp_connect("net-upload", port);
	uint64_t at = 0, right = 0;

	while (at < bytes) {
		uint32_t now = bytes - at < CHUNK ? (uint32_t)(bytes - at) : CHUNK;
		ssize_t n;

		pattern(buf, at, now);
		n = write(fd, buf, now);
		if (n <= 0)
			mark("net-upload", 0, "write failed");
		at += (uint64_t)n;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, &right, sizeof(right)) != sizeof(right))
		mark("net-upload", 0, "no answer");
	close(fd);
	mark("net-upload", right == bytes, "wrong bytes arrived");
}

static void udp_echo(uint32_t port)
{
	static const uint32_t sizes[] = { 1, 17, 512, 1400, 1472, 1473, 8000 };
	struct sockaddr_in in = address(HOST, port);
	struct timeval patience = { 5, 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&in, sizeof(in)) < 0)
		mark("net-udp", 0, "no route");
	for (uint32_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		pattern(want, i * 1000, sizes[i]);
		if (write(fd, want, sizes[i]) != (ssize_t)sizes[i] ||
		    read(fd, buf, sizeof(buf)) != (ssize_t)sizes[i] || memcmp(buf, want, sizes[i]))
			mark("net-udp", 0, "a datagram did not come back");
	}
	close(fd);
	mark("net-udp", 1, "");
}

/* One peer, from outside by a forward. */
static void serve(uint32_t port)
{
	struct sockaddr_in in = address("0.0.0.0", port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0), peer;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&in, sizeof(in)) < 0 || listen(fd, 1) < 0)
		mark("net-listen", 0, "no port");
	mark("net-listen", 1, "");
	peer = accept(fd, NULL, NULL);
	while ((n = read(peer, buf, sizeof(buf))) > 0) {
		for (ssize_t at = 0, now; at < n; at += now) {
			now = write(peer, buf + at, (size_t)(n - at));
			if (now <= 0)
				mark("net-served", 0, "write failed");
		}
	}
	close(peer);
	close(fd);
	mark("net-served", 1, "");
}

static const char lease[] = "#!/bin/sh\n"
	"[ \"$1\" = bound ] || exit 0\n"
	"ip addr add $ip/24 dev $interface\n"
	"ip route add default via $router\n"
	"[ \"$ip $router $dns\" = \"10.0.2.15 10.0.2.2 10.0.2.3\" ]\n"
	"echo $? > /tmp/lease\n";

static void dhcp(void)
{
	FILE *f = fopen("/tmp/lease.sh", "w");

	fputs(lease, f);
	fclose(f);
	mark("net-dhcp", system("ip link set eth0 up && chmod +x /tmp/lease.sh &&"
				"udhcpc -i eth0 -n -q -t 10 -s /tmp/lease.sh >/dev/null 2>&1 &&"
				"[ \"$(cat /tmp/lease)\" = 0 ]") == 0, "no lease, or a wrong one");
}

static void http(uint32_t port)
{
	char line[200];

	snprintf(line, sizeof(line), "[ \"$(wget -q -O - http://" HOST ":%u/hello)\" = tenon ]", port);
	mark("net-http", system(line) == 0, "wget got something else");
}

int main(void)
{
	uint64_t bytes = (uint64_t)word("net.kib=") << 10;

	dhcp();
	http(word("net.http="));
	download(word("net.down="), bytes);
	upload(word("net.up="), bytes);
	udp_echo(word("net.udp="));
	if (word("net.serve="))
		serve(word("net.serve="));
	system("grep virtio /proc/interrupts | sed 's/^/#/'");
	return 0;
}
