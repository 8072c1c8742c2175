#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shipped PCs are machines that `mortise check` takes, with all of their plugins, where cpu-kvm is built."""
import glob
import os
import subprocess

from x86 import m


def test(_folder):
    m.need_emulator()
    folders = sorted(os.path.dirname(p) for p in glob.glob(os.path.join(m.BUILD, "plugins", "*", ".libs", "*.so")))
    if not any(f.endswith("cpu-kvm/.libs") for f in folders):
        raise m.Skip("cpu-kvm is not built")
    for name, key in ("virt-x86_64", "boot.kernel"), ("virt-x86_64-bios", "boot.firmware"):
        words = [m.EMULATOR, "check", os.path.join(m.SOURCE, "conf", name + ".ini"), "-s", f"{key}={os.path.abspath(__file__)}"]
        for folder in folders:
            words += ["--plugin-path", folder]
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise m.console.Failure(f"{name}: status {done.returncode}:\n{done.stdout.decode(errors='replace')}")


m.main(test)
