#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Freestanding programs on this host's KVM: CPU, interrupts, two CPUs, and the ways in which a machine ends."""
import os
import subprocess

import x86
from x86 import m


def test(folder):
    x86.need_plugins()
    x86.need_compiler()
    x86.need_kvm()
    for name, data in x86.files_of().items():
        with open(os.path.join(folder, name), "wb") as f:
            f.write(data)
    for name, defines, vcpus, settings, status, pattern in x86.PROGRAMS:
        elf = x86.build(folder, name, *defines)
        words = [m.EMULATOR, "run", *x86.words_of(settings), os.path.join(folder, x86.machine_of(name, settings))]
        for setting in x86.settings_of(elf, vcpus, settings):
            words += ["-s", setting]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=120, check=False)
        output = done.stdout
        if os.path.exists(os.path.join(folder, x86.SAID)):
            with open(os.path.join(folder, x86.SAID), "rb") as f:
                output += f.read()
        x86.judge(f"{os.path.basename(elf)} {' '.join(settings)}", output.decode(errors="replace"), done.returncode,
                  status, pattern)


m.main(test)
