/* SPDX-License-Identifier: MIT */
/* The answers of the configuration space (section 5.8.4) and the events of a press (section 5.8.6). */
#include "button.h"

#include <string.h>

/* Selectors, and types and codes of Linux's input events, which the specification refers to. */
#define CFG_ID_NAME   0x01u
#define CFG_ID_DEVIDS 0x03u
#define CFG_EV_BITS   0x11u
#define EV_KEY        1u
#define KEY_POWER     116u
#define BUS_VIRTUAL   6u

#define AT_SIZE 2u
#define AT_DATA 8u

static const char name[] = "mortise power button";

void button_reset(struct button *b)
{
	memset(b, 0, sizeof(*b));
}

/* What the selector asks for; the bytes of it. */
static uint8_t answer(const struct button *b, uint8_t *data)
{
	if (b->select == CFG_ID_NAME && !b->subsel) {
		memcpy(data, name, sizeof(name) - 1);
		return sizeof(name) - 1;
	}
	if (b->select == CFG_ID_DEVIDS && !b->subsel) {
		data[0] = BUS_VIRTUAL;
		return 8;
	}
	if (b->select == CFG_EV_BITS && b->subsel == EV_KEY) {
		data[KEY_POWER / 8] = 1u << (KEY_POWER % 8);
		return KEY_POWER / 8 + 1;
	}
	return 0;
}

void button_config_read(const struct button *b, uint32_t offset, uint8_t *buf, uint32_t len_bytes)
{
	uint8_t config[BUTTON_CONFIG_BYTES] = { b->select, b->subsel };

	config[AT_SIZE] = answer(b, config + AT_DATA);
	memcpy(buf, config + offset, len_bytes);
}

void button_config_write(struct button *b, uint32_t offset, const uint8_t *buf, uint32_t len_bytes)
{
	/* only the selectors can be written */
	for (uint32_t i = 0; i < len_bytes; i++) {
		if (offset + i == 0)
			b->select = buf[i];
		if (offset + i == 1)
			b->subsel = buf[i];
	}
}

void button_press(struct button *b)
{
	if (!b->left)
		b->left = BUTTON_EVENTS;
}

bool button_next(struct button *b, uint8_t event[BUTTON_EVENT_BYTES])
{
	memset(event, 0, BUTTON_EVENT_BYTES);
	if (!b->left)
		return false;
	/* 4: down, 3: report, 2: up, 1: report; a report is all zero */
	if (!(b->left & 1)) {
		event[0] = EV_KEY;
		event[2] = KEY_POWER;
		event[4] = b->left == BUTTON_EVENTS;
	}
	b->left--;
	return true;
}
