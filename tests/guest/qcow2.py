#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ext4 on a chain of layers: the guest makes it on a raw disk and goes on over qcow2 layers on it. The layers below do
not change, qemu-img finds nothing wrong, and the host's e2fsck finds no fault in what the chain reads as."""
import hashlib
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

BYTES = 64 << 20
LAYERS = (("middle", "compat=0.10,cluster_size=4k"), ("top", "extended_l2=on,lazy_refcounts=on"))


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    m.check(done.returncode == 0, f"{' '.join(words)}: " + done.stdout.decode("utf-8", "replace"))


def sections(folder, top):
    """The chain up to layer `top` (0: the raw disk), and the disk on it."""
    text = f"[block base]\nplugin = block-raw\nfile = \"{folder}/base.img\"\n" + ("readonly = on\n" if top else "")
    below = "base"
    for i, (name, _) in enumerate(LAYERS[:top]):
        text += f"[block {name}]\nplugin = block-qcow2\nfile = \"{folder}/{name}.qcow2\"\nbacking = {below}\n"
        text += "readonly = on\n" if i + 1 < top else ""
        below = name
    return text + f"[device vda]\nplugin = dev-virtio-blk\nbus = bus1\nblock = {below}\n"


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def boot(folder, top, mark):
    with m.linux("mortise.script=disk", more=sections(folder, top)).start(folder) as guest:
        m.marks(guest, "modules", mark)
        m.ends_with(guest, 0)
    m.step(f"{mark} on {LAYERS[top - 1][0] if top else 'base'}")


def check_chain(folder, path):
    run("qemu-img", "check", "-f", "qcow2", path)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, f"{folder}/flat.img")
    fsck = shutil.which("e2fsck", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if fsck:
        run(fsck, "-f", "-n", f"{folder}/flat.img")
    else:
        m.step("e2fsck is missing: not checked from outside (Debian: e2fsprogs)")


def test(folder):
    if not shutil.which("qemu-img"):
        raise m.Skip("qemu-img is missing (Debian: qemu-utils)")
    below, form = f"{folder}/base.img", "raw"
    with open(below, "wb") as f:
        f.truncate(BYTES)
    boot(folder, 0, "disk-write")
    for top, (name, options) in enumerate(LAYERS, 1):
        path = f"{folder}/{name}.qcow2"
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", form, "-o", options, path)
        was = digest(below)
        boot(folder, top, "disk-verify")
        boot(folder, top, "disk-verify")
        m.check(digest(below) == was, f"{below} has changed")
        check_chain(folder, path)
        below, form = path, "qcow2"


if __name__ == "__main__":
    m.main(test)
