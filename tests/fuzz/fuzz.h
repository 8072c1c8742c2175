/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest, and a hostile host behind it, for any machine: the input of a fuzzer is a program of small moves
 * against a machine that is made of the real kernel and the real plugins (plugins/NAME/fuzz.ini). All of it runs on
 * one thread that is main and the vCPU in turn, but for OP_THREAD and the machine's own loop. Easy to break: an input
 * must mean the same for ever, so moves are added at the end of the table in program.c and never renumbered.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <mortise/draft/cpu-sysreg.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/cpu.h>
#include <mortise/draft/ram.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/machine/machine.h"

/* target.c: machines of one machine file. */

/* [main] Reads the file and its plugins, once in a process; `tmp` is ${tmp} in it. False: told on standard error. */
bool target_open(const char *path, const char *tmp);
/* [main] NULL with `err`: this host cannot have it. */
struct machine *target_try(struct mt_error *err);
void target_close(void);
/* [main] A machine that is realized, or realized and running (reset by power-on). Aborts when there is none. */
struct machine *target_realize(void);
struct machine *target_run(void);

/* state.c: the state of a machine, in memory. */
struct image;
/* [main] while it runs; the machine goes on. Component `extra` gets a field that no class has. */
#define IMAGE_PLAIN UINT_MAX
struct image *image_save(struct machine *m, unsigned extra);
void image_free(struct image *image);
/* Changes one field, or truncates or extends a component, as `how` says. */
void image_damage(struct image *image, uint32_t how, uint32_t where, uint32_t value);
/*
 * [main] A machine that goes on from it and runs; NULL: refused, with who and why. An image that is whole is taken, and
 * saved again the same: anything else aborts.
 */
unsigned image_count(const struct image *image);
/* Name and bytes; valid while the image is. */
const char *image_component(const struct image *image, unsigned index, const uint8_t **bytes, size_t *len_bytes);
struct image *image_copy(const struct image *image);
struct machine *image_load(const struct image *image, bool whole);
/* Aborts with the component's name where they differ. */
void image_expect_same(const struct image *a, const struct image *b);

/* ends.c: the classes that stand for what is around a device, named fuzz-cpu, fuzz-lines, fuzz-char, ... */
extern struct machine_source *ends_source(struct machine_source *files);
#define ENDS_ARGS 8
/* One action of a back end; which one there is, and what it takes, says ends.c. */
void ends_act(uint32_t which, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes);
/* Puts the disks' file into its first state. */
void ends_begin(void);

/* cpu.c: the accelerator, its vCPUs' registers, and what they do with an interrupt: its vector or MT_VECTOR_NONE. */
extern const struct mt_cpu_class ends_cpu_class;
extern const struct mt_cpu_pins ends_cpu_pins;
extern const struct mt_cpu_sysreg ends_cpu_sysreg;
extern const struct mt_cpu_vector ends_cpu_vector;
uint64_t ends_sysreg(uint32_t vcpu, uint32_t number, uint32_t how, uint64_t value);
int32_t ends_vector(uint32_t vcpu, uint32_t how);

/* program.c: the guest. */
#define VDEVS 4u
#define QUEUES 4u

/* A ring as a driver sees it. */
struct ring {
	uint64_t desc, driver, device;         /* addresses of its parts */
	uint32_t size;                         /* 0: not set up */
	uint32_t next;                         /* descriptor to use next */
	uint16_t avail;                        /* split: index of available entries */
	bool wrap;                             /* packed: the driver's wrap counter */
};

/* A virtio device behind whatever transport. */
struct vdev {
	uint64_t regs, notify, config;         /* addresses; regs 0: none */
	uint32_t notify_step;
	bool pci, packed, indirect;
	struct ring rings[QUEUES];
};

struct guest {
	struct machine *m;
	const uint8_t *at, *end;               /* what is left of the program */
	uint64_t last;                         /* what was read last */
	uint64_t ram, ram_bytes;
	uint64_t ecam, mem32;                  /* 0: no PCI */
	bool lazy;                             /* the loop is left to itself */
	struct vdev vdevs[VDEVS];
	uint32_t vdev_count;
	struct image *image;
	uint32_t lives;                        /* dear moves (reset, save, load, thread) so far */
	bool child;                            /* runs beside the guest: keeps off the machine's life */
	uint32_t vcpu;                         /* whose accesses it makes */
};

void guest_run(struct guest *g);
/* The calling thread becomes the guest's vCPU, guest time stands still. */
void target_guest(struct guest *g);
uint8_t take8(struct guest *g);
uint16_t take16(struct guest *g);
uint32_t take32(struct guest *g);
uint64_t take64(struct guest *g);
/* Up to `len_bytes` of the program; *len_bytes becomes what there is. */
const uint8_t *take_bytes(struct guest *g, uint32_t *len_bytes);

/* As a vCPU does it; MT_BUS_* result. I/O ports are at addresses from PORTS on. */
#define PORTS (1ull << 63)
uint32_t guest_read(struct guest *g, uint64_t addr, uint32_t width, uint64_t *value);
uint32_t guest_write(struct guest *g, uint64_t addr, uint32_t width, uint64_t value);
uint64_t guest_get(struct guest *g, uint64_t addr, uint32_t width);   /* 0 where nothing is */
void guest_copy(struct guest *g, uint64_t addr, const void *data, uint32_t len_bytes);
/* Range `index` of registers in the memory map and the ports as they are now, modulo their number. False: none. */
bool guest_window(struct guest *g, uint32_t index, uint64_t *addr, uint64_t *len_bytes);
/* Until what was posted has run. */
void guest_sync(struct guest *g);

/* pci.c */
void pci_find(struct guest *g);
void pci_enumerate(struct guest *g);
uint64_t pci_config(const struct guest *g, uint32_t devfn, uint32_t offset);
void op_pci_write(struct guest *g);
void op_pci_bar(struct guest *g);
void op_pci_enumerate(struct guest *g);

/* virtio.c */
void virtio_find(struct guest *g);
void op_virtio_start(struct guest *g);
void op_virtio_chain(struct guest *g);
void op_virtio_kick(struct guest *g);

#endif
