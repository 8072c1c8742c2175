/* SPDX-License-Identifier: MIT */
/* The net port: order, flow control both ways, what is agreed on, calls that become one, ends that go. */
#include "kernel/machine/port.h"
#include "kernel/machine/test-services.h"

#define FRAMES 5000u
#define FRAME_BYTES 64u

/* The back end: has numbered frames to give, and room for so many. */
struct back {
	struct mt_net *net;
	pthread_mutex_t lock;          /* of `made`, which another thread raises */
	uint32_t made, given;          /* frames: to be fetched, and fetched */
	uint32_t room, got, wrong;
	bool armed;                    /* the next frame is told */
	struct mt_net_setup setup;
	uint32_t setups, flags;
};

static void back_info(void *self, struct mt_net_info *out)
{
	struct back *back = self;

	out->flags = back->flags;
	out->offloads = MT_NET_SEND_CSUM;
	out->queues = 1000;
	out->mtu_bytes = 1500;
}

static int back_setup(void *self, const struct mt_net_setup *setup)
{
	struct back *back = self;

	if (setup->offloads & ~MT_NET_SEND_CSUM)
		return MT_ENOTSUP;
	back->setup = *setup;
	back->setups++;
	back->armed = true;
	return 0;
}

static int64_t back_send(void *self, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count)
{
	struct back *back = self;
	uint32_t taken = MIN(count, back->room);

	for (uint32_t i = 0; i < taken; i++) {
		uint32_t number;

		memcpy(&number, bufs[i].iov[0].hva + bufs[i].skip_bytes, sizeof(number));
		back->wrong += number != back->got++ || queue != 0 || bufs[i].len_bytes != FRAME_BYTES;
	}
	back->room -= taken;
	return taken;
}

static int64_t back_receive(void *self, uint32_t queue, struct mt_net_buf *bufs, uint32_t count, uint32_t *waiting)
{
	struct back *back = self;
	uint32_t used = 0;

	(void)queue;
	pthread_mutex_lock(&back->lock);
	for (; used < count && back->given < back->made; used++) {
		memcpy(bufs[used].iov[0].hva + bufs[used].skip_bytes, &back->given, sizeof(back->given));
		back->given++;
		bufs[used].len_bytes = FRAME_BYTES;
		bufs[used].parts = 1;
	}
	*waiting = back->given < back->made;
	back->armed = !*waiting;
	pthread_mutex_unlock(&back->lock);
	return used;
}

/* From any thread: another frame came. */
static void back_make(struct back *back, uint32_t count)
{
	bool tell;

	pthread_mutex_lock(&back->lock);
	back->made += count;
	tell = back->armed;
	back->armed = false;
	pthread_mutex_unlock(&back->lock);
	if (tell)
		net_host.receivable(back->net, 0);
}

static const struct mt_net_class back_class = { back_info, back_setup, back_send, back_receive };
const struct bench_role bench_roles[] = { { "back", MT_IFACE_NET, &back_class }, { 0 } };

/* The front: so many buffers, which the test gives. */
struct front {
	struct mt_net *net;
	uint32_t buffers, received, wrong;
	uint32_t told_frames, told_room, told_change;
};

static void front_fetch(struct front *front)
{
	uint8_t memory[4][FRAME_BYTES + 12];
	struct mt_iov iov[4];
	struct mt_net_buf bufs[4];
	uint32_t waiting = 1, number, count;
	int64_t used;

	while (waiting && (count = MIN(front->buffers, 4u))) {
		for (uint32_t i = 0; i < count; i++) {
			iov[i] = (struct mt_iov){ .hva = memory[i], .len_bytes = sizeof(memory[i]) };
			bufs[i] = (struct mt_net_buf){ &iov[i], 1, 12, FRAME_BYTES, 0 };
		}
		used = net_host.receive(front->net, 0, bufs, count, &waiting);
		ck_assert_int_ge(used, 0);
		for (uint32_t i = 0; i < used; i++) {
			memcpy(&number, memory[i] + 12, sizeof(number));
			front->wrong += number != front->received + i || bufs[i].parts != 1;
		}
		front->buffers -= (uint32_t)used;
		__atomic_store_n(&front->received, front->received + (uint32_t)used, __ATOMIC_RELEASE);
	}
}

static void front_receivable(void *self, uint32_t queue)
{
	struct front *front = self;

	front->wrong += queue != 0;
	front->told_frames++;
	front_fetch(front);
}

static void front_sendable(void *self, uint32_t queue)
{
	(void)queue;
	((struct front *)self)->told_room++;
}

static void front_changed(void *self)
{
	((struct front *)self)->told_change++;
}

static const struct mt_net_front front_fns = { front_receivable, front_sendable, front_changed };

struct link {
	struct machine *m;
	struct mt_inst *back_inst, *front_inst;
	struct back back;
	struct front front;
};

static struct link *link_create(void)
{
	struct link *l = calloc(1, sizeof(*l));
	struct mt_error err = { .size = sizeof(err) };

	pthread_mutex_init(&l->back.lock, NULL);
	l->m = bench_create();
	/* the front first: its lock is the outer one */
	l->front_inst = bench_inst(l->m, "eth0", "dev", 0, &l->front, "net", "net0", NULL);
	l->back_inst = bench_inst(l->m, "net0", "back", 0, &l->back, NULL);
	g_ptr_array_add(l->back_inst->refs_in, l->front_inst);
	l->back.net = net_host.back(l->back_inst);
	ck_assert_ptr_nonnull(l->back.net);
	l->front.net = net_host.connect(l->front_inst, "net", &front_fns, &l->front, &err);
	ck_assert_ptr_eq(l->front.net, l->back.net);
	return l;
}

static void link_agree(struct link *l)
{
	const struct mt_net_setup setup = { .size = sizeof(setup), .queues = 1 };

	ck_assert_int_eq(net_host.setup(l->front.net, &setup), 0);
}

static void link_destroy(struct link *l)
{
	bench_destroy(l->m);
	pthread_mutex_destroy(&l->back.lock);
	free(l);
}

static int64_t send_frames(struct link *l, uint32_t first, uint32_t count)
{
	uint8_t memory[8][FRAME_BYTES + 12] = { 0 };
	struct mt_iov iov[8];
	struct mt_net_buf bufs[8];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t number = first + i;

		memcpy(memory[i] + 12, &number, sizeof(number));
		iov[i] = (struct mt_iov){ .hva = memory[i], .len_bytes = sizeof(memory[i]) };
		bufs[i] = (struct mt_net_buf){ &iov[i], 1, 12, FRAME_BYTES, 0 };
	}
	return net_host.send(l->front.net, 0, bufs, count);
}

START_TEST(frames_wait_for_buffers)
{
	struct link *l = link_create();

	link_agree(l);
	back_make(&l->back, 10);
	back_make(&l->back, 10);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_frames, 1);
	ck_assert_uint_eq(l->front.received, 0);
	/* the front has buffers: it fetches by itself, and is told again only when all was taken */
	inst_enter(l->front_inst);
	l->front.buffers = 15;
	front_fetch(&l->front);
	inst_leave(l->front_inst);
	ck_assert_uint_eq(l->front.received, 15);
	back_make(&l->back, 1);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_frames, 1);
	inst_enter(l->front_inst);
	l->front.buffers = 100;
	front_fetch(&l->front);
	inst_leave(l->front_inst);
	ck_assert_uint_eq(l->front.received, 21);
	back_make(&l->back, 1);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_frames, 2);
	ck_assert_uint_eq(l->front.received, 22);
	ck_assert_uint_eq(l->front.wrong, 0);
	link_destroy(l);
}
END_TEST

START_TEST(short_send_hears_of_room)
{
	struct link *l = link_create();

	link_agree(l);
	l->back.room = 5;
	ck_assert_int_eq(send_frames(l, 0, 4), 4);
	net_host.sendable(l->back.net, 0);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_room, 0);
	ck_assert_int_eq(send_frames(l, 4, 3), 1);
	ck_assert_int_eq(send_frames(l, 5, 2), 0);
	l->back.room = 100;
	net_host.sendable(l->back.net, 0);
	net_host.sendable(l->back.net, 0);
	net_host.sendable(l->back.net, 1);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_room, 1);
	ck_assert_int_eq(send_frames(l, 5, 8), 8);
	ck_assert_uint_eq(l->back.got, 13);
	ck_assert_uint_eq(l->back.wrong, 0);
	link_destroy(l);
}
END_TEST

/* A caller of a later version: another length, and what it may hold. */
struct long_setup {
	struct mt_net_setup known;
	uint64_t later;
};

START_TEST(only_what_both_know_is_agreed_on)
{
	struct link *l = link_create();
	struct long_setup s = { .known = { .size = sizeof(s), .queues = 2 } };
	const struct mt_net_setup *setup = &s.known;

	ck_assert_int_eq(send_frames(l, 0, 1), MT_EINVAL);
	ck_assert_int_eq(net_host.setup(l->front.net, setup), 0);
	ck_assert_uint_eq(l->back.setup.queues, 2);
	ck_assert_uint_eq(l->back.setup.size, sizeof(struct mt_net_setup));
	s.later = 1;
	ck_assert_int_eq(net_host.setup(l->front.net, setup), MT_ENOTSUP);
	s.later = 0;
	s.known.flags = 1u << 31;
	ck_assert_int_eq(net_host.setup(l->front.net, setup), MT_ENOTSUP);
	s.known.flags = 0;
	s.known.offloads = MT_NET_SEND_CSUM;           /* without a header */
	ck_assert_int_eq(net_host.setup(l->front.net, setup), MT_ENOTSUP);
	s.known.flags = MT_NET_HEADER;
	ck_assert_int_eq(net_host.setup(l->front.net, setup), 0);
	s.known.offloads |= MT_NET_SEND_TSO4;          /* the back end's refusal */
	ck_assert_int_eq(net_host.setup(l->front.net, setup), MT_ENOTSUP);
	s.known.offloads = 0;
	s.known.queues = MT_NET_QUEUES_MAX + 1;
	ck_assert_int_eq(net_host.setup(l->front.net, setup), MT_ENOTSUP);
	s.known.queues = 0;
	ck_assert_int_eq(net_host.setup(l->front.net, setup), 0);
	ck_assert_int_eq(send_frames(l, 0, 1), MT_EINVAL);
	ck_assert_uint_eq(l->back.setups, 3);
	link_destroy(l);
}
END_TEST

START_TEST(info_and_its_changes)
{
	struct link *l = link_create();
	struct { struct mt_net_info known; uint8_t later[16]; } info = { .known = { .size = sizeof(info) } };
	struct mt_net_info *known = &info.known;

	memset(info.later, 0xff, sizeof(info.later));
	l->back.flags = MT_NET_LINK;
	net_host.info(l->front.net, known);
	ck_assert_uint_eq(known->size, sizeof(info));
	ck_assert_uint_eq(known->flags, MT_NET_LINK);
	ck_assert_uint_eq(known->queues, MT_NET_QUEUES_MAX);
	ck_assert_uint_eq(known->mtu_bytes, 1500);
	ck_assert_uint_eq(info.later[0] | info.later[15], 0);
	net_host.changed(l->back.net);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_change, 1);
	/* a short caller gets the front part alone */
	memset(&info, 0xff, sizeof(info));
	known->size = offsetof(struct mt_net_info, queues);
	net_host.info(l->front.net, known);
	ck_assert_uint_eq(known->offloads, MT_NET_SEND_CSUM);
	ck_assert_uint_eq(known->queues, UINT32_MAX);
	link_destroy(l);
}
END_TEST

START_TEST(nothing_goes_up_before_the_machine_runs)
{
	struct link *l = link_create();

	l->m->state = INST_REALIZED;
	link_agree(l);
	l->front.buffers = 8;
	ck_assert_int_eq(send_frames(l, 0, 1), 0);
	back_make(&l->back, 3);
	net_host.sendable(l->back.net, 0);
	net_host.changed(l->back.net);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_frames + l->front.told_room + l->front.told_change, 0);
	inst_move(&l->m->state, INST_RUNNING);
	net_started(l->front_inst);
	net_started(l->back_inst);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.received, 3);
	ck_assert_uint_eq(l->front.told_frames, 1);
	ck_assert_uint_eq(l->front.told_room, 1);
	ck_assert_uint_eq(l->front.told_change, 1);
	/* a second time there is nothing to tell */
	net_started(l->back_inst);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_frames + l->front.told_room + l->front.told_change, 3);
	link_destroy(l);
}
END_TEST

START_TEST(one_front_for_a_back_end)
{
	struct link *l = link_create();
	struct mt_inst *second = bench_inst(l->m, "eth1", "dev", 0, NULL, "net", "net0", "other", "eth0", NULL);
	struct mt_error err = { .size = sizeof(err) };

	ck_assert_ptr_null(net_host.connect(second, "net", &front_fns, &l->front, &err));
	ck_assert_int_eq(err.code, MT_EBUSY);
	ck_assert_ptr_nonnull(strstr(err.message, "eth0"));
	ck_assert_ptr_null(net_host.connect(second, "other", &front_fns, &l->front, &err));
	ck_assert_int_eq(err.code, MT_EINVAL);
	err.code = 0;
	ck_assert_ptr_null(net_host.connect(second, "none", &front_fns, &l->front, &err));
	ck_assert_int_eq(err.code, 0);
	link_destroy(l);
}
END_TEST

START_TEST(ends_that_go)
{
	struct link *l = link_create();
	struct mt_net_info info = { .size = sizeof(info) };
	uint32_t waiting = 1;

	ck_assert_ptr_null(net_host.back(l->front_inst));
	link_agree(l);
	l->back.flags = MT_NET_LINK;
	l->back_inst->state = INST_GONE;
	net_host.info(l->front.net, &info);
	ck_assert_uint_eq(info.flags, 0);
	ck_assert_int_eq(send_frames(l, 0, 1), MT_EGONE);
	ck_assert_int_eq(net_host.receive(l->front.net, 0, NULL, 0, &waiting), MT_EGONE);
	ck_assert_uint_eq(waiting, 0);
	l->back_inst->state = INST_REALIZED;
	/* the front goes: the back end may still speak */
	bench_inst_destroy(l->front_inst);
	net_host.receivable(l->back.net, 0);
	net_host.sendable(l->back.net, 0);
	net_host.changed(l->back.net);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.told_frames + l->front.told_room + l->front.told_change, 0);
	/* one that was never there */
	ck_assert_int_eq(net_host.send(NULL, 0, NULL, 0), MT_EGONE);
	ck_assert_int_eq(net_host.setup(NULL, NULL), MT_EGONE);
	net_host.info(NULL, &info);
	net_host.receivable(NULL, 0);
	net_host.sendable(NULL, 0);
	net_host.changed(NULL);
	link_destroy(l);
}
END_TEST

static void *feed_thread(void *arg)
{
	struct link *l = arg;

	for (uint32_t i = 0; i < FRAMES; i++) {
		back_make(&l->back, 1);
		if (i % 7 == 0)
			sched_yield();
	}
	return NULL;
}

START_TEST(frames_from_another_thread)
{
	struct link *l = link_create();
	pthread_t thread;

	link_agree(l);
	l->front.buffers = FRAMES;
	pthread_create(&thread, NULL, feed_thread, l);
	ck_assert(bench_wait(&l->front.received, FRAMES));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(l->front.wrong, 0);
	link_destroy(l);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("net");
	TCase *tc = tcase_create("net");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, frames_wait_for_buffers);
	tcase_add_test(tc, short_send_hears_of_room);
	tcase_add_test(tc, only_what_both_know_is_agreed_on);
	tcase_add_test(tc, info_and_its_changes);
	tcase_add_test(tc, nothing_goes_up_before_the_machine_runs);
	tcase_add_test(tc, one_front_for_a_back_end);
	tcase_add_test(tc, ends_that_go);
	tcase_add_test(tc, frames_from_another_thread);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
