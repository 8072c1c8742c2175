#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The root file system on qcow2 over vmdk over vdi. The guest puts its system on the vdi image, and runs from each layer that is
laid on it; on the qcow2 layer it reboots. A snapshot that `mortise img` takes between two runs brings back what the disk was.
The guest verifies all of its files at each boot, and the layers below do not change."""
import os
import shutil
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402
import qcow2 as chain  # noqa: E402

SIZE = "192M"
LAYERS = ("vdi", "vmdk", "qcow2")


def img(*words):
    chain.run(m.EMULATOR, "img", *words)


def make(folder):
    """Neither vmdk nor qcow2 names its real parent: the machine file does. So the delta disk is made of another one."""
    img("create", "-q", "-f", "vdi", f"{folder}/disk.vdi", SIZE)
    img("create", "-q", "-f", "vmdk", f"{folder}/parent.vmdk", SIZE)
    chain.run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "parent.vmdk", "-F", "vmdk", f"{folder}/disk.vmdk")
    chain.run("qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", "disk.vmdk", "-F", "vmdk", f"{folder}/disk.qcow2", SIZE)


def sections(folder, top):
    text = ""
    for i, form in enumerate(LAYERS[:top]):
        text += f"[block {form}]\nplugin = block-{form}\nfile = \"{folder}/disk.{form}\"\n"
        text += f"backing = {LAYERS[i - 1]}\n" if i else ""
        text += "readonly = on\n" if i + 1 < top else ""
    return text + f"[device vda]\nplugin = dev-virtio-blk\nbus = bus1\nblock = {LAYERS[top - 1]}\n"


def boot(folder, initrd, top, *marks, end="poweroff"):
    append = f"console=ttyS0 rdinit=/scripts/root mortise.end={end}"
    with m.Machine(m.guest_file("Image"), initrd, append, more=sections(folder, top)).start(folder) as guest:
        m.marks(guest, *marks)
        m.ends_with(guest, 0)
    m.step(f"{', '.join(marks)} on {LAYERS[top - 1]}")


def test(folder):
    if not shutil.which("qemu-img"):
        raise m.Skip("qemu-img is missing (Debian: qemu-utils)")
    with open(os.path.join(m.SOURCE, "tests/guest/root.sh"), "rb") as f:
        initrd = m.initramfs_with(folder, {"scripts/root": (0o755, f.read())})
    make(folder)
    top = f"{folder}/disk.qcow2"
    boot(folder, initrd, 1, "install", "boot-1")
    boot(folder, initrd, 2, "boot-2")
    below = [chain.digest(f"{folder}/disk.{form}") for form in LAYERS[:2]]
    boot(folder, initrd, 3, "boot-3", "boot-4", end="reboot")
    img("snapshot", "-f", "qcow2", "-c", "between", top)
    boot(folder, initrd, 3, "boot-5")
    boot(folder, initrd, 3, "boot-6")
    img("snapshot", "-f", "qcow2", "-a", "between", top)
    boot(folder, initrd, 3, "boot-5")
    m.check(below == [chain.digest(f"{folder}/disk.{form}") for form in LAYERS[:2]], "a layer below has changed")
    img("check", "-f", "qcow2", top)
    chain.run("qemu-img", "check", "-f", "qcow2", top)


m.main(test)
