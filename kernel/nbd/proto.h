/* SPDX-License-Identifier: MIT */
/* Table of numbers of the NBD protocol, by the names and sections of its specification, doc/proto.md. Big-endian. */
#ifndef KERNEL_NBD_PROTO_H
#define KERNEL_NBD_PROTO_H

#include <stdint.h>

#define NBD_PORT "10809"
#define NBD_STRING_MAX  4096u            /* "Values", strings */
#define NBD_PAYLOAD_MAX (32u << 20)      /* "Block size constraints": what every client may count on */

/* "Newstyle negotiation" */
#define NBD_INIT_MAGIC   0x4e42444d41474943ull
#define NBD_OPTION_MAGIC 0x49484156454f5054ull
#define NBD_REPLY_MAGIC  0x0003e889045565a9ull

#define NBD_FLAG_FIXED_NEWSTYLE 1u       /* both ways */
#define NBD_FLAG_NO_ZEROES      2u

#define NBD_OPT_EXPORT_NAME       1u
#define NBD_OPT_ABORT             2u
#define NBD_OPT_LIST              3u
#define NBD_OPT_STARTTLS          5u
#define NBD_OPT_INFO              6u
#define NBD_OPT_GO                7u
#define NBD_OPT_STRUCTURED_REPLY  8u
#define NBD_OPT_LIST_META_CONTEXT 9u
#define NBD_OPT_SET_META_CONTEXT  10u

#define NBD_REP_ACK          1u
#define NBD_REP_SERVER       2u
#define NBD_REP_INFO         3u
#define NBD_REP_META_CONTEXT 4u
#define NBD_REP_ERR(n)       (1u << 31 | (n))
#define NBD_REP_ERR_UNSUP    NBD_REP_ERR(1u)
#define NBD_REP_ERR_POLICY   NBD_REP_ERR(2u)
#define NBD_REP_ERR_INVALID  NBD_REP_ERR(3u)
#define NBD_REP_ERR_TLS_REQD NBD_REP_ERR(5u)
#define NBD_REP_ERR_UNKNOWN  NBD_REP_ERR(6u)
#define NBD_REP_ERR_TOO_BIG  NBD_REP_ERR(9u)

#define NBD_INFO_EXPORT      0u
#define NBD_INFO_NAME        1u
#define NBD_INFO_DESCRIPTION 2u
#define NBD_INFO_BLOCK_SIZE  3u

/* "Transmission flags" */
#define NBD_FLAG_HAS_FLAGS         (1u << 0)
#define NBD_FLAG_READ_ONLY         (1u << 1)
#define NBD_FLAG_SEND_FLUSH        (1u << 2)
#define NBD_FLAG_SEND_FUA          (1u << 3)
#define NBD_FLAG_SEND_TRIM         (1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF           (1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN    (1u << 8)
#define NBD_FLAG_SEND_CACHE        (1u << 10)
#define NBD_FLAG_SEND_FAST_ZERO    (1u << 11)

/* "Request message": magic, flags, type, cookie, offset, length */
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_REQUEST_BYTES 28u

#define NBD_CMD_READ         0u
#define NBD_CMD_WRITE        1u
#define NBD_CMD_DISC         2u
#define NBD_CMD_FLUSH        3u
#define NBD_CMD_TRIM         4u
#define NBD_CMD_CACHE        5u
#define NBD_CMD_WRITE_ZEROES 6u
#define NBD_CMD_BLOCK_STATUS 7u

#define NBD_CMD_FLAG_FUA       (1u << 0)
#define NBD_CMD_FLAG_NO_HOLE   (1u << 1)
#define NBD_CMD_FLAG_DF        (1u << 2)
#define NBD_CMD_FLAG_REQ_ONE   (1u << 3)
#define NBD_CMD_FLAG_FAST_ZERO (1u << 4)

/* "Simple reply message": magic, error, cookie. "Structured reply chunk": magic, flags, type, cookie, length */
#define NBD_SIMPLE_MAGIC     0x67446698u
#define NBD_SIMPLE_BYTES     16u
#define NBD_STRUCTURED_MAGIC 0x668e33efu
#define NBD_STRUCTURED_BYTES 20u

#define NBD_REPLY_FLAG_DONE         1u
#define NBD_REPLY_TYPE_NONE         0u
#define NBD_REPLY_TYPE_OFFSET_DATA  1u
#define NBD_REPLY_TYPE_OFFSET_HOLE  2u
#define NBD_REPLY_TYPE_BLOCK_STATUS 5u
#define NBD_REPLY_TYPE_ERROR        (1u << 15 | 1u)

/* "Error values" */
#define NBD_EPERM     1u
#define NBD_EIO       5u
#define NBD_ENOMEM    12u
#define NBD_EINVAL    22u
#define NBD_ENOSPC    28u
#define NBD_EOVERFLOW 75u
#define NBD_ENOTSUP   95u
#define NBD_ESHUTDOWN 108u

/* base:allocation */
#define NBD_STATE_HOLE 1u
#define NBD_STATE_ZERO 2u

#endif
