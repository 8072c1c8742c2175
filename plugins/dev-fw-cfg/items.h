/* SPDX-License-Identifier: MIT */
/*
 * The items: bytes behind 16-bit keys. Some keys are fixed; files have names and take the keys from ITEMS_FILES on, in
 * the order in which they came, and a directory under a key of its own names them. Knows no bus and no machine.
 * [main] while items are added; read on any thread afterwards, under the owner's lock.
 */
#ifndef FW_CFG_ITEMS_H
#define FW_CFG_ITEMS_H

#include <mortise/error.h>
#include <stdint.h>

#define ITEMS_MAX      96u
#define ITEM_BYTES_MAX (1u << 20)
#define ITEM_NAME_MAX  55u             /* characters */

/* Fixed keys of the interface that PC firmware asks for. */
#define KEY_SIGNATURE  0x0000u
#define KEY_FEATURES   0x0001u
#define KEY_RAM_BYTES  0x0003u
#define KEY_CPUS       0x0005u
#define KEY_BOOT_MENU  0x000eu
#define KEY_CPUS_MAX   0x000fu
#define KEY_DIRECTORY  0x0019u
#define ITEMS_FILES    0x0020u

struct item {
	uint16_t key;
	uint32_t len_bytes;
	uint8_t *data;
	char name[ITEM_NAME_MAX + 1];  /* "": no file */
};

struct items {
	uint32_t count, files;
	struct item all[ITEMS_MAX];
};

/* The item with this key, or this name; NULL: none. */
const struct item *items_find(const struct items *items, uint16_t key);
struct item *items_named(struct items *items, const char *name);

/* Copies. 0, or a negative code with `err` that names the file. */
int items_number(struct items *items, uint16_t key, uint64_t value, uint32_t len_bytes, struct mt_error *err);
int items_add(struct items *items, uint16_t key, const void *data, uint32_t len_bytes, struct mt_error *err);
int items_file(struct items *items, const char *name, const void *data, uint32_t len_bytes, struct mt_error *err);
/* Other contents, or more of them at the end. */
int item_set(struct item *item, const void *data, uint32_t len_bytes, struct mt_error *err);
int item_append(struct item *item, const void *data, uint32_t len_bytes, struct mt_error *err);

/* Makes the directory anew. */
int items_list(struct items *items, struct mt_error *err);
void items_free(struct items *items);

#endif
