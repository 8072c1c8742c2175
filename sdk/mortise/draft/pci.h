/* SPDX-License-Identifier: MIT */
/*
 * PCI. Configuration space, placing of BARs, capabilities and the MSI-X table belong to the kernel; a function
 * declares what it has, sees accesses to its BARs as region operations, and never learns its guest address.
 * A function is one instance: its REF property `bus` names a host bridge (role "mortise.pci-bus/1"), its INT
 * properties `slot` and `function`, where the class has them, say where on it it sits (no slot: the first free one,
 * in the order of the file). A DMA handle that is asked for after attach is the function's: while the guest has
 * bus mastering off, every transfer is a decode error. A reset of the machine puts configuration space back itself.
 * Section numbers are of the PCI Express Base Specification 4.0.
 */
#ifndef MORTISE_PCI_H
#define MORTISE_PCI_H

#include "irq.h"
#include "mmio.h"

#define MT_IFACE_PCI          "mortise.pci/1"           /* host, for functions */
#define MT_IFACE_PCI_FUNCTION "mortise.pci-function/1"  /* role of a function */
#define MT_IFACE_PCI_BUS      "mortise.pci-bus/1"       /* role of a host bridge; a word, without a table */
#define MT_IFACE_PCI_BRIDGE   "mortise.pci-bridge/1"    /* host, for host bridges */

#define MT_PCI_BARS        6u
#define MT_PCI_VECTORS_MAX 2048u
#define MT_PCI_NO_BAR      0xffffffffu
#define MT_PCI_NO_VECTOR   0xffffffffu

/* Of a function. */
#define MT_PCI_INTX 1u           /* has an interrupt pin */
#define MT_PCI_FLR  2u           /* can be reset alone: the role's `reset` */

struct mt_pci_desc {
	uint32_t size;
	uint32_t flags;                  /* MT_PCI_INTX, MT_PCI_FLR */
	uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
	uint32_t class_code;             /* base, sub and interface: 0x010802 */
	uint32_t revision;               /* 8 bits */
	uint32_t vectors;                /* MSI-X messages, up to MT_PCI_VECTORS_MAX; 0: no MSI-X */
	uint32_t msix_bar;               /* the BAR that the kernel makes for table and pending bits; MT_PCI_NO_BAR */
};

/* Of a BAR. */
#define MT_PCI_BAR_64       1u   /* takes this register and the next */
#define MT_PCI_BAR_PREFETCH 2u

/*
 * A capability after its first two bytes (id and pointer), or a vendor-specific one with its length byte as
 * bytes[0]. Bits that are 1 in `writable` (NULL: none) the guest may change.
 */
struct mt_pci_cap {
	uint32_t size;
	uint32_t id;                     /* 0x09: vendor-specific */
	uint32_t len_bytes;              /* of `bytes` and `writable`; both are copied */
	uint32_t live_offset, live_bytes;  /* part of `bytes` that the role's cap_read and cap_write serve; 0: none */
	const uint8_t *bytes, *writable;
};

/* The kernel's handle of a function. Goes with the instance. */
struct mt_pci;

/* Role of a function; every member may be NULL. Under the instance lock unless the class is parallel. */
struct mt_pci_function {
	/*
	 * [vcpu] or [main] the guest switched bus mastering: 0 means that no DMA and no message leaves any more. Also
	 * when a load changes it, before the class's own load.
	 */
	void (*bus_master)(void *self, uint32_t enabled);
	/*
	 * [vcpu] function-level reset: back to the state after power-on, the pin included. When it returns nothing
	 * of the function touches guest memory any more. Configuration space has been put back already.
	 */
	void (*reset)(void *self);
	/*
	 * [vcpu] the live part of the capability that cap_add numbered `cap`; `offset` counts from its start. Width
	 * 1, 2 or 4.
	 */
	uint32_t (*cap_read)(void *self, uint32_t cap, uint32_t offset, uint32_t width);
	void (*cap_write)(void *self, uint32_t cap, uint32_t offset, uint32_t width, uint32_t value);
};

struct mt_pci_host {
	/* [main] in realize. NULL with `err`: no such bus, the place is taken, bad values. */
	struct mt_pci *(*attach)(struct mt_inst *inst, const struct mt_pci_desc *desc, struct mt_error *err);
	/*
	 * [main] in MT_RESET_HOLD: the ids, class code and revision of `desc`, for a function that did not know them
	 * at attach (a slot for what another section brings). A vendor id of 0xffff: nobody is there.
	 */
	void (*identify)(struct mt_pci *pci, const struct mt_pci_desc *desc);
	/*
	 * [main] in realize. A BAR of region->len_bytes, a power of two from 16 on (`at_prop` is NULL); larger than
	 * 2 GiB only with MT_PCI_BAR_64. 0, or a negative code with `err`.
	 */
	int (*bar_add)(struct mt_pci *pci, uint32_t bar, uint32_t flags, const struct mt_region_desc *region,
		       struct mt_error *err);
	/* [main] in realize. The capability's number, counted from 0 in the order of adding; negative with `err`. */
	int (*cap_add)(struct mt_pci *pci, const struct mt_pci_cap *cap, struct mt_error *err);
	/* [vcpu] inside cap_read and cap_write: bytes of the capability as the guest has set them; offsets as in
	 * mt_pci_cap.bytes */
	void (*cap_get)(struct mt_pci *pci, uint32_t cap, uint32_t offset, void *buf, uint32_t len_bytes);
	/* [any] 1: the guest has MSI-X on */
	uint32_t (*msix_enabled)(struct mt_pci *pci);
	/* [any] Sends the message of `vector`, or notes it as pending while it is masked; without MSI-X nothing. */
	void (*message)(struct mt_pci *pci, uint32_t vector);
	/* [any] Level of the interrupt pin; the guest sees it while MSI-X is off and the pin is not disabled. */
	void (*intx)(struct mt_pci *pci, uint32_t level);
	/* [main] The region of a BAR, for bindings to eventfds; the bus places it. NULL: no such BAR. */
	struct mt_region *(*bar_region)(struct mt_pci *pci, uint32_t bar);
	/*
	 * From now on a signal of `fd` is a `message` of `vector`, whoever signals it (an accelerator may send it without
	 * a way through the kernel); with MT_PCI_NO_VECTOR of none, and what was signalled before is forgotten. [main] in
	 * reset or later for a descriptor that is new here: an eventfd that does not block. It stays the caller's, and is
	 * bound until the instance goes. [any] for one that is bound: that cannot fail. When a saved machine goes on,
	 * whoever bound it signals again what may still wait. 0, or a negative code with `err`.
	 */
	int (*bind_eventfd)(struct mt_pci *pci, uint32_t vector, int fd, struct mt_error *err);
};

/* Windows of addresses that the bridge passes on to its bus; PCI addresses are the guest-physical ones. */
struct mt_pci_window {
	uint64_t base, len_bytes;
};

struct mt_pci_bridge_desc {
	uint32_t size;
	uint32_t window_count;
	const struct mt_pci_window *windows;
	struct mt_line *intx[4];         /* INTA..INTD of slot 0; a slot's pins are rotated by its number */
};

/* The kernel's handle of a bus. Goes with the bridge's instance, whose class is MT_CLASS_PARALLEL. */
struct mt_pci_bus;

struct mt_pci_bridge {
	/* [main] in realize; functions attach later. NULL with `err`. */
	struct mt_pci_bus *(*bus_create)(struct mt_inst *bridge, const struct mt_pci_bridge_desc *desc,
					 struct mt_error *err);
	/*
	 * [vcpu] Configuration space, `devfn` = slot * 8 + function. access->offset is 0..4095 in it, the width 1, 2
	 * or 4. Absent functions read as ones. MT_BUS_DECODE for what no vCPU sent: devices do not configure devices.
	 */
	uint32_t (*config_read)(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *access,
				uint64_t *value);
	uint32_t (*config_write)(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *access,
				 uint64_t value);
	/* [main] in MT_RESET_ENTER: configuration spaces as after power-on, nothing mapped, no pin raised */
	void (*reset)(struct mt_pci_bus *bus);
};

#endif
