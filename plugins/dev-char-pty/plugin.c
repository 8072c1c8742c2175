/* SPDX-License-Identifier: MIT */
/*
 * dev-char-pty: a serial line as a pseudo-terminal of the host. Its path is told at the start, and a symbolic link
 * may name it. The line is there for the machine's life: this side keeps a descriptor of the other end, so that
 * a terminal program may come and go. All under the instance lock.
 */
#define MT_NOTE_NAME     "dev-char-pty"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "character port on a pseudo-terminal"
#define MT_NOTE_REQUIRES "mortise.props/1 mortise.loop/1 mortise.char-host/1 mortise.log/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     MT_CAP_FILES
#define PTY_PROPS(P, c) \
	P(c, link, "link", MT_PROP_PATH, "", "", "", MT_PROPF_WRITE, \
	  "symbolic link to the terminal; made at the start, removed at the end")
#define MT_NOTE_CLASSES(C) \
	C(pty, "dev-char-pty", MT_KIND_DEVICE, MT_CLASS_NONDET, MT_NOTE_SUMMARY, \
	  "mortise.char/1", PTY_PROPS)

#include <mortise/note-emit.h>

#include <fcntl.h>
#include <mortise/draft/device.h>
#include <mortise/draft/log.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <util/char-link.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

struct pty {
	struct mt_inst *inst;
	const struct mt_props_host *props;
	const struct mt_loop_host *loop;
	const struct mt_log_host *log;
	struct mt_link link;
	struct mt_watch *watch;
	struct mt_deferred *flush;
	int keep_fd;                         /* the other end */
	const char *symlink;                 /* NULL: none was made */
};

static void update(struct pty *p)
{
	if (p->watch)
		p->loop->watch_set(p->watch, mt_link_wants(&p->link));
}

static void pty_event(void *arg, uint32_t events)
{
	struct pty *p = arg;

	mt_link_io(&p->link, events);        /* the other end is kept open: nobody goes */
	update(p);
}

static void pty_flush(void *arg)
{
	struct pty *p = arg;

	mt_link_write(&p->link);
	update(p);
}

static int64_t pty_write(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct pty *p = self;
	int64_t n = mt_link_take(&p->link, data, len_bytes);

	p->loop->deferred_post(p->flush);
	return n;
}

static void pty_receive_ready(void *self)
{
	struct pty *p = self;

	mt_link_deliver(&p->link);
	update(p);
}

static int pty_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct pty *p = calloc(1, sizeof(*p));

	if (!p)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	p->inst = inst;
	p->props = host->get_interface(host, MT_IFACE_PROPS);
	p->loop = host->get_interface(host, MT_IFACE_LOOP);
	p->link.chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	p->log = host->get_interface(host, MT_IFACE_LOG);
	p->link.fd = p->keep_fd = -1;
	*self = p;
	return 0;
}

static void make_raw(int fd)
{
	struct termios raw;

	if (tcgetattr(fd, &raw) == 0) {
		cfmakeraw(&raw);
		tcsetattr(fd, TCSANOW, &raw);
	}
}

/* A link that is there already is replaced, anything else is not. */
static int link_make(struct pty *p, const char *name, struct mt_error *err)
{
	const char *path = p->props->get_str(p->inst, "link");
	struct stat meta;

	if (!path)
		return 0;
	if (lstat(path, &meta) == 0 && S_ISLNK(meta.st_mode))
		unlink(path);
	if (symlink(name, path) < 0)
		return mt_error_set(err, MT_EIO, "link", "%s: %s", path, strerror(errno));
	p->symlink = path;
	return 0;
}

static int pty_open(struct pty *p, struct mt_error *err)
{
	char name[64], text[128];

	p->link.fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->link.fd < 0 || grantpt(p->link.fd) < 0 || unlockpt(p->link.fd) < 0 ||
	    ptsname_r(p->link.fd, name, sizeof(name)) != 0)
		return mt_error_set(err, MT_EHOST, NULL, "no pseudo-terminal: %s", strerror(errno));
	p->keep_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (p->keep_fd < 0)
		return mt_error_set(err, MT_EHOST, NULL, "%s: %s", name, strerror(errno));
	make_raw(p->keep_fd);
	snprintf(text, sizeof(text), "terminal %s", name);
	p->log->message(p->inst, MT_LOG_INFO, text);
	return link_make(p, name, err);
}

static int pty_realize(void *self, struct mt_error *err)
{
	struct pty *p = self;
	int rc = pty_open(p, err);

	if (rc < 0)
		return rc;
	p->link.chr = p->link.chars->back(p->inst);
	p->flush = p->loop->deferred_create(p->inst, pty_flush, p);
	p->watch = p->loop->watch_add(p->inst, p->link.fd, MT_FD_READ, pty_event, p);
	return p->flush && p->watch ? 0 : mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
}

static void pty_unrealize(void *self)
{
	struct pty *p = self;

	if (p->watch)
		p->loop->watch_remove(p->watch);
	p->watch = NULL;
	mt_link_write(&p->link);
	mt_link_close(&p->link);
	if (p->keep_fd >= 0)
		close(p->keep_fd);
	p->keep_fd = -1;
	if (p->symlink)
		unlink(p->symlink);
	p->symlink = NULL;
}

static void pty_destroy(void *self)
{
	pty_unrealize(self);
	free(self);
}

static const struct mt_device_class pty_device = {
	.create = pty_create,
	.realize = pty_realize,
	.unrealize = pty_unrealize,
	.destroy = pty_destroy,
};

static const struct mt_char_class pty_char = {
	.write = pty_write,
	.receive_ready = pty_receive_ready,
};

/* What is on its way to or from the host stays with the host. The schema is that of every char back end. */
static const struct mt_state_class state_class = {
	.schema = "char-back-end", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &pty_device },
		       { MT_IFACE_CHAR, &pty_char },
		       { MT_IFACE_STATE, &state_class })
