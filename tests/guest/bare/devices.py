#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Random values into every register of every device."""
import run
from run import m


def test(folder):
    with open(folder + "/disk", "wb") as f:
        f.truncate(1 << 20)
    board = run.board(folder, f'[block disk]\nplugin = block-raw\nfile = "{folder}/disk"\n'
                              "[device vda]\nplugin = dev-virtio-blk\nbus = bus1\nblock = disk\n")
    for seed in range(1, 20 if m.LONG else 4):
        elf = run.build(folder, "devices", 1, f"SEED={seed}")
        run.good(run.ours(elf, 1, "auto", board=board), f"seed {seed}")


m.main(test)
