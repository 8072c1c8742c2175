/* SPDX-License-Identifier: MIT */
/* The one JSON escaper. Bytes that are not UTF-8 come out as U+FFFD, so that the output is always valid. */
#ifndef KERNEL_CONFIG_JSON_H
#define KERNEL_CONFIG_JSON_H

#include <stdio.h>

/* Prints `text` with quotes around it; NULL prints null. */
void json_print_string(FILE *out, const char *text);

#endif
