/* SPDX-License-Identifier: MIT */
/* See refusal.h. */
#include "kernel/block/refusal.h"

#include <errno.h>
#include <glib.h>

#include "kernel/machine/fault.h"

void refusal_note(struct refusal *refusal, const char *path, int32_t rc, int host_errno, enum refused what,
		  uint64_t bytes)
{
	static const char *const words[][2] = {
		[REFUSED_WRITE] = { "cannot be written,", "bytes" },
		[REFUSED_LENGTH] = { "cannot be made", "bytes long" },
		[REFUSED_SPACE] = { "cannot be given", "bytes of space" },
	};
	int host = host_errno ? host_errno : rc == MT_ERANGE ? EFBIG : rc == MT_ENOSPC ? ENOSPC : EIO;

	if (rc == MT_EGONE)
		return;
	refusal_clear(refusal);
	refusal->words = g_strdup_printf("%s %s %" G_GUINT64_FORMAT " %s: %s", path, words[what][0], bytes, words[what][1],
					 g_strerror(host));
	refusal->code = rc;
}

void refusal_tell(const struct refusal *refusal, int32_t rc, struct mt_error *err)
{
	char *hint;

	if (rc >= 0 || !refusal->words || rc != refusal->code)
		return;
	hint = g_strdup(err->hint);
	fault_set(err, rc, "file", hint, "%s", refusal->words);
	g_free(hint);
}

void refusal_clear(struct refusal *refusal)
{
	g_free(refusal->words);
	*refusal = (struct refusal){ 0 };
}
