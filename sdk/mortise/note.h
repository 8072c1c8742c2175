/* SPDX-License-Identifier: MIT */
/*
 * Metadata that is read without running code: the section .note.mortise, an ELF note (name "Mortise",
 * type 1) whose descriptor is a pointer-free record of fixed fields and string offsets.
 * `plugins`, `describe`, `check`, completions and man pages work from it; the plugin's own code may
 * read the same tables, so that there is one source.
 *
 * A plugin describes itself by X-macros and then includes <mortise/note-emit.h> in one file:
 *
 *   #define MT_NOTE_NAME     "dev-acme-adc"             file and plugin name
 *   #define MT_NOTE_VERSION  "1.2"
 *   #define MT_NOTE_VENDOR   "Acme"
 *   #define MT_NOTE_LICENCE  "MIT"
 *   #define MT_NOTE_SUMMARY  "Acme 9000 analogue-digital converter"
 *   #define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.irq/1"      ids separated by blanks
 *   #define MT_NOTE_OPTIONAL ""
 *   #define MT_NOTE_CAPS     0                           MT_CAP_*
 *   #define MT_NOTE_CLASSES(C) C(adc, "dev-acme-adc", MT_KIND_DEVICE, MT_CLASS_..., "summary", "roles", ADC_PROPS)
 *   #define ADC_PROPS(P, c) \
 *           P(c, at, "at", MT_PROP_ADDR, "", "0x1000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
 *           P(c, channels, "channels", MT_PROP_INT, "4", "1..16", "", 0, "number of input channels")
 *
 * Columns of a class: C identifier, name (as in `plugin =`), kind, flags, summary, roles, property macro.
 *   roles: interface ids that others may refer to ("mortise.char/1 mortise.irq-sink/1"), blank separated; a class of
 *   the cpu kind names each instruction set that it runs as "arch/NAME", by which `check` knows [machine] arch.
 *   "stands-in/PROP=VALUE|VALUE" is a class that a machine gets in place of the one of its name that another file has,
 *   when its accelerator is of this file and [cpu] has one of these values of an ENUM property: for what an
 *   accelerator can serve better than a device. It has the properties, roles and state schema of the other.
 * Columns of a property: class, C identifier, name, type, default ("" = none), range, unit, flags, help.
 *   range by type: INT "MIN..MAX"; SIZE "MIN..MAX" with K M G T; ENUM "a|b|c"; REF the role that the target
 *   must have; IRQ "N" the number of elements expected ("" = one); ADDR the length of the region in bytes,
 *   by which `check` finds overlaps ("" = not checked); STRING and PATH unused.
 * unit is for people, but for ADDR: there it names the space ("" = memory, "io" = ports), and regions of
 * different spaces never overlap.
 */
#ifndef MORTISE_NOTE_H
#define MORTISE_NOTE_H

#include <stdint.h>

#define MT_NOTE_SECTION ".note.mortise"
#define MT_NOTE_OWNER   "Mortise"
#define MT_NOTE_TYPE    1u
#define MT_NOTE_FORMAT  1u

/* Kinds. */
#define MT_KIND_DEVICE 1u
#define MT_KIND_CPU    2u
#define MT_KIND_BLOCK  3u
#define MT_KIND_BOOT   4u      /* a device that loads the guest; section [boot] */

/* Class flags. Unknown bits are refused. */
#define MT_CLASS_PARALLEL  1u  /* the kernel holds no instance lock; the class locks for itself */
#define MT_CLASS_NO_STATE  2u  /* cannot be saved: a snapshot is refused before the pause */
#define MT_CLASS_NONDET    4u  /* takes nondeterminism from outside the services */

/* What a plugin asks for beside the services. */
#define MT_CAP_NETWORK 1u
#define MT_CAP_FILES   2u      /* its library opens paths by itself */
#define MT_CAP_THREADS 4u      /* its library makes threads */
#define MT_CAP_JIT     8u      /* maps memory executable */

/* Property types. */
#define MT_PROP_BOOL     1u    /* on | off */
#define MT_PROP_INT      2u    /* unsigned 64 bit, decimal or 0x */
#define MT_PROP_SIZE     3u    /* bytes; K M G T are binary */
#define MT_PROP_DURATION 4u    /* ns us ms s */
#define MT_PROP_ENUM     5u
#define MT_PROP_STRING   6u
#define MT_PROP_PATH     7u    /* relative to the file that names it */
#define MT_PROP_MAC      8u
#define MT_PROP_REF      9u    /* the id of another section */
#define MT_PROP_IRQ      10u   /* id:input, comma list */
#define MT_PROP_ADDR     11u   /* guest-physical address */
#define MT_PROP_LIST     12u   /* strings: comma values or numbered keys name.1, name.2 */

/* Property flags. Unknown bits are refused. */
#define MT_PROPF_REQUIRED   1u
#define MT_PROPF_RUNTIME    2u /* may change while the machine runs */
#define MT_PROPF_DEPRECATED 4u
#define MT_PROPF_WRITE      8u /* PATH: opened for writing too */

struct mt_note_prop {
	uint32_t name, deflt, range, unit, help;   /* offsets into the string area */
	uint32_t type, flags;
	uint32_t class_index;                      /* which class of this file it belongs to */
};

struct mt_note_class {
	uint32_t name, summary, roles;             /* offsets into the string area */
	uint32_t kind, flags;
	uint32_t reserved[3];
};

/* The descriptor begins with this; every offset below counts bytes from its start. */
struct mt_note_record {
	uint32_t size;                             /* of this struct */
	uint32_t format;                           /* MT_NOTE_FORMAT */
	uint32_t abi_major;
	uint32_t caps;
	uint32_t name, version, vendor, licence, summary, requires, optional;   /* string offsets */
	uint32_t class_offset, class_count, class_stride;
	uint32_t prop_offset, prop_count, prop_stride;
	uint32_t string_offset, string_bytes;      /* the area; each string ends in NUL inside it */
	uint32_t reserved[3];
};

#endif
