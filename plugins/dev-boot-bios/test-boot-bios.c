/* SPDX-License-Identifier: MIT */
/* dev-boot-bios: where the image goes, where the CPU begins, images and machines that do not fit. */
#include <fake/boot.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/image.h>
#include <fake/state.h>
#include <mortise/draft/dma.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <util/error.h>

#define MIB       0x100000ull
#define KIB       0x400u
#define FOUR_GIB  0x100000000ull
#define TOP_BYTES (512u * KIB)         /* of memory below 4 GiB, which the fake host has not */

static struct fake *f;
static struct mt_error err;
static char folder[256];
static uint8_t top[TOP_BYTES], image[TOP_BYTES];
static uint64_t top_bytes;             /* how much of it is there */

/* The fake host's DMA, and memory below 4 GiB beside its RAM. */
static const void *(*real_get)(const struct mt_host *host, const char *id);
static const struct mt_dma_host *real_dma;
static struct mt_dma_host dma;

static uint32_t dma_map(struct mt_dma *d, uint64_t addr, uint64_t len_bytes, uint32_t direction, struct mt_iov *iov,
			uint32_t max, uint64_t *mapped_bytes)
{
	if (addr < FOUR_GIB / 2)
		return real_dma->map(d, addr, len_bytes, direction, iov, max, mapped_bytes);
	*mapped_bytes = 0;
	if (addr < FOUR_GIB - top_bytes || addr + len_bytes > FOUR_GIB)
		return 0;
	*mapped_bytes = len_bytes;
	iov[0] = (struct mt_iov){ .hva = top + (addr - (FOUR_GIB - TOP_BYTES)), .len_bytes = len_bytes };
	return 1;
}

static void dma_unmap(struct mt_dma *d, const struct mt_iov *iov, uint32_t count, uint32_t direction,
		      uint64_t written_bytes)
{
	if (iov[0].ram)
		real_dma->unmap(d, iov, count, direction, written_bytes);
}

static const void *get(const struct mt_host *h, const char *id)
{
	if (strcmp(id, MT_IFACE_DMA))
		return real_get(h, id);
	real_dma = real_get(h, id);
	dma = *real_dma;
	dma.map = dma_map;
	dma.unmap = dma_unmap;
	return &dma;
}

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-boot-bios");
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(made);
	char path[300];

	real_get = host->get_interface;
	host->get_interface = get;
	fake_ram(made, 0, 2 * MIB);
	snprintf(path, sizeof(path), "%s/firmware", folder);
	fake_prop(made, "firmware", path);
	return made;
}

static void start(void)
{
	uint64_t seed = 3;

	fake_folder_make(folder);
	for (uint32_t i = 0; i < sizeof(image); i++)
		image[i] = (uint8_t)(fake_random(&seed) >> 32);
	memset(top, 0, sizeof(top));
	top_bytes = TOP_BYTES;
	f = make();
	mt_error_init(&err);
}

static void stop(void)
{
	fake_free(f);
	fake_folder_remove(folder);
}

/* Writes a file of `len` bytes, the last ones of the image. */
static void firmware(size_t len)
{
	fake_boot_file(f, folder, "firmware", image + sizeof(image) - len, len, len);
}

static int go(void)
{
	return fake_boot_go(f, &err);
}

static uint64_t reg(const char *name)
{
	return fake_boot_value(f, 0, name);
}

/* The image of `len` bytes is at both places, and nothing before it. */
static void placed(uint64_t len, uint64_t low)
{
	ck_assert_mem_eq(top + TOP_BYTES - len, image + TOP_BYTES - len, len);
	ck_assert_mem_eq(fake_ram_at(f, MIB - low), image + TOP_BYTES - low, low);
	ck_assert_uint_eq(*fake_ram_at(f, MIB - low - 1), 0);
	ck_assert(len == TOP_BYTES || top[TOP_BYTES - len - 1] == 0);
}

START_TEST(image_of_128k)
{
	firmware(128 * KIB);
	ck_assert_msg(go() == 0, "%s", err.message);
	placed(128 * KIB, 128 * KIB);
	ck_assert(fake_ram_dirty(f, MIB - 1));
}
END_TEST

START_TEST(image_of_256k)
{
	firmware(256 * KIB);
	ck_assert_msg(go() == 0, "%s", err.message);
	placed(256 * KIB, 256 * KIB);
}
END_TEST

START_TEST(large_image)
{
	firmware(512 * KIB);
	ck_assert_msg(go() == 0, "%s", err.message);
	placed(512 * KIB, 256 * KIB);
}
END_TEST

START_TEST(reset_vector)
{
	firmware(4 * KIB);
	ck_assert_int_eq(go(), 0);
	ck_assert_uint_eq(reg("cs.base") + reg("rip"), FOUR_GIB - 16);
	ck_assert_uint_eq(reg("cs"), 0xf000);
	ck_assert_uint_eq(reg("cs.limit"), 0xffff);
	ck_assert_uint_eq(reg("cs.attr"), 0x9b);
	ck_assert_uint_eq(reg("cr0") & 0x80000001, 0);     /* neither paging nor protection */
	ck_assert_uint_eq(reg("eflags"), 2);
}
END_TEST

START_TEST(reset_loads_again)
{
	firmware(128 * KIB);
	ck_assert_int_eq(go(), 0);
	memset(fake_ram_at(f, MIB - 128 * KIB), 0, 128 * KIB);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, &err), 0);
	placed(128 * KIB, 128 * KIB);
}
END_TEST

static void expect(const char *words, const char *hint)
{
	ck_assert_int_lt(go(), 0);
	ck_assert_str_eq(err.culprit, "firmware");
	ck_assert_msg(strstr(err.message, words), "%s", err.message);
	ck_assert_msg(strstr(err.hint, hint), "%s", err.hint);
}

START_TEST(no_file)
{
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_lt(fake_realize(f, &err), 0);
}
END_TEST

START_TEST(empty_file)
{
	firmware(0);
	expect("no multiple of 4 KiB", "seabios");
}
END_TEST

START_TEST(odd_length)
{
	firmware(4097);
	expect("has 4097 bytes", "seabios");
}
END_TEST

START_TEST(too_large)
{
	char path[300];

	firmware(4 * KIB);
	snprintf(path, sizeof(path), "%s/firmware", folder);
	ck_assert_int_eq(truncate(path, 16 * MIB + 4096), 0);
	expect("up to 16 MiB", "seabios");
}
END_TEST

START_TEST(no_place_below_4g)
{
	top_bytes = 128 * KIB;
	firmware(256 * KIB);
	expect("no memory for 262144 bytes", "at = 0xfffc0000, size = 256K and type = rom");
}
END_TEST

START_TEST(no_low_ram)
{
	fake_ram(f, 0x1000000, 2 * MIB);
	firmware(128 * KIB);
	expect("no RAM below 1 MiB", "at = 0");
}
END_TEST

START_TEST(state)
{
	firmware(128 * KIB);
	fake_start(f);
	fake_state_check(f, make);
}
END_TEST

int main(void)
{
	CHECK_RUN("boot-bios", start, stop, image_of_128k, image_of_256k, large_image, reset_vector, reset_loads_again,
		  no_file, empty_file, odd_length, too_large, no_place_below_4g, no_low_ram, state);
}
