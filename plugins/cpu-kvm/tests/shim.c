/* SPDX-License-Identifier: MIT */
/* See shim.h. Descriptors: 100 the system, 101 the VM, 110 and up the vCPUs. */
#include "shim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SYS_FD  100
#define VM_FD   101
#define VCPU_FD 110

struct shim shim;

static struct whole *first_state(uint32_t index)
{
	struct whole *w = calloc(1, sizeof(*w) + shim.xsave_bytes);

	w->regs.rip = 0xfff0;
	w->regs.rflags = 2;
	w->sregs.cs = (struct kvm_segment){ .base = 0xffff0000, .limit = 0xffff, .selector = 0xf000, .type = 11,
					    .present = 1, .s = 1 };
	w->sregs.cr0 = 0x60000010;
	w->xcrs.nr_xcrs = 1;
	w->xcrs.xcrs[0].value = 1;
	w->mp.mp_state = index ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	w->events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	w->debug.dr6 = 0xffff0ff0;
	w->debug.dr7 = 0x400;
	w->xsave[24] = 0x80;
	w->msr_count = 5;
	w->msr[0] = (struct kvm_msr_entry){ .index = 0x10, .data = 1000 };
	w->msr[1] = (struct kvm_msr_entry){ .index = 0x277, .data = 0x0007040600070406 };
	w->msr[2] = (struct kvm_msr_entry){ .index = 0x8b, .data = 0x100000000 };
	w->msr[3] = (struct kvm_msr_entry){ .index = 0xc0000082, .data = 0 };
	w->msr[4] = (struct kvm_msr_entry){ .index = 0x4b564d04, .data = 0 };
	return w;
}

void shim_start(void)
{
	memset(&shim, 0, sizeof(shim));
	shim.version = 12;
	shim.xsave_bytes = sizeof(struct kvm_xsave);
	shim.max_vcpus = SHIM_VCPUS;
}

void shim_stop(void)
{
	for (uint32_t i = 0; i < SHIM_VCPUS; i++) {
		free(shim.vcpus[i].whole);
		free(shim.vcpus[i].run);
	}
}

/* Failing */

static int fails(unsigned long request)
{
	shim.calls++;
	if (shim.calls != shim.fail_at && request != shim.fail_request)
		return 0;
	shim.fail_request = 0;
	shim.failed = request;
	return shim.fail_error;
}

/* The system */

static void entry_add(struct kvm_cpuid2 *c, uint32_t leaf, uint32_t sub, const uint32_t words[4])
{
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = leaf, .index = sub,
		.flags = leaf == 7 || leaf == 0xd || leaf == 4 || leaf == 0xb ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = words[0], .ebx = words[1], .ecx = words[2], .edx = words[3],
	};
}

/* A CPU of level x86-64-v3. */
static int supported_cpuid(struct kvm_cpuid2 *c)
{
	static const uint32_t zero[4] = { 0x16, 0x756e6547, 0x6c65746e, 0x49656e69 };
	static const uint32_t one[4] = { 0x306c3, 0, 0x3ef8320b, 0x0f8bfbff };
	static const uint32_t four[4] = { 0x121, 0, 0, 0 }, seven[4] = { 0, 0x1c2fbb, 0, 0x8c000400 };
	static const uint32_t eleven[4] = { 0 }, thirteen[4] = { 7, 0x340, 0x340, 0 }, d1[4] = { 1, 0, 0, 0 };
	static const uint32_t paravirtual[4] = { 0x0102fefb, 0, 0, 0 };
	static const uint32_t d2[4] = { 256, 576, 0, 0 };
	static const uint32_t ext[4] = { 0, 0, 0x121, 0x2c100800 };
	const uint32_t addr[4] = { shim.mapped_bits << 16 | 0x3000 | (shim.address_bits ? shim.address_bits : 40), 0, 0, 0 };

	c->nent = 0;
	entry_add(c, 0, 0, zero);
	entry_add(c, 1, 0, one);
	entry_add(c, 4, 0, four);
	entry_add(c, 7, 0, seven);
	entry_add(c, 0xb, 0, eleven);
	entry_add(c, 0xb, 1, eleven);
	entry_add(c, 0xd, 0, thirteen);
	entry_add(c, 0xd, 1, d1);
	entry_add(c, 0xd, 2, d2);
	entry_add(c, 0x40000001, 0, paravirtual);
	entry_add(c, 0x80000001, 0, ext);
	entry_add(c, 0x80000008, 0, addr);
	return 0;
}

static int capability(unsigned long n)
{
	for (uint32_t i = 0; i < 4; i++)
		if (shim.missing[i] == n + 1)
			return 0;
	switch (n) {
	case KVM_CAP_MAX_VCPUS:
		return shim.max_vcpus;
	case KVM_CAP_NR_MEMSLOTS:
		return SHIM_SLOTS;
	case KVM_CAP_COALESCED_MMIO:
		return 2;              /* the page of a vCPU's where the ring is */
	case KVM_CAP_XSAVE2:
		return (int)shim.xsave_bytes;
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_SET_GUEST_DEBUG2:
		return KVM_GUESTDBG_BLOCKIRQ;
	default:
		return 1;
	}
}

static int sys_ioctl(unsigned long request, uintptr_t arg)
{
	struct kvm_msr_list *list = (void *)arg;

	switch (request) {
	case KVM_GET_API_VERSION:
		return shim.version;
	case KVM_CREATE_VM:
		shim.open_fds++;
		return VM_FD;
	case KVM_GET_VCPU_MMAP_SIZE:
		return SHIM_RUN_BYTES;
	case KVM_GET_SUPPORTED_CPUID:
		return supported_cpuid((void *)arg);
	case KVM_GET_MSR_INDEX_LIST:
		list->nmsrs = 6;
		memcpy(list->indices, (uint32_t[]){ 0x10, 0x40000020, 0x277, 0x8b, 0xc0000082, 0x4b564d04 }, 24);
		return 0;
	default:
		return -ENOTTY;
	}
}

/* The VM */

static int slot_set(const struct kvm_userspace_memory_region *r)
{
	if (r->slot >= SHIM_SLOTS)
		return -EINVAL;
	for (uint32_t i = 0; i < SHIM_SLOTS; i++) {
		const struct kvm_userspace_memory_region *s = &shim.slots[i];

		if (i != r->slot && r->memory_size && s->memory_size &&
		    r->guest_phys_addr < s->guest_phys_addr + s->memory_size &&
		    s->guest_phys_addr < r->guest_phys_addr + r->memory_size)
			return -EEXIST;
	}
	/* an existing slot may only be taken away, or get other flags */
	if (r->memory_size && shim.slots[r->slot].memory_size &&
	    (r->memory_size != shim.slots[r->slot].memory_size ||
	     r->guest_phys_addr != shim.slots[r->slot].guest_phys_addr ||
	     r->userspace_addr != shim.slots[r->slot].userspace_addr))
		return -EINVAL;
	shim.slots[r->slot] = *r;
	shim.slot_changes++;
	return 0;
}

/* As without KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: what is read is cleared. */
static int dirty_get(const struct kvm_dirty_log *log)
{
	const struct kvm_userspace_memory_region *s = &shim.slots[log->slot % SHIM_SLOTS];

	if (!(s->flags & KVM_MEM_LOG_DIRTY_PAGES) || s->memory_size > sizeof(shim.dirty[0]) * 8 * 4096)
		return -ENOENT;
	memcpy(log->dirty_bitmap, shim.dirty[log->slot], (s->memory_size / 4096 + 63) / 64 * 8);
	memset(shim.dirty[log->slot], 0, sizeof(shim.dirty[0]));
	return 0;
}

static int vcpu_make(uintptr_t index)
{
	struct shim_vcpu *v;

	if (index >= SHIM_VCPUS)
		return -EINVAL;
	v = &shim.vcpus[index];
	if (v->open)
		return -EEXIST;
	v->index = (uint32_t)index;
	v->open = true;
	v->whole = first_state(v->index);
	v->run = calloc(1, SHIM_RUN_BYTES);
	shim.open_fds++;
	return VCPU_FD + (int)index;
}

static int chip_move(struct kvm_irqchip *chip, bool set)
{
	struct kvm_irqchip *own = chip->chip_id == KVM_IRQCHIP_IOAPIC ? &shim.chips.ioapic : &shim.chips.pic[chip->chip_id];

	if (!shim.irqchip)
		return -ENXIO;
	if (set)
		memcpy(&own->chip, &chip->chip, sizeof(chip->chip));
	else
		memcpy(&chip->chip, &own->chip, sizeof(chip->chip));
	return 0;
}

/* Local APICs: before any vCPU. */
static int cap_enable(const struct kvm_enable_cap *cap)
{
	if (cap->cap == KVM_CAP_X86_USER_SPACE_MSR)
		return cap->args[0] == KVM_MSR_EXIT_REASON_FILTER ? 0 : -EINVAL;
	for (uint32_t i = 0; i < SHIM_VCPUS; i++)
		if (shim.vcpus[i].open)
			return -EEXIST;
	if (cap->cap != KVM_CAP_SPLIT_IRQCHIP || cap->args[0] > 4096 || shim.irqchip)
		return -EINVAL;
	shim.split = true;
	shim.split_pins = (uint8_t)cap->args[0];       /* as wide as Linux has it */
	return 0;
}

static int filter_set(const struct kvm_msr_filter *f)
{
	const struct kvm_msr_filter_range *r = f->ranges;

	shim.msr_filter = f->flags == KVM_MSR_FILTER_DEFAULT_ALLOW && r->flags == KVM_MSR_FILTER_WRITE && r->nmsrs == 1 &&
			  r->base == 0x1b && !(*r->bitmap & 1) && !r[1].nmsrs;
	return 0;
}

static int routes_set(const struct kvm_irq_routing *r)
{
	if (!(shim.split || shim.irqchip) || r->nr > ROUTES || r->flags)
		return -EINVAL;
	memcpy(shim.routes, r->entries, r->nr * sizeof(r->entries[0]));
	shim.route_count = r->nr;
	shim.route_changes++;
	return 0;
}

static int message(const struct kvm_msi *msi)
{
	shim.msi = *msi;
	shim.msi_count++;
	shim.route_before_message = false;
	for (uint32_t i = 0; i < shim.route_count; i++)
		if (shim.routes[i].type == KVM_IRQ_ROUTING_MSI && shim.routes[i].gsi < shim.split_pins &&
		    shim.routes[i].u.msi.address_lo == msi->address_lo && shim.routes[i].u.msi.data == msi->data)
			shim.route_before_message = true;
	return 1;
}

static int interrupt(struct shim_vcpu *v, uint32_t vector)
{
	if (vector > 255)
		return -EINVAL;
	if (shim.irqchip)
		return -ENXIO;
	v->interrupts++;
	v->interrupt = vector;
	v->interrupt_entries = v->entries;
	return 0;
}

static int vm_call(unsigned long request, uintptr_t arg)
{
	void *p = (void *)arg;

	switch (request) {
	case KVM_CHECK_EXTENSION:
		return capability(arg);
	case KVM_SET_IDENTITY_MAP_ADDR: case KVM_SET_TSS_ADDR:
		return 0;
	case KVM_CREATE_IRQCHIP:
		shim.irqchip = true;
		return 0;
	case KVM_CREATE_PIT2:
		shim.pit = true;
		return 0;
	case KVM_GET_IRQCHIP:
		return chip_move(p, false);
	case KVM_SET_IRQCHIP:
		return chip_move(p, true);
	case KVM_GET_PIT2:
		memcpy(p, &shim.chips.pit, sizeof(shim.chips.pit));
		((struct kvm_pit_state2 *)p)->channels[0].count_load_time = shim.calls;
		return 0;
	case KVM_SET_PIT2:
		memcpy(&shim.chips.pit, p, sizeof(shim.chips.pit));
		return 0;
	case KVM_CREATE_VCPU:
		return vcpu_make(arg);
	case KVM_SET_USER_MEMORY_REGION:
		return slot_set(p);
	case KVM_GET_DIRTY_LOG:
		return dirty_get(p);
	case KVM_IRQ_LINE:
		shim.lines[((struct kvm_irq_level *)p)->irq] = ((struct kvm_irq_level *)p)->level;
		return 0;
	case KVM_IOEVENTFD:
		shim.ioeventfd = *(struct kvm_ioeventfd *)p;
		shim.ioeventfds += shim.ioeventfd.flags & KVM_IOEVENTFD_FLAG_DEASSIGN ? -1 : 1;
		return 0;
	case KVM_REGISTER_COALESCED_MMIO: case KVM_UNREGISTER_COALESCED_MMIO:
		shim.zone = *(struct kvm_coalesced_mmio_zone *)p;
		shim.zones += request == KVM_REGISTER_COALESCED_MMIO ? 1 : -1;
		return 0;
	case KVM_IRQFD:
		shim.irqfd = *(struct kvm_irqfd *)p;
		shim.irqfds += shim.irqfd.flags & KVM_IRQFD_FLAG_DEASSIGN ? -1 : 1;
		return 0;
	case KVM_GET_CLOCK:
		shim.clock += 1000;
		((struct kvm_clock_data *)p)->clock = shim.clock;
		return 0;
	case KVM_SET_CLOCK:
		shim.clock = ((struct kvm_clock_data *)p)->clock;
		return 0;
	case KVM_SIGNAL_MSI:
		return message(p);
	case KVM_ENABLE_CAP:
		return cap_enable(p);
	case KVM_X86_SET_MSR_FILTER:
		return filter_set(p);
	case KVM_SET_GSI_ROUTING:
		return routes_set(p);
	default:
		return -ENOTTY;
	}
}

/* vCPUs */

static struct kvm_msr_entry *msr_find(struct whole *w, uint32_t index)
{
	for (uint32_t i = 0; i < w->msr_count; i++)
		if (w->msr[i].index == index)
			return &w->msr[i];
	return NULL;
}

/* Up to the first that there is not; the counter goes on. */
static int list_get(struct whole *w, struct kvm_msrs *list)
{
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry *e = msr_find(w, list->entries[i].index);

		if (!e)
			return (int)i;
		if (e->index == 0x10)
			e->data += 7;
		list->entries[i].data = e->data;
	}
	return (int)list->nmsrs;
}

static bool has_memory_at(uint64_t gpa)
{
	for (uint32_t i = 0; i < SHIM_SLOTS; i++)
		if (gpa - shim.slots[i].guest_phys_addr < shim.slots[i].memory_size)
			return true;
	return false;
}

static int list_set(struct whole *w, const struct kvm_msrs *list)
{
	for (uint32_t i = 0; i < list->nmsrs; i++) {
		struct kvm_msr_entry *e = msr_find(w, list->entries[i].index);

		/* reserved bits, and x2APIC mode */
		if (list->entries[i].index == 0x1b && !(list->entries[i].data & 0x6ff)) {
			w->sregs.apic_base = list->entries[i].data;
			continue;
		}
		if (!e || e->index == shim.readonly_msr)
			return (int)i;
		/* a byte that is shared with the guest, when bit 0 turns it on */
		if (e->index == 0x4b564d04 && list->entries[i].data & 1 && !has_memory_at(list->entries[i].data & ~UINT64_C(1)))
			return (int)i;
		e->data = list->entries[i].data;
	}
	return (int)list->nmsrs;
}

static int cpuid_shown(struct shim_vcpu *v, struct kvm_cpuid2 *to)
{
	uint32_t n = v->cpuid.nent;

	if (to->nent < n)
		return -E2BIG;
	to->nent = n;
	memcpy(to->entries, v->cpuid.entry, n * sizeof(to->entries[0]));
	for (uint32_t i = 0; shim.force_avx2 && i < n; i++)
		if (to->entries[i].function == 7)
			to->entries[i].ebx |= 1u << 5;
	return 0;
}

/* What KVM does before it looks whether there is a guest to run. */
static void timer_take_in(struct shim_vcpu *v)
{
	char *bank = v->whole->lapic.regs + 0x200 + v->timer / 32 * 16 + v->timer % 32 / 8;

	if (v->timer)
		*bank |= (char)(1 << v->timer % 8);
	v->timer = 0;
}

int shim_wait(struct shim_vcpu *v)
{
	sigset_t set, was;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, &was);
	/* a signal from here on waits for what unblocks it; one before came behind immediate_exit */
	if (!__atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST))
		sigsuspend(&was);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	return -EINTR;
}

static int run_vcpu(struct shim_vcpu *v)
{
	int code;

	v->entries++;
	v->run->apic_base = v->whole->sregs.apic_base;
	/* what the kernel does with an access that user space has served */
	if (__atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST))
		return -EINTR;
	timer_take_in(v);
	/* until its start-up, or a signal */
	if ((shim.irqchip || shim.split) && v->whole->mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return -EINTR;
	v->run->exit_reason = KVM_EXIT_UNKNOWN;
	code = shim.guest ? shim.guest(v) : -EINTR;
	v->run->apic_base = v->whole->sregs.apic_base;
	if (v->run->kvm_valid_regs & KVM_SYNC_X86_REGS)
		v->run->s.regs.regs = v->whole->regs;
	if (v->run->kvm_valid_regs & KVM_SYNC_X86_SREGS)
		v->run->s.regs.sregs = v->whole->sregs;
	return code;
}

/* A part that is only kept. */
static void *part_of(struct shim_vcpu *v, unsigned long request, size_t *bytes, bool *set)
{
	struct whole *w = v->whole;
	const struct { unsigned long get, set; void *at; size_t bytes; } parts[] = {
		{ KVM_GET_REGS, KVM_SET_REGS, &w->regs, sizeof(w->regs) },
		{ KVM_GET_SREGS, KVM_SET_SREGS, &w->sregs, sizeof(w->sregs) },
		{ KVM_GET_XCRS, KVM_SET_XCRS, &w->xcrs, sizeof(w->xcrs) },
		/* the old call has no room for more */
		{ shim.xsave_bytes > 4096 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, KVM_SET_XSAVE, w->xsave, shim.xsave_bytes },
		{ KVM_GET_MP_STATE, KVM_SET_MP_STATE, &w->mp, sizeof(w->mp) },
		{ KVM_GET_LAPIC, KVM_SET_LAPIC, &w->lapic, sizeof(w->lapic) },
		{ KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, &w->debug, sizeof(w->debug) },
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (request != parts[i].get && request != parts[i].set)
			continue;
		*bytes = parts[i].bytes;
		*set = request == parts[i].set;
		return parts[i].at;
	}
	return NULL;
}

/* What no flag names stays. */
static int events_set(struct kvm_vcpu_events *own, const struct kvm_vcpu_events *e)
{
	struct kvm_vcpu_events was = *own;

	*own = *e;
	if (!(e->flags & KVM_VCPUEVENT_VALID_NMI_PENDING))
		own->nmi.pending = was.nmi.pending;
	if (!(e->flags & KVM_VCPUEVENT_VALID_SHADOW))
		own->interrupt.shadow = was.interrupt.shadow;
	if (!(e->flags & KVM_VCPUEVENT_VALID_SMM))
		own->smi = was.smi;
	own->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM;
	return 0;
}

static int vcpu_call(struct shim_vcpu *v, unsigned long request, uintptr_t arg)
{
	struct kvm_translation *t = (void *)arg;
	void *p = (void *)arg, *part;
	size_t bytes = 0;
	bool set = false;

	part = part_of(v, request, &bytes, &set);
	if (part) {
		memcpy(set ? part : p, set ? p : part, bytes);
		return 0;
	}
	switch (request) {
	case KVM_RUN:
		return run_vcpu(v);
	case KVM_INTERRUPT:
		return interrupt(v, ((struct kvm_interrupt *)p)->irq);
	case KVM_NMI:
		v->nmis++;
		return 0;
	case KVM_GET_VCPU_EVENTS:
		memcpy(p, &v->whole->events, sizeof(v->whole->events));
		return 0;
	case KVM_SET_VCPU_EVENTS:
		v->event_flags = ((struct kvm_vcpu_events *)p)->flags;
		return events_set(&v->whole->events, p);
	case KVM_SET_SIGNAL_MASK:
		v->has_mask = p != NULL;
		return !p || ((struct kvm_signal_mask *)p)->len == 8 ? 0 : -EINVAL;
	case KVM_SET_CPUID2:
		v->cpuid.nent = ((struct kvm_cpuid2 *)p)->nent;
		memcpy(v->cpuid.entry, ((struct kvm_cpuid2 *)p)->entries,
		       v->cpuid.nent * sizeof(v->cpuid.entry[0]));
		return 0;
	case KVM_GET_CPUID2:
		return cpuid_shown(v, p);
	case KVM_GET_MSRS:
		return list_get(v->whole, p);
	case KVM_SET_MSRS:
		return list_set(v->whole, p);
	case KVM_GET_TSC_KHZ:
		return 2000000;
	case KVM_SET_TSC_KHZ:
		return shim.tsc_control ? 0 : -EINVAL;
	case KVM_KVMCLOCK_CTRL:
		v->pauses++;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		v->debug = *(struct kvm_guest_debug *)p;
		return 0;
	case KVM_TRANSLATE:
		t->valid = t->linear_address < 0x100000;
		t->physical_address = t->linear_address + 0x1000;
		return 0;
	case KVM_GET_FPU:
		memset(p, 0, sizeof(struct kvm_fpu));
		((struct kvm_fpu *)p)->fcw = 0x37f;
		((struct kvm_fpu *)p)->fpr[1][9] = 0x3f;
		return 0;
	default:
		return -ENOTTY;
	}
}

/* The table */

static int shim_open(const char *path)
{
	int error = fails(0);

	if (error || strcmp(path, "/dev/kvm"))
		return error ? error : -ENOENT;
	if (shim.open_error)
		return shim.open_error;
	shim.open_fds++;
	return SYS_FD;
}

static int shim_ioctl(int fd, unsigned long request, uintptr_t arg)
{
	/* capabilities are asked, not done: a kernel that fails there has none */
	int error = request == KVM_CHECK_EXTENSION || request == KVM_RUN ? 0 : fails(request);

	if (error)
		return error;
	if (fd == SYS_FD)
		return sys_ioctl(request, arg);
	if (fd == VM_FD)
		return vm_call(request, arg);
	return fd < VCPU_FD ? -EBADF : vcpu_call(&shim.vcpus[fd - VCPU_FD], request, arg);
}

static void *shim_map(int fd, size_t len_bytes, int *error)
{
	*error = fails(1);
	if (*error)
		return NULL;
	return len_bytes == SHIM_RUN_BYTES ? shim.vcpus[fd - VCPU_FD].run : NULL;
}

static void shim_unmap(void *addr, size_t len_bytes)
{
	(void)addr, (void)len_bytes;
}

static void shim_close(int fd)
{
	shim.open_fds--;
	if (fd >= VCPU_FD) {
		struct shim_vcpu *v = &shim.vcpus[fd - VCPU_FD];

		free(v->whole);
		free(v->run);
		memset(v, 0, sizeof(*v));
	} else if (fd == VM_FD) {
		memset(shim.slots, 0, sizeof(shim.slots));
	}
}

const struct kvm_ops kvm_ops = {
	.open = shim_open, .ioctl = shim_ioctl, .map = shim_map, .unmap = shim_unmap, .close = shim_close,
};

static int leave(struct shim_vcpu *v)
{
	(void)v;
	return -EINTR;
}

int shim_run_and_leave(uint32_t vcpu)
{
	shim.guest = leave;
	b.cls->kick(b.vcpu[vcpu]);
	return bench_run(vcpu);
}

void shim_another_host(void)
{
	bench_down();
	shim_stop();
	shim_start();
	bench_new(2);
	if (bench_up() < 0)
		bench_die("the machine does not start");
}
