/* SPDX-License-Identifier: MIT */
/*
 * The io_uring engine: a batch of operations is one system call. What is in the page cache completes inside that
 * call and is reaped by the caller at once, as are small writes (quick.h); the rest is announced by the eventfd.
 */
#include <errno.h>
#include <glib.h>
#include <linux/membarrier.h>
#include <liburing.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/block/engine.h"
#include "kernel/block/quick.h"

#define RING_ENTRIES 256u

struct uring {
	struct bengine base;
	struct io_uring ring;
	struct quick quick;
	struct bop *early, **early_last;     /* finished at once, or taken off the ring to make room in it */
	bool quiet;                          /* the ring's event can be switched off while somebody looks */
};

static struct uring *uring_of(struct bengine *engine)
{
	return (struct uring *)engine;
}

static struct bop *cqe_take(struct uring *u, struct io_uring_cqe *cqe)
{
	struct bop *op = io_uring_cqe_get_data(cqe);

	op->result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return op;
}

static void early_put(struct uring *u, struct bop *op)
{
	op->next = NULL;
	*u->early_last = op;
	u->early_last = &op->next;
}

static void early_collect(struct uring *u)
{
	struct io_uring_cqe *cqe = NULL;

	while (io_uring_peek_cqe(&u->ring, &cqe) == 0 && cqe)
		early_put(u, cqe_take(u, cqe));
}

/* The completion ring may be full: then it must be emptied before more can begin. */
static void uring_kick(struct bengine *engine)
{
	struct uring *u = uring_of(engine);

	quick_kick(&u->quick);
	while (io_uring_sq_ready(&u->ring) > 0) {
		int rc = io_uring_submit(&u->ring);

		if (rc == -EBUSY || rc == -EAGAIN) {
			early_collect(u);
			sched_yield();
		} else if (rc < 0 && rc != -EINTR) {
			break;
		}
	}
}

static struct io_uring_sqe *sqe_get(struct uring *u)
{
	struct io_uring_sqe *sqe;

	while (!(sqe = io_uring_get_sqe(&u->ring)))
		uring_kick(&u->base);
	return sqe;
}

static void uring_queue(struct bengine *engine, struct bop *op)
{
	struct uring *u = uring_of(engine);
	struct io_uring_sqe *sqe;

	if (quick_write(&u->quick, op)) {
		early_put(u, op);
		return;
	}
	sqe = sqe_get(u);
	switch (op->kind) {
	case BOP_READ:
		if (op->iov_count == 1)
			io_uring_prep_read(sqe, op->fd, op->iov->iov_base, (unsigned)op->iov->iov_len, op->offset);
		else
			io_uring_prep_readv2(sqe, op->fd, op->iov, op->iov_count, op->offset, op->rw_flags);
		break;
	case BOP_WRITE:
		io_uring_prep_writev2(sqe, op->fd, op->iov, op->iov_count, op->offset, op->rw_flags);
		break;
	case BOP_SYNC:
		io_uring_prep_fsync(sqe, op->fd, IORING_FSYNC_DATASYNC);
		break;
	case BOP_FALLOCATE:
		io_uring_prep_fallocate(sqe, op->fd, op->mode, (off_t)op->offset, (off_t)op->len_bytes);
		break;
	}
	io_uring_sqe_set_data(sqe, op);
}

static struct bop *uring_reap(struct bengine *engine, bool wait)
{
	struct uring *u = uring_of(engine);
	struct io_uring_cqe *cqe = NULL;
	struct bop *op = u->early;
	int rc;

	if (op) {
		if (!(u->early = op->next))
			u->early_last = &u->early;
		return op;
	}
	do
		rc = wait ? io_uring_wait_cqe(&u->ring, &cqe) : io_uring_peek_cqe(&u->ring, &cqe);
	while (rc == -EINTR);
	if (rc < 0 || !cqe)
		return NULL;
	return cqe_take(u, cqe);
}

static void uring_disarm(struct bengine *engine)
{
	struct uring *u = uring_of(engine);

	if (u->quiet)
		io_uring_cq_eventfd_toggle(&u->ring, false);
}

static int barrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

void uring_prepare(void)
{
	barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

/*
 * Race with a completion between the last look and the toggle: so one more look after it. The kernel's threads write
 * the tail and read the toggle with no barrier in between: each side could miss the other's write, and the end of the
 * request would not be announced. So they are made to have one: a system call, for what did not complete at once.
 */
static bool uring_arm(struct bengine *engine)
{
	struct uring *u = uring_of(engine);

	if (u->quiet) {
		io_uring_cq_eventfd_toggle(&u->ring, true);
		barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	}
	return u->early || io_uring_cq_ready(&u->ring) > 0;
}

static void uring_destroy(struct bengine *engine)
{
	struct uring *u = uring_of(engine);

	io_uring_queue_exit(&u->ring);
	close(u->base.event_fd);
	g_free(u);
}

static const struct bengine_ops uring_ops = {
	.name = "io_uring",
	.destroy = uring_destroy,
	.queue = uring_queue,
	.kick = uring_kick,
	.reap = uring_reap,
	.disarm = uring_disarm,
	.arm = uring_arm,
};

struct bengine *uring_create(void)
{
	struct uring *u = g_new0(struct uring, 1);
	int rc;

	u->base.ops = &uring_ops;
	u->early_last = &u->early;
	u->quiet = barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
	u->base.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rc = u->base.event_fd < 0 ? -errno : io_uring_queue_init(RING_ENTRIES, &u->ring, IORING_SETUP_CLAMP);
	if (rc == 0) {
		rc = io_uring_register_eventfd(&u->ring, u->base.event_fd);
		if (rc == 0)
			return &u->base;
		io_uring_queue_exit(&u->ring);
	}
	if (u->base.event_fd >= 0)
		close(u->base.event_fd);
	g_free(u);
	errno = -rc;
	return NULL;
}
