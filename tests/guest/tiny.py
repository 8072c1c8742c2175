#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest of ten instructions ends the machine through the finisher: well, and with a failure code; on both boards."""
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def end(folder, board, status, *defines):
    elf = m.build_bare(folder, f"tiny-{status}", *defines, board=board)
    with m.Machine(elf, bare=True, board=board).start() as guest:
        m.ends_with(guest, status, 10)
        m.step(f"{board}: {status} after {guest.seconds * 1000:.0f} ms")


def test(folder):
    for board in m.FINISHER:
        if board != "virt-riscv64" and m.is_qemu(m.EMULATOR):
            continue
        end(folder, board, 0)
        end(folder, board, 7, "FAIL=7")


m.main(test)
