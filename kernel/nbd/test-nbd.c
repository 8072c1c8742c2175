/* SPDX-License-Identifier: MIT */
/* The server over a socketpair: the negotiation, every command, errors, and clients that do not behave. */
#include <fake/check-run.h>
#include <poll.h>
#include <string.h>
#include <util/endian.h>

#include "kernel/nbd/test-disk.h"

#define DISK_BYTES (4u << 20)

static struct test_disk *disk;
static struct test_server server;
static uint8_t model[DISK_BYTES], got[DISK_BYTES];

static void setup(void)
{
	disk = disk_open(DISK_BYTES);
}

static void teardown(void)
{
	disk_close(disk);
}

/* The client's side */

static void put(const void *data, size_t len)
{
	for (ssize_t n; len; data = (const uint8_t *)data + n, len -= (size_t)n) {
		n = send(server.fd, data, len, MSG_NOSIGNAL);
		ck_assert_int_gt(n, 0);
	}
}

/* False: the server has ended it. */
static bool get(void *data, size_t len)
{
	for (ssize_t n; len; data = (uint8_t *)data + n, len -= (size_t)n) {
		n = recv(server.fd, data, len, 0);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool is_ended(void)
{
	uint8_t byte;

	return !get(&byte, 1);
}

static void hello(uint32_t flags)
{
	uint8_t head[18];

	ck_assert(get(head, 18));
	ck_assert_uint_eq(mt_get_be64(head), NBD_INIT_MAGIC);
	ck_assert_uint_eq(mt_get_be64(head + 8), NBD_OPTION_MAGIC);
	ck_assert_uint_eq(mt_get_be16(head + 16), NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	mt_put_be32(head, flags);
	put(head, 4);
}

static void option_head(uint32_t id, uint32_t len)
{
	uint8_t head[16];

	mt_put_be64(head, NBD_OPTION_MAGIC);
	mt_put_be32(head + 8, id);
	mt_put_be32(head + 12, len);
	put(head, 16);
}

static void option(uint32_t id, const void *data, uint32_t len)
{
	option_head(id, len);
	put(data, len);
}

/* The next answer to `id`; its data are in got. */
static uint32_t answer(uint32_t id, uint32_t *len)
{
	uint8_t head[20];

	ck_assert(get(head, 20));
	ck_assert_uint_eq(mt_get_be64(head), NBD_REPLY_MAGIC);
	ck_assert_uint_eq(mt_get_be32(head + 8), id);
	*len = mt_get_be32(head + 16);
	ck_assert_uint_lt(*len, DISK_BYTES);
	ck_assert(get(got, *len));
	return mt_get_be32(head + 12);
}

static uint32_t only_answer(uint32_t id, const void *data, uint32_t len)
{
	uint32_t answer_len;

	option(id, data, len);
	return answer(id, &answer_len);
}

static uint32_t go_data(uint8_t *data, const char *name, uint32_t count)
{
	uint32_t len = (uint32_t)strlen(name);

	mt_put_be32(data, len);
	memcpy(data + 4, name, len);
	mt_put_be16(data + 4 + len, (uint16_t)count);
	for (uint32_t i = 0; i < count; i++)
		mt_put_be16(data + 6 + len + 2 * i, (uint16_t)i);
	return 6 + len + 2 * count;
}

/* Of INFO or GO: the flags of the export, or 0 when it was refused with *type. */
static uint32_t info(uint32_t id, const char *name, uint32_t *type)
{
	uint8_t data[256];
	uint32_t flags = 0, len, seen = 0;

	option(id, data, go_data(data, name, 4));
	while ((*type = answer(id, &len)) == NBD_REP_INFO) {
		seen |= 1u << mt_get_be16(got);
		if (mt_get_be16(got) == NBD_INFO_EXPORT) {
			ck_assert_uint_eq(len, 12);
			ck_assert_uint_eq(mt_get_be64(got + 2), disk->export.len_bytes);
			flags = mt_get_be16(got + 10);
		}
		if (mt_get_be16(got) == NBD_INFO_BLOCK_SIZE)
			ck_assert_uint_eq(mt_get_be32(got + 10), NBD_PAYLOAD_MAX);
		if (mt_get_be16(got) == NBD_INFO_DESCRIPTION)
			ck_assert_mem_eq(got + 2, "a disk", 6);
	}
	ck_assert_uint_eq(seen, *type == NBD_REP_ACK ? 15 : 0);
	return flags;
}

static uint32_t contexts(uint32_t id, const char *const *queries, uint32_t count)
{
	uint8_t data[1024];
	uint32_t at = 12, len, bits = 0, type;

	mt_put_be32(data, 4);
	memcpy(data + 4, "disk", 4);
	mt_put_be32(data + 8, count);
	for (uint32_t i = 0; i < count; i++) {
		len = (uint32_t)strlen(queries[i]);
		mt_put_be32(data + at, len);
		memcpy(data + at + 4, queries[i], len);
		at += 4 + len;
	}
	option(id, data, at);
	while ((type = answer(id, &len)) == NBD_REP_META_CONTEXT)
		bits |= id == NBD_OPT_SET_META_CONTEXT ? mt_get_be32(got) : 1u << (len % 8);
	ck_assert_uint_eq(type, NBD_REP_ACK);
	return bits;
}

static uint32_t start(bool structured)
{
	static const char *const query = "base:allocation";
	uint32_t type, flags;

	server_start(&server, disk);
	hello(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	if (structured) {
		ck_assert_uint_eq(only_answer(NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
		ck_assert_uint_eq(contexts(NBD_OPT_SET_META_CONTEXT, &query, 1), NBD_CONTEXT_ALLOCATION);
	}
	flags = info(NBD_OPT_GO, "disk", &type);
	ck_assert_uint_eq(type, NBD_REP_ACK);
	return flags;
}

static void request(uint32_t type, uint32_t flags, uint64_t cookie, uint64_t offset, uint32_t len)
{
	uint8_t head[NBD_REQUEST_BYTES];

	mt_put_be32(head, NBD_REQUEST_MAGIC);
	mt_put_be16(head + 4, (uint16_t)flags);
	mt_put_be16(head + 6, (uint16_t)type);
	mt_put_be64(head + 8, cookie);
	mt_put_be64(head + 16, offset);
	mt_put_be32(head + 24, len);
	put(head, sizeof(head));
}

static uint32_t simple(uint64_t cookie)
{
	uint8_t head[NBD_SIMPLE_BYTES];

	ck_assert(get(head, sizeof(head)));
	ck_assert_uint_eq(mt_get_be32(head), NBD_SIMPLE_MAGIC);
	ck_assert_uint_eq(mt_get_be64(head + 8), cookie);
	return mt_get_be32(head + 4);
}

/* Structured: the whole answer to a read, put together in got[offset...]; its error. */
static uint32_t chunks(uint64_t cookie, uint32_t *count, uint32_t *holes)
{
	uint8_t head[NBD_STRUCTURED_BYTES], data[16];
	uint32_t error = 0, len;

	*count = *holes = 0;
	do {
		ck_assert(get(head, sizeof(head)));
		ck_assert_uint_eq(mt_get_be32(head), NBD_STRUCTURED_MAGIC);
		ck_assert_uint_eq(mt_get_be64(head + 8), cookie);
		len = mt_get_be32(head + 16);
		++*count;
		switch (mt_get_be16(head + 6)) {
		case NBD_REPLY_TYPE_NONE:
			break;
		case NBD_REPLY_TYPE_OFFSET_DATA:
			ck_assert(get(data, 8));
			ck_assert(get(got + mt_get_be64(data), len - 8));
			break;
		case NBD_REPLY_TYPE_OFFSET_HOLE:
			++*holes;
			ck_assert(get(data, 12));
			memset(got + mt_get_be64(data), 0, mt_get_be32(data + 8));
			break;
		default:
			ck_assert_uint_eq(mt_get_be16(head + 6), NBD_REPLY_TYPE_ERROR);
			ck_assert(get(data, 6));
			error = mt_get_be32(data);
		}
	} while (!(mt_get_be16(head + 4) & NBD_REPLY_FLAG_DONE));
	return error;
}

static uint32_t run(uint32_t type, uint32_t flags, uint64_t offset, uint32_t len)
{
	request(type, flags, 77, offset, len);
	if (type == NBD_CMD_WRITE)
		put(model + offset, len);
	return simple(77);
}

static void fill(uint64_t offset, uint32_t len, uint8_t salt)
{
	for (uint32_t i = 0; i < len; i++)
		model[offset + i] = (uint8_t)(salt + i * 7 + 1);
}

/* The negotiation */

START_TEST(options_are_answered)
{
	static const char *const queries[] = { "base:allocation", "qemu:allocation-depth", "other:thing" };
	uint32_t type, len;

	disk->export.depth = true;
	server_start(&server, disk);
	hello(NBD_FLAG_FIXED_NEWSTYLE);
	ck_assert_uint_eq(only_answer(99, "xyz", 3), NBD_REP_ERR_UNSUP);
	ck_assert_uint_eq(only_answer(NBD_OPT_STARTTLS, NULL, 0), NBD_REP_ERR_POLICY);
	ck_assert_uint_eq(only_answer(NBD_OPT_LIST, "x", 1), NBD_REP_ERR_INVALID);
	option(NBD_OPT_LIST, NULL, 0);
	ck_assert_uint_eq(answer(NBD_OPT_LIST, &len), NBD_REP_SERVER);
	ck_assert_uint_eq(len, 14);
	ck_assert_mem_eq(got + 4, "diska disk", 10);
	ck_assert_uint_eq(answer(NBD_OPT_LIST, &len), NBD_REP_ACK);
	ck_assert_uint_eq(info(NBD_OPT_INFO, "nothing", &type), 0);
	ck_assert_uint_eq(type, NBD_REP_ERR_UNKNOWN);
	ck_assert_uint_eq(info(NBD_OPT_INFO, "disk", &type) & NBD_FLAG_SEND_DF, 0);
	ck_assert_uint_eq(only_answer(NBD_OPT_SET_META_CONTEXT, "\0\0\0\4disk\0\0\0\0", 12), NBD_REP_ERR_INVALID);
	ck_assert_uint_eq(only_answer(NBD_OPT_STRUCTURED_REPLY, "x", 1), NBD_REP_ERR_INVALID);
	ck_assert_uint_eq(only_answer(NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
	ck_assert_uint_eq(contexts(NBD_OPT_SET_META_CONTEXT, queries, 3), 3);
	ck_assert_uint_eq(contexts(NBD_OPT_LIST_META_CONTEXT, queries, 0), 1u << (19 % 8) | 1u << (25 % 8));
	ck_assert_uint_ne(info(NBD_OPT_GO, "disk", &type) & NBD_FLAG_SEND_DF, 0);
	ck_assert_uint_eq(run(NBD_CMD_FLUSH, 0, 0, 0), 0);
	server_stop(&server);
	ck_assert(server.served);
}
END_TEST

START_TEST(old_ways_in)
{
	uint8_t data[134];

	server_start(&server, disk);
	hello(0);
	option(NBD_OPT_EXPORT_NAME, "disk", 4);
	ck_assert(get(data, 134));
	ck_assert_uint_eq(mt_get_be64(data), DISK_BYTES);
	ck_assert_uint_eq(run(NBD_CMD_FLUSH, 0, 0, 0), 0);
	server_stop(&server);
	server_start(&server, disk);
	hello(NBD_FLAG_NO_ZEROES);
	option(NBD_OPT_EXPORT_NAME, "disk", 4);
	ck_assert(get(data, 10));
	ck_assert_uint_eq(run(NBD_CMD_FLUSH, 0, 0, 0), 0);
	server_stop(&server);
	server_start(&server, disk);
	hello(0);
	option(NBD_OPT_EXPORT_NAME, "other", 5);
	ck_assert(is_ended());
	server_stop(&server);
	ck_assert(!server.served);
}
END_TEST

/* Each of these is refused with a word, and the next option is served. */
START_TEST(bad_options_are_refused)
{
	static const struct {
		uint32_t id, len;
		const char *data;
		uint32_t type;
	} bad[] = {
		{ NBD_OPT_GO, 0, "", NBD_REP_ERR_INVALID },
		{ NBD_OPT_GO, 3, "\0\0\0", NBD_REP_ERR_INVALID },
		{ NBD_OPT_GO, 6, "\xff\xff\xff\xff\0\0", NBD_REP_ERR_INVALID },
		{ NBD_OPT_GO, 10, "\0\0\0\4disk\0\1", NBD_REP_ERR_INVALID },
		{ NBD_OPT_GO, 11, "\0\0\0\4disk\0\0x", NBD_REP_ERR_INVALID },
		{ NBD_OPT_INFO, 8, "\0\0\0\4disk", NBD_REP_ERR_INVALID },
		{ NBD_OPT_SET_META_CONTEXT, 12, "\0\0\0\4disk\0\0\0\1", NBD_REP_ERR_INVALID },
		{ NBD_OPT_SET_META_CONTEXT, 16, "\0\0\0\4disk\0\0\0\1\xff\xff\xff\xff", NBD_REP_ERR_INVALID },
		{ NBD_OPT_SET_META_CONTEXT, 12, "\0\0\0\4disk\xff\xff\xff\xff", NBD_REP_ERR_TOO_BIG },
		{ NBD_OPT_SET_META_CONTEXT, 12, "\0\0\0\4else\0\0\0\0", NBD_REP_ERR_UNKNOWN },
	};
	uint32_t len;

	server_start(&server, disk);
	hello(NBD_FLAG_FIXED_NEWSTYLE);
	ck_assert_uint_eq(only_answer(NBD_OPT_STRUCTURED_REPLY, NULL, 0), NBD_REP_ACK);
	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		ck_assert_uint_eq(only_answer(bad[i].id, bad[i].data, bad[i].len), bad[i].type);
	option_head(NBD_OPT_GO, 3u << 20);
	put(model, 3u << 20);
	ck_assert_uint_eq(answer(NBD_OPT_GO, &len), NBD_REP_ERR_TOO_BIG);
	option(NBD_OPT_ABORT, NULL, 0);
	ck_assert_uint_eq(answer(NBD_OPT_ABORT, &len), NBD_REP_ACK);
	ck_assert(is_ended());
	server_stop(&server);
	ck_assert(!server.served);
}
END_TEST

START_TEST(strangers_are_let_go)
{
	server_start(&server, disk);
	hello(0x80);
	ck_assert(is_ended());
	server_stop(&server);
	server_start(&server, disk);
	hello(NBD_FLAG_FIXED_NEWSTYLE);
	put("GET / HTTP/1.1\r\n\r\n", 18);
	ck_assert(is_ended());
	server_stop(&server);
	disk->export.limit_seconds = 1;        /* says nothing: let go by the clock */
	server_start(&server, disk);
	ck_assert(get(got, 18));
	ck_assert(is_ended());
	server_stop(&server);
	ck_assert(!server.served);
}
END_TEST

/* Commands */

START_TEST(commands_do_what_they_say)
{
	uint32_t flags = start(false);

	ck_assert_uint_eq(flags, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_TRIM |
			  NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE |
			  NBD_FLAG_SEND_FAST_ZERO);
	fill(1000, 300000, 3);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, 0, 1000, 300000), 0);
	fill(5, 1, 9);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, NBD_CMD_FLAG_FUA, 5, 1), 0);
	memset(model + 8192, 0, 20000);
	ck_assert_uint_eq(run(NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_NO_HOLE, 8192, 20000), 0);
	memset(model + 65536, 0, 65536);
	ck_assert_uint_eq(run(NBD_CMD_WRITE_ZEROES, NBD_CMD_FLAG_FUA, 65536, 65536), 0);
	ck_assert_uint_eq(run(NBD_CMD_TRIM, NBD_CMD_FLAG_FUA, 2u << 20, 1u << 20), 0);
	ck_assert_uint_eq(run(NBD_CMD_CACHE, 0, 0, DISK_BYTES), 0);
	ck_assert_uint_eq(run(NBD_CMD_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0, 0, DISK_BYTES), 0);
	ck_assert(get(got, DISK_BYTES));
	ck_assert_mem_eq(got, model, DISK_BYTES);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0, 0, 0), 0);
	request(NBD_CMD_DISC, 0, 1, 0, 0);
	ck_assert(is_ended());
	server_stop(&server);
}
END_TEST

START_TEST(wrong_commands_are_refused)
{
	start(false);
	ck_assert_uint_eq(run(99, 0, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0x80, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_READ, NBD_CMD_FLAG_DF, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0, DISK_BYTES - 1, 2), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0, UINT64_MAX, 2), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0, 0, UINT32_MAX), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_BLOCK_STATUS, 0, 0, 512), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_TRIM, 0, DISK_BYTES, 1), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_WRITE_ZEROES, 0, DISK_BYTES - 4, 8), NBD_ENOSPC);
	request(NBD_CMD_WRITE, 0, 5, DISK_BYTES - 4, 100000);     /* its payload is read away */
	put(model, 100000);
	ck_assert_uint_eq(simple(5), NBD_ENOSPC);
	request(NBD_CMD_WRITE, 0x100, 6, 0, 70000);
	put(model, 70000);
	ck_assert_uint_eq(simple(6), NBD_EINVAL);
	ck_assert_uint_eq(run(NBD_CMD_FLUSH, 0, 0, 0), 0);
	server_stop(&server);
}
END_TEST

START_TEST(read_only_is_kept)
{
	disk->export.readonly = true;
	ck_assert_uint_eq(start(false), NBD_FLAG_HAS_FLAGS | NBD_FLAG_READ_ONLY | NBD_FLAG_SEND_FLUSH |
			  NBD_FLAG_SEND_FUA | NBD_FLAG_CAN_MULTI_CONN | NBD_FLAG_SEND_CACHE);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, 0, 0, 4096), NBD_EPERM);
	ck_assert_uint_eq(run(NBD_CMD_WRITE_ZEROES, 0, 0, 4096), NBD_EPERM);
	ck_assert_uint_eq(run(NBD_CMD_TRIM, 0, 0, 4096), NBD_EPERM);
	ck_assert_uint_eq(run(NBD_CMD_FLUSH, 0, 0, 0), 0);
	server_stop(&server);
}
END_TEST

START_TEST(an_offset_moves_the_disk)
{
	disk->export.offset = 1u << 20;
	disk->export.len_bytes = 1u << 20;
	start(false);
	fill(0, 4096, 1);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, 0, 0, 4096), 0);
	ck_assert_uint_eq(run(NBD_CMD_READ, 0, (1u << 20) - 1, 2), NBD_EINVAL);
	server_stop(&server);
	ck_assert_int_eq(file_read(disk->node.children[0].file, 1u << 20, got, 4096), 0);
	ck_assert_mem_eq(got, model, 4096);
}
END_TEST

START_TEST(structured_reads_have_holes)
{
	uint32_t count, holes;

	start(true);
	fill(1u << 20, 200000, 5);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, 0, 1u << 20, 200000), 0);
	memset(got, 0xee, sizeof(got));
	request(NBD_CMD_READ, 0, 8, 0, DISK_BYTES);
	ck_assert_uint_eq(chunks(8, &count, &holes), 0);
	ck_assert_uint_eq(holes, 2);
	ck_assert_uint_eq(count, 3);
	ck_assert_mem_eq(got, model, DISK_BYTES);
	request(NBD_CMD_READ, NBD_CMD_FLAG_DF, 9, 0, DISK_BYTES);
	ck_assert_uint_eq(chunks(9, &count, &holes), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_mem_eq(got, model, DISK_BYTES);
	request(NBD_CMD_READ, 0, 10, 3u << 20, 1);
	ck_assert_uint_eq(chunks(10, &count, &holes), 0);
	ck_assert_uint_eq(holes, 1);
	request(NBD_CMD_READ, 0, 11, DISK_BYTES, 1);
	ck_assert_uint_eq(chunks(11, &count, &holes), NBD_EINVAL);
	request(NBD_CMD_READ, 0, 12, 0, 0);
	ck_assert_uint_eq(chunks(12, &count, &holes), 0);
	server_stop(&server);
}
END_TEST

static uint32_t status_extents(uint32_t flags, uint64_t offset, uint32_t len)
{
	uint8_t head[NBD_STRUCTURED_BYTES];
	uint32_t bytes;

	request(NBD_CMD_BLOCK_STATUS, flags, 3, offset, len);
	ck_assert(get(head, sizeof(head)));
	ck_assert_uint_eq(mt_get_be16(head + 6), NBD_REPLY_TYPE_BLOCK_STATUS);
	bytes = mt_get_be32(head + 16);
	ck_assert(get(got, bytes));
	ck_assert_uint_eq(mt_get_be32(got), NBD_CONTEXT_ALLOCATION);
	return (bytes - 4) / 8;
}

START_TEST(block_status_tells_holes)
{
	start(true);
	fill(1u << 20, 65536, 5);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, 0, 1u << 20, 65536), 0);
	ck_assert_uint_eq(status_extents(0, 0, DISK_BYTES), 3);
	ck_assert_uint_eq(mt_get_be32(got + 4), 1u << 20);
	ck_assert_uint_eq(mt_get_be32(got + 8), NBD_STATE_HOLE | NBD_STATE_ZERO);
	ck_assert_uint_eq(mt_get_be32(got + 12), 65536);
	ck_assert_uint_eq(mt_get_be32(got + 16), 0);
	ck_assert_uint_eq(mt_get_be32(got + 20), DISK_BYTES - (1u << 20) - 65536);
	ck_assert_uint_eq(status_extents(NBD_CMD_FLAG_REQ_ONE, 100, DISK_BYTES - 100), 1);
	ck_assert_uint_eq(mt_get_be32(got + 4), (1u << 20) - 100);
	server_stop(&server);
}
END_TEST

/* Clients that do not behave */

START_TEST(payloads_too_long_end_it)
{
	start(false);
	request(NBD_CMD_WRITE, 0, 1, 0, NBD_PAYLOAD_MAX + 1);
	ck_assert(is_ended());
	server_stop(&server);
	start(true);
	put("not a request, but as long as one is", 36);
	ck_assert(is_ended());
	server_stop(&server);
}
END_TEST

START_TEST(a_client_may_go_at_any_time)
{
	for (uint32_t cut = 0; cut < 40; cut++) {
		uint8_t head[NBD_REQUEST_BYTES] = { 0 };

		start(cut & 1);
		mt_put_be32(head, NBD_REQUEST_MAGIC);
		head[7] = NBD_CMD_WRITE;
		mt_put_be32(head + 24, 100000);
		put(head, MIN(cut, NBD_REQUEST_BYTES));
		if (cut > NBD_REQUEST_BYTES)
			put(model, (cut - NBD_REQUEST_BYTES) * 9000);
		if (cut & 2)
			shutdown(server.fd, SHUT_WR);
		server_stop(&server);
	}
}
END_TEST

/* It asks for far more than the server keeps, and takes nothing until all is asked. */
static void *ask_a_lot(void *arg)
{
	for (uint32_t i = 0; i < 400; i++)
		request(NBD_CMD_READ, 0, i, i % 4 * (1u << 20), 1u << 20);
	return arg;
}

START_TEST(slow_readers_get_everything)
{
	pthread_t asker;
	uint64_t seen = 0;
	uint8_t head[NBD_SIMPLE_BYTES];

	fill(0, DISK_BYTES, 1);
	start(false);
	ck_assert_uint_eq(run(NBD_CMD_WRITE, 0, 0, DISK_BYTES), 0);
	ck_assert_int_eq(pthread_create(&asker, NULL, ask_a_lot, NULL), 0);
	for (uint32_t i = 0; i < 400; i++) {
		ck_assert(get(head, sizeof(head)));
		ck_assert_uint_eq(mt_get_be32(head + 4), 0);
		seen += mt_get_be64(head + 8);
		ck_assert(get(got, 1u << 20));
		ck_assert_mem_eq(got, model + mt_get_be64(head + 8) % 4 * (1u << 20), 1u << 20);
	}
	pthread_join(asker, NULL);
	ck_assert_uint_eq(seen, 400 * 399 / 2);
	server_stop(&server);
}
END_TEST

/* Many under way at once, against an array of bytes; each slot has a range of its own. */
START_TEST(random_requests_agree_with_a_model)
{
	enum { SLOTS = 64, SPAN = DISK_BYTES / SLOTS };
	GRand *rnd = g_rand_new_with_seed(20260101);
	uint8_t head[NBD_SIMPLE_BYTES];

	start(false);
	for (int round = 0; round < 60; round++) {
		struct { uint32_t offset, len, kind; } slot[SLOTS];

		for (uint32_t i = 0; i < SLOTS; i++) {
			slot[i].offset = i * SPAN + (uint32_t)g_rand_int_range(rnd, 0, SPAN - 1);
			slot[i].len = (uint32_t)g_rand_int_range(rnd, 1, (int)((i + 1) * SPAN - slot[i].offset) + 1);
			slot[i].len = MIN(slot[i].len, 3000);  /* so that all answers fit into the socket's buffer */
			slot[i].kind = (uint32_t)g_rand_int_range(rnd, 0, 3);
			if (slot[i].kind == 0) {
				fill(slot[i].offset, slot[i].len, (uint8_t)g_rand_int(rnd));
				request(NBD_CMD_WRITE, round & 1 ? NBD_CMD_FLAG_FUA : 0, i, slot[i].offset, slot[i].len);
				put(model + slot[i].offset, slot[i].len);
			} else if (slot[i].kind == 1) {
				memset(model + slot[i].offset, 0, slot[i].len);
				request(NBD_CMD_WRITE_ZEROES, round & 1 ? NBD_CMD_FLAG_NO_HOLE : 0, i, slot[i].offset,
					slot[i].len);
			} else {
				request(NBD_CMD_READ, 0, i, slot[i].offset, slot[i].len);
			}
		}
		for (uint32_t k = 0; k < SLOTS; k++) {
			uint64_t i;

			ck_assert(get(head, sizeof(head)));
			ck_assert_uint_eq(mt_get_be32(head + 4), 0);
			i = mt_get_be64(head + 8);
			ck_assert_uint_lt(i, SLOTS);
			if (slot[i].kind < 2)
				continue;
			ck_assert(get(got, slot[i].len));
			ck_assert_mem_eq(got, model + slot[i].offset, slot[i].len);
		}
	}
	server_stop(&server);
	g_rand_free(rnd);
}
END_TEST

int main(void)
{
	CHECK_RUN("nbd", setup, teardown, options_are_answered, old_ways_in, bad_options_are_refused,
		  strangers_are_let_go, commands_do_what_they_say, wrong_commands_are_refused, read_only_is_kept,
		  an_offset_moves_the_disk, structured_reads_have_holes, block_status_tells_holes,
		  payloads_too_long_end_it, a_client_may_go_at_any_time, slow_readers_get_everything,
		  random_requests_agree_with_a_model);
}
