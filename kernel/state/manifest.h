/* SPDX-License-Identifier: MIT */
/*
 * The contents list of a snapshot: manifest.json, for people, tools and the restore. What is read is untrusted: the
 * names of files in it must be those that their contents give, so that no path comes from outside. Its last member is
 * the checksum of all before it. [main].
 */
#ifndef KERNEL_STATE_MANIFEST_H
#define KERNEL_STATE_MANIFEST_H

#include <glib.h>
#include <mortise/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define MANIFEST_FORMAT  2u
#define MANIFEST_FILE    "manifest.json"
#define MANIFEST_MACHINE "machine.ini"
#define MANIFEST_BYTES_MAX (4u << 20)

struct manifest_file {
	uint64_t bytes;
	uint32_t crc;                  /* CRC-32C */
};

struct manifest_memory {
	char *id;
	uint64_t gpa, len_bytes;
	struct manifest_file sums;     /* of the file with the checksums of its contents; sums.h */
};

/* A file that a block section names, as it was; disk.h. */
struct manifest_disk {
	char *id, *key;                /* section, and its property */
	char *path;                    /* absolute; nothing is opened by it */
	uint64_t bytes, device, inode, mtime_ns;
};

/* Whose state a component is. */
enum manifest_kind { MANIFEST_KERNEL, MANIFEST_INSTANCE, MANIFEST_VCPU, MANIFEST_KINDS };

struct manifest_component {
	enum manifest_kind kind;
	char *id;                      /* part of the kernel, section, or number of the vCPU */
	char *cls, *plugin_version;    /* "" where there is none; for people */
	char *schema;
	uint32_t version;
	struct manifest_file file;
};

struct manifest {
	char *mortise;                 /* version that wrote it; for people */
	uint64_t guest_ns;
	uint32_t vcpus;
	struct manifest_file machine;
	GPtrArray *memory;             /* struct manifest_memory * */
	GPtrArray *disks;              /* struct manifest_disk * */
	GPtrArray *components;         /* struct manifest_component * */
};

struct manifest *manifest_create(void);
void manifest_destroy(struct manifest *man);
struct manifest_memory *manifest_add_memory(struct manifest *man, const char *id);
struct manifest_disk *manifest_add_disk(struct manifest *man, const char *id, const char *key);
struct manifest_component *manifest_add(struct manifest *man, enum manifest_kind kind, const char *id);
const struct manifest_component *manifest_find(const struct manifest *man, enum manifest_kind kind, const char *id);

/* "instance-uart0.state"; free with g_free */
char *manifest_component_file(enum manifest_kind kind, const char *id);
/* "memory-ram.bin", "memory-ram.sums"; free with g_free */
char *manifest_memory_file(const char *id);
char *manifest_sums_file(const char *id);

void manifest_print(const struct manifest *man, FILE *out);
/* NULL with `err`. */
struct manifest *manifest_parse(const char *text, size_t len_bytes, struct mt_error *err);

#endif
