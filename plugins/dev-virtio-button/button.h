/* SPDX-License-Identifier: MIT */
/*
 * The chip: an input device of Virtio 1.2, section 5.8, with one key, the power key. It knows no queue: it answers the
 * configuration space and says which event comes next. Under the instance's lock.
 */
#ifndef BUTTON_H
#define BUTTON_H

#include <stdbool.h>
#include <stdint.h>

#define BUTTON_CONFIG_BYTES 136u
#define BUTTON_EVENT_BYTES 8u
/* A press: the key goes down, and up, each with a report behind it. */
#define BUTTON_EVENTS 4u

struct button {
	uint8_t select, subsel;
	uint8_t left;               /* events of a press that the driver has not got yet */
};

/* The driver begins anew. */
void button_reset(struct button *b);
void button_config_read(const struct button *b, uint32_t offset, uint8_t *buf, uint32_t len_bytes);
void button_config_write(struct button *b, uint32_t offset, const uint8_t *buf, uint32_t len_bytes);
/* A press while another is still to be told is the same one. */
void button_press(struct button *b);
/* The next event to tell, which is then told; false: there is none. */
bool button_next(struct button *b, uint8_t event[BUTTON_EVENT_BYTES]);

#endif
