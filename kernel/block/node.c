/* SPDX-License-Identifier: MIT */
/* What handles share in a node: leases, units, waiting requests, epochs of I/O; see node.h. */
#include <string.h>

#include "kernel/block/node.h"
#include "kernel/block/request.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/loop.h"

static void waiters_init(struct bwaiters *list)
{
	list->first = NULL;
	list->last = &list->first;
}

static void waiters_put(struct bwaiters *list, struct bpost *post)
{
	post->next = NULL;
	*list->last = post;
	list->last = &post->next;
}

/* Back to their handles; after this a request may be gone. */
static void waiters_post(struct bpost *first)
{
	for (struct bpost *post = first, *next; post; post = next) {
		next = post->next;
		request_post(post);
	}
}

static struct bpost *waiters_take(struct bwaiters *list)
{
	struct bpost *first = list->first;

	waiters_init(list);
	return first;
}

void node_init(struct bnode *node)
{
	g_rec_mutex_init(&node->own_lock);
	pthread_mutex_init(&node->mutex, NULL);
	pthread_mutex_init(&node->flush.lock, NULL);
	pthread_cond_init(&node->changed, NULL);
	waiters_init(&node->unit_waiters);
	waiters_init(&node->ready_waiters);
	node->retire.fresh = g_array_new(FALSE, FALSE, sizeof(struct mt_block_space));
	node->retire.written = g_array_new(FALSE, FALSE, sizeof(struct mt_block_space));
	node->caches = g_ptr_array_new();
}

void node_jobs_wait(struct bnode *node)
{
	pthread_mutex_lock(&node->mutex);
	while (node->jobs)
		pthread_cond_wait(&node->changed, &node->mutex);
	pthread_mutex_unlock(&node->mutex);
}

void node_fini(struct bnode *node)
{
	node_jobs_wait(node);
	cache_destroy_all(node);
	codec_forget_all(node);
	refusal_clear(&node->refusal);
	g_ptr_array_unref(node->caches);
	g_array_unref(node->retire.fresh);
	g_array_unref(node->retire.written);
	pthread_cond_destroy(&node->changed);
	pthread_mutex_destroy(&node->flush.lock);
	pthread_mutex_destroy(&node->mutex);
	g_rec_mutex_clear(&node->own_lock);
}

void node_enter(struct bnode *node)
{
	if (node->inst)
		inst_enter(node->inst);
	else
		g_rec_mutex_lock(&node->own_lock);
}

void node_leave(struct bnode *node)
{
	if (node->inst)
		inst_leave(node->inst);
	else
		g_rec_mutex_unlock(&node->own_lock);
}

struct bnode *node_root(struct bnode *node)
{
	while (node->above)
		node = node->above;
	return node;
}

/* Jobs */

struct job {
	struct bnode *node;
	void (*fn)(void *arg);
	void *arg;
};

static void job_run(void *arg)
{
	struct job *job = arg;
	struct bnode *node = job->node;

	job->fn(job->arg);
	g_free(job);
	pthread_mutex_lock(&node->mutex);
	node->jobs--;
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->mutex);
}

void node_job(struct bnode *node, void (*fn)(void *arg), void *arg)
{
	struct job *job = g_new(struct job, 1);

	*job = (struct job){ node, fn, arg };
	pthread_mutex_lock(&node->mutex);
	node->jobs++;
	pthread_mutex_unlock(&node->mutex);
	if (!node->workers || !workers_push(node->workers, job_run, job))
		job_run(job);
}

/* Leases */

void node_invalidate(struct bnode *node, uint64_t offset, uint64_t len_bytes)
{
	pthread_mutex_lock(&node->mutex);
	node->recent[node->generation % BNODE_RECENT] =
		(struct brange){ len_bytes ? offset : 0, len_bytes ? len_bytes : UINT64_MAX };
	__atomic_store_n(&node->generation, node->generation + 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&node->mutex);
}

/* Waiting for metadata */

uint64_t node_ready_count(struct bnode *node)
{
	return __atomic_load_n(&node->ready_count, __ATOMIC_SEQ_CST);
}

bool node_wait_ready(struct bnode *node, struct bpost *post, uint64_t ready_count)
{
	bool waits;

	pthread_mutex_lock(&node->mutex);
	waits = node->ready_count == ready_count;
	if (waits)
		waiters_put(&node->ready_waiters, post);
	pthread_mutex_unlock(&node->mutex);
	return waits;
}

void node_sleep_ready(struct bnode *node, uint64_t ready_count)
{
	pthread_mutex_lock(&node->mutex);
	while (node->ready_count == ready_count)
		pthread_cond_wait(&node->changed, &node->mutex);
	pthread_mutex_unlock(&node->mutex);
}

void node_ready(struct bnode *node)
{
	struct bpost *first;

	pthread_mutex_lock(&node->mutex);
	__atomic_fetch_add(&node->ready_count, 1, __ATOMIC_SEQ_CST);      /* others look without the mutex */
	first = waiters_take(&node->ready_waiters);
	pthread_cond_broadcast(&node->changed);
	pthread_mutex_unlock(&node->mutex);
	waiters_post(first);
}

/* Turns */

void node_turn_take(struct bnode *node, struct bturn *turn, struct bpost *post)
{
	pthread_mutex_lock(&node->mutex);
	*turn = (struct bturn){ .number = ++node->turns, .post = post };
	pthread_mutex_unlock(&node->mutex);
}

bool node_turn_wait(struct bnode *node, struct bturn *turn)
{
	bool mine;

	pthread_mutex_lock(&node->mutex);
	mine = turn->number == node->turn + 1;
	if (!mine) {
		turn->next = node->turn_waiters;
		node->turn_waiters = turn;
	}
	pthread_mutex_unlock(&node->mutex);
	return mine;
}

void node_turn_end(struct bnode *node, struct bturn *turn)
{
	struct bturn **link, *next;
	struct bpost *post = NULL;

	turn->number = 0;
	pthread_mutex_lock(&node->mutex);
	node->turn++;
	for (link = &node->turn_waiters; *link && (*link)->number != node->turn + 1; link = &(*link)->next)
		;
	next = *link;
	if (next) {
		*link = next->next;
		post = next->post;
	}
	pthread_mutex_unlock(&node->mutex);
	if (post)
		request_post(post);
}

/* Units */

static bool overlap(const struct bunits *a, const struct bunits *b)
{
	return a->offset < b->offset + b->len_bytes && b->offset < a->offset + a->len_bytes;
}

bool node_lock_units(struct bnode *node, struct bunits *units, struct bpost *post)
{
	const struct bunits *other;

	pthread_mutex_lock(&node->mutex);
	for (other = node->units; other && !overlap(other, units); other = other->next)
		;
	if (other) {
		waiters_put(&node->unit_waiters, post);
	} else {
		units->next = node->units;
		node->units = units;
	}
	pthread_mutex_unlock(&node->mutex);
	return !other;
}

/* Whoever waits for any units tries again: few wait, and rarely. */
void node_unlock_units(struct bnode *node, struct bunits *units)
{
	struct bunits **link = &node->units;
	struct bpost *first;

	pthread_mutex_lock(&node->mutex);
	while (*link != units)
		link = &(*link)->next;
	*link = units->next;
	first = waiters_take(&node->unit_waiters);
	pthread_mutex_unlock(&node->mutex);
	waiters_post(first);
}

/*
 * Epochs of I/O. Entered before the mapping is looked at: whoever gave space up has invalidated the mapping before
 * it turned the epoch over, so that either its look finds us counted, or ours finds the mapping gone.
 */
uint32_t node_epoch_enter(struct bnode *root)
{
	for (;;) {
		uint32_t epoch = __atomic_load_n(&root->retire.epoch, __ATOMIC_SEQ_CST);

		__atomic_add_fetch(&root->retire.in_flight[epoch & 1], 1, __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&root->retire.epoch, __ATOMIC_SEQ_CST) == epoch)
			return epoch & 1;
		node_epoch_leave(root, epoch & 1);
	}
}

void node_epoch_leave(struct bnode *root, uint32_t epoch)
{
	if (__atomic_sub_fetch(&root->retire.in_flight[epoch], 1, __ATOMIC_SEQ_CST) == 0 &&
	    __atomic_load_n(&root->retire.draining, __ATOMIC_SEQ_CST))
		node_retire_drained(root);
}
