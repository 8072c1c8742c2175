#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cpu-kvm beside QEMU on the same KVM: what an exit, a kick and its answer cost, the way to the first instruction, and memory.

guest/exits.c runs on both, and on kvmfloor.c, which is KVM with the fewest calls that do. Kicks go by both ways of each
emulator: on the vCPU's thread, and by an eventfd to another thread; and messages of the answer by both ways of this one, by a call
and by an eventfd that KVM turns into the message.
"""
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
import peers  # noqa: E402

m = peers.m
sys.path.insert(0, os.path.join(m.SOURCE, "tests", "guest", "x86"))
import x86  # noqa: E402

PEER = "qemu-system-x86_64"
THREAD = "-eventfd"
MESSAGES = "-irqfd"
FLOOR = "floor"
SECONDS = 300
DISK_BYTES = 64 << 10
TIMES = ["port-read", "port-write", "register-read", "register-write", "kick", "answer", "interrupt"]
WHAT = {"port-read": "read of a port", "port-write": "write of a port", "register-read": "read of a register",
        "register-write": "write of a register", "kick": "kick, until the vCPU goes on", "answer": "kick, until the answer is in the ring",
        "interrupt": "kick, until the interrupt has woken the vCPU", "start": "command to the first instruction",
        "memory": "resident memory"}
PLUGINS = ["cpu-kvm", "dev-boot-x86", "dev-uart16550", "dev-char-stdio", "dev-pci-host", "dev-virtio-pci", "dev-virtio-blk",
           "block-raw", "dev-rtc-cmos"]
BOARD = x86.WITHOUT_PCI.replace("[device exit]\nplugin = dev-debug-exit\n", "") + x86.PCI.split("[device slot2]")[0] + """[block disk]
plugin = block-raw
file = disk
[device vda]
plugin = dev-virtio-blk
bus = slot1
block = disk
"""


def need_parts():
    m.need_emulator()
    for name in PLUGINS:
        if not os.path.exists(os.path.join(m.BUILD, "plugins", name, ".libs", name + ".so")):
            raise m.Skip(f"{name} is not built")


def build(folder, args):
    """The guest, and the measuring program."""
    if args.built:
        return os.path.join(args.built, "exits"), os.path.join(args.built, "kvmfloor")
    path = os.path.join(folder, "exits")
    sources = [os.path.join(x86.SOURCE, f) for f in ("start.S", "rt.c")] + [os.path.join(peers.HERE, "guest", "exits.c")]
    subprocess.run([x86.need_compiler(), *x86.FLAGS, f"-DCOUNT={args.count}", "-I" + x86.SOURCE, "-o", path, *sources], check=True)
    return path, peers.compile_helper(folder, "kvmfloor")


def commands(guest, floor, peer):
    """{name: words}; the floor has no disk."""
    own = [m.EMULATOR, "run", "-q", "exits.ini", "-s", "boot.kernel=" + guest]
    found = {peers.SELF: own, peers.SELF + THREAD: own + ["-s", "slot1.kicks=thread"],
             peers.SELF + MESSAGES: own + ["-s", "slot1.messages=eventfd"],
             peers.SELF + THREAD + MESSAGES: own + ["-s", "slot1.kicks=thread", "-s", "slot1.messages=eventfd"], FLOOR: [floor, guest]}
    if peer:
        words = [peer, "-M", "q35", "-accel", "kvm", "-cpu", "host,-arch-capabilities", "-m", "64M", "-nodefaults", "-display", "none", "-serial",
                 "stdio", "-no-reboot", "-kernel", guest, "-drive", "if=none,id=d,format=raw,file=disk,cache=writeback,aio=io_uring",
                 "-object", "iothread,id=io", "-device"]
        name = "qemu-" + peers.version(peer)
        device = "virtio-blk-pci,drive=d,disable-legacy=on,ioeventfd="
        found[name] = words + [device + "off"]
        found[name + THREAD] = words + [device + "on,iothread=io"]
    return found


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        return int(re.search(r"^Pss: +(\d+) kB", f.read(), re.MULTILINE)[1]) << 10


def run_once(words, folder, rate):
    """Times in microseconds, of the guest's own words; start in milliseconds; memory in bytes."""
    begin = time.monotonic()
    with subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        timer = threading.Timer(SECONDS, process.kill)
        timer.start()
        try:
            found, said = {}, ""
            for line in process.stdout:
                line = line.decode(errors="replace").strip()
                said += line + "\n"
                if line == "up":
                    found["start"] = (time.monotonic() - begin) * 1e3
                time_of = re.match(r"([a-z-]+) 0x([0-9a-f]+)$", line)
                if time_of:
                    found[time_of[1]] = int(time_of[2], 16) / rate * 1e6
                if line == "idle":
                    found["memory"] = resident(process.pid)
                    return found
        finally:
            timer.cancel()
            process.kill()
    raise m.console.Failure(f"{words[0]} ended early:\n{said[-2000:]}")


def pairs_of(names):
    """(ours, theirs): each way with the same way, and the default of each with that of the other."""
    peer = next((n for n in names if n.startswith("qemu-") and not n.endswith(THREAD)), None)
    if peer:
        yield peers.SELF, peer
        yield peers.SELF + THREAD, peer + THREAD
        yield peers.SELF, peer + THREAD
    yield peers.SELF + MESSAGES, peers.SELF
    yield peers.SELF + THREAD + MESSAGES, peers.SELF + THREAD
    yield peers.SELF, FLOOR


def summary(runs):
    result = {"emulators": {}, "ratios": {}}
    for name, list_of in runs.items():
        keys = [k for k in TIMES + ["start", "memory"] if k in list_of[0]]
        result["emulators"][name] = {k: statistics.median(r[k] for r in list_of) for k in keys}
    for ours, theirs in pairs_of(runs):
        if ours not in runs or theirs not in runs:
            continue
        shared = [k for k in result["emulators"][ours] if k in result["emulators"][theirs]]
        result["ratios"][f"{ours} / {theirs}"] = {
            k: peers.interval([a[k] / max(b[k], 1e-9) for a, b in zip(runs[ours], runs[theirs])]) for k in shared}
    if peers.SELF in runs and FLOOR in runs:
        result["start_over_floor_ms"] = peers.interval([a["start"] - b["start"] for a, b in zip(runs[peers.SELF], runs[FLOOR])])
    return result


def text(result):
    print(f"On KVM, {result['count']} times each in {result['rounds']} rounds: medians ({result['host']})")
    names = list(result["emulators"])
    rows = [[WHAT[k] + (" (us)" if k in TIMES else " (ms)" if k == "start" else " (MiB)")] +
            [f"{e[k] / (1 << 20 if k == 'memory' else 1):.2f}" if k in e else "-" for e in result["emulators"].values()]
            for k in TIMES + ["start", "memory"]]
    peers.table([""] + names, rows)
    for pair, ratios in result["ratios"].items():
        print(f"{pair} (median of pairs, 95 % interval):")
        peers.table(["", "ratio"], [[WHAT[k], peers.show(*r)] for k, r in ratios.items()])
    if "start_over_floor_ms" in result:
        print(f"{WHAT['start']}, milliseconds above the floor: {peers.show(*result['start_over_floor_ms'])}")


def bench(folder):
    parser = peers.arguments(__doc__, rounds=10)
    parser.add_argument("--count", type=int, default=50000, help="how often each thing is done in a run")
    parser.add_argument("--built", metavar="DIR", help="where exits and kvmfloor are, for hosts without a compiler")
    args = peers.parse(parser)
    x86.need_kvm()
    need_parts()
    guest, floor = build(folder, args)
    rate = float(subprocess.run([floor], stdout=subprocess.PIPE, check=True).stdout)
    with open(os.path.join(folder, "exits.ini"), "w", encoding="utf-8") as f:
        f.write(BOARD)
    with open(os.path.join(folder, "disk"), "wb") as f:
        f.write(b"\x5a" * DISK_BYTES)
    chosen = commands(guest, floor, shutil.which(PEER))
    if args.only:
        chosen = {name: words for name, words in chosen.items() if name in args.only}
        if not chosen:
            raise m.Skip("none of the emulators that --only names is here")
    runs = {name: [] for name in chosen}
    for words in chosen.values():
        run_once(words, folder, rate)  # files come into the page cache
    for _, name in peers.rounds(chosen, args.rounds):
        runs[name].append(run_once(chosen[name], folder, rate))
        peers.note(args, f"{name}: " + ", ".join(f"{k} {v:.1f}" for k, v in runs[name][-1].items()))
    result = {"benchmark": "kvm", "rounds": args.rounds, "count": args.count, "host": peers.processor(), **summary(runs), "runs": runs}
    headlines = [(WHAT[k], pair.split(" / ")[1], r) for pair, ratios in result["ratios"].items()
                 if pair.startswith(peers.SELF + " ") for k, r in ratios.items()]
    peers.finish(args, result, text, headlines)


peers.main(bench)
