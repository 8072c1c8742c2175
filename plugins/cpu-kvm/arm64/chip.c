/* SPDX-License-Identifier: MIT */
/*
 * KVM's GICv3 as the class "dev-arm-gicv3", which stands in for a device (decision record 11): its inputs, the device
 * tree's nodes of it and of the timers that KVM wires to it, reset and snapshots. State: schema "arm64-kvm-gic", its
 * registers as values in the order of gic.c. [main], but for lines: [any].
 */
#include <errno.h>
#include <mortise/draft/device.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/error.h>

#include "arm64.h"

#define REDIST_BYTES 0x20000u

/* Linux binding interrupt-controller/arm,gic-v3: the kind of an interrupt, and how it triggers. */
#define FDT_SPI   0u
#define FDT_PPI   1u
#define FDT_LEVEL 4u

/* --- lines --- */

uint32_t gic_spis(const struct gic *gic)
{
	return (uint32_t)gic->props->get_u64(gic->inst, "spis");
}

static uint32_t input_count(void *self)
{
	return gic_spis(self);
}

static void input_set(void *self, uint32_t input, uint32_t level)
{
	const struct gic *gic = self;
	struct kvm_irq_level line = {
		.irq = KVM_ARM_IRQ_TYPE_SPI << KVM_ARM_IRQ_TYPE_SHIFT | (GIC_PRIVATE + input), .level = level,
	};

	if (gic->k->vm_fd >= 0)
		vm_ioctl(gic->k, KVM_IRQ_LINE, &line);
}

static uint32_t fdt_cells(void *self, uint32_t input, uint32_t cells[4])
{
	(void)self;
	cells[0] = FDT_SPI;
	cells[1] = input;
	cells[2] = FDT_LEVEL;
	return 3;
}

static const struct mt_irq_sink irq_sink = {
	.input_count = input_count, .input_set = input_set, .fdt_cells = fdt_cells,
};

/* KVM's first routes are those of the shared interrupts, without the private ones. */
static int line_take(void *self, uint32_t input, int fd, int resample_fd)
{
	const struct gic *gic = self;

	return irqfd_take(gic->k, input, fd, resample_fd);
}

static void line_give(void *self, uint32_t input, int fd, int resample_fd)
{
	const struct gic *gic = self;

	(void)resample_fd;
	irqfd_give(gic->k, input, fd);
}

static const struct mt_cpu_eventfd eventfd = { .line_take = line_take, .line_give = line_give };

/* --- life --- */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	const struct mt_accelerator_host *accelerator = host->get_interface(host, MT_IFACE_ACCELERATOR);
	struct kvm *k = accelerator->self(inst);
	struct gic *gic = calloc(1, sizeof(*gic));
	uint32_t spis;

	if (!gic)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	if (!k || k->gic) {
		free(gic);
		return k ? mt_error_set(err, MT_EBUSY, "plugin", "KVM has one GICv3 in a machine") :
			   mt_error_set(err, MT_EINVAL, "plugin", "KVM is not the accelerator of this machine");
	}
	gic->k = k;
	gic->inst = inst;
	gic->props = host->get_interface(host, MT_IFACE_PROPS);
	spis = gic_spis(gic);
	if (spis % 32) {
		free(gic);
		return mt_error_set(err, MT_ERANGE, "spis", "%u is no multiple of 32", spis);
	}
	k->gic = gic;
	*self = gic;
	return 0;
}

/* It was made with the VM: gic.c. */
static int realize(void *self, struct mt_error *err)
{
	(void)self, (void)err;
	return 0;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	const struct gic *gic = self;
	int code = phase == MT_RESET_HOLD ? gic_reset(gic->k) : 0;

	(void)kind;
	return code < 0 ? vm_refuse(err, "plugin", "reset the interrupt controller", code) : 0;
}

static void destroy(void *self)
{
	struct gic *gic = self;

	gic->k->gic = NULL;
	free(gic);
}

static const struct mt_device_class device_class = {
	.create = create, .realize = realize, .reset = reset, .destroy = destroy,
};

/* --- the device tree --- */

/* Linux binding timer/arm,arch_timer; the numbers are KVM's where nobody sets others (arm64: kvm/arch_timer.c). */
static void describe_timers(struct mt_fdt *fdt, const struct mt_fdt_writer *w)
{
	uint32_t gic = w->phandle(fdt);
	/* secure, physical, virtual, of the hypervisor */
	const uint32_t cells[] = {
		gic, FDT_PPI, 13, FDT_LEVEL, gic, FDT_PPI, 14, FDT_LEVEL, gic, FDT_PPI, 11, FDT_LEVEL, gic, FDT_PPI, 10, FDT_LEVEL,
	};

	w->begin(fdt, "timer", NULL);
	w->str(fdt, "compatible", "arm,armv8-timer");
	w->u32s(fdt, "interrupts-extended", cells, sizeof(cells) / sizeof(cells[0]));
	w->empty(fdt, "always-on");
	w->end(fdt);
}

static int describe(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err)
{
	const struct gic *gic = self;
	uint64_t at = gic->props->get_u64(gic->inst, "at"), redist = gic->props->get_u64(gic->inst, "redist-at");
	const uint32_t three = 3, reg[] = {
		(uint32_t)(at >> 32), (uint32_t)at, 0, 0x10000,
		(uint32_t)(redist >> 32), (uint32_t)redist, 0, gic->k->vcpu_count * REDIST_BYTES,
	};
	char name[48];

	(void)err;
	snprintf(name, sizeof(name), "interrupt-controller@%llx", (unsigned long long)at);
	w->begin(fdt, name, NULL);
	w->self_phandle(fdt);
	w->str(fdt, "compatible", "arm,gic-v3");
	w->u32s(fdt, "reg", reg, sizeof(reg) / sizeof(reg[0]));
	w->empty(fdt, "interrupt-controller");
	w->u32s(fdt, "#interrupt-cells", &three, 1);
	w->end(fdt);
	describe_timers(fdt, w);
	return 0;
}

static const struct mt_fdt_node fdt_node = { .describe = describe };

/* --- state --- */

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	const struct gic *gic = self;
	uint32_t count = gic_count(gic->k);
	uint64_t *values = calloc(count, sizeof(*values));
	int code = values ? gic_get(gic->k, values) : -ENOMEM;

	if (code == 0)
		w->put(out, "registers", MT_STATE_U64, 0, values, count);
	free(values);
	return code < 0 ? mt_error_set(err, MT_EIO, NULL, "KVM does not tell the state of its interrupt controller: %s",
				       strerror(-code)) : 0;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	const struct gic *gic = self;
	uint32_t count = gic_count(gic->k);
	uint64_t *values = calloc(count, sizeof(*values));
	int code = values ? r->get(in, "registers", MT_STATE_U64, values, count) : MT_ENOMEM;

	(void)version;
	if (code == 0 && (code = gic_set(gic->k, values)) < 0)
		code = mt_error_set(err, MT_EIO, NULL, "KVM does not take the state of its interrupt controller: %s",
				    strerror(-code));
	free(values);
	return code;
}

static const struct mt_state_class state_class = {
	.schema = "arm64-kvm-gic", .version = 1, .version_min = 1, .save = save, .load = load,
};

const struct mt_role gic_roles[] = {
	{ MT_IFACE_DEVICE, &device_class }, { MT_IFACE_IRQ_SINK, &irq_sink }, { MT_IFACE_CPU_EVENTFD, &eventfd },
	{ MT_IFACE_FDT_NODE, &fdt_node }, { MT_IFACE_STATE, &state_class },
};
const size_t gic_role_count = sizeof(gic_roles) / sizeof(gic_roles[0]);
