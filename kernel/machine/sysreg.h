/* SPDX-License-Identifier: MIT */
/* System registers that devices own: mortise.sysreg-host/1. [main] */
#ifndef KERNEL_MACHINE_SYSREG_H
#define KERNEL_MACHINE_SYSREG_H

#include <mortise/draft/cpu-sysreg.h>

extern const struct mt_sysreg_host sysreg_host;

#endif
