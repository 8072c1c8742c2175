/* SPDX-License-Identifier: MIT */
/*
 * KVM's 8254 as the class "dev-i8254": its interrupt is KVM's GSI 0, which goes to what the property names. State:
 * schema "i8254" of dev-i8254. KVM does not say how far its counters are, and begins a count anew when it is loaded:
 * from here counters are saved as if they had been loaded just now, and given to KVM with what is left of a single
 * count. So a tick may come early or late by a period, once.
 */
#include "chips.h"

#include <util/error.h>
#include <util/state.h>

#define COUNTERS 3u
#define NEVER    UINT64_MAX
#define IDLE     0u
#define RUNS     1u
#define HELD     2u
#define NO_MODE  0xffu             /* KVM: no control word yet */
#define RW_BOTH  3u
#define BCD      1u
/* KVM's read_state, write_state */
#define WORD0    3u
#define WORD1    4u
#define P61_GATE 1u
#define P61_DATA 2u

/* Ticks of guest time, 105/88 MHz, as dev-i8254 counts. */
static uint64_t tick_now(const struct chip *c)
{
	uint64_t ns = chip_guest_ns(c);

	return ns / 88000 * 105 + ns % 88000 * 105 / 88000;
}

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	return chip_create(host, inst, CHIP_PIT, self, err);
}

static const char *output_named(const struct chip *c)
{
	return c->props->present(c->inst, "irq") ? c->props->get_element(c->inst, "irq", 0) : NULL;
}

/*
 * Where GSI 0 goes: what the file names, and the 8259A's input that follows an input of the I/O APIC. Before realize:
 * the table is given to KVM once, for each time makes it wait for all its readers.
 */
void chip_pit_place(struct chip *c)
{
	const struct chip *ioapic = c->k->chips[CHIP_IOAPIC], *pic = c->k->chips[CHIP_PIC];
	const char *to = output_named(c);

	if (!to || !ioapic || !pic)
		return;
	c->to_ioapic = chip_input_named(ioapic, to);
	c->to_pic = chip_input_named(pic, to);
	if (c->to_ioapic == (int32_t)ISA_TIMER_INPUT)
		to = ioapic->props->get_element(ioapic->inst, "isa", 0);
	else if (c->to_ioapic > 0 && c->to_ioapic < (int32_t)PIC_INPUTS)
		to = ioapic->props->get_element(ioapic->inst, "isa", (uint32_t)c->to_ioapic);
	if (to && c->to_ioapic >= 0)
		c->to_pic = chip_input_named(pic, to);
}

static int output_connect(const struct chip *c, struct mt_error *err)
{
	const char *to = output_named(c);

	if (!to)
		return 0;
	/* so that the machine knows of the wire; its level is KVM's */
	c->irq->line_get(c->inst, "irq", 0);
	if (c->to_ioapic >= 0 || c->to_pic >= 0)
		return 0;
	return mt_error_set(err, MT_EINVAL, "irq", "KVM's 8254 interrupts its I/O APIC or its 8259A, and not %s", to);
}

static int realize(void *self, struct mt_error *err)
{
	static const struct chip_fixed fixed[] = { { "port", 0x40 }, { "speaker", 0x61 }, { NULL, 0 } };
	struct chip *c = self;
	int code = chip_check_fixed(c, fixed, err);

	return code < 0 ? code : output_connect(c, err);
}

static const struct mt_device_class device_class = { .create = create, .realize = realize, .destroy = chip_destroy };

static int describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	static const struct mt_acpi_range ports = { 0x40, 4 };
	const struct chip *c = self;

	(void)err;
	w->device(acpi, "PNP0100", &ports, 1, c->props->present(c->inst, "irq") ? "irq" : NULL);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = describe };

/* --- state --- */

struct saved_counter {
	uint8_t control;                   /* as written: RW, mode, BCD */
	uint8_t gate, phase, null_count, armed, before, write_high, read_high, write_low, latch_left, status_latched, status;
	uint16_t latch, cr, ce;
	uint32_t count;
	uint64_t start, held, switch_at;   /* ticks */
};

struct saved {
	struct saved_counter counters[COUNTERS];
	uint8_t port61;
	uint64_t seen;
};

#define COUNTER(member, max) MT_STATE_VAR(struct saved_counter, member, max)

static const struct mt_state_field counter_fields[] = {
	COUNTER(control, 0x3f), COUNTER(gate, 1), COUNTER(phase, HELD), COUNTER(null_count, 1), COUNTER(armed, 1),
	COUNTER(before, 1), COUNTER(write_high, 1), COUNTER(read_high, 1), COUNTER(write_low, 0xff),
	COUNTER(latch_left, 2), COUNTER(status_latched, 1), COUNTER(status, 0xff), COUNTER(latch, 0xffff),
	COUNTER(cr, 0xffff), COUNTER(ce, 0xffff), MT_STATE_RANGE(struct saved_counter, count, 1, 0x10000),
	COUNTER(start, UINT64_MAX), COUNTER(held, UINT64_MAX), COUNTER(switch_at, UINT64_MAX),
};
static const struct mt_state_table counter_table = MT_STATE_TABLE(struct saved_counter, counter_fields);

static const struct mt_state_field fields[] = {
	MT_STATE_STRUCTS(struct saved, counters, &counter_table),
	MT_STATE_VAR(struct saved, port61, 0x0f),
	MT_STATE_VAR(struct saved, seen, INT64_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct saved, fields);

/* Modes 2 and 3 go on for ever; 1 and 5 do not stop with the gate. */
static bool is_periodic(uint32_t mode)
{
	return (mode & 3) == 2 || (mode & 3) == 3;
}

static bool is_triggered(uint32_t mode)
{
	return mode == 1 || mode == 5;
}

static void counter_save(const struct kvm_pit_channel_state *k, uint64_t now, struct saved_counter *s)
{
	*s = (struct saved_counter){
		.control = RW_BOTH << 4, .gate = k->gate != 0, .null_count = 1, .count = 1, .switch_at = NEVER,
	};
	if (k->mode == NO_MODE)
		return;
	s->control = (uint8_t)((k->rw_mode & 3) << 4 | (k->mode & 7) << 1 | (k->bcd & BCD));
	if (!(s->control >> 4))
		s->control |= RW_BOTH << 4;
	s->phase = s->gate || is_triggered(k->mode) ? RUNS : HELD;
	s->null_count = 0;
	s->armed = 1;
	s->count = k->count && k->count <= 0x10000 ? k->count : 0x10000;
	s->cr = (uint16_t)s->count;
	s->ce = s->cr;
	s->start = now;
	s->before = k->mode != 0;
	s->write_high = k->write_state == WORD1;
	s->write_low = k->write_latch;
	s->read_high = k->read_state == WORD1;
	s->status_latched = k->status_latched != 0;
	s->status = k->status;
	s->latch = k->latched_count;
	s->latch_left = k->count_latched == WORD0 ? 2 : k->count_latched != 0;
	if (s->latch_left == 1 && k->rw_mode == RW_BOTH)
		s->read_high = 1;
}

/* What a single count has left; one that is over goes on from the largest. */
static uint32_t count_left(const struct saved_counter *s, uint64_t now)
{
	uint64_t gone = s->phase == HELD ? s->held : (int64_t)(now - s->start) > 0 ? now - s->start : 0;

	return (uint32_t)(0xffff & (s->count - gone)) ? (uint32_t)(0xffff & (s->count - gone)) : 0x10000;
}

static void counter_load(const struct saved_counter *s, uint64_t now, struct kvm_pit_channel_state *k)
{
	uint32_t rw = s->control >> 4 & 3, mode = s->control >> 1 & 7;

	mode = mode > 5 ? mode - 4 : mode;
	*k = (struct kvm_pit_channel_state){ .gate = s->gate, .mode = NO_MODE };
	if (s->null_count && !s->armed && s->phase == IDLE && !s->write_high && s->control == RW_BOTH << 4)
		return;
	k->mode = (uint8_t)mode;
	k->rw_mode = (uint8_t)rw;
	k->count = s->switch_at != NEVER ? (s->cr ? s->cr : 0x10000) : is_periodic(mode) ? s->count : count_left(s, now);
	k->write_state = rw == RW_BOTH && s->write_high ? WORD1 : (uint8_t)rw;
	k->read_state = rw == RW_BOTH && s->read_high ? WORD1 : (uint8_t)rw;
	k->write_latch = s->write_low;
	k->status_latched = s->status_latched;
	k->status = s->status;
	k->latched_count = s->latch;
	if (s->latch_left)
		k->count_latched = rw == RW_BOTH && s->latch_left == 1 ? 2 : (uint8_t)rw;
}

static const char *cannot_be(const struct saved *s)
{
	for (uint32_t i = 0; i < COUNTERS; i++) {
		const struct saved_counter *c = &s->counters[i];

		if (!(c->control >> 4 & 3))
			return "has a control word that is a command";
		if (c->gate != (i < 2 ? 1 : s->port61 & P61_GATE))
			return "has a gate that is not the board's";
		if (c->control & BCD)
			return "counts in decimals, which KVM's does not";
		/* the first byte of a new count stops one, until the second has come */
		if (c->phase == IDLE && c->armed && !c->write_high && !is_triggered(c->control >> 1 & 7))
			return "has a count and does not count";
	}
	return NULL;
}

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct chip *c = self;
	struct kvm_pit_state2 state;
	struct saved saved = { .seen = tick_now(c) };

	if (vm_ioctl(c->k, KVM_GET_PIT2, &state) < 0)
		return mt_error_set(err, MT_EIO, NULL, "KVM does not tell the state of the 8254");
	for (uint32_t i = 0; i < COUNTERS; i++)
		counter_save(&state.channels[i], saved.seen, &saved.counters[i]);
	saved.port61 = (uint8_t)(saved.counters[2].gate | (state.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON ? P61_DATA : 0));
	mt_state_save(out, w, &table, &saved);
	return 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct chip *c = self;
	struct kvm_pit_state2 state = { 0 };
	struct saved saved = { 0 };
	int code = mt_state_load(in, r, &table, version, &saved);
	const char *why = code ? NULL : cannot_be(&saved);

	if (why)
		return r->refuse(in, "counters", why);
	if (code)
		return code;
	for (uint32_t i = 0; i < COUNTERS; i++)
		counter_load(&saved.counters[i], tick_now(c), &state.channels[i]);
	state.flags = saved.port61 & P61_DATA ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0;
	if (vm_ioctl(c->k, KVM_SET_PIT2, &state) < 0)
		return mt_error_set(err, MT_EINVAL, NULL, "KVM does not take the 8254 of the snapshot");
	return 0;
}

static const struct mt_state_class state_class = {
	.schema = "i8254", .version = 1, .version_min = 1, .save = save, .load = load,
};

const struct mt_role chip_pit_roles[] = {
	{ MT_IFACE_DEVICE, &device_class }, { MT_IFACE_ACPI_NODE, &acpi_node }, { MT_IFACE_STATE, &state_class },
};
const size_t chip_pit_role_count = sizeof(chip_pit_roles) / sizeof(chip_pit_roles[0]);
