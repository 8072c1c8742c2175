/* SPDX-License-Identifier: MIT */
/*
 * The gate between the kernel and a plugin file.
 *
 * A plugin exports one function, mortise_plugin_entry, and has no undefined mortise symbol: every service
 * arrives as a pointer from mt_host.get_interface. Services and kinds are interfaces with string ids
 * ("mortise.mmio/1"; third parties use a reverse domain). A published interface is frozen; a change is a
 * new id. Ask once, at creation, and keep the pointer.
 *
 * Plain data structs begin with `size`: the receiver zero-fills its copy and takes the shorter length.
 * Integers are fixed width, strings UTF-8, the host little-endian and 64-bit.
 */
#ifndef MORTISE_PLUGIN_H
#define MORTISE_PLUGIN_H

#include <stdint.h>

#include "error.h"
#include "thread.h"

#define MT_ABI_MAJOR 1u

#if defined(__GNUC__)
#define MT_EXPORT __attribute__((visibility("default")))
#else
#define MT_EXPORT
#endif

#ifdef __cplusplus
#define MT_EXTERN extern "C"
#else
#define MT_EXTERN extern
#endif

/* The kernel's handle of one instance (a section of the machine file). Opaque to plugins. */
struct mt_inst;

/* What the kernel offers. Lives as long as the process. */
struct mt_host {
	uint32_t size;
	uint32_t abi_major;
	const char *version;   /* the kernel's version, for logs only; never compare it */
	/* [any] The service with this id, or NULL. The table lives as long as the process. */
	const void *(*get_interface)(const struct mt_host *host, const char *id);
};

/* What a plugin offers. Static in the plugin. */
struct mt_plugin {
	uint32_t size;
	uint32_t abi_major;    /* MT_ABI_MAJOR of the headers that it was built with */
	/*
	 * [main] The vtable of a class of this file: `class_name` as in the note, `id` the interface asked for
	 * (of the kind, "mortise.device/1", or of a role of the class, "mortise.irq-sink/1"). NULL: not offered.
	 */
	const void *(*get_class)(const char *class_name, const char *id);
};

/*
 * [main] The one exported symbol. Called once, after the note has been checked. Returns NULL with `err`
 * filled when the plugin does not want to be used by this host. No side effects.
 */
MT_EXTERN MT_EXPORT const struct mt_plugin *mortise_plugin_entry(const struct mt_host *host, struct mt_error *err);

#endif
