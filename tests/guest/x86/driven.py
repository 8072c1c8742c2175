#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What users do to a machine on this host's KVM while its guest reads and writes a disk and looks at each byte: pause, reset,
snapshots, a debugger that comes and goes, the end without a warning; two machines at once, and more CPUs than the host has.
"""
import os
import re
import socket
import subprocess
import time

import x86
from x86 import m
from running import Machine, ctl, fresh, read

ROUND_SAID = r"(?m)^round 0x[0-9a-f]+$"
TIMES = 6
KICKS = [[], ["slot1.kicks=thread"], ["slot1.kicks=thread", "slot1.messages=eventfd"]]
CPUS = [("kernel", 255, []), ("split", 255, []), ("user", 255, []), ("kernel", 260, ["X2APIC"]), ("split", 260, ["X2APIC"])]


def words_of(folder, elf, *settings):
    words = [os.path.join(folder, "board.ini")]
    for setting in [f"boot.kernel={elf}", *settings]:
        words += ["-s", setting]
    return words


def goes_on(machine, what, count=2):
    """So many rounds more, none of them wrong."""
    done = len(re.findall(ROUND_SAID, read(machine.path)))
    if "FAILED" in machine.says("", ROUND_SAID, done + count):
        raise m.console.Failure(f"{what}:\n{read(machine.path)[-2000:]}")


def told_test(folder, elf, irqchip, kicks):
    what = " ".join([irqchip, *kicks])
    machine = Machine(folder, words_of(folder, elf, f"cpu.irqchip={irqchip}", *kicks))
    try:
        # with messages, then with the pin
        for _ in range(2):
            goes_on(machine, what)
            for i in range(TIMES):
                time.sleep(i * 0.003)
                ctl(folder, "pause")
                ctl(folder, "resume")
            goes_on(machine, f"{what}, paused")
            for i in range(2):
                ctl(folder, "snapshot", fresh(folder, f"kept-{i}"))
                goes_on(machine, f"{what}, saved")
            machine.type(b"\n")
        machine.says("", "said by the virtio console|done", 1)
        machine.process.wait(60)
        if machine.process.returncode or "done" not in read(machine.path):
            raise m.console.Failure(f"{what}: status {machine.process.returncode}:\n{read(machine.path)[-2000:]}")
    finally:
        machine.kill()
    m.step(f"{what}: paused, resumed and saved at work: fine")


def reset_test(folder, elf, irqchip, kicks):
    machine = Machine(folder, words_of(folder, elf, f"cpu.irqchip={irqchip}", *kicks))
    try:
        goes_on(machine, "before a reset")
        for i in range(TIMES):
            time.sleep(i * 0.02)
            ctl(folder, "reset")
        machine.says("", r"ports and ECAM agree: ok", 2)
        goes_on(machine, "after a reset")
    finally:
        machine.kill()
    m.step(f"{' '.join([irqchip, *kicks])}: reset at work: fine")


def chain_test(folder, elf, kicks):
    """From each irqchip to each with a request under way, first with messages, then with the pin."""
    words, said = words_of(folder, elf, *kicks), ""
    for i in range(2 * len(x86.ROUND)):
        machine = Machine(folder, [*words, "-s", "cpu.irqchip=" + x86.ROUND[i % len(x86.ROUND)]])
        try:
            goes_on(machine, f"snapshot {i}")
            if i == len(x86.ROUND):
                machine.type(b"\n")
                goes_on(machine, f"snapshot {i} with the pin")
            time.sleep(i % 7 * 0.003)
            into = fresh(folder, f"work-{i % 2}")
            said += machine.snapshot(into)
            words = ["--restore", into]
        finally:
            machine.kill()
    if "FAILED" in said:
        raise m.console.Failure(f"across irqchips at work:\n{said[-3000:]}")
    m.step(f"{' '.join(['across irqchips', *kicks])}: saved and restored at work: fine")


def debugger_test(folder, elf):
    """One that comes, stops it, steps, and goes: with a word, and without."""
    path = os.path.join(folder, "gdb")
    machine = Machine(folder, words_of(folder, elf, "monitor.gdb=unix:" + path))
    try:
        goes_on(machine, "before a debugger")
        for i in range(TIMES):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(30)
                s.connect(path)
                seen = b""
                for packet in [b"?", b"s", b"D"][:3 - i % 2]:
                    s.sendall(b"+$" + packet + b"#%02x" % (sum(packet) & 255))
                    seen = b""
                    while not re.search(rb"\$[^#]*#..", seen):
                        news = s.recv(4096)
                        if not news:
                            raise m.console.Failure(f"the debugger's line ends behind {packet}: {seen}")
                        seen += news
                if not re.search(rb"\$(T05|OK)", seen):
                    raise m.console.Failure(f"the debugger hears {seen}")
            goes_on(machine, f"debugger {i}")
    finally:
        machine.kill()
    m.step(f"a debugger comes and goes {TIMES} times: fine")


def killed_test(folder, elf):
    """Killed, it leaves nothing in the way of the next; the disk of one that runs is not for a second, a copy is."""
    for i in range(3):
        machine = Machine(folder, words_of(folder, elf))
        try:
            goes_on(machine, f"start {i} after a kill")
            if i < 2:
                continue
            words = [m.EMULATOR, "run", "-q", *words_of(folder, elf, "monitor.socket=off")]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=60, check=False)
            if done.returncode != 1 or b"is in use" not in done.stdout:
                raise m.console.Failure(f"a second one with the disk: status {done.returncode}:\n{done.stdout}")
            other = os.path.join(folder, "other")
            os.mkdir(other)
            x86.write_files(other)
            second = Machine(other, words_of(other, elf))
            try:
                for _ in range(2):
                    goes_on(second, "the second")
                    goes_on(machine, "the first")
            finally:
                second.kill()
        finally:
            machine.kill()
    m.step("killed and started again, and two at once: fine")


def many_test(folder):
    for irqchip, count, defines in CPUS:
        elf = x86.build(folder, "smp", f"CPUS={count}", *defines)
        words = [m.EMULATOR, "run", "-q", *words_of(folder, elf, f"cpu.irqchip={irqchip}", f"cpu.count={count}")]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              check=False)
        x86.judge(f"{count} CPUs with irqchip = {irqchip}", done.stdout.decode(errors="replace"), done.returncode, 0,
                  r"atomic sum: ok\ndone\n")


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    x86.need_kvm()
    x86.write_files(folder)
    many_test(folder)
    elf = x86.build(folder, "pci", "ENDLESS")
    for irqchip in x86.IRQCHIPS:
        for kicks in KICKS:
            told_test(folder, elf, irqchip, kicks)
            reset_test(folder, elf, irqchip, kicks)
    for kicks in KICKS:
        chain_test(folder, elf, kicks)
    debugger_test(folder, elf)
    killed_test(folder, elf)


m.main(test)
