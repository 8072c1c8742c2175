/* SPDX-License-Identifier: MIT */
/*
 * qcow2 on the kernel's block graph. Random scripts with many requests in flight against an array of bytes, judged by
 * qemu-img; images written in turns with qemu-io, and their snapshots; a writer that is killed at any time. The full
 * counts with MORTISE_LONG.
 */
#include "qcow2-graph.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#define DISK  (3u << 20)
#define REQS  12u
#define SPAN  (DISK / REQS)

static uint8_t model[DISK], memory[REQS][SPAN];
static char folder[256], path[300];
static char doing[64];                   /* for messages */
static struct create_options form;       /* of the image */
static uint64_t seed;

static uint64_t rnd(uint64_t limit)
{
	return random_next(&seed) % limit;
}

static bool is_long(void)
{
	return getenv("MORTISE_LONG") != NULL;
}

static void start(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/mortise-qcow2.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/d.qcow2", folder);
	memset(model, 0, sizeof(model));
}

static void stop(void)
{
	ck_assert_int_eq(run("rm -rf '%s'", folder), 0);
}

/* A form that a seed stands for. */
static struct create_options options_of(uint64_t n)
{
	struct create_options o = { .disk_bytes = DISK, .version = 3, .cluster_bits = 9 + (uint32_t)(n % 9),
				    .refcount_order = (uint32_t)(n / 3 % 7) };

	o.compression = n % 4 == 1;
	o.lazy = n % 5 == 2;
	if (n % 4 == 2 && o.cluster_bits >= 14)
		o.extended = 1;
	if (n % 7 == 3)
		o = (struct create_options){ .disk_bytes = DISK, .version = 2, .cluster_bits = o.cluster_bits,
					     .refcount_order = 4 };
	return o;
}

/* Requests */

struct slot {
	struct mt_block_req req;
	struct mt_iov iov[2];
};

static void slot_make(struct slot *s, uint32_t index)
{
	static const uint32_t ops[] = { MT_BLOCK_READ, MT_BLOCK_WRITE, MT_BLOCK_WRITE, MT_BLOCK_WRITE, MT_BLOCK_WRITE,
					MT_BLOCK_ZERO, MT_BLOCK_FLUSH };
	uint64_t base = (uint64_t)SPAN * index, cut;

	memset(s, 0, sizeof(*s));
	s->req.op = ops[rnd(G_N_ELEMENTS(ops))];
	if (s->req.op == MT_BLOCK_FLUSH)
		return;
	if (s->req.op == MT_BLOCK_ZERO)
		s->req.flags = rnd(2) ? MT_BLOCK_MAY_UNMAP : 0;
	if (s->req.op == MT_BLOCK_WRITE)
		s->req.flags = rnd(3) == 0 ? MT_BLOCK_ENCODE : rnd(8) == 0 ? MT_BLOCK_FUA : 0;
	s->req.offset = base + rnd(SPAN);
	if (s->req.flags & MT_BLOCK_ENCODE)
		s->req.offset &= ~(q.cluster_bytes - 1);
	else if (rnd(4))
		s->req.offset &= ~511ull;
	if (s->req.offset < base || s->req.offset >= base + SPAN)
		s->req.offset = base;
	s->req.len_bytes = rnd(rnd(4) ? 8192 : SPAN) % (base + SPAN - s->req.offset) + 1;
	memset(memory[index], (int)rnd(256), s->req.len_bytes);
	for (uint64_t i = rnd(4) ? 16 : s->req.len_bytes / 8; i; i--)
		memory[index][rnd(s->req.len_bytes)] = (uint8_t)rnd(256);
	cut = rnd(s->req.len_bytes + 1);
	s->iov[0] = (struct mt_iov){ memory[index], cut, NULL, 0 };
	s->iov[1] = (struct mt_iov){ memory[index] + cut, s->req.len_bytes - cut, NULL, 0 };
	s->req.iov = s->iov;
	s->req.iov_count = 2;
}

static void slot_check(const struct slot *s, uint32_t index)
{
	uint8_t *at = model + s->req.offset;

	ck_assert_msg(s->req.result == 0, "operation %u of %llu bytes at %llu: %d", s->req.op,
		      (unsigned long long)s->req.len_bytes, (unsigned long long)s->req.offset, s->req.result);
	if (s->req.op == MT_BLOCK_WRITE)
		memcpy(at, memory[index], s->req.len_bytes);
	if (s->req.op == MT_BLOCK_ZERO)
		memset(at, 0, s->req.len_bytes);
	if (s->req.op == MT_BLOCK_READ && memcmp(at, memory[index], s->req.len_bytes))
		ck_abort_msg("%s: a read of %llu bytes at %llu differs", doing, (unsigned long long)s->req.len_bytes,
			     (unsigned long long)s->req.offset);
}

static void script(uint32_t rounds)
{
	static struct slot slots[REQS];
	struct mt_block_req *reqs[REQS], *done[REQS];

	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t count = 1 + (uint32_t)rnd(REQS), got = 0;

		for (uint32_t i = 0; i < count; i++) {
			slot_make(&slots[i], i);
			reqs[i] = &slots[i].req;
		}
		request_submit(block, reqs, count);
		while (got < count)
			got += wait_done(done, REQS);
		for (uint32_t i = 0; i < count; i++)
			slot_check(&slots[i], i);
	}
}

static void check_whole(void)
{
	static uint8_t all[DISK];

	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, all, sizeof(all)), 0);
	for (uint32_t i = 0; i < DISK; i++) {
		if (all[i] != model[i])
			ck_abort_msg("%s: byte %u is %02x, not %02x", doing, i, all[i], model[i]);
	}
}

/* Programs are dear to start: whether there are any is asked once. */
static bool have(const char *name)
{
	static const char *known[4];
	static bool there[4];
	uint32_t i = 0;

	while (i < G_N_ELEMENTS(known) && known[i] && strcmp(known[i], name))
		i++;
	ck_assert_uint_lt(i, G_N_ELEMENTS(known));
	if (!known[i]) {
		known[i] = name;
		there[i] = run("command -v %s >/dev/null", name) == 0;
	}
	return there[i];
}

/* 7zz knows neither zstd nor subclusters, and in the short test it is asked now and then. */
static void judge(void)
{
	static uint32_t count;
	char name[300];
	FILE *out;

	snprintf(name, sizeof(name), "%s/model", folder);
	out = fopen(name, "wb");
	ck_assert(out && fwrite(model, 1, DISK, out) == DISK && fclose(out) == 0);
	if (have("qemu-img"))
		ck_assert_msg(run("{ qemu-img check -f qcow2 %s && qemu-img compare -f qcow2 -F raw %s %s; } >%s/log 2>&1 || "
				  "{ cat %s/log; exit 1; }", path, path, name, folder, folder) == 0, "%s: qemu-img", doing);
	if (!form.compression && !form.extended && (is_long() || count++ % 8 == 0) && have("7zz"))
		ck_assert_msg(run("7zz x -so %s 2>%s/log | cmp - %s", path, folder, name) == 0, "%s: 7zz", doing);
}

/* Many requests at once, discards, encoded units, passes that begin by themselves. */
START_TEST(scripts)
{
	for (uint32_t i = 0; i < (is_long() ? 500u : 24u); i++) {
		form = options_of(i);
		seed = i + 1;
		snprintf(doing, sizeof(doing), "script %u", i);
		memset(model, 0, sizeof(model));
		image_make(path, &form);
		as_device = i % 6 == 4;
		if (as_device)
			ck_assert_int_eq(run("truncate -s %u %s", 8 * DISK, path), 0);
		image_open(path);
		script(25);
		ck_assert_int_eq(transfer(MT_BLOCK_DISCARD, 0, DISK / 2, NULL, DISK / 4), 0);
		ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, DISK / 2, model + DISK / 2, DISK / 4), 0);
		script(10);
		check_whole();
		image_close();
		image_open(path);
		check_whole();
		script(10);
		image_close();
		judge();
	}
	as_device = false;
}
END_TEST

/* Snapshots */

static void take_snapshot(const char *name)
{
	struct mt_block_snapshot what = { .size = sizeof(what), .icount = UINT64_MAX };
	struct mt_error err = { .size = sizeof(err) };

	snprintf(what.name, sizeof(what.name), "%s", name);
	alone_begin();
	ck_assert_msg(snapshot_create(&q, &what, &err) == 0, "%s", err.message);
	alone_end();
}

static void use_snapshot(int (*use)(struct qcow2 *q, uint32_t index, struct mt_error *err))
{
	struct mt_error err = { .size = sizeof(err) };

	alone_begin();
	ck_assert_msg(use(&q, 0, &err) == 0, "%s", err.message);
	alone_end();
}

/* Zeros that are written as data, because they end inside of clusters that a snapshot shares. */
START_TEST(long_zeros)
{
	form = (struct create_options){ .disk_bytes = DISK, .version = 3, .cluster_bits = 20, .refcount_order = 4 };
	snprintf(doing, sizeof(doing), "long zeros");
	image_make(path, &form);
	image_open(path);
	memset(model, 0xa5, DISK);
	ck_assert_int_eq(transfer(MT_BLOCK_WRITE, 0, 0, model, DISK), 0);
	take_snapshot("shared");
	for (uint64_t at = 1000; at < DISK; at += 1u << 20) {
		ck_assert_int_eq(transfer(MT_BLOCK_ZERO, 0, at, NULL, 700001), 0);
		memset(model + at, 0, 700001);
	}
	check_whole();
	image_close();
	judge();
}
END_TEST


/* Turns */

static void their_turn(uint64_t n)
{
	uint64_t at = rnd(DISK / 512 - 64) * 512, len = (1 + rnd(64)) * 512;
	uint8_t pattern = (uint8_t)(1 + n % 250);

	if (n % 3 == 0) {
		ck_assert_int_eq(run("qemu-io -f qcow2 -c 'write -z %llu %llu' %s >/dev/null", (unsigned long long)at,
				     (unsigned long long)len, path), 0);
		memset(model + at, 0, len);
		return;
	}
	ck_assert_int_eq(run("qemu-io -f qcow2 -c 'write -P %u %llu %llu' %s >/dev/null", pattern, (unsigned long long)at,
			     (unsigned long long)len, path), 0);
	memset(model + at, pattern, len);
}

START_TEST(turns)
{
	static uint8_t kept[DISK];
	uint32_t forms = is_long() ? 10 : 2, turns = is_long() ? 100 : 12;

	if (!have("qemu-io") || !have("qemu-img"))
		return;
	for (uint32_t i = 0; i < forms; i++) {
		form = options_of(i * 11 + 5);
		form.refcount_order = 4;
		seed = 900 + i;
		memset(model, 0, sizeof(model));
		image_make(path, &form);
		for (uint32_t n = 0; n < turns; n++) {
			snprintf(doing, sizeof(doing), "form %u, turn %u", i, n);
			image_open(path);
			script(6);
			if (n % 6 == 1) {
				take_snapshot("ours");
				memcpy(kept, model, sizeof(kept));
			} else if (n % 6 == 4) {
				use_snapshot(snapshot_apply);
				memcpy(model, kept, sizeof(kept));
				check_whole();
			} else if (n % 6 == 5) {
				use_snapshot(snapshot_remove);
			}
			script(3);
			image_close();
			if (n % 6 == 2) {      /* theirs goes back to ours, and is put in its place */
				ck_assert_int_eq(run("qemu-img snapshot -a ours %s && qemu-img snapshot -d ours %s && "
						     "qemu-img snapshot -c ours %s", path, path, path), 0);
				memcpy(model, kept, sizeof(kept));
			}
			their_turn(n);
		}
		judge();
	}
}
END_TEST

/* Kills */

#define ROUND 8u                         /* writes between flushes */
#define TALE  20000u

struct write { uint32_t sector, sectors; uint8_t value; };

static struct write write_of(uint64_t number, uint32_t n)
{
	uint64_t s = number * 1000003 + n, r = random_next(&s);

	return (struct write){ (uint32_t)(r % (DISK / 512 - 128)), 1 + (uint32_t)(r >> 32) % 127, (uint8_t)(r >> 24) };
}

/* Writes for ever, and tells how many are durable. */
static void victim(uint64_t number, int out)
{
	static uint8_t data[ROUND][128 * 512];
	struct mt_block_req reqs[ROUND], *list[ROUND], *done[ROUND];
	struct mt_iov iov[ROUND];

	image_open(path);
	for (uint32_t n = 0; n < TALE; n += ROUND) {
		for (uint32_t i = 0; i < ROUND; i++) {
			struct write w = write_of(number, n + i);

			memset(data[i], w.value, w.sectors * 512);
			iov[i] = (struct mt_iov){ data[i], w.sectors * 512, NULL, 0 };
			reqs[i] = (struct mt_block_req){ .op = w.value % 16 == 0 ? MT_BLOCK_ZERO : MT_BLOCK_WRITE,
				.flags = w.value % 16 == 0 ? MT_BLOCK_MAY_UNMAP : 0, .offset = w.sector * 512ull,
				.len_bytes = w.sectors * 512ull, .iov = &iov[i], .iov_count = 1 };
			list[0] = &reqs[i];
			request_submit(block, list, 1);
			if (wait_done(done, ROUND) != 1 || reqs[i].result)
				_exit(1);
		}
		if (transfer(MT_BLOCK_FLUSH, 0, 0, NULL, 0))
			_exit(1);
		if (write(out, &(uint32_t){ n + ROUND }, 4) != 4)
			_exit(1);
	}
	_exit(0);
}

/* What was durable is there, unless a write that came after it reached the file too. */
static void look_at_rest(uint64_t number, uint32_t durable)
{
	static uint8_t all[DISK], open_sector[DISK / 512];

	memset(open_sector, 0, sizeof(open_sector));
	for (uint32_t n = 0; n < durable + 2 * ROUND; n++) {
		struct write w = write_of(number, n);

		if (n >= durable)
			memset(open_sector + w.sector, 1, w.sectors);
		else
			memset(model + w.sector * 512, w.value % 16 == 0 ? 0 : w.value, w.sectors * 512);
	}
	ck_assert_int_eq(transfer(MT_BLOCK_READ, 0, 0, all, sizeof(all)), 0);
	for (uint32_t i = 0; i < DISK; i++) {
		if (!open_sector[i / 512] && all[i] != model[i])
			ck_abort_msg("kill %llu: byte %u is %02x, not %02x", (unsigned long long)number, i, all[i], model[i]);
	}
	memcpy(model, all, sizeof(model));
}

static uint32_t run_victim(uint64_t number)
{
	uint32_t durable = 0, told;
	struct pollfd fd;
	int pipes[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(pipes), 0);
	pid = fork();
	if (pid == 0)
		victim(number, pipes[1]);
	close(pipes[1]);
	fd = (struct pollfd){ pipes[0], POLLIN, 0 };
	ck_assert_int_eq(poll(&fd, 1, 30000), 1);
	usleep((useconds_t)rnd(60000));
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	waitpid(pid, &status, 0);
	ck_assert(WIFSIGNALED(status));
	while (read(pipes[0], &told, 4) == 4)
		durable = told;
	close(pipes[0]);
	return durable;
}

START_TEST(kills)
{
	for (uint32_t i = 0; i < (is_long() ? 300u : 12u); i++) {
		struct mt_block_check out = { .size = sizeof(out) };
		uint32_t durable;

		seed = i + 5000;
		snprintf(doing, sizeof(doing), "kill %u", i);
		form = options_of(i);
		form.lazy = 0;
		memset(model, 0, sizeof(model));
		image_make(path, &form);
		durable = run_victim(i + 1);
		if (have("qemu-img")) {
			int rc = run("qemu-img check -f qcow2 %s >%s/log 2>&1", path, folder);

			if (rc == 2)
				run("tail -5 %s/log", folder);
			ck_assert_msg(rc == 0 || rc == 3, "kill %u: qemu-img check says %d", i, rc);
		}
		image_open(path);
		look_at_rest(i + 1, durable);
		alone_begin();
		ck_assert_int_eq(qcow2_check(&q, MT_BLOCK_CHECK_LEAKS, &out, NULL, NULL, NULL), 0);
		alone_end();
		ck_assert_uint_eq(out.corruptions, 0);
		ck_assert_uint_eq(out.leaks, out.leaks_fixed);
		script(5);
		image_close();
		judge();
	}
}
END_TEST

/* Cases by name, for CK_RUN_CASE: the long ones take a while. */
static void add(Suite *suite, const TTest *test, const char *name)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, is_long() ? 3000 : 240);
	tcase_add_checked_fixture(tc, start, stop);
	tcase_add_test(tc, test);
	suite_add_tcase(suite, tc);
}

int main(void)
{
	Suite *suite = suite_create("qcow2");
	SRunner *runner;
	int failed;

	add(suite, scripts, "scripts");
	add(suite, long_zeros, "long-zeros");
	add(suite, turns, "turns");
	add(suite, kills, "kills");
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
