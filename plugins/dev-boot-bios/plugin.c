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

#include <errno.h>
#include <mortise/draft/boot.h>
#include <mortise/draft/device.h>
#include <mortise/draft/dma.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
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
	int fd;
	const char *path;
};

static int image_measure(const struct bios *b, uint64_t *len_bytes, struct mt_error *err)
{
	struct stat st;

	if (fstat(b->fd, &st))
		return mt_error_set(err, MT_EIO, "firmware", "%s: %s", b->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mt_error_set(err, MT_EINVAL, "firmware", "%s: not a regular file", b->path);
	*len_bytes = (uint64_t)st.st_size;
	if (*len_bytes && *len_bytes <= IMAGE_BYTES && *len_bytes % IMAGE_UNIT == 0)
		return 0;
	mt_error_set(err, MT_EINVAL, "firmware", "%s: has %llu bytes, which is no multiple of 4 KiB up to 16 MiB", b->path,
		     (unsigned long long)*len_bytes);
	mt_error_hint(err, "SeaBIOS is /usr/share/seabios/bios-256k.bin (Debian: seabios)");
	return MT_EINVAL;
}

static int image_read(const struct bios *b, uint8_t *image, uint64_t len_bytes, struct mt_error *err)
{
	uint64_t done = 0;

	while (done < len_bytes) {
		ssize_t got = pread(b->fd, image + done, len_bytes - done, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return mt_error_set(err, MT_EIO, "firmware", "%s: %s", b->path, strerror(errno));
		if (!got)
			return mt_error_set(err, MT_EIO, "firmware", "%s became shorter while it was read", b->path);
		done += (uint64_t)got;
	}
	return 0;
}

static int image_put(struct bios *b, const uint8_t *image, uint64_t len_bytes, struct mt_error *err)
{
	uint64_t low = mt_min_u64(len_bytes, LOW_BYTES);

	if (b->dma_host->write(b->dma, LOW_END - low, image + len_bytes - low, low) != MT_BUS_OK) {
		mt_error_set(err, MT_EINVAL, "firmware", "the machine has no RAM below 1 MiB");
		mt_error_hint(err, "the first [memory] section needs at = 0 and size = 1M or more");
		return MT_EINVAL;
	}
	if (b->dma_host->write(b->dma, FOUR_GIB - len_bytes, image, len_bytes) != MT_BUS_OK) {
		mt_error_set(err, MT_EINVAL, "firmware", "there is no memory for %llu bytes of firmware below 4 GiB",
			     (unsigned long long)len_bytes);
		mt_error_hint(err, "it needs a section [memory bios] with at = 0x%llx, size = %lluK and type = rom",
			      (unsigned long long)(FOUR_GIB - len_bytes), (unsigned long long)len_bytes >> 10);
		return MT_EINVAL;
	}
	return 0;
}

static int image_load(struct bios *b, struct mt_error *err)
{
	uint64_t len_bytes = 0;
	uint8_t *image;
	int rc = image_measure(b, &len_bytes, err);

	if (rc)
		return rc;
	image = malloc(len_bytes);
	if (!image)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	rc = image_read(b, image, len_bytes, err);
	if (rc == 0)
		rc = image_put(b, image, len_bytes, err);
	free(image);
	return rc;
}

/* Where an x86 CPU is after a reset: said here too, so that no accelerator need know of firmware. */
static int start_set(const struct bios *b, struct mt_error *err)
{
	static const struct {
		const char *name;
		uint64_t value;
	} regs[] = {
		{ "cr0", 0x60000010 }, { "eflags", 2 }, { "cs", 0xf000 }, { "cs.base", 0xffff0000 }, { "cs.limit", 0xffff },
		{ "cs.attr", 0x9b }, { "rip", 0xfff0 },
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++) {
		int rc = b->host->vcpu_set(b->inst, 0, regs[i].name, regs[i].value);

		if (rc)
			return mt_error_set(err, rc, NULL, "the accelerator has no register '%s' of x86-64", regs[i].name);
	}
	return 0;
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
	b->fd = -1;
	*self = b;
	return 0;
}

static int realize(void *self, struct mt_error *err)
{
	struct bios *b = self;

	b->path = b->props->get_str(b->inst, "firmware");
	b->fd = b->props->open_path(b->inst, "firmware", MT_OPEN_READ, err);
	b->dma = b->dma_host->get(b->inst);
	return b->fd < 0 ? b->fd : 0;
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

	if (b->fd >= 0)
		close(b->fd);
	b->fd = -1;
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
