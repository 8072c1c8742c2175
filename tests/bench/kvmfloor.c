/* SPDX-License-Identifier: MIT */
/*
 * KVM with nothing around it: runs an ELF file of tests/guest/x86 with the fewest calls that do, as the floor
 * under what an emulator can reach. `kvmfloor FILE`: the serial port goes to standard output, all else reads
 * as ones. `kvmfloor`: ticks of the time-stamp counter a second.
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define RAM_BYTES (64ul << 20)
#define SERIAL 0x3f8
#define CPUIDS 128

static int call(int fd, unsigned long request, void *arg, const char *what)
{
	int result = ioctl(fd, request, arg);

	if (result < 0) {
		perror(what);
		exit(1);
	}
	return result;
}

static uint32_t load(const char *path, uint8_t *ram)
{
	int fd = open(path, O_RDONLY);
	static uint8_t file[1 << 20];
	const Elf64_Ehdr *head = (const void *)file;
	ssize_t bytes = fd < 0 ? -1 : read(fd, file, sizeof(file));

	if (bytes < (ssize_t)sizeof(*head) || head->e_phoff + head->e_phnum * sizeof(Elf64_Phdr) > (size_t)bytes) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	close(fd);
	for (unsigned i = 0; i < head->e_phnum; i++) {
		const Elf64_Phdr *part = (const Elf64_Phdr *)(file + head->e_phoff) + i;

		if (part->p_type == PT_LOAD && part->p_offset + part->p_filesz <= (size_t)bytes &&
		    part->p_paddr + part->p_filesz <= RAM_BYTES)
			memcpy(ram + part->p_paddr, file + part->p_offset, part->p_filesz);
	}
	return (uint32_t)head->e_entry;
}

/* Protected mode, flat, no paging: as PVH enters. */
static void enter_at(int vcpu, uint32_t entry)
{
	struct kvm_segment flat = { .limit = 0xffffffff, .present = 1, .s = 1, .db = 1, .g = 1, .type = 3 };
	struct kvm_regs regs = { .rip = entry, .rflags = 2 };
	struct kvm_sregs sregs;

	call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
	flat.selector = 16;
	sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = flat;
	flat.selector = 8;
	flat.type = 11;
	sregs.cs = flat;
	sregs.cr0 = 1;
	call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
	call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

static void cpuid(int kvm, int vcpu)
{
	struct kvm_cpuid2 *list = calloc(1, sizeof(*list) + CPUIDS * sizeof(list->entries[0]));

	list->nent = CPUIDS;
	call(kvm, KVM_GET_SUPPORTED_CPUID, list, "KVM_GET_SUPPORTED_CPUID");
	call(vcpu, KVM_SET_CPUID2, list, "KVM_SET_CPUID2");
	free(list);
}

static void serve_port(struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;

	if (run->io.direction == KVM_EXIT_IO_IN) {
		memset(data, 0xff, run->io.size * run->io.count);
		if (run->io.port == SERIAL + 5)
			*data = 0x60;          /* may send */
	} else if (run->io.port == SERIAL && write(1, data, 1) != 1) {
		exit(1);
	}
}

static void run_guest(int vcpu, struct kvm_run *run)
{
	for (;;) {
		call(vcpu, KVM_RUN, NULL, "KVM_RUN");
		if (run->exit_reason == KVM_EXIT_IO) {
			serve_port(run);
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memset(run->mmio.data, 0xff, sizeof(run->mmio.data));
		} else {
			fprintf(stderr, "exit %u\n", run->exit_reason);
			exit(1);
		}
	}
}

static int rate(void)
{
	struct timespec from, to, pause = { 0, 200000000 };
	uint64_t begin, ticks;

	clock_gettime(CLOCK_MONOTONIC, &from);
	begin = __rdtsc();
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	ticks = __rdtsc() - begin;
	printf("%.0f\n", (double)ticks / ((double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9));
	return 0;
}

int main(int argc, char **argv)
{
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_BYTES };
	int kvm, vm, vcpu;
	uint8_t *ram;

	if (argc < 2)
		return rate();
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm = call(kvm, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
	call(vm, KVM_SET_TSS_ADDR, (void *)0xfffbd000, "KVM_SET_TSS_ADDR");
	call(vm, KVM_CREATE_IRQCHIP, NULL, "KVM_CREATE_IRQCHIP");
	ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	slot.userspace_addr = (uintptr_t)ram;
	call(vm, KVM_SET_USER_MEMORY_REGION, &slot, "KVM_SET_USER_MEMORY_REGION");
	vcpu = call(vm, KVM_CREATE_VCPU, NULL, "KVM_CREATE_VCPU");
	cpuid(kvm, vcpu);
	enter_at(vcpu, load(argv[1], ram));
	run_guest(vcpu, mmap(NULL, (size_t)call(kvm, KVM_GET_VCPU_MMAP_SIZE, NULL, "size of a vCPU"),
			     PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0));
	return 0;
}
