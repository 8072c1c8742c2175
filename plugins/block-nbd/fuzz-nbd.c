/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: a hostile server. The input is all that it says on a connection; the disk is opened, asked and
 * written to as far as it gets. There is no patience for another connection.
 */
#include <fake/block.h>
#include <fake/replay.h>
#include <mortise/draft/block-protocol.h>
#include <util/error.h>

#include "toy.h"

static char folder[256], path[300];

static void folder_remove(void)
{
	unlink(path);
	rmdir(folder);
}

static void folder_make(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder, sizeof(folder), "%s/mortise-fuzz.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		abort();
	snprintf(path, sizeof(path), "%s/s", folder);
	atexit(folder_remove);
}

static void use(struct fake *f)
{
	static uint8_t buf[8192];
	uint64_t bytes = fake_served(f)->child_bytes, len = bytes;
	uint32_t flags;

	if (bytes >= sizeof(buf)) {
		fake_served_io(f, MT_BLOCK_READ, 0, 0, buf, sizeof(buf));
		fake_served_io(f, MT_BLOCK_WRITE, MT_BLOCK_FUA, 0, buf, 512);
	}
	if (bytes && fake_served_status(f, 0, &len, &flags) == 0 && !len)
		abort();
	fake_served_io(f, MT_BLOCK_FLUSH, 0, 0, NULL, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toy_ways ways = { .script = data, .script_bytes = size };
	struct mt_error err;
	struct toy *toy;
	struct fake *f;

	mt_error_init(&err);
	if (!*path)
		folder_make();
	toy = toy_start(path, &ways);
	if (!toy)
		abort();
	f = fake_new("block-nbd");
	fake_prop(f, "socket", path);
	fake_prop(f, "reconnect", "0s");
	if (fake_create(f, &err) == 0 && fake_realize(f, &err) == 0)
		use(f);
	fake_free(f);
	toy_stop(toy);
	return 0;
}

FUZZ_REPLAY("plugins/block-nbd/corpus", 100)
