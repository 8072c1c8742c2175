#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""cpu-kvm beside QEMU on the same KVM: what an exit, a kick and its answer cost, the way to the first instruction, and memory.

guest/exits.c runs on both, and on kvmfloor.c, which is KVM with the fewest calls that do. For the exits all of them run at once and
take turns (turns.py). Kicks go by both ways of each emulator: on the vCPU's thread, and by an eventfd to another thread; and messages of
the answer by both ways of this one, by a call and by an eventfd that KVM turns into the message.
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
import turns  # noqa: E402

m = peers.m
sys.path.insert(0, os.path.join(m.SOURCE, "tests", "guest", "x86"))
import x86  # noqa: E402

PEER = "qemu-system-x86_64"
THREAD = "-eventfd"
MESSAGES = "-irqfd"
FLOOR = "floor"
SECONDS = 300
STARTS = 10       # pairs in a round, against the floor
DISK_BYTES = 64 << 10
TIMES = ["kick", "answer", "interrupt"]
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


def build_guest(folder, name, exits, count):
    path = os.path.join(folder, name)
    sources = [os.path.join(x86.SOURCE, f) for f in ("start.S", "rt.c")] + [os.path.join(peers.HERE, "guest", "exits.c")]
    subprocess.run([x86.need_compiler(), *x86.FLAGS, f"-DEXITS={exits}", f"-DCOUNT={count}", "-I" + x86.SOURCE, "-o", path, *sources],
                   check=True)


def build(folder, args):
    """Where the guests (exits, kicks), the floor (kvmfloor) and what is preloaded (turns.so) are."""
    if args.built:
        return args.built
    build_guest(folder, "exits", turns.EXITS, 1)
    build_guest(folder, "kicks", 1, args.count)
    peers.compile_helper(folder, "kvmfloor")
    turns.build(folder)
    return folder


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


def place(folder):
    """The folder, with a machine file and a disk in it."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "exits.ini"), "w", encoding="utf-8") as f:
        f.write(BOARD)
    with open(os.path.join(folder, "disk"), "wb") as f:
        f.write(b"\x5a" * DISK_BYTES)
    return folder


def resident(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
        return int(re.search(r"^Pss: +(\d+) kB", f.read(), re.MULTILINE)[1]) << 10


def run_once(words, folder, rate, last="idle"):
    """Times in microseconds, of the guest's own words, up to the last one; start in milliseconds; memory in bytes."""
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
                if time_of and time_of[1] in TIMES:
                    found[time_of[1]] = int(time_of[2], 16) / rate * 1e6
                if line == last:
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


def start_over_floor(chosen, folder, rate, count):
    """Milliseconds, of pairs: both start in little time, so that there can be many."""
    pair = [chosen[name] for name in (peers.SELF, FLOOR)]
    found = []
    for i in range(count):
        order = [0, 1] if i % 2 else [1, 0]
        start = {which: run_once(pair[which], folder, rate, "up")["start"] for which in order}
        found.append(start[0] - start[1])
    return found


def exits(chosen, folder, built, rate, rounds):
    """{name: [{kind: microseconds of an exit, a turn each}]}, one a round."""
    found = {name: [] for name in chosen}
    folders = {name: place(os.path.join(folder, name)) for name in chosen}
    for i in range(rounds):
        measured = turns.measure({name: chosen[name] for name in peers.order(chosen, i)}, folders, os.path.join(built, turns.LIBRARY),
                                 os.path.join(folder, "turns"))
        for name, ticks in measured.items():
            found[name].append({kind: [t / rate * 1e6 for t in ticks[kind]] for kind in turns.KINDS})
    return found


def summary(runs, taken):
    result = {"emulators": {}, "ratios": {}}
    for name, list_of in runs.items():
        result["emulators"][name] = {k: statistics.median(statistics.median(r[k]) for r in taken[name]) for k in turns.KINDS}
        result["emulators"][name].update({k: statistics.median(r[k] for r in list_of) for k in TIMES + ["start", "memory"] if k in list_of[0]})
    for ours, theirs in pairs_of(runs):
        if ours not in runs or theirs not in runs:
            continue
        ratios = [turns.ratios(a, b) for a, b in zip(taken[ours], taken[theirs])]
        found = {k: peers.interval([r[k] for r in ratios]) for k in turns.KINDS}
        shared = [k for k in TIMES + ["start", "memory"] if k in runs[ours][0] and k in runs[theirs][0]]
        found.update({k: peers.interval([a[k] / max(b[k], 1e-9) for a, b in zip(runs[ours], runs[theirs])]) for k in shared})
        result["ratios"][f"{ours} / {theirs}"] = found
    return result


def text(result):
    print(f"On KVM, {result['rounds']} rounds, each of {turns.TURNS} turns of {turns.TURN_EXITS} exits, and {result['count']} kicks: "
          f"medians ({result['host']})")
    names = list(result["emulators"])
    microseconds = turns.KINDS + TIMES
    rows = [[WHAT[k] + (" (us)" if k in microseconds else " (ms)" if k == "start" else " (MiB)")] +
            [f"{e[k] / (1 << 20 if k == 'memory' else 1):.2f}" if k in e else "-" for e in result["emulators"].values()]
            for k in microseconds + ["start", "memory"]]
    peers.table([""] + names, rows)
    for pair, ratios in result["ratios"].items():
        print(f"{pair} (median of pairs, 95 % interval):")
        peers.table(["", "ratio"], [[WHAT[k], peers.show(*r)] for k, r in ratios.items()])
    over = result["starts_over_floor_ms"]
    if over:
        print(f"{WHAT['start']}, milliseconds above the floor ({len(over)} pairs): {peers.show(*peers.interval(over))}")


def bench(folder):
    parser = peers.arguments(__doc__, rounds=10)
    parser.add_argument("--count", type=int, default=50000, help="how often the disk is kicked in a run")
    parser.add_argument("--built", metavar="DIR", help="where exits, kicks, kvmfloor and turns.so are, for hosts without a compiler")
    args = peers.parse(parser)
    x86.need_kvm()
    need_parts()
    built = build(folder, args)
    floor = os.path.join(built, "kvmfloor")
    rate = float(subprocess.run([floor], stdout=subprocess.PIPE, check=True).stdout)
    kicks, exiting = (commands(os.path.join(built, guest), floor, shutil.which(PEER)) for guest in ("kicks", "exits"))
    if args.only:
        kicks, exiting = ({name: words for name, words in c.items() if name in args.only} for c in (kicks, exiting))
        if not kicks:
            raise m.Skip("none of the emulators that --only names is here")
    place(folder)
    runs = {name: [] for name in kicks}
    for words in kicks.values():
        run_once(words, folder, rate)  # files come into the page cache
    for _, name in peers.rounds(kicks, args.rounds):
        runs[name].append(run_once(kicks[name], folder, rate))
        peers.note(args, f"{name}: " + ", ".join(f"{k} {v:.1f}" for k, v in runs[name][-1].items()))
    taken = exits(exiting, folder, built, rate, args.rounds)
    over = start_over_floor(kicks, folder, rate, STARTS * args.rounds) if {peers.SELF, FLOOR} <= kicks.keys() else []
    result = {"benchmark": "kvm", "rounds": args.rounds, "count": args.count, "host": peers.processor(), **summary(runs, taken),
              "runs": runs, "exits": taken, "starts_over_floor_ms": over}
    headlines = [(WHAT[k], pair.split(" / ")[1], r) for pair, ratios in result["ratios"].items()
                 if pair.startswith(peers.SELF + " ") for k, r in ratios.items()]
    peers.finish(args, result, text, headlines)


peers.main(bench)
