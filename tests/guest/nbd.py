#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A disk behind NBD: the guest makes ext4 on it and reads it back at the second boot; `mortise nbd` is the server."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

DISK = """[block remote]
plugin = block-nbd
socket = "%s"
[device vda]
plugin = dev-virtio-blk
bus = bus1
block = remote
"""


def test(folder):
    if subprocess.run([m.EMULATOR, "describe", "block-nbd"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                      check=False).returncode:
        raise m.Skip("block-nbd is not built")
    path, socket = os.path.join(folder, "disk.img"), os.path.join(folder, "socket")
    with open(path, "wb") as f:
        f.truncate(64 << 20)
    with subprocess.Popen([m.EMULATOR, "nbd", "-f", "raw", "-t", "-k", socket, path], stdout=subprocess.PIPE) as server:
        try:
            m.check(server.stdout.readline().startswith(b"ready: "), "mortise nbd did not begin")
            for mark in ("disk-write", "disk-verify"):
                with m.linux("mortise.script=disk", more=DISK % socket).start(folder) as guest:
                    m.marks(guest, "modules", mark)
                    m.ends_with(guest, 0)
                m.step(mark)
        finally:
            server.terminate()
    m.check(server.returncode == 0, "mortise nbd did not end well")


m.main(test)
