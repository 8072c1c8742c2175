/* SPDX-License-Identifier: MIT */
/* The optimiser's passes. */
#ifndef TCG_OPT_H
#define TCG_OPT_H

#include "ir/ir.h"

/* Constants known at each point are folded into the ops that use them. */
void opt_fold(struct ir_block *b);

#endif
