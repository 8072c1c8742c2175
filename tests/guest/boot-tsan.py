#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Four harts boot Debian's kernel and work, in a build with the thread sanitizer: it has nothing to say. Translated code
is not instrumented; the translator, the kernel and the devices are. Builds below the build folder, in tsan/."""
import glob
import os
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
import machines as m  # noqa: E402

HARTS = 4
BOOT_SECONDS = 3600
WORK_SECONDS = 1800
LOAD = "for i in 1 2 3 4; do seq 1 2000 | sha256sum & done | sort | uniq -c; wait"
TSAN = os.path.join(m.BUILD, "tsan")


def build():
    m.step("build")
    os.makedirs(TSAN, exist_ok=True)
    if not os.path.exists(os.path.join(TSAN, "Makefile")):
        subprocess.run([os.path.join(m.SOURCE, "configure"), "CFLAGS=-O2 -g", "--enable-tsan"], cwd=TSAN, check=True,
                       stdout=subprocess.DEVNULL)
    subprocess.run(["make", "-C", TSAN, "-s", f"-j{os.cpu_count()}"], check=True, stdout=subprocess.DEVNULL)


def wrapper(folder):
    """The emulator, at addresses that the sanitizer can have; what it finds goes into files."""
    path = os.path.join(folder, "mortise")
    fixed = "setarch -R " if shutil.which("setarch") else ""
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"#!/bin/sh\nTSAN_OPTIONS='log_path={folder}/found exitcode=0 history_size=4 second_deadlock_stack=1' \\\n"
                f"exec {fixed}'{TSAN}/mortise' \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def findings(folder):
    text = ""
    for name in glob.glob(os.path.join(folder, "found*")):
        with open(name, encoding="utf-8", errors="replace") as f:
            text += f.read()
    return text


def test(folder):
    linux = m.linux("mortise.end=shell", harts=HARTS, memory="512M")
    m.need_firmware()
    build()
    m.step(f"boot with {HARTS} harts")
    with m.console.Console(linux.command(emulator=wrapper(folder), folder=folder)) as guest:
        guest.expect(rb"on riscv64, %d CPU, " % HARTS, BOOT_SECONDS)
        guest.expect(m.PROMPT, BOOT_SECONDS)
        m.step("work")
        m.shell(guest, LOAD, rb" *4 [0-9a-f]{64}  -", WORK_SECONDS)
        guest.type(b"exit\n")
        m.ends_with(guest, 0, WORK_SECONDS)
    found = findings(folder)
    print(found[:20000])
    m.check(not found, f"{found.count('WARNING: ThreadSanitizer')} findings of the thread sanitizer")


m.main(test)
