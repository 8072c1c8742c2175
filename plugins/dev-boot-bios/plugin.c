/* SPDX-License-Identifier: MIT */
/*
 * dev-boot-bios: starts an x86 machine in firmware. The image ends at 4 GiB, where an x86 CPU begins (Intel SDM
 * volume 3, "First Instruction Executed"), and its last 256 KiB are below 1 MiB as well, in RAM: what a chip set would
 * let a BIOS copy there and write to is there from the start, since we have no such chip set. All calls [main]. The
 * file is opened in realize and read again at every reset, so that a guest that wrote over its BIOS starts anew.
 */
#define MT_NOTE_NAME     "dev-boot-bios"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "x86 boot loader: firmware below 4 GiB, entered at the reset vector"
#define MT_NOTE_REQUIRES "mortise.boot/1 mortise.dma/1 mortise.props/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define BIOS_PROPS(P, c) \
	P(c, firmware, "firmware", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, "image of a BIOS, up to 16 MiB")
#define MT_NOTE_CLASSES(C) \
	C(boot, "dev-boot-bios", MT_KIND_BOOT, 0, MT_NOTE_SUMMARY, "", BIOS_PROPS)

#include <mortise/note-emit.h>

#include <lib/boot.h>
#include <mortise/draft/device.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/state.h>

#define FOUR_GIB    0x100000000ull
#define LOW_END     0x100000ull
#define LOW_BYTES   0x40000u           /* 0xc0000 to 1 MiB */
#define IMAGE_UNIT  0x1000u            /* of memory sections */
#define IMAGE_BYTES 0x1000000u         /* at most */

struct bios {
	struct mt_inst *inst;
	const struct mt_boot_host *host;
	const struct mt_dma_host *dma_host;
	const struct mt_props_host *props;
	struct mt_dma *dma;
	struct mt_boot_file firmware;
};

static int image_check(const struct mt_boot_file *file, struct mt_error *err)
{
	if (file->len_bytes && file->len_bytes <= IMAGE_BYTES && file->len_bytes % IMAGE_UNIT == 0)
		return 0;
	mt_error_set(err, MT_EINVAL, file->key, "%s: has %llu bytes, which is no multiple of 4 KiB up to 16 MiB", file->path,
		     (unsigned long long)file->len_bytes);
	mt_error_hint(err, "SeaBIOS is /usr/share/seabios/bios-256k.bin (Debian: seabios)");
	return MT_EINVAL;
}

/* The last `len_bytes` of the image, so that they end at `end`. */
static int image_put(const struct bios *b, uint64_t end, uint64_t len_bytes, struct mt_error *err)
{
	return mt_boot_file_load(&b->firmware, b->dma_host, b->dma, b->firmware.len_bytes - len_bytes, end - len_bytes,
				 len_bytes, err);
}

static int image_load(struct bios *b, struct mt_error *err)
{
	uint64_t len_bytes;
	int rc = mt_boot_file_measure(&b->firmware, err);

	if (rc == 0)
		rc = image_check(&b->firmware, err);
	if (rc)
		return rc;
	len_bytes = b->firmware.len_bytes;
	rc = image_put(b, LOW_END, mt_min_u64(len_bytes, LOW_BYTES), err);
	if (rc == MT_EINVAL) {
		mt_error_set(err, MT_EINVAL, "firmware", "the machine has no RAM below 1 MiB");
		mt_error_hint(err, "the first [memory] section needs at = 0 and size = 1M or more");
	}
	if (rc)
		return rc;
	rc = image_put(b, FOUR_GIB, len_bytes, err);
	if (rc == MT_EINVAL) {
		mt_error_set(err, MT_EINVAL, "firmware", "there is no memory for %llu bytes of firmware below 4 GiB",
			     (unsigned long long)len_bytes);
		mt_error_hint(err, "it needs a section [memory bios] with at = 0x%llx, size = %lluK and type = rom",
			      (unsigned long long)(FOUR_GIB - len_bytes), (unsigned long long)len_bytes >> 10);
	}
	return rc;
}

/* Where an x86 CPU is after a reset: said here too, so that no accelerator need know of firmware. */
static int start_set(const struct bios *b, struct mt_error *err)
{
	static const struct mt_boot_reg regs[] = {
		{ "cr0", 0x60000010 }, { "eflags", 2 }, { "cs", 0xf000 }, { "cs.base", 0xffff0000 }, { "cs.limit", 0xffff },
		{ "cs.attr", 0x9b }, { "rip", 0xfff0 },
	};

	return mt_boot_regs_set(b->host, b->inst, 0, regs, sizeof(regs) / sizeof(regs[0]), "x86-64", err);
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct bios *b = calloc(1, sizeof(*b));

	if (!b)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	b->inst = inst;
	b->host = host->get_interface(host, MT_IFACE_BOOT);
	b->dma_host = host->get_interface(host, MT_IFACE_DMA);
	b->props = host->get_interface(host, MT_IFACE_PROPS);
	b->firmware.fd = -1;
	*self = b;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	struct bios *b = self;

	b->dma = b->dma_host->get(b->inst);
	return mt_boot_file_open(&b->firmware, b->props, b->inst, "firmware", err);
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)kind;
	if (phase == MT_RESET_HOLD)
		return image_load(self, err);
	return phase == MT_RESET_EXIT ? start_set(self, err) : 0;
}

static void unrealize(void *self)
{
	struct bios *b = self;

	mt_boot_file_close(&b->firmware);
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

/* What it loads is in memory and registers, and loaded again at a reset. */
static const struct mt_state_class state_class = {
	.schema = "x86-bios", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class })
