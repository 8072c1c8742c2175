/* SPDX-License-Identifier: MIT */
/*
 * dev-boot-x86: loads a kernel and its initial RAM disk without firmware, and sets the registers of the first vCPU.
 * An ELF file is entered as PVH says, in 32-bit protected mode; a Linux bzImage at its 64-bit entry. All calls [main].
 * The files are opened in realize and read again at every reset, straight into guest RAM: a guest that has overwritten
 * itself starts anew.
 *
 * Low memory, below the first 640 KiB, holds what the kernel is told: see the addresses below.
 */
#define MT_NOTE_NAME     "dev-boot-x86"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "x86-64 boot loader: PVH ELF kernel or Linux bzImage, initial RAM disk"
#define MT_NOTE_REQUIRES "mortise.boot/1 mortise.dma/1 mortise.props/1"
#define MT_NOTE_OPTIONAL "mortise.acpi-host/1"
#define MT_NOTE_CAPS     0
#define BOOT_PROPS(P, c) \
	P(c, kernel, "kernel", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, "ELF file with a PVH entry, or Linux bzImage") \
	P(c, initrd, "initrd", MT_PROP_PATH, "", "", "", 0, "initial RAM disk, passed as it is") \
	P(c, append, "append", MT_PROP_STRING, "", "", "", 0, "kernel command line")
#define MT_NOTE_CLASSES(C) \
	C(boot, "dev-boot-x86", MT_KIND_BOOT, 0, MT_NOTE_SUMMARY, "", BOOT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/boot.h>
#include <mortise/draft/device.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/checked.h>
#include <util/endian.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/state.h>

#include "image.h"

#define GDT_AT     0x1000u
#define INFO_AT    0x2000u         /* PVH start info, its one module behind it */
#define MODULE_AT  0x2100u
#define MEMMAP_AT  0x2200u
#define ZERO_AT    0x7000u         /* Linux boot_params */
#define TABLES_AT  0x9000u         /* page tables: one root, one directory of pointers, four directories */
#define APPEND_AT  0x20000u
#define LOW_END    0x9fc00u        /* the extended BIOS data area would be here */
#define ACPI_AT    0xe0000u        /* up to 1 MiB, where older software looks for the RSDP as well */
#define HIGH_START 0x100000u
#define FOUR_GIB   0x100000000ull
#define PAGE       4096u

#define MEMMAP_MAX 16u
#define APPEND_MAX 0x10000u

struct boot {
	struct mt_inst *inst;
	const struct mt_boot_host *host;
	const struct mt_dma_host *dma_host;
	const struct mt_props_host *props;
	const struct mt_acpi_host *acpi;   /* NULL: this mortise has none */
	struct mt_dma *dma;
	struct mt_boot_file kernel, initrd;
	struct image image;
	uint64_t ram_bytes;        /* of the first block, which begins at 0 */
	uint64_t initrd_gpa;       /* 0: none */
	uint64_t rsdp_gpa;         /* 0: the machine has no ACPI tables */
};

/* Guest memory */

static int put(struct boot *b, uint64_t gpa, const void *data, uint64_t len_bytes, struct mt_error *err)
{
	if (b->dma_host->write(b->dma, gpa, data, len_bytes) == MT_BUS_OK)
		return 0;
	return mt_error_set(err, MT_EIO, "kernel", "there is no RAM at 0x%llx", (unsigned long long)gpa);
}

struct range {
	uint64_t gpa, len_bytes;
};

/* The memory map: the first block without the hole of the PC's adapters, the others whole. */
static uint32_t ranges_of(const struct boot *b, struct range ranges[MEMMAP_MAX])
{
	uint64_t gpa, len_bytes;
	uint32_t n = 2;

	ranges[0] = (struct range){ 0, LOW_END };
	ranges[1] = (struct range){ HIGH_START, b->ram_bytes - HIGH_START };
	for (uint32_t i = 1; n < MEMMAP_MAX && !b->host->ram_block(b->inst, i, &gpa, &len_bytes); i++)
		ranges[n++] = (struct range){ gpa, len_bytes };
	return n;
}

/* Both protocols: where a range begins, its length, 1 for RAM; the stride differs. */
static uint32_t memmap_fill(const struct boot *b, uint8_t *out, uint32_t stride)
{
	struct range ranges[MEMMAP_MAX];
	uint32_t n = ranges_of(b, ranges);

	for (uint32_t i = 0; i < n; i++) {
		mt_put_le64(out + i * stride, ranges[i].gpa);
		mt_put_le64(out + i * stride + 8, ranges[i].len_bytes);
		mt_put_le32(out + i * stride + 16, 1);
	}
	return n;
}

/* Loading */

static int overlap_refuse(const struct mt_boot_file *file, uint64_t gpa, uint64_t len_bytes, struct mt_error *err)
{
	mt_error_set(err, MT_ENOSPC, file->key, "%s: %llu bytes at 0x%llx do not fit into RAM", file->path,
		     (unsigned long long)len_bytes, (unsigned long long)gpa);
	mt_error_hint(err, "give the first [memory] section more RAM");
	return MT_ENOSPC;
}

static int segment_load(struct boot *b, const struct image_segment *s, struct mt_error *err)
{
	int rc;

	if (s->gpa < HIGH_START || !mt_range_inside(s->gpa, s->memory_bytes, b->ram_bytes))
		return overlap_refuse(&b->kernel, s->gpa, s->memory_bytes, err);
	rc = mt_boot_file_load(&b->kernel, b->dma_host, b->dma, s->file_offset, s->gpa, s->file_bytes, err);
	if (rc || s->memory_bytes == s->file_bytes)
		return rc;
	if (b->dma_host->fill(b->dma, s->gpa + s->file_bytes, 0, s->memory_bytes - s->file_bytes) == MT_BUS_OK)
		return 0;
	return overlap_refuse(&b->kernel, s->gpa, s->memory_bytes, err);
}

static uint64_t kernel_end(const struct boot *b)
{
	uint64_t end = HIGH_START;

	for (uint32_t i = 0; i < b->image.segment_count; i++)
		end = mt_max_u64(end, b->image.segments[i].gpa + b->image.segments[i].memory_bytes);
	return end;
}

/* As high as the kernel can take it. */
static int initrd_load(struct boot *b, struct mt_error *err)
{
	uint64_t end = mt_min_u64(mt_min_u64(b->ram_bytes, FOUR_GIB), b->image.initrd_max + 1);
	uint64_t len = b->initrd.len_bytes;

	b->initrd_gpa = 0;
	if (b->initrd.fd < 0)
		return 0;
	if (len > end || ((end - len) & ~(uint64_t)(PAGE - 1)) < kernel_end(b))
		return overlap_refuse(&b->initrd, kernel_end(b), len, err);
	b->initrd_gpa = (end - len) & ~(uint64_t)(PAGE - 1);
	return mt_boot_file_load(&b->initrd, b->dma_host, b->dma, 0, b->initrd_gpa, len, err);
}

static int append_load(struct boot *b, struct mt_error *err)
{
	const char *text = b->props->present(b->inst, "append") ? b->props->get_str(b->inst, "append") : "";
	size_t len = strlen(text), max = mt_min_u64(b->image.append_max, APPEND_MAX - 1);

	if (len > max)
		return mt_error_set(err, MT_EINVAL, "append", "the command line has %zu bytes; this kernel takes %zu", len, max);
	return put(b, APPEND_AT, text, len + 1, err);
}

/* What the machine's writer of ACPI tables makes, if there is one. The RSDP comes first. */
static int acpi_load(struct boot *b, struct mt_error *err)
{
	const void *blob;
	uint64_t len;
	int rc = b->acpi ? b->acpi->tables(b->inst, ACPI_AT, &blob, &len, err) : MT_ENOENT;

	b->rsdp_gpa = rc ? 0 : ACPI_AT;
	if (rc == MT_ENOENT)
		return 0;
	if (rc == 0 && len > HIGH_START - ACPI_AT)
		rc = mt_error_set(err, MT_ENOSPC, NULL, "%llu bytes of ACPI tables do not fit below 1 MiB",
				  (unsigned long long)len);
	return rc ? rc : put(b, ACPI_AT, blob, len, err);
}

/* struct hvm_start_info, hvm_modlist_entry and hvm_memmap_table_entry (Xen, public/arch-x86/hvm/start_info.h) */
static int pvh_tell(struct boot *b, struct mt_error *err)
{
	uint8_t info[56] = { 0 }, module[32] = { 0 }, map[MEMMAP_MAX * 24] = { 0 };
	uint32_t n = memmap_fill(b, map, 24);
	int rc;

	mt_put_le32(info, 0x336ec578);
	mt_put_le32(info + 4, 1);
	mt_put_le32(info + 12, b->initrd_gpa ? 1 : 0);
	mt_put_le64(info + 16, b->initrd_gpa ? MODULE_AT : 0);
	mt_put_le64(info + 24, APPEND_AT);
	mt_put_le64(info + 32, b->rsdp_gpa);
	mt_put_le64(info + 40, MEMMAP_AT);
	mt_put_le32(info + 48, n);
	mt_put_le64(module, b->initrd_gpa);
	mt_put_le64(module + 8, b->initrd_gpa ? b->initrd.len_bytes : 0);
	rc = put(b, INFO_AT, info, sizeof(info), err);
	if (rc == 0)
		rc = put(b, MODULE_AT, module, sizeof(module), err);
	return rc ? rc : put(b, MEMMAP_AT, map, n * 24, err);
}

/* boot.rst, "64-bit Boot Protocol", and zero-page.rst */
static int linux_tell(struct boot *b, struct mt_error *err)
{
	uint8_t zero[PAGE] = { 0 };

	memcpy(zero + IMAGE_SETUP_AT, b->image.setup, b->image.setup_bytes);
	zero[0x210] = 0xff;                    /* type_of_loader: none that has a number */
	zero[0x211] |= 1;                      /* LOADED_HIGH */
	mt_put_le64(zero + 0x70, b->rsdp_gpa);
	mt_put_le32(zero + 0x214, (uint32_t)b->image.segments[0].gpa);
	mt_put_le32(zero + 0x218, (uint32_t)b->initrd_gpa);
	mt_put_le32(zero + 0x21c, b->initrd_gpa ? (uint32_t)b->initrd.len_bytes : 0);
	mt_put_le32(zero + 0x228, APPEND_AT);
	zero[0x1e8] = (uint8_t)memmap_fill(b, zero + 0x2d0, 20);
	return put(b, ZERO_AT, zero, sizeof(zero), err);
}

/* The first 4 GiB mapped to themselves by 2 MiB pages. */
static int tables_write(struct boot *b, struct mt_error *err)
{
	uint8_t page[PAGE] = { 0 };
	int rc;

	mt_put_le64(page, (TABLES_AT + PAGE) | 3);
	rc = put(b, TABLES_AT, page, sizeof(page), err);
	for (uint64_t i = 0; i < 4; i++)
		mt_put_le64(page + 8 * i, (TABLES_AT + (2 + i) * PAGE) | 3);
	if (rc == 0)
		rc = put(b, TABLES_AT + PAGE, page, sizeof(page), err);
	for (uint64_t i = 0; i < 4 && rc == 0; i++) {
		for (uint64_t k = 0; k < 512; k++)
			mt_put_le64(page + 8 * k, (i << 30 | k << 21) | 0x83);
		rc = put(b, TABLES_AT + (2 + i) * PAGE, page, sizeof(page), err);
	}
	return rc;
}

/* Linux wants flat segments with the selectors 0x10 and 0x18. */
static int gdt_write(struct boot *b, struct mt_error *err)
{
	uint8_t gdt[32] = { 0 };

	mt_put_le64(gdt + 0x10, b->image.kind == IMAGE_LINUX ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	mt_put_le64(gdt + 0x18, 0x00cf93000000ffff);
	return put(b, GDT_AT, gdt, sizeof(gdt), err);
}

static int measure(struct mt_boot_file *file, struct mt_error *err)
{
	int rc = mt_boot_file_measure(file, err);

	return rc || file->len_bytes ? rc : mt_error_set(err, MT_EINVAL, file->key, "%s: the file is empty", file->path);
}

static int load_all(struct boot *b, struct mt_error *err)
{
	uint64_t gpa = 1;
	int rc = 0;

	if (b->host->ram_block(b->inst, 0, &gpa, &b->ram_bytes) || gpa || b->ram_bytes < 2 * HIGH_START) {
		mt_error_set(err, MT_EINVAL, "kernel", "the machine has no RAM of 2 MiB or more at address 0");
		mt_error_hint(err, "the first [memory] section needs at = 0 and size = 2M or more");
		return MT_EINVAL;
	}
	rc = measure(&b->kernel, err);
	if (rc == 0)
		rc = image_parse(&b->image, &b->kernel, err);
	for (uint32_t i = 0; rc == 0 && i < b->image.segment_count; i++)
		rc = segment_load(b, &b->image.segments[i], err);
	if (rc == 0 && b->initrd.fd >= 0)
		rc = measure(&b->initrd, err);
	if (rc == 0)
		rc = initrd_load(b, err);
	if (rc == 0)
		rc = append_load(b, err);
	if (rc == 0)
		rc = acpi_load(b, err);
	if (rc == 0)
		rc = gdt_write(b, err);
	if (rc == 0)
		rc = tables_write(b, err);
	if (rc)
		return rc;
	return b->image.kind == IMAGE_PVH ? pvh_tell(b, err) : linux_tell(b, err);
}

/* Registers: attributes of segments as in VMX, by the names of the schema of x86-64 */

static int regs_set(struct boot *b, const struct mt_boot_reg *regs, uint32_t count, struct mt_error *err)
{
	return mt_boot_regs_set(b->host, b->inst, 0, regs, count, "x86-64", err);
}

static int segments_set(struct boot *b, uint64_t code_attr, struct mt_error *err)
{
	static const char *const data[] = { "ds", "es", "ss", "fs", "gs" };
	const struct mt_boot_reg code[] = {
		{ "cs", 0x10 }, { "cs.base", 0 }, { "cs.limit", UINT32_MAX }, { "cs.attr", code_attr },
		{ "tr", 0 }, { "tr.base", 0 }, { "tr.limit", 0x67 }, { "tr.attr", 0x8b },
		{ "gdt.base", GDT_AT }, { "gdt.limit", 31 }, { "idt.base", 0 }, { "idt.limit", 0 }, { "eflags", 2 },
	};
	int rc = regs_set(b, code, sizeof(code) / sizeof(code[0]), err);

	for (size_t i = 0; rc == 0 && i < sizeof(data) / sizeof(data[0]); i++) {
		char names[3][16];

		snprintf(names[0], sizeof(names[0]), "%s.base", data[i]);
		snprintf(names[1], sizeof(names[1]), "%s.limit", data[i]);
		snprintf(names[2], sizeof(names[2]), "%s.attr", data[i]);
		const struct mt_boot_reg flat[] = {
			{ data[i], 0x18 }, { names[0], 0 }, { names[1], UINT32_MAX }, { names[2], 0xc093 },
		};

		rc = regs_set(b, flat, 4, err);
	}
	return rc;
}

static int start_set(struct boot *b, struct mt_error *err)
{
	const struct mt_boot_reg pvh[] = {
		{ "cr0", 0x11 }, { "cr4", 0 }, { "efer", 0 }, { "rip", b->image.entry }, { "rbx", INFO_AT },
	};
	/* long mode, paging by the tables above */
	const struct mt_boot_reg lin[] = {
		{ "cr3", TABLES_AT }, { "cr4", 0x20 }, { "efer", 0x500 }, { "cr0", 0x80000011 },
		{ "rip", b->image.entry }, { "rsi", ZERO_AT },
	};
	bool is_pvh = b->image.kind == IMAGE_PVH;
	int rc = segments_set(b, is_pvh ? 0xc09b : 0xa09b, err);

	if (rc)
		return rc;
	return is_pvh ? regs_set(b, pvh, sizeof(pvh) / sizeof(pvh[0]), err)
		      : regs_set(b, lin, sizeof(lin) / sizeof(lin[0]), err);
}

/* Life */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct boot *b = calloc(1, sizeof(*b));

	if (!b)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	b->inst = inst;
	b->host = host->get_interface(host, MT_IFACE_BOOT);
	b->dma_host = host->get_interface(host, MT_IFACE_DMA);
	b->props = host->get_interface(host, MT_IFACE_PROPS);
	b->acpi = host->get_interface(host, MT_IFACE_ACPI_HOST);
	b->kernel.fd = b->initrd.fd = -1;
	*self = b;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	struct boot *b = self;
	int rc = mt_boot_file_open(&b->kernel, b->props, b->inst, "kernel", err);

	if (rc == 0)
		rc = mt_boot_file_open(&b->initrd, b->props, b->inst, "initrd", err);
	b->dma = b->dma_host->get(b->inst);
	return rc;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)kind;
	if (phase == MT_RESET_HOLD)
		return load_all(self, err);
	return phase == MT_RESET_EXIT ? start_set(self, err) : 0;
}

static void unrealize(void *self)
{
	struct boot *b = self;

	mt_boot_file_close(&b->kernel);
	mt_boot_file_close(&b->initrd);
}

static void destroy(void *self)
{
	unrealize(self);
	free(self);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.unrealize = unrealize,
	.destroy = destroy,
};

/* What it loads is in RAM and registers, and loaded again at a reset. */
static const struct mt_state_class state_class = {
	.schema = "x86-boot", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
