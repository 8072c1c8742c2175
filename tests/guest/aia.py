#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The machine with APLIC and IMSIC: Debian's kernel takes its interrupts by messages, on one hart and on four."""
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


def test(_folder):
    for harts in (1, 4):
        boot(harts)


m.main(test)
