/* SPDX-License-Identifier: MIT */
/*
 * The life of an instance, for the kinds device, block and boot.
 *
 *   create -> realize -> reset -> [ resume <-> quiesce ] -> unrealize -> destroy
 *
 * create reads properties and allocates, without side effects (`check --dts` creates and never realizes);
 * realize asks for regions, lines, ports, timers and may fail; reset may come at any time between realize
 * and unrealize while the instance is quiesced. Roles of a class (irq-sink, char, virtio-device,
 * fdt-node, ...) are further interfaces of mt_plugin.get_class and get the same `self`.
 */
#ifndef MORTISE_DEVICE_H
#define MORTISE_DEVICE_H

#include "../plugin.h"

#define MT_IFACE_DEVICE "mortise.device/1"

/* Reset kinds. */
#define MT_RESET_COLD     1u   /* power on */
#define MT_RESET_WARM     2u   /* reset button */
#define MT_RESET_BUS      3u
#define MT_RESET_FUNCTION 4u
/* Reset phases, over the whole machine one after the other. */
#define MT_RESET_ENTER 1u      /* put own state back; touch no other instance */
#define MT_RESET_HOLD  2u      /* drive outputs, load memory */
#define MT_RESET_EXIT  3u      /* set vCPU registers, start */

struct mt_device_class {
	/* [main] `*self` becomes the instance's own pointer. */
	int (*create)(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err);
	/* [main] */
	int (*realize)(void *self, struct mt_error *err);
	/* [main] may fail in MT_RESET_HOLD where it loads the guest. NULL: nothing to reset. */
	int (*reset)(void *self, uint32_t kind, uint32_t phase, struct mt_error *err);
	/* [main] Stop own activity; returns when nothing is in flight. NULL: nothing to stop. */
	void (*quiesce)(void *self);
	/* [main] NULL: nothing to do. */
	void (*resume)(void *self);
	/* [main] NULL: nothing to do; what services gave the instance goes by itself. */
	void (*unrealize)(void *self);
	/* [main] */
	void (*destroy)(void *self);
};

#endif
