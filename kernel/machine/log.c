/* SPDX-License-Identifier: MIT */
/*
 * mortise.log/1: one line on standard error for each message, written by one write so that lines of several
 * threads do not mix. [any]. Easy to break: the text may come from the guest, so control characters do not
 * reach the terminal, and what the guest does wrong is limited in rate.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kernel/machine/services.h"

#define LOG_LINE_BYTES 1024
#define LOG_GUEST_PER_SECOND 20

static const char *const prefixes[] = {
	[MT_LOG_ERROR] = "error: ", [MT_LOG_WARN] = "warning: ", [MT_LOG_INFO] = "",
	[MT_LOG_DEBUG] = "debug: ", [MT_LOG_GUEST] = "guest: ",
};

/* One slot of the second's quota; 1 for the last one, which says that more is dropped, 2 beyond it. */
static int guest_quota(struct machine *m)
{
	int64_t now = g_get_monotonic_time();
	uint32_t count;

	pthread_mutex_lock(&m->log.lock);
	if (now - m->log.guest_since_us >= G_USEC_PER_SEC) {
		m->log.guest_since_us = now;
		m->log.guest_count = 0;
	}
	count = m->log.guest_count;
	if (count <= LOG_GUEST_PER_SECOND)
		m->log.guest_count++;
	pthread_mutex_unlock(&m->log.lock);
	return count < LOG_GUEST_PER_SECOND ? 0 : count == LOG_GUEST_PER_SECOND ? 1 : 2;
}

static bool wanted(const struct machine *m, uint32_t level)
{
	return level == MT_LOG_GUEST ? m->log.guest : level <= m->log.level;
}

static size_t put(char *line, size_t at, const char *text)
{
	for (; *text && at + 1 < LOG_LINE_BYTES; text++) {
		unsigned char c = (unsigned char)*text;

		line[at++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
	return at;
}

static void line_write(const struct mt_inst *inst, uint32_t level, const char *text)
{
	char line[LOG_LINE_BYTES];
	size_t at = put(line, 0, "mortise: ");

	if (inst) {
		at = put(line, at, "[");
		at = put(line, at, inst->id);
		at = put(line, at, "] ");
	}
	at = put(line, at, prefixes[level]);
	at = put(line, at, text);
	line[at++] = '\n';
	/* nothing to be done when standard error is closed or full */
	if (write(STDERR_FILENO, line, at) < 0)
		return;
}

static void message(struct machine *m, const struct mt_inst *inst, uint32_t level, const char *text)
{
	int quota = 0;

	if (level > MT_LOG_GUEST)
		level = MT_LOG_INFO;
	if (!wanted(m, level))
		return;
	if (level == MT_LOG_GUEST)
		quota = guest_quota(m);
	if (quota == 0)
		line_write(inst, level, text);
	else if (quota == 1)
		line_write(NULL, level, "more in this second is not shown");
}

void log_message(struct machine *m, const struct mt_inst *inst, uint32_t level, const char *format, ...)
{
	char text[LOG_LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	message(m, inst, level, text);
}

static void log_host_message(struct mt_inst *inst, uint32_t level, const char *text)
{
	message(inst->machine, inst, level, text);
}

const struct mt_log_host log_host = {
	.message = log_host_message,
};
