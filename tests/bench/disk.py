#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The block layer alone, without a guest: `mortise img bench` beside fio on the same file, and beside `qemu-img bench`, in
the same minutes; a newer QEMU's too where the cache has one. Requests of 4 KiB in order, 32 at a time, all by io_uring; each program's own time, and the process's
CPU time.

Reads and overwrites of data that are allocated, through the page cache (writeback) and around it (none); qcow2 beside raw;
and first writes into a fresh qcow2 image of 64 KiB clusters, one request a cluster, so that each must allocate.
"""
import json
import os
import random
import re
import resource
import statistics
import subprocess

import peers
from peers import m

RAW, QCOW2, FIO, QEMU, QEMU_QCOW2 = "mortise", "mortise qcow2", "fio", "qemu-img", "qemu-img qcow2"
NEW, NEW_QCOW2 = "qemu10-img", "qemu10-img qcow2"
# fio that hands over as many requests at once as there are, as mortise does
FIO_BATCH = "fio, batches"
# the qcow2's file read as if it were raw: what is the file's and the page cache's share, and not the format's
FILE = "mortise qcow2's file"
ALL = (RAW, QCOW2, FIO, FIO_BATCH, QEMU, QEMU_QCOW2, NEW, NEW_QCOW2)
# name, who, words: write, cache mode, fresh image
JOBS = [
    ("read, cached", (*ALL, FILE), False, "writeback", False),
    ("write, cached", ALL, True, "writeback", False),
    ("read, direct", (*ALL, FILE), False, "none", False),
    ("write, direct", ALL, True, "none", False),
    ("first write, cached", (QCOW2, QEMU_QCOW2, NEW_QCOW2), True, "writeback", True),
    ("first write, direct", (QCOW2, QEMU_QCOW2, NEW_QCOW2), True, "none", True),
]
# (better, than): below 1 the first is faster
PAIRS = [(RAW, FIO), (RAW, FIO_BATCH), (QCOW2, RAW), (QCOW2, FILE), (RAW, QEMU), (QCOW2, QEMU_QCOW2), (RAW, NEW), (QCOW2, NEW_QCOW2)]
CLUSTER = 65536


def bench_words(program, path, fmt, count, write, cache, step):
    words = [*program, "bench", "-f", fmt, "-t", cache, "-d", "32", "-c", str(count), "-s", "4096"]
    words += ["-S", str(step)] if step else []
    return words + (["-w"] if write else []) + [path]


def fio_words(name, path, count, write, cache):
    batch = ["--iodepth_batch_submit=32", "--iodepth_batch_complete_max=32"] if name == FIO_BATCH else []
    return ["fio", "--name=x", "--filename=" + path, "--rw=" + ("write" if write else "read"), "--bs=4k", "--iodepth=32",
            "--ioengine=io_uring", f"--direct={int(cache == 'none')}", "--size=" + str(os.path.getsize(path)),
            f"--io_size={count * 4096}", "--output-format=json", "--thread", "--invalidate=0", "--overwrite=1", *batch]


def own_seconds(name, output):
    if name in (FIO, FIO_BATCH):
        job = json.loads(output)["jobs"][0]
        done = job["read"] if job["read"]["total_ios"] else job["write"]
        return done["runtime"] / 1e3
    return float(re.search(rb"completed in ([0-9.]+) seconds", output)[1])


def run_one(name, words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": own_seconds(name, done.stdout),
            "cpu": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def system_calls(words):
    """Of the whole process, counted in a run that is not timed; None without strace."""
    try:
        done = subprocess.run(["strace", "-f", "-c", "-o", "/dev/stderr", *words], check=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    found = re.search(rb"\n *100\.00 +\S+ +(?:\S+ +)?(\d+) .*total", done.stderr)
    return int(found[1]) if found else None


def words_of(name, job, args, folder):
    _, _, write, cache, fresh = job
    raw, qcow2 = os.path.join(folder, "disk.raw"), os.path.join(folder, "disk.qcow2")
    program = [m.EMULATOR, "img"] if name in (RAW, QCOW2, FILE) else [peers.qemu_img().get(name.split()[0])]
    count = args.mib * 256
    if fresh:
        fresh_path = os.path.join(folder, "fresh.qcow2")
        if os.path.exists(fresh_path):
            os.unlink(fresh_path)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", fresh_path, str(count // 4 * CLUSTER)], check=True)
        words = bench_words(program, fresh_path, "qcow2", count // 4, write, cache, CLUSTER)
    elif name in (FIO, FIO_BATCH):
        return fio_words(name, raw, count, write, cache)
    elif name.endswith(" qcow2"):
        words = bench_words(program, qcow2, "qcow2", count, write, cache, 0)
    else:
        words = bench_words(program, qcow2 if name == FILE else raw, "raw", count, write, cache, 0)
    if program[0] != m.EMULATOR:
        words[2:2] = ["-i", "io_uring"]
    return words


def names_of(job, args):
    there = (RAW, FILE, FIO, FIO_BATCH, *peers.qemu_img())
    return [n for n in job[1] if n.removesuffix(" qcow2") in there and (not args.only or n in args.only)]


def run_job(job, args, folder):
    names = names_of(job, args)
    runs = {name: [] for name in names}
    for _, name in peers.rounds(names, args.rounds):
        runs[name].append(run_one(name, words_of(name, job, args, folder)))
    count = args.mib * (64 if job[4] else 256)
    return {"count": count, "runs": runs,
            "calls": {name: system_calls(words_of(name, job, args, folder)) for name in names},
            "ratios": {f"{a} / {b}": peers.interval([x["seconds"] / y["seconds"] for x, y in zip(runs[a], runs[b])])
                       for a, b in PAIRS if a in runs and b in runs}}


def text(result):
    print(f"{result['mib']} MiB, {result['rounds']} rounds, depth 32, io_uring; times a request")
    for name, job in result["jobs"].items():
        print(f"{name}:")
        rows = []
        for who, runs in job["runs"].items():
            calls = job["calls"][who]
            times = [statistics.median(r[k] for r in runs) / job["count"] * 1e6 for k in ("seconds", "cpu")]
            rows.append([who, *(f"{t:.2f} us" for t in times), f"{calls / job['count']:.3f}" if calls else "?"])
        peers.table(["", "time", "CPU time", "system calls"], rows)
        for pair, ratio in job["ratios"].items():
            print(f"  time, {pair}: {peers.show(*ratio)}")


def bench(folder):
    parser = peers.arguments(__doc__, rounds=5)
    parser.add_argument("--jobs", help="of them only those whose name has this in it")
    parser.add_argument("--mib", type=int, default=128, help="size of the disk, which is read or written once a run")
    args = peers.parse(parser)
    m.need_emulator()
    for program in ("qemu-img", "fio"):
        m.need_emulator(program)
    with open(os.path.join(folder, "disk.raw"), "wb") as f:
        rng = random.Random(1)
        for _ in range(args.mib):
            f.write(rng.randbytes(1 << 20))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", os.path.join(folder, "disk.raw"),
                    os.path.join(folder, "disk.qcow2")], check=True)
    result = {"benchmark": "disk", "mib": args.mib, "rounds": args.rounds, "jobs": {}}
    for job in (j for j in JOBS if names_of(j, args) and (not args.jobs or args.jobs in j[0])):
        peers.note(args, job[0])
        result["jobs"][job[0]] = run_job(job, args, folder)
    peers.finish(args, result, text)


peers.main(bench)
