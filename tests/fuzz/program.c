/* SPDX-License-Identifier: MIT */
/*
 * The interpreter of a fuzzer's input: one byte says the move, the bytes behind it say how. Every input is a program;
 * behind its end there are zeros. The moves are coarse where random bytes would hardly ever get anywhere (a ring set
 * up, a BAR placed), and fine everywhere else.
 */
#include "tests/fuzz/fuzz.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/machine/clock.h"
#include "kernel/machine/loop.h"
#include "kernel/machine/space.h"
#include "kernel/machine/vcpu.h"

#define MOVES_MAX 256u             /* of a program; longer ones only cost time */
#define LIVES_MAX 8u               /* of its moves that make or stop threads */
#define TIME_MAX_NS (1ull << 60)

uint8_t take8(struct guest *g)
{
	return g->at < g->end ? *g->at++ : 0;
}

uint16_t take16(struct guest *g)
{
	uint16_t low = take8(g);

	return (uint16_t)(low | take8(g) << 8);
}

uint32_t take32(struct guest *g)
{
	uint32_t low = take16(g);

	return low | (uint32_t)take16(g) << 16;
}

uint64_t take64(struct guest *g)
{
	uint64_t low = take32(g);

	return low | (uint64_t)take32(g) << 32;
}

const uint8_t *take_bytes(struct guest *g, uint32_t *len_bytes)
{
	const uint8_t *at = g->at;

	*len_bytes = (uint32_t)MIN((size_t)*len_bytes, (size_t)(g->end - g->at));
	g->at += *len_bytes;
	return at;
}

/* The memory map, and I/O ports at addresses from PORTS on. */

static struct space *space_of(const struct guest *g, uint64_t *addr)
{
	if (*addr < PORTS)
		return g->m->system;
	*addr -= PORTS;
	return g->m->ports;
}

uint32_t guest_read(struct guest *g, uint64_t addr, uint32_t width, uint64_t *value)
{
	const struct mt_access from = { .vcpu = g->vcpu };
	struct space *space = space_of(g, &addr);
	const struct mt_flat_view *view = space_view_get(space);
	const struct mt_flat_range *range = view_find(view, addr);
	uint32_t result = MT_BUS_DECODE;

	*value = 0;
	if (range && range->len_bytes - (addr - range->gpa) >= width)
		result = bus_read(range, addr, width, &from, value);
	space_view_put(space, view);
	return result;
}

uint32_t guest_write(struct guest *g, uint64_t addr, uint32_t width, uint64_t value)
{
	const struct mt_access from = { .vcpu = g->vcpu };
	struct space *space = space_of(g, &addr);
	const struct mt_flat_view *view = space_view_get(space);
	const struct mt_flat_range *range = view_find(view, addr);
	uint32_t result = MT_BUS_DECODE;

	if (range && range->len_bytes - (addr - range->gpa) >= width)
		result = bus_write(range, addr, width, &from, value);
	space_view_put(space, view);
	return result;
}

uint64_t guest_get(struct guest *g, uint64_t addr, uint32_t width)
{
	uint64_t value;

	guest_read(g, addr, width, &value);
	return value;
}

void guest_copy(struct guest *g, uint64_t addr, const void *data, uint32_t len_bytes)
{
	const uint8_t *bytes = data;

	for (uint32_t i = 0; i < len_bytes; i++)
		guest_write(g, addr + i, 1, bytes[i]);
}

static uint32_t windows_count(struct space *space)
{
	const struct mt_flat_view *view = space_view_get(space);
	uint32_t count = 0;

	for (uint32_t i = 0; i < view->count; i++)
		count += view->ranges[i].kind == MT_FLAT_IO;
	space_view_put(space, view);
	return count;
}

static bool window_find(struct space *space, uint32_t index, uint64_t *addr, uint64_t *len_bytes)
{
	const struct mt_flat_view *view = space_view_get(space);
	const struct mt_flat_range *found = NULL;

	for (uint32_t i = 0; i < view->count && !found; i++) {
		if (view->ranges[i].kind == MT_FLAT_IO && index-- == 0)
			found = &view->ranges[i];
	}
	if (found) {
		*addr = found->gpa;
		*len_bytes = found->len_bytes;
	}
	space_view_put(space, view);
	return found != NULL;
}

/* Ports come last. BARs may move between the two looks (a second vCPU): then there is none. */
bool guest_window(struct guest *g, uint32_t index, uint64_t *addr, uint64_t *len_bytes)
{
	uint32_t memory = windows_count(g->m->system), count = memory + windows_count(g->m->ports);

	index = count ? index % count : 0;
	if (index < memory)
		return window_find(g->m->system, index, addr, len_bytes);
	if (!window_find(g->m->ports, index - memory, addr, len_bytes))
		return false;
	*addr += PORTS;
	return true;
}

void guest_sync(struct guest *g)
{
	if (!g->lazy && !g->child)
		loop_sync(g->m->loop);
}

/* Operands. */

static uint64_t take_window(struct guest *g)
{
	uint8_t how = take8(g);
	uint64_t addr, len, offset;

	switch (how >> 5) {
	case 4: case 5:
		offset = take16(g);
		break;
	case 6:
		offset = take16(g) | (uint64_t)take8(g) << 16;
		break;
	case 7:
		offset = ~(uint64_t)take8(g);
		break;
	default:
		offset = take8(g) | (how >> 5 & 1) << 8;
	}
	if (!guest_window(g, how & 31, &addr, &len))
		return 0;
	/* the last case counts from the end */
	return addr + (how >> 5 == 7 ? len - 1 - (~offset % len) : offset % len);
}

static uint64_t take_value(struct guest *g)
{
	uint8_t how = take8(g);
	uint64_t addr = 0, len;

	switch (how & 7) {
	case 0: return take8(g);
	case 1: return take16(g);
	case 2: return take32(g);
	case 3: return take64(g);
	case 4: return g->ram + (uint64_t)take16(g) * 16;
	case 5: return guest_window(g, how >> 3, &addr, &len) ? addr + take8(g) : 0;
	case 6: return g->last;
	}
	return how >> 3 & 1 ? 1ull << (take8(g) & 63) : ~(uint64_t)take8(g);
}

/* Moves. */

static void op_write(struct guest *g)
{
	uint64_t addr = take_window(g);
	uint8_t width = take8(g);

	guest_write(g, addr, 1u << (width & 3), take_value(g));
	guest_sync(g);
}

static void op_read(struct guest *g)
{
	uint64_t addr = take_window(g);

	guest_read(g, addr, 1u << (take8(g) & 3), &g->last);
}

/* Words of 32 bits from a register on: how a driver sets a block of them. */
static void op_write_words(struct guest *g)
{
	uint64_t addr = take_window(g) & ~3ull;

	for (uint32_t n = take8(g) & 15; n > 0; n--, addr += 4)
		guest_write(g, addr, 4, take32(g));
	guest_sync(g);
}

static void op_sweep(struct guest *g)
{
	uint64_t addr = take_window(g), value;
	uint8_t how = take8(g);

	for (uint32_t n = take8(g); n > 0; n--, addr += 1u << (how & 3)) {
		guest_read(g, addr, 1u << (how >> 2 & 3), &value);
		if (how & 16)
			guest_write(g, addr, 1u << (how >> 2 & 3), how & 32 ? ~value : value);
	}
	guest_sync(g);
}

static void op_memory(struct guest *g)
{
	uint64_t addr = g->ram + (uint64_t)take16(g) * 16;
	uint32_t len = take8(g) & 127;
	const uint8_t *bytes = take_bytes(g, &len);

	guest_copy(g, addr, bytes, len);
}

static void op_memory_value(struct guest *g)
{
	uint64_t addr = g->ram + (uint64_t)take16(g) * 8;
	uint8_t width = take8(g);

	guest_write(g, addr, 1u << (width & 3), take_value(g));
}

static void op_anywhere(struct guest *g)
{
	uint64_t addr = take_value(g);
	uint8_t how = take8(g);

	if (how & 4)
		guest_write(g, addr, 1u << (how & 3), take_value(g));
	else
		guest_read(g, addr, 1u << (how & 3), &g->last);
	guest_sync(g);
}

static void op_sync(struct guest *g)
{
	if (!g->child)
		loop_sync(g->m->loop);
}

/* Guest time stands still but for this. */
static void time_pass(struct guest *g, uint64_t ns)
{
	uint64_t now = clock_guest_ns(g->m->clock);

	clock_set_guest_ns(g->m->clock, MIN(now + MIN(ns, TIME_MAX_NS), TIME_MAX_NS));
	clock_resume(g->m->clock);
	loop_sync(g->m->loop);
	loop_sync(g->m->loop);
	clock_pause(g->m->clock);
}

static void op_time(struct guest *g)
{
	uint64_t ns = (uint64_t)take8(g) << (take8(g) & 63);

	if (!g->child)
		time_pass(g, ns);
}

/* The machine's life. */

static bool is_spent(struct guest *g)
{
	return g->child || g->lives++ >= LIVES_MAX;
}

static void word_main(void)
{
	inst_thread_set(MT_THREAD_MAIN);
}

void target_guest(struct guest *g)
{
	clock_pause(g->m->clock);
	inst_thread_set(MT_THREAD_VCPU);
}

static void op_reset(struct guest *g)
{
	struct mt_error err = { .size = sizeof(err) };
	uint8_t how = take8(g);

	if (is_spent(g))
		return;
	word_main();
	machine_pause(g->m);
	if (how % 3 < 2 && machine_reset(g->m, MT_RESET_COLD + how % 3, &err) < 0)
		abort();
	machine_start(g->m);
	target_guest(g);
}

static void op_save(struct guest *g)
{
	if (is_spent(g))
		return;
	word_main();
	image_free(g->image);
	g->image = image_save(g->m, IMAGE_PLAIN);
	target_guest(g);
}

/* Goes on from the image, perhaps damaged; where that is refused, from the image as it was. */
static void op_load(struct guest *g)
{
	uint8_t count = take8(g) & 3;
	struct machine *m = NULL;

	if (!g->image || is_spent(g))
		return;
	word_main();
	machine_destroy(g->m);
	if (count) {
		struct image *damaged = image_copy(g->image);

		for (uint32_t i = 0; i < count; i++) {
			uint32_t how = take8(g), where = take16(g) | (uint32_t)take8(g) << 16;

			image_damage(damaged, how, where, how & 4 ? take32(g) : take8(g));
		}
		m = image_load(damaged, false);
		image_free(damaged);
	}
	g->m = m ? m : image_load(g->image, true);
	target_guest(g);
}

static void op_end(struct guest *g)
{
	uint32_t which = take8(g), args[ENDS_ARGS] = { 0 }, len;
	const uint8_t *bytes;

	args[0] = which >> 4;
	args[1] = take16(g);
	args[2] = take8(g);
	len = which & 8 ? take8(g) & 63 : 0;
	bytes = take_bytes(g, &len);
	if (g->child)
		return;
	inst_thread_set(MT_THREAD_OTHER);
	ends_act(which & 7, args, bytes, len);
	inst_thread_set(MT_THREAD_VCPU);
	guest_sync(g);
}

static void op_message(struct guest *g)
{
	uint32_t which = take8(g), args[ENDS_ARGS] = { 1 };
	uint64_t addr = take_window(g);

	args[1] = take16(g);
	if (!g->child)
		ends_act(which, args, (const uint8_t *)&addr, sizeof(addr));
}

static void op_sysreg(struct guest *g)
{
	uint8_t how = take8(g), vcpu = take8(g);
	uint32_t number = take16(g);

	if (!g->child)
		g->last = ends_sysreg(vcpu, number, how, take_value(g));
}

/* A vCPU takes an interrupt; on a thread of its own only the one that the thread is. */
static void op_vector(struct guest *g)
{
	uint8_t how = take8(g), vcpu = take8(g);

	g->last = (uint64_t)ends_vector(g->child ? g->vcpu : vcpu, how);
	guest_sync(g);
}

/* Another vCPU, which runs the next bytes meanwhile. */
static void *child_main(void *arg)
{
	inst_thread_set(MT_THREAD_VCPU);
	guest_run(arg);
	return NULL;
}

static void op_thread(struct guest *g)
{
	struct guest child = *g;
	uint32_t len = take8(g) & 63, mine = take8(g) & 31;
	const uint8_t *end = g->end;
	pthread_t thread;

	if (is_spent(g))
		return;
	child.at = take_bytes(g, &len);
	child.end = child.at + len;
	child.child = true;
	child.vcpu = g->m->vcpus && vcpus_count(g->m->vcpus) > 1;
	child.image = NULL;
	if (pthread_create(&thread, NULL, child_main, &child))
		return;
	g->end = g->at + MIN((size_t)mine, (size_t)(end - g->at));
	g->child = true;
	guest_run(g);
	g->child = false;
	g->end = end;
	pthread_join(thread, NULL);
	guest_sync(g);
}

static void (*const moves[32])(struct guest *) = {
	op_write, op_read, op_write_words, op_sweep, op_memory, op_memory_value, op_anywhere, op_sync,
	op_time, op_reset, op_save, op_load, op_end, op_message, op_sysreg, op_thread,
	op_pci_write, op_pci_bar, op_pci_enumerate, op_virtio_start, op_virtio_chain, op_virtio_kick,
	op_vector,
};

void guest_run(struct guest *g)
{
	for (uint32_t n = 0; n < MOVES_MAX && g->at < g->end; n++) {
		uint8_t move = take8(g) & 31;

		if (moves[move])
			moves[move](g);
	}
}
