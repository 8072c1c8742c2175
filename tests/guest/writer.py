# SPDX-License-Identifier: MIT
"""A guest whose kernel writes to two disks all the time (jobs.c), one with a filter over it, and what their images must hold
then; what is done to the disks meanwhile is the business of the tests that use this."""
import json
import os
import re
import struct
import subprocess
import time

import machines as m

BLOCK = 4096
BLOCKS = 24 * 341                 # some 32 MiB, in whole runs
RUN_MAX = 24
FLUSH = 64
SLOW = 4096                       # bytes a second: such a job does not come to its end
SEED = int(os.environ.get("SEED", "20260101"))
DISK = """[block {1}]
plugin = block-qcow2
file = "{0}/{1}.qcow2"
allow = "{0}"
[device {2}]
plugin = dev-virtio-blk
bus = {3}
block = {4}
"""
FILTER = """[block slow]
plugin = block-throttle
child = up
bps-total = 1G
"""


def ctl(guest, *words):
    done = subprocess.run([m.EMULATOR, "ctl", str(guest.pid), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=300, check=False)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def done(guest, *words):
    code, text = ctl(guest, *words)
    m.check(code == 0, f"ctl {' '.join(words)}: {code} {text!r}")
    return text


def told(guest, wanted, *words):
    code, text = ctl(guest, *words)
    m.check(code != 0 and wanted in text, f"ctl {' '.join(words)}: {code} {text!r}, and not {wanted!r}")


def begin(guest, command, device, speed, **more):
    done(guest, json.dumps({"execute": command, "arguments": {"device": device, "speed": speed, **more}}))


def img(*words):
    subprocess.run([m.EMULATOR, "img", *words], check=True, stdout=subprocess.DEVNULL)


def steps_of(seed):
    """The steps of jobs.c: block, count, zero."""
    state = seed
    while True:
        state ^= state << 13 & (1 << 64) - 1
        state ^= state >> 7
        state ^= state << 17 & (1 << 64) - 1
        yield (state >> 16) % (BLOCKS - RUN_MAX), 1 + (state >> 8) % RUN_MAX, state % 8 == 0


def first(block):
    """The version in the images below, which end in the middle of the disk."""
    return int(block % 48 < 24 and block < BLOCKS // 2)


def versions_after(seed, count, more=0):
    """What each block holds after so many steps, and what it may hold up to `more` later."""
    sure, maybe = [first(b) for b in range(BLOCKS)], {}
    for step, (block, run, zero) in zip(range(count + more), steps_of(seed)):
        for b in range(block, block + run):
            if step < count:
                sure[b] = 0 if zero else step + 2
            else:
                maybe.setdefault(b, []).append(0 if zero else step + 2)
    return sure, maybe


def content(block, version):
    if not version:
        return bytes(BLOCK)
    word = block * 0x9E3779B97F4A7C15 & (1 << 64) - 1 ^ version << 40
    return struct.pack("<QQ", block, version) + struct.pack("<Q", word) * (BLOCK // 8 - 2)


def holds(folder, name, sure, maybe=None):
    """The image is sound and holds that."""
    path = f"{folder}/{name}.qcow2"
    img("check", "-q", "-f", "qcow2", "-r", "leaks", path)
    img("convert", "-f", "qcow2", "-O", "raw", path, f"{folder}/flat.img")
    with open(f"{folder}/flat.img", "rb") as f:
        for b in range(BLOCKS):
            found = f.read(BLOCK)
            may = [sure[b]] + (maybe or {}).get(b, [])
            m.check(any(found == content(b, v) for v in may),
                    f"{name}: block {b} begins {found[:16].hex()}, versions {may} would do")


def images(folder):
    with open(f"{folder}/flat.img", "wb") as f:
        for b in range(BLOCKS // 2):
            f.write(content(b, first(b)))
    for name, words in (("up", ["-c"]), ("down", [])):
        base = f"{folder}/{name}-base.qcow2"
        for path in (base, f"{folder}/{name}.qcow2"):
            if os.path.exists(path):
                os.unlink(path)
        img("convert", *words, "-f", "raw", "-O", "qcow2", f"{folder}/flat.img", base)
        img("create", "-q", "-f", "qcow2", "-b", f"{name}-base.qcow2", "-F", "qcow2", f"{folder}/{name}.qcow2", str(BLOCKS * BLOCK))


def start(folder, program, seed, prepare=None, more=""):
    """`prepare` is called when the images are made; `more` are further sections of the machine file."""
    images(folder)
    if prepare:
        prepare()
    with open(program, "rb") as f:
        initramfs = m.initramfs_with(folder, {"jobs": (0o755, f.read())})
    disks = DISK.format(folder, "up", "vda", "slot1", "slow") + DISK.format(folder, "down", "vdb", "slot2", "down")
    machine = m.linux("quiet", memory="256M", harts=2, more=disks + FILTER + more)
    machine.initrd = initramfs
    guest = machine.start(folder)
    guest.expect(m.PROMPT, m.BOOT_SECONDS)
    guest.type(f"for d in vda vdb; do /jobs /dev/$d {seed} {BLOCKS} /stop & done\n".encode())
    after(guest, "vda", 64)
    after(guest, "vdb", 64)
    return guest


def steps_seen(guest, device):
    seen = re.findall(rb"MORTISE-STEP: %s (\d+)\r" % device.encode(), bytes(guest.seen))
    return int(seen[-1]) if seen else 0


def after(guest, device, count):
    """The guest does so many steps more."""
    wanted = steps_seen(guest, device) + count
    while steps_seen(guest, device) < wanted:
        guest.expect(rb"MORTISE-STEP: %s \d+\r" % device.encode(), 300)
        m.check(b"FAIL" not in guest.seen, "the guest says that it read something else")


def over(guest, device):
    """The job has come to its end."""
    for _ in range(3000):
        if device not in done(guest, "jobs"):
            return
        time.sleep(0.1)
    m.check(False, f"the job on {device} does not end")
