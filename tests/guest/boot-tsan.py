#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Four harts boot Debian's kernel and work, in a build with the thread sanitizer: it has nothing to say. Translated code
is not instrumented; the translator, the kernel and the devices are."""
import os
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402
import sanitized as tsan  # noqa: E402

HARTS = 4
BOOT_SECONDS = 3600
WORK_SECONDS = 1800
LOAD = "for i in 1 2 3 4; do seq 1 2000 | sha256sum & done | sort | uniq -c; wait"


def wrapper(folder):
    """The emulator; what the sanitizer finds goes into files."""
    path = os.path.join(folder, "mortise")
    with open(path, "w", encoding="utf-8") as f:
        plain = " ".join(f"{name}={value}" for name, value in tsan.PLAIN.items())
        f.write(f"#!/bin/sh\nexport {plain} TSAN_OPTIONS='{tsan.options(folder)}'\n"
                f"exec {' '.join(tsan.FIXED)} '{tsan.TSAN}/mortise' \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def test(folder):
    linux = m.linux("mortise.end=shell", harts=HARTS, memory="512M")
    m.need_firmware()
    m.step("build")
    tsan.build()
    m.step(f"boot with {HARTS} harts")
    with m.console.Console(linux.command(emulator=wrapper(folder), folder=folder)) as guest:
        guest.expect(rb"on riscv64, %d CPU, " % HARTS, BOOT_SECONDS)
        guest.expect(m.PROMPT, BOOT_SECONDS)
        m.step("work")
        m.shell(guest, LOAD, rb" *4 [0-9a-f]{64}  -", WORK_SECONDS)
        guest.type(b"exit\n")
        m.ends_with(guest, 0, WORK_SECONDS)
    tsan.nothing_found(folder)


m.main(test)
