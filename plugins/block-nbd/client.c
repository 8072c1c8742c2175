/* SPDX-License-Identifier: MIT */
/* The connection and its thread; see client.h. */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <util/error.h>
#include <util/minmax.h>

#include "op.h"

#define PAUSE_NS    200000000ull             /* between tries to reach a server */
#define PAYLOAD_MAX (32u << 20)
#define STATUS_MAX  (1u << 30)               /* one question is about so much at most */

struct client {
	struct client_options options;       /* its strings are the caller's, and stay */
	struct client_facts facts;
	struct op_limits limits;
	void (*done)(struct mt_block_io *io);
	struct nbd_handle *nbd;              /* NULL: there is no connection */
	uint64_t lost_ns, tried_ns;          /* when it went, and when it was looked for last */
	struct op *running;                  /* handed to libnbd */
	struct op *held;                     /* wait for a connection */
	pthread_t thread;
	bool has_thread;
	int wake_fd;
	pthread_mutex_t lock;                /* of what follows */
	struct op *queue, **queue_last;
	bool stop;
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* Connecting */

static int tell(struct mt_error *err, int code, const char *culprit)
{
	const char *text = nbd_get_error();

	return mt_error_set(err, code, culprit, "%.200s", text ? text : "the connection failed");
}

static bool options_set(struct nbd_handle *nbd, const struct client_options *o)
{
	bool ok = nbd_add_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) == 0 &&
		  nbd_set_uri_allow_local_file(nbd, true) == 0;

	if (ok && o->tls)
		ok = nbd_set_tls(nbd, LIBNBD_TLS_REQUIRE) == 0;
	if (ok && o->psk_file)
		ok = nbd_set_tls_psk_file(nbd, o->psk_file) == 0;
	if (ok && o->certificates)
		ok = nbd_set_tls_certificates(nbd, o->certificates) == 0;
	if (ok && o->username)
		ok = nbd_set_tls_username(nbd, o->username) == 0;
	return ok && (!o->export_name || nbd_set_export_name(nbd, o->export_name) == 0);
}

static int connect_begin(struct nbd_handle *nbd, const struct client_options *o)
{
	if (o->uri)
		return nbd_aio_connect_uri(nbd, o->uri);
	if (o->socket)
		return nbd_aio_connect_unix(nbd, o->socket);
	return nbd_aio_connect_tcp(nbd, o->host, o->port);
}

/* Waits for the socket, or `wake_fd` (-1: none), and lets libnbd go on. False: the time is over, or it failed. */
static bool turn(struct nbd_handle *nbd, int wake_fd, int timeout_ms)
{
	unsigned direction = nbd_aio_get_direction(nbd);
	struct pollfd fds[2] = { { .fd = nbd_aio_get_fd(nbd) }, { .fd = wake_fd, .events = POLLIN } };
	int n;

	fds[0].events = (short)((direction & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) |
				(direction & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
	n = poll(fds, 2, timeout_ms);
	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && direction & LIBNBD_AIO_DIRECTION_READ)
		return nbd_aio_notify_read(nbd) == 0;
	if (fds[0].revents & (POLLOUT | POLLHUP | POLLERR) && direction & LIBNBD_AIO_DIRECTION_WRITE)
		return nbd_aio_notify_write(nbd) == 0;
	return true;
}

static struct nbd_handle *connect_by(const struct client_options *o, struct mt_error *err)
{
	struct nbd_handle *nbd = nbd_create();
	uint64_t end_ns = now_ns() + o->connect_ns;
	bool ok = nbd && options_set(nbd, o) && connect_begin(nbd, o) == 0;

	while (ok && nbd_aio_is_connecting(nbd) && now_ns() < end_ns) {
		turn(nbd, -1, (int)mt_min_u64(o->connect_ns / 1000000 + 1, 100));
		ok = !nbd_aio_is_dead(nbd) && !nbd_aio_is_closed(nbd);
	}
	if (ok && nbd_aio_is_ready(nbd))
		return nbd;
	if (ok && nbd_aio_is_connecting(nbd))
		mt_error_set(err, MT_EIO, "connect-timeout", "the server does not answer");
	else
		tell(err, MT_EIO, o->uri ? "uri" : o->socket ? "socket" : "host");
	nbd_close(nbd);
	return NULL;
}

/* What the server says of itself is held against what can be used. */
static int facts_read(struct nbd_handle *nbd, struct client_facts *facts, struct op_limits *limits,
		      struct mt_error *err)
{
	int64_t size = nbd_get_size(nbd), least = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);
	int64_t good = nbd_get_block_size(nbd, LIBNBD_SIZE_PREFERRED), most = nbd_get_block_size(nbd, LIBNBD_SIZE_MAXIMUM);

	if (size < 0)
		return tell(err, MT_EIO, "export");
	if (least > 65536 || (least > 0 && least & (least - 1)))
		return mt_error_set(err, MT_ENOTSUP, "export", "the server wants blocks of %lld bytes", (long long)least);
	facts->disk_bytes = (uint64_t)size;
	facts->block_bytes = least > 512 ? (uint32_t)least : 512;
	facts->preferred_bytes = good > 512 && good <= 65536 && !(good & (good - 1)) ? (uint32_t)good : 4096;
	if (facts->preferred_bytes < facts->block_bytes)
		facts->preferred_bytes = facts->block_bytes;
	facts->readonly = nbd_is_read_only(nbd) != 0;
	limits->max_bytes = most >= 65536 && most < PAYLOAD_MAX ? (uint32_t)most & ~65535u : PAYLOAD_MAX;
	limits->fua = nbd_can_fua(nbd) > 0;
	facts->flush = limits->flush = nbd_can_flush(nbd) > 0;
	facts->trim = limits->trim = nbd_can_trim(nbd) > 0;
	facts->several = nbd_can_multi_conn(nbd) > 0;
	limits->zero = nbd_can_zero(nbd) > 0;
	limits->fast_zero = nbd_can_fast_zero(nbd) > 0;
	limits->status = nbd_can_meta_context(nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
	return 0;
}

/* The thread */

static void list_put(struct op **list, struct op *op)
{
	op->next = *list;
	*list = op;
}

/* A question that a thread waits for; its io is no operation of the kernel's. */
struct question {
	struct mt_block_io io;               /* first */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool over;
	uint64_t bytes;
	uint32_t flags;
};

static void question_end(const struct op *op, int32_t result)
{
	struct question *q = (struct question *)op->io;

	pthread_mutex_lock(&q->lock);
	q->io.result = result;
	q->bytes = op->status_bytes;
	q->flags = op->status_flags;
	q->over = true;
	pthread_cond_signal(&q->changed);
	pthread_mutex_unlock(&q->lock);
}

static void op_end(struct client *c, struct op *op, int32_t result)
{
	struct mt_block_io *io = op->io;

	if (io->op == OP_STATUS) {
		question_end(op, result);
		op_free(op);
		return;
	}
	io->result = result;
	op_free(op);
	c->done(io);
}

static void held_fail(struct client *c)
{
	struct op *op = c->held;

	c->held = NULL;
	for (struct op *next; op; op = next) {
		next = op->next;
		op_end(c, op, MT_EIO);
	}
}

static bool patience_over(const struct client *c)
{
	return now_ns() - c->lost_ns >= c->options.reconnect_ns;
}

static void connection_lost(struct client *c)
{
	nbd_close(c->nbd);
	c->nbd = NULL;
	c->lost_ns = now_ns();
	c->tried_ns = 0;
	for (struct op *op = c->running; op; op = op->next) {
		op->lost |= op->commands != 0;
		op->commands = 0;
	}
}

static void begin(struct client *c, struct op *op)
{
	if (!c->nbd) {
		list_put(&c->held, op);
		return;
	}
	list_put(&c->running, op);
	op_begin(op, c->nbd, &c->limits);
}

/* What libnbd is through with, and what it lost. */
static void running_look(struct client *c)
{
	struct op *op = c->running, *next;

	c->running = NULL;
	for (; op; op = next) {
		next = op->next;
		if (op_is_over(op) && c->nbd && op_goes_on(op, c->nbd, &c->limits))
			list_put(&c->running, op);
		else if (!op_is_over(op))
			list_put(&c->running, op);
		else if (op->lost)
			list_put(&c->held, op);
		else
			op_end(c, op, op_result(op));
	}
}

/* The same disk is behind the new connection, as far as that can be told. */
static bool is_same(const struct client *c, const struct client_facts *facts)
{
	return facts->disk_bytes == c->facts.disk_bytes && facts->block_bytes <= c->facts.block_bytes &&
	       (c->facts.readonly || !facts->readonly) && (facts->several || !c->facts.several);
}

static void connect_again(struct client *c)
{
	struct mt_error err = { .size = sizeof(err) };
	struct client_facts facts;
	struct op_limits limits;
	struct op *op;

	c->tried_ns = now_ns();
	c->nbd = connect_by(&c->options, &err);
	if (c->nbd && (facts_read(c->nbd, &facts, &limits, &err) < 0 || !is_same(c, &facts))) {
		nbd_close(c->nbd);
		c->nbd = NULL;
	}
	if (!c->nbd)
		return;
	c->limits = limits;
	op = c->held;
	c->held = NULL;
	for (struct op *next; op; op = next) {
		next = op->next;
		begin(c, op);
	}
}

static struct op *queue_take(struct client *c, bool *stop)
{
	struct op *op;

	pthread_mutex_lock(&c->lock);
	op = c->queue;
	c->queue = NULL;
	c->queue_last = &c->queue;
	*stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return op;
}

/* Without a connection: tries for one, lets go what has waited too long. */
static void wait_for_server(struct client *c)
{
	struct pollfd fd = { .fd = c->wake_fd, .events = POLLIN };

	if (patience_over(c))
		held_fail(c);
	if (now_ns() - c->tried_ns >= PAUSE_NS)
		connect_again(c);
	if (!c->nbd)
		poll(&fd, 1, PAUSE_NS / 1000000);
}

static void wake_clear(struct client *c)
{
	eventfd_t count;

	(void)!eventfd_read(c->wake_fd, &count);
}

static void *run(void *arg)
{
	struct client *c = arg;
	bool stop = false;

	while (!stop) {
		struct op *op = queue_take(c, &stop);

		for (struct op *next; op; op = next) {
			next = op->next;
			begin(c, op);
		}
		running_look(c);
		if (c->nbd && (nbd_aio_is_dead(c->nbd) || nbd_aio_is_closed(c->nbd))) {
			connection_lost(c);
			running_look(c);
		}
		if (stop)
			break;
		if (c->nbd)
			turn(c->nbd, c->wake_fd, -1);
		else
			wait_for_server(c);
		wake_clear(c);
	}
	return NULL;
}

/* From outside */

static void submit(struct client *c, struct op *op)
{
	pthread_mutex_lock(&c->lock);
	op->next = NULL;
	*c->queue_last = op;
	c->queue_last = &op->next;
	pthread_mutex_unlock(&c->lock);
	eventfd_write(c->wake_fd, 1);
}

void client_submit(struct client *c, struct mt_block_io *io)
{
	struct op *op = op_new(io);

	if (op) {
		submit(c, op);
		return;
	}
	io->result = MT_ENOMEM;
	c->done(io);
}

int32_t client_status(struct client *c, uint64_t offset, uint64_t *len_bytes, uint32_t *flags)
{
	struct question q = { .io = { .op = OP_STATUS, .offset = offset, .len_bytes = *len_bytes },
			      .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	struct op *op = op_new(&q.io);

	if (!op)
		return MT_ENOMEM;
	q.io.len_bytes = mt_min_u64(*len_bytes, STATUS_MAX);
	submit(c, op);
	pthread_mutex_lock(&q.lock);
	while (!q.over)
		pthread_cond_wait(&q.changed, &q.lock);
	pthread_mutex_unlock(&q.lock);
	pthread_cond_destroy(&q.changed);
	pthread_mutex_destroy(&q.lock);
	*len_bytes = q.bytes;
	*flags = q.flags;
	return q.io.result == 0 && q.bytes == 0 ? MT_EIO : q.io.result;
}

const struct client_facts *client_facts(const struct client *c)
{
	return &c->facts;
}

static bool thread_start(struct client *c)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	c->has_thread = pthread_create(&c->thread, NULL, run, c) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return c->has_thread;
}

int client_open(struct client **out, const struct client_options *options, void (*done)(struct mt_block_io *io),
		struct mt_error *err)
{
	struct client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	c->options = *options;
	c->done = done;
	c->queue_last = &c->queue;
	pthread_mutex_init(&c->lock, NULL);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->nbd = c->wake_fd < 0 ? NULL : connect_by(options, err);
	rc = c->nbd ? facts_read(c->nbd, &c->facts, &c->limits, err) : MT_EIO;
	if (rc == 0 && !thread_start(c))
		rc = mt_error_set(err, MT_EHOST, NULL, "no thread is left for the connection");
	if (rc == 0)
		*out = c;
	else
		client_close(c);
	return rc;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	if (c->has_thread) {
		pthread_mutex_lock(&c->lock);
		c->stop = true;
		pthread_mutex_unlock(&c->lock);
		eventfd_write(c->wake_fd, 1);
		pthread_join(c->thread, NULL);
	}
	if (c->nbd && nbd_aio_is_ready(c->nbd) && nbd_aio_disconnect(c->nbd, 0) == 0)
		turn(c->nbd, -1, 100);         /* a courtesy that the server may miss */
	nbd_close(c->nbd);
	if (c->wake_fd >= 0)
		close(c->wake_fd);
	pthread_mutex_destroy(&c->lock);
	free(c);
}
