/* SPDX-License-Identifier: MIT */
/* The process around connections: addresses, and a thread for each client. [main]. */
#ifndef KERNEL_NBD_SERVER_H
#define KERNEL_NBD_SERVER_H

#include <glib.h>

#include "kernel/nbd/nbd.h"

/* listen.c */
struct listen_options {
	const char *socket_path;         /* a Unix socket, or: */
	const char *host, *port;         /* TCP; port "0": any */
	bool activated;                  /* sockets come from the parent (sd_listen_fds(3)): neither of the above */
};

struct listener {
	GArray *fds;                     /* int */
	char *uri_place;                 /* "nbd://127.0.0.1:10809" or "nbd+unix://" */
	char *path;                      /* of the Unix socket that was made, absolute */
};

/* Whether the parent has left sockets; [main] once, before a fork: the descriptors are for this process. */
bool listen_is_activated(void);
/* False with `err`. */
bool listen_open(struct listener *listener, const struct listen_options *options, struct mt_error *err);
/* Removes the Unix socket, too. */
void listen_close(struct listener *listener);
/* How clients name the export; g_free. */
char *listen_uri(const struct listener *listener, const char *export_name, bool tls);

/* server.c */
struct nbd_server {
	const struct nbd_export *export;
	const struct listener *listener;
	uint32_t shared;                 /* clients at a time; 0: SERVER_CLIENTS_MAX */
	bool persistent;                 /* goes on after the last client */
	bool (*cancelled)(void);         /* after a signal */
};
#define SERVER_CLIENTS_MAX 256u

/* Until the last client has gone, or `cancelled`. Signals of `cancelled` come in while it waits only. */
int server_run(struct nbd_server *server, struct mt_error *err);

#endif
