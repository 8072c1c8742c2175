#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Overlays and internal snapshots while Debian's kernel writes to both disks, one with a filter over it: the guest reads
what it wrote, what lies below stays as it was, the machine is saved and goes on with the chain that it has, and a start on
an image that lies below a newer one is refused. Then once more, and the machine is killed after an overlay."""
import json
import os
import random
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
import console  # noqa: E402
import machines as m  # noqa: E402
from writer import FLUSH, SEED, after, ctl, done, holds, img, start, steps_seen, told, versions_after  # noqa: E402

KILLS = 20 if m.LONG else 1


def says(guest, request):
    return json.loads(done(guest, json.dumps(request)))["return"]


def both(guest, up, down):
    """One moment for both disks."""
    data = [{"type": "blockdev-snapshot-sync", "data": {"device": device, "snapshot-file": path}}
            for device, path in (("vda", up), ("vdb", down))]
    return ctl(guest, json.dumps({"execute": "transaction", "arguments": {"actions": data}}))


def refused_start(folder):
    """The machine file names what lies below a newer image."""
    with console.Console([m.EMULATOR, "run", "-q", f"{folder}/machine.ini"]) as guest:
        m.check(guest.wait(60) not in (0, None), "a start on an image below another is not refused")
        text = guest.seen.decode("utf-8", "replace")
    m.check("is the image below" in text and "machine.ini:" in text, text)


def marks_are_kept(folder):
    path = f"{folder}/mark"
    with open(path, "wb"):
        pass
    try:
        os.setxattr(path, "user.mortise.overlay", b"x")
    except OSError:
        return False
    return True


def ended(guest, counts):
    """The writers end; how many steps each has done."""
    guest.type(b"touch /stop\n")
    for _ in range(2):
        found = guest.expect(rb"MORTISE-TEST: (\S+) (ok|FAIL)([^\r\n]*)\r", 300)
        m.check(found[2] == b"ok", found[0].decode())
        counts[found[1].decode()] = int(found[3])
    guest.type(b"poweroff -f\n")
    m.ends_with(guest, 0)


def chain(folder, name, files):
    """The images are sound, each names the one below, and the lower ones do not change any more."""
    for path in files:
        img("check", "-q", "-f", "qcow2", f"{folder}/{path}.qcow2")
    text = subprocess.run([m.EMULATOR, "img", "info", "--output=json", "-f", "qcow2", f"{folder}/{files[-1]}.qcow2"],
                          check=True, stdout=subprocess.PIPE).stdout
    m.check(json.loads(text)["backing-filename"] == f"{files[-2]}.qcow2", text)
    m.step(f"{name}: {len(files)} images are sound")


def live(folder, program):
    guest, counts, snap = start(folder, program, SEED), {}, f"{folder}/snap"
    with guest:
        text = done(guest, "overlay", "vdb", f"{folder}/d1.qcow2")
        m.check(text.startswith("[block down]\nplugin = block-qcow2\nfile = ") and "/d1.qcow2" in text and "allow.1 = " in text, text)
        told(guest, "is there already", "overlay", "vda", f"{folder}/up.qcow2")
        told(guest, "no disk 'vdx'", "overlay", "vdx", f"{folder}/x.qcow2")
        after(guest, "vdb", 128)
        code, text = both(guest, f"{folder}/u1.qcow2", f"{folder}/d1.qcow2")
        m.check(code != 0 and "is there already" in text and not os.path.exists(f"{folder}/u1.qcow2"), text)
        code, text = both(guest, f"{folder}/u1.qcow2", f"{folder}/d2.qcow2")
        m.check(code == 0, text)
        after(guest, "vda", 128)
        after(guest, "vdb", 128)
        disks = {b["id"]: b for b in says(guest, {"execute": "query-block"})}
        m.check(disks["down"]["file"] == f"{folder}/d2.qcow2" and disks["down"]["users"] == ["vdb"], disks)
        m.check(disks["down"]["below"] == [f"{folder}/{f}.qcow2" for f in ("d1", "down", "down-base")], disks)
        m.check(disks["up"]["file"] == f"{folder}/u1.qcow2", disks)
        m.check(steps_seen(guest, "vda") and re.search(r"^vdb ", done(guest, "stats"), re.M), "no numbers of vdb")
        m.step("overlays: one disk, both or none, through a filter")
        done(guest, "disk-snapshot", "vda", "one")
        told(guest, "already", "disk-snapshot", "vda", "one")
        after(guest, "vda", 128)
        done(guest, "disk-snapshot", "vda", "two")
        after(guest, "vda", 64)
        info = says(guest, {"execute": "blockdev-snapshot-delete-internal-sync", "arguments": {"device": "vda", "name": "one"}})
        m.check(info["name"] == "one" and info["id"] == "1" and info["vm-clock-sec"] >= 0, info)
        told(guest, "no snapshot 'one'", "disk-snapshot-delete", "vda", "one")
        after(guest, "vda", 64)
        m.step("internal snapshots: two, and one less")
        done(guest, "pause")
        done(guest, "snapshot", snap)
        with open(f"{snap}/machine.ini", encoding="utf-8") as f:
            text = f.read()
        m.check("/d2.qcow2" in text and "/u1.qcow2" in text and "/down.qcow2" not in text, text)
        subprocess.run([m.EMULATOR, "check", "--restore", snap], check=True)
        before = {d: steps_seen(guest, d) for d in ("vda", "vdb")}
        done(guest, "quit")                            # which finds nothing to write
        m.ends_with(guest, 0)
    if marks_are_kept(folder):
        refused_start(folder)
        m.step("the machine file names images below newer ones: refused")
    with console.Console([m.EMULATOR, "run", "-q", "--restore", snap]) as guest:
        after(guest, "vda", 128)
        after(guest, "vdb", 128)
        m.check(all(steps_seen(guest, d) > n for d, n in before.items()), "the restored guest does not go on")
        done(guest, "overlay", "vdb", f"{folder}/d3.qcow2")
        after(guest, "vdb", 128)
        ended(guest, counts)
    m.step("restored with the chain of that moment, and one more overlay")
    holds(folder, "u1", versions_after(SEED, counts["vda"])[0])
    holds(folder, "d3", versions_after(SEED, counts["vdb"])[0])
    chain(folder, "up", ["up-base", "up", "u1"])
    chain(folder, "down", ["down-base", "down", "d1", "d2", "d3"])
    done_text = subprocess.run([m.EMULATOR, "check", "--restore", snap], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    m.check(done_text.returncode == 2 and b"written after the snapshot" in done_text.stdout, done_text.stdout)


def killed(folder, program, seed):
    dice = random.Random(seed)
    for name in ("u1", "d1", "d2", "d3"):
        if os.path.exists(f"{folder}/{name}.qcow2"):
            os.unlink(f"{folder}/{name}.qcow2")
    guest = start(folder, program, seed)
    with guest:
        after(guest, "vda", 64 * dice.randrange(1, 3))
        code, text = both(guest, f"{folder}/u1.qcow2", f"{folder}/d1.qcow2")
        m.check(code == 0, text)
        if dice.random() < 0.7:
            after(guest, dice.choice(["vda", "vdb"]), 64 * dice.randrange(1, 6))
        os.kill(guest.pid, signal.SIGKILL)
        m.ends_with(guest, -signal.SIGKILL)
        counts = {device: steps_seen(guest, device) for device in ("vda", "vdb")}
    for name, device in (("u1", "vda"), ("d1", "vdb")):
        holds(folder, name, *versions_after(seed, counts[device], 2 * FLUSH + 1))
    for name in ("up", "down", "up-base", "down-base"):
        img("check", "-q", "-f", "qcow2", f"{folder}/{name}.qcow2")
    m.step(f"killed after {counts} steps: all images are sound")


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    program = m.build_linux(folder, "jobs", os.path.join(m.HERE, "jobs.c"))
    live(folder, program)
    for i in range(KILLS):
        killed(folder, program, SEED + 1 + i)


m.main(test)
