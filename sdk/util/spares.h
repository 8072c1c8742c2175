/* SPDX-License-Identifier: MIT */
/*
 * Contexts that are dear to make and of which any thread needs one at a time, such as those of compressing libraries:
 * some are kept for whoever comes next. Any thread, but for init and fini.
 */
#ifndef MTSDK_UTIL_SPARES_H
#define MTSDK_UTIL_SPARES_H

#include <pthread.h>
#include <stdint.h>

#define MT_SPARES_MAX 16u

struct mt_spares {
	pthread_mutex_t mutex;
	void *(*make)(void);           /* NULL: out of memory */
	void (*drop)(void *context);
	void *kept[MT_SPARES_MAX];
	uint32_t count;
};

static inline void mt_spares_init(struct mt_spares *s, void *(*make)(void), void (*drop)(void *context))
{
	pthread_mutex_init(&s->mutex, NULL);
	s->make = make;
	s->drop = drop;
	s->count = 0;
}

/* All are back. */
static inline void mt_spares_fini(struct mt_spares *s)
{
	while (s->count)
		s->drop(s->kept[--s->count]);
	pthread_mutex_destroy(&s->mutex);
}

/* NULL: out of memory. */
static inline void *mt_spares_get(struct mt_spares *s)
{
	void *context = NULL;

	pthread_mutex_lock(&s->mutex);
	if (s->count)
		context = s->kept[--s->count];
	pthread_mutex_unlock(&s->mutex);
	return context ? context : s->make();
}

static inline void mt_spares_put(struct mt_spares *s, void *context)
{
	int keep;

	pthread_mutex_lock(&s->mutex);
	keep = s->count < MT_SPARES_MAX;
	if (keep)
		s->kept[s->count++] = context;
	pthread_mutex_unlock(&s->mutex);
	if (!keep)
		s->drop(context);
}

#endif
