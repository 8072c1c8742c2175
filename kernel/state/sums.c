/* SPDX-License-Identifier: MIT */
/*
 * The checksums of RAM; see sums.h. The file is one of component state: schema "mortise.memory-sums", fields
 * "chunk-bytes" and "crc32c". A hole is not read: its sum is that of zeros.
 */
#include "kernel/state/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/state/crc32c.h"
#include "kernel/state/file.h"

#define CHUNK_BYTES (1u << 20)
#define SCHEMA      "mortise.memory-sums"
#define VERSION     1u

static uint64_t chunks_of(uint64_t len_bytes)
{
	return (len_bytes + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

static bool read_all(int fd, uint8_t *bytes, uint64_t len_bytes, uint64_t offset)
{
	for (uint64_t done = 0; done < len_bytes;) {
		ssize_t n = pread(fd, bytes + done, len_bytes - done, (off_t)(offset + done));

		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		done += n > 0 ? (uint64_t)n : 0;
	}
	return true;
}

/* Where data begin at or after `offset`; a file system that cannot tell has no holes. */
static uint64_t next_data(int fd, uint64_t offset)
{
	off_t at = lseek(fd, (off_t)offset, SEEK_DATA);

	return at >= 0 ? (uint64_t)at : errno == ENXIO ? UINT64_MAX : offset;
}

/* Fills `sums`, one a chunk. False: the file cannot be read. */
static bool sum_all(int fd, uint64_t len_bytes, uint32_t *sums)
{
	uint8_t *chunk = g_malloc0(CHUNK_BYTES);
	uint32_t of_zeros = crc32c(0, chunk, CHUNK_BYTES);
	uint64_t data = next_data(fd, 0);
	bool fine = true;

	for (uint64_t at = 0; fine && at < len_bytes; at += CHUNK_BYTES) {
		uint64_t n = MIN(len_bytes - at, CHUNK_BYTES);

		if (data < at)
			data = next_data(fd, at);
		if (n == CHUNK_BYTES && data >= at + n) {
			sums[at / CHUNK_BYTES] = of_zeros;
			continue;
		}
		fine = read_all(fd, chunk, n, at);
		sums[at / CHUNK_BYTES] = crc32c(0, chunk, n);
	}
	g_free(chunk);
	return fine;
}

/* The sums of the memory's file, or NULL with `err`; free with g_free. */
static uint32_t *sums_make(int fd, const struct manifest_memory *memory, struct mt_error *err)
{
	uint32_t *sums = g_try_malloc0_n(chunks_of(memory->len_bytes), sizeof(*sums));

	if (sums && sum_all(fd, memory->len_bytes, sums))
		return sums;
	fault_set(err, sums ? MT_EIO : MT_ENOMEM, memory->id, NULL, "the memory '%s' cannot be read from the snapshot",
		  memory->id);
	g_free(sums);
	return NULL;
}

static int sums_put(struct state_dir *dir, struct manifest_memory *memory, const uint32_t *sums, struct mt_error *err)
{
	struct mt_state_out *out = state_out_create(memory->id, SCHEMA, VERSION);
	const uint32_t chunk_bytes = CHUNK_BYTES;
	char *name = manifest_sums_file(memory->id);
	GByteArray *bytes;
	int code;

	state_writer.put(out, "chunk-bytes", MT_STATE_U32, 0, &chunk_bytes, 1);
	state_writer.put(out, "crc32c", MT_STATE_U32, 0, sums, (uint32_t)chunks_of(memory->len_bytes));
	bytes = state_out_finish(out, err);
	code = bytes ? state_dir_write(dir, name, bytes->data, bytes->len, &memory->sums, err) : err->code;
	if (bytes)
		g_byte_array_unref(bytes);
	state_out_destroy(out);
	g_free(name);
	return code;
}

static int memory_open(int dir_fd, const struct manifest_memory *memory, struct mt_error *err)
{
	char *name = manifest_memory_file(memory->id);
	int fd = state_dir_open_ram(dir_fd, name, memory->len_bytes, err);

	g_free(name);
	return fd;
}

int sums_write(struct state_dir *dir, struct manifest_memory *memory, struct mt_error *err)
{
	int fd = memory_open(state_dir_fd(dir), memory, err), code;
	uint32_t *sums;

	if (fd < 0)
		return fd;
	sums = sums_make(fd, memory, err);
	code = sums ? sums_put(dir, memory, sums, err) : err->code;
	g_free(sums);
	close(fd);
	return code;
}

/* The sums that were written; `wanted` has room for all. */
static int sums_get(const struct manifest_memory *memory, const GByteArray *bytes, uint32_t *wanted,
		    struct mt_error *err)
{
	struct mt_state_in *in = state_in_open(memory->id, bytes->data, bytes->len, err);
	uint32_t chunk_bytes = 0;
	int code;

	if (!in)
		return err->code;
	if (strcmp(state_in_schema(in), SCHEMA) || state_in_version(in) != VERSION)
		code = fault_set(err, MT_EINVAL, memory->id, NULL, "the file has no checksums of a memory");
	else
		code = state_reader.get(in, "chunk-bytes", MT_STATE_U32, &chunk_bytes, 1);
	if (code == 0 && chunk_bytes != CHUNK_BYTES)
		code = state_reader.refuse(in, "chunk-bytes", "is another than this version makes");
	if (code == 0)
		code = state_reader.get(in, "crc32c", MT_STATE_U32, wanted, (uint32_t)chunks_of(memory->len_bytes));
	code = state_in_verdict(in, code, err);
	state_in_close(in);
	return code;
}

static int sums_compare(const struct manifest_memory *memory, const uint32_t *have, const uint32_t *wanted,
			struct mt_error *err)
{
	for (uint64_t i = 0; i < chunks_of(memory->len_bytes); i++)
		if (have[i] != wanted[i])
			return fault_set(err, MT_EINVAL, memory->id, "the snapshot is damaged: take it again, or copy it again",
					 "the snapshot's memory-%s.bin is not what was saved: the checksum of its bytes from 0x%"
					 G_GINT64_MODIFIER "x on differs", memory->id, i * CHUNK_BYTES);
	return 0;
}

static int contents_check(int dir_fd, const struct manifest_memory *memory, const uint32_t *wanted,
			  struct mt_error *err)
{
	int fd = memory_open(dir_fd, memory, err), code;
	uint32_t *have;

	if (fd < 0)
		return fd;
	have = sums_make(fd, memory, err);
	code = have ? sums_compare(memory, have, wanted, err) : err->code;
	g_free(have);
	close(fd);
	return code;
}

int sums_check(int dir_fd, const struct manifest_memory *memory, struct mt_error *err)
{
	char *name = manifest_sums_file(memory->id);
	GByteArray *bytes = state_dir_read_checked(dir_fd, name, &memory->sums, err);
	uint32_t *wanted = bytes ? g_try_malloc0_n(chunks_of(memory->len_bytes), sizeof(*wanted)) : NULL;
	int code;

	if (!bytes)
		code = err->code;
	else if (!wanted)
		code = fault_set(err, MT_ENOMEM, memory->id, NULL, "out of memory");
	else
		code = sums_get(memory, bytes, wanted, err);
	if (code == 0)
		code = contents_check(dir_fd, memory, wanted, err);
	if (bytes)
		g_byte_array_unref(bytes);
	g_free(wanted);
	g_free(name);
	return code;
}
