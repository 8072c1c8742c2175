#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A disk: the guest makes ext4 and writes files; a second boot reads them back; the host's e2fsck finds no fault."""
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

BYTES = 64 << 20


def check_image(path):
    with open(path, "rb") as f:
        f.seek(1080)
        m.check(f.read(2) == b"\x53\xef", "the image holds no ext4 superblock")
    m.check(os.path.getsize(path) == BYTES, "the image has changed its size")
    fsck = shutil.which("e2fsck", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not fsck:
        m.step("e2fsck is missing: not checked from outside (Debian: e2fsprogs)")
        return
    done = subprocess.run([fsck, "-f", "-n", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    m.check(done.returncode == 0, "e2fsck: " + done.stdout.decode("utf-8", "replace"))


def test(folder):
    path = os.path.join(folder, "disk.img")
    with open(path, "wb") as f:
        f.truncate(BYTES)
    for mark in ("disk-write", "disk-verify", "disk-verify"):
        with m.linux("mortise.script=disk", disk=path).start(folder) as guest:
            m.marks(guest, "modules", mark)
            m.ends_with(guest, 0)
        check_image(path)
        m.step(mark)


m.main(test)
