/* SPDX-License-Identifier: MIT */
/* Configuration space, BARs, interrupts, DMA and places of PCI functions, over fake classes. [main] but for one. */
#include "kernel/machine/irq.h"
#include "kernel/machine/services.h"
#include "kernel/machine/test-services.h"
#include "kernel/pci/function.h"

#define RAM_AT    0x80000000ull
#define WINDOW    0x40000000ull
#define WINDOW_64 0x4000000000ull
#define BAR_BYTES 0x1000u

static uint32_t levels[16];

static uint32_t sink_count(void *self) { (void)self; return 16; }
static void sink_set(void *self, uint32_t input, uint32_t level) { (void)self; levels[input] = level; }

/* A function: BAR 0 of 32 bits, BAR 2 of 64, MSI-X in BAR 4. */
struct fn {
	struct mt_inst *inst;
	struct mt_pci *pci;
	uint32_t masters, resets, last_master, accesses, live, live_offset;
	uint64_t written;
};

static uint32_t fn_read(void *self, const struct mt_access *a, uint64_t *value)
{
	struct fn *fn = self;

	*value = 0x1000 + a->offset;
	__atomic_fetch_add(&fn->accesses, 1, __ATOMIC_RELAXED);
	return MT_BUS_OK;
}

static uint32_t fn_write(void *self, const struct mt_access *a, uint64_t value)
{
	(void)a;
	((struct fn *)self)->written = value;
	return MT_BUS_OK;
}

static void fn_master(void *self, uint32_t on)
{
	struct fn *fn = self;

	fn->masters++;
	fn->last_master = on;
}

static void fn_reset(void *self)
{
	((struct fn *)self)->resets++;
}

static uint32_t fn_cap_read(void *self, uint32_t cap, uint32_t offset, uint32_t width)
{
	struct fn *fn = self;
	uint8_t byte;

	pci_host.cap_get(fn->pci, cap, 1, &byte, 1);
	return byte << 16 | offset << 8 | width;
}

static void fn_cap_write(void *self, uint32_t cap, uint32_t offset, uint32_t width, uint32_t value)
{
	(void)cap, (void)width;
	((struct fn *)self)->live = value;
	((struct fn *)self)->live_offset = offset;
}

static const struct mt_region_ops fn_ops = { fn_read, fn_write };
static const struct mt_pci_function fn_role = { fn_master, fn_reset, fn_cap_read, fn_cap_write };
static const struct mt_irq_sink sink_role = { .input_count = sink_count, .input_set = sink_set };
const struct bench_role bench_roles[] = {
	{ "fn", MT_IFACE_PCI_FUNCTION, &fn_role }, { "pic", MT_IFACE_IRQ_SINK, &sink_role }, { 0 },
};

static struct machine *m;
static struct mt_inst *bridge;
static struct mt_pci_bus *bus;
static struct mt_ram *ram;

static void setup(void)
{
	static const struct mt_pci_window windows[] = { { WINDOW, 0x1000000 }, { WINDOW_64, 0x100000000ull } };
	struct mt_pci_bridge_desc desc = { .size = sizeof(desc), .window_count = 2, .windows = windows };

	memset(levels, 0, sizeof(levels));
	m = bench_create();
	ram = ram_create(m->system, "ram", 0x10000, true, NULL);
	ck_assert_int_eq(space_add_ram(m->system, ram, RAM_AT, NULL), 0);
	bench_inst(m, "pic", "pic", MT_CLASS_PARALLEL, NULL, NULL);
	bridge = bench_inst(m, "pci", "bridge", MT_CLASS_PARALLEL, NULL, "irq", "pic:1, pic:2, pic:3, pic:4", NULL);
	for (uint32_t i = 0; i < 4; i++)
		desc.intx[i] = irq_host.line_get(bridge, "irq", i);
	ck_assert_ptr_nonnull(desc.intx[3]);
	bus = pci_bridge_host.bus_create(bridge, &desc, NULL);
	ck_assert_ptr_nonnull(bus);
}

static void teardown(void)
{
	bench_destroy(m);
}

static struct mt_inst *fn_inst(struct fn *fn, const char *id, const char *key, const char *value, const char *key2,
			       const char *value2)
{
	fn->inst = bench_inst(m, id, "fn", 0, fn, "bus", "pci", key, value, key2, value2, NULL);
	g_ptr_array_add(bridge->refs_in, fn->inst);
	return fn->inst;
}

static const struct mt_pci_desc fn_desc = {
	.size = sizeof(fn_desc), .flags = MT_PCI_INTX | MT_PCI_FLR, .vendor_id = 0x1234, .device_id = 0x5678,
	.subsystem_vendor_id = 0x9abc, .subsystem_id = 0xdef0, .class_code = 0x010802, .revision = 3, .vectors = 70,
	.msix_bar = 4,
};

static int fn_attach(struct fn *fn, struct mt_error *err)
{
	static const struct mt_region_desc region = { .size = sizeof(region), .name = "regs", .len_bytes = BAR_BYTES,
						      .width_min = 1, .width_max = 8, .ops = &fn_ops };
	static const struct mt_region_desc wide = { .size = sizeof(wide), .name = "wide", .len_bytes = 0x10000,
						    .width_min = 1, .width_max = 8, .ops = &fn_ops };

	fn->pci = pci_host.attach(fn->inst, &fn_desc, err);
	if (!fn->pci)
		return -1;
	ck_assert_int_eq(pci_host.bar_add(fn->pci, 0, 0, &region, NULL), 0);
	ck_assert_int_eq(pci_host.bar_add(fn->pci, 2, MT_PCI_BAR_64 | MT_PCI_BAR_PREFETCH, &wide, NULL), 0);
	return 0;
}

static void fn_make(struct fn *fn, const char *id)
{
	memset(fn, 0, sizeof(*fn));
	fn_inst(fn, id, NULL, NULL, NULL, NULL);
	ck_assert_int_eq(fn_attach(fn, NULL), 0);
}

static uint32_t get(uint32_t devfn, uint32_t offset, uint32_t width)
{
	struct mt_access a = { .offset = offset, .width = width };
	uint64_t value;

	ck_assert_uint_eq(pci_bridge_host.config_read(bus, devfn, &a, &value), MT_BUS_OK);
	return (uint32_t)(value & (0xffffffffu >> (32 - 8 * width)));
}

static void put(uint32_t devfn, uint32_t offset, uint32_t width, uint32_t value)
{
	struct mt_access a = { .offset = offset, .width = width };

	ck_assert_uint_eq(pci_bridge_host.config_write(bus, devfn, &a, value), MT_BUS_OK);
}

/* The result of a read of 4 bytes by a vCPU. */
static uint32_t load(uint64_t addr, uint64_t *value)
{
	static const struct mt_access from = { .vcpu = 0 };
	const struct mt_flat_view *view = space_view_get(m->system);
	const struct mt_flat_range *range = view_find(view, addr);
	uint32_t result = range ? bus_read(range, addr, 4, &from, value) : MT_BUS_DECODE;

	space_view_put(m->system, view);
	return result;
}

static uint32_t store(uint64_t addr, uint32_t value)
{
	static const struct mt_access from = { .vcpu = 0 };
	const struct mt_flat_view *view = space_view_get(m->system);
	const struct mt_flat_range *range = view_find(view, addr);
	uint32_t result = range ? bus_write(range, addr, 4, &from, value) : MT_BUS_DECODE;

	space_view_put(m->system, view);
	return result;
}

static bool maps(uint64_t addr)
{
	uint64_t value;

	return load(addr, &value) == MT_BUS_OK;
}

static uint32_t cap_find(uint32_t devfn, uint32_t id)
{
	for (uint32_t at = get(devfn, PCI_CAP_POINTER, 1), n = 0; at && n < 48; at = get(devfn, at + 1, 1), n++) {
		if (get(devfn, at, 1) == id)
			return at;
	}
	return 0;
}

#define SLOT(n) ((n) << 3)
#define ON (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

START_TEST(header)
{
	struct fn fn;

	fn_make(&fn, "a");
	ck_assert_uint_eq(get(SLOT(1), 0, 4), 0x56781234);
	ck_assert_uint_eq(get(SLOT(1), 8, 4), 0x01080203);
	ck_assert_uint_eq(get(SLOT(1), 0x2c, 4), 0xdef09abc);
	ck_assert_uint_eq(get(SLOT(1), 0x0b, 1), 1);
	ck_assert_uint_eq(get(SLOT(1), PCI_INT_PIN, 1), 1);
	ck_assert_uint_eq(get(SLOT(1), PCI_HEADER_TYPE, 1), 0);
	ck_assert_uint_ne(cap_find(SLOT(1), 0x10), 0);
	ck_assert_uint_eq(get(SLOT(1), cap_find(SLOT(1), 0x10) + 2, 2), 0x92);
	/* read-only is read-only, what may be written keeps its value */
	put(SLOT(1), 0, 4, 0xffffffff);
	put(SLOT(1), PCI_STATUS, 2, 0xffff);
	put(SLOT(1), PCI_INT_LINE, 2, 0xaaaa);
	ck_assert_uint_eq(get(SLOT(1), 0, 4), 0x56781234);
	ck_assert_uint_eq(get(SLOT(1), PCI_STATUS, 2), PCI_STATUS_CAPS);
	ck_assert_uint_eq(get(SLOT(1), PCI_INT_LINE, 2), 0x01aa);
	/* nobody there, extended space, the end */
	ck_assert_uint_eq(get(SLOT(2), 0, 4), 0xffffffff);
	ck_assert_uint_eq(get(SLOT(1) + 1, 0, 2), 0xffff);
	ck_assert_uint_eq(get(SLOT(1), 0x100, 4), 0);
	ck_assert_uint_eq(get(SLOT(1), 0xfff, 1), 0);
	put(SLOT(2), 0, 4, 0);
}
END_TEST

START_TEST(sizing)
{
	struct fn fn;

	fn_make(&fn, "a");
	for (uint32_t i = 0; i < 6; i++)
		put(SLOT(1), PCI_BAR_0 + 4 * i, 4, 0xffffffff);
	ck_assert_uint_eq(get(SLOT(1), 0x10, 4), 0xfffff000);
	ck_assert_uint_eq(get(SLOT(1), 0x14, 4), 0);
	ck_assert_uint_eq(get(SLOT(1), 0x18, 4), 0xffff000c);          /* 64 bits, prefetchable */
	ck_assert_uint_eq(get(SLOT(1), 0x1c, 4), 0xffffffff);
	ck_assert_uint_eq(get(SLOT(1), 0x20, 4), 0xfffff000);          /* 70 vectors: 1120 of 2048 bytes, and as many */
	ck_assert_uint_eq(get(SLOT(1), 0x24, 4), 0);
	ck_assert_uint_eq(get(SLOT(1), 0x30, 4), 0);                   /* no expansion ROM */
	put(SLOT(1), 0x12, 1, 0x12);
	ck_assert_uint_eq(get(SLOT(1), 0x10, 4), 0xff12f000);
}
END_TEST

START_TEST(placing)
{
	struct fn fn;
	uint64_t value;

	fn_make(&fn, "a");
	put(SLOT(1), 0x10, 4, WINDOW);
	ck_assert(!maps(WINDOW));                      /* memory is not enabled */
	put(SLOT(1), PCI_COMMAND, 2, ON);
	ck_assert_uint_eq(load(WINDOW + 8, &value), MT_BUS_OK);
	ck_assert_uint_eq(value, 0x1008);
	put(SLOT(1), 0x10, 4, WINDOW + 0x5000);
	ck_assert(!maps(WINDOW) && maps(WINDOW + 0x5000));
	put(SLOT(1), 0x10, 4, 0x20000000);             /* outside of the windows */
	ck_assert(!maps(0x20000000));
	put(SLOT(1), 0x10, 4, RAM_AT);
	ck_assert_uint_eq(load(RAM_AT, &value), MT_BUS_OK);
	ck_assert_uint_eq(value, 0);                   /* still memory */
	/* halves of 64 bits, one after the other */
	put(SLOT(1), 0x18, 4, 0x100000);
	put(SLOT(1), 0x1c, 4, WINDOW_64 >> 32);
	ck_assert(maps(WINDOW_64 + 0x10fffc) && !maps(0x100000));
	put(SLOT(1), 0x1c, 4, 0xffffffff);
	ck_assert(!maps(WINDOW_64 + 0x100000));
	put(SLOT(1), 0x1c, 4, 0);
	put(SLOT(1), 0x18, 4, WINDOW);                 /* 32 bits will do */
	ck_assert(maps(WINDOW + 0xfff0));
	put(SLOT(1), 0x18, 4, WINDOW + 0xff8000);      /* 64 KiB alignment: the lower bits are not there */
	ck_assert(maps(WINDOW + 0xff0000));
	put(SLOT(1), PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert(!maps(WINDOW + 0xff0000));
}
END_TEST

START_TEST(overlapping)
{
	struct fn a, b;

	fn_make(&a, "a");
	fn_make(&b, "b");
	put(SLOT(1), PCI_COMMAND, 2, ON);
	put(SLOT(2), PCI_COMMAND, 2, ON);
	put(SLOT(1), 0x10, 4, WINDOW);
	put(SLOT(2), 0x10, 4, WINDOW);
	ck_assert(maps(WINDOW));
	ck_assert_uint_eq(store(WINDOW, 7), MT_BUS_OK);
	ck_assert_uint_eq(a.written, 7);               /* who was there first */
	put(SLOT(1), 0x10, 4, WINDOW + 0x2000);        /* makes room for the other */
	ck_assert_uint_eq(store(WINDOW, 8), MT_BUS_OK);
	ck_assert_uint_eq(b.written, 8);
	/* an exchange: both take the other's place */
	put(SLOT(1), 0x10, 4, WINDOW);
	put(SLOT(2), 0x10, 4, WINDOW + 0x2000);
	store(WINDOW, 9);
	store(WINDOW + 0x2000, 10);
	ck_assert_uint_eq(a.written, 9);
	ck_assert_uint_eq(b.written, 10);
	/* over its own other BAR */
	put(SLOT(1), 0x18, 4, WINDOW);
	ck_assert(maps(WINDOW) && !maps(WINDOW + 0x8000));
}
END_TEST

static uint32_t ram_word(uint64_t at)
{
	uint32_t word;

	memcpy(&word, ram->hva + at, 4);
	return word;
}

/* Vector n of slot 1 writes 0x100 + n to RAM + 4n. */
static void msix_open(uint32_t vectors)
{
	uint32_t at = cap_find(SLOT(1), 0x11);

	ck_assert_uint_ne(at, 0);
	ck_assert_uint_eq(get(SLOT(1), at + 2, 2), 69);
	ck_assert_uint_eq(get(SLOT(1), at + 4, 4), 4);
	ck_assert_uint_eq(get(SLOT(1), at + 8, 4), 2048 | 4);
	put(SLOT(1), 0x20, 4, WINDOW + 0x10000);
	put(SLOT(1), PCI_COMMAND, 2, ON);
	put(SLOT(1), at + 2, 2, 0x8000);
	for (uint32_t i = 0; i < vectors; i++) {
		store(WINDOW + 0x10000 + 16 * i, (uint32_t)RAM_AT + 4 * i);
		store(WINDOW + 0x10000 + 16 * i + 4, 0);
		store(WINDOW + 0x10000 + 16 * i + 8, 0x100 + i);
		store(WINDOW + 0x10000 + 16 * i + 12, 0);
	}
}

static uint32_t pending(uint32_t vector)
{
	uint64_t value;

	ck_assert_uint_eq(load(WINDOW + 0x10000 + 2048 + vector / 32 * 4, &value), MT_BUS_OK);
	return value >> vector % 32 & 1;
}

START_TEST(messages)
{
	uint32_t at;
	struct fn fn;
	uint64_t value;

	fn_make(&fn, "a");
	pci_host.message(fn.pci, 1);                   /* nobody wants it yet */
	msix_open(70);
	at = cap_find(SLOT(1), 0x11);
	ck_assert_uint_eq(pci_host.msix_enabled(fn.pci), 1);
	ck_assert_uint_eq(ram_word(4), 0);
	pci_host.message(fn.pci, 69);
	ck_assert_uint_eq(ram_word(69 * 4), 0x100 + 69);
	pci_host.message(fn.pci, 70);
	/* masked: pending until it is unmasked */
	store(WINDOW + 0x10000 + 16 * 65 + 12, 1);
	pci_host.message(fn.pci, 65);
	pci_host.message(fn.pci, 65);
	ck_assert_uint_eq(ram_word(65 * 4), 0);
	ck_assert_uint_eq(pending(65), 1);
	ck_assert_uint_eq(pending(64), 0);
	store(WINDOW + 0x10000 + 16 * 65 + 12, 0);
	ck_assert_uint_eq(ram_word(65 * 4), 0x100 + 65);
	ck_assert_uint_eq(pending(65), 0);
	/* the function's mask, and bus mastering, hold all back */
	put(SLOT(1), at + 2, 2, 0xc000);
	pci_host.message(fn.pci, 2);
	ck_assert_uint_eq(ram_word(8), 0);
	put(SLOT(1), PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	put(SLOT(1), at + 2, 2, 0x8000);
	pci_host.message(fn.pci, 3);
	ck_assert_uint_eq(ram_word(8) + ram_word(12), 0);
	put(SLOT(1), PCI_COMMAND, 2, ON);
	ck_assert_uint_eq(ram_word(8), 0x102);
	ck_assert_uint_eq(ram_word(12), 0x103);
	/* the table reads back; addresses are of words */
	store(WINDOW + 0x10000, 0xfffffffe);
	store(WINDOW + 0x10000 + 12, 0xfffffffe);
	load(WINDOW + 0x10000, &value);
	ck_assert_uint_eq(value, 0xfffffffc);
	load(WINDOW + 0x10000 + 12, &value);
	ck_assert_uint_eq(value, 0);
	/* to where nobody is: lost, and no harm */
	pci_host.message(fn.pci, 0);
	put(SLOT(1), at + 2, 2, 0);
	ck_assert_uint_eq(pci_host.msix_enabled(fn.pci), 0);
}
END_TEST

START_TEST(pins)
{
	struct fn a, b, c;
	uint32_t at;

	fn_make(&a, "a");                              /* slot 1: INTA is the second line */
	fn_make(&b, "b");
	memset(&c, 0, sizeof(c));
	fn_inst(&c, "c", "slot", "5", NULL, NULL);     /* the second line too */
	ck_assert_int_eq(fn_attach(&c, NULL), 0);
	pci_host.intx(a.pci, 1);
	ck_assert_uint_eq(levels[2], 1);
	ck_assert_uint_eq(get(SLOT(1), PCI_STATUS, 1) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	pci_host.intx(c.pci, 1);
	pci_host.intx(a.pci, 0);
	ck_assert_uint_eq(levels[2], 1);
	ck_assert_uint_eq(get(SLOT(1), PCI_STATUS, 1) & PCI_STATUS_INTERRUPT, 0);
	put(SLOT(5), PCI_COMMAND, 2, PCI_COMMAND_NO_INTX);
	ck_assert_uint_eq(levels[2], 0);
	ck_assert_uint_eq(get(SLOT(5), PCI_STATUS, 1) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	put(SLOT(5), PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(levels[2], 1);
	at = cap_find(SLOT(5), 0x11);
	put(SLOT(5), at + 3, 1, 0x80);                 /* MSI-X takes the pin away */
	ck_assert_uint_eq(levels[2], 0);
	pci_host.intx(b.pci, 1);
	ck_assert_uint_eq(levels[3], 1);
	pci_bridge_host.reset(bus);                    /* the level is the function's, and shows again */
	ck_assert_uint_eq(levels[2], 1);
	pci_host.intx(c.pci, 0);
	ck_assert_uint_eq(levels[2], 0);
	pci_host.intx(b.pci, 0);
	ck_assert_uint_eq(levels[3], 0);
}
END_TEST

START_TEST(mastering)
{
	struct fn fn;
	struct mt_dma *dma;
	struct mt_iov iov;
	uint64_t bytes;
	uint32_t word = 5;

	fn_make(&fn, "a");
	dma = dma_host.get(fn.inst);
	ck_assert_uint_eq(bus_requester(fn.inst), MT_REQUESTER_PCI | SLOT(1));
	ck_assert_uint_eq(dma_host.write(dma, RAM_AT, &word, 4), MT_BUS_DECODE);
	ck_assert_uint_eq(dma_host.map(dma, RAM_AT, 4, MT_DMA_TO_DEVICE, &iov, 1, &bytes), 0);
	put(SLOT(1), PCI_COMMAND, 2, PCI_COMMAND_MASTER);
	ck_assert_uint_eq(fn.last_master, 1);
	ck_assert_uint_eq(dma_host.write(dma, RAM_AT, &word, 4), MT_BUS_OK);
	ck_assert_uint_eq(dma_host.map(dma, RAM_AT, 4, MT_DMA_TO_DEVICE, &iov, 1, &bytes), 1);
	put(SLOT(1), PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(fn.last_master, 0);
	ck_assert_uint_eq(fn.masters, 2);
	dma_host.unmap(dma, &iov, 1, MT_DMA_TO_DEVICE, 0);
	ck_assert_uint_eq(dma_host.read(dma, RAM_AT, &word, 4), MT_BUS_DECODE);
}
END_TEST

START_TEST(function_reset)
{
	struct fn fn;
	uint32_t at;

	fn_make(&fn, "a");
	msix_open(1);
	at = cap_find(SLOT(1), 0x10);
	ck_assert_uint_eq(get(SLOT(1), at + 4, 4), 0x10008000);
	put(SLOT(1), at + 8, 2, 0x8000);
	ck_assert_uint_eq(fn.resets, 1);
	ck_assert_uint_eq(get(SLOT(1), PCI_COMMAND, 2), 0);
	ck_assert_uint_eq(get(SLOT(1), 0x20, 4), 0);
	ck_assert_uint_eq(get(SLOT(1), at + 8, 2), 0x2810);
	ck_assert(!maps(WINDOW + 0x10000));
	pci_host.message(fn.pci, 0);
	ck_assert_uint_eq(ram_word(0), 0);
	put(SLOT(1), at + 9, 1, 0x80);                 /* by the byte too */
	ck_assert_uint_eq(fn.resets, 2);
}
END_TEST

START_TEST(places)
{
	struct mt_error err = { .size = sizeof(err) };
	struct fn fns[6];

	memset(fns, 0, sizeof(fns));
	fn_inst(&fns[0], "a", NULL, NULL, NULL, NULL);
	fn_inst(&fns[1], "b", "slot", "2", NULL, NULL);
	fn_inst(&fns[2], "c", NULL, NULL, NULL, NULL);
	fn_inst(&fns[3], "d", "slot", "2", "function", "3");
	fn_inst(&fns[4], "e", "slot", "2", NULL, NULL);
	fn_inst(&fns[5], "f", "function", "1", NULL, NULL);
	/* not in the order of the file */
	ck_assert_int_eq(fn_attach(&fns[2], NULL), 0);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_int_eq(i == 2 ? 0 : fn_attach(&fns[i], NULL), 0);
	ck_assert_uint_eq(fns[0].pci->devfn, SLOT(1));
	ck_assert_uint_eq(fns[2].pci->devfn, SLOT(3));
	ck_assert_uint_eq(fns[3].pci->devfn, SLOT(2) + 3);
	ck_assert_uint_eq(get(SLOT(2), PCI_HEADER_TYPE, 1), PCI_MULTIFUNCTION);
	ck_assert_uint_eq(get(SLOT(2) + 3, 0x0c, 4), (uint32_t)PCI_MULTIFUNCTION << 16);
	ck_assert_uint_eq(get(SLOT(2) + 3, PCI_INT_PIN, 1), 4);
	ck_assert_uint_eq(get(SLOT(3), PCI_HEADER_TYPE, 1), 0);
	ck_assert_int_lt(fn_attach(&fns[4], &err), 0);
	ck_assert_str_eq(err.message, "slot 2 function 0 of pci holds b already");
	ck_assert_int_lt(fn_attach(&fns[5], &err), 0);
	ck_assert_str_eq(err.culprit, "function");
}
END_TEST

START_TEST(identities)
{
	struct mt_pci_desc desc = fn_desc;
	struct fn fn;

	fn_make(&fn, "a");
	desc.vendor_id = 0xffff;
	pci_host.identify(fn.pci, &desc);
	ck_assert_uint_eq(get(SLOT(1), PCI_COMMAND, 4), 0xffffffff);
	put(SLOT(1), PCI_COMMAND, 2, ON);
	desc.vendor_id = 0x4321;
	pci_host.identify(fn.pci, &desc);
	ck_assert_uint_eq(get(SLOT(1), 0, 4), 0x56784321);
	ck_assert_uint_eq(get(SLOT(1), PCI_COMMAND, 2), 0);
	pci_bridge_host.reset(bus);
	ck_assert_uint_eq(get(SLOT(1), 0, 4), 0x56784321);
}
END_TEST

START_TEST(capabilities)
{
	static const uint8_t bytes[8] = { 8, 0x55, 0, 0, 1, 2, 3, 4 }, writable[8] = { [1] = 0xf0 };
	struct mt_pci_cap cap = { .size = sizeof(cap), .id = 9, .len_bytes = 8, .live_offset = 4, .live_bytes = 4,
				  .bytes = bytes, .writable = writable };
	struct mt_error err = { .size = sizeof(err) };
	struct fn fn;
	uint32_t at;

	fn_make(&fn, "a");
	ck_assert_int_eq(pci_host.cap_add(fn.pci, &cap, NULL), 0);
	ck_assert_int_eq(pci_host.cap_add(fn.pci, &cap, NULL), 1);
	at = cap_find(SLOT(1), 9);
	ck_assert_uint_eq(get(SLOT(1), at + 2, 2), 0x5508);
	put(SLOT(1), at + 2, 4, 0xffffaaff);
	ck_assert_uint_eq(get(SLOT(1), at + 2, 4), 0x0000a508);
	ck_assert_uint_eq(get(SLOT(1), at + 6, 4), 0xa50004);
	ck_assert_uint_eq(get(SLOT(1), at + 8, 2), 0x0202);
	put(SLOT(1), at + 8, 2, 0x1234);
	ck_assert_uint_eq(fn.live, 0x1234);
	ck_assert_uint_eq(fn.live_offset, 2);
	put(SLOT(1), at + 5, 2, 0);                    /* not wholly inside: plain bytes */
	ck_assert_uint_eq(fn.live, 0x1234);
	for (int i = 0, code = 0; i < 40 && code >= 0; i++)
		code = pci_host.cap_add(fn.pci, &cap, &err);
	ck_assert_int_eq(err.code, MT_ENOSPC);
}
END_TEST

START_TEST(devices_do_not_configure)
{
	struct mt_access a = { .width = 4, .vcpu = MT_VCPU_NONE };
	struct fn fn;
	uint64_t value;

	fn_make(&fn, "a");
	ck_assert_uint_eq(pci_bridge_host.config_read(bus, SLOT(1), &a, &value), MT_BUS_DECODE);
	a.offset = PCI_COMMAND;
	ck_assert_uint_eq(pci_bridge_host.config_write(bus, SLOT(1), &a, ON), MT_BUS_DECODE);
	ck_assert_uint_eq(get(SLOT(1), PCI_COMMAND, 2), 0);
}
END_TEST

/* A guest that writes what it likes: BARs stand where they may, or nowhere. */
START_TEST(random_writes)
{
	GRand *rand = g_rand_new_with_seed(7);
	int count = getenv("MORTISE_LONG") ? 400000 : 20000;
	struct fn fns[3];

	for (int i = 0; i < 3; i++)
		fn_make(&fns[i], (const char *[]){ "a", "b", "c" }[i]);
	for (int i = 0; i < count; i++) {
		uint32_t devfn = SLOT(g_rand_int(rand) % 4), width = 1u << g_rand_int(rand) % 3;
		uint32_t offset = g_rand_int(rand) & 1 ? PCI_BAR_0 + g_rand_int(rand) % 24 : g_rand_int(rand) % 0x110;
		uint32_t value = g_rand_int(rand) % 4 ? WINDOW + (g_rand_int(rand) & 0x1f000) : g_rand_int(rand);

		if (g_rand_int(rand) % 3 == 0)
			put(devfn, PCI_COMMAND, 2, g_rand_int(rand));
		put(devfn, offset & ~(width - 1), width, value);
		get(devfn, offset & ~(width - 1), width);
		pci_host.message(fns[i % 3].pci, g_rand_int(rand) % 72);
		pci_host.intx(fns[i % 3].pci, g_rand_int(rand) & 1);
		maps(value & ~3u);
	}
	for (int i = 0; i < 3; i++) {
		pci_host.intx(fns[i].pci, 0);
		for (int bar = 0; bar < 6; bar++) {
			uint64_t at = fns[i].pci->bars[bar].at;

			ck_assert(!fns[i].pci->bars[bar].region || at == PCI_NOWHERE ||
				  at == pciconf_bar_address(fns[i].pci, (uint32_t)bar));
		}
	}
	for (int i = 0; i < 4; i++)
		ck_assert_uint_eq(levels[1 + i], 0);
	g_rand_free(rand);
}
END_TEST

/* One vCPU moves a BAR, another hammers it, a device interrupts and moves data. */
static uint32_t stop;

static void *hammer(void *arg)
{
	uint64_t value;

	(void)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (load(WINDOW, &value) == MT_BUS_OK && value != 0x1000)
			abort();
		if (load(WINDOW + 0x8004, &value) == MT_BUS_OK && value != 0x1004)
			abort();
	}
	return NULL;
}

static void *device(void *arg)
{
	struct fn *fn = arg;
	struct mt_dma *dma = dma_host.get(fn->inst);
	uint32_t word = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		uint32_t result = dma_host.write(dma, RAM_AT + 0x8000, &word, 4);

		if (result != MT_BUS_OK && result != MT_BUS_DECODE)
			abort();
		inst_enter(fn->inst);
		pci_host.message(fn->pci, 3);
		pci_host.intx(fn->pci, ++word & 1);
		inst_leave(fn->inst);
	}
	return NULL;
}

START_TEST(moves_under_use)
{
	int count = getenv("MORTISE_LONG") ? 100000 : 5000;
	pthread_t threads[2];
	struct fn fn;

	fn_make(&fn, "a");
	msix_open(4);
	stop = 0;
	pthread_create(&threads[0], NULL, hammer, NULL);
	pthread_create(&threads[1], NULL, device, &fn);
	for (int i = 0; i < count || (i < 100 * count && !__atomic_load_n(&fn.accesses, __ATOMIC_RELAXED)); i++) {
		put(SLOT(1), 0x10, 4, (uint32_t)WINDOW + (i & 1) * 0x8000);
		if (i % 16 == 0)
			put(SLOT(1), PCI_COMMAND, 2, i & 32 ? ON : PCI_COMMAND_MEMORY);
		if (i % 64 == 0)
			put(SLOT(1), cap_find(SLOT(1), 0x10) + 8, 2, 0x8000);
		if (i % 64 == 1)
			msix_open(4);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_gt(fn.accesses, 0);
	ck_assert_uint_gt(fn.resets, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pci");
	TCase *tc = tcase_create("all");

	tcase_set_timeout(tc, getenv("MORTISE_LONG") ? 3600 : 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, header);
	tcase_add_test(tc, sizing);
	tcase_add_test(tc, placing);
	tcase_add_test(tc, overlapping);
	tcase_add_test(tc, messages);
	tcase_add_test(tc, pins);
	tcase_add_test(tc, mastering);
	tcase_add_test(tc, function_reset);
	tcase_add_test(tc, places);
	tcase_add_test(tc, identities);
	tcase_add_test(tc, capabilities);
	tcase_add_test(tc, devices_do_not_configure);
	tcase_add_test(tc, random_writes);
	tcase_add_test(tc, moves_under_use);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
