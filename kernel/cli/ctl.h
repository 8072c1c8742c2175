/* SPDX-License-Identifier: MIT */
/* What the files of `mortise ctl` share: the line to a machine's control socket. One thread. */
#ifndef KERNEL_CLI_CTL_H
#define KERNEL_CLI_CTL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json;
struct cli_args;

struct ctl_line {
	FILE *in;
	int fd;
	char *text;                          /* the last object, as it came */
	size_t room;
};

/* The answer to a request; what comes in between are events. NULL: the machine has gone. Free with json_free. */
struct json *ctl_ask(struct ctl_line *l, const char *request);

/* ctl-stats.c */
struct ctl_stats {
	const char *device;                  /* NULL: all */
	uint64_t interval_us, count;         /* 0: since the start, once; tables, 0: until the machine ends */
	bool json;
};

/* The options of `stats`. False: one of them is wrong, which was said. */
bool ctl_stats_options(const struct cli_args *args, struct ctl_stats *stats);
/* The exit code. */
int ctl_stats_run(struct ctl_line *l, const struct ctl_stats *stats);

#endif
