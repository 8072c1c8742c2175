/* SPDX-License-Identifier: MIT */
/* The addresses of the guest's network, from the properties to libslirp's configuration. [main]. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "user.h"

#define SEARCH_MAX 16u

/* "10.0.2.0/24": address and length; 0 or a negative code. */
static int prefix_parse(const char *text, int family, void *address, uint32_t bits_max, uint32_t *bits)
{
	const char *slash = strchr(text, '/');
	char copy[64], *end;
	unsigned long value;

	if (!slash || (size_t)(slash - text) >= sizeof(copy))
		return MT_EINVAL;
	memcpy(copy, text, (size_t)(slash - text));
	copy[slash - text] = '\0';
	value = strtoul(slash + 1, &end, 10);
	if (end == slash + 1 || *end || value > bits_max || inet_pton(family, copy, address) != 1)
		return MT_EINVAL;
	*bits = (uint32_t)value;
	return 0;
}

/* An address of the network: a property, or `host` of it. */
static int address4(struct user *u, const char *prop, uint32_t host, struct in_addr *out, struct mt_error *err)
{
	const char *text = u->props->get_str(u->inst, prop);

	if (!text)
		out->s_addr = u->config.vnetwork.s_addr | htonl(host);
	else if (inet_pton(AF_INET, text, out) != 1)
		return mt_error_set(err, MT_EINVAL, prop, "'%s' is no IPv4 address", text);
	if ((out->s_addr & u->config.vnetmask.s_addr) != u->config.vnetwork.s_addr)
		return mt_error_set(err, MT_ERANGE, prop, "the address is not in the network");
	return 0;
}

static int configure4(struct user *u, struct mt_error *err)
{
	const char *text = u->props->get_str(u->inst, "network");
	SlirpConfig *c = &u->config;
	uint32_t bits;
	int rc;

	c->in_enabled = u->props->get_u64(u->inst, "ipv4");
	if (prefix_parse(text, AF_INET, &c->vnetwork, 29, &bits) < 0 || bits < 8)
		return mt_error_set(err, MT_EINVAL, "network",
				    "'%s' is no IPv4 network (ADDRESS/BITS, 8 to 29 bits)", text);
	c->vnetmask.s_addr = htonl(0xffffffffu << (32 - bits));
	c->vnetwork.s_addr &= c->vnetmask.s_addr;
	rc = address4(u, "host", 2, &c->vhost, err);
	if (rc == 0)
		rc = address4(u, "dns", 3, &c->vnameserver, err);
	if (rc == 0)
		rc = address4(u, "dhcp-start", bits > 27 ? 4 : 15, &c->vdhcp_start, err);
	if (rc == 0 && (c->vhost.s_addr == c->vnameserver.s_addr || c->vhost.s_addr == c->vdhcp_start.s_addr ||
			c->vnameserver.s_addr == c->vdhcp_start.s_addr))
		return mt_error_set(err, MT_EINVAL, "host", "host, dns and dhcp-start are three addresses");
	return rc;
}

static int address6(struct user *u, const char *prop, uint8_t host, struct in6_addr *out, struct mt_error *err)
{
	const char *text = u->props->get_str(u->inst, prop);

	*out = u->config.vprefix_addr6;
	out->s6_addr[15] |= host;
	if (text && inet_pton(AF_INET6, text, out) != 1)
		return mt_error_set(err, MT_EINVAL, prop, "'%s' is no IPv6 address", text);
	if (memcmp(out, &u->config.vprefix_addr6, 8))
		return mt_error_set(err, MT_ERANGE, prop, "the address is not in the network");
	return 0;
}

static int configure6(struct user *u, struct mt_error *err)
{
	const char *text = u->props->get_str(u->inst, "network6");
	SlirpConfig *c = &u->config;
	uint32_t bits;
	int rc;

	c->in6_enabled = u->props->get_u64(u->inst, "ipv6");
	if (prefix_parse(text, AF_INET6, &c->vprefix_addr6, 128, &bits) < 0 || bits != 64)
		return mt_error_set(err, MT_EINVAL, "network6", "'%s' is no IPv6 network of 64 bits (ADDRESS/64)",
				    text);
	memset(c->vprefix_addr6.s6_addr + 8, 0, 8);
	c->vprefix_len = (uint8_t)bits;
	rc = address6(u, "host6", 2, &c->vhost6, err);
	return rc < 0 ? rc : address6(u, "dns6", 3, &c->vnameserver6, err);
}

static int configure_names(struct user *u, struct mt_error *err)
{
	uint32_t count = u->props->count(u->inst, "dns-search");
	const char *tftp = u->props->get_str(u->inst, "tftp");

	if (count > SEARCH_MAX)
		return mt_error_set(err, MT_ERANGE, "dns-search", "up to %u domains are searched", SEARCH_MAX);
	for (uint32_t i = 0; i < count; i++)
		u->dns_search[i] = u->props->get_element(u->inst, "dns-search", i);
	u->config.vdnssearch = count ? u->dns_search : NULL;
	u->config.vhostname = u->props->get_str(u->inst, "hostname");
	u->config.vdomainname = u->props->get_str(u->inst, "domain");
	u->config.bootfile = u->props->get_str(u->inst, "bootfile");
	u->config.tftp_path = tftp;
	return 0;
}

int user_configure(struct user *u, struct mt_error *err)
{
	SlirpConfig *c = &u->config;
	int rc;

	c->version = 4;
	c->restricted = (int)u->props->get_u64(u->inst, "restrict");
	c->disable_host_loopback = !u->props->get_u64(u->inst, "host-loopback");
	c->if_mtu = c->if_mru = u->props->get_u64(u->inst, "mtu");
	rc = configure4(u, err);
	if (rc == 0)
		rc = configure6(u, err);
	return rc < 0 ? rc : configure_names(u, err);
}
