#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""terminal.py COMMAND...: runs a command on a terminal of its own, as a user at a keyboard would.

Waits for the guest's shell prompt, types a command, wants its answer, types Ctrl-a x, and wants the command to end.
Everything that it prints goes to standard output. Exit status 0: all of it happened.
"""
import os
import pty
import re
import select
import sys
import time

PROMPT = rb"debian:[^\n]*# "
BOOT_SECONDS = 3600  # packages, build and boot
ANSWER_SECONDS = 120


class Terminal:
    """The user's side of a pseudo terminal that a command runs on."""

    def __init__(self, command):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def read(self, seconds):
        """Reads what is there within the time; False at the end of the output."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        # a shell's line editor asks the terminal where its cursor is
        if b"\x1b[6n" in data:
            os.write(self.fd, b"\x1b[1;1R")
        self.seen += data
        return bool(data)

    def wait_for(self, pattern, seconds):
        """Waits until the output since the last match holds the pattern."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return
            if time.monotonic() > end:
                sys.exit(f"\nterminal.py: no {pattern!r} within {seconds} s")
            if not self.read(1):
                sys.exit(f"\nterminal.py: the command ended before {pattern!r}")

    def type(self, keys):
        os.write(self.fd, keys)

    def wait_for_end(self, seconds):
        end = time.monotonic() + seconds
        while self.read(1):
            if time.monotonic() > end:
                sys.exit("\nterminal.py: the command did not end")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def main():
    terminal = Terminal(sys.argv[1:])
    terminal.wait_for(PROMPT, BOOT_SECONDS)
    # the answer differs from what is typed, so that an echo does not pass for it
    terminal.type(b"echo $((6 * 7))-$(uname -m)\r")
    terminal.wait_for(rb"42-riscv64", ANSWER_SECONDS)
    terminal.wait_for(PROMPT, ANSWER_SECONDS)
    terminal.type(b"\x01x")
    status = terminal.wait_for_end(ANSWER_SECONDS)
    print(f"\nterminal.py: the command ended with status {status}")
    sys.exit(status)


main()
