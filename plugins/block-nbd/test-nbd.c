/* SPDX-License-Identifier: MIT */
/* The plugin on the fake host against a server of its own: what servers can, errors, and lost connections. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/image.h>
#include <fake/state.h>
#include <mortise/draft/block-protocol.h>
#include <sys/stat.h>
#include <time.h>
#include <util/error.h>

#include "toy.h"

#define DISK_BYTES (1u << 20)
#define ALL (TOY_FLAGS | TOY_FLUSH | TOY_FUA | TOY_TRIM | TOY_ZEROES | TOY_FAST_ZERO)

static struct fake *f;
static struct toy *toy;
static char folder[256], path[300];
static const struct toy_ways good = { .bytes = DISK_BYTES, .flags = ALL, .min = 1, .preferred = 4096, .max = 65536,
				      .structured = true };

static void setup(void)
{
	snprintf(path, sizeof(path), "%s/s", fake_folder_make(folder));
}

static void teardown(void)
{
	if (f)
		fake_free(f);
	if (toy)
		toy_stop(toy);
	fake_run("test ! -e %s/pid || kill $(cat %s/pid)", folder, folder);       /* nbdkit, of several_connections */
	fake_folder_remove(folder);
}

static struct fake *make(void)
{
	struct fake *made = fake_new("block-nbd");

	fake_prop(made, "socket", path);
	fake_prop(made, "connect-timeout", "10s");
	return made;
}

static void start(const struct toy_ways *ways)
{
	toy = toy_start(path, ways);
	ck_assert_ptr_nonnull(toy);
	f = make();
	fake_start(f);
}

static void fill(uint8_t *bytes, size_t len, uint64_t seed)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)fake_random(&seed);
}

static int32_t io(uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len)
{
	return fake_served_io(f, op, flags, offset, buf, len);
}

static uint32_t seen(uint32_t type)
{
	uint32_t count = toy_lock(toy)->seen[type];

	toy_unlock(toy);
	return count;
}

START_TEST(the_disk_is_what_the_server_says)
{
	struct toy_ways ways = good;
	struct mt_block_info info;

	ways.min = 4096;
	ways.preferred = 32768;
	ways.flags = TOY_FLAGS | TOY_READ_ONLY | TOY_FLUSH;
	start(&ways);
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.disk_bytes, DISK_BYTES);
	ck_assert_uint_eq(info.block_bytes, 4096);
	ck_assert_uint_eq(info.physical_bytes, 32768);
	ck_assert_uint_eq(info.flags, MT_BLOCK_INFO_READONLY | MT_BLOCK_INFO_VOLATILE);
	ck_assert_uint_eq(fake_served(f)->child_bytes, DISK_BYTES);
}
END_TEST

/* One way of a server: bytes come back as they went, in pieces, many at once. */
static void data_check(const struct toy_ways *ways)
{
	static uint8_t model[DISK_BYTES], got[DISK_BYTES];
	struct fake_io *ios[8];

	start(ways);
	fill(model, sizeof(model), 1);
	for (uint32_t i = 0; i < 8; i++)
		ios[i] = fake_served_begin(f, MT_BLOCK_WRITE, i == 3 ? MT_BLOCK_FUA : 0, i * 131072u, model + i * 131072u,
					   131072, i % 3 + 1);
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_int_eq(fake_served_end(ios[i]), 0);
	ck_assert_int_eq(io(MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_mem_eq(toy_bytes(toy), model, DISK_BYTES);
	for (uint32_t i = 0; i < 8; i++)
		ios[i] = fake_served_begin(f, MT_BLOCK_READ, 0, i * 131072u, got + i * 131072u, 131072, 3 - i % 3);
	for (uint32_t i = 0; i < 8; i++)
		ck_assert_int_eq(fake_served_end(ios[i]), 0);
	ck_assert_mem_eq(got, model, DISK_BYTES);
	ck_assert_uint_le(toy_lock(toy)->seen_max, ways->max ? ways->max : 32u << 20);
	toy_unlock(toy);
}

START_TEST(data_go_there_and_back)
{
	data_check(&good);
	ck_assert_uint_eq(toy_lock(toy)->seen_flags, 1);        /* FUA */
	toy_unlock(toy);
}
END_TEST

START_TEST(a_flush_follows_where_there_is_no_fua)
{
	struct toy_ways ways = { .bytes = DISK_BYTES, .flags = TOY_FLAGS | TOY_FLUSH };

	data_check(&ways);
	ck_assert_uint_eq(seen(TOY_CMD_FLUSH), 2);
	ck_assert_uint_eq(toy_lock(toy)->seen_flags, 0);
	toy_unlock(toy);
}
END_TEST

START_TEST(zeroes_and_discards)
{
	start(&good);
	memset(toy_bytes(toy), 7, DISK_BYTES);
	ck_assert_int_eq(io(MT_BLOCK_ZERO, MT_BLOCK_MAY_UNMAP, 4096, NULL, 8192), 0);
	ck_assert_int_eq(io(MT_BLOCK_DISCARD, 0, 65536, NULL, 4096), 0);
	ck_assert_uint_eq(toy_bytes(toy)[4095], 7);
	ck_assert_uint_eq(toy_bytes(toy)[4096] | toy_bytes(toy)[12287] | toy_bytes(toy)[65536], 0);
	ck_assert_uint_eq(toy_bytes(toy)[12288], 7);
	ck_assert_uint_eq(seen(TOY_CMD_ZERO), 1);
	ck_assert_uint_eq(seen(TOY_CMD_TRIM), 1);
	ck_assert_int_eq(io(MT_BLOCK_ZERO, MT_BLOCK_FAST, 0, NULL, 4096), 0);
	ck_assert_uint_eq(toy_lock(toy)->seen_flags, 2 | 16);   /* NO_HOLE and FAST_ZERO, of the last */
	toy_unlock(toy);
}
END_TEST

START_TEST(what_the_server_lacks_is_not_asked_of_it)
{
	struct toy_ways ways = { .bytes = DISK_BYTES, .flags = TOY_FLAGS };
	uint64_t len = DISK_BYTES;
	uint32_t flags;

	start(&ways);
	ck_assert_int_eq(io(MT_BLOCK_ZERO, 0, 0, NULL, 4096), MT_ENOTSUP);
	ck_assert_int_eq(io(MT_BLOCK_DISCARD, 0, 0, NULL, 4096), 0);
	ck_assert_int_eq(io(MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	ck_assert_int_eq(fake_served_status(f, 0, &len, &flags), MT_ENOTSUP);
	for (uint32_t type = 0; type < TOY_CMDS; type++)
		ck_assert_uint_eq(seen(type), 0);
}
END_TEST

START_TEST(status_comes_in_runs)
{
	uint64_t len = 100000;
	uint32_t flags = 9;

	start(&good);
	ck_assert_int_eq(fake_served_status(f, 1000, &len, &flags), 0);
	ck_assert_uint_eq(len, 64536);
	ck_assert_uint_eq(flags, 0);
	len = 100000;
	ck_assert_int_eq(fake_served_status(f, 65536, &len, &flags), 0);
	ck_assert_uint_eq(len, 65536);
	ck_assert_uint_eq(flags, MT_BLOCK_SERVED_ZERO);
}
END_TEST

START_TEST(errors_are_told)
{
	/* "Error values" */
	static const struct { uint32_t wire; int32_t code; } errors[] = {
		{ 1, MT_EPERM }, { 5, MT_EIO }, { 12, MT_ENOMEM }, { 22, MT_EINVAL }, { 28, MT_ENOSPC },
		{ 95, MT_ENOTSUP }, { 108, MT_EIO }, { 4711, MT_EINVAL },
	};
	struct toy_ways ways = good;
	uint8_t sector[512] = { 0 };

	ways.structured = false;
	start(&ways);
	for (size_t i = 0; i < 8; i++) {
		if (errors[i].wire == 108)     /* ESHUTDOWN ends the connection, see lost connections */
			continue;
		toy_lock(toy)->error = errors[i].wire;
		toy_unlock(toy);
		ck_assert_int_eq(io(MT_BLOCK_WRITE, 0, 0, sector, 512), errors[i].code);
		ck_assert_int_eq(io(MT_BLOCK_READ, 0, 0, sector, 512), errors[i].code);
		ck_assert_int_eq(io(MT_BLOCK_FLUSH, 0, 0, NULL, 0), errors[i].code);
	}
	toy_lock(toy)->error = 0;
	toy_unlock(toy);
	ck_assert_int_eq(io(MT_BLOCK_READ, 0, 0, sector, 512), 0);
}
END_TEST

START_TEST(a_lost_connection_is_made_again)
{
	static uint8_t model[DISK_BYTES];
	struct fake_io *ios[8];

	start(&good);
	for (uint32_t round = 1; round <= 8; round++) {
		fill(model, sizeof(model), round);
		toy_lock(toy)->drop_in = round;
		toy_unlock(toy);
		for (uint32_t i = 0; i < 8; i++)
			ios[i] = fake_served_begin(f, MT_BLOCK_WRITE, 0, i * 65536u, model + i * 65536u, 65536, 1);
		for (uint32_t i = 0; i < 8; i++)
			ck_assert_int_eq(fake_served_end(ios[i]), 0);
		ck_assert_mem_eq(toy_bytes(toy), model, 8 * 65536);
	}
	ck_assert_uint_gt(seen(TOY_CMD_WRITE), 64);
}
END_TEST

START_TEST(without_patience_a_loss_is_an_error)
{
	uint8_t sector[512] = { 0 };

	toy = toy_start(path, &good);
	f = make();
	fake_prop(f, "reconnect", "0s");
	fake_start(f);
	toy_lock(toy)->drop_in = 1;
	toy_unlock(toy);
	ck_assert_int_eq(io(MT_BLOCK_WRITE, 0, 0, sector, 512), MT_EIO);
}
END_TEST

START_TEST(another_disk_is_not_taken)
{
	struct toy_ways ways = good;
	uint8_t sector[512] = { 0 };

	toy = toy_start(path, &good);
	f = make();
	fake_prop(f, "reconnect", "500ms");
	fake_start(f);
	toy_stop(toy);
	ways.bytes *= 2;
	toy = toy_start(path, &ways);
	ck_assert_int_eq(io(MT_BLOCK_WRITE, 0, 0, sector, 512), MT_EIO);
	ck_assert_uint_eq(seen(TOY_CMD_WRITE), 0);
	toy_stop(toy);
	toy = toy_start(path, &good);          /* and when the right one is back: */
	for (int i = 0; i < 100 && io(MT_BLOCK_WRITE, 0, 0, sector, 512) != 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
	ck_assert_uint_eq(seen(TOY_CMD_WRITE), 1);
}
END_TEST

START_TEST(answers_that_nobody_asked_for_end_the_connection)
{
	struct toy_ways ways = good;
	uint8_t sector[512] = { 0 };

	ways.wrong_cookie = true;
	ways.structured = false;
	toy = toy_start(path, &ways);
	f = make();
	fake_prop(f, "reconnect", "0s");
	fake_start(f);
	ck_assert_int_eq(io(MT_BLOCK_WRITE, 0, 0, sector, 512), MT_EIO);
}
END_TEST

static void refused(const struct toy_ways *ways, const char *timeout, const char *culprit)
{
	struct mt_error err;

	mt_error_init(&err);
	toy = toy_start(path, ways);
	f = make();
	fake_prop(f, "connect-timeout", timeout);
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_msg(fake_realize(f, &err) < 0, "taken: min %u, %llu bytes", ways->min, (unsigned long long)ways->bytes);
	ck_assert_str_eq(err.culprit, culprit);
	fake_free(f);
	toy_stop(toy);
	f = NULL;
	toy = NULL;
}

START_TEST(servers_that_cannot_be_used_are_refused)
{
	struct toy_ways ways = good;

	ways.bytes = 1ull << 63;
	refused(&ways, "10s", "export");
	ways = good;
	ways.mute = true;
	refused(&ways, "50ms", "connect-timeout");
	ways = good;
	ways.drops = 1;
	refused(&ways, "10s", "socket");
	ways = good;
	ways.script = (const uint8_t *)"HTTP/1.1 400 Bad Request\r\n\r\n";
	ways.script_bytes = 28;
	refused(&ways, "10s", "socket");
}
END_TEST

/* libnbd does not pass on block sizes that the specification forbids. */
START_TEST(block_sizes_that_cannot_be_are_not_believed)
{
	struct toy_ways ways = good;
	struct mt_block_info info;

	ways.min = ways.preferred = 131072;
	ways.max = 1u << 20;
	start(&ways);
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.block_bytes, 512);
	ck_assert_uint_eq(info.physical_bytes, 4096);
}
END_TEST

START_TEST(one_place_is_named)
{
	struct mt_error err;

	mt_error_init(&err);
	f = make();
	fake_prop(f, "uri", "nbd://localhost");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_EINVAL);
	ck_assert_str_eq(err.culprit, "uri");
}
END_TEST

static uint32_t sockets_open(void)
{
	uint32_t count = 0;

	for (int fd = 0; fd < 256; fd++) {
		struct stat meta;

		count += fstat(fd, &meta) == 0 && S_ISSOCK(meta.st_mode);
	}
	return count;
}

/* A server that has a thread for each connection: what one wrote the others read. */
START_TEST(several_connections)
{
	static uint8_t model[DISK_BYTES], got[DISK_BYTES];
	struct fake_io *ios[64];
	uint32_t before = sockets_open();

	if (fake_run("nbdkit --version >/dev/null 2>&1"))
		return;
	ck_assert_int_eq(fake_run("nbdkit -U %s -P %s/pid memory %u", path, folder, DISK_BYTES), 0);
	f = make();
	fake_prop(f, "connections", "4");
	fake_start(f);
	ck_assert_uint_eq(sockets_open(), before + 4);
	for (uint32_t round = 0; round < 20; round++) {
		fill(model, sizeof(model), round);
		for (uint32_t i = 0; i < 64; i++)
			ios[i] = fake_served_begin(f, MT_BLOCK_WRITE, 0, i * 16384u, model + i * 16384u, 16384, 1);
		for (uint32_t i = 0; i < 64; i++)
			ck_assert_int_eq(fake_served_end(ios[i]), 0);
		ck_assert_int_eq(io(MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
		memset(got, 0, sizeof(got));
		for (uint32_t i = 0; i < 64; i++)
			ios[i] = fake_served_begin(f, MT_BLOCK_READ, 0, i * 16384u, got + i * 16384u, 16384, 1);
		for (uint32_t i = 0; i < 64; i++)
			ck_assert_int_eq(fake_served_end(ios[i]), 0);
		ck_assert_mem_eq(got, model, sizeof(model));
	}
	fake_free(f);
	f = NULL;
	ck_assert_uint_eq(sockets_open(), before);
}
END_TEST

/* One that says nothing of several gets one, though more are asked for. */
START_TEST(one_connection_where_the_server_has_no_word_for_several)
{
	uint32_t before = sockets_open();

	toy = toy_start(path, &good);
	ck_assert_ptr_nonnull(toy);
	before = sockets_open();
	f = make();
	fake_prop(f, "connections", "4");
	fake_start(f);
	ck_assert_uint_le(sockets_open(), before + 2);         /* ours, and the toy's end of it */
	ck_assert_int_eq(io(MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
}
END_TEST

START_TEST(state)
{
	struct toy_ways ways = good;
	struct fake_state *saved;
	struct mt_error err;

	mt_error_init(&err);
	start(&good);
	saved = fake_save(f);
	ck_assert_uint_eq(fake_state_get(saved, fake_state_find(saved, "disk-bytes"), 0), DISK_BYTES);
	fake_free(f);                          /* the server has one connection at a time */
	f = make();
	ck_assert_int_eq(fake_load(f, saved, &err), 0);
	ck_assert_int_eq(io(MT_BLOCK_FLUSH, 0, 0, NULL, 0), 0);
	fake_free(f);
	toy_stop(toy);
	ways.bytes *= 2;
	toy = toy_start(path, &ways);
	f = make();
	ck_assert_int_lt(fake_load(f, saved, &err), 0);
	ck_assert_str_eq(fake_state_refused(saved), "disk-bytes: is 1048576, and 2097152 here");
	fake_state_free(saved);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-nbd", setup, teardown, the_disk_is_what_the_server_says, data_go_there_and_back,
		  a_flush_follows_where_there_is_no_fua, zeroes_and_discards, what_the_server_lacks_is_not_asked_of_it,
		  status_comes_in_runs, errors_are_told, a_lost_connection_is_made_again,
		  without_patience_a_loss_is_an_error, another_disk_is_not_taken,
		  answers_that_nobody_asked_for_end_the_connection, servers_that_cannot_be_used_are_refused,
		  block_sizes_that_cannot_be_are_not_believed, one_place_is_named, several_connections,
		  one_connection_where_the_server_has_no_word_for_several, state);
}
