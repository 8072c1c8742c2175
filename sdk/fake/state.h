/* SPDX-License-Identifier: MIT */
/*
 * Saved state on the fake host: save an instance, load it into a fresh one, change fields in between.
 * fake_state_check is the whole test that a class with state needs; see there.
 */
#ifndef MTSDK_FAKE_STATE_H
#define MTSDK_FAKE_STATE_H

#include <mortise/draft/state.h>

#include "fake.h"

struct fake_state;

/* Aborts when the class has no state, or refuses. The instance is quiesced for it, and goes on. */
struct fake_state *fake_save(struct fake *f);
/*
 * Brings an instance that fake_start has not touched to life from the state, up to resume. 0, or the negative code
 * of load with `err` filled; then only fake_free is left.
 */
int fake_load(struct fake *f, struct fake_state *state, struct mt_error *err);
void fake_state_free(struct fake_state *state);

/*
 * A state alone, for what is no instance (vCPUs). The reader may be used over and over; fake_state_left: a field
 * that nobody has asked for since fake_state_in, or NULL.
 */
struct fake_state *fake_state_new(void);
struct mt_state_out *fake_state_out(struct fake_state *state);
struct mt_state_in *fake_state_in(struct fake_state *state);
const char *fake_state_left(struct fake_state *state);
const char *fake_state_refused(struct fake_state *state);      /* "rx.head: is 17, ..."; "": nothing */
extern const struct mt_state_writer fake_state_writer;
extern const struct mt_state_reader fake_state_reader;

/* Fields by number, in the order of writing, those in groups too. */
uint32_t fake_state_fields(struct fake_state *state);
/* The field with this path ("queue[1]/size"), or the number of fields. */
uint32_t fake_state_find(struct fake_state *state, const char *path);
uint32_t fake_state_type(struct fake_state *state, uint32_t field);
uint32_t fake_state_count(struct fake_state *state, uint32_t field);
uint64_t fake_state_get(struct fake_state *state, uint32_t field, uint32_t index);
void fake_state_set(struct fake_state *state, uint32_t field, uint32_t index, uint64_t value);   /* or a byte */
void fake_state_resize(struct fake_state *state, uint32_t field, uint32_t count);
void fake_state_remove(struct fake_state *state, uint32_t field);

/* NULL: the same; else what differs, until the next call. */
const char *fake_state_differs(const struct fake_state *a, const struct fake_state *b);

/*
 * Saves `f`, loads that into a fresh instance, saves again: aborts unless both are the same, and levels of lines
 * and deadlines of timers too. Then every field in turn is removed, resized and given extreme values, and loaded:
 * refused or taken, the instance must live, and random accesses to it are harmless. `make` gives an instance with
 * the properties of `f`, not started. Bring `f` into a state far from that after reset before.
 */
void fake_state_check(struct fake *f, struct fake *(*make)(void));

/*
 * What `f` saves, with element `index` of one field changed, is refused by a fresh instance, in words that hold `why`;
 * aborts otherwise. `f` goes on.
 */
void fake_state_refuses(struct fake *f, struct fake *(*make)(void), const char *path, uint32_t index, uint64_t value,
			const char *why);

#endif
