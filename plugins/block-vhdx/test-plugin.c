/* SPDX-License-Identifier: MIT */
/* The plugin on the fake host: an image of qemu-img is read, with pages that are not there at once. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/image.h>
#include <util/error.h>

static struct fake *f;
static char folder[256];

static void start(void)
{
	f = fake_new("block-vhdx");
	fake_folder_make(folder);
}

static void stop(void)
{
	fake_free(f);
	fake_folder_remove(folder);
}

START_TEST(reads)
{
	struct mt_block_info info;
	uint8_t sector[512];
	char path[300];

	if (!fake_have("qemu-img") || !fake_have("qemu-io")) {
		printf("skipped: no qemu-img\n");
		return;
	}
	ck_assert_int_eq(fake_run("truncate -s 7M %s/s && qemu-io -f raw -c 'write -P 7 5M 100k' %s/s >/dev/null && "
				  "qemu-img convert -q -f raw -O vhdx -o subformat=dynamic,block_size=1M %s/s %s/d",
				  folder, folder, folder, folder), 0);
	snprintf(path, sizeof(path), "%s/d", folder);
	fake_block_file_load(f, "d", path);
	fake_prop(f, "file", "d");
	fake_block_misses(f, 2);
	fake_start(f);
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.disk_bytes, 7 << 20);
	ck_assert_uint_eq(info.flags & MT_BLOCK_INFO_READONLY, MT_BLOCK_INFO_READONLY);
	for (uint64_t at = 0; at < info.disk_bytes; at += 512) {
		ck_assert_int_eq(fake_block_read(f, at, sector, 512), 0);
		ck_assert_uint_eq(sector[0], at >= 5 << 20 && at < (5 << 20) + (100 << 10) ? 7 : 0);
		ck_assert_uint_eq(sector[511], sector[0]);
	}
	ck_assert_int_eq(fake_block_write(f, 0, sector, 512), MT_ENOTSUP);
}
END_TEST

START_TEST(other_files_are_refused)
{
	struct mt_error err;
	uint8_t bytes[4096] = { 1 };

	mt_error_init(&err);
	fake_block_file_set(f, "d", bytes, sizeof(bytes));
	fake_prop(f, "file", "d");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_str_eq(err.culprit, "file");
}
END_TEST

int main(void)
{
	CHECK_RUN("block-vhdx", start, stop, reads, other_files_are_refused);
}
