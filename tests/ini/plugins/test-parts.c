// SPDX-License-Identifier: MIT
// Classes with a property of each type, for the corpus of machine files. Nothing here ever runs.
#define MT_NOTE_NAME     "test-parts"
#define MT_NOTE_VERSION  "1"
#define MT_NOTE_VENDOR   "mortise"
#define MT_NOTE_LICENCE  "MIT"
#define MT_NOTE_SUMMARY  "parts for tests"
#define MT_NOTE_REQUIRES ""
#define MT_NOTE_OPTIONAL ""
#define MT_NOTE_CAPS     0
#define MT_NOTE_CLASSES(C) \
	C(cpu, "test-cpu", MT_KIND_CPU, 0, "a processor", "mortise.irq-sink/1 arch/riscv64 arch/aarch64", CPU_PROPS) \
	C(boot, "test-boot", MT_KIND_BOOT, 0, "a boot loader", "", BOOT_PROPS) \
	C(plic, "test-plic", MT_KIND_DEVICE, 0, "an interrupt controller", "mortise.irq-sink/1", PLIC_PROPS) \
	C(chr, "test-char", MT_KIND_DEVICE, 0, "a character port", "mortise.char/1", CHAR_PROPS) \
	C(nic, "test-nic", MT_KIND_DEVICE, 0, "a network card", "", NIC_PROPS) \
	C(disk, "test-disk", MT_KIND_BLOCK, 0, "a disk format", "mortise.block/1", DISK_PROPS)
#define CPU_PROPS(P, c) \
	P(c, count, "count", MT_PROP_INT, "1", "1..64", "", 0, "number of vCPUs")
#define BOOT_PROPS(P, c) \
	P(c, kernel, "kernel", MT_PROP_PATH, "", "", "", 0, "kernel image") \
	P(c, append, "append", MT_PROP_STRING, "", "", "", 0, "kernel command line") \
	P(c, load_at, "load-at", MT_PROP_ADDR, "", "", "", 0, "where to load it")
#define PLIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x4000000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, parent, "parent", MT_PROP_REF, "", "", "", 0, "whose controller this is")
#define CHAR_PROPS(P, c) \
	P(c, peer, "peer", MT_PROP_REF, "", "", "", 0, "the section to copy to")
#define NIC_PROPS(P, c) \
	P(c, at, "at", MT_PROP_ADDR, "", "0x1000", "", MT_PROPF_REQUIRED, "guest-physical base address") \
	P(c, port, "port", MT_PROP_ADDR, "", "8", "io", 0, "port address") \
	P(c, irq, "irq", MT_PROP_IRQ, "", "", "", 0, "interrupt output") \
	P(c, msix, "msix", MT_PROP_IRQ, "", "2", "", 0, "two more outputs") \
	P(c, mac, "mac", MT_PROP_MAC, "52:54:00:12:34:56", "", "", 0, "address on the network") \
	P(c, queues, "queues", MT_PROP_INT, "1", "1..16", "", 0, "number of queues") \
	P(c, buffer, "buffer", MT_PROP_SIZE, "64K", "4K..1M", "bytes", 0, "size of a buffer") \
	P(c, linger, "linger", MT_PROP_DURATION, "10ms", "", "", 0, "time to wait") \
	P(c, mode, "mode", MT_PROP_ENUM, "auto", "auto|fast|slow", "", 0, "how hard to try") \
	P(c, trace, "trace", MT_PROP_BOOL, "off", "", "", 0, "tell all") \
	P(c, chr, "char", MT_PROP_REF, "", "mortise.char/1", "", 0, "where to tell it") \
	P(c, backing, "backing", MT_PROP_REF, "", "mortise.block/1", "", 0, "where to keep it") \
	P(c, hostfwd, "hostfwd", MT_PROP_LIST, "", "", "", 0, "ports to pass on") \
	P(c, vlan, "vlan", MT_PROP_STRING, "", "", "", MT_PROPF_DEPRECATED, "use 'queues'")
#define DISK_PROPS(P, c) \
	P(c, file, "file", MT_PROP_PATH, "", "", "", MT_PROPF_REQUIRED, "the image")
#include <mortise/note-emit.h>

const struct mt_plugin *mortise_plugin_entry(const struct mt_host *host, struct mt_error *err)
{
	(void)host;
	(void)err;
	return 0;
}
