/* SPDX-License-Identifier: MIT */
/*
 * RAM objects. The host address and the length never change while an object lives: the memfd of a shared one
 * is sealed against shrinking, since a shorter file would turn a guest access into SIGBUS. A private one is
 * anonymous memory, for which hosts give huge pages where they do not for files.
 * Called from [main]. Nothing here may touch the memory or the bitmaps: a machine with 1 GiB costs its guest
 * only the pages that it uses.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/machine/fault.h"
#include "kernel/machine/space.h"

#define RAM_PAGE_BYTES (1ull << MT_DIRTY_PAGE_BITS)
#define RAM_LEN_MAX (1ull << 46)       /* well below the user half of the host's addresses */
#define RAM_HUGE_BYTES (2ull << 20)

struct ram_block {
	struct mt_ram ram;             /* first: ram_destroy casts back */
	char *name;
	uint64_t bitmap_bytes;
	bool anonymous;                /* no file is behind it: a page that is not there is zero */
	void *map;                     /* what was mapped: `hva` is its first huge-page boundary */
	uint64_t map_bytes;
};

static uint64_t bitmap_bytes(uint64_t len_bytes)
{
	uint64_t pages = len_bytes >> MT_DIRTY_PAGE_BITS;

	return (pages + 63) / 64 * 8;
}

/* Anonymous memory reads as zero without being there: no page of it is used before the first dirty page. */
static uint64_t *bitmap_create(uint64_t bytes)
{
	int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE;
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

static int memfd_make(const char *name, uint64_t len_bytes, struct mt_error *err)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return fault_set(err, MT_EHOST, "size", NULL, "no memory file for '%s': %s", name,
				 strerror(errno));
	if (ftruncate(fd, (off_t)len_bytes) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		return fd;
	fault_set(err, MT_ENOMEM, "size", "check limits on file size (ulimit -f) and memory",
		  "cannot make %llu bytes of memory for '%s': %s", (unsigned long long)len_bytes, name,
		  strerror(errno));
	close(fd);
	return MT_ENOMEM;
}

/* `contents` -1: there are none to map. */
static int ram_map(struct ram_block *block, int contents, struct mt_error *err)
{
	struct mt_ram *ram = &block->ram;
	int fd = ram->fd < 0 ? contents : ram->fd;
	int how = ram->fd >= 0 ? MAP_SHARED : fd >= 0 ? MAP_PRIVATE : MAP_PRIVATE | MAP_ANONYMOUS;
	uint64_t slack = fd < 0 ? RAM_HUGE_BYTES : 0;
	void *map = mmap(NULL, ram->len_bytes + slack, PROT_READ | PROT_WRITE, how | MAP_NORESERVE, fd, 0);

	if (map == MAP_FAILED)
		return fault_set(err, MT_ENOMEM, "size", "check limits on address space (ulimit -v)",
				 "cannot map %llu bytes for '%s': %s", (unsigned long long)ram->len_bytes,
				 block->name, strerror(errno));
	block->map = map;
	block->anonymous = fd < 0;
	block->map_bytes = ram->len_bytes + slack;
	ram->hva = (uint8_t *)map + (slack ? -(uintptr_t)map & (RAM_HUGE_BYTES - 1) : 0);
	ram->dirty[MT_DIRTY_CODE] = bitmap_create(block->bitmap_bytes);
	if (!ram->dirty[MT_DIRTY_CODE])
		return fault_set(err, MT_ENOMEM, "size", NULL, "no memory for the page map of '%s'",
				 block->name);
	/* advice only: hosts without huge pages for shared memory say no */
	(void)madvise(ram->hva, ram->len_bytes, MADV_HUGEPAGE);
	(void)madvise(ram->hva, ram->len_bytes, MADV_DONTDUMP);
	return 0;
}

/* Holes of the file are skipped: the memory behind them is zero already. */
static bool contents_copy(const struct mt_ram *ram, int fd)
{
	off_t data = 0, hole;

	for (;;) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0)
			return errno == ENXIO;          /* nothing but a hole is left */
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0)
			return false;
		while (data < hole) {
			ssize_t n = pread(fd, ram->hva + data, (size_t)(hole - data), data);

			if (n == 0 || (n < 0 && errno != EINTR))
				return false;
			data += n > 0 ? n : 0;
		}
	}
}

static int ram_fill(struct ram_block *block, int fd, struct mt_error *err)
{
	if (contents_copy(&block->ram, fd))
		return 0;
	return fault_set(err, MT_EIO, NULL, NULL, "the contents of '%s' cannot be read: %s", block->name,
			 strerror(errno));
}

struct mt_ram *ram_create(struct space *space, const char *name, uint64_t len_bytes, bool share,
			  struct mt_error *err)
{
	return ram_create_from(space, name, len_bytes, share, -1, err);
}

struct mt_ram *ram_create_from(struct space *space, const char *name, uint64_t len_bytes, bool share, int fd,
			       struct mt_error *err)
{
	struct ram_block *block;

	if (len_bytes == 0 || len_bytes % RAM_PAGE_BYTES || len_bytes > RAM_LEN_MAX) {
		fault_set(err, MT_EINVAL, "size", "give a multiple of 4K up to 64T",
			  "memory '%s' cannot be %llu bytes long", name, (unsigned long long)len_bytes);
		return NULL;
	}
	block = g_new0(struct ram_block, 1);
	block->name = g_strdup(name);
	block->bitmap_bytes = bitmap_bytes(len_bytes);
	block->ram.size = sizeof(block->ram);
	block->ram.len_bytes = len_bytes;
	block->ram.fd = share ? memfd_make(name, len_bytes, err) : -1;
	if ((share && block->ram.fd < 0) || ram_map(block, fd, err) < 0 ||
	    (share && fd >= 0 && ram_fill(block, fd, err) < 0)) {
		ram_destroy(&block->ram);
		return NULL;
	}
	block->ram.id = space_own_ram(space, &block->ram);
	return &block->ram;
}

/* Once made it stays until the RAM goes: who marks pages may hold it. */
int ram_track(struct mt_ram *ram, uint32_t client, struct mt_error *err)
{
	const struct ram_block *block = (const struct ram_block *)ram;
	uint64_t *bitmap = ram->dirty[client] ? ram->dirty[client] : bitmap_create(block->bitmap_bytes);

	if (!bitmap)
		return fault_set(err, MT_ENOMEM, "size", NULL, "no memory for the page map of '%s'", block->name);
	for (uint64_t i = 0; i < block->bitmap_bytes / sizeof(*bitmap); i++)
		__atomic_store_n(&bitmap[i], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ram->dirty[client], bitmap, __ATOMIC_RELEASE);
	return 0;
}

void ram_destroy(struct mt_ram *ram)
{
	struct ram_block *block = (struct ram_block *)ram;

	for (unsigned i = 0; i < MT_DIRTY_CLIENTS; i++) {
		if (ram->dirty[i])
			munmap(ram->dirty[i], block->bitmap_bytes);
	}
	if (block->map)
		munmap(block->map, block->map_bytes);
	if (ram->fd >= 0)
		close(ram->fd);
	g_free(block->name);
	g_free(block);
}

bool ram_is_anonymous(const struct mt_ram *ram)
{
	return ((const struct ram_block *)ram)->anonymous;
}

const char *ram_name(const struct mt_ram *ram)
{
	return ((const struct ram_block *)ram)->name;
}
