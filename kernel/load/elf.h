/* SPDX-License-Identifier: MIT */
/*
 * A reader of ELF shared objects that trusts nothing in them: every offset is checked, nothing is executed,
 * structs are copied out because hostile offsets need not be aligned. 64-bit little-endian only. Any thread.
 */
#ifndef KERNEL_LOAD_ELF_H
#define KERNEL_LOAD_ELF_H

#include <elf.h>
#include <mortise/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf {
	const uint8_t *bytes;          /* the file, mapped; or a caller's buffer */
	size_t len;
	bool mapped;
	Elf64_Ehdr head;
	/* from the dynamic section; 0 where it says nothing */
	uint64_t dyn_offset, dyn_count;
	uint64_t str_offset, str_len, sym_offset, sym_count, gnu_hash_offset, versym_offset;
	uint64_t verneed_offset, verneed_count, verdef_offset, verdef_count;
	uint64_t flags, flags_1;       /* DF_*, DF_1_*; the older tags are folded in */
	bool has_dynamic;
};

/* Maps a file and reads its headers. 0, or a negative code with `err` filled (culprit: the field). */
int elf_open(struct elf *elf, const char *path, struct mt_error *err);
/* The same on bytes in memory, which must outlive it. */
int elf_attach(struct elf *elf, const void *bytes, size_t len, struct mt_error *err);
void elf_close(struct elf *elf);

/* Program header `index` (below head.e_phnum). */
bool elf_phdr(const struct elf *elf, unsigned index, Elf64_Phdr *out);
/* The descriptor of a note, or NULL. */
const void *elf_note(const struct elf *elf, const char *owner, uint32_t type, size_t *len);

/* Entry `index` of the dynamic section: false behind its end. */
bool elf_dyn(const struct elf *elf, uint64_t index, Elf64_Dyn *out);
/* A string of the dynamic string table; NULL when it is outside or has no end. */
const char *elf_string(const struct elf *elf, uint64_t offset);
/* The n-th DT_NEEDED, or NULL. */
const char *elf_needed(const struct elf *elf, unsigned index);
/* DT_RUNPATH or, where there is none, DT_RPATH; NULL without. */
const char *elf_runpath(const struct elf *elf);

/* Dynamic symbol `index`; false when it is not there. */
bool elf_symbol(const struct elf *elf, uint64_t index, Elf64_Sym *out);
/* Whether the object defines a dynamic symbol of this name. */
bool elf_defines(const struct elf *elf, const char *name);
/* Whether the object defines this version ("GLIBC_2.34"); true when it has no versions at all. */
bool elf_has_version(const struct elf *elf, const char *version);

/* The n-th version that the object needs: library and version name. False behind the end. */
bool elf_version_needed(const struct elf *elf, unsigned index, const char **library, const char **version);

#endif
