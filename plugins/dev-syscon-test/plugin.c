/* SPDX-License-Identifier: MIT */
/*
 * dev-syscon-test: the SiFive test finisher, by which a guest powers off, fails or resets the machine. One
 * register at offset 0: the low half is a command, the high half the code of a failure. The machine is asked
 * to end, not ended: the vCPU that wrote goes on until the machine stops it.
 * Its device-tree nodes name it to Linux (syscon-poweroff, syscon-reboot) and to firmware (sifive,test1).
 */
#define MT_NOTE_NAME     "dev-syscon-test"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "SiFive test finisher: power-off, failure and reset by a register"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.loop/1"
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define SYSCON_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x1000", "", MT_PROPF_REQUIRED, "guest-physical base address")
#define MT_NOTE_CLASSES(C) \
	C(syscon, "dev-syscon-test", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "mortise.fdt-node/1", SYSCON_PROPS)

#include <mortise/note-emit.h>

#include <mortise/draft/device.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/state.h>

#define REGION_BYTES 0x1000u
#define COMMAND_FAIL  0x3333u
#define COMMAND_PASS  0x5555u
#define COMMAND_RESET 0x7777u

struct syscon {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_loop_host *loop;
};

static uint32_t region_read(void *self, const struct mt_access *a, uint64_t *value)
{
	(void)self, (void)a;
	*value = 0;
	return MT_BUS_OK;
}

/* A narrow write is a command too: the low half is what counts. */
static uint32_t region_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct syscon *d = self;
	uint32_t code = (uint32_t)(value >> 16) & 0xffff;

	if (a->offset)
		return MT_BUS_OK;
	switch (value & 0xffff) {
	case COMMAND_FAIL:
		d->loop->machine_request(d->inst, MT_REQUEST_POWEROFF, code ? code : 1);
		break;
	case COMMAND_PASS:
		d->loop->machine_request(d->inst, MT_REQUEST_POWEROFF, 0);
		break;
	case COMMAND_RESET:
		d->loop->machine_request(d->inst, MT_REQUEST_RESET, 0);
		break;
	}
	return MT_BUS_OK;
}

static void command_node(struct mt_fdt *fdt, const struct mt_fdt_writer *w, const char *name,
			 const char *compatible, uint32_t command)
{
	uint32_t regmap = w->phandle(fdt), zero = 0;

	w->begin(fdt, name, NULL);
	w->str(fdt, "compatible", compatible);
	w->u32s(fdt, "regmap", &regmap, 1);
	w->u32s(fdt, "offset", &zero, 1);
	w->u32s(fdt, "value", &command, 1);
	w->end(fdt);
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	static const char *const compatible[] = { "sifive,test1", "sifive,test0", "syscon" };

	(void)self, (void)err;
	w->begin(fdt, "test", "at");
	w->self_phandle(fdt);
	w->strs(fdt, "compatible", compatible, 3);
	w->end(fdt);
	command_node(fdt, w, "poweroff", "syscon-poweroff", COMMAND_PASS);
	command_node(fdt, w, "reboot", "syscon-reboot", COMMAND_RESET);
	return 0;
}

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct syscon *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->loop = host->get_interface(host, MT_IFACE_LOOP);
	*self = d;
	return 0;
}

static const struct mt_region_ops region_ops = { .read = region_read, .write = region_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "test", .at_prop = "at", .len_bytes = REGION_BYTES,
		.width_min = 2, .width_max = 4, .ops = &region_ops,
	};
	struct syscon *d = self;

	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static void destroy(void *self)
{
	free(self);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.destroy = destroy,
};

static const struct mt_fdt_node fdt_node = { .describe = describe };

/* It has no registers that keep anything. */
static const struct mt_state_class state_class = {
	.schema = "sifive-test", .version = 1, .version_min = 1,
	.save = mt_state_save_nothing, .load = mt_state_load_nothing,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_STATE, &state_class },
		       { MT_IFACE_FDT_NODE, &fdt_node })
