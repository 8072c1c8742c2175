#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's kernel on harts with less than the default: RVA22 and nothing more, and the base that Debian asks for, where
firmware stands in for timers and counters and software sets the A and D bits."""
import re

import machines as m

# isa, largest page table; what the kernel must and must not find
HARTS = [("rva22s64", "sv48", {"zba", "zbb", "zfhmin", "svpbmt", "svinval"}, {"zicond", "zfh", "sstc", "svnapot", "zacas"}),
         ("rv64gc", "sv39", {"zicsr"}, {"zba", "zbb", "zicond", "zfh", "zicbom", "sstc", "svpbmt", "svinval", "zawrs"})]


def extensions(guest):
    found = m.shell(guest, "grep -m 1 '^isa' /proc/cpuinfo", rb"isa\s*: (\S+)")
    return set(re.split(r"_", found[2].decode()))


def test(folder):
    for isa, mmu, there, absent in HARTS:
        machine = m.linux("mortise.script=cpu mortise.end=shell", harts=2, more=f"[cpu]\nisa = {isa}\nmmu = {mmu}\n")
        with machine.start(folder) as guest:
            m.marks(guest, "modules", "awk-sum", "hash", "forks", "clock")
            guest.expect(m.PROMPT, 30)
            found = extensions(guest)
            m.check(there <= found, f"{isa}: the kernel misses {there - found}")
            m.check(not absent & found, f"{isa}: the kernel found {absent & found}")
            m.shell(guest, "grep -m 1 '^mmu' /proc/cpuinfo", rb"mmu\s*: " + mmu.encode())
            guest.type(b"exit\n")
            m.ends_with(guest, 0)
        m.step(f"{isa}, {mmu}")


m.main(test)
