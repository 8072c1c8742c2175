/* SPDX-License-Identifier: MIT */
/*
 * What is around a device under test: wires (fuzz-lines), and back ends that answer late, short and with errors
 * (fuzz-char, fuzz-net, fuzz-disk), all as the program says; the accelerator (fuzz-cpu) is in cpu.c. One machine at a
 * time: the live instances are in one table. Acts run on the guest's thread, so that an input repeats itself.
 */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/char.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/net.h>
#include <mortise/draft/state.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <util/net-frame.h>

#include "kernel/machine/fault.h"

#define ENDS_MAX 8u
#define DISK_FD    100             /* fuzz-disk: file = /proc/self/fd/100 */
#define DISK_BYTES (4u << 20)
#define UNIT_BYTES (64u << 10)
#define UNITS      (DISK_BYTES / UNIT_BYTES)

struct end {
	struct mt_inst *inst;
	void (*act)(struct end *e, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes);
	uint32_t room;                         /* what the back end takes yet; UINT32_MAX: everything */
	const struct mt_irq_host *irq;
	struct mt_line *lines[32];
	const struct mt_char_host *chars;
	struct mt_char *chr;
	const struct mt_net_host *nets;
	struct mt_net *net;
	struct mt_net_setup setup;
	struct mt_net_queue frames;
	uint32_t link, offloads;
	const struct mt_block_node *node;
	const struct mt_loop_host *loop;
	struct mt_deferred *later;             /* what came late can be asked for again */
	int32_t child;
	uint8_t units[UNITS];                  /* how the disk's units are, DISK_* */
	int32_t error;                         /* of damaged units */
};

static struct end *ends[ENDS_MAX];
static uint32_t end_count;

void ends_act(uint32_t which, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes)
{
	if (end_count)
		ends[which % end_count]->act(ends[which % end_count], args, data, len_bytes);
}

static struct end *end_new(struct mt_inst *inst)
{
	struct end *e = calloc(1, sizeof(*e));

	if (!e || end_count == ENDS_MAX)
		abort();
	e->inst = inst;
	e->room = e->link = UINT32_MAX;
	ends[end_count++] = e;
	return e;
}

static void end_destroy(void *self)
{
	struct end *e = self;

	for (uint32_t i = 0; i < end_count; i++) {
		if (ends[i] == e)
			ends[i] = ends[--end_count];
	}
	free(e->frames.data);
	free(e);
}

static int end_reset(void *self, uint32_t kind, uint32_t phase, struct mt_error *err)
{
	(void)self, (void)kind, (void)phase, (void)err;
	return 0;
}

static void end_unrealize(void *self)
{
	(void)self;
}

/* Nothing of a back end is saved: it is the host. */
static int end_save(void *self, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	(void)self, (void)out, (void)w, (void)err;
	return 0;
}

static int end_load(void *self, struct mt_state_in *in, const struct mt_state_reader *r, uint32_t version,
		    struct mt_error *err)
{
	(void)self, (void)in, (void)r, (void)version, (void)err;
	return 0;
}

static const struct mt_state_class end_state = { "fuzz", 1, 1, NULL, end_save, end_load };

/* Wires: levels of interrupt inputs, and messages from a device. */

static void lines_act(struct end *e, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes)
{
	uint64_t addr = 0;

	memcpy(&addr, data, len_bytes < 8 ? len_bytes : 8);
	if (args[0] & 1)
		e->irq->message_send(e->inst, addr, args[1]);
	else
		e->irq->line_set(e->lines[args[1] % G_N_ELEMENTS(e->lines)], args[2] & 1);
}

static int lines_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct end *e = end_new(inst);

	(void)err;
	e->irq = host->get_interface(host, MT_IFACE_IRQ);
	e->act = lines_act;
	*self = e;
	return 0;
}

static int lines_realize(void *self, struct mt_error *err)
{
	struct end *e = self;

	(void)err;
	for (uint32_t i = 0; i < G_N_ELEMENTS(e->lines); i++)
		e->lines[i] = e->irq->line_get(e->inst, "irq", i);
	return 0;
}

static const struct mt_device_class lines_class = {
	lines_create, lines_realize, end_reset, NULL, NULL, end_unrealize, end_destroy,
};

/* A stream of bytes. */

static int64_t char_write(void *self, const uint8_t *data, uint32_t len_bytes)
{
	struct end *e = self;
	uint32_t now = MIN(len_bytes, e->room);
	static volatile uint8_t sink;

	for (uint32_t i = 0; i < now; i++)
		sink = data[i];
	(void)sink;
	e->room -= e->room == UINT32_MAX ? 0 : now;
	return e->link ? (int64_t)now : MT_EGONE;
}

static void char_receive_ready(void *self)
{
	(void)self;
}

static void char_act(struct end *e, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes)
{
	switch (args[0] % 4) {
	case 0:
		e->chars->deliver(e->chr, data, len_bytes);
		break;
	case 1:
		e->room = args[1];
		e->chars->writable(e->chr);
		break;
	case 2:
		e->chars->event(e->chr, 1 + args[1] % 3);
		break;
	default:
		e->link = args[1] & 1;
	}
}

static int char_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct end *e = end_new(inst);

	(void)err;
	e->chars = host->get_interface(host, MT_IFACE_CHAR_HOST);
	e->act = char_act;
	*self = e;
	return 0;
}

static int char_realize(void *self, struct mt_error *err)
{
	struct end *e = self;

	(void)err;
	e->chr = e->chars->back(e->inst);
	return 0;
}

static const struct mt_char_class char_role = { char_write, char_receive_ready };
static const struct mt_device_class char_class = {
	char_create, char_realize, end_reset, NULL, NULL, end_unrealize, end_destroy,
};

/* A cable. */

static void net_info(void *self, struct mt_net_info *out)
{
	const struct end *e = self;

	out->flags = (e->link ? MT_NET_LINK : 0) | MT_NET_MAC;
	out->offloads = e->offloads;
	out->queues = QUEUES;
	out->mtu_bytes = 1500;
	memcpy(out->mac, "\x52\x54\x00\x01\x02\x03", 6);
}

static int net_setup(void *self, const struct mt_net_setup *setup)
{
	struct end *e = self;

	if (setup->flags & ~(MT_NET_HEADER | MT_NET_PARTS) || setup->queues > QUEUES || setup->offloads & ~e->offloads)
		return MT_ENOTSUP;
	e->setup = *setup;
	return 0;
}

static int64_t net_send(void *self, uint32_t queue, const struct mt_net_buf *bufs, uint32_t count)
{
	struct end *e = self;
	uint32_t now = MIN(count, e->room);
	uint8_t frame[2048];

	if (queue >= e->setup.queues)
		abort();
	for (uint32_t i = 0; i < now; i++)
		mt_net_gather(&bufs[i], 0, frame, sizeof(frame));
	e->room -= e->room == UINT32_MAX ? 0 : now;
	return now;
}

static int64_t net_receive(void *self, uint32_t queue, struct mt_net_buf *bufs, uint32_t count, uint32_t *waiting)
{
	struct end *e = self;
	uint32_t used = 0, len, parts;
	const uint8_t *frame;

	if (queue >= e->setup.queues)
		abort();
	while ((frame = mt_net_queue_peek(&e->frames, &len))) {
		parts = mt_net_parts(bufs + used, count - used, e->setup.flags & MT_NET_PARTS, len);
		if (!parts)
			break;
		mt_net_fill(bufs + used, parts, frame, len);
		mt_net_queue_drop(&e->frames);
		used += parts;
	}
	*waiting = frame != NULL;
	return used;
}

static void net_act(struct end *e, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes)
{
	uint32_t header = e->setup.flags & MT_NET_HEADER ? 12 : 0, len = args[1] % 2048;
	uint8_t *room;

	switch (args[0] % 4) {
	case 0:
		inst_enter(e->inst);
		room = mt_net_queue_room(&e->frames, header + len);
		if (room) {
			memset(room, 0, header + len);
			memcpy(room, data, MIN(len_bytes, header + len));
			mt_net_queue_put(&e->frames, header + len);
		}
		inst_leave(e->inst);
		e->nets->receivable(e->net, args[2] % QUEUES);
		break;
	case 1:
		e->room = args[1];
		e->nets->sendable(e->net, args[2] % QUEUES);
		break;
	case 2:
		e->link = args[1] & 1;
		e->nets->changed(e->net);
		break;
	default:
		e->offloads ^= args[1] << 16 | args[2];
		e->nets->changed(e->net);
	}
}

static int net_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct end *e = end_new(inst);

	(void)err;
	e->nets = host->get_interface(host, MT_IFACE_NET_HOST);
	e->act = net_act;
	e->offloads = UINT32_MAX;
	*self = e;
	return mt_net_queue_init(&e->frames, 16384);
}

static int net_realize(void *self, struct mt_error *err)
{
	struct end *e = self;

	(void)err;
	e->net = e->nets->back(e->inst);
	return 0;
}

static const struct mt_net_class net_role = { net_info, net_setup, net_send, net_receive };
static const struct mt_device_class net_class = {
	net_create, net_realize, end_reset, NULL, NULL, end_unrealize, end_destroy,
};

/* A disk, each unit in a way of its own. */

enum { DISK_DATA, DISK_SHARED, DISK_ZERO, DISK_ENCODED, DISK_DAMAGED, DISK_LATE, DISK_FULL, DISK_SHORT, DISK_KINDS };

static void disk_act(struct end *e, const uint32_t args[ENDS_ARGS], const uint8_t *data, uint32_t len_bytes)
{
	(void)data, (void)len_bytes;
	switch (args[0] % 4) {
	case 0:
		__atomic_store_n(&e->units[args[1] % UNITS], args[2] % DISK_KINDS, __ATOMIC_RELAXED);
		e->node->invalidate(e->inst, (uint64_t)args[1] % UNITS * UNIT_BYTES, UNIT_BYTES);
		break;
	case 1:
		e->error = args[2] & 1 ? MT_EIO : MT_ENOSPC;
		break;
	case 2:
		for (uint32_t i = 0; i < UNITS; i++)
			__atomic_store_n(&e->units[i], (args[1] + i * args[2]) % DISK_KINDS, __ATOMIC_RELAXED);
		e->node->invalidate(e->inst, 0, 0);
		break;
	default:
		if (ftruncate(DISK_FD, args[1] % (DISK_BYTES / 4096) * 4096) < 0)
			abort();
	}
}

static int disk_create(const struct mt_host *host, struct mt_inst *inst, void **self, struct mt_error *err)
{
	struct end *e = end_new(inst);

	(void)err;
	e->node = host->get_interface(host, MT_IFACE_BLOCK_NODE);
	e->loop = host->get_interface(host, MT_IFACE_LOOP);
	e->act = disk_act;
	*self = e;
	return 0;
}

static void disk_late(void *arg)
{
	const struct end *e = arg;

	e->node->map_ready(e->inst);
}

static int disk_realize(void *self, struct mt_error *err)
{
	struct mt_block_child_info info = { .size = sizeof(info) };
	struct end *e = self;

	e->later = e->loop->deferred_create(e->inst, disk_late, e);
	e->child = e->node->child_open(e->inst, "file", &info, err);
	return e->child < 0 ? e->child : 0;
}

static void disk_info(void *self, struct mt_block_info *out)
{
	(void)self;
	out->flags = MT_BLOCK_INFO_VOLATILE;
	out->disk_bytes = DISK_BYTES;
	out->block_bytes = out->physical_bytes = out->discard_bytes = 512;
	out->unit_bytes = UNIT_BYTES;
}

static int32_t disk_map(void *self, uint64_t offset, uint64_t len_bytes, uint32_t purpose,
			struct mt_block_extent *extents, uint32_t max)
{
	struct end *e = self;
	struct mt_block_extent x = { .child_offset = offset, .child = (uint32_t)e->child };
	uint8_t *unit = &e->units[offset / UNIT_BYTES % UNITS], kind = __atomic_load_n(unit, __ATOMIC_RELAXED);

	(void)len_bytes, (void)max, (void)purpose;
	if (offset >= DISK_BYTES)
		return MT_ERANGE;
	x.len_bytes = UNIT_BYTES - offset % UNIT_BYTES;
	x.kind = MT_BLOCK_EXT_DATA;
	if (kind == DISK_DAMAGED)
		return e->error ? e->error : (int32_t)MT_EIO;
	if (kind == DISK_LATE) {
		__atomic_store_n(unit, DISK_DATA, __ATOMIC_RELAXED);
		e->loop->deferred_post(e->later);
		return MT_EAGAIN;
	}
	if (kind == DISK_ZERO || kind == DISK_FULL)
		x.kind = MT_BLOCK_EXT_ZERO;
	if (kind == DISK_DATA)
		x.flags = MT_BLOCK_EXT_WRITABLE | MT_BLOCK_EXT_ALLOCATED;
	if (kind == DISK_SHORT)
		x.len_bytes = 512 - offset % 512;
	if (kind == DISK_ENCODED) {
		x.kind = MT_BLOCK_EXT_ENCODED;
		x.encoded_bytes = 1024;
		x.unit_bytes = UNIT_BYTES;
		x.skip_bytes = (uint32_t)(offset % UNIT_BYTES);
		x.child_offset = offset - x.skip_bytes;
	}
	extents[0] = x;
	return 1;
}

static int32_t disk_reserve(void *self, const struct mt_block_want *want, struct mt_block_target *targets, uint32_t max)
{
	const struct end *e = self;
	uint64_t unit = want->offset / UNIT_BYTES, from = want->offset % UNIT_BYTES;
	uint64_t len = MIN(want->len_bytes, UNIT_BYTES - from);

	(void)max;
	if (unit >= UNITS || __atomic_load_n(&e->units[unit], __ATOMIC_RELAXED) == DISK_FULL)
		return MT_ENOSPC;
	targets[0] = (struct mt_block_target){
		.offset = want->offset, .len_bytes = len, .child_offset = want->offset, .child = (uint32_t)e->child,
		.fill_head_bytes = from, .fill_tail_bytes = UNIT_BYTES - from - len, .cookie = unit,
	};
	return 1;
}

static int32_t disk_commit(void *self, const uint64_t *cookies, uint32_t count)
{
	struct end *e = self;

	for (uint32_t i = 0; i < count; i++)
		__atomic_store_n(&e->units[cookies[i] % UNITS], DISK_DATA, __ATOMIC_RELAXED);
	return 0;
}

static void disk_abort(void *self, const uint64_t *cookies, uint32_t count)
{
	(void)self, (void)cookies, (void)count;
}

static int64_t disk_unmap(void *self, uint64_t offset, uint64_t len_bytes, uint32_t op, uint32_t flags)
{
	struct end *e = self;

	(void)op, (void)flags;
	if (offset / UNIT_BYTES % 4 == 3)
		return MT_ENOTSUP;
	__atomic_store_n(&e->units[offset / UNIT_BYTES % UNITS], DISK_ZERO, __ATOMIC_RELAXED);
	return (int64_t)MIN(len_bytes, UNIT_BYTES);
}

static int32_t disk_decode(void *self, const struct mt_block_extent *extent, const void *in, void *out)
{
	(void)self;
	memset(out, ((const uint8_t *)in)[0], extent->unit_bytes);
	return ((const uint8_t *)in)[1] == 0xff ? MT_EIO : 0;
}

static const struct mt_block_format disk_role = {
	.info = disk_info, .map = disk_map, .reserve = disk_reserve, .commit = disk_commit, .abort = disk_abort,
	.unmap = disk_unmap, .decode = disk_decode,
};
static const struct mt_device_class disk_class = {
	disk_create, disk_realize, end_reset, NULL, NULL, end_unrealize, end_destroy,
};

/* As they are at first: the live ones too. */
static void ends_forget(void)
{
	for (uint32_t i = 0; i < end_count; i++) {
		struct end *e = ends[i];

		e->room = e->link = UINT32_MAX;
		e->offloads = e->nets ? UINT32_MAX : 0;
		e->error = 0;
		if (e->frames.data)
			mt_net_queue_clear(&e->frames);
		memset(e->units, 0, sizeof(e->units));
		if (e->node)
			e->node->invalidate(e->inst, 0, 0);
	}
}

void ends_begin(void)
{
	static int made = -1;

	if (made < 0) {
		made = memfd_create("disk", 0);
		if (made < 0 || dup2(made, DISK_FD) != DISK_FD)
			abort();
	}
	if (ftruncate(DISK_FD, 0) < 0 || ftruncate(DISK_FD, DISK_BYTES) < 0)
		abort();
	ends_forget();
}

/* Classes by name. */

#define P(name, type, deflt) { name, deflt, "", "", "", type, 0 }
static const struct note_prop lines_props[] = { P("irq", MT_PROP_IRQ, ""), P("at", MT_PROP_REF, "") };
static const struct note_prop disk_props[] = {
	P("file", MT_PROP_PATH, ""), P("readonly", MT_PROP_BOOL, "off"), P("cache", MT_PROP_ENUM, "writeback"),
	P("discard", MT_PROP_BOOL, "on"), P("engine", MT_PROP_ENUM, "auto"), P("locking", MT_PROP_BOOL, "off"),
};

static const struct note_class classes[] = {
	{ "fuzz-lines", "", "", MT_KIND_DEVICE, 0, lines_props, G_N_ELEMENTS(lines_props), NULL },
	{ "fuzz-char", "", MT_IFACE_CHAR, MT_KIND_DEVICE, 0, NULL, 0, NULL },
	{ "fuzz-net", "", MT_IFACE_NET, MT_KIND_DEVICE, 0, NULL, 0, NULL },
	{ "fuzz-disk", "", MT_IFACE_BLOCK_FORMAT, MT_KIND_BLOCK, MT_CLASS_PARALLEL, disk_props, G_N_ELEMENTS(disk_props),
	  NULL },
	{ "fuzz-cpu", "", "", MT_KIND_CPU, MT_CLASS_PARALLEL, NULL, 0, NULL },
};

static const struct {
	const char *class_name, *iface;
	const void *vtable;
} roles[] = {
	{ "fuzz-lines", MT_IFACE_DEVICE, &lines_class }, { "fuzz-lines", MT_IFACE_STATE, &end_state },
	{ "fuzz-char", MT_IFACE_DEVICE, &char_class }, { "fuzz-char", MT_IFACE_STATE, &end_state },
	{ "fuzz-char", MT_IFACE_CHAR, &char_role },
	{ "fuzz-net", MT_IFACE_DEVICE, &net_class }, { "fuzz-net", MT_IFACE_STATE, &end_state },
	{ "fuzz-net", MT_IFACE_NET, &net_role },
	{ "fuzz-disk", MT_IFACE_DEVICE, &disk_class }, { "fuzz-disk", MT_IFACE_STATE, &end_state },
	{ "fuzz-disk", MT_IFACE_BLOCK_FORMAT, &disk_role },
	{ "fuzz-cpu", MT_IFACE_CPU, &ends_cpu_class }, { "fuzz-cpu", MT_IFACE_CPU_PINS, &ends_cpu_pins },
	{ "fuzz-cpu", MT_IFACE_CPU_SYSREG, &ends_cpu_sysreg }, { "fuzz-cpu", MT_IFACE_CPU_VECTOR, &ends_cpu_vector },
};

static const void *ends_get_class(const char *class_name, const char *id)
{
	for (size_t i = 0; i < G_N_ELEMENTS(roles); i++) {
		if (!strcmp(roles[i].class_name, class_name) && !strcmp(roles[i].iface, id))
			return roles[i].vtable;
	}
	return NULL;
}

static const struct mt_plugin plugin = { sizeof(plugin), MT_ABI_MAJOR, ends_get_class };
static struct machine_source *others;

static const struct mt_plugin *source_find(struct machine_source *source, const char *class_name,
					   const struct note_class **cls, struct mt_error *err)
{
	(void)source;
	for (size_t i = 0; i < G_N_ELEMENTS(classes); i++) {
		if (!strcmp(classes[i].name, class_name)) {
			*cls = &classes[i];
			return &plugin;
		}
	}
	return others->find(others, class_name, cls, err);
}

struct machine_source *ends_source(struct machine_source *files)
{
	static struct machine_source source = { .find = source_find };

	others = files;
	return &source;
}
