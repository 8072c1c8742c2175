#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Signatures of the privileged architecture: the expected text on every back end, and the same as an independent emulator."""
import run
from run import m

# what sig.c explains
KNOWN = (r"sepc |medeleg |pmpaddr5 |csr (c0|f1)|[USM] amo |amo |(22|202|220|222) [USM] |table in nothing |adue |"
         r"pmp na4, misaligned|pmp napot 64 \+ffc|execution into a hole")


def test(folder):
    elf, shared = run.build(folder, "sig", 1), run.build(folder, "sig", 1, "PEER")
    with open(run.os.path.join(run.SOURCE, "sig.expected"), encoding="utf-8") as f:
        expected = f.read()
    for backend in run.backends():
        run.same(run.good(run.ours(elf, 1, backend), backend), expected, backend)
    if not run.PEER:
        m.step("not compared: qemu-system-riscv64 is missing")
        return
    mine = run.good(run.ours(shared, 1, "interp"), "interp")
    run.same(run.good(run.peer(shared, 1), "the independent emulator"), mine, "the independent emulator", KNOWN)


m.main(test)
