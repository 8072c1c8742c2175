/* SPDX-License-Identifier: MIT */
/*
 * mortise io: commands on one image, from -c or lines of standard input. A command that fails is told, the next one
 * runs, and the exit code is 1. Each line of output is written at once: who is killed has told what was done.
 */
#ifndef KERNEL_IMG_IO_H
#define KERNEL_IMG_IO_H

#include "kernel/img/img.h"

struct io {
	struct img *img;
	struct image *image;
	bool quiet, quit;
	uint32_t failures;
	uint32_t pending;                /* of aio_read and aio_write */
};

/* The words of one command: flags by letter, and what is left. */
struct io_args {
	bool flag[128];
	const char *value[128];
	char **words;
	int count;
};

struct io_command {
	const char *name, *alias, *flags;      /* flags: as getopt has them, "P:qv" */
	int args_min, args_max;                /* -1: any number */
	const char *operands, *help;
	/* 0, or not */
	int (*run)(struct io *io, const struct io_args *args);
};

extern const struct io_command io_commands[];          /* ends in one without name */

/* Opens the image for the options of the command line; 0, or not with words. */
int io_open(struct io *io, bool readonly);
/* Waits for what is pending, and tells of it. */
void io_wait(struct io *io);
void io_fail(struct io *io, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
