/* SPDX-License-Identifier: MIT */
/*
 * The escape key of the console: Ctrl-a and a letter. A pure state machine: bytes in, bytes and commands out.
 * The state lives over calls, because the two keys come one at a time.
 */
#ifndef STDIO_ESCAPE_H
#define STDIO_ESCAPE_H

#include <stdint.h>

#define ESCAPE_KEY 0x01

enum escape_command { ESCAPE_NONE, ESCAPE_QUIT, ESCAPE_HELP, ESCAPE_BREAK };

struct escape {
	uint32_t enabled, pending;
};

/*
 * Takes one byte. Returns the command that it completes; *passed tells whether the byte goes on to the guest
 * (a doubled Ctrl-a goes on as one).
 */
enum escape_command escape_feed(struct escape *esc, uint8_t *byte, uint32_t *passed);

extern const char escape_help[];

#endif
