# SPDX-License-Identifier: MIT
"""Bare-metal programs on every back end of the emulator, and on Debian's qemu-system-riscv64 where the text can be compared.

A program is built with start.S and rt.c, has 64 MiB of RAM and as many harts as asked for, prints lines, and ends the
machine through the finisher: well, or with a failure code. group() is a test script's whole body.
"""
import difflib
import os
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import machines as m  # noqa: E402

SOURCE = os.path.join(m.SOURCE, "tests/guest/bare")
PEER = shutil.which("qemu-system-riscv64")
FLAGS = ["-nostdlib", "-nostartfiles", "-static", "-ffreestanding", "-fno-pic", "-fno-builtin", "-mcmodel=medany",
         "-march=rv64imafdc_zicsr_zifencei", "-mabi=lp64d", "-O2", "-Wall", "-Wextra", "-Werror", "-Wl,--build-id=none",
         "-Wl,--no-warn-rwx-segments"]
SECONDS = 300 if m.LONG else 60


def build(folder, name, harts, *defines):
    if not shutil.which(m.CROSS):
        raise m.Skip(f"{m.CROSS} is missing")
    path = os.path.join(folder, f"{name}-{harts}{''.join(defines)}")
    defines = [f"-DWANT_HARTS={harts}", *("-D" + d for d in defines), *(["-DLONG"] if m.LONG else [])]
    subprocess.run([m.CROSS, *FLAGS, *defines, "-Wl,-T," + os.path.join(SOURCE, "link.ld"), "-o", path,
                    *(os.path.join(SOURCE, f) for f in ("start.S", "rt.c", name + ".c"))], check=True)
    return path


def run(command, what):
    """What the guest printed, and how the emulator ended."""
    begin = time.monotonic()
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as end:
        raise m.console.Failure(f"{what}: no end after {SECONDS} s; it printed:\n" +
                                (end.stdout or b"").decode(errors="replace")[-2000:]) from None
    m.step(f"{what}: {time.monotonic() - begin:.1f} s")
    return done.stdout.decode(errors="replace").replace("\r", ""), done.returncode


def board(folder, text):
    """A machine file: the usual board and more."""
    path = os.path.join(folder, "machine.ini")
    with open(path, "w", encoding="utf-8") as f:
        f.write("[machine]\nschema = 1\nbase = virt-riscv64\n" + text)
    return path


def ours(elf, harts, backend, *settings, board="virt-riscv64"):
    words = {"boot.kernel": elf, "boot.firmware": "", "boot.append": "", "ram.size": "64M", "cpu.count": harts,
             "cpu.backend": backend}
    command = [m.EMULATOR, "run", "-q", board]
    for word in [*(f"{k}={v}" for k, v in words.items()), *settings]:
        command += ["-s", word]
    return run(command, f"{os.path.basename(elf)} on {backend} {' '.join(settings)}")


def peer(elf, harts, board="virt"):
    return run([PEER, "-M", board, "-m", "64M", "-smp", str(harts), "-nographic", "-nodefaults", "-serial", "stdio",
                "-bios", elf], f"{os.path.basename(elf)} on {os.path.basename(PEER)}")


def backends():
    """Those that this host runs: a machine that names another one is refused before it starts."""
    m.need_emulator()
    found = ["interp"]
    if os.uname().machine == "x86_64":
        found.append("x86_64")
    return found


def good(result, what):
    text, status = result
    if status or not text.endswith("done\n"):
        raise m.console.Failure(f"{what}: status {status}; it printed:\n{text[-4000:]}")
    return text


def same(text, wanted, what, allowed=None):
    """Line by line; a line that differs must match `allowed` on either side."""
    lines = [d for d in difflib.ndiff(wanted.splitlines(), text.splitlines()) if d[0] in "+-"]
    if allowed:
        lines = [d for d in lines if not re.match(allowed, d[2:])]
    if lines:
        raise m.console.Failure(f"{what}:\n" + "\n".join(lines[:60]))


def group(*programs):
    """programs: (name, harts, defines, settings, expected file or None)."""
    def test(folder):
        for name, harts, defines, settings, expected in programs:
            elf = build(folder, name, harts, *defines)
            for backend in backends():
                text = good(ours(elf, harts, backend, *settings), f"{name} on {backend}")
                if expected:
                    with open(os.path.join(SOURCE, expected), encoding="utf-8") as f:
                        same(text, f.read(), f"{name} on {backend}")
    m.main(test)
