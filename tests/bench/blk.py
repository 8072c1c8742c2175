#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A virtio disk, this emulator beside QEMU in the same minutes: random reads and writes of 4 KiB by a guest that bypasses
its own page cache, with 1, 4 and 32 requests under way for each queue, and with 1 and 4 queues (a hart each).

The image is a raw file in the host's page cache, the disk a PCI function. The machine has a PLIC, so that interrupts are wired:
under QEMU 7.2 the guest does not start on the machine with the AIA (--board virt-riscv64-aia), where each queue has a vector.
Wall time is what the guest measured; CPU time is the whole emulator process's meanwhile, divided by the requests.
"""
import os
import statistics
import struct
import sys
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
BLOCK = 4096
SCRIPT = """#!/bin/sh
for word in $(cat /proc/cmdline); do
  case $word in
    blk.*) w=$(echo ${word#blk.} | tr : ' '); set -- $w
      echo "BENCH-START $1-$2"; /mortise-blk /dev/vda $w ;;
  esac
done
echo "BENCH-END"
"""
LINE = rb"BENCH(?: ([\w-]+) (\d+) ([0-9.]+)|-(START) ([\w-]+)|-(END))\r"
# What suits QEMU best of what it offers for a file in the page cache: docs/benchmarks.md.
PEER_AIO = "io_uring"


def cpu_seconds(pid):
    """User and system time of all threads of a process: clock_getcpuclockid(3)'s clock, which Python does not offer."""
    return time.clock_gettime(~pid << 3 | 2)


def make_image(folder, mib):
    """Each block begins with its number. They are written one by one: in the large folios that large writes leave in the page
    cache, ext4 looks at every block of the folio for each write into it, which would hide what the emulators do."""
    path = os.path.join(folder, "disk.img")
    with open(path, "wb", buffering=0) as f:
        for n in range((mib << 20) // BLOCK):
            f.write(struct.pack("<Q", n).ljust(BLOCK, b"\xa5"))
    return path


def machine_for(args, queues, image, initramfs):
    kinds = [f"blk.{op}:{depth}:{queues}:{args.seconds}" for op in args.ops.split(",") for depth in args.depths.split(",")]
    own = (f"[block disk]\nplugin = block-raw\nfile = \"{image}\"\n"
           f"[device vda]\nplugin = dev-virtio-blk\nbus = slot1\nblock = disk\nqueues = {queues}\n")
    drive = f"if=none,id=d,format=raw,cache=writeback,aio={args.peer_aio},file={image}"
    device = f"virtio-blk-pci,drive=d,num-queues={queues}"
    peer = ["-drive", drive, "-device", device]
    if args.peer_iothread:
        peer = ["-object", "iothread,id=io", "-drive", drive, "-device", device + ",iothread=io"]
    append = "console=ttyS0 mortise.script=bench " + " ".join(kinds)
    return m.Machine(m.guest_file("Image"), initramfs, append, harts=queues, board=args.board, more=own, peer_more=peer)


def run_once(machine, program, args, folder):
    """One boot: {kind: {iops, us, cpu_us}}; microseconds are of one request."""
    result, cpu = {}, 0.0
    with m.console.Console(machine.command(program, folder)) as guest:
        guest.expect(rb"MORTISE-TEST: modules ok\r", m.BOOT_SECONDS)
        while True:
            found = guest.expect(LINE, args.seconds + args.limit)
            if found[6]:
                break
            if found[4]:
                cpu = cpu_seconds(guest.pid)
                continue
            count, seconds = int(found[2]), float(found[3])
            m.check(count, f"{found[1].decode()}: a request failed, or a block was not what it should be")
            result[found[1].decode()] = {"iops": count / seconds, "us": seconds / count * 1e6,
                                         "cpu_us": (cpu_seconds(guest.pid) - cpu) / count * 1e6}
        m.ends_with(guest, 0)
    return result


def ratios(runs, name, kind, what):
    return peers.interval([a[kind][what] / b[kind][what] for a, b in zip(runs[peers.SELF], runs[name])])


def summary(runs):
    """Medians of an emulator, and ratios of this one to the others."""
    kinds = list(next(iter(runs.values()))[0])
    medians = {name: {k: {what: statistics.median(r[k][what] for r in list_of) for what in list_of[0][k]} for k in kinds}
               for name, list_of in runs.items()}
    compared = {name: {k: {what: ratios(runs, name, k, what) for what in ("us", "cpu_us")} for k in kinds}
                for name in runs if name != peers.SELF and peers.SELF in runs}
    return {"medians": medians, "ratios": compared, "runs": runs}


def text(result):
    print(f"QEMU: file in the page cache, aio={result['peer_aio']}, "
          f"{'an iothread' if result['peer_iothread'] else 'no iothread'}; both: {result['cpu']}")
    for queues, part in result["queues"].items():
        print(f"{queues} queue(s), {queues} hart(s), {result['board']}: median requests a second, "
              "in brackets CPU microseconds of a request")
        names = list(part["medians"])
        rows = [[k.replace("-", ", depth ")] + [f"{part['medians'][n][k]['iops']:.0f} ({part['medians'][n][k]['cpu_us']:.0f})"
                                                for n in names] for k in part["medians"][names[0]]]
        peers.table([""] + names, rows)
        for name, compared in part["ratios"].items():
            print(f"mortise / {name}: median of the pairs' ratios, 95 % interval; below 1 mortise is faster")
            peers.table(["", "time of a request", "CPU time of a request"],
                        [[k.replace("-", ", depth "), peers.show(*r["us"]), peers.show(*r["cpu_us"])]
                         for k, r in compared.items()])


def options():
    parser = peers.arguments(__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of the disk")
    parser.add_argument("--seconds", type=float, default=2, help="length of each measurement")
    parser.add_argument("--ops", default="read,write")
    parser.add_argument("--depths", default="1,4,32", help="requests under way for each queue")
    parser.add_argument("--queues", default="1,4", help="1, 4 or both")
    parser.add_argument("--board", default="virt-riscv64", choices=tuple(m.PEER_BOARDS))
    parser.add_argument("--peer-aio", default=PEER_AIO, choices=("threads", "io_uring"), help="how QEMU does its I/O")
    parser.add_argument("--no-peer-iothread", dest="peer_iothread", action="store_false",
                        help="give QEMU's disk no thread of its own")
    parser.add_argument("--limit", type=float, default=60, help="seconds over its length after which a measurement failed")
    args = peers.parse(parser)
    if set(args.queues.split(",")) - {"1", "4"} or set(args.ops.split(",")) - {"read", "write"}:
        parser.error("--queues: of 1 and 4; --ops: of read and write")
    return args


def bench(folder):
    args = options()
    m.need_firmware()
    programs = peers.find(args.only)
    guest = m.build_linux(folder, "mortise-blk", os.path.join(peers.HERE, "guest", "blk.c"))
    with open(guest, "rb") as f:
        initramfs = m.initramfs_with(folder, {"mortise-blk": (0o755, f.read()), "scripts/bench": (0o755, SCRIPT.encode())})
    image = make_image(folder, args.mib)
    runs = {int(q): {name: [] for name in programs} for q in args.queues.split(",")}
    for i, name in peers.rounds(programs, args.rounds):
        for queues, lists in runs.items():
            machine = machine_for(args, queues, image, initramfs)
            lists[name].append(run_once(machine, programs[name], args, folder))
            peers.note(args, f"round {i + 1}: {name}, {queues} queue(s): " +
                       ", ".join(f"{kind} {r['iops']:.0f}/s" for kind, r in lists[name][-1].items()))
    result = {"benchmark": "blk", "rounds": args.rounds, "cpu": peers.processor(), "board": args.board,
              "peer_aio": args.peer_aio, "peer_iothread": args.peer_iothread,
              "queues": {q: summary(lists) for q, lists in runs.items()}}
    headlines = [(f"{queues} queue(s), {kind}", name, ratio["us"]) for queues, part in result["queues"].items()
                 for name, compared in part["ratios"].items() for kind, ratio in compared.items()]
    peers.finish(args, result, text, headlines)


peers.main(bench)
