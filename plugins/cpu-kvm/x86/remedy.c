/* SPDX-License-Identifier: MIT */
/* What helps a host without /dev/kvm, by its CPU (Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E). [any]. */
#include <cpuid.h>
#include <string.h>

#include "x86.h"

#define VMX (1u << 5)              /* leaf 1, ecx */
#define SVM (1u << 2)              /* leaf 0x80000001, ecx */

const char *remedy_of(const char vendor[12], bool vmx, bool svm)
{
	if (vmx)
		return "load the module of this host's CPU: modprobe kvm_intel";
	if (svm)
		return "load the module of this host's CPU: modprobe kvm_amd";
	if (!memcmp(vendor, "GenuineIntel", 12))
		return "this CPU shows no VT-x: enable it in the firmware, or, where this is a virtual machine, in its host; then "
		       "modprobe kvm_intel";
	if (!memcmp(vendor, "AuthenticAMD", 12) || !memcmp(vendor, "HygonGenuine", 12))
		return "this CPU shows no SVM: enable it in the firmware, or, where this is a virtual machine, in its host; then "
		       "modprobe kvm_amd";
	return "enable virtualization in the firmware, and load the module of this host's CPU (modprobe kvm_intel, or "
	       "kvm_amd)";
}

const char *arch_remedy(void)
{
	uint32_t eax, words[3] = { 0, 0, 0 }, ecx = 0, ecx_more = 0, unused;

	__get_cpuid(0, &eax, &words[0], &words[2], &words[1]);
	__get_cpuid(1, &eax, &unused, &ecx, &unused);
	__get_cpuid(0x80000001, &eax, &unused, &ecx_more, &unused);
	return remedy_of((const char *)words, ecx & VMX, ecx_more & SVM);
}
