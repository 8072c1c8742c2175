/* SPDX-License-Identifier: MIT */
/*
 * The PCI part of a snapshot: what guests have written into configuration spaces and vector tables, messages that wait,
 * and the levels of pins. [main], the machine paused. Of a configuration space only the bits that a guest can write
 * are taken; the rest is what the function is made of.
 */
#include <mortise/draft/state.h>
#include <string.h>

#include "kernel/machine/machine.h"
#include "kernel/pci/function.h"
#include "kernel/state/part.h"

#define MSIX_ON     0x80u              /* of the upper byte of Message Control */
#define MSIX_MASKED 0x40u
#define WORDS(f)    ((f)->vectors / 64 + 1)

/* Saving. */

static void vectors_save(const struct mt_pci *f, struct mt_state_out *out, const struct mt_state_writer *w)
{
	for (uint32_t i = 0; i < f->vectors; i++) {
		w->begin(out, "vector", 0);
		w->put(out, "addr", MT_STATE_U64, 0, &f->table[i].addr, 1);
		w->put(out, "data", MT_STATE_U32, 0, &f->table[i].data, 1);
		w->put(out, "control", MT_STATE_U32, 0, &f->table[i].control, 1);
		w->end(out);
	}
	w->put(out, "pending", MT_STATE_U64, 0, f->pending, WORDS(f));
}

static void function_save(struct mt_pci *f, struct mt_state_out *out, const struct mt_state_writer *w)
{
	uint8_t level;

	w->begin(out, "function", 0);
	w->put(out, "devfn", MT_STATE_U32, 0, &f->devfn, 1);
	w->put(out, "config", MT_STATE_BYTES, 0, f->config, sizeof(f->config));
	pthread_mutex_lock(&f->lock);
	level = f->intx_level;
	w->put(out, "pin", MT_STATE_U8, 0, &level, 1);
	vectors_save(f, out, w);
	pthread_mutex_unlock(&f->lock);
	w->end(out);
}

static void bus_save(struct mt_pci_bus *bus, struct mt_state_out *out, const struct mt_state_writer *w)
{
	w->begin(out, "bus", 0);
	w->put(out, "bridge", MT_STATE_STRING, 0, bus->inst->id, (uint32_t)strlen(bus->inst->id));
	g_rec_mutex_lock(&bus->config);
	for (uint32_t i = 0; i < PCI_DEVFNS; i++)
		if (bus->functions[i])
			function_save(bus->functions[i], out, w);
	g_rec_mutex_unlock(&bus->config);
	w->end(out);
}

static int part_save(struct machine *m, struct mt_state_out *out, const struct mt_state_writer *w, struct mt_error *err)
{
	(void)err;
	for (unsigned i = 0; i < m->insts->len; i++) {
		struct mt_pci_bus *bus = pcibus_of(g_ptr_array_index(m->insts, i));

		if (bus)
			bus_save(bus, out, w);
	}
	return 0;
}

/* Loading. */

struct saved {
	uint8_t config[PCI_CONFIG_BYTES], pin;
	struct pci_vector table[MT_PCI_VECTORS_MAX];
	uint64_t pending[MT_PCI_VECTORS_MAX / 64 + 1];
};

static int vector_load(struct pci_vector *v, struct mt_state_in *in, const struct mt_state_reader *r)
{
	int code = r->get(in, "addr", MT_STATE_U64, &v->addr, 1);

	if (code == 0)
		code = r->get(in, "data", MT_STATE_U32, &v->data, 1);
	if (code == 0)
		code = r->get(in, "control", MT_STATE_U32, &v->control, 1);
	if (code == 0 && (v->addr & 3 || v->control > 1))
		return r->refuse(in, "addr", "or control has bits that are always 0");
	return code;
}

static int vectors_load(const struct mt_pci *f, struct saved *saved, struct mt_state_in *in,
			const struct mt_state_reader *r)
{
	uint32_t type, count = 0, left = f->vectors % 64;
	int code = 0;

	r->find(in, "vector", &type, &count);
	if (count != f->vectors)
		return r->refuse(in, "vector", "is there in another number than the function has");
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "vector", i);
		if (code < 0)
			return code;
		code = vector_load(&saved->table[i], in, r);
		r->end(in);
	}
	if (code == 0)
		code = r->get(in, "pending", MT_STATE_U64, saved->pending, WORDS(f));
	if (code == 0 && saved->pending[f->vectors / 64] >> left)
		return r->refuse(in, "pending", "has bits of vectors that are not there");
	return code;
}

/* The function's own state is loaded after this. */
static void master_take(struct mt_pci *f)
{
	uint32_t master = (f->config[PCI_COMMAND] & PCI_COMMAND_MASTER) != 0;
	uint32_t old = __atomic_exchange_n(&f->gate.open, master, __ATOMIC_ACQ_REL);

	if (old == master || !f->role || !f->role->bus_master)
		return;
	inst_enter(f->inst);
	f->role->bus_master(f->inst->self, master);
	inst_leave(f->inst);
}

/* With the config lock. BARs are placed when all functions have theirs. */
static void function_take(struct mt_pci *f, const struct saved *saved)
{
	for (uint32_t i = 0; i < PCI_CONFIG_BYTES; i++)
		f->config[i] = (uint8_t)((f->config[i] & ~f->writable[i]) | (saved->config[i] & f->writable[i]));
	master_take(f);
	pthread_mutex_lock(&f->lock);
	memcpy(f->table, saved->table, f->vectors * sizeof(*f->table));
	memcpy(f->pending, saved->pending, WORDS(f) * sizeof(*f->pending));
	f->intx_level = saved->pin && f->flags & MT_PCI_INTX;
	pthread_mutex_unlock(&f->lock);
	intx_control(f, f->config[PCI_COMMAND + 1] & PCI_COMMAND_NO_INTX >> 8);
	if (f->msix_at)
		msix_control(f, f->config[f->msix_at + 3] & MSIX_ON, f->config[f->msix_at + 3] & MSIX_MASKED);
}

static int function_load(struct mt_pci_bus *bus, struct saved *saved, struct mt_state_in *in,
			 const struct mt_state_reader *r)
{
	uint32_t devfn = 0;
	struct mt_pci *f;
	int code = r->get(in, "devfn", MT_STATE_U32, &devfn, 1);

	if (code < 0)
		return code;
	f = devfn < PCI_DEVFNS ? bus->functions[devfn] : NULL;
	if (!f)
		return r->refuse(in, "devfn", "is of no function of this machine");
	code = r->get(in, "config", MT_STATE_BYTES, saved->config, sizeof(saved->config));
	if (code == 0)
		code = r->get(in, "pin", MT_STATE_U8, &saved->pin, 1);
	if (code == 0 && saved->pin > 1)
		return r->refuse(in, "pin", "is neither 0 nor 1");
	if (code == 0)
		code = vectors_load(f, saved, in, r);
	if (code == 0)
		function_take(f, saved);
	return code;
}

static int functions_load(struct mt_pci_bus *bus, struct mt_state_in *in, const struct mt_state_reader *r)
{
	struct saved *saved = g_new0(struct saved, 1);
	uint32_t type, count = 0;
	int code = 0;

	r->find(in, "function", &type, &count);
	g_rec_mutex_lock(&bus->config);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "function", i);
		if (code < 0)
			break;
		code = function_load(bus, saved, in, r);
		r->end(in);
	}
	pcibus_place(bus);
	g_rec_mutex_unlock(&bus->config);
	g_free(saved);
	return code;
}

static int bus_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r)
{
	char id[128];
	int code = r->get(in, "bridge", MT_STATE_STRING, id, sizeof(id));
	struct mt_inst *bridge = code == 0 ? machine_find(m, id) : NULL;
	struct mt_pci_bus *bus = bridge ? pcibus_of(bridge) : NULL;

	if (code < 0)
		return code;
	return bus ? functions_load(bus, in, r) : r->refuse(in, "bridge", "is none of this machine");
}

static int part_load(struct machine *m, struct mt_state_in *in, const struct mt_state_reader *r, struct mt_error *err)
{
	uint32_t type, count = 0;
	int code = 0;

	(void)err;
	r->find(in, "bus", &type, &count);
	for (uint32_t i = 0; code == 0 && i < count; i++) {
		code = r->begin(in, "bus", i);
		if (code < 0)
			return code;
		code = bus_load(m, in, r);
		r->end(in);
	}
	return code;
}

const struct state_part pci_state_part = { "pci", 1, part_save, part_load };
