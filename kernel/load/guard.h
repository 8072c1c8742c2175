/* SPDX-License-Identifier: MIT */
/*
 * Runs code that may crash, and tells which signal ended it. For loading plugins only: what was interrupted
 * stays half done, so the caller gives up afterwards. One at a time, from [main].
 */
#ifndef KERNEL_LOAD_GUARD_H
#define KERNEL_LOAD_GUARD_H

/* 0, or the signal that `run` died of. `what` is named when `run` calls exit. */
int guard_run(const char *what, void (*run)(void *data), void *data);

/* Handlers stay from one run to the next, until they are released; both may be called at any time. */
void guard_hold(void);
void guard_release(void);

#endif
