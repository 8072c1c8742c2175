#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's gdb-multiarch on this host's KVM: breaks, steps, watches, reads and writes registers and memory, while the program
steps through itself by the trap flag, of which the debugger hears nothing."""
import os
import subprocess
import time

import x86
from x86 import m
import debugger

SECONDS = 60
# KVM's interpreter of ring 0 does not look at them
WATCH = [
    ("watch *(long *)&watched", r"Hardware watchpoint 3"),
    ("continue", r"Hardware watchpoint 3(.|\n)*Old value = 0\nNew value = 1"),
    ("delete 3", r""),
] if x86.ring0_is_native() else []
SESSION = [
    ("info registers rip", r"rip +0x100020"),
    ("break *point", r"Breakpoint 1 at"),
    ("watch *(long *)&untouched", r"Hardware watchpoint 2"),
    ("continue", r"Breakpoint 1, 0x[0-9a-f]+ in point \(\)"),
    ("print *(long *)&watched", r"= 0"),
    ("set $from = $rip", r""),
    ("stepi", r"in point \(\)"),
    ("print $rip - $from < 16 && $rip != $from", r"= 1"),
    *WATCH,
    # behind the program's own steps
    ("continue", r"Breakpoint 1, 0x[0-9a-f]+ in point \(\)"),
    ("print *(int *)((long)&irq_count + 4)", r"= 3"),
    ("print $cr0 & 0x80000001", r"= 2147483649"),
    ("set var *(long *)&watched = 41", r""),
    ("set $r15 = 0x123456789abcdef0", r""),
    ("stepi", r"in point \(\)"),
    ("print/x $r15", r"= 0x123456789abcdef0"),
    ("delete", r""),
    ("detach", r"detached"),
]


def session(folder, elf, irqchip):
    path = os.path.join(folder, "gdb")
    command = [m.EMULATOR, "run", "-q", os.path.join(folder, "board.ini"), "--wait", "--gdb", "unix:" + path]
    for setting in [f"boot.kernel={elf}", f"cpu.irqchip={irqchip}", "monitor.socket=off"]:
        command += ["-s", setting]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as machine:
        try:
            until = time.monotonic() + SECONDS
            while not os.path.exists(path) and machine.poll() is None and time.monotonic() < until:
                time.sleep(0.02)
            debugger.talk(folder, [f"file {elf}", f"target remote {path}"], SESSION, SECONDS, irqchip)
            said = machine.communicate(timeout=SECONDS)[0].decode(errors="replace")
        finally:
            machine.kill()
    x86.judge(f"gdb with irqchip = {irqchip}", said, machine.returncode, 0, r"steps of its own: ok\nwatched 0x2a\ndone\n")


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    x86.need_kvm()
    debugger.need()
    x86.write_files(folder)
    elf = x86.build(folder, "debug")
    for irqchip in x86.IRQCHIPS:
        session(folder, elf, irqchip)


m.main(test)
