/* SPDX-License-Identifier: MIT */
/*
 * An in-memory host for the unit tests of plugins: one instance of one class with the services of
 * mortise/draft, no kernel, no threads. Everything happens when the test says so: time moves with
 * fake_advance, posted calls and completions run in fake_pump. Several hosts may live in one process.
 * The plugin's source is linked into the test; its note (found in the program's own image) gives property
 * names, types and defaults. What a test must not do (unknown property, wrong order of calls) ends it with a
 * message on stderr and abort.
 */
#ifndef MTSDK_FAKE_H
#define MTSDK_FAKE_H

#include <mortise/draft/boot.h>
#include <mortise/draft/char.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/cpu.h>
#include <mortise/draft/cpu-sysreg.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/device.h>
#include <mortise/draft/dma.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/msi.h>
#include <mortise/draft/net.h>
#include <mortise/draft/pci.h>
#include <mortise/draft/props.h>
#include <mortise/draft/virtio.h>
#include <mortise/note.h>
#include <mortise/plugin.h>

struct fake;

/* Life. `class_name` as in the note. Calls mortise_plugin_entry. */
struct fake *fake_new(const char *class_name);
void fake_free(struct fake *f);                      /* quiesces, unrealizes and destroys what is alive */
const struct mt_host *fake_host(struct fake *f);
struct mt_inst *fake_inst(struct fake *f);
void *fake_self(struct fake *f);
const void *fake_role(struct fake *f, const char *iface_id);   /* vtable of the class, or NULL */
void fake_hide(struct fake *f, const char *iface_id);          /* before create: the host lacks this service */
void fake_id(struct fake *f, const char *id);        /* as the machine file's section; default "dut" */
/* Before create: a property as in the machine file. REF and IRQ need no target. "" unsets. */
void fake_prop(struct fake *f, const char *name, const char *value);
int fake_create(struct fake *f, struct mt_error *err);
int fake_realize(struct fake *f, struct mt_error *err);
int fake_reset(struct fake *f, uint32_t kind, struct mt_error *err);   /* all three phases, then resume */
void fake_start(struct fake *f);                     /* create, realize, cold reset; aborts when one fails */

/* Regions, by index in the order of region_add. Accesses are split as the region declares. */
uint32_t fake_region_count(struct fake *f);
const struct mt_region_desc *fake_region(struct fake *f, uint32_t region);
uint32_t fake_read(struct fake *f, uint32_t region, uint64_t offset, uint32_t width, uint64_t *value);
uint32_t fake_write(struct fake *f, uint32_t region, uint64_t offset, uint32_t width, uint64_t value);
/* The same, of region 0; abort unless MT_BUS_OK. */
uint64_t fake_get(struct fake *f, uint64_t offset, uint32_t width);
void fake_put(struct fake *f, uint64_t offset, uint32_t width, uint64_t value);
/*
 * Random accesses of random widths, offsets and values to every region, with time, posted calls, interrupt
 * inputs, system registers and received bytes in between. Ends when `count` accesses were made; a finding is a crash, a
 * sanitizer report or an abort. The same seed does the same.
 */
void fake_fuzz_region(struct fake *f, uint64_t seed, uint32_t count);
uint64_t fake_random(uint64_t *state);

/* Wires. */
uint32_t fake_line(struct fake *f, const char *prop, uint32_t index);        /* level of an own line */
uint32_t fake_line_changes(struct fake *f, const char *prop, uint32_t index);
uint32_t fake_pin(struct fake *f, uint32_t vcpu, const char *pin);
void fake_input(struct fake *f, uint32_t input, uint32_t level);             /* to a sink */
uint32_t fake_ends_of_interrupt(struct fake *f, uint32_t input);
void fake_accelerator(struct fake *f, void *self);                           /* before create; of the same file */
void fake_vcpus(struct fake *f, uint32_t count);                             /* before create; default 1 */
/* Before create: the REF property `prop` names a target of messages with this window. */
void fake_msi_target(struct fake *f, const char *prop, const struct mt_msi_window *window);
void fake_eoi(struct fake *f, uint32_t vector);      /* the targets' word to who listens for ends of interrupts */
uint32_t fake_eois(struct fake *f, uint32_t *vector);        /* how many the plugin, a target, told of; the last */
uint32_t fake_messages(struct fake *f);              /* how many were sent so far */
uint32_t fake_message(struct fake *f, uint32_t index, uint64_t *addr);       /* data of one of the last 256 */
/* System registers of a vCPU that the plugin serves: MT_SYSREG_*, ILLEGAL where it serves none. */
uint32_t fake_sysreg_read(struct fake *f, uint32_t vcpu, uint64_t number, uint64_t *value);
uint32_t fake_sysreg_write(struct fake *f, uint32_t vcpu, uint64_t number, uint64_t value);
uint32_t fake_sysreg_modify(struct fake *f, uint32_t vcpu, uint64_t number, uint64_t keep, uint64_t bits,
			    uint64_t *old);
/*
 * Vectors: of the vCPUs that the plugin serves, 0 to 7, and of vCPU 0 of a plugin that stands behind another.
 * Acknowledging gives the vector or MT_VECTOR_NONE; events: how many so far, and the last one.
 */
uint32_t fake_vector_bound(struct fake *f, uint32_t vcpu);
uint32_t fake_vector_request(struct fake *f, uint32_t vcpu);
int32_t fake_vector_acknowledge(struct fake *f, uint32_t vcpu);
uint32_t fake_vector_priority(struct fake *f, uint32_t vcpu);
void fake_vector_set_priority(struct fake *f, uint32_t vcpu, uint32_t level);
void fake_vector_set_enabled(struct fake *f, uint32_t vcpu, uint32_t enabled);
uint32_t fake_vector_events(struct fake *f, uint32_t vcpu, uint32_t *event, uint32_t *value);
/* Before create: the REF property `prop` names this controller of the test's; what it requests once it is taken. */
void fake_vector_source(struct fake *f, const char *prop, const struct mt_vector_source *role, void *self);
void fake_vector_source_set(struct fake *f, uint32_t level);

/* Time, in ns of every clock together; starts at 0 (REALTIME: at 1 000 000 000 s). */
uint64_t fake_now(struct fake *f);
void fake_advance(struct fake *f, uint64_t ns);      /* timers fire in order, each at its time */
void fake_timebase(struct fake *f, uint64_t hz);     /* default 10 MHz */
void fake_pump(struct fake *f);                      /* posted calls, worker jobs, due timers, ready descriptors */
uint32_t fake_requests(struct fake *f, uint32_t *request, uint32_t *code);   /* machine_request: count, last */

/* Char port, front end under test: its REF property is set. */
void fake_char_room(struct fake *f, uint32_t bytes); /* what `write` will take in all; default without bound */
void fake_char_more(struct fake *f, uint32_t bytes); /* more room, and the front's `writable` */
void fake_char_gone(struct fake *f);                 /* write returns MT_EGONE from now on */
uint32_t fake_char_send(struct fake *f, const void *data, uint32_t len);     /* queues up to 4096; then pumps */
void fake_char_event(struct fake *f, uint32_t event);
/* Both ends: the bytes written by the front under test, or delivered by the back end under test, so far. */
const uint8_t *fake_char_out(struct fake *f, uint32_t *len);
void fake_char_clear(struct fake *f);
/* Char port, back end under test. */
void fake_char_connect(struct fake *f);              /* before realize: a front is there */
int64_t fake_char_front_write(struct fake *f, const void *data, uint32_t len);
void fake_char_front_room(struct fake *f, uint32_t bytes);   /* what deliver takes in all; then receive_ready */
uint32_t fake_char_writables(struct fake *f);        /* how often the back end said writable */

/* Net port, front end under test. */
void fake_net_info(struct fake *f, const struct mt_net_info *info);      /* tells the front when there is one */
const struct mt_net_setup *fake_net_setup(struct fake *f);               /* as the front agreed last */
void fake_net_room(struct fake *f, uint32_t frames); /* what `send` takes from now on; then sendable */
void fake_net_gone(struct fake *f);
void fake_net_give(struct fake *f, const void *frame, uint32_t len);     /* one frame for the front; pumps */
const uint8_t *fake_net_sent(struct fake *f, uint32_t *len);             /* the next frame it sent, or NULL */
/* Net port, back end under test: the test is its front. */
void fake_net_connect(struct fake *f);               /* before realize: a front is there */
int fake_net_agree(struct fake *f, uint32_t flags, uint32_t offloads, uint32_t queues);
int64_t fake_net_front_send(struct fake *f, uint32_t queue, const void *frame, uint32_t len);
/* Bytes of a frame; 0: none came. */
int64_t fake_net_front_receive(struct fake *f, uint32_t queue, void *frame, uint32_t size, uint32_t *waiting);
uint32_t fake_net_receivables(struct fake *f);       /* how often the back end said so */
uint32_t fake_net_sendables(struct fake *f);
uint32_t fake_net_changes(struct fake *f);

/* Virtio, device under test: the test is its driver. All queues are enabled. */
const struct mt_virtio_desc *fake_virtio(struct fake *f);
void fake_virtio_start(struct fake *f, uint64_t features);
void fake_virtio_stop(struct fake *f);
void fake_vq_offer(struct fake *f, uint32_t queue, const void *out, uint32_t out_len, uint32_t in_len);
void fake_vq_kick(struct fake *f, uint32_t queue);   /* when the device wants kicks; pumps */
/* 1 with the next request that came back; `in` lives until the next call for this queue. */
uint32_t fake_vq_used(struct fake *f, uint32_t queue, const uint8_t **in, uint32_t *written);
uint32_t fake_vq_held(struct fake *f, uint32_t queue);       /* popped and not back */
uint32_t fake_vq_signals(struct fake *f, uint32_t queue);
uint32_t fake_config_changes(struct fake *f);
const char *fake_broken(struct fake *f);             /* why the device said that it is broken, or NULL */

/* Guest RAM: one object at `gpa`. Default 1 MiB at 0x80000000. Before create. */
void fake_ram(struct fake *f, uint64_t gpa, uint64_t len_bytes);
uint8_t *fake_ram_at(struct fake *f, uint64_t gpa);  /* NULL outside */
uint32_t fake_ram_dirty(struct fake *f, uint64_t gpa);   /* the page's migration bit */
uint32_t fake_ram_mapped(struct fake *f);            /* maps without unmap */

/*
 * PCI function: BARs are regions in the order of bar_add. Bus mastering is off at first: DMA is refused. Capabilities
 * by number, offsets as in mt_pci_cap.bytes.
 */
const struct mt_pci_desc *fake_pci(struct fake *f);      /* as attached, with the ids of the last identify */
uint32_t fake_pci_intx(struct fake *f);                  /* level of the pin as the guest sees it */
uint32_t fake_pci_messages(struct fake *f, uint32_t vector);   /* sent so far, by signals too */
void fake_pci_msix(struct fake *f, uint32_t on);
void fake_pci_master(struct fake *f, uint32_t on);
void fake_pci_reset(struct fake *f);                     /* function-level */
const struct mt_pci_cap *fake_pci_cap(struct fake *f, uint32_t cap);   /* NULL: no such */
uint32_t fake_pci_cap_read(struct fake *f, uint32_t cap, uint32_t offset, uint32_t width);
void fake_pci_cap_write(struct fake *f, uint32_t cap, uint32_t offset, uint32_t width, uint32_t value);

/* The device tree of the instance, in the manner of dtc; belongs to the host, until the next call. */
const char *fake_fdt(struct fake *f);

/* What a boot plugin did. */
void fake_boot_fdt_bytes(struct fake *f, uint64_t bytes);    /* size of the tree that fdt_build makes; default 4096 */
const char *fake_boot_args(struct fake *f);                  /* NULL: none */
void fake_boot_initrd(struct fake *f, uint64_t *gpa, uint64_t *len_bytes);
/* As an accelerator has it after a reset, for the boot loader to read; MT_ENOENT: no such vCPU. */
int fake_boot_reg_set(struct fake *f, uint32_t vcpu, const char *reg, uint64_t value);
int fake_boot_reg(struct fake *f, uint32_t vcpu, const char *reg, uint64_t *value);   /* 0: was not set */

/* Messages. */
uint32_t fake_log_count(struct fake *f, uint32_t level);
const char *fake_log_last(struct fake *f);

#endif
