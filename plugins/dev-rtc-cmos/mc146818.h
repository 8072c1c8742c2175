/* SPDX-License-Identifier: MIT */
/*
 * Motorola MC146818A, "Real-Time Clock plus RAM" (1984), with the PC's 128 bytes and century byte. The bytes of the
 * clock are the truth, as in the chip: they are brought up to date when somebody looks, and a timer is armed only while
 * an interrupt is wanted. Its crystal runs on guest time; what the wall did while the machine stood still is made up
 * for on resume. Easy to break: every call catches up before it looks or changes. Called under the instance lock.
 */
#ifndef MC146818_H
#define MC146818_H

#include <stdint.h>

#define MC146818_BYTES 128u
#define MC146818_PORTS 2u        /* index, data */

struct mc146818_ops {
	uint64_t (*guest_ns)(void *arg);
	uint64_t (*wall_ns)(void *arg);                        /* since 1970, UTC */
	void (*timer)(void *arg, uint64_t deadline_ns);        /* in guest time; UINT64_MAX: none */
	void (*interrupt)(void *arg, uint32_t level);
};

struct mc146818 {
	const struct mc146818_ops *ops;
	void *arg;
	uint8_t ram[MC146818_BYTES];   /* clock, alarm, registers A to D, then RAM */
	uint8_t index;
	uint8_t century;               /* index of the century byte; 0: it is plain RAM */
	uint8_t level;
	uint64_t next_ns;              /* guest time at which the update after this one ends */
	uint64_t period_ns;            /* guest time of the next periodic flag; UINT64_MAX: never */
	uint64_t wall_base_ns;         /* wall minus guest time, wraps; as of the last resume */
};

void mc146818_init(struct mc146818 *c, uint32_t century, const struct mc146818_ops *ops, void *arg);
void mc146818_power_on(struct mc146818 *c);    /* battery put in: the wall's time, empty RAM */
void mc146818_reset(struct mc146818 *c);       /* the RESET pin */
void mc146818_timer(struct mc146818 *c);
void mc146818_quiesce(struct mc146818 *c);
void mc146818_resume(struct mc146818 *c);
uint8_t mc146818_read(struct mc146818 *c, uint32_t port);
void mc146818_write(struct mc146818 *c, uint32_t port, uint8_t value);
/* NULL: the chip can be like this; else the reason why not. */
const char *mc146818_cannot_be(const struct mc146818 *c);

/* calendar.c: the bytes of the clock as numbers. */
void mc146818_advance(struct mc146818 *c, int64_t seconds);
/* How many updates until the alarm matches, 1 .. 86400; 0: never. */
uint32_t mc146818_alarm_distance(const struct mc146818 *c);

#define RTC_SECONDS       0x00u
#define RTC_SECONDS_ALARM 0x01u
#define RTC_MINUTES       0x02u
#define RTC_MINUTES_ALARM 0x03u
#define RTC_HOURS         0x04u
#define RTC_HOURS_ALARM   0x05u
#define RTC_WEEKDAY       0x06u
#define RTC_DAY           0x07u
#define RTC_MONTH         0x08u
#define RTC_YEAR          0x09u
#define RTC_A             0x0au
#define RTC_B             0x0bu
#define RTC_C             0x0cu
#define RTC_D             0x0du

#define A_UIP     0x80u
#define A_DV      0x70u
#define A_DV_32K  0x20u        /* the divider for a crystal of 32 768 Hz, the PC's */
#define A_RATE    0x0fu
#define B_SET     0x80u
#define B_PIE     0x40u
#define B_AIE     0x20u
#define B_UIE     0x10u
#define B_SQWE    0x08u
#define B_BINARY  0x04u
#define B_24      0x02u
#define C_IRQF    0x80u
#define C_PF      0x40u
#define C_AF      0x20u
#define C_UF      0x10u
#define C_FLAGS   (C_PF | C_AF | C_UF)     /* where B has their enables */
#define D_VRT     0x80u

#endif
