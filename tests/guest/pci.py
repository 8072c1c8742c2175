#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""PCI as Linux sees it: enumeration, a disk over virtio-pci that interrupts by its pin, BARs, reset, removal and rescan."""
import machines as m

BYTES = 32 << 20
FUNCTION = "/sys/bus/pci/devices/0000:00:01.0"


def enumeration(guest):
    m.shell(guest, f"cat {FUNCTION}/vendor {FUNCTION}/device {FUNCTION}/class | xargs", rb"0x1af4 0x1042 0x010000")
    # the other slots are empty: nobody is there
    m.shell(guest, "ls /sys/bus/pci/devices | xargs", rb"0000:00:01\.0")
    m.shell(guest, f"basename $(readlink {FUNCTION}/driver)", rb"virtio-pci")
    # registers in the window for 64 bits, the table of messages in that for 32
    m.shell(guest, f"head -n 1 {FUNCTION}/resource", rb"0x0000004[0-9a-f]{9} 0x0000004[0-9a-f]{9} 0x[0-9a-f]+")
    m.shell(guest, f"sed -n 5p {FUNCTION}/resource", rb"0x000000004[0-9a-f]{7} 0x000000004[0-9a-f]{7} 0x[0-9a-f]+")
    m.step("enumeration")


def interrupts(guest):
    """Without a target for messages the driver takes the pin, which goes to the PLIC."""
    m.shell(guest, "grep -c MSI /proc/interrupts", rb"0")
    before = pin_count(guest)
    m.shell(guest, "dd if=/dev/vda of=/dev/null bs=4k count=64 iflag=direct 2>&1 | grep out", rb"64\+0 records out")
    after = pin_count(guest)
    m.check(after >= before + 32, f"{after - before} interrupts for 64 reads")
    m.step(f"{after - before} interrupts for 64 reads")


def pin_count(guest):
    # the second of the bridge's lines: INTA of slot 1
    found = m.shell(guest, "grep -E ' 33 .*virtio' /proc/interrupts", rb"[^\r\n]*virtio0[^\r\n]*")
    return int(found[0].split()[1])


def comes_back(guest):
    """Function-level reset, then removal and a new enumeration, which places the BARs anew."""
    m.shell(guest, "sha256sum /dev/vda > /tmp/sum; sha256sum -c /tmp/sum", rb"/dev/vda: OK")
    m.shell(guest, f"echo 1 > {FUNCTION}/remove; ls /dev/vda", rb"ls: /dev/vda.*")
    m.shell(guest, "echo 1 > /sys/bus/pci/rescan; sleep 1; sha256sum -c /tmp/sum", rb"/dev/vda: OK", 120)
    m.shell(guest, f"echo 0000:00:01.0 > {FUNCTION}/driver/unbind; echo flr > {FUNCTION}/reset_method; "
            f"echo 1 > {FUNCTION}/reset && echo reset done", rb"reset done")
    m.shell(guest, "echo 0000:00:01.0 > /sys/bus/pci/drivers/virtio-pci/bind; sleep 1; sha256sum -c /tmp/sum",
            rb"/dev/vda: OK", 120)
    m.step("removed, found again, reset")


def test(folder):
    path = folder + "/disk"
    with open(path, "wb") as f:
        f.truncate(BYTES)
    for mark, kicks in (("disk-write", "vcpu"), ("disk-verify", "thread")):
        more = f"[device slot1]\nkicks = {kicks}\n"
        with m.linux("mortise.script=disk", disk=path, bus="slot1", more=more).start(folder) as guest:
            m.marks(guest, "modules", mark)
            m.ends_with(guest, 0)
        m.step(f"{mark} over PCI, kicks = {kicks}")
    with m.linux("quiet", disk=path, bus="slot1", harts=2, more="[device slot1]\nkicks = thread\n").start(folder) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        enumeration(guest)
        interrupts(guest)
        comes_back(guest)
        guest.type(b"poweroff\n")
        m.ends_with(guest, 0)


m.main(test)
