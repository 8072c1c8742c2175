/* SPDX-License-Identifier: MIT */
/* The host bridge on the fake host, with a PCI core that notes what it was told. */
#include <check.h>
#include <fake/check-run.h>
#include <fake/fake.h>
#include <fake/state.h>
#include <mortise/draft/acpi.h>
#include <mortise/draft/pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fake *f;
static const void *(*real_get)(const struct mt_host *host, const char *id);
static struct {
	uint32_t buses, resets, accesses, refuse;
	uint32_t devfn, width, replaced;   /* replaced: slot 0 has a function too */
	uint64_t offset, value;
	struct mt_pci_window windows[2];
	uint32_t window_count;
	struct mt_line *intx[4];
} told;

static struct mt_pci_bus *t_bus_create(struct mt_inst *bridge, const struct mt_pci_bridge_desc *desc,
				       struct mt_error *err)
{
	if (told.refuse) {
		err->code = MT_EBUSY;
		return NULL;
	}
	ck_assert_uint_le(desc->window_count, 2);
	told.buses++;
	told.window_count = desc->window_count;
	memcpy(told.windows, desc->windows, desc->window_count * sizeof(*desc->windows));
	memcpy(told.intx, desc->intx, sizeof(told.intx));
	return (struct mt_pci_bus *)(void *)bridge;
}

static uint64_t bits_of(uint32_t width)
{
	return UINT32_MAX >> (32 - 8 * width);
}

static void note(uint32_t devfn, const struct mt_access *a)
{
	told.accesses++;
	told.devfn = devfn;
	told.offset = a->offset;
	told.width = a->width;
	ck_assert_uint_lt(devfn, 256);
	ck_assert_uint_le(a->offset + a->width, 4096);
}

static uint32_t t_read(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *a, uint64_t *value)
{
	(void)bus;
	note(devfn, a);
	*value = devfn == 8 || (devfn == 0 && told.replaced) ? 0x10421af4ull >> 8 * (a->offset & 3) : UINT64_MAX;
	*value &= bits_of(a->width);
	return MT_BUS_OK;
}

static uint32_t t_write(struct mt_pci_bus *bus, uint32_t devfn, const struct mt_access *a, uint64_t value)
{
	(void)bus;
	note(devfn, a);
	told.value = value;
	return MT_BUS_OK;
}

static void t_reset(struct mt_pci_bus *bus)
{
	(void)bus;
	told.resets++;
}

static const struct mt_pci_bridge core = {
	.bus_create = t_bus_create, .config_read = t_read, .config_write = t_write, .reset = t_reset,
};

static const void *get(const struct mt_host *h, const char *id)
{
	return strcmp(id, MT_IFACE_PCI_BRIDGE) == 0 ? &core : real_get(h, id);
}

static struct fake *make(void)
{
	struct fake *made = fake_new("dev-pci-host");
	struct mt_host *host = (struct mt_host *)(uintptr_t)fake_host(made);

	real_get = host->get_interface;
	host->get_interface = get;
	fake_prop(made, "at", "0x30000000");
	fake_prop(made, "mem32", "0x40000000");
	fake_prop(made, "irq", "plic:32, plic:33, plic:34, plic:35");
	fake_prop(made, "config-port", "0xcf8");
	return made;
}

static void new_bridge(void)
{
	memset(&told, 0, sizeof(told));
	f = make();
}

static void setup(void)
{
	new_bridge();
	fake_prop(f, "mem64", "0x4000000000");
	fake_prop(f, "mem64-size", "32G");
	fake_start(f);
}

static void teardown(void)
{
	fake_free(f);
}

START_TEST(windows_and_lines)
{
	ck_assert_uint_eq(told.buses, 1);
	ck_assert_uint_eq(told.resets, 1);
	ck_assert_uint_eq(told.window_count, 2);
	ck_assert_uint_eq(told.windows[0].base, 0x40000000);
	ck_assert_uint_eq(told.windows[0].len_bytes, 1u << 30);
	ck_assert_uint_eq(told.windows[1].base, 0x4000000000ull);
	ck_assert_uint_eq(told.windows[1].len_bytes, 32ull << 30);
	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_ptr_nonnull(told.intx[i]);
		for (uint32_t k = 0; k < i; k++)
			ck_assert_ptr_ne(told.intx[i], told.intx[k]);
	}
}
END_TEST

/* PCI Express 4.0, table 7-1: which bits of the address name what. */
START_TEST(configuration_space)
{
	uint64_t value;

	ck_assert_uint_eq(fake_region(f, 0)->len_bytes, 1u << 20);
	ck_assert_uint_eq(fake_get(f, 0x8000, 4), 0x10421af4);         /* slot 1, function 0 */
	ck_assert_uint_eq(told.devfn, 8);
	ck_assert_uint_eq(told.offset, 0);
	fake_put(f, (31 << 15) | (7 << 12) | 0xffe, 2, 0xabcd);
	ck_assert_uint_eq(told.devfn, 255);
	ck_assert_uint_eq(told.offset, 0xffe);
	ck_assert_uint_eq(told.width, 2);
	ck_assert_uint_eq(told.value, 0xabcd);
	fake_get(f, 0x100003 - 0x1000, 1);
	ck_assert_uint_eq(told.offset, 3);
	told.accesses = 0;
	fake_read(f, 0, 0x8000, 8, &value);                            /* two of 32 bits, or none */
	ck_assert(told.accesses == 0 || (told.accesses == 2 && told.width == 4 && told.offset == 4));
}
END_TEST

#define PORTS 1u       /* region of the configuration ports, 0xcf8 on */

static uint64_t port_get(uint32_t offset, uint32_t width)
{
	uint64_t value = 0;

	ck_assert_uint_eq(fake_read(f, PORTS, offset, width, &value), MT_BUS_OK);
	return value;
}

static void port_put(uint32_t offset, uint32_t width, uint64_t value)
{
	ck_assert_uint_eq(fake_write(f, PORTS, offset, width, value), MT_BUS_OK);
}

/* PCI Local Bus 3.0, 3.2.2.3.2: figure 3-2 */
START_TEST(configuration_ports)
{
	ck_assert_str_eq(fake_region(f, PORTS)->at_prop, "config-port");
	ck_assert_uint_eq(fake_region(f, PORTS)->len_bytes, 8);
	port_put(0, 4, 0xffffffff);
	ck_assert_uint_eq(port_get(0, 4), 0x80fffffc);
	port_put(0, 4, 0x80000800);
	ck_assert_uint_eq(port_get(4, 4), 0x10421af4);                 /* slot 1 */
	ck_assert_uint_eq(port_get(6, 2), 0x1042);
	ck_assert_uint_eq(port_get(5, 1), 0x1a);
	port_put(0, 4, 0x8000ffc4);
	port_put(7, 1, 0xab);
	ck_assert_uint_eq(told.devfn, 255);
	ck_assert_uint_eq(told.offset, 0xc7);
	ck_assert_uint_eq(told.width, 1);
	ck_assert_uint_eq(told.value, 0xab);
	told.accesses = 0;
	port_put(0, 4, 0x80010800);                                    /* another bus */
	port_put(4, 4, 5);
	ck_assert_uint_eq(port_get(4, 4), 0xffffffff);
	port_put(0, 4, 0x00000800);                                    /* not enabled */
	port_put(4, 4, 5);
	ck_assert_uint_eq(port_get(4, 2), 0xffff);
	port_put(0, 1, 0x80);                                          /* no part of the register */
	port_put(2, 2, 0x8000);
	ck_assert_uint_eq(port_get(0, 4), 0x800);
	ck_assert_uint_eq(port_get(0, 1), 0xff);
	ck_assert_uint_eq(told.accesses, 0);
}
END_TEST

START_TEST(own_function)
{
	port_put(0, 4, 0x80000000);
	ck_assert_uint_eq(port_get(4, 4), fake_get(f, 0, 4));
	ck_assert_uint_eq(port_get(4, 2), 0x1b36);
	ck_assert_uint_eq(fake_get(f, 8, 4), 0x06000000);              /* host bridge */
	ck_assert_uint_eq(fake_get(f, 0x0e, 1), 0x80);
	ck_assert_uint_eq(fake_get(f, 0x2e, 2), 0x1100);
	ck_assert_uint_eq(fake_get(f, 0x40, 4), 0);
	told.value = 0;
	fake_put(f, 4, 2, 7);
	ck_assert_uint_eq(told.value, 0);
	ck_assert_uint_eq(fake_get(f, 4, 4), 0);
	ck_assert_uint_eq(fake_get(f, 0x1000, 4), 0xffffffff);         /* beside it */
	teardown();
	new_bridge();
	fake_prop(f, "config-port", "");
	fake_start(f);
	ck_assert_uint_eq(fake_region_count(f), 1);
	ck_assert_uint_eq(fake_get(f, 0, 4), 0xffffffff);              /* only with ports */
}
END_TEST

START_TEST(own_function_replaced)
{
	told.replaced = 1;
	ck_assert_uint_eq(fake_get(f, 0, 4), 0x10421af4);
	fake_put(f, 4, 2, 7);
	ck_assert_uint_eq(told.value, 7);
}
END_TEST

START_TEST(reset_register)
{
	uint32_t request = 0;

	port_put(1, 1, 0x02);
	ck_assert_uint_eq(fake_requests(f, &request, NULL), 0);
	port_put(1, 1, 0xf6);
	ck_assert_uint_eq(fake_requests(f, &request, NULL), 1);
	ck_assert_uint_eq(request, MT_REQUEST_RESET);
	ck_assert_uint_eq(port_get(1, 1), 0x06);
	port_put(1, 1, 0x06);                                          /* no rise */
	ck_assert_uint_eq(fake_requests(f, &request, NULL), 1);
	ck_assert_int_eq(fake_reset(f, MT_RESET_WARM, NULL), 0);
	ck_assert_uint_eq(port_get(1, 1), 0);
	ck_assert_uint_eq(port_get(0, 4), 0);
}
END_TEST

START_TEST(one_window)
{
	teardown();
	new_bridge();
	fake_prop(f, "mem32-size", "3G");
	fake_start(f);
	ck_assert_uint_eq(told.window_count, 1);
	ck_assert_uint_eq(told.windows[0].len_bytes, 3ull << 30);      /* up to 4 GiB and not beyond */
}
END_TEST

START_TEST(refusals)
{
	static const struct { const char *base, *size; } bad[] = {
		{ "0x100000000", "1M" }, { "0x40000000", "4G" }, { "0xfff80000", "1M" },
	};
	struct mt_error err;

	for (uint32_t i = 0; i < 3; i++) {
		teardown();
		new_bridge();
		fake_prop(f, "mem32", bad[i].base);
		fake_prop(f, "mem32-size", bad[i].size);
		memset(&err, 0, sizeof(err));
		err.size = sizeof(err);
		ck_assert_int_eq(fake_create(f, &err), 0);
		ck_assert_int_eq(fake_realize(f, &err), MT_ERANGE);
		ck_assert_str_eq(err.culprit, "mem32");
		ck_assert_uint_eq(told.buses, 0);
	}
	teardown();
	new_bridge();
	told.refuse = 1;
	ck_assert_int_eq(fake_create(f, &err), 0);
	ck_assert_int_eq(fake_realize(f, &err), MT_EBUSY);            /* the core's own word */
}
END_TEST

/* The node, word by word where guests go by it. */
START_TEST(device_tree)
{
	static const char *const wanted[] = {
		"compatible = \"pci-host-ecam-generic\";", "device_type = \"pci\";", "#address-cells = <0x3>;",
		"#size-cells = <0x2>;", "#interrupt-cells = <0x1>;", "bus-range = <0x0 0x0>;",
		("ranges = <0x2000000 0x0 0x40000000 0x0 0x40000000 0x0 0x40000000 "
		 "0x3000000 0x40 0x0 0x40 0x0 0x8 0x0>;"),
		"interrupt-map-mask = <0x1800 0x0 0x0 0x7>;",
	};
	const char *text = fake_fdt(f);

	for (uint32_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		ck_assert_msg(strstr(text, wanted[i]), "no '%s' in\n%s", wanted[i], text);
	ck_assert_ptr_null(strstr(text, "msi-parent"));
	teardown();
	new_bridge();
	fake_prop(f, "msi", "imsic");
	fake_start(f);
	ck_assert_ptr_nonnull(strstr(fake_fdt(f), "msi-parent"));
}
END_TEST

/* What the role said, as text. */
static char said[512];

static void say_pci(struct mt_acpi *acpi, const struct mt_acpi_pci *pci)
{
	size_t at = strlen(said);

	(void)acpi;
	at += (size_t)snprintf(said + at, sizeof(said) - at, "ecam %llx+%llx ports %llx+%llx %s",
			       (unsigned long long)pci->ecam.base, (unsigned long long)pci->ecam.len_bytes,
			       (unsigned long long)pci->ports.base, (unsigned long long)pci->ports.len_bytes, pci->irq_prop);
	for (uint32_t i = 0; i < pci->window_count; i++)
		at += (size_t)snprintf(said + at, sizeof(said) - at, " %llx+%llx",
				       (unsigned long long)pci->windows[i].base,
				       (unsigned long long)pci->windows[i].len_bytes);
}

static void say_reset(struct mt_acpi *acpi, uint64_t port, uint8_t value)
{
	(void)acpi;
	snprintf(said, sizeof(said), "reset %llx %x ", (unsigned long long)port, value);
}

START_TEST(acpi)
{
	static const struct mt_acpi_writer writer = { .pci = say_pci, .reset = say_reset };
	const struct mt_acpi_node *node = fake_role(f, MT_IFACE_ACPI_NODE);

	ck_assert_int_eq(node->describe(fake_self(f), NULL, &writer, NULL), 0);
	ck_assert_str_eq(said, "reset cf9 6 ecam 30000000+100000 ports cf8+8 irq 40000000+40000000 4000000000+800000000");
	said[0] = 0;
	teardown();
	new_bridge();
	fake_prop(f, "config-port", "");
	fake_start(f);
	node = fake_role(f, MT_IFACE_ACPI_NODE);
	ck_assert_int_eq(node->describe(fake_self(f), NULL, &writer, NULL), 0);
	ck_assert_str_eq(said, "ecam 30000000+100000 ports 0+0 irq 40000000+40000000");
}
END_TEST

START_TEST(state)
{
	port_put(0, 4, 0x80000844);
	port_put(1, 1, 0x0a);
	fake_state_check(f, make);
}
END_TEST

START_TEST(fuzz)
{
	fake_fuzz_region(f, 7, getenv("MORTISE_LONG") ? 1000000 : 20000);
	ck_assert_uint_gt(told.accesses, 1000);
}
END_TEST

int main(void)
{
	CHECK_RUN("pci-host", setup, teardown, windows_and_lines, configuration_space, configuration_ports, own_function,
		  own_function_replaced, reset_register, one_window, refusals, device_tree, acpi,
		  state, fuzz);
}
