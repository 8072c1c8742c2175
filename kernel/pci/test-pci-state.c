/* SPDX-License-Identifier: MIT */
/* Saved state of PCI functions: what a load tells the function, over a fake class. [main]. */
#include "kernel/machine/irq.h"
#include "kernel/machine/services.h"
#include "kernel/machine/test-services.h"
#include "kernel/pci/function.h"
#include "kernel/pci/pci.h"
#include "kernel/state/file.h"
#include "kernel/state/part.h"

struct fn {
	struct mt_inst *inst;
	uint32_t masters, last_master;
};

static void fn_master(void *self, uint32_t on)
{
	struct fn *fn = self;

	fn->masters++;
	fn->last_master = on;
}

static const struct mt_pci_function fn_role = { .bus_master = fn_master };
const struct bench_role bench_roles[] = { { "fn", MT_IFACE_PCI_FUNCTION, &fn_role }, { 0 } };

static struct machine *m;
static struct mt_pci_bus *bus;
static struct fn fn;

static void setup(void)
{
	static const struct mt_pci_window window = { 0x40000000, 0x1000000 };
	static const struct mt_pci_desc desc = { .size = sizeof(desc), .vendor_id = 1, .device_id = 2, .vectors = 3,
						 .msix_bar = 4 };
	struct mt_pci_bridge_desc of_bridge = { .size = sizeof(of_bridge), .window_count = 1, .windows = &window };
	struct mt_inst *bridge;

	m = bench_create();
	bridge = bench_inst(m, "pci", "bridge", MT_CLASS_PARALLEL, NULL, NULL);
	bus = pci_bridge_host.bus_create(bridge, &of_bridge, NULL);
	ck_assert_ptr_nonnull(bus);
	fn = (struct fn){ .inst = bench_inst(m, "a", "fn", 0, &fn, "bus", "pci", NULL) };
	g_ptr_array_add(bridge->refs_in, fn.inst);
	ck_assert_ptr_nonnull(pci_host.attach(fn.inst, &desc, NULL));
}

static void teardown(void)
{
	bench_destroy(m);
}

static void command(uint32_t value)
{
	struct mt_access a = { .offset = PCI_COMMAND, .width = 2 };

	ck_assert_uint_eq(pci_bridge_host.config_write(bus, 1 << 3, &a, value), MT_BUS_OK);
}

static GByteArray *save(void)
{
	struct mt_state_out *out = state_out_create("pci", "mortise.pci", pci_state_part.version);
	GByteArray *bytes;

	ck_assert_int_eq(pci_state_part.save(m, out, &state_writer, NULL), 0);
	bytes = state_out_finish(out, NULL);
	ck_assert_ptr_nonnull(bytes);
	state_out_destroy(out);
	return bytes;
}

static void load(const GByteArray *bytes)
{
	struct mt_state_in *in = state_in_open("pci", bytes->data, bytes->len, NULL);

	ck_assert_ptr_nonnull(in);
	ck_assert_int_eq(state_in_verdict(in, pci_state_part.load(m, in, &state_reader, NULL), NULL), 0);
	state_in_close(in);
}

/* A function that keeps it has the value of the snapshot, whatever was there. */
START_TEST(a_load_tells_of_bus_mastering)
{
	GByteArray *off, *on;

	off = save();
	command(PCI_COMMAND_MASTER);
	on = save();
	ck_assert_uint_eq(fn.masters, 1);
	load(on);
	ck_assert_uint_eq(fn.masters, 1);
	load(off);
	ck_assert_uint_eq(fn.masters, 2);
	ck_assert_uint_eq(fn.last_master, 0);
	load(on);
	ck_assert_uint_eq(fn.masters, 3);
	ck_assert_uint_eq(fn.last_master, 1);
	g_byte_array_unref(off);
	g_byte_array_unref(on);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("pci-state");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, a_load_tells_of_bus_mastering);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
