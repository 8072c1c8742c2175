/* SPDX-License-Identifier: MIT */
/*
 * Messages of a PCI function by eventfds: the kernel's loop sends them, and an accelerator takes them over, refuses
 * them, and gets changes as one. The function's vector n writes 0x100 + n to RAM + 4n. [main] is the test and vCPU.
 */
#include <mortise/draft/cpu-eventfd.h>
#include <sys/eventfd.h>

#include "kernel/machine/irq.h"
#include "kernel/machine/test-services.h"
#include "kernel/pci/function.h"
#include "kernel/state/file.h"
#include "kernel/state/part.h"

#define RAM_AT  0x80000000ull
#define TABLE   0x40000000ull
#define DEVFN   (1u << 3)
#define VECTORS 4u
#define ON      (PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

/* What the accelerator has, as text: "104@8 " */
static char has[256];
static uint32_t takes, room;

static void name_of(const struct mt_message *message, char text[32])
{
	snprintf(text, 32, "%x@%llx ", message->data, (unsigned long long)(message->addr - RAM_AT));
}

static int messages_take(void *self, const struct mt_message *messages, uint32_t count)
{
	char text[32];

	(void)self;
	takes++;
	if (count > room)
		return MT_ENOSPC;
	room -= count;
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_int_ge(messages[i].fd, 0);
		name_of(&messages[i], text);
		strcat(has, text);
	}
	return 0;
}

static void messages_give(void *self, const struct mt_message *messages, uint32_t count)
{
	char text[32], *at;

	(void)self;
	room += count;
	for (uint32_t i = 0; i < count; i++) {
		name_of(&messages[i], text);
		at = strstr(has, text);
		ck_assert_ptr_nonnull(at);
		memmove(at, at + strlen(text), strlen(at + strlen(text)) + 1);
	}
}

static const struct mt_cpu_eventfd role = { .messages_take = messages_take, .messages_give = messages_give };
const struct bench_role bench_roles[] = { { "cpu", MT_IFACE_CPU_EVENTFD, &role }, { 0 } };

static struct machine *m;
static struct mt_pci_bus *bus;
static struct mt_ram *ram;
static struct mt_inst *dev;
static struct mt_pci *pci;
static int fd[2];

static void put(uint32_t offset, uint32_t width, uint32_t value)
{
	struct mt_access a = { .offset = offset, .width = width };

	ck_assert_uint_eq(pci_bridge_host.config_write(bus, DEVFN, &a, value), MT_BUS_OK);
}

static uint32_t table_access(uint64_t offset, uint64_t *read, uint32_t written)
{
	static const struct mt_access from = { .vcpu = 0 };
	const struct mt_flat_view *view = space_view_get(m->system);
	const struct mt_flat_range *range = view_find(view, TABLE + offset);

	ck_assert_ptr_nonnull(range);
	ck_assert_uint_eq(read ? bus_read(range, TABLE + offset, 4, &from, read) :
				 bus_write(range, TABLE + offset, 4, &from, written), MT_BUS_OK);
	space_view_put(m->system, view);
	return 0;
}

static void table_put(uint32_t vector, uint32_t word, uint32_t value)
{
	table_access(16 * vector + 4 * word, NULL, value);
}

static uint32_t is_pending(uint32_t vector)
{
	uint64_t value;

	table_access(2048, &value, 0);
	return value >> vector & 1;
}

/* Waits for the loop. */
static uint32_t sent(uint32_t vector)
{
	uint32_t word;

	loop_sync(m->loop);
	loop_sync(m->loop);
	memcpy(&word, ram->hva + 4 * vector, 4);
	memset(ram->hva + 4 * vector, 0, 4);
	ck_assert(word == 0 || word == 0x100 + vector);
	return word != 0;
}

static void msix(uint32_t control)
{
	put(pci->msix_at + 2, 2, control);
}

static void masked(uint32_t vector, uint32_t mask)
{
	table_put(vector, 3, mask);
}

static void table_fill(void)
{
	put(0x20, 4, (uint32_t)TABLE);
	put(PCI_COMMAND, 2, ON);
	msix(0xc000);
	for (uint32_t i = 0; i < VECTORS; i++) {
		table_put(i, 0, (uint32_t)RAM_AT + 4 * i);
		table_put(i, 2, 0x100 + i);
		masked(i, 0);
	}
}

static void setup(void)
{
	static const struct mt_pci_window window = { TABLE, 0x1000000 };
	static const struct mt_pci_desc desc = { .size = sizeof(desc), .vendor_id = 1, .device_id = 2, .vectors = VECTORS,
						 .msix_bar = 4 };
	struct mt_pci_bridge_desc of_bridge = { .size = sizeof(of_bridge), .window_count = 1, .windows = &window };
	struct mt_inst *bridge;

	has[0] = 0;
	takes = 0;
	room = 8;
	m = bench_create();
	ram = ram_create(m->system, "ram", 0x10000, true, NULL);
	ck_assert_int_eq(space_add_ram(m->system, ram, RAM_AT, NULL), 0);
	m->cpu = bench_inst(m, "cpu", "cpu", MT_CLASS_PARALLEL, NULL, NULL);
	bridge = bench_inst(m, "pci", "bridge", MT_CLASS_PARALLEL, NULL, NULL);
	bus = pci_bridge_host.bus_create(bridge, &of_bridge, NULL);
	dev = bench_inst(m, "a", "fn", MT_CLASS_PARALLEL, NULL, "bus", "pci", NULL);
	g_ptr_array_add(bridge->refs_in, dev);
	pci = pci_host.attach(dev, &desc, NULL);
	ck_assert_ptr_nonnull(pci);
	for (uint32_t i = 0; i < 2; i++) {
		fd[i] = eventfd(0, EFD_NONBLOCK);
		ck_assert_int_eq(pci_host.bind_eventfd(pci, MT_PCI_NO_VECTOR, fd[i], NULL), 0);
	}
}

static void teardown(void)
{
	bench_destroy(m);
	close(fd[0]);
	close(fd[1]);
}

static void bind(uint32_t i, uint32_t vector)
{
	ck_assert_int_eq(pci_host.bind_eventfd(pci, vector, fd[i], NULL), 0);
}

static void signal_fd(uint32_t i)
{
	ck_assert_int_eq(eventfd_write(fd[i], 1), 0);
}

/* As mt_pci_host.message does. */
START_TEST(without_an_accelerator)
{
	room = 0;
	signal_fd(0);                                  /* of no vector: forgotten */
	bind(0, 1);
	bind(1, 1);
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 0);                 /* and before MSI-X is on */
	table_fill();
	msix(0x8000);
	ck_assert_uint_eq(sent(1), 0);
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 1);
	signal_fd(1);
	ck_assert_uint_eq(sent(1), 1);
	masked(1, 1);
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 0);
	ck_assert_uint_eq(is_pending(1), 1);
	masked(1, 0);
	ck_assert_uint_eq(sent(1), 1);
	bind(0, 2);
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 0);
	ck_assert_uint_eq(sent(2), 1);
	ck_assert_int_eq(pci_host.bind_eventfd(pci, VECTORS, fd[0], NULL), MT_ERANGE);
	ck_assert_int_eq(pci_host.bind_eventfd(pci, 0, 100000, NULL), MT_EINVAL);
}
END_TEST

/* All that become open at once are one change. */
START_TEST(taken)
{
	bind(0, 1);
	bind(1, 3);
	table_fill();
	ck_assert_uint_eq(takes, 0);
	msix(0x8000);
	ck_assert_uint_eq(takes, 1);
	ck_assert_str_eq(has, "103@c 101@4 ");
	signal_fd(0);                                  /* the accelerator's, who sends nothing here */
	ck_assert_uint_eq(sent(1), 0);
	ck_assert_uint_eq(takes, 1);
	/* what it has not sent is found when it is given back */
	masked(1, 1);
	ck_assert_str_eq(has, "103@c ");
	ck_assert_uint_eq(sent(1), 0);
	ck_assert_uint_eq(is_pending(1), 1);
	masked(1, 0);
	ck_assert_uint_eq(sent(1), 1);
	ck_assert_str_eq(has, "103@c 101@4 ");
	/* another message of the same vector */
	table_put(3, 0, (uint32_t)RAM_AT + 0x20);
	table_put(3, 2, 0x1ff);
	ck_assert_str_eq(has, "101@4 1ff@20 ");
	bind(1, 1);
	ck_assert_str_eq(has, "101@4 101@4 ");
	bind(1, MT_PCI_NO_VECTOR);
	ck_assert_str_eq(has, "101@4 ");
}
END_TEST

START_TEST(closed)
{
	bind(0, 1);
	table_fill();
	msix(0x8000);
	ck_assert_str_eq(has, "101@4 ");
	put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_str_eq(has, "");
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 0);
	put(PCI_COMMAND, 2, ON);
	ck_assert_str_eq(has, "101@4 ");
	ck_assert_uint_eq(sent(1), 1);
	msix(0xc000);
	ck_assert_str_eq(has, "");
	msix(0);
	msix(0x8000);
	ck_assert_str_eq(has, "101@4 ");
	/* a reset of the machine masks all */
	pci_bridge_host.reset(bus);
	ck_assert_str_eq(has, "");
	table_fill();
	msix(0x8000);
	ck_assert_str_eq(has, "101@4 ");
	inst_release_all(dev);
	ck_assert_str_eq(has, "");
}
END_TEST

/* Little room: what has none is the kernel's. */
START_TEST(refused)
{
	room = 1;
	bind(0, 1);
	bind(1, 2);
	table_fill();
	msix(0x8000);
	ck_assert_str_eq(has, "102@8 ");
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 1);
	bind(1, MT_PCI_NO_VECTOR);
	masked(0, 1);
	ck_assert_str_eq(has, "101@4 ");
}
END_TEST

/* The machine is being taken down: nobody is asked, and the kernel serves. */
START_TEST(accelerator_goes)
{
	bind(0, 1);
	table_fill();
	m->cpu->state = INST_UNREALIZED;
	msix(0x8000);
	ck_assert_uint_eq(takes, 0);
	signal_fd(0);
	ck_assert_uint_eq(sent(1), 1);
	m->cpu->state = INST_REALIZED;
}
END_TEST

START_TEST(loaded)
{
	struct mt_state_out *out = state_out_create("pci", "mortise.pci", pci_state_part.version);
	struct mt_state_in *in;
	GByteArray *bytes;

	bind(0, 1);
	table_fill();
	msix(0x8000);
	ck_assert_int_eq(pci_state_part.save(m, out, &state_writer, NULL), 0);
	bytes = state_out_finish(out, NULL);
	ck_assert_ptr_nonnull(bytes);
	state_out_destroy(out);
	pci_bridge_host.reset(bus);
	ck_assert_str_eq(has, "");
	in = state_in_open("pci", bytes->data, bytes->len, NULL);
	ck_assert_ptr_nonnull(in);
	ck_assert_int_eq(state_in_verdict(in, pci_state_part.load(m, in, &state_reader, NULL), NULL), 0);
	state_in_close(in);
	g_byte_array_unref(bytes);
	ck_assert_str_eq(has, "101@4 ");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("signal");
	TCase *tc = tcase_create("signal");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, without_an_accelerator);
	tcase_add_test(tc, taken);
	tcase_add_test(tc, closed);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, accelerator_goes);
	tcase_add_test(tc, loaded);
	suite_add_tcase(suite, tc);
	return bench_run(suite);
}
