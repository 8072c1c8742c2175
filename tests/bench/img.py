#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""mortise img beside qemu-img: converting between formats, compressing, and info. Wall time, CPU seconds and size.

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
    runs = {name: [] for name in programs}
    for _, name in peers.rounds(programs, args.rounds * 5):
        wall, cpu = timed(programs[name] + ["info", "-f", "qcow2", "--output=json", image])
        runs[name].append({"wall": wall, "cpu": cpu, "bytes": 0})
    return runs


def ratio(runs, key):
    mine, other = runs[peers.SELF], runs["qemu-img"]
    return peers.interval([a[key] / max(b[key], 1e-6) for a, b in zip(mine, other)])


def median(runs, name, key):
    return statistics.median(r[key] for r in runs[name])


def text(result):
    print(f"{result['mib']} MiB, {result['rounds']} rounds; mortise / qemu-img, below 1 mortise is better")
    rows = []
    for name, job in result["jobs"].items():
        rows.append([name, f"{job['wall_seconds'] * 1e3:.1f} ms", peers.show(*job["wall"]), peers.show(*job["cpu"]),
                     f"{job['mib']:.0f} MiB", peers.show(*job["bytes"]) if job["bytes"] else ""])
    peers.table(["", "wall", "wall ratio", "CPU ratio", "taken", "ratio"], rows)


def bench(folder):
    parser = peers.arguments(__doc__, rounds=5)
    parser.add_argument("--mib", type=int, default=256, help="size of the source")
    args = peers.parse(parser)
    m.need_emulator()
    m.need_emulator("qemu-img")
    programs = {peers.SELF: [m.EMULATOR, "img"], "qemu-img": ["qemu-img"]}
    make_source(os.path.join(folder, "source.raw"), args.mib)
    result = {"benchmark": "img", "mib": args.mib, "rounds": args.rounds, "jobs": {}}
    for job in JOBS + [("info", None, None, None)]:
        peers.note(args, job[0])
        runs = run_job(job, programs, args, folder) if job[1] else run_info(programs, args, folder)
        result["jobs"][job[0]] = {
            "wall": ratio(runs, "wall"), "cpu": ratio(runs, "cpu"), "bytes": ratio(runs, "bytes") if job[1] else None,
            "wall_seconds": median(runs, peers.SELF, "wall"), "mib": median(runs, peers.SELF, "bytes") / (1 << 20),
            "runs": runs}
    peers.finish(args, result, text)


peers.main(bench)
