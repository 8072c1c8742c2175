/* SPDX-License-Identifier: MIT */
/*
 * Register model of an I/O APIC: Intel 82093AA (data sheet 290566) with the EOI register that version 0x20 added
 * (data sheets of Intel's ICH, "I/O APIC"). Pure: what is to be sent comes out of ioapic_next, one message a call. No
 * lock; the caller has one. Lines are asserted or not: the polarity of an entry is kept for the guest and changes
 * nothing. Easy to break: after each change ioapic_next is called until it has nothing more.
 */
#ifndef IOAPIC_H
#define IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#define IOAPIC_INPUTS       24u
#define IOAPIC_REGION_BYTES 0x1000u
#define IOAPIC_VERSION      0x20u
#define IOAPIC_AT_EOI       0x40u              /* offset of the register that ends a vector */

/* Redirection entry */
#define IOAPIC_VECTOR       0xffu
#define IOAPIC_MODE         0x700u             /* delivery mode; 7: ExtINT */
#define IOAPIC_LOGICAL      (1u << 11)
#define IOAPIC_PENDING      (1u << 12)         /* delivery status: never seen, messages go at once */
#define IOAPIC_LOW          (1u << 13)         /* polarity: active low */
#define IOAPIC_REMOTE_IRR   (1u << 14)
#define IOAPIC_LEVEL        (1u << 15)
#define IOAPIC_MASKED       (1u << 16)

struct ioapic {
	uint32_t id;                           /* 4 bits */
	uint32_t select;                       /* 8 bits */
	uint32_t lines;                        /* levels of the inputs, as the machine has them */
	uint32_t edges;                        /* to be sent; none between two changes, so that it is no state */
	uint64_t entry[IOAPIC_INPUTS];
};

void ioapic_reset(struct ioapic *a);           /* the lines stay */
/* Offsets in the region. */
uint32_t ioapic_read(const struct ioapic *a, uint32_t offset);
void ioapic_write(struct ioapic *a, uint32_t offset, uint32_t value);
void ioapic_input(struct ioapic *a, uint32_t input, uint32_t level);
/* An interrupt of this vector has ended: by a vCPU, or by a write to IOAPIC_AT_EOI. Its inputs, as bits. */
uint32_t ioapic_eoi(struct ioapic *a, uint32_t vector);
/* The next message: address and data, as the local APICs take them. False: none. */
bool ioapic_next(struct ioapic *a, uint64_t *addr, uint32_t *data);
/* Why a loaded one cannot be, or NULL. */
const char *ioapic_cannot_be(const struct ioapic *a);

#endif
