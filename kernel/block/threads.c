/* SPDX-License-Identifier: MIT */
/*
 * The engine of waiting threads, for hosts without io_uring. What can be done without waiting the caller does
 * (quick.h). Threads start when work waits for one, at most THREADS_MAX of a handle. `lock` covers both lists; the
 * operations themselves belong to whoever took them off.
 */
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "kernel/block/engine.h"
#include "kernel/block/quick.h"

#define THREADS_MAX 8

struct queue {
	struct bop *first, **last;
};

struct threads {
	struct bengine base;
	struct quick quick;                  /* the caller's, without the lock */
	pthread_mutex_t lock;
	pthread_cond_t work, finished;
	struct queue todo, done;
	pthread_t threads[THREADS_MAX];
	unsigned count, idle;
	bool stop, armed;
};

static void queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
}

static void queue_put(struct queue *q, struct bop *op)
{
	op->next = NULL;
	*q->last = op;
	q->last = &op->next;
}

static struct bop *queue_take(struct queue *q)
{
	struct bop *op = q->first;

	if (op && !(q->first = op->next))
		q->last = &q->first;
	return op;
}

int32_t engine_do(const struct bop *op)
{
	ssize_t n = -1;

	do {
		switch (op->kind) {
		case BOP_READ:
			n = preadv2(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset, op->rw_flags);
			break;
		case BOP_WRITE:
			n = pwritev2(op->fd, op->iov, (int)op->iov_count, (off_t)op->offset, op->rw_flags);
			break;
		case BOP_SYNC:
			n = fdatasync(op->fd);
			break;
		case BOP_FALLOCATE:
			n = fallocate(op->fd, op->mode, (off_t)op->offset, (off_t)op->len_bytes);
			break;
		}
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int32_t)n;
}

static void announce(struct threads *t)
{
	if (t->armed)
		eventfd_write(t->base.event_fd, 1);
	pthread_cond_signal(&t->finished);
}

static void *thread_run(void *arg)
{
	struct threads *t = arg;
	struct bop *op;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		op = queue_take(&t->todo);
		if (!op) {
			t->idle++;
			pthread_cond_wait(&t->work, &t->lock);
			t->idle--;
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		op->result = engine_do(op);
		pthread_mutex_lock(&t->lock);
		queue_put(&t->done, op);
		announce(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* With all signals blocked: they are for the threads that expect them. */
static bool thread_start(struct threads *t)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	rc = pthread_create(&t->threads[t->count], NULL, thread_run, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		t->count++;
	return rc == 0;
}

static void threads_queue(struct bengine *engine, struct bop *op)
{
	struct threads *t = (struct threads *)engine;
	bool done = quick_write(&t->quick, op) || quick_read(op);

	pthread_mutex_lock(&t->lock);
	if (done) {
		queue_put(&t->done, op);
		announce(t);
	} else if (t->idle == 0 && t->count < THREADS_MAX && !thread_start(t) && t->count == 0) {
		op->result = engine_do(op);            /* no thread to be had: here and now */
		queue_put(&t->done, op);
		announce(t);
	} else {
		queue_put(&t->todo, op);
		pthread_cond_signal(&t->work);
	}
	pthread_mutex_unlock(&t->lock);
}

static void threads_kick(struct bengine *engine)
{
	struct threads *t = (struct threads *)engine;

	quick_kick(&t->quick);
}

static struct bop *threads_reap(struct bengine *engine, bool wait)
{
	struct threads *t = (struct threads *)engine;
	struct bop *op;

	pthread_mutex_lock(&t->lock);
	while (!(op = queue_take(&t->done)) && wait)
		pthread_cond_wait(&t->finished, &t->lock);
	pthread_mutex_unlock(&t->lock);
	return op;
}

static void threads_disarm(struct bengine *engine)
{
	struct threads *t = (struct threads *)engine;

	pthread_mutex_lock(&t->lock);
	t->armed = false;
	pthread_mutex_unlock(&t->lock);
}

static bool threads_arm(struct bengine *engine)
{
	struct threads *t = (struct threads *)engine;
	bool more;

	pthread_mutex_lock(&t->lock);
	t->armed = true;
	more = t->done.first != NULL;
	pthread_mutex_unlock(&t->lock);
	return more;
}

static void threads_destroy(struct bengine *engine)
{
	struct threads *t = (struct threads *)engine;

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->count; i++)
		pthread_join(t->threads[i], NULL);
	pthread_mutex_destroy(&t->lock);
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->finished);
	close(t->base.event_fd);
	g_free(t);
}

static const struct bengine_ops threads_ops = {
	.name = "threads",
	.destroy = threads_destroy,
	.queue = threads_queue,
	.kick = threads_kick,
	.reap = threads_reap,
	.disarm = threads_disarm,
	.arm = threads_arm,
};

struct bengine *threads_create(void)
{
	struct threads *t = g_new0(struct threads, 1);

	t->base.ops = &threads_ops;
	t->base.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->base.event_fd < 0) {
		g_free(t);
		return NULL;
	}
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	pthread_cond_init(&t->finished, NULL);
	queue_init(&t->todo);
	queue_init(&t->done);
	t->armed = true;
	return &t->base;
}
