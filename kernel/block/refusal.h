/* SPDX-License-Identifier: MIT */
/* What the host refused last, in words: formats see a code only, and not the host's own reason. The owner's thread. */
#ifndef KERNEL_BLOCK_REFUSAL_H
#define KERNEL_BLOCK_REFUSAL_H

#include <mortise/error.h>
#include <stdint.h>

struct refusal {
	char *words;                     /* NULL: nothing was refused */
	int32_t code;                    /* what the format got */
};

enum refused { REFUSED_WRITE, REFUSED_LENGTH, REFUSED_SPACE };

/*
 * A call on the file `path` returned `rc`, below 0, and left `host_errno`; 0: the host was not asked. `bytes` are what
 * was to be written, the new length, or the space wanted up to there.
 */
void refusal_note(struct refusal *refusal, const char *path, int32_t rc, int host_errno, enum refused what,
		  uint64_t bytes);
/* `rc` of the format: puts these words in place of its own when they are why it gave up; its hint stays. */
void refusal_tell(const struct refusal *refusal, int32_t rc, struct mt_error *err);
void refusal_clear(struct refusal *refusal);

#endif
