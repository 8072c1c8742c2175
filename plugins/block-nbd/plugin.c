/* SPDX-License-Identifier: MIT */
/*
 * block-nbd: a disk that a server of the Network Block Device protocol has. It is the export from its first byte to its
 * last; client.c does the I/O on a thread of its own.
 */
#define MT_NOTE_NAME     "block-nbd"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "disk of an NBD server"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.block-node/1 mortise.block-served/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     (MT_CAP_NETWORK | MT_CAP_FILES | MT_CAP_THREADS)
#define NBD_PROPS(P, c) \
	P(c, uri, "uri", MT_PROP_STRING, "", "", "", 0, \
	  "where it is: nbd://HOST:PORT/EXPORT, nbd+unix:///EXPORT?socket=PATH, nbds for TLS") \
	P(c, socket, "socket", MT_PROP_PATH, "", "", "", 0, "Unix socket of the server, in place of uri") \
	P(c, host, "host", MT_PROP_STRING, "", "", "", 0, "name or address of the server, in place of uri") \
	P(c, port, "port", MT_PROP_INT, "10809", "1..65535", "", 0, "its TCP port") \
	P(c, export, "export", MT_PROP_STRING, "", "", "", 0, "name of the export; default: the server's own") \
	P(c, tls, "tls", MT_PROP_BOOL, "off", "", "", 0, "require TLS, with socket and host (a uri says nbds)") \
	P(c, psk, "tls-psk", MT_PROP_PATH, "", "", "", 0, "file with pre-shared keys for TLS") \
	P(c, certificates, "tls-certificates", MT_PROP_PATH, "", "", "", 0, "folder with certificates for TLS") \
	P(c, username, "tls-username", MT_PROP_STRING, "", "", "", 0, "whose key of tls-psk it is") \
	P(c, connections, "connections", MT_PROP_INT, "1", "1..16", "", 0, \
	  "how many to use at most, where the server keeps several consistent") \
	P(c, connect, "connect-timeout", MT_PROP_DURATION, "10s", "10ms..1h", "", 0, \
	  "how long to wait for the server to answer") \
	P(c, reconnect, "reconnect", MT_PROP_DURATION, "30s", "0s..24h", "", 0, \
	  "how long requests wait for a server that went away, before they fail") \
	P(c, readonly, "readonly", MT_PROP_BOOL, "off", "", "", 0, "refuse writes")
#define MT_NOTE_CLASSES(C) \
	C(nbd, "block-nbd", MT_KIND_BLOCK, MT_CLASS_PARALLEL, MT_NOTE_SUMMARY, \
	  "mortise.block-format/1 mortise.block-protocol/1 " \
	  "protocol/nbd protocol/nbds protocol/nbd+unix protocol/nbds+unix", NBD_PROPS)

#include <mortise/draft/block-format.h>
#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <mortise/note-emit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/disk-state.h>
#include <util/entry.h>
#include <util/error.h>

#include "client.h"

#define CONNECTIONS_MAX 16u

/* Constant after realize, but for `turn`; hence parallel without a lock. */
struct nbd {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_block_served_host *served;
	struct client *clients[CONNECTIONS_MAX];
	uint32_t count, turn;                /* turn: atomic; whose the next operation is */
	char port[8];
	bool readonly;
};

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct nbd *n = calloc(1, sizeof(*n));

	if (!n)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	n->inst = inst;
	n->props = host->get_interface(host, MT_IFACE_PROPS);
	n->served = host->get_interface(host, MT_IFACE_BLOCK_SERVED);
	*self = n;
	return 0;
}

static const char *text(const struct nbd *n, const char *prop)
{
	const char *value = n->props->present(n->inst, prop) ? n->props->get_str(n->inst, prop) : NULL;

	return value && *value ? value : NULL;
}

static int options_read(struct nbd *n, struct client_options *o, struct mt_error *err)
{
	*o = (struct client_options){
		.uri = text(n, "uri"), .socket = text(n, "socket"), .host = text(n, "host"), .port = n->port,
		.export_name = text(n, "export"), .psk_file = text(n, "tls-psk"),
		.certificates = text(n, "tls-certificates"), .username = text(n, "tls-username"),
		.tls = n->props->get_u64(n->inst, "tls") != 0,
		.reconnect_ns = n->props->get_u64(n->inst, "reconnect"),
		.connect_ns = n->props->get_u64(n->inst, "connect-timeout"),
	};
	snprintf(n->port, sizeof(n->port), "%u", (unsigned)n->props->get_u64(n->inst, "port"));
	if ((o->uri != NULL) + (o->socket != NULL) + (o->host != NULL) != 1)
		return mt_error_set(err, MT_EINVAL, "uri", "one of uri, socket and host says where the server is");
	if (o->uri && (o->export_name || o->tls))
		return mt_error_set(err, MT_EINVAL, "uri", "the uri has the name of the export, and nbds where TLS is wanted");
	return 0;
}

static bool is_same_disk(const struct client *a, const struct client *b)
{
	const struct client_facts *x = client_facts(a), *y = client_facts(b);

	return x->disk_bytes == y->disk_bytes && x->block_bytes == y->block_bytes && x->readonly == y->readonly &&
	       y->several;
}

/* One is a must. Further ones are taken where a flush on one covers what all wrote; what fails is done without. */
static int connect_all(struct nbd *n, const struct client_options *options, struct mt_error *err)
{
	uint64_t wanted = n->props->get_u64(n->inst, "connections");
	int rc = client_open(&n->clients[0], options, n->served->done, err);

	n->count = rc == 0;
	while (rc == 0 && n->count < wanted && client_facts(n->clients[0])->several) {
		struct client *more = NULL;
		struct mt_error ignored;

		mt_error_init(&ignored);
		if (client_open(&more, options, n->served->done, &ignored) < 0)
			break;
		if (!is_same_disk(n->clients[0], more)) {
			client_close(more);
			break;
		}
		n->clients[n->count++] = more;
	}
	return rc;
}

static int realize(void *self, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct client_options options;
	const struct client_facts *facts;
	struct nbd *n = self;
	int rc = options_read(n, &options, err);

	if (rc == 0)
		rc = connect_all(n, &options, err);
	if (rc < 0)
		return rc;
	facts = client_facts(n->clients[0]);
	n->readonly = facts->readonly || n->props->get_u64(n->inst, "readonly");
	info.child_bytes = facts->disk_bytes;
	info.block_bytes = facts->block_bytes;
	info.physical_bytes = facts->preferred_bytes;
	info.flags = (n->readonly ? MT_BLOCK_INFO_READONLY : 0) | (facts->flush ? MT_BLOCK_INFO_VOLATILE : 0);
	rc = n->served->child_serve(n->inst, &info, err);
	return rc < 0 ? rc : 0;
}

/* Not before: the kernel may still flush what lies above when the instance is unrealized. */
static void destroy(void *self)
{
	struct nbd *n = self;

	for (uint32_t i = 0; i < n->count; i++)
		client_close(n->clients[i]);
	free(n);
}

static void info(void *self, struct mt_block_info *out)
{
	const struct nbd *n = self;
	const struct client_facts *facts = client_facts(n->clients[0]);

	out->flags = (n->readonly ? MT_BLOCK_INFO_READONLY : 0) | (facts->flush ? MT_BLOCK_INFO_VOLATILE : 0);
	out->disk_bytes = facts->disk_bytes;
	out->block_bytes = facts->block_bytes;
	out->physical_bytes = facts->preferred_bytes;
	if (facts->trim && !n->readonly)
		out->discard_bytes = facts->preferred_bytes;
}

static int32_t map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose, struct mt_block_extent *extents,
		   uint32_t max)
{
	const struct nbd *n = self;
	uint64_t disk_bytes = client_facts(n->clients[0])->disk_bytes;

	(void)len_bytes, (void)purpose, (void)max;
	if (offset >= disk_bytes)
		return MT_ERANGE;
	extents[0] = (struct mt_block_extent){
		.len_bytes = disk_bytes - offset,
		.child_offset = offset,
		.kind = MT_BLOCK_EXT_DATA,
		.flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED,
	};
	return 1;
}

static void submit(void *self, struct mt_block_io *io)
{
	struct nbd *n = self;
	uint32_t turn = n->count > 1 ? __atomic_fetch_add(&n->turn, 1, __ATOMIC_RELAXED) % n->count : 0;

	client_submit(n->clients[turn], io);
}

static int32_t status(void *self, uint64_t offset, uint64_t *len_bytes, uint32_t *flags)
{
	return client_status(((struct nbd *)self)->clients[0], offset, len_bytes, flags);
}

static const struct mt_block_format format = { .info = info, .map = map };
static const struct mt_block_protocol protocol = { .submit = submit, .status = status };
static const struct mt_device_class device = {
	.create = create,
	.realize = realize,
	.destroy = destroy,
};

MT_DISK_STATE(state_class, info)

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_BLOCK_FORMAT, &format },
		       { MT_IFACE_BLOCK_PROTOCOL, &protocol })
