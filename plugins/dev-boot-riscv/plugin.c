/* SPDX-License-Identifier: MIT */
/*
 * dev-boot-riscv: loads firmware, kernel, initial RAM disk and device tree, and sets the registers that every
 * hart starts with. All calls come [main].
 * The files are opened in realize, and read again from those descriptors at every reset, straight into guest
 * RAM: a guest that has overwritten itself starts anew. They may change meanwhile, so nothing that was learned
 * from one read is kept for the next, and a short file is an error and never a wait.
 */
#define MT_NOTE_NAME     "dev-boot-riscv"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "RISC-V boot loader: firmware, Linux Image or ELF kernel, initial RAM disk, device tree"
#define MT_NOTE_REQUIRES "mortise.boot/1 mortise.dma/1 mortise.props/1"
#define MT_NOTE_OPTIONAL "mortise.log/1"
#define MT_NOTE_CAPS     0
#define BOOT_PROPS(P, c) \
	P(c, firmware, "firmware", MT_PROP_PATH, "", "", "", 0, "M-mode firmware: flat binary or ELF file") \
	P(c, kernel, "kernel", MT_PROP_PATH, "", "", "", 0, "Linux Image or ELF file that the firmware starts") \
	P(c, initrd, "initrd", MT_PROP_PATH, "", "", "", 0, "initial RAM disk, passed as it is") \
	P(c, append, "append", MT_PROP_STRING, "", "", "", 0, "kernel command line") \
	P(c, dtb, "dtb", MT_PROP_PATH, "", "", "", 0, "device tree to use instead of the machine's own")
#define MT_NOTE_CLASSES(C) \
	C(boot, "dev-boot-riscv", MT_KIND_BOOT, 0, MT_NOTE_SUMMARY, "", BOOT_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/boot.h>
#include <mortise/draft/device.h>
#include <mortise/draft/dma.h>
#include <mortise/draft/log.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <util/endian.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#include "file.h"
#include "image.h"
#include "layout.h"

/* struct fw_dynamic_info of OpenSBI, version 2: six 64-bit words. */
#define INFO_WORDS   6
#define INFO_MAGIC   0x4942534full
#define INFO_VERSION 2
#define INFO_MODE_S  1

struct boot {
	struct mt_inst *inst;
	const struct mt_boot_host *host;
	const struct mt_dma_host *dma_host;
	const struct mt_props_host *props;
	const struct mt_log_host *log;     /* NULL: none */
	struct mt_dma *dma;
	struct mt_boot_file firmware, kernel, initrd, dtb;
	struct layout layout;
	bool supervisor;           /* harts start in S-mode, with an SBI below them: no firmware */
	uint64_t entry;            /* where all harts start */
	uint64_t next_entry;       /* of the kernel behind firmware; 0: none */
};

static int check_combination(const struct boot *b, struct mt_error *err)
{
	if (b->firmware.fd < 0 && b->kernel.fd < 0) {
		mt_error_set(err, MT_EINVAL, "firmware", "there is nothing to boot");
		mt_error_hint(err, "set firmware, and kernel for what it shall start");
		return MT_EINVAL;
	}
	return mt_boot_tree_check(&b->dtb, &b->initrd, b->props, b->inst, err);
}

/* Firmware at the bottom; without one the kernel takes its place, if it is a program of its own. */
static int load_firmware(struct boot *b, struct mt_error *err)
{
	struct mt_boot_file *file = b->firmware.fd >= 0 ? &b->firmware : &b->kernel;
	struct image image;
	uint64_t gpa;
	int rc = file_parse(file, &image, err);

	if (!rc && file == &b->kernel && image.kind != IMAGE_ELF) {
		mt_error_set(err, MT_EINVAL, "kernel", "%s needs firmware to start it", file->path);
		mt_error_hint(err, "set firmware to an OpenSBI fw_dynamic.bin (Debian: package opensbi)");
		return MT_EINVAL;
	}
	if (!rc) {
		layout_cut_headers(&b->layout, &image);
		rc = layout_firmware(&b->layout, &image, file->key, file->path, &gpa, &b->entry, err);
	}
	return rc ? rc : file_load_image(file, b->dma_host, b->dma, &image, gpa, err);
}

/*
 * An accelerator that runs no machine mode is the firmware itself. Its register tells (the number of GDB's "priv": 1
 * is supervisor mode, 3 machine mode).
 */
static bool starts_in_supervisor(const struct boot *b)
{
	uint64_t mode;

	return b->host->vcpu_get(b->inst, 0, "priv", &mode) == 0 && mode == 1;
}

static int load_supervisor(struct boot *b, struct mt_error *err)
{
	struct image image;
	uint64_t gpa;
	int rc;

	b->next_entry = 0;
	if (b->kernel.fd < 0)
		return mt_error_set(err, MT_EINVAL, "kernel", "there is no kernel, and firmware is of no use to this "
				    "accelerator: harts start in supervisor mode, with an SBI of its own");
	if (b->firmware.fd >= 0 && b->log)
		b->log->message(b->inst, MT_LOG_INFO, "firmware is left out: harts start in supervisor mode");
	rc = file_parse(&b->kernel, &image, err);
	if (!rc)
		rc = layout_kernel(&b->layout, &image, b->kernel.path, &gpa, &b->entry, err);
	return rc ? rc : file_load_image(&b->kernel, b->dma_host, b->dma, &image, gpa, err);
}

static int load_kernel(struct boot *b, struct mt_error *err)
{
	struct image image;
	uint64_t gpa;
	int rc;

	b->next_entry = 0;
	if (b->kernel.fd < 0 || b->firmware.fd < 0)
		return 0;
	rc = file_parse(&b->kernel, &image, err);
	if (!rc)
		rc = layout_kernel(&b->layout, &image, b->kernel.path, &gpa, &b->next_entry, err);
	return rc ? rc : file_load_image(&b->kernel, b->dma_host, b->dma, &image, gpa, err);
}

static int load_initrd(struct boot *b, uint64_t *gpa, uint64_t *len_bytes, struct mt_error *err)
{
	int rc;

	*gpa = *len_bytes = 0;
	if (b->initrd.fd < 0)
		return 0;
	rc = mt_boot_file_measure(&b->initrd, err);
	*len_bytes = b->initrd.len_bytes;
	if (!rc)
		rc = layout_initrd(&b->layout, *len_bytes, b->initrd.path, gpa, err);
	return rc ? rc : mt_boot_file_load(&b->initrd, b->dma_host, b->dma, 0, *gpa, *len_bytes, err);
}

static int load_tree(struct boot *b, uint64_t initrd_gpa, uint64_t initrd_bytes, struct mt_error *err)
{
	const struct mt_boot_tree tree = {
		.inst = b->inst, .host = b->host, .props = b->props, .dma_host = b->dma_host, .dma = b->dma, .dtb = &b->dtb,
		.gpa = layout_tree_gpa(&b->layout), .room_bytes = layout_tree_room(&b->layout),
		.initrd_gpa = initrd_gpa, .initrd_bytes = initrd_bytes,
	};

	return mt_boot_tree_load(&tree, err);
}

static int write_info(struct boot *b, struct mt_error *err)
{
	const uint64_t words[INFO_WORDS] = { INFO_MAGIC, INFO_VERSION, b->next_entry, INFO_MODE_S, 0, 0 };
	uint8_t bytes[sizeof(words)];

	for (int i = 0; i < INFO_WORDS; i++)
		mt_put_le64(bytes + i * 8, words[i]);
	if (b->dma_host->write(b->dma, b->layout.slot_gpa, bytes, sizeof(bytes)) != MT_BUS_OK)
		return mt_error_set(err, MT_EIO, "firmware", "the firmware's information could not be written to RAM");
	return 0;
}

static int load_all(struct boot *b, struct mt_error *err)
{
	uint64_t ram_gpa, ram_bytes, initrd_gpa, initrd_bytes;
	int rc;

	if (b->host->ram_block(b->inst, 0, &ram_gpa, &ram_bytes))
		return mt_error_set(err, MT_EINVAL, NULL, "the machine has no [memory]");
	layout_init(&b->layout, ram_gpa, ram_bytes);
	b->supervisor = starts_in_supervisor(b);
	rc = b->supervisor ? load_supervisor(b, err) : load_firmware(b, err);
	if (!rc && !b->supervisor)
		rc = load_kernel(b, err);
	if (!rc)
		rc = layout_slot(&b->layout, err);
	if (!rc)
		rc = load_initrd(b, &initrd_gpa, &initrd_bytes, err);
	if (!rc)
		rc = load_tree(b, initrd_gpa, initrd_bytes, err);
	return rc || b->supervisor ? rc : write_info(b, err);
}

static int set_registers(struct boot *b, struct mt_error *err)
{
	uint32_t count = b->host->vcpu_count(b->inst);
	int rc = 0;

	for (uint32_t vcpu = 0; vcpu < count && !rc; vcpu++) {
		const struct mt_boot_reg all[] = {
			{ "a0", vcpu }, { "pc", b->entry }, { "a1", layout_tree_gpa(&b->layout) },
			{ "a2", b->supervisor ? 0 : b->layout.slot_gpa },
		};

		rc = mt_boot_regs_set(b->host, b->inst, vcpu, all, sizeof(all) / sizeof(all[0]), "a RISC-V hart", err);
	}
	return rc;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct boot *b = calloc(1, sizeof(*b));

	if (!b)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	b->inst = inst;
	b->host = host->get_interface(host, MT_IFACE_BOOT);
	b->dma_host = host->get_interface(host, MT_IFACE_DMA);
	b->props = host->get_interface(host, MT_IFACE_PROPS);
	b->log = host->get_interface(host, MT_IFACE_LOG);
	b->firmware.fd = b->kernel.fd = b->initrd.fd = b->dtb.fd = -1;
	*self = b;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	struct boot *b = self;
	int rc = mt_boot_file_open(&b->firmware, b->props, b->inst, "firmware", err);

	if (!rc)
		rc = mt_boot_file_open(&b->kernel, b->props, b->inst, "kernel", err);
	if (!rc)
		rc = mt_boot_file_open(&b->initrd, b->props, b->inst, "initrd", err);
	if (!rc)
		rc = mt_boot_file_open(&b->dtb, b->props, b->inst, "dtb", err);
	if (!rc)
		rc = check_combination(b, err);
	b->dma = b->dma_host->get(b->inst);
	return rc;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)kind;
	if (phase == MT_RESET_HOLD)
		return load_all(self, err);
	return phase == MT_RESET_EXIT ? set_registers(self, err) : 0;
}

static void unrealize(void *self)
{
	struct boot *b = self;

	mt_boot_file_close(&b->firmware);
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
	.schema = "riscv-boot", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
