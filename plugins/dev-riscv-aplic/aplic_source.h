/* SPDX-License-Identifier: MIT */
/*
 * What the two files of the APLIC's chip share: a source's registers, and what the register map does with
 * sources.
 */
#ifndef APLIC_SOURCE_H
#define APLIC_SOURCE_H

#include <util/bits.h>

#include "aplic.h"

/* sourcecfg */
#define SOURCECFG_D  0x400u
#define SOURCECFG_SM 7u
#define SM_EDGE1     4u
#define SM_EDGE0     5u
#define SM_LEVEL1    6u

/* target, genmsi */
#define TARGET_HART_SHIFT 18
#define TARGET_IPRIO      0xffu
#define TARGET_EIID       0x7ffu

/* What genmsi, and a target of messages, can hold. */
static inline uint32_t genmsi_legal(uint32_t value)
{
	return (value >> TARGET_HART_SHIFT << TARGET_HART_SHIFT) | (value & TARGET_EIID);
}

/* The domain knows the source: it exists, and the parent has delegated it. */
uint32_t has_source(const struct aplic *a, uint32_t domain, uint32_t source);
/* What a write of `value` leaves in sourcecfg. */
uint16_t source_legal(const struct aplic *a, uint32_t domain, uint32_t value);
uint32_t source_active(const struct aplic_domain *d, uint32_t source);
uint32_t source_is_level(const struct aplic_domain *d, uint32_t source);
uint32_t source_rectified(const struct aplic *a, const struct aplic_domain *d, uint32_t source);
/* A write of sourcecfg[source]; the source is one that this domain has. */
void source_configure(struct aplic *a, uint32_t domain, uint32_t source, uint32_t value);
/* Software sets or clears the pending bit, if the mode allows it. */
void source_pend(struct aplic *a, struct aplic_domain *d, uint32_t source);
void source_unpend(struct aplic *a, struct aplic_domain *d, uint32_t source);
/* The pending bit, the enable bit or the target changed: delivers. */
void source_update(struct aplic *a, struct aplic_domain *d, uint32_t source);

/*
 * topi of a hart; its output after a change of its registers; a message to what `target` (or genmsi) names.
 */
uint32_t aplic_top(const struct aplic *a, const struct aplic_domain *d, uint32_t hart);
void aplic_update_hart(struct aplic *a, struct aplic_domain *d, uint32_t hart);
void aplic_send(struct aplic *a, const struct aplic_domain *d, uint32_t target);

#endif
