/* SPDX-License-Identifier: MIT */
/*
 * Durability: passes of write-back, and space that was given up. A pass: the format's last words, a copy of all dirty
 * metadata, the copies written rank by rank, a sync. What was retired before the copy was made can be used again when
 * the pass is over and I/O that began before has ended.
 * [any] but not under the instance lock of a node with caches, except on [main]: a pass waits for the host.
 */
#include <string.h>

#include "kernel/block/node.h"
#include "kernel/block/request.h"

#define RETIRED_SOON 4096u               /* items after which a pass is begun without being asked for */

/* Given-up space */

int32_t node_retire(struct bnode *node, const struct mt_block_space *space)
{
	uint32_t count;

	pthread_mutex_lock(&node->mutex);
	g_array_append_val(node->retire.fresh, *space);
	count = node->retire.fresh->len;
	pthread_mutex_unlock(&node->mutex);
	if (count >= RETIRED_SOON)
		node_flush_soon(node);
	return 0;
}

/* Hands space over; what the format cannot take now comes again with the next pass. */
static void hand_over(struct bnode *node)
{
	GArray *items = node->retire.written;
	uint32_t at = 0;
	int32_t n = 0;

	codec_forget_all(node);
	while (at < items->len && n >= 0) {
		uint64_t ready = node_ready_count(node);

		node_enter(node);
		n = node->format->retired ? node->format->retired(node->self,
			&g_array_index(items, struct mt_block_space, at), items->len - at) : (int32_t)items->len;
		node_leave(node);
		if (n == MT_EAGAIN) {
			node_sleep_ready(node, ready);
			n = 0;
		} else if (n > 0) {
			at += MIN((uint32_t)n, items->len - at);
		} else {
			break;
		}
	}
	g_array_set_size(items, 0);      /* what is left leaks until the next check */
}

static void hand_over_below(struct bnode *node)
{
	if (node->retire.written->len)
		hand_over(node);
	for (uint32_t i = 0; i < node->child_count; i++) {
		if (node->children[i].node)
			hand_over_below(node->children[i].node);
	}
	if (node->backing)
		hand_over_below(node->backing);
}

static void hand_over_job(void *arg)
{
	struct bnode *root = arg;

	hand_over_below(root);
	__atomic_store_n(&root->retire.draining, false, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&root->mutex);
	pthread_cond_broadcast(&root->changed);
	pthread_mutex_unlock(&root->mutex);
}

void node_retire_drained(struct bnode *root)
{
	bool mine = false;

	pthread_mutex_lock(&root->mutex);
	if (root->retire.turned &&
	    __atomic_load_n(&root->retire.in_flight[!(root->retire.epoch & 1)], __ATOMIC_SEQ_CST) == 0) {
		root->retire.turned = false;
		mine = true;
	}
	pthread_mutex_unlock(&root->mutex);
	if (mine)
		node_job(root, hand_over_job, root);
}

/* False: an older batch is still being waited for. */
static bool epoch_claim(struct bnode *root)
{
	return !__atomic_exchange_n(&root->retire.draining, true, __ATOMIC_SEQ_CST);
}

static void epoch_turn(struct bnode *root)
{
	pthread_mutex_lock(&root->mutex);
	__atomic_add_fetch(&root->retire.epoch, 1, __ATOMIC_SEQ_CST);
	root->retire.turned = true;
	pthread_mutex_unlock(&root->mutex);
	node_retire_drained(root);
}

/* Passes */

int32_t node_sync_files(struct bnode *node)
{
	int32_t rc = 0, one;

	for (uint32_t i = 0; i < node->child_count; i++) {
		one = node->children[i].file ? file_flush(node->children[i].file) : node_flush(node->children[i].node);
		if (rc == 0)
			rc = one;
	}
	return rc;
}

static void swap_arrays(GArray **a, GArray **b)
{
	GArray *old = *a;

	*a = *b;
	*b = old;
}

/*
 * The format's last words, the copy and the batch of retired space are one step: what points to that space is in the
 * copy or gone, and nothing is in the copy that the format did not hear of.
 */
static struct bcopies *take(struct bnode *node, bool batch, int32_t *rc)
{
	struct bcopies *copies = NULL;

	for (;;) {
		uint64_t ready = node_ready_count(node);

		node_enter(node);
		*rc = node->format->flush ? node->format->flush(node->self) : 0;
		if (*rc != MT_EAGAIN)
			break;
		node_leave(node);
		node_sleep_ready(node, ready);
	}
	if (*rc == 0)
		copies = cache_snapshot(node, rc);
	if (batch && *rc == 0) {
		pthread_mutex_lock(&node->mutex);
		swap_arrays(&node->retire.fresh, &node->retire.written);
		pthread_mutex_unlock(&node->mutex);
	}
	node_leave(node);
	return copies;
}

static void batch_back(struct bnode *node)
{
	pthread_mutex_lock(&node->mutex);
	g_array_append_vals(node->retire.fresh, node->retire.written->data, node->retire.written->len);
	g_array_set_size(node->retire.written, 0);
	pthread_mutex_unlock(&node->mutex);
}

static int32_t pass(struct bnode *node)
{
	struct bnode *root = node_root(node);
	bool batch = node->retire.fresh->len && epoch_claim(root);
	int32_t rc;
	struct bcopies *copies = take(node, batch, &rc);

	if (rc == 0 && copies)
		rc = cache_write(node, copies);
	if (rc == 0)
		rc = node_sync_files(node);
	if (batch && rc < 0)
		batch_back(node);
	if (batch)
		epoch_turn(root);
	return rc;
}

/*
 * Calls that came before a pass began are served by it. In an exclusive operation nobody else calls, and the format
 * does so under the instance lock, which otherwise comes after the lock of passes.
 */
int32_t node_flush(struct bnode *node)
{
	uint64_t mine;
	int32_t rc;

	if (node->alone)
		return pass(node);
	pthread_mutex_lock(&node->mutex);
	mine = ++node->flush.asked;
	pthread_mutex_unlock(&node->mutex);
	pthread_mutex_lock(&node->flush.lock);
	if (node->flush.done < mine) {
		uint64_t begun;

		pthread_mutex_lock(&node->mutex);
		begun = node->flush.asked;
		pthread_mutex_unlock(&node->mutex);
		node->flush.result = pass(node);
		node->flush.done = begun;
	}
	rc = node->flush.result;
	pthread_mutex_unlock(&node->flush.lock);
	return rc;
}

static void soon_job(void *arg)
{
	struct bnode *node = arg;

	__atomic_store_n(&node->pass_wanted, false, __ATOMIC_SEQ_CST);
	node_flush(node);
	node_ready(node);                /* who waited for room in the caches */
}

/* Passes go down to the nodes that the files are in. */
static bool is_held(const struct bnode *node)
{
	bool held = __atomic_load_n(&node->exclusive, __ATOMIC_SEQ_CST);

	for (uint32_t i = 0; i < node->child_count && !held; i++)
		held = node->children[i].node && is_held(node->children[i].node);
	return held;
}

void node_flush_soon(struct bnode *node)
{
	if (node->workers && !is_held(node) && !__atomic_exchange_n(&node->pass_wanted, true, __ATOMIC_SEQ_CST))
		node_job(node, soon_job, node);
}

bool node_needs_pass(struct bnode *node)
{
	bool needed = node->caches->len > 0 || node->format->flush;

	for (uint32_t i = 0; i < node->child_count && !needed; i++)
		needed = node->children[i].node && node_needs_pass(node->children[i].node);
	return needed;
}

/* The second pass writes what giving back the first one's space has made dirty. */
int32_t node_settle(struct bnode *node)
{
	struct bnode *root = node_root(node);
	int32_t rc = 0;

	for (uint32_t i = 0; i < node->child_count && rc == 0; i++)
		rc = node->children[i].node ? node_settle(node->children[i].node) : 0;
	if (rc == 0)
		rc = node_flush(node);
	while (rc == 0) {
		bool fresh;

		pthread_mutex_lock(&root->mutex);
		while (__atomic_load_n(&root->retire.draining, __ATOMIC_SEQ_CST))
			pthread_cond_wait(&root->changed, &root->mutex);
		pthread_mutex_unlock(&root->mutex);
		fresh = node->retire.fresh->len > 0;
		rc = node_flush(node);
		if (!fresh)
			break;
	}
	return rc;
}
