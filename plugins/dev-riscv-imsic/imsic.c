/* SPDX-License-Identifier: MIT */
/*
 * The interrupt file; see imsic.h. Section names are of the Advanced Interrupt Architecture 1.0, chapter
 * "Incoming MSI Controller". The rule that is easy to break: whatever changes pending, enabled or threshold
 * calls `settle` for the word, else `ready` and the output lie.
 */
#include "imsic.h"

#include <string.h>
#include <util/bits.h>

#define SELECT_DELIVERY  0x70u
#define SELECT_THRESHOLD 0x72u
#define SELECT_EIP0      0x80u
#define SELECT_EIE0      0xc0u

void imsic_init(struct imsic_file *f, uint32_t identities)
{
	memset(f, 0, sizeof(*f));
	f->identities = identities;
}

/* The identity that *topei reports, or 0: the lowest one below the threshold. */
static uint32_t top_identity(const struct imsic_file *f)
{
	uint32_t word, identity;

	if (!f->ready)
		return 0;
	word = mt_ctz64(f->ready);
	identity = word * 64 + mt_ctz64(f->pending[word] & f->enabled[word]);
	return f->threshold && identity >= f->threshold ? 0 : identity;
}

static void update(struct imsic_file *f)
{
	uint32_t level = f->delivery && top_identity(f);

	if (level == f->level)
		return;
	f->level = level;
	if (f->output)
		f->output(f->arg, level);
}

static void settle(struct imsic_file *f, uint32_t word)
{
	uint32_t bit = 1u << word;

	f->ready = f->pending[word] & f->enabled[word] ? f->ready | bit : f->ready & ~bit;
	update(f);
}

void imsic_settle_all(struct imsic_file *f)
{
	f->ready = 0;
	for (uint32_t word = 0; word < IMSIC_WORDS; word++)
		if (f->pending[word] & f->enabled[word])
			f->ready |= 1u << word;
}

void imsic_redrive(struct imsic_file *f)
{
	f->level = f->delivery && top_identity(f);
	if (f->output)
		f->output(f->arg, f->level);
}

void imsic_reset(struct imsic_file *f)
{
	memset(f->pending, 0, sizeof(f->pending));
	memset(f->enabled, 0, sizeof(f->enabled));
	f->delivery = f->threshold = f->ready = 0;
	update(f);
}

void imsic_message(struct imsic_file *f, uint32_t identity)
{
	uint32_t word = identity / 64;
	uint64_t bit = UINT64_C(1) << identity % 64;

	if (!identity || identity > f->identities)
		return;
	f->pending[word] |= bit;
	/* a hart may wait for one more message with the last one still pending: it gets an edge for each */
	if (f->level && f->enabled[word] & bit) {
		f->level = 0;
		if (f->output)
			f->output(f->arg, 0);
	}
	settle(f, word);
}

/* "Top external interrupt CSRs": the identity is also its priority. */
uint32_t imsic_top(const struct imsic_file *f)
{
	uint32_t identity = top_identity(f);

	return identity << 16 | identity;
}

uint32_t imsic_claim(struct imsic_file *f)
{
	uint32_t identity = top_identity(f);

	if (identity) {
		f->pending[identity / 64] &= ~(UINT64_C(1) << identity % 64);
		settle(f, identity / 64);
	}
	return identity << 16 | identity;
}

/*
 * The word of the array that begins at selector `first`, or -1: odd registers do not exist in 64-bit harts.
 */
static int array_word(uint32_t select, uint32_t first)
{
	return (select - first) % 2 ? -1 : (int)((select - first) / 2);
}

static int reserved(uint32_t select)
{
	return select != SELECT_DELIVERY && select != SELECT_THRESHOLD && select < SELECT_EIP0;
}

int imsic_read(const struct imsic_file *f, uint32_t select, uint64_t *value)
{
	int word;

	*value = 0;
	if (select < IMSIC_SELECT_FIRST || select > IMSIC_SELECT_LAST)
		return 0;
	if (reserved(select))
		return 1;
	if (select < SELECT_EIP0) {
		*value = select == SELECT_DELIVERY ? f->delivery : f->threshold;
		return 1;
	}
	word = array_word(select, select < SELECT_EIE0 ? SELECT_EIP0 : SELECT_EIE0);
	if (word < 0)
		return 0;
	*value = select < SELECT_EIE0 ? f->pending[word] : f->enabled[word];
	return 1;
}

/* Identity 0 is none, and the last is one less than a multiple of 64. */
uint64_t imsic_word_mask(const struct imsic_file *f, uint32_t word)
{
	return word * 64 > f->identities ? 0 : word ? UINT64_MAX : ~UINT64_C(1);
}

static void delivery_write(struct imsic_file *f, uint64_t value)
{
	/* WARL: other values than "off" and "on" are not supported, and change nothing */
	if (value <= 1)
		f->delivery = (uint32_t)value;
}

/* WLRL: as many bits as the largest identity has. */
uint32_t imsic_threshold_max(const struct imsic_file *f)
{
	return (uint32_t)mt_mask(32 - (uint32_t)__builtin_clz(f->identities));
}

static void threshold_write(struct imsic_file *f, uint64_t value)
{
	f->threshold = (uint32_t)value & imsic_threshold_max(f);
}

int imsic_modify(struct imsic_file *f, uint32_t select, uint64_t keep, uint64_t bits, uint64_t *old)
{
	uint64_t value;
	uint32_t word;

	if (!imsic_read(f, select, old))
		return 0;
	value = (*old & keep) | bits;
	if (reserved(select))
		return 1;
	if (select < SELECT_EIP0) {
		if (select == SELECT_DELIVERY)
			delivery_write(f, value);
		else
			threshold_write(f, value);
		update(f);
		return 1;
	}
	word = (select - (select < SELECT_EIE0 ? SELECT_EIP0 : SELECT_EIE0)) / 2;
	if (select < SELECT_EIE0)
		f->pending[word] = value & imsic_word_mask(f, word);
	else
		f->enabled[word] = value & imsic_word_mask(f, word);
	settle(f, word);
	return 1;
}
