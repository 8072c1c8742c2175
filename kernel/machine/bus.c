/* SPDX-License-Identifier: MIT */
/*
 * Regions of registers: making them, and every access to them. Accesses come on vCPU threads (bus_read,
 * bus_write) and, as messages, on any thread. Bindings to eventfds are kernel/bind's.
 *
 * The rule that is easy to break: an instance is never entered twice on one thread. A thread keeps the chain
 * of instances that it is inside of, and an access that would come back to one of them gets MT_BUS_DEVICE. Who tells
 * others of an end steps out meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/dma.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/machine.h"
#include "kernel/machine/region.h"
#include "kernel/machine/services.h"

#define ROLE_MSI_TARGET "mortise.msi-target/1"

/* The chain: one frame for each instance that this thread is inside of. */
struct frame {
	const struct mt_inst *inst;
	const struct frame *outer;
};

static _Thread_local const struct frame *inside;

static bool is_inside(const struct mt_inst *inst)
{
	for (const struct frame *f = inside; f; f = f->outer) {
		if (f->inst == inst)
			return true;
	}
	return false;
}

/* MT_BUS_OK, and then region_leave is due. */
static uint32_t region_enter(const struct mt_region *region, struct frame *frame)
{
	if (__builtin_expect(inside != NULL, 0) && is_inside(region->inst))
		return MT_BUS_DEVICE;
	inst_enter(region->inst);
	/* looked at under the lock: main may have unrealized it while this thread waited */
	if (__atomic_load_n(&region->inst->state, __ATOMIC_RELAXED) >= INST_UNREALIZED) {
		inst_leave(region->inst);
		return MT_BUS_GONE;
	}
	frame->inst = region->inst;
	frame->outer = inside;
	inside = frame;
	return MT_BUS_OK;
}

static void region_leave(const struct mt_region *region, const struct frame *frame)
{
	inside = frame->outer;
	inst_leave(region->inst);
}

const void *bus_step_out(const struct mt_inst *inst)
{
	const struct frame *was = inside;

	if (was && was->inst == inst)
		inside = was->outer;
	return was;
}

void bus_step_in(const void *was)
{
	inside = was;
}

/* Normalisation */

/* What the operations see of an access, and which bytes of it are wanted. */
struct piece {
	uint64_t offset;
	uint32_t width;
	uint32_t skip, bytes;          /* all of it unless a narrow read is widened */
};

static bool is_declared(const struct mt_region *region, uint64_t offset, uint32_t width)
{
	return width >= region->width_min && width <= region->width_max &&
	       (!(offset & (width - 1)) || (region->flags & MT_REGION_UNALIGNED));
}

/* The next piece: as wide as the region, the alignment and what is left allow. */
static struct piece piece_next(const struct mt_region *region, uint64_t offset, uint32_t left)
{
	uint32_t width = region->width_max;
	struct piece piece;

	while (width > left || (!(region->flags & MT_REGION_UNALIGNED) && (offset & (width - 1))))
		width /= 2;
	if (width >= region->width_min)
		return (struct piece){ offset, width, 0, width };
	piece.width = region->width_min;
	piece.offset = offset & ~(uint64_t)(region->width_min - 1);
	piece.skip = (uint32_t)(offset - piece.offset);
	piece.bytes = MIN(left, piece.width - piece.skip);
	return piece;
}

static uint64_t width_mask(uint32_t width)
{
	return width >= 8 ? UINT64_MAX : (1ull << (8 * width)) - 1;
}

static uint32_t read_split(const struct mt_region *region, struct mt_access *access, uint64_t *value)
{
	uint64_t offset = access->offset, all = 0;
	uint32_t width = access->width, done = 0, flags = 0;

	while (done < width) {
		struct piece piece = piece_next(region, offset + done, width - done);
		uint64_t part = 0;
		uint32_t result;

		access->offset = piece.offset;
		access->width = piece.width;
		result = region->ops->read(region->self, access, &part);
		if ((result & MT_BUS_RESULT) != MT_BUS_OK)
			return result | flags;
		flags |= result;
		all |= (part >> (8 * piece.skip) & width_mask(piece.bytes)) << (8 * done);
		done += piece.bytes;
	}
	*value = all;
	return flags;
}

/* A narrow write has no honest wider form: reading the rest first may have side effects. */
static bool write_splits(const struct mt_region *region, uint64_t offset, uint32_t width)
{
	for (uint32_t done = 0; done < width;) {
		struct piece piece = piece_next(region, offset + done, width - done);

		if (piece.bytes != piece.width)
			return false;
		done += piece.bytes;
	}
	return true;
}

static uint32_t write_split(const struct mt_region *region, struct mt_access *access, uint64_t value)
{
	uint64_t offset = access->offset;
	uint32_t width = access->width, done = 0, flags = 0;

	if (!write_splits(region, offset, width))
		return MT_BUS_DEVICE;
	while (done < width) {
		struct piece piece = piece_next(region, offset + done, width - done);
		uint64_t part = value >> (8 * done) & width_mask(piece.bytes);
		uint32_t result;

		access->offset = piece.offset;
		access->width = piece.width;
		result = region->ops->write(region->self, access, part);
		if ((result & MT_BUS_RESULT) != MT_BUS_OK)
			return result | flags;
		flags |= result;
		done += piece.bytes;
	}
	return flags;
}

/* Accesses */

static bool is_legal(const struct mt_flat_range *range, uint64_t addr, uint32_t width)
{
	uint64_t at = addr - range->gpa;

	return width && width <= 8 && !(width & (width - 1)) && addr >= range->gpa && at < range->len_bytes &&
	       width <= range->len_bytes - at;
}

/* The vCPU must leave `run` when the access made a new view: what it knows of memory is stale. */
static uint32_t with_leave(uint32_t result, unsigned changes_before)
{
	return space_changes_by_thread() == changes_before ? result : result | MT_BUS_LEAVE;
}

uint32_t bus_read(const struct mt_flat_range *range, uint64_t addr, uint32_t width,
		  const struct mt_access *from, uint64_t *value)
{
	const struct mt_region *region = range->region;
	struct mt_access access = *from;
	unsigned changes = space_changes_by_thread();
	struct frame frame;
	uint32_t result;

	*value = 0;
	if (!is_legal(range, addr, width))
		return MT_BUS_DECODE;
	if (!region)
		return ram_load(range->hva + (addr - range->gpa), value, width), MT_BUS_OK;
	access.offset = range->region_offset + (addr - range->gpa);
	access.width = width;
	if (!is_declared(region, access.offset, width) && (region->flags & MT_REGION_STRICT))
		return MT_BUS_DEVICE;
	result = region_enter(region, &frame);
	if (result != MT_BUS_OK)
		return result;
	if (is_declared(region, access.offset, width)) {
		result = region->ops->read(region->self, &access, value);
		*value &= width_mask(width);
	} else {
		result = read_split(region, &access, value);
	}
	region_leave(region, &frame);
	if ((result & MT_BUS_RESULT) != MT_BUS_OK)
		*value = 0;
	return with_leave(result, changes);
}

static uint32_t memory_write(const struct mt_flat_range *range, uint64_t addr, uint32_t width, uint64_t value)
{
	uint64_t at = addr - range->gpa;

	if (range->kind != MT_FLAT_RAM)
		return MT_BUS_OK;              /* ROM: dropped */
	ram_store(range->hva + at, &value, width);
	ram_mark_dirty(range->ram, range->ram_offset + at, width);
	return MT_BUS_OK;
}

uint32_t bus_write(const struct mt_flat_range *range, uint64_t addr, uint32_t width,
		   const struct mt_access *from, uint64_t value)
{
	struct mt_region *region = range->region;
	struct mt_access access = *from;
	unsigned changes = space_changes_by_thread();
	struct frame frame;
	uint32_t result;

	if (!is_legal(range, addr, width))
		return MT_BUS_DECODE;
	if (!region)
		return memory_write(range, addr, width, value);
	access.offset = range->region_offset + (addr - range->gpa);
	access.width = width;
	value &= width_mask(width);
	if (__atomic_load_n(&region->bindings.count, __ATOMIC_ACQUIRE) &&
	    bindings_serve(&region->bindings, &access, value))
		return MT_BUS_OK;
	if (!is_declared(region, access.offset, width) && (region->flags & MT_REGION_STRICT))
		return MT_BUS_DEVICE;
	result = region_enter(region, &frame);
	if (result != MT_BUS_OK)
		return result;
	if (is_declared(region, access.offset, width))
		result = region->ops->write(region->self, &access, value);
	else
		result = write_split(region, &access, value);
	region_leave(region, &frame);
	return with_leave(result, changes);
}

/*
 * A message goes out while the sender may hold its own lock. So it may only reach memory and controllers that are
 * made for messages: two senders that wrote to each other's registers would wait for ever.
 */
uint32_t bus_message(struct mt_inst *inst, uint64_t addr, uint32_t data)
{
	struct space *space = inst->machine->system;
	const struct mt_flat_view *view = space_view_get(space);
	const struct mt_flat_range *range = view_find(view, addr);
	const struct mt_region *region = range ? range->region : NULL;
	struct mt_access from = { .vcpu = MT_VCPU_NONE, .requester = bus_requester(inst) };
	struct frame frame = { inst, inside };
	uint32_t result = MT_BUS_DECODE;

	inside = &frame;
	if (range && (!region || region->takes_messages))
		result = bus_write(range, addr, 4, &from, data);
	inside = frame.outer;
	space_view_put(space, view);
	return result;
}

uint32_t bus_requester(const struct mt_inst *inst)
{
	const GPtrArray *insts = inst->machine->insts;
	const struct dma_gate *gate = dma_gate_of(inst);

	if (gate)
		return gate->requester;
	for (unsigned i = 0; insts && i < insts->len; i++) {
		if (g_ptr_array_index(insts, i) == inst)
			return i + 1;
	}
	return UINT32_MAX;
}

/* Making */

static bool is_width(uint32_t width)
{
	return width >= 1 && width <= 8 && !(width & (width - 1));
}

static int desc_check(const struct mt_region_desc *desc, struct mt_error *err)
{
	const char *name = desc->name ? desc->name : "";

	if (!*name || !desc->ops || !desc->ops->read || !desc->ops->write)
		return fault_set(err, MT_EINVAL, desc->at_prop, NULL,
				 "a region lacks its name or an operation (plugin fault)");
	if (desc->flags & ~(MT_REGION_UNALIGNED | MT_REGION_STRICT | MT_REGION_LATE))
		return fault_set(err, MT_EINVAL, desc->at_prop, "use a later mortise",
				 "region '%s' has unknown flags 0x%x", name, desc->flags);
	if (!is_width(desc->width_min) || !is_width(desc->width_max) || desc->width_min > desc->width_max)
		return fault_set(err, MT_EINVAL, desc->at_prop, NULL,
				 "region '%s' takes widths %u..%u, which is none (plugin fault)", name,
				 desc->width_min, desc->width_max);
	/* a widened read must find its whole container inside the region */
	if (desc->len_bytes == 0 || desc->len_bytes % desc->width_min)
		return fault_set(err, MT_EINVAL, desc->at_prop, NULL,
				 "region '%s' is %llu bytes long, no multiple of %u (plugin fault)", name,
				 (unsigned long long)desc->len_bytes, desc->width_min);
	return 0;
}

/* Takes the shorter of both sizes; what a later header added must be zero. */
static int desc_take(struct mt_region_desc *to, const struct mt_region_desc *from, struct mt_error *err)
{
	uint32_t size = MIN(from->size, (uint32_t)sizeof(*to));

	memset(to, 0, sizeof(*to));
	memcpy(to, from, size);
	for (uint32_t i = sizeof(*to); i < from->size; i++) {
		if (((const uint8_t *)from)[i])
			return fault_set(err, MT_ENOTSUP, NULL, "use a later mortise",
					 "a region asks for what this mortise does not know");
	}
	return desc_check(to, err);
}

/* The unit of an ADDR property names the space (note.h). */
static struct space *space_of(const struct mt_inst *inst, const char *at_prop)
{
	const struct note_prop *prop = at_prop ? note_prop_find(inst->cls, at_prop) : NULL;

	return prop && !strcmp(prop->unit, "io") ? inst->machine->ports : inst->machine->system;
}

static struct mt_region *region_make(struct mt_inst *inst, void *self, const struct mt_region_desc *desc)
{
	struct mt_region *region = g_new0(struct mt_region, 1);

	region->space = space_of(inst, desc->at_prop);
	region->inst = inst;
	region->self = self;
	region->ops = desc->ops;
	region->name = g_strdup_printf("%s.%s", inst->id, desc->name);
	region->len_bytes = desc->len_bytes;
	region->flags = desc->flags;
	region->width_min = desc->width_min;
	region->width_max = desc->width_max;
	region->takes_messages = (inst->cls->flags & MT_CLASS_PARALLEL) && inst_role(inst, ROLE_MSI_TARGET);
	bindings_init(&region->bindings);
	return region;
}

static void region_free(void *arg)
{
	struct mt_region *region = arg;

	bindings_free(&region->bindings);
	g_free(region->name);
	g_free(region);
}

/* The struct stays until no view shows it; accesses meanwhile find the instance gone. */
void bus_region_release(void *arg)
{
	struct mt_region *region = arg;
	struct space *space = region->space;

	space_begin(space);
	bus_region_unplace(region);
	space_on_retired(space, region_free, region);
	space_commit(space);
}

int bus_region_place(struct mt_region *region, uint64_t gpa, struct mt_error *err)
{
	int code;

	space_begin(region->space);
	bus_region_unplace(region);
	code = space_place_region(region->space, region, gpa, err);
	region->placed = code == 0;
	if (region->placed)
		bindings_placed(region, gpa);
	space_commit(region->space);
	return code;
}

void bus_region_unplace(struct mt_region *region)
{
	space_begin(region->space);
	if (region->placed) {
		bindings_unplaced(region);
		space_unplace_region(region->space, region);
	}
	region->placed = false;
	space_commit(region->space);
}

struct mt_region *bus_region_create(struct mt_inst *inst, void *self, const struct mt_region_desc *from,
				    struct mt_error *err)
{
	struct mt_region_desc desc;

	return desc_take(&desc, from, err) < 0 ? NULL : region_make(inst, self, &desc);
}

static struct mt_region *region_add(struct mt_inst *inst, const struct mt_region_desc *from,
				    struct mt_error *err)
{
	struct mt_region_desc desc;
	struct mt_region *region;

	if (desc_take(&desc, from, err) < 0)
		return NULL;
	if (desc.at_prop && !props_host.present(inst, desc.at_prop)) {
		fault_set(err, MT_EINVAL, desc.at_prop, NULL, "no address for '%s'", desc.name);
		return NULL;
	}
	region = region_make(inst, inst->self, &desc);
	if (desc.at_prop && bus_region_place(region, props_host.get_u64(inst, desc.at_prop), err) < 0) {
		if (err)
			g_strlcpy(err->culprit, desc.at_prop, sizeof(err->culprit));
		region_free(region);
		return NULL;
	}
	inst_own(inst, bus_region_release, region);
	return region;
}

const struct mt_mmio_host bus_mmio_host = {
	.region_add = region_add,
	.bind_eventfd = bindings_bind,
};
