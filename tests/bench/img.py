#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mortise img beside qemu-img, and a newer one where the cache has it: converting between formats, compressing, and info. Wall time, CPU seconds and size.

The time of info is from command to end, beside that of true(1), which is the host's share of it.

Every output is compared with the source before its time counts. The source is a quarter random, a quarter text, a quarter
zeros that are written, and a quarter of 4 KiB random and 4 KiB zeros in turn. Files are in the page cache, and no program
waits for the disk (-t unsafe, which is what both do by default).
"""
import filecmp
import os
import random
import resource
import subprocess
import statistics
import time

import peers
from peers import m

JOBS = [  # (name, source format, target format, words)
    ("raw to raw", "raw", "raw", []),
    ("raw to vdi", "raw", "vdi", []),
    ("raw to vmdk", "raw", "vmdk", []),
    ("raw to vmdk, streamOptimized", "raw", "vmdk", ["-o", "subformat=streamOptimized"]),
    ("raw to qcow2", "raw", "qcow2", []),
    ("vdi to raw", "vdi", "raw", []),
    ("vmdk to raw", "vmdk", "raw", []),
    ("qcow2 to raw", "qcow2", "raw", []),
    ("qcow2 -c zlib", "raw", "qcow2", ["-c"]),
    ("qcow2 -c zstd", "raw", "qcow2", ["-c", "-o", "compression_type=zstd"]),
]


def make_source(path, mib):
    rng = random.Random(1)
    words = [bytes(rng.choices(b"abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 10))) for _ in range(2000)]
    with open(path, "wb") as f:
        for i in range(mib):
            if i % 4 == 0:
                f.write(rng.randbytes(1 << 20))
            elif i % 4 == 1:
                f.write(b" ".join(rng.choices(words, k=200000))[:1 << 20])
            elif i % 4 == 2:
                f.write(bytes(1 << 20))
            else:
                f.write(b"".join(rng.randbytes(4096) + bytes(4096) for _ in range(128)))


def timed(argv):
    """(wall, CPU) seconds of a program that must succeed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def convert(program, job, folder, source):
    name, from_format, to_format, words = job
    out = os.path.join(folder, "out." + to_format)
    if os.path.exists(out):
        os.unlink(out)
    wall, cpu = timed(program + ["convert", "-f", from_format, "-O", to_format, *words, source, out])
    return {"wall": wall, "cpu": cpu, "bytes": os.stat(out).st_blocks * 512}, out


def same(out, job, folder):
    """The output holds the source, as qemu-img reads it."""
    plain = os.path.join(folder, "plain")
    subprocess.run(["qemu-img", "convert", "-f", job[2], "-O", "raw", out, plain], check=True)
    return filecmp.cmp(plain, os.path.join(folder, "source.raw"), shallow=False)


def run_job(job, programs, args, folder):
    source = os.path.join(folder, "source." + job[1])
    if not os.path.exists(source):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", job[1], os.path.join(folder, "source.raw"), source], check=True)
    runs = {name: [] for name in programs}
    for i, name in peers.rounds(programs, args.rounds):
        numbers, out = convert(programs[name], job, folder, source)
        if i == 0 and not same(out, job, folder):
            raise m.console.Failure(f"{name}: {job[0]}: the output is not the source")
        runs[name].append(numbers)
    return runs


def run_info(programs, args, folder):
    image = os.path.join(folder, "source.qcow2")
    if not os.path.exists(image):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", os.path.join(folder, "source.raw"), image], check=True)
    measure, info = peers.compile_helper(folder, "measure"), ["info", "-f", "qcow2", "--output=json", image]
    commands = {**{name: program + info for name, program in programs.items()}, "true": ["true"]}
    runs = {name: [] for name in commands}
    for _, name in peers.rounds(commands, args.rounds * 5):
        wall, user, system, _, code = map(float, subprocess.check_output([measure, *commands[name]]).split())
        m.check(code == 0, f"{name}: info failed")
        runs[name].append({"wall": wall, "cpu": user + system, "bytes": 0})
    return runs


def ratios(runs, key):
    return {name: peers.interval([a[key] / max(b[key], 1e-6) for a, b in zip(runs[peers.SELF], other)])
            for name, other in runs.items() if name != peers.SELF}


def median(runs, name, key):
    return statistics.median(r[key] for r in runs[name])


def text(result):
    print(f"{result['mib']} MiB, {result['rounds']} rounds; below 1 mortise is better")
    for peer in dict.fromkeys(peer for job in result["jobs"].values() for peer in job["wall"]):
        rows = []
        for name, job in result["jobs"].items():
            if peer not in job["wall"]:
                continue
            rows.append([name, f"{job['wall_seconds'] * 1e3:.1f} ms", peers.show(*job["wall"][peer]),
                         peers.show(*job["cpu"][peer]), f"{job['mib']:.0f} MiB",
                         peers.show(*job["bytes"][peer]) if job["bytes"] else ""])
        print(f"mortise / {peer}:")
        peers.table(["", "wall", "wall ratio", "CPU ratio", "taken", "ratio"], rows)


def bench(folder):
    parser = peers.arguments(__doc__, rounds=5)
    parser.add_argument("--jobs", help="of them only those whose name has this in it")
    parser.add_argument("--mib", type=int, default=256, help="size of the source")
    args = peers.parse(parser)
    m.need_emulator()
    m.need_emulator("qemu-img")
    programs = {peers.SELF: [m.EMULATOR, "img"], **{name: [path] for name, path in peers.qemu_img().items()}}
    make_source(os.path.join(folder, "source.raw"), args.mib)
    result = {"benchmark": "img", "mib": args.mib, "rounds": args.rounds, "jobs": {}}
    for job in (j for j in JOBS + [("info", None, None, None)] if not args.jobs or args.jobs in j[0]):
        peers.note(args, job[0])
        runs = run_job(job, programs, args, folder) if job[1] else run_info(programs, args, folder)
        result["jobs"][job[0]] = {
            "wall": ratios(runs, "wall"), "cpu": ratios(runs, "cpu"), "bytes": ratios(runs, "bytes") if job[1] else None,
            "wall_seconds": median(runs, peers.SELF, "wall"), "mib": median(runs, peers.SELF, "bytes") / (1 << 20),
            "runs": runs}
    peers.finish(args, result, text)


peers.main(bench)
