# SPDX-License-Identifier: MIT
"""A machine that runs beside the test, is typed to and told what to do, and whose words are looked at."""
import os
import re
import shutil
import subprocess
import time

from x86 import m


def ctl(folder, *words):
    subprocess.run([m.EMULATOR, "ctl", os.path.join(folder, "ctl"), *words], check=True, timeout=60,
                   stdout=subprocess.DEVNULL)


def read(path):
    with open(path, errors="replace") as f:
        return f.read()


def fresh(folder, name):
    """A path in the folder with nothing there."""
    path = os.path.join(folder, name)
    shutil.rmtree(path, ignore_errors=True)
    return path


class Machine:
    """One that runs, with its control socket in the folder, from where a snapshot does not take it; what it says goes to files, for a word of the guest may be said in two parts, by two of them."""

    def __init__(self, folder, words):
        self.folder, self.path = folder, os.path.join(folder, "machine-said")
        with open(self.path, "wb") as out, open(self.path + ".log", "ab") as log:
            self.process = subprocess.Popen([m.EMULATOR, "run", "-q", *words], stdin=subprocess.PIPE, stdout=out,
                                            stderr=log)

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def says(self, before, pattern, count):
        """Waits until the pattern is there so often, in what was said before and by this one; gives all of it."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            over = self.process.poll() is not None
            text = before + read(self.path)
            if len(re.findall(pattern, text)) >= count:
                return text
            if over:
                break
            time.sleep(0.002)
        raise m.console.Failure(f"it stands, or has ended:\n{text[-3000:]}{read(self.path + '.log')[-2000:]}")

    def snapshot(self, into):
        for words in ["pause"], ["snapshot", into], ["quit"]:
            ctl(self.folder, *words)
        self.process.wait(60)
        return read(self.path)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
