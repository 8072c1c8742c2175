/* SPDX-License-Identifier: MIT */
/*
 * Runs code that may crash, and tells which signal ended it. For loading plugins only: what was interrupted
 * stays half done, so the caller gives up afterwards. One at a time, from [main].
 */
#ifndef KERNEL_LOAD_GUARD_H
#define KERNEL_LOAD_GUARD_H

/* 0, or the signal that `run` died of. `what` is named when `run` calls exit. */
int guard_run(const char *what, void (*run)(void *data), void *data);

#endif
