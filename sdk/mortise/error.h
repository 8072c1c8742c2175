/* SPDX-License-Identifier: MIT */
/*
 * Errors. A fallible function returns 0 or a negative MT_E* code and, where it takes a struct mt_error,
 * fills it where the cause is known; callers pass it on unchanged. The caller owns the struct, sets `size`
 * (mt_error_init) and may pass NULL when it does not want the words.
 */
#ifndef MORTISE_ERROR_H
#define MORTISE_ERROR_H

#include <stdint.h>

#define MT_EINVAL   (-22)  /* a value that cannot be used */
#define MT_ENOMEM   (-12)  /* out of memory, or over a quota */
#define MT_EIO      (-5)   /* the host's input or output failed */
#define MT_ENOENT   (-2)   /* something named is not there */
#define MT_EBUSY    (-16)  /* in use by another */
#define MT_EAGAIN   (-11)  /* not now; a notice follows */
#define MT_ENOSPC   (-28)  /* no space */
#define MT_EPERM    (-1)   /* the host does not permit it */
#define MT_ENOTSUP  (-95)  /* not supported by this peer */
#define MT_EGONE    (-6)   /* the other end is gone */
#define MT_ERANGE   (-34)  /* outside the legal range */
#define MT_EHOST    (-61)  /* the host lacks something: a package, a device, a permission */

struct mt_error {
	uint32_t size;         /* sizeof(struct mt_error) of the owner */
	int32_t code;          /* 0 or MT_E* */
	char culprit[64];      /* property, file or field at fault; "" if none */
	char message[512];     /* one line, lower case, no final dot */
	char hint[256];        /* what to do about it; "" if nothing is known */
};

#endif
