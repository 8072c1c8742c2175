#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boot time and six programs in a Debian guest, this emulator beside QEMU in the same minutes.

The guest's kernel and user space are the cached ones, the programs guest/bench.c. Wall time of a program is what the guest
measured; CPU time is the whole emulator process's meanwhile, by the host. Checksums must be the same everywhere.
"""
import statistics
import sys
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
PROGRAMS = ("branchy", "calls", "fp", "chase", "sieve", "syscalls")
BOOT = "boot"
MEAN = "geometric mean of programs"
KINDS = ("seconds", "cpu_seconds")
SCRIPT = """#!/bin/sh
for word in $(cat /proc/cmdline); do
  case $word in mortise.scale=*) scale=${word#*=} ;; mortise.programs=*) programs=${word#*=} ;; esac
done
for p in $(echo $programs | tr , ' '); do echo "BENCH-START $p"; /mortise-bench $p $scale; done
echo "BENCH-END"
"""
LINE = rb"BENCH(?: (\w+) ([0-9a-f]{16}) ([0-9.]+)|-(START) (\w+)|-(END))\r"


def cpu_seconds(pid):
    """User and system time of all threads of a process: clock_getcpuclockid(3)'s clock, which Python does not offer."""
    return time.clock_gettime(~pid << 3 | 2)


def run_once(machine, program, args, folder):
    """One boot with all programs: {name: {seconds, cpu_seconds, checksum}}."""
    result = {}
    with m.console.Console(machine.command(program, folder)) as guest:
        guest.expect(rb"MORTISE-TEST: modules ok\r", m.BOOT_SECONDS)
        result[BOOT] = {"seconds": time.monotonic() - guest.started, "cpu_seconds": cpu_seconds(guest.pid)}
        cpu = 0.0
        while True:
            found = guest.expect(LINE, args.limit)
            if found[6]:
                break
            if found[4]:
                cpu = cpu_seconds(guest.pid)
            else:
                result[found[1].decode()] = {"seconds": float(found[3]), "cpu_seconds": cpu_seconds(guest.pid) - cpu,
                                             "checksum": found[2].decode()}
        m.ends_with(guest, 0)
    return result


def check_sums(runs):
    """Each program has one checksum, whoever ran it."""
    sums = {}
    for name, list_of in runs.items():
        for run in list_of:
            for program, r in run.items():
                if "checksum" in r:
                    sums.setdefault(program, {}).setdefault(r["checksum"], name)
    wrong = {p: s for p, s in sums.items() if len(s) > 1}
    m.check(not wrong, f"checksums differ: {wrong}")


def ratios_of(pairs, kind, programs):
    """Intervals of mine / other in one kind of time: each program, and the geometric mean of all."""
    ratios = [{p: a[p][kind] / b[p][kind] for p in (BOOT, *programs)} for a, b in pairs]
    result = {p: peers.interval([r[p] for r in ratios]) for p in (BOOT, *programs)}
    if programs:
        result[MEAN] = peers.interval([peers.geometric_mean(r[p] for p in programs) for r in ratios])
    return result


def text(result):
    names = list(result["emulators"])
    shape = f"{result['harts']} hart(s), scale {result['scale']}, {result['rounds']} rounds"
    print(f"A Debian guest, {shape}: median seconds of the guest, in brackets CPU seconds of the emulator")
    rows = [[p] + [f"{e[p]['seconds']:.2f} ({e[p]['cpu_seconds']:.2f})" for e in result["emulators"].values()]
            for p in (BOOT, *result["programs"])]
    peers.table([""] + names, rows)
    for name, ratios in result["ratios"].items():
        print(f"mortise / {name}: median of the pairs' ratios, 95 % interval; below 1 mortise is faster")
        rows = [[p] + [peers.show(*ratios[k][p]) for k in KINDS] for p in ratios[KINDS[0]]]
        peers.table(["", "wall time", "CPU time"], rows)


def summary(runs, programs):
    medians = {name: {p: {k: statistics.median(run[p][k] for run in list_of) for k in KINDS} for p in (BOOT, *programs)}
               for name, list_of in runs.items()}
    ratios = {name: {k: ratios_of(list(zip(runs[peers.SELF], list_of)), k, programs) for k in KINDS}
              for name, list_of in runs.items() if name != peers.SELF and peers.SELF in runs}
    return {"emulators": medians, "ratios": ratios}


def options():
    parser = peers.arguments("Boot time and programs in a guest, beside QEMU.", rounds=3)
    parser.add_argument("--scale", type=int, default=1, help="multiplies the work of each program")
    parser.add_argument("--harts", type=int, default=1)
    parser.add_argument("--programs", default=",".join(PROGRAMS), help="which ones, separated by commas")
    parser.add_argument("--limit", type=float, default=300, help="seconds after which a program has failed")
    parser.add_argument("--boot-only", action="store_true", help="run no programs")
    args = peers.parse(parser)
    unknown = set(args.programs.split(",")) - set(PROGRAMS)
    if unknown:
        parser.error(f"no such program: {', '.join(unknown)}")
    return args


def bench(folder):
    args = options()
    m.need_firmware()
    emulators = peers.find(args.only)
    programs = [] if args.boot_only else args.programs.split(",")
    files = {"scripts/bench": (0o755, SCRIPT.encode())}
    if programs:
        with open(peers.compile_guest(folder), "rb") as f:
            files["mortise-bench"] = (0o755, f.read())
    append = f"console=ttyS0 mortise.script=bench mortise.scale={args.scale} mortise.programs={','.join(programs)}"
    machine = m.Machine(m.guest_file("Image"), m.initramfs_with(folder, files), append, harts=args.harts)
    runs = {name: [] for name in emulators}
    for i, name in peers.rounds(emulators, args.rounds):
        runs[name].append(run_once(machine, emulators[name], args, folder))
        told = ", ".join(f"{p} {r['seconds']:.2f}" for p, r in runs[name][-1].items())
        peers.note(args, f"round {i + 1}: {name}: {told}")
    check_sums(runs)
    result = {"benchmark": "guest", "rounds": args.rounds, "harts": args.harts, "scale": args.scale, "programs": programs,
              **summary(runs, programs), "runs": runs}
    headlines = [(what, name, r["seconds"][what]) for name, r in result["ratios"].items() for what in r["seconds"]]
    peers.finish(args, result, text, headlines)


peers.main(bench)
