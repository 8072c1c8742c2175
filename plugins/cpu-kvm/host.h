/* SPDX-License-Identifier: MIT */
/* What the note of this host's part says: its roles, properties and interfaces. */
#ifndef KVM_HOST_H
#define KVM_HOST_H

#if defined(__x86_64__)
#include "x86/note.h"
#elif defined(__riscv) && __riscv_xlen == 64
#include "riscv/note.h"
#elif defined(__aarch64__)
#include "arm64/note.h"
#else
#error "cpu-kvm has no part for this host's CPU"
#endif

#endif
