/* SPDX-License-Identifier: MIT */
/*
 * dev-boot-arm64: loads a Linux Image, initial RAM disk and device tree, and starts the first vCPU in the kernel. The
 * others are off until it starts them by PSCI, which the accelerator serves. All calls come [main].
 * The files are opened in realize, and read again from those descriptors at every reset, straight into guest RAM: a
 * guest that has overwritten itself starts anew. They may change meanwhile, so nothing that was learned from one read
 * is kept for the next.
 */
#define MT_NOTE_NAME     "dev-boot-arm64"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "arm64 boot loader: Linux Image, initial RAM disk, device tree"
#define MT_NOTE_REQUIRES "mortise.boot/1 mortise.dma/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define BOOT_PROPS(P, c) \
	P(c, kernel, "kernel", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, "Linux Image") \
	P(c, initrd, "initrd", MT_PROP_PATH, "", "", "", 0, "initial RAM disk, passed as it is") \
	P(c, append, "append", MT_PROP_STRING, "", "", "", 0, "kernel command line") \
	P(c, dtb, "dtb", MT_PROP_PATH, "", "", "", 0, "device tree to use instead of the machine's own")
#define MT_NOTE_CLASSES(C) \
	C(boot, "dev-boot-arm64", MT_KIND_BOOT, 0, MT_NOTE_SUMMARY, "", BOOT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/state.h>

#include "image.h"

struct boot {
	struct mt_inst *inst;
	const struct mt_boot_host *host;
	const struct mt_dma_host *dma_host;
	const struct mt_props_host *props;
	struct mt_dma *dma;
	struct mt_boot_file kernel, initrd, dtb;
	struct layout layout;
};

/* booting.rst, "Call the kernel image": EL2 or EL1. PSTATE.M is the level and, with bit 4, AArch32 (Arm ARM C5.2). */
static int level_check(const struct boot *b, struct mt_error *err)
{
	uint64_t pstate;

	if (b->host->vcpu_get(b->inst, 0, "cpsr", &pstate))
		return mt_error_set(err, MT_EINVAL, "plugin", "the accelerator has no register 'cpsr' of an arm64 CPU");
	if (pstate & 0x10)
		return mt_error_set(err, MT_ENOTSUP, "kernel", "the CPU starts in AArch32, where no Image runs");
	if ((pstate >> 2 & 3) == 1 || (pstate >> 2 & 3) == 2)
		return 0;
	return mt_error_set(err, MT_ENOTSUP, "kernel", "the CPU starts in EL%u, and a kernel is entered in EL2 or EL1",
			    (unsigned)(pstate >> 2 & 3));
}

static int kernel_parse(struct boot *b, struct image *image, struct mt_error *err)
{
	uint8_t head[IMAGE_HEAD_BYTES] = { 0 };
	int rc = mt_boot_file_measure(&b->kernel, err);

	if (rc == 0)
		rc = mt_boot_file_read(&b->kernel, head, mt_min_u64(b->kernel.len_bytes, sizeof(head)), 0, err);
	return rc ? rc : image_parse(image, &b->kernel, head, err);
}

static int parts_load(struct boot *b, struct mt_error *err)
{
	const struct layout *l = &b->layout;
	const struct mt_boot_tree tree = {
		.inst = b->inst, .host = b->host, .props = b->props, .dma_host = b->dma_host, .dma = b->dma, .dtb = &b->dtb,
		.gpa = l->tree_gpa, .room_bytes = l->tree_bytes,
		.initrd_gpa = l->initrd_gpa, .initrd_bytes = l->initrd_gpa ? b->initrd.len_bytes : 0,
	};
	int rc = mt_boot_file_load(&b->kernel, b->dma_host, b->dma, 0, l->kernel_gpa, b->kernel.len_bytes, err);

	if (rc == 0 && l->initrd_gpa)
		rc = mt_boot_file_load(&b->initrd, b->dma_host, b->dma, 0, l->initrd_gpa, b->initrd.len_bytes, err);
	return rc ? rc : mt_boot_tree_load(&tree, err);
}

static int load_all(struct boot *b, struct mt_error *err)
{
	uint64_t ram_gpa, ram_bytes;
	struct image image;
	int rc;

	if (b->host->ram_block(b->inst, 0, &ram_gpa, &ram_bytes))
		return mt_error_set(err, MT_EINVAL, NULL, "the machine has no [memory]");
	rc = level_check(b, err);
	if (rc == 0)
		rc = kernel_parse(b, &image, err);
	if (rc == 0 && b->initrd.fd >= 0)
		rc = mt_boot_file_measure(&b->initrd, err);
	if (rc == 0)
		rc = layout_make(&b->layout, ram_gpa, ram_bytes, &image, b->kernel.path, b->initrd.fd >= 0 ? &b->initrd : NULL,
				 err);
	return rc ? rc : parts_load(b, err);
}

static int registers_set(struct boot *b, struct mt_error *err)
{
	const struct mt_boot_reg all[] = {
		{ "x0", b->layout.tree_gpa }, { "x1", 0 }, { "x2", 0 }, { "x3", 0 }, { "pc", b->layout.kernel_gpa },
	};

	return mt_boot_regs_set(b->host, b->inst, 0, all, sizeof(all) / sizeof(all[0]), "an arm64 CPU", err);
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
	b->kernel.fd = b->initrd.fd = b->dtb.fd = -1;
	*self = b;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	struct boot *b = self;
	int rc = mt_boot_file_open(&b->kernel, b->props, b->inst, "kernel", err);

	if (rc == 0)
		rc = mt_boot_file_open(&b->initrd, b->props, b->inst, "initrd", err);
	if (rc == 0)
		rc = mt_boot_file_open(&b->dtb, b->props, b->inst, "dtb", err);
	if (rc == 0)
		rc = mt_boot_tree_check(&b->dtb, &b->initrd, b->props, b->inst, err);
	b->dma = b->dma_host->get(b->inst);
	return rc;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)kind;
	if (phase == MT_RESET_HOLD)
		return load_all(self, err);
	return phase == MT_RESET_EXIT ? registers_set(self, err) : 0;
}

static void unrealize(void *self)
{
	struct boot *b = self;

	mt_boot_file_close(&b->kernel);
	mt_boot_file_close(&b->initrd);
	mt_boot_file_close(&b->dtb);
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
	.schema = "arm64-boot", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
