/* SPDX-License-Identifier: MIT */
/*
 * The device tree, written by the kernel from what plugins say. A class with the role "mortise.fdt-node/1"
 * describes its node(s) after `create` (it may not be realized yet: use properties only). An accelerator that serves
 * more than CPUs (firmware calls) describes that by "mortise.fdt-system/1".
 */
#ifndef MORTISE_FDT_H
#define MORTISE_FDT_H

#include "../plugin.h"

#define MT_IFACE_FDT_NODE   "mortise.fdt-node/1"
#define MT_IFACE_FDT_SYSTEM "mortise.fdt-system/1"     /* struct mt_fdt_node, of accelerators */

struct mt_fdt;     /* the writer, valid during describe */

struct mt_fdt_writer {
	/*
	 * [main] Opens a node. `unit_prop` names an ADDR property: the node becomes "name@hex" and gets `reg`
	 * with the address and the length from the note's range column; NULL: a plain name.
	 */
	void (*begin)(struct mt_fdt *fdt, const char *name, const char *unit_prop);
	void (*end)(struct mt_fdt *fdt);
	/* [main] properties of the open node */
	void (*empty)(struct mt_fdt *fdt, const char *name);
	void (*u32s)(struct mt_fdt *fdt, const char *name, const uint32_t *values, uint32_t count);
	void (*u64)(struct mt_fdt *fdt, const char *name, uint64_t value);
	void (*str)(struct mt_fdt *fdt, const char *name, const char *value);
	void (*strs)(struct mt_fdt *fdt, const char *name, const char *const *values, uint32_t count);
	void (*bytes)(struct mt_fdt *fdt, const char *name, const void *data, uint32_t len_bytes);
	/* [main] `interrupts-extended` from an IRQ property, as its sinks spell their inputs */
	void (*irqs)(struct mt_fdt *fdt, const char *irq_prop);
	/* [main] a property that refers to the node of another instance (REF property), or to the own open node */
	void (*ref)(struct mt_fdt *fdt, const char *name, const char *ref_prop);
	/* [main] gives the open node the instance's phandle (`phandle`): the node that others refer to */
	void (*self_phandle)(struct mt_fdt *fdt);
	/* [main] the phandle number of this instance, for use in u32s */
	uint32_t (*phandle)(struct mt_fdt *fdt);
	/*
	 * [main] For each vCPU, the phandle of its interrupt-controller node followed by each of `causes`:
	 * <&intc0 c0 &intc0 c1 &intc1 c0 ...>
	 */
	void (*vcpu_irqs)(struct mt_fdt *fdt, const char *name, const uint32_t *causes, uint32_t count);
	/* [main] accelerators only: the phandle of vCPU i's cpu node and of its interrupt-controller node */
	uint32_t (*vcpu_phandle)(struct mt_fdt *fdt, uint32_t vcpu);
	uint32_t (*vcpu_intc_phandle)(struct mt_fdt *fdt, uint32_t vcpu);
	/* [main] phandle and specifier of one element of an IRQ property, for an interrupt map; the number of cells */
	uint32_t (*irq_cells)(struct mt_fdt *fdt, const char *irq_prop, uint32_t index, uint32_t cells[5]);
};

struct mt_fdt_node {
	/*
	 * [main] devices: nodes go under /soc; accelerators: under /cpus, those of MT_IFACE_FDT_SYSTEM under /soc. The
	 * kernel has opened /cpus and written its cells: what the instruction set wants there besides (RISC-V: the
	 * rate of the counter) comes before the first node.
	 */
	int (*describe)(void *self, struct mt_fdt *fdt, const struct mt_fdt_writer *w, struct mt_error *err);
};

#endif
