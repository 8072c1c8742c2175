/* SPDX-License-Identifier: MIT */
/*
 * An image in memory for tests of block formats: what a format's core writes through its sink, reads through its
 * source, and what other programs read and write as a file. libcheck's asserts end a test that cannot go on.
 */
#ifndef MTSDK_FAKE_IMAGE_H
#define MTSDK_FAKE_IMAGE_H

#include <check.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../util/minmax.h"
#include "../util/source.h"

#define FAKE_IMAGE_MAX (1ull << 30)

struct fake_image {
	uint8_t *bytes;
	uint64_t len_bytes, room_bytes;
	int64_t writes_left;                 /* then writes fail with MT_EIO; negative: never */
};

static inline void fake_image_init(struct fake_image *image)
{
	*image = (struct fake_image){ .writes_left = -1 };
}

static inline void fake_image_fini(struct fake_image *image)
{
	free(image->bytes);
	fake_image_init(image);
}

static inline int32_t fake_image_resize(void *arg, uint64_t len_bytes)
{
	struct fake_image *image = arg;

	if (len_bytes > FAKE_IMAGE_MAX)
		return MT_ENOSPC;
	if (len_bytes > image->room_bytes) {
		uint64_t room = mt_min_u64(mt_max_u64(len_bytes * 2, 65536), FAKE_IMAGE_MAX);

		image->bytes = realloc(image->bytes, room);
		ck_assert_ptr_nonnull(image->bytes);
		memset(image->bytes + image->room_bytes, 0, room - image->room_bytes);
		image->room_bytes = room;
	}
	if (len_bytes < image->len_bytes)
		memset(image->bytes + len_bytes, 0, image->len_bytes - len_bytes);
	image->len_bytes = len_bytes;
	return 0;
}

static inline int32_t fake_image_write(void *arg, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	struct fake_image *image = arg;
	int32_t rc = offset > FAKE_IMAGE_MAX || len_bytes > FAKE_IMAGE_MAX - offset ? MT_ENOSPC : 0;

	if (image->writes_left == 0)
		return MT_EIO;
	image->writes_left -= image->writes_left > 0;
	if (rc == 0 && offset + len_bytes > image->len_bytes)
		rc = fake_image_resize(image, offset + len_bytes);
	if (rc == 0 && len_bytes)
		memcpy(image->bytes + offset, buf, len_bytes);
	return rc;
}

static inline int32_t fake_image_flush(void *arg)
{
	return ((struct fake_image *)arg)->writes_left ? 0 : MT_EIO;
}

static inline struct mt_sink fake_image_sink(struct fake_image *image)
{
	return (struct mt_sink){ fake_image_write, fake_image_resize, image };
}

static inline int32_t fake_image_read(void *arg, uint64_t offset, void *buf, uint64_t len_bytes)
{
	memcpy(buf, ((struct fake_image *)arg)->bytes + offset, len_bytes);
	return 0;
}

/* Reads what is there when it is read; the length is that of now. */
static inline struct mt_source fake_image_source(struct fake_image *image)
{
	return (struct mt_source){ fake_image_read, image, image->len_bytes };
}

static inline void fake_image_load(struct fake_image *image, const char *path)
{
	FILE *f = fopen(path, "rb");
	struct stat st;

	ck_assert_msg(f && fstat(fileno(f), &st) == 0, "cannot open %s", path);
	fake_image_init(image);
	ck_assert_int_eq(fake_image_resize(image, (uint64_t)st.st_size), 0);
	ck_assert_uint_eq(fread(image->bytes, 1, image->len_bytes, f), image->len_bytes);
	fclose(f);
}

static inline void fake_image_save(const struct fake_image *image, const char *path)
{
	FILE *f = fopen(path, "wb");

	ck_assert_msg(f != NULL, "cannot write %s", path);
	ck_assert_uint_eq(fwrite(image->bytes, 1, image->len_bytes, f), image->len_bytes);
	ck_assert_int_eq(fclose(f), 0);
}

/* Runs a shell command; its exit status. */
__attribute__((format(printf, 1, 2)))
static inline int fake_run(const char *fmt, ...)
{
	char command[4096];
	va_list ap;
	int rc;

	va_start(ap, fmt);
	ck_assert_int_lt(vsnprintf(command, sizeof(command), fmt, ap), (int)sizeof(command));
	va_end(ap);
	rc = system(command);
	return rc < 0 ? rc : rc >> 8;
}

static inline int fake_have(const char *program)
{
	return fake_run("command -v %s >/dev/null 2>&1", program) == 0;
}

/* A fresh folder; remove it with fake_folder_remove. */
static inline char *fake_folder_make(char path[256])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(path, 256, "%s/mortise-test.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

static inline void fake_folder_remove(const char *path)
{
	ck_assert_int_eq(fake_run("rm -rf '%s'", path), 0);
}

#endif
