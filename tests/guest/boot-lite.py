#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The other board, with everything at other addresses and another clock, boots to the shell and takes typed input."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

TEXT = "".join(chr(97 + i % 26) for i in range(700))


def test(_folder):
    with m.linux("", board="lite-riscv64").start() as guest:
        guest.expect(rb"on riscv64, 1 CPU, ", m.BOOT_SECONDS)
        guest.expect(m.PROMPT, 60)
        m.shell(guest, "uname -m", b"riscv64")
        # all at once: more than a FIFO holds
        m.shell(guest, f"echo {TEXT} | wc -c", b"701")
        m.shell(guest, "a=$(cut -d. -f1 /proc/uptime); sleep 3; echo $(($(cut -d. -f1 /proc/uptime) - a))", b"[345]")
        guest.type(b"poweroff -f\n")
        m.ends_with(guest, 0)


m.main(test)
