/* SPDX-License-Identifier: MIT */
/* CRC-32C (Castagnoli; RFC 3720 B.4): tells damage, not malice. [any] */
#ifndef KERNEL_STATE_CRC32C_H
#define KERNEL_STATE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of `len_bytes` more bytes; `crc` is 0 at the start, and then what the call before returned. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len_bytes);
/* The same without the host's instruction for it. */
uint32_t crc32c_by_table(uint32_t crc, const void *data, size_t len_bytes);

#endif
