#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What cpu-kvm says, and ends with, when this host's KVM cannot be had or cannot give what the file asks for.

How a guest's own failures end is in kvm.py; what this host's KVM never does is played by the unit tests' shim.
"""
import os
import shutil
import subprocess

import x86
from x86 import m

NOBODY = 65534
with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
    # no processor has both
    LACKED = "tbm" if "avx512f" in cpuinfo.read() else "avx512f"
HIDDEN = "mount -t tmpfs none /dev"
NO_KVM = "mount --bind /dev/null /dev/kvm"
# what, machine file, words before the command, settings, exit status, what it must say
REFUSALS = [
    ("too many vCPUs", "bare.ini", [], ["cpu.count=100000"], 2, "count: '100000' is not in 1..1024"),
    ("an unknown feature", "bare.ini", [], ["cpu.features=sse17"], 2, "there is no feature 'sse17'"),
    ("a feature too much", "bare.ini", [], [f"cpu.features={LACKED}"], 3,
     f"KVM of this host has no '{LACKED}', which the file asks for"),
    ("no address space", "bare.ini", ["prlimit", f"--as={256 << 20}"], ["ram.size=1G"], 1,
     "cannot map 1073741824 bytes for 'ram'"),
    ("memory that no address reaches", "high.ini", [], ["high.at=0x100000000000000"], 1,
     "memory of 0x4000000 bytes at 0x100000000000000 ends beyond the "),
    ("RAM too small", "bare.ini", [], ["ram.size=64K"], 2, "the machine has no RAM of 2 MiB"),
    ("a missing module", "bare.ini", [], ["cpu.plugin=cpu-none"], 3, "plugin 'cpu-none' is not in"),
    ("no /dev/kvm", "bare.ini", ["unshare", "--mount", "sh", "-c", HIDDEN + ' && exec "$@"', "-"], [], 3,
     "/dev/kvm: No such file or directory"),
    ("a /dev/kvm that is none", "bare.ini", ["unshare", "--mount", "sh", "-c", NO_KVM + ' && exec "$@"', "-"], [], 3,
     "cannot ask for the version of /dev/kvm"),
    ("no permission", "bare.ini", ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"], [], 3,
     "/dev/kvm: Permission denied"),
]


def copied(folder):
    """The emulator and its plugins where another user can read them."""
    os.chmod(folder, 0o755)
    for name in [m.EMULATOR, *(os.path.join(m.BUILD, "plugins", p, ".libs", p + ".so") for p in x86.PLUGINS)]:
        shutil.copy(name, folder)
    return os.path.join(folder, os.path.basename(m.EMULATOR))


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    x86.need_kvm()
    emulator = copied(folder)
    elf = x86.build(folder, "cpu")
    bare = x86.files_of()["bare.ini"]
    for name, data in ("bare.ini", bare), ("high.ini", bare + x86.HIGH.encode()):
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    for what, machine, before, settings, status, words in REFUSALS:
        if before and (os.getuid() != 0 or not shutil.which(before[0])):
            m.step(f"{what}: left out ({before[0]} as root)")
            continue
        command = [*before, emulator, "run", "--quiet", "--plugin-path", folder, os.path.join(folder, machine)]
        for setting in x86.settings_of(elf, 1, settings):
            command += ["-s", setting]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=60, check=False)
        said = done.stdout.decode(errors="replace")
        if done.returncode != status or words not in said:
            raise m.console.Failure(f"{what}: status {done.returncode} and not {status}, or without '{words}':\n{said[-3000:]}")
        m.step(f"{what}: {words}")


m.main(test)
