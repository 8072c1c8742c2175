#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's kernel on one hart: arithmetic, forks and clock of the guest are right; its poweroff ends the emulator with 0."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def test(_folder):
    with m.linux("mortise.script=cpu").start() as guest:
        m.marks(guest, "modules", "awk-sum", "hash", "forks", "clock")
        guest.expect(rb"MORTISE-TEST: end poweroff", 10)
        m.ends_with(guest, 0)


m.main(test)
