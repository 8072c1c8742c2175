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
# what, machine file, words before the command, settings, exit status, what it must say; on each host
ANYWHERE = [
    ("a missing module", "bare.ini", [], ["cpu.plugin=cpu-none"], 3, "plugin 'cpu-none' is not in"),
    ("too many vCPUs", "bare.ini", [], ["cpu.count=100000"], 2, "count: '100000' is not in 1..1024"),
    ("no /dev/kvm", "bare.ini", ["unshare", "--mount", "sh", "-c", HIDDEN + ' && exec "$@"', "-"], [], 3,
     "/dev/kvm: No such file or directory"),
    ("no module of KVM", "bare.ini", ["unshare", "--mount", "sh", "-c", HIDDEN + ' && exec "$@"', "-"], [], 3, "modprobe kvm"),
]
# and where a KVM is usable
REFUSALS = [
    ("an unknown feature", "bare.ini", [], ["cpu.features=sse17"], 2, "there is no feature 'sse17'"),
    ("a feature too much", "bare.ini", [], [f"cpu.features={LACKED}"], 3,
     f"KVM of this host has no '{LACKED}', which the file asks for"),
    ("vCPUs without local APICs", "bare.ini", [], ["cpu.count=2"], 2, "have no way to start each other without local APICs"),
    ("too few descriptors", "board.ini", ["prlimit", "--nofile=100"], ["cpu.count=200"], 1, "make a vCPU: Too many open files"),
    ("no address space", "bare.ini", ["prlimit", f"--as={256 << 20}"], ["ram.size=1G"], 1,
     "cannot map 1073741824 bytes for 'ram'"),
    ("memory that no address reaches", "high.ini", [], ["high.at=0x100000000000000"], 1,
     "memory of 0x4000000 bytes at 0x100000000000000 ends beyond the "),
    ("RAM too small", "bare.ini", [], ["ram.size=64K"], 2, "the machine has no RAM of 2 MiB"),
    ("a /dev/kvm that is none", "bare.ini", ["unshare", "--mount", "sh", "-c", NO_KVM + ' && exec "$@"', "-"], [], 3,
     "cannot ask for the version of /dev/kvm"),
    ("no permission", "bare.ini", ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"], [], 3,
     "/dev/kvm: Permission denied"),
]
VCPUS_MAX = 1024


def one_too_many():
    """For this host's KVM, when the file may ask for so many."""
    most = x86.ask_kvm(x86.KVM_CHECK_EXTENSION, x86.KVM_CAP_MAX_VCPUS)
    return [("more vCPUs than KVM takes", "board.ini", [], [f"cpu.count={most + 1}"], 3,
             f"KVM of this host runs at most {most} vCPUs in a machine, not {most + 1}")] if most < VCPUS_MAX else []


def copied(folder):
    """The emulator and its plugins where another user can read them."""
    os.chmod(folder, 0o755)
    for name in [m.EMULATOR, *(os.path.join(m.BUILD, "plugins", p, ".libs", p + ".so") for p in x86.PLUGINS)]:
        shutil.copy(name, folder)
    return os.path.join(folder, os.path.basename(m.EMULATOR))


def refused(folder, emulator, elf, what, machine, before, settings, status, words):
    if before and (os.getuid() != 0 or not shutil.which(before[0])):
        m.step(f"{what}: left out ({before[0]} as root)")
        return
    command = [*before, emulator, "run", "--quiet", "--plugin-path", folder, os.path.join(folder, machine)]
    for setting in x86.settings_of(elf, 1, settings):
        command += ["-s", setting]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          check=False)
    said = done.stdout.decode(errors="replace")
    if done.returncode != status or words not in said:
        raise m.console.Failure(f"{what}: status {done.returncode} and not {status}, or without '{words}':\n{said[-3000:]}")
    m.step(f"{what}: {words}")


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    emulator = copied(folder)
    elf = x86.build(folder, "cpu")
    x86.write_files(folder)
    with open(os.path.join(folder, "high.ini"), "wb") as f:
        f.write(x86.files_of()["bare.ini"] + x86.HIGH.encode())
    for refusal in ANYWHERE:
        refused(folder, emulator, elf, *refusal)
    x86.need_kvm()
    for refusal in REFUSALS + one_too_many():
        refused(folder, emulator, elf, *refusal)


m.main(test)
