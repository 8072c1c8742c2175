#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The guest program torture.c, on one hart, on two, and on more than the host may have."""
import os
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

TESTS = ("code-rewritten", "code-patches-itself", "code-behind-alias", "code-of-other-threads", "code-remapped", "atomics",
         "fences", "fp-state", "faults-are-precise", "other-faults", "misaligned", "remapping", "copy-on-write",
         "interrupts", "clocks", "torture")


def test(folder):
    source = os.path.join(m.SOURCE, "tests/guest/torture.c")
    program = m.build_linux(folder, "torture", f"-DSCALE={50 if m.LONG else 1}", source)
    for harts in (1, 2, 4):
        m.step(f"{harts} hart(s)")
        with m.linux_with(folder, program, harts=harts).start() as guest:
            m.marks(guest, "modules")
            m.marks(guest, *TESTS, seconds=1800 if m.LONG else 200)
            m.ends_with(guest, 0)


m.main(test)
