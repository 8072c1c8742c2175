# SPDX-License-Identifier: MIT
"""A host inside of another emulator: its initramfs, what it prints between marks, and the run of it."""
import gzip
import os
import re
import subprocess

import machines as m


def read(path):
    with open(path, "rb") as f:
        return f.read()


def archive(files):
    """An initramfs of {path: (mode, bytes)}, with the folders that they need."""
    folders, members = {"dev", "proc", "sys", "tmp"}, []
    for path in files:
        parts = path.split("/")[:-1]
        folders |= {"/".join(parts[:i + 1]) for i in range(len(parts))}
    members += [(f, 0o40755, b"") for f in sorted(folders)]
    members += [(path, 0o100000 | mode, data) for path, (mode, data) in files.items()]
    whole = b"".join(m._cpio_member(i + 1, *member) for i, member in enumerate(members))
    return gzip.compress(whole + m._cpio_member(0, "TRAILER!!!", 0, b""), 1)


def run(command, seconds):
    """What it printed until it ended, or until the time was over."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=seconds, check=False)
        text = done.stdout
    except subprocess.TimeoutExpired as end:
        text = end.stdout or b""
    return text.decode(errors="replace").replace("\r", "")


def output_of(text, name):
    """What stands between the marks of a part, and its exit status."""
    found = re.search(rf"=== begin {name}\n(.*?)=== end (\d+)\n", text, re.S)
    if not found:
        raise m.console.Failure(f"{name} did not end; the end of the console:\n{text[-3000:]}")
    return found[1], int(found[2])
