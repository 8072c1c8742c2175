#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Streaming and committing while Debian's kernel writes to both disks, one with a filter over it: the guest reads all the
time what it wrote, and the images hold it afterwards. Then once more, and the machine is killed in the middle: each image
is sound and has all that was flushed."""
import fcntl
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

BLOCK = 4096
BLOCKS = 24 * 341                 # some 32 MiB, in whole runs
RUN_MAX = 24
FLUSH = 64
SLOW = 4096                       # bytes a second: such a job does not come to its end
SEED = int(os.environ.get("SEED", "20260101"))
KILLS = 20 if m.LONG else 1
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


def begin(guest, command, device, speed):
    done(guest, json.dumps({"execute": command, "arguments": {"device": device, "speed": speed}}))


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


def start(folder, program, seed):
    images(folder)
    with open(program, "rb") as f:
        initramfs = m.initramfs_with(folder, {"jobs": (0o755, f.read())})
    disks = DISK.format(folder, "up", "vda", "slot1", "slow") + DISK.format(folder, "down", "vdb", "slot2", "down")
    machine = m.linux("quiet", memory="256M", harts=2, more=disks + FILTER)
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


def through(guest, word, device, speed):
    before = steps_seen(guest, device)
    begin(guest, f"block-{word}", device, speed)
    over(guest, device)
    after(guest, device, 128)
    m.step(f"{word}: done while {steps_seen(guest, device) - before} steps were written")


def live(folder, program):
    seed = SEED
    guest = start(folder, program, seed)
    with guest:
        begin(guest, "block-stream", "vda", SLOW)
        told(guest, "a job 'vda' already", "commit", "vda")
        told(guest, "job", "snapshot", f"{folder}/snap")
        told(guest, "job", "resize", "vda", "64M")
        m.check(re.search(r"^vda +stream", done(guest, "jobs"), re.M), "the job is not listed")
        done(guest, "speed", "vda", "1K")
        told(guest, "no job 'vdb'", "speed", "vdb", "1M")
        m.check(re.search(r"^vda .* 1024$", done(guest, "jobs"), re.M), "the job has another speed")
        done(guest, "cancel", "vda")
        told(guest, "no job", "cancel", "vda")
        m.check("vda" not in done(guest, "jobs"), "a cancelled job is listed")
        m.step("begun, refused what cannot be meanwhile, cancelled")
        through(guest, "stream", "vda", 3 << 20)
        with open(f"{folder}/down-base.qcow2", "rb") as base:
            # another program that wants nobody to write: locks as QEMU has them
            fcntl.fcntl(base, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 201, 1, 0))
            told(guest, "in use", "commit", "vdb")
        after(guest, "vdb", 64)
        m.step("a disk below that is in use is not written")
        begin(guest, "block-commit", "vdb", SLOW)
        after(guest, "vdb", 64)
        done(guest, "cancel", "vdb")
        after(guest, "vdb", 64)
        through(guest, "commit", "vdb", 24 << 20)
        done(guest, "commit", "vdb")
        after(guest, "vdb", 128)
        told(guest, "no image lies below", "stream", "vda")
        told(guest, "no disk 'vdx'", "commit", "vdx")
        row = dict(zip(*(line.split() for line in done(guest, "stats", "vda").splitlines())))
        m.check(row["READS"] != "0" and row["WRITES"] != "0" and row["FAILED"] == "0", f"the numbers of vda: {row}")
        guest.type(b"touch /stop\n")
        counts = {}
        for _ in range(2):
            found = guest.expect(rb"MORTISE-TEST: (\S+) (ok|FAIL)([^\r\n]*)\r", 300)
            m.check(found[2] == b"ok", found[0].decode())
            counts[found[1].decode()] = int(found[3])
        guest.type(b"poweroff -f\n")
        m.ends_with(guest, 0)
    for name, device in (("up", "vda"), ("down", "vdb")):
        holds(folder, name, versions_after(seed, counts[device])[0])
    text = subprocess.run([m.EMULATOR, "img", "info", "-f", "qcow2", f"{folder}/up.qcow2"], check=True, stdout=subprocess.PIPE).stdout
    m.check(b"backing" not in text, "the streamed image has a backing file yet")
    m.step("both images hold what the guest wrote")


def killed(folder, program, seed):
    dice = random.Random(seed)
    guest = start(folder, program, seed)
    with guest:
        begin(guest, "block-stream", "vda", dice.choice([0, 4 << 20, 16 << 20]))
        begin(guest, "block-commit", "vdb", dice.choice([0, 4 << 20, 16 << 20]))
        after(guest, dice.choice(["vda", "vdb"]), 64 * dice.randrange(1, 8))
        os.kill(guest.pid, signal.SIGKILL)
        m.ends_with(guest, -signal.SIGKILL)
        counts = {device: steps_seen(guest, device) for device in ("vda", "vdb")}
    m.check(b"FAIL" not in guest.seen, "the guest says that it read something else")
    for name, device in (("up", "vda"), ("down", "vdb")):
        holds(folder, name, *versions_after(seed, counts[device], 2 * FLUSH + 1))
        img("check", "-q", "-f", "qcow2", "-r", "leaks", f"{folder}/{name}-base.qcow2")
    m.step(f"killed after {counts} steps: both images are sound")


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    program = m.build_linux(folder, "jobs", os.path.join(m.HERE, "jobs.c"))
    live(folder, program)
    for i in range(KILLS):
        killed(folder, program, SEED + 1 + i)


m.main(test)
