#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Snapshots of a guest at work (sums over memory, writes to a disk, a timer; one and four harts): the guest goes on, and
so does each copy that is restored from the snapshot, with right results and a clock that stood still meanwhile. What is
damaged, or does not fit, is refused by name. One hart has its disk behind memory-mapped registers and the PLIC, four behind PCI
with messages to the IMSIC."""
import os
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import console  # noqa: E402
import machines as m  # noqa: E402

BYTES = 8 << 20
SECONDS = 300
PROGRAM = rb"""#!/bin/sh
# Work of 16 rounds; after the 4th the host may take a snapshot, which the guest does not notice.
disk=/dev/vda
fail() { echo "MORTISE-TEST: $1 FAIL"; exit 1; }
chunk() { yes "chunk $1 of the disk" | head -c 65536; }
up() { read up rest < /proc/uptime; echo "$up"; }
seq 1 60000 > /data
sum=$(sha256sum < /data)
( n=0; while [ ! -e /stop ]; do sleep 0.02; n=$((n + 1)); echo $n > /ticks; done ) &
i=0
while [ $i -lt 16 ]; do
  for k in 1 2 3; do ( [ "$(sha256sum < /data)" = "$sum" ] || echo bad > /bad ) & workers="$workers $!"; done
  chunk $i | dd of=$disk bs=65536 seek=$i conv=notrunc,fsync 2> /dev/null || fail write
  wait $workers
  workers=
  i=$((i + 1))
  [ $i = 4 ] && echo "MORTISE-TEST: half ok $(up)"
done
touch /stop
wait
[ -e /bad ] && fail memory
[ "$(cat /ticks)" -gt 3 ] || fail timer
echo 3 > /proc/sys/vm/drop_caches
have=$(dd if=$disk bs=65536 count=16 2> /dev/null | sha256sum)
want=$(i=0; while [ $i -lt 16 ]; do chunk $i; i=$((i + 1)); done | sha256sum)
[ "$have" = "$want" ] || fail disk
echo "MORTISE-TEST: done ok $(up)"
"""


def ctl(guest, folder, *words, status=0):
    """A command to a running machine; what it printed."""
    names = [n for n in os.listdir(os.path.join(folder, "mortise")) if n.endswith(f".{guest.pid}.sock")]
    m.check(len(names) == 1, f"sockets of process {guest.pid}: {names}")
    path = os.path.join(folder, "mortise", names[0])
    done = subprocess.run([m.EMULATOR, "ctl", path, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS, check=False)
    text = done.stdout.decode("utf-8", "replace")
    m.check(done.returncode == status, f"ctl {words}: status {done.returncode}: {text}")
    return text


def mark(guest, name):
    """The guest's uptime at the marker."""
    found = guest.expect(rb"MORTISE-TEST: (\S+) (ok|FAIL) ?([0-9.]*)\r", SECONDS)
    m.check(found[1].decode() == name and found[2] == b"ok", f"wanted {name} ok, the guest says {found[0]}")
    return float(found[3])


def take(folder, harts):
    """Runs the guest, saves it in the middle and lets it end; the guest's uptime in the snapshot."""
    disk = os.path.join(folder, "disk.img")
    with open(disk, "wb") as f:
        f.truncate(BYTES)
    initrd = m.initramfs_with(folder, {"scripts/program": (0o755, PROGRAM)})
    machine = m.Machine(m.guest_file("Image"), initrd, "console=ttyS0 mortise.script=program", harts=harts, disk=disk,
                        memory="256M", bus="bus1" if harts == 1 else "slot1",
                        board="virt-riscv64" if harts == 1 else "virt-riscv64-aia")
    with machine.start(folder) as guest:
        m.marks(guest, "modules")
        half = mark(guest, "half")
        ctl(guest, folder, "pause")
        ctl(guest, folder, "snapshot", os.path.join(folder, "snap"))
        shutil.copy2(disk, disk + ".half")
        text = ctl(guest, folder, "snapshot", os.path.join(folder, "snap"), status=1)
        m.check("exists" in text, text)
        text = ctl(guest, folder, "snapshot", os.path.join(folder, "none/snap"), status=1)
        m.check("none/snap" in text, text)
        ctl(guest, folder, "resume")
        m.check(mark(guest, "done") > half, "the guest's time does not go on")
        m.ends_with(guest, 0)
    left = [n for n in os.listdir(folder) if n.startswith("snap") and n != "snap"]
    m.check(not left, f"left behind: {left}")
    return half


def restore(snapshot, *settings):
    words = [w for s in settings for w in ("-s", s)]
    return console.Console([m.EMULATOR, "run", "-q", "--restore", snapshot, *words])


def goes_on(folder, half, number):
    disk = os.path.join(folder, f"disk{number}.img")
    shutil.copy2(os.path.join(folder, "disk.img.half"), disk)
    started = time.monotonic()
    with restore(os.path.join(folder, "snap"), f"disk.file={disk}") as guest:
        done = mark(guest, "done")
        m.ends_with(guest, 0)
    took = time.monotonic() - started
    m.check(half < done < half + took + 1, f"the clock shows {done} s after {half} s, in {took:.1f} s")


def refused(snapshot, wanted, *settings):
    with restore(snapshot, *settings) as guest:
        m.check(guest.wait(SECONDS) in (1, 2), "it was not refused")
        text = guest.seen.decode("utf-8", "replace")
    m.check(wanted in text, f"wanted '{wanted}' in: {text}")


def checked(snapshot, wanted, status=2):
    done = subprocess.run([m.EMULATOR, "check", "--restore", snapshot], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=SECONDS, check=False)
    text = done.stdout.decode("utf-8", "replace")
    m.check(done.returncode == status and wanted in text, f"check: status {done.returncode}, wanted '{wanted}': {text}")


def damage(folder, name, change):
    """A copy of the snapshot with one file changed."""
    copy = os.path.join(folder, "damaged")
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["cp", "-r", "--sparse=always", os.path.join(folder, "snap"), copy], check=True)
    path = os.path.join(copy, name)
    with open(path, "rb") as f:
        whole = f.read()
    changed = change(whole)
    os.remove(path)
    if changed is not None:
        with open(path, "wb") as f:
            f.write(changed)
    return copy


def refusals(folder):
    snapshot = os.path.join(folder, "snap")
    disk = "disk.file=" + os.path.join(folder, "disk.img.half")
    middle = lambda b: b[:60] + bytes([b[60] ^ 1]) + b[61:]  # noqa: E731
    refused(damage(folder, "instance-uart0.state", middle), "instance-uart0.state", disk)
    refused(damage(folder, "kernel-virtio.state", lambda b: b[:-1]), "kernel-virtio.state", disk)
    refused(damage(folder, "vcpu-0.state", lambda b: None), "vcpu-0.state", disk)
    refused(damage(folder, "memory-ram.bin", lambda b: b[:4096]), "memory-ram.bin", disk)
    refused(damage(folder, "manifest.json", lambda b: b[:-10]), "manifest.json", disk)
    refused(damage(folder, "manifest.json", lambda b: b.replace(b"ns16550a", b"ns16450a")), "manifest.json", disk)
    refused(damage(folder, "machine.ini", lambda b: b + b"\n"), "machine.ini", disk)
    refused(snapshot, "vCPUs", "cpu.count=3", disk)
    refused(snapshot, "ram", "ram.size=128M", disk)
    refused(snapshot, "uart0", "uart0.at=0x10002000", disk)
    small = os.path.join(folder, "small.img")
    with open(small, "wb") as f:
        f.truncate(BYTES // 2)
    refused(snapshot, "disk", f"disk.file={small}")
    # the guest went on after the snapshot, and wrote
    refused(snapshot, "was written after the snapshot")
    checked(snapshot, "was written after the snapshot")
    checked(damage(folder, "memory-ram.bin", lambda b: b[:99999] + bytes([b[99999] ^ 1]) + b[100000:]), "memory-ram.bin")


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    for harts in (1, 4):
        place = os.path.join(folder, f"{harts}")
        os.makedirs(os.path.join(folder, "mortise"), mode=0o700, exist_ok=True)
        os.makedirs(place)
        os.symlink(os.path.join(folder, "mortise"), os.path.join(place, "mortise"))
        half = take(place, harts)
        m.step(f"{harts} harts: saved, and gone on")
        for number in range(2):
            goes_on(place, half, number)
            m.step(f"{harts} harts: restored, and gone on")
    refusals(place)
    m.step("what is damaged or does not fit is refused")


if __name__ == "__main__":
    m.main(test)
