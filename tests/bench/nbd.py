#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An NBD export, mortise nbd beside qemu-nbd and nbdkit in the same minutes: random reads and writes of 4 KiB through a Unix
socket, by fio's client (libnbd), with 1 and 32 requests under way.

The image is a raw file in the host's page cache, which all of them go through; qemu-nbd uses io_uring, nbdkit its plugin `file`.
CPU time is the whole server process's, divided by the requests.
"""
import json
import os
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
BLOCK = 4096


def cpu_seconds(pid):
    """User and system time of all threads of a process: clock_getcpuclockid(3)'s clock, which Python does not offer."""
    return time.clock_gettime(~pid << 3 | 2)


def servers(folder, image, wanted):
    """The commands by name; each serves `image` at NAME.sock until it is ended."""
    qemu = ["-f", "raw", "-t", "-e", "4", "--cache=writeback", "--aio=io_uring", "--discard=unmap", "-k"]
    found = {peers.SELF: [m.EMULATOR, "nbd", "-q", "-f", "raw", "-t", "-e", "4", "-k", "SOCKET", image]}
    for name, program in (("qemu-nbd", "qemu-nbd"), ("qemu10-nbd", os.path.join(m.CACHE, "qemu10/bin/qemu-nbd"))):
        if peers.shutil.which(program):
            found[name] = [program, *qemu, "SOCKET", image]
    if peers.shutil.which("nbdkit"):
        found["nbdkit"] = ["nbdkit", "-f", "-U", "SOCKET", "file", image]
    unknown = [w for w in wanted or [] if w not in found]
    if unknown:
        raise m.Skip(f"no such server: {', '.join(unknown)} (there are: {', '.join(found)})")
    return {name: [w if w != "SOCKET" else os.path.join(folder, f"{name}.sock") for w in argv]
            for name, argv in found.items() if not wanted or name in wanted}


def load(socket, op, depth, args):
    """What fio says of one measurement: (requests, seconds)."""
    done = subprocess.run(
        ["fio", "--name=nbd", "--ioengine=nbd", f"--uri=nbd+unix:///?socket={socket}", f"--rw=rand{op}", f"--bs={BLOCK}",
         f"--iodepth={depth}", f"--size={args.mib}m", f"--runtime={args.seconds}", "--time_based", "--norandommap",
         "--randrepeat=1", "--output-format=json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
        timeout=args.seconds + args.limit)
    m.check(done.returncode == 0 and "{" in done.stdout, f"fio failed: {done.stdout[:500]} {done.stderr[:500]}")
    job = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{"):])[0]["jobs"][0]
    m.check(job["error"] == 0, "fio: a request failed")
    return job[op]["total_ios"], job[op]["runtime"] / 1000


def run_once(argv, socket, args):
    """One life of a server: {kind: {iops, us, cpu_us}}; microseconds are of one request."""
    result = {}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as server:
        try:
            limit = time.monotonic() + args.limit
            while not os.path.exists(socket):
                m.check(server.poll() is None and time.monotonic() < limit, f"{argv[0]} did not begin")
                time.sleep(0.01)
            for op in args.ops.split(","):
                for depth in args.depths.split(","):
                    before = cpu_seconds(server.pid)
                    count, seconds = load(socket, op, int(depth), args)
                    result[f"{op}-{depth}"] = {"iops": count / seconds, "us": seconds / count * 1e6,
                                               "cpu_us": (cpu_seconds(server.pid) - before) / count * 1e6}
        finally:
            server.terminate()
    if os.path.exists(socket):
        os.unlink(socket)
    return result


def summary(runs):
    """Medians of a server, and ratios of this one to the others."""
    kinds = list(next(iter(runs.values()))[0])
    medians = {name: {k: {what: statistics.median(r[k][what] for r in rows) for what in rows[0][k]} for k in kinds}
               for name, rows in runs.items()}
    ratios = {name: {k: {what: peers.interval([a[k][what] / b[k][what] for a, b in zip(runs[peers.SELF], rows)])
                         for what in ("us", "cpu_us")} for k in kinds}
              for name, rows in runs.items() if name != peers.SELF and peers.SELF in runs}
    return {"medians": medians, "ratios": ratios, "runs": runs}


def text(result):
    names = list(result["medians"])
    print(f"raw file in the page cache, Unix socket, fio's client; {result['cpu']}: median requests a second, in brackets CPU "
          "microseconds of a request")
    peers.table([""] + names, [[k.replace("-", ", depth ")] +
                               [f"{result['medians'][n][k]['iops']:.0f} ({result['medians'][n][k]['cpu_us']:.1f})" for n in names]
                               for k in result["medians"][names[0]]])
    for name, compared in result["ratios"].items():
        print(f"mortise / {name}: median of the pairs' ratios, 95 % interval; below 1 mortise is faster")
        peers.table(["", "time of a request", "CPU time of a request"],
                    [[k.replace("-", ", depth "), peers.show(*r["us"]), peers.show(*r["cpu_us"])] for k, r in compared.items()])


def options():
    parser = peers.arguments(__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the disk")
    parser.add_argument("--seconds", type=float, default=2, help="length of each measurement")
    parser.add_argument("--ops", default="read,write")
    parser.add_argument("--depths", default="1,32", help="requests under way")
    parser.add_argument("--limit", type=float, default=60, help="seconds over its length after which a measurement failed")
    args = peers.parse(parser)
    if set(args.ops.split(",")) - {"read", "write"}:
        parser.error("--ops: of read and write")
    return args


def bench(folder):
    args = options()
    if not peers.shutil.which("fio"):
        raise m.Skip("fio is not installed")
    image = os.path.join(folder, "disk.img")
    with open(image, "wb", buffering=0) as f:
        for _ in range((args.mib << 20) // BLOCK):
            f.write(os.urandom(BLOCK))
    commands = servers(folder, image, args.only)
    runs = {name: [] for name in commands}
    for i, name in peers.rounds(commands, args.rounds):
        runs[name].append(run_once(commands[name], os.path.join(folder, f"{name}.sock"), args))
        peers.note(args, f"round {i + 1}: {name}: " + ", ".join(f"{k} {r['iops']:.0f}/s" for k, r in runs[name][-1].items()))
    result = {"benchmark": "nbd", "rounds": args.rounds, "cpu": peers.processor(), **summary(runs)}
    headlines = [(kind, name, r["us"]) for name, compared in result["ratios"].items() for kind, r in compared.items()]
    peers.finish(args, result, text, headlines)


peers.main(bench)
