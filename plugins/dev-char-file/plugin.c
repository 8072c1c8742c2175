/* SPDX-License-Identifier: MIT */
/*
 * dev-char-file: what the guest writes goes to a file; what it reads comes from another, which may be absent.
 * Files do not block, so bytes are written where they arrive, [any] thread, under the instance lock; an error ends
 * the output with one message. Input is read on the loop, as fast as the front takes it.
 */
#define MT_NOTE_NAME     "dev-char-file"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "character port to and from files"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.loop/1 mortise.char-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define FILE_PROPS(P, c) \
	P(c, output, "output", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED | MT_PROPF_WRITE, \
	  "file that is created, or emptied, for what the guest writes") \
	P(c, input, "input", MT_PROP_PATH, "", "", "", 0, "file that the guest reads")
#define MT_NOTE_CLASSES(C) \
	C(file, "dev-char-file", MT_KIND_DEVICE, 0, \
	  MT_NOTE_SUMMARY, "mortise.char/1", FILE_PROPS)

#include <mortise/note-emit.h>

#include <errno.h>
#include <mortise/draft/char.h>
#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#define READ_BYTES 1024u

struct file {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_loop_host *loop;
	const struct mt_char_host *chars;
	const struct mt_log_host *log;
	struct mt_char *chr;
	struct mt_deferred *fill;
	int out_fd, in_fd;                   /* -1: none, or ended */
	uint32_t at, len;                    /* read and not yet delivered */
	uint8_t buf[READ_BYTES];
};

static void output_gone(struct file *f)
{
	char text[128];

	snprintf(text, sizeof(text), "the output ends here: %s", strerror(errno));
	f->log->message(f->inst, MT_LOG_ERROR, text);
	close(f->out_fd);
	f->out_fd = -1;
}

static int64_t file_write(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct file *f = self;
	uint32_t done = 0;

	while (done < len_bytes && f->out_fd >= 0) {
		ssize_t n = write(f->out_fd, data + done, len_bytes - done);

		if (n < 0 && errno != EINTR)
			output_gone(f);
		if (n > 0)
			done += (uint32_t)n;
	}
	return f->out_fd < 0 ? MT_EGONE : (int64_t)done;
}

static void input_end(struct file *f)
{
	if (f->in_fd >= 0)
		close(f->in_fd);
	f->in_fd = -1;
}

static int input_read(struct file *f)
{
	ssize_t n = read(f->in_fd, f->buf, sizeof(f->buf));

	f->at = 0;
	f->len = n > 0 ? (uint32_t)n : 0;
	if (n <= 0)
		input_end(f);
	return n > 0;
}

static void input_fill(void *arg)
{
	struct file *f = arg;

	for (;;) {
		if (f->at < f->len && f->chr)
			f->at += f->chars->deliver(f->chr, f->buf + f->at, f->len - f->at);
		if (f->at < f->len || f->in_fd < 0 || !f->chr || !input_read(f))
			return;
	}
}

static void file_receive_ready(void *self)
{
	input_fill(self);
}

static int file_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct file *f = calloc(1, sizeof(*f));

	if (!f)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	f->inst = inst;
	f->props = host->get_interface(host, MT_IFACE_PROPS);
	f->loop = host->get_interface(host, MT_IFACE_LOOP);
	f->chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	f->log = host->get_interface(host, MT_IFACE_LOG);
	f->out_fd = f->in_fd = -1;
	*self = f;
	return 0;
}

static int file_realize(void *self, struct mt_error *err)
{
	struct file *f = self;

	f->chr = f->chars->back(f->inst);
	f->fill = f->loop->deferred_create(f->inst, input_fill, f);
	if (!f->fill)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	f->out_fd = f->props->open_path(f->inst, "output", MT_OPEN_CREATE, err);
	if (f->out_fd < 0)
		return f->out_fd;
	if (!f->props->present(f->inst, "input"))
		return 0;
	f->in_fd = f->props->open_path(f->inst, "input", MT_OPEN_READ, err);
	if (f->in_fd < 0)
		return f->in_fd;
	f->loop->deferred_post(f->fill);
	return 0;
}

static void file_unrealize(void *self)
{
	struct file *f = self;

	input_end(f);
	if (f->out_fd >= 0)
		close(f->out_fd);
	f->out_fd = -1;
}

static void file_destroy(void *self)
{
	file_unrealize(self);
	free(self);
}

static const struct mt_device_class file_device = {
	.create = file_create,
	.realize = file_realize,
	.unrealize = file_unrealize,
	.destroy = file_destroy,
};

static const struct mt_char_class file_char = {
	.write = file_write,
	.receive_ready = file_receive_ready,
};

/* What is on its way to or from the host stays with the host. The schema is that of every char back end. */
static const struct mt_state_class state_class = {
	.schema = "char-back-end", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &file_device },
		       { MT_IFACE_CHAR, &file_char },
		       { MT_IFACE_STATE, &state_class })
