#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A PCI function whose BAR moves while harts use it and it moves data and sends messages to memory."""
import struct

import run
from run import m


def test(folder):
    with open(folder + "/disk", "wb") as f:
        for sector in range(64):
            f.write(struct.pack("<64Q", *(sector << 32 | k for k in range(64))))
    board = run.board(folder, f'[block disk]\nplugin = block-raw\nfile = "{folder}/disk"\n'
                              "[device vda]\nplugin = dev-virtio-blk\nbus = slot1\nblock = disk\n")
    elf = run.build(folder, "pci", 3)
    for backend in run.backends():
        run.good(run.ours(elf, 3, backend, board=board), backend)


m.main(test)
