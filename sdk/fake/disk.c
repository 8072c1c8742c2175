/* SPDX-License-Identifier: MIT */
/* What a kernel does with a disk through its format, making images, and scripts of random operations; see block.h. */
#include "block-internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../util/error.h"
#include "../util/minmax.h"

#define TRIES 10000u                     /* of what said MT_EAGAIN */

static const struct mt_block_format *format_of(struct fake *f)
{
	const struct mt_block_format *format = fake_role(f, MT_IFACE_BLOCK_FORMAT);

	if (!format)
		fake_die("%s is no format", f->class_name);
	return format;
}

void fake_block_info(struct fake *f, struct mt_block_info *out)
{
	*out = (struct mt_block_info){ .size = sizeof(*out), .block_bytes = 512, .physical_bytes = 512 };
	format_of(f)->info(f->self, out);
}

int fake_block_wake(struct fake *f)
{
	struct fake_blocks *b = fake_blocks(f);
	int rc = format_of(f)->wake && !b->is_awake ? format_of(f)->wake(f->self) : 0;

	b->is_awake = rc == 0;
	return rc;
}

int fake_block_rest(struct fake *f)
{
	int rc = format_of(f)->rest ? format_of(f)->rest(f->self) : 0;

	fake_blocks(f)->is_awake = 0;
	return rc;
}

static int32_t map(struct fake *f, uint64_t offset, uint64_t len_bytes, uint32_t purpose, struct mt_block_extent *e,
		   uint32_t max)
{
	int32_t n = purpose == MT_BLOCK_MAP_WRITE ? fake_block_wake(f) : 0;

	if (n < 0)
		return n;
	n = MT_EAGAIN;
	for (uint32_t i = 0; n == MT_EAGAIN && i < TRIES; i++)
		n = format_of(f)->map(f->self, offset, len_bytes, purpose, e, max);
	if (n == 0 || n > (int32_t)max)
		fake_die("map answered %d extents", n);
	return n;
}

static int read_encoded(struct fake *f, const struct mt_block_extent *e, uint8_t *out, uint64_t len_bytes)
{
	uint8_t *in = malloc(e->encoded_bytes + 1), *unit = malloc(e->unit_bytes + 1);
	int rc;

	if (!in || !unit || e->skip_bytes > e->unit_bytes || len_bytes > e->unit_bytes - e->skip_bytes)
		fake_die("an encoded extent that cannot be");
	fake_file_read(&f->blocks->files[f->blocks->children[e->child]], e->child_offset, in, e->encoded_bytes);
	rc = format_of(f)->decode(f->self, e, in, unit);
	if (rc == 0)
		memcpy(out, unit + e->skip_bytes, len_bytes);
	free(in);
	free(unit);
	return rc;
}

static int read_extent(struct fake *f, const struct mt_block_extent *e, uint64_t offset, uint8_t *out,
		       uint64_t len_bytes)
{
	struct fake_blocks *b = fake_blocks(f);

	memset(out, 0, len_bytes);
	switch (e->kind) {
	case MT_BLOCK_EXT_ZERO:
		return 0;
	case MT_BLOCK_EXT_BACKING:
		if (offset < b->backing_bytes)
			memcpy(out, b->backing + offset, mt_min_u64(len_bytes, b->backing_bytes - offset));
		return 0;
	case MT_BLOCK_EXT_DATA:
		if (fake_block_fails(b))
			return MT_EIO;
		if (e->child >= b->child_count)
			fake_die("an extent of child %u", e->child);
		fake_file_read(&b->files[b->children[e->child]], e->child_offset, out, len_bytes);
		return 0;
	case MT_BLOCK_EXT_ENCODED:
		return read_encoded(f, e, out, len_bytes);
	}
	fake_die("an extent of kind %u", e->kind);
}

int fake_block_read(struct fake *f, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct mt_block_extent e[3];
	uint8_t *out = buf;

	while (len_bytes) {
		int32_t n = map(f, offset, len_bytes, MT_BLOCK_MAP_READ, e, 3);

		if (n < 0)
			return n;
		for (int32_t i = 0; i < n && len_bytes; i++) {
			uint64_t part = mt_min_u64(e[i].len_bytes, len_bytes);
			int rc = part ? read_extent(f, &e[i], offset, out, part) : MT_EIO;

			if (rc < 0)
				return rc;
			offset += part;
			out += part;
			len_bytes -= part;
		}
	}
	return 0;
}

/* Data and fill of one target; `data` is what is wanted, len_bytes of the target. */
static int write_target(struct fake *f, const struct mt_block_target *t, const uint8_t *data)
{
	uint64_t len = t->fill_head_bytes + t->len_bytes + t->fill_tail_bytes, begin = t->offset - t->fill_head_bytes;
	struct fake_file *file = &f->blocks->files[f->blocks->children[t->child]];
	uint64_t at = t->child_offset - t->fill_head_bytes;
	uint8_t *unit = calloc(1, len), *there = calloc(1, len);
	struct mt_block_info info;
	int rc;

	if (!unit || !there)
		fake_die("no memory");
	fake_block_info(f, &info);
	fake_file_read(file, at, there, len);
	if (t->flags & MT_BLOCK_TARGET_ZEROED && memcmp(there, unit, len) != 0)
		fake_die("a target that does not read as zero");
	rc = fake_block_read(f, begin, unit, mt_min_u64(len, info.disk_bytes - begin));
	memcpy(unit + t->fill_head_bytes, data, t->len_bytes);
	if (rc == 0 && fake_block_fails(f->blocks))
		rc = MT_EIO;
	if (rc == 0)
		fake_file_write(file, at, unit, len);
	if (t->flags & MT_BLOCK_TARGET_DURABLE)
		fake_file_flush(file);
	free(unit);
	free(there);
	return rc;
}

static int64_t write_reserved(struct fake *f, uint64_t offset, const uint8_t *data, uint64_t len_bytes)
{
	struct mt_block_want want = { .offset = offset, .len_bytes = len_bytes };
	struct mt_block_target t;
	int32_t n = MT_EAGAIN;
	int rc;

	if (!format_of(f)->reserve)
		return MT_ENOTSUP;
	for (uint32_t i = 0; n == MT_EAGAIN && i < TRIES; i++)
		n = format_of(f)->reserve(f->self, &want, &t, 1);
	if (n < 0)
		return n;
	if (n != 1 || t.offset != offset || !t.len_bytes || t.len_bytes > len_bytes)
		fake_die("reserve answered something else than what was asked");
	if (f->blocks->abort_next) {
		f->blocks->abort_next = 0;
		format_of(f)->abort(f->self, &t.cookie, 1);
		return 0;
	}
	rc = write_target(f, &t, data);
	if (rc == 0)
		rc = format_of(f)->commit(f->self, &t.cookie, 1);
	else
		format_of(f)->abort(f->self, &t.cookie, 1);
	return rc < 0 ? rc : (int64_t)t.len_bytes;
}

/* A whole unit of a stream, or what of it the disk has. */
static int64_t write_encoded(struct fake *f, const struct mt_block_info *info, uint64_t offset, const uint8_t *data)
{
	uint64_t len = mt_min_u64(info->unit_bytes, info->disk_bytes - offset), room = info->unit_bytes / 8 * 9;
	struct mt_block_want want = { .offset = offset, .len_bytes = len };
	uint8_t *unit = calloc(1, info->unit_bytes), *out = malloc(room);
	struct mt_block_target t;
	int64_t n;

	if (!unit || !out)
		fake_die("no memory");
	memcpy(unit, data, len);
	n = format_of(f)->encode(f->self, offset, unit, info->unit_bytes, out, room);
	if (n > 0 && fake_block_wake(f) < 0)
		n = MT_EIO;
	if (n > 0) {
		want.encoded_bytes = (uint32_t)n;
		n = format_of(f)->reserve(f->self, &want, &t, 1);
	}
	if (n == 1 && (t.len_bytes != len || t.fill_head_bytes || t.fill_tail_bytes))
		fake_die("an encoded target that is not the whole unit");
	if (n == 1 && (f->blocks->abort_next || fake_block_fails(f->blocks))) {
		n = f->blocks->abort_next ? (int64_t)len : MT_EIO;
		f->blocks->abort_next = 0;
		format_of(f)->abort(f->self, &t.cookie, 1);
	} else if (n == 1) {
		fake_file_write(&f->blocks->files[f->blocks->children[t.child]], t.child_offset, out, want.encoded_bytes);
		n = format_of(f)->commit(f->self, &t.cookie, 1);
		n = n < 0 ? n : (int64_t)len;
	}
	free(unit);
	free(out);
	return n;
}

static int is_streamed(const struct mt_block_info *info, uint64_t offset, uint64_t len_bytes)
{
	return info->flags & MT_BLOCK_INFO_STREAM && offset % info->unit_bytes == 0 &&
	       len_bytes >= mt_min_u64(info->unit_bytes, info->disk_bytes - offset);
}

static int64_t write_part(struct fake *f, uint64_t offset, const uint8_t *data, uint64_t len_bytes)
{
	struct mt_block_extent e;
	int32_t n = map(f, offset, len_bytes, MT_BLOCK_MAP_WRITE, &e, 1);

	if (n < 0)
		return n;
	len_bytes = mt_min_u64(len_bytes, e.len_bytes);
	if (e.kind != MT_BLOCK_EXT_DATA || !(e.flags & MT_BLOCK_EXT_WRITABLE))
		return write_reserved(f, offset, data, len_bytes);
	if (fake_block_fails(f->blocks))
		return MT_EIO;
	fake_file_write(&f->blocks->files[f->blocks->children[e.child]], e.child_offset, data, len_bytes);
	return (int64_t)len_bytes;
}

int fake_block_write(struct fake *f, uint64_t offset, const void *buf, uint64_t len_bytes)
{
	const uint8_t *data = buf;
	struct mt_block_info info;

	fake_block_info(f, &info);
	while (len_bytes) {
		int64_t n = is_streamed(&info, offset, len_bytes) ? write_encoded(f, &info, offset, data) :
			    write_part(f, offset, data, len_bytes);

		if (n < 0)
			return (int)n;
		offset += (uint64_t)n;
		data += n;
		len_bytes -= (uint64_t)n;
	}
	return 0;
}

/* One call of unmap, for whole units only; what it does not do is written, or let be. */
static int64_t zero_part(struct fake *f, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct mt_block_info info;
	int64_t n = MT_EAGAIN;
	uint64_t unit, whole;
	uint8_t *zeros;
	int rc;

	fake_block_info(f, &info);
	unit = info.unit_bytes ? info.unit_bytes : 512;
	whole = offset + len_bytes == info.disk_bytes ? len_bytes : len_bytes / unit * unit;
	if (format_of(f)->unmap && offset % unit == 0 && whole) {
		rc = fake_block_wake(f);
		if (rc < 0)
			return rc;
		for (uint32_t i = 0; n == MT_EAGAIN && i < TRIES; i++)
			n = format_of(f)->unmap(f->self, offset, whole, op, flags);
		if (n == 0 || n > (int64_t)whole)
			fake_die("unmap answered %lld", (long long)n);
		if (n != MT_ENOTSUP)
			return n;
	}
	len_bytes = mt_min_u64(len_bytes, unit - offset % unit);
	if (op == MT_BLOCK_DISCARD)
		return (int64_t)len_bytes;
	zeros = calloc(1, len_bytes);
	rc = zeros ? fake_block_write(f, offset, zeros, len_bytes) : MT_ENOMEM;
	free(zeros);
	return rc < 0 ? rc : (int64_t)len_bytes;
}

int fake_block_zero(struct fake *f, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	while (len_bytes) {
		int64_t n = zero_part(f, offset, len_bytes, op, flags);

		if (n < 0)
			return (int)n;
		offset += (uint64_t)n;
		len_bytes -= (uint64_t)n;
	}
	return 0;
}

int fake_block_flush(struct fake *f)
{
	const struct mt_block_format *format = format_of(f);
	struct fake_blocks *b = fake_blocks(f);
	int rc = format->flush ? format->flush(f->self) : 0;

	if (rc == 0)
		rc = fake_cache_flush(&f->inst);
	while (rc == 0 && b->space_count) {
		int32_t n = MT_EAGAIN;

		for (uint32_t i = 0; n == MT_EAGAIN && i < TRIES; i++)
			n = format->retired(f->self, b->spaces, b->space_count);
		if (n <= 0 || (uint32_t)n > b->space_count)
			fake_die("retired answered %d", n);
		b->space_count -= (uint32_t)n;
		memmove(b->spaces, b->spaces + n, b->space_count * sizeof(*b->spaces));
	}
	return rc;
}

void fake_block_abort_next(struct fake *f)
{
	fake_blocks(f)->abort_next = 1;
}

/* mt_block_maker_host: the maker is the fake */

struct mt_block_maker {
	struct fake *f;
	uint32_t files[FAKE_FILES], count;
};

static struct fake_file *maker_file(struct mt_block_maker *m, uint32_t file)
{
	if (file >= m->count)
		fake_die("file %u of an image that is made", file);
	return &m->f->blocks->files[m->files[file]];
}

static int32_t maker_add(struct mt_block_maker *m, const char *name, struct mt_error *err)
{
	struct fake_file *file = fake_file_find(m->f, name, 1);

	(void)err;
	fake_file_resize(file, 0);
	m->files[m->count] = (uint32_t)(file - m->f->blocks->files);
	return (int32_t)m->count++;
}

static const char *maker_name(struct mt_block_maker *m, uint32_t file)
{
	return maker_file(m, file)->name;
}

static int32_t maker_read(struct mt_block_maker *m, uint32_t file, uint64_t offset, void *buf, uint64_t len_bytes)
{
	fake_file_read(maker_file(m, file), offset, buf, len_bytes);
	return 0;
}

static int32_t maker_write(struct mt_block_maker *m, uint32_t file, uint64_t offset, const void *buf,
			   uint64_t len_bytes)
{
	fake_file_write(maker_file(m, file), offset, buf, len_bytes);
	return 0;
}

static int32_t maker_resize(struct mt_block_maker *m, uint32_t file, uint64_t len_bytes)
{
	fake_file_resize(maker_file(m, file), len_bytes);
	return 0;
}

static int32_t maker_allocate(struct mt_block_maker *m, uint32_t file, uint64_t offset, uint64_t len_bytes,
			      uint32_t mode)
{
	struct fake_file *f = maker_file(m, file);

	if (mode != MT_BLOCK_PREALLOC_METADATA && offset + len_bytes > f->now.len)
		fake_file_resize(f, offset + len_bytes);
	return 0;
}

static void maker_random(struct mt_block_maker *m, void *buf, uint32_t len_bytes)
{
	for (uint32_t i = 0; i < len_bytes; i++)
		((uint8_t *)buf)[i] = (uint8_t)fake_random(&m->f->blocks->random);
}

/* The backing image is the file "backing". */
static int64_t maker_backing_read(struct mt_block_maker *m, uint64_t offset, void *buf, uint64_t len_bytes)
{
	struct fake_file *file = fake_file_find(m->f, "backing", 0);

	if (!file)
		return MT_ENOENT;
	len_bytes = offset < file->now.len ? mt_min_u64(len_bytes, file->now.len - offset) : 0;
	fake_file_read(file, offset, buf, len_bytes);
	return (int64_t)len_bytes;
}

int fake_block_make(struct fake *f, const char *name, uint64_t disk_bytes, const char *backing,
		    const char *const *values, struct mt_error *err)
{
	static const struct mt_block_maker_host host = {
		.size = sizeof(host), .name = maker_name, .file_add = maker_add, .read = maker_read, .write = maker_write,
		.resize = maker_resize, .allocate = maker_allocate, .random = maker_random,
		.backing_read = maker_backing_read,
	};
	const struct mt_block_create *create = fake_role(f, MT_IFACE_BLOCK_CREATE);
	struct mt_block_create_want want = { .size = sizeof(want), .disk_bytes = disk_bytes, .backing = backing };
	struct mt_block_maker maker = { .f = f };
	struct mt_block_value pairs[16];
	int rc;

	if (!create)
		fake_die("%s makes no images", f->class_name);
	fake_blocks(f);
	for (; values && values[0]; values += 2)
		pairs[want.value_count++] = (struct mt_block_value){ values[0], values[1] };
	want.values = pairs;
	maker_add(&maker, name, err);
	rc = create->create(&host, &maker, &want, err);
	for (uint32_t i = 0; i < maker.count; i++)
		fake_file_flush(maker_file(&maker, i));
	return rc;
}

/* Scripts */

void fake_script_begin(struct fake_script *s, struct fake *f, uint64_t seed)
{
	struct mt_block_info info;

	fake_block_info(f, &info);
	*s = (struct fake_script){ .seed = seed, .disk_bytes = info.disk_bytes };
	s->model = malloc(s->disk_bytes);
	s->durable = malloc(s->disk_bytes);
	s->touched = calloc(1, s->disk_bytes / 512 + 1);
	if (!s->model || !s->durable || !s->touched || fake_block_read(f, 0, s->model, s->disk_bytes) < 0)
		fake_die("cannot begin a script");
	memcpy(s->durable, s->model, s->disk_bytes);
}

void fake_script_end(struct fake_script *s)
{
	free(s->model);
	free(s->durable);
	free(s->touched);
}

void fake_script_compare(const struct fake_script *s, struct fake *f)
{
	uint8_t *all = malloc(s->disk_bytes);

	if (!all || fake_block_read(f, 0, all, s->disk_bytes) < 0)
		fake_die("the disk cannot be read");
	for (uint64_t i = 0; i < s->disk_bytes; i++) {
		if (all[i] != s->model[i])
			fake_die("the disk differs from the model at %llu: %02x, not %02x", (unsigned long long)i, all[i],
				 s->model[i]);
	}
	free(all);
}

static void script_write(struct fake_script *s, struct fake *f, uint64_t offset, uint64_t len_bytes)
{
	for (uint64_t i = 0; i < len_bytes; i++)
		s->model[offset + i] = (uint8_t)fake_random(&s->seed);
	if (fake_random(&s->seed) % 16 == 0)
		fake_block_abort_next(f);
	if (fake_block_write(f, offset, s->model + offset, len_bytes) < 0)
		fake_die("a write failed");
}

/* A discard may do anything to what is there: the model takes it over. */
static void script_zero(struct fake_script *s, struct fake *f, uint64_t offset, uint64_t len_bytes)
{
	uint32_t op = fake_random(&s->seed) & 1 ? MT_BLOCK_ZERO : MT_BLOCK_DISCARD;
	uint32_t flags = op == MT_BLOCK_ZERO && fake_random(&s->seed) & 1 ? MT_BLOCK_MAY_UNMAP : 0;

	if (fake_block_zero(f, offset, len_bytes, op, flags) < 0)
		fake_die("zeroing failed");
	if (op == MT_BLOCK_ZERO)
		memset(s->model + offset, 0, len_bytes);
	else if (fake_block_read(f, offset, s->model + offset, len_bytes) < 0)
		fake_die("the disk cannot be read");
}

static void script_flush(struct fake_script *s, struct fake *f)
{
	if (fake_block_flush(f) < 0)
		fake_die("a flush failed");
	memcpy(s->durable, s->model, s->disk_bytes);
	memset(s->touched, 0, s->disk_bytes / 512 + 1);
}

void fake_script_run(struct fake_script *s, struct fake *f, uint32_t operations, uint64_t max_bytes)
{
	struct mt_block_info info;

	fake_block_info(f, &info);
	while (operations--) {
		uint64_t r = fake_random(&s->seed), offset = r % (s->disk_bytes / 512) * 512, len;

		len = mt_min_u64((1 + fake_random(&s->seed) % (max_bytes / 512)) * 512, s->disk_bytes - offset);
		if (r >> 60 >= 13 && info.unit_bytes) {
			offset -= offset % info.unit_bytes;
			len = mt_min_u64(mt_max_u64(len, info.unit_bytes), s->disk_bytes - offset);
		}
		memset(s->touched + offset / 512, 1, len / 512);
		if (r >> 60 < 11)
			script_write(s, f, offset, len);
		else if (r >> 60 < 15)
			script_zero(s, f, offset, len);
		else
			script_flush(s, f);
	}
}

void fake_script_recover(struct fake_script *s, struct fake *f)
{
	uint8_t *all = malloc(s->disk_bytes);

	if (!all || fake_block_read(f, 0, all, s->disk_bytes) < 0)
		fake_die("the disk cannot be read");
	for (uint64_t i = 0; i < s->disk_bytes; i++) {
		if (!s->touched[i / 512] && all[i] != s->durable[i])
			fake_die("flushed data were lost at %llu: %02x, not %02x", (unsigned long long)i, all[i], s->durable[i]);
	}
	memcpy(s->model, all, s->disk_bytes);
	memcpy(s->durable, all, s->disk_bytes);
	memset(s->touched, 0, s->disk_bytes / 512 + 1);
	free(all);
}
