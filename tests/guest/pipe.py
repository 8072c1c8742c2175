#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Data through the guest's pipes comes out as it went in: 10 MB, or 200 under MORTISE_LONG."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def test(_folder):
    megabytes = 200 if m.LONG else 10
    with m.linux(f"mortise.script=pipe mortise.mb={megabytes}").start() as guest:
        m.marks(guest, "modules")
        m.marks(guest, "pipe", seconds=60 + 10 * megabytes)
        m.ends_with(guest, 0)


m.main(test)
