# SPDX-License-Identifier: MIT
"""What the benchmarks share: the emulators that are compared, statistics of paired runs, and the output.

A run of a benchmark is a number of rounds; in each round every emulator runs once, in an order that turns from round to
round, so that what disturbs the host disturbs all. A comparison is the median over the rounds of (mortise / peer), with a
percentile bootstrap interval of 95 % over rounds. Below 1 mortise is faster (or smaller).
"""
import argparse
import json
import math
import os
import random
import re
import shutil
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "guest"))
import machines as m  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
RESAMPLES = 10000
SELF = "mortise"


def version(program):
    done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    found = re.search(rb"version (\d+\.\d+)", done.stdout)
    return found[1].decode() if found else "unknown"


def find(wanted=None):
    """The emulators by name: this one, Debian's QEMU, and a newer one unpacked in the cache."""
    found = {}
    if shutil.which(m.EMULATOR):
        found[SELF] = m.EMULATOR
    for program in ("qemu-system-riscv64", os.path.join(m.CACHE, "qemu10/bin/qemu-system-riscv64")):
        if shutil.which(program):
            found["qemu-" + version(program)] = program
    if wanted:
        unknown = [w for w in wanted if w not in found]
        if unknown:
            raise m.Skip(f"no such emulator: {', '.join(unknown)} (there are: {', '.join(found)})")
        found = {name: found[name] for name in wanted}
    if not found:
        raise m.Skip("no emulator is there to be measured")
    return found


def qemu_img():
    """qemu-img by name: the installed one, and a newer one unpacked in the cache."""
    programs = {"qemu-img": "qemu-img", "qemu10-img": os.path.join(m.CACHE, "qemu10/bin/qemu-img")}
    return {name: path for name, path in programs.items() if shutil.which(path)}


def processor():
    """What the host is, for the record: its processor and how many of them."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        names = re.findall(r"^model name\s*: (.*)$", f.read(), re.MULTILINE)
    return f"{len(os.sched_getaffinity(0))} x {names[0] if names else os.uname().machine}"


def order(names, i):
    """The names in the order in which to run in round `i`."""
    names = list(names)
    turned = names[i % len(names):] + names[:i % len(names)]
    return turned if i // len(names) % 2 == 0 else turned[::-1]


def rounds(names, count):
    """(round, name) in the order in which to run."""
    for i in range(count):
        for name in order(names, i):
            yield i, name


def interval(ratios, combine=statistics.median):
    """(median, low, high) of ratios, one a round; a single round has no interval."""
    if len(ratios) < 2:
        return combine(ratios), None, None
    rng = random.Random(1)
    drawn = sorted(combine(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return combine(ratios), drawn[int(0.025 * RESAMPLES)], drawn[int(0.975 * RESAMPLES) - 1]


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(math.log(v) for v in values) / len(values))


def show(value, low, high):
    """A ratio with its interval."""
    return f"{value:6.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None else " [one round]")


def table(head, rows):
    """Columns: the first to the left, the others to the right."""
    rows = [[str(c) for c in row] for row in [head] + rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        print("  " + "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))))


def arguments(description, **defaults):
    """The options that every benchmark has. BENCH_ARGS in the environment adds to them."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rounds", type=int, default=defaults.get("rounds", 3), help="how often each emulator runs")
    parser.add_argument("--only", action="append", metavar="NAME", help="measure this emulator (repeatable)")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return parser


def parse(parser):
    args = parser.parse_args(os.environ.get("BENCH_ARGS", "").split() + sys.argv[1:])
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def note(args, text):
    """Progress, for people: not on standard output."""
    if not args.json:
        print(text, file=sys.stderr, flush=True)


def summarize(result, headlines):
    """Adds a line for each (what, peer, ratio) to the file that BENCH_SUMMARY names, which `make bench` prints at its end."""
    path = os.environ.get("BENCH_SUMMARY")
    if not path:
        return
    with open(path, "a", encoding="utf-8") as f:
        for what, peer, ratio in headlines:
            f.write(f"{result['benchmark'] + ': ' + what:<46} {SELF} / {peer:<10} {show(*ratio)}\n")


def finish(args, result, text, headlines=()):
    """Prints the result: the object itself, or what text(result) prints."""
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        text(result)
    summarize(result, headlines)


def main(bench):
    """Runs bench(folder) as a test runs: 77 with a reason when something that it needs is missing."""
    m.main(bench)


def compile_helper(folder, name, output=None, *flags):
    """A small C program of this folder, for the host; or a library, by its flags."""
    compiler = next((c for c in (os.environ.get("CC", "").split()[:1] or ["cc"]) + ["gcc", "clang"] if shutil.which(c)),
                    None)
    if not compiler:
        raise m.Skip("no C compiler for the measuring program")
    path = os.path.join(folder, output or name)
    subprocess.run([compiler, "-O2", *flags, "-o", path, os.path.join(HERE, name + ".c")], check=True)
    return path


def compile_guest(folder):
    """guest/bench.c for the guest."""
    return m.build_linux(folder, "mortise-bench", os.path.join(HERE, "guest", "bench.c"))
