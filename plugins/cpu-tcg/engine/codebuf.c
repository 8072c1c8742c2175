/* SPDX-License-Identifier: MIT */
/*
 * The code buffer: one memory, mapped twice, writable in one place and executable in another, so that no page
 * is ever both. Without need for execution (interpreter) one writable mapping serves. Reserved, not touched:
 * it costs what has been translated.
 */

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/engine.h"
#include "util/error.h"

static int map_dual(struct tcg *t, struct mt_error *err)
{
	int fd = memfd_create("mortise-code", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)t->code_bytes) < 0) {
		if (fd >= 0)
			close(fd);
		return mt_error_set(err, MT_ENOMEM, "", "cannot make the code buffer");
	}
	void *rw = mmap(NULL, t->code_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	void *rx = mmap(NULL, t->code_bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_NORESERVE, fd, 0);
	close(fd);
	t->code_rw = rw == MAP_FAILED ? NULL : rw;
	t->code_rx = rx == MAP_FAILED ? NULL : rx;
	if (!t->code_rw || !t->code_rx)
		return mt_error_set(err, MT_EHOST, "", "the host does not permit executable memory");
	return 0;
}

static int map_plain(struct tcg *t, struct mt_error *err)
{
	void *rw = mmap(NULL, t->code_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			-1, 0);
	if (rw == MAP_FAILED)
		return mt_error_set(err, MT_ENOMEM, "", "cannot make the code buffer");
	t->code_rw = rw;
	t->code_rx = rw;
	return 0;
}

int codebuf_init(struct tcg *t, size_t bytes, struct mt_error *err)
{
	t->code_bytes = bytes;
	int rc = t->host->needs_exec ? map_dual(t, err) : map_plain(t, err);
	if (rc < 0)
		return rc;
	struct tcg_code_space space = { t->code_rw, t->code_rx, bytes };
	t->stub_bytes = t->host->init(&t->host_state, t->front->globals, t->front->global_count, &space);
	if (!t->stub_bytes)
		return mt_error_set(err, MT_ENOMEM, "", "cannot set up the code buffer");
	t->stub_bytes = (t->stub_bytes + 63) & ~(size_t)63;
	t->segment_bytes = ((bytes - t->stub_bytes) / SEGMENTS) & ~(size_t)63;
	return 0;
}

void codebuf_fini(struct tcg *t)
{
	if (t->host_state)
		t->host->fini(t->host_state);
	if (t->code_rw)
		munmap(t->code_rw, t->code_bytes);
	if (t->code_rx && t->code_rx != t->code_rw)
		munmap((void *)(uintptr_t)t->code_rx, t->code_bytes);
}
