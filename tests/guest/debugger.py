# SPDX-License-Identifier: MIT
"""Debian's gdb-multiarch, told what to do word by word, and what it must say to each."""
import os
import re
import shutil
import subprocess

import machines as m

GDB = "gdb-multiarch"


def need(and_so=""):
    if not shutil.which(GDB):
        raise m.Skip(f"{GDB} is missing (Debian: gdb-multiarch){and_so}")


def talk(folder, first, steps, seconds, what="gdb"):
    """`first`: lines to begin with; `steps`: (word, pattern of what it prints, gaps are fine), in order."""
    script = os.path.join(folder, "script")
    with open(script, "w", encoding="utf-8") as f:
        f.write("set pagination off\nset confirm off\nset width 0\n" + "".join(line + "\n" for line in first))
        for i, (word, _) in enumerate(steps):
            # in batch mode an error would end it
            f.write(f"echo @{i}@\\n\npython\ntry:\n  gdb.execute({word!r})\nexcept gdb.error as e:\n  print(e)\nend\n")
    done = subprocess.run([GDB, "-q", "-nx", "-batch", "-x", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=seconds, check=False)
    text = done.stdout.decode(errors="replace")
    for i, (word, wanted) in enumerate(steps):
        said = re.search(rf"^@{i}@$((?:.|\n)*?)(?=^@{i + 1}@$|\Z)", text, re.M)
        if not said or not re.search(wanted, said[1], re.M):
            raise m.console.Failure(f"{what}: '{word}' got no {wanted!r}; GDB said:\n{text[-6000:]}")
