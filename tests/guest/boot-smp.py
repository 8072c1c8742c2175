#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two and four harts: all are there, all work at a time with right results; exit of the shell powers off."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

LOAD = "for i in 1 2 3 4 5 6; do seq 1 20000 | sha256sum & done | sort | uniq -c; wait"


def boot(harts):
    m.step(f"{harts} harts")
    with m.linux("mortise.script=cpu mortise.end=shell", harts=harts).start() as guest:
        m.marks(guest, "modules", "awk-sum", "hash", "forks", "clock")
        guest.expect(rb"on riscv64, %d CPU, " % harts, 30)
        guest.expect(m.PROMPT, 30)
        m.shell(guest, "grep -c ^processor /proc/cpuinfo", b"%d" % harts)
        m.shell(guest, LOAD, rb" *6 f6351f5ead9a700e[0-9a-f]*  -", 120)
        guest.type(b"exit\n")
        m.ends_with(guest, 0)


def test(_folder):
    for harts in (2, 4):
        boot(harts)


m.main(test)
