/* SPDX-License-Identifier: MIT */
/*
 * The sizes and member offsets of the public structs, as asserts: a header that changes one does not compile here.
 * This needs no tool but the compiler; witness.sh sees types and signatures too. record.sh writes offsets.h.
 */
#include <stddef.h>

#include <mortise/note.h>

#include <mortise/draft/acpi.h>
#include <mortise/draft/block-bitmap.h>
#include <mortise/draft/block-cache.h>
#include <mortise/draft/block-create.h>
#include <mortise/draft/block-filter.h>
#include <mortise/draft/block-format.h>
#include <mortise/draft/block-image.h>
#include <mortise/draft/block-node.h>
#include <mortise/draft/block-protocol.h>
#include <mortise/draft/block.h>
#include <mortise/draft/boot.h>
#include <mortise/draft/char.h>
#include <mortise/draft/clock.h>
#include <mortise/draft/cpu-debug.h>
#include <mortise/draft/cpu-dirty.h>
#include <mortise/draft/cpu-eventfd.h>
#include <mortise/draft/cpu-sysreg.h>
#include <mortise/draft/cpu-vector.h>
#include <mortise/draft/cpu.h>
#include <mortise/draft/device.h>
#include <mortise/draft/dma.h>
#include <mortise/draft/fdt.h>
#include <mortise/draft/irq.h>
#include <mortise/draft/log.h>
#include <mortise/draft/loop.h>
#include <mortise/draft/mmio.h>
#include <mortise/draft/msi.h>
#include <mortise/draft/net.h>
#include <mortise/draft/pci.h>
#include <mortise/draft/power.h>
#include <mortise/draft/props.h>
#include <mortise/draft/ram.h>
#include <mortise/draft/state.h>
#include <mortise/draft/virtio.h>

#define SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), "size of " #type);
#define OFFSET(type, member, bytes) _Static_assert(offsetof(struct type, member) == (bytes), #type "." #member);

#include "offsets.h"

int main(void)
{
	return 0;
}
