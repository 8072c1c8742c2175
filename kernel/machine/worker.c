/* SPDX-License-Identifier: MIT */
/*
 * The worker service: work off the loop, on a pool of threads that belongs to a loop. Threads are made when
 * work comes and none is idle, and stay. Submitting is legal on every thread; the end of a work is posted to
 * the instance's loop. No pool lock is held while work runs.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/machine/loop.h"
#include "kernel/machine/machine.h"

#define WORKERS_MAX 64u

struct job {
	struct job *next;
	struct mt_inst *inst;
	void (*work)(void *arg);
	void (*done)(void *arg);
	void *arg;
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t offered;        /* a job, or the end */
	pthread_cond_t drained;
	struct job *jobs, **jobs_tail;
	unsigned max, count, idle, queued, busy;
	bool stop;
	pthread_t threads[WORKERS_MAX];
};

struct workers *workers_create(unsigned max)
{
	struct workers *pool = g_new0(struct workers, 1);
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (max == 0)
		max = online > 1 ? (unsigned)MIN(online, (long)WORKERS_MAX) : 1;
	pool->max = MIN(max, WORKERS_MAX);
	pool->jobs_tail = &pool->jobs;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->offered, NULL);
	pthread_cond_init(&pool->drained, NULL);
	return pool;
}

static void job_done(void *arg)
{
	struct job *job = arg;

	inst_enter(job->inst);
	if (job->done && __atomic_load_n(&job->inst->state, __ATOMIC_RELAXED) < INST_UNREALIZED)
		job->done(job->arg);
	inst_leave(job->inst);
	g_free(job);
}

static struct job *job_take(struct workers *pool)
{
	struct job *job = pool->jobs;

	pool->jobs = job->next;
	if (!pool->jobs)
		pool->jobs_tail = &pool->jobs;
	pool->queued--;
	pool->busy++;
	return job;
}

static void *worker_main(void *arg)
{
	struct workers *pool = arg;

	pthread_setname_np(pthread_self(), "mt-worker");
	pthread_mutex_lock(&pool->lock);
	for (;;) {
		struct job *job;

		pool->idle++;
		while (!pool->jobs && !pool->stop)
			pthread_cond_wait(&pool->offered, &pool->lock);
		pool->idle--;
		if (!pool->jobs)
			break;
		job = job_take(pool);
		pthread_mutex_unlock(&pool->lock);
		job->work(job->arg);
		/* posted before it counts as run: who drains finds the end on the loop */
		if (job->inst)
			loop_post(job->inst->loop, job_done, job);
		else
			g_free(job);
		pthread_mutex_lock(&pool->lock);
		if (--pool->busy == 0 && pool->queued == 0)
			pthread_cond_broadcast(&pool->drained);
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* With the lock held. False only when there is no thread at all. */
static bool thread_add(struct workers *pool)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&pool->threads[pool->count], NULL, worker_main, pool) == 0)
		pool->count++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pool->count > 0;
}

static int job_put(struct workers *pool, struct job *job)
{
	int code = 0;

	pthread_mutex_lock(&pool->lock);
	if (pool->idle <= pool->queued && pool->count < pool->max && !thread_add(pool)) {
		code = MT_ENOMEM;
	} else {
		*pool->jobs_tail = job;
		pool->jobs_tail = &job->next;
		pool->queued++;
		pthread_cond_signal(&pool->offered);
	}
	pthread_mutex_unlock(&pool->lock);
	if (code)
		g_free(job);
	return code;
}

bool workers_push(struct workers *pool, void (*work)(void *arg), void *arg)
{
	struct job *job = g_new0(struct job, 1);

	*job = (struct job){ .work = work, .arg = arg };
	return job_put(pool, job) == 0;
}

static int submit(struct mt_inst *inst, void (*work)(void *arg), void (*done)(void *arg), void *arg)
{
	struct job *job = g_try_new0(struct job, 1);

	if (!job)
		return MT_ENOMEM;
	loop_fence(inst);
	*job = (struct job){ NULL, inst, work, done, arg };
	return job_put(loop_workers(inst->loop), job);
}

void workers_drain(struct workers *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (pool->busy || pool->queued)
		pthread_cond_wait(&pool->drained, &pool->lock);
	pthread_mutex_unlock(&pool->lock);
}

void workers_destroy(struct workers *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->offered);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->count; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_mutex_destroy(&pool->lock);
	pthread_cond_destroy(&pool->offered);
	pthread_cond_destroy(&pool->drained);
	g_free(pool);
}

const struct mt_worker_host worker_host = {
	.submit = submit,
};
