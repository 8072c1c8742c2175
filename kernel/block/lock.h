/* SPDX-License-Identifier: MIT */
/*
 * Locks on image files: open-file-description locks on single bytes, at the offsets that QEMU and its tools use,
 * so that both kinds of program keep out of each other's images. For each permission that is needed, byte
 * 100 + bit is locked (shared); for each that others may not have, byte 200 + bit. Then the bytes of the
 * opposite row must be free of others' locks.
 */
#ifndef KERNEL_BLOCK_LOCK_H
#define KERNEL_BLOCK_LOCK_H

#include <mortise/error.h>
#include <stdint.h>

#define PERM_CONSISTENT_READ 0u
#define PERM_WRITE           1u
#define PERM_WRITE_UNCHANGED 2u
#define PERM_RESIZE          3u
#define PERM_BITS            4u

/*
 * Takes the locks of `needed` and `unshared` (masks of 1 << PERM_*). 0; MT_EBUSY with `err` when another open of
 * the file is against it, for longer than an open that has ended takes to let go (0.4 s); a file system without such
 * locks is no error. They go when the descriptor closes.
 */
int lock_take(int fd, const char *path, uint32_t needed, uint32_t unshared, struct mt_error *err);

/*
 * lock_share: the locks for writing and resizing go, so that a second, read-only open gets its own while others still
 * may not write. lock_own: they are back; to be called while nothing can have come in between but readers.
 */
void lock_share(int fd);
void lock_own(int fd);

#endif
