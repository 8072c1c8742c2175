/* SPDX-License-Identifier: MIT */
/* Steps of the tests of boot loaders: files for their properties, a start, and what a vCPU's registers start with. */
#ifndef MTSDK_FAKE_BOOT_H
#define MTSDK_FAKE_BOOT_H

#include <check.h>
#include <stdio.h>
#include <unistd.h>

#include "fake.h"

/* Writes folder/KEY, `len` bytes of data and a hole up to `total`, and sets the property KEY to its path. */
static inline void fake_boot_file(struct fake *f, const char *folder, const char *key, const void *data, size_t len,
				  size_t total)
{
	char path[300];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder, key);
	out = fopen(path, "wb");
	ck_assert_ptr_nonnull(out);
	ck_assert_uint_eq(fwrite(data, 1, len, out), len);
	fflush(out);
	ck_assert_int_eq(ftruncate(fileno(out), (off_t)total), 0);
	fclose(out);
	fake_prop(f, key, path);
}

/* Up to the first reset: 0, or what the first step that failed gave, with `err`. */
static inline int fake_boot_go(struct fake *f, struct mt_error *err)
{
	int rc = fake_create(f, err);

	if (!rc)
		rc = fake_realize(f, err);
	return rc ? rc : fake_reset(f, MT_RESET_COLD, err);
}

/* A register that the loader has set. */
static inline uint64_t fake_boot_value(struct fake *f, uint32_t vcpu, const char *name)
{
	uint64_t value = 0;

	ck_assert_msg(fake_boot_reg(f, vcpu, name, &value), "%s of %u was not set", name, vcpu);
	return value;
}

#endif
