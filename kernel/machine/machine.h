/* SPDX-License-Identifier: MIT */
/*
 * A machine: the instances of one machine file with their spaces, clocks, loop and vCPUs. Several live in
 * one process; nothing here is global.
 */
#ifndef MORTISE_KERNEL_MACHINE_H
#define MORTISE_KERNEL_MACHINE_H

#include <mortise/draft/loop.h>
#include <pthread.h>
#include <stdio.h>

#include "kernel/machine/inst.h"
#include "kernel/load/registry.h"

struct space;       /* ram.c, bus.c: regions, RAM blocks, flat views */
struct guest_clock; /* clock.c */
struct vcpus;       /* vcpu.c */
struct fdt_state;   /* fdt.c */
struct snapshot;    /* kernel/state */

/* A [memory ID] section. */
struct machine_memory {
	const struct config_section *section;
	uint64_t gpa, len_bytes;
	bool rom;                      /* type = rom: not told to the guest as memory */
	bool share;                    /* share = on: a memfd behind it */
	struct mt_ram *ram;            /* from realize on */
};

#define MACHINE_EVENT_RESET 1u         /* it was reset */
#define MACHINE_EVENT_DEBUG 2u         /* vCPUs have stopped for the debugger; the machine is paused */
#define MACHINE_EVENT_DISK  4u         /* requests of disks have failed: kernel/block/block.h */
#define MACHINE_EVENT_STOP  8u         /* a disk's error has paused the machine */

/* Who looks on while machine_run serves a machine (the monitor); all of it is called on [main]. */
struct machine_watcher {
	int fd;                        /* `serve` is called when it is readable; -1: never */
	void *arg;
	void (*serve)(void *arg);
	void (*event)(void *arg, uint32_t event);
	/* machine_run has come to its end: the request that ended it (MT_REQUEST_QUIT for a signal), and the exit code */
	void (*end)(void *arg, uint32_t request, int code);
	void (*destroy)(void *arg);    /* before the machine's own end */
};

struct machine {
	struct config *config;
	GPtrArray *insts;              /* of struct mt_inst, in the order of realize: back ends first */
	GArray *memory;                /* of struct machine_memory, in file order */
	struct mt_inst *cpu;           /* the accelerator's instance */
	struct mt_inst *boot;          /* NULL without [boot] */
	uint32_t vcpu_count;
	enum inst_state state;
	struct space *system, *ports;   /* memory; the x86 I/O ports */
	struct guest_clock *clock;
	struct loop *loop;             /* main loop of the machine: its own thread */
	GHashTable *threads;           /* name -> struct loop, of `thread =` */
	struct vcpus *vcpus;           /* from realize to unrealize */
	struct fdt_state *fdt;
	struct machine_source *source; /* owned when machine_create made it */
	struct {                       /* where RAM comes from at realize; NULL: it is new */
		/* a file of `len_bytes` with the contents, the caller's; or a negative code with `err` */
		int (*open)(void *arg, const char *id, uint64_t len_bytes, struct mt_error *err);
		void *arg;
	} ram_source;
	int signal_fd;                 /* a signalfd that machine_run heeds, or -1 */
	struct {                       /* requests posted by guests and users, served by machine_run */
		pthread_mutex_t lock;
		int event_fd;          /* readable while `request` is not 0 */
		uint32_t request, code;
		uint32_t notices;      /* MACHINE_EVENT_* to be told */
	} ask;
	struct machine_watcher watcher;
	struct {                       /* log.c */
		pthread_mutex_t lock;
		uint32_t level;        /* MT_LOG_ERROR .. MT_LOG_DEBUG: what is shown */
		bool guest;            /* MT_LOG_GUEST is shown */
		uint32_t guest_count;  /* messages in the running second */
		int64_t guest_since_us;
	} log;
};

/* Where classes come from: a registry and a loader, or a table in a test. */
struct machine_source {
	/* [main] The class of this name. NULL with `err` filled. */
	const struct mt_plugin *(*find)(struct machine_source *source, const char *class_name,
					const struct note_class **cls, struct mt_error *err);
	/*
	 * [main] The class that a section of the machine means by this name: one of the accelerator's may stand in for it.
	 * NULL with `err` filled. May be NULL: `find` says it.
	 */
	const struct mt_plugin *(*find_for)(struct machine_source *source, const struct config *config,
					    const char *class_name, const struct note_class **cls, struct mt_error *err);
	/*
	 * [main] The class number `index` of those with a role, in the order of their files, without loading it. NULL:
	 * there are no more. May be NULL.
	 */
	const struct note_class *(*find_role)(struct machine_source *source, const char *role, uint32_t index);
	/* [main] What was wanted has been found: gives back what is kept from one to the next. May be NULL. */
	void (*rest)(struct machine_source *source);
	void (*destroy)(struct machine_source *source);   /* NULL: the maker keeps it */
};

struct run_options {
	const char *name;              /* shown to the user */
	/* [main] May set m->watcher of a machine that is ready to start; *start false: leave that to the watcher. 0, or
	 * a negative code with `err` filled. NULL: nobody looks on. */
	int (*attach)(struct machine *m, const struct run_options *options, bool *start, struct mt_error *err);
	const char *gdb;               /* where to listen for a debugger, or NULL */
	bool wait;                     /* do not start before it says so */
	bool quiet;
	bool guest_errors;             /* show what the guest does wrong (MT_LOG_GUEST) */
	bool verbose;                  /* MT_LOG_DEBUG too */
	struct snapshot *restore;      /* goes on from it; NULL: starts anew */
};

/* Beside MT_REQUEST_*: the machine cannot go on; `code` becomes the exit code. */
#define MACHINE_REQUEST_FAIL 0x100u

/* [main] Classes of a registry's files; the registry outlives it. */
struct machine_source *machine_source_create(struct registry *registry);

/*
 * [main] Loads and creates everything, with no side effect on the host. `config` has passed check_run. NULL
 * with `err` filled; its message names file, line and section. `config` stays the caller's, and must outlive
 * the machine.
 */
struct machine *machine_create(struct config *config, struct registry *registry, struct mt_error *err);
struct machine *machine_create_from(struct config *config, struct machine_source *source,
				    struct mt_error *err);
/* [main] On failure everything that was realized has been unrealized again; only destroy is left. */
int machine_realize(struct machine *m, struct mt_error *err);
/* [main] while it does not run. MT_RESET_COLD or MT_RESET_WARM. */
int machine_reset(struct machine *m, uint32_t kind, struct mt_error *err);
void machine_start(struct machine *m);
void machine_pause(struct machine *m);
/* [main] at any state */
void machine_destroy(struct machine *m);

/* [main] An instance by id, or NULL. */
struct mt_inst *machine_find(const struct machine *m, const char *id);

/* [main] Serves a started machine until power-off or a request to quit. The exit code of the process. */
int machine_run(struct machine *m);

/* [any] MT_REQUEST_* or MACHINE_REQUEST_FAIL; never waits. The vCPUs leave `run` soon. */
void machine_request(struct machine *m, uint32_t request, uint32_t code);

/*
 * [any] MACHINE_EVENT_*, never waits. DEBUG: a vCPU has stopped for the debugger; the others leave `run` soon. STOP:
 * the machine is paused soon, unless it is already.
 */
void machine_notice(struct machine *m, uint32_t event);

/* [main] `run` and `check --dts` of the command. The exit code of the process. */
int machine_main_run(struct config *config, struct registry *registry, const struct run_options *options);
int machine_main_dts(struct config *config, struct registry *registry, FILE *out);

/* The services that plugins may ask for (host.c): NULL-terminated ids, and the host itself. */
extern const char *const host_interface_ids[];
const struct mt_host *host_get(void);

#endif
