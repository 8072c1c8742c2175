/* SPDX-License-Identifier: MIT */
/* Operations of children that a plugin serves; see served.h. */
#include "kernel/block/served.h"

#include <errno.h>
#include <mortise/draft/block-protocol.h>
#include <string.h>
#include <sys/uio.h>
#include <util/error.h>

#include "kernel/block/block.h"
#include "kernel/machine/inst.h"

struct served {
	struct mt_block_io io;               /* first: what the plugin gives back is this */
	struct bop *op;
	struct bpost post;
	struct mt_iov few[4], *iov;          /* `iov` is owned, where there are more than those */
	/* of served_do */
	bool waits, over;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static int host_code(int32_t code)
{
	switch (code) {
	case MT_ENOSPC: return ENOSPC;
	case MT_ENOMEM: return ENOMEM;
	case MT_EPERM: return EPERM;
	case MT_ENOTSUP: return EOPNOTSUPP;
	}
	return EIO;
}

static void ended(void *arg)
{
	struct served *s = arg;
	struct mt_block *block = s->post.block;
	struct bop *op = s->op;

	op->result = s->io.result < 0 ? -host_code(s->io.result) :
		     op->kind == BOP_READ || op->kind == BOP_WRITE ? (int32_t)s->io.len_bytes : 0;
	g_free(s->iov);
	g_free(s);
	request_finish(block, op);
}

/* The data of a transfer; its length: zeros are written in parts of the operation. */
static uint64_t data_take(struct served *s, const struct bop *op)
{
	struct mt_iov *to = s->few;
	uint64_t len = 0;

	if (op->iov_count > G_N_ELEMENTS(s->few))
		to = s->iov = g_new0(struct mt_iov, op->iov_count);
	for (uint32_t i = 0; i < op->iov_count; i++) {
		to[i] = (struct mt_iov){ .hva = op->iov[i].iov_base, .len_bytes = op->iov[i].iov_len };
		len += op->iov[i].iov_len;
	}
	s->io.iov = to;
	s->io.iov_count = op->iov_count;
	return len;
}

void served_queue(struct mt_block *block, struct bop *op, uint32_t kind)
{
	struct served *s = g_new0(struct served, 1);

	s->io = (struct mt_block_io){ .op = kind, .offset = op->offset, .len_bytes = op->len_bytes };
	if (op->kind == BOP_READ || op->kind == BOP_WRITE) {
		s->io.op = op->kind == BOP_READ ? MT_BLOCK_READ : MT_BLOCK_WRITE;
		s->io.len_bytes = data_take(s, op);
	}
	if (op->kind == BOP_WRITE && op->rw_flags & RWF_DSYNC)
		s->io.flags = MT_BLOCK_FUA;
	if (s->io.op == MT_BLOCK_ZERO)
		s->io.flags = op->parent->pub->flags & (MT_BLOCK_MAY_UNMAP | MT_BLOCK_FAST);
	s->op = op;
	s->post = (struct bpost){ .block = block, .fn = ended, .arg = s };
	op->file->served->submit(op->file->served_self, &s->io);
}

static void done(struct mt_block_io *io)
{
	struct served *s = (struct served *)io;

	if (!s->waits) {
		request_post(&s->post);
		return;
	}
	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

int32_t served_do(struct file *file, uint32_t kind, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct mt_iov iov = { .hva = buf, .len_bytes = len_bytes };
	struct served s = { .io = { .op = kind, .offset = offset, .len_bytes = len_bytes, .iov = &iov, .iov_count = 1 },
			    .waits = true, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

	file->served->submit(file->served_self, &s.io);
	pthread_mutex_lock(&s.lock);
	while (!s.over)
		pthread_cond_wait(&s.changed, &s.lock);
	pthread_mutex_unlock(&s.lock);
	pthread_cond_destroy(&s.changed);
	pthread_mutex_destroy(&s.lock);
	return s.io.result;
}

bool served_hole(struct file *file, uint64_t offset, uint64_t *len_bytes)
{
	uint64_t len = *len_bytes;
	uint32_t flags = 0;

	if (!file->served->status || file->served->status(file->served_self, offset, &len, &flags) < 0 || len == 0)
		return false;
	*len_bytes = MIN(*len_bytes, len);
	return flags & MT_BLOCK_SERVED_ZERO;
}

static int32_t child_serve(struct mt_inst *inst, const struct mt_block_child_info *info, struct mt_error *err)
{
	const struct mt_block_protocol *role = inst_role(inst, MT_IFACE_BLOCK_PROTOCOL);
	struct file *file;

	if (!role || !role->submit)
		return mt_error_set(err, MT_ENOTSUP, NULL, "%s serves nothing", node_name(node_of_inst(inst)));
	file = g_new0(struct file, 1);
	file->fd = file->plain_fd = -1;
	file->path = g_strdup(node_name(node_of_inst(inst)));
	file->device = true;                   /* it does not grow */
	file->len_bytes = info->child_bytes;
	file->align_bytes = 1;
	file->block_bytes = info->block_bytes;
	file->physical_bytes = info->physical_bytes;
	file->options.readonly = info->flags & MT_BLOCK_INFO_READONLY;
	file->options.discard = true;
	file->served = role;
	file->served_self = inst->self;
	return node_child_add(node_of_inst(inst), file, err);
}

const struct mt_block_served_host block_served_host = { .child_serve = child_serve, .done = done };
