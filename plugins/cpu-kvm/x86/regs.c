/* SPDX-License-Identifier: MIT */
/*
 * Registers of an x86-64 vCPU by name: the schema that debuggers, loaders and the monitor use. [main], while the
 * vCPU does not run. The numbers begin as GDB's core registers of amd64 do; they are not to be changed.
 *
 * Registers are read from KVM when somebody asks, and kept until the vCPU runs; what was written goes to KVM before
 * that (arch_before_run). Attributes of segments have the layout of VMX (Intel SDM volume 3, "Guest Register State").
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "x86.h"

/* Where a register lives. */
#define IN_REGS     0u
#define IN_SREGS    1u
#define IN_SELECTOR 2u             /* of the segment at `offset` of the special registers */
#define IN_LIMIT    3u
#define IN_ATTR     4u
#define IN_TABLE    5u             /* limit of a descriptor table */
#define IN_FPU      6u             /* st0 .. st7, number in `offset` */
#define IN_CONTROL  7u             /* control words of the FPU, number in `offset` */

struct reg {
	char name[16];
	const char *group;
	uint8_t in, width_bytes;
	uint16_t offset;
};

#define R(name, member) { name, "general", IN_REGS, 8, offsetof(struct kvm_regs, member) }
#define S(name, member) { name, "system", IN_SREGS, 8, offsetof(struct kvm_sregs, member) }
#define SEL(name, width) { #name, "general", IN_SELECTOR, width, offsetof(struct kvm_sregs, name) }
#define SEG(name, text) \
	{ text ".base", "system", IN_SREGS, 8, offsetof(struct kvm_sregs, name.base) }, \
	{ text ".limit", "system", IN_LIMIT, 4, offsetof(struct kvm_sregs, name) }, \
	{ text ".attr", "system", IN_ATTR, 4, offsetof(struct kvm_sregs, name) }
#define ST(n) { "st" #n, "float", IN_FPU, 10, n }
#define FC(name, n) { name, "float", IN_CONTROL, 4, n }

static const struct reg regs[] = {
	R("rax", rax), R("rbx", rbx), R("rcx", rcx), R("rdx", rdx), R("rsi", rsi), R("rdi", rdi), R("rbp", rbp),
	R("rsp", rsp), R("r8", r8), R("r9", r9), R("r10", r10), R("r11", r11), R("r12", r12), R("r13", r13),
	R("r14", r14), R("r15", r15), R("rip", rip), { "eflags", "general", IN_REGS, 4, offsetof(struct kvm_regs, rflags) },
	SEL(cs, 4), SEL(ss, 4), SEL(ds, 4), SEL(es, 4), SEL(fs, 4), SEL(gs, 4),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FC("fctrl", 0), FC("fstat", 1), FC("ftag", 2), FC("fiseg", 3), FC("fioff", 4), FC("foseg", 5), FC("fooff", 6),
	FC("fop", 7),
	S("cr0", cr0), S("cr2", cr2), S("cr3", cr3), S("cr4", cr4), S("cr8", cr8), S("efer", efer),
	S("apic_base", apic_base), SEL(tr, 4), SEL(ldt, 4),
	SEG(cs, "cs"), SEG(ss, "ss"), SEG(ds, "ds"), SEG(es, "es"), SEG(fs, "fs"), SEG(gs, "gs"), SEG(tr, "tr"),
	SEG(ldt, "ldt"),
	S("gdt.base", gdt.base), { "gdt.limit", "system", IN_TABLE, 2, offsetof(struct kvm_sregs, gdt) },
	S("idt.base", idt.base), { "idt.limit", "system", IN_TABLE, 2, offsetof(struct kvm_sregs, idt) },
};

#define REG_COUNT (sizeof(regs) / sizeof(regs[0]))
#define GDB_CORE_END 40u           /* the registers of org.gnu.gdb.i386.core */

int regs_know(struct kvm_vcpu *v)
{
	struct arch_vcpu *a = v->arch;
	int code;

	if (a->known)
		return 0;
	code = vcpu_ioctl(v, KVM_GET_REGS, &a->regs);
	if (code >= 0)
		code = vcpu_ioctl(v, KVM_GET_SREGS, &a->sregs);
	a->known = code >= 0;
	return code < 0 ? code : 0;
}

/* Attributes */

static uint32_t attr_get(const struct kvm_segment *s)
{
	return s->type | (uint32_t)s->s << 4 | (uint32_t)s->dpl << 5 | (uint32_t)s->present << 7 |
	       (uint32_t)s->avl << 12 | (uint32_t)s->l << 13 | (uint32_t)s->db << 14 | (uint32_t)s->g << 15 |
	       (uint32_t)s->unusable << 16;
}

static void attr_set(struct kvm_segment *s, uint64_t value)
{
	s->type = value & 15;
	s->s = value >> 4 & 1;
	s->dpl = value >> 5 & 3;
	s->present = value >> 7 & 1;
	s->avl = value >> 12 & 1;
	s->l = value >> 13 & 1;
	s->db = value >> 14 & 1;
	s->g = value >> 15 & 1;
	s->unusable = value >> 16 & 1;
}

/* The role */

static uint32_t reg_count(void *self)
{
	(void)self;
	return REG_COUNT;
}

static int reg_describe(void *self, uint32_t index, struct mt_reg_desc *out)
{
	const struct reg *r;

	(void)self;
	if (index >= REG_COUNT)
		return MT_ENOENT;
	r = &regs[index];
	*out = (struct mt_reg_desc){
		.size = sizeof(*out), .number = index, .width_bytes = r->width_bytes,
		.flags = r->in == IN_FPU || r->in == IN_CONTROL ? MT_REG_READONLY : 0,
	};
	memcpy(out->name, r->name, sizeof(out->name));
	snprintf(out->group, sizeof(out->group), "%s", r->group);
	return 0;
}

static int fpu_read(struct kvm_vcpu *v, const struct reg *r, uint64_t *value)
{
	struct kvm_fpu fpu;
	int code = vcpu_ioctl(v, KVM_GET_FPU, &fpu);
	const uint32_t control[8] = { fpu.fcw, fpu.fsw, fpu.ftwx, fpu.last_ip >> 32 & 0xffff, (uint32_t)fpu.last_ip,
				      fpu.last_dp >> 32 & 0xffff, (uint32_t)fpu.last_dp, fpu.last_opcode };

	if (code < 0)
		return MT_EIO;
	if (r->in == IN_FPU)
		memcpy(value, fpu.fpr[r->offset], 10);
	else
		*value = control[r->offset];
	return 0;
}

/* `value` of a register wider than 8 bytes has two words. */
static int reg_read(void *vcpu, uint32_t number, uint64_t *value)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	const struct reg *r;
	const void *at;

	if (number >= REG_COUNT)
		return MT_ENOENT;
	r = &regs[number];
	if (r->width_bytes > 8)
		value[1] = 0;
	if (r->in == IN_FPU || r->in == IN_CONTROL)
		return fpu_read(v, r, value);
	if (regs_know(v) < 0)
		return MT_EIO;
	at = (const char *)(r->in == IN_REGS ? (const void *)&a->regs : &a->sregs) + r->offset;
	switch (r->in) {
	case IN_SELECTOR:
		*value = ((const struct kvm_segment *)at)->selector;
		break;
	case IN_LIMIT:
		*value = ((const struct kvm_segment *)at)->limit;
		break;
	case IN_ATTR:
		*value = attr_get(at);
		break;
	case IN_TABLE:
		*value = ((const struct kvm_dtable *)at)->limit;
		break;
	default:
		memcpy(value, at, sizeof(*value));
	}
	return 0;
}

static int reg_write(void *vcpu, uint32_t number, uint64_t value)
{
	struct kvm_vcpu *v = vcpu;
	struct arch_vcpu *a = v->arch;
	const struct reg *r;
	void *at;

	if (number >= REG_COUNT)
		return MT_ENOENT;
	r = &regs[number];
	if (r->in == IN_FPU || r->in == IN_CONTROL)
		return MT_ENOTSUP;
	if (regs_know(v) < 0)
		return MT_EIO;
	at = (char *)(r->in == IN_REGS ? (void *)&a->regs : &a->sregs) + r->offset;
	switch (r->in) {
	case IN_SELECTOR:
		((struct kvm_segment *)at)->selector = (uint16_t)value;
		break;
	case IN_LIMIT:
		((struct kvm_segment *)at)->limit = (uint32_t)value;
		break;
	case IN_ATTR:
		attr_set(at, value);
		break;
	case IN_TABLE:
		((struct kvm_dtable *)at)->limit = (uint16_t)value;
		break;
	default:
		memcpy(at, &value, sizeof(value));
	}
	a->regs_changed |= r->in == IN_REGS;
	a->sregs_changed |= r->in != IN_REGS;
	return 0;
}

const struct mt_cpu_regs arch_regs = {
	.count = reg_count, .describe = reg_describe, .read = reg_read, .write = reg_write,
};

/* GDB's description */

static const char *type_of(const struct reg *r)
{
	if (r->in == IN_FPU)
		return "i387_ext";
	if (!strcmp(r->name, "rip"))
		return "code_ptr";
	if (!strcmp(r->name, "rsp") || !strcmp(r->name, "rbp"))
		return "data_ptr";
	return r->width_bytes == 8 ? "int64" : "int32";
}

struct text {
	char *text;
	uint64_t bytes, at;
};

static void put(struct text *t, const char *a, const char *b, const char *c)
{
	uint64_t left = t->at < t->bytes ? t->bytes - t->at : 0;
	int n = snprintf(left ? t->text + t->at : NULL, left, "%s%s%s", a, b, c);

	t->at += n > 0 ? (uint64_t)n : 0;
}

static void put_reg(struct text *t, uint32_t number)
{
	const struct reg *r = &regs[number];
	char rest[96], name[16];

	/* a dot would be a member to GDB */
	snprintf(name, sizeof(name), "%s", r->name);
	for (char *dot = strchr(name, '.'); dot; dot = strchr(dot, '.'))
		*dot = '_';
	snprintf(rest, sizeof(rest), "\" bitsize=\"%u\" regnum=\"%u\" type=\"%s\"/>\n", r->width_bytes * 8u, number,
		 type_of(r));
	put(t, "<reg name=\"", name, rest);
}

/* All of them: the core that GDB insists on, and the rest beside it. */
uint64_t regs_description(void *self, char *text, uint64_t text_bytes)
{
	struct text t = { text, text_bytes, 0 };

	(void)self;
	put(&t, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n<target version=\"1.0\">\n",
	    "<architecture>i386:x86-64</architecture>\n", "<feature name=\"org.gnu.gdb.i386.core\">\n");
	for (uint32_t i = 0; i < GDB_CORE_END; i++)
		put_reg(&t, i);
	put(&t, "</feature>\n", "<feature name=\"org.mortise.x86.system\">\n", "");
	for (uint32_t i = GDB_CORE_END; i < REG_COUNT; i++)
		put_reg(&t, i);
	put(&t, "</feature>\n", "</target>\n", "");
	return t.at;
}
