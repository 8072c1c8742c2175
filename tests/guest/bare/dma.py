#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Code that a disk writes over code."""
import struct

import run
from run import m

LI, RET = 0x13 | 10 << 7, 0x8067


def test(folder):
    with open(folder + "/disk", "wb") as f:
        for sector in range(64):
            f.write(struct.pack("<II", LI | sector << 20, RET) * 64)
    board = run.board(folder, f'[block disk]\nplugin = block-raw\nfile = "{folder}/disk"\n'
                              "[device vda]\nplugin = dev-virtio-blk\nbus = bus1\nblock = disk\n")
    elf = run.build(folder, "dma", 2)
    for backend in run.backends():
        run.good(run.ours(elf, 2, backend, board=board), backend)


m.main(test)
