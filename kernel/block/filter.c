/* SPDX-License-Identifier: MIT */
/* Operations on their way through filters; see filter.h. */
#include "kernel/block/filter.h"

#include <string.h>
#include <time.h>

#include "kernel/machine/inst.h"
#include "kernel/machine/loop.h"

/* What a filter holds: gates by the time at which they may go on, and threads that wait in filter_around. */
struct bdelays {
	struct bgate *first;
	uint32_t hurry;                  /* callers who want no delay */
	uint64_t hurries;                /* how many there were: one that came and went has ended delays too */
	struct loop_timer *timer;
	pthread_cond_t hurried;
};

struct bnode *filter_disk(const struct bnode *node)
{
	return node->filter && node->child_count ? node->children[0].node : NULL;
}

struct bnode *filter_image(struct bnode *node)
{
	for (struct bnode *below; (below = filter_disk(node));)
		node = below;
	return node;
}

static struct bnode *next_filter(const struct bnode *filter)
{
	struct bnode *next = filter_disk(filter);

	return next && next->filter ? next : NULL;
}

bool filter_is_loose(const struct bnode *node)
{
	while (node && node->filter)
		node = filter_disk(node);
	return !node;
}

/* Mapping: straight through. */

static void straight_info(void *self, struct mt_block_info *out)
{
	const struct bnode *disk = filter_disk(self);

	if (disk)
		*out = disk->info;
}

static int32_t straight_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			    struct mt_block_extent *extents, uint32_t max)
{
	const struct bnode *disk = filter_disk(self);

	(void)len_bytes, (void)purpose, (void)max;
	if (!disk || offset >= disk->info.disk_bytes)
		return MT_ERANGE;
	extents[0] = (struct mt_block_extent){ .len_bytes = disk->info.disk_bytes - offset, .child_offset = offset,
		.kind = MT_BLOCK_EXT_DATA, .flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED };
	return 1;
}

const struct mt_block_format filter_format = { .info = straight_info, .map = straight_map };

/* Gates */

bool filter_wants_data(const struct bnode *filter, uint32_t op)
{
	bool wants = false;

	for (; filter && !wants; filter = next_filter(filter))
		wants = op == MT_BLOCK_WRITE && filter->filter->ends & MT_BLOCK_FILTER_BIT(MT_BLOCK_WRITE);
	return wants;
}

struct bgate *filter_gate(struct bnode *filter, const struct mt_block_filter_op *op)
{
	struct bgate *gate = g_new0(struct bgate, 1);

	gate->filter = filter;
	gate->op = *op;
	return gate;
}

bool filter_gate_data(struct bgate *gate)
{
	gate->copy = g_try_malloc(MAX(gate->op.len_bytes, 1));
	gate->op.data = gate->copy;
	return gate->copy != NULL;
}

void filter_gate_free(struct bgate *gate)
{
	if (gate)
		g_free(gate->copy);
	g_free(gate);
}

/* The first refusal counts, and what lies below it is not asked; delays add up. */
static void ask(struct bgate *gate, uint64_t *delay_ns)
{
	gate->op.now_ns = loop_now_ns();
	for (struct bnode *f = gate->filter; f && !gate->error; f = next_filter(f)) {
		uint64_t delay = 0;

		if (!(f->filter->ops & MT_BLOCK_FILTER_BIT(gate->op.op))) {
			gate->error = MT_ENOTSUP;
			break;
		}
		node_enter(f);
		gate->error = f->filter->begin(f->filter_self, &gate->op, &delay);
		node_leave(f);
		gate->asked += gate->error == 0;
		*delay_ns += MIN(delay, UINT64_MAX / 4);
	}
	gate->due_ns = gate->op.now_ns + MIN(*delay_ns, UINT64_MAX / 4);
}

static void hold(struct bdelays *delays, struct bgate *gate)
{
	struct bgate **link = &delays->first;

	while (*link && (*link)->due_ns <= gate->due_ns)
		link = &(*link)->next;
	gate->next = *link;
	*link = gate;
	loop_timer_arm(delays->timer, delays->first->due_ns);
}

static struct bgate *take_due(struct bdelays *delays, uint64_t now_ns)
{
	struct bgate *first = delays->first, **link = &first;

	while (*link && (delays->hurry || (*link)->due_ns <= now_ns))
		link = &(*link)->next;
	delays->first = *link;
	*link = NULL;
	return first;
}

static void let_go(struct bgate *first)
{
	for (struct bgate *gate = first, *next; gate; gate = next) {
		next = gate->next;
		request_post(&gate->post);
	}
}

static void release_due(struct bnode *filter)
{
	struct bdelays *delays = filter->delays;
	struct bgate *first;

	pthread_mutex_lock(&filter->mutex);
	first = take_due(delays, loop_now_ns());
	loop_timer_arm(delays->timer, delays->first ? delays->first->due_ns : UINT64_MAX);
	pthread_mutex_unlock(&filter->mutex);
	let_go(first);
}

static void timer_fired(void *arg)
{
	release_due(arg);
}

bool filter_begin(struct bgate *gate)
{
	struct bnode *filter = gate->filter;
	uint64_t delay_ns = 0;
	bool at_once;

	ask(gate, &delay_ns);
	if (delay_ns == 0)
		return true;
	pthread_mutex_lock(&filter->mutex);
	at_once = filter->delays->hurry > 0;
	if (!at_once)
		hold(filter->delays, gate);
	pthread_mutex_unlock(&filter->mutex);
	return at_once;
}

static bool wants_end(const struct bgate *gate)
{
	const struct bnode *f = gate->filter;

	for (uint32_t i = 0; i < gate->asked; i++, f = next_filter(f)) {
		if (f->filter->ends & MT_BLOCK_FILTER_BIT(gate->op.op))
			return true;
	}
	return false;
}

/* From the disk upward, so that each is told what the one below made of it. */
static int32_t end_from(struct bnode *filter, const struct bgate *gate, uint32_t count, int32_t result)
{
	if (count == 0)
		return result;
	result = end_from(next_filter(filter), gate, count - 1, result);
	return filter->filter->ends & MT_BLOCK_FILTER_BIT(gate->op.op) ?
	       filter->filter->end(filter->filter_self, &gate->op, result) : result;
}

static void end_job(void *arg)
{
	struct bgate *gate = arg;

	gate->error = end_from(gate->filter, gate, gate->asked, gate->error);
	request_post(&gate->post);
}

bool filter_end(struct bgate *gate, int32_t result)
{
	gate->error = result;
	if (!wants_end(gate))
		return true;
	node_job(gate->filter, end_job, gate);
	return false;
}

/* Calls that wait */

static void sleep_until(struct bnode *filter, uint64_t due_ns)
{
	struct timespec until = { .tv_sec = (time_t)(due_ns / 1000000000), .tv_nsec = (long)(due_ns % 1000000000) };
	struct bdelays *delays = filter->delays;
	uint64_t before;

	pthread_mutex_lock(&filter->mutex);
	before = delays->hurries;
	while (!delays->hurry && delays->hurries == before && loop_now_ns() < due_ns)
		pthread_cond_clockwait(&delays->hurried, &filter->mutex, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&filter->mutex);
}

int32_t filter_around(struct bnode *filter, const struct mt_block_filter_op *op,
		      int32_t (*fn)(void *arg, const struct mt_block_filter_op *op), void *arg)
{
	struct bgate gate = { .filter = filter, .op = *op };
	uint64_t delay_ns = 0;
	int32_t rc;

	ask(&gate, &delay_ns);
	if (delay_ns)
		sleep_until(filter, gate.due_ns);
	if (gate.error)
		return gate.error;
	rc = fn(arg, op);
	return wants_end(&gate) ? end_from(filter, &gate, gate.asked, rc) : rc;
}

/* Drains */

static void hurry_row(struct bnode *filter, bool on)
{
	for (; filter; filter = next_filter(filter)) {
		pthread_mutex_lock(&filter->mutex);
		filter->delays->hurry += on ? 1u : -1u;
		filter->delays->hurries += on;
		pthread_cond_broadcast(&filter->delays->hurried);
		pthread_mutex_unlock(&filter->mutex);
		release_due(filter);
	}
}

void filter_hurry(struct bnode *node, bool on)
{
	for (; node; node = node->backing) {
		if (node->through)
			hurry_row(node->through, on);
		if (node->filter) {
			hurry_row(node, on);
			while (next_filter(node))
				node = next_filter(node);
		}
		for (uint32_t i = 0; i < node->child_count; i++)
			filter_hurry(node->children[i].node, on);
	}
}

/* Life */

struct bdelays *filter_delays_create(struct bnode *filter, struct loop *loop)
{
	struct bdelays *delays = g_new0(struct bdelays, 1);

	pthread_cond_init(&delays->hurried, NULL);
	delays->timer = loop_timer_create(loop, timer_fired, filter);
	return delays;
}

void filter_delays_destroy(struct bdelays *delays)
{
	if (!delays)
		return;
	loop_timer_destroy(delays->timer);
	pthread_cond_destroy(&delays->hurried);
	g_free(delays);
}
