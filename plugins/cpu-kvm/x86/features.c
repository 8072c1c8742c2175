/* SPDX-License-Identifier: MIT */
/*
 * Features of x86 CPUs by name, and the level of the x86-64 psABI that brings each ("Micro-Architecture Levels").
 * Names are those of the Linux flags. What is not here no model but `host` has.
 */
#include <string.h>

#include "x86.h"

#define EAX 0
#define EBX 1
#define ECX 2
#define EDX 3
#define PLATFORM FEATURE_PLATFORM

const struct feature features[] = {
	/* leaf 1 (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E) */
	{ "fpu", 1, 0, EDX, 0, 1 }, { "vme", 1, 0, EDX, 1, PLATFORM },
	{ "de", 1, 0, EDX, 2, PLATFORM }, { "pse", 1, 0, EDX, 3, PLATFORM },
	{ "tsc", 1, 0, EDX, 4, PLATFORM }, { "msr", 1, 0, EDX, 5, PLATFORM },
	{ "pae", 1, 0, EDX, 6, PLATFORM }, { "mce", 1, 0, EDX, 7, PLATFORM },
	{ "cx8", 1, 0, EDX, 8, 1 }, { "apic", 1, 0, EDX, 9, PLATFORM },
	{ "sep", 1, 0, EDX, 11, PLATFORM }, { "mtrr", 1, 0, EDX, 12, PLATFORM },
	{ "pge", 1, 0, EDX, 13, PLATFORM }, { "mca", 1, 0, EDX, 14, PLATFORM },
	{ "cmov", 1, 0, EDX, 15, 1 }, { "pat", 1, 0, EDX, 16, PLATFORM },
	{ "pse36", 1, 0, EDX, 17, PLATFORM }, { "clflush", 1, 0, EDX, 19, PLATFORM },
	{ "mmx", 1, 0, EDX, 23, 1 }, { "fxsr", 1, 0, EDX, 24, 1 }, { "sse", 1, 0, EDX, 25, 1 },
	{ "sse2", 1, 0, EDX, 26, 1 },
	{ "sse3", 1, 0, ECX, 0, 2 }, { "pclmulqdq", 1, 0, ECX, 1, 0 }, { "ssse3", 1, 0, ECX, 9, 2 },
	{ "fma", 1, 0, ECX, 12, 3 }, { "cx16", 1, 0, ECX, 13, 2 }, { "pcid", 1, 0, ECX, 17, 0 },
	{ "sse4_1", 1, 0, ECX, 19, 2 }, { "sse4_2", 1, 0, ECX, 20, 2 },
	{ "x2apic", 1, 0, ECX, 21, PLATFORM }, { "movbe", 1, 0, ECX, 22, 3 }, { "popcnt", 1, 0, ECX, 23, 2 },
	{ "monitor", 1, 0, ECX, 3, 0 }, { "vmx", 1, 0, ECX, 5, 0 }, { "pdcm", 1, 0, ECX, 15, 0 },
	{ "tsc_deadline_timer", 1, 0, ECX, 24, PLATFORM }, { "aes", 1, 0, ECX, 25, 0 },
	{ "xsave", 1, 0, ECX, 26, 3 }, { "avx", 1, 0, ECX, 28, 3 }, { "f16c", 1, 0, ECX, 29, 3 },
	{ "rdrand", 1, 0, ECX, 30, 0 }, { "hypervisor", 1, 0, ECX, 31, PLATFORM },
	/* leaf 7 */
	{ "fsgsbase", 7, 0, EBX, 0, 0 }, { "tsc_adjust", 7, 0, EBX, 1, PLATFORM }, { "bmi1", 7, 0, EBX, 3, 3 },
	{ "hle", 7, 0, EBX, 4, 0 }, { "avx2", 7, 0, EBX, 5, 3 }, { "smep", 7, 0, EBX, 7, 0 },
	{ "bmi2", 7, 0, EBX, 8, 3 }, { "erms", 7, 0, EBX, 9, 0 }, { "invpcid", 7, 0, EBX, 10, 0 },
	{ "rtm", 7, 0, EBX, 11, 0 }, { "avx512f", 7, 0, EBX, 16, 4 }, { "avx512dq", 7, 0, EBX, 17, 4 },
	{ "rdseed", 7, 0, EBX, 18, 0 }, { "adx", 7, 0, EBX, 19, 0 }, { "smap", 7, 0, EBX, 20, 0 },
	{ "clflushopt", 7, 0, EBX, 23, 0 }, { "clwb", 7, 0, EBX, 24, 0 }, { "avx512cd", 7, 0, EBX, 28, 4 },
	{ "sha_ni", 7, 0, EBX, 29, 0 }, { "avx512bw", 7, 0, EBX, 30, 4 }, { "avx512vl", 7, 0, EBX, 31, 4 },
	{ "sgx", 7, 0, EBX, 2, 0 }, { "mpx", 7, 0, EBX, 14, 0 },
	{ "avx512ifma", 7, 0, EBX, 21, 0 }, { "intel_pt", 7, 0, EBX, 25, 0 },
	{ "avx512vbmi", 7, 0, ECX, 1, 0 }, { "waitpkg", 7, 0, ECX, 5, 0 }, { "avx512_vbmi2", 7, 0, ECX, 6, 0 },
	{ "avx512_vnni", 7, 0, ECX, 11, 0 }, { "avx512_bitalg", 7, 0, ECX, 12, 0 },
	{ "avx512_vpopcntdq", 7, 0, ECX, 14, 0 }, { "bus_lock_detect", 7, 0, ECX, 24, 0 },
	{ "cldemote", 7, 0, ECX, 25, 0 }, { "movdiri", 7, 0, ECX, 27, 0 }, { "movdir64b", 7, 0, ECX, 28, 0 },
	{ "umip", 7, 0, ECX, 2, 0 }, { "pku", 7, 0, ECX, 3, 0 }, { "gfni", 7, 0, ECX, 8, 0 },
	{ "vaes", 7, 0, ECX, 9, 0 }, { "vpclmulqdq", 7, 0, ECX, 10, 0 }, { "la57", 7, 0, ECX, 16, 0 },
	{ "rdpid", 7, 0, ECX, 22, 0 }, { "fsrm", 7, 0, EDX, 4, 0 },
	{ "avx512_vp2intersect", 7, 0, EDX, 8, 0 }, { "serialize", 7, 0, EDX, 14, 0 },
	{ "tsxldtrk", 7, 0, EDX, 16, 0 }, { "amx_bf16", 7, 0, EDX, 22, 0 }, { "avx512_fp16", 7, 0, EDX, 23, 0 },
	{ "amx_tile", 7, 0, EDX, 24, 0 }, { "amx_int8", 7, 0, EDX, 25, 0 },
	{ "avx_vnni", 7, 1, EAX, 4, 0 }, { "avx512_bf16", 7, 1, EAX, 5, 0 }, { "amx_fp16", 7, 1, EAX, 21, 0 },
	{ "avx_ifma", 7, 1, EAX, 23, 0 }, { "lam", 7, 1, EAX, 26, 0 },
	{ "flush_l1d", 7, 0, EDX, 28, PLATFORM },
	{ "md_clear", 7, 0, EDX, 10, PLATFORM }, { "spec_ctrl", 7, 0, EDX, 26, PLATFORM },
	{ "arch_capabilities", 7, 0, EDX, 29, PLATFORM }, { "ssbd", 7, 0, EDX, 31, PLATFORM },
	/* leaf 0xd, subleaf 1 */
	{ "xsaveopt", 0xd, 1, EAX, 0, 0 }, { "xsavec", 0xd, 1, EAX, 1, 0 }, { "xgetbv1", 0xd, 1, EAX, 2, 0 },
	{ "xsaves", 0xd, 1, EAX, 3, 0 },
	/* leaf 0x80000001 */
	{ "lahf_lm", 0x80000001, 0, ECX, 0, 2 }, { "svm", 0x80000001, 0, ECX, 2, 0 },
	{ "abm", 0x80000001, 0, ECX, 5, 3 }, { "sse4a", 0x80000001, 0, ECX, 6, 0 },
	{ "3dnowprefetch", 0x80000001, 0, ECX, 8, 0 }, { "xop", 0x80000001, 0, ECX, 11, 0 },
	{ "cr8_legacy", 0x80000001, 0, ECX, 4, 0 }, { "misalignsse", 0x80000001, 0, ECX, 7, 0 },
	{ "osvw", 0x80000001, 0, ECX, 9, 0 }, { "topoext", 0x80000001, 0, ECX, 22, 0 },
	{ "perfctr_core", 0x80000001, 0, ECX, 23, 0 }, { "3dnowext", 0x80000001, 0, EDX, 30, 0 },
	{ "3dnow", 0x80000001, 0, EDX, 31, 0 },
	{ "fma4", 0x80000001, 0, ECX, 16, 0 }, { "tbm", 0x80000001, 0, ECX, 21, 0 },
	{ "syscall", 0x80000001, 0, EDX, 11, 1 }, { "nx", 0x80000001, 0, EDX, 20, PLATFORM },
	{ "mmxext", 0x80000001, 0, EDX, 22, 0 }, { "fxsr_opt", 0x80000001, 0, EDX, 25, 0 },
	{ "pdpe1gb", 0x80000001, 0, EDX, 26, 0 }, { "rdtscp", 0x80000001, 0, EDX, 27, 0 },
	{ "lm", 0x80000001, 0, EDX, 29, 1 },
	/* leaf 0x80000008, of which models leave all that the host has */
	{ "clzero", 0x80000008, 0, EBX, 0, PLATFORM }, { "xsaveerptr", 0x80000008, 0, EBX, 2, PLATFORM },
	{ "rdpru", 0x80000008, 0, EBX, 4, PLATFORM }, { "wbnoinvd", 0x80000008, 0, EBX, 9, PLATFORM },
	{ "ibpb", 0x80000008, 0, EBX, 12, PLATFORM }, { "ibrs", 0x80000008, 0, EBX, 14, PLATFORM },
	{ "stibp", 0x80000008, 0, EBX, 15, PLATFORM },
};

const uint32_t feature_count = sizeof(features) / sizeof(features[0]);

/* Linux has a name of its own for SSE3, from "Prescott New Instructions". */
const struct feature *feature_find(const char *name)
{
	if (!strcmp(name, "pni"))
		name = "sse3";
	for (uint32_t i = 0; i < feature_count; i++)
		if (!strcmp(features[i].name, name))
			return &features[i];
	return NULL;
}
