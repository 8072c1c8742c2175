/* SPDX-License-Identifier: MIT */
/*
 * Error policy: what becomes of a request that failed, by the front's properties rerror and werror. The front asks
 * (mt_block_host.failed) and does it; the user hears of it by the monitor. [any] but where it says otherwise; errors
 * wait in the handle, under its post_lock, for [main] to take them. Easy to break: what comes in great number must
 * not pile up, so of many errors the first ERRORS_MOST are told.
 */
#include <string.h>

#include "kernel/block/block.h"
#include "kernel/block/request.h"
#include "kernel/machine/inst.h"
#include "kernel/machine/machine.h"

#define ERRORS_MOST 32u

/* A front without the property reports. */
static enum policy_word word_of(struct mt_inst *inst, const char *prop)
{
	static const char *const words[] = { "report", "ignore", "stop", "enospc" };
	const struct config_key *key = note_prop_find(inst->cls, prop) ? section_get(inst->section, prop) : NULL;

	for (uint32_t i = 0; key && i < G_N_ELEMENTS(words); i++) {
		if (!strcmp(key->value, words[i]))
			return (enum policy_word)i;
	}
	return POLICY_REPORT;
}

void policy_init(struct mt_block *block)
{
	block->on_read_error = word_of(block->front_inst, "rerror");
	block->on_write_error = word_of(block->front_inst, "werror");
}

static uint32_t action_of(const struct mt_block *block, const struct mt_block_req *req)
{
	enum policy_word word = req->op == MT_BLOCK_READ ? block->on_read_error : block->on_write_error;

	if (word == POLICY_ENOSPC)
		word = req->result == MT_ENOSPC ? POLICY_STOP : POLICY_REPORT;
	return word == POLICY_STOP ? MT_BLOCK_FAILED_KEEP : word == POLICY_IGNORE ? MT_BLOCK_FAILED_IGNORE :
	       MT_BLOCK_FAILED_REPORT;
}

/* What no retry mends: the guest asked for something that is not there. */
static bool is_the_guests(int32_t result)
{
	return result == MT_ERANGE || result == MT_ENOTSUP || result == MT_EINVAL || result == MT_EPERM;
}

static bool error_put(struct mt_block *block, const struct mt_block_req *req, uint32_t action)
{
	struct block_error *error;
	bool room;

	pthread_mutex_lock(&block->post_lock);
	room = block->errors->len < ERRORS_MOST;
	if (room) {
		g_array_set_size(block->errors, block->errors->len + 1);
		error = &g_array_index(block->errors, struct block_error, block->errors->len - 1);
		*error = (struct block_error){ block->front_inst->id, disk_of(block->node)->id, req->op, action, req->result };
	}
	pthread_mutex_unlock(&block->post_lock);
	return room;
}

uint32_t policy_failed(struct mt_block *block, const struct mt_block_req *req)
{
	struct machine *m = block->front_inst->machine;
	uint32_t action;

	if (is_the_guests(req->result))
		return MT_BLOCK_FAILED_REPORT;
	action = action_of(block, req);
	if (error_put(block, req, action))
		machine_notice(m, MACHINE_EVENT_DISK);
	if (action == MT_BLOCK_FAILED_KEEP)
		machine_notice(m, MACHINE_EVENT_STOP);
	return action;
}

static GArray *errors_take(struct mt_block *block)
{
	GArray *taken, *none = g_array_new(FALSE, FALSE, sizeof(struct block_error));

	pthread_mutex_lock(&block->post_lock);
	taken = block->errors;
	block->errors = none;
	pthread_mutex_unlock(&block->post_lock);
	return taken;
}

void block_errors_tell(struct machine *m, void (*fn)(void *arg, const struct block_error *error), void *arg)
{
	for (unsigned i = 0; i < m->insts->len; i++) {
		const struct bnode *node = graph_node(g_ptr_array_index(m->insts, i));

		for (struct mt_block *block = node ? node->fronts : NULL; block; block = block->next_front) {
			GArray *errors = errors_take(block);

			for (unsigned k = 0; k < errors->len; k++)
				fn(arg, &g_array_index(errors, struct block_error, k));
			g_array_unref(errors);
		}
	}
}
