/* SPDX-License-Identifier: MIT */
/*
 * What the files of the fake host share. One thread; everything belongs to struct fake and goes with it.
 * Handles that plugins hold (region, line, timer, ...) are entries of fixed tables or small allocations.
 */
#ifndef MTSDK_FAKE_INTERNAL_H
#define MTSDK_FAKE_INTERNAL_H

#include "fake.h"

#include <util/net-frame.h>

#define FAKE_REGIONS 16
#define FAKE_LINES   1024
#define FAKE_TIMERS  64
#define FAKE_PROPS   64
#define FAKE_POSTS   64
#define FAKE_WATCHES 16
#define FAKE_REGS    256
#define FAKE_CHAR_QUEUE 4096
#define FAKE_PCI_CAPS 16
#define FAKE_PCI_SIGNALS 80u
#define FAKE_SYSREGS 128
#define FAKE_VECTORS 8
#define FAKE_MESSAGES 256
#define FAKE_MSI_TARGETS 4

struct mt_inst {
	struct fake *fake;
};

struct mt_region {
	struct mt_region_desc desc;
	struct mt_region_ops ops;
	char name[64];
};

struct mt_line {
	char name[48];             /* property or pin */
	uint32_t index;            /* element, or vCPU */
	uint32_t is_pin;
	uint32_t level, changes;
};

struct mt_timer {
	struct fake *fake;
	uint32_t clock;
	uint64_t deadline_ns;      /* of its clock; UINT64_MAX: disarmed */
	void (*fn)(void *arg);
	void *arg;
};

struct mt_deferred {
	void (*fn)(void *arg);
	void *arg;
	uint32_t posted;
};

struct mt_watch {
	struct fake *fake;
	int fd;                    /* < 0: free */
	uint32_t events;
	void (*fn)(void *arg, uint32_t events);
	void *arg;
};

struct fake_job {
	void (*done)(void *arg);
	void *arg;
	void (*work)(void *arg);
};

struct mt_char {
	struct fake *fake;
	const struct mt_char_front *front;
	void *front_self;
	uint32_t connected, gone;
	uint32_t room;             /* of whatever stands on the other side */
	uint32_t writables;
	uint32_t ready;            /* receive_ready was called */
	uint8_t queue[FAKE_CHAR_QUEUE];
	uint32_t queued;
	uint8_t *out;
	uint32_t out_len, out_capacity;
};

struct mt_net {
	struct fake *fake;
	const struct mt_net_front *front;
	void *front_self;
	uint32_t connected, gone;
	struct mt_net_info info;
	struct mt_net_setup setup;
	struct mt_net_queue queue, sent;   /* to the front, and from it */
	uint32_t room, short_;     /* frames that send takes; it took less than offered */
	uint32_t told, looked;     /* the front knows of frames; the first of `sent` was shown */
	uint32_t receivables, sendables, changes;
};

struct fake_vq_req;

struct mt_vq {
	struct fake *fake;
	struct fake_vq_req *avail, *held, *used, *last;
	uint32_t popped, quiet, signals;
};

struct mt_dma {
	struct fake *fake;
	uint32_t mapped;
};

struct fake_pci_cap {
	struct mt_pci_cap cap;
	uint8_t *bytes, *writable;
};

struct mt_pci {
	struct fake *fake;         /* NULL: not attached */
	struct mt_pci_desc desc;
	uint32_t master, msix, intx;
	uint32_t *messages;
	struct mt_region *bars[MT_PCI_BARS];
	struct fake_pci_cap caps[FAKE_PCI_CAPS];
	uint32_t cap_count;
	struct { int fd; uint32_t vector; } signals[FAKE_PCI_SIGNALS];
	uint32_t signal_count;
};

struct fake_prop {
	char name[48];
	char *text;
};

struct fake_sysreg {
	struct mt_sysreg_range range;
	uint32_t vcpu;
};

/* The controller of a vCPU, and what it asked for last. */
struct fake_vector {
	struct mt_vector_ops ops;
	void *arg;
	uint32_t request, events, event, value;
};

struct fake_message {
	uint64_t addr;
	uint32_t data;
};

enum fake_life { FAKE_NEW, FAKE_CREATED, FAKE_REALIZED, FAKE_RUNNING, FAKE_DEAD };

struct fake {
	struct mt_host host;       /* first: the host is the fake */
	struct mt_inst inst;
	const struct mt_plugin *plugin;
	const struct mt_device_class *dev;
	char class_name[64], id[32];
	void *self;
	void *accelerator;
	enum fake_life state;
	char hidden[8][48];
	uint32_t hidden_count;

	struct fake_prop props[FAKE_PROPS];
	uint32_t prop_count;
	struct mt_region regions[FAKE_REGIONS];
	uint32_t region_count;
	struct mt_line lines[FAKE_LINES];
	uint32_t line_count, vcpu_count;
	uint32_t ends_of_interrupt[1024];
	struct fake_sysreg sysregs[FAKE_SYSREGS];
	uint32_t sysreg_count;
	struct fake_vector vectors[FAKE_VECTORS];
	struct {
		const struct mt_vector_source *role;
		void *self, *arg;
		char prop[48];
		void (*changed)(void *arg, uint32_t level);
	} source;
	struct { char prop[48]; struct mt_msi_window window; } msi_targets[FAKE_MSI_TARGETS];
	uint32_t msi_target_count;
	void (*eoi_listener)(void *arg, uint32_t vector);
	void *eoi_arg;
	uint32_t eois, eoi_last;
	struct fake_message messages[FAKE_MESSAGES];
	uint32_t message_count;

	uint64_t now_ns, timebase_hz;
	struct mt_guest_time guest_time;
	struct mt_timer timers[FAKE_TIMERS];
	uint32_t timer_count;
	struct mt_deferred deferreds[FAKE_POSTS];
	uint32_t deferred_count;
	struct mt_watch watches[FAKE_WATCHES];
	uint32_t watch_count;
	struct fake_job *jobs;
	uint32_t job_count, job_capacity;
	uint32_t request_count, request, request_code;

	struct mt_char chr;
	struct mt_net net;
	struct mt_vq vqs[MT_VIRTIO_QUEUES_MAX];
	struct mt_virtio_desc virtio_desc;
	uint32_t virtio_running, config_changes;
	char broken[128];
	struct mt_ram ram;
	uint64_t ram_gpa;
	struct mt_dma dma;
	struct mt_pci pci;
	struct fake_blocks *blocks;   /* NULL: none yet */

	char *fdt_text;
	uint8_t *boot_tree;
	uint64_t boot_tree_bytes;
	char *boot_args;
	uint64_t boot_initrd_gpa, boot_initrd_bytes;
	struct { uint32_t vcpu; char name[16]; uint64_t value; } regs[FAKE_REGS];
	uint32_t reg_count;

	uint32_t log_counts[8];
	char log_last[512];
};

#define FAKE_PATH_BYTES 256

struct fake_field {
	char path[FAKE_PATH_BYTES];   /* "queue[1]/size"; groups are fields too */
	uint32_t type, flags, count, asked;
	uint8_t *data;
};

/* The writer's and the reader's handle, in one: the state itself. */
struct fake_state {
	struct fake_field *field;
	uint32_t count, capacity, depth;
	char prefix[FAKE_PATH_BYTES]; /* of the open groups: "" or "a[0]/" */
	char refused[FAKE_PATH_BYTES + 128];
	/* beside the fields, what the host has to put back or to compare */
	uint64_t now_ns, deadline_ns[FAKE_TIMERS];
	uint32_t timer_count, line_count;
	struct mt_line *lines;
};

__attribute__((format(printf, 1, 2), noreturn)) void fake_die(const char *fmt, ...);

/* props.c: the note of the class, found in the program's image */
const struct mt_note_prop *fake_note_prop(struct fake *f, const char *name, const char **strings);
int fake_note_has(struct fake *f, const char *name);
uint32_t fake_class_flags(struct fake *f);
const char *fake_prop_text(struct fake *f, const char *name);
const char *fake_prop_range(struct fake *f, const char *name);

uint32_t fake_char_pump(struct fake *f);
void fake_sysreg_fuzz(struct fake *f, uint64_t *seed);
void fake_vector_fuzz(struct fake *f, uint64_t *seed);
uint32_t fake_message_send(struct mt_inst *inst, uint64_t addr, uint32_t data);
void fake_ram_make(struct fake *f);
void fake_ram_free(struct fake *f);
void fake_pci_end(struct fake *f);
void fake_net_free(struct fake *f);
void fake_virtio_free(struct fake *f);

extern const struct mt_props_host fake_props_host;
extern const struct mt_mmio_host fake_mmio_host;
extern const struct mt_irq_host fake_irq_host;
extern const struct mt_clock_host fake_clock_host;
extern const struct mt_loop_host fake_loop_host;
extern const struct mt_worker_host fake_worker_host;
extern const struct mt_char_host fake_char_host;
extern const struct mt_net_host fake_net_host;
extern const struct mt_virtqueue_host fake_virtqueue_host;
extern const struct mt_dma_host fake_dma_host;
extern const struct mt_boot_host fake_boot_host;
extern const struct mt_pci_host fake_pci_host;
extern const struct mt_sysreg_host fake_sysreg_host;
extern const struct mt_vector_host fake_vector_host;
extern const struct mt_msi_host fake_msi_host;

#endif
