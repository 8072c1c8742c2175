#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From command to exit of a guest of ten instructions: wall time, CPU time and peak memory of the process."""
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
LIMIT_SECONDS = 20
FIELDS = ("seconds", "cpu_seconds", "peak_kib")


def run_once(measure, command):
    done = subprocess.run([measure, *command], stdout=subprocess.PIPE, check=True, timeout=LIMIT_SECONDS)
    wall, user, system, peak, status = done.stdout.split()
    m.check(status == b"0", f"{command[0]} ended with {status.decode()}")
    return {"seconds": float(wall), "cpu_seconds": float(user) + float(system), "peak_kib": int(peak)}


def summary(runs):
    """Medians of each emulator, and the ratios to it."""
    result = {"emulators": {}, "ratios": {}}
    for name, list_of in runs.items():
        result["emulators"][name] = {f: statistics.median(r[f] for r in list_of) for f in FIELDS}
        result["emulators"][name]["fastest_seconds"] = min(r["seconds"] for r in list_of)
        if name != peers.SELF and peers.SELF in runs:
            pairs = list(zip(runs[peers.SELF], list_of))
            result["ratios"][name] = {f: peers.interval([a[f] / max(b[f], 1e-6) for a, b in pairs]) for f in FIELDS}
    return result


def text(result):
    print(f"A guest of ten instructions, {result['rounds']} runs each: medians")
    rows = [[name, f"{e['seconds'] * 1e3:.1f}", f"{e['fastest_seconds'] * 1e3:.1f}", f"{e['cpu_seconds'] * 1e3:.1f}",
             f"{e['peak_kib'] / 1024:.1f}"] for name, e in result["emulators"].items()]
    peers.table(["", "ms", "fastest ms", "CPU ms", "peak MiB"], rows)
    for name, ratios in result["ratios"].items():
        print(f"mortise / {name} (median of pairs, 95 % interval):")
        peers.table(["", "ratio"], [[f, peers.show(*ratios[f])] for f in FIELDS])


def bench(folder):
    args = peers.parse(peers.arguments(__doc__, rounds=30))
    emulators = peers.find(args.only)
    measure = peers.compile_helper(folder, "measure")
    guest = m.Machine(m.build_bare(folder, "tiny"), bare=True)
    commands = {name: guest.command(program, folder) for name, program in emulators.items()}
    runs = {name: [] for name in emulators}
    for command in commands.values():
        run_once(measure, command)  # files come into the page cache
    for _, name in peers.rounds(emulators, args.rounds):
        runs[name].append(run_once(measure, commands[name]))
    result = {"benchmark": "start", "rounds": args.rounds, **summary(runs), "runs": runs}
    headlines = [("wall time from command to exit", name, r["seconds"]) for name, r in result["ratios"].items()]
    peers.finish(args, result, text, headlines)


peers.main(bench)
