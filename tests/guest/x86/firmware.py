#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""SeaBIOS on this host's KVM: the key for its menu, a virtio disk chosen there, and an NVMe disk with two CPUs."""
import os

import x86
from x86 import m

# where ring 0 is interpreted, one start takes 7 s
SECONDS = 120
SECTOR_SAYS = ("(?s)" + x86.SECTOR_SAYS.replace(r"\n", r"\r*\n")).encode()
MENU = "virtio-blk\nbus = slot1", ["fwcfg.number.2=etc/boot-menu-wait=600000"]
NVME = "nvme\nbus = pci", ["cpu.count=2"]


def start(folder, name, disk, settings):
    """The shipped machine with a disk whose boot sector tells what it finds."""
    with open(os.path.join(m.SOURCE, "conf/virt-x86_64-bios.ini"), encoding="utf-8") as f:
        shipped = f.read()
    path = os.path.join(folder, name + ".ini")
    with open(path, "w", encoding="utf-8") as f:
        f.write(shipped + x86.BIOS.replace("virtio-blk\nbus = slot1", disk))
    words = [m.EMULATOR, "run", "--verbose", path]
    for setting in [*x86.BIOS_SETTINGS[:-1], "boot.firmware=" + x86.FIRMWARE, *settings]:
        words += ["-s", setting]
    return m.console.Console(words)


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    x86.need_kvm()
    if not os.path.exists(x86.FIRMWARE):
        raise m.Skip("SeaBIOS is missing (Debian: seabios)")
    x86.build_sector(folder)
    with start(folder, "menu", *MENU) as machine:
        machine.expect(rb"Press ESC for boot menu\.", SECONDS)
        machine.type(b"\x1b")
        machine.expect(rb"Select boot device:\s+1\. Virtio disk", SECONDS)
        machine.type(b"1")
        machine.expect(SECTOR_SAYS, SECONDS)
        m.ends_with(machine, 0)
    m.step("SeaBIOS's menu, and a virtio disk chosen there")
    with start(folder, "nvme", *NVME) as machine:
        machine.expect(SECTOR_SAYS, SECONDS)
        m.ends_with(machine, 0)
        m.check(b"KVM collects writes of port 0x402" in machine.seen, "the firmware's messages are collected")
    with open(os.path.join(folder, "log"), encoding="ascii", errors="replace") as f:
        m.check("Found 2 cpu" in f.read(), "SeaBIOS finds two CPUs")
    m.step("SeaBIOS with two CPUs, and an NVMe disk")


m.main(test)
