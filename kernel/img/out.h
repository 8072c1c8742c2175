/* SPDX-License-Identifier: MIT */
/* Printing of results: JSON in the form that qemu-img gives it, and sizes for people. */
#ifndef KERNEL_IMG_OUT_H
#define KERNEL_IMG_OUT_H

#include <stdbool.h>
#include <stdint.h>

struct out {
	unsigned depth;
	bool some;             /* something stands before in this object or array */
};

/* `key` NULL: in an array, or at the top. */
void out_open(struct out *out, const char *key, char bracket);
void out_close(struct out *out, char bracket);
void out_string(struct out *out, const char *key, const char *value);
void out_number(struct out *out, const char *key, uint64_t value);
void out_bool(struct out *out, const char *key, bool value);

/* "1.5 GiB" */
const char *out_size(char text[32], uint64_t bytes);

#endif
