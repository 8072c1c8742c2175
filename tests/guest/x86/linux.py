#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's kernel on this host's KVM: two CPUs, everything found by ACPI, with each irqchip, until its button is pressed."""
import os
import subprocess

import nested
import x86
from x86 import m

SECONDS = 120


def boot(folder, irqchip):
    words = [m.EMULATOR, "run", "--quiet", os.path.join(folder, "tall.ini")]
    for setting in [f"boot.kernel={nested.guest('vmlinuz')}", "boot.initrd=" + os.path.join(folder, "initrd"), "ram.size=256M",
                    "boot.append=console=ttyS0 panic=-1 quiet", f"cpu.irqchip={irqchip}", "cpu.count=2"]:
        words += ["-s", setting]
    with m.console.Console(words) as machine:
        machine.expect(rb"inner 100000000-103ffffff : System RAM\r", SECONDS)
        machine.expect(rb"inner 0000:00:01\.0 0x1af4 0x1042 ", SECONDS)
        machine.expect(rb"inner cpus 2\r", SECONDS)
        machine.expect(rb" 9: .*IO-APIC +9-fasteoi +acpi\r", SECONDS)
        machine.expect(rb"inner waits for its button", SECONDS)
        subprocess.run([m.EMULATOR, "ctl", os.path.join(folder, "ctl"), "powerdown"], check=True)
        machine.expect(rb"inner heard it", SECONDS)
        m.ends_with(machine, 0)
    m.step(f"irqchip = {irqchip}: up, and down by its button")


def test(folder):
    x86.need_plugins()
    x86.need_native_ring0()
    x86.write_files(folder)
    with open(os.path.join(folder, "initrd"), "wb") as f:
        f.write(nested.archive({"init": (0o755, nested.TABLES.encode()),
                                "bin/busybox": (0o755, nested.read(nested.guest("busybox")))}))
    for irqchip in x86.IRQCHIPS:
        boot(folder, irqchip)


m.main(test)
