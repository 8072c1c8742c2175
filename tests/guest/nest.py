# SPDX-License-Identifier: MIT
"""A host inside of another emulator: its initramfs, what it prints between marks, and the run of it."""
import gzip
import os
import re
import subprocess
import threading
import time

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
    """What it printed until it ended, or until the time was over; each part's begin is told when it comes."""
    return _run(command, seconds)[0]


def run_parts(command_from, parts, seconds, tries=3):
    """As `run`, for a script of `parts` that can begin at any: command_from(index of part).

    The translator below was seen to lose a host: its kernel panics in code that it patches itself, or all ends without a
    word. Then it begins again at the part that was not over, at most `tries` times for each; never after the time is over.
    """
    whole, index, tried = "", 0, {}
    while True:
        text, late = _run(command_from(index), seconds)
        whole += text
        index = next((i for i, name in enumerate(parts) if not re.search(_part(name), whole, re.S)), len(parts))
        tried[index] = tried.get(index, 0) + 1
        if index == len(parts) or late or tried[index] == tries:
            return whole
        m.step(f"the host inside died in {parts[index]}, and begins again there:\n{text[-300:]}")


def _run(command, seconds):
    """(what it printed, whether the time was over)"""
    text, begin, late = b"", time.monotonic(), threading.Event()
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process, \
            open(os.environ.get("GUEST_CONSOLE") or os.devnull, "ab", buffering=0) as copy:

        def stop():
            late.set()
            process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        for line in process.stdout:
            text += line
            copy.write(line)
            part = re.match(rb"=== begin (\S+)", line)
            if part:
                print(f"  {time.monotonic() - begin:.0f} s: {part[1].decode()}", flush=True)
            if b"end Kernel panic" in line:
                process.kill()                  # it would stand until the time is over
        timer.cancel()
    return text.decode(errors="replace").replace("\r", ""), late.is_set()


def _part(name):
    # not what a host said that died in it
    return rf"=== begin {re.escape(name)}\n((?:(?!=== begin ).)*?)=== end (\d+)\n"


def output_of(text, name):
    """What stands between the marks of a part, and its exit status."""
    found = re.search(_part(name), text, re.S)
    if not found:
        raise m.console.Failure(f"{name} did not end; the end of the console:\n{text[-3000:]}")
    return found[1], int(found[2])
