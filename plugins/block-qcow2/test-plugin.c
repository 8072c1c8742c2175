/* SPDX-License-Identifier: MIT */
/* Reading and writing on the fake host: every form is written by random scripts, cut off, and judged by qemu-img. */
#include "test-disk.h"

#include <util/endian.h>

/* Sets of options; each ends in NULL. */
static const char *const forms[][14] = {
	{ NULL },
	{ "cluster_size", "512", NULL },
	{ "cluster_size", "4096", "refcount_bits", "1", NULL },
	{ "cluster_size", "512", "refcount_bits", "64", NULL },
	{ "compat", "0.10", "cluster_size", "1024", NULL },
	{ "extended_l2", "true", NULL },
	{ "extended_l2", "true", "cluster_size", "16384", "refcount_bits", "2", NULL },
	{ "lazy_refcounts", "true", "cluster_size", "2048", "refcount_bits", "8", NULL },
	{ "cluster_size", "2097152", "refcount_bits", "32", NULL },
	{ "preallocation", "metadata", "cluster_size", "8192", NULL },
	{ "preallocation", "full", "cluster_size", "32768", "extended_l2", "true", NULL },
	{ "compression_type", "zstd", "refcount_bits", "4", "cluster_size", "1024", NULL },
};
#define FORMS (sizeof(forms) / sizeof(forms[0]))

static void script(uint32_t form, uint64_t disk_bytes)
{
	struct fake_script s;

	make(disk_bytes, parent ? "parent" : NULL, forms[form]);
	fake_script_begin(&s, f, form + 1);
	for (uint32_t k = 0; k < 3; k++) {
		fake_script_run(&s, f, 40, 200000);
		fake_script_compare(&s, f);
		flush();
		check_clean();
		reopen();
		fake_script_compare(&s, f);
	}
	qemu_agrees(s.model, s.disk_bytes);
	fake_script_end(&s);
}

static void each_form(void (*run)(uint32_t form))
{
	for (uint32_t i = 0; i < FORMS; i++) {
		if (i) {
			stop();
			start();
		}
		run(i);
	}
}

static void plain(uint32_t form)
{
	script(form, (3 << 20) + 512);
}

START_TEST(plain_scripts)
{
	each_form(plain);
}
END_TEST

static void backed(uint32_t form)
{
	if (strstr(forms[form][0] ? forms[form][0] : "", "prealloc"))
		return;
	parent_bytes = (2 << 20) + 512 * 3;
	parent = malloc(parent_bytes);
	for (uint32_t i = 0; i < parent_bytes; i++)
		parent[i] = (uint8_t)(i % 251);
	script(form, 3 << 20);
	ck_assert_str_eq(fake_block_backing_name(f), "parent");
}

START_TEST(backed_scripts)
{
	each_form(backed);
}
END_TEST

/* A power cut at any time leaves at most leaks (with lazy counts: what opening repairs), and what was flushed. */
static void cut(uint32_t form)
{
	struct fake_script s;

	make(768 << 10, NULL, forms[form]);
	fake_script_begin(&s, f, form + 100);
	for (uint32_t i = 0; i < (getenv("MORTISE_LONG") ? 5000 / FORMS + 1 : 8); i++) {
		struct mt_block_check c;

		fake_script_run(&s, f, 1 + i % 13, 60000);
		fake_block_power_cut(f, i + 1);
		reopen();
		fake_script_recover(&s, f);
		c = check(i % 4 == 0 ? MT_BLOCK_CHECK_LEAKS : 0);
		ck_assert_msg(c.corruptions == 0 && c.errors == 0, "form %u, cut %u: %s", form, i, findings);
		if (i % 4 == 0) {
			ck_assert_uint_eq(c.leaks, c.leaks_fixed);
			flush();
			check_clean();
		}
		fake_script_compare(&s, f);
	}
	(void)check(MT_BLOCK_CHECK_LEAKS);
	flush();
	reopen();
	qemu_agrees(s.model, s.disk_bytes);
	fake_script_end(&s);
}

START_TEST(power_cuts)
{
	each_form(cut);
}
END_TEST

/* What qemu-img and qemu-io have made, compressed and not. */
START_TEST(of_qemu)
{
	static const char *const options[] = {
		"compression_type=zlib", "compression_type=zstd", "compression_type=zlib,cluster_size=4k",
		"compression_type=zstd,cluster_size=2M,refcount_bits=64", "compat=0.10", "extended_l2=on,cluster_size=64k",
	};
	struct fake_script s;

	if (!fake_have("qemu-img") || !fake_have("qemu-io"))
		return;
	for (uint32_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		ck_assert_int_eq(fake_run("cd %s && rm -f s d.qcow2 && truncate -s 5M s && qemu-io -f raw -c 'write -P 7 1M 100k' "
					  "-c 'write -P 9 3000k 1500k' s >/dev/null && "
					  "qemu-img convert -c -q -f raw -O qcow2 -o %s s d.qcow2 && qemu-io -f qcow2 "
					  "-c 'write -P 3 1100k 10k' -c 'write -z 4M 64k' d.qcow2 >/dev/null",
					  folder, options[i]), 0);
		load();
		fake_script_begin(&s, f, i);
		for (uint64_t at = 0; at < s.disk_bytes; at += 512) {
			uint8_t want = at >= 3000 << 10 && at < 4500 << 10 ? 9 : at >= 1 << 20 && at < 1124 << 10 ? 7 : 0;

			if (at >= 1100 << 10 && at < 1110 << 10)
				want = 3;
			if (at >= 4 << 20 && at < (4 << 20) + (64 << 10))
				want = 0;
			ck_assert_msg(s.model[at] == want, "%s: %02x at %llu", options[i], s.model[at], (unsigned long long)at);
		}
		ck_assert_uint_gt(check(0).units_encoded, 0);
		fake_script_run(&s, f, 40, 200000);
		flush();
		check_clean();
		fake_script_compare(&s, f);
		qemu_agrees(s.model, s.disk_bytes);
		fake_script_end(&s);
	}
}
END_TEST

/* The first 4 KiB into a fresh cluster write 4 KiB, and no more. */
START_TEST(small_first_writes)
{
	const struct mt_block_format *format;
	struct mt_block_want want = { .offset = 65536 * 7 + 8192, .len_bytes = 4096 };
	struct mt_block_target t;

	make(64 << 20, NULL, NULL);
	fake_block_misses(f, 0);
	format = fake_role(f, MT_IFACE_BLOCK_FORMAT);
	ck_assert_int_eq(format->reserve(fake_self(f), &want, &t, 1), 1);
	ck_assert_uint_eq(t.flags, MT_BLOCK_TARGET_ZEROED);
	ck_assert_uint_eq(t.fill_head_bytes, 8192);
	ck_assert_uint_eq(t.fill_tail_bytes, 65536 - 8192 - 4096);
	format->abort(fake_self(f), &t.cookie, 1);
	ck_assert_int_eq(format->reserve(fake_self(f), &want, &t, 1), 1);
	format->abort(fake_self(f), &t.cookie, 1);
	flush();
	check_clean();
}
END_TEST

/* The file is made longer before the writes that need it, and ends where its last cluster does when it is closed. */
START_TEST(longer_ahead)
{
	uint64_t made, now, end;
	uint8_t sector[512] = { 1 };

	make(64 << 20, NULL, NULL);
	fake_block_misses(f, 0);
	fake_block_file(f, "d.qcow2", &made);
	ck_assert_int_eq(fake_block_write(f, 0, sector, sizeof(sector)), 0);
	fake_block_file(f, "d.qcow2", &now);
	ck_assert_uint_ge(now, made + (1 << 20));
	for (uint64_t i = 1; i < 8; i++)
		ck_assert_int_eq(fake_block_write(f, i << 16, sector, sizeof(sector)), 0);
	fake_block_file(f, "d.qcow2", &end);
	ck_assert_uint_eq(end, now);
	flush();
	check_clean();
	/* nothing was taken since: as after a close */
	flush();
	fake_block_file(f, "d.qcow2", &now);
	reopen();
	fake_block_file(f, "d.qcow2", &end);
	ck_assert_uint_eq(end, now);
	ck_assert_uint_eq(end, made / 65536 * 65536 + (made % 65536 ? 65536 : 0) + 9 * 65536);
	check_clean();
}
END_TEST

/* As a killed writer leaves it: the last cluster, which has data, lies there in part. */
static void open_short(const uint8_t *image, uint64_t len)
{
	fake_free(f);
	f = fake_new("block-qcow2");
	fake_block_file_set(f, "d.qcow2", image, len - 1024);
	open_disk();
	fake_block_misses(f, 0);
}

static void closed_is_long(uint64_t len)
{
	uint64_t end;

	flush();
	reopen();
	fake_block_file(f, "d.qcow2", &end);
	ck_assert_uint_eq(end, len);
	check_clean();
}

/* The next writer ends such a file right, even if it takes no more; what is written in place takes no more. */
START_TEST(ends_in_a_cluster)
{
	uint8_t sector[512] = { 1 }, *copy = malloc(1 << 20);
	uint64_t len;

	make(64 << 20, NULL, NULL);
	fake_block_misses(f, 0);
	ck_assert_int_eq(fake_block_write(f, 0, sector, sizeof(sector)), 0);
	flush();
	reopen();
	fake_block_file(f, "d.qcow2", &len);
	ck_assert_uint_le(len, 1 << 20);
	memcpy(copy, fake_block_file(f, "d.qcow2", NULL), len);
	open_short(copy, len);
	reopen();
	closed_is_long(len);
	for (uint64_t at = 0; at < 65536; at += 65024) {
		open_short(copy, len);
		ck_assert_int_eq(fake_block_write(f, at, sector, sizeof(sector)), 0);
		closed_is_long(len);
	}
	open_short(copy, len);
	ck_assert_int_eq(fake_block_write(f, 65536, sector, sizeof(sector)), 0);
	closed_is_long(len + 65536);
	free(copy);
}
END_TEST

/* What lies ahead when a writer is killed is what the next one takes: the file does not grow with each of them. */
START_TEST(killed_again)
{
	uint8_t sector[512] = { 1 }, *copy = malloc(8 << 20);
	uint64_t first = 0, len;

	make(4 << 20, NULL, (const char *const[]){ "cluster_size", "512", NULL });
	for (uint32_t i = 0; i < 40; i++) {
		fake_block_misses(f, 0);
		for (uint32_t k = 0; k < 32; k++)
			ck_assert_int_eq(fake_block_write(f, (i * 32 + k) * 512, sector, sizeof(sector)), 0);
		ck_assert_int_eq(fake_block_flush(f), 0);
		fake_block_file(f, "d.qcow2", &len);
		ck_assert_uint_le(len, 8 << 20);
		memcpy(copy, fake_block_file(f, "d.qcow2", NULL), len);
		first = first ? first : len;
		ck_assert_uint_eq(len, first);
		fake_free(f);
		f = fake_new("block-qcow2");
		fake_block_file_set(f, "d.qcow2", copy, len);
		open_disk();
	}
	ck_assert_uint_eq(check(0).corruptions, 0);
	free(copy);
}
END_TEST

static void refused(const uint8_t *bytes, uint64_t len, int readonly, const char *words)
{
	struct mt_error err;

	fake_free(f);
	f = fake_new("block-qcow2");
	mt_error_init(&err);
	fake_block_file_set(f, "d.qcow2", bytes, len);
	fake_prop(f, "file", "d.qcow2");
	if (readonly)
		fake_prop(f, "readonly", "on");
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
	ck_assert_msg(strstr(err.message, words) != NULL, "'%s' does not say '%s'", err.message, words);
}

/* One change of a good image each. */
START_TEST(what_is_refused)
{
	static const struct { uint32_t at, value; const char *words; int readonly; } changes[] = {
		{ 0, 0, "no qcow2 file", 0 },
		{ 4, 4, "version 4", 0 },
		{ 20, 22, "2^22", 0 },
		{ 20, 8, "2^8", 0 },
		{ 32, 1, "AES", 1 },
		{ 32, 2, "LUKS", 1 },
		{ 36, 0x7fffffff, "L1 table", 1 },
		{ 36, 0, "L1 table can map", 1 },
		{ 44, 513, "L1 table", 1 },
		{ 52, 8193, "refcount table", 1 },
		{ 56, 0, "refcount table", 1 },
		{ 60, 65537, "snapshots", 1 },
		{ 60, 1, "snapshots", 1 },
		{ 76, 4, "external data file", 1 },
		{ 76, 32, "bit 5", 1 },
		{ 76, 8, "compression type", 1 },
		{ 76, 16, "16 KiB", 1 },
		{ 96, 7, "2^7", 1 },
		{ 100, 96, "96 bytes", 1 },
		{ 100, 105, "105 bytes", 1 },
		{ 116, 5000, "reaches out of the header", 1 },
		{ 16, 1024, "backing file", 1 },
		{ 8, 1, "backing file", 1 },
	};
	uint8_t *image, *copy;
	uint64_t len;

	parent = calloc(1, 1 << 20);
	parent_bytes = 1 << 20;
	make(1 << 20, "parent.raw", (const char *const[]){ "cluster_size", "4096", "backing_fmt", "raw", NULL });
	image = malloc(1 << 20);
	copy = malloc(1 << 20);
	fake_block_file(f, "d.qcow2", &len);
	memcpy(image, fake_block_file(f, "d.qcow2", NULL), len);
	for (uint32_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		memcpy(copy, image, len);
		mt_put_be32(copy + changes[i].at, changes[i].value);
		refused(copy, len, changes[i].readonly, changes[i].words);
	}
	refused(image, 60, 1, "no qcow2 file");
	refused(image, 4096, 1, "table");
	refused(image, len, 1, "has a backing file ('parent.raw')");
	/* an unknown feature has a name in the table of the image */
	memcpy(copy, image, len);
	mt_put_be32(copy + 76, 1 << 9);
	for (uint64_t i = 112; i < 1000; i++) {
		if (memcmp(copy + i, "extended L2", 11) == 0) {
			copy[i - 1] = 9;
			memcpy(copy + i, "time travel", 11);
		}
	}
	refused(copy, len, 1, "'time travel entries'");
	free(image);
	free(copy);
}
END_TEST

int main(void)
{
	CHECK_RUN("block-qcow2", start, stop, plain_scripts, backed_scripts, power_cuts, of_qemu, small_first_writes,
		  longer_ahead, ends_in_a_cluster, killed_again, what_is_refused);
}
