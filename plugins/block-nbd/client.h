/* SPDX-License-Identifier: MIT */
/*
 * The NBD client: a connection by libnbd, a thread that alone touches it, and a queue of operations to it. Operations
 * come from any thread. What was under way when a connection is lost is done again on the next one, from the beginning:
 * each operation may be done twice. Easy to break: libnbd's callbacks come with its handle locked, so they only mark;
 * operations are ended after the call that they came from.
 */
#ifndef BLOCK_NBD_CLIENT_H
#define BLOCK_NBD_CLIENT_H

#include <mortise/draft/block-protocol.h>
#include <stdbool.h>

struct client;

/* NULL pointers: not given. */
struct client_options {
	const char *uri, *socket, *host, *port, *export_name;
	const char *psk_file, *certificates, *username;
	bool tls;                            /* where there is no URI that says so */
	uint64_t reconnect_ns, connect_ns;   /* limits */
};

struct client_facts {
	uint64_t disk_bytes;
	uint32_t block_bytes;                /* least, at least 512 */
	uint32_t preferred_bytes;
	bool readonly, trim, flush;
	bool several;                        /* connections see each other's writes, and flush them */
};

/* [main] waits for the connection. 0 or a code with `err`. `done` is called on the client's thread, or in submit. */
int client_open(struct client **out, const struct client_options *options, void (*done)(struct mt_block_io *io),
		struct mt_error *err);
/* [main] nothing is under way. NULL is fine. */
void client_close(struct client *client);
const struct client_facts *client_facts(const struct client *client);

/* [any] as in mt_block_protocol */
void client_submit(struct client *client, struct mt_block_io *io);
int32_t client_status(struct client *client, uint64_t offset, uint64_t *len_bytes, uint32_t *flags);

#endif
