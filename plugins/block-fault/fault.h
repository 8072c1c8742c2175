/* SPDX-License-Identifier: MIT */
/*
 * Rules of what goes wrong, and their count of operations. The same rules, seed and operations do the same. The caller
 * holds the lock.
 */
#ifndef PLUGINS_BLOCK_FAULT_FAULT_H
#define PLUGINS_BLOCK_FAULT_FAULT_H

#include <mortise/draft/block-filter.h>
#include <mortise/error.h>

#define FAULT_RULES 16u
#define FAULT_CERTAIN 1000000u

struct rule {
	uint32_t ops;                    /* mask, MT_BLOCK_FILTER_BIT */
	uint64_t offset, len_bytes;      /* len_bytes 0: everywhere */
	uint64_t after, every, times;    /* matches that pass first; of the others each n-th; how often at most, 0: ever */
	uint32_t chance;                 /* of FAULT_CERTAIN */
	int32_t error;                   /* 0: none */
	uint64_t delay_ns;
	uint32_t vanish;                 /* from then on the disk is gone */
	uint64_t matched, fired;
};

struct fault {
	struct rule rules[FAULT_RULES];
	uint32_t rule_count;
	uint32_t gone;
	uint64_t random;                 /* never 0 */
};

void fault_seed(struct fault *f, uint64_t seed);
/* Adds the rule in `text` ("write+flush from=1M length=64K after=3 error=EIO"). 0, or a code with `err`. */
int fault_rule_add(struct fault *f, const char *text, struct mt_error *err);
/* As begin of mt_block_filter. */
int32_t fault_operation(struct fault *f, const struct mt_block_filter_op *op, uint64_t *delay_ns);

#endif
