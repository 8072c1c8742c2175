#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From `mortise run --restore` to a guest of 1 GiB that answers: a shell of Debian's kernel says what is typed. The snapshot's
memory is in the page cache. Also how long the snapshot took, and its size on the disk."""
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m


def take(folder):
    os.environ["XDG_RUNTIME_DIR"] = folder
    os.makedirs(os.path.join(folder, "mortise"), mode=0o700)
    snapshot = os.path.join(folder, "snap")
    with m.linux("mortise.end=shell").start(folder) as guest:
        guest.expect(m.PROMPT, m.BOOT_SECONDS)
        socket = next(n for n in os.listdir(os.path.join(folder, "mortise")) if n.endswith(".sock"))
        started = time.monotonic()
        subprocess.run([m.EMULATOR, "ctl", os.path.join(folder, "mortise", socket), "snapshot", snapshot], check=True)
        return snapshot, time.monotonic() - started


def run_once(snapshot):
    """Seconds from the command to the guest's answer; and to the end of the machine."""
    with m.console.Console([m.EMULATOR, "run", "-q", "--restore", snapshot]) as guest:
        guest.type(b"echo an$((40 + 2))swer\n")
        guest.expect(rb"an42swer", m.END_SECONDS)
        return time.monotonic() - guest.started


def text(result):
    print(f"A guest of 1 GiB from a snapshot of {result['snapshot_mib']:.0f} MiB, {result['rounds']} runs")
    print(f"  taken in    {result['snapshot_seconds'] * 1e3:.0f} ms")
    print(f"  answers in  {result['seconds'] * 1e3:.0f} ms (median), {result['fastest_seconds'] * 1e3:.0f} ms (fastest)")


def bench(folder):
    args = peers.parse(peers.arguments(__doc__, rounds=10))
    m.need_firmware()
    snapshot, took = take(folder)
    blocks = sum(os.stat(os.path.join(snapshot, n)).st_blocks for n in os.listdir(snapshot))
    run_once(snapshot)  # files come into the page cache
    runs = [run_once(snapshot) for _ in range(args.rounds)]
    peers.finish(args, {"benchmark": "restore", "rounds": args.rounds, "seconds": statistics.median(runs),
                        "fastest_seconds": min(runs), "snapshot_seconds": took, "snapshot_mib": blocks / 2048,
                        "runs": runs}, text)


peers.main(bench)
