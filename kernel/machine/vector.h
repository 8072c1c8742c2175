/* SPDX-License-Identifier: MIT */
/* Interrupt controllers whose vectors the CPU fetches: mortise.vector-host/1. */
#ifndef KERNEL_MACHINE_VECTOR_H
#define KERNEL_MACHINE_VECTOR_H

#include <mortise/draft/cpu-vector.h>

extern const struct mt_vector_host vector_host;

#endif
