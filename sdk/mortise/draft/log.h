/* SPDX-License-Identifier: MIT */
/* Messages to the person who runs the machine. One line each, lower case, no final dot, no newline. */
#ifndef MORTISE_LOG_H
#define MORTISE_LOG_H

#include "../plugin.h"

#define MT_IFACE_LOG "mortise.log/1"

#define MT_LOG_ERROR 0u
#define MT_LOG_WARN  1u
#define MT_LOG_INFO  2u
#define MT_LOG_DEBUG 3u
#define MT_LOG_GUEST 4u   /* the guest broke a rule of the hardware: rate limited, off by default */

struct mt_log_host {
	/* [any] `text` is copied. The instance's id is put in front. */
	void (*message)(struct mt_inst *inst, uint32_t level, const char *text);
};

#endif
