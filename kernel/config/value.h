/* SPDX-License-Identifier: MIT */
/*
 * The types of values in a machine file: text -> number, and which byte of the text is at fault.
 * Pure functions: no configuration, no allocation. Everything is strict: no trailing text, no sign,
 * no wrap-around.
 */
#ifndef KERNEL_CONFIG_VALUE_H
#define KERNEL_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a value was refused. Filled only on failure. */
struct value_fault {
	size_t at, len;        /* the bytes of the value at fault */
	char message[192];     /* "'1Q' is not a size (a number with K, M, G or T)" */
};

/* Each returns true, or false with the fault filled (which may be NULL). */
/* on | off */
bool value_parse_bool(const char *text, bool *out, struct value_fault *fault);
/* Decimal, or hexadecimal after 0x. */
bool value_parse_int(const char *text, uint64_t *out, struct value_fault *fault);
/* An int with an optional K, M, G or T, which are binary. */
bool value_parse_size(const char *text, uint64_t *out_bytes, struct value_fault *fault);
/* A decimal number with ns, us, ms or s. */
bool value_parse_duration(const char *text, uint64_t *out_ns, struct value_fault *fault);
/* Six pairs of hexadecimal digits between colons. */
bool value_parse_mac(const char *text, uint8_t out[6], struct value_fault *fault);
/* ID:INPUT, one element of an interrupt list. */
bool value_parse_irq(const char *text, char id[64], uint64_t *input, struct value_fault *fault);

/* "MIN..MAX", either side may be empty; sizes allowed on both sides when `sizes`. False: not a range. */
bool value_parse_range(const char *text, bool sizes, uint64_t *min, uint64_t *max);
/* Position of `word` in "a|b|c", or -1. */
int value_enum_index(const char *range, const char *word);
/* Whether `word` stands in a blank-separated list. */
bool value_word_in(const char *list, const char *word);

#endif
