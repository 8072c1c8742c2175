/* SPDX-License-Identifier: MIT */
/* The tests' server; see toy.h. */
#include "toy.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <util/endian.h>
#include <util/minmax.h>

/* "Newstyle negotiation" */
#define INIT_MAGIC     0x4e42444d41474943ull
#define OPTION_MAGIC   0x49484156454f5054ull
#define REPLY_MAGIC    0x0003e889045565a9ull
#define FIXED_NEWSTYLE 1u
#define NO_ZEROES      2u
#define OPT_EXPORT_NAME 1u
#define OPT_ABORT      2u
#define OPT_GO         7u
#define OPT_STRUCTURED 8u
#define OPT_SET_META   10u
#define REP_ACK        1u
#define REP_INFO       3u
#define REP_META       4u
#define REP_UNSUP      (1u << 31 | 1u)
#define INFO_EXPORT    0u
#define INFO_BLOCKS    3u
/* "Request message", "Simple reply message", "Structured reply chunk" */
#define REQUEST_MAGIC  0x25609513u
#define SIMPLE_MAGIC   0x67446698u
#define CHUNK_MAGIC    0x668e33efu
#define CHUNK_DONE     1u
#define CHUNK_DATA     1u
#define CHUNK_STATUS   5u
#define CONTEXT        7u                   /* number of base:allocation */
#define PIECE_BYTES    65536u
#define ERROR_INVALID  22u

struct toy {
	pthread_mutex_t lock;
	struct toy_ways ways;
	uint8_t *bytes;
	int listen_fd, stop_fd, fd;
	pthread_t thread;
	bool structured;                   /* agreed on this connection */
};

/* The socket; false: the connection is over, or the server stops. */

static bool wait_for(const struct toy *toy, short events)
{
	struct pollfd fds[2] = { { .fd = toy->fd, .events = events }, { .fd = toy->stop_fd, .events = POLLIN } };

	return poll(fds, 2, -1) > 0 && !fds[1].revents;
}

static bool get(const struct toy *toy, void *buf, size_t len)
{
	for (ssize_t n; len; buf = (uint8_t *)buf + n, len -= (size_t)n) {
		n = wait_for(toy, POLLIN) ? recv(toy->fd, buf, len, 0) : 0;
		if (n <= 0)
			return false;
	}
	return true;
}

static bool skip(const struct toy *toy, uint64_t len)
{
	uint8_t waste[4096];

	for (uint64_t n; len; len -= n) {
		n = mt_min_u64(len, sizeof(waste));
		if (!get(toy, waste, n))
			return false;
	}
	return true;
}

/* Until the client ends it. */
static void drain(const struct toy *toy)
{
	uint8_t waste[4096];

	while (wait_for(toy, POLLIN) && recv(toy->fd, waste, sizeof(waste), 0) > 0)
		;
}

static bool put(const struct toy *toy, const void *buf, size_t len)
{
	for (ssize_t n; len; buf = (const uint8_t *)buf + n, len -= (size_t)n) {
		n = wait_for(toy, POLLOUT) ? send(toy->fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
		if (n < 0)
			return false;
	}
	return true;
}

/* Negotiation */

static bool reply(const struct toy *toy, uint32_t option, uint32_t type, const void *data, uint32_t len)
{
	uint8_t head[20];

	mt_put_be64(head, REPLY_MAGIC);
	mt_put_be32(head + 8, option);
	mt_put_be32(head + 12, type);
	mt_put_be32(head + 16, len);
	return put(toy, head, sizeof(head)) && put(toy, data, len);
}

static bool reply_go(const struct toy *toy)
{
	uint8_t info[14];

	mt_put_be16(info, INFO_EXPORT);
	mt_put_be64(info + 2, toy->ways.bytes);
	mt_put_be16(info + 10, (uint16_t)toy->ways.flags);
	if (!reply(toy, OPT_GO, REP_INFO, info, 12))
		return false;
	mt_put_be16(info, INFO_BLOCKS);
	mt_put_be32(info + 2, toy->ways.min);
	mt_put_be32(info + 6, toy->ways.preferred);
	mt_put_be32(info + 10, toy->ways.max);
	if (toy->ways.max && !reply(toy, OPT_GO, REP_INFO, info, 14))
		return false;
	return reply(toy, OPT_GO, REP_ACK, NULL, 0);
}

static bool reply_meta(const struct toy *toy)
{
	static const char name[] = "base:allocation";
	uint8_t data[4 + sizeof(name) - 1];

	mt_put_be32(data, CONTEXT);
	memcpy(data + 4, name, sizeof(name) - 1);
	return reply(toy, OPT_SET_META, REP_META, data, sizeof(data)) && reply(toy, OPT_SET_META, REP_ACK, NULL, 0);
}

/* One option. 1: the transmission begins; -1: the end. */
static int negotiate_one(struct toy *toy)
{
	uint8_t head[16];
	uint32_t option;
	bool good = true;

	if (!get(toy, head, sizeof(head)) || mt_get_be64(head) != OPTION_MAGIC || !skip(toy, mt_get_be32(head + 12)))
		return -1;
	option = mt_get_be32(head + 8);
	switch (option) {
	case OPT_EXPORT_NAME:
	case OPT_ABORT:
		return -1;
	case OPT_GO:
		return reply_go(toy) ? 1 : -1;
	case OPT_STRUCTURED:
		toy->structured = toy->ways.structured;
		good = reply(toy, option, toy->structured ? REP_ACK : REP_UNSUP, NULL, 0);
		break;
	case OPT_SET_META:
		good = toy->structured ? reply_meta(toy) : reply(toy, option, REP_UNSUP, NULL, 0);
		break;
	default:
		good = reply(toy, option, REP_UNSUP, NULL, 0);
	}
	return good ? 0 : -1;
}

static bool negotiate(struct toy *toy)
{
	uint8_t head[18], flags[4];
	int rc = 0;

	toy->structured = false;
	mt_put_be64(head, INIT_MAGIC);
	mt_put_be64(head + 8, OPTION_MAGIC);
	mt_put_be16(head + 16, FIXED_NEWSTYLE | NO_ZEROES);
	if (!put(toy, head, sizeof(head)) || !get(toy, flags, sizeof(flags)))
		return false;
	while (rc == 0)
		rc = negotiate_one(toy);
	return rc > 0;
}

/* Transmission */

struct command {
	uint32_t flags, type, len;
	uint64_t cookie, offset;
};

static bool simple(const struct toy *toy, const struct command *c, uint32_t error)
{
	uint8_t head[16];

	mt_put_be32(head, SIMPLE_MAGIC);
	mt_put_be32(head + 4, error);
	mt_put_be64(head + 8, toy->ways.wrong_cookie ? ~c->cookie : c->cookie);
	return put(toy, head, sizeof(head));
}

static bool chunk(const struct toy *toy, const struct command *c, uint32_t type, const void *head, uint32_t head_len,
		  const void *data, uint32_t len)
{
	uint8_t bytes[20];

	mt_put_be32(bytes, CHUNK_MAGIC);
	mt_put_be16(bytes + 4, CHUNK_DONE);
	mt_put_be16(bytes + 6, (uint16_t)type);
	mt_put_be64(bytes + 8, c->cookie);
	mt_put_be32(bytes + 16, head_len + len);
	return put(toy, bytes, sizeof(bytes)) && put(toy, head, head_len) && put(toy, data, len);
}

static bool do_read(const struct toy *toy, const struct command *c)
{
	uint8_t offset[8];

	mt_put_be64(offset, c->offset);
	if (toy->structured)
		return chunk(toy, c, CHUNK_DATA, offset, 8, toy->bytes + c->offset, c->len);
	return simple(toy, c, 0) && put(toy, toy->bytes + c->offset, c->len);
}

static bool do_status(const struct toy *toy, const struct command *c)
{
	uint32_t count = 0, done = 0;
	uint8_t data[4 + 16 * 8];

	mt_put_be32(data, CONTEXT);
	while (done < c->len && count < 16) {
		uint64_t at = c->offset + done;
		uint32_t n = mt_min_u32(c->len - done, PIECE_BYTES - (uint32_t)(at % PIECE_BYTES));

		mt_put_be32(data + 4 + count * 8, n);
		mt_put_be32(data + 8 + count * 8, at / PIECE_BYTES % 2 ? 3 : 0);       /* a hole that is zero; data */
		done += n;
		count++;
	}
	return chunk(toy, c, CHUNK_STATUS, data, 4 + count * 8, NULL, 0);
}

static bool do_command(struct toy *toy, const struct command *c)
{
	switch (c->type) {
	case TOY_CMD_READ: return do_read(toy, c);
	case TOY_CMD_WRITE: return get(toy, toy->bytes + c->offset, c->len) && simple(toy, c, 0);
	case TOY_CMD_STATUS: return toy->structured ? do_status(toy, c) : simple(toy, c, ERROR_INVALID);
	case TOY_CMD_TRIM:
	case TOY_CMD_ZERO:
		memset(toy->bytes + c->offset, 0, c->len);
	}
	return simple(toy, c, 0);
}

/* Counts it; false: the connection is to be dropped. */
static bool command_seen(struct toy *toy, const struct command *c, uint32_t *error)
{
	struct toy_ways *ways = toy_lock(toy);
	bool drop = ways->drop_in && --ways->drop_in == 0;

	ways->seen[c->type]++;
	ways->seen_flags |= c->flags;
	ways->seen_max = mt_max_u32(ways->seen_max, c->len);
	*error = ways->error;
	toy_unlock(toy);
	return !drop;
}

static bool command_serve(struct toy *toy)
{
	struct command c;
	uint8_t head[28];
	uint32_t error;

	if (!get(toy, head, sizeof(head)) || mt_get_be32(head) != REQUEST_MAGIC)
		return false;
	c = (struct command){ mt_get_be16(head + 4), mt_get_be16(head + 6), mt_get_be32(head + 24),
			      mt_get_be64(head + 8), mt_get_be64(head + 16) };
	if (c.type >= TOY_CMDS || c.type == TOY_CMD_DISC || c.offset > toy->ways.bytes ||
	    c.len > toy->ways.bytes - c.offset || !command_seen(toy, &c, &error))
		return false;
	if (error)
		return (c.type != TOY_CMD_WRITE || skip(toy, c.len)) && simple(toy, &c, error);
	return do_command(toy, &c);
}

static bool turned_away(struct toy *toy)
{
	struct toy_ways *ways = toy_lock(toy);
	bool away = ways->drops > 0;

	ways->drops -= away;
	toy_unlock(toy);
	return away;
}

static void connection_serve(struct toy *toy)
{
	if (turned_away(toy))
		return;
	if (toy->ways.script) {
		if (put(toy, toy->ways.script, toy->ways.script_bytes)) {
			shutdown(toy->fd, SHUT_WR);
			drain(toy);
		}
	} else if (toy->ways.mute) {
		drain(toy);
	} else if (negotiate(toy)) {
		while (command_serve(toy))
			;
	}
}

static void *run(void *arg)
{
	struct toy *toy = arg;

	for (;;) {
		toy->fd = toy->listen_fd;
		if (!wait_for(toy, POLLIN))
			return NULL;
		toy->fd = accept(toy->listen_fd, NULL, NULL);
		if (toy->fd < 0)
			continue;
		connection_serve(toy);
		close(toy->fd);
	}
}

struct toy *toy_start(const char *path, const struct toy_ways *ways)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct toy *toy = calloc(1, sizeof(*toy));

	if (!toy || strlen(path) >= sizeof(address.sun_path))
		return NULL;
	memcpy(address.sun_path, path, strlen(path));
	unlink(path);
	toy->ways = *ways;
	toy->bytes = calloc(1, ways->bytes < 64u << 20 ? ways->bytes + 1 : 1);
	toy->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	toy->stop_fd = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&toy->lock, NULL);
	if (toy->bytes && toy->listen_fd >= 0 && toy->stop_fd >= 0 &&
	    bind(toy->listen_fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    listen(toy->listen_fd, 8) == 0 && pthread_create(&toy->thread, NULL, run, toy) == 0)
		return toy;
	return NULL;                           /* the test ends here */
}

void toy_stop(struct toy *toy)
{
	eventfd_write(toy->stop_fd, 1);
	pthread_join(toy->thread, NULL);
	close(toy->listen_fd);
	close(toy->stop_fd);
	pthread_mutex_destroy(&toy->lock);
	free(toy->bytes);
	free(toy);
}

uint8_t *toy_bytes(struct toy *toy)
{
	return toy->bytes;
}

struct toy_ways *toy_lock(struct toy *toy)
{
	pthread_mutex_lock(&toy->lock);
	return &toy->ways;
}

void toy_unlock(struct toy *toy)
{
	pthread_mutex_unlock(&toy->lock);
}
