#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Debian's installer, kernel and initrd as they come from its netboot package, reaches its first dialog."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def test(_folder):
    files = [m.guest_file(f"installer/{name}", "make guests-all") for name in ("linux", "initrd.gz")]
    with m.Machine(*files, append="console=ttyS0").start() as guest:
        guest.expect(rb"Select a language", 1200)
        guest.type(b"\x01x")
        m.ends_with(guest, 0)


m.main(test)
