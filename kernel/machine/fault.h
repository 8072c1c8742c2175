/* SPDX-License-Identifier: MIT */
/* Filling a struct mt_error in the kernel. Both take NULL for an error that nobody wants. Any thread. */
#ifndef KERNEL_MACHINE_FAULT_H
#define KERNEL_MACHINE_FAULT_H

#include <mortise/error.h>

struct mt_inst;

/* Fills `err` and returns `code`. `culprit` and `hint` may be NULL. */
int fault_set(struct mt_error *err, int code, const char *culprit, const char *hint, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/*
 * Puts "board.ini:31:6: error: [device uart0]: at: " before the message, and the source line with a caret after
 * it: the place of the property at fault (the culprit) when the section sets it, else of the section. Returns
 * err->code, or MT_EINVAL where a plugin set none.
 */
int fault_locate(struct mt_error *err, int code, const struct mt_inst *inst);

/* The exit code of the process: 2 for configuration, 3 where the host lacks something, else 1. */
int fault_exit_code(const struct mt_error *err);
/* The message on standard error, and the hint on a line of its own. */
void fault_print(const struct mt_error *err);

#endif
