/* SPDX-License-Identifier: MIT */
/*
 * The NBD server: one unit that speaks the protocol over any stream socket. A connection belongs to one thread, which
 * alone touches it and its handle of the disk; what connections share is the export, and that is constant. Clients are
 * not trusted: what one can make the server keep is bounded (SESSION_*), and the time of the negotiation is too.
 */
#ifndef KERNEL_NBD_NBD_H
#define KERNEL_NBD_NBD_H

#include <mortise/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define STREAM_IN_BYTES 65536u

struct bnode;
struct mt_block;
struct nbd_tls;
struct nbd_creds;

/* What is offered. */
struct nbd_export {
	const char *name;
	const char *description;         /* NULL: none */
	struct bnode *node;
	uint64_t offset, len_bytes;      /* the part of the disk */
	uint32_t preferred_bytes;        /* length of good requests: a power of two */
	bool readonly;
	bool sync;                       /* each write is durable before it is answered */
	bool trim;                       /* discards give space back */
	bool multi;                      /* a client may have several connections */
	bool depth;                      /* offers qemu:allocation-depth */
	const struct nbd_creds *creds;   /* clients must use TLS; NULL: they cannot */
	uint32_t limit_seconds;          /* for the negotiation; 0: none */
};

/* stream.c: a socket, plain or with TLS, and what was read ahead of it. */
struct nbd_stream {
	int fd;                          /* a stream socket; not closed here */
	struct nbd_tls *tls;
	int64_t deadline_us;             /* of stream_read and stream_write; 0: none */
	uint8_t *in;                     /* STREAM_IN_BYTES */
	uint32_t in_at, in_end;
};

void stream_init(struct nbd_stream *stream, int fd);
void stream_fini(struct nbd_stream *stream);
/* Bytes, 0 at the end, or -errno (-EAGAIN: none now). `wait`: for the first byte; a wish, which TLS does not grant. */
ssize_t stream_recv(struct nbd_stream *stream, const struct iovec *iov, int count, bool wait);
ssize_t stream_send(struct nbd_stream *stream, const struct iovec *iov, int count);
/* All of it, before the deadline; false: the connection is of no use any more. For the negotiation. */
bool stream_read(struct nbd_stream *stream, void *buf, uint64_t len_bytes);
bool stream_skip(struct nbd_stream *stream, uint64_t len_bytes);
bool stream_write(struct nbd_stream *stream, const void *buf, uint64_t len_bytes);
/* Waits for events of poll(2) until the deadline. */
bool stream_wait(const struct nbd_stream *stream, short events);

/* tls.c: TLS by gnutls, which is loaded when it is first asked for. */
struct nbd_creds_options {
	bool psk;                        /* keys.psk, else ca-cert.pem, server-cert.pem, server-key.pem, ca-crl.pem */
	bool verify_peer;                /* X.509: a client needs a certificate */
	const char *dir;
	const char *priority;            /* NULL: the library's */
};

/* [main] NULL with `err`. */
struct nbd_creds *creds_load(const struct nbd_creds_options *options, struct mt_error *err);
void creds_free(struct nbd_creds *creds);
/* The handshake on the stream, until its deadline; from then on it is encrypted. */
bool tls_start(struct nbd_stream *stream, const struct nbd_creds *creds);
ssize_t tls_recv(struct nbd_tls *tls, void *buf, size_t len_bytes);
ssize_t tls_send(struct nbd_tls *tls, const struct iovec *iov, int count);
/* Decrypted bytes wait, which poll does not see. */
bool tls_pending(struct nbd_tls *tls);
void tls_end(struct nbd_tls *tls);

/* handshake.c */
#define NBD_CONTEXT_ALLOCATION 1u        /* bits, and identifiers on the wire */
#define NBD_CONTEXT_DEPTH      2u

struct nbd_agreed {
	bool no_zeroes, structured;
	uint32_t contexts;               /* NBD_CONTEXT_* */
};

/* The negotiation; true: the client wants the export. */
bool handshake_run(struct nbd_stream *stream, const struct nbd_export *export, struct nbd_agreed *agreed);

/* session.c: serves requests until the client or the server ends it. */
void session_run(struct nbd_stream *stream, const struct nbd_export *export, const struct nbd_agreed *agreed,
		 struct mt_block *block);

/* Negotiation and session over `fd`; `block` is the connection's own. True: there was a session. */
bool nbd_serve(int fd, const struct nbd_export *export, struct mt_block *block);

#endif
