/* SPDX-License-Identifier: MIT */
/* The escape key of the console; see escape.h. */
#include "escape.h"

const char escape_help[] =
	"\n"
	"Ctrl-a x   quit\n"
	"Ctrl-a c   send a break (also Ctrl-a b)\n"
	"Ctrl-a a   send Ctrl-a (also Ctrl-a Ctrl-a)\n"
	"Ctrl-a h   this help\n";

static enum escape_command second_key(uint8_t *byte, uint32_t *passed)
{
	switch (*byte) {
	case 'x': case 'X': return ESCAPE_QUIT;
	case 'h': case '?': return ESCAPE_HELP;
	case 'b': case 'c': return ESCAPE_BREAK;
	case 'a': case ESCAPE_KEY:
		*byte = ESCAPE_KEY;
		*passed = 1;
	}
	return ESCAPE_NONE;    /* any other key: the pair is dropped */
}

enum escape_command escape_feed(struct escape *esc, uint8_t *byte, uint32_t *passed)
{
	*passed = 0;
	if (!esc->enabled) {
		*passed = 1;
		return ESCAPE_NONE;
	}
	if (esc->pending) {
		esc->pending = 0;
		return second_key(byte, passed);
	}
	if (*byte == ESCAPE_KEY)
		esc->pending = 1;
	else
		*passed = 1;
	return ESCAPE_NONE;
}
