/* SPDX-License-Identifier: MIT */
/* The run loop of cpu-kvm: every exit reason, kicks, accesses that end late. */
#include <errno.h>
#include <fake/check-run.h>
#include <string.h>
#include <unistd.h>

#include "steps.h"

static int step;                   /* of a guest's script */

static void start(void)
{
	shim_start();
	bench_new(1);
	ck_assert_msg(bench_up() == 0, "%s", b.err.message);
	step = 0;
}

static int comes_out(struct shim_vcpu *v)
{
	(void)v;
	return -EINTR;
}

/* One access, then a kick that ends the run when the access is finished. */
static int mmio_once(struct shim_vcpu *v)
{
	if (step++)
		return -EINTR;
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = 0x10000004;
	v->run->mmio.len = 4;
	v->run->mmio.is_write = 0;
	b.cls->kick(b.vcpu[0]);
	return 0;
}

START_TEST(mmio_read)
{
	uint32_t value;

	shim.guest = mmio_once;
	seen.answer = 0x11223344;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.addr, 0x10000004);
	ck_assert_uint_eq(seen.width, 4);
	memcpy(&value, shim.vcpus[0].run->mmio.data, 4);
	ck_assert_uint_eq(value, 0x11223344);
	/* the entry that finished the access */
	ck_assert_uint_eq(shim.vcpus[0].entries, 2);
	ck_assert_uint_eq(shim.vcpus[0].run->immediate_exit, 0);
}
END_TEST

static int mmio_write(struct shim_vcpu *v)
{
	if (step++)
		return -EINTR;
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = 0x10000000;
	v->run->mmio.len = 8;
	v->run->mmio.is_write = 1;
	memset(v->run->mmio.data, 0xa5, 8);
	return 0;
}

/* No kick, but a device that changes the map: the vCPU must leave behind the instruction. */
START_TEST(mmio_write_that_leaves)
{
	shim.guest = mmio_write;
	seen.result = MT_BUS_LEAVE;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
	ck_assert_uint_eq(seen.is_write, 1);
	ck_assert_uint_eq(seen.value, 0xa5a5a5a5a5a5a5a5);
	ck_assert_uint_eq(shim.vcpus[0].entries, 2);
}
END_TEST

/* addr, width and whether anything is there; the width that the bus sees. */
static const struct place {
	uint64_t addr;
	uint32_t width, calls, last_width;
} places[] = {
	{ 0x10000000, 1, 1, 1 }, { 0x10000000, 3, 2, 2 }, { 0x100000fc, 8, 4, 1 }, { 0x20000000, 4, 0, 0 },
	{ 0xf0010, 4, 1, 4 }, { 0x10000008, 8, 1, 8 }, { 0xfffffffffffffffc, 4, 0, 0 },
};

static const struct place *place;

static int mmio_place(struct shim_vcpu *v)
{
	if (step++)
		return b.cls->kick(b.vcpu[0]), -EINTR;
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.phys_addr = place->addr;
	v->run->mmio.len = place->width;
	v->run->mmio.is_write = 0;
	memset(v->run->mmio.data, 0, 8);
	return 0;
}

START_TEST(mmio_of_strange_shapes)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		place = &places[i];
		step = 0;
		memset(&seen, 0, sizeof(seen));
		shim.guest = mmio_place;
		ck_assert_int_eq(bench_run(0), 0);
		ck_assert_uint_eq(seen.count, place->calls);
		ck_assert_uint_eq(seen.width, place->last_width);
		if (!place->calls)
			ck_assert_uint_eq(shim.vcpus[0].run->mmio.data[0], 0xff);
	}
}
END_TEST

START_TEST(mmio_that_fails_reads_ones)
{
	shim.guest = mmio_once;
	seen.result = MT_BUS_GONE;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(shim.vcpus[0].run->mmio.data[3], 0xff);
}
END_TEST

static int mmio_long(struct shim_vcpu *v)
{
	v->run->exit_reason = KVM_EXIT_MMIO;
	v->run->mmio.len = 9;
	return 0;
}

START_TEST(mmio_too_long)
{
	shim.guest = mmio_long;
	ck_assert_int_lt(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_ERROR);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "9 bytes"));
}
END_TEST

static uint32_t io_direction, io_port, io_size, io_count;
static uint64_t io_offset;

static int io(struct shim_vcpu *v)
{
	if (step++)
		return b.cls->kick(b.vcpu[0]), -EINTR;
	v->run->exit_reason = KVM_EXIT_IO;
	v->run->io.direction = (uint8_t)io_direction;
	v->run->io.port = (uint16_t)io_port;
	v->run->io.size = (uint8_t)io_size;
	v->run->io.count = io_count;
	v->run->io.data_offset = io_offset;
	return 0;
}

static int io_run(uint32_t direction, uint32_t number, uint32_t size, uint32_t count, uint64_t offset)
{
	io_direction = direction;
	io_port = number;
	io_size = size;
	io_count = count;
	io_offset = offset;
	step = 0;
	memset(&seen, 0, sizeof(seen));
	shim.guest = io;
	return bench_run(0);
}

START_TEST(ports)
{
	uint8_t *data = (uint8_t *)shim.vcpus[0].run + 4096;

	memcpy(data, "hello", 5);
	ck_assert_int_eq(io_run(KVM_EXIT_IO_OUT, 0x3f8, 1, 5, 4096), 0);
	ck_assert_uint_eq(seen.count, 5);
	ck_assert_uint_eq(seen.addr, 0x3f8);
	ck_assert_uint_eq(seen.range_gpa, 0x3f8);
	ck_assert_uint_eq(seen.value, 'o');
	ck_assert_int_eq(io_run(KVM_EXIT_IO_IN, 0x3fa, 2, 3, 4096), 0);
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_uint_eq(data[0], 0);
	/* where there is nothing; and beyond the end of a region */
	ck_assert_int_eq(io_run(KVM_EXIT_IO_IN, 0x80, 4, 1, 4096), 0);
	ck_assert_uint_eq(seen.count, 0);
	ck_assert_uint_eq(data[3], 0xff);
	ck_assert_int_eq(io_run(KVM_EXIT_IO_OUT, 0x3ff, 2, 1, 4096), 0);
	ck_assert_uint_eq(seen.count, 1);
	ck_assert_uint_eq(seen.width, 1);
}
END_TEST

START_TEST(port_data_outside_of_the_page)
{
	ck_assert_int_lt(io_run(KVM_EXIT_IO_OUT, 0x3f8, 4, 4096, 4096), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "beyond"));
	ck_assert_int_lt(io_run(KVM_EXIT_IO_OUT, 0x3f8, 1, 1, UINT64_MAX), 0);
	ck_assert_int_lt(io_run(KVM_EXIT_IO_OUT, 0x3f8, 8, 1, 4096), 0);
	ck_assert_uint_eq(seen.count, 0);
}
END_TEST

/* Exits that say something and end the run */

static uint32_t reason;
static void (*fill)(struct kvm_run *run);

static int exits(struct shim_vcpu *v)
{
	v->run->exit_reason = reason;
	if (fill)
		fill(v->run);
	return 0;
}

static int exits_once(struct shim_vcpu *v)
{
	if (step++)
		return b.cls->kick(b.vcpu[0]), -EINTR;
	return exits(v);
}

static void emulation(struct kvm_run *run)
{
	run->emulation_failure.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->emulation_failure.ndata = 4;
	run->emulation_failure.flags = KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	run->emulation_failure.insn_size = 3;
	memcpy(run->emulation_failure.insn_bytes, "\xf3\x0f\xb8", 3);
}

static void emulation_without_bytes(struct kvm_run *run)
{
	emulation(run);
	run->emulation_failure.ndata = 0;
}

static void emulation_of_too_many(struct kvm_run *run)
{
	emulation(run);
	run->emulation_failure.insn_size = 255;
}

static void internal_2(struct kvm_run *run)
{
	run->internal.suberror = 2;
	run->internal.ndata = 2;
	run->internal.data[0] = 0xabc;
}

static void entry_refused(struct kvm_run *run)
{
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
}

static void unknown_hardware(struct kvm_run *run)
{
	run->hw.hardware_exit_reason = 0x77;
}

static const struct {
	uint32_t reason;
	void (*fill)(struct kvm_run *run);
	const char *words;
} errors[] = {
	{ KVM_EXIT_INTERNAL_ERROR, emulation, "cannot emulate an instruction: rip 0x1234 cs 0xf000 " },
	{ KVM_EXIT_INTERNAL_ERROR, emulation, ", bytes f3 0f b8" },
	{ KVM_EXIT_INTERNAL_ERROR, emulation_without_bytes, "bytes unknown" },
	{ KVM_EXIT_INTERNAL_ERROR, emulation_of_too_many, "cannot emulate" },
	{ KVM_EXIT_INTERNAL_ERROR, internal_2, "internal error 2 of KVM (data 0xabc" },
	{ KVM_EXIT_FAIL_ENTRY, entry_refused, "refuses to enter the guest (reason 0x80000021)" },
	{ KVM_EXIT_SHUTDOWN, NULL, "triple fault: rip 0x1234" },
	{ KVM_EXIT_UNKNOWN, unknown_hardware, "does not know (0x77)" },
	{ KVM_EXIT_HYPERV, NULL, "not known here (27)" },
	{ KVM_EXIT_SYSTEM_EVENT, NULL, "not known here (24)" },
	{ KVM_EXIT_EXCEPTION, NULL, "not known here (1)" },
	{ 4711, NULL, "not known here (4711)" },
};

START_TEST(errors_say_what_and_where)
{
	shim.guest = exits;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		shim.vcpus[0].whole->regs.rip = 0x1234;
		reason = errors[i].reason;
		fill = errors[i].fill;
		ck_assert_int_lt(bench_run(0), 0);
		ck_assert_uint_eq(b.exit.reason, MT_EXIT_ERROR);
		ck_assert_msg(strstr(b.exit.message, errors[i].words), "%s", b.exit.message);
	}
}
END_TEST

/* The shim maps pages to those behind them. */
START_TEST(bytes_come_from_memory)
{
	struct whole *w = shim.vcpus[0].whole;

	shim.guest = exits;
	reason = KVM_EXIT_FAIL_ENTRY;
	fill = entry_refused;
	w->sregs.cs.base = 0x10000;
	w->regs.rip = 0x2ffd;
	w->regs.r11 = 0x1122334455;
	memcpy(bench_ram + 0x13ffd, "\x0f\x01\xd9\xcc", 4);
	ck_assert_int_lt(bench_run(0), 0);
	/* the next page may be another one */
	ck_assert_str_eq(b.exit.message + strlen(b.exit.message) - 16, ", bytes 0f 01 d9");
	ck_assert_uint_eq(fake_log_count(b.f, MT_LOG_INFO), 4);
	/* ROM; and what is no memory */
	w->sregs.cs.base = 0xef000;
	w->regs.rip = 0;
	bench_ram[0xf0000] = 0x5a;
	ck_assert_int_lt(bench_run(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, ", bytes 5a 00"));
	w->sregs.cs.base = 0xff000;
	ck_assert_int_lt(bench_run(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, ", bytes unknown"));
}
END_TEST

/* Whatever the number: served and gone on, left in order, or told. The access at 0 of those that have one is none. */
START_TEST(every_reason)
{
	static const uint32_t served[] = { KVM_EXIT_INTR, KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_SET_TPR, KVM_EXIT_IOAPIC_EOI,
					   KVM_EXIT_IO, KVM_EXIT_MMIO, KVM_EXIT_X86_WRMSR, KVM_EXIT_DEBUG, KVM_EXIT_HLT };

	for (reason = 0; reason < 64; reason++) {
		bool goes_on = false;

		for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
			goes_on |= served[i] == reason;
		fill = NULL;
		step = 0;
		memset(shim.vcpus[0].run, 0, sizeof(*shim.vcpus[0].run));
		shim.guest = exits_once;
		ck_assert_msg((bench_run(0) == 0) == goes_on, "%u", reason);
		if (!goes_on)
			ck_assert_msg(strstr(b.exit.message, ": rip 0x"), "%u: %s", reason, b.exit.message);
		ck_assert_uint_eq(b.exit.reason, !goes_on ? MT_EXIT_ERROR : reason == KVM_EXIT_HLT ? MT_EXIT_HALT :
				  reason == KVM_EXIT_DEBUG ? MT_EXIT_DEBUG : MT_EXIT_KICKED);
	}
}
END_TEST

START_TEST(registers_that_cannot_be_had)
{
	shim.guest = exits;
	reason = KVM_EXIT_SHUTDOWN;
	fill = NULL;
	shim.fail_request = KVM_GET_REGS;
	shim.fail_error = -EIO;
	ck_assert_int_lt(bench_run(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "registers unknown"));
}
END_TEST

/* Reasons that mean nothing, again and again until a kick. */
static int nothing(struct shim_vcpu *v)
{
	static const uint32_t reasons[] = { KVM_EXIT_INTR, KVM_EXIT_IRQ_WINDOW_OPEN, KVM_EXIT_SET_TPR, KVM_EXIT_IOAPIC_EOI };

	if (step == 4) {
		b.cls->kick(b.vcpu[0]);
		return -EAGAIN;
	}
	v->run->exit_reason = reasons[step++];
	return 0;
}

START_TEST(exits_without_meaning)
{
	shim.guest = nothing;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
	ck_assert_int_eq(step, 4);
}
END_TEST

START_TEST(halt)
{
	shim.guest = exits;
	reason = KVM_EXIT_HLT;
	fill = NULL;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_HALT);
	ck_assert_uint_eq(b.exit.wake_ns, UINT64_MAX);
}
END_TEST

static int run_error(struct shim_vcpu *v)
{
	(void)v;
	return -shim.fail_error;
}

START_TEST(entries_that_fail)
{
	static const struct { int error; const char *words; } all[] = {
		{ EFAULT, "cannot reach memory" }, { ENOMEM, "does not run the guest: Cannot allocate memory" },
		{ ENOTTY, "does not run" }, { EIO, "does not run" }, { EINVAL, "does not run" },
	};

	shim.guest = run_error;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		shim.fail_error = all[i].error;
		ck_assert_int_lt(bench_run(0), 0);
		ck_assert_msg(strstr(b.exit.message, all[i].words), "%s", b.exit.message);
	}
}
END_TEST

/* As Linux 6.8 and later tell it (Documentation/virt/kvm/api.rst, KVM_EXIT_MEMORY_FAULT): flags, address, length. */
static int memory_fault(struct shim_vcpu *v)
{
	v->run->exit_reason = 39;
	memcpy(&v->run->hw, (uint64_t[]){ 0, 0x7654000, 4096 }, 24);
	return -EFAULT;
}

START_TEST(memory_that_cannot_be_reached)
{
	shim.guest = memory_fault;
	ck_assert_int_lt(bench_run(0), 0);
	ck_assert_ptr_nonnull(strstr(b.exit.message, "memory at 0x7654000"));
}
END_TEST

/* Kicks */

START_TEST(kick_before_the_run)
{
	shim.guest = comes_out;
	b.cls->kick(b.vcpu[0]);
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_KICKED);
	ck_assert_uint_eq(shim.vcpus[0].entries, 1);
}
END_TEST

static uint32_t spurious;

/* A signal that was no kick of this vCPU: the loop goes on. */
static int interrupted(struct shim_vcpu *v)
{
	(void)v;
	if (++spurious == 5)
		b.cls->kick(b.vcpu[0]);
	return -EINTR;
}

START_TEST(interruption_that_is_no_kick)
{
	spurious = 0;
	shim.guest = interrupted;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(spurious, 5);
}
END_TEST

static _Atomic uint32_t runs, done;

static void *runner(void *arg)
{
	(void)arg;
	while (!atomic_load(&done)) {
		if (bench_run(0) || b.exit.reason != MT_EXIT_KICKED)
			return (void *)1;
		atomic_fetch_add(&runs, 1);
	}
	return NULL;
}

/* Every kick ends a run: a lost one hangs this, and the time limit ends it. */
START_TEST(kicks_from_another_thread)
{
	pthread_t thread;
	void *bad;

	atomic_store(&runs, 0);
	atomic_store(&done, 0);
	shim.guest = shim_wait;
	ck_assert_int_eq(pthread_create(&thread, NULL, runner, NULL), 0);
	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t before = atomic_load(&runs);

		b.cls->kick(b.vcpu[0]);
		while (atomic_load(&runs) == before)
			sched_yield();
	}
	atomic_store(&done, 1);
	b.cls->kick(b.vcpu[0]);
	pthread_join(thread, &bad);
	ck_assert_ptr_null(bad);
}
END_TEST

START_TEST(triple_fault_as_reset)
{
	uint32_t request = 0;

	bench_down();
	bench_new(1);
	fake_prop(b.f, "triple-fault", "reset");
	ck_assert_int_eq(bench_up(), 0);
	shim.guest = exits;
	reason = KVM_EXIT_SHUTDOWN;
	fill = NULL;
	ck_assert_int_eq(bench_run(0), 0);
	ck_assert_uint_eq(b.exit.reason, MT_EXIT_HALT);
	ck_assert_uint_eq(fake_requests(b.f, &request, NULL), 1);
	ck_assert_uint_eq(request, MT_REQUEST_RESET);
}
END_TEST

int main(void)
{
	CHECK_RUN("kvm-run", start, stop, mmio_read, mmio_write_that_leaves, mmio_of_strange_shapes,
		  mmio_that_fails_reads_ones, mmio_too_long, ports, port_data_outside_of_the_page,
		  errors_say_what_and_where, bytes_come_from_memory, every_reason, registers_that_cannot_be_had,
		  memory_that_cannot_be_reached, exits_without_meaning, halt, entries_that_fail,
		  kick_before_the_run, interruption_that_is_no_kick, kicks_from_another_thread,
		  triple_fault_as_reset);
}
