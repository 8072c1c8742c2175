#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A machine is saved and ends while its images are of kinds that a close writes to (lazy counts, bitmaps, space that was
made ready): they are left as the close would leave them, so the saved machine goes on with them, more than once where
nothing is written. An image that the guest does not write to is not changed at all, and keeps its bitmap."""
import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
import console  # noqa: E402
import machines as m  # noqa: E402
from writer import DISK, SEED, after, done, holds, img, start, steps_seen, versions_after  # noqa: E402

NAMES = ("up", "down", "spare")


def prepare(folder):
    img("create", "-q", "-f", "qcow2", f"{folder}/spare.qcow2", "16M")
    for name in NAMES:
        path = f"{folder}/{name}.qcow2"
        img("amend", "-f", "qcow2", "-o", "lazy_refcounts=on", path)
        img("bitmap", "-f", "qcow2", "--add", path, "changed")


def bitmap_flags(path):
    text = subprocess.run([m.EMULATOR, "img", "info", "--output=json", "-f", "qcow2", path], check=True, stdout=subprocess.PIPE).stdout
    return json.loads(text)["format-specific"]["data"]["bitmaps"][0]["flags"]


def found(folder):
    """What a snapshot knows the files by, and that their counts are right."""
    files = {}
    for name in NAMES:
        path = f"{folder}/{name}.qcow2"
        with open(path, "rb") as f:
            m.check(f.read(80)[79] & 1 == 0, f"{name} is marked as not closed")
        files[name] = (os.stat(path).st_size, os.stat(path).st_mtime_ns)
    return files


def saved(guest, folder, into):
    done(guest, "pause")
    done(guest, "snapshot", into)
    files = found(folder)
    done(guest, "quit")
    m.ends_with(guest, 0)
    m.check(found(folder) == files, f"the end of the process has written: {files}, then {found(folder)}")
    subprocess.run([m.EMULATOR, "check", "--restore", into], check=True)
    return files


def restored(into):
    return console.Console([m.EMULATOR, "run", "-q", "--restore", into])


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    program = m.build_linux(folder, "jobs", os.path.join(m.HERE, "jobs.c"))
    guest = start(folder, program, SEED, lambda: prepare(folder), DISK.format(folder, "spare", "vdc", "slot3", "spare"))
    spare = os.stat(f"{folder}/spare.qcow2")
    with guest:
        after(guest, "vda", 64)
        files = saved(guest, folder, f"{folder}/one")
        counts = {d: steps_seen(guest, d) for d in ("vda", "vdb")}
    m.check(files["spare"] == (spare.st_size, spare.st_mtime_ns), "a disk that the guest does not write to has changed")
    m.step(f"saved after {counts} steps, and the end wrote nothing")
    with restored(f"{folder}/one") as guest:
        after(guest, "vda", 128)
        after(guest, "vdb", 128)
        m.check(all(steps_seen(guest, d) > n for d, n in counts.items()), "the restored guest does not go on")
        saved(guest, folder, f"{folder}/two")
    m.step("went on, and was saved again")
    with restored(f"{folder}/two") as guest:
        after(guest, "vda", 64)
        guest.type(b"touch /stop\n")
        for _ in range(2):
            said = guest.expect(rb"MORTISE-TEST: (\S+) (ok|FAIL)([^\r\n]*)\r", 300)
            m.check(said[2] == b"ok", said[0].decode())
            counts[said[1].decode()] = int(said[3])
        guest.type(b"poweroff -f\n")
        m.ends_with(guest, 0)
    for name, device in (("up", "vda"), ("down", "vdb")):
        m.check("in-use" in bitmap_flags(f"{folder}/{name}.qcow2"), f"{name}: the bitmap does not know what was written")
        holds(folder, name, versions_after(SEED, counts[device])[0])
    m.check(found(folder)["spare"] == files["spare"] and bitmap_flags(f"{folder}/spare.qcow2") == ["auto"], "spare has changed")
    m.step("the images hold what the guest wrote")


m.main(test)
