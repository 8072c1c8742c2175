/* SPDX-License-Identifier: MIT */
/*
 * The device tree of a machine, written in one pass by libfdt's sequential functions: root, /cpus, /memory,
 * /soc with what each device says of itself, /chosen last, when the path of the console is known. [main].
 * Easy to break: libfdt wants all properties of a node before its subnodes, so `reg` and the like are written
 * where the node begins; and a phandle that was given out must have been defined when the tree ends.
 */
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "kernel/machine/clock.h"
#include "kernel/machine/fault.h"
#include "kernel/machine/irq.h"
#include "kernel/machine/services.h"

#define FDT_FIRST_BYTES 16384
#define FDT_LAST_BYTES (2u << 20)      /* what a device tree may grow to */
#define FDT_CELLS_MAX 4096
#define FDT_DEPTH_MAX 16
#define FDT_BASE_DEPTH 2               /* devices write below /soc, accelerators below /cpus */

struct fdt_state {
	void *blob;
};

struct mt_fdt {
	struct machine *machine;
	struct mt_inst *inst;          /* whose describe runs */
	void *buf;
	uint32_t buf_bytes;
	unsigned depth;                /* open nodes */
	int code;                      /* the first failure; nothing is written after it */
	struct mt_error *err;
	uint32_t next_phandle;
	GHashTable *phandles;          /* of what (an instance; a vCPU's node) -> number */
	GHashTable *defined;           /* numbers that a node bears */
	GHashTable *users;             /* number -> instance that refers to it first */
	GHashTable *paths;             /* instance -> path of its first node */
};

/* Failures are kept, so that a describe need not look at each call. */
static void fdt_fail(struct mt_fdt *f, int code, const char *culprit, const char *text)
{
	if (f->code == 0)
		f->code = fault_set(f->err, code, culprit, NULL, "device tree: %s", text);
}

static void note_result(struct mt_fdt *f, int result)
{
	if (result < 0)
		fdt_fail(f, MT_EINVAL, NULL, fdt_strerror(result));
}

/* Room for a node or property with this name and so many bytes. False: the tree has failed. */
static bool room(struct mt_fdt *f, const char *name, uint64_t len_bytes)
{
	uint64_t need = len_bytes + strlen(name) * 2 + 64, size = f->buf_bytes;
	uint64_t used = (uint64_t)fdt_off_dt_struct(f->buf) + fdt_size_dt_struct(f->buf) +
			fdt_size_dt_strings(f->buf);
	void *bigger;

	if (f->code)
		return false;
	while (size - used < need && size < FDT_LAST_BYTES)
		size *= 2;
	if (size - used < need) {
		fdt_fail(f, MT_ENOSPC, NULL, "larger than 2 MiB");
		return false;
	}
	if (size == f->buf_bytes)
		return true;
	bigger = g_malloc0(size);
	note_result(f, fdt_resize(f->buf, bigger, (int)size));
	g_free(f->buf);
	f->buf = bigger;
	f->buf_bytes = (uint32_t)size;
	return f->code == 0;
}

static void node_begin(struct mt_fdt *f, const char *name)
{
	if (room(f, name, 0))
		note_result(f, fdt_begin_node(f->buf, name));
	f->depth++;
}

static void node_end(struct mt_fdt *f)
{
	if (room(f, "", 0))
		note_result(f, fdt_end_node(f->buf));
	f->depth--;
}

static void put_bytes(struct mt_fdt *f, const char *name, const void *data, uint32_t len_bytes)
{
	if (room(f, name, len_bytes))
		note_result(f, fdt_property(f->buf, name, data, (int)len_bytes));
}

static void put_str(struct mt_fdt *f, const char *name, const char *value)
{
	put_bytes(f, name, value, (uint32_t)strlen(value) + 1);
}

static void put_u32s(struct mt_fdt *f, const char *name, const uint32_t *values, uint32_t count)
{
	fdt32_t *cells;

	if (count > FDT_CELLS_MAX) {
		fdt_fail(f, MT_ERANGE, NULL, "too many cells in one property");
		return;
	}
	cells = g_new(fdt32_t, count + 1);
	for (uint32_t i = 0; i < count; i++)
		cells[i] = cpu_to_fdt32(values[i]);
	put_bytes(f, name, cells, count * (uint32_t)sizeof(*cells));
	g_free(cells);
}

static void put_u32(struct mt_fdt *f, const char *name, uint32_t value)
{
	put_u32s(f, name, &value, 1);
}

static void put_reg(struct mt_fdt *f, uint64_t addr, uint64_t len_bytes)
{
	uint32_t cells[4] = { (uint32_t)(addr >> 32), (uint32_t)addr, (uint32_t)(len_bytes >> 32),
			      (uint32_t)len_bytes };

	put_u32s(f, "reg", cells, 4);
}

/* Phandles: numbers are given out on demand; `what` is an address that stands for the node. */

static uint32_t phandle_of(struct mt_fdt *f, const void *what)
{
	uint32_t number = GPOINTER_TO_UINT(g_hash_table_lookup(f->phandles, what));

	if (number == 0) {
		number = f->next_phandle++;
		g_hash_table_insert(f->phandles, (void *)what, GUINT_TO_POINTER(number));
		g_hash_table_insert(f->users, GUINT_TO_POINTER(number), f->inst);
	}
	return number;
}

/* Two nodes a vCPU: itself and its interrupt controller. Odd addresses collide with no instance. */
static const void *vcpu_key(uint32_t vcpu, uint32_t intc)
{
	return GSIZE_TO_POINTER(((gsize)vcpu << 2 | intc << 1 | 1));
}

/* The tree as a whole says later whether all that were used have been defined. */
static void phandle_defined(struct mt_fdt *f, uint32_t number)
{
	g_hash_table_add(f->defined, GUINT_TO_POINTER(number));
}

/* The writer of the plugins. */

static const struct note_prop *prop_of(const struct mt_fdt *f, const char *name)
{
	return note_prop_find(f->inst->cls, name);
}

static void path_note(struct mt_fdt *f, const char *name)
{
	if (f->depth == FDT_BASE_DEPTH && !g_hash_table_contains(f->paths, f->inst))
		g_hash_table_insert(f->paths, f->inst, g_strdup_printf("/soc/%s", name));
}

static void writer_begin(struct mt_fdt *f, const char *name, const char *unit_prop)
{
	const struct note_prop *prop = unit_prop ? prop_of(f, unit_prop) : NULL;
	uint64_t addr, len_bytes = 0;
	char *full;

	if (f->depth >= FDT_DEPTH_MAX)
		fdt_fail(f, MT_ERANGE, NULL, "too many nodes inside each other");
	if (unit_prop && !prop)
		fdt_fail(f, MT_EINVAL, unit_prop, "begin names a property that the note does not have");
	if (!prop) {
		path_note(f, name);
		node_begin(f, name);
		return;
	}
	addr = props_host.get_u64(f->inst, unit_prop);
	value_parse_size(prop->range, &len_bytes, NULL);
	full = g_strdup_printf("%s@%" G_GINT64_MODIFIER "x", name, addr);
	path_note(f, full);
	node_begin(f, full);
	put_reg(f, addr, len_bytes);
	g_free(full);
}

static void writer_end(struct mt_fdt *f)
{
	if (f->depth <= FDT_BASE_DEPTH)
		fdt_fail(f, MT_EINVAL, NULL, "end without begin");
	else
		node_end(f);
}

static void writer_empty(struct mt_fdt *f, const char *name)
{
	put_bytes(f, name, "", 0);
}

static void writer_u64(struct mt_fdt *f, const char *name, uint64_t value)
{
	uint32_t cells[2] = { (uint32_t)(value >> 32), (uint32_t)value };

	put_u32s(f, name, cells, 2);
}

static void writer_strs(struct mt_fdt *f, const char *name, const char *const *values, uint32_t count)
{
	GString *text = g_string_new(NULL);

	for (uint32_t i = 0; i < count; i++)
		g_string_append_len(text, values[i], (gssize)strlen(values[i]) + 1);
	put_bytes(f, name, text->str, (uint32_t)text->len);
	g_string_free(text, TRUE);
}

/* <&sink cells> for one element of an IRQ property; the number of cells. */
static uint32_t irq_spell(struct mt_fdt *f, const char *element, const char *prop, uint32_t out[5])
{
	const struct mt_irq_sink *sink;
	struct mt_inst *target;
	uint64_t input;
	char id[64];
	uint32_t count = 0;

	if (!value_parse_irq(element, id, &input, NULL) || !(target = machine_find(f->machine, id))) {
		fdt_fail(f, MT_EINVAL, prop, "an interrupt names no section");
		return 0;
	}
	sink = inst_role(target, MT_IFACE_IRQ_SINK);
	if (!sink) {
		fdt_fail(f, MT_EINVAL, prop, "an interrupt names a section that takes none");
		return 0;
	}
	out[0] = phandle_of(f, target);
	if (sink->fdt_cells)
		count = MIN(sink->fdt_cells(target->self, (uint32_t)input, out + 1), 4);
	else
		out[++count] = (uint32_t)input;
	return count + 1;
}

static uint32_t writer_irq_cells(struct mt_fdt *f, const char *irq_prop, uint32_t index, uint32_t cells[5])
{
	const char *element = props_host.get_element(f->inst, irq_prop, index);

	return element ? irq_spell(f, element, irq_prop, cells) : 0;
}

static void writer_irqs(struct mt_fdt *f, const char *irq_prop)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	uint32_t count = props_host.count(f->inst, irq_prop), cells[5];

	for (uint32_t i = 0; i < count; i++)
		g_array_append_vals(out, cells, writer_irq_cells(f, irq_prop, i, cells));
	if (out->len)
		put_u32s(f, "interrupts-extended", (const uint32_t *)out->data, out->len);
	g_array_unref(out);
}

static void writer_ref(struct mt_fdt *f, const char *name, const char *ref_prop)
{
	struct mt_inst *target = ref_prop ? inst_ref(f->inst, ref_prop) : f->inst;

	if (target)
		put_u32(f, name, phandle_of(f, target));
}

static uint32_t writer_phandle(struct mt_fdt *f)
{
	return phandle_of(f, f->inst);
}

static void writer_self_phandle(struct mt_fdt *f)
{
	uint32_t number = phandle_of(f, f->inst);

	put_u32(f, "phandle", number);
	phandle_defined(f, number);
}

static void writer_vcpu_irqs(struct mt_fdt *f, const char *name, const uint32_t *causes, uint32_t count)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (uint32_t vcpu = 0; vcpu < f->machine->vcpu_count; vcpu++) {
		uint32_t phandle = phandle_of(f, vcpu_key(vcpu, 1));

		for (uint32_t i = 0; i < count; i++) {
			g_array_append_val(out, phandle);
			g_array_append_val(out, causes[i]);
		}
	}
	put_u32s(f, name, (const uint32_t *)out->data, out->len);
	g_array_unref(out);
}

/* The accelerator asks for these to write them as `phandle`: they count as defined. */
static uint32_t vcpu_phandle(struct mt_fdt *f, uint32_t vcpu, uint32_t intc)
{
	uint32_t number;

	if (vcpu >= f->machine->vcpu_count) {
		fdt_fail(f, MT_ERANGE, NULL, "no such vCPU");
		return 0;
	}
	number = phandle_of(f, vcpu_key(vcpu, intc));
	if (f->inst == f->machine->cpu)
		phandle_defined(f, number);
	return number;
}

static uint32_t writer_vcpu_phandle(struct mt_fdt *f, uint32_t vcpu)
{
	return vcpu_phandle(f, vcpu, 0);
}

static uint32_t writer_vcpu_intc_phandle(struct mt_fdt *f, uint32_t vcpu)
{
	return vcpu_phandle(f, vcpu, 1);
}

static const struct mt_fdt_writer writer = {
	.begin = writer_begin,
	.end = writer_end,
	.empty = writer_empty,
	.u32s = put_u32s,
	.u64 = writer_u64,
	.str = put_str,
	.strs = writer_strs,
	.bytes = put_bytes,
	.irqs = writer_irqs,
	.ref = writer_ref,
	.self_phandle = writer_self_phandle,
	.phandle = writer_phandle,
	.vcpu_irqs = writer_vcpu_irqs,
	.vcpu_phandle = writer_vcpu_phandle,
	.vcpu_intc_phandle = writer_vcpu_intc_phandle,
	.irq_cells = writer_irq_cells,
};

static void describe(struct mt_fdt *f, struct mt_inst *inst, const char *role)
{
	const struct mt_fdt_node *node = inst_role(inst, role);
	struct mt_error err = { .size = sizeof(err) };
	int code;

	if (!node || f->code)
		return;
	f->inst = inst;
	inst_enter(inst);
	code = node->describe(inst->self, f, &writer, &err);
	inst_leave(inst);
	if (code < 0 && f->code == 0) {
		f->code = code;
		if (f->err)
			*f->err = err;
	}
	if (f->depth != FDT_BASE_DEPTH)
		fdt_fail(f, MT_EINVAL, NULL, "begin without end");
	if (f->code)
		fault_locate(f->err, f->code, inst);
}

/* The kernel's own nodes. */

static const char *machine_text(const struct machine *m, const char *key, const char *deflt)
{
	const struct config_section *section = config_section_next(m->config, CONFIG_MACHINE, NULL);

	return section ? section_get_text(section, key, deflt) : deflt;
}

static void write_root(struct mt_fdt *f)
{
	put_u32(f, "#address-cells", 2);
	put_u32(f, "#size-cells", 2);
	put_str(f, "compatible", "mortise,virt");
	put_str(f, "model", machine_text(f->machine, "title", "mortise,virt"));
}

static void write_cpus(struct mt_fdt *f)
{
	if (!f->machine->cpu)
		return;
	node_begin(f, "cpus");
	put_u32(f, "#address-cells", 1);
	put_u32(f, "#size-cells", 0);
	describe(f, f->machine->cpu, MT_IFACE_FDT_NODE);
	g_hash_table_remove(f->paths, f->machine->cpu);   /* it is not below /soc */
	node_end(f);
}

static void write_memory(struct mt_fdt *f)
{
	const GArray *all = f->machine->memory;

	for (unsigned i = 0; i < all->len; i++) {
		const struct machine_memory *memory = &g_array_index(all, struct machine_memory, i);
		char name[32];

		if (memory->rom)
			continue;
		g_snprintf(name, sizeof(name), "memory@%" G_GINT64_MODIFIER "x", memory->gpa);
		node_begin(f, name);
		put_str(f, "device_type", "memory");
		put_reg(f, memory->gpa, memory->len_bytes);
		node_end(f);
	}
}

static void write_soc(struct mt_fdt *f)
{
	node_begin(f, "soc");
	put_u32(f, "#address-cells", 2);
	put_u32(f, "#size-cells", 2);
	put_str(f, "compatible", "simple-bus");
	put_bytes(f, "ranges", "", 0);
	if (f->machine->cpu)
		describe(f, f->machine->cpu, MT_IFACE_FDT_SYSTEM);
	for (size_t i = 0; i < config_section_count(f->machine->config); i++) {
		struct mt_inst *inst = machine_find(f->machine, config_section_at(f->machine->config, i)->id);

		if (inst && inst != f->machine->cpu)
			describe(f, inst, MT_IFACE_FDT_NODE);
	}
	node_end(f);
}

/* The node that [machine] console names; without it the first serial port of the file. */
static const char *console_path(const struct mt_fdt *f)
{
	const char *console = machine_text(f->machine, "console", NULL);
	const struct mt_inst *inst = console ? machine_find(f->machine, console) : NULL;

	if (console)
		return inst ? g_hash_table_lookup(f->paths, inst) : NULL;
	for (size_t i = 0; i < config_section_count(f->machine->config); i++) {
		const char *path;

		inst = machine_find(f->machine, config_section_at(f->machine->config, i)->id);
		path = inst ? g_hash_table_lookup(f->paths, inst) : NULL;
		if (path && g_str_has_prefix(path, "/soc/serial"))
			return path;
	}
	return NULL;
}

static void write_seed(struct mt_fdt *f)
{
	uint8_t seed[32];

	if (getrandom(seed, sizeof(seed), GRND_NONBLOCK) == sizeof(seed))
		put_bytes(f, "rng-seed", seed, sizeof(seed));
}

static void write_chosen(struct mt_fdt *f, const struct fdt_request *request)
{
	const char *console = console_path(f);

	node_begin(f, "chosen");
	if (console)
		put_str(f, "stdout-path", console);
	if (request->bootargs)
		put_str(f, "bootargs", request->bootargs);
	if (request->initrd_bytes) {
		writer_u64(f, "linux,initrd-start", request->initrd_gpa);
		writer_u64(f, "linux,initrd-end", request->initrd_gpa + request->initrd_bytes);
	}
	if (request->rng_seed)
		write_seed(f);
	node_end(f);
}

static void phandles_check(struct mt_fdt *f)
{
	GHashTableIter iter;
	gpointer what, number;

	g_hash_table_iter_init(&iter, f->phandles);
	while (f->code == 0 && g_hash_table_iter_next(&iter, &what, &number)) {
		struct mt_inst *user = g_hash_table_lookup(f->users, number);

		if (g_hash_table_contains(f->defined, number))
			continue;
		fdt_fail(f, MT_EINVAL, NULL, "refers to a section that has no node with a phandle");
		if (user)
			fault_locate(f->err, f->code, user);
	}
}

static void write_all(struct mt_fdt *f, const struct fdt_request *request)
{
	note_result(f, fdt_create(f->buf, (int)f->buf_bytes));
	note_result(f, fdt_finish_reservemap(f->buf));
	node_begin(f, "");
	write_root(f);
	write_cpus(f);
	write_memory(f);
	write_soc(f);
	write_chosen(f, request);
	node_end(f);
	phandles_check(f);
	/* finish needs no room but for its end tag */
	if (room(f, "", 64))
		note_result(f, fdt_finish(f->buf));
}

static void fdt_init(struct mt_fdt *f, struct machine *m, struct mt_error *err)
{
	memset(f, 0, sizeof(*f));
	f->machine = m;
	f->err = err;
	f->buf_bytes = FDT_FIRST_BYTES;
	f->buf = g_malloc0(f->buf_bytes);
	f->next_phandle = 1;
	f->phandles = g_hash_table_new(NULL, NULL);
	f->defined = g_hash_table_new(NULL, NULL);
	f->users = g_hash_table_new(NULL, NULL);
	f->paths = g_hash_table_new_full(NULL, NULL, NULL, g_free);
}

static void fdt_fini(struct mt_fdt *f)
{
	g_hash_table_unref(f->phandles);
	g_hash_table_unref(f->defined);
	g_hash_table_unref(f->users);
	g_hash_table_unref(f->paths);
	g_free(f->buf);
}

int fdt_build(struct machine *m, const struct fdt_request *request, const void **blob, uint64_t *len_bytes,
	      struct mt_error *err)
{
	struct mt_fdt f;
	int code;

	fdt_init(&f, m, err);
	write_all(&f, request);
	code = f.code;
	if (code == 0) {
		fdt_destroy(m->fdt);
		m->fdt = g_new0(struct fdt_state, 1);
		m->fdt->blob = g_steal_pointer(&f.buf);
		*blob = m->fdt->blob;
		*len_bytes = fdt_totalsize(m->fdt->blob);
	}
	fdt_fini(&f);
	return code;
}

void fdt_destroy(struct fdt_state *state)
{
	if (!state)
		return;
	g_free(state->blob);
	g_free(state);
}
