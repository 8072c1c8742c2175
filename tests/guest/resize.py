#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Disks that grow while Debian's kernel writes to them: a virtio disk on a raw image, one on qcow2 with a filter between, and an
NVMe one. The guest sees the new size, and writes and reads the new end. What cannot be is refused with words, and changes nothing."""
import json
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

MIB = 1 << 20
MORE = """[block raw]
plugin = block-raw
file = "{0}/raw.img"
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = raw
serial = MORTISE-0001
[block cow]
plugin = block-qcow2
file = "{0}/disk.qcow2"
[block slow]
plugin = block-throttle
child = cow
bps-total = 1G
[device vdb]
plugin = dev-virtio-blk
bus = slot2
block = slow
[block flash-file]
plugin = block-raw
file = "{0}/flash.img"
[device nvme0]
plugin = dev-nvme
bus = pci
block = flash-file
[block still]
plugin = block-raw
file = "{0}/still.img"
readonly = on
[device vdc]
plugin = dev-virtio-blk
bus = slot3
block = still
"""


def ctl(guest, *words):
    done = subprocess.run([m.EMULATOR, "ctl", str(guest.pid), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=120, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def told(guest, wanted, *words):
    code, text = ctl(guest, *words)
    m.check(code != 0 and wanted in text, f"ctl {' '.join(words)}: {code} {text!r}, and not {wanted!r}")


def grown(guest, device, disk, mib):
    code, text = ctl(guest, "resize", device, f"{mib}M")
    m.check(code == 0, f"{device}: {text}")
    sectors = mib * 2048
    m.shell(guest, f"until grep -qx {sectors} /sys/block/{disk}/size; do sleep 0.1; done; echo {disk}-seen", f"{disk}-seen".encode())
    m.shell(guest, f"dd if=/pattern of=/dev/{disk} bs=4k seek={mib * 256 - 1} oflag=direct 2>/dev/null; dd if=/dev/{disk} bs=4k "
            f"skip={mib * 256 - 1} iflag=direct 2>/dev/null | cmp - /pattern && echo {disk}-same", f"{disk}-same".encode())
    m.step(f"{device}: {mib} MiB")


def topology(guest):
    """What the guest is told of the disks: serial number, blocks, the unit of a qcow2 image for discards, and what is read only."""
    m.shell(guest, "echo $(cat /sys/block/vda/serial)", b"MORTISE-0001")
    for disk, values in (("vda", rb"512 (\d+) \2 0 [1-9]\d*"), ("vdb", rb"512 (\d+) \2 0 65536"), ("vdc", rb"512 (\d+) \2 0 0")):
        m.shell(guest, f"cd /sys/block/{disk}/queue; echo {disk}: $(cat logical_block_size physical_block_size minimum_io_size "
                f"optimal_io_size discard_granularity); cd /", disk.encode() + b": " + values)
    m.shell(guest, "cat /sys/block/vda/ro /sys/block/vdc/ro | tr -d '\\n'; echo", b"01")
    m.step("serial number and topology")


def end_of(path, mib):
    with open(path, "rb") as f:
        f.seek(mib * MIB - 4096)
        return f.read()


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    for name in ("raw.img", "flash.img", "still.img"):
        with open(os.path.join(folder, name), "wb") as f:
            f.truncate(MIB)
    subprocess.run([m.EMULATOR, "img", "create", "-q", "-f", "qcow2", f"{folder}/disk.qcow2", "1M"], check=True)
    pattern = b"mortise " * 512
    with m.linux("quiet", memory="256M", more=MORE.format(folder)).start(folder) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        topology(guest)
        m.shell(guest, "yes 'mortise ' | tr -d '\\n' | head -c 4096 > /pattern; echo; wc -c < /pattern", rb"4096")
        m.shell(guest, "for d in vda vdb nvme0n1; do (while dd if=/dev/zero of=/dev/$d bs=64k count=16 oflag=direct 2>/dev/null; do "
                "echo $d >> /busy; done) & done; until [ \"$(sort -u /busy | wc -l)\" = 3 ]; do sleep 0.1; done; echo all-busy",
                b"all-busy")
        for mib in (3, 20, 70):
            grown(guest, "vda", "vda", mib)
            grown(guest, "vdb", "vdb", mib)
            grown(guest, "nvme0", "nvme0n1", mib)
        told(guest, "would", "resize", "vda", "1M")
        told(guest, "would", "resize", "vdb", "1M")
        told(guest, "only read", "resize", "vdc", "2M")
        told(guest, "no disk 'vdx'", "resize", "vdx", "2M")
        told(guest, "1Q", "resize", "vda", "1Q")
        told(guest, "size", "resize", "vda")
        told(guest, "multiple", '{"execute": "block_resize", "arguments": {"node-name": "raw", "size": 73400321}}')
        code, text = ctl(guest, '{"execute": "block_resize", "arguments": {"node-name": "raw", "size": 2097152, "shrink": true}}')
        m.check(code == 0, text)
        m.shell(guest, "until grep -qx 4096 /sys/block/vda/size; do sleep 0.1; done; echo vda-short", b"vda-short")
        m.step("refused, and made shorter")
        code, text = ctl(guest, "block", "--json")
        sizes = {d["id"]: d["size"] for d in json.loads(text)}
        m.check(sizes == {"raw": 2 * MIB, "cow": 70 * MIB, "slow": 70 * MIB, "flash-file": 70 * MIB, "still": MIB}, f"{sizes}")
        guest.type(b"poweroff\n")
        m.ends_with(guest, 0)
    m.check(os.path.getsize(f"{folder}/raw.img") == 2 * MIB, "the raw image has another length")
    m.check(end_of(f"{folder}/flash.img", 70) == pattern, "the NVMe disk's file lacks what was written at its end")
    if shutil.which("qemu-img"):
        subprocess.run(["qemu-img", "check", "-q", "-f", "qcow2", f"{folder}/disk.qcow2"], check=True)
        subprocess.run(["qemu-img", "convert", "-f", "qcow2", "-O", "raw", f"{folder}/disk.qcow2", f"{folder}/flat.img"], check=True)
        m.check(end_of(f"{folder}/flat.img", 70) == pattern, "the qcow2 image lacks what was written at its end")


m.main(test)
