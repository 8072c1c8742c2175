/* SPDX-License-Identifier: MIT */
/*
 * Kernel files; see image.h. Layouts: System V ABI's ELF-64 object files; Xen's PVH boot protocol (its entry stands in
 * a note, XEN_ELFNOTE_PHYS32_ENTRY); Linux, Documentation/arch/x86/boot.rst. The rule that is easy to break: no sum of
 * two numbers of the file without a check.
 */
#include "image.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/error.h>
#include <util/minmax.h>

#define NOTE_BYTES_MAX (64u << 10)
#define PHYS32_ENTRY   18u
#define PHDRS_MAX      64u

/* Offsets in a bzImage (boot.rst, "The Real-Mode Kernel Header"). */
#define SETUP_SECTS    0x1f1u
#define JUMP_LEN       0x201u
#define HEADER_MAGIC   0x202u
#define VERSION        0x206u
#define INITRD_MAX     0x22cu
#define XLOADFLAGS     0x236u
#define CMDLINE_SIZE   0x238u
#define PREF_ADDRESS   0x258u
#define INIT_SIZE      0x260u
#define LINUX_HEAD     0x268u
#define VERSION_2_12   0x20cu
#define XLF_KERNEL_64  1u
#define ENTRY_64       0x200u          /* behind the start of the protected-mode part */

/* "PATH: WHY" */
static int refuse(const struct mt_boot_file *file, struct mt_error *err, const char *why, const char *hint)
{
	mt_error_set(err, MT_EINVAL, file->key, "%s: %s", file->path, why);
	if (hint)
		mt_error_hint(err, "%s", hint);
	return MT_EINVAL;
}

/* ELF */

struct elf {
	struct image *image;
	const struct mt_boot_file *file;
	struct mt_error *err;
	Elf64_Phdr ph[PHDRS_MAX];
	uint32_t count;
};

static int segment_take(struct elf *e, const Elf64_Phdr *ph)
{
	struct image *image = e->image;
	uint64_t end;

	if (!ph->p_memsz)
		return 0;
	if (image->segment_count == IMAGE_SEGMENTS_MAX)
		return refuse(e->file, e->err, "the ELF file has more than 32 segments to load", NULL);
	if (!mt_range_inside(ph->p_offset, ph->p_filesz, e->file->len_bytes))
		return refuse(e->file, e->err, "an ELF segment lies beyond the end of the file", "the file is cut short");
	if (ph->p_filesz > ph->p_memsz || !mt_add_u64(ph->p_paddr, ph->p_memsz, &end))
		return refuse(e->file, e->err, "an ELF segment has sizes that cannot be", NULL);
	image->segments[image->segment_count++] =
		(struct image_segment){ ph->p_offset, ph->p_filesz, ph->p_paddr, ph->p_memsz };
	return 0;
}

/* One note of the segment `p`; how far it reaches, or 0: no more. */
static uint64_t note_take(struct image *image, const uint8_t *p, uint64_t left)
{
	uint64_t name, desc, at;

	if (left < 12)
		return 0;
	name = ((uint64_t)mt_get_le32(p) + 3) & ~3ull;
	desc = ((uint64_t)mt_get_le32(p + 4) + 3) & ~3ull;
	at = 12 + name;
	if (at > left || desc > left - at)
		return 0;
	if (mt_get_le32(p) == 4 && !memcmp(p + 12, "Xen", 4) && mt_get_le32(p + 8) == PHYS32_ENTRY && desc >= 4) {
		image->kind = IMAGE_PVH;
		/* 4 bytes, or 8 of which the upper ones are 0: it is a 32-bit entry */
		image->entry = mt_get_le32(p + at);
	}
	return at + desc;
}

static int notes_take(struct elf *e, const Elf64_Phdr *ph)
{
	uint8_t *notes;
	uint64_t at = 0, step;
	int rc;

	if (ph->p_filesz > NOTE_BYTES_MAX || !mt_range_inside(ph->p_offset, ph->p_filesz, e->file->len_bytes))
		return 0;      /* not what a PVH entry would be in */
	notes = malloc(ph->p_filesz + 1);
	if (!notes)
		return mt_error_set(e->err, MT_ENOMEM, e->file->key, "out of memory");
	rc = mt_boot_file_read(e->file, notes, ph->p_filesz, ph->p_offset, e->err);
	while (rc == 0 && (step = note_take(e->image, notes + at, ph->p_filesz - at)))
		at += step;
	free(notes);
	return rc;
}

static int elf_headers(struct elf *e)
{
	Elf64_Ehdr eh;
	int rc;

	if (e->file->len_bytes < sizeof(eh))
		return refuse(e->file, e->err, "the ELF header is cut short", NULL);
	rc = mt_boot_file_read(e->file, &eh, sizeof(eh), 0, e->err);
	if (rc)
		return rc;
	if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB || eh.e_machine != EM_X86_64)
		return refuse(e->file, e->err, "an ELF file, but not for x86-64", NULL);
	if (eh.e_phentsize != sizeof(Elf64_Phdr) || !eh.e_phnum || eh.e_phnum > PHDRS_MAX ||
	    !mt_range_inside(eh.e_phoff, eh.e_phnum * sizeof(Elf64_Phdr), e->file->len_bytes))
		return refuse(e->file, e->err, "the ELF file has no program headers, or too many", NULL);
	e->count = eh.e_phnum;
	return mt_boot_file_read(e->file, e->ph, e->count * sizeof(Elf64_Phdr), eh.e_phoff, e->err);
}

static int elf_parse(struct image *image, const struct mt_boot_file *file, struct mt_error *err)
{
	struct elf e = { .image = image, .file = file, .err = err };
	int rc = elf_headers(&e);

	for (uint32_t i = 0; !rc && i < e.count; i++) {
		if (e.ph[i].p_type == PT_LOAD)
			rc = segment_take(&e, &e.ph[i]);
		else if (e.ph[i].p_type == PT_NOTE)
			rc = notes_take(&e, &e.ph[i]);
	}
	if (rc)
		return rc;
	if (image->kind != IMAGE_PVH)
		return refuse(file, err, "the ELF file has no PVH entry (a note of Xen's, type 18)",
				   "build the kernel with CONFIG_PVH, or use its bzImage");
	if (!image->segment_count)
		return refuse(file, err, "the ELF file has nothing to load", NULL);
	image->initrd_max = UINT32_MAX;
	image->append_max = 4095;
	return 0;
}

/* bzImage */

static int linux_place(struct image *image, const struct mt_boot_file *file, const uint8_t *head, struct mt_error *err)
{
	uint32_t sects = head[SETUP_SECTS] ? head[SETUP_SECTS] : 4;
	uint64_t start = (sects + 1) * 512ull, gpa = mt_get_le64(head + PREF_ADDRESS), end;

	if (start >= file->len_bytes)
		return refuse(file, err, "the kernel behind the setup part is missing", "the file is cut short");
	image->segments[0] = (struct image_segment){
		start, file->len_bytes - start, gpa,
		mt_max_u64(mt_get_le32(head + INIT_SIZE), file->len_bytes - start),
	};
	if (!mt_add_u64(gpa, image->segments[0].memory_bytes, &end) || end > UINT32_MAX)
		return refuse(file, err, "the kernel wants to be above 4 GiB", NULL);
	image->segment_count = 1;
	image->entry = gpa + ENTRY_64;
	return 0;
}

static int linux_parse(struct image *image, const struct mt_boot_file *file, struct mt_error *err)
{
	uint8_t head[LINUX_HEAD];
	int rc;

	if (file->len_bytes < LINUX_HEAD)
		return refuse(file, err, "neither an ELF file nor a Linux bzImage", NULL);
	rc = mt_boot_file_read(file, head, sizeof(head), 0, err);
	if (rc)
		return rc;
	if (memcmp(head + HEADER_MAGIC, "HdrS", 4))
		return refuse(file, err, "neither an ELF file nor a Linux bzImage", "is it built for x86-64?");
	if (mt_get_le16(head + VERSION) < VERSION_2_12 || !(mt_get_le16(head + XLOADFLAGS) & XLF_KERNEL_64))
		return refuse(file, err, "the kernel has no 64-bit entry", "use Linux 3.8 or later, for x86-64");
	image->kind = IMAGE_LINUX;
	image->initrd_max = mt_get_le32(head + INITRD_MAX);
	image->append_max = mt_get_le32(head + CMDLINE_SIZE);
	/* the header ends where the jump over it leads to, and within what was read */
	image->setup_bytes = (uint32_t)mt_min_u64(HEADER_MAGIC + head[JUMP_LEN], LINUX_HEAD) - IMAGE_SETUP_AT;
	memcpy(image->setup, head + IMAGE_SETUP_AT, image->setup_bytes);
	return linux_place(image, file, head, err);
}

int image_parse(struct image *image, const struct mt_boot_file *file, struct mt_error *err)
{
	uint8_t magic[SELFMAG] = { 0 };
	int rc;

	memset(image, 0, sizeof(*image));
	rc = mt_boot_file_read(file, magic, mt_min_u64(sizeof(magic), file->len_bytes), 0, err);
	if (rc)
		return rc;
	if (!memcmp(magic, ELFMAG, SELFMAG))
		return elf_parse(image, file, err);
	return linux_parse(image, file, err);
}
