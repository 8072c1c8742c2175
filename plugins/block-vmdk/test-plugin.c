/* SPDX-License-Identifier: MIT */
/* The plugin on the fake host: every form is made, written by random scripts, cut off, and looked at by qemu-img. */
#include <fake/block.h>
#include <fake/check-run.h>
#include <fake/image.h>
#include <mortise/draft/block-image.h>
#include <util/error.h>

static struct fake *f;
static char folder[256];
static uint8_t *parent;

static void start(void)
{
	f = fake_new("block-vmdk");
	fake_folder_make(folder);
	parent = NULL;
}

static void stop(void)
{
	fake_free(f);
	free(parent);
	fake_folder_remove(folder);
}

static void open_disk(void)
{
	fake_prop(f, "file", "d.vmdk");
	fake_block_misses(f, 3);
	if (parent)
		fake_block_backing(f, parent, 4 << 20);
	fake_start(f);
}

static void make(uint64_t disk_bytes, const char *backing, const char *const *values)
{
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_msg(fake_block_make(f, "d.vmdk", disk_bytes, backing, values, &err) == 0, "%s", err.message);
	open_disk();
}

/* A new one with the same files; the old one is closed already. */
static void renew(void)
{
	struct fake *next = fake_new("block-vmdk");

	fake_block_move(next, f);
	fake_free(f);
	f = next;
}

static void close_disk(void)
{
	((const struct mt_device_class *)fake_role(f, MT_IFACE_DEVICE))->unrealize(fake_self(f));
}

static void reopen(void)
{
	close_disk();
	renew();
	open_disk();
}

static void line(void *arg, const char *text)
{
	(void)arg;
	ck_assert_uint_gt(strlen(text), 10);
}

static struct mt_block_check check(void)
{
	const struct mt_block_image *image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	struct mt_block_check out = { .size = sizeof(out) };
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_msg(image->check(fake_self(f), 0, &out, line, NULL, &err) == 0, "%s", err.message);
	return out;
}

static void save(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fake_block_file_save(f, name, path);
}

static void qemu_agrees(const struct fake_script *s, const char *extent)
{
	char path[300];
	FILE *out;

	if (!fake_have("qemu-img"))
		return;
	save("d.vmdk");
	if (extent)
		save(extent);
	snprintf(path, sizeof(path), "%s/model", folder);
	out = fopen(path, "wb");
	ck_assert_uint_eq(fwrite(s->model, 1, s->disk_bytes, out), s->disk_bytes);
	fclose(out);
	ck_assert_int_eq(fake_run("qemu-img check -q -f vmdk %s/d.vmdk", folder), 0);
	ck_assert_int_eq(fake_run("qemu-img compare -q -f vmdk -F raw %s/d.vmdk %s/model", folder, folder), 0);
}

static void script(uint64_t seed, const char *const *values, const char *extent)
{
	struct fake_script s;

	make(9 << 20, NULL, values);
	fake_script_begin(&s, f, seed);
	for (uint32_t k = 0; k < 3; k++) {
		fake_script_run(&s, f, 40, 300000);
		fake_script_compare(&s, f);
		ck_assert_int_eq(fake_block_flush(f), 0);
		reopen();
		fake_script_compare(&s, f);
		ck_assert_uint_eq(check().corruptions, 0);
	}
	qemu_agrees(&s, extent);
	fake_script_end(&s);
}

START_TEST(sparse)
{
	script(1, NULL, NULL);
}
END_TEST

START_TEST(sparse_with_zeroed_grains)
{
	script(2, (const char *const[]){ "zeroed_grain", "true", "adapter_type", "lsilogic", NULL }, NULL);
}
END_TEST

START_TEST(flat)
{
	script(3, (const char *const[]){ "subformat", "monolithicFlat", NULL }, "d-flat.vmdk");
}
END_TEST

START_TEST(split_sparse)
{
	script(4, (const char *const[]){ "subformat", "twoGbMaxExtentSparse", NULL }, "d-s001.vmdk");
}
END_TEST

START_TEST(split_flat)
{
	script(5, (const char *const[]){ "subformat", "twoGbMaxExtentFlat", "compat6", "true", NULL }, "d-f001.vmdk");
}
END_TEST

START_TEST(power_cuts)
{
	struct fake_script s;

	make(2 << 20, NULL, (const char *const[]){ "zeroed_grain", "true", NULL });
	fake_script_begin(&s, f, 7);
	for (uint32_t i = 0; i < (getenv("MORTISE_LONG") ? 5000u : 150u); i++) {
		fake_script_run(&s, f, 1 + i % 13, 100000);
		fake_block_power_cut(f, i + 1);
		reopen();
		fake_script_recover(&s, f);
		/* a table and its copy may differ after a cut; grains do not */
		ck_assert_uint_eq(check().errors, 0);
		fake_script_compare(&s, f);
	}
	fake_script_end(&s);
}
END_TEST

START_TEST(delta)
{
	struct fake_script s;
	struct mt_error err;
	uint64_t len;

	mt_error_init(&err);
	ck_assert_int_eq(fake_block_make(f, "backing", 4 << 20, NULL, NULL, &err), 0);
	parent = malloc(4 << 20);
	for (uint32_t i = 0; i < 4 << 20; i++)
		parent[i] = (uint8_t)(i % 251);
	make(4 << 20, "p.vmdk", (const char *const[]){ "zeroed_grain", "true", NULL });
	ck_assert_str_eq(fake_block_backing_name(f), "p.vmdk");
	/* the parent's CID is in the delta's text */
	{
		const char *cid = strstr((char *)fake_block_file(f, "backing", &len) + 512, "\nCID=");
		const char *own = strstr((char *)fake_block_file(f, "d.vmdk", &len) + 512, "parentCID=");

		ck_assert(cid && own);
		ck_assert_mem_eq(cid + 5, own + 10, 8);
	}
	fake_script_begin(&s, f, 3);
	ck_assert_mem_eq(s.model, parent, 4 << 20);
	for (uint32_t k = 0; k < 4; k++) {
		fake_script_run(&s, f, 30, 300000);
		fake_script_compare(&s, f);
		ck_assert_int_eq(fake_block_flush(f), 0);
		reopen();
		fake_script_compare(&s, f);
	}
	fake_script_end(&s);
}
END_TEST

static void other_parent(const char *words)
{
	struct mt_error err;

	mt_error_init(&err);
	close_disk();
	renew();
	fake_prop(f, "file", "d.vmdk");
	fake_block_backing(f, parent, 4 << 20);
	fake_block_backing_fact(f, "cid", "305419896");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), words ? MT_EINVAL : 0);
	ck_assert_msg(!words || strstr(err.message, words), "'%s' does not say '%s'", err.message, words);
}

/* The parent's CID has to be the one that the delta has; amend changes that, and so does emptying the delta. */
START_TEST(parent_cid)
{
	const struct mt_block_image *image;
	const struct mt_block_value right = { "parent_cid", "12345678" }, wrong = { "parent_cid", "ffffffff" };
	uint8_t sector[512] = { 1 };
	struct mt_error err;

	mt_error_init(&err);
	ck_assert_int_eq(fake_block_make(f, "backing", 4 << 20, NULL, NULL, &err), 0);
	parent = calloc(4, 1 << 20);
	make(4 << 20, "p.vmdk", NULL);
	image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	ck_assert_int_eq(fake_block_write(f, 70000, sector, 512), 0);
	ck_assert_int_eq(image->amend(fake_self(f), &wrong, 1, &err), MT_EINVAL);
	ck_assert_int_eq(fake_block_flush(f), 0);
	other_parent("its CID is 12345678");
	renew();
	open_disk();
	image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	ck_assert_int_eq(image->amend(fake_self(f), &right, 1, &err), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	other_parent(NULL);
	image = fake_role(f, MT_IFACE_BLOCK_IMAGE);
	ck_assert_uint_eq(check().units_allocated, 1);
	fake_block_backing_fact(f, "cid", "7");
	ck_assert_int_eq(image->make_empty(fake_self(f), &err), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_uint_eq(check().units_allocated, 0);
	ck_assert_ptr_nonnull(strstr((char *)fake_block_file(f, "d.vmdk", NULL) + 512, "\nparentCID=00000007\n"));
}
END_TEST

/* The first write changes the CID, in place; reading does not. */
START_TEST(cid_changes)
{
	uint8_t sector[512] = { 1 };
	char before[16], *cid;

	make(4 << 20, NULL, NULL);
	cid = strstr((char *)fake_block_file(f, "d.vmdk", NULL) + 512, "\nCID=") + 5;
	snprintf(before, sizeof(before), "%.9s", cid);
	ck_assert_int_eq(fake_block_read(f, 0, sector, 512), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	ck_assert_mem_eq(cid, before, 9);
	ck_assert_int_eq(fake_block_write(f, 0, sector, 512), 0);
	ck_assert_int_eq(fake_block_flush(f), 0);
	cid = strstr((char *)fake_block_file(f, "d.vmdk", NULL) + 512, "\nCID=") + 5;
	ck_assert_mem_ne(cid, before, 8);
	ck_assert_int_eq(cid[8], '\n');
	reopen();
}
END_TEST

static void refused(const char *text, const char *words)
{
	struct mt_error err;

	fake_free(f);
	f = fake_new("block-vmdk");
	mt_error_init(&err);
	fake_block_file_set(f, "d.vmdk", text, strlen(text));
	fake_block_file_set(f, "short.vmdk", "x", 1);
	fake_prop(f, "file", "d.vmdk");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
}

#define TEXT "# Disk DescriptorFile\nversion=1\nCID=00000001\nparentCID=ffffffff\n"

START_TEST(what_is_refused)
{
	refused("hello", "no VMDK descriptor");
	refused(TEXT "RW 100 FLAT \"/etc/passwd\" 0\n", "no file '/etc/passwd'");
	refused(TEXT "RW 100 FLAT \"short.vmdk\" 0\n", "shorter than the descriptor says");
	refused(TEXT "RW 100 SPARSE \"short.vmdk\"\n", "cannot read the VMDK header");
	refused(TEXT "RW 4503599627370495 ZERO\nRW 4503599627370495 ZERO\nRW 4503599627370495 ZERO\n"
		"RW 4503599627370495 ZERO\nRW 4503599627370495 ZERO\n", "too long");
}
END_TEST

/* A compressed stream of qemu-img: read, and never written. */
START_TEST(stream)
{
	struct mt_block_info info;
	uint8_t sector[512];
	char path[300];

	if (!fake_have("qemu-img") || !fake_have("qemu-io"))
		return;
	ck_assert_int_eq(fake_run("truncate -s 3M %s/s && qemu-io -f raw -c 'write -P 7 1M 100k' %s/s >/dev/null && "
				  "qemu-img convert -q -f raw -O vmdk -o subformat=streamOptimized %s/s %s/d.vmdk",
				  folder, folder, folder, folder), 0);
	snprintf(path, sizeof(path), "%s/d.vmdk", folder);
	fake_block_file_load(f, "d.vmdk", path);
	open_disk();
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.flags & MT_BLOCK_INFO_READONLY, MT_BLOCK_INFO_READONLY);
	for (uint64_t at = 0; at < info.disk_bytes; at += 512) {
		ck_assert_int_eq(fake_block_read(f, at, sector, 512), 0);
		ck_assert_uint_eq(sector[0], at >= 1 << 20 && at < (1 << 20) + (100 << 10) ? 7 : 0);
		ck_assert_uint_eq(sector[511], sector[0]);
	}
	ck_assert_int_eq(fake_block_write(f, 0, sector, 512), MT_EPERM);
	ck_assert_uint_gt(check().units_encoded, 0);
}
END_TEST

#define GRAIN 65536u

/* Made here, filled in order, ended by a flush; a grain that was taken back can be written again. */
START_TEST(stream_filled)
{
	const uint64_t disk = (2 << 20) + 512;
	uint8_t *model = calloc(1, disk + GRAIN), *there = malloc(disk);
	struct mt_block_info info;
	uint64_t len, seed = 5;

	make(disk, NULL, (const char *const[]){ "subformat", "streamOptimized", NULL });
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.flags & (MT_BLOCK_INFO_READONLY | MT_BLOCK_INFO_STREAM), MT_BLOCK_INFO_STREAM);
	ck_assert_uint_eq(info.unit_bytes, GRAIN);
	for (uint64_t at = 0; at < disk; at += 3 * GRAIN) {
		uint64_t n = disk - at < GRAIN ? disk - at : GRAIN;

		for (uint64_t i = 0; i < n; i++)
			model[at + i] = (uint8_t)(at / GRAIN % 2 ? fake_random(&seed) : i / 100);
		if (at / GRAIN % 4 == 0) {
			fake_block_abort_next(f);
			ck_assert_int_eq(fake_block_write(f, at, model + at, n), 0);
		}
		ck_assert_int_eq(fake_block_write(f, at, model + at, n), 0);
		ck_assert_int_eq(fake_block_write(f, at, model + at, n), MT_EPERM);
		if (at / GRAIN % 5 == 0)
			ck_assert_int_eq(fake_block_flush(f), 0);
	}
	ck_assert_int_eq(fake_block_write(f, 31 * GRAIN, model, 512), MT_ENOTSUP);
	for (uint32_t turn = 0; turn < 2; turn++) {
		ck_assert_int_eq(fake_block_read(f, 0, there, disk), 0);
		ck_assert_mem_eq(there, model, disk);
		ck_assert_int_eq(fake_block_flush(f), 0);
		reopen();
	}
	fake_block_info(f, &info);
	ck_assert_uint_eq(info.flags & (MT_BLOCK_INFO_READONLY | MT_BLOCK_INFO_STREAM), MT_BLOCK_INFO_READONLY);
	ck_assert_uint_eq(check().units_encoded, 11);
	ck_assert_uint_eq(check().corruptions, 0);
	ck_assert_int_eq(fake_block_write(f, GRAIN, model, GRAIN), MT_EPERM);
	fake_block_file(f, "d.vmdk", &len);
	ck_assert_uint_eq(len % 512, 0);
	free(model);
	free(there);
}
END_TEST

/* Where the end cannot be written, the flush says so, and the next one writes it. */
START_TEST(stream_with_errors)
{
	static uint8_t grain[GRAIN];
	uint32_t failures = 0;
	int rc = MT_EIO;

	make(4 << 20, NULL, (const char *const[]){ "subformat", "streamOptimized", NULL });
	memset(grain, 7, sizeof(grain));
	ck_assert_int_eq(fake_block_write(f, GRAIN, grain, GRAIN), 0);
	for (uint32_t i = 1; rc < 0; i++) {
		fake_block_fail_in(f, i);
		rc = fake_block_flush(f);
		failures += rc < 0;
		fake_block_fail_in(f, 0);
	}
	ck_assert_uint_gt(failures, 1);
	ck_assert_int_eq(fake_block_flush(f), 0);
	reopen();
	ck_assert_int_eq(fake_block_read(f, GRAIN, grain, GRAIN), 0);
	ck_assert_uint_eq(grain[GRAIN - 1], 7);
	ck_assert_uint_eq(check().units_encoded, 1);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-vmdk", start, stop, sparse, sparse_with_zeroed_grains, flat, split_sparse, split_flat, power_cuts,
		  delta, parent_cid, cid_changes, what_is_refused, stream, stream_filled, stream_with_errors);
}
