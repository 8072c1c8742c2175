// SPDX-License-Identifier: MIT
/*
 * TLS of the NBD server. gnutls is loaded by name when credentials are, so that a program without TLS does not pay
 * for it. A session is used by its connection's thread only; the credentials are constant once they are loaded.
 */
#include <config.h>
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "kernel/machine/fault.h"
#include "kernel/nbd/nbd.h"

#ifdef HAVE_GNUTLS

#include <dlfcn.h>
#include <gnutls/gnutls.h>

#define LIBRARY "libgnutls.so.30"
#define PRIORITY_PSK "NORMAL:+ECDHE-PSK:+DHE-PSK:+PSK"

#define FUNCTIONS(F) \
	F(init) F(deinit) F(bye) F(handshake) F(credentials_set) F(set_default_priority) F(priority_set_direct) \
	F(record_recv) F(record_send) F(record_check_pending) F(record_get_direction) F(strerror) \
	F(transport_set_ptr) F(transport_set_pull_function) F(transport_set_vec_push_function) \
	F(transport_set_errno) F(psk_allocate_server_credentials) F(psk_free_server_credentials) \
	F(psk_set_server_credentials_file) F(certificate_allocate_credentials) F(certificate_free_credentials) \
	F(certificate_set_x509_trust_file) F(certificate_set_x509_crl_file) F(certificate_set_x509_key_file) \
	F(certificate_server_set_request) F(session_set_verify_cert)

/* The functions by their own types; [main] fills it. */
static struct {
#define FIELD(name) __typeof__(gnutls_##name) *name;
	FUNCTIONS(FIELD)
#undef FIELD
} lib;

struct nbd_creds {
	bool verify_peer;
	char *priority;
	gnutls_psk_server_credentials_t psk;
	gnutls_certificate_credentials_t x509;
};

struct nbd_tls {
	gnutls_session_t session;
	int fd;
	bool unsent;                     /* the record below is not out yet */
	uint8_t record[16384];
};

static bool load(struct mt_error *err)
{
	static const char *const names[] = {
#define NAME(name) "gnutls_" #name,
		FUNCTIONS(NAME)
#undef NAME
	};
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		fault_set(err, MT_EHOST, "tls-creds", "install the package libgnutls30", "TLS needs " LIBRARY ": %s",
			  dlerror());
		return false;
	}
	for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
		void *symbol = dlsym(handle, names[i]);

		if (!symbol) {
			fault_set(err, MT_EHOST, "tls-creds", NULL, LIBRARY " lacks %s", names[i]);
			return false;
		}
		memcpy((uint8_t *)&lib + i * sizeof(symbol), &symbol, sizeof(symbol));
	}
	return true;
}

static char *file_in(const struct nbd_creds_options *options, const char *name, bool must, struct mt_error *err)
{
	char *path = g_build_filename(options->dir, name, NULL);

	if (g_file_test(path, G_FILE_TEST_EXISTS))
		return path;
	if (must)
		fault_set(err, MT_ENOENT, "tls-creds", NULL, "%s is not there", path);
	g_free(path);
	return NULL;
}

static bool usable(int rc, const char *path, struct mt_error *err)
{
	if (rc < 0)
		fault_set(err, MT_EINVAL, "tls-creds", NULL, "%s: %s", path, lib.strerror(rc));
	return rc >= 0;
}

static bool load_psk(struct nbd_creds *creds, const struct nbd_creds_options *options, struct mt_error *err)
{
	char *keys = file_in(options, "keys.psk", true, err);
	bool ok = keys && usable(lib.psk_allocate_server_credentials(&creds->psk), keys, err) &&
		  usable(lib.psk_set_server_credentials_file(creds->psk, keys), keys, err);

	g_free(keys);
	return ok;
}

static bool load_x509(struct nbd_creds *creds, const struct nbd_creds_options *options, struct mt_error *err)
{
	char *ca = file_in(options, "ca-cert.pem", creds->verify_peer, err), *crl = NULL, *cert = NULL, *key = NULL;
	bool ok = (ca || !creds->verify_peer) && usable(lib.certificate_allocate_credentials(&creds->x509), "X.509", err);

	if (ok) {
		crl = file_in(options, "ca-crl.pem", false, err);
		cert = file_in(options, "server-cert.pem", true, err);
		key = cert ? file_in(options, "server-key.pem", true, err) : NULL;
	}
	ok = ok && cert && key;
	if (ok && ca)
		ok = usable(lib.certificate_set_x509_trust_file(creds->x509, ca, GNUTLS_X509_FMT_PEM), ca, err);
	if (ok && crl)
		ok = usable(lib.certificate_set_x509_crl_file(creds->x509, crl, GNUTLS_X509_FMT_PEM), crl, err);
	if (ok)
		ok = usable(lib.certificate_set_x509_key_file(creds->x509, cert, key, GNUTLS_X509_FMT_PEM), cert, err);
	g_free(ca);
	g_free(crl);
	g_free(cert);
	g_free(key);
	return ok;
}

struct nbd_creds *creds_load(const struct nbd_creds_options *options, struct mt_error *err)
{
	struct nbd_creds *creds = g_new0(struct nbd_creds, 1);

	creds->verify_peer = options->verify_peer;
	creds->priority = g_strdup(options->priority);
	if (load(err) && (options->psk ? load_psk(creds, options, err) : load_x509(creds, options, err)))
		return creds;
	creds_free(creds);
	return NULL;
}

void creds_free(struct nbd_creds *creds)
{
	if (!creds)
		return;
	if (creds->psk)
		lib.psk_free_server_credentials(creds->psk);
	if (creds->x509)
		lib.certificate_free_credentials(creds->x509);
	g_free(creds->priority);
	g_free(creds);
}

/* The socket stays a waiting one: the library is told per call not to wait. */
static ssize_t pull(gnutls_transport_ptr_t arg, void *buf, size_t len_bytes)
{
	struct nbd_tls *tls = arg;
	ssize_t n = recv(tls->fd, buf, len_bytes, MSG_DONTWAIT);

	if (n < 0)
		lib.transport_set_errno(tls->session, errno);
	return n;
}

static ssize_t push(gnutls_transport_ptr_t arg, const giovec_t *iov, int count)
{
	struct nbd_tls *tls = arg;
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t n = sendmsg(tls->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		lib.transport_set_errno(tls->session, errno);
	return n;
}

static bool session_make(struct nbd_tls *tls, const struct nbd_creds *creds)
{
	const char *priority = creds->priority ? creds->priority : creds->psk ? PRIORITY_PSK : NULL;
	int rc = lib.init(&tls->session, GNUTLS_SERVER | GNUTLS_NONBLOCK);

	if (rc < 0)
		return false;
	rc = priority ? lib.priority_set_direct(tls->session, priority, NULL) : lib.set_default_priority(tls->session);
	if (rc >= 0 && creds->psk)
		rc = lib.credentials_set(tls->session, GNUTLS_CRD_PSK, creds->psk);
	if (rc >= 0 && creds->x509)
		rc = lib.credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, creds->x509);
	if (rc >= 0 && creds->x509 && creds->verify_peer) {
		lib.certificate_server_set_request(tls->session, GNUTLS_CERT_REQUIRE);
		lib.session_set_verify_cert(tls->session, NULL, 0);
	}
	lib.transport_set_ptr(tls->session, tls);
	lib.transport_set_pull_function(tls->session, pull);
	lib.transport_set_vec_push_function(tls->session, push);
	return rc >= 0;
}

static bool shake(struct nbd_stream *stream, struct nbd_tls *tls)
{
	int rc;

	do {
		rc = lib.handshake(tls->session);
		if (rc == GNUTLS_E_AGAIN &&
		    !stream_wait(stream, lib.record_get_direction(tls->session) ? POLLOUT : POLLIN))
			return false;
	} while (rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED || rc == GNUTLS_E_WARNING_ALERT_RECEIVED);
	return rc >= 0;
}

/* Bytes that came in plain before the handshake could be taken for encrypted ones: no client needs to send any. */
bool tls_start(struct nbd_stream *stream, const struct nbd_creds *creds)
{
	struct nbd_tls *tls;

	if (stream->in_at != stream->in_end)
		return false;
	tls = g_new0(struct nbd_tls, 1);
	tls->fd = stream->fd;
	if (session_make(tls, creds) && shake(stream, tls)) {
		stream->tls = tls;
		return true;
	}
	if (tls->session)
		lib.deinit(tls->session);
	g_free(tls);
	return false;
}

static ssize_t code_of(ssize_t rc)
{
	return rc >= 0 ? rc : rc == GNUTLS_E_AGAIN || rc == GNUTLS_E_INTERRUPTED ? -EAGAIN : -EIO;
}

ssize_t tls_recv(struct nbd_tls *tls, void *buf, size_t len_bytes)
{
	return code_of(lib.record_recv(tls->session, buf, len_bytes));
}

/*
 * Small pieces go in one record. One that could not be sent is the library's: it is asked to go on, with nothing new,
 * and answers for the old one, whose pieces are still the first ones here.
 */
ssize_t tls_send(struct nbd_tls *tls, const struct iovec *iov, int count)
{
	size_t len = 0;
	ssize_t n;

	for (int i = 0; i < count && !tls->unsent && len < sizeof(tls->record); i++) {
		size_t part = MIN(iov[i].iov_len, sizeof(tls->record) - len);

		memcpy(tls->record + len, iov[i].iov_base, part);
		len += part;
	}
	n = lib.record_send(tls->session, tls->unsent ? NULL : tls->record, len);
	tls->unsent = n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED;
	return code_of(n);
}

bool tls_pending(struct nbd_tls *tls)
{
	return lib.record_check_pending(tls->session) > 0;
}

void tls_end(struct nbd_tls *tls)
{
	lib.bye(tls->session, GNUTLS_SHUT_WR);
	lib.deinit(tls->session);
	g_free(tls);
}

#else

struct nbd_creds *creds_load(const struct nbd_creds_options *options, struct mt_error *err)
{
	(void)options;
	fault_set(err, MT_EHOST, "tls-creds", "build it with libgnutls28-dev installed", "this mortise knows no TLS");
	return NULL;
}

void creds_free(struct nbd_creds *creds)
{
	(void)creds;
}

bool tls_start(struct nbd_stream *stream, const struct nbd_creds *creds)
{
	(void)stream, (void)creds;
	return false;
}

ssize_t tls_recv(struct nbd_tls *tls, void *buf, size_t len_bytes)
{
	(void)tls, (void)buf, (void)len_bytes;
	return -EIO;
}

ssize_t tls_send(struct nbd_tls *tls, const struct iovec *iov, int count)
{
	(void)tls, (void)iov, (void)count;
	return -EIO;
}

bool tls_pending(struct nbd_tls *tls)
{
	(void)tls;
	return false;
}

void tls_end(struct nbd_tls *tls)
{
	(void)tls;
}

#endif
