/* SPDX-License-Identifier: MIT */
/*
 * What a note may say, once its shape is right; and whether a value suits a property. The same rule is used
 * for a plugin's defaults and for what a machine file sets, so that a default can never be refused later.
 */
#ifndef KERNEL_LOAD_NOTE_RULES_H
#define KERNEL_LOAD_NOTE_RULES_H

#include "kernel/load/note.h"
#include "kernel/config/value.h"

/* UTF-8 without control characters. */
bool note_text_is_plain(const char *text);
/* Names, kinds, types, flags, ranges and defaults of all classes. 0, or a negative code with `err` filled. */
int note_rules_check(const struct note *note, struct mt_error *err);

/*
 * Whether `text` is a legal value (LIST, IRQ: one element) by type and range. REF: by its spelling only.
 * False with the fault filled.
 */
bool note_value_check(const struct note_prop *prop, const char *text, struct value_fault *fault);
/* The length of an ADDR property's region, 0 when the note does not say. */
uint64_t note_region_bytes(const struct note_prop *prop);

#endif
