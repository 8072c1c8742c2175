# SPDX-License-Identifier: MIT
"""The installed Debian in the cache of guests, and machines with disks and a network for it."""
import os
import shutil
import socket
import subprocess

import machines as m

FOLDER = os.path.join(m.GUESTS, "debian")
DISK_BYTES = 4 << 30


def needed(name):
    """What tests/guests/debian fetched."""
    path = os.path.join(FOLDER, name)
    if not os.path.exists(path):
        raise m.Skip(f"the guest riscv64/debian/{name} is missing (make guests-all)")
    return path


def installed():
    path = os.path.join(FOLDER, "disk.img")
    if not os.path.exists(path):
        raise m.Skip("no installed Debian (tests/guest/debian-install.py makes it)")
    return path


def copy(path, to):
    """A copy that takes no space for holes."""
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", path, to], check=True)
    return to


def blank_disk(path):
    """An empty disk with one bootable partition."""
    sfdisk = shutil.which("sfdisk", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not sfdisk:
        raise m.Skip("sfdisk is missing (Debian: fdisk)")
    with open(path, "wb") as f:
        f.truncate(DISK_BYTES)
    subprocess.run([sfdisk, "-q", path], input=b"label: gpt\nstart=1MiB, attrs=LegacyBIOSBootable\n", check=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write_machine(folder, disks, hostfwd=None, base="virt-riscv64", slot="bus"):
    """A machine file with raw disks (id, path, readonly) on the slots bus1, bus2... or slot1, slot2..., and perhaps a
    forward into the user network."""
    path = os.path.join(folder, "machine.ini")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"[machine]\nschema = 1\nbase = {base}\n")
        for i, (name, file, readonly) in enumerate(disks):
            f.write(f"[block {name}-file]\nplugin = block-raw\nfile = \"{file}\"\nreadonly = {'on' if readonly else 'off'}\n"
                    f"[device {name}]\nplugin = dev-virtio-blk\nbus = {slot}{i + 1}\nblock = {name}-file\n")
        if hostfwd:
            f.write(f"[device net0]\nhostfwd.1 = {hostfwd}\n")
    return path
