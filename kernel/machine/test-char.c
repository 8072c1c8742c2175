/* SPDX-License-Identifier: MIT */
/* The char port: order, flow control with a slow front, short writes, events in the stream, ends that go. */
#include "kernel/machine/port.h"
#include "kernel/machine/test-services.h"

#define STREAM 100000u

/* The back end: has a stream to deliver, and room for so many bytes. */
struct back {
	struct mt_char *chr;
	uint32_t sent, ready;          /* of the stream; times that it was told to go on */
	uint32_t room, got;
	bool feeding;
};

static void back_feed(struct back *back)
{
	uint8_t data[300];

	while (back->sent < STREAM) {
		uint32_t len = MIN((uint32_t)sizeof(data), STREAM - back->sent), taken;

		for (uint32_t i = 0; i < len; i++)
			data[i] = (uint8_t)((back->sent + i) * 31);
		taken = char_host.deliver(back->chr, data, len);
		back->sent += taken;
		if (taken < len)
			return;
	}
}

static int64_t back_write(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct back *back = self;
	uint32_t taken = MIN(len_bytes, back->room);

	(void)data;
	back->room -= taken;
	back->got += taken;
	return taken;
}

static void back_ready(void *self)
{
	struct back *back = self;

	back->ready++;
	if (back->feeding)
		back_feed(back);
}

static const struct mt_char_class back_class = { back_write, back_ready };

const struct bench_role bench_roles[] = { { "back", MT_IFACE_CHAR, &back_class }, { 0 } };

/* The front: a FIFO of so many bytes. */
struct front {
	struct mt_char *chr;
	uint32_t room, received, wrong, writables;
	char events[256];
};

static uint32_t front_can_receive(void *self)
{
	return ((struct front *)self)->room;
}

static void front_receive(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct front *front = self;

	front->wrong += len_bytes > front->room;
	for (uint32_t i = 0; i < len_bytes; i++)
		front->wrong += data[i] != (uint8_t)((front->received + i) * 31);
	front->room -= len_bytes;
	__atomic_store_n(&front->received, front->received + len_bytes, __ATOMIC_RELEASE);
}

static void front_writable(void *self)
{
	__atomic_fetch_add(&((struct front *)self)->writables, 1, __ATOMIC_RELEASE);
}

static void front_event(void *self, uint32_t event)
{
	struct front *front = self;
	size_t used = strlen(front->events);

	snprintf(front->events + used, sizeof(front->events) - used, "%u@%u ", event, front->received);
}

static const struct mt_char_front front_fns = {
	front_can_receive, front_receive, front_writable, front_event
};

struct link {
	struct machine *m;
	struct mt_inst *back_inst, *front_inst;
	struct back back;
	struct front front;
};

static struct link *link_create(void)
{
	struct link *l = calloc(1, sizeof(*l));

	l->m = bench_create();
	l->back_inst = bench_inst(l->m, "con0", "back", 0, &l->back, NULL);
	l->front_inst = bench_inst(l->m, "uart0", "dev", 0, &l->front, "char", "con0", NULL);
	g_ptr_array_add(l->back_inst->refs_in, l->front_inst);
	l->back.chr = char_host.back(l->back_inst);
	ck_assert_ptr_nonnull(l->back.chr);
	return l;
}

static void link_connect(struct link *l)
{
	struct mt_error err = { .size = sizeof(err) };

	l->front.chr = char_host.connect(l->front_inst, "char", &front_fns, &l->front, &err);
	ck_assert_ptr_eq(l->front.chr, l->back.chr);
}

static void link_destroy(struct link *l)
{
	bench_destroy(l->m);
	free(l);
}

START_TEST(slow_front_gets_the_whole_stream)
{
	struct link *l = link_create();
	uint32_t before = 0;

	link_connect(l);
	inst_enter(l->back_inst);
	l->back.feeding = true;
	back_feed(&l->back);
	ck_assert_uint_eq(l->back.sent, 4096);
	inst_leave(l->back_inst);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.received, 0);
	/* 100 bytes at a time, as a guest that reads its FIFO */
	while (before < STREAM) {
		uint32_t now = MIN(before + 100, STREAM);

		inst_enter(l->front_inst);
		l->front.room = 100;
		char_host.receive_ready(l->front.chr);
		inst_leave(l->front_inst);
		ck_assert(bench_wait(&l->front.received, now));
		before = now;
	}
	ck_assert_uint_eq(l->front.received, STREAM);
	ck_assert_uint_eq(l->front.wrong, 0);
	/* told in good measure, not for each read of the guest */
	loop_sync(l->m->loop);
	ck_assert_uint_ge(l->back.ready, STREAM / 4096);
	ck_assert_uint_le(l->back.ready, STREAM / 1024);
	link_destroy(l);
}
END_TEST

START_TEST(short_write_hears_of_room)
{
	struct link *l = link_create();
	const uint8_t text[100] = { 0 };

	link_connect(l);
	l->back.room = 30;
	ck_assert_int_eq(char_host.write(l->front.chr, text, 20), 20);
	/* nobody waits: nothing is told */
	char_host.writable(l->back.chr);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.writables, 0);
	ck_assert_int_eq(char_host.write(l->front.chr, text, 100), 10);
	ck_assert_int_eq(char_host.write(l->front.chr, text, 100), 0);
	l->back.room = 1000;
	char_host.writable(l->back.chr);
	char_host.writable(l->back.chr);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.writables, 1);
	ck_assert_int_eq(char_host.write(l->front.chr, text, 100), 100);
	ck_assert_uint_eq(l->back.got, 130);
	link_destroy(l);
}
END_TEST

START_TEST(events_keep_their_place)
{
	struct link *l = link_create();
	const uint8_t data[] = { 0, 31, 62, 93, 124 };

	/* before the front is there */
	char_host.event(l->back.chr, MT_CHAR_OPENED);
	ck_assert_uint_eq(char_host.deliver(l->back.chr, data, 2), 2);
	char_host.event(l->back.chr, MT_CHAR_BREAK);
	ck_assert_uint_eq(char_host.deliver(l->back.chr, data + 2, 3), 3);
	char_host.event(l->back.chr, MT_CHAR_CLOSED);
	l->front.room = 1;
	link_connect(l);
	loop_sync(l->m->loop);
	ck_assert_str_eq(l->front.events, "1@0 ");
	ck_assert_uint_eq(l->front.received, 1);
	inst_enter(l->front_inst);
	l->front.room = 100;
	char_host.receive_ready(l->front.chr);
	inst_leave(l->front_inst);
	loop_sync(l->m->loop);
	ck_assert_str_eq(l->front.events, "1@0 3@2 2@5 ");
	ck_assert_uint_eq(l->front.received, 5);
	ck_assert_uint_eq(l->front.wrong, 0);
	/* a flood is bounded, and its last one is kept */
	inst_enter(l->front_inst);
	for (int i = 0; i < 1000; i++)
		char_host.event(l->back.chr, MT_CHAR_BREAK);
	char_host.event(l->back.chr, MT_CHAR_CLOSED);
	inst_leave(l->front_inst);
	loop_sync(l->m->loop);
	ck_assert_str_eq(l->front.events + strlen(l->front.events) - 4, "2@5 ");
	link_destroy(l);
}
END_TEST

/* A key that is typed while a snapshot is loaded. */
START_TEST(nothing_goes_up_before_the_machine_runs)
{
	struct link *l = link_create();
	const uint8_t data[] = { 0, 31, 62 };

	l->m->state = INST_CREATED;
	l->front.room = 100;
	char_host.event(l->back.chr, MT_CHAR_OPENED);
	link_connect(l);
	ck_assert_uint_eq(char_host.deliver(l->back.chr, data, 2), 2);
	loop_sync(l->m->loop);
	l->m->state = INST_REALIZED;
	ck_assert_uint_eq(char_host.deliver(l->back.chr, data + 2, 1), 1);
	char_host.receive_ready(l->front.chr);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.received, 0);
	ck_assert_str_eq(l->front.events, "");
	inst_move(&l->m->state, INST_RUNNING);
	char_started(l->front_inst);
	char_started(l->back_inst);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.received, 3);
	ck_assert_str_eq(l->front.events, "1@0 ");
	ck_assert_uint_eq(l->front.wrong, 0);
	link_destroy(l);
}
END_TEST

START_TEST(one_front_for_a_back_end)
{
	struct link *l = link_create();
	struct mt_inst *second = bench_inst(l->m, "uart1", "dev", 0, NULL, "char", "con0", "other", "uart0",
					    NULL);
	struct mt_error err = { .size = sizeof(err) };

	link_connect(l);
	ck_assert_ptr_null(char_host.connect(second, "char", &front_fns, &l->front, &err));
	ck_assert_int_eq(err.code, MT_EBUSY);
	ck_assert_ptr_nonnull(strstr(err.message, "con0"));
	ck_assert_ptr_nonnull(strstr(err.message, "uart0"));
	ck_assert_ptr_null(char_host.connect(second, "other", &front_fns, &l->front, &err));
	ck_assert_int_eq(err.code, MT_EINVAL);
	err.code = 0;
	ck_assert_ptr_null(char_host.connect(second, "none", &front_fns, &l->front, &err));
	ck_assert_int_eq(err.code, 0);
	link_destroy(l);
}
END_TEST

START_TEST(ends_that_go)
{
	struct link *l = link_create();
	const uint8_t data[] = { 0 };

	ck_assert_ptr_null(char_host.back(l->front_inst));
	link_connect(l);
	l->back.room = 10;
	/* the front goes: the back end may still speak */
	bench_inst_destroy(l->front_inst);
	ck_assert_uint_eq(char_host.deliver(l->back.chr, data, 1), 1);
	char_host.event(l->back.chr, MT_CHAR_CLOSED);
	char_host.writable(l->back.chr);
	loop_sync(l->m->loop);
	ck_assert_uint_eq(l->front.received, 0);
	/* a back end that is gone, or was never there */
	l->back_inst->state = INST_GONE;
	ck_assert_int_eq(char_host.write(l->back.chr, data, 1), MT_EGONE);
	l->back_inst->state = INST_REALIZED;
	ck_assert_int_eq(char_host.write(NULL, data, 1), MT_EGONE);
	ck_assert_uint_eq(char_host.deliver(NULL, data, 1), 0);
	char_host.receive_ready(NULL);
	char_host.writable(NULL);
	char_host.event(NULL, MT_CHAR_BREAK);
	link_destroy(l);
}
END_TEST

/* A front that always has room and a back end on a thread of its own. */
static void *feed_thread(void *arg)
{
	struct link *l = arg;

	while (l->back.sent < STREAM) {
		inst_enter(l->back_inst);
		back_feed(&l->back);
		inst_leave(l->back_inst);
		bench_sleep_ns(10000);
	}
	return NULL;
}

START_TEST(stream_from_another_thread)
{
	struct link *l = link_create();
	pthread_t thread;

	l->front.room = STREAM;
	link_connect(l);
	pthread_create(&thread, NULL, feed_thread, l);
	ck_assert(bench_wait(&l->front.received, STREAM));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(l->front.wrong, 0);
	link_destroy(l);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("char");
	TCase *tc = tcase_create("char");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, slow_front_gets_the_whole_stream);
	tcase_add_test(tc, short_write_hears_of_room);
	tcase_add_test(tc, events_keep_their_place);
	tcase_add_test(tc, nothing_goes_up_before_the_machine_runs);
	tcase_add_test(tc, one_front_for_a_back_end);
	tcase_add_test(tc, ends_that_go);
	tcase_add_test(tc, stream_from_another_thread);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
