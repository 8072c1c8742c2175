# SPDX-License-Identifier: MIT
"""Exits of programs that take turns on one processor, by the preloaded turns.c: their times are pairs, milliseconds apart."""
import os
import statistics
import struct
import subprocess
import time

import peers

LIBRARY = "turns.so"
KINDS = ["port-read", "port-write", "register-read", "register-write"]     # by number in turns.c
PROGRAMS = 8
TURNS = 100        # of a program, for each kind
WARM_EXITS = 8     # of a turn, before the time is taken
TURN_EXITS = 60
STREAK = 20        # exits for the same thing, and nothing else, until the turns begin
HEAD = struct.Struct(f"{len(KINDS)}I")
TICKS = struct.Struct(f"{TURNS}I")

EXITS = 2 * STREAK + TURNS * (WARM_EXITS + TURN_EXITS)  # what the guest needs to do of each kind
SECONDS = 120


def build(folder):
    numbers = {"PROGRAMS": PROGRAMS, "TURNS": TURNS, "WARM_EXITS": WARM_EXITS, "TURN_EXITS": TURN_EXITS, "STREAK": STREAK}
    peers.compile_helper(folder, "turns", LIBRARY, "-shared", "-fPIC", *(f"-D{name}={value}u" for name, value in numbers.items()))


def start(words, folder, library, path, which, count):
    environment = dict(os.environ, LD_PRELOAD=library, TURNS=path, TURNS_SELF=str(which), TURNS_COUNT=str(count))
    processor = min(os.sched_getaffinity(0))
    return subprocess.Popen(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            preexec_fn=lambda: os.sched_setaffinity(0, {processor}))


def wait(processes, path):
    """Until all turns have ended; who ends before has failed."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with open(path, "rb") as f:
            if all(n == TURNS * len(processes) for n in HEAD.unpack(f.read(HEAD.size))):
                return
        for name, process in processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended before its turns did")
        time.sleep(0.1)
    raise RuntimeError("the turns do not end")


def measure(commands, folders, library, path):
    """{name: {kind: ticks of an exit, a turn each}} of {name: words}, each in a folder of its own."""
    with open(path, "wb") as f:
        f.truncate(HEAD.size + len(KINDS) * PROGRAMS * TICKS.size)
    processes = {}
    try:
        for i, (name, words) in enumerate(commands.items()):
            processes[name] = start(words, folders[name], library, path, i, len(commands))
        wait(processes, path)
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    with open(path, "rb") as f:
        data = f.read()
    return {name: {kind: [t / TURN_EXITS for t in TICKS.unpack_from(data, HEAD.size + (k * PROGRAMS + i) * TICKS.size)]
                   for k, kind in enumerate(KINDS)} for i, name in enumerate(commands)}


def ratios(ours, theirs):
    """{kind: median over the turns of ours / theirs}"""
    return {kind: statistics.median(a / b for a, b in zip(ours[kind], theirs[kind])) for kind in KINDS}
