#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A guest that loops for ever can be stopped within a second, by SIGTERM and by Ctrl-a x; with two harts too."""
import signal
import time
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

SETTLE_SECONDS = 0.5
STOP_SECONDS = 1.0


def stop(elf, harts, act):
    with m.Machine(elf, bare=True, harts=harts).start() as guest:
        time.sleep(SETTLE_SECONDS)
        m.check(guest.status is None, "the guest ended")
        start = time.monotonic()
        act(guest)
        m.ends_with(guest, 0, 5 * STOP_SECONDS)
        seconds = time.monotonic() - start
        m.step(f"{seconds * 1000:.0f} ms")
        m.check(seconds < STOP_SECONDS, "that is more than a second")


def test(folder):
    for define in ("SPIN", "SPIN_FAR"):
        elf = m.build_bare(folder, define, define)
        for harts in (1, 2):
            m.step(f"{define}, {harts} hart(s): SIGTERM, then Ctrl-a x")
            stop(elf, harts, lambda guest: guest.signal(signal.SIGTERM))
            stop(elf, harts, lambda guest: guest.type(b"\x01x"))


m.main(test)
