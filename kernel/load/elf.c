// SPDX-License-Identifier: MIT
/*
 * Bounds-checked ELF reading. The one rule: bytes come out through elf_copy or elf_string, which check, and
 * sums are made in 64 bits against the file's length before use. Any thread; nothing is written.
 */
#include "kernel/load/elf.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/machine/fault.h"

#define ELF_LEN_MAX (1ull << 32)
#define ELF_DYN_MAX 4096u
#define ELF_VERSION_MAX 4096u

#if defined(__x86_64__)
#define ELF_HOST EM_X86_64
#elif defined(__aarch64__)
#define ELF_HOST EM_AARCH64
#elif defined(__riscv)
#define ELF_HOST EM_RISCV
#else
#error "the number of this host's machine in ELF files is not known here"
#endif

static bool elf_within(const struct elf *elf, uint64_t offset, uint64_t len)
{
	return offset <= elf->len && len <= elf->len - offset;
}

static bool elf_copy(const struct elf *elf, uint64_t offset, void *out, size_t len)
{
	if (!elf_within(elf, offset, len))
		return false;
	memcpy(out, elf->bytes + offset, len);
	return true;
}

bool elf_phdr(const struct elf *elf, unsigned index, Elf64_Phdr *out)
{
	uint64_t at = (uint64_t)index * sizeof(*out);

	return index < elf->head.e_phnum && elf->head.e_phoff <= elf->len &&
	       elf_copy(elf, elf->head.e_phoff + at, out, sizeof(*out));
}

/* The file offset of a virtual address whose `len` bytes lie in one segment; false when they do not. */
static bool elf_offset_of(const struct elf *elf, uint64_t vaddr, uint64_t len, uint64_t *offset)
{
	Elf64_Phdr ph;

	for (unsigned i = 0; elf_phdr(elf, i, &ph); i++) {
		if (ph.p_type != PT_LOAD || vaddr < ph.p_vaddr || vaddr - ph.p_vaddr > ph.p_filesz)
			continue;
		uint64_t skip = vaddr - ph.p_vaddr;

		if (len > ph.p_filesz - skip || !elf_within(elf, ph.p_offset, ph.p_filesz))
			return false;
		*offset = ph.p_offset + skip;
		return true;
	}
	return false;
}

/* Opening */

static int elf_refuse(struct mt_error *err, const char *field, const char *message)
{
	return fault_set(err, MT_EINVAL, field, NULL, "%s", message);
}

static int elf_check_head(const struct elf *elf, struct mt_error *err)
{
	const Elf64_Ehdr *head = &elf->head;

	if (elf->len < SELFMAG || memcmp(elf->bytes, ELFMAG, SELFMAG))
		return elf_refuse(err, "magic", "not an ELF file");
	if (elf->len < sizeof(*head))
		return elf_refuse(err, "e_ident", "truncated: the ELF header is not whole");
	if (head->e_ident[EI_CLASS] != ELFCLASS64)
		return elf_refuse(err, "EI_CLASS", "wanted a 64-bit object, offered another class");
	if (head->e_ident[EI_DATA] != ELFDATA2LSB)
		return elf_refuse(err, "EI_DATA", "wanted a little-endian object, offered a big-endian one");
	if (head->e_machine != ELF_HOST)
		return fault_set(err, MT_EINVAL, "e_machine", "take the build for this host's processor",
				 "wanted machine %u (this host), offered machine %u", ELF_HOST, head->e_machine);
	if (head->e_type != ET_DYN)
		return fault_set(err, MT_EINVAL, "e_type", NULL, "wanted a shared object (type %u), offered type %u",
				 ET_DYN, head->e_type);
	if (head->e_phentsize != sizeof(Elf64_Phdr) || !head->e_phnum ||
	    !elf_within(elf, head->e_phoff, (uint64_t)head->e_phnum * sizeof(Elf64_Phdr)))
		return elf_refuse(err, "e_phoff", "truncated: the program headers are not in the file");
	return 0;
}

static int elf_check_segments(const struct elf *elf, struct mt_error *err)
{
	Elf64_Phdr ph;

	for (unsigned i = 0; elf_phdr(elf, i, &ph); i++)
		if (ph.p_type == PT_LOAD && !elf_within(elf, ph.p_offset, ph.p_filesz))
			return fault_set(err, MT_EINVAL, "p_filesz", "copy the file again",
					 "truncated: wanted bytes 0x%llx+0x%llx, offered a file of 0x%zx",
					 (unsigned long long)ph.p_offset, (unsigned long long)ph.p_filesz, elf->len);
	return 0;
}

bool elf_dyn(const struct elf *elf, uint64_t index, Elf64_Dyn *out)
{
	return index < elf->dyn_count && elf_copy(elf, elf->dyn_offset + index * sizeof(*out), out, sizeof(*out)) &&
	       out->d_tag != DT_NULL;
}

/* How many symbols the GNU hash table reaches: the highest chain's end. */
static uint64_t elf_gnu_count(const struct elf *elf)
{
	uint32_t head[4], word, last = 0;

	if (!elf_copy(elf, elf->gnu_hash_offset, head, sizeof(head)))
		return 0;
	uint64_t buckets = elf->gnu_hash_offset + sizeof(head) + 8ull * head[2];
	uint64_t chains = buckets + 4ull * head[0];

	for (uint64_t i = 0; i < head[0] && elf_copy(elf, buckets + 4 * i, &word, sizeof(word)); i++)
		last = MAX(last, word);
	if (last < head[1])
		return head[1];
	do {
		if (!elf_copy(elf, chains + 4ull * (last - head[1]), &word, sizeof(word)))
			return 0;
		last++;
	} while (!(word & 1) && last);
	return last;
}

struct elf_tables {
	uint64_t strtab, symtab, hash, gnu_hash, versym, verneed, verdef;
};

static void elf_take_tag(struct elf *elf, struct elf_tables *t, const Elf64_Dyn *dyn)
{
	uint64_t value = dyn->d_un.d_val;

	switch (dyn->d_tag) {
	case DT_STRTAB: t->strtab = value; break;
	case DT_STRSZ: elf->str_len = value; break;
	case DT_SYMTAB: t->symtab = value; break;
	case DT_HASH: t->hash = value; break;
	case DT_GNU_HASH: t->gnu_hash = value; break;
	case DT_VERSYM: t->versym = value; break;
	case DT_VERNEED: t->verneed = value; break;
	case DT_VERNEEDNUM: elf->verneed_count = MIN(value, ELF_VERSION_MAX); break;
	case DT_VERDEF: t->verdef = value; break;
	case DT_VERDEFNUM: elf->verdef_count = MIN(value, ELF_VERSION_MAX); break;
	case DT_FLAGS: elf->flags |= value; break;
	case DT_FLAGS_1: elf->flags_1 |= value; break;
	case DT_BIND_NOW: elf->flags |= DF_BIND_NOW; break;
	case DT_TEXTREL: elf->flags |= DF_TEXTREL; break;
	default: break;
	}
}

static uint64_t elf_table(const struct elf *elf, uint64_t vaddr, uint64_t len)
{
	uint64_t offset = 0;

	return vaddr && elf_offset_of(elf, vaddr, len, &offset) ? offset : 0;
}

static void elf_find_tables(struct elf *elf, const struct elf_tables *t)
{
	uint32_t hash[2];
	uint64_t hash_offset = elf_table(elf, t->hash, sizeof(hash));

	elf->str_offset = elf_table(elf, t->strtab, elf->str_len);
	elf->sym_offset = elf_table(elf, t->symtab, sizeof(Elf64_Sym));
	elf->gnu_hash_offset = elf_table(elf, t->gnu_hash, 16);
	elf->versym_offset = elf_table(elf, t->versym, 2);
	elf->verneed_offset = elf_table(elf, t->verneed, sizeof(Elf64_Verneed));
	elf->verdef_offset = elf_table(elf, t->verdef, sizeof(Elf64_Verdef));
	if (elf->gnu_hash_offset)
		elf->sym_count = elf_gnu_count(elf);
	if (hash_offset && elf_copy(elf, hash_offset, hash, sizeof(hash)))
		elf->sym_count = MAX(elf->sym_count, hash[1]);
	if (!elf_within(elf, elf->sym_offset, 0))
		elf->sym_count = 0;
	else
		elf->sym_count = MIN(elf->sym_count, (elf->len - elf->sym_offset) / sizeof(Elf64_Sym));
}

static void elf_read_dynamic(struct elf *elf)
{
	struct elf_tables tables = { 0 };
	Elf64_Phdr ph;
	Elf64_Dyn dyn;

	for (unsigned i = 0; elf_phdr(elf, i, &ph); i++) {
		if (ph.p_type != PT_DYNAMIC || !elf_within(elf, ph.p_offset, ph.p_filesz))
			continue;
		elf->has_dynamic = true;
		elf->dyn_offset = ph.p_offset;
		elf->dyn_count = MIN(ph.p_filesz / sizeof(Elf64_Dyn), ELF_DYN_MAX);
		break;
	}
	for (uint64_t i = 0; elf_dyn(elf, i, &dyn); i++)
		elf_take_tag(elf, &tables, &dyn);
	elf_find_tables(elf, &tables);
}

int elf_attach(struct elf *elf, const void *bytes, size_t len, struct mt_error *err)
{
	memset(elf, 0, sizeof(*elf));
	elf->bytes = bytes;
	elf->len = len;
	elf_copy(elf, 0, &elf->head, sizeof(elf->head));
	int code = elf_check_head(elf, err);

	if (!code)
		code = elf_check_segments(elf, err);
	if (!code)
		elf_read_dynamic(elf);
	return code;
}

static int elf_map(const char *path, void **bytes, size_t *len, struct mt_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return fault_set(err, errno == ENOENT ? MT_ENOENT : MT_EPERM, "file", NULL, "cannot be opened: %s",
				 g_strerror(errno));
	*bytes = MAP_FAILED;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size < ELF_LEN_MAX) {
		*len = (size_t)st.st_size;
		*bytes = mmap(NULL, *len, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	close(fd);
	return *bytes != MAP_FAILED ? 0 : elf_refuse(err, "file", "not an ELF file (empty, or no regular file)");
}

int elf_open(struct elf *elf, const char *path, struct mt_error *err)
{
	void *bytes;
	size_t len = 0;
	int code = elf_map(path, &bytes, &len, err);

	if (code)
		return code;
	code = elf_attach(elf, bytes, len, err);
	elf->mapped = true;
	if (code)
		elf_close(elf);
	return code;
}

void elf_close(struct elf *elf)
{
	if (elf->mapped)
		munmap((void *)elf->bytes, elf->len);
	elf->bytes = NULL;
	elf->len = 0;
	elf->mapped = false;
}

/* Notes */

static uint64_t elf_round4(uint64_t len)
{
	return (len + 3) & ~3ull;
}

static const void *elf_note_in(const struct elf *elf, uint64_t at, uint64_t end, const char *owner,
			       uint32_t type, size_t *len)
{
	size_t owner_len = strlen(owner) + 1;
	Elf64_Nhdr head;

	while (at < end && elf_copy(elf, at, &head, sizeof(head))) {
		uint64_t name = at + sizeof(head), desc = name + elf_round4(head.n_namesz);

		if (desc > end || head.n_descsz > end - desc)
			return NULL;
		if (head.n_type == type && head.n_namesz == owner_len &&
		    !memcmp(elf->bytes + name, owner, owner_len)) {
			*len = head.n_descsz;
			return elf->bytes + desc;
		}
		at = desc + elf_round4(head.n_descsz);
	}
	return NULL;
}

const void *elf_note(const struct elf *elf, const char *owner, uint32_t type, size_t *len)
{
	const void *desc = NULL;
	Elf64_Phdr ph;

	for (unsigned i = 0; !desc && elf_phdr(elf, i, &ph); i++)
		if (ph.p_type == PT_NOTE && elf_within(elf, ph.p_offset, ph.p_filesz) && ph.p_align <= 4)
			desc = elf_note_in(elf, ph.p_offset, ph.p_offset + ph.p_filesz, owner, type, len);
	return desc;
}

/* Strings and symbols */

const char *elf_string(const struct elf *elf, uint64_t offset)
{
	if (!elf->str_offset || offset >= elf->str_len)
		return NULL;
	const char *text = (const char *)elf->bytes + elf->str_offset + offset;

	return memchr(text, 0, elf->str_len - offset) ? text : NULL;
}

const char *elf_needed(const struct elf *elf, unsigned index)
{
	Elf64_Dyn dyn;

	for (uint64_t i = 0; elf_dyn(elf, i, &dyn); i++)
		if (dyn.d_tag == DT_NEEDED && index-- == 0)
			return elf_string(elf, dyn.d_un.d_val);
	return NULL;
}

const char *elf_runpath(const struct elf *elf)
{
	const char *rpath = NULL;
	Elf64_Dyn dyn;

	for (uint64_t i = 0; elf_dyn(elf, i, &dyn); i++) {
		if (dyn.d_tag == DT_RUNPATH)
			return elf_string(elf, dyn.d_un.d_val);
		if (dyn.d_tag == DT_RPATH)
			rpath = elf_string(elf, dyn.d_un.d_val);
	}
	return rpath;
}

bool elf_symbol(const struct elf *elf, uint64_t index, Elf64_Sym *out)
{
	return elf->sym_offset && index < elf->sym_count &&
	       elf_copy(elf, elf->sym_offset + index * sizeof(*out), out, sizeof(*out));
}

static bool elf_symbol_is(const struct elf *elf, uint64_t index, const char *name)
{
	Elf64_Sym sym;
	const char *text;

	if (!elf_symbol(elf, index, &sym) || sym.st_shndx == SHN_UNDEF || ELF64_ST_BIND(sym.st_info) == STB_LOCAL)
		return false;
	text = elf_string(elf, sym.st_name);
	return text && !strcmp(text, name);
}

static uint32_t elf_gnu_hash(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

static bool elf_defines_hashed(const struct elf *elf, const char *name)
{
	uint32_t head[4], hash = elf_gnu_hash(name), index, word;

	if (!elf_copy(elf, elf->gnu_hash_offset, head, sizeof(head)) || !head[0])
		return false;
	uint64_t buckets = elf->gnu_hash_offset + sizeof(head) + 8ull * head[2];
	uint64_t chains = buckets + 4ull * head[0];

	if (!elf_copy(elf, buckets + 4ull * (hash % head[0]), &index, sizeof(index)) || index < head[1])
		return false;
	for (uint64_t i = index; elf_copy(elf, chains + 4 * (i - head[1]), &word, sizeof(word)); i++) {
		if ((word | 1) == (hash | 1) && elf_symbol_is(elf, i, name))
			return true;
		if (word & 1)
			break;
	}
	return false;
}

bool elf_defines(const struct elf *elf, const char *name)
{
	if (elf->gnu_hash_offset)
		return elf_defines_hashed(elf, name);
	for (uint64_t i = 0; i < elf->sym_count; i++)
		if (elf_symbol_is(elf, i, name))
			return true;
	return false;
}

/* Versions */

bool elf_has_version(const struct elf *elf, const char *version)
{
	uint64_t at = elf->verdef_offset;
	Elf64_Verdef def;
	Elf64_Verdaux aux;

	if (!at)
		return true;
	for (uint64_t i = 0; i < elf->verdef_count && elf_copy(elf, at, &def, sizeof(def)); i++) {
		const char *name = elf_copy(elf, at + def.vd_aux, &aux, sizeof(aux)) ? elf_string(elf, aux.vda_name)
										     : NULL;

		if (name && !strcmp(name, version))
			return true;
		if (!def.vd_next)
			break;
		at += def.vd_next;
	}
	return false;
}

bool elf_version_needed(const struct elf *elf, unsigned index, const char **library, const char **version)
{
	uint64_t at = elf->verneed_offset;
	Elf64_Verneed need;
	Elf64_Vernaux aux;

	for (uint64_t i = 0; at && i < elf->verneed_count && elf_copy(elf, at, &need, sizeof(need)); i++) {
		uint64_t aux_at = at + need.vn_aux;

		for (unsigned k = 0; k < need.vn_cnt && elf_copy(elf, aux_at, &aux, sizeof(aux)); k++) {
			if (index-- == 0) {
				*library = elf_string(elf, need.vn_file);
				*version = elf_string(elf, aux.vna_name);
				return *library && *version;
			}
			aux_at += aux.vna_next;
		}
		if (!need.vn_next)
			break;
		at += need.vn_next;
	}
	return false;
}
