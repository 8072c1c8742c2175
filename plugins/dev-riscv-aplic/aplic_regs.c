/* SPDX-License-Identifier: MIT */
/*
 * The APLIC's register map, "Memory-mapped control region for an interrupt domain". What is not listed there
 * reads as zero and ignores writes; so does all that belongs to sources which are not implemented, or not
 * delegated to the domain. Byte order is little-endian only (domaincfg.BE is read-only zero).
 */
#include "aplic_source.h"

#define DOMAINCFG     0x0000u
#define SOURCECFG_END 0x1000u
#define MMSIADDRCFG   0x1bc0u
#define MMSIADDRCFGH  0x1bc4u
#define SETIP         0x1c00u
#define SETIPNUM      0x1cdcu
#define IN_CLRIP      0x1d00u
#define CLRIPNUM      0x1ddcu
#define SETIE         0x1e00u
#define SETIENUM      0x1edcu
#define CLRIE         0x1f00u
#define CLRIENUM      0x1fdcu
#define SETIPNUM_LE   0x2000u
#define SETIPNUM_BE   0x2004u
#define GENMSI        0x3000u
#define TARGET_END    0x4000u
#define ARRAY_BYTES   0x80u
#define IDC           0x4000u
#define IDC_BYTES     32u
#define IDC_DELIVERY  0x00u
#define IDC_FORCE     0x04u
#define IDC_THRESHOLD 0x08u
#define IDC_TOPI      0x18u
#define IDC_CLAIMI    0x1cu

#define DOMAINCFG_CONST  0x80000000u
#define DOMAINCFG_IE     0x100u
#define DOMAINCFG_DM     4u
#define MMSIADDRCFGH_L   0x80000000u

/* The word of an array of bits that begins at `base`; `a->words` or more: none. */
static uint32_t array_word(uint32_t offset, uint32_t base)
{
	return (offset - base) / 4;
}

/* --- reading --- */

static uint32_t rectified_word(const struct aplic *a, const struct aplic_domain *d, uint32_t word)
{
	uint32_t bits = 0;

	for (uint32_t i = 0; i < 32 && word * 32 + i <= a->sources; i++)
		bits |= source_rectified(a, d, word * 32 + i) << i;
	return bits;
}

/* The arrays of bits between SETIP and SETIPNUM_LE; the registers by number read as zero. */
static uint32_t array_read(const struct aplic *a, const struct aplic_domain *d, uint32_t offset)
{
	uint32_t base = offset & ~0xffu, word = array_word(offset, base);

	if (offset - base >= ARRAY_BYTES || word >= a->words)
		return 0;
	switch (base) {
	case SETIP:    return d->pending[word];
	case IN_CLRIP: return rectified_word(a, d, word);
	case SETIE:    return d->enabled[word];
	default:       return 0;
	}
}

/* "Claim top interrupt (claimi)" */
static uint32_t claim(struct aplic *a, struct aplic_domain *d, uint32_t hart)
{
	uint32_t top = aplic_top(a, d, hart);

	if (top) {
		source_unpend(a, d, top >> 16);
	} else {
		d->idc[hart].force = 0;
		aplic_update_hart(a, d, hart);
	}
	return top;
}

static uint32_t idc_read(struct aplic *a, struct aplic_domain *d, uint32_t offset)
{
	uint32_t hart = (offset - IDC) / IDC_BYTES;

	if (d->msi || hart >= a->harts)
		return 0;
	switch (offset % IDC_BYTES) {
	case IDC_DELIVERY:  return d->idc[hart].delivery;
	case IDC_FORCE:     return d->idc[hart].force;
	case IDC_THRESHOLD: return d->idc[hart].threshold;
	case IDC_TOPI:      return aplic_top(a, d, hart);
	case IDC_CLAIMI:    return claim(a, d, hart);
	default:            return 0;
	}
}

/*
 * "Machine MSI address configuration": addresses are wired in. The registers are locked and hidden, as the
 * specification recommends, so that a guest cannot aim messages past its memory protection.
 */
static uint32_t msi_address_read(const struct aplic *a, uint32_t domain, uint32_t offset)
{
	uint32_t messages = a->domain[APLIC_ROOT].msi | a->domain[APLIC_CHILD].msi;

	return domain == APLIC_ROOT && messages && offset == MMSIADDRCFGH ? MMSIADDRCFGH_L : 0;
}

uint32_t aplic_read(struct aplic *a, uint32_t domain, uint32_t offset)
{
	struct aplic_domain *d = &a->domain[domain];

	if (offset == DOMAINCFG)
		return DOMAINCFG_CONST | (d->on ? DOMAINCFG_IE : 0) | (d->msi ? DOMAINCFG_DM : 0);
	if (offset < SOURCECFG_END)
		return d->source[offset / 4];
	if (offset >= IDC)
		return idc_read(a, d, offset);
	if (offset > GENMSI)
		return d->target[(offset - GENMSI) / 4];
	if (offset == GENMSI)
		return d->genmsi;
	if (offset >= SETIPNUM_LE)
		return 0;
	return offset >= SETIP ? array_read(a, d, offset) : msi_address_read(a, domain, offset);
}

/* --- writing --- */

static void domaincfg_write(struct aplic *a, struct aplic_domain *d, uint32_t value)
{
	d->on = (value & DOMAINCFG_IE) != 0;
	for (uint32_t hart = 0; !d->msi && hart < a->harts; hart++)
		aplic_update_hart(a, d, hart);
	for (uint32_t source = 1; d->msi && source <= a->sources; source++)
		source_update(a, d, source);
}

static void enable(struct aplic *a, struct aplic_domain *d, uint32_t source, uint32_t on)
{
	if (!source_active(d, source))
		return;
	mt_bitmap_assign(d->enabled, source, on);
	source_update(a, d, source);
}

/* One source by the register at `base` of the array that it is in. */
static void source_write(struct aplic *a, struct aplic_domain *d, uint32_t base, uint32_t source)
{
	if (!source || source > a->sources)
		return;
	switch (base) {
	case SETIP:    source_pend(a, d, source); break;
	case IN_CLRIP: source_unpend(a, d, source); break;
	case SETIE:    enable(a, d, source, 1); break;
	case CLRIE:    enable(a, d, source, 0); break;
	}
}

static void array_write(struct aplic *a, struct aplic_domain *d, uint32_t offset, uint32_t value)
{
	uint32_t base = offset & ~0xffu, word = array_word(offset, base);

	if (offset - base == SETIPNUM - SETIP) {
		source_write(a, d, base, value);
		return;
	}
	if (offset - base >= ARRAY_BYTES || word >= a->words)
		return;
	for (; value; value &= value - 1)
		source_write(a, d, base, word * 32 + mt_ctz64(value));
}

static void target_write(struct aplic *a, struct aplic_domain *d, uint32_t source, uint32_t value)
{
	uint32_t old = d->target[source] >> TARGET_HART_SHIFT, hart = genmsi_legal(value) & ~TARGET_EIID;

	if (!source_active(d, source))
		return;
	if (d->msi)
		d->target[source] = genmsi_legal(value);
	else
		d->target[source] = hart | (value & TARGET_IPRIO ? value & TARGET_IPRIO : 1);
	aplic_update_hart(a, d, old);
	source_update(a, d, source);
}

/* "Generate MSI": sent at once, so that Busy is never seen. */
static void genmsi_write(struct aplic *a, struct aplic_domain *d, uint32_t value)
{
	if (!d->msi)
		return;
	d->genmsi = genmsi_legal(value);
	aplic_send(a, d, d->genmsi);
}

static void idc_write(struct aplic *a, struct aplic_domain *d, uint32_t offset, uint32_t value)
{
	uint32_t hart = (offset - IDC) / IDC_BYTES;

	if (d->msi || hart >= a->harts)
		return;
	switch (offset % IDC_BYTES) {
	case IDC_DELIVERY:
		d->idc[hart].delivery = value & 1;
		break;
	case IDC_FORCE:
		d->idc[hart].force = value & 1;
		break;
	case IDC_THRESHOLD:
		d->idc[hart].threshold = (uint8_t)value;
		break;
	}
	aplic_update_hart(a, d, hart);
}

void aplic_write(struct aplic *a, uint32_t domain, uint32_t offset, uint32_t value)
{
	struct aplic_domain *d = &a->domain[domain];

	if (offset == DOMAINCFG)
		domaincfg_write(a, d, value);
	else if (offset < SOURCECFG_END && has_source(a, domain, offset / 4))
		source_configure(a, domain, offset / 4, value);
	else if (offset >= IDC)
		idc_write(a, d, offset, value);
	else if (offset > GENMSI && has_source(a, domain, (offset - GENMSI) / 4))
		target_write(a, d, (offset - GENMSI) / 4, value);
	else if (offset == GENMSI)
		genmsi_write(a, d, value);
	else if (offset == SETIPNUM_LE)
		source_write(a, d, SETIP, value);
	else if (offset == SETIPNUM_BE)
		source_write(a, d, SETIP, __builtin_bswap32(value));
	else if (offset >= SETIP && offset < SETIPNUM_LE)
		array_write(a, d, offset, value);
}

/* --- ends of interrupts --- */

uint32_t aplic_write_ends(const struct aplic *a, uint32_t domain, uint32_t offset, uint32_t value)
{
	const struct aplic_domain *d = &a->domain[domain];

	if (!d->msi || (offset != SETIPNUM && offset != SETIPNUM_LE) || !value || value > a->sources)
		return 0;
	return source_is_level(d, value) ? value : 0;
}

uint32_t aplic_read_ends(const struct aplic *a, uint32_t domain, uint32_t offset, uint32_t value)
{
	const struct aplic_domain *d = &a->domain[domain];

	if (d->msi || offset < IDC || offset % IDC_BYTES != IDC_CLAIMI || !value)
		return 0;
	return source_is_level(d, value >> 16) ? value >> 16 : 0;
}
