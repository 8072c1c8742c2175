/* SPDX-License-Identifier: MIT */
/*
 * dev-char-stdio: the console of a machine on standard input and output.
 *
 * Output: [any] threads put bytes into a queue; the loop writes the queue out, so that a burst of single bytes
 * becomes one write. What the queue took is never lost: quiesce and unrealize write out the rest.
 * Input: [io] bytes pass the escape machine and go to the front. A terminal is read even while the guest takes
 * nothing, because Ctrl-a x has to work then; pipes and files wait for the guest.
 * All under the instance lock. Standard input is one per process, hence the one static flag.
 */
#define MT_NOTE_NAME     "dev-char-stdio"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "character port on standard input and output"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.loop/1 mortise.char-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define STDIO_PROPS(P, c) \
	P(c, escape, "escape", MT_PROP_BOOL, "on", "", "", 0, \
	  "Ctrl-a is the escape key (x quits, h helps); off: all keys go to the guest")
#define MT_NOTE_CLASSES(C) \
	C(stdio, "dev-char-stdio", MT_KIND_DEVICE, MT_CLASS_NONDET, \
	  "character port on standard input and output", \
	  "mortise.char/1", STDIO_PROPS)

#include <errno.h>
#include <fcntl.h>
#include <mortise/draft/char.h>
#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <mortise/note-emit.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <util/byte-queue.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "escape.h"
#include "guard.h"
#include "stream.h"

/* A terminal that takes nothing for so long at the end is given up; a pipe or file is waited for. */
#define TTY_DRAIN_MS 1000
#define READ_BYTES 1024u

struct stdio {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_loop_host *loop;
	const struct mt_char_host *chars;
	const struct mt_log_host *log;
	struct mt_char *chr;
	struct stream in, out;
	struct guard guard;
	struct escape escape;
	struct mt_watch *in_watch, *out_watch;
	struct mt_deferred *flush, *fill;
	uint32_t in_ended, out_gone, front_waits;
	struct mt_byte_queue input, output;
};

static uint32_t stdio_taken;           /* by an instance of any machine of this process */

/* Output */

static void output_gone(struct stdio *s, int code)
{
	char text[128];

	s->out_gone = 1;
	mt_byte_queue_drop(&s->output, mt_byte_queue_used(&s->output));
	snprintf(text, sizeof(text), "standard output is gone: %s", strerror(-code));
	s->log->message(s->inst, MT_LOG_WARN, text);
}

/* Writes what can be written now. */
static void output_push(struct stdio *s)
{
	const uint8_t *data;
	uint32_t len;
	ssize_t n;

	while ((data = mt_byte_queue_peek(&s->output, &len))) {
		n = stream_write(&s->out, data, len);
		if (n == -EAGAIN)
			return;
		if (n < 0) {
			output_gone(s, (int)n);
			return;
		}
		mt_byte_queue_drop(&s->output, (uint32_t)n);
	}
}

static void output_flush(void *arg)
{
	struct stdio *s = arg;

	output_push(s);
	if (s->front_waits && mt_byte_queue_room(&s->output) && s->chr) {
		s->front_waits = 0;
		s->chars->writable(s->chr);
	}
	if (s->out_watch)
		s->loop->watch_set(s->out_watch, mt_byte_queue_used(&s->output) ? MT_FD_WRITE : 0);
}

static void output_ready(void *arg, uint32_t events)
{
	(void)events;
	output_flush(arg);
}

/* At the end nothing that was taken may be lost. */
static void output_drain(struct stdio *s)
{
	int wait_ms = s->out.tty ? TTY_DRAIN_MS : -1;

	output_push(s);
	while (mt_byte_queue_used(&s->output)) {
		if (!stream_wait_writable(&s->out, wait_ms))
			return;
		output_push(s);
	}
}

static int64_t stdio_write(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct stdio *s = self;
	uint32_t was_empty = !mt_byte_queue_used(&s->output), n;

	if (s->out_gone)
		return MT_EGONE;
	n = mt_byte_queue_put(&s->output, data, len_bytes);
	if (n < len_bytes)
		s->front_waits = 1;
	if (was_empty && n)
		s->loop->deferred_post(s->flush);
	return n;
}

/* Input */

static void input_command(struct stdio *s, enum escape_command command)
{
	switch (command) {
	case ESCAPE_QUIT:
		s->loop->machine_request(s->inst, MT_REQUEST_QUIT, 0);
		break;
	case ESCAPE_HELP:
		mt_byte_queue_put(&s->output, (const uint8_t *)escape_help, (uint32_t)strlen(escape_help));
		s->loop->deferred_post(s->flush);
		break;
	case ESCAPE_BREAK:
		if (s->chr)
			s->chars->event(s->chr, MT_CHAR_BREAK);
		break;
	case ESCAPE_NONE:
		break;
	}
}

static void input_deliver(struct stdio *s)
{
	const uint8_t *data;
	uint32_t len, n;

	while ((data = mt_byte_queue_peek(&s->input, &len))) {
		n = s->chr ? s->chars->deliver(s->chr, data, len) : len;
		mt_byte_queue_drop(&s->input, n);
		if (n < len)
			return;
	}
}

static void input_end(struct stdio *s)
{
	s->in_ended = 1;
	if (s->in_watch)
		s->loop->watch_remove(s->in_watch);
	s->in_watch = NULL;
}

/* 1 when more may be there at once. */
static int input_read(struct stdio *s)
{
	uint8_t buf[READ_BYTES];
	uint32_t passed;
	ssize_t n;

	if (!s->in.tty && mt_byte_queue_room(&s->input) < sizeof(buf))
		return 0;
	n = stream_read(&s->in, buf, sizeof(buf));
	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		input_end(s);
		return 0;
	}
	for (ssize_t i = 0; i < n; i++) {
		input_command(s, escape_feed(&s->escape, &buf[i], &passed));
		if (passed)
			mt_byte_queue_put(&s->input, &buf[i], 1);    /* typed over a full queue: lost */
	}
	return 1;
}

/* A file has no readiness: read on while the front takes. */
static void input_fill(void *arg)
{
	struct stdio *s = arg;

	do
		input_deliver(s);
	while (!s->in_ended && !mt_byte_queue_used(&s->input) && input_read(s));
	input_deliver(s);
}

static void input_ready(void *arg, uint32_t events)
{
	struct stdio *s = arg;

	(void)events;
	input_read(s);
	input_deliver(s);
	if (s->in_watch && !s->in.tty)
		s->loop->watch_set(s->in_watch, mt_byte_queue_used(&s->input) ? 0 : MT_FD_READ);
}

static void stdio_receive_ready(void *self)
{
	struct stdio *s = self;

	input_deliver(s);
	if (mt_byte_queue_used(&s->input))
		return;
	if (s->in_watch)
		s->loop->watch_set(s->in_watch, MT_FD_READ);
	else if (!s->in_ended)
		s->loop->deferred_post(s->fill);
}

/* Life */

static int stdio_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct stdio *s = calloc(1, sizeof(*s));

	if (!s)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	s->inst = inst;
	s->props = host->get_interface(host, MT_IFACE_PROPS);
	s->loop = host->get_interface(host, MT_IFACE_LOOP);
	s->chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	s->log = host->get_interface(host, MT_IFACE_LOG);
	s->in.fd = s->out.fd = -1;
	s->escape.enabled = (uint32_t)s->props->get_u64(inst, "escape");
	*self = s;
	return 0;
}

static void streams_close(struct stdio *s)
{
	guard_stop(&s->guard);
	stream_close(&s->in);
	stream_close(&s->out);
	__atomic_store_n(&stdio_taken, 0, __ATOMIC_RELEASE);
}

static int terminal_guard(struct stdio *s, struct mt_error *err)
{
	int rc;

	if (!s->in.tty)
		return 0;
	rc = guard_start(&s->guard, STDIN_FILENO);
	if (rc < 0)
		return mt_error_set(err, MT_EHOST, NULL, "the terminal cannot be made raw: %s", strerror(-rc));
	return 0;
}

static int watches_add(struct stdio *s, struct mt_error *err)
{
	s->flush = s->loop->deferred_create(s->inst, output_flush, s);
	s->fill = s->loop->deferred_create(s->inst, input_fill, s);
	if (!s->flush || !s->fill)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (s->out.pollable)
		s->out_watch = s->loop->watch_add(s->inst, s->out.fd, 0, output_ready, s);
	/* what cannot be watched (a file, /dev/null) is read when the front asks */
	if (s->in.pollable)
		s->in_watch = s->loop->watch_add(s->inst, s->in.fd, MT_FD_READ, input_ready, s);
	if (!s->in_watch)
		s->loop->deferred_post(s->fill);
	return 0;
}

static int taken_error(struct mt_error *err)
{
	mt_error_set(err, MT_EBUSY, NULL, "standard input and output are in use by another section");
	mt_error_hint(err, "use dev-char-pty or dev-char-socket for the other one");
	return MT_EBUSY;
}

static int stdio_realize(void *self, struct mt_error *err)
{
	struct stdio *s = self;
	int rc;

	if (__atomic_exchange_n(&stdio_taken, 1, __ATOMIC_ACQ_REL))
		return taken_error(err);
	s->chr = s->chars->back(s->inst);
	stream_open(&s->in, STDIN_FILENO, O_RDONLY);
	stream_open(&s->out, STDOUT_FILENO, O_WRONLY);
	rc = terminal_guard(s, err);
	if (rc == 0)
		rc = watches_add(s, err);
	if (rc < 0)
		streams_close(s);
	return rc;
}

static int stdio_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;                      /* a stream of bytes has no state that the guest could reset */
}

static void stdio_quiesce(void *self)
{
	struct stdio *s = self;

	output_push(s);
}

static void stdio_unrealize(void *self)
{
	struct stdio *s = self;

	guard_stop(&s->guard);         /* first: a drain that waits for a stuck reader can be interrupted by Ctrl-C */
	output_drain(s);
	input_end(s);
	if (s->out_watch)
		s->loop->watch_remove(s->out_watch);
	s->out_watch = NULL;
	streams_close(s);
}

static void stdio_destroy(void *self)
{
	free(self);
}

static const struct mt_char_class stdio_char = {
	.write = stdio_write,
	.receive_ready = stdio_receive_ready,
};

static const struct mt_device_class stdio_device = {
	.create = stdio_create,
	.realize = stdio_realize,
	.reset = stdio_reset,
	.quiesce = stdio_quiesce,
	.unrealize = stdio_unrealize,
	.destroy = stdio_destroy,
};

/* What is on its way to or from the host stays with the host. The schema is that of every char back end. */
static const struct mt_state_class state_class = {
	.schema = "char-back-end", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &stdio_device },
		       { MT_IFACE_CHAR, &stdio_char },
		       { MT_IFACE_STATE, &state_class })
