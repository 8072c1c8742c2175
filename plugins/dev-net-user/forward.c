/* SPDX-License-Identifier: MIT */
/*
 * Forwards of host ports to the guest: PROTOCOL:[ADDRESS]:PORT-[ADDRESS]:PORT. An IPv6 address stands in brackets. The
 * host's side is 127.0.0.1 when it is not given: what listens to the world says so in the file. [main].
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "user.h"

/* Up to the ':' behind an address; the address (may be empty) goes to `address`. NULL: too long, or not closed. */
static const char *address_take(const char *text, char *address, size_t size)
{
	const char *end;
	int bracket = *text == '[';

	text += bracket;
	end = strchr(text, bracket ? ']' : ':');
	if (!end || (size_t)(end - text) >= size || (bracket && end[1] != ':'))
		return NULL;
	memcpy(address, text, (size_t)(end - text));
	address[end - text] = '\0';
	return end + bracket + 1;
}

/* Digits up to `stop`. NULL: no port. */
static const char *port_take(const char *text, char stop, uint16_t *port)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return NULL;
	value = strtoul(text, &end, 10);
	if (value == 0 || value > 65535 || *end != stop)
		return NULL;
	*port = (uint16_t)value;
	return end + (stop != '\0');
}

static const char *end_take(const char *text, char stop, int family, const char *deflt, struct sockaddr_storage *to,
			    socklen_t *to_bytes)
{
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	char address[64];
	uint16_t port;

	memset(to, 0, sizeof(*to));
	text = address_take(text, address, sizeof(address));
	text = text ? port_take(text, stop, &port) : NULL;
	if (!text)
		return NULL;
	if (!*address)
		snprintf(address, sizeof(address), "%s", family == AF_INET6 ? "::" : deflt);
	if (family != AF_INET6 && inet_pton(AF_INET, address, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		*to_bytes = sizeof(*in);
		return text;
	}
	if (family == AF_INET || inet_pton(AF_INET6, address, &in6->sin6_addr) != 1)
		return NULL;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	*to_bytes = sizeof(*in6);
	return text;
}

const char *user_forward_parse(const char *text, struct user_forward *f)
{
	memset(f, 0, sizeof(*f));
	if (strncmp(text, "tcp:", 4) && strncmp(text, "udp:", 4))
		return "a forward begins with tcp: or udp:";
	f->udp = text[0] == 'u';
	text = end_take(text + 4, '-', AF_UNSPEC, "127.0.0.1", &f->host, &f->host_bytes);
	if (!text)
		return "the host's end is ADDRESS:PORT, followed by '-'";
	text = end_take(text, '\0', f->host.ss_family, "0.0.0.0", &f->guest, &f->guest_bytes);
	return text ? NULL : "the guest's end is ADDRESS:PORT, of the host's family";
}

/* libslirp fills in an IPv4 guest without address; for IPv6 the guest chooses it by itself. */
static int guest_known(const struct user_forward *f)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&f->guest;

	return f->guest.ss_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

static int forward_add(struct user *u, const char *text, struct mt_error *err)
{
	struct user_forward f;
	const char *wrong = user_forward_parse(text, &f);
	int flags;

	if (!wrong && !guest_known(&f))
		wrong = "an IPv6 guest is named by its address";
	if (wrong) {
		mt_error_set(err, MT_EINVAL, "hostfwd", "'%s': %s", text, wrong);
		return mt_error_hint(err, "for example tcp:127.0.0.1:2222-:22");
	}
	flags = (f.udp ? SLIRP_HOSTFWD_UDP : 0) | (f.host.ss_family == AF_INET6 ? SLIRP_HOSTFWD_V6ONLY : 0);
	errno = 0;
	if (slirp_add_hostxfwd(u->slirp, (struct sockaddr *)&f.host, f.host_bytes, (struct sockaddr *)&f.guest,
			       f.guest_bytes, flags) < 0)
		return mt_error_set(err, errno == EACCES ? MT_EPERM : MT_EBUSY, "hostfwd",
				    "'%s': the host's port cannot be taken: %s", text,
				    errno ? strerror(errno) : "refused by libslirp");
	return 0;
}

int user_forwards_add(struct user *u, struct mt_error *err)
{
	uint32_t count = u->props->count(u->inst, "hostfwd");

	for (uint32_t i = 0; i < count; i++) {
		int rc = forward_add(u, u->props->get_element(u->inst, "hostfwd", i), err);

		if (rc < 0)
			return rc;
	}
	return 0;
}
