/* SPDX-License-Identifier: MIT */
/* Items and their directory; see items.h. A directory entry has 64 bytes: size, key, 16 bits reserved, name. */
#include "items.h"

#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/error.h>

#define ENTRY_BYTES 64u
#define ENTRY_NAME  8u

const struct item *items_find(const struct items *items, uint16_t key)
{
	for (uint32_t i = 0; i < items->count; i++) {
		if (items->all[i].key == key)
			return &items->all[i];
	}
	return NULL;
}

struct item *items_named(struct items *items, const char *name)
{
	for (uint32_t i = 0; i < items->count; i++) {
		if (items->all[i].name[0] && !strcmp(items->all[i].name, name))
			return &items->all[i];
	}
	return NULL;
}

static const char *name_of(const struct item *item)
{
	return item->name[0] ? item->name : "an item";
}

/* Room for `len_bytes` in all; what there was stays. */
static int item_grow(struct item *item, uint64_t len_bytes, struct mt_error *err)
{
	uint8_t *data;

	if (len_bytes > ITEM_BYTES_MAX)
		return mt_error_set(err, MT_ENOSPC, NULL, "%s has more than 1 MiB", name_of(item));
	data = realloc(item->data, len_bytes ? len_bytes : 1);
	if (!data)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	item->data = data;
	return 0;
}

int item_set(struct item *item, const void *data, uint32_t len_bytes, struct mt_error *err)
{
	item->len_bytes = 0;
	return item_append(item, data, len_bytes, err);
}

int item_append(struct item *item, const void *data, uint32_t len_bytes, struct mt_error *err)
{
	int rc = item_grow(item, (uint64_t)item->len_bytes + len_bytes, err);

	if (rc || !len_bytes)
		return rc;
	memcpy(item->data + item->len_bytes, data, len_bytes);
	item->len_bytes += len_bytes;
	return 0;
}

int items_add(struct items *items, uint16_t key, const void *data, uint32_t len_bytes, struct mt_error *err)
{
	struct item *item = &items->all[items->count];

	if (items->count == ITEMS_MAX)
		return mt_error_set(err, MT_ENOSPC, NULL, "more than %u items", ITEMS_MAX);
	memset(item, 0, sizeof(*item));
	item->key = key;
	items->count++;
	return item_set(item, data, len_bytes, err);
}

int items_number(struct items *items, uint16_t key, uint64_t value, uint32_t len_bytes, struct mt_error *err)
{
	uint8_t bytes[8];

	mt_put_le64(bytes, value);
	return items_add(items, key, bytes, len_bytes, err);
}

int items_file(struct items *items, const char *name, const void *data, uint32_t len_bytes, struct mt_error *err)
{
	size_t len = strlen(name);
	int rc;

	if (!len || len > ITEM_NAME_MAX)
		return mt_error_set(err, MT_EINVAL, NULL, "'%s' is no name of 1 to %u characters", name, ITEM_NAME_MAX);
	rc = items_add(items, (uint16_t)(ITEMS_FILES + items->files), data, len_bytes, err);
	if (rc)
		return rc;
	memcpy(items->all[items->count - 1].name, name, len);
	items->files++;
	return 0;
}

static void entry_write(uint8_t *entry, const struct item *item)
{
	memset(entry, 0, ENTRY_BYTES);
	mt_put_be32(entry, item->len_bytes);
	mt_put_be16(entry + 4, item->key);
	memcpy(entry + ENTRY_NAME, item->name, sizeof(item->name));
}

int items_list(struct items *items, struct mt_error *err)
{
	uint8_t bytes[4 + ITEMS_MAX * ENTRY_BYTES];
	struct item *directory = (struct item *)items_find(items, KEY_DIRECTORY);
	uint32_t at = 4;

	for (uint32_t i = 0; i < items->count; i++) {
		if (!items->all[i].name[0])
			continue;
		entry_write(bytes + at, &items->all[i]);
		at += ENTRY_BYTES;
	}
	mt_put_be32(bytes, items->files);
	if (directory)
		return item_set(directory, bytes, at, err);
	return items_add(items, KEY_DIRECTORY, bytes, at, err);
}

void items_free(struct items *items)
{
	for (uint32_t i = 0; i < items->count; i++)
		free(items->all[i].data);
	memset(items, 0, sizeof(*items));
}
