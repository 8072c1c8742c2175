/* SPDX-License-Identifier: MIT */
/*
 * A loop thread: descriptors by epoll, timers by a timerfd and a heap, posted calls by a list and an eventfd.
 * Everything but the thread's own functions may be called from any thread, and from inside callbacks.
 *
 * The rule that is easy to break: epoll_wait may have returned a watch that another thread, or an earlier
 * callback of the same batch, removes. So a removed watch is only marked; the loop thread frees it between
 * two batches.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel/machine/loop.h"

#define BATCH 64

struct post {
	struct post *next;
	void (*fn)(void *arg);
	void *arg;
};

struct loop_watch {
	struct loop *loop;
	int fd;
	uint32_t events;
	void (*fn)(void *arg, uint32_t events);
	void *arg;
	bool polled, always, dead;
	void (*gone)(void *arg);
	struct loop_watch *next;       /* in the grave */
};

struct loop_timer {
	struct loop *loop;
	uint64_t deadline_ns, order;   /* equal deadlines fire in the order of arming */
	unsigned index;                /* in the heap, from 1; 0: not armed */
	void (*fn)(void *arg);
	void *arg;
	bool dead;
	bool orphan;                   /* destroyed by its own callback: run_timers frees it */
};

struct loop {
	char *name;
	pthread_t thread;
	int epoll_fd, event_fd, timer_fd;
	struct workers *workers;
	pthread_mutex_t lock;          /* of everything below; no callback runs under it */
	pthread_cond_t rested;         /* `running` changed */
	struct post *posts, **posts_tail;
	bool started;                  /* the thread; else it starts when there is something for it */
	bool woken, stop;
	GPtrArray *heap;               /* of struct loop_timer; element 0 is unused */
	uint64_t order;
	uint64_t programmed_ns;        /* of timer_fd; UINT64_MAX: off */
	GPtrArray *always;             /* watches of regular files */
	struct loop_watch *grave;
	void *running;                 /* the watch or timer whose callback runs */
};

static _Thread_local const struct loop *current_loop;

uint64_t loop_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool loop_is_current(const struct loop *loop)
{
	return current_loop == loop;
}

struct workers *loop_workers(struct loop *loop)
{
	return loop->workers;
}

static bool thread_start(struct loop *loop);

/* With the lock held. Of a lazy loop: where no thread is to be had it is tried again next time. */
static void loop_need(struct loop *loop)
{
	if (!loop->started)
		loop->started = thread_start(loop);
}

/* With the lock held. */
static void loop_wake(struct loop *loop)
{
	loop_need(loop);
	if (loop->woken)
		return;
	loop->woken = true;
	eventfd_write(loop->event_fd, 1);
}

/* With the lock held. A callback waits for no one but an instance's lock: see loop.h. */
static void wait_rested(struct loop *loop, const void *object)
{
	while (loop->running == object && !loop_is_current(loop))
		pthread_cond_wait(&loop->rested, &loop->lock);
}

/* Posted calls */

void loop_post(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct post *post = g_new(struct post, 1);

	*post = (struct post){ NULL, fn, arg };
	pthread_mutex_lock(&loop->lock);
	*loop->posts_tail = post;
	loop->posts_tail = &post->next;
	loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

/* Runs what was posted before; what the calls post themselves comes in the next round. */
static void run_posts(struct loop *loop)
{
	struct post *post;

	pthread_mutex_lock(&loop->lock);
	post = loop->posts;
	loop->posts = NULL;
	loop->posts_tail = &loop->posts;
	pthread_mutex_unlock(&loop->lock);
	while (post) {
		struct post *next = post->next;

		post->fn(post->arg);
		g_free(post);
		post = next;
	}
}

struct sync {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void sync_reached(void *arg)
{
	struct sync *sync = arg;

	pthread_mutex_lock(&sync->lock);
	sync->done = true;
	pthread_cond_signal(&sync->cond);
	pthread_mutex_unlock(&sync->lock);
}

void loop_sync(struct loop *loop)
{
	struct sync sync = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

	if (loop_is_current(loop))
		return;
	loop_post(loop, sync_reached, &sync);
	pthread_mutex_lock(&sync.lock);
	while (!sync.done)
		pthread_cond_wait(&sync.cond, &sync.lock);
	pthread_mutex_unlock(&sync.lock);
	pthread_mutex_destroy(&sync.lock);
	pthread_cond_destroy(&sync.cond);
}

/* Timers: a binary heap, the earliest at 1 */

static struct loop_timer *heap_at(const struct loop *loop, unsigned index)
{
	return g_ptr_array_index(loop->heap, index);
}

static bool heap_before(const struct loop_timer *a, const struct loop_timer *b)
{
	return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

static void heap_put(struct loop *loop, unsigned index, struct loop_timer *timer)
{
	loop->heap->pdata[index] = timer;
	timer->index = index;
}

static void heap_up(struct loop *loop, struct loop_timer *timer)
{
	unsigned index = timer->index;

	while (index > 1 && heap_before(timer, heap_at(loop, index / 2))) {
		heap_put(loop, index, heap_at(loop, index / 2));
		index /= 2;
	}
	heap_put(loop, index, timer);
}

static void heap_down(struct loop *loop, struct loop_timer *timer)
{
	unsigned index = timer->index;

	for (;;) {
		unsigned child = index * 2;

		if (child + 1 < loop->heap->len &&
		    heap_before(heap_at(loop, child + 1), heap_at(loop, child)))
			child++;
		if (child >= loop->heap->len || !heap_before(heap_at(loop, child), timer))
			break;
		heap_put(loop, index, heap_at(loop, child));
		index = child;
	}
	heap_put(loop, index, timer);
}

static void heap_remove(struct loop *loop, struct loop_timer *timer)
{
	struct loop_timer *last = heap_at(loop, loop->heap->len - 1);
	unsigned index = timer->index;

	if (index == 0)
		return;
	timer->index = 0;
	g_ptr_array_set_size(loop->heap, (int)loop->heap->len - 1);
	if (last == timer)
		return;
	heap_put(loop, index, last);
	heap_up(loop, last);
	heap_down(loop, last);
}

/* With the lock held. A time in the past makes the timerfd readable at once; 0 would disarm it. */
static void timer_program(struct loop *loop, uint64_t ns)
{
	struct itimerspec when = { { 0, 0 }, { 0, 0 } };

	loop->programmed_ns = ns;
	if (ns != UINT64_MAX) {
		ns = MAX(ns, 1);
		when.it_value.tv_sec = (time_t)(ns / 1000000000u);
		when.it_value.tv_nsec = (long)(ns % 1000000000u);
	}
	timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
}

/* A top that moved to later is left to a spurious wake: guests move their timer at every tick. */
static void timer_program_top(struct loop *loop)
{
	uint64_t top_ns;

	pthread_mutex_lock(&loop->lock);
	top_ns = loop->heap->len > 1 ? heap_at(loop, 1)->deadline_ns : UINT64_MAX;
	if (top_ns < loop->programmed_ns)
		timer_program(loop, top_ns);
	pthread_mutex_unlock(&loop->lock);
}

struct loop_timer *loop_timer_create(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *timer = g_new0(struct loop_timer, 1);

	timer->loop = loop;
	timer->fn = fn;
	timer->arg = arg;
	return timer;
}

void loop_timer_arm(struct loop_timer *timer, uint64_t host_ns)
{
	struct loop *loop = timer->loop;

	pthread_mutex_lock(&loop->lock);
	heap_remove(loop, timer);
	if (host_ns != UINT64_MAX && !timer->dead) {
		timer->deadline_ns = host_ns;
		timer->order = ++loop->order;
		g_ptr_array_add(loop->heap, timer);
		timer->index = loop->heap->len - 1;
		heap_up(loop, timer);
		loop_need(loop);
		if (heap_at(loop, 1) == timer && host_ns < loop->programmed_ns && !loop_is_current(loop))
			timer_program(loop, host_ns);
	}
	pthread_mutex_unlock(&loop->lock);
}

void loop_timer_destroy(struct loop_timer *timer)
{
	struct loop *loop = timer->loop;
	bool orphan;

	pthread_mutex_lock(&loop->lock);
	heap_remove(loop, timer);
	timer->dead = true;
	wait_rested(loop, timer);
	orphan = loop->running == timer;
	timer->orphan = orphan;
	pthread_mutex_unlock(&loop->lock);
	if (!orphan)
		g_free(timer);
}

/* What is armed by the callbacks themselves waits for the next round: descriptors get their turn. */
static void run_timers(struct loop *loop)
{
	uint64_t now_ns = loop_now_ns(), last;

	pthread_mutex_lock(&loop->lock);
	last = loop->order;
	while (loop->heap->len > 1) {
		struct loop_timer *timer = heap_at(loop, 1);

		if (timer->deadline_ns > now_ns || timer->order > last)
			break;
		heap_remove(loop, timer);
		loop->running = timer;
		pthread_mutex_unlock(&loop->lock);
		timer->fn(timer->arg);
		pthread_mutex_lock(&loop->lock);
		loop->running = NULL;
		pthread_cond_broadcast(&loop->rested);
		if (timer->orphan)
			g_free(timer);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* Watches */

static uint32_t to_epoll(uint32_t events)
{
	return (events & MT_FD_READ ? (uint32_t)EPOLLIN : 0) |
	       (events & MT_FD_WRITE ? (uint32_t)EPOLLOUT : 0);
}

static uint32_t from_epoll(uint32_t events)
{
	return (events & EPOLLIN ? MT_FD_READ : 0) | (events & EPOLLOUT ? MT_FD_WRITE : 0) |
	       (events & (EPOLLHUP | EPOLLERR) ? MT_FD_HUP : 0);
}

/* A parked watch leaves epoll, which would report a hang-up without end. False: the descriptor is no good. */
static bool watch_poll(struct loop_watch *watch, uint32_t events)
{
	struct epoll_event event = { to_epoll(events), { .ptr = watch } };
	int op = watch->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	watch->events = events;
	if (watch->always || (!events && !watch->polled))
		return true;
	if (!events) {
		/* fails when the descriptor was closed: then it has left by itself */
		epoll_ctl(watch->loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, &event);
		watch->polled = false;
		return true;
	}
	if (epoll_ctl(watch->loop->epoll_fd, op, watch->fd, &event) == 0) {
		watch->polled = true;
		return true;
	}
	if (errno != EPERM)
		return false;
	watch->always = true;
	g_ptr_array_add(watch->loop->always, watch);
	return true;
}

struct loop_watch *loop_watch_add(struct loop *loop, int fd, uint32_t events,
				  void (*fn)(void *arg, uint32_t events), void *arg)
{
	struct loop_watch *watch = g_new0(struct loop_watch, 1);
	bool good;

	*watch = (struct loop_watch){ .loop = loop, .fd = fd, .fn = fn, .arg = arg };
	pthread_mutex_lock(&loop->lock);
	good = fd >= 0 && watch_poll(watch, events);
	loop_need(loop);
	if (watch->always)
		loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
	if (good)
		return watch;
	g_free(watch);
	return NULL;
}

bool loop_watch_set(struct loop_watch *watch, uint32_t events)
{
	struct loop *loop = watch->loop;
	bool good = true;

	pthread_mutex_lock(&loop->lock);
	if (!watch->dead && watch->events != events) {
		good = watch_poll(watch, events);
		if (watch->always)
			loop_wake(loop);
	}
	pthread_mutex_unlock(&loop->lock);
	return good;
}

/* With the lock held. */
static void watch_bury(struct loop_watch *watch, void (*gone)(void *arg))
{
	struct loop *loop = watch->loop;

	watch_poll(watch, 0);
	if (watch->always)
		g_ptr_array_remove(loop->always, watch);
	watch->dead = true;
	watch->gone = gone;
	watch->next = loop->grave;
	loop->grave = watch;
	loop_wake(loop);
}

void loop_watch_remove(struct loop_watch *watch)
{
	struct loop *loop = watch->loop;

	pthread_mutex_lock(&loop->lock);
	watch_bury(watch, NULL);
	/* the grave may have been emptied when this returns: only the address is compared */
	wait_rested(loop, watch);
	pthread_mutex_unlock(&loop->lock);
}

void loop_watch_abandon(struct loop_watch *watch, void (*gone)(void *arg))
{
	struct loop *loop = watch->loop;

	pthread_mutex_lock(&loop->lock);
	watch_bury(watch, gone);
	pthread_mutex_unlock(&loop->lock);
}

static void empty_grave(struct loop *loop)
{
	struct loop_watch *watch;

	pthread_mutex_lock(&loop->lock);
	watch = loop->grave;
	loop->grave = NULL;
	pthread_mutex_unlock(&loop->lock);
	while (watch) {
		struct loop_watch *next = watch->next;

		if (watch->gone)
			watch->gone(watch->arg);
		g_free(watch);
		watch = next;
	}
}

static void run_watch(struct loop_watch *watch, uint32_t events)
{
	struct loop *loop = watch->loop;

	pthread_mutex_lock(&loop->lock);
	events &= watch->events | MT_FD_HUP;
	if (!watch->dead && watch->events && events) {
		loop->running = watch;
		pthread_mutex_unlock(&loop->lock);
		watch->fn(watch->arg, events);
		pthread_mutex_lock(&loop->lock);
		loop->running = NULL;
		pthread_cond_broadcast(&loop->rested);
	}
	pthread_mutex_unlock(&loop->lock);
}

/* The list changes under callbacks: backwards by index, looked up again each time. */
static void run_always(struct loop *loop)
{
	unsigned left;

	pthread_mutex_lock(&loop->lock);
	left = loop->always->len;
	while (left-- > 0) {
		struct loop_watch *watch = NULL;

		if (left < loop->always->len)
			watch = g_ptr_array_index(loop->always, left);
		pthread_mutex_unlock(&loop->lock);
		if (watch)
			run_watch(watch, MT_FD_READ | MT_FD_WRITE);
		pthread_mutex_lock(&loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
}

static bool any_always(struct loop *loop)
{
	bool any = false;

	pthread_mutex_lock(&loop->lock);
	for (unsigned i = 0; i < loop->always->len && !any; i++)
		any = ((struct loop_watch *)g_ptr_array_index(loop->always, i))->events != 0;
	pthread_mutex_unlock(&loop->lock);
	return any;
}

/* The thread */

static void take_wake(struct loop *loop)
{
	eventfd_t count;

	/*
	 * Both in one: a poster that came between clearing and reading would have its signal read away, and
	 * leave `woken` set for ever.
	 */
	pthread_mutex_lock(&loop->lock);
	eventfd_read(loop->event_fd, &count);
	loop->woken = false;
	pthread_mutex_unlock(&loop->lock);
}

static void take_expiry(struct loop *loop)
{
	uint64_t count;

	pthread_mutex_lock(&loop->lock);
	if (read(loop->timer_fd, &count, sizeof(count)) == sizeof(count))
		loop->programmed_ns = UINT64_MAX;
	pthread_mutex_unlock(&loop->lock);
}

static void run_batch(struct loop *loop, const struct epoll_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		void *ptr = events[i].data.ptr;

		if (ptr == &loop->event_fd)
			take_wake(loop);
		else if (ptr == &loop->timer_fd)
			take_expiry(loop);
		else
			run_watch(ptr, from_epoll(events[i].events));
	}
}

static bool is_over(struct loop *loop)
{
	bool over;

	pthread_mutex_lock(&loop->lock);
	over = loop->stop && !loop->posts;
	pthread_mutex_unlock(&loop->lock);
	return over;
}

static void *loop_main(void *arg)
{
	struct loop *loop = arg;
	struct epoll_event events[BATCH];

	current_loop = loop;
	inst_thread_set(MT_THREAD_IO);
	pthread_setname_np(pthread_self(), loop->name);
	while (!is_over(loop)) {
		int count;

		empty_grave(loop);
		timer_program_top(loop);
		count = epoll_wait(loop->epoll_fd, events, BATCH, any_always(loop) ? 0 : -1);
		run_batch(loop, events, count);
		run_always(loop);
		run_timers(loop);
		run_posts(loop);
	}
	empty_grave(loop);
	return NULL;
}

static bool fds_open(struct loop *loop)
{
	struct epoll_event wake = { EPOLLIN, { .ptr = &loop->event_fd } };
	struct epoll_event expiry = { EPOLLIN, { .ptr = &loop->timer_fd } };

	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return loop->epoll_fd >= 0 && loop->event_fd >= 0 && loop->timer_fd >= 0 &&
	       epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->event_fd, &wake) == 0 &&
	       epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->timer_fd, &expiry) == 0;
}

static void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void loop_free(struct loop *loop)
{
	fd_close(loop->epoll_fd);
	fd_close(loop->event_fd);
	fd_close(loop->timer_fd);
	workers_destroy(loop->workers);
	g_ptr_array_unref(loop->heap);
	g_ptr_array_unref(loop->always);
	pthread_mutex_destroy(&loop->lock);
	pthread_cond_destroy(&loop->rested);
	g_free(loop->name);
	g_free(loop);
}

/* Signals of the process go to the threads that ask for them. */
static bool thread_start(struct loop *loop)
{
	sigset_t all, old;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	code = pthread_create(&loop->thread, NULL, loop_main, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return code == 0;
}

struct loop *loop_create_lazy(const char *name)
{
	struct loop *loop = g_new0(struct loop, 1);

	loop->name = g_strndup(name, 15);      /* the kernel's limit */
	loop->posts_tail = &loop->posts;
	loop->programmed_ns = UINT64_MAX;
	loop->heap = g_ptr_array_new();
	g_ptr_array_add(loop->heap, NULL);
	loop->always = g_ptr_array_new();
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->rested, NULL);
	loop->workers = workers_create(0);
	if (fds_open(loop))
		return loop;
	loop_free(loop);
	return NULL;
}

struct loop *loop_create(const char *name)
{
	struct loop *loop = loop_create_lazy(name);

	if (!loop)
		return NULL;
	loop->started = thread_start(loop);
	if (loop->started)
		return loop;
	loop_free(loop);
	return NULL;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	workers_drain(loop->workers);          /* their ends are posted here */
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	if (loop->started)
		loop_wake(loop);
	pthread_mutex_unlock(&loop->lock);
	if (loop->started)
		pthread_join(loop->thread, NULL);
	loop_free(loop);
}
