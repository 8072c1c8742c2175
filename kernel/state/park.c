/* SPDX-License-Identifier: MIT */
/* Each loop runs a call that waits for main; see park.h. */
#include "kernel/state/park.h"

#include <pthread.h>

#include "kernel/machine/loop.h"

struct park {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned parked;               /* loops that stand still */
	bool over;
};

/* [io] */
static void loop_stands(void *arg)
{
	struct park *park = arg;

	pthread_mutex_lock(&park->lock);
	park->parked++;
	pthread_cond_broadcast(&park->changed);
	while (!park->over)
		pthread_cond_wait(&park->changed, &park->lock);
	park->parked--;
	pthread_cond_broadcast(&park->changed);
	pthread_mutex_unlock(&park->lock);
}

/* With the lock held. */
static void wait_for(struct park *park, unsigned parked)
{
	while (park->parked != parked)
		pthread_cond_wait(&park->changed, &park->lock);
}

struct park *park_begin(struct machine *m)
{
	struct park *park = g_new0(struct park, 1);
	GHashTableIter iter;
	void *loop;

	pthread_mutex_init(&park->lock, NULL);
	pthread_cond_init(&park->changed, NULL);
	loop_post(m->loop, loop_stands, park);
	g_hash_table_iter_init(&iter, m->threads);
	while (g_hash_table_iter_next(&iter, NULL, &loop))
		loop_post(loop, loop_stands, park);
	pthread_mutex_lock(&park->lock);
	wait_for(park, 1 + g_hash_table_size(m->threads));
	pthread_mutex_unlock(&park->lock);
	return park;
}

void park_end(struct park *park)
{
	pthread_mutex_lock(&park->lock);
	park->over = true;
	pthread_cond_broadcast(&park->changed);
	wait_for(park, 0);
	pthread_mutex_unlock(&park->lock);
	pthread_cond_destroy(&park->changed);
	pthread_mutex_destroy(&park->lock);
	g_free(park);
}
