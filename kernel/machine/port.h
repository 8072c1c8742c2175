/* SPDX-License-Identifier: MIT */
/* Back-end ports: connects fronts and back ends of char ports (char.c) and net ports (net.c). */
#ifndef MORTISE_KERNEL_PORT_H
#define MORTISE_KERNEL_PORT_H

#include <mortise/draft/char.h>
#include <mortise/draft/net.h>

#include "kernel/machine/inst.h"

extern const struct mt_char_host char_host;
extern const struct mt_net_host net_host;

#endif
