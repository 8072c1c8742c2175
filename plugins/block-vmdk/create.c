/* SPDX-License-Identifier: MIT */
/* After VMware's "Virtual Disk Format 5.0"; descriptors in the wording that other readers look for. */
#include "create.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <util/endian.h>
#include <util/minmax.h>

#include "vmdk.h"

#define SECTOR 512ull
#define ENTRIES 512u                     /* of a grain table */

const char *const vmdk_form_names[VMDK_FORMS] = {
	"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "streamOptimized",
};

static int is_split(const struct vmdk_options *o)
{
	return o->form == VMDK_SPLIT_SPARSE || o->form == VMDK_SPLIT_FLAT;
}

static int is_flat(const struct vmdk_options *o)
{
	return o->form == VMDK_MONOLITHIC_FLAT || o->form == VMDK_SPLIT_FLAT;
}

int create_is_one_file(const struct vmdk_options *o)
{
	return o->form == VMDK_MONOLITHIC_SPARSE || o->form == VMDK_STREAM;
}

uint32_t create_extents(const struct vmdk_options *o)
{
	uint64_t n = is_split(o) ? (o->disk_bytes + VMDK_SPLIT_BYTES - 1) / VMDK_SPLIT_BYTES : 1;

	return n < 1 ? 1 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint64_t create_extent_bytes(const struct vmdk_options *o, uint32_t index)
{
	return is_split(o) ? mt_min_u64(o->disk_bytes - index * VMDK_SPLIT_BYTES, VMDK_SPLIT_BYTES) : o->disk_bytes;
}

/* disk.vmdk: itself, disk-flat.vmdk, disk-s001.vmdk, disk-f001.vmdk */
int create_extent_name(const struct vmdk_options *o, uint32_t index, char *out, uint32_t room)
{
	size_t stem = strlen(o->name);
	int n;

	if (stem > 5 && strcmp(o->name + stem - 5, ".vmdk") == 0)
		stem -= 5;
	if (create_is_one_file(o))
		n = snprintf(out, room, "%s", o->name);
	else if (o->form == VMDK_MONOLITHIC_FLAT)
		n = snprintf(out, room, "%.*s-flat.vmdk", (int)stem, o->name);
	else
		n = snprintf(out, room, "%.*s-%c%03u.vmdk", (int)stem, o->name, is_flat(o) ? 'f' : 's', index + 1);
	return n < 0 || (uint32_t)n >= room || strpbrk(out, "\"\n\r") ? MT_EINVAL : 0;
}

struct text {
	char *out;
	uint32_t room, len;
	int full;
};

__attribute__((format(printf, 2, 3)))
static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->out + t->len, t->room - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (uint32_t)n >= t->room - t->len)
		t->full = 1;
	else
		t->len += (uint32_t)n;
}

static void say_extents(struct text *t, const struct vmdk_options *o)
{
	char name[VMDK_NAME_MAX];

	say(t, "\n# Extent description\n");
	for (uint32_t i = 0; i < create_extents(o) && !t->full; i++) {
		if (create_extent_name(o, i, name, sizeof(name)) < 0)
			t->full = 1;
		else
			say(t, "RW %llu %s \"%s\"%s\n", (unsigned long long)(create_extent_bytes(o, i) / SECTOR),
			    is_flat(o) ? "FLAT" : "SPARSE", name, is_flat(o) ? " 0" : "");
	}
}

static void say_ddb(struct text *t, const struct vmdk_options *o)
{
	int ide = strcmp(o->adapter, "ide") == 0;
	uint64_t heads = ide ? 16 : 255, cylinders = o->disk_bytes / (heads * 63 * SECTOR);

	say(t, "\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"%s\"\n", o->hardware);
	say(t, "ddb.geometry.cylinders = \"%llu\"\n",
	    (unsigned long long)(ide ? mt_min_u64(cylinders, 16383) : cylinders));
	say(t, "ddb.geometry.heads = \"%llu\"\nddb.geometry.sectors = \"63\"\n", (unsigned long long)heads);
	say(t, "ddb.adapterType = \"%s\"\n", o->adapter);
}

int64_t create_text(const struct vmdk_options *o, char *out, uint32_t room)
{
	struct text t = { .out = out, .room = room };

	if (o->parent_name && strpbrk(o->parent_name, "\"\n\r"))
		return MT_ERANGE;
	say(&t, "# Disk DescriptorFile\nversion=1\nCID=%08x\nparentCID=%08x\n", o->cid, o->parent_cid);
	say(&t, "createType=\"%s\"\n", vmdk_form_names[o->form]);
	if (o->parent_name)
		say(&t, "parentFileNameHint=\"%s\"\n", o->parent_name);
	say_extents(&t, o);
	say_ddb(&t, o);
	return t.full ? MT_ERANGE : (int64_t)t.len;
}

/* Sparse extents: header, text, second directory and tables, first directory and tables, grains. In sectors. */
struct layout {
	uint64_t tables, directory, tables_sectors, text, second, first, overhead;
};

static struct layout layout_of(uint64_t bytes, int with_text)
{
	uint64_t grains = (bytes + VMDK_GRAIN_DEFAULT - 1) / VMDK_GRAIN_DEFAULT, grain_sectors = VMDK_GRAIN_DEFAULT / SECTOR;
	struct layout l = { .tables = (grains + ENTRIES - 1) / ENTRIES };

	l.directory = (4 * l.tables + SECTOR - 1) / SECTOR;
	l.tables_sectors = l.tables * (4 * ENTRIES / SECTOR);
	l.text = with_text ? 1 : 0;
	l.second = 1 + (with_text ? VMDK_TEXT_ROOM / SECTOR : 0);
	l.first = l.second + l.directory + l.tables_sectors;
	l.overhead = (l.first + l.directory + l.tables_sectors + grain_sectors - 1) / grain_sectors * grain_sectors;
	return l;
}

uint64_t create_overhead(uint64_t bytes, int with_text)
{
	return layout_of(bytes, with_text).overhead * SECTOR;
}

static void put_header(uint8_t *h, const struct layout *l, uint64_t bytes, int zero_grains)
{
	memset(h, 0, SECTOR);
	memcpy(h, "KDMV", 4);
	mt_put_le32(h + 4, zero_grains ? 2 : 1);
	mt_put_le32(h + 8, 3 | (zero_grains ? 4 : 0));         /* line ends to check, second directory */
	mt_put_le64(h + 12, bytes / SECTOR);
	mt_put_le64(h + 20, VMDK_GRAIN_DEFAULT / SECTOR);
	mt_put_le64(h + 28, l->text);
	mt_put_le64(h + 36, l->text ? VMDK_TEXT_ROOM / SECTOR : 0);
	mt_put_le32(h + 44, ENTRIES);
	mt_put_le64(h + 48, l->second);
	mt_put_le64(h + 56, l->first);
	mt_put_le64(h + 64, l->overhead);
	memcpy(h + 73, "\n \r\n", 4);
}

static int put_directory(uint64_t at, const struct layout *l, const struct mt_sink *sink)
{
	uint8_t *bytes = calloc(l->directory, SECTOR);
	int rc;

	if (!bytes)
		return MT_ENOMEM;
	for (uint64_t i = 0; i < l->tables; i++)
		mt_put_le32(bytes + 4 * i, (uint32_t)(at + l->directory + i * (4 * ENTRIES / SECTOR)));
	rc = sink->write(sink->arg, at * SECTOR, bytes, l->directory * SECTOR);
	free(bytes);
	return rc;
}

int create_sparse(uint64_t bytes, int zero_grains, const char *text, uint32_t text_len, const struct mt_sink *sink)
{
	struct layout l = layout_of(bytes, text != NULL);
	uint8_t header[SECTOR];
	int rc;

	if (l.overhead > UINT32_MAX)
		return MT_ERANGE;
	put_header(header, &l, bytes, zero_grains);
	rc = sink->resize(sink->arg, l.overhead * SECTOR);
	if (rc == 0)
		rc = put_directory(l.second, &l, sink);
	if (rc == 0)
		rc = put_directory(l.first, &l, sink);
	if (rc == 0 && text)
		rc = sink->write(sink->arg, l.text * SECTOR, text, text_len);
	return rc < 0 ? rc : sink->write(sink->arg, 0, header, sizeof(header));
}

/* Streams */

#define STREAM_BEGIN 65536ull            /* grains begin there, as those of other writers */
#define GRAIN_MORE   512u                /* marker, frame and fill of a grain that does not get smaller */

int create_stream(uint64_t bytes, const char *text, uint32_t text_len, const struct mt_sink *sink)
{
	struct layout l = { .text = 1, .overhead = STREAM_BEGIN / SECTOR };
	struct vmdk_sparse s = { .table_entries = ENTRIES,
				 .directory_entries = (uint32_t)layout_of(bytes, 1).tables };
	uint8_t header[SECTOR];
	int rc;

	put_header(header, &l, bytes, 0);
	mt_put_le32(header + 4, 3);
	mt_put_le32(header + 8, 0x30001);                      /* line ends to check, compressed, with markers */
	mt_put_le64(header + 48, 0);
	mt_put_le64(header + 56, UINT64_MAX);                  /* the footer has it */
	mt_put_le16(header + 77, 1);                           /* deflate */
	rc = stream_open(&s, header, STREAM_BEGIN);
	if (rc == 0)
		rc = sink->write(sink->arg, SECTOR, text, text_len);
	if (rc == 0)
		rc = stream_end(&s, sink);
	stream_fini(&s);
	return rc < 0 ? rc : sink->write(sink->arg, 0, header, sizeof(header));
}

uint64_t create_stream_bytes(uint64_t bytes, uint64_t grains)
{
	struct layout l = layout_of(bytes, 1);

	/* four more sectors: markers of directory and footer, footer, end */
	return STREAM_BEGIN + grains * (VMDK_GRAIN_DEFAULT + GRAIN_MORE) +
	       (l.tables + l.tables_sectors + l.directory + 4) * SECTOR;
}
