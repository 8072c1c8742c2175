#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest that reboots is started again by the same process, twice; Ctrl-a x then ends it with 0."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def test(_folder):
    with m.linux("mortise.script=disk mortise.end=reboot").start() as guest:
        for _ in range(3):
            guest.expect(rb"Linux version ", m.BOOT_SECONDS)
            m.marks(guest, "modules", "disk-none")
            guest.expect(rb"MORTISE-TEST: end reboot", 10)
        guest.type(b"\x01x")
        m.ends_with(guest, 0)


m.main(test)
