#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What becomes of writes that fail, under Debian's kernel: reported to the guest, ignored, and kept by a virtio disk and an NVMe
one while the machine stands still, until it goes on; in a copy that was restored from a snapshot of that moment, too."""
import json
import os
import shutil
import socket
import sys

sys.dont_write_bytecode = True
import console  # noqa: E402
import machines as m  # noqa: E402

BYTES = 1 << 20
SECONDS = 120
DISKS = ("report", "ignore", "stop", "full")
MORE = """[memory ram]
share = on
[block report-file]
plugin = block-raw
file = "{0}/report"
[block report-bad]
plugin = block-fault
child = report-file
rule = "write from=64K length=4K error=EIO"
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = report-bad
[block ignore-file]
plugin = block-raw
file = "{0}/ignore"
[block ignore-bad]
plugin = block-fault
child = ignore-file
rule = "write from=64K length=4K error=EIO"
[device vdb]
plugin = dev-virtio-blk
bus = slot2
block = ignore-bad
werror = ignore
[block stop-bad]
plugin = block-fault
rule = "write from=64K length=4K once error=EIO"
[block stop-file]
plugin = block-raw
file = "{0}/stop"
through = stop-bad
[device vdc]
plugin = dev-virtio-blk
bus = slot3
block = stop-file
werror = stop
[block full-bad]
plugin = block-fault
rule.1 = "write from=64K length=4K once error=ENOSPC"
rule.2 = "write from=256K length=4K error=EIO"
[block full-file]
plugin = block-raw
file = "{0}/full"
through = full-bad
[device nvme0]
plugin = dev-nvme
bus = pci
block = full-file
werror = enospc
"""


class Monitor:
    """The machine's socket: commands and the events between."""

    def __init__(self, folder, pid):
        names = [n for n in os.listdir(os.path.join(folder, "mortise")) if n.endswith(f".{pid}.sock")]
        m.check(len(names) == 1, f"sockets of process {pid}: {names}")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self.socket.connect(os.path.join(folder, "mortise", names[0]))
        self.lines = self.socket.makefile("r", encoding="utf-8")
        self.events = []

    def line(self):
        text = self.lines.readline()
        m.check(text, "the monitor has closed its socket")
        return json.loads(text)

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n")
        while True:
            got = self.line()
            if "event" in got:
                self.events.append(got)
            elif "return" in got or "error" in got:
                m.check("return" in got, f"{command}: {got}")
                return got["return"]

    def event(self, name):
        """The next event of that name; those before are gone."""
        while True:
            got = self.events.pop(0) if self.events else self.line()
            if got.get("event") == name:
                return got["data"]


def write(guest, disk, seek, wanted):
    m.shell(guest, f"dd if=/pattern of=/dev/{disk} bs=4k seek={seek} count=1 oflag=direct 2>&1 | grep -o 'records out\\|error'",
            wanted)


def told(monitor, device, action, nospace=False):
    data = {"device": None}
    while data["device"] != device:                    # another's driver may have tried again
        data = monitor.event("BLOCK_IO_ERROR")
    m.check((data["device"], data["action"], data["operation"], data["nospace"]) == (device, action, "write", nospace),
            f"{device}: {data}")


def stopped_write(guest, monitor, disk, device, nospace):
    """A write that fails stops the machine with the write in it."""
    guest.type(f"dd if=/pattern of=/dev/{disk} bs=4k seek=16 count=1 oflag=direct 2>&1 | grep -o 'records out'\n".encode())
    told(monitor, device, "stop", nospace)
    monitor.event("STOP")
    m.check(monitor.ask("query-status")["status"] == "paused", "the machine is not paused")


def holds(path, at, pattern):
    with open(path, "rb") as f:
        f.seek(at)
        return f.read(4096) == pattern


def finish(guest, folder, pattern, *disks):
    """The write that was kept ends, and is on the disk."""
    guest.expect(rb"records out\r", SECONDS)           # of a restored guest it is the first that is heard
    guest.expect(m.PROMPT, SECONDS)
    guest.type(b"poweroff\n")
    m.ends_with(guest, 0)
    for disk in disks:
        m.check(holds(os.path.join(folder, disk), 64 << 10, pattern), f"{disk} does not have what was written")


def test(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    os.makedirs(os.path.join(folder, "mortise"), mode=0o700)
    for name in DISKS:
        with open(os.path.join(folder, name), "wb") as f:
            f.truncate(BYTES)
    pattern = b"mortise " * 512
    with m.linux("quiet", memory="256M", more=MORE.format(folder)).start(folder) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        monitor = Monitor(folder, guest.pid)
        m.shell(guest, "yes 'mortise ' | tr -d '\\n' | head -c 4096 > /pattern; echo; wc -c < /pattern", rb"4096")
        write(guest, "vda", 0, rb"records out")
        write(guest, "vda", 16, rb"error")
        told(monitor, "vda", "report")
        write(guest, "vdb", 16, rb"records out")
        told(monitor, "vdb", "ignore")
        write(guest, "nvme0n1", 64, rb"error")
        told(monitor, "nvme0", "report")           # its driver tries again, and hears the same
        stats = {s["device"]: s["stats"] for s in monitor.ask("query-blockstats")}
        m.check(sorted(stats) == ["nvme0", "vda", "vdb", "vdc"], f"disks: {sorted(stats)}")
        for device, least in ("vda", 1), ("vdb", 1), ("nvme0", 1):
            s = stats[device]
            m.check(s["failed_wr_operations"] >= least and s["rd_operations"] > 0 and s["in_flight"] == 0, f"{device}: {s}")
            m.check(s["rd_bytes"] >= 512 * s["rd_operations"] and s["rd_total_time_ns"] > 0, f"{device}: {s}")
            bins = s["rd_latency_histogram"]["bins"]
            m.check(sum(bins) == s["rd_operations"], f"{device}: {bins}")
        m.check(stats["vda"]["wr_operations"] == 1 and stats["vda"]["wr_bytes"] == 4096, f"vda: {stats['vda']}")
        m.step("reported and ignored")
        stopped_write(guest, monitor, "vdc", "vdc", False)
        monitor.ask("cont")
        guest.expect(rb"\n(records out)\r", SECONDS)
        guest.expect(m.PROMPT, SECONDS)
        m.step("stopped and gone on")
        stopped_write(guest, monitor, "nvme0n1", "nvme0", True)
        monitor.ask("snapshot", dir=os.path.join(folder, "snap"))
        for name in DISKS:
            shutil.copy2(os.path.join(folder, name), os.path.join(folder, name + ".then"))
        monitor.ask("cont")
        finish(guest, folder, pattern, "stop", "full")
    m.check(holds(os.path.join(folder, "report"), 0, pattern), "report lacks what was written")
    m.check(holds(os.path.join(folder, "report"), 64 << 10, bytes(4096)), "report has what failed")
    m.check(holds(os.path.join(folder, "ignore"), 64 << 10, bytes(4096)), "ignore has what failed")
    for name in DISKS:
        shutil.copy2(os.path.join(folder, name + ".then"), os.path.join(folder, name))
    m.check(holds(os.path.join(folder, "full"), 64 << 10, bytes(4096)), "the write was done before the snapshot")
    m.step("saved")
    with console.Console([m.EMULATOR, "run", "-q", "--restore", os.path.join(folder, "snap")]) as guest:
        finish(guest, folder, pattern, "stop", "full")
    m.step("restored")


m.main(test)
