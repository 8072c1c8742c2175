#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A VMDK delta disk above two others, under Debian's kernel: its commit while the machine runs takes the guest to the disk below,
and the links still know each other afterwards, for QEMU too."""
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

SIZE = 64 << 20
MORE = """[block disk]
plugin = block-vmdk
file = "{0}/c.vmdk"
allow = "{0}"
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = disk
"""
LOOK = "echo 3 > /proc/sys/vm/drop_caches; echo $(sha256sum < /dev/vda)"
SUM = rb"([0-9a-f]{64}) -"


def make(folder):
    for name, below in (("a", None), ("b", "a"), ("c", "b")):
        more = ["-b", f"{below}.vmdk", "-F", "vmdk"] if below else []
        subprocess.run([m.EMULATOR, "img", "create", "-q", "-f", "vmdk", *more, f"{folder}/{name}.vmdk", str(SIZE)], check=True)
        subprocess.run([m.EMULATOR, "io", "-q", "-f", "vmdk", "-c", f"write -P {ord(name)} {ord(name) - 97}M 8M",
                        f"{folder}/{name}.vmdk"], check=True)


def committed(guest):
    done = subprocess.run([m.EMULATOR, "ctl", str(guest.pid), "commit", "vda"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=120, check=False)
    m.check(done.returncode == 0, done.stdout.decode())
    for _ in range(600):
        told = subprocess.run([m.EMULATOR, "ctl", str(guest.pid), "block", "--json"], stdout=subprocess.PIPE, timeout=120, check=True)
        if os.path.basename(json.loads(told.stdout)[0]["file"]) == "b.vmdk":
            return m.step("the guest is on the disk below")
        m.shell(guest, "sleep 0.1; echo waited", b"waited")
    raise m.console.Failure(f"still on the delta disk: {told.stdout}")


def judge(folder, name):
    """What QEMU reads; as a sum."""
    path = f"{folder}/{name}.vmdk"
    subprocess.run(["qemu-img", "check", "-q", "-f", "vmdk", path], check=True)
    subprocess.run([m.EMULATOR, "img", "check", "-q", "-f", "vmdk", path], check=True)
    subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, f"{folder}/{name}.raw"], check=True)
    return subprocess.run(["sha256sum", f"{folder}/{name}.raw"], stdout=subprocess.PIPE, check=True).stdout.split()[0]


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    if not shutil.which("qemu-img"):
        raise m.Skip("qemu-img is missing (Debian: qemu-utils)")
    make(folder)
    base = judge(folder, "a")
    with m.linux("quiet", memory="256M", more=MORE.format(folder)).start(folder) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        m.shell(guest, "yes mortise | dd of=/dev/vda bs=64k count=100 seek=300 oflag=direct iflag=fullblock 2>/dev/null; echo wrote",
                b"wrote")
        before = m.shell(guest, LOOK, SUM).group(2)
        committed(guest)
        m.check(m.shell(guest, LOOK, SUM).group(2) == before, "the disk is another after the commit")
        m.shell(guest, "yes again | dd of=/dev/vda bs=64k count=10 oflag=direct iflag=fullblock 2>/dev/null; echo wrote", b"wrote")
        after = m.shell(guest, LOOK, SUM).group(2)
        guest.type(b"poweroff\n")
        m.ends_with(guest, 0)
    m.check(judge(folder, "a") == base, "the disk at the bottom was written")
    m.check(judge(folder, "b") == judge(folder, "c") == after != before, "the links do not show what the guest had last")
    m.step("the links show what the guest had last")


m.main(test)
