/* SPDX-License-Identifier: MIT */
/*
 * Disks that a plugin serves itself: what a kernel would hand to its engine goes to the plugin's submit. The only part
 * of the fake host that other threads call: a plugin's own, with `done`.
 */
#include "block-internal.h"

#include <mortise/draft/block-protocol.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../util/error.h"

struct fake_io {
	struct mt_block_io io;             /* first */
	struct mt_iov iov[FAKE_IO_PIECES];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int over;                          /* under the lock */
};

static int32_t child_serve(struct mt_inst *inst, const struct mt_block_child_info *info, struct mt_error *err)
{
	struct fake_blocks *b = fake_blocks(inst->fake);

	if (b->is_serving)
		return mt_error_set(err, MT_EBUSY, NULL, "it serves a child already");
	b->is_serving = 1;
	b->served = *info;
	return (int32_t)b->child_count;
}

static void done(struct mt_block_io *io)
{
	struct fake_io *own = (struct fake_io *)io;

	pthread_mutex_lock(&own->lock);
	if (own->over++)
		fake_die("an operation was done twice");
	pthread_cond_signal(&own->changed);
	pthread_mutex_unlock(&own->lock);
}

const struct mt_block_served_host fake_block_served = { .child_serve = child_serve, .done = done };

const struct mt_block_child_info *fake_served(struct fake *f)
{
	return fake_blocks(f)->is_serving ? &fake_blocks(f)->served : NULL;
}

static const struct mt_block_protocol *protocol_of(struct fake *f)
{
	const struct mt_block_protocol *protocol = fake_role(f, MT_IFACE_BLOCK_PROTOCOL);

	if (!protocol || !fake_served(f))
		fake_die("the class serves no disk");
	return protocol;
}

struct fake_io *fake_served_begin(struct fake *f, uint32_t op, uint32_t flags, uint64_t offset, void *buf,
				  uint64_t len_bytes, uint32_t pieces)
{
	struct fake_io *own = calloc(1, sizeof(*own));
	uint64_t at = 0;

	if (!own || pieces > FAKE_IO_PIECES)
		fake_die("no memory, or too many pieces");
	pthread_mutex_init(&own->lock, NULL);
	pthread_cond_init(&own->changed, NULL);
	own->io = (struct mt_block_io){ .op = op, .flags = flags, .offset = offset, .len_bytes = len_bytes,
					.iov = own->iov, .iov_count = buf ? pieces : 0 };
	for (uint32_t i = 0; buf && i < pieces; i++) {
		uint64_t n = i + 1 == pieces ? len_bytes - at : len_bytes / pieces;

		own->iov[i] = (struct mt_iov){ .hva = (uint8_t *)buf + at, .len_bytes = n };
		at += n;
	}
	protocol_of(f)->submit(fake_self(f), &own->io);
	return own;
}

int32_t fake_served_end(struct fake_io *own)
{
	int32_t result;

	pthread_mutex_lock(&own->lock);
	while (!own->over)
		pthread_cond_wait(&own->changed, &own->lock);
	result = own->io.result;
	pthread_mutex_unlock(&own->lock);
	pthread_cond_destroy(&own->changed);
	pthread_mutex_destroy(&own->lock);
	free(own);
	return result;
}

int32_t fake_served_io(struct fake *f, uint32_t op, uint32_t flags, uint64_t offset, void *buf, uint64_t len_bytes)
{
	return fake_served_end(fake_served_begin(f, op, flags, offset, buf, len_bytes, 1));
}

int32_t fake_served_status(struct fake *f, uint64_t offset, uint64_t *len_bytes, uint32_t *flags)
{
	return protocol_of(f)->status(fake_self(f), offset, len_bytes, flags);
}
