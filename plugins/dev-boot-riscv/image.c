/* SPDX-License-Identifier: MIT */
/*
 * Headers of files to boot from; see image.h. Layouts: the kernel's Documentation/arch/riscv/boot-image-header
 * and the System V ABI's ELF-64 object file format. The rule that is easy to break: no byte of `head` beyond
 * min(file_bytes, IMAGE_HEAD_BYTES), and no sum of two numbers of the file without a check.
 */
#include "image.h"

#include <elf.h>
#include <lib/boot-place.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

/* Offsets in the Image header. */
#define LINUX_HEADER_BYTES 64u
#define LINUX_TEXT_OFFSET  8u
#define LINUX_IMAGE_SIZE   16u
#define LINUX_FLAGS        24u
#define LINUX_MAGIC2       56u
#define LINUX_MAGIC2_VALUE 0x05435352u   /* "RSC" 5 */
#define LINUX_BIG_ENDIAN   1u

struct parse {
	struct image *image;
	const uint8_t *head;
	uint64_t head_bytes;
	const char *key, *path;
	struct mt_error *err;
	uint64_t entry_virtual;    /* ELF */
};

static int is_magic(const struct parse *p, uint64_t offset, const void *magic, size_t len)
{
	return mt_range_inside(offset, len, p->head_bytes) && !memcmp(p->head + offset, magic, len);
}

static int refuse(const struct parse *p, const char *why, const char *hint)
{
	mt_error_set(p->err, MT_EINVAL, p->key, "%s: %s", p->path, why);
	return hint ? mt_error_hint(p->err, "%s", hint), MT_EINVAL : MT_EINVAL;
}

static int parse_linux(const struct parse *p)
{
	struct image *image = p->image;

	image->kind = IMAGE_LINUX;
	image->text_offset = mt_get_le64(p->head + LINUX_TEXT_OFFSET);
	image->memory_bytes = mt_max_u64(mt_get_le64(p->head + LINUX_IMAGE_SIZE), image->file_bytes);
	if (mt_get_le64(p->head + LINUX_FLAGS) & LINUX_BIG_ENDIAN)
		return refuse(p, "a big-endian kernel", NULL);
	if (image->text_offset > (uint64_t)1 << 40 || image->memory_bytes > (uint64_t)1 << 40)
		return refuse(p, "the Image header is damaged: text offset or size beyond all memory", NULL);
	return 0;
}

static int elf_segment(const struct parse *p, const Elf64_Phdr *ph)
{
	struct image *image = p->image;
	struct image_segment *s = &image->segments[image->segment_count];
	uint64_t end;

	if (ph->p_type != PT_LOAD || !ph->p_memsz)
		return 0;
	if (image->segment_count == IMAGE_SEGMENTS_MAX)
		return refuse(p, "the ELF file has more than 32 segments to load", NULL);
	if (!mt_range_inside(ph->p_offset, ph->p_filesz, image->file_bytes))
		return refuse(p, "an ELF segment lies beyond the end of the file", "the file is cut short");
	if (ph->p_filesz > ph->p_memsz || !mt_add_u64(ph->p_paddr, ph->p_memsz, &end))
		return refuse(p, "an ELF segment has sizes that cannot be", NULL);
	*s = (struct image_segment){ ph->p_offset, ph->p_filesz, ph->p_paddr, ph->p_memsz };
	image->segment_count++;
	/* the entry is a virtual address; the guest starts untranslated */
	if (p->entry_virtual >= ph->p_vaddr && p->entry_virtual - ph->p_vaddr < ph->p_memsz)
		image->entry = p->entry_virtual - ph->p_vaddr + ph->p_paddr;
	return 0;
}

static int elf_check(const struct parse *p, const Elf64_Ehdr *eh)
{
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_RISCV)
		return refuse(p, "an ELF file, but not for 64-bit RISC-V", NULL);
	if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
		return refuse(p, "an ELF file, but no program", "an object file must be linked first");
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || !eh->e_phnum)
		return refuse(p, "the ELF file has no program headers", NULL);
	if (!mt_range_inside(eh->e_phoff, (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr), p->head_bytes))
		return refuse(p, "the ELF program headers are not near the start of the file", NULL);
	return 0;
}

static int parse_elf(struct parse *p)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int rc;

	if (p->head_bytes < sizeof(eh))
		return refuse(p, "the ELF header is cut short", NULL);
	memcpy(&eh, p->head, sizeof(eh));
	rc = elf_check(p, &eh);
	p->image->kind = IMAGE_ELF;
	p->entry_virtual = p->image->entry = eh.e_entry;
	for (uint32_t i = 0; !rc && i < eh.e_phnum; i++) {
		memcpy(&ph, p->head + eh.e_phoff + i * sizeof(ph), sizeof(ph));
		rc = elf_segment(p, &ph);
	}
	if (!rc && !p->image->segment_count)
		return refuse(p, "the ELF file has nothing to load", NULL);
	return rc;
}

int image_parse(struct image *image, const uint8_t *head, uint64_t file_bytes, const char *key, const char *path,
		struct mt_error *err)
{
	struct parse p = { image, head, mt_min_u64(file_bytes, IMAGE_HEAD_BYTES), key, path, err, 0 };
	const char *packed;

	memset(image, 0, sizeof(*image));
	image->file_bytes = file_bytes;
	image->memory_bytes = file_bytes;
	if (!file_bytes)
		return refuse(&p, "the file is empty", NULL);
	packed = mt_boot_packed(head, p.head_bytes);
	if (packed)
		return refuse(&p, packed, "unpack it, and name the unpacked Image");
	if (is_magic(&p, 0, ELFMAG, SELFMAG))
		return parse_elf(&p);
	if (p.head_bytes >= LINUX_HEADER_BYTES && mt_get_le32(head + LINUX_MAGIC2) == LINUX_MAGIC2_VALUE)
		return parse_linux(&p);
	return 0;
}
