/* SPDX-License-Identifier: MIT */
/*
 * Places RAM and regions in a space and publishes flat views of it. Changes come from [main] and, for a bus,
 * from [vcpu]; views are taken and dropped on every thread.
 *
 * The rule that is easy to break: a view header is never freed before the space is (it is recycled), so that
 * space_view_get may look at the count of a view that another thread retires at this moment. Ranges are freed
 * when the count reaches 0, and a count of 0 never rises except by publishing.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/region.h"

struct view {
	struct mt_flat_view pub;       /* first: what readers get */
	uint32_t refs;                 /* atomic; readers, and one for being the newest */
	struct view *next;             /* in the live list, oldest first, or in the spare list */
	struct mt_flat_range *ranges;
};

/* Something that has an address: RAM or a region. */
struct item {
	const char *name;
	uint64_t gpa, len_bytes;
	struct mt_ram *ram;
	struct mt_region *region;
};

struct retiree {
	struct retiree *next;
	uint64_t generation;           /* runs when no older view lives */
	void (*fn)(void *arg);
	void *arg;
};

struct space {
	char *name;
	struct view *newest;           /* atomic */

	pthread_mutex_t change;        /* recursive; held from begin to commit. Guards what follows. */
	unsigned depth;
	bool changed;
	GArray *items;                 /* of struct item, sorted by gpa, no overlaps */
	GPtrArray *rams;               /* of struct mt_ram, owned */
	GArray *blocks;                /* of struct item: RAM in order of adding */
	struct retiree *asked, **asked_tail;   /* inside the open transaction */
	uint64_t generation;
	void (*published)(void *arg);
	void *published_arg;

	pthread_mutex_t views;         /* tiny, inside `change`. Guards the lists below. */
	struct view *live, **live_tail, *spare;
	struct retiree *retirees, **retirees_tail;
	bool retiring;                 /* a thread runs retirees; it will see what others add */
};

static _Thread_local unsigned thread_changes;

unsigned space_changes_by_thread(void)
{
	return thread_changes;
}

/* Retiring */

static bool retiree_due(const struct space *space)
{
	return space->retirees && space->live->pub.generation >= space->retirees->generation;
}

/* Called with `views` held, returns with it held. One thread at a time, so that the order is kept. */
static void retire_run(struct space *space)
{
	if (space->retiring)
		return;
	space->retiring = true;
	while (retiree_due(space)) {
		struct retiree *due = space->retirees;

		space->retirees = due->next;
		if (!due->next)
			space->retirees_tail = &space->retirees;
		pthread_mutex_unlock(&space->views);
		due->fn(due->arg);
		g_free(due);
		pthread_mutex_lock(&space->views);
	}
	space->retiring = false;
}

static void live_remove(struct space *space, struct view *view)
{
	struct view **link = &space->live;

	while (*link != view)
		link = &(*link)->next;
	*link = view->next;
	if (!view->next)
		space->live_tail = link;
}

static void view_retire(struct space *space, struct view *view)
{
	pthread_mutex_lock(&space->views);
	live_remove(space, view);
	g_free(view->ranges);
	view->ranges = NULL;
	view->next = space->spare;
	space->spare = view;
	retire_run(space);
	pthread_mutex_unlock(&space->views);
}

void space_on_retired(struct space *space, void (*fn)(void *arg), void *arg)
{
	struct retiree *retiree = g_new0(struct retiree, 1);

	retiree->fn = fn;
	retiree->arg = arg;
	space_begin(space);
	*space->asked_tail = retiree;
	space->asked_tail = &retiree->next;
	space_commit(space);
}

/* With `change` held: what was asked for in this transaction waits for the views before the newest one. */
static void retire_enqueue(struct space *space)
{
	if (!space->asked)
		return;
	for (struct retiree *r = space->asked; r; r = r->next)
		r->generation = space->generation;
	pthread_mutex_lock(&space->views);
	*space->retirees_tail = space->asked;
	space->retirees_tail = space->asked_tail;
	space->asked = NULL;
	space->asked_tail = &space->asked;
	pthread_mutex_unlock(&space->views);
}

/* Views */

/*
 * Races with space_view_put on another thread that drops the last hold of the same view: the count goes up
 * only from a value that is not 0, so either this thread holds it first, or it sees 0 and looks again (the
 * newest view has changed then, since the newest one has a count of its own).
 */
const struct mt_flat_view *space_view_get(struct space *space)
{
	for (;;) {
		struct view *view = __atomic_load_n(&space->newest, __ATOMIC_ACQUIRE);
		uint32_t refs = __atomic_load_n(&view->refs, __ATOMIC_RELAXED);

		while (refs != 0) {
			if (__atomic_compare_exchange_n(&view->refs, &refs, refs + 1, true, __ATOMIC_ACQUIRE,
							__ATOMIC_RELAXED))
				return &view->pub;
		}
	}
}

void space_view_put(struct space *space, const struct mt_flat_view *pub)
{
	struct view *view = (struct view *)pub;

	if (__atomic_sub_fetch(&view->refs, 1, __ATOMIC_ACQ_REL) == 0)
		view_retire(space, view);
}

const struct mt_flat_range *view_find(const struct mt_flat_view *view, uint64_t gpa)
{
	uint32_t low = 0, high = view->count;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct mt_flat_range *range = &view->ranges[mid];

		if (gpa < range->gpa)
			high = mid;
		else if (gpa - range->gpa >= range->len_bytes)
			low = mid + 1;
		else
			return range;
	}
	return NULL;
}

static void range_fill(struct mt_flat_range *range, const struct item *item)
{
	range->gpa = item->gpa;
	range->len_bytes = item->len_bytes;
	range->region = item->region;
	range->kind = MT_FLAT_IO;
	if (item->region && item->region->flags & MT_REGION_LATE)
		range->flags = MT_FLAT_LATE;
	if (!item->ram)
		return;
	range->kind = item->ram->flags & MT_RAM_READONLY ? MT_FLAT_ROM : MT_FLAT_RAM;
	range->ram = item->ram;
	range->hva = item->ram->hva;
}

static struct view *view_build(struct space *space)
{
	struct view *view;

	pthread_mutex_lock(&space->views);
	view = space->spare;
	if (view)
		space->spare = view->next;
	pthread_mutex_unlock(&space->views);
	if (!view)
		view = g_new0(struct view, 1);
	view->next = NULL;
	view->ranges = g_new0(struct mt_flat_range, space->items->len + 1);
	for (unsigned i = 0; i < space->items->len; i++)
		range_fill(&view->ranges[i], &g_array_index(space->items, struct item, i));
	view->pub.generation = ++space->generation;
	view->pub.count = space->items->len;
	view->pub.stride = sizeof(struct mt_flat_range);
	view->pub.ranges = view->ranges;
	return view;
}

/* With `change` held. The old view keeps living while somebody holds it. */
static void view_publish(struct space *space)
{
	struct view *view = view_build(space), *old = space->newest;

	pthread_mutex_lock(&space->views);
	*space->live_tail = view;
	space->live_tail = &view->next;
	pthread_mutex_unlock(&space->views);
	/* a recycled header may be looked at already: what it shows must be there before the count is */
	__atomic_store_n(&view->refs, 1, __ATOMIC_RELEASE);
	__atomic_store_n(&space->newest, view, __ATOMIC_RELEASE);
	thread_changes++;
	if (old)
		space_view_put(space, &old->pub);
}

void space_begin(struct space *space)
{
	pthread_mutex_lock(&space->change);
	space->depth++;
}

void space_commit(struct space *space)
{
	bool outer = space->depth == 1, publish = outer && space->changed;
	void (*published)(void *) = space->published;
	void *arg = space->published_arg;

	if (publish) {
		space->changed = false;
		view_publish(space);
	}
	if (outer)
		retire_enqueue(space);
	space->depth--;
	pthread_mutex_unlock(&space->change);
	if (!outer)
		return;
	pthread_mutex_lock(&space->views);
	retire_run(space);
	pthread_mutex_unlock(&space->views);
	if (publish && published)
		published(arg);
}

void space_set_listener(struct space *space, void (*published)(void *arg), void *arg)
{
	pthread_mutex_lock(&space->change);
	space->published = published;
	space->published_arg = arg;
	pthread_mutex_unlock(&space->change);
}

/* Placing */

static int item_refuse(const struct item *item, const struct item *other, struct mt_error *err)
{
	return fault_set(err, MT_EINVAL, "at", "move one of them",
			 "'%s' at 0x%llx..0x%llx overlaps '%s' at 0x%llx..0x%llx", item->name,
			 (unsigned long long)item->gpa, (unsigned long long)(item->gpa + item->len_bytes - 1),
			 other->name, (unsigned long long)other->gpa,
			 (unsigned long long)(other->gpa + other->len_bytes - 1));
}

static int item_insert(struct space *space, const struct item *item, struct mt_error *err)
{
	uint64_t last = item->gpa + (item->len_bytes - 1);
	unsigned at = 0;

	if (item->len_bytes == 0 || last < item->gpa)
		return fault_set(err, MT_EINVAL, "at", NULL, "'%s' at 0x%llx goes beyond the address space",
				 item->name, (unsigned long long)item->gpa);
	for (; at < space->items->len; at++) {
		const struct item *other = &g_array_index(space->items, struct item, at);

		if (other->gpa > last)
			break;
		if (other->gpa + (other->len_bytes - 1) >= item->gpa)
			return item_refuse(item, other, err);
	}
	g_array_insert_val(space->items, at, *item);
	space->changed = true;
	return 0;
}

int space_add_ram(struct space *space, struct mt_ram *ram, uint64_t gpa, struct mt_error *err)
{
	struct item item = { ram_name(ram), gpa, ram->len_bytes, ram, NULL };
	int code;

	if (gpa & ((1ull << MT_DIRTY_PAGE_BITS) - 1))
		return fault_set(err, MT_EINVAL, "at", "give a multiple of 4K",
				 "memory '%s' cannot start at 0x%llx", item.name, (unsigned long long)gpa);
	space_begin(space);
	code = item_insert(space, &item, err);
	if (code == 0)
		g_array_append_val(space->blocks, item);
	space_commit(space);
	return code;
}

bool space_ram_block(const struct space *space, uint32_t index, uint64_t *gpa, uint64_t *len_bytes)
{
	const struct item *item;

	if (index >= space->blocks->len)
		return false;
	item = &g_array_index(space->blocks, struct item, index);
	*gpa = item->gpa;
	*len_bytes = item->len_bytes;
	return true;
}

uint32_t space_own_ram(struct space *space, struct mt_ram *ram)
{
	g_ptr_array_add(space->rams, ram);
	return space->rams->len;
}

int space_place_region(struct space *space, struct mt_region *region, uint64_t gpa, struct mt_error *err)
{
	struct item item = { region->name, gpa, region->len_bytes, NULL, region };

	return item_insert(space, &item, err);
}

void space_unplace_region(struct space *space, const struct mt_region *region)
{
	for (unsigned i = 0; i < space->items->len; i++) {
		if (g_array_index(space->items, struct item, i).region != region)
			continue;
		g_array_remove_index(space->items, i);
		space->changed = true;
		return;
	}
}

/* Life */

static void mutex_init_recursive(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

struct space *space_create(struct machine *m, const char *name)
{
	struct space *space = g_new0(struct space, 1);

	(void)m;
	space->name = g_strdup(name);
	mutex_init_recursive(&space->change);
	pthread_mutex_init(&space->views, NULL);
	space->items = g_array_new(FALSE, TRUE, sizeof(struct item));
	space->blocks = g_array_new(FALSE, TRUE, sizeof(struct item));
	space->rams = g_ptr_array_new();
	space->asked_tail = &space->asked;
	space->live_tail = &space->live;
	space->retirees_tail = &space->retirees;
	/* an empty space has a view too: readers need no special case */
	view_publish(space);
	return space;
}

static void views_free(struct view *view)
{
	while (view) {
		struct view *next = view->next;

		g_free(view->ranges);
		g_free(view);
		view = next;
	}
}

void space_destroy(struct space *space)
{
	if (!space)
		return;
	while (space->retirees) {
		struct retiree *next = space->retirees->next;

		space->retirees->fn(space->retirees->arg);
		g_free(space->retirees);
		space->retirees = next;
	}
	views_free(space->live);
	views_free(space->spare);
	for (unsigned i = 0; i < space->rams->len; i++)
		ram_destroy(g_ptr_array_index(space->rams, i));
	g_ptr_array_unref(space->rams);
	g_array_unref(space->blocks);
	g_array_unref(space->items);
	pthread_mutex_destroy(&space->views);
	pthread_mutex_destroy(&space->change);
	g_free(space->name);
	g_free(space);
}
