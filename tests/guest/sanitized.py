# SPDX-License-Identifier: MIT
"""A build with the thread sanitizer, below the build folder in tsan/, and what the sanitizer finds there."""
import fcntl
import glob
import os
import shutil
import subprocess

import machines as m

TSAN = os.path.join(m.BUILD, "tsan")
# GLib's own allocator hands memory from thread to thread under locks that the sanitizer does not see
PLAIN = {"G_SLICE": "always-malloc"}
FIXED = ["setarch", "-R"] if shutil.which("setarch") else []      # addresses that the sanitizer can have


def build(*targets):
    """Everything, and the tests named by path. One test at a time builds there."""
    os.makedirs(TSAN, exist_ok=True)
    with open(os.path.join(TSAN, ".building"), "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(os.path.join(TSAN, "Makefile")):
            subprocess.run([os.path.join(m.SOURCE, "configure"), "CFLAGS=-O2 -g", "--enable-tsan"], cwd=TSAN, check=True,
                           stdout=subprocess.DEVNULL)
        subprocess.run(["make", "-C", TSAN, "-s", f"-j{os.cpu_count()}", "all", *targets], check=True, stdout=subprocess.DEVNULL)


def options(folder):
    """What it finds goes into files of the folder."""
    return f"log_path={folder}/found exitcode=0 history_size=4 second_deadlock_stack=1"


def nothing_found(folder):
    text = ""
    for name in glob.glob(os.path.join(folder, "found*")):
        with open(name, encoding="utf-8", errors="replace") as f:
            text += f.read()
    if text:
        print(text[:20000])
    m.check(not text, f"{text.count('WARNING: ThreadSanitizer')} findings of the thread sanitizer")
