/* SPDX-License-Identifier: MIT */
/*
 * dev-fw-cfg: what firmware asks about its machine, at the ports where PC firmware looks for QEMU's interface: memory,
 * CPUs, ACPI tables, and what the machine file adds. fw-cfg.c has the registers, items.c what they give, acpi.c the
 * tables. Items are made [main] while the machine stands still and read [vcpu] under the instance lock.
 */
#define MT_NOTE_NAME     "dev-fw-cfg"
#define MT_NOTE_VERSION  MORTISE_VERSION
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "configuration for firmware (fw_cfg)"
#define MT_NOTE_REQUIRES "mortise.mmio/1 mortise.dma/1 mortise.boot/1 mortise.props/1"
#define MT_NOTE_OPTIONAL "mortise.acpi-host/1"
#define MT_NOTE_CAPS     0
#define FW_CFG_PROPS(P, c) \
	P(c, port, "port", MT_PROP_ADDR, "0x510", "0xc", "io", 0, "I/O port of the selector") \
	P(c, boot_menu, "boot-menu", MT_PROP_BOOL, "off", "", "", 0, "whether firmware offers a menu of boot devices") \
	P(c, text, "text", MT_PROP_LIST, "", "", "", 0, "files of text, NAME=TEXT; parts of one name are its lines") \
	P(c, number, "number", MT_PROP_LIST, "", "", "", 0, "files of a number, NAME=VALUE, of 8 bytes")
#define MT_NOTE_CLASSES(C) \
	C(fw_cfg, "dev-fw-cfg", MT_KIND_DEVICE, 0, MT_NOTE_SUMMARY, "mortise.acpi-node/1", FW_CFG_PROPS)

#include <mortise/note-emit.h>

#include <errno.h>
#include <mortise/draft/acpi.h>
#include <mortise/draft/boot.h>
#include <mortise/draft/device.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/props.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/entry.h>
#include <util/error.h>
#include <util/minmax.h>
#include <util/state.h>

#include "acpi.h"
#include "fw-cfg.h"

#define FEATURES    3u                 /* bit 0: ports; bit 1: DMA */
#define E820_BYTES  20u
#define E820_RAM    1u
#define BLOCKS_MAX  32u

struct device {
	struct mt_inst *inst;
	const struct mt_mmio_host *mmio;
	const struct mt_dma_host *dma_host;
	const struct mt_boot_host *boot;
	const struct mt_props_host *props;
	const struct mt_acpi_host *acpi;   /* NULL: this mortise has none */
	struct items items;
	uint8_t *tables;                   /* as they were made, for address 0; NULL: the machine has none */
	uint32_t tables_bytes;
	struct fw_cfg regs;
};

/* Items */

static int memory_tell(struct device *d, struct mt_error *err)
{
	uint8_t map[BLOCKS_MAX * E820_BYTES];
	uint64_t gpa, len_bytes, total = 0;
	uint32_t count = 0;
	int rc;

	while (count < BLOCKS_MAX && !d->boot->ram_block(d->inst, count, &gpa, &len_bytes)) {
		mt_put_le64(map + count * E820_BYTES, gpa);
		mt_put_le64(map + count * E820_BYTES + 8, len_bytes);
		mt_put_le32(map + count * E820_BYTES + 16, E820_RAM);
		total += len_bytes;
		count++;
	}
	rc = items_number(&d->items, KEY_RAM_BYTES, total, 8, err);
	return rc ? rc : items_file(&d->items, "etc/e820", map, count * E820_BYTES, err);
}

static int fixed_tell(struct device *d, struct mt_error *err)
{
	const struct {
		uint16_t key, bytes;
		uint64_t value;
	} numbers[] = {
		{ KEY_FEATURES, 4, FEATURES },
		{ KEY_CPUS, 2, d->boot->vcpu_count(d->inst) },
		{ KEY_CPUS_MAX, 2, d->boot->vcpu_count(d->inst) },
		{ KEY_BOOT_MENU, 2, d->props->get_u64(d->inst, "boot-menu") },
	};
	int rc = items_add(&d->items, KEY_SIGNATURE, "QEMU", 4, err);

	for (uint32_t i = 0; rc == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
		rc = items_number(&d->items, numbers[i].key, numbers[i].value, numbers[i].bytes, err);
	return rc ? rc : memory_tell(d, err);
}

/* Files that the machine makes; acpi.c has their names too. */
static int is_own(const char *name)
{
	static const char *const own[] = { "etc/e820", "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader" };
	size_t i = 0;

	while (i < sizeof(own) / sizeof(own[0]) && strcmp(own[i], name))
		i++;
	return i < sizeof(own) / sizeof(own[0]);
}

/* Takes the name off a part of a list; the rest of it, or NULL with `err`. */
static const char *part_split(const char *part, const char *prop, char name[ITEM_NAME_MAX + 1], struct mt_error *err)
{
	const char *equals = strchr(part, '=');

	if (equals && equals != part && (size_t)(equals - part) <= ITEM_NAME_MAX) {
		memcpy(name, part, (size_t)(equals - part));
		name[equals - part] = 0;
		if (!is_own(name))
			return equals + 1;
		mt_error_set(err, MT_EINVAL, prop, "the file '%s' is the machine's own", name);
		return NULL;
	}
	mt_error_set(err, MT_EINVAL, prop, "'%s' is not of the form NAME=..., with up to %u characters of name", part,
		     ITEM_NAME_MAX);
	return NULL;
}

static int text_add(struct device *d, const char *part, struct mt_error *err)
{
	char name[ITEM_NAME_MAX + 1];
	const char *text = part_split(part, "text", name, err);
	struct item *item;
	int rc;

	if (!text)
		return MT_EINVAL;
	item = items_named(&d->items, name);
	if (!item)
		return items_file(&d->items, name, text, (uint32_t)mt_min_u64(strlen(text), UINT32_MAX), err);
	rc = item_append(item, "\n", 1, err);
	return rc ? rc : item_append(item, text, (uint32_t)mt_min_u64(strlen(text), UINT32_MAX), err);
}

static int number_add(struct device *d, const char *part, struct mt_error *err)
{
	char name[ITEM_NAME_MAX + 1], *end;
	const char *text = part_split(part, "number", name, err);
	uint8_t bytes[8];

	if (!text)
		return MT_EINVAL;
	if (items_named(&d->items, name))
		return mt_error_set(err, MT_EINVAL, "number", "there is a file '%s' already", name);
	errno = 0;
	mt_put_le64(bytes, strtoull(text, &end, 0));
	if (errno || end == text || *end || *text == '-')
		return mt_error_set(err, MT_EINVAL, "number", "'%s' is no number of 64 bits", text);
	return items_file(&d->items, name, bytes, sizeof(bytes), err);
}

static int files_tell(struct device *d, const char *prop, int (*add)(struct device *, const char *, struct mt_error *),
		      struct mt_error *err)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < d->props->count(d->inst, prop); i++)
		rc = add(d, d->props->get_element(d->inst, prop, i), err);
	return rc;
}

/* ACPI */

/* Takes a copy of the tables, and makes the files of them; with 0 bytes there are none. */
static int tables_take(struct device *d, const void *tables, uint64_t len_bytes, struct mt_error *err)
{
	uint8_t *copy = NULL;
	int rc = 0;

	if (len_bytes) {
		rc = acpi_files(&d->items, tables, len_bytes, err);
		copy = rc ? NULL : malloc(len_bytes);
		if (!rc && !copy)
			rc = mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	}
	if (rc)
		return rc;
	if (copy)
		memcpy(copy, tables, len_bytes);
	free(d->tables);
	d->tables = copy;
	d->tables_bytes = (uint32_t)len_bytes;
	return items_list(&d->items, err);
}

static int tables_make(struct device *d, struct mt_error *err)
{
	const void *blob = NULL;
	uint64_t len_bytes = 0;
	int rc = d->acpi ? d->acpi->tables(d->inst, 0, &blob, &len_bytes, err) : MT_ENOENT;

	if (rc && rc != MT_ENOENT)
		return rc;
	return tables_take(d, blob, rc ? 0 : len_bytes, err);
}

/* Registers */

static uint32_t port_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct device *d = self;

	*value = fw_cfg_read(&d->regs, a->offset, a->width);
	return MT_BUS_OK;
}

static uint32_t port_write(void *self, const struct mt_access *a, uint64_t value)
{
	struct device *d = self;

	fw_cfg_write(&d->regs, a->offset, a->width, value);
	return MT_BUS_OK;
}

/* Life */

static int create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d)
		return mt_error_set(err, MT_ENOMEM, NULL, "out of memory");
	d->inst = inst;
	d->mmio = host->get_interface(host, MT_IFACE_MMIO);
	d->dma_host = host->get_interface(host, MT_IFACE_DMA);
	d->boot = host->get_interface(host, MT_IFACE_BOOT);
	d->props = host->get_interface(host, MT_IFACE_PROPS);
	d->acpi = host->get_interface(host, MT_IFACE_ACPI_HOST);
	d->regs.items = &d->items;
	*self = d;
	return 0;
}

static const struct mt_region_ops port_ops = { .read = port_read, .write = port_write };

static int realize(void *self, struct mt_error *err)
{
	static const struct mt_region_desc desc = {
		.size = sizeof(desc), .name = "ports", .at_prop = "port", .len_bytes = FW_CFG_BYTES,
		.width_min = 1, .width_max = 4, .ops = &port_ops,
	};
	struct device *d = self;
	int rc = fixed_tell(d, err);

	if (rc == 0)
		rc = files_tell(d, "text", text_add, err);
	if (rc == 0)
		rc = files_tell(d, "number", number_add, err);
	if (rc == 0)
		rc = items_list(&d->items, err);
	if (rc)
		return rc;
	d->regs.dma_host = d->dma_host;
	d->regs.dma = d->dma_host->get(d->inst);
	return d->mmio->region_add(d->inst, &desc, err) ? 0 : MT_EINVAL;
}

static int reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	struct device *d = self;

	(void)kind;
	if (phase == MT_RESET_ENTER)
		fw_cfg_reset(&d->regs);
	return phase == MT_RESET_HOLD ? tables_make(d, err) : 0;
}

static void destroy(void *self)
{
	struct device *d = self;

	items_free(&d->items);
	free(d->tables);
	free(d);
}

static const struct mt_device_class device_class = {
	.create = create,
	.realize = realize,
	.reset = reset,
	.destroy = destroy,
};

/* Firmware of this id is what Linux's driver looks for. */
static int acpi_describe(void *self, struct mt_acpi *acpi, const struct mt_acpi_writer *w, struct mt_error *err)
{
	struct device *d = self;
	const struct mt_acpi_range ports = { d->props->get_u64(d->inst, "port"), FW_CFG_BYTES };

	(void)err;
	w->device(acpi, "QEMU0002", &ports, 1, NULL);
	return 0;
}

static const struct mt_acpi_node acpi_node = { .describe = acpi_describe };

/*
 * State: the registers, and the tables, since firmware may have taken a part of them. The rest is what the machine file
 * says.
 */
static const struct mt_state_field fields[] = {
	MT_STATE_VAR(struct fw_cfg, key, UINT16_MAX),
	MT_STATE_VAR(struct fw_cfg, offset, UINT32_MAX),
	MT_STATE_VAR(struct fw_cfg, address_high, UINT32_MAX),
};
static const struct mt_state_table table = MT_STATE_TABLE(struct fw_cfg, fields);

static int save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	struct device *d = self;

	(void)err;
	mt_state_save(out, w, &table, &d->regs);
	if (d->tables)
		w->put(out, "tables", MT_STATE_BYTES, 0, d->tables, d->tables_bytes);
	return 0;
}

static int tables_load(struct device *d, struct mt_state_in *in, const struct mt_state_reader *r)
{
	uint32_t type, count = 0;
	uint8_t *bytes;
	int rc = r->find(in, "tables", &type, &count);

	if (rc == MT_ENOENT)
		return tables_take(d, NULL, 0, NULL);
	if (rc)
		return rc;
	if (!count || count > ACPI_BYTES_MAX)
		return r->refuse(in, "tables", "has 0 bytes, or more than 1 MiB");
	bytes = malloc(count);
	if (!bytes)
		return MT_ENOMEM;
	rc = r->get(in, "tables", MT_STATE_BYTES, bytes, count);
	if (rc == 0 && tables_take(d, bytes, count, NULL))
		rc = r->refuse(in, "tables", "are no ACPI tables");
	free(bytes);
	return rc;
}

static int load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		struct mt_error *err)
{
	struct device *d = self;
	struct fw_cfg loaded = d->regs;
	int rc = mt_state_load(in, r, &table, version, &loaded);

	(void)err;
	if (rc == 0)
		rc = tables_load(d, in, r);
	if (rc == 0)
		d->regs = loaded;
	return rc;
}

static const struct mt_state_class state_class = {
	.schema = "fw-cfg", .version = 1, .version_min = 1, .save = save, .load = load,
};

MT_PLUGIN_OF_ONE_CLASS({ MT_IFACE_DEVICE, &device_class },
		       { MT_IFACE_ACPI_NODE, &acpi_node },
		       { MT_IFACE_STATE, &state_class })
