/* SPDX-License-Identifier: MIT */
/*
 * A PCI function and its bus, as the files of this folder see them.
 *
 * Two locks. The bus's `config` lock (recursive) covers configuration spaces, where BARs stand, and the list of
 * functions; it is held while a function's role is called, and so by vCPU threads (and main) only. A function's own
 * `lock` covers its interrupts; any thread takes it, with whatever instance lock it holds. So the order is config,
 * instance, function, and what a device may call on any thread never takes `config`.
 */
#ifndef KERNEL_PCI_FUNCTION_H
#define KERNEL_PCI_FUNCTION_H

#include <pthread.h>
#include <string.h>

#include "kernel/machine/dma.h"
#include "kernel/machine/region.h"
#include "kernel/pci/pci.h"

#define PCI_DEVFNS 256u
#define PCI_CONFIG_BYTES 256u          /* what stands above reads as 0: no extended capability */
#define PCI_CAPS_MAX 16u
#define PCI_NOWHERE UINT64_MAX

/* Configuration space, 7.5.1 */
enum {
	PCI_VENDOR = 0x00, PCI_DEVICE = 0x02, PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_REVISION = 0x08,
	PCI_CLASS = 0x09, PCI_CACHE_LINE = 0x0c, PCI_HEADER_TYPE = 0x0e, PCI_BAR_0 = 0x10,
	PCI_SUBSYSTEM_VENDOR = 0x2c, PCI_SUBSYSTEM = 0x2e, PCI_CAP_POINTER = 0x34, PCI_INT_LINE = 0x3c,
	PCI_INT_PIN = 0x3d, PCI_CAP_FIRST = 0x40,
};
#define PCI_COMMAND_MEMORY   0x0002u
#define PCI_COMMAND_MASTER   0x0004u
#define PCI_COMMAND_NO_INTX  0x0400u
#define PCI_COMMAND_WRITABLE 0x0546u   /* memory, master, parity response, SERR, interrupt disable */
#define PCI_STATUS_INTERRUPT 0x08u
#define PCI_STATUS_CAPS      0x10u
#define PCI_MULTIFUNCTION    0x80u

struct pci_bar {
	struct mt_region *region;      /* NULL: none, or the upper half of the one before */
	uint64_t len_bytes;
	uint32_t flags;                /* MT_PCI_BAR_* */
	uint64_t at;                   /* where it stands; PCI_NOWHERE */
};

struct pci_cap {
	uint32_t at, len_bytes;        /* of its first byte, and without the first two */
	uint32_t live_at, live_bytes;
};

struct pci_vector {
	uint64_t addr;
	uint32_t data, control;
};

struct pci_signal;

struct mt_pci {
	struct mt_inst *inst;
	struct mt_pci_bus *bus;
	const struct mt_pci_function *role;    /* NULL: none */
	uint32_t devfn, flags;
	struct dma_gate gate;                  /* open: bus mastering is on */

	/* config lock; what follows `writable` does not change after realize */
	uint8_t config[PCI_CONFIG_BYTES];
	struct pci_bar bars[MT_PCI_BARS];
	uint8_t initial[PCI_CONFIG_BYTES], writable[PCI_CONFIG_BYTES];
	struct pci_cap caps[PCI_CAPS_MAX];
	uint32_t cap_count, cap_end, cap_last; /* first free byte; where the last one stands */
	uint32_t msix_at, express_at;          /* of the kernel's own capabilities; 0: none */
	uint32_t own_caps;                     /* of caps: the kernel's, which come first */

	/* function lock */
	pthread_mutex_t lock;
	uint32_t vectors;
	struct pci_vector *table;
	uint64_t *pending;
	uint32_t msix_on;                      /* atomic, written under the lock */
	bool msix_masked, intx_off, intx_level, intx_shown;
	struct pci_signal *signals;            /* messages by eventfds */
	uint32_t signal_count;
};

struct mt_pci_bus {
	struct mt_inst *inst;
	GRecMutex config;
	struct mt_pci_window *windows;
	uint32_t window_count;
	struct mt_pci *functions[PCI_DEVFNS];
	pthread_mutex_t intx_lock;             /* inside a function's lock */
	struct mt_line *intx[4];
	uint32_t intx_raised[4];               /* functions that show their pin */
};

/* A struct of the ABI, of the shorter of both sizes; false: it asks for what this mortise does not know. */
static inline bool pci_take(void *to, uint32_t to_bytes, const void *from, uint32_t from_bytes)
{
	memset(to, 0, to_bytes);
	memcpy(to, from, MIN(to_bytes, from_bytes));
	for (uint32_t i = to_bytes; i < from_bytes; i++) {
		if (((const uint8_t *)from)[i])
			return false;
	}
	return true;
}

/* pcibus.c */
struct mt_pci_bus *pcibus_of(struct mt_inst *bridge);
/* With the config lock: maps and moves the BARs of all functions to where the guest wants them. */
void pcibus_place(struct mt_pci_bus *bus);
/* [any] with the function's lock */
void pcibus_intx(struct mt_pci *f, bool shown);

/* pciconf.c, with the config lock */
uint32_t pciconf_load(struct mt_pci *f, uint32_t offset, uint32_t width);
void pciconf_store(struct mt_pci *f, uint32_t offset, uint32_t width, uint32_t value);
/* As after power-on; the BARs are unmapped by the next pcibus_place. */
void pciconf_reset(struct mt_pci *f);
uint64_t pciconf_bar_address(const struct mt_pci *f, uint32_t bar);

/* msix.c */
uint64_t msix_bar_bytes(uint32_t vectors);
/* [main] table and pending bits; false: no memory */
bool msix_init(struct mt_pci *f, uint32_t vectors);
void msix_fini(struct mt_pci *f);
extern const struct mt_region_ops msix_ops;    /* self: the function */
/* [vcpu] with the config lock: what the guest has written; sends what waited */
void msix_control(struct mt_pci *f, bool on, bool masked);
void msix_reset(struct mt_pci *f);
void intx_control(struct mt_pci *f, bool off);
bool intx_pending(struct mt_pci *f);
/* [any] of the service */
void msix_message(struct mt_pci *f, uint32_t vector);
void intx_set(struct mt_pci *f, uint32_t level);
/* [any] with the function's lock: sends it or notes it; whether a message of the vector leaves at once */
void msix_send(struct mt_pci *f, uint32_t vector);
bool msix_is_open(const struct mt_pci *f, uint32_t vector);

/* signal.c. [any] as mt_pci_host.bind_eventfd */
int signal_bind(struct mt_pci *f, uint32_t vector, int fd, struct mt_error *err);
/* [any] with the function's lock, after a change of the table, of a mask or of the gate: who sends what */
void signals_settle(struct mt_pci *f);
/* [main] without any lock: nothing is bound any more */
void signals_end(struct mt_pci *f);

#endif
