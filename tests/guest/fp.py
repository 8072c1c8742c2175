#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""In the guest, every scalar FP instruction gives the results and flags of the integer arithmetic, in all modes: single
and double precision, then half."""
import os
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402


def run(folder, name):
    count = 20000 if m.LONG else 300
    sources = [os.path.join(m.SOURCE, f"tests/guest/{name}.c"), os.path.join(m.SOURCE, "plugins/cpu-tcg/fp/softfp.c")]
    program = m.build_linux(folder, name, f"-DFP_COUNT={count}", *sources)
    with m.linux_with(folder, program).start() as guest:
        m.marks(guest, "modules")
        guest.expect(rb"MORTISE-TEST: (fp (ok|FAIL)|script-program FAIL)", 3600 if m.LONG else 300)
        text = guest.tail(20000)
        m.check("MORTISE-TEST: fp ok" in text, "in the guest:\n" + "\n".join(
            line for line in text.splitlines() if "want" in line or "FAIL" in line))
        m.ends_with(guest, 0)
        m.step(f"{name}: " + next(line for line in text.splitlines() if "results" in line))


def test(folder):
    for name in ("fp", "fp-half"):
        run(folder, name)


m.main(test)
