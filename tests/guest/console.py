# SPDX-License-Identifier: MIT
"""A program on a terminal of its own, driven as a user at a keyboard would.

Owns the pseudo terminal, the program and everything it printed. Waits have bounds and end early when the program does;
end() kills the program's own process group and nothing else. Easy to break: the terminal's program side stays open here,
so that what the program printed last is read, and the settings that it left can be looked at, after its death.
GUEST_CONSOLE names a file to which the output goes too, for who wants to watch a long test.
"""
import atexit
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

CURSOR_QUESTION = b"\x1b[6n"  # a shell's line editor asks where the cursor is
alive = []


class Failure(Exception):
    """What was expected did not happen; `console` is the end of the output by then."""

    console = ""


class Console:
    """A command on a pseudo terminal; `seen` is all of its output, `usage` its resources once it has ended."""

    def __init__(self, command, environment=None):
        self.seen = bytearray()
        self.position = 0
        self.asked = 0
        self.status = self.usage = self.seconds = None
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.settings_before = self.settings()
        self.copy = open(os.environ.get("GUEST_CONSOLE") or os.devnull, "ab", buffering=0)
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        start_new_session=True, env=environment,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        alive.append(self)

    def settings(self):
        """The terminal's settings, as termios gives them."""
        return termios.tcgetattr(self.slave)

    def _read(self, seconds):
        """Takes what comes within the time; False: the program has ended and all was read."""
        if self.status is None:
            ready, _, _ = select.select([self.master, self.pidfd], [], [], seconds)
        else:
            ready, _, _ = select.select([self.master], [], [], 0)
        if self.master in ready:
            news = os.read(self.master, 65536)
            self.seen += news
            self.copy.write(news)
            questions = self.seen.count(CURSOR_QUESTION)
            os.write(self.master, b"\x1b[1;1R" * (questions - self.asked))
            self.asked = questions
            return True
        if self.pidfd in ready:
            _, status, self.usage = os.wait4(self.pid, 0)
            self.seconds = time.monotonic() - self.started
            self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
            return True
        return self.status is None

    def expect(self, pattern, seconds):
        """The first match of the pattern in the output after the last match; Failure when the time is over."""
        end = time.monotonic() + seconds
        going = True
        while True:
            match = re.compile(pattern).search(self.seen, self.position)
            if match:
                self.position = match.end()
                return match
            if not going:
                raise Failure(f"the program ended ({self.status}) before {pattern!r}")
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"no {pattern!r} within {seconds} s")
            going = self._read(left)

    def type(self, keys):
        """Types keys; a program that does not read them is not waited for."""
        os.write(self.master, keys)

    def wait(self, seconds):
        """The program's exit status (minus a signal's number); Failure when it does not end in time."""
        end = time.monotonic() + seconds
        while self.status is None:
            left = end - time.monotonic()
            if left <= 0:
                raise Failure(f"the program did not end within {seconds} s")
            self._read(left)
        while self._read(0):
            pass
        return self.status

    def signal(self, number):
        os.kill(self.pid, number)

    def tail(self, count=3000):
        """The end of the output, for people."""
        text = bytes(self.seen[-count:]).decode("utf-8", "replace").replace("\r", "")
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)

    def end(self):
        """Ends the program, however it is, and closes the terminal. Safe to repeat."""
        if self not in alive:
            return
        alive.remove(self)
        if self.status is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            _, status, self.usage = os.wait4(self.pid, 0)
            self.status = self.process.returncode = os.waitstatus_to_exitcode(status)
        self.copy.close()
        for fd in (self.pidfd, self.master, self.slave):
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, _kind, failure, _trace):
        if isinstance(failure, Failure) and not failure.console:
            failure.console = self.tail()
        self.end()


@atexit.register
def end_all():
    """No program outlives this one."""
    for console in list(alive):
        console.end()
