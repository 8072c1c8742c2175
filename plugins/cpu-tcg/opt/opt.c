/* SPDX-License-Identifier: MIT */
/* The passes over a block, in order. Each is in a file of its own, works in place and allocates nothing. */
#include "opt/opt.h"

void ir_optimise(struct ir_block *b)
{
	opt_fold(b);
}
