// SPDX-License-Identifier: MIT
/*
 * A session: requests come in, go to the block layer in batches, and their answers go out, in whatever order they are
 * ready. One thread, which waits in one place. Easy to break: a buffer is the block layer's until the request is
 * reaped, so a session whose connection broke still waits for what is in flight.
 */
#include <errno.h>
#include <glib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <util/endian.h>

#include "kernel/block/request.h"
#include "kernel/nbd/session.h"

#define SEND_PIECES 64

/* Slots */

static struct nbd_slot *slot_take(struct nbd_session *s)
{
	struct nbd_slot *slot = s->free;

	s->free = slot->next;
	s->busy++;
	slot->got = slot->taken = 0;
	slot->cached = 0;
	slot->sync_after = false;
	return slot;
}

static void slot_free(struct nbd_slot *slot)
{
	struct nbd_session *s = slot->session;

	g_free(slot->more);
	slot->more = NULL;
	if (slot->capacity > SLOT_KEPT) {
		free(slot->buf);
		slot->buf = NULL;
		slot->capacity = 0;
	}
	s->bytes -= slot->taken;
	s->busy--;
	s->freed = true;
	slot->next = s->free;
	s->free = slot;
}

void session_queue(struct nbd_slot *slot)
{
	struct nbd_session *s = slot->session;

	slot->next = NULL;
	*s->out_last = slot;
	s->out_last = &slot->next;
}

/* In */

/* The part of a payload that was read ahead. True: it is whole. */
static bool payload_take(struct nbd_session *s)
{
	struct nbd_stream *in = s->stream;
	struct nbd_slot *slot = s->payload;
	uint32_t n = MIN(in->in_end - in->in_at, slot->error ? s->skip : slot->len - slot->got);

	if (slot->error) {
		s->skip -= n;
	} else if (n) {
		memcpy(slot->buf + slot->got, in->in + in->in_at, n);
		slot->got += n;
	}
	in->in_at += n;
	if (slot->error ? s->skip : slot->len - slot->got)
		return false;
	s->payload = NULL;
	command_go(slot);
	return true;
}

static void end_hard(struct nbd_session *s)
{
	s->ending = s->broken = true;
}

/* The next request; false: it is not whole, or there is no room for it yet. */
static bool header_take(struct nbd_session *s)
{
	struct nbd_stream *in = s->stream;
	const uint8_t *at = in->in + in->in_at;
	struct nbd_slot *slot = s->free;

	if (in->in_end - in->in_at < NBD_REQUEST_BYTES || !slot || s->begun_count == SESSION_SLOTS)
		return false;
	if (mt_get_be32(at) != NBD_REQUEST_MAGIC) {
		end_hard(s);
		return false;
	}
	slot->flags = mt_get_be16(at + 4);
	slot->type = mt_get_be16(at + 6);
	memcpy(slot->cookie, at + 8, 8);
	slot->offset = mt_get_be64(at + 16);
	slot->len = mt_get_be32(at + 24);
	if (s->bytes && s->bytes + command_bytes(slot) > SESSION_BYTES)
		return false;
	in->in_at += NBD_REQUEST_BYTES;
	slot_take(s);
	slot->taken = command_bytes(slot);
	s->bytes += slot->taken;
	if (command_begin(slot))
		return true;
	s->ending = true;                      /* asked for, or such that the stream cannot be followed any more */
	s->broken |= slot->type != NBD_CMD_DISC;
	slot_free(slot);
	return false;
}

static void take_all(struct nbd_session *s)
{
	s->freed = false;
	while (!s->ending && (!s->payload || payload_take(s)) && header_take(s))
		;
}

/* There is a use for more bytes. */
static bool wants_input(const struct nbd_session *s)
{
	return !s->ending && (s->payload || s->stream->in_end - s->stream->in_at < NBD_REQUEST_BYTES);
}

static void compact(struct nbd_stream *in)
{
	if (in->in_at)
		memmove(in->in, in->in + in->in_at, in->in_end - in->in_at);
	in->in_end -= in->in_at;
	in->in_at = 0;
}

/* Into the payload's own buffer first, then ahead. */
static void receive(struct nbd_session *s, bool wait)
{
	struct nbd_stream *in = s->stream;
	struct nbd_slot *slot = s->payload && !s->payload->error ? s->payload : NULL;
	struct iovec iov[2];
	uint32_t direct = slot ? slot->len - slot->got : 0;
	int count = 0;
	ssize_t n;

	compact(in);
	if (direct)
		iov[count++] = (struct iovec){ slot->buf + slot->got, direct };
	iov[count++] = (struct iovec){ in->in + in->in_end, STREAM_IN_BYTES - in->in_end };
	n = stream_recv(in, iov, count, wait);
	if (n == -EAGAIN)
		return;
	if (n < 0)
		end_hard(s);
	if (n <= 0) {
		s->ending = true;
		return;
	}
	direct = MIN(direct, (uint32_t)n);
	if (slot)
		slot->got += direct;
	in->in_end += (uint32_t)n - direct;
}

/* Out */

/* `n` bytes of the queue are out. */
static void sent(struct nbd_session *s, size_t n)
{
	struct nbd_slot *slot;

	while ((slot = s->out)) {
		while (slot->out_count && n >= slot->out->iov_len) {
			n -= slot->out->iov_len;
			slot->out++;
			slot->out_count--;
		}
		if (slot->out_count) {
			slot->out->iov_base = (uint8_t *)slot->out->iov_base + n;
			slot->out->iov_len -= n;
			return;
		}
		if (!(s->out = slot->next))
			s->out_last = &s->out;
		slot_free(slot);
	}
}

static int gather(const struct nbd_session *s, struct iovec *iov)
{
	int count = 0;

	for (const struct nbd_slot *slot = s->out; slot; slot = slot->next) {
		for (uint32_t i = 0; i < slot->out_count; i++) {
			iov[count++] = slot->out[i];
			if (count == SEND_PIECES)
				return count;
		}
	}
	return count;
}

static void send_all(struct nbd_session *s)
{
	struct iovec iov[SEND_PIECES];

	while (s->out && !s->broken) {
		ssize_t n = stream_send(s->stream, iov, gather(s, iov));

		if (n == -EAGAIN)
			return;
		if (n < 0)
			end_hard(s);
		else
			sent(s, (size_t)n);
	}
}

/* The block layer */

/* What was begun, and what goes on with what is done. */
static void submit_all(struct nbd_session *s)
{
	struct mt_block_req *reqs[SESSION_SLOTS];
	uint32_t count = s->begun_count;

	if (!count)
		return;
	memcpy(reqs, s->begun, count * sizeof(reqs[0]));
	s->begun_count = 0;
	request_submit(s->block, reqs, count);
}

static void reap_all(struct nbd_session *s)
{
	struct mt_block_req *done[SESSION_SLOTS];
	uint32_t n = request_reap(s->block, done, SESSION_SLOTS);

	for (uint32_t i = 0; i < n; i++)
		command_done(done[i]->user);
}

static void block_event(struct nbd_session *s)
{
	eventfd_t count;

	(void)!eventfd_read(s->block->engine->event_fd, &count);
	s->block->engine->ops->disarm(s->block->engine);
	request_look(s->block);
}

/* Until the client, the block layer or the socket's buffer has something. */
static void wait_any(struct nbd_session *s)
{
	bool in = wants_input(s), idle = !request_in_flight(s->block);
	struct pollfd fds[2] = {
		{ .fd = s->stream->fd, .events = (short)((in ? POLLIN : 0) | (s->out ? POLLOUT : 0)) },
		{ .fd = idle ? -1 : s->block->engine->event_fd, .events = POLLIN },
	};

	if (in && s->stream->tls && tls_pending(s->stream->tls)) {
		receive(s, false);
		return;
	}
	if (in && idle && !s->out && !s->stream->tls) {
		receive(s, true);
		return;
	}
	if (poll(fds, 2, -1) < 0)
		return;
	if (fds[1].revents)
		block_event(s);
	if (fds[0].revents & POLLIN)
		receive(s, false);
	else if (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL))
		end_hard(s);
}

/* Something can be done without waiting: a free slot may be what a request that was read ahead waits for. */
static bool can_go_on(const struct nbd_session *s)
{
	const struct nbd_stream *in = s->stream;

	return s->block->done.count || s->begun_count ||
	       (s->freed && !s->ending && !s->payload && in->in_end - in->in_at >= NBD_REQUEST_BYTES);
}

static bool is_over(const struct nbd_session *s)
{
	return s->broken || (s->ending && s->busy == (s->payload ? 1 : 0));
}

static void run(struct nbd_session *s)
{
	while (!is_over(s)) {
		take_all(s);
		submit_all(s);
		reap_all(s);
		send_all(s);
		if (!is_over(s) && !can_go_on(s))
			wait_any(s);
	}
	request_drain(s->block);
	for (struct mt_block_req *done; request_reap(s->block, &done, 1);)
		;
}

void session_run(struct nbd_stream *stream, const struct nbd_export *export, const struct nbd_agreed *agreed,
		 struct mt_block *block)
{
	struct nbd_session s = { .stream = stream, .export = export, .agreed = agreed, .block = block };

	s.out_last = &s.out;
	s.slots = g_new0(struct nbd_slot, SESSION_SLOTS);
	for (uint32_t i = 0; i < SESSION_SLOTS; i++) {
		s.slots[i].session = &s;
		s.slots[i].next = s.free;
		s.free = &s.slots[i];
	}
	run(&s);
	for (uint32_t i = 0; i < SESSION_SLOTS; i++) {
		g_free(s.slots[i].more);
		free(s.slots[i].buf);
	}
	g_free(s.slots);
}

bool nbd_serve(int fd, const struct nbd_export *export, struct mt_block *block)
{
	struct nbd_stream stream;
	struct nbd_agreed agreed;
	bool wanted;

	stream_init(&stream, fd);
	wanted = handshake_run(&stream, export, &agreed);
	if (wanted)
		session_run(&stream, export, &agreed, block);
	stream_fini(&stream);
	return wanted;
}
