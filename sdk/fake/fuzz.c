/* SPDX-License-Identifier: MIT */
/*
 * Random accesses to every region of an instance. Values and offsets favour what finds faults: small numbers, all
 * ones, single bits, the start and the end of the region, registers seen before.
 */
#include "internal.h"

#include <stddef.h>

#include "../util/bits.h"

static uint64_t pick_value(uint64_t *s)
{
	uint64_t r = fake_random(s);

	switch (r % 6) {
	case 0:
		return r >> 8 & 0xff;
	case 1:
		return UINT64_MAX;
	case 2:
		return mt_bit(r >> 8 & 63);
	case 3:
		return 0;
	default:
		return fake_random(s);
	}
}

/* Half of the offsets lie near the start, where most chips have their registers. */
static uint64_t pick_offset(uint64_t *s, uint64_t len_bytes, uint32_t width)
{
	uint64_t r = fake_random(s), span = len_bytes - width + 1, offset;

	switch (r % 8) {
	case 0:
		offset = span - 1 - (r >> 8) % (span < 64 ? span : 64);
		break;
	case 1:
	case 2:
		offset = fake_random(s) % span;
		break;
	case 3:
		offset = ((r >> 8) & mt_mask(fake_random(s) % 32)) % span;
		break;
	default:
		offset = (r >> 8) % (span < 64 ? span : 64);
	}
	return r >> 60 ? offset & ~(uint64_t)(width - 1) : offset;
}

static void one_access(struct fake *f, uint64_t *s)
{
	uint32_t region = (uint32_t)(fake_random(s) % f->region_count);
	uint32_t width = 1u << (fake_random(s) & 3);
	uint64_t len = f->regions[region].desc.len_bytes, value;

	if (width > len)
		return;
	if (fake_random(s) & 1)
		fake_write(f, region, pick_offset(s, len, width), width, pick_value(s));
	else
		fake_read(f, region, pick_offset(s, len, width), width, &value);
}

/* What happens beside the guest's accesses. */
static void one_event(struct fake *f, uint64_t *s, const struct mt_irq_sink *sink)
{
	uint64_t r = fake_random(s);
	uint8_t bytes[40];

	switch (r % 8) {
	case 0:
		fake_advance(f, (r >> 8) & mt_mask(fake_random(s) % 48));
		break;
	case 1:
		fake_pump(f);
		break;
	case 2:
		for (uint32_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)fake_random(s);
		fake_char_send(f, bytes, (r >> 8) % sizeof(bytes));
		break;
	case 3:
		fake_char_event(f, 1 + (r >> 8) % 3);
		break;
	case 4:
		fake_char_more(f, (r >> 8) % 40);
		fake_eoi(f, (r >> 16) & 0xff);
		break;
	default:
		if (sink)
			sink->input_set(f->self, (uint32_t)(r >> 8) % sink->input_count(f->self), r >> 63);
	}
}

void fake_fuzz_region(struct fake *f, uint64_t seed, uint32_t count)
{
	const struct mt_irq_sink *sink = fake_role(f, MT_IFACE_IRQ_SINK);

	const uint32_t vectors = f->vectors[0].ops.acknowledge || fake_role(f, MT_IFACE_VECTOR_SOURCE);

	if (!f->region_count || f->state != FAKE_RUNNING)
		fake_die("fuzz: nothing to fuzz, or not running");
	while (count--) {
		one_access(f, &seed);
		if (f->sysreg_count)
			fake_sysreg_fuzz(f, &seed);
		if (vectors && fake_random(&seed) % 4 == 0)
			fake_vector_fuzz(f, &seed);
		if (fake_random(&seed) % 4 == 0)
			one_event(f, &seed, sink);
		if (fake_random(&seed) % 4096 == 0 && fake_reset(f, MT_RESET_WARM, NULL))
			fake_die("fuzz: reset failed");
	}
}
