#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Installs Debian into a disk image: the guest partitions, unpacks and runs debootstrap's second stage, which configures
every package in the emulated machine. The image stays in the cache of guests for debian.py."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import debian_image as d  # noqa: E402
import machines as m  # noqa: E402


def check_filesystem(folder, path):
    """The host's e2fsck finds no fault in the partition."""
    fsck = shutil.which("e2fsck", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not fsck:
        raise m.Skip("e2fsck is missing (Debian: e2fsprogs)")
    done = subprocess.run([fsck, "-f", "-n", f"{path}?offset={1 << 20}"], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    m.check(done.returncode == 0, "e2fsck: " + done.stdout.decode("utf-8", "replace")[-1000:])


def test(folder):
    archive = d.needed("root.tar")
    disk = os.path.join(d.FOLDER, "disk.img.part")
    d.blank_disk(disk)
    with open(os.path.join(m.SOURCE, "tests/guests/install"), "rb") as f:
        initrd = m.initramfs_with(folder, {"scripts/program": (0o755, f.read())})
    board = d.write_machine(folder, [("vda", disk, False), ("vdb", archive, True)])
    with m.console.Console([m.EMULATOR, "run", "-q", board, "-s", f"boot.kernel={m.guest_file('Image')}", "-s",
                            f"boot.initrd={initrd}", "-s", "boot.append=console=ttyS0 mortise.script=program",
                            "-s", "cpu.count=2", "-s", "ram.size=2G"]) as guest:
        for mark in ("modules", "unpacked", "configured", "installed"):
            m.marks(guest, mark, seconds=3600)
            m.step(mark)
        m.ends_with(guest, 0)
    check_filesystem(folder, disk)
    os.replace(disk, os.path.join(d.FOLDER, "disk.img"))


m.main(test)
