#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Freestanding programs on this host's KVM: CPU, interrupts, two CPUs, and the ways in which a machine ends; and a snapshot
that goes on with its interrupt controllers in other hands."""
import os
import re
import subprocess
import tempfile
import time

import x86
from x86 import m
from running import Machine, ctl, fresh, read


def ticks_in(text):
    return re.findall(r"tick (0x[0-9a-f]+)", text)


def spare_board(folder):
    disk = os.path.join(folder, "spare.qcow2")
    if not os.path.exists(disk):
        subprocess.run([m.EMULATOR, "img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", disk, "1M"], check=True)
        subprocess.run([m.EMULATOR, "img", "bitmap", "-f", "qcow2", "--add", disk, "changed"], check=True)
    path = os.path.join(folder, "spare.ini")
    with open(path, "wb") as f:
        f.write(x86.files_of()["board.ini"] + x86.SPARE.format(disk).encode())
    return path


def chain_test(folder, elf, chain):
    """
    One machine counts to 40, and goes on from a snapshot with another irqchip three times in between. It has a disk that it
    does not use, whose image says "in use" of its bitmap as long as it is written: to start with it does not change it.
    """
    said, words = "", [spare_board(folder), "-s", f"boot.kernel={elf}"]
    for i, irqchip in enumerate(chain):
        path = os.path.join(folder, "ticks")
        # a word of the guest may be said in two parts, by two machines
        with open(path, "wb") as f, open(path + ".log", "ab") as log:
            machine = subprocess.Popen([m.EMULATOR, "run", "-q", *words, "-s", f"cpu.irqchip={irqchip}", "-s",
                                        "monitor.socket=" + os.path.join(folder, "ctl")],
                                       stdin=subprocess.DEVNULL, stdout=f, stderr=log)
        try:
            if i + 1 < len(chain):
                until = time.monotonic() + 30
                while len(ticks_in(read(path))) < 5 and machine.poll() is None and time.monotonic() < until:
                    time.sleep(0.005)
                into = os.path.join(tempfile.mkdtemp(dir=folder), "snapshot")
                ctl(folder, "pause")
                ctl(folder, "snapshot", into)
                ctl(folder, "quit")
                words = ["--restore", into]
            status = machine.wait(60)
        except subprocess.TimeoutExpired:
            status = "it stands"
        finally:
            machine.kill()
            machine.wait()
        said += read(path)
    what = f"{os.path.basename(elf)} by {', '.join(chain)}"
    if status or ticks_in(said) != [hex(n) for n in range(1, 41)] or "done" not in said:
        raise m.console.Failure(f"{what}: status {status}, it does not go on where it was:\n{said[-3000:]}"
                                f"{read(path + '.log')[-2000:]}")
    m.step(f"{what}: fine")


def across_test(folder, elf):
    """Each stop of the program, with each irqchip of the one machine and each of the next."""
    words, said = [os.path.join(folder, "board.ini"), "-s", f"boot.kernel={elf}", "-s", "cpu.count=2", "-s", "ram.size=8M"], ""
    for i in range(len(x86.ROUND) * x86.STOPS + 1):
        machine = Machine(folder, [*words, "-s", "cpu.irqchip=" + x86.ROUND[i % len(x86.ROUND)]])
        try:
            if i:
                machine.type(b"\n")
            said_now = machine.says(said, r"(?:ready|halts|storms) 0x[0-9a-f]+\n", i + 1)
            # of the storm any moment will do
            time.sleep(i % 7 * 0.001)
            if "FAILED" in said_now or "unexpected" in said_now:
                raise m.console.Failure(f"across irqchips, snapshot {i}:\n{said_now[-3000:]}")
            into = fresh(folder, f"across-{i % 2}")
            said += machine.snapshot(into)
            words = ["--restore", into]
        finally:
            machine.kill()
    m.step(f"across {len(x86.ROUND)} pairs of irqchips, {x86.STOPS} stops each: fine")


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    x86.need_kvm()
    x86.write_files(folder)
    for board, name, defines, vcpus, settings, status, pattern in x86.PROGRAMS:
        if name == "features" and settings and x86.ring0_is_native():
            pattern = x86.HIDDEN[settings[0]]
        elf = x86.build(folder, name, *defines)
        words = [m.EMULATOR, "run", *x86.words_of(settings), os.path.join(folder, board + ".ini")]
        for setting in x86.settings_of(elf, vcpus, settings):
            words += ["-s", setting]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=120, check=False)
        output = done.stdout
        if os.path.exists(os.path.join(folder, x86.SAID)):
            with open(os.path.join(folder, x86.SAID), "rb") as f:
                output += f.read()
            os.remove(os.path.join(folder, x86.SAID))
        x86.judge(f"{os.path.basename(elf)} {vcpus} {' '.join(settings)}", output.decode(errors="replace"),
                  done.returncode, status, pattern)
    for name, *defines in ["ticks", "QUICK"], ["ticks", "QUICK", "PIC"], ["clock"]:
        for chain in x86.CHAINS:
            chain_test(folder, x86.build(folder, name, *defines), chain)
    across_test(folder, x86.build(folder, "across"))


m.main(test)
