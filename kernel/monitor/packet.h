/* SPDX-License-Identifier: MIT */
/*
 * Packets of GDB's remote serial protocol: $data#checksum, with + and - as answers and byte 3 as the
 * interrupt. Takes any bytes from the other side, keeps no more than PACKET_BYTES of them. Any thread, no
 * state but the reader's.
 */
#ifndef KERNEL_MONITOR_PACKET_H
#define KERNEL_MONITOR_PACKET_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define PACKET_BYTES 16384u

enum packet_event {
	PACKET_NONE,
	PACKET_DATA,        /* `data` and `len` hold a packet with the right checksum */
	PACKET_BAD,         /* wrong checksum, or too long: to be answered with - */
	PACKET_ACK,
	PACKET_NAK,
	PACKET_INTERRUPT
};

struct packet_reader {
	enum { PACKET_IDLE, PACKET_BODY, PACKET_ESCAPE, PACKET_SUM_HIGH, PACKET_SUM_LOW } state;
	uint8_t sum, wanted;
	bool broken;
	size_t len;
	char data[PACKET_BYTES + 1];   /* a 0 is put behind it */
};

enum packet_event packet_feed(struct packet_reader *r, uint8_t byte);

/* Appends a packet with these data. */
void packet_put(GString *out, const char *data, size_t len);

void packet_put_hex(GString *out, const void *bytes, size_t len);
/* Exactly `len` bytes from twice as many digits at *p, which moves on. False: other characters, or too few. */
bool packet_take_hex(const char **p, void *bytes, size_t len);
/* A number in hexadecimal; false: no digit there, or more than 64 bits. */
bool packet_take_number(const char **p, uint64_t *out);
/* The character at *p, which moves on. */
bool packet_take(const char **p, char c);

#endif
