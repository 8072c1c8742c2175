#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The machine with APLIC and IMSIC: Debian's kernel takes its interrupts by messages, on one hart and on four."""
import os
import re
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

# what the kernel says of each part, in the order of its messages
BOOT = (rb"Platform IPI Device +: aia-imsic", rb"local interrupts mapped using AIA", rb"providing IPIs using interrupt 1",
        rb"per-CPU IDs 255 at base address 0x0*28000000", rb"96 interrupts forwarded to MSI base 0x0*28000000")


def counts(guest, name):
    """The counts of an interrupt for each hart, by a part of its line in /proc/interrupts."""
    found = m.shell(guest, f"grep '{name}' /proc/interrupts", rb" *[0-9A-Za-z]+:[^\r\n]*" + name.encode() + rb"[^\r\n]*")
    m.step(found[1].decode().strip())
    return [int(word) for word in re.match(rb" *\w+:((?: +\d+)+)", found[1])[1].split()]


def boot(harts):
    m.step(f"{harts} harts")
    with m.linux("mortise.script=cpu mortise.end=shell", harts=harts, board="virt-riscv64-aia").start() as guest:
        for line in BOOT:
            guest.expect(line, m.BOOT_SECONDS)
        m.marks(guest, "modules", "awk-sum", "hash", "forks", "clock")
        guest.expect(m.PROMPT, 30)
        for name in ("APLIC-MSI.*ttyS0", "APLIC-MSI.*virtio"):
            m.check(sum(counts(guest, name)) > 0, f"no interrupt of {name}")
        if harts > 1:
            m.check(all(counts(guest, "Rescheduling interrupts")), "a hart got no interrupt from another")
        guest.type(b"exit\n")
        m.ends_with(guest, 0)


def disk_board(folder):
    """The board with a disk of four queues on the PCI bus."""
    disk, path = os.path.join(folder, "disk"), os.path.join(folder, "machine.ini")
    with open(disk, "wb") as f:
        f.truncate(16 << 20)
    with open(path, "w", encoding="utf-8") as f:
        f.write("[machine]\nschema = 1\nbase = virt-riscv64-aia\n"
                f"[block disk]\nplugin = block-raw\nfile = \"{disk}\"\n"
                "[device vda]\nplugin = dev-virtio-blk\nbus = slot1\nblock = disk\nqueues = 4\n")
    return path


def vectors(folder):
    """Each queue of a disk has its message; a hart's reads come back by the message of its queue."""
    m.step("a vector for each queue")
    with m.linux("quiet", harts=4, board=disk_board(folder)).start() as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        m.shell(guest, "ls /dev/vda", rb"/dev/vda")
        counts(guest, "PCI-MSIX.*virtio0-config")
        for hart in range(4):
            m.shell(guest, f"taskset {1 << hart:x} dd if=/dev/vda of=/dev/null bs=4k count=50 iflag=direct 2>&1 | grep out",
                    rb"50\+0 records out")
        for queue in range(4):
            m.check(sum(counts(guest, f"PCI-MSIX.*virtio0-req.{queue}")) >= 50, f"queue {queue} was silent")
        guest.type(b"exit\n")
        m.ends_with(guest, 0)


def test(folder):
    for harts in (1, 4):
        boot(harts)
    vectors(folder)


m.main(test)
