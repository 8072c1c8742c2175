/* SPDX-License-Identifier: MIT */
#ifndef BLOCK_QCOW2_DEFLATE_H
#define BLOCK_QCOW2_DEFLATE_H

#include <stdint.h>

/* Raw streams of deflate (RFC 1951), a cluster each. A context serves one thread at a time. */

struct deflater;
struct inflater;

struct deflater *deflater_new(void);                     /* NULL: no memory */
void deflater_free(struct deflater *d);

/* How long the stream is, or MT_ENOSPC: the cluster does not get smaller by it. */
int64_t deflater_run(struct deflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes);

struct inflater *inflater_new(void);
void inflater_free(struct inflater *d);

/* What follows the stream is left alone. MT_EIO: it is damaged, or does not fill `out`. */
int32_t inflater_run(struct inflater *d, const void *in, uint64_t in_bytes, void *out, uint64_t out_bytes);

#endif
