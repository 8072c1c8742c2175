#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""NVMe and multi-queue virtio disks under Debian's kernel: what is found, data written and read back by both paths."""
import hashlib

import machines as m

BYTES = 64 << 20
MORE = """[block second]
plugin = block-raw
file = "{0}/second"
[device nvme0]
plugin = dev-nvme
bus = pci
block = second
serial = A0001
queues = 4
[block third]
plugin = block-raw
file = "{0}/third"
[device vdb]
plugin = dev-virtio-blk
bus = slot2
block = third
queues = 2
serial = B0002
"""


def found(guest):
    m.shell(guest, "cat /sys/class/nvme/nvme0/model /sys/class/nvme/nvme0/serial | xargs", rb"mortise NVMe A0001")
    m.shell(guest, "cat /sys/block/nvme0n1/size", str(BYTES // 512).encode())
    # without a target for messages there is one interrupt, and so one queue
    m.shell(guest, "grep -c nvme0q /proc/interrupts", rb"[1-9]")
    m.shell(guest, "ls /sys/block/vda/mq | wc -l", rb"2")
    m.step("found")


def data(guest):
    """Direct and cached writes; a file system; write zeroes and discard."""
    m.shell(guest, "dd if=/dev/urandom of=/tmp/r bs=1M count=8 2>/dev/null; sha256sum < /tmp/r | cut -c 1-64 > /tmp/s; "
            "dd if=/tmp/r of=/dev/nvme0n1 bs=1M oflag=direct 2>&1 | grep out", rb"8\+0 records out")
    m.shell(guest, "dd if=/dev/nvme0n1 bs=4k count=2048 iflag=direct 2>/dev/null | sha256sum | cut -c 1-64 | "
            "diff - /tmp/s && echo same", rb"same", 120)
    m.shell(guest, "(dd if=/dev/nvme0n1 of=/dev/null bs=512k iflag=direct & dd if=/dev/nvme0n1 of=/dev/null bs=4k count=4096 "
            "skip=1024 iflag=direct & wait) 2>&1 | grep -c 'records out'", rb"2", 120)
    m.shell(guest, "/usr/sbin/mke2fs -q -F -t ext4 /dev/nvme0n1 && mount -t ext4 /dev/nvme0n1 /mnt && cp /tmp/r /mnt && "
            "sync && umount /mnt && echo made", rb"made", 120)
    m.shell(guest, "echo 3 > /proc/sys/vm/drop_caches; mount -t ext4 /dev/nvme0n1 /mnt; sha256sum < /mnt/r | cut -c 1-64 | "
            "diff - /tmp/s && echo read; umount /mnt", rb"read", 120)
    m.shell(guest, "dd if=/tmp/r of=/dev/vda bs=64k oflag=direct 2>/dev/null; dd if=/dev/vda bs=64k count=128 iflag=direct "
            "2>/dev/null | sha256sum | cut -c 1-64 | diff - /tmp/s && echo same", rb"same", 120)
    m.step("data")


def reset(guest):
    """The driver's own reset of the controller, and a rescan of the namespace."""
    m.shell(guest, "echo 1 > /sys/class/nvme/nvme0/reset_controller; sleep 1; cat /sys/class/nvme/nvme0/state", rb"live", 60)
    m.shell(guest, "dd if=/dev/nvme0n1 of=/dev/null bs=1M count=4 iflag=direct 2>&1 | grep out", rb"4\+0 records out")
    m.shell(guest, "cat /tmp/s", rb"[0-9a-f]{64}")
    m.step("reset")


def test(folder):
    for name in ("second", "third"):
        with open(f"{folder}/{name}", "wb") as f:
            f.truncate(BYTES)
    with m.linux("quiet", harts=2, more=MORE.format(folder)).start(folder) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        found(guest)
        data(guest)
        reset(guest)
        wanted = m.shell(guest, "cat /tmp/s", rb"[0-9a-f]{64}")[1]
        guest.type(b"poweroff\n")
        m.ends_with(guest, 0)
    with open(f"{folder}/third", "rb") as f:
        m.check(hashlib.sha256(f.read(8 << 20)).hexdigest().encode() == wanted, "the host's file differs")


m.main(test)
