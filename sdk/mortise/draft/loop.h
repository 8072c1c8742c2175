/* SPDX-License-Identifier: MIT */
/*
 * The instance's loop: descriptors, deferred calls, and work off the loop. Callbacks run [io] under the
 * instance's lock unless the class is parallel. All handles go with the instance.
 */
#ifndef MORTISE_LOOP_H
#define MORTISE_LOOP_H

#include "../plugin.h"

#define MT_IFACE_LOOP   "mortise.loop/1"
#define MT_IFACE_WORKER "mortise.worker/1"

#define MT_FD_READ  1u
#define MT_FD_WRITE 2u
#define MT_FD_HUP   4u   /* reported always */

struct mt_watch;
struct mt_deferred;

struct mt_loop_host {
	/* [main] or [io]. Watches `fd` for `events`; the plugin keeps the descriptor. NULL: no memory. */
	struct mt_watch *(*watch_add)(struct mt_inst *inst, int fd, uint32_t events,
				      void (*fn)(void *arg, uint32_t events), void *arg);
	/* [any] 0 parks the watch */
	void (*watch_set)(struct mt_watch *watch, uint32_t events);
	/* [main] or [io]. After it returns `fn` is not called again. */
	void (*watch_remove)(struct mt_watch *watch);
	/* [main] A call that can be posted from anywhere; posts before it ran are one. */
	struct mt_deferred *(*deferred_create)(struct mt_inst *inst, void (*fn)(void *arg), void *arg);
	/* [any] */
	void (*deferred_post)(struct mt_deferred *deferred);
	/* [any] asks the machine to end, restart or report; kinds MT_REQUEST_* */
	void (*machine_request)(struct mt_inst *inst, uint32_t request, uint32_t code);
};

/* Requests to the machine. */
#define MT_REQUEST_POWEROFF 1u   /* tidy end; `code` is the guest's own exit code (0: fine) */
#define MT_REQUEST_RESET    2u
#define MT_REQUEST_PANIC    3u   /* the guest reports its own failure with `code` */
#define MT_REQUEST_QUIT     4u   /* the user asks to quit */

struct mt_worker_host {
	/* [any] Runs `work` on a pool thread, then `done` on the instance's loop. 0 or MT_ENOMEM. */
	int (*submit)(struct mt_inst *inst, void (*work)(void *arg), void (*done)(void *arg), void *arg);
};

#endif
