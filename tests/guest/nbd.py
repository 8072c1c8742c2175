#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A disk behind NBD: the guest makes ext4 on it and reads it back at the second boot, and a guest that is saved between two
writes goes on in another process; `mortise nbd` is the server."""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402
import snapshot  # noqa: E402

DISK = """[block remote]
plugin = block-nbd
socket = "%s"
[device vda]
plugin = dev-virtio-blk
bus = bus1
block = remote
"""
PROGRAM = rb"""#!/bin/sh
put() { printf '%-512s' "$2" | dd of=/dev/vda bs=512 seek=$1 conv=notrunc,fsync 2> /dev/null; }
get() { dd if=/dev/vda bs=512 skip=$1 count=1 2> /dev/null | tr -d ' '; }
up() { read up rest < /proc/uptime; echo "$up"; }
put 8 before
echo "MORTISE-TEST: half ok $(up)"
read line
put 9 after
echo 3 > /proc/sys/vm/drop_caches
[ "$(get 8) $(get 9) $line" = "before after go" ] && echo "MORTISE-TEST: done ok $(up)" || echo "MORTISE-TEST: done FAIL"
"""


def saved_between(folder, socket):
    snap = os.path.join(folder, "snap")
    initrd = m.initramfs_with(folder, {"scripts/program": (0o755, PROGRAM)})
    machine = m.Machine(m.guest_file("Image"), initrd, "console=ttyS0 mortise.script=program", memory="256M",
                        more=DISK % socket)
    with machine.start(folder) as guest:
        m.marks(guest, "modules")
        snapshot.mark(guest, "half")
        snapshot.ctl(guest, folder, "pause")
        snapshot.ctl(guest, folder, "snapshot", snap)
        snapshot.ctl(guest, folder, "quit")
        m.ends_with(guest, 0)
    with snapshot.restore(snap) as guest:
        guest.type(b"go\n")
        snapshot.mark(guest, "done")
        m.ends_with(guest, 0)
    m.step("saved and restored")


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
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
            saved_between(folder, socket)
        finally:
            server.terminate()
    m.check(server.returncode == 0, "mortise nbd did not end well")


m.main(test)
