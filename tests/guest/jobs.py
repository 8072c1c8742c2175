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

from writer import BLOCKS, FLUSH, SEED, SLOW, after, begin, done, holds, img, over, start, steps_seen, told, versions_after  # noqa: E402

KILLS = 20 if m.LONG else 1
COMPLETE = '{"execute": "block-job-complete", "arguments": {"device": "%s"}}'


def ready(guest, device):
    """Little is left of the commit."""
    for _ in range(3000):
        jobs = json.loads(done(guest, '{"execute": "query-block-jobs"}'))["return"]
        if any(j["device"] == device and j["ready"] for j in jobs):
            return
        time.sleep(0.1)
    m.check(False, f"the job on {device} is never ready")


def image_of(guest, name):
    disks = json.loads(done(guest, '{"execute": "query-block"}'))["return"]
    return [(os.path.basename(d["file"]), [os.path.basename(f) for f in d["below"]]) for d in disks if d["id"] == name][0]


def parts(guest, folder):
    """Images in the middle of a chain are dropped, and the guest goes over to the lowest."""
    for i in (1, 2, 3):
        done(guest, "overlay", "vdb", f"{folder}/o{i}.qcow2")
        after(guest, "vdb", 128)
    begin(guest, "block-commit", "vdb", 0, base=f"{folder}/down-base.qcow2", top=f"{folder}/o1.qcow2")
    over(guest, "vdb")
    m.check(image_of(guest, "down") == ("o3.qcow2", ["o2.qcow2", "down-base.qcow2"]), image_of(guest, "down"))
    after(guest, "vdb", 128)
    done(guest, "stream", "vdb", f"{folder}/down-base.qcow2")
    m.check(image_of(guest, "down") == ("o3.qcow2", ["down-base.qcow2"]), image_of(guest, "down"))
    after(guest, "vdb", 128)
    done(guest, "commit", "vdb")
    m.check(image_of(guest, "down") == ("down-base.qcow2", []), image_of(guest, "down"))
    after(guest, "vdb", 128)
    m.step("committed and streamed parts of a chain")


def through(guest, word, device, speed):
    before = steps_seen(guest, device)
    begin(guest, f"block-{word}", device, speed)
    if word == "commit":
        told(guest, "cannot be completed yet", COMPLETE % device)
        ready(guest, device)
        after(guest, device, 128)
        done(guest, COMPLETE % device)
    over(guest, device)
    after(guest, device, 128)
    m.step(f"{word}: done while {steps_seen(guest, device) - before} steps were written")


def live(folder, program):
    seed = SEED
    guest = start(folder, program, seed)
    with guest:
        begin(guest, "block-stream", "vda", SLOW)
        told(guest, "a job 'vda' already", "commit", "vda")
        told(guest, "cannot be saved while the job 'vda' works", "snapshot", f"{folder}/snap")
        m.check(not os.path.exists(f"{folder}/snap"), "a refused snapshot leaves a folder")
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
        told(guest, "no image lies below", "commit", "vdb")
        parts(guest, folder)
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
        commit = None
        if dice.random() < 0.5:
            commit = subprocess.Popen([m.EMULATOR, "ctl", str(guest.pid), "commit", "vdb"], stderr=subprocess.DEVNULL)
        else:
            begin(guest, "block-commit", "vdb", dice.choice([0, 4 << 20, 16 << 20]))
        after(guest, dice.choice(["vda", "vdb"]), 64 * dice.randrange(1, 8))
        os.kill(guest.pid, signal.SIGKILL)
        m.ends_with(guest, -signal.SIGKILL)
        if commit:
            commit.wait(60)
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
